//! How access is asked for, agreed to and used, as the requests on record show it: who never denies, pairs, access that nobody
//! used, and a role that one person asks for again and again.
//!
//! Owns how many there must be before anything is said. It counts, and judges nobody: each of these has good reasons too.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::finding::{
    AboutKind, AboutObject, CommandLine, CountedThing, Holder, InsightFact, InsightFinding, InsightKind, Remedy,
};
use super::seen::ClusterSeen;
use crate::api::request::{AccessRequest, GrantUse, ReviewVerdict};
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleKind, RoleName, Subject, SubjectKind};
use crate::core::model::grant_scope::GrantScope;

/// The fewest decisions of one person of which it is said that none was a denial.
const FEWEST_DECISIONS: usize = 20;
/// The fewest requests of one person of which it is said that one other agreed to all.
const FEWEST_OF_A_PAIR: usize = 10;
/// The fewest grants of one role to one person, within [`OFTEN_WITHIN`], that are often.
const OFTEN: usize = 12;
const OFTEN_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The fewest grants of one role to one person of which it is said that none was used.
const FEWEST_UNUSED: usize = 3;

/// Finds them among the requests of the time that is looked at.
pub fn people(seen: &ClusterSeen) -> Vec<InsightFinding> {
    let (Ok(requests), Ok(since)) = (&seen.requests, seen.now.saturating_sub(seen.window)) else { return Vec::new() };
    let made = |request: &&AccessRequest| request.metadata.creation_timestamp.as_ref().is_some_and(|at| at.0 >= since);
    let recent: Vec<&AccessRequest> = requests.iter().filter(made).collect();
    [never_denies(&recent), same_pair(&recent), never_used(&recent), too_often(&recent, seen)].concat()
}

fn never_denies(requests: &[&AccessRequest]) -> Vec<InsightFinding> {
    let mut decisions: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for counted in requests.iter().filter_map(|request| request.status.as_ref()).flat_map(|s| &s.counted_reviews) {
        let (approved, all) = decisions.entry(counted.reviewer.as_str()).or_default();
        match counted.verdict {
            ReviewVerdict::Approve => (*approved, *all) = (*approved + 1, *all + 1),
            ReviewVerdict::Deny => *all += 1,
            _ => {}
        }
    }
    let always = decisions.into_iter().filter(|(_, (approved, all))| approved == all && *all >= FEWEST_DECISIONS);
    let finding = |(who, (count, of)): (&str, (usize, usize))| {
        let evidence = vec![InsightFact::Count { what: CountedThing::Approvals, count, of }];
        of_person(InsightKind::NeverDenies, who, evidence, report_decisions())
    };
    always.map(finding).collect()
}

fn same_pair(requests: &[&AccessRequest]) -> Vec<InsightFinding> {
    let mut by: BTreeMap<&str, Vec<BTreeSet<&str>>> = BTreeMap::new();
    let mut approvers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for request in requests {
        let Some((who, policy)) = requester(request).zip(policy(request)) else { continue };
        let agreed = agreed(request);
        if !agreed.is_empty() {
            approvers.entry(policy).or_default().extend(&agreed);
            by.entry(who).or_default().push(agreed);
        }
    }
    // Where only one person ever agrees to anything, there may be nobody else.
    let others_agree = |only: &str| approvers.values().any(|all| all.contains(only) && all.len() > 1);
    let pair = |(who, agreed): (&str, Vec<BTreeSet<&str>>)| {
        let first = *agreed.first()?.first()?;
        let always = agreed.iter().all(|names| names.len() == 1 && names.contains(first));
        if !always || agreed.len() < FEWEST_OF_A_PAIR || !others_agree(first) {
            return None;
        }
        let count = InsightFact::Count { what: CountedThing::Approvals, count: agreed.len(), of: agreed.len() };
        let evidence = vec![InsightFact::With(first.to_owned()), count];
        Some(of_person(InsightKind::SamePair, who, evidence, report_decisions()))
    };
    by.into_iter().filter_map(pair).collect()
}

fn never_used(requests: &[&AccessRequest]) -> Vec<InsightFinding> {
    let mut uses: BTreeMap<(&str, RoleName), Vec<GrantUse>> = BTreeMap::new();
    for request in requests {
        let used = request.status.as_ref().and_then(|status| status.activity.as_ref()).map(|activity| activity.used);
        // What is not known is neither used nor unused.
        if let Some((who, used)) = requester(request).zip(used.filter(|used| *used != GrantUse::Unknown)) {
            uses.entry((who, request.spec.role.clone())).or_default().push(used);
        }
    }
    let unused = uses.into_iter().filter(|(_, all)| {
        all.len() >= FEWEST_UNUSED && all.iter().all(|used| matches!(used, GrantUse::NotUsed | GrantUse::Redundant))
    });
    let finding = |((who, role), all): ((&str, RoleName), Vec<GrantUse>)| {
        let count = InsightFact::Count { what: CountedThing::Unused, count: all.len(), of: all.len() };
        let evidence = vec![InsightFact::Bound { role, namespace: None }, count];
        let look = CommandLine::of(&["kubectl", "daypass", "history", "--by", who, "-A"]);
        of_person(InsightKind::ApprovedNeverUsed, who, evidence, look)
    };
    unused.map(finding).collect()
}

fn too_often(requests: &[&AccessRequest], seen: &ClusterSeen) -> Vec<InsightFinding> {
    let Ok(since) = seen.now.saturating_sub(OFTEN_WITHIN) else { return Vec::new() };
    let mut grants: BTreeMap<(&str, RoleName, Option<String>), Vec<Timestamp>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.spec.recurrence.is_none()) {
        let Some(status) = &request.status else { continue };
        let granted = status.granted_at.as_ref().map(|at| at.0).filter(|at| *at >= since);
        if let Some((who, at)) = requester(request).zip(granted) {
            let place = match GrantScope::recorded(status) {
                GrantScope::Cluster => None,
                GrantScope::Namespaces(names) => names.into_iter().next().or(request.metadata.namespace.clone()),
            };
            grants.entry((who, request.spec.role.clone(), place)).or_default().push(at);
        }
    }
    let often = grants.into_iter().filter(|(_, all)| all.len() >= OFTEN);
    let finding = |((who, role, namespace), all): ((&str, RoleName, Option<String>), Vec<Timestamp>)| {
        let ask = recurring(&role, namespace.as_deref());
        let evidence = vec![
            InsightFact::Bound { role, namespace },
            InsightFact::Count { what: CountedThing::Grants, count: all.len(), of: all.len() },
            InsightFact::Within(OFTEN_WITHIN),
        ];
        of_person(InsightKind::ActivatedTooOften, who, evidence, ask)
    };
    often.map(finding).collect()
}

/// What asks for the same as access that comes back by itself.
fn recurring(role: &RoleName, namespace: Option<&str>) -> CommandLine {
    let name = match role.kind {
        RoleKind::ClusterRole => role.name.clone(),
        RoleKind::Role => format!("role/{}", role.name),
    };
    let place = match namespace {
        Some(namespace) => vec!["-n", namespace],
        None => vec!["--cluster-wide"],
    };
    let every = ["--every", "Mon-Fri 09:00-17:00 UTC", "--weeks", "4", "--reason", "why"];
    CommandLine::of(&[&["kubectl", "daypass", "request", name.as_str()], place.as_slice(), &every].concat())
}

fn report_decisions() -> CommandLine {
    CommandLine::of(&["kubectl", "daypass", "report", "decisions", "-A"])
}

fn requester(request: &AccessRequest) -> Option<&str> {
    request.spec.requester.as_ref().map(|who| who.username.as_str())
}

fn policy(request: &AccessRequest) -> Option<&str> {
    Some(request.status.as_ref()?.policy.as_ref()?.name.as_str())
}

/// Who agreed, as it counted.
fn agreed(request: &AccessRequest) -> BTreeSet<&str> {
    let counted = request.status.iter().flat_map(|status| &status.counted_reviews);
    counted.filter(|one| one.verdict == ReviewVerdict::Approve).map(|one| one.reviewer.as_str()).collect()
}

fn of_person(kind: InsightKind, who: &str, evidence: Vec<InsightFact>, look: CommandLine) -> InsightFinding {
    let subject = Subject { kind: SubjectKind::User, name: who.to_owned(), namespace: None, api_group: None };
    InsightFinding {
        kind,
        // Nobody has more rights by it than were approved.
        severity: RiskLevel::Low,
        about: AboutObject { kind: AboutKind::User, namespace: None, name: who.to_owned() },
        who: Some(subject),
        holder: Some(Holder::Person),
        evidence,
        remedy: Remedy::Look(look),
        accepted: None,
    }
}
