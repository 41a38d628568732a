//! Who runs the plugin, as the API server knows them, and what they may do. Takes nothing from the kubeconfig: a name there is not a login.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::cluster::Cluster;
use super::error::PluginError;
use crate::api::subject::Identity;
use crate::controller::observe::DecodedPolicy;

/// How many policies are asked for the keys that the cluster records: each says them, once it is judged.
const POLICIES_ASKED: u32 = 8;

/// The caller, as the API server authenticated them: username, UID and groups, which reviews are stamped with.
///
/// # Errors
/// When the API server cannot be asked, or does not know the caller.
pub async fn caller(cluster: &Cluster) -> Result<Identity, PluginError> {
    Ok(Identity { extra: BTreeMap::new(), ..whole(cluster).await? })
}

/// The caller as a request of theirs is stamped: also with what the login says under keys that the cluster records. Who may
/// not read policies is not told which these are; such a request says nothing of them, and the cluster fills it in.
///
/// # Errors
/// As [`caller`].
pub async fn requester(cluster: &Cluster) -> Result<Identity, PluginError> {
    let mut who = whole(cluster).await?;
    let recorded = if who.extra.is_empty() { Vec::new() } else { recorded_keys(cluster).await };
    who.extra.retain(|key, values| recorded.contains(key) && !values.is_empty());
    Ok(who)
}

async fn recorded_keys(cluster: &Cluster) -> Vec<String> {
    let api: Api<DecodedPolicy> = Api::all(cluster.client.clone());
    let some = cluster.read(api.list(&ListParams::default().limit(POLICIES_ASKED))).await;
    let policies = some.into_iter().flat_map(|list| list.items).filter_map(|policy| policy.0.ok());
    policies
        .filter_map(|policy| policy.status)
        .map(|status| status.extra_keys)
        .find(|keys| !keys.is_empty())
        .unwrap_or_default()
}

async fn whole(cluster: &Cluster) -> Result<Identity, PluginError> {
    let api: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let (defaults, question) = (PostParams::default(), SelfSubjectReview::default());
    let review = cluster.call("create selfsubjectreviews", api.create(&defaults, &question)).await?;
    let who = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Identity {
        username: who.username.unwrap_or_default(),
        uid: who.uid.filter(|uid| !uid.is_empty()),
        groups: who.groups.unwrap_or_default(),
        extra: who.extra.unwrap_or_default(),
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
