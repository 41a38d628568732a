//! Requests as the caller may read them: one by name, those of a namespace or of all.

use kube::api::ListParams;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};

use super::cluster::Cluster;
use super::error::PluginError;
use crate::api::request::AccessRequest;
use crate::controller::observe::DecodedRequest;

/// Where requests are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    Namespace(String),
    Everywhere,
}

impl Where {
    /// The place, as it stands behind what is looked for.
    pub fn words(&self) -> String {
        match self {
            Self::Namespace(name) => format!(" in namespace {name}"),
            Self::Everywhere => " in all namespaces".to_owned(),
        }
    }
}

/// The requests of a place, also those that cannot be decoded.
pub fn api(cluster: &Cluster, place: &Where) -> Api<DecodedRequest> {
    match place {
        Where::Namespace(name) => Api::namespaced(cluster.client.clone(), name),
        Where::Everywhere => Api::all(cluster.client.clone()),
    }
}

/// One request.
///
/// # Errors
/// When it is not there, cannot be decoded, or may not be read.
pub async fn get(cluster: &Cluster, namespace: &str, name: &str) -> Result<AccessRequest, PluginError> {
    let api: Api<DecodedRequest> = Api::namespaced(cluster.client.clone(), namespace);
    let found = cluster.call(format!("get accessrequests in namespace {namespace}"), api.get_opt(name)).await?;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    match found {
        None => Err(PluginError::NoSuchRequest { namespace, name }),
        Some(found) => {
            found.0.map_err(|invalid| PluginError::Undecodable { namespace, name, problem: invalid.error.to_string() })
        }
    }
}

/// Requests, oldest first, and the names of those that cannot be decoded, as NAMESPACE/NAME.
///
/// # Errors
/// When they may not be listed.
pub async fn list(cluster: &Cluster, place: &Where) -> Result<(Vec<AccessRequest>, Vec<String>), PluginError> {
    let what = format!("list accessrequests{}", place.words());
    let listed = cluster.call(what, api(cluster, place).list(&ListParams::default())).await?;
    let (mut requests, mut unreadable) = (Vec::new(), Vec::new());
    for decoded in listed.items {
        match decoded.0 {
            Ok(request) => requests.push(request),
            Err(invalid) => {
                let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
                unreadable.push(format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default()));
            }
        }
    }
    let made = |request: &AccessRequest| request.creation_timestamp().map(|time| time.0);
    requests.sort_by(|a, b| made(a).cmp(&made(b)).then_with(|| a.name_any().cmp(&b.name_any())));
    Ok((requests, unreadable))
}

/// Waits until a request is over or deleted, no longer than a call may take.
///
/// # Errors
/// Why it was not seen to end.
pub async fn until_over(cluster: &Cluster, request: &AccessRequest) -> Result<(), String> {
    let namespace = request.namespace().unwrap_or_default();
    let api: Api<DecodedRequest> = Api::namespaced(cluster.client.clone(), &namespace);
    let uid = request.uid();
    let is_over = move |found: Option<&DecodedRequest>| match found {
        None => true,
        Some(found) => found.0.as_ref().is_ok_and(|found| found.uid() != uid || found.is_over()),
    };
    cluster.read(await_condition(api, &request.name_any(), is_over)).await.map(|_| ())
}
