//! What changed between two looks, as lines for a log: a finding appeared, or is gone.
//!
//! Owns their schema and what makes two findings the same. Additions to a line keep its schema; a change of meaning is a new
//! one. A finding that is only worse or better than before is the same.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::finding::InsightFinding;
use crate::api::record::digest;
use crate::api::word::Vocabulary;

/// The schema of a line.
pub const SCHEMA: &str = "daypass.dev/finding/v1";

/// What was found at a look, each by its identity.
pub type KnownFindings = BTreeMap<String, InsightFinding>;

/// The findings by what makes each the same at every look: kind, object and who.
pub fn known(found: &[InsightFinding]) -> KnownFindings {
    found.iter().map(|one| (identity(one), one.clone())).collect()
}

/// What makes a finding the same at every look.
pub fn identity(found: &InsightFinding) -> String {
    let who = found.who.as_ref().map(ToString::to_string).unwrap_or_default();
    digest(json!([found.kind.as_str(), found.about.to_string(), who]).to_string().as_bytes())
}

/// A line for each finding that was not there before, and for each that is gone, as JSON. Who begins to look knows of none, so
/// that all are told again; their identities are the same.
pub fn lines(before: &KnownFindings, after: &KnownFindings, cluster: &str, at: Timestamp) -> Vec<String> {
    let new =
        after.iter().filter(|(id, _)| !before.contains_key(*id)).map(|(id, one)| line(id, one, "Found", cluster, at));
    let gone =
        before.iter().filter(|(id, _)| !after.contains_key(*id)).map(|(id, one)| line(id, one, "Gone", cluster, at));
    new.chain(gone).collect()
}

fn line(id: &str, found: &InsightFinding, event: &str, cluster: &str, at: Timestamp) -> String {
    let mut line = json!({
        "schema": SCHEMA,
        "id": id,
        "event": event,
        "cluster": cluster,
        "at": at.to_string(),
        "kind": found.kind.as_str(),
        "severity": found.severity.as_str(),
        "about": { "kind": found.about.kind.as_str(), "name": found.about.name },
        "says": found.kind.sentence(),
        "why": found.why(),
        "accepted": found.is_accepted(),
    });
    let more = [
        ("/about", "namespace", json!(found.about.namespace)),
        ("", "who", json!(found.who)),
        ("", "holder", json!(found.holder.map(|holder| holder.as_str()))),
    ];
    for (place, key, value) in more.into_iter().filter(|(.., value)| *value != Value::Null) {
        if let Some(Value::Object(object)) = line.pointer_mut(place) {
            object.insert(key.to_owned(), value);
        }
    }
    line.to_string()
}
