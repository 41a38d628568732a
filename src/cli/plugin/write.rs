//! Everything that the plugin writes to a cluster: a person's own request and a person's own review, with their own rights.
//!
//! It must not decide whether to, nor ask anybody.

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::error::PluginError;
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
