//! The answers held against a cluster, as far as the caller may read it: what is not there is a note and no fault, for it may
//! be made later.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::answers::{FirstPlace, FirstPolicy};
use crate::api::subject::RoleKind;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::identity;
use crate::core::model::namespaces::glob_matches;

/// A cluster that answers, to somebody whom it knows.
///
/// # Errors
/// Why there is none.
pub async fn reach(connection: &Connection) -> Result<Cluster, PluginError> {
    let cluster = Cluster::connect(connection).await?;
    identity::caller(&cluster).await?;
    Ok(cluster)
}

/// That nothing was held against a cluster.
pub fn not_looked(why: &str) -> String {
    format!("namespaces, roles and groups were not looked up in a cluster ({why})")
}

/// What of the answers the cluster does not have, and what could not be looked up.
pub async fn notes(cluster: &Cluster, first: &FirstPolicy) -> Vec<String> {
    let mut notes = Vec::new();
    let not_read = |what: &str, why: String| format!("{what} were not looked up ({why})");
    match namespaces(cluster, first).await {
        Ok(found) => notes.extend(found),
        Err(why) => notes.push(not_read("namespaces", why)),
    }
    match roles(cluster, first).await {
        Ok(found) => notes.extend(found),
        Err(why) => notes.push(not_read("roles", why)),
    }
    match groups(cluster, first).await {
        Ok(found) => notes.extend(found),
        Err(why) => notes.push(not_read("groups", why)),
    }
    notes
}

async fn namespaces(cluster: &Cluster, first: &FirstPolicy) -> Result<Vec<String>, String> {
    let api: Api<NamespaceObject> = Api::all(cluster.client.clone());
    let listed = cluster.read(api.list_metadata(&ListParams::default())).await?.items;
    Ok(match &first.place {
        FirstPlace::Names(globs) => {
            let fits_none = |glob: &&String| !listed.iter().any(|object| glob_matches(glob, &object.name_any()));
            globs.iter().filter(fits_none).map(|glob| format!("the cluster has no namespace {glob}")).collect()
        }
        FirstPlace::Labels(labels) => {
            let has_all =
                listed.iter().any(|object| labels.iter().all(|label| object.labels().get(label.0) == Some(label.1)));
            let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let note = format!("the cluster has no namespace with {}", labels.join(", "));
            if has_all { Vec::new() } else { vec![note] }
        }
    })
}

async fn roles(cluster: &Cluster, first: &FirstPolicy) -> Result<Vec<String>, String> {
    let of_cluster: Api<ClusterRole> = Api::all(cluster.client.clone());
    let mut notes = Vec::new();
    for role in &first.roles {
        let is_there = match role.kind {
            RoleKind::ClusterRole => cluster.read(of_cluster.get_metadata_opt(&role.name)).await?.is_some(),
            RoleKind::Role => {
                let named = ListParams::default().fields(&format!("metadata.name={}", role.name));
                let of_namespaces: Api<Role> = Api::all(cluster.client.clone());
                !cluster.read(of_namespaces.list_metadata(&named)).await?.items.is_empty()
            }
        };
        if !is_there {
            notes.push(format!("the cluster has no {role}"));
        }
    }
    Ok(notes)
}

/// A cluster has no list of groups. One that no binding names can do nothing yet, so it may be misspelt.
async fn groups(cluster: &Cluster, first: &FirstPolicy) -> Result<Vec<String>, String> {
    let wide: Api<ClusterRoleBinding> = Api::all(cluster.client.clone());
    let narrow: Api<RoleBinding> = Api::all(cluster.client.clone());
    let wide = cluster.read(wide.list(&ListParams::default())).await?.items;
    let narrow = cluster.read(narrow.list(&ListParams::default())).await?.items;
    let subjects = wide.into_iter().flat_map(|binding| binding.subjects.unwrap_or_default());
    let subjects = subjects.chain(narrow.into_iter().flat_map(|binding| binding.subjects.unwrap_or_default()));
    let is_group = |subject: &Subject| subject.kind == "Group";
    let bound: BTreeSet<String> = subjects.filter(is_group).map(|subject| subject.name).collect();
    let unbound = |group: &&String| !bound.contains(*group);
    let of = |names: &[String], role: &str| -> Vec<String> {
        let note = |group: &String| {
            format!("no binding of the cluster names group {group}: see how it is spelt, and bind it to {role}")
        };
        names.iter().filter(unbound).map(note).collect()
    };
    Ok([of(&first.teams, "daypass-requester"), of(&first.approvers, "daypass-approver")].concat())
}
