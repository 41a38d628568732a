//! Asking people: which stage is open and since when, whom it waits for, when it is escalated, and what
//! reviewers have said so far. Whether that is enough is for `approvals` to say.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::approvals::{as_escalated, weigh};
use super::deadline::{earliest, whole_second};
use super::decide::{Waiting, later};
use super::duration;
use super::history::{self, Reason};
use super::policies::Policy;
use super::validate::Ask;
use crate::api::policy::Stage;
use crate::api::request::{AccessRequestStatus, HistoryEntry, OpenStage};
use crate::api::subject::Subject;

/// How many reviews without effect are put on record for one person. Each change of a comment is a new one, and
/// somebody could fill the record with them.
const MOST_IGNORED: usize = 3;

/// Notes on the status whom the request waits for. What it waits for in words, and when to look again.
pub fn ask(
    status: &mut AccessRequestStatus,
    ask: &Ask<'_>,
    waiting: &Waiting<'_>,
    now: Timestamp,
) -> (String, Option<Timestamp>) {
    let Waiting { policy, stage, approved, deadline } = waiting;
    status.policy = Some(policy.reference.clone());
    note_reviews(status, policy, ask, now);
    let opened_at = open(status, stage, *approved, now);
    let mut may = stage.approvers.clone();
    let mut escalate_at = escalation(status, stage, opened_at);
    if escalate_at.is_some_and(|at| at <= now) {
        escalate_at = None;
        status.escalated.push(stage.name.clone());
        let why =
            format!("stage {} had no answer in time: {} may approve as well", stage.name, names(&stage.escalate_to));
        history::add(&mut status.history, now, Reason::Escalated, None, &why);
        may.extend(stage.escalate_to.clone());
    }
    let (name, of, missing) = (&stage.name, &policy.reference.name, people(stage.required - approved));
    let why = format!("stage {name} of policy {of} needs {missing} of: {}", names(&may));
    (why, earliest([Some(*deadline), escalate_at]))
}

/// Puts on record what reviewers have said, also when it does not count, each thing once.
pub fn note_reviews(status: &mut AccessRequestStatus, policy: &Policy, ask: &Ask<'_>, now: Timestamp) {
    let stages = as_escalated(&policy.stages, &status.escalated);
    for (username, review) in &status.reviews {
        let (reason, message) = weigh(&stages, ask.requester, username, review);
        let message = history::shorten(&message);
        let of_kind = |entry: &&HistoryEntry| entry.event == reason.as_str();
        let known = status.history.iter().filter(of_kind).any(|entry| entry.message == message);
        let noise = status.history.iter().filter(of_kind).filter(|e| e.by.as_deref() == Some(username)).count();
        if !known && (reason == Reason::Reviewed || noise < MOST_IGNORED) {
            history::add(&mut status.history, now, reason, Some(username), &message);
        }
    }
}

/// The stage is open; since when.
fn open(status: &mut AccessRequestStatus, stage: &Stage, approved: i32, now: Timestamp) -> Timestamp {
    let opened_at = match &status.stage {
        Some(open) if open.name == stage.name => open.opened_at.clone(),
        _ => {
            let message = format!("stage {} is open: {} must approve", stage.name, stage.required);
            history::add(&mut status.history, now, Reason::ApprovalNeeded, None, &message);
            Time(whole_second(now))
        }
    };
    let since = opened_at.0;
    status.stage = Some(OpenStage { name: stage.name.clone(), opened_at, required: stage.required, approved });
    since
}

/// When the stage will be escalated, if that is still to come.
fn escalation(status: &AccessRequestStatus, stage: &Stage, opened_at: Timestamp) -> Option<Timestamp> {
    let after = duration::parse(stage.escalate_after.as_deref()?).ok()?;
    (!status.escalated.contains(&stage.name)).then(|| later(opened_at, after))
}

fn names(subjects: &[Subject]) -> String {
    subjects.iter().map(|subject| subject.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn people(n: i32) -> String {
    if n == 1 { "one more approval".to_owned() } else { format!("{n} more approvals") }
}
