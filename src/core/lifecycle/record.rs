//! How a status is written: conditions, the policy that decides, and history entries, none of them twice.
//!
//! It must not decide what is recorded.

use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::reason::Reason;
use crate::api::request::AccessRequestStatus;
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::happened::Happened;
use crate::core::model::instants::whole_second;
use crate::core::model::{facts, history};
use crate::core::policies::Policy;

/// A record is written only when it says something new.
pub fn if_changed(s: &Snapshot<'_>, status: AccessRequestStatus) -> Option<Box<AccessRequestStatus>> {
    let status = bounded(s, status);
    (s.request.status.as_ref() != Some(&*status)).then_some(status)
}

/// A record with as much history as there is room for, and with what is new in it.
pub fn bounded(s: &Snapshot<'_>, mut status: AccessRequestStatus) -> Box<AccessRequestStatus> {
    let before = s.request.status.as_ref().map_or(0, |status| status.history.len());
    history::bound(&mut status, before);
    facts::note(s.request, &mut status, before, |decided| s.policies.digest(decided));
    Box::new(status)
}

/// Says that a condition of this type is so.
pub fn holds(status: &mut AccessRequestStatus, type_: &str, reason: Reason, why: &dyn Display, now: Timestamp) {
    set(status, condition(type_, reason, why, now), ConditionStatus::True);
}

/// Says that it is not so.
pub fn fails(status: &mut AccessRequestStatus, type_: &str, reason: Reason, why: &dyn Display, now: Timestamp) {
    set(status, condition(type_, reason, why, now), ConditionStatus::False);
}

/// Says that it is not known yet whether it is so.
pub fn undecided(status: &mut AccessRequestStatus, type_: &str, reason: Reason, why: &dyn Display, now: Timestamp) {
    set(status, condition(type_, reason, why, now), ConditionStatus::Unknown);
}

fn set(status: &mut AccessRequestStatus, new: Condition, is: ConditionStatus) {
    conditions::set(&mut status.conditions, Condition { status: is, ..new });
}

fn condition(type_: &str, reason: Reason, why: &dyn Display, now: Timestamp) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: ConditionStatus::Unknown,
        reason: reason.as_str().to_owned(),
        message: history::shorten(&why.to_string()),
        last_transition_time: Time(whole_second(now)),
        observed_generation: None,
    }
}

/// Notes which policy decides. When it is another than before, or another version, that goes on record: people
/// may have reviewed in the light of the old one.
pub fn decided_by(status: &mut AccessRequestStatus, policy: &Policy, now: Timestamp) {
    let new = &policy.reference;
    if let Some(old) = status.policy.as_ref().filter(|old| *old != new) {
        let why = Happened::PolicyChanged { old: old.clone(), new: new.clone() };
        history::add(&mut status.history, now, Reason::PolicyChanged, None, &why);
    }
    status.policy = Some(new.clone());
}
