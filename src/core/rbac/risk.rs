//! The built-in reading of a role: what somebody can do with its rules, and how bad that may be.
//!
//! Owns how rules are held against the table of findings in [`findings`]. It must not decide
//! anything: a level is advice for those who decide. Nor can it know what is in a namespace, so it says what the
//! rights are good for, not what will be done.

mod findings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use self::findings::{FINDINGS, Finding};
use crate::api::request::RoleRisk;
use crate::api::risk::RiskLevel;
use crate::core::model::history::cut;
use crate::core::rbac::rules::{list, quote_all};

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
    /// than there are kinds of findings, a few dozen, and each is short.
    pub reasons: Vec<String>,
}

/// How many reasons go on record, and how long each may be, in bytes; the schema says so too.
const MOST_REASONS: usize = 16;
const LONGEST_REASON: usize = 512;

impl Risk {
    /// As it goes on record.
    pub fn on_record(&self) -> RoleRisk {
        let reasons = self.reasons.iter().take(MOST_REASONS).map(|reason| cut(reason, LONGEST_REASON)).collect();
        RoleRisk { level: self.level.into(), reasons }
    }
}

/// What goes on record of a role that cannot be read.
pub fn unreadable() -> RoleRisk {
    let why = "the role cannot be read: it may not exist yet".to_owned();
    RoleRisk { level: RiskLevel::Unknown.into(), reasons: vec![why] }
}

/// The objects that a finding holds for.
enum ServedNamespaces<'a> {
    All,
    /// Objects of these names; a rule for names lowers no level, since one object can be the one that counts.
    Only(BTreeSet<&'a str>),
}

/// What rules are good for where they are bound.
///
/// In a namespace only those rights count that hold there: a RoleBinding gives nothing on nodes, on other
/// resources without a namespace, and on URLs. (Kubernetes RBAC docs, "RoleBinding and ClusterRoleBinding".)
/// Those that hold in a protected namespace weigh what they do in the whole cluster, which includes it.
pub fn risk(rules: &[PolicyRule], extent: Extent) -> Risk {
    // In the order in which they are told.
    let mut found: BTreeMap<(bool, std::cmp::Reverse<RiskLevel>, &str), ServedNamespaces<'_>> = BTreeMap::new();
    for finding in FINDINGS {
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

fn reach<'a>(finding: &Finding, rules: impl Iterator<Item = &'a PolicyRule>) -> ServedNamespaces<'a> {
    let mut only = BTreeSet::new();
    for rule in rules {
        let names = list(&rule.resource_names);
        if names.is_empty() || !finding.is_of_objects() {
            return ServedNamespaces::All;
        }
        only.extend(names.iter().map(String::as_str));
    }
    ServedNamespaces::Only(only)
}

impl fmt::Display for ServedNamespaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Only(names) => write!(f, " (only {})", quote_all(names.iter().copied())),
        }
    }
}

#[cfg(test)]
mod tests;
