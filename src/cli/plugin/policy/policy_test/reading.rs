//! Reads PolicyTest documents: their cases, with the requests that they name, and what is said of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PolicyTest;
use super::deciding::{Earlier, TestCase, TestCluster};
use crate::api::request::{AccessRequest, AccessRequestStatus, Review, RoleRisk};
use crate::api::risk::RiskLevel;
use crate::api::subject::Identity;
use crate::cli::plugin::error::InvalidInput;
use crate::cli::plugin::manifests::{self, Document};
use crate::core::decision::protected::USUAL_RELEASE;
use crate::core::decision::served::ServedNamespaces;
use crate::core::model::duration;
use crate::core::model::namespaces::{Namespace, Namespaces};

/// When a case is decided that does not say: a Monday noon.
const AT: &str = "2026-01-05T12:00:00Z";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: Value,
    #[serde(default)]
    namespaces: Vec<Value>,
    /// Namespaces that the cluster's Daypass is limited to, as in the values of its chart. Left out: it serves all.
    #[serde(default)]
    watch_namespaces: BTreeSet<String>,
    /// Namespace that the cluster's Daypass is installed in. Left out: daypass-system.
    release_namespace: Option<String>,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamespace {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    /// A request, or `NAMESPACE/NAME` of one in the files.
    request: Value,
    /// Who asks, when the request does not say.
    requester: Option<Identity>,
    /// Requests made before this one, oldest first.
    #[serde(default)]
    before: Vec<RawEarlier>,
    #[serde(default)]
    reviews: BTreeMap<String, Value>,
    #[serde(default)]
    escalated: Vec<String>,
    /// How much harm the role can do, as the controller would read it from the cluster.
    risk: Option<RiskLevel>,
    at: Option<Time>,
    /// How long before `at` the request was made. Left out: not at all.
    waited: Option<String>,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEarlier {
    request: Value,
    requester: Option<Identity>,
    /// Whether its access has just ended; otherwise it runs or waits.
    #[serde(default)]
    over: bool,
    /// When its access began. Left out: at `at`, or so early that it has just ended.
    from: Option<Time>,
    /// How much harm its role can do.
    risk: Option<RiskLevel>,
}

impl PolicyTest {
    /// Reads a document. Its cases may name requests that are among `documents`.
    ///
    /// # Errors
    /// With file and path, when it is no PolicyTest, has a field that there is not, or names no request.
    pub fn read(document: &Document, documents: &[Document]) -> Result<Self, InvalidInput> {
        let from = &document.from;
        let raw: Raw = part(from, "PolicyTest", &document.value)?;
        let mut namespaces = Namespaces::new();
        for (index, value) in raw.namespaces.iter().enumerate() {
            let raw: RawNamespace = part(from, &format!("namespaces[{index}]"), value)?;
            namespaces.insert(raw.name, Namespace { labels: raw.labels, ..Namespace::default() });
        }
        let cases = raw.cases.iter().enumerate();
        let cases = cases.map(|(index, value)| TestCase::read(from, &format!("cases[{index}]"), value, documents));
        let reach = ServedNamespaces::of(raw.watch_namespaces);
        Ok(Self {
            from: from.clone(),
            place: TestCluster {
                namespaces: reach.known(namespaces),
                reach,
                release: raw.release_namespace.unwrap_or_else(|| USUAL_RELEASE.to_owned()),
            },
            cases: cases.collect::<Result<_, _>>()?,
        })
    }
}

fn part<T: DeserializeOwned>(from: &str, path: &str, value: &Value) -> Result<T, InvalidInput> {
    serde_json::from_value(value.clone()).map_err(|error| InvalidInput::one(from, format!("{path}: {error}")))
}

/// The request of a case, written there or named, made by `requester` at a time.
fn request(
    from: &str,
    value: &Value,
    requester: Option<Identity>,
    made: Timestamp,
    documents: &[Document],
) -> Result<AccessRequest, InvalidInput> {
    let mut request: AccessRequest = match value.as_str() {
        None => manifests::read(from, "AccessRequest", value)?,
        Some(name) => named(name, documents).ok_or_else(|| {
            InvalidInput::one(
                from,
                format!("no AccessRequest {name} is in these files: name one as NAMESPACE/NAME, or write it here"),
            )
        })??,
    };
    request.spec.requester = requester.or(request.spec.requester);
    request.metadata.creation_timestamp.get_or_insert(Time(made));
    Ok(request)
}

fn on_record(level: Option<RiskLevel>) -> Option<RoleRisk> {
    level.map(|level| RoleRisk { level: level.into(), reasons: Vec::new() })
}

fn named(name: &str, documents: &[Document]) -> Option<Result<AccessRequest, InvalidInput>> {
    let (namespace, name) = name.split_once('/')?;
    let is_it = |document: &&Document| {
        let metadata = &document.value["metadata"];
        // One that the API server names is meant by the part that is its own.
        let own = metadata["generateName"].as_str().map(|prefix| prefix.trim_end_matches('-'));
        let is_named = metadata["name"] == name || (metadata["name"].is_null() && own == Some(name));
        document.is("AccessRequest") && metadata["namespace"] == namespace && is_named
    };
    documents.iter().find(is_it).map(Document::request)
}

impl TestCase {
    fn read(from: &str, path: &str, value: &Value, documents: &[Document]) -> Result<Self, InvalidInput> {
        let raw: RawCase = part(from, path, value)?;
        let noon = || AT.parse::<Timestamp>().map_err(|error| InvalidInput::one(AT, error));
        let at = raw.at.map_or_else(noon, |at| Ok(at.0))?;
        let waited = raw.waited.as_deref().map(duration::parse).transpose();
        let waited =
            waited.map_err(|error| InvalidInput::one(from, format!("{path}.waited: {error}")))?.unwrap_or_default();
        let made =
            at.checked_sub(waited).map_err(|error| InvalidInput::one(from, format!("{path}.waited: {error}")))?;
        let review = |(who, value): (&String, &Value)| {
            Ok((who.clone(), part::<Review>(from, &format!("{path}.reviews.{who}"), value)?))
        };
        let reviews = raw.reviews.iter().map(review).collect::<Result<_, InvalidInput>>()?;
        let earlier = |(index, earlier): (usize, RawEarlier)| {
            let from = format!("{from}: {path}.before[{index}].request");
            let mut request = request(&from, &earlier.request, earlier.requester, at, documents)?;
            request.status = Some(AccessRequestStatus { risk: on_record(earlier.risk), ..Default::default() });
            Ok(Earlier { request, over: earlier.over, from: earlier.from.map(|from| from.0) })
        };
        let before = raw.before.into_iter().enumerate().map(earlier).collect::<Result<_, InvalidInput>>()?;
        let mut request = request(&format!("{from}: {path}.request"), &raw.request, raw.requester, made, documents)?;
        let risk = on_record(raw.risk);
        request.status = Some(AccessRequestStatus { reviews, escalated: raw.escalated, risk, ..Default::default() });
        Ok(Self { name: raw.name, request, before, at, expect: part(from, &format!("{path}.expect"), &raw.expect)? })
    }
}
