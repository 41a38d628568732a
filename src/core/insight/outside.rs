//! Bindings beside grants: made for somebody while a grant of theirs ran or after it, and bindings of Daypass that no request
//! accounts for.
//!
//! Owns when a binding has to do with a grant: it is for the same person, gives all that the grant gave where it did, and was
//! made after the grant began. Who made it nobody can see from it; the archive names them where it hears audit logs.

use kube::ResourceExt;

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;

use super::bound::{BoundHolder, BoundRole, about, account};
use super::finding::{InsightFact, InsightFinding, InsightKind, Remedy};
use super::remedy::delete;
use super::seen::ClusterSeen;
use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleKind, Subject, SubjectKind};
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::subjects::is_subject;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::rules::{covers, from_narrow};
use crate::core::report::who::is_active;

/// A grant, as far as bindings are held against it.
struct GivenGrant<'a> {
    request: &'a AccessRequest,
    from: Timestamp,
    /// When it ended, or is to end.
    until: Timestamp,
}

/// Finds them.
pub fn outside(seen: &ClusterSeen, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let Ok(requests) = &seen.requests else { return Vec::new() };
    let grants: Vec<GivenGrant<'_>> = requests.iter().filter_map(|request| GivenGrant::of(request, seen)).collect();
    let mut found = Vec::new();
    for role in bound {
        let Some(made) = role.binding.metadata.creation_timestamp.as_ref().map(|made| made.0) else { continue };
        for held in &role.holders {
            let theirs = grants.iter().filter(|grant| grant.is_given_by(seen, role, held) && made >= grant.from);
            // Of several grants the last one before it was made says most.
            let latest = theirs.max_by_key(|grant| (grant.from, grant.request.name_any()));
            found.extend(latest.map(|grant| grant.finding(role, held, made)));
        }
    }
    found.extend(unaccounted(seen, requests));
    found
}

impl<'a> GivenGrant<'a> {
    fn of(request: &'a AccessRequest, seen: &ClusterSeen) -> Option<Self> {
        let status = request.status.as_ref()?;
        let from = status.granted_at.as_ref()?.0;
        let stated = status.expires_at.as_ref()?.0;
        let last = status.history.iter().map(|entry| entry.at.0).next_back();
        let until = if request.is_over() { last.unwrap_or(stated).min(stated) } else { stated };
        (until >= seen.now.saturating_sub(seen.window).ok()?).then_some(Self { request, from, until })
    }

    /// Whether a binding gives its person all that it gives, where it does.
    fn is_given_by(&self, seen: &ClusterSeen, role: &BoundRole<'_>, held: &BoundHolder) -> bool {
        let requester = self.request.spec.requester.clone().unwrap_or_default();
        if held.who.kind == SubjectKind::Group || !is_subject(&requester, &as_written(&held.who)) {
            return false;
        }
        let Some(status) = &self.request.status else { return false };
        let here = match (GrantScope::recorded(status), role.binding.metadata.namespace.as_ref()) {
            (_, None) => true,
            (GrantScope::Cluster, Some(_)) => false,
            (GrantScope::Namespaces(names), Some(place)) => names.contains(place),
        };
        let gives = match (role.rules, self.rules(seen, role)) {
            (Some(standing), Some(granted)) => covers(standing, &granted).is_ok(),
            _ => role.role == self.request.spec.role,
        };
        here && gives
    }

    /// The rules that it gives, as far as they are known.
    fn rules(&self, seen: &ClusterSeen, role: &BoundRole<'_>) -> Option<Vec<PolicyRule>> {
        let spec = &self.request.spec;
        if !spec.rules.is_empty() {
            return Some(spec.rules.iter().map(from_narrow).collect());
        }
        let place = role.binding.metadata.namespace.as_deref().filter(|_| spec.role.kind == RoleKind::Role);
        seen.roles.rules(place, &spec.role.name).map(<[PolicyRule]>::to_vec)
    }

    fn finding(&self, role: &BoundRole<'_>, held: &BoundHolder, made: Timestamp) -> InsightFinding {
        let kind = match made <= self.until {
            true => InsightKind::BoundOutsideDuringGrant,
            false => InsightKind::BoundOutsideAfterGrant,
        };
        let grant = InsightFact::Grant {
            namespace: self.request.namespace().unwrap_or_default(),
            name: self.request.name_any(),
            from: self.from,
            until: self.until,
        };
        let evidence = vec![role.bound(), InsightFact::Made(made), grant];
        role.finding(kind, held, role.risk.level.max(RiskLevel::Medium), evidence)
    }
}

/// A service account that is bound by its user name is that account to a request too.
fn as_written(who: &Subject) -> Subject {
    match account(who) {
        Some((namespace, name)) => Subject {
            kind: SubjectKind::ServiceAccount,
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            api_group: None,
        },
        None => who.clone(),
    }
}

/// Bindings of Daypass that no running request accounts for.
fn unaccounted(seen: &ClusterSeen, requests: &[AccessRequest]) -> Vec<InsightFinding> {
    // Where only one namespace is looked at, a binding there may be of a request elsewhere.
    if seen.only.is_some() {
        return Vec::new();
    }
    let bindings = seen.role_bindings.iter().flatten().chain(seen.cluster_role_bindings.iter().flatten());
    let ours = bindings.filter(|binding| binding.request_uid().is_some() && !binding.is_self_binding());
    let accounts = |request: &AccessRequest, binding: &Observed| {
        let mut recorded = request.status.iter().flat_map(|status| &status.bindings);
        is_active(request) && recorded.any(|recorded| binding.is_at(recorded))
    };
    let left = ours.filter(|binding| !requests.iter().any(|request| accounts(request, binding)));
    let finding = |binding: &Observed| InsightFinding {
        kind: InsightKind::UnaccountedBinding,
        severity: RiskLevel::High,
        about: about(binding),
        who: None,
        holder: None,
        evidence: binding.metadata.creation_timestamp.iter().map(|made| InsightFact::Made(made.0)).collect(),
        remedy: Remedy::Unbind(delete(binding)),
        accepted: None,
    };
    left.map(finding).collect()
}
