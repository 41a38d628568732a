//! Who runs the plugin, as the API server knows them, and what they may do. Takes nothing from the kubeconfig: a name there is not a login.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::cluster::Cluster;
use super::error::PluginError;
use crate::api::subject::Identity;

/// The caller, as the API server authenticated them: username, UID and groups, which requests and reviews are stamped with.
///
/// # Errors
/// When the API server cannot be asked, or does not know the caller.
pub async fn caller(cluster: &Cluster) -> Result<Identity, PluginError> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let (defaults, question) = (PostParams::default(), SelfSubjectReview::default());
    let review = cluster.call("create selfsubjectreviews", api.create(&defaults, &question)).await?;
    let who = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Identity {
        username: who.username.unwrap_or_default(),
        uid: who.uid.filter(|uid| !uid.is_empty()),
        groups: who.groups.unwrap_or_default(),
    })
}

/// Whether the caller may do this, as things are now.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn may(cluster: &Cluster, what: SelfSubjectAccessReviewSpec) -> Result<bool, PluginError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let question = SelfSubjectAccessReview { spec: what, ..SelfSubjectAccessReview::default() };
    let review = cluster.call("create selfsubjectaccessreviews", api.create(&PostParams::default(), &question)).await?;
    Ok(review.status.is_some_and(|status| status.allowed))
}
