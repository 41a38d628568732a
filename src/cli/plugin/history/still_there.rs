//! Requests that are still there, as the records that they make: what the archive does not have yet, and all there is where
//! there is no archive.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};

use crate::api::request::AccessRequest;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};

/// By whose UID clusters are told apart.
const OF_CLUSTER: &str = "kube-system";

/// The requests of a place that the caller may read. Where the archive has answered, none are no failure.
///
/// # Errors
/// When they may not be listed, and nothing else is there to be told.
pub async fn requests(
    cluster: &Cluster,
    place: &Where,
    has_archive: bool,
    console: &mut Console,
) -> Result<Vec<AccessRequest>, PluginError> {
    match requests::list(cluster, place, console).await {
        Err(error) if has_archive && (error.is_forbidden() || error.is_not_found()) => {
            console.note(&format!(
                "you may not list accessrequests{}, so what the archive was not told yet is left out",
                place.words()
            ));
            Ok(Vec::new())
        }
        listed => listed,
    }
}

/// The UID of the cluster, if the caller may read it.
pub async fn home(cluster: &Cluster) -> Option<String> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    cluster.call("get namespaces", namespaces.get(OF_CLUSTER)).await.ok()?.uid()
}
