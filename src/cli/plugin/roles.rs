//! The rules of roles, as far as the caller may read them: listed where that is allowed, else one by one.
//!
//! It must not judge what a role gives, and reads none that nobody asks for unless it is listed with others.

use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::cluster::Cluster;
use super::error::PluginError;
use super::requests::Where;
use crate::core::report::who::{KnownRoles, KnownRules};

/// Where a role is looked up, and its name. A ClusterRole has no namespace.
pub type RolePlace = (Option<String>, String);

/// What to read, and where.
pub struct RoleReading<'a> {
    pub cluster: &'a Cluster,
    pub place: &'a Where,
    /// Whether so many are needed that it is worth listing all.
    pub may_list: bool,
}

impl RoleReading<'_> {
    /// Reads the roles that are needed, and says of each that is not there that it is gone.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn read(&self, needed: Vec<RolePlace>) -> Result<KnownRoles, PluginError> {
        let mut roles = KnownRoles::default();
        if self.may_list {
            self.list(&mut roles).await?;
        }
        for (namespace, name) in needed {
            if !roles.contains(namespace.as_deref(), &name) {
                let rules = self.rules(namespace.as_deref(), &name).await;
                roles.insert(namespace, name, rules);
            }
        }
        Ok(roles)
    }

    /// Reads as many roles as may be listed.
    async fn list(&self, roles: &mut KnownRoles) -> Result<(), PluginError> {
        let client = || self.cluster.client.clone();
        let all: Api<ClusterRole> = Api::all(client());
        let listed = self.cluster.call("list clusterroles", all.list(&ListParams::default())).await;
        for role in allowed(listed)?.into_iter().flat_map(|list| list.items) {
            roles.insert(None, role.name_any(), KnownRules::Rules(role.rules.unwrap_or_default()));
        }
        let here: Api<Role> = match self.place {
            Where::Namespace(name) => Api::namespaced(client(), name),
            Where::Everywhere => Api::all(client()),
        };
        let listed = self.cluster.call("list roles", here.list(&ListParams::default())).await;
        for role in allowed(listed)?.into_iter().flat_map(|list| list.items) {
            roles.insert(role.namespace(), role.name_any(), KnownRules::Rules(role.rules.unwrap_or_default()));
        }
        Ok(())
    }

    async fn rules(&self, namespace: Option<&str>, name: &str) -> KnownRules {
        let client = self.cluster.client.clone();
        let read = match namespace {
            Some(namespace) => {
                let api: Api<Role> = Api::namespaced(client, namespace);
                self.cluster.read(api.get_opt(name)).await.map(|found| found.map(|role| role.rules))
            }
            None => {
                let api: Api<ClusterRole> = Api::all(client);
                self.cluster.read(api.get_opt(name)).await.map(|found| found.map(|role| role.rules))
            }
        };
        match read {
            Ok(Some(rules)) => KnownRules::Rules(rules.unwrap_or_default()),
            Ok(None) => KnownRules::Gone,
            Err(why) => KnownRules::Unread(why),
        }
    }
}

/// What was answered; nothing when the right to ask is missing.
///
/// # Errors
/// When the call failed for another reason.
pub fn allowed<T>(answer: Result<T, PluginError>) -> Result<Option<T>, PluginError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}
