//! The request that a command line asks for, before it is sent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;

use crate::api::request::{AccessRequest, AccessRequestSpec, NarrowRule, Recurrence};
use crate::api::selector::RequestScope;
use crate::api::subject::{Identity, RoleKind, RoleName};

/// How long a generated name's beginning may be: the API server adds five letters, and a request's name has 200.
const LONGEST_STEM: usize = 150;

/// What is asked for, and by whom.
pub struct Wish<'a> {
    /// Role, or `role/NAME` for one of the namespace.
    pub role: &'a str,
    pub namespace: &'a str,
    pub duration: Option<String>,
    /// When access begins; none for as soon as it is approved.
    pub start: Option<Timestamp>,
    /// The windows in which it comes back; none for once.
    pub recurrence: Option<Recurrence>,
    pub reason: String,
    pub ticket: Option<String>,
    pub rules: Vec<NarrowRule>,
    /// Where; none for the request's own namespace.
    pub scope: Option<RequestScope>,
    /// The policy to decide by; none for the one that asks least.
    pub policy: Option<String>,
    pub break_glass: bool,
    /// Who asks, as the API server knows them.
    pub requester: Identity,
}

impl Wish<'_> {
    /// The request. Its name is for the API server to make, so that the same line works again.
    pub fn request(self) -> AccessRequest {
        let role = role_name(self.role);
        let metadata = ObjectMeta {
            generate_name: Some(stem(&role.name)),
            namespace: Some(self.namespace.to_owned()),
            ..ObjectMeta::default()
        };
        let spec = AccessRequestSpec {
            role,
            rules: self.rules,
            scope: self.scope,
            duration: self.duration,
            start_time: self.start.map(Time),
            recurrence: self.recurrence,
            reason: self.reason,
            ticket: self.ticket,
            policy: self.policy,
            extends: None,
            break_glass: self.break_glass,
            requester: Some(self.requester),
        };
        AccessRequest { metadata, spec, status: None }
    }
}

/// A role as it is typed: a ClusterRole, unless it says `role/`.
pub fn role_name(typed: &str) -> RoleName {
    let (kind, name) = match typed.split_once('/') {
        Some((kind, name)) if kind.eq_ignore_ascii_case("role") => (RoleKind::Role, name),
        Some((kind, name)) if kind.eq_ignore_ascii_case("clusterrole") => (RoleKind::ClusterRole, name),
        _ => (RoleKind::ClusterRole, typed),
    };
    RoleName { kind, name: name.to_owned() }
}

/// What the generated name of a request begins with: that of the role, as far as a name of an object may have its letters.
pub fn stem(role: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = role.chars().map(plain).take(LONGEST_STEM).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "access-".to_owned() } else { format!("{name}-") }
}

/// The same request as it would stand a moment after it was sent, for the core to look at.
pub fn as_if_sent(request: &AccessRequest, now: Timestamp) -> AccessRequest {
    let mut sent = request.clone();
    sent.metadata.creation_timestamp = Some(Time(now));
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_role() {
        for (role, expected) in
            [("edit", "edit-"), ("system:node:Reader", "system-node-reader-"), ("_", "access-"), ("\u{17e}", "access-")]
        {
            assert_eq!(stem(role), expected);
        }
        assert_eq!(stem(&"x".repeat(400)).len(), LONGEST_STEM + 1);
    }

    #[test]
    fn a_role_of_the_namespace_says_so() {
        assert_eq!(role_name("role/deployer"), RoleName { kind: RoleKind::Role, name: "deployer".to_owned() });
        for typed in ["edit", "clusterrole/edit"] {
            assert_eq!(role_name(typed), RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() });
        }
    }
}
