//! Everything that the plugin writes to a cluster: a person's own request and a person's own review, and what an owner takes
//! away that was reviewed, with their own rights.
//!
//! It must not decide whether to, nor ask anybody.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{ApiResource, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::error::PluginError;
use crate::api::campaign::ItemObject;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, Review};

/// Makes a request, or in a dry run has the API server look at it.
///
/// # Errors
/// When the API server refuses it.
pub async fn request(cluster: &Cluster, draft: &AccessRequest, dry_run: bool) -> Result<AccessRequest, PluginError> {
    let namespace = draft.namespace().unwrap_or_default();
    let api: Api<AccessRequest> = Api::namespaced(cluster.client.clone(), &namespace);
    let how = PostParams { dry_run, ..PostParams::default() };
    cluster.call(format!("create accessrequests in namespace {namespace}"), api.create(&how, draft)).await
}

/// Puts somebody's review in the place of their last one, if the request is still the one of `seen`, to the letter.
///
/// # Errors
/// When the API server refuses it; a conflict when somebody has written to the request since.
pub async fn review(
    cluster: &Cluster,
    seen: &AccessRequest,
    reviewer: &str,
    review: &Review,
) -> Result<AccessRequest, PluginError> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let api: Api<AccessRequest> = Api::namespaced(cluster.client.clone(), &namespace);
    let patch = Patch::Merge(json!({
        "metadata": { "resourceVersion": seen.metadata.resource_version },
        "status": { "reviews": { reviewer: whole(review) } },
    }));
    let what = format!("patch accessrequests/status in namespace {namespace}");
    cluster.call(what, api.patch_status(&name, &PatchParams::default(), &patch)).await
}

/// The object of this kind and name that there is now, whether it is the one that was reviewed or not.
///
/// # Errors
/// When it may not be read.
pub async fn reviewed(cluster: &Cluster, object: &ItemObject) -> Result<Option<DynamicObject>, PluginError> {
    let api = of_kind(cluster, &object.kind, object.namespace.as_deref());
    cluster.call(format!("get {}s", object.kind.to_lowercase()), api.get_opt(&object.name)).await
}

/// Deletes an object as it was seen, or lays a patch over it, which has to name the version that was seen.
///
/// # Errors
/// When the API server refuses it; a conflict when somebody has written to it since.
pub async fn taken_away(cluster: &Cluster, seen: &DynamicObject, patch: Option<Value>) -> Result<(), PluginError> {
    let kind = seen.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    let (api, name) = (of_kind(cluster, &kind, seen.namespace().as_deref()), seen.name_any());
    let kind = kind.to_lowercase();
    let Some(patch) = patch else {
        let preconditions = Preconditions { uid: seen.uid(), resource_version: seen.resource_version() };
        let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        return cluster.call(format!("delete {kind}s"), api.delete(&name, &how)).await.map(|_| ());
    };
    let patch = Patch::Merge(patch);
    cluster.call(format!("patch {kind}s"), api.patch(&name, &PatchParams::default(), &patch)).await.map(|_| ())
}

/// Objects of a kind that is reviewed.
fn of_kind(cluster: &Cluster, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = match kind {
        "RoleBinding" => ApiResource::erase::<RoleBinding>(&()),
        "ClusterRoleBinding" => ApiResource::erase::<ClusterRoleBinding>(&()),
        _ => ApiResource::erase::<AccessPolicy>(&()),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    }
}

/// A review as a merge patch that leaves nothing of the one before: what it does not have is null, which takes it away.
fn whole(review: &Review) -> Value {
    let Review { verdict, comment, uid, groups } = review;
    let groups = Some(groups).filter(|groups| !groups.is_empty());
    json!({ "verdict": verdict, "comment": comment, "uid": uid, "groups": groups })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::ReviewVerdict;
    use crate::core::laws::fixtures;

    #[test]
    fn nothing_of_the_last_review_is_left() {
        let patch = whole(&fixtures::review(ReviewVerdict::Approve, &[]));
        assert_eq!(patch, json!({ "verdict": "Approve", "comment": null, "uid": null, "groups": null }));
    }
}
