//! What a pack is made of, read from the archive and the cluster with the caller's own rights.
//!
//! Owns the order: how many records the archive holds, then all of them, then how many it holds. What may not be read is
//! said in the pack.

use k8s_openapi::jiff::Timestamp;

use super::blank;
use crate::archive::store::search::Search;
use crate::cli::plugin::activity::reading::binding_uses;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::report::reading::{activity, links, texts_of};
use crate::cli::plugin::requests::Where;
use crate::cli::plugin::who::read::WhoReading;
use crate::core::evidence::controls::ControlTable;
use crate::core::evidence::pack::{PackInput, PackOrigin, begun};
use crate::core::rbac::binding::Observed;

/// What a pack says that its records are from.
const OF_ARCHIVE: &str = "archive";
/// The same, where only requests could be read.
pub const OF_REQUESTS: &str = "requests";
/// What a read is for, where nobody says more.
const PURPOSE: &str = "evidence pack";

/// Reads it.
///
/// # Errors
/// When neither archive nor requests can be read, or the archive stops to answer.
pub async fn input(
    cluster: &Cluster,
    place: &Where,
    origin: PackOrigin,
    controls: Vec<ControlTable>,
    console: &mut Console,
) -> Result<PackInput, PluginError> {
    let by = identity::caller(cluster).await?.username;
    let purpose = origin.purpose.as_ref().map_or(PURPOSE.to_owned(), |purpose| format!("{PURPOSE}: {purpose}"));
    let search = Search { since: Some(origin.from.as_microsecond()), purpose: Some(purpose), ..Search::default() };
    let at_start = held(cluster, place, origin.from).await;
    let (links, has_archive) = links(cluster, place, &search, console).await?;
    if links.iter().any(|link| link.record.cluster.is_empty()) {
        return Err(PluginError::NoClusterUid);
    }
    let source = if has_archive { OF_ARCHIVE } else { OF_REQUESTS };
    let queries = vec![archived::asked(place, &search)];
    let mut input = blank(PackOrigin { by, source, queries, ..origin }, controls);
    input.texts = texts_of(cluster, &links, has_archive).await?;
    input.bindings = bindings(cluster, place).await;
    input.uses = binding_uses(cluster).await;
    input.activity = if has_archive {
        let requests = begun(&links, input.origin.from, input.origin.to);
        activity(cluster, place, requests).await.map_err(|error| error.to_string())
    } else {
        Err("there is no archive that may be read".to_owned())
    };
    input.origin.held = [at_start, held(cluster, place, input.origin.from).await];
    input.links = links;
    Ok(input)
}

/// How many records the archive holds, if it says so.
async fn held(cluster: &Cluster, place: &Where, from: Timestamp) -> Option<u64> {
    // Of a time in which nothing can be.
    let bound = Some(from.as_microsecond());
    let search = Search { since: bound, until: bound, limit: 1, ..Search::default() };
    archived::page(cluster, place, &search).await.ok()?.held
}

/// The bindings of the cluster, or why they cannot be told.
async fn bindings(cluster: &Cluster, place: &Where) -> Result<Vec<Observed>, String> {
    let reading = WhoReading { cluster, place, right: false, subject: true };
    let read = reading.read(&mut Console::silent()).await.map_err(|error| error.to_string())?;
    match read.unread(place) {
        None => Ok(read.bindings),
        Some(what) => Err(format!("whoever made the pack may not list {what}")),
    }
}
