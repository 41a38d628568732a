//! Asking people: which stage is open and since when, whom it waits for, when it is escalated, and what
//! reviewers have said so far. Whether that is enough is for `approvals` to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::policy::Stage;
use crate::api::reason::Reason;
use crate::api::request::{
    AccessRequestStatus, BreakGlassReview, CountedReview, HistoryEntry, NotedReview, OpenStage, Review, ReviewVerdict,
};
use crate::api::subject::{Identity, Subject};
use crate::core::decision::answer::{HeldBy, Waiting};
use crate::core::decision::approvals::{Eligibility, ReviewLog, Said, identity, review_stage};
use crate::core::decision::hours::{is_of, opens, waits_until};
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::disbelief::believed;
use crate::core::lifecycle::happened::{Asking, StageWait};
use crate::core::lifecycle::record;
use crate::core::model::ask::ValidRequest;
use crate::core::model::duration;
use crate::core::model::history;
use crate::core::model::instants::{earliest, later, whole_second};
use crate::core::model::schedule::Schedule;
use crate::core::policies::seats::as_escalated;
use crate::core::policies::{Entry, Policy};

/// How many reviews without effect are put on record for one person. Each change of a comment is a new one, and
/// somebody could fill the record with them.
const MOST_IGNORED: usize = 3;
/// How many reviews that count are put on record for one person, for the same reason.
const MOST_WORDS: usize = 16;
/// How many subjects that may end access are put on record. A part of them would make the others seem to be nobody.
const MOST_MAY_REVOKE: usize = 256;

/// Puts on record whom the request waits for. Returns that, and when to look again.
pub fn ask(
    status: &mut AccessRequestStatus,
    ask: &ValidRequest<'_>,
    waiting: &Waiting<'_>,
    now: Timestamp,
) -> (Asking, Option<Timestamp>) {
    let Waiting { policy, stage, approved, deadline, frozen, role_away } = waiting;
    record::decided_by(status, policy, now);
    note_approvals(status, policy, ask.requester, now);
    let opened_at = open(status, stage, *approved, now);
    let mut may = stage.approvers.clone();
    let mut escalate_at = escalation(status, stage, opened_at);
    if escalate_at.is_some_and(|at| at <= now) {
        escalate_at = None;
        status.escalated.push(stage.name.clone());
        let why = Asking::Escalated { stage: stage.name.clone(), to: stage.escalate_to.clone() };
        history::add_of_stage(&mut status.history, now, Reason::Escalated, &stage.name, &why);
        may.extend(stage.escalate_to.clone());
    }
    if let Some(open) = &mut status.stage {
        open.approvers.clone_from(&may);
    }
    let frozen_until = frozen.as_ref().map(|edge| edge.at);
    let wake = earliest([Some(*deadline), escalate_at, opens(policy, &stage.name, now), frozen_until]);
    let waits = StageWait {
        policy: policy.reference.name.clone(),
        stage: stage.name.clone(),
        missing: stage.required - approved,
        approvers: may,
        hours: policy.hours.get(&stage.name).map(Schedule::describe),
        holds: HeldBy::all(frozen.as_ref(), role_away.as_deref()),
    };
    (Asking::Waits(waits), wake)
}

/// From when on approvals count that have to wait, by username.
type Waits = BTreeMap<String, Timestamp>;

/// Puts on record what approvers have said to a request under this policy, also when it does not count or not yet, and
/// when they take it back; each thing once.
pub fn note_approvals(status: &mut AccessRequestStatus, policy: &Policy, requester: &Identity, now: Timestamp) {
    let approving = status.reviews.iter().filter(|(_, review)| review.verdict == ReviewVerdict::Approve);
    let waits = |username: &str, review: &Review| {
        let opens = waits_until(policy, &identity(username, review), ReviewLog::of(status), now)?;
        Some((username.to_owned(), opens))
    };
    let waits = approving.filter_map(|(username, review)| waits(username, review)).collect();
    count(status, &as_escalated(&policy.stages, &status.escalated), requester, &waits, now);
    note_what_is_said(status, &policy.stages, requester, &waits, now);
}

/// The same for people whose words count at any time, so that nobody has to know since when.
pub fn note_reviews(status: &mut AccessRequestStatus, stages: &[Stage], requester: &Identity, now: Timestamp) {
    note_what_is_said(status, stages, requester, &Waits::new(), now);
}

fn note_what_is_said(
    status: &mut AccessRequestStatus,
    stages: &[Stage],
    requester: &Identity,
    waits: &Waits,
    now: Timestamp,
) {
    let stages = as_escalated(stages, &status.escalated);
    let gone: Vec<String> = withdrawn(status).map(str::to_owned).collect();
    note(status, &stages, requester, |_| true, waits, now);
    for who in gone {
        let what = Asking::TakenBack(who.clone());
        history::add(&mut status.history, now, Reason::ReviewWithdrawn, Some(&who), &what);
    }
}

/// Notes on the status which reviews count, and since when; what was taken back or changed counts no more. One that has to
/// wait does not count yet.
fn count(status: &mut AccessRequestStatus, stages: &[Stage], requester: &Identity, waits: &Waits, now: Timestamp) {
    let counts = |username: &String, review: &Review| {
        Eligibility::of(stages, requester, username, review).is_eligible() && !waits.contains_key(username)
    };
    let counted =
        status.reviews.iter().filter(|(username, review)| counts(username, review)).map(|(username, review)| {
            let known = status.counted_reviews.iter().find(|counted| is_of(counted, username, review));
            known.cloned().unwrap_or_else(|| CountedReview {
                reviewer: username.clone(),
                uid: review.uid.clone(),
                verdict: review.verdict,
                counted_at: Time(whole_second(now)),
                stage: status.stage.as_ref().map(|stage| stage.name.clone()),
            })
        });
    status.counted_reviews = counted.collect();
}

/// Puts on record who would end running access and may not. What else was said is decided upon: a policy that
/// changes meanwhile does not make it vain.
pub fn note_vain_revokes(s: &Snapshot<'_>, status: &mut AccessRequestStatus, requester: &Identity, now: Timestamp) {
    let revokes = |review: &Review| review.verdict == ReviewVerdict::Revoke;
    if status.reviews.values().any(revokes) {
        let stages = in_force(s, status);
        note(status, &stages, requester, revokes, &Waits::new(), now);
    }
}

fn note(
    status: &mut AccessRequestStatus,
    stages: &[Stage],
    requester: &Identity,
    which: impl Fn(&Review) -> bool,
    waits: &Waits,
    now: Timestamp,
) {
    for (username, review) in status.reviews.iter().filter(|(_, review)| which(review)) {
        let eligibility = Eligibility::of(stages, requester, username, review);
        let reason = if eligibility.is_eligible() { Reason::Reviewed } else { Reason::ReviewIgnored };
        let waits = waits.get(username).filter(|_| eligibility.is_eligible());
        let what: Box<dyn Display> = match waits {
            Some(opens) => Box::new(Asking::CountsFrom { who: username.clone(), opens: *opens }),
            None => Box::new(Said { who: username, review, eligibility }),
        };
        let noted = NotedReview {
            verdict: review.verdict,
            comment: review.comment.clone(),
            counts_from: waits.map(|opens| Time(*opens)),
        };
        let most = if reason == Reason::ReviewIgnored { MOST_IGNORED } else { MOST_WORDS };
        let last = words_of(&status.history, username).next_back();
        if !last.is_some_and(|entry| records(entry, reason, &noted))
            && words_of(&status.history, username).filter(|e| e.event == reason).count() < most
        {
            history::add_review(&mut status.history, now, reason, username, status.stage.as_ref(), noted, &what);
        }
    }
}

/// Whether an entry says this already. Versions before this one noted a sentence alone; one of the same kind is taken for
/// the same.
fn records(entry: &HistoryEntry, reason: Reason, noted: &NotedReview) -> bool {
    entry.event == reason && entry.review.as_ref().is_none_or(|known| known == noted)
}

/// Who may end access besides the requester, as the policy says it now; none when they are too many to say.
pub fn may_revoke(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Option<Vec<Subject>> {
    let mut who: Vec<Subject> = Vec::new();
    for subject in in_force(s, status).into_iter().flat_map(|stage| stage.approvers) {
        if !who.contains(&subject) {
            who.push(subject);
        }
    }
    (who.len() <= MOST_MAY_REVOKE).then_some(who)
}

/// Keeps that on record while access runs. Access that an earlier version granted, and that nobody else may end, stays as
/// it is: after an upgrade it would all be written anew for nothing.
pub fn follow_may_revoke(s: &Snapshot<'_>, status: &mut AccessRequestStatus) {
    let now = may_revoke(s, status);
    if status.may_revoke.is_some() || now.as_ref().is_some_and(|who| !who.is_empty()) {
        status.may_revoke = now;
    }
}

/// Everybody who has a say: the stages of the policy that decides, as they stand, and who reviews break-glass access.
pub fn in_force(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Vec<Stage> {
    let mut stages = match status.policy.as_ref().and_then(|p| s.policies.get(&p.name)) {
        Some(Entry::Valid(policy) | Entry::Faulty(policy)) => as_escalated(&policy.stages, &status.escalated),
        // Whoever changed it may not have been allowed to, so what it says now gives no say and takes none.
        Some(Entry::Doubted { .. }) => vec![review_stage(status.may_revoke.as_deref().unwrap_or_default())],
        _ => Vec::new(),
    };
    stages.extend(status.break_glass.as_ref().map(|review| review_stage(reviewers(s, status, review))));
    stages
}

/// Who reviews break-glass access: whom the policy names now; when it is gone, or names nobody any more, whom it
/// named at the grant, so that no review is left that nobody can close.
pub fn reviewers<'a>(s: &Snapshot<'a>, status: &AccessRequestStatus, review: &'a BreakGlassReview) -> &'a [Subject] {
    let decided = status.policy.as_ref();
    match decided.and_then(|p| s.policies.get(&p.name)) {
        Some(Entry::Valid(policy) | Entry::Faulty(policy))
            if decided.is_some_and(|p| p.uid == policy.reference.uid) =>
        {
            policy.break_glass.as_ref().map_or(&review.reviewers, |terms| &terms.reviewers)
        }
        _ => &review.reviewers,
    }
}

/// People whose last word is on record and who do not say it any more.
fn withdrawn(status: &AccessRequestStatus) -> impl Iterator<Item = &str> {
    let spoke: BTreeSet<&str> = believed(&status.history).iter().filter_map(|entry| entry.by.as_deref()).collect();
    let speaks = |who: &str| {
        let last = words_of(&status.history, who).next_back();
        last.is_some_and(|entry| entry.event != Reason::ReviewWithdrawn)
    };
    spoke.into_iter().filter(move |who| !status.reviews.contains_key(*who) && speaks(who))
}

/// What somebody has said and taken back, as far as it is on record.
fn words_of<'a>(history: &'a [HistoryEntry], who: &str) -> impl DoubleEndedIterator<Item = &'a HistoryEntry> {
    let words = [Reason::Reviewed, Reason::ReviewIgnored, Reason::ReviewWithdrawn];
    believed(history)
        .iter()
        .filter(move |e| e.event.known().is_some_and(|word| words.contains(&word)) && e.by.as_deref() == Some(who))
}

/// The stage is open; since when.
fn open(status: &mut AccessRequestStatus, stage: &Stage, approved: i32, now: Timestamp) -> Timestamp {
    let opened_at = match &status.stage {
        Some(open) if open.name == stage.name => open.opened_at.clone(),
        _ => {
            let what = Asking::Opened { stage: stage.name.clone(), required: stage.required };
            history::add_of_stage(&mut status.history, now, Reason::ApprovalNeeded, &stage.name, &what);
            Time(whole_second(now))
        }
    };
    let since = opened_at.0;
    let (name, required) = (stage.name.clone(), stage.required);
    status.stage = Some(OpenStage { name, opened_at, required, approved, approvers: Vec::new() });
    since
}

/// When the stage will be escalated, if that is still to come.
pub fn escalation(status: &AccessRequestStatus, stage: &Stage, opened_at: Timestamp) -> Option<Timestamp> {
    let after = duration::parse(stage.escalate_after.as_deref()?).ok()?;
    (!status.escalated.contains(&stage.name)).then(|| later(opened_at, after))
}

#[cfg(test)]
mod tests;
