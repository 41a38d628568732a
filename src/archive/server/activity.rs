//! What people call who look at what was done with grants.
//!
//! Owns the form of the answers. A path of a namespace shows requests about that namespace of the archive's own cluster, and
//! nothing else; who may look is asked first.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};

use super::super::activity::answers::{RequestActivity, WriteFinding};
use super::super::intake::FoundBy;
use super::super::store::reads::ArchiveRead;
use super::super::store::{ArchiveStore, StoreError};
use super::super::who::readers::{ACTIVITY, BINDING_USES, FINDINGS};
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::noted;
use super::query::{AskedActivity, cluster_alone};
use super::reading::{admit, version};
use crate::core::activity::told::{ToldActivity, ToldFinding, ToldRow};
use crate::runtime::clock::Clock;

/// `GET .../activity?request=UID`: what was done with the grants of a request, in any cluster.
pub async fn everywhere(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, ACTIVITY, None).await?;
    list(desk, user, AskedActivity::read(&query.unwrap_or_default())?, None).await
}

/// `GET .../namespaces/NAMESPACE/activity?request=UID`: the same of a request about one namespace of the archive's own
/// cluster.
pub async fn in_namespace(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(namespace): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, ACTIVITY, Some(&namespace)).await?;
    list(desk, user, AskedActivity::read(&query.unwrap_or_default())?, Some(&namespace)).await
}

/// `GET .../findings`: writes that no record explains, the latest first.
pub async fn findings(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, FINDINGS, None).await?;
    let items: Vec<Value> = desk.store.findings(Clock::wall().now()).await?.into_iter().map(finding).collect();
    desk.note(&ArchiveRead { rows: items.len(), ..noted::of(user, FINDINGS, None, String::new()) }).await?;
    Ok(listed("FindingList", &items))
}

/// `GET .../bindinguses`: when bindings of a cluster that Daypass did not make were last used, as one item.
pub async fn binding_uses(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, BINDING_USES, None).await?;
    let cluster = cluster_alone(&query.unwrap_or_default())?.unwrap_or_else(|| desk.home.clone());
    let told = desk.store.binding_uses(&cluster).await?;
    let read = noted::of(user, BINDING_USES, None, format!("cluster={cluster}"));
    desk.note(&ArchiveRead { rows: told.uses.len(), ..read }).await?;
    Ok(listed("BindingUsesList", &[json!(told)]))
}

async fn list(
    desk: ArchiveDesk,
    user: String,
    asked: AskedActivity,
    only: Option<&str>,
) -> Result<Response, FailedCall> {
    let cluster = match only {
        Some(_) => desk.home.clone(),
        None => asked.cluster.unwrap_or_else(|| desk.home.clone()),
    };
    let found = desk.store.activity(&cluster, &asked.request).await?;
    // One that has no record is about no namespace.
    let is_shown = |found: &RequestActivity| {
        only.is_none_or(|namespace| found.records.iter().any(|record| FoundBy::of(record).places.contains(namespace)))
    };
    let shown = found.filter(is_shown);
    let question = format!("request={}{}", asked.request, if asked.lines { "&format=jsonl" } else { "" });
    let rows = shown.as_ref().map_or(0, |found| found.rows.len());
    desk.note(&ArchiveRead { rows, ..noted::of(user, ACTIVITY, only, question) }).await?;
    if asked.lines {
        return Ok(lines(desk.store, shown.map(|found| (found.cluster, found.request))));
    }
    let items: Vec<Value> = shown.into_iter().map(activity).collect();
    Ok(listed("ActivityList", &items))
}

/// The events of a request that are kept as they are, if it is one that is shown; a page at a time is in memory.
fn lines(store: ArchiveStore, of: Option<(String, String)>) -> Response {
    let start = of.map(|(cluster, request)| (store, cluster, request, 0));
    let pages = stream::try_unfold(start, async |way| {
        let Some((store, cluster, request, after)) = way else { return Ok::<_, StoreError>(None) };
        let (lines, next) = store.audit_lines(&cluster, &request, after).await?;
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        Ok(Some((text, next.map(|next| (store, cluster, request, next)))))
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(pages)).into_response()
}

fn listed(kind: &str, items: &[Value]) -> Response {
    answer::json(json!({ "apiVersion": version(), "kind": kind, "metadata": {}, "items": items }).to_string())
}

fn activity(found: RequestActivity) -> Value {
    let about = found.records.into_iter().next().map(|record| record.request);
    let (namespace, name) = about.map(|about| (about.namespace, about.name)).unzip();
    let [open, open_beside] = found.open;
    json!(ToldActivity {
        cluster: found.cluster,
        request: found.request,
        namespace,
        name,
        known: found.verdict.used,
        why: found.verdict.to_string(),
        whole: found.unseen.is_none(),
        unseen: found.unseen.map(|unseen| unseen.to_string()),
        count: found.used,
        open,
        open_beside,
        rows: found.rows.into_iter().map(ToldRow::from).collect(),
    })
}

fn finding(found: WriteFinding) -> Value {
    json!(ToldFinding::of(found.cluster, found.write, found.why))
}
