//! Single reads from the API server, and how policies, roles and bindings become values of the core.
//!
//! It must not write and must not decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::request::{AccessRequest, BindingKind, BindingRef};
use crate::api::{AccessPolicy, RoleKind};
use crate::controller::error::Error;
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::validate::validate;
use crate::core::guard::Guard;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::model::revision::{Revision, revision};
use crate::core::policies::{PolicySet, origin};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::ObservedRole;
use crate::core::rbac::role::RoleSeen;

/// A request, or the reason why it cannot be decoded. One bad object must not end the watch of all.
pub type DecodedRequest = DeserializeGuard<AccessRequest>;
/// A policy, or the reason why it cannot be decoded.
pub type DecodedPolicy = DeserializeGuard<AccessPolicy>;

/// How many Roles of one request, and how many namespaces, are read at a time.
const CONCURRENT_READS: usize = 16;

/// What all requests are decided by.
#[derive(Clone)]
pub struct Rules {
    pub policies: Arc<PolicySet>,
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
    /// Rules as they were at `since` or later, of the namespaces in reach, in the light of the `guard` as it is then.
    /// Policies that are `known` are not read anew.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn since(
        &self,
        since: Instant,
        known: &PolicySet,
        guard: impl Fn() -> Guard,
        client: &Client,
        reach: &ServedNamespaces,
    ) -> Result<Rules, Error> {
        let mut last = self.0.lock().await;
        if let Some((_, rules)) = last.as_ref().filter(|(read_at, _)| *read_at >= since) {
            return Ok(rules.clone());
        }
        let read_at = Instant::now();
        let (policies, all): (Api<DecodedPolicy>, _) = (Api::all(client.clone()), ListParams::default());
        let (policies, namespaces) = tokio::try_join!(policies.list(&all), namespaces(client, reach))
            .map_err(Error::api("list policies and namespaces"))?;
        let guard = guard();
        let policies = Arc::new(policy_set(known, &policies.items, |policy| origin::doubt(policy, &guard)));
        let rules = Rules { policies, namespaces: Arc::new(namespaces) };
        *last = Some((read_at, rules.clone()));
        Ok(rules)
    }
}

/// Policies as the core reads them, as far as they are not in `known` already. One that cannot be decoded is kept as
/// such. `doubt` says why one is not believed.
pub fn policy_set<'a>(
    known: &PolicySet,
    stored: impl IntoIterator<Item = &'a DecodedPolicy> + Clone,
    doubt: impl Fn(&AccessPolicy) -> Option<origin::Disbelief>,
) -> PolicySet {
    let decoded = stored.clone().into_iter().filter_map(|decoded| decoded.0.as_ref().ok());
    let mut policies = known.renewed(decoded, doubt);
    for invalid in stored.into_iter().filter_map(|decoded| decoded.0.as_ref().err()) {
        policies.insert_unreadable(invalid.metadata.name.as_deref().unwrap_or_default(), &invalid.error);
    }
    policies
}

/// The namespaces in reach, as the API server has them. One that is served and not there is left out.
async fn namespaces(client: &Client, reach: &ServedNamespaces) -> kube::Result<Namespaces> {
    let (api, all): (Api<NamespaceObject>, _) = (Api::all(client.clone()), ListParams::default());
    let lists = match reach {
        ServedNamespaces::Cluster => vec![api.list_metadata(&all).await?],
        ServedNamespaces::Namespaces(names) => {
            let one = |name: &String| all.clone().fields(&by_name(name));
            let each = names.iter().map(one).map(|one| async { api.list_metadata(&{ one }).await });
            stream::iter(each).buffer_unordered(CONCURRENT_READS).try_collect().await?
        }
    };
    Ok(lists.iter().flat_map(|list| &list.items).map(namespace).collect())
}

/// The selector by which one object may be listed, or watched, by somebody whose rights name it.
pub fn by_name(name: &str) -> String {
    format!("metadata.name={name}")
}

/// A namespace as the core reads it, with its name.
pub fn namespace(object: &PartialObjectMeta<NamespaceObject>) -> (String, Namespace) {
    let terminating = object.metadata.deletion_timestamp.is_some();
    (object.name_any(), Namespace { labels: object.labels().clone(), uid: object.uid(), terminating })
}

/// Asks the API server whether it is ready to serve. Everybody who is signed in may ask, by the role
/// `system:public-info-viewer` that every cluster has.
///
/// # Errors
/// When it is not, or cannot be asked.
pub async fn is_ready(client: &Client) -> Result<(), Error> {
    let question = http::Request::get("/readyz").body(Vec::new()).map_err(kube::Error::HttpError);
    let answer = async { client.request_text(question?).await }.await;
    answer.map(drop).map_err(Error::api("see that the API server is ready"))
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
    let Some(binding) = found.map_err(Error::api("read a binding"))? else { return Ok(None) };
    Ok(Some(Observed { made_role: made_role(client, recorded).await?, ..binding }))
}

/// The request as the API server has it now; none when it is gone or cannot be decoded.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn request(client: &Client, namespace: &str, name: &str) -> Result<Option<AccessRequest>, Error> {
    let api: Api<DecodedRequest> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(Error::api("read a request"))?;
    Ok(found.and_then(|decoded| decoded.0.ok()))
}

/// The UID of the request of this name as the API server has it now, though it may not be decodable; none when it is gone.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn request_uid(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, Error> {
    let api: Api<AccessRequest> = Api::namespaced(client.clone(), namespace);
    let found = api.get_metadata_opt(name).await.map_err(Error::api("see whether a request is there"))?;
    Ok(found.and_then(|there| there.metadata.uid))
}

/// In which namespaces the Role is looked up that a request is for: where it is granted, or else where it is asked for.
pub fn places_of(request: &AccessRequest, namespaces: &Namespaces) -> BTreeSet<String> {
    let recorded = request.status.iter().flat_map(|status| &status.bindings);
    let granted: BTreeSet<String> = recorded.filter_map(|binding| binding.namespace.clone()).collect();
    if !granted.is_empty() {
        return granted;
    }
    match validate(request).map(|ask| ask.target.resolve(namespaces)) {
        Ok(Ok(GrantScope::Namespaces(names))) => names,
        _ => BTreeSet::new(),
    }
}

/// The role that a request is for, as the API server has it.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn role(client: &Client, request: &AccessRequest, namespaces: &Namespaces) -> Result<RoleSeen, Error> {
    let name = &request.spec.role.name;
    if request.spec.role.kind == RoleKind::ClusterRole {
        let role = Api::<ClusterRole>::all(client.clone()).get_opt(name).await.map_err(Error::api("read a role"))?;
        return Ok(RoleSeen::OfCluster(role.map(Arc::new)));
    }
    let read = |namespace: String| async move {
        let role = Api::<Role>::namespaced(client.clone(), &namespace).get_opt(name).await;
        role.map(|role| (namespace, role.map(Arc::new)))
    };
    let roles = stream::iter(places_of(request, namespaces)).map(read).buffer_unordered(CONCURRENT_READS);
    Ok(RoleSeen::OfNamespaces(roles.try_collect().await.map_err(Error::api("read a role"))?))
}

/// The role that was made for a recorded binding, as the API server has it; none when none was to be made.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn made_role(client: &Client, recorded: &BindingRef) -> Result<Option<ObservedRole>, Error> {
    if recorded.role.is_none() {
        return Ok(None);
    }
    let name = &recorded.name;
    let found = match &recorded.namespace {
        Some(place) => {
            let role = Api::<Role>::namespaced(client.clone(), place).get_opt(name).await;
            role.map(|role| role.as_ref().map(ObservedRole::from))
        }
        None => Api::<ClusterRole>::all(client.clone())
            .get_opt(name)
            .await
            .map(|role| role.as_ref().map(ObservedRole::from)),
    };
    found.map_err(Error::api("read a role"))
}

/// The revision that a request is from.
pub fn version(request: &AccessRequest) -> Option<Revision> {
    revision(request.metadata.resource_version.as_ref())
}

/// Namespace and name of a request.
///
/// # Errors
/// When it has none, which no stored request lacks.
pub fn place(request: &AccessRequest) -> Result<(String, String), Error> {
    Ok((request.namespace().ok_or(Error::Incomplete("namespace"))?, request.name_any()))
}
