//! Names that other objects carry because of Daypass: group, labels, annotations, accounts.

/// API group of both kinds.
pub const GROUP: &str = "daypass.dev";
/// Version of both kinds.
pub const VERSION: &str = "v1alpha1";

/// Label that marks a binding as made by Daypass. The RoleBinding guard reserves its value.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const DAYPASS: &str = "daypass";
/// Label of a binding: UID of the request it belongs to.
pub const REQUEST_UID: &str = "daypass.dev/request-uid";
/// Label of a binding: namespace of the request it belongs to.
pub const REQUEST_NAMESPACE: &str = "daypass.dev/request-namespace";

/// Annotation of a binding: name of the request it belongs to. A request name can be longer than a label value.
pub const REQUEST_NAME: &str = "daypass.dev/request-name";
/// Annotation of a binding: name of the policy that allowed it.
pub const POLICY: &str = "daypass.dev/policy";
/// Annotation of a binding: when it was granted, RFC 3339. For people; no decision reads it.
pub const GRANTED_AT: &str = "daypass.dev/granted-at";
/// Annotation of a binding: when it ends, RFC 3339. For people; no decision reads it.
pub const EXPIRES_AT: &str = "daypass.dev/expires-at";
/// Annotation of a binding: how long it lasts as a whole, GEP-2257. For people; no decision reads it.
pub const TTL: &str = "daypass.dev/ttl";

/// Annotation of a policy: the value of `status.origin.confirm`, set by somebody who stands in for a policy that was
/// written while the author guard was away. The author guard looks at who sets it.
pub const CONFIRM: &str = "daypass.dev/confirm";

/// Annotation of a binding or a policy: findings about it that somebody knows of, a line for each kind: `KIND: REASON`. They
/// are told all the same, with the reason. Whoever may write the object may write it.
pub const ACCEPTED_FINDING: &str = "daypass.dev/accepted-finding";
/// Annotation of a namespace or a policy: who reviews access there, with commas between them: NAME, group/NAME or
/// serviceaccount/NAMESPACE/NAME. A review campaign reads it once, when it is started.
pub const OWNER: &str = "daypass.dev/owner";

/// What Events name as their source.
pub const REPORTING_CONTROLLER: &str = "daypass.dev/controller";
