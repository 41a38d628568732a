//! What a policy's status says about it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::deadline::whole_second;
use super::fault::sentence;
use super::history::shorten;
use super::policies::Entry;
use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::policy::{AccessPolicy, AccessPolicyStatus};

/// Reason of Ready when the policy is used in decisions.
pub const IN_USE: &str = "InUse";
/// Reason of Ready when the policy has faults and grants nothing.
pub const INVALID: &str = "Invalid";

/// The status of a policy: the old one with Ready judged anew.
pub fn readiness(policy: &AccessPolicy, now: Timestamp) -> AccessPolicyStatus {
    let mut status = policy.status.clone().unwrap_or_default();
    let (is, reason, message) = match Entry::read(policy) {
        Entry::Valid(_) => (ConditionStatus::True, IN_USE, "requests are decided by it".to_owned()),
        Entry::Broken { faults, .. } => (ConditionStatus::False, INVALID, shorten(&sentence(&faults))),
    };
    let ready = Condition {
        type_: conditions::READY.to_owned(),
        status: is,
        reason: reason.to_owned(),
        message,
        last_transition_time: Time(whole_second(now)),
        observed_generation: policy.metadata.generation,
    };
    conditions::set(&mut status.conditions, ready);
    status.observed_generation = policy.metadata.generation;
    status
}
