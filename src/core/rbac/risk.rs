//! The built-in reading of a role: what somebody can do with its rules, and how bad that may be.
//!
//! Owns how rules are held against the table in [`findings`], and what is said of them. It must not decide anything: a
//! level is advice for those who decide. Nor can it know what is in a namespace or which controllers there are, so it
//! says what the rights are good for, not what will be done.
//!
//! | Part | What it owns |
//! | --- | --- |
//! | [`finding`] | The form of a finding, and how it is held against a rule |
//! | [`findings`] | The table of findings: which rights are one, how bad, and why |
//! | [`kinds`] | Which kinds are known; to write one that is not known is the worst that is usual |

mod finding;
mod findings;
pub mod kinds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use self::finding::Finding;
use crate::api::request::RoleRisk;
use crate::api::risk::RiskLevel;
use crate::core::model::history::cut;
use crate::core::rbac::rules::quote_all;

/// Where rights hold, as far as the harm that they can do depends on it; in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// In single namespaces, none of which is protected.
    Namespaces,
    /// In single namespaces, with one among them from which the cluster or Daypass can be taken over.
    SystemNamespaces,
    /// In the whole cluster, the protected namespaces included.
    Cluster,
}

/// How bad rights may be, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Risk {
    /// The highest level of all findings; low when there are none.
    pub level: RiskLevel,
    /// Each finding once, as its level and a short sentence: wildcards first, then the worst. There are never more
    /// than there are findings, fewer than a hundred, and each is short.
    pub reasons: Vec<String>,
}

/// How many reasons go on record, and how long each may be, in bytes; the schema says so too.
const MOST_REASONS: usize = 16;
const LONGEST_REASON: usize = 512;

impl Risk {
    /// As it goes on record. Of many reasons the worst, and how many there are besides.
    pub fn on_record(&self) -> RoleRisk {
        let recorded = |reason: &String| cut(reason, LONGEST_REASON);
        let shown = match self.reasons.len() {
            ..=MOST_REASONS => MOST_REASONS,
            _ => MOST_REASONS - 1,
        };
        let more = self.reasons.len().saturating_sub(shown);
        let rest = (more > 0).then(|| format!("and {more} more, none of them worse"));
        let reasons = self.reasons.iter().take(shown).map(recorded).chain(rest).collect();
        RoleRisk { level: self.level.into(), reasons }
    }
}

/// What goes on record of a role that cannot be read.
pub fn unreadable() -> RoleRisk {
    let why = "the role cannot be read: it may not exist yet".to_owned();
    RoleRisk { level: RiskLevel::Unknown.into(), reasons: vec![why] }
}

/// The objects that a finding holds for.
enum NamedObjects<'a> {
    All,
    /// Objects of these names. That there are names lowers no level by itself, since one object can be the one that
    /// counts: where it does, the finding knows the names.
    Only(BTreeSet<&'a str>),
}

/// What rules are good for where they are bound.
///
/// In a namespace only those rights count that hold there: a RoleBinding gives nothing on nodes, on other
/// resources without a namespace, and on URLs. (Kubernetes RBAC docs, "RoleBinding and ClusterRoleBinding".)
/// Those that hold in a protected namespace weigh what they do in the whole cluster, which includes it.
pub fn risk(rules: &[PolicyRule], extent: Extent) -> Risk {
    // In the order in which they are told.
    let mut found: BTreeMap<(bool, std::cmp::Reverse<RiskLevel>, &str), NamedObjects<'_>> = BTreeMap::new();
    for finding in findings::all() {
        let Some(level) = finding.level(extent) else { continue };
        let mut hits = rules.iter().filter(|rule| finding.is_in(rule)).peekable();
        if hits.peek().is_some() {
            let key = (!finding.is_wildcard(), std::cmp::Reverse(level), finding.text);
            found.insert(key, reach(finding, hits));
        }
    }
    Risk {
        level: found.keys().map(|(_, level, _)| level.0).max().unwrap_or_default(),
        reasons: found.iter().map(|((_, level, text), reach)| format!("{}: {text}{reach}", level.0)).collect(),
    }
}

fn reach<'a>(finding: &Finding, rules: impl Iterator<Item = &'a PolicyRule>) -> NamedObjects<'a> {
    let mut only = BTreeSet::new();
    for rule in rules {
        let names = finding.names(rule);
        if names.is_empty() {
            return NamedObjects::All;
        }
        only.extend(names);
    }
    NamedObjects::Only(only)
}

impl fmt::Display for NamedObjects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Only(names) => write!(f, " (only {})", quote_all(names.iter().copied())),
        }
    }
}

#[cfg(test)]
mod tests;
