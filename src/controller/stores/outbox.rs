//! Requests whose records an archive has yet to acknowledge, and what it is known to hold.
//!
//! Nothing of it is stored: after a restart, all is asked for again. It must not call the archive: `loops::outbox` does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::packed::{PackedRequest, reference};
use crate::api::delivery::HeldChain;
use crate::api::request::AccessRequest;
use crate::core::decision::snapshot::ArchiveSight;
use crate::core::record::outbox::is_noted;

/// For how long a replica that stands by remembers requests that went: the one that leads may end before it has told of them.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// How many of them it remembers.
const MOST_REMEMBERED: usize = 10_000;

/// What has yet to be sent.
pub struct Outbox {
    settings: OutboxSettings,
    unsent: Mutex<Unsent>,
    changed: Notify,
    rested: Notify,
    /// Whether the archive answered when it was last called.
    answers: AtomicBool,
}

/// What is to be done with records.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboxSettings {
    /// Whether there is an archive.
    pub delivers: bool,
    /// For how long a request stays that is over and recorded. None: for good.
    pub retention: Option<SignedDuration>,
    /// Whether the archive hears the audit logs of the API servers.
    pub hears: bool,
}

/// A request that is gone, as it was last seen.
#[derive(Clone)]
pub struct GoneRequest {
    pub request: AccessRequest,
    /// When that was noticed.
    pub at: Timestamp,
}

#[derive(Default)]
struct Unsent {
    /// Since when each waits.
    waiting: HashMap<ObjectRef<PackedRequest>, Timestamp>,
    gone: Vec<GoneRequest>,
    /// What the archive holds, of requests that are not noted to be recorded.
    held: HashMap<String, HeldChain>,
    /// Those of these whose last record names a text that nobody has any more.
    textless: HashSet<String>,
    /// Those of which it holds something else than there is, or which it refuses.
    stuck: HashMap<ObjectRef<PackedRequest>, Timestamp>,
}

/// How far the archive is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCount {
    /// How many requests have records that it has not acknowledged.
    pub waiting: usize,
    /// Since when the first of them waits.
    pub since: Option<Timestamp>,
    /// How many of them it does not take.
    pub stuck: usize,
}

impl Outbox {
    /// With nothing in it.
    pub fn new(settings: OutboxSettings) -> Self {
        Self {
            settings,
            unsent: Mutex::default(),
            changed: Notify::new(),
            rested: Notify::new(),
            answers: AtomicBool::new(true),
        }
    }

    /// For how long a request stays that is over and recorded; none where it stays for good.
    pub fn retention(&self) -> Option<SignedDuration> {
        self.settings.retention.filter(|_| self.settings.delivers)
    }

    /// A request was seen, or stored.
    pub fn came(&self, request: &AccessRequest) {
        if !self.settings.delivers {
            return;
        }
        let at = reference(request);
        let mut unsent = self.lock();
        unsent.stuck.remove(&at);
        if is_noted(request) {
            unsent.waiting.remove(&at);
            unsent.held.remove(&request.uid().unwrap_or_default());
            unsent.textless.remove(&request.uid().unwrap_or_default());
            drop(unsent);
            self.rested.notify_one();
            return;
        }
        let Some(last) = last_of(request) else { return };
        let length = request.status.as_ref().map_or(0, |status| status.history.len()) + 1;
        let held = unsent.held.get(&request.uid().unwrap_or_default()).map(|held| held.held);
        if request.is_over() || held.and_then(|held| usize::try_from(held).ok()) != Some(length) {
            unsent.waiting.entry(at).or_insert(last);
            drop(unsent);
            self.changed.notify_one();
        }
    }

    /// A request is gone, and that is to be recorded.
    pub fn went(&self, request: &AccessRequest, at: Timestamp, leads: bool) {
        if !self.settings.delivers {
            return;
        }
        let mut unsent = self.lock();
        if !leads {
            let recent = |gone: &GoneRequest| at.duration_since(gone.at) < REMEMBERED;
            unsent.gone.retain(recent);
            if unsent.gone.len() >= MOST_REMEMBERED {
                unsent.gone.remove(0);
            }
        }
        unsent.gone.push(GoneRequest { request: request.clone(), at });
        drop(unsent);
        self.changed.notify_one();
    }

    /// Whether the request of this UID was seen to go, and that has yet to be sent.
    pub fn saw_go(&self, uid: &str) -> bool {
        self.lock().gone.iter().any(|gone| gone.request.metadata.uid.as_deref() == Some(uid))
    }

    /// A request is gone, whatever that means.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>) {
        let mut unsent = self.lock();
        unsent.waiting.remove(request);
        unsent.stuck.remove(request);
    }

    /// Waits until something waits to be sent.
    pub async fn filled(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_filled() {
                return;
            }
            changed.await;
        }
    }

    fn is_filled(&self) -> bool {
        let unsent = self.lock();
        !unsent.waiting.is_empty() || !unsent.gone.is_empty()
    }

    /// Waits until a request has come to rest that an archive holds.
    pub async fn rested(&self) {
        self.rested.notified().await;
    }

    /// Takes out up to so many requests, those first that wait for the longest time, and those that are gone.
    pub fn take(&self, most: usize) -> (Vec<(ObjectRef<PackedRequest>, Timestamp)>, Vec<GoneRequest>) {
        let mut unsent = self.lock();
        let all = unsent.gone.len();
        let gone: Vec<GoneRequest> = unsent.gone.drain(..all.min(most)).collect();
        let mut waiting: Vec<_> = unsent.waiting.iter().map(|(at, since)| (at.clone(), *since)).collect();
        waiting.sort_by_key(|(_, since)| *since);
        waiting.truncate(most - gone.len());
        for (at, _) in &waiting {
            unsent.waiting.remove(at);
        }
        (waiting, gone)
    }

    /// Puts back a request that could not be sent.
    pub fn put_back(&self, request: ObjectRef<PackedRequest>, since: Timestamp) {
        let mut unsent = self.lock();
        let known = unsent.waiting.entry(request).or_insert(since);
        *known = since.min(*known);
        drop(unsent);
        self.changed.notify_one();
    }

    /// Puts back one that is gone.
    pub fn put_back_gone(&self, gone: GoneRequest) {
        self.lock().gone.push(gone);
        self.changed.notify_one();
    }

    /// The archive does not take a request as it is now. It is tried again when it changes.
    pub fn stuck(&self, request: ObjectRef<PackedRequest>, since: Timestamp) {
        self.lock().stuck.insert(request, since);
    }

    /// What the archive holds of a request, as far as it was asked.
    pub fn held(&self, uid: &str) -> Option<HeldChain> {
        self.lock().held.get(uid).cloned()
    }

    /// What the archive says that it holds of a request.
    pub fn holds(&self, uid: &str, held: HeldChain) {
        self.lock().held.insert(uid.to_owned(), held);
    }

    /// Whether it lacks a text that the last record of a request names, and nobody can give it that.
    pub fn set_textless(&self, uid: &str, is_textless: bool) {
        let mut unsent = self.lock();
        if is_textless {
            unsent.textless.insert(uid.to_owned());
        } else {
            unsent.textless.remove(uid);
        }
    }

    /// What it holds is not asked for any more.
    pub fn forget_held(&self, uid: &str) {
        let mut unsent = self.lock();
        unsent.held.remove(uid);
        unsent.textless.remove(uid);
    }

    /// Whether the archive answers.
    pub fn answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// What is known of the archive when the request of this UID is decided; none where there is none.
    pub fn sight(&self, uid: &str) -> Option<ArchiveSight> {
        // A decision is held with the texts that it was made by, or not at all.
        let held = self.held(uid).filter(|_| !self.lock().textless.contains(uid));
        let records = held.and_then(|held| usize::try_from(held.held).ok()).unwrap_or_default();
        // The first record is no entry of the history.
        let (holds, answers) = (records.saturating_sub(1), self.answers.load(Ordering::Relaxed));
        self.settings.delivers.then_some(ArchiveSight { holds, answers })
    }

    /// How far the archive is behind.
    pub fn count(&self) -> OutboxCount {
        let unsent = self.lock();
        let since = unsent.waiting.values().chain(unsent.stuck.values()).copied();
        OutboxCount {
            waiting: unsent.waiting.len() + unsent.stuck.len() + unsent.gone.len(),
            since: since.chain(unsent.gone.iter().map(|gone| gone.at)).min(),
            stuck: unsent.stuck.len(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the last that happened to a request did.
fn last_of(request: &AccessRequest) -> Option<Timestamp> {
    let entry = request.status.as_ref().and_then(|status| status.history.last());
    entry.map(|entry| entry.at.0).or_else(|| request.creation_timestamp().map(|made| made.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_not_held_without_the_texts_that_it_was_made_by() {
        let outbox = Outbox::new(OutboxSettings { delivers: true, ..OutboxSettings::default() });
        outbox.holds("u", HeldChain { held: 3, digest: None });
        let holds = || outbox.sight("u").map(|sight| sight.holds);
        assert_eq!(holds(), Some(2));
        outbox.set_textless("u", true);
        assert_eq!(holds(), Some(0));
        outbox.set_textless("u", false);
        assert_eq!(holds(), Some(2), "it has come");
        assert_eq!(Outbox::new(OutboxSettings::default()).sight("u"), None, "there is no archive");
    }
}
