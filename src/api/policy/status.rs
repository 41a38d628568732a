//! What the status of a policy says: whether it is in use, which of its roles cannot be handed out, and whether its author
//! is believed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::conditions::Condition;
use crate::api::policy_reason::UnusableReason;
use crate::api::subject::RoleName;
use crate::api::word::Word;

/// Whether a policy is in use.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicyStatus {
    /// Ready: the policy is read, understood and used in decisions. Reviewed: no review of break-glass access under
    /// it is overdue. ScheduleInForce, of a Deny with a schedule: it denies in its windows; False means always.
    /// RolesUsable, of an Allow: every role that it lists is there, and Daypass may bind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Generation of the spec from which on the schedule of a Deny counts. Versions of Daypass before schedules of a Deny
    /// denied always, and what was written for them goes on doing so until the spec is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_since: Option<i64>,
    /// Roles of an Allow that cannot be handed out now: what RolesUsable says, for programs. What runs already goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub unusable_roles: Vec<UnusableRole>,
    /// Keys that this cluster records of what a login says beside name, UID and groups, so that conditions can ask for them
    /// in `requester.extra`. The same in every policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253)))]
    pub extra_keys: Vec<String>,
    /// Whether the spec is believed to come from somebody who may hand out what it hands out. Left out until it is
    /// judged, a moment after it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<PolicyOrigin>,
}

/// A role that a policy lists and that cannot be handed out.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UnusableRole {
    /// The role, as the policy lists it.
    pub role: RoleName,
    /// Why not, in one word: Missing when there is no such role, NotBindable when Daypass may not bind it.
    #[schemars(length(max = 64))]
    pub why: Word<UnusableReason>,
    /// Where Daypass may not bind it, when it is limited to namespaces and may in others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// Whether a spec was written while the cluster's guard was in place, which sees that authors hand out only what they may
/// bind. Instants are by the API server's clock.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyOrigin {
    /// Generation of the spec that was judged.
    pub generation: i64,
    /// When the time without guard began in which it may have been written. Only while it is not believed, and not when
    /// nothing is known of the time before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// When the guard was last without force before it was judged: what is changed later and before another such time is
    /// believed.
    pub after: Time,
    /// Whether the policy is used. While it is not, it grants nothing new and ends nothing that runs.
    pub believed: bool,
    /// To have it used after all, set the annotation `daypass.dev/confirm` to this value, as somebody who may bind every
    /// role that the policy lists. Only while it is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub confirm: Option<String>,
}
