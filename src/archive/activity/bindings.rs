//! Where the last uses of bindings are kept that Daypass did not make, and since when one that is not there was not used.
//!
//! Owns the statements, the key of a row, and how many rows there are at most: the oldest go first, and from then on nothing is
//! known of the time before. What a use is, is for `core::activity::bindings`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::tables::{FoundRow, listed, micros, text, text_value, time};
use crate::api::record::digest;
use crate::api::request::BindingKind;
use crate::archive::store::search::{BoundValue, Statement, statement};
use crate::core::activity::bindings::{BindingUse, PRECISION};
use crate::core::activity::reason::NamedBinding;
use crate::core::activity::told::ToldBindings;
use crate::core::activity::verdict::UnknownUse;
use crate::core::record::keeping::{ACTIVITY_DAYS, kept_since};

/// Most rows of a cluster: a binding and a user each.
pub const MOST_USES: i64 = 20_000;

/// What a row is known by: all of it but the time.
fn key(one: &BindingUse) -> String {
    let by = one.by.as_ref().map(|by| (by.kind, &by.namespace, &by.name));
    digest(json!([by, one.user]).to_string().as_bytes())
}

/// Asks when these bindings were last used, by key: key, hour.
pub fn known_uses(cluster: &str, uses: &BTreeSet<BindingUse>) -> Vec<Statement> {
    let keys: BTreeSet<String> = uses.iter().map(key).collect();
    let sql = "SELECT key, hour FROM binding_use WHERE cluster = $1 AND key IN (?)";
    listed(sql, cluster, keys.iter().map(String::as_str))
}

/// What is to be written for uses, by the answers to [`known_uses`]: those that are later than what is there. Where there are new
/// ones, there may be too many.
pub fn keep_uses(cluster: &str, uses: BTreeSet<BindingUse>, there: &[FoundRow]) -> Vec<Statement> {
    let there: HashMap<&str, Option<Timestamp>> = there.iter().map(|row| (text(row, 0), time(row, 1))).collect();
    let mut last: BTreeMap<String, BindingUse> = BTreeMap::new();
    for one in uses {
        let key = key(&one);
        if last.get(&key).is_none_or(|before| before.hour < one.hour) {
            last.insert(key, one);
        }
    }
    last.retain(|key, one| there.get(key.as_str()).is_none_or(|before| *before < Some(one.hour)));
    let has_new = last.keys().any(|key| !there.contains_key(key.as_str()));
    let mut writes: Vec<Statement> = last.iter().map(|(key, one)| keep(cluster, key, one)).collect();
    if has_new {
        writes.extend(bound(cluster));
    }
    writes
}

fn keep(cluster: &str, key: &str, one: &BindingUse) -> Statement {
    let sql = "INSERT INTO binding_use (cluster, key, kind, namespace, name, username, hour)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (cluster, key) DO UPDATE SET hour = excluded.hour";
    let (kind, namespace, name) = match &one.by {
        Some(by) => (word(by.kind), by.namespace.as_deref().unwrap_or_default(), by.name.as_str()),
        None => ("", "", ""),
    };
    // PostgreSQL has no zero character, and who is called so must not keep a delivery back.
    let user = one.user.replace('\0', "\u{fffd}");
    let texts = [cluster, key, kind, namespace, name, &user].map(text_value);
    statement(sql, texts.into_iter().chain([micros(one.hour)]))
}

/// Lets the oldest rows go that are too many, and forgets as much of the time.
fn bound(cluster: &str) -> [Statement; 2] {
    let one_too_many = "(SELECT hour FROM binding_use WHERE cluster = $1 ORDER BY hour DESC LIMIT 1 OFFSET $2)";
    let later =
        format!("UPDATE binding_since SET at = {one_too_many} + $3 WHERE cluster = $1 AND at < {one_too_many} + $3");
    let fewer = format!("DELETE FROM binding_use WHERE cluster = $1 AND hour <= {one_too_many}");
    let values = || [text_value(cluster), BoundValue::Number(MOST_USES)];
    let hour = i64::try_from(PRECISION.as_micros()).unwrap_or_default();
    [statement(&later, values().into_iter().chain([BoundValue::Number(hour)])), statement(&fewer, values())]
}

/// Keeps that uses are looked for from now on, unless they were before.
pub fn keep_since(cluster: &str, now: Timestamp) -> Statement {
    let sql = "INSERT INTO binding_since (cluster, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    statement(sql, [text_value(cluster), micros(now)])
}

/// Since when uses are looked for in a cluster: time.
pub fn since(cluster: &str) -> Statement {
    statement("SELECT at FROM binding_since WHERE cluster = $1", [text_value(cluster)])
}

/// All uses of a cluster: kind, namespace, name, user, hour.
pub fn all_uses(cluster: &str) -> Statement {
    let sql = "SELECT kind, namespace, name, username, hour FROM binding_use WHERE cluster = $1
        ORDER BY kind, namespace, name, username";
    statement(sql, [text_value(cluster)])
}

/// What is told of them now; `heard`: since when all audit logs arrive, or why not. Of the time before uses are kept, nothing is
/// known.
pub fn told(
    cluster: &str,
    heard: Result<Timestamp, UnknownUse>,
    since: &[FoundRow],
    uses: &[FoundRow],
    now: Timestamp,
) -> ToldBindings {
    // Before the first mark of the canary nothing is heard.
    let looked_for = since.first().and_then(|row| time(row, 0)).ok_or(UnknownUse::Unheard);
    let both = heard.and_then(|heard| Ok(heard.max(looked_for?).max(kept_since(ACTIVITY_DAYS, now))));
    let read = |row: &FoundRow| {
        let by = kind(text(row, 0)).map(|kind| NamedBinding {
            kind,
            namespace: Some(text(row, 1).to_owned()).filter(|namespace| !namespace.is_empty()),
            name: text(row, 2).to_owned(),
        });
        Some(BindingUse { by, user: text(row, 3).to_owned(), hour: time(row, 4)? }.into())
    };
    ToldBindings {
        cluster: cluster.to_owned(),
        since: both.ok(),
        unheard: both.err().map(|why| why.to_string()),
        uses: uses.iter().filter_map(read).collect(),
    }
}

fn word(kind: BindingKind) -> &'static str {
    match kind {
        BindingKind::RoleBinding => "RoleBinding",
        BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
    }
}

fn kind(text: &str) -> Option<BindingKind> {
    [BindingKind::RoleBinding, BindingKind::ClusterRoleBinding].into_iter().find(|kind| word(*kind) == text)
}
