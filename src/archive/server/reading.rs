//! What people call who list records, by the API server or with a token of the readers' issuer.
//!
//! Owns the order: first who, then whether they may, then what. A path of a namespace shows records about that namespace
//! of the archive's own cluster, and nothing else.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::store::reads::ArchiveRead;
use super::super::store::search::{FoundPage, FoundRecord};
use super::super::who::readers::{GROUP, RESOURCE, TEXTS, VERSION, may_list};
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::export;
use super::noted;
use super::query::AskedList;

/// Of a record as an object.
pub const KIND: &str = "Record";

/// `GET .../records`: of every namespace and every cluster.
pub async fn everywhere(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, RESOURCE, None).await?;
    list(desk, user, None, AskedList::read(&query.unwrap_or_default())?).await
}

/// `GET .../namespaces/NAMESPACE/records`: about one namespace of the archive's own cluster.
pub async fn in_namespace(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(namespace): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, RESOURCE, Some(&namespace)).await?;
    let mut listing = AskedList::read(&query.unwrap_or_default())?;
    for (name, asked, only) in
        [("namespace", &listing.search.namespace, &namespace), ("cluster", &listing.search.cluster, &desk.home)]
    {
        if asked.as_ref().is_some_and(|asked| asked != only) {
            return Err(FailedCall::bad(format!("{name}: this path has records of {only} alone; leave it out")));
        }
    }
    (listing.search.namespace, listing.search.cluster) = (Some(namespace.clone()), Some(desk.home.clone()));
    list(desk, user, Some(&namespace), listing).await
}

/// `GET .../texts/DIGEST`: what a digest in a record is the digest of, for those who may list all records.
pub async fn text(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, RESOURCE, None).await?;
    desk.note(&ArchiveRead { rows: 1, ..noted::of(user, TEXTS, None, digest.clone()) }).await?;
    let text = desk.store.text(&digest).await?.ok_or_else(|| FailedCall {
        code: axum::http::StatusCode::NOT_FOUND,
        reason: "NotFound",
        message: format!(
            "digest: no text of {digest} is held; take it from a record. One that a record names was gone before it could be \
             delivered"
        ),
    })?;
    Ok(answer::json(json!({ "kind": "Text", "apiVersion": version(), "digest": digest, "text": text }).to_string()))
}

/// Lets nobody in but those whom the API server brings and who have the right there, and those whom a token of the readers'
/// issuer names. Their name, under which the read is noted.
pub(super) async fn admit(
    desk: &ArchiveDesk,
    by: &CalledBy,
    headers: &HeaderMap,
    resource: &str,
    namespace: Option<&str>,
) -> Result<String, FailedCall> {
    let (username, allowed) = match (&by.0, &desk.outside) {
        (Some(proxy), _) => {
            let reader = proxy.reader(headers).ok_or_else(from_nobody)?;
            let allowed = may_list(&desk.client, &reader, resource, namespace).await;
            let allowed = allowed.map_err(|error| FailedCall::away(format!("cannot ask who may read: {error}")))?;
            (reader.username, allowed)
        }
        (None, Some(outside)) => {
            let reader = outside.reader(headers).await?;
            let allowed = reader.may_list(namespace);
            (reader.username, allowed)
        }
        (None, None) => return Err(from_nobody()),
    };
    if allowed {
        tracing::info!(user = username, resource, namespace, "reads");
        return Ok(username);
    }
    let place = namespace.map_or_else(|| "in the whole cluster".to_owned(), |name| format!("in namespace {name}"));
    let way_out = match by.0 {
        Some(_) => format!("needs a role with verb list on {resource}.{GROUP} {place}; ask for one"),
        None => format!("is in no group that may read {place}; ask for one, or read a namespace of yours"),
    };
    Err(FailedCall::forbidden(format!("user {username:?} {way_out}")))
}

fn from_nobody() -> FailedCall {
    let path = format!("/apis/{GROUP}/{VERSION}/{RESOURCE}");
    FailedCall::unknown(format!("only the API server may ask for people; use kubectl get --raw {path}"))
}

async fn list(
    desk: ArchiveDesk,
    user: String,
    namespace: Option<&str>,
    listing: AskedList,
) -> Result<Response, FailedCall> {
    let read = noted::of_search(user, namespace, &listing.search);
    match listing.format {
        None => {
            let page = desk.store.search(listing.search).await?;
            desk.note(&ArchiveRead { rows: page.records.len(), ..read }).await?;
            Ok(answer::json(as_list(&page)))
        }
        Some(format) => export::all(desk.store, listing.search, format, read).await,
    }
}

/// The group and version of what is listed.
pub fn version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// As Kubernetes lists objects; the version of the list is how many records the archive held. Each has its record as it came, byte for byte.
fn as_list(page: &FoundPage) -> String {
    let mut metadata = json!({ "resourceVersion": page.held.to_string() });
    if let Some(next) = page.next {
        metadata["continue"] = json!(next.to_string());
    }
    let items: Vec<String> = page.records.iter().map(as_object).collect();
    let kind = json!("RecordList");
    format!(r#"{{"apiVersion":"{}","items":[{}],"kind":{kind},"metadata":{metadata}}}"#, version(), items.join(","))
}

fn as_object(found: &FoundRecord) -> String {
    let record: Value = serde_json::from_str(&found.bytes).unwrap_or_default();
    let metadata = metadata(&record);
    format!(r#"{{"apiVersion":"{}","kind":"{KIND}","metadata":{metadata},"record":{}}}"#, version(), found.bytes)
}

/// The metadata of a record as an object.
pub fn metadata(record: &Value) -> Value {
    json!({
        "name": record["id"].as_str().unwrap_or_default().replace('/', "."),
        "namespace": record["request"]["namespace"],
        "creationTimestamp": record["at"],
    })
}
