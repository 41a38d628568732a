//! Conditions: the truth about an object, for people and for `kubectl wait`.
//!
//! Every condition type and reason is a constant here. An Event carries the same reason as the condition
//! that it announces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of a request: policy and approvers have said yes (True), no (False), or not yet (Unknown).
pub const APPROVED: &str = "Approved";
/// Of a request: the role is bound now.
pub const GRANTED: &str = "Granted";
/// Of a request: nothing more will happen. The reason is the final state.
pub const FINISHED: &str = "Finished";
/// Of a request: its break-glass access has been reviewed (True), or is yet to be (False). Of a policy: no review
/// of its break-glass access is overdue.
pub const REVIEWED: &str = "Reviewed";
/// Of a policy: it is read, understood and used in decisions.
pub const READY: &str = "Ready";
/// Of a policy that denies and has a schedule: it denies in its windows (True), or always, since its spec was written
/// for a version that knew no schedule of a Deny (False).
pub const SCHEDULE_IN_FORCE: &str = "ScheduleInForce";

/// Of a policy that allows: every role that it lists is there, and the controller may bind it. Left out until that is
/// known.
pub const ROLES_USABLE: &str = "RolesUsable";

/// True, False or Unknown, as Kubernetes writes it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// It cannot be said yet.
    Unknown,
}

/// One aspect of an object's state, as the Kubernetes API conventions define it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// One word for why, for machines.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When status last changed.
    pub last_transition_time: Time,
    /// Generation of the object that this was said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Sets a condition. `last_transition_time` moves only when the status does, so that the same judgement
/// made again changes nothing.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The condition of this type, if it has been set.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of this type is True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}

/// Removes the condition of this type.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}
