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
use serde_json::{Map, Value, json};

use super::super::activity::answers::{RequestActivity, WriteFinding};
use super::super::intake::FoundBy;
use super::super::store::{ArchiveStore, StoreError};
use super::super::who::readers::{ACTIVITY, FINDINGS};
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::query::AskedActivity;
use super::reading::{admit, version};
use crate::core::activity::summary::{RowKind, SummaryRow};
use crate::runtime::clock::Clock;

/// `GET .../activity?request=UID`: what was done with the grants of a request, in any cluster.
pub async fn everywhere(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, ACTIVITY, None).await?;
    list(desk, AskedActivity::read(&query.unwrap_or_default())?, None).await
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
    admit(&desk, &by, &headers, ACTIVITY, Some(&namespace)).await?;
    list(desk, AskedActivity::read(&query.unwrap_or_default())?, Some(&namespace)).await
}

/// `GET .../findings`: writes that no record explains, the latest first.
pub async fn findings(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, FINDINGS, None).await?;
    let items: Vec<Value> = desk.store.findings(Clock::wall().now()).await?.iter().map(finding).collect();
    Ok(listed("FindingList", &items))
}

async fn list(desk: ArchiveDesk, asked: AskedActivity, only: Option<&str>) -> Result<Response, FailedCall> {
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
    if asked.lines {
        return Ok(lines(desk.store, shown.map(|found| (found.cluster, found.request))));
    }
    let items: Vec<Value> = shown.iter().map(activity).collect();
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

fn activity(found: &RequestActivity) -> Value {
    let used = &found.used;
    let about = found.records.first().map(|record| (&record.request.namespace, &record.request.name));
    json!({
        "cluster": found.cluster,
        "request": found.request,
        "namespace": about.map(|(namespace, _)| namespace),
        "name": about.map(|(_, name)| name),
        "known": found.verdict.used().as_str(),
        "why": found.verdict.to_string(),
        "calls": used.calls,
        "refused": used.refused,
        "beside": used.standing + used.ambiguous,
        "first": used.first,
        "last": used.last,
        "open": found.open,
        "rows": found.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &SummaryRow) -> Value {
    let mut all = match &row.kind {
        RowKind::Alike(kind) => match json!(kind) {
            Value::Object(all) => all,
            _ => Map::new(),
        },
        RowKind::Others => [("others".to_owned(), json!(true))].into_iter().collect(),
    };
    all.insert("calls".to_owned(), json!(row.calls));
    all.insert("first".to_owned(), json!(row.first));
    all.insert("last".to_owned(), json!(row.last));
    if !row.claimed.is_empty() {
        all.insert("claimed".to_owned(), json!(row.claimed));
    }
    Value::Object(all)
}

fn finding(found: &WriteFinding) -> Value {
    let write = &found.write;
    json!({
        "cluster": found.cluster,
        "at": write.at,
        "why": format!("{:?}", found.why),
        "message": found.why.to_string(),
        "user": write.deed.user,
        "impersonated": write.deed.impersonated,
        "address": write.deed.address,
        "verb": write.deed.verb,
        "group": write.deed.group,
        "resource": write.deed.resource,
        "namespace": write.deed.namespace,
        "name": write.name,
        "request": write.request,
    })
}
