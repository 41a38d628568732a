//! Records as the archive hands them over, asked through the API server with the caller's own login.
//!
//! Owns the paths, and what it means when there is no answer. It must not decide what is done without one.

use http::Request;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item::HistoryItem;
use crate::archive::server::query;
use crate::archive::store::search::{PagePlace, Search};
use crate::archive::who::readers::{ACTIVITY, GROUP, RESOURCE, TEXTS, VERSION};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::Where;

/// Most records of a page.
pub const PAGE: usize = 500;

/// Records, the newest first, and where the next ones begin.
#[derive(Debug, Default)]
pub struct ArchivedPage {
    pub items: Vec<HistoryItem>,
    /// None: there are no more.
    pub next: Option<PagePlace>,
    /// How many records the archive held then, where it says so.
    pub held: Option<u64>,
}

/// Why the archive tells nothing.
#[derive(Debug)]
pub enum NoArchive {
    /// The cluster has none.
    NotServed,
    /// The caller may not list records there.
    Forbidden,
    /// It does not answer, and why.
    Silent(String),
    /// The question is wrong, or the API server answers nothing else either.
    Failed(PluginError),
}

#[derive(Deserialize)]
struct ArchivedList {
    metadata: ListPlace,
    items: Vec<Value>,
}

#[derive(Deserialize)]
struct ListPlace {
    #[serde(default)]
    r#continue: String,
    #[serde(default, rename = "resourceVersion")]
    resource_version: String,
}

#[derive(Deserialize)]
struct ArchivedText {
    text: String,
}

#[derive(Deserialize)]
struct ListedItems<T> {
    items: Vec<T>,
}

/// A page of what is looked for.
///
/// # Errors
/// Why there is none.
pub async fn page(cluster: &Cluster, place: &Where, search: &Search) -> Result<ArchivedPage, NoArchive> {
    let path = asked(place, search);
    let list: Result<ArchivedList, PluginError> = get(cluster, &what(RESOURCE, place), &path).await;
    match list {
        Ok(list) => list.page().map_err(NoArchive::Failed),
        Err(error) => Err(why(cluster, error).await),
    }
}

/// The call that asks for a page of what is looked for.
pub fn asked(place: &Where, search: &Search) -> String {
    format!("{}?{}", path(place, RESOURCE), query::written(search))
}

/// The text that a digest in a record is the digest of; none when the archive does not hold it.
///
/// # Errors
/// When the archive does not say.
pub async fn text(cluster: &Cluster, digest: &str) -> Result<Option<String>, PluginError> {
    let path = format!("/apis/{GROUP}/{VERSION}/{TEXTS}/{digest}");
    let found: Result<ArchivedText, PluginError> = get(cluster, &format!("get {TEXTS}.{GROUP}"), &path).await;
    match found {
        Ok(found) => Ok(Some(found.text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was done with the access of a request, as the archive sums it up.
///
/// # Errors
/// When the archive does not say.
pub async fn activity(cluster: &Cluster, place: &Where, of: &str, uid: &str) -> Result<Vec<Value>, PluginError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("request", uid);
    // A path of a namespace is about the archive's own cluster.
    if *place == Where::Everywhere {
        query.append_pair("cluster", of);
    }
    listed(cluster, place, ACTIVITY, &query.finish()).await
}

/// What a resource of the archive lists, by a query that is written already.
///
/// # Errors
/// When it is not answered.
pub async fn listed<T: DeserializeOwned>(
    cluster: &Cluster,
    place: &Where,
    resource: &str,
    query: &str,
) -> Result<Vec<T>, PluginError> {
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let path = format!("{}{query}", path(place, resource));
    let found: ListedItems<T> = get(cluster, &what(resource, place), &path).await?;
    Ok(found.items)
}

/// All that is found, up to so many pages.
///
/// # Errors
/// Why there is none.
pub async fn all(
    cluster: &Cluster,
    place: &Where,
    search: Search,
    most_pages: usize,
) -> Result<Vec<HistoryItem>, NoArchive> {
    let (mut all, mut search) = (Vec::new(), Search { limit: PAGE, ..search });
    for _ in 0..most_pages {
        let page = page(cluster, place, &search).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => search.after = Some(next),
            None => break,
        }
    }
    Ok(all)
}

/// Whether the archive itself answers what the API server passes on. It says so to anybody.
///
/// # Errors
/// Why it does not.
pub async fn answers(cluster: &Cluster) -> Result<(), NoArchive> {
    let resources: Result<Value, PluginError> =
        get(cluster, "ask the archive what it lists", &format!("/apis/{GROUP}/{VERSION}")).await;
    match resources {
        Ok(_) => Ok(()),
        Err(error) => Err(why(cluster, error).await),
    }
}

/// What is asked, by verb and resource.
pub fn what(resource: &str, place: &Where) -> String {
    format!("list {resource}.{GROUP}{}", place.words())
}

/// Where a resource of the archive is listed.
fn path(place: &Where, resource: &str) -> String {
    match place {
        Where::Everywhere => format!("/apis/{GROUP}/{VERSION}/{resource}"),
        Where::Namespace(name) => {
            let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
            format!("/apis/{GROUP}/{VERSION}/namespaces/{name}/{resource}")
        }
    }
}

/// What is found at a path; `what` says so by verb and resource.
///
/// # Errors
/// When it is not answered.
async fn get<T: DeserializeOwned>(cluster: &Cluster, what: &str, path: &str) -> Result<T, PluginError> {
    let ask = async {
        let question = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        cluster.client.request(question).await
    };
    cluster.call(what, ask).await
}

/// Why there was no answer.
pub async fn why(cluster: &Cluster, error: PluginError) -> NoArchive {
    match &error {
        _ if error.is_not_found() => NoArchive::NotServed,
        // Who has no right is told so before anybody looks whether there is such an API.
        _ if error.is_forbidden() => match is_served(cluster).await {
            Ok(true) => NoArchive::Forbidden,
            Ok(false) => NoArchive::NotServed,
            Err(error) => NoArchive::Failed(error),
        },
        PluginError::Away { .. } | PluginError::NotLoggedIn { .. } => NoArchive::Failed(error),
        PluginError::Api { source: kube::Error::Api(status), .. } if status.code == 400 => NoArchive::Failed(error),
        _ => NoArchive::Silent(error.to_string()),
    }
}

/// What the archive answers. That there is no such object it says itself; that there is no archive, nobody does.
///
/// # Errors
/// When it refuses, or there is none.
pub async fn asked_of_archive<T>(
    cluster: &Cluster,
    what: String,
    ask: impl Future<Output = kube::Result<T>>,
) -> Result<T, PluginError> {
    let answer = cluster.call(what.clone(), ask).await;
    let nobody = answer.as_ref().is_err_and(PluginError::is_not_found) && !is_served(cluster).await?;
    if nobody { Err(PluginError::NotArchived { what }) } else { answer }
}

/// What a path of the archive answers.
///
/// # Errors
/// When it refuses, or there is none.
pub async fn got_of_archive<T: DeserializeOwned>(
    cluster: &Cluster,
    what: String,
    path: &str,
) -> Result<T, PluginError> {
    let ask = async {
        let question = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        cluster.client.request(question).await
    };
    asked_of_archive(cluster, what, ask).await
}

/// What the archive answers to something that is sent there.
///
/// # Errors
/// When it refuses, or there is none.
pub async fn sent_to_archive<T: DeserializeOwned>(
    cluster: &Cluster,
    what: String,
    request: http::request::Builder,
    body: &impl Serialize,
) -> Result<T, PluginError> {
    let body = serde_json::to_vec(body);
    let ask = async {
        let request = request.header("content-type", "application/json");
        let body = body.map_err(kube::Error::SerdeError)?;
        cluster.client.request(request.body(body).map_err(kube::Error::HttpError)?).await
    };
    asked_of_archive(cluster, what, ask).await
}

/// Whether the cluster has an archive, whatever the caller may read of it.
///
/// # Errors
/// When the API server does not say.
pub async fn is_served(cluster: &Cluster) -> Result<bool, PluginError> {
    let group: Result<Value, PluginError> = get(cluster, "ask which APIs are served", &format!("/apis/{GROUP}")).await;
    match group {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(false),
        Err(error) => Err(error),
    }
}

impl ArchivedList {
    fn page(self) -> Result<ArchivedPage, PluginError> {
        let items = self.items.into_iter().map(HistoryItem::archived).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|error| PluginError::UnknownRecord { problem: error.to_string() })?;
        let held = self.metadata.resource_version.parse().ok();
        Ok(ArchivedPage { items, next: self.metadata.r#continue.parse().ok(), held })
    }
}

impl NoArchive {
    /// Says why what follows is not from the archive, where that is worth saying.
    ///
    /// # Errors
    /// When nothing can follow.
    pub fn say(self, place: &Where, console: &mut Console) -> Result<(), PluginError> {
        let instead = "so this is what the requests say that are still there";
        match self {
            Self::NotServed => {}
            Self::Forbidden => {
                let binding = if *place == Where::Everywhere { "ClusterRoleBinding" } else { "RoleBinding" };
                console.note(&format!(
                    "you may not {}, {instead}: ask for a {binding} to ClusterRole daypass-archive-reader",
                    what(RESOURCE, place)
                ));
            }
            Self::Silent(why) => console.note(&format!("the archive does not answer, {instead} ({why})")),
            Self::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Why it tells nothing of one of its resources, in a few words.
    pub fn briefly(self, resource: &str) -> String {
        match self {
            Self::NotServed => "there is no archive".to_owned(),
            Self::Forbidden => format!("you may not {}", what(resource, &Where::Everywhere)),
            Self::Silent(why) => format!("the archive does not answer ({why})"),
            Self::Failed(error) => error.to_string(),
        }
    }

    /// That it stopped answering, where what was read is not to be taken for all.
    pub fn error(self, place: &Where) -> PluginError {
        match self {
            Self::Failed(error) => error,
            Self::Silent(why) => PluginError::ArchiveBrokeOff { what: what(RESOURCE, place), why },
            Self::NotServed | Self::Forbidden => PluginError::ArchiveBrokeOff {
                what: what(RESOURCE, place),
                why: "it may not be read any more".to_owned(),
            },
        }
    }
}
