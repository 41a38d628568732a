//! What the people say whom a policy asks: nobody yet, enough, no, or too late.
//!
//! Owns which stages are asked, by when they must have answered, and when nobody is waited for. It must not count reviews:
//! [`super::approvals`] does.

use k8s_openapi::jiff::Timestamp;

use crate::api::policy::Stage;
use crate::api::subject::Identity;
use crate::core::decision::answer::{Lapse, Refusal, Waiting};
use crate::core::decision::approvals::{Progress, ReviewLog, progress, review_stage};
use crate::core::decision::hours::counts;
use crate::core::decision::period::Period;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::later;
use crate::core::policies::Policy;
use crate::core::policies::seats::as_escalated;

/// What people say.
pub enum Answer<'p> {
    /// Somebody must still agree.
    Open(Waiting<'p>),
    /// These have agreed, and they are enough.
    Complete(Vec<String>),
    /// Somebody who may says no.
    Refused(Refusal),
    /// It is too late.
    Late(Lapse),
}

/// What people say to a request of which a policy allows this period. Whoever has a say can say no to an automatic one too.
pub fn ask_people<'p>(
    ask: &ValidRequest<'_>,
    policy: &'p Policy,
    automatic: bool,
    period: Period,
    log: ReviewLog<'_>,
    now: Timestamp,
) -> Answer<'p> {
    // Once a start is named, what is asked for ends at its time whether it has been granted or not.
    let window_end = match ask.aim {
        RequestKind::Extension { running, .. } => running.map(|running| running.end),
        RequestKind::Grant | RequestKind::BreakGlass => ask.start.map(|_| period.end),
    };
    if window_end.is_some_and(|end| end <= now) {
        return Answer::Late(match ask.aim {
            RequestKind::Extension { of, .. } => Lapse::Grant(of.to_owned()),
            RequestKind::Grant | RequestKind::BreakGlass => Lapse::Time,
        });
    }
    let stages = match (ask.aim, &policy.break_glass) {
        (RequestKind::BreakGlass, Some(break_glass)) => vec![review_stage(&break_glass.reviewers)],
        _ => as_escalated(&policy.stages, log.escalated),
    };
    let counts = |who: &Identity, stage: &Stage| counts(policy, stage, who, log, now);
    match progress(&stages, log.reviews, ask.requester, counts) {
        Progress::Complete(approvers) => Answer::Complete(approvers),
        // Nobody is waited for; whoever has a say and is there already can still say no.
        Progress::Open { .. } if automatic || matches!(ask.aim, RequestKind::BreakGlass) => {
            Answer::Complete(Vec::new())
        }
        Progress::Denied { by, comment } => Answer::Refused(Refusal { by, comment }),
        Progress::Open { stage, approved } => {
            let stage = stages[stage].clone();
            let answer_by = later(ask.created, policy.deadline);
            let deadline = window_end.map_or(answer_by, |end| end.min(answer_by));
            if deadline <= now {
                return Answer::Late(Lapse::Stage(stage.name));
            }
            Answer::Open(Waiting { policy, stage, approved, deadline, frozen: None, role_away: None })
        }
    }
}
