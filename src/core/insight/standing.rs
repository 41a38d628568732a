//! Rights that people and groups hold all the time and could ask for instead.
//!
//! Owns which rights are worth asking for: those that do more than look, and are not what it takes to ask and approve. What
//! is everything in the cluster is found as that, see [`powers`](super::powers), with the same way out.

use super::bound::{BoundHolder, BoundRole};
use super::finding::{Holder, InsightFact, InsightFinding, InsightKind};
use super::powers::has_everything;
use super::remedy::{offered, replacement};
use super::seen::ClusterSeen;
use crate::api::risk::RiskLevel;
use crate::core::policies::PolicySet;

/// Finds them, and gives those found elsewhere the same way out.
pub fn standing(seen: &ClusterSeen, policies: &PolicySet, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let held = bound.iter().flat_map(|role| role.holders.iter().map(move |held| (role, held)));
    let theirs = held.filter(|(role, held)| is_of_people(held) && is_worth_asking(role) && !has_everything(role));
    theirs.map(|(role, held)| finding(seen, policies, role, held)).collect()
}

/// Whether a person asks for themselves, alone or as one of a group.
pub fn is_of_people(held: &BoundHolder) -> bool {
    matches!(held.holder, Holder::Person | Holder::Group)
}

fn is_worth_asking(role: &BoundRole<'_>) -> bool {
    role.risk.level >= RiskLevel::Medium && !role.only_asks()
}

fn finding(seen: &ClusterSeen, policies: &PolicySet, role: &BoundRole<'_>, held: &BoundHolder) -> InsightFinding {
    let mut evidence = role.risks();
    evidence.extend(offered(seen, policies, role, held).map(InsightFact::OfferedBy));
    InsightFinding {
        remedy: replacement(seen, policies, role, held),
        ..role.finding(InsightKind::StandingReplaceable, held, role.risk.level, evidence)
    }
}
