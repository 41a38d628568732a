//! AccessPolicy: who may have which role, where, for how long, and who must agree.

#![allow(clippy::duplicated_attributes, reason = "each printer column is an attribute of its own")]

mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::status::{AccessPolicyStatus, PolicyOrigin, UnusableRole};
use super::schema;
use super::selector::PolicyScope;
use super::subject::{RoleName, Subject};

/// A rule for access requests, valid for the whole cluster. Policies add up; one that denies wins over all
/// that allow. A policy that is deleted or made narrower takes away the access that hung on it.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "daypass.dev",
    version = "v1alpha1",
    kind = "AccessPolicy",
    status = "AccessPolicyStatus",
    derive = "PartialEq",
    shortname = "apol",
    category = "daypass",
    plural = "accesspolicies",
    printcolumn(name = "Effect", type_ = "string", json_path = ".spec.effect"),
    printcolumn(name = "Roles", type_ = "string", json_path = ".spec.roles[*].name"),
    printcolumn(name = "Max", type_ = "string", json_path = ".spec.duration.max"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(
        name = "Roles Usable",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="RolesUsable")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Description", type_ = "string", json_path = ".spec.description", priority = 1),
    doc = "A rule for access requests, valid for the whole cluster. Policies add up; one that denies wins over all that allow."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.effect == 'Deny' || (has(self.requesters) && size(self.requesters) > 0)")
        .message("a policy that allows must name its requesters (for everybody who is logged in: kind Group, name system:authenticated)"),
    validation = Rule::new("self.effect == 'Deny' || (has(self.roles) && size(self.roles) > 0)")
        .message("a policy that allows must list its roles"),
    validation = Rule::new("self.effect == 'Deny' || has(self.duration)")
        .message("a policy that allows must set duration.max"),
    validation = Rule::new("self.effect == 'Allow' || !(has(self.duration) || has(self.approval) || has(self.breakGlass) || has(self.extension) || has(self.limits) || has(self.onRoleChange) || has(self.recurrence) || has(self.requireRecord) || has(self.idleTimeout))")
        .message("a policy that denies takes no duration, approval, limits, breakGlass, extension, recurrence, onRoleChange, requireRecord or idleTimeout: remove them"),
    validation = Rule::new("self.effect == 'Deny' || !has(self.onBreakGlass)")
        .message("onBreakGlass says what a policy that denies does to emergencies: remove it, or to allow break-glass access set breakGlass"),
    validation = Rule::new("self.effect == 'Allow' || !has(self.scope.systemNamespaces) || !self.scope.systemNamespaces")
        .message("a policy that denies reaches every namespace: remove scope.systemNamespaces"),
    validation = Rule::new("!has(self.scope.cluster) || !self.scope.cluster || !has(self.roles) || has(self.scope.namespaces) || has(self.scope.namespaceSelector) || self.roles.all(r, !has(r.kind) || r.kind == 'ClusterRole')")
        .message("only a ClusterRole can be bound in the whole cluster: remove the Role from roles, or add namespaces to scope")
)]
pub struct AccessPolicySpec {
    /// What this policy is for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Allow (the default) or Deny. A Deny that matches wins over every Allow.
    #[serde(default)]
    pub effect: Effect,
    /// Who may ask. Any one of them is enough. In a Deny, none means everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub requesters: Vec<Subject>,
    /// Which roles may be asked for. In a Deny, none means every role. Of an Allow, each must be there, and Daypass must be
    /// allowed to bind it: the condition RolesUsable names those of which that is not so. Requests for them are denied,
    /// requests for the others are decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub roles: Vec<RoleName>,
    /// Where. An Allow must cover every namespace asked for; a Deny matches when it covers any.
    pub scope: PolicyScope,
    /// How long a grant may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationLimits>,
    /// Weekly windows in a time zone. Of an Allow: when access may be used. Outside of them a request waits for the next
    /// window; a grant ends with the window that it began in. Of a Deny: when it denies, for example in a change freeze.
    /// Running access ends when a window opens, recurring access rests until it closes, and a request without startTime
    /// waits for that; one whose startTime is in a window is denied. A Deny without schedule denies always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Further conditions, in CEL, for what the fields above cannot say. All must hold when the request is decided
    /// and when it is granted; a Deny matches only when all hold. One that cannot be evaluated denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<PolicyCondition>,
    /// Who must agree. Left out, or without stages: nobody, and a request that matches is granted at once; with
    /// `breakGlass`, only break-glass requests are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How much there may be under this policy at a time, and for one person. Looked at when a request is decided
    /// and at its grant; a later request never ends an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Access at once in an emergency, reviewed afterwards. For requests with `breakGlass: true`, which then wait
    /// for no approver. Without `approval.stages` the policy is for these requests only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Of a Deny: what it does to break-glass requests. Left out: Deny, as with all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_break_glass: Option<OnBreakGlass>,
    /// Whether a request may ask for access that comes back every week, and for how many weeks. Each time is bounded by
    /// `duration.max`. Left out: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<RecurrenceLimits>,
    /// What becomes of running access when somebody changes the rules of its role. Left out: Warn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_role_change: Option<OnRoleChange>,
    /// Whether and how far a running grant may be made longer, by a request with `extends`. Left out: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,
    /// Whether access begins only when the archive has acknowledged the decision. While it is away nothing new is granted, and
    /// a request waits as long as for approvers. Running access is left alone; break-glass access begins at once, with a
    /// warning when the archive is away. Left out: access waits for no archive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_record: bool,
    /// After how long without use access ends before its time, such as `30m`. It counts from when access begins, from the
    /// last call that it allowed, or from its extension; an open stream, such as a shell or a watch, is use. Access ends only
    /// when that is proven: an archive must have heard the audit log of every API server for all of that time, so without
    /// one nothing ends early. Recurring access rests until its next window opens. Left out: access stays to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub idle_timeout: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a matching policy does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// Matching requests may be granted.
    #[default]
    Allow,
    /// Matching requests are denied, whatever else allows them.
    Deny,
}

/// What a policy that denies does to break-glass requests. Left out: Deny, as with all others. Exempt leaves them and
/// the access that they gave alone.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBreakGlass {
    /// It denies them too, and ends break-glass access that runs.
    #[default]
    Deny,
    /// It leaves them and the access that they gave alone: whether they are granted is for the policies that allow.
    Exempt,
}

/// How long access may come back every week.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecurrenceLimits {
    /// The most weeks that a request may ask for.
    #[schemars(range(min = 1, max = 48))]
    pub weeks: i32,
}

/// What becomes of running access when its role is changed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRoleChange {
    /// A Warning Event says so, and access goes on with the role as it is.
    #[default]
    Warn,
    /// Access is taken away until the role is as it was when the request was decided, or its end comes.
    Suspend,
}

/// How long a grant may last.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.default) || duration(self.default) <= duration(self.max)")
    .message("default must not be longer than max"))]
pub struct DurationLimits {
    /// For a request that names no duration. Left out: 1h, or max when that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub default: Option<String>,
    /// The longest that may be asked for, at most 720h.
    #[schemars(schema_with = "schema::duration")]
    pub max: String,
}

/// Weekly windows in a time zone.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Time zone by its IANA name, for example `Europe/Berlin`.
    #[schemars(schema_with = "schema::time_zone")]
    pub time_zone: String,
    /// The windows. Any one is enough.
    #[schemars(length(min = 1, max = 32))]
    pub windows: Vec<Window>,
}

/// Hours on some days of the week.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Days on which the window begins.
    #[schemars(length(min = 1, max = 7))]
    pub days: Vec<Weekday>,
    /// When it begins, `HH:MM`.
    #[schemars(schema_with = "schema::start_of_window")]
    pub start: String,
    /// When it ends, `HH:MM`; not later than `start` means on the next day. `24:00` is the day's end.
    #[schemars(schema_with = "schema::end_of_window")]
    pub end: String,
}

/// A day of the week.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A condition in CEL.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyCondition {
    /// CEL that yields true when the request may pass. It sees `request` (name, namespace, role, roleKind,
    /// namespaces, cluster, durationSeconds, reason, ticket, breakGlass, extension), `requester` (username, uid,
    /// groups, extra), `risk` (level, score from 0 for Low to 3 for Critical), `time` (weekday such as Mon, hour, minute,
    /// date, in the zone of the policy's schedule or UTC), and `label(KEY)`, the list of values that the namespaces
    /// asked for have, with `''` for one without the label. `requester.extra[KEY]` is a list of what the login said, for
    /// example how the requester signed in; KEY is one that the cluster records (`status.extraKeys`). Of a request without it
    /// nothing can be said, which lets nobody in, unless `KEY in requester.extra` was asked before. KEY of a label and the patterns of
    /// `matches` must be written out. No loops; at most 128 operators, 16 of them `+`. Names, types and the words of
    /// roleKind, level and weekday are checked: with a slip the policy is not Ready and grants nothing new, and a
    /// Deny denies all that its requesters, roles and scope touch.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
    /// What the requester is told when it does not.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
}

/// Who must agree, in what order and by when.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.deadline) || (has(self.stages) && size(self.stages) > 0)")
    .message("deadline bounds the wait for approvers: add stages, or remove it"))]
pub struct Approval {
    /// CEL that yields true when nobody needs to agree, for example `risk.score == 0`. It sees what conditions
    /// see. An approver's Deny that is there already still counts; what cannot be evaluated denies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub automatic_when: Option<String>,
    /// Stages, one after the other. A person counts once over all of them; the requester never counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub stages: Vec<Stage>,
    /// How long approvers have, from the request's creation. Then it lapses. Left out: 168h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub deadline: Option<String>,
}

/// One step of an approval.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.escalateAfter) == has(self.escalateTo)")
    .message("escalateAfter and escalateTo go together: give both or none"))]
pub struct Stage {
    /// Name of the stage, shown while it waits.
    #[schemars(schema_with = "schema::dns_label")]
    pub name: String,
    /// Who may approve here. A ServiceAccount counts only when it is named as such.
    #[schemars(length(min = 1, max = 64))]
    pub approvers: Vec<Subject>,
    /// When approvals count here: weekly windows in a time zone. One that is given outside of them counts from when the
    /// next window opens. A Deny counts at any time. Left out: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Schedule>,
    /// How many different people must approve. Left out: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub required: i32,
    /// After this long without enough approvals, counted from when the stage opened, those in `escalateTo`
    /// may approve as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub escalate_after: Option<String>,
    /// Who may approve as well after `escalateAfter`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub escalate_to: Vec<Subject>,
}

fn one() -> i32 {
    1
}

/// How much one person, namespace or policy may have at a time.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Undecided requests of one person under this policy. One more is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub open_requests_per_person: Option<i32>,
    /// Undecided requests made in one namespace under this policy. One more is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub open_requests_per_namespace: Option<i32>,
    /// Undecided requests under this policy. One more is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub open_requests: Option<i32>,
    /// Running grants of one person under this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub live_grants_per_person: Option<i32>,
    /// Running grants in one namespace under this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub live_grants_per_namespace: Option<i32>,
    /// Running grants under this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub live_grants: Option<i32>,
    /// How long a person waits between the end of one grant under this policy and the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub cooldown: Option<String>,
    /// Granted time of one person under this policy in the last 24 hours, the new grant included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub time_per_day: Option<String>,
}

/// Access at once in an emergency.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BreakGlass {
    /// Who may close the review afterwards, by a review of Approve (it was justified) or Deny (it was not). Never
    /// the requester; a ServiceAccount only when it is named as such.
    #[schemars(length(min = 1, max = 64))]
    pub reviewers: Vec<Subject>,
    /// How long after the grant the review must be closed. Until an overdue one is, that person gets no further
    /// break-glass access, under any policy.
    #[schemars(schema_with = "schema::duration")]
    pub review_within: String,
}

/// How far a running grant may be made longer.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// The most that one extension adds. `duration.max` bounds the first grant only.
    #[schemars(schema_with = "schema::duration")]
    pub max: String,
    /// How many times one grant may be extended.
    #[schemars(range(min = 1, max = 100))]
    pub count: i32,
}
