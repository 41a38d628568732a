//! What is proposed, for people and for programs.
//!
//! Owns the form. What it says of a proposal are the core's own facts; nothing is left out that speaks against it.

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::drafted::RoleDraft;
use crate::api::subject::RoleName;
use crate::cli::plugin::output::format::{Format, FormatError};
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::core::insight::narrower::compact::difference;
use crate::core::insight::narrower::evidence::{NarrowerTerms, SeenSpan};
use crate::core::insight::narrower::proposal::{NarrowerRules, NoProposal};
use crate::core::insight::narrower::replay::Replay;
use crate::core::rbac::risk::Risk;

/// Most grants that are told one by one.
const MOST_NAMED: usize = 10;

/// What is proposed for a policy.
#[derive(Debug)]
pub struct NarrowerReport {
    policy: String,
    since: Timestamp,
    terms: NarrowerTerms,
    pub roles: Vec<RoleAnswer>,
}

/// What is proposed for one of its roles.
#[derive(Debug)]
pub struct RoleAnswer {
    pub role: RoleName,
    /// Its rules as they are.
    pub before: Vec<PolicyRule>,
    pub answer: Result<NarrowerRules, Vec<NoProposal>>,
    /// What could be applied, where something is proposed.
    pub draft: Option<RoleDraft>,
}

impl NarrowerReport {
    /// Of no role yet.
    pub fn new(policy: &str, since: Timestamp, terms: NarrowerTerms) -> Self {
        Self { policy: policy.to_owned(), since, terms, roles: Vec::new() }
    }

    /// Whether nothing is proposed.
    pub fn is_empty(&self) -> bool {
        self.roles.iter().all(|role| role.answer.is_err())
    }

    /// Why nothing is proposed, for each role of which that is so.
    pub fn notes(&self) -> Vec<String> {
        let none = self.roles.iter().filter_map(|role| Some((&role.role, role.answer.as_ref().err()?)));
        none.flat_map(|(role, why)| why.iter().map(move |why| format!("nothing is proposed for {role}: {why}")))
            .collect()
    }

    /// The narrower roles as YAML.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn manifests(&self) -> Result<String, FormatError> {
        let drafts = self.roles.iter().filter_map(|role| role.draft.as_ref());
        yaml(&drafts.flat_map(|draft| draft.manifests.clone()).collect::<Vec<_>>())
    }

    /// For people.
    ///
    /// # Errors
    /// When the narrower roles cannot be written.
    pub fn text(&self) -> Result<Text, FormatError> {
        let mut text = Text::default();
        for role in &self.roles {
            text.gap();
            text.line(TextSpan::new(
                format!("{} under policy {}, since {}", role.role, self.policy, self.since),
                Tone::Strong,
            ));
            match (&role.answer, &role.draft) {
                (Err(why), _) => why.iter().for_each(|why| text.line(format!("nothing is proposed: {why}"))),
                (Ok(rules), draft) => {
                    text.extend(self.proposal(role, rules));
                    if let Some(draft) = draft {
                        text.extend(self.steps(&role.role, draft)?);
                    }
                }
            }
        }
        Ok(text)
    }

    fn proposal(&self, role: &RoleAnswer, proposal: &NarrowerRules) -> Text {
        let mut text = Text::default();
        let SeenSpan { grants, used, from, until } = &proposal.seen;
        text.line(format!(
            "made from {grants} grants, {used} of them used, from {from} to {until}: {} whole weeks (asked for: {} used, {} \
             weeks). What is needed less often than that, such as once a year, is not in it.",
            proposal.seen.weeks(),
            self.terms.grants,
            self.terms.weeks
        ));
        text.gap();
        let (gone, new) = difference(&role.before, &proposal.rules);
        let same = proposal.rules.iter().filter(|rule| !new.contains(rule));
        gone.iter().for_each(|rule| text.line(TextSpan::new(format!("- {}", line(rule)), Tone::Bad)));
        new.iter().for_each(|rule| text.line(TextSpan::new(format!("+ {}", line(rule)), Tone::Good)));
        same.for_each(|rule| text.line(format!("  {}", line(rule))));
        text.gap();
        kept(proposal).into_iter().for_each(|kept| text.line(kept));
        risk(proposal).into_iter().for_each(|line| text.line(line));
        replay(proposal).into_iter().for_each(|line| text.line(line));
        text
    }

    /// What to do with it.
    fn steps(&self, role: &RoleName, draft: &RoleDraft) -> Result<Text, FormatError> {
        let mut text = Text::default();
        text.gap();
        text.line(
            "Nothing was changed. To use it, apply the role, see that Daypass may bind it (bindableClusterRoles or",
        );
        text.line(format!(
            "bindableRoles of the chart), and change the policy; then {} is asked for in place of {role}.",
            draft.name
        ));
        text.gap();
        draft.policy_change.iter().for_each(|line| text.line(line.as_str()));
        text.gap();
        yaml(&draft.manifests)?.lines().for_each(|line| text.line(line));
        Ok(text)
    }
}

/// What is in it without evidence, and what is not in it of which there can be none.
fn kept(proposal: &NarrowerRules) -> Vec<String> {
    let mut lines = Vec::new();
    if !proposal.within.is_empty() {
        let rights: Vec<String> = proposal.within.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "kept, since the API server may ask for it within calls that were made: {}",
            rights.join(", ")
        ));
    }
    if !proposal.events.is_empty() {
        lines
            .push("kept, since audit logs may hold nothing of it: to read events, as kubectl describe does".to_owned());
    }
    let silent =
        proposal.without_trace.iter().map(|rule| format!("kept, since no audit log tells of its use: {}", line(rule)));
    lines.extend(silent);
    if proposal.drops_unnamed_verbs {
        lines.push(
            "the role has every verb (*), also those of which no audit log tells, such as use; those are not in the proposal"
                .to_owned(),
        );
    }
    lines
}

fn risk(proposal: &NarrowerRules) -> Vec<String> {
    let (before, after) = (&proposal.risk_before, &proposal.risk_after);
    let mut lines = vec![format!("risk: {} -> {}", before.level, after.level)];
    let gone = before.reasons.iter().filter(|reason| !after.reasons.contains(reason));
    lines.extend(gone.map(|reason| format!("  - {reason}")));
    lines.extend(after.reasons.iter().map(|reason| format!("    {reason}")));
    lines
}

fn replay(proposal: &NarrowerRules) -> Vec<String> {
    let Replay { grants, lacking } = &proposal.replay;
    let mut lines = vec![format!("replay: {} of {grants} grants would have lacked a right", lacking.len())];
    lines.extend(named(&proposal.replay));
    let left_out = &proposal.left_out;
    lines.push(format!(
        "each left out in turn: {} of {} would have lacked a right under what the others alone lead to",
        left_out.lacking.len(),
        left_out.grants
    ));
    lines.extend(named(left_out));
    if !proposal.once.is_empty() {
        let rights: Vec<String> = proposal.once.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "used by one grant alone: {}. Expect about as many that were never seen.",
            rights.join(", ")
        ));
    }
    lines
}

fn named(replay: &Replay) -> Vec<String> {
    let told = replay.lacking.iter().take(MOST_NAMED).map(|lacking| {
        let lacks: Vec<String> = lacking.lacks.iter().map(ToString::to_string).collect();
        format!("  {}: {}", lacking.name, lacks.join("; "))
    });
    let more = replay.lacking.len().saturating_sub(MOST_NAMED);
    told.chain((more > 0).then(|| format!("  and {more} more"))).collect()
}

/// A rule on a line: `get, list on deployments.apps named web`.
fn line(rule: &PolicyRule) -> String {
    let all = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
    let groups = all(&rule.api_groups);
    let in_group = |group: &String| {
        let one =
            move |resource: &String| if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        all(&rule.resources).iter().map(one).collect::<Vec<_>>()
    };
    let objects: Vec<String> = groups.iter().flat_map(in_group).chain(all(&rule.non_resource_urls)).collect();
    let names = all(&rule.resource_names);
    let names = if names.is_empty() { String::new() } else { format!(" named {}", names.join(", ")) };
    format!("{} on {}{names}", rule.verbs.join(", "), objects.join(", "))
}

fn yaml(manifests: &[Value]) -> Result<String, FormatError> {
    let documents = manifests.iter().map(|manifest| Ok(Format::Yaml.object(manifest)?.unwrap_or_default()));
    Ok(documents.collect::<Result<Vec<String>, FormatError>>()?.join("---\n"))
}

impl Serialize for NarrowerReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let roles: Vec<Value> = self.roles.iter().map(RoleAnswer::value).collect();
        let least = json!({ "grants": self.terms.grants, "weeks": self.terms.weeks });
        json!({ "policy": self.policy, "since": self.since, "least": least, "roles": roles }).serialize(serializer)
    }
}

impl RoleAnswer {
    fn value(&self) -> Value {
        let role = json!(self.role);
        match &self.answer {
            Err(none) => {
                let why = |none: &NoProposal| json!({ "reason": none.word(), "message": none.to_string() });
                json!({ "role": role, "nothing": none.iter().map(why).collect::<Vec<_>>() })
            }
            Ok(proposal) => {
                let (removed, added) = difference(&self.before, &proposal.rules);
                let within: Vec<String> = proposal.within.iter().map(ToString::to_string).collect();
                let once: Vec<String> = proposal.once.iter().map(ToString::to_string).collect();
                json!({
                    "role": role,
                    "seen": {
                        "grants": proposal.seen.grants, "used": proposal.seen.used, "weeks": proposal.seen.weeks(),
                        "from": proposal.seen.from, "until": proposal.seen.until,
                    },
                    "rules": proposal.rules, "removed": removed, "added": added,
                    "keptWithin": within, "keepsEvents": !proposal.events.is_empty(),
                    "keptWithoutTrace": proposal.without_trace,
                    "dropsUnnamedVerbs": proposal.drops_unnamed_verbs,
                    "usedOnce": once,
                    "riskBefore": risk_value(&proposal.risk_before), "riskAfter": risk_value(&proposal.risk_after),
                    "replay": replay_value(&proposal.replay), "leftOut": replay_value(&proposal.left_out),
                    "manifests": self.draft.as_ref().map(|draft| &draft.manifests),
                    "policyChange": self.draft.as_ref().map(|draft| draft.policy_change.join("\n")),
                })
            }
        }
    }
}

fn risk_value(risk: &Risk) -> Value {
    json!({ "level": risk.level.to_string(), "reasons": risk.reasons })
}

fn replay_value(replay: &Replay) -> Value {
    let lacking = replay.lacking.iter().map(|lacking| {
        let lacks: Vec<String> = lacking.lacks.iter().map(ToString::to_string).collect();
        json!({ "request": lacking.name, "lacks": lacks })
    });
    json!({ "grants": replay.grants, "lacking": lacking.collect::<Vec<_>>() })
}
