//! What is there to review, read with the caller's own rights.
//!
//! Owns that it is whole: where something may not be read nothing is reviewed, since what is missing would look as if it were
//! not there.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::api::campaign::{ItemSight, ReviewItem, ShownCampaign};
use crate::api::keys;
use crate::api::policy::AccessPolicy;
use crate::api::subject::Subject;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};
use crate::core::campaign::population::{KnownOwners, PopulationSeen};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, KnownRules};

/// Whose UID a cluster is told apart by.
const KUBE_SYSTEM: &str = "kube-system";

/// Where is read, and how much.
pub struct PopulationReading<'a> {
    pub cluster: &'a Cluster,
    pub place: &'a Where,
    /// Whether service accounts are reviewed too.
    pub accounts: bool,
    /// Who owns what nobody else does.
    pub owners: Vec<Subject>,
}

impl PopulationReading<'_> {
    /// Reads it. Of one namespace neither what holds in the whole cluster nor policies are reviewed.
    ///
    /// # Errors
    /// When something of it may not be read.
    pub async fn read(self, console: &mut Console) -> Result<PopulationSeen, PluginError> {
        let client = || self.cluster.client.clone();
        let requests = requests::list(self.cluster, self.place, console).await?;
        let is_wide = *self.place == Where::Everywhere;
        let bindings: Vec<RoleBinding> = self.namespaced("rolebindings").await?;
        let mut bindings: Vec<Observed> = bindings.iter().map(Observed::from).collect();
        let mut policies = Vec::new();
        if is_wide {
            let wide: Vec<ClusterRoleBinding> = self.all("clusterrolebindings", Api::all(client())).await?;
            bindings.extend(wide.iter().map(Observed::from));
            policies = self.all::<AccessPolicy>("accesspolicies", Api::all(client())).await?;
        }
        let mut roles = KnownRoles::default();
        let cluster_roles: Vec<ClusterRole> = self.all("clusterroles", Api::all(client())).await?;
        let here: Vec<Role> = self.namespaced("roles").await?;
        for role in cluster_roles {
            roles.insert(None, role.name_any(), KnownRules::Rules(role.rules.unwrap_or_default()));
        }
        for role in here {
            roles.insert(role.namespace(), role.name_any(), KnownRules::Rules(role.rules.unwrap_or_default()));
        }
        let owners = KnownOwners { namespaces: self.owners_of_namespaces().await?, others: self.owners };
        Ok(PopulationSeen { bindings, requests, policies, roles, owners, accounts: self.accounts })
    }

    async fn all<T>(&self, what: &str, api: Api<T>) -> Result<Vec<T>, PluginError>
    where
        T: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let listed = self.cluster.call(format!("list {what}"), api.list(&ListParams::default())).await?;
        Ok(listed.items)
    }

    async fn namespaced<T>(&self, what: &str) -> Result<Vec<T>, PluginError>
    where
        T: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let client = self.cluster.client.clone();
        let api: Api<T> = match self.place {
            Where::Namespace(name) => Api::namespaced(client, name),
            Where::Everywhere => Api::all(client),
        };
        self.all(&format!("{what}{}", self.place.words()), api).await
    }

    async fn owners_of_namespaces(&self) -> Result<BTreeMap<String, String>, PluginError> {
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let namespaces = match self.place {
            Where::Namespace(name) => vec![self.cluster.call("get namespaces", api.get(name)).await?],
            Where::Everywhere => self.all("namespaces", api).await?,
        };
        let named = |namespace: &Namespace| namespace.annotations().get(keys::OWNER).cloned();
        Ok(namespaces.iter().filter_map(|namespace| Some((namespace.name_any(), named(namespace)?))).collect())
    }
}

/// UID of the cluster.
///
/// # Errors
/// When it may not be read.
pub async fn uid_of(cluster: &Cluster) -> Result<String, PluginError> {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = cluster.call("get namespaces", api.get(KUBE_SYSTEM)).await?;
    Ok(namespace.uid().unwrap_or_default())
}

/// What is there now of the items of a campaign that is not as it was seen last.
///
/// # Errors
/// When something of it may not be read.
pub async fn changes(
    cluster: &Cluster,
    campaign: &ShownCampaign,
    console: &mut Console,
) -> Result<Vec<ItemSight>, PluginError> {
    let place = place_of(campaign);
    let reading = PopulationReading { cluster, place: &place, accounts: true, owners: Vec::new() };
    let there: BTreeMap<String, ReviewItem> =
        reading.read(console).await?.items().into_iter().map(|owned| (owned.item.id(), owned.item)).collect();
    let sights = campaign.items.iter().filter_map(|shown| {
        let now = there.get(&shown.id);
        let is_as_before = match now {
            None => shown.gone_at.is_some(),
            Some(item) => shown.gone_at.is_none() && item.digest() == shown.digest,
        };
        (!is_as_before).then(|| ItemSight { id: shown.id.clone(), item: now.cloned() })
    });
    Ok(sights.collect())
}

/// Where the items of a campaign are: in one namespace, or wherever.
fn place_of(campaign: &ShownCampaign) -> Where {
    let mut namespaces = campaign.items.iter().map(|shown| shown.item.object.namespace.as_ref());
    match namespaces.next().flatten() {
        Some(first) if namespaces.all(|other| other == Some(first)) => Where::Namespace(first.clone()),
        _ => Where::Everywhere,
    }
}
