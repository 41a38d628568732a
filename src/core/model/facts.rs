//! What is new with an entry of a history, and what all entries together say: enough to make records from the history alone.
//!
//! It must not say what happened: the entries do.

use crate::api::reason::Reason;
use crate::api::record::{canonical, digest};
use crate::api::request::{
    AccessRequest, AccessRequestStatus, HistoryEntry, NotedFacts, NotedGap, NotedIdentity, PolicyRef, ReviewVerdict,
    State,
};
use crate::core::model::grant_scope::GrantScope;

/// What a history says up to its end. What was written in a gap of the guard is not believed, so it says nothing.
pub fn known(history: &[HistoryEntry]) -> NotedFacts {
    history.iter().fold(NotedFacts::default(), with_entry)
}

/// What is known with one more entry.
pub fn with_entry(known: NotedFacts, entry: &HistoryEntry) -> NotedFacts {
    let known = match entry.event.known() {
        Some(Reason::WrittenInGap) => NotedFacts { left_out: known.left_out, ..NotedFacts::default() },
        _ => known,
    };
    match entry.facts.as_deref() {
        Some(new) => known.then(new.clone()),
        None => known,
    }
}

/// Notes on the entries that were added to the first `before` who did it, and what is new since then. `policy_digest` is
/// that of a policy as it is known.
pub fn note(
    request: &AccessRequest,
    status: &mut AccessRequestStatus,
    before: usize,
    policy_digest: impl Fn(&PolicyRef) -> Option<String>,
) {
    let Some(last) = status.history.len().checked_sub(1).filter(|last| *last >= before) else { return };
    let identities: Vec<Option<NotedIdentity>> =
        status.history[before..].iter().map(|entry| identity(request, status, entry)).collect();
    for (entry, identity) in status.history[before..].iter_mut().zip(identities) {
        entry.identity = identity;
    }
    // By what it is judged belongs to the first, what came of it to the last.
    let before_all = known(&status.history[..=before]);
    let judged_by = judged_by(status, &before_all, policy_digest);
    add(&mut status.history[before], judged_by.beyond(before_all));
    let before_last = known(&status.history[..=last]);
    let come_of = come_of(request, status);
    add(&mut status.history[last], come_of.beyond(before_last));
}

fn add(entry: &mut HistoryEntry, new: NotedFacts) {
    if new != NotedFacts::default() {
        let facts = entry.facts.take().map(|facts| *facts).unwrap_or_default();
        entry.facts = Some(Box::new(facts.then(new)));
    }
}

fn judged_by(
    status: &AccessRequestStatus,
    known: &NotedFacts,
    policy_digest: impl Fn(&PolicyRef) -> Option<String>,
) -> NotedFacts {
    // A policy that was changed since cannot be read any more as it was.
    let is_known = known.policy.is_some() && known.policy == status.policy;
    let digest =
        |policy| if is_known { known.policy_digest.clone() } else { Some(policy_digest(policy).unwrap_or_default()) };
    NotedFacts {
        policy: status.policy.clone(),
        policy_digest: status.policy.as_ref().and_then(digest),
        role_digest: status.role.as_ref().map(|role| role.changed_to.as_ref().unwrap_or(&role.digest).clone()),
        risk: status.risk.as_ref().map(|risk| risk.level.clone()),
        ..NotedFacts::default()
    }
}

fn come_of(request: &AccessRequest, status: &AccessRequestStatus) -> NotedFacts {
    let approvals = status.counted_reviews.iter().filter(|review| review.verdict == ReviewVerdict::Approve);
    let approved_by: Vec<String> = approvals.map(|review| review.reviewer.clone()).collect();
    let is_decided = status.state != State::Pending && !approved_by.is_empty();
    let by_label = request.spec.scope.as_ref().is_some_and(|scope| scope.namespace_selector.is_some());
    let namespaces = match GrantScope::recorded(status) {
        GrantScope::Namespaces(names) if by_label && !names.is_empty() => Some(names.into_iter().collect()),
        GrantScope::Namespaces(_) | GrantScope::Cluster => None,
    };
    let gap = || NotedGap {
        count: status.history_dropped.unwrap_or_default(),
        digest: status.history_dropped_digest.clone(),
    };
    NotedFacts {
        approved_by: is_decided.then_some(approved_by),
        namespaces,
        from: status.granted_at.clone(),
        until: status.expires_at.clone(),
        left_out: status.history_dropped.is_some().then(gap),
        ..NotedFacts::default()
    }
}

/// Who did it: as a reviewer if they are one, or else as the requester.
fn identity(request: &AccessRequest, status: &AccessRequestStatus, entry: &HistoryEntry) -> Option<NotedIdentity> {
    let username = entry.by.as_deref()?;
    // Break-glass access is taken by the request itself, whatever its requester says in a review.
    let reviewer = status.reviews.get(username).filter(|_| entry.event != Reason::BreakGlass);
    let reviewer = reviewer.map(|review| (&review.uid, &review.groups));
    let requester = request.spec.requester.as_ref().filter(|requester| requester.username == username);
    let (uid, groups) = reviewer.or(requester.map(|requester| (&requester.uid, &requester.groups)))?;
    Some(NotedIdentity { uid: uid.clone(), groups: of_groups(groups) })
}

/// Digest of some groups. Their order says nothing.
pub fn of_groups(groups: &[String]) -> String {
    let mut sorted: Vec<&String> = groups.iter().collect();
    sorted.sort();
    sorted.dedup();
    digest(canonical(&sorted).as_bytes())
}

impl NotedFacts {
    /// These, and over them what is new.
    fn then(self, new: Self) -> Self {
        Self {
            policy: new.policy.or(self.policy),
            policy_digest: new.policy_digest.or(self.policy_digest),
            role_digest: new.role_digest.or(self.role_digest),
            risk: new.risk.or(self.risk),
            approved_by: new.approved_by.or(self.approved_by),
            namespaces: new.namespaces.or(self.namespaces),
            from: new.from.or(self.from),
            until: new.until.or(self.until),
            left_out: new.left_out.or(self.left_out),
        }
    }

    /// What of these is not known.
    fn beyond(self, known: Self) -> Self {
        fn new<T: PartialEq>(now: Option<T>, known: Option<T>) -> Option<T> {
            now.filter(|now| Some(now) != known.as_ref())
        }
        Self {
            policy: new(self.policy, known.policy),
            policy_digest: new(self.policy_digest, known.policy_digest),
            role_digest: new(self.role_digest, known.role_digest),
            risk: new(self.risk, known.risk),
            approved_by: new(self.approved_by, known.approved_by),
            namespaces: new(self.namespaces, known.namespaces),
            from: new(self.from, known.from),
            until: new(self.until, known.until),
            left_out: new(self.left_out, known.left_out),
        }
    }
}
