//! What was told, so that a restart neither forgets nor repeats: per request and route how many entries of its history were dealt
//! with, which notices of time were told, and how the place knows the message.
//!
//! Owns the data of the ConfigMap and what may be left out of it. It must not write: [`super::state`] does. A notice counts as
//! told when that is written; a crash between the answer of a place and the write tells it again under the same id.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use super::providers::Posted;
use crate::api::request::AccessRequest;
use crate::core::notice::Notice;

/// Since when history counts: what happened before, and is not noted, was dealt with or is older than the first start.
const SINCE: &str = "since";
/// The last notices that no place took.
const DEAD: &str = "dead";
/// What stands for the guard among the requests.
pub const GUARD: &str = "guard";
/// How long after it an entry of a history may still arrive here.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// How many notices that no place took are kept to be looked at.
const MOST_DEAD: usize = 50;
/// How many notices of time are noted for a request and route: each end and each review is one.
const MOST_TIMES: usize = 32;

/// What was told of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ToldRequest {
    namespace: String,
    name: String,
    /// Whether it was over, reviewed and wholly told when this was noted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
    /// When its last entry happened that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    routes: BTreeMap<String, ToldByRoute>,
}

/// What a route told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ToldByRoute {
    /// How many entries of its history were dealt with.
    #[serde(default)]
    entries: usize,
    /// Ids of other notices that were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    posted: Option<Posted>,
}

/// A notice that no place took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DeadNotice {
    id: String,
    route: String,
    at: Timestamp,
    why: String,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeLedger {
    since: Timestamp,
    requests: BTreeMap<String, ToldRequest>,
    dead: Vec<DeadNotice>,
    /// Keys of the data that differ from what is stored.
    changed: BTreeSet<String>,
}

impl NoticeLedger {
    /// What the data of the ConfigMap say. Without any, all that happened until now is old.
    pub fn read(data: &BTreeMap<String, String>, now: Timestamp) -> Self {
        let mut changed = BTreeSet::new();
        let since = data.get(SINCE).and_then(|since| since.parse().ok());
        let since = since.unwrap_or_else(|| {
            changed.insert(SINCE.to_owned());
            now
        });
        let dead = data.get(DEAD).and_then(|dead| serde_json::from_str(dead).ok()).unwrap_or_default();
        let mut requests = BTreeMap::new();
        for (uid, text) in data.iter().filter(|(key, _)| ![SINCE, DEAD].contains(&key.as_str())) {
            match serde_json::from_str(text) {
                Ok(told) => {
                    requests.insert(uid.clone(), told);
                }
                Err(error) => {
                    warn!(key = uid, %error, "what was told of a request cannot be read, and is taken for nothing")
                }
            }
        }
        Self { since, requests, dead, changed }
    }

    /// The index of the first entry of a request's history that this route has not dealt with.
    pub fn first_due(&self, route: &str, request: &AccessRequest, uid: &str) -> usize {
        if let Some(told) = self.by_route(route, uid) {
            return told.entries;
        }
        let history = request.status.as_ref().map_or(&[][..], |status| &status.history);
        history.iter().position(|entry| entry.at.0 > self.since).unwrap_or(history.len())
    }

    /// Whether this notice of time was told.
    pub fn was_told(&self, route: &str, uid: &str, notice: &Notice) -> bool {
        self.by_route(route, uid).is_some_and(|told| told.others.contains(&notice.id))
    }

    /// How the place knows the message about a request.
    pub fn posted(&self, route: &str, uid: &str) -> Option<&Posted> {
        self.by_route(route, uid)?.posted.as_ref()
    }

    fn by_route(&self, route: &str, uid: &str) -> Option<&ToldByRoute> {
        self.requests.get(uid)?.routes.get(route)
    }

    /// A route has dealt with this notice: with the entry of this index and all before it, or with a notice of another kind.
    /// `posted` is how the place knows the message from now on, where that is new.
    pub fn dealt_with(
        &mut self,
        route: &str,
        uid: &str,
        notice: &Notice,
        index: Option<usize>,
        posted: Option<Posted>,
    ) {
        let told = self.requests.entry(uid.to_owned()).or_default();
        told.namespace.clone_from(&notice.request.namespace);
        told.name.clone_from(&notice.request.name);
        let by_route = told.routes.entry(route.to_owned()).or_default();
        match index {
            Some(index) => {
                by_route.entries = by_route.entries.max(index + 1);
                told.last = told.last.max(Some(notice.at));
            }
            None => {
                by_route.others.push(notice.id.clone());
                let excess = by_route.others.len().saturating_sub(MOST_TIMES);
                by_route.others.drain(..excess);
            }
        }
        if posted.is_some() {
            by_route.posted = posted;
        }
        self.changed.insert(uid.to_owned());
    }

    /// The place does not know the message any more.
    pub fn forget_posted(&mut self, route: &str, uid: &str) {
        if let Some(told) = self.requests.get_mut(uid).and_then(|told| told.routes.get_mut(route)) {
            told.posted = None;
            self.changed.insert(uid.to_owned());
        }
    }

    /// No place took this notice.
    pub fn bury(&mut self, route: &str, notice: &Notice, why: &str, now: Timestamp) {
        self.dead.push(DeadNotice { id: notice.id.clone(), route: route.to_owned(), at: now, why: why.to_owned() });
        let excess = self.dead.len().saturating_sub(MOST_DEAD);
        self.dead.drain(..excess);
        self.changed.insert(DEAD.to_owned());
    }

    /// Whether a request is over and reviewed, which is noted with what was told of it.
    pub fn note_over(&mut self, uid: &str, over: bool) {
        if let Some(told) = self.requests.get_mut(uid).filter(|told| told.over != over) {
            told.over = over;
            // Written with what is told next: after a restart it is seen again.
        }
    }

    /// Requests that something was told of and that were not over, by UID, namespace and name.
    pub fn open(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let open = self.requests.iter().filter(|(uid, told)| !told.over && uid.as_str() != GUARD);
        open.map(|(uid, told)| (uid.as_str(), told.namespace.as_str(), told.name.as_str()))
    }

    /// Nothing of this is told any more.
    pub fn forget(&mut self, uid: &str) {
        if self.requests.remove(uid).is_some() {
            self.changed.insert(uid.to_owned());
        }
    }

    /// Leaves out what is over and older than what may still arrive. `oldest_waiting` is when the first entry happened that
    /// waits to be told.
    pub fn leave_out(&mut self, oldest_waiting: Option<Timestamp>, now: Timestamp) {
        let until = (now - MARGIN).min(oldest_waiting.map_or(now, |at| at - SignedDuration::from_micros(1)));
        if until <= self.since {
            return;
        }
        let old = self.requests.iter().filter(|(_, told)| told.over && told.last.is_none_or(|last| last <= until));
        let old: Vec<String> = old.map(|(uid, _)| uid.clone()).collect();
        if old.is_empty() {
            return;
        }
        self.since = until;
        self.changed.insert(SINCE.to_owned());
        old.iter().for_each(|uid| self.forget(uid));
    }

    /// What to store, as the data of a merge patch (RFC 7396); none when nothing has changed.
    pub fn changes(&self) -> Option<Value> {
        if self.changed.is_empty() {
            return None;
        }
        let text = |value: Value| Value::String(value.to_string());
        let changes = self.changed.iter().map(|key| {
            let value = match key.as_str() {
                SINCE => json!(self.since),
                DEAD => text(json!(self.dead)),
                uid => self.requests.get(uid).map_or(Value::Null, |told| text(json!(told))),
            };
            (key.clone(), value)
        });
        Some(changes.collect::<serde_json::Map<String, Value>>().into())
    }

    /// The changes are stored.
    pub fn stored(&mut self) {
        self.changed.clear();
    }

    /// How many requests it has something of.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests;
