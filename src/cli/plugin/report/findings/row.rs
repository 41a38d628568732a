//! One finding as it is told: as a line of a table, and as an object for programs.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Serialize;

use super::proposal;
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleName, Subject};
use crate::api::word::Vocabulary;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::core::insight::finding::{InsightFinding, Remedy};
use crate::core::insight::narrower::proposal::NarrowerRules;

/// A finding, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingRow {
    pub kind: &'static str,
    pub severity: &'static str,
    about: AboutRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'static str>,
    /// What such a finding says.
    says: &'static str,
    /// What shows it.
    why: String,
    /// The rights by which it is so, where it hangs on single ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rights: Vec<RightRow>,
    /// For each role that has more rights than were used: rules that would do, which nobody applies by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    narrower: Vec<NarrowerRow>,
    way_out: WayOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<AcceptedRow>,
}

#[derive(Debug, Serialize)]
struct AboutRow {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

#[derive(Debug, Serialize)]
struct RightRow {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    /// Where it is one; left out for the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

/// Rules that would do for a role, and what speaks for them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NarrowerRow {
    role: RoleName,
    rules: Vec<PolicyRule>,
    grants: usize,
    used: usize,
    weeks: i64,
    risk_before: String,
    risk_after: String,
    /// How many of the grants would have lacked a right.
    lacking: usize,
}

impl NarrowerRow {
    fn of((role, rules): (&RoleName, &NarrowerRules)) -> Self {
        Self {
            role: role.clone(),
            rules: rules.rules.clone(),
            grants: rules.seen.grants,
            used: rules.seen.used,
            weeks: rules.seen.weeks(),
            risk_before: rules.risk_before.level.to_string(),
            risk_after: rules.risk_after.level.to_string(),
            lacking: rules.replay.lacking.len(),
        }
    }
}

/// What to do.
#[derive(Debug, Serialize)]
struct WayOut {
    /// Commands for a shell, in their order.
    commands: Vec<String>,
    /// The policy to apply first, and its test, as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<String>,
}

#[derive(Debug, Serialize)]
struct AcceptedRow {
    reason: String,
    /// Whether it keeps the finding from counting.
    counts: bool,
}

impl FindingRow {
    /// The finding, of an installation in this namespace.
    pub fn of(found: &InsightFinding, release: &str) -> Self {
        let right = |right: &crate::core::insight::finding::PowerfulRight| RightRow {
            verb: right.verb,
            group: right.group,
            resource: right.resource,
            namespace: right.namespace.clone(),
        };
        Self {
            kind: found.kind.as_str(),
            severity: found.severity.as_str(),
            about: AboutRow {
                kind: found.about.kind.as_str(),
                namespace: found.about.namespace.clone(),
                name: found.about.name.clone(),
            },
            who: found.who.clone(),
            holder: found.holder.map(|holder| holder.as_str()),
            says: found.kind.sentence(),
            why: found.why(),
            rights: found.rights().map(right).collect(),
            narrower: found.narrower().map(NarrowerRow::of).collect(),
            way_out: WayOut {
                commands: commands(&found.remedy),
                policy: found.proposal().map(proposal::policy),
                test: found.proposal().map(|proposed| proposal::test(proposed, release)),
            },
            accepted: found
                .accepted
                .as_ref()
                .map(|note| AcceptedRow { reason: note.reason.clone(), counts: !note.by_holder }),
        }
    }
}

/// What to type, in this order.
fn commands(remedy: &Remedy) -> Vec<String> {
    match remedy {
        Remedy::Replace(_, unbind) | Remedy::Unbind(unbind) => vec![unbind.in_shell()],
        Remedy::AskInstead { ask, unbind } => vec![ask.in_shell(), unbind.in_shell()],
        Remedy::Look(look) => vec![look.in_shell()],
    }
}

/// The cells of a line: severity, kind, who, object and why; and of a wide one what to do.
pub fn cells(found: &InsightFinding, is_wide: bool) -> Vec<TextSpan> {
    let tone = match found.severity {
        _ if found.is_accepted() => Tone::Dim,
        RiskLevel::Critical | RiskLevel::High | RiskLevel::Unknown => Tone::Bad,
        RiskLevel::Medium => Tone::Waiting,
        RiskLevel::Low => Tone::Plain,
    };
    let who = found.who.as_ref().map(ToString::to_string).unwrap_or_default();
    let note = match &found.accepted {
        Some(note) if note.by_holder => format!("; noted as known by who may be those it is about: {}", note.reason),
        Some(note) => format!("; noted as known: {}", note.reason),
        None => String::new(),
    };
    let mut cells = vec![
        TextSpan::new(found.severity.as_str(), tone),
        found.kind.as_str().into(),
        who.into(),
        found.about.to_string().into(),
        format!("{}{note}", found.why()).into(),
    ];
    if is_wide {
        cells.push(way_out(found).into());
    }
    cells
}

/// What to do, on one line.
pub fn way_out(found: &InsightFinding) -> String {
    let first = found.proposal().map(|proposed| format!("apply policy {} (--propose DIR)", proposed.name));
    let all: Vec<String> = first.into_iter().chain(commands(&found.remedy)).collect();
    all.join("; then ")
}
