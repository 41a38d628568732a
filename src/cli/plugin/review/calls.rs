//! Calls to the archive about campaigns, through the API server with the caller's own login.
//!
//! Owns the paths. Who may what, the archive says.

use http::Request;
use serde::Serialize;
use serde_json::Value;

use crate::api::campaign::{CampaignStart, CloseAsked, DecisionsAsked, LookAsked, ShownCampaign};
use crate::archive::who::campaigners::{CAMPAIGNS, CLOSE, DECISIONS, LOOK};
use crate::archive::who::readers::{GROUP, VERSION};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived::{asked_of_archive, got_of_archive, sent_to_archive};

/// A campaign as the archive answers with it.
#[derive(serde::Deserialize)]
struct CampaignObject {
    campaign: ShownCampaign,
}

#[derive(serde::Deserialize)]
struct CampaignObjects {
    items: Vec<CampaignObject>,
}

fn path(campaign: Option<&str>, below: &str) -> String {
    let all = format!("/apis/{GROUP}/{VERSION}/{CAMPAIGNS}");
    match campaign {
        None => all,
        Some(name) => {
            let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
            format!("{all}/{name}{below}")
        }
    }
}

fn what(verb: &str, below: &str) -> String {
    format!("{verb} {CAMPAIGNS}{below}.{GROUP}")
}

async fn send(
    cluster: &Cluster,
    what: String,
    request: http::request::Builder,
    body: &impl Serialize,
) -> Result<(), PluginError> {
    sent_to_archive::<Value>(cluster, what, request, body).await.map(|_| ())
}

/// The latest campaigns, without their items.
///
/// # Errors
/// When they may not be listed.
pub async fn list(cluster: &Cluster) -> Result<Vec<ShownCampaign>, PluginError> {
    let list: CampaignObjects = got_of_archive(cluster, what("list", ""), &path(None, "")).await?;
    Ok(list.items.into_iter().map(|object| object.campaign).collect())
}

/// A campaign with the items that the caller sees.
///
/// # Errors
/// When there is none for the caller.
pub async fn shown(cluster: &Cluster, name: &str) -> Result<ShownCampaign, PluginError> {
    let object: CampaignObject = got_of_archive(cluster, what("get", ""), &path(Some(name), "")).await?;
    Ok(object.campaign)
}

/// All that happened in a campaign and the texts, to the byte, a line each.
///
/// # Errors
/// When the caller may not see all of it.
pub async fn lines(cluster: &Cluster, name: &str) -> Result<String, PluginError> {
    let ask = async {
        let question = Request::get(path(Some(name), "?format=jsonl"));
        cluster.client.request_text(question.body(Vec::new()).map_err(kube::Error::HttpError)?).await
    };
    asked_of_archive(cluster, what("get", ""), ask).await
}

/// Starts a campaign.
///
/// # Errors
/// When it is refused.
pub async fn start(cluster: &Cluster, start: &CampaignStart) -> Result<(), PluginError> {
    send(cluster, what("create", ""), Request::post(path(None, "")), start).await
}

/// Decides on items.
///
/// # Errors
/// When it is refused; then nothing of it is kept.
pub async fn decide(cluster: &Cluster, name: &str, decisions: &DecisionsAsked) -> Result<(), PluginError> {
    let (what, path) = (what("create", "/decisions"), path(Some(name), &format!("/{DECISIONS}")));
    send(cluster, what, Request::post(path), decisions).await
}

/// Says what is there now.
///
/// # Errors
/// When it is refused.
pub async fn look(cluster: &Cluster, name: &str, look: &LookAsked) -> Result<(), PluginError> {
    let (what, path) = (what("update", "/look"), path(Some(name), &format!("/{LOOK}")));
    send(cluster, what, Request::put(path), look).await
}

/// Closes a campaign as it was shown.
///
/// # Errors
/// When it is refused, or something happened since.
pub async fn close(cluster: &Cluster, name: &str, close: &CloseAsked) -> Result<(), PluginError> {
    let (what, path) = (what("update", "/close"), path(Some(name), &format!("/{CLOSE}")));
    send(cluster, what, Request::put(path), close).await
}
