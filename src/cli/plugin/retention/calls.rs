//! Calls to the archive about what is kept, through the API server with the caller's own login.
//!
//! Owns the paths. Who may what, the archive says.

use http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::keeping::{ErasureAsked, ErasureTold, HoldAsked, KeepingTimes, KeptHold};
use crate::archive::who::readers::{ERASURES, GROUP, HOLDS, RETENTION, VERSION};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived::{asked_of_archive, got_of_archive, sent_to_archive};

#[derive(serde::Deserialize)]
struct KeptList<T> {
    items: Vec<T>,
}

#[derive(serde::Deserialize)]
struct RetentionObject {
    retention: KeepingTimes,
}

#[derive(serde::Deserialize)]
struct HoldObject {
    hold: KeptHold,
}

#[derive(serde::Deserialize)]
struct ErasureObject {
    erasure: ErasureTold,
}

/// For how long what is kept.
///
/// # Errors
/// When the archive does not say.
pub async fn times(cluster: &Cluster) -> Result<KeepingTimes, PluginError> {
    let items: Vec<RetentionObject> = list(cluster, RETENTION).await?;
    let first = items.into_iter().next();
    first.map(|object| object.retention).ok_or_else(|| PluginError::NotArchived { what: what("list", RETENTION) })
}

/// The latest holds.
///
/// # Errors
/// When the archive does not say.
pub async fn holds(cluster: &Cluster) -> Result<Vec<KeptHold>, PluginError> {
    let items: Vec<HoldObject> = list(cluster, HOLDS).await?;
    Ok(items.into_iter().map(|object| object.hold).collect())
}

/// Sets a hold.
///
/// # Errors
/// When it is refused.
pub async fn hold(cluster: &Cluster, asked: &HoldAsked) -> Result<(), PluginError> {
    create::<Value>(cluster, HOLDS, asked).await.map(|_| ())
}

/// Erases the requests that somebody made.
///
/// # Errors
/// When it is refused.
pub async fn erase(cluster: &Cluster, asked: &ErasureAsked) -> Result<ErasureTold, PluginError> {
    Ok(create::<ErasureObject>(cluster, ERASURES, asked).await?.erasure)
}

async fn create<T: DeserializeOwned>(
    cluster: &Cluster,
    resource: &str,
    asked: &impl Serialize,
) -> Result<T, PluginError> {
    sent_to_archive(cluster, what("create", resource), Request::post(path(resource)), asked).await
}

/// Lifts a hold.
///
/// # Errors
/// When it is refused, or there is none that lasts.
pub async fn lift(cluster: &Cluster, name: &str, reason: &str) -> Result<(), PluginError> {
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("reason", reason).finish();
    let ask = async {
        let request = Request::delete(format!("{}/{name}?{query}", path(HOLDS))).body(Vec::new());
        cluster.client.request::<Value>(request.map_err(kube::Error::HttpError)?).await
    };
    asked_of_archive(cluster, what("delete", HOLDS), ask).await.map(|_| ())
}

async fn list<T: DeserializeOwned>(cluster: &Cluster, resource: &str) -> Result<Vec<T>, PluginError> {
    let list: KeptList<T> = got_of_archive(cluster, what("list", resource), &path(resource)).await?;
    Ok(list.items)
}

fn path(resource: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/{resource}")
}

fn what(verb: &str, resource: &str) -> String {
    format!("{verb} {resource}.{GROUP}")
}
