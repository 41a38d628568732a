//! AccessRequest: a person asks for a role for a while.
//!
//! Owns what people write (`spec`) and the frame of what the controller writes (`status`). The values of the status about
//! people are in [`review`], those about access in [`grant`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::Condition;
use super::policy::Window;
use super::schema;
use super::selector::{RequestScope, is_false};
use super::subject::{Identity, RoleName, Subject};

mod facts;
mod grant;
mod review;

pub use facts::{NotedFacts, NotedGap, NotedIdentity};
pub use grant::{
    BindingKind, BindingRef, DecidedRole, ExtendedRequest, FreezeAhead, GrantActivity, GrantExtension, GrantUse,
    MadeRole, PolicyRef, RecurringWindow, RoleRisk,
};
pub use review::{BreakGlassReview, CountedReview, HistoryEntry, NotedReview, OpenStage, Review, ReviewVerdict};

/// A request for a role for a while. Policy and approvers decide; Daypass binds the role and takes it
/// away at the stated end. The spec cannot be changed: to ask for something else, make a new request.
#[derive(CustomResource, Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "daypass.dev",
    version = "v1alpha1",
    kind = "AccessRequest",
    namespaced,
    status = "AccessRequestStatus",
    derive = "PartialEq",
    shortname = "areq",
    category = "daypass",
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role.name"),
    printcolumn(name = "Only", type_ = "string", json_path = ".status.narrowedTo"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Risk", type_ = "string", json_path = ".status.risk.level", priority = 1),
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.policy.name", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("what a request asks for cannot be changed: make a new request, under another name")
        .field_path(".spec")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("size(self.metadata.name) <= 200")
        .message("metadata.name must be at most 200 characters: Events of the request carry it"),
    doc = "A request for a role for a while. Policy and approvers decide; Daypass binds the role and takes it away at the stated end."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.scope) && has(self.scope.cluster) && self.scope.cluster && has(self.role.kind) && self.role.kind == 'Role')")
        .message("a Role cannot be bound in the whole cluster: ask for a ClusterRole, or for namespaces"),
    validation = Rule::new("!has(self.startTime) || self.startTime < timestamp('9999-01-01T00:00:00Z')")
        .message("startTime must be within a year of the request"),
    validation = Rule::new("!has(self.extends) || !has(self.startTime)")
        .message("an extension begins where the running grant ends: leave startTime out"),
    validation = Rule::new("!has(self.extends) || !has(self.scope)")
        .message("an extension holds where the running grant does: leave scope out"),
    validation = Rule::new("!has(self.breakGlass) || !self.breakGlass || !has(self.startTime)")
        .message("break-glass access begins at once: leave startTime out, or ask for a start without breakGlass"),
    validation = Rule::new("!has(self.recurrence) || !has(self.duration)")
        .message("recurring access lasts as long as its windows: leave duration out"),
    validation = Rule::new("!has(self.recurrence) || !has(self.extends)")
        .message("recurring access is not extended and extends nothing: leave extends or recurrence out"),
    validation = Rule::new("!has(self.recurrence) || !has(self.breakGlass) || !self.breakGlass")
        .message("break-glass access is for once: leave recurrence out"),
    validation = Rule::new("!has(self.breakGlass) || !self.breakGlass || !has(self.extends)")
        .message("break-glass access is not extended: leave extends out and ask for new access, or breakGlass out and have approvers decide")
)]
pub struct AccessRequestSpec {
    /// The role asked for.
    pub role: RoleName,
    /// Fewer rights than the role has, for example one verb on one named object. What is granted is these rules and
    /// nothing else; a right that the role does not have is denied. Left out: the whole role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub rules: Vec<NarrowRule>,
    /// Where the role is wanted. Left out: in the request's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<RequestScope>,
    /// For how long, as hours, minutes and seconds: `30m`, `1h30m`. At most 720h. Left out: the default of
    /// the policy that allows the request. (GEP-2257)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub duration: Option<String>,
    /// When access starts, RFC 3339 with a zone. It ends `duration` after this instant, however late the
    /// decision comes. Left out: as soon as it is approved, and then for the full duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Access that comes back every week: the role is bound only while one of these windows is open. A policy must
    /// have `recurrence` to allow it. Leave `duration` out: each time access lasts as long as its window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// Why access is needed. Approvers and auditors read it.
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Number or link of the ticket this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::ticket")]
    pub ticket: Option<String>,
    /// Name of the AccessPolicy to decide by. Left out: of the policies that allow the request, the one that
    /// asks least of it. Policies that deny are always heeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub policy: Option<String>,
    /// Name of a running request of yours in this namespace whose end should move later by `duration`. Role and
    /// duration are as in any request; the policy that allowed the running one decides again, with its
    /// `extension` as the bound, and asks its approvers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub extends: Option<String>,
    /// An emergency: access at once, without waiting for approvers, under a policy that has `breakGlass`. It is
    /// announced by Warning Events and must be reviewed afterwards. A policy that denies still wins.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// Who asks. Written by the cluster itself from the login of whoever creates the request; what you put
    /// here is overwritten, or refused when it is not you.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
}

impl AccessRequest {
    /// Whether nothing more can be granted by it.
    pub fn is_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state.is_final())
    }

    /// Whether its access runs, or rests: it was granted and is not over.
    pub fn has_grant(&self) -> bool {
        !self.is_over() && self.status.as_ref().is_some_and(|status| status.granted_at.is_some())
    }

    /// Whether it was granted, or is over: then limits are not looked at any more.
    pub fn is_decided(&self) -> bool {
        self.is_over() || self.has_grant()
    }
}

/// Weekly windows in a time zone, for some weeks.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recurrence {
    /// Time zone by its IANA name, for example `Europe/Berlin`.
    #[schemars(schema_with = "schema::time_zone")]
    pub time_zone: String,
    /// The windows. Where the policy has a schedule, access is only there while both are open.
    #[schemars(length(min = 1, max = 32))]
    pub windows: Vec<Window>,
    /// For how many weeks, counted from `startTime`, or from when it is granted. All in all at most 48 windows.
    #[schemars(range(min = 1, max = 48))]
    pub weeks: i32,
}

/// Rights as in a Role: verbs on resources, or verbs on URLs.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.nonResourceURLs) != has(self.resources)")
    .message("a rule is for resources or for nonResourceURLs: give one of the two"))]
pub struct NarrowRule {
    /// What may be done, for example `get` or `delete`.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub verbs: Vec<String>,
    /// API groups; `""` is the core group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    pub api_groups: Vec<String>,
    /// Resources, in plural and lower case; `pods/log` is a subresource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    pub resources: Vec<String>,
    /// Names of single objects. Left out: all objects, which is the widest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub resource_names: Vec<String>,
    /// URL paths that are no resources, for example `/metrics`.
    #[serde(default, rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub non_resource_urls: Vec<String>,
}

/// Summary of where a request stands. The conditions are the truth; this is for columns and `kubectl wait`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not decided: waiting for policies to load or for approvers.
    #[default]
    Pending,
    /// Approved; access has not begun.
    Scheduled,
    /// The role is bound.
    Active,
    /// Policy or an approver said no.
    Denied,
    /// Access ended at its stated end.
    Expired,
    /// Access ended early.
    Revoked,
    /// Nobody decided in time.
    Lapsed,
    /// Access rests: it is between two of its windows, or its role was changed. It comes back by itself.
    Suspended,
    /// Approved, but the role could not be bound.
    Failed,
    /// The end of the running request that it extends was moved.
    Extended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Scheduled,
        Self::Active,
        Self::Suspended,
        Self::Denied,
        Self::Expired,
        Self::Revoked,
        Self::Lapsed,
        Self::Failed,
        Self::Extended,
    ];

    /// The state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Scheduled => "Scheduled",
            Self::Active => "Active",
            Self::Denied => "Denied",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
            Self::Lapsed => "Lapsed",
            Self::Suspended => "Suspended",
            Self::Failed => "Failed",
            Self::Extended => "Extended",
        }
    }

    /// Whether nothing more can happen to a request in this state.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Denied | Self::Expired | Self::Revoked | Self::Lapsed | Self::Failed | Self::Extended)
    }
}

/// Where a request stands. Written by the controller; approvers write `reviews` only.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestStatus {
    /// Summary of the conditions.
    #[serde(default)]
    pub state: State,
    /// One sentence: what is happening, or why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// Approved, Granted and Finished; Reviewed for break-glass access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The policy that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// What approvers said, by their username. Add your own with `kubectl patch --subresource=status`; change or
    /// remove it while the request is pending. After the decision only Revoke can be said, and to break-glass
    /// access Approve or Deny as long as its review is open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "reviews_schema")]
    pub reviews: BTreeMap<String, Review>,
    /// The reviews that counted, by whom and since when. Written by the controller. An approval that counted goes on
    /// counting when the hours of its stage are over, until its reviewer takes it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["reviewer".into()]))]
    pub counted_reviews: Vec<CountedReview>,
    /// The approval stage that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<OpenStage>,
    /// Names of the approval stages that had no answer in time, so that more people may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 63)))]
    pub escalated: Vec<String>,
    /// Who may end the access with a review of Revoke, besides the requester, who always may: the approvers whom the policy
    /// names now, and the reviewers of break-glass access. Empty: nobody else. While the policy is not believed, because it
    /// was written without the admission policy that guards it, they are whom it named before. Left out until the request
    /// is approved, when it is over, and when there are more than 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub may_revoke: Option<Vec<Subject>>,
    /// When access began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// When access ends. Written when the request is approved; an extension moves it, and nothing else does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Of recurring access: the window that is open, or the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RecurringWindow>,
    /// Of running access that does not recur: the next window in which a policy denies it, if that opens before access
    /// ends or just then. Access is taken away when it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_ahead: Option<FreezeAhead>,
    /// The bindings that carry the grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub bindings: Vec<BindingRef>,
    /// UIDs of the namespaces that the grant is for, by name, as they were when it was made. A namespace of the same name and
    /// another UID was deleted and made anew: access to the old one is not access to the new one.
    #[serde(rename = "namespaceUIDs", default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "namespace_uids_schema")]
    pub namespace_uids: BTreeMap<String, String>,
    /// How much harm the role can do, by its rules, as read before the request was decided. Advice for approvers;
    /// conditions of a policy can ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RoleRisk>,
    /// The role asked for, as it was when the request was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<DecidedRole>,
    /// Of a request for fewer rights than its role has: those that it asks for, in short, such as `delete on pods web-0`.
    /// `spec.rules` has all of them. Left out when the whole role is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub narrowed_to: Option<String>,
    /// Of an extension: the running request that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<ExtendedRequest>,
    /// How the end was moved, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub extensions: Vec<GrantExtension>,
    /// Of break-glass access: the review that must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlassReview>,
    /// What happened, oldest first. Only ever added to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub history: Vec<HistoryEntry>,
    /// How many entries were left out of the history because it was full: of the kinds that can repeat without end, such as
    /// a binding that is put back. An entry HistoryFull stands where that began. What reviewers say is left out
    /// uncounted. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub history_dropped: Option<i64>,
    /// SHA-256 over the entries that were left out and counted: over the digest before and the entry, in canonical JSON.
    /// Who has the entries, from Events or from the log, can show that none is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub history_dropped_digest: Option<String>,
    /// How many entries of the history an archive has acknowledged. Written once the request is over and reviewed and the
    /// archive holds all of them, and only where there is an archive. After the retention time the request is removed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub recorded: Option<i64>,
    /// What was done with the access, written together with `recorded`, where an archive hears the audit logs of the API
    /// servers. Left out of what never began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<GrantActivity>,
}

impl AccessRequestStatus {
    /// When access is taken away next: at its end, or before that when its window closes.
    pub fn next_end(&self) -> Option<Timestamp> {
        let closes = self.window.as_ref().map(|window| window.closes_at.0);
        closes.into_iter().chain(self.expires_at.as_ref().map(|end| end.0)).min()
    }
}

fn reviews_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let review = generator.subschema_for::<Review>();
    schemars::json_schema!({ "type": "object", "maxProperties": 64, "additionalProperties": review })
}

fn namespace_uids_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 512, "additionalProperties": { "type": "string", "maxLength": 64 }
    })
}
