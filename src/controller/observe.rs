//! Reads what a plan needs to know. Writes nothing and decides nothing.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::Error;
use crate::api::AccessPolicy;
use crate::api::request::{AccessRequest, BindingKind, BindingRef, RoleRisk};
use crate::core::binding::Observed;
use crate::core::namespaces::{Namespace, Namespaces};
use crate::core::policies::PolicySet;
use crate::core::risk::{Risk, risk, unreadable};
use crate::core::select::{Place, place as place_of};
use crate::core::validate::validate;

/// A request, or the reason why it cannot be decoded. One bad object must not end the watch of all.
pub type GuardedRequest = DeserializeGuard<AccessRequest>;
/// A policy, or the reason why it cannot be decoded.
pub type GuardedPolicy = DeserializeGuard<AccessPolicy>;

/// How many Roles of one request are read at a time.
const CONCURRENT_ROLES: usize = 16;

/// What all requests are decided by.
#[derive(Clone)]
pub struct Rules {
    /// All policies.
    pub policies: Arc<PolicySet>,
    /// All namespaces.
    pub namespaces: Arc<Namespaces>,
}

/// Rules read from the API server itself rather than from a watch.
///
/// Two watches are never at the same point: a policy that was applied just before a request may arrive just
/// after it. So no request is denied, and none revoked, on what the watches say alone. Passes that want fresh
/// rules at the same time share one reading of them.
#[derive(Default)]
pub struct FreshRules(Mutex<Option<(Instant, Rules)>>);

impl FreshRules {
    /// Rules as they were at `since` or later. Policies that are `known` are not read anew.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn since(&self, since: Instant, known: &PolicySet, client: &Client) -> Result<Rules, Error> {
        let mut last = self.0.lock().await;
        if let Some((_, rules)) = last.as_ref().filter(|(read_at, _)| *read_at >= since) {
            return Ok(rules.clone());
        }
        let read_at = Instant::now();
        let (policies, namespaces): (Api<GuardedPolicy>, Api<NamespaceObject>) =
            (Api::all(client.clone()), Api::all(client.clone()));
        let all = ListParams::default();
        let (policies, namespaces) = tokio::try_join!(policies.list(&all), namespaces.list_metadata(&all))
            .map_err(Error::api("list policies and namespaces"))?;
        let rules = Rules {
            policies: Arc::new(policy_set(known, &policies.items)),
            namespaces: Arc::new(namespaces.items.iter().map(namespace).collect()),
        };
        *last = Some((read_at, rules.clone()));
        Ok(rules)
    }
}

/// Policies as the core reads them, as far as they are not in `known` already. One that cannot be decoded is kept as
/// such.
pub fn policy_set<'a>(known: &PolicySet, stored: impl IntoIterator<Item = &'a GuardedPolicy> + Clone) -> PolicySet {
    let mut policies = known.renewed(stored.clone().into_iter().filter_map(|guarded| guarded.0.as_ref().ok()));
    for invalid in stored.into_iter().filter_map(|guarded| guarded.0.as_ref().err()) {
        policies.insert_unreadable(invalid.metadata.name.as_deref().unwrap_or_default(), &invalid.error);
    }
    policies
}

/// A namespace as the core reads it, with its name.
pub fn namespace(object: &PartialObjectMeta<NamespaceObject>) -> (String, Namespace) {
    let terminating = object.metadata.deletion_timestamp.is_some();
    (object.name_any(), Namespace { labels: object.labels().clone(), terminating })
}

/// The API for a recorded RoleBinding.
pub fn role_bindings(client: &Client, recorded: &BindingRef) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), recorded.namespace.as_deref().unwrap_or_default())
}

/// What the API server has in the place of a recorded binding.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn binding(client: &Client, recorded: &BindingRef) -> Result<Option<Observed>, Error> {
    let name = &recorded.name;
    let found = match recorded.kind {
        BindingKind::RoleBinding => {
            role_bindings(client, recorded).get_opt(name).await.map(|b| b.as_ref().map(Observed::from))
        }
        BindingKind::ClusterRoleBinding => {
            Api::<ClusterRoleBinding>::all(client.clone()).get_opt(name).await.map(|b| b.as_ref().map(Observed::from))
        }
    };
    found.map_err(Error::api("read a binding"))
}

/// The request as the API server has it now; none when it is gone or cannot be decoded.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn request(client: &Client, namespace: &str, name: &str) -> Result<Option<AccessRequest>, Error> {
    let api: Api<GuardedRequest> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(Error::api("read a request"))?;
    Ok(found.and_then(|guarded| guarded.0.ok()))
}

/// What the ClusterRole that a request is for can do; of one that is not there nothing is known.
pub fn risk_of_cluster_role(role: Option<&ClusterRole>, request: &AccessRequest) -> RoleRisk {
    let cluster_wide = request.spec.scope.as_ref().is_some_and(|scope| scope.cluster);
    role.map_or_else(unreadable, |role| risk(role.rules.as_deref().unwrap_or_default(), cluster_wide).on_record())
}

/// What the Role that a request is for can do: the worst of the namespaces asked for, since each has one of its own.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn risk_of_role(
    client: &Client,
    request: &AccessRequest,
    namespaces: &Namespaces,
) -> Result<RoleRisk, Error> {
    let Ok(Ok(Place::Namespaces(names))) = validate(request).map(|ask| place_of(&ask.target, namespaces)) else {
        return Ok(unreadable());
    };
    let name = &request.spec.role.name;
    let read = |namespace: String| async move {
        let role = Api::<Role>::namespaced(client.clone(), &namespace).get_opt(name).await;
        role.map(|role| role.map(|role| risk(role.rules.as_deref().unwrap_or_default(), false)))
    };
    let roles: Vec<_> = stream::iter(names)
        .map(read)
        .buffer_unordered(CONCURRENT_ROLES)
        .try_collect()
        .await
        .map_err(Error::api("read a role"))?;
    let worst =
        roles.into_iter().collect::<Option<Vec<Risk>>>().and_then(|all| all.into_iter().max_by_key(|risk| risk.level));
    Ok(worst.map_or_else(unreadable, |risk| risk.on_record()))
}

/// The resource version of a request as a number. The API server gives increasing ones (KEP-5504).
pub fn version(request: &AccessRequest) -> Option<u64> {
    request.metadata.resource_version.as_ref()?.parse().ok()
}

/// Where a request is in the store.
pub fn reference(request: &AccessRequest) -> ObjectRef<GuardedRequest> {
    ObjectRef::new(&request.name_any()).within(&request.namespace().unwrap_or_default())
}

/// Namespace and name of a request.
///
/// # Errors
/// When it has none, which no stored request lacks.
pub fn place(request: &AccessRequest) -> Result<(String, String), Error> {
    Ok((request.namespace().ok_or(Error::Incomplete("namespace"))?, request.name_any()))
}
