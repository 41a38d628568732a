//! Policies that allow, and under which nobody asks: for long, or as far as requests are kept.
//!
//! A policy that denies is there for what must not happen, and that it did not is no finding. It must not say what requests
//! that are removed would have shown: it says over how many it looked.

use kube::ResourceExt;

use super::finding::{
    AboutKind, AboutObject, CommandLine, CountedThing, InsightFact, InsightFinding, InsightKind, Remedy,
};
use super::seen::ClusterSeen;
use crate::api::policy::{AccessPolicy, Effect};
use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;

/// Finds them.
pub fn policies(seen: &ClusterSeen) -> Vec<InsightFinding> {
    // Requests of one namespace show nothing of a policy that is for others too.
    let (Ok(policies), Ok(_), None) = (&seen.policies, &seen.requests, &seen.only) else { return Vec::new() };
    let allow = policies.iter().filter(|policy| policy.spec.effect == Effect::Allow);
    allow.filter_map(|policy| unused(seen, policy)).collect()
}

fn unused(seen: &ClusterSeen, policy: &AccessPolicy) -> Option<InsightFinding> {
    let since = seen.now.saturating_sub(seen.window).ok()?;
    let made = policy.metadata.creation_timestamp.as_ref()?.0;
    // One that is younger had no chance.
    if made > since {
        return None;
    }
    let name = policy.name_any();
    let requests = seen.requests.as_ref().ok()?;
    let of_policy = |request: &&AccessRequest| {
        let by = request.status.as_ref().and_then(|status| status.policy.as_ref());
        by.is_some_and(|by| by.name == name) || request.spec.policy.as_ref() == Some(&name)
    };
    let asked = requests.iter().filter(of_policy);
    let times: Vec<_> =
        asked.filter_map(|request| request.metadata.creation_timestamp.as_ref()).map(|at| at.0).collect();
    let last = times.iter().max();
    let (kind, shown) = match last {
        Some(last) if *last >= since => return None,
        Some(last) => (InsightKind::PolicyUnused, InsightFact::Last(*last)),
        None => (InsightKind::PolicyNeverMatched, InsightFact::Made(made)),
    };
    let count = InsightFact::Count { what: CountedThing::Requests, count: times.len(), of: requests.len() };
    let look = CommandLine::of(&["kubectl", "get", "accesspolicy", &name, "-o", "yaml"]);
    Some(InsightFinding {
        kind,
        severity: RiskLevel::Low,
        about: AboutObject { kind: AboutKind::AccessPolicy, namespace: None, name },
        who: None,
        holder: None,
        evidence: vec![shown, count],
        remedy: Remedy::Look(look),
        accepted: None,
    })
}
