//! High rights that people hold all the time and nobody used for as long as is looked at.
//!
//! It must not call unused what it could not hear: it speaks only where all audit logs are known to have arrived for the
//! whole of that time. RBAC names only the first binding that allows a call, so one that is never named was never needed.

use super::bound::BoundRole;
use super::finding::{InsightFact, InsightFinding, InsightKind};
use super::seen::ClusterSeen;
use super::standing::is_of_people;
use crate::api::risk::RiskLevel;

/// Finds them.
pub fn unused(seen: &ClusterSeen, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let (Ok(uses), Ok(since)) = (&seen.uses, seen.now.saturating_sub(seen.window)) else { return Vec::new() };
    if uses.heard_since.is_none_or(|from| from > since) {
        return Vec::new();
    }
    let high = bound.iter().filter(|role| role.risk.level >= RiskLevel::High);
    let old = high.filter(|role| role.binding.metadata.creation_timestamp.as_ref().is_some_and(|at| at.0 <= since));
    let mut found = Vec::new();
    for role in old {
        let last = uses.last.get(&role.about());
        if last.is_some_and(|last| *last > since) {
            continue;
        }
        for held in role.holders.iter().filter(|held| is_of_people(held)) {
            let mut evidence = vec![role.bound(), InsightFact::Within(seen.window)];
            evidence.extend(last.map(|last| InsightFact::Last(*last)));
            found.push(role.finding(InsightKind::UnusedHighRights, held, role.risk.level, evidence));
        }
    }
    found
}
