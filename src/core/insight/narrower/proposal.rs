//! The proposal of narrower rules, or why there is none.
//!
//! Owns what a proposal tells with its rules: what it was made from, what was kept without evidence, the risk before and after,
//! and the replays. It must not soften the minimum of evidence that it is given.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::compact::compact;
use super::evidence::{NarrowerTerms, PastGrant, SeenSpan, UnseenCalls, UsedRight, unseen, used_once};
use super::needs::UsedRights;
use super::replay::Replay;
use crate::core::rbac::risk::{Extent, Risk, risk};
use crate::core::rbac::rules::{ALL, covers, list};

/// A proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct NarrowerRules {
    pub rules: Vec<PolicyRule>,
    pub seen: SeenSpan,
    /// Rights that are in it because the API server may have asked for them within calls.
    pub within: BTreeSet<UsedRight>,
    /// Rights to read events that are in it, of which audit logs may hold nothing.
    pub events: BTreeSet<UsedRight>,
    /// Rules that are in it because no audit log would tell of their use.
    pub without_trace: Vec<PolicyRule>,
    /// Whether the role stands for verbs of which no audit log tells, without naming them; the proposal has none of those.
    pub drops_unnamed_verbs: bool,
    /// The rights that one grant alone used. About as many will be needed that were never seen.
    pub once: BTreeSet<UsedRight>,
    pub risk_before: Risk,
    pub risk_after: Risk,
    /// Each grant under the proposal.
    pub replay: Replay,
    /// Each grant under what the others alone would have led to.
    pub left_out: Replay,
}

/// Why there is no proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProposal {
    /// The role was not granted in that time.
    NoGrants,
    /// It is not known what was done with these grants.
    Unseen(Vec<(String, UnseenCalls)>),
    /// Too few grants were used.
    FewGrants { used: usize, least: usize },
    /// The grants span too short a time, in whole weeks.
    ShortSpan { weeks: i64, least: i64 },
    /// The role has nothing any more of what was used.
    NothingLeft,
    /// All that the role has was used.
    NothingToTake,
}

/// Proposes rules for a role that hold what these grants of it needed.
///
/// # Errors
/// All reasons why there is nothing to propose.
pub fn propose(
    role: &[PolicyRule],
    extent: Extent,
    grants: &[PastGrant],
    terms: NarrowerTerms,
) -> Result<NarrowerRules, Vec<NoProposal>> {
    let seen = SeenSpan::of(grants).ok_or_else(|| vec![NoProposal::NoGrants])?;
    let lacking = lacking(grants, &seen, terms);
    if !lacking.is_empty() {
        return Err(lacking);
    }
    let used = UsedRights::of(role, grants, &seen);
    let needed = used.needed(None);
    let rules = compact(&needed);
    let is_used = |right: &UsedRight| !needed.within.contains(right) && !needed.events.contains(right);
    if !needed.rights.keys().any(is_used) {
        return Err(vec![NoProposal::NothingLeft]);
    }
    if role.iter().all(|rule| covers(&rules, std::slice::from_ref(rule)).is_ok()) {
        return Err(vec![NoProposal::NothingToTake]);
    }
    Ok(NarrowerRules {
        seen,
        within: needed.within,
        events: needed.events,
        without_trace: needed.without_trace,
        drops_unnamed_verbs: role.iter().any(|rule| has_all(&rule.verbs) && !list(&rule.resources).is_empty()),
        once: used_once(grants),
        risk_before: risk(role, extent),
        risk_after: risk(&rules, extent),
        replay: Replay::of(role, &rules, grants),
        left_out: Replay::left_out(role, &used, grants),
        rules,
    })
}

fn has_all(texts: &[String]) -> bool {
    texts.iter().any(|text| text == ALL)
}

/// What is missing of the evidence.
fn lacking(grants: &[PastGrant], seen: &SeenSpan, terms: NarrowerTerms) -> Vec<NoProposal> {
    let unseen = unseen(grants);
    let mut lacking = Vec::new();
    if !unseen.is_empty() {
        lacking.push(NoProposal::Unseen(unseen));
    }
    if seen.used < terms.grants.max(1) {
        lacking.push(NoProposal::FewGrants { used: seen.used, least: terms.grants.max(1) });
    }
    if seen.weeks() < terms.weeks {
        lacking.push(NoProposal::ShortSpan { weeks: seen.weeks(), least: terms.weeks });
    }
    lacking
}

impl NoProposal {
    /// In one word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoGrants => "NoGrants",
            Self::Unseen(_) => "Unseen",
            Self::FewGrants { .. } => "FewGrants",
            Self::ShortSpan { .. } => "ShortSpan",
            Self::NothingLeft => "NothingLeft",
            Self::NothingToTake => "NothingToTake",
        }
    }
}

impl fmt::Display for NoProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST_NAMED: usize = 5;
        match self {
            Self::NoGrants => f.write_str("it was not granted in this time: look further back with --since"),
            Self::Unseen(grants) => {
                let named = grants.iter().take(MOST_NAMED).map(|(name, why)| format!("{name} ({why})"));
                write!(f, "what was done is not known of {}", named.collect::<Vec<_>>().join(", "))?;
                match grants.len().saturating_sub(MOST_NAMED) {
                    0 => {}
                    more => write!(f, " and {more} grants more")?,
                }
                f.write_str(
                    "; rules may be too narrow for it: begin later with --since, and see that all audit logs arrive",
                )
            }
            Self::FewGrants { used, least } => {
                write!(f, "{used} grants were used, and at least {least} are asked for: wait, or give --min-grants")
            }
            Self::ShortSpan { weeks, least } => {
                write!(
                    f,
                    "the grants span {weeks} weeks, and at least {least} are asked for: wait, or give --min-weeks"
                )
            }
            Self::NothingLeft => f.write_str("the role has nothing any more of what was used: look at who changed it"),
            Self::NothingToTake => f.write_str("all that the role has was used"),
        }
    }
}
