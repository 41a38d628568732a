//! What was told, so that a restart neither forgets nor repeats: per request and route how many entries of its history were dealt
//! with, which notices of time were told, and how the place knows the message.
//!
//! Owns the data of the ConfigMap and what may be left out of it. It must not write: [`super::state`] does. A notice counts as
//! told when that is written; a crash between the answer of a place and the write tells it again under the same id. A route
//! tells what happened since it carries what it carries: a new one, or one that was changed, does not tell the past.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use super::providers::Posted;
use super::routes::{NoticeRoute, RouteFilter};
use crate::api::request::AccessRequest;
use crate::core::notice::Notice;

/// Since when history counts: what happened before, and is not noted, was dealt with or is older than the first start.
const SINCE: &str = "since";
/// The last notices that no place took.
const DEAD: &str = "dead";
/// Since when each route carries what it carries.
const ROUTES: &str = "routes";
/// What stands for the guard among the requests.
pub const GUARD: &str = "guard";
/// How long after it an entry of a history may still arrive here.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// How many notices that no place took are kept to be looked at.
const MOST_DEAD: usize = 50;
/// How many notices of time are noted for a request and route: each end and each review is one.
const MOST_TIMES: usize = 32;
/// How many bytes of data are stored: a ConfigMap holds 1 MiB, and its other fields need some.
const MOST_BYTES: usize = 1_000_000;

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

/// Since when a route carries what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RouteBegin {
    since: Timestamp,
    carries: RouteFilter,
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
    routes: BTreeMap<String, RouteBegin>,
    requests: BTreeMap<String, ToldRequest>,
    dead: Vec<DeadNotice>,
    /// Keys of the data that differ from what is stored.
    changed: BTreeSet<String>,
    /// How many bytes each request has of what is stored.
    stored: BTreeMap<String, usize>,
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
        let dead = read_as(data, DEAD).unwrap_or_default();
        let routes = read_as(data, ROUTES).unwrap_or_default();
        let uids = data.keys().filter(|key| ![SINCE, DEAD, ROUTES].contains(&key.as_str()));
        let requests = uids.filter_map(|uid| Some((uid.clone(), read_as(data, uid)?))).collect();
        let stored = data.iter().map(|(key, text)| (key.clone(), key.len() + text.len())).collect();
        Self { since, routes, requests, dead, changed, stored }
    }

    /// These are the routes from now on. One that was not there, or that carried something else, begins now.
    pub fn begin(&mut self, routes: &[NoticeRoute], now: Timestamp) {
        let begins = routes.iter().map(|route| {
            let known = self.routes.get(&route.name).filter(|known| known.carries == route.filter);
            let since = known.map_or(now, |known| known.since);
            (route.name.clone(), RouteBegin { since, carries: route.filter.clone() })
        });
        let begins: BTreeMap<String, RouteBegin> = begins.collect();
        if begins != self.routes {
            self.routes = begins;
            self.changed.insert(ROUTES.to_owned());
        }
    }

    /// After which instant what happens is told on a route.
    fn since(&self, route: &str) -> Timestamp {
        self.routes.get(route).map_or(self.since, |begin| begin.since.max(self.since))
    }

    /// The index of the first entry of a request's history that this route has not dealt with.
    pub fn first_due(&self, route: &str, request: &AccessRequest, uid: &str) -> usize {
        let told = self.by_route(route, uid);
        // What it has dealt with of a request says more than a time that others moved.
        let since = match (told, self.routes.get(route)) {
            (Some(told), None) => return told.entries,
            (Some(_), Some(begin)) => begin.since,
            (None, _) => self.since(route),
        };
        let history = request.status.as_ref().map_or(&[][..], |status| &status.history);
        let begins = history.iter().position(|entry| entry.at.0 > since).unwrap_or(history.len());
        begins.max(told.map_or(0, |told| told.entries))
    }

    /// Whether a notice of time is new and was not told.
    pub fn is_due(&self, route: &str, uid: &str, notice: &Notice) -> bool {
        let told = self.by_route(route, uid).is_some_and(|told| told.others.contains(&notice.id));
        !told && notice.at > self.since(route)
    }

    /// Whether a route has told anything of a request.
    pub fn has_told(&self, route: &str, uid: &str) -> bool {
        self.by_route(route, uid).is_some()
    }

    /// How the place knows the message about a request.
    pub fn posted(&self, route: &str, uid: &str) -> Option<&Posted> {
        self.by_route(route, uid)?.posted.as_ref()
    }

    fn by_route(&self, route: &str, uid: &str) -> Option<&ToldByRoute> {
        self.requests.get(uid)?.routes.get(route)
    }

    /// A route has dealt with this notice: with the entry of this index and all before it, or with a notice of another kind.
    /// `posted` is how the place knows the message. The first one stays: what answers to it in a thread is another message.
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
        by_route.posted = by_route.posted.take().or(posted);
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

    /// What to store, as the data of a merge patch (RFC 7396); none when nothing has changed. Where it would be more than a
    /// ConfigMap holds, requests that are over go first, then those of which something was told longest ago: they stay known
    /// here, and after a restart something of them may be told again.
    pub fn changes(&self) -> Option<Value> {
        if self.changed.is_empty() {
            return None;
        }
        let mut sizes = self.stored.clone();
        let mut changes = serde_json::Map::new();
        for key in &self.changed {
            let text = self.text(key);
            match &text {
                Some(text) => sizes.insert(key.clone(), key.len() + text.len()),
                None => sizes.remove(key),
            };
            changes.insert(key.clone(), text.map_or(Value::Null, Value::String));
        }
        for key in self.too_much(&sizes) {
            changes.insert(key, Value::Null);
        }
        Some(changes.into())
    }

    /// What stands under a key; none where nothing does.
    fn text(&self, key: &str) -> Option<String> {
        match key {
            SINCE => Some(self.since.to_string()),
            DEAD => Some(json!(self.dead).to_string()),
            ROUTES => Some(json!(self.routes).to_string()),
            uid => self.requests.get(uid).map(|told| json!(told).to_string()),
        }
    }

    /// Requests to leave out of what is stored, so that the rest fits.
    fn too_much(&self, sizes: &BTreeMap<String, usize>) -> Vec<String> {
        let mut excess = sizes.values().sum::<usize>().saturating_sub(MOST_BYTES);
        if excess == 0 {
            return Vec::new();
        }
        let mut of_requests: Vec<_> =
            sizes.iter().filter_map(|(key, size)| Some((key, size, self.requests.get(key)?))).collect();
        of_requests.sort_by_key(|(_, _, told)| (!told.over, told.last));
        let mut left_out = Vec::new();
        for (key, size, told) in of_requests {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(*size);
            left_out.push(key.clone());
            if !told.over {
                warn!(
                    namespace = told.namespace,
                    request = told.name,
                    "too much is open for one ConfigMap, so after a restart something of this may be told again"
                );
            }
        }
        left_out
    }

    /// These changes are stored.
    pub fn stored(&mut self, changes: &Value) {
        for (key, value) in changes.as_object().into_iter().flatten() {
            match value.as_str() {
                Some(text) => self.stored.insert(key.clone(), key.len() + text.len()),
                None => self.stored.remove(key),
            };
        }
        self.changed.clear();
    }

    /// How many bytes are stored.
    pub fn bytes(&self) -> usize {
        self.stored.values().sum()
    }
}

/// What stands under a key of the data. What cannot be read is taken for nothing, and told of.
fn read_as<T: serde::de::DeserializeOwned>(data: &BTreeMap<String, String>, key: &str) -> Option<T> {
    let read = serde_json::from_str(data.get(key)?);
    read.map_err(|error| warn!(key, %error, "what was told cannot be read here, and is taken for nothing")).ok()
}

#[cfg(test)]
mod tests;
