//! Break-glass access: at once, and reviewed afterwards. Who must review it, by when, and what came of it.
//!
//! A review that is overdue costs the person further break-glass access; it never changes what was granted.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, BreakGlassReview, ReviewVerdict};
use crate::api::subject::Identity;
use crate::core::decision::approvals::{review_stage, said_by};
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::happened::GlassReview;
use crate::core::lifecycle::record;
use crate::core::lifecycle::stages::{note_reviews, reviewers};
use crate::core::model::history;
use crate::core::model::instants::{later, whole_second};
use crate::core::model::subjects::is_same_person;
use crate::core::policies::Policy;

/// Notes on the status of a grant without approval that it must be reviewed, and says so aloud.
pub fn open_review(s: &Snapshot<'_>, status: &mut AccessRequestStatus, policy: &Policy, now: Timestamp) {
    let Some(terms) = &policy.break_glass else { return };
    let (by, reviewers) = (later(now, terms.within), terms.reviewers.clone());
    let who = s.request.spec.requester.as_ref().map_or("", |r| r.username.as_str());
    let reason = s.request.spec.reason.clone();
    let broken = GlassReview::Broken { who: who.to_owned(), reason, reviewers: reviewers.clone(), by };
    history::add(&mut status.history, now, Reason::BreakGlass, Some(who), &broken);
    let open = GlassReview::Open { reviewers, by };
    record::fails(status, conditions::REVIEWED, Reason::ReviewOpen, &open, now);
    status.break_glass = Some(BreakGlassReview {
        reviewers: terms.reviewers.clone(),
        review_by: Time(by),
        closed_at: None,
        closed_by: None,
        verdict: None,
    });
}

/// Takes up what reviewers have said about access without approval, and notes it when their time is over.
pub fn follow_review(s: &Snapshot<'_>, status: &mut AccessRequestStatus, now: Timestamp) {
    let Some(review) = status.break_glass.clone().filter(BreakGlassReview::is_open) else { return };
    let Some(requester) = s.request.spec.requester.as_ref() else { return };
    let stages = [review_stage(reviewers(s, status, &review))];
    note_reviews(status, &stages, requester, now);
    for (verdict, reason) in [(ReviewVerdict::Deny, Reason::Unjustified), (ReviewVerdict::Approve, Reason::Justified)] {
        let Some((by, answer)) = said_by(&stages, &status.reviews, requester, verdict) else { continue };
        let (by, comment) = (by.to_owned(), answer.comment.clone());
        let why = GlassReview::Found { by: by.clone(), justified: verdict == ReviewVerdict::Approve, comment };
        history::add(&mut status.history, now, reason, Some(&by), &why);
        record::holds(status, conditions::REVIEWED, reason, &why, now);
        let closed_at = Some(Time(whole_second(now)));
        status.break_glass =
            Some(BreakGlassReview { closed_at, closed_by: Some(by), verdict: Some(verdict), ..review });
        return;
    }
    let noted = conditions::find(&status.conditions, conditions::REVIEWED);
    if review.review_by.0 <= now && noted.is_none_or(|c| c.reason != Reason::ReviewOverdue.as_str()) {
        let why = GlassReview::Overdue {
            who: requester.username.clone(),
            reviewers: reviewers(s, status, &review).to_vec(),
            since: review.review_by.0,
        };
        history::add(&mut status.history, now, Reason::ReviewOverdue, None, &why);
        record::fails(status, conditions::REVIEWED, Reason::ReviewOverdue, &why, now);
    }
}

/// By when the review that is open must be closed.
pub fn review_due(status: &AccessRequestStatus) -> Option<Timestamp> {
    status.break_glass.as_ref().filter(|review| review.is_open()).map(|review| review.review_by.0)
}

/// Who found that access was not justified, and in which words.
pub fn unjustified(status: &AccessRequestStatus) -> Option<(String, String)> {
    let review = status.break_glass.as_ref().filter(|review| review.verdict == Some(ReviewVerdict::Deny))?;
    let why = conditions::find(&status.conditions, conditions::REVIEWED).map(|c| c.message.clone())?;
    Some((review.closed_by.clone()?, why))
}

/// Whether the access of this request has yet to be reviewed.
pub fn is_unreviewed(request: &AccessRequest) -> bool {
    request.status.as_ref().and_then(review_due).is_some()
}

/// Reviews of somebody's that are overdue, for which they get no further break-glass access now; none when there are none.
pub fn refusal(s: &Snapshot<'_>, requester: &Identity, now: Timestamp) -> Option<Unreviewed> {
    let theirs = s
        .unreviewed
        .iter()
        .filter(|other| other.spec.requester.as_ref().is_some_and(|who| is_same_person(who, requester)));
    let mut overdue: Vec<(String, Timestamp)> =
        theirs.filter_map(|other| Some((place(other), overdue_since(other, now)?))).collect();
    overdue.sort();
    (!overdue.is_empty()).then_some(Unreviewed { overdue })
}

/// Earlier break-glass access that nobody has reviewed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreviewed {
    /// Requests, and since when their reviews are overdue.
    pub overdue: Vec<(String, Timestamp)>,
}

impl fmt::Display for Unreviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overdue: Vec<String> = self.overdue.iter().map(|(place, since)| format!("{place} since {since}")).collect();
        write!(
            f,
            "spec.breakGlass: earlier break-glass access has not been reviewed ({}); have a reviewer close that first, \
             or ask without breakGlass",
            overdue.join(", ")
        )
    }
}

/// Since when the review of this request's access is overdue, if it is.
pub fn overdue_since(request: &AccessRequest, now: Timestamp) -> Option<Timestamp> {
    request.status.as_ref().and_then(review_due).filter(|by| *by <= now)
}

/// Namespace and name of a request, as people write it.
pub fn place(request: &AccessRequest) -> String {
    let (namespace, name) = (&request.metadata.namespace, &request.metadata.name);
    format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
