//! Requests that may still have something to be told, and what comes next of each on a route.
//!
//! Owns the order within a request: what its history says first, then what time brought, then that it is gone. It must make no
//! call and must not know whether anything was taken: it asks the [`NoticeLedger`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::ledger::{GUARD, NoticeLedger};
use super::pending::WaitingNotice;
use super::routes::NoticeRoute;
use crate::api::request::AccessRequest;
use crate::core::lifecycle::break_glass;
use crate::core::notice::{self, Foresight, Notice, NoticeEvent};

/// A request as it was last seen.
#[derive(Debug)]
struct NoticedLife {
    request: AccessRequest,
    /// Which watch it was seen by.
    watch: usize,
    /// Since when it is known to be deleted.
    gone: Option<Timestamp>,
}

/// Requests that may still have something to be told.
#[derive(Debug)]
pub struct NoticedLives {
    foresight: Foresight,
    requests: BTreeMap<String, NoticedLife>,
    /// Of the requests that wait for the cluster's guard, what each would tell.
    unguarded: BTreeMap<String, Notice>,
}

impl NoticedLives {
    /// None yet. `foresight` says how early time brings a notice.
    pub fn new(foresight: Foresight) -> Self {
        Self { foresight, requests: BTreeMap::new(), unguarded: BTreeMap::new() }
    }

    /// A request was seen by this watch.
    pub fn saw(&mut self, uid: &str, request: AccessRequest, watch: usize, now: Timestamp) {
        let by_time = notice::by_time(&request, self.foresight, now);
        match by_time.into_iter().find(|notice| notice.event == NoticeEvent::GuardMissing) {
            Some(missing) => drop(self.unguarded.insert(uid.to_owned(), missing)),
            None => drop(self.unguarded.remove(uid)),
        }
        self.requests.insert(uid.to_owned(), NoticedLife { request, watch, gone: None });
    }

    /// A request is deleted. What is left to tell of it is told of what was last seen.
    pub fn is_gone(&mut self, uid: &str, now: Timestamp) {
        self.unguarded.remove(uid);
        if let Some(life) = self.requests.get_mut(uid) {
            life.gone = life.gone.or(Some(now));
        }
    }

    /// Requests of a watch that are not among those that it listed: they were deleted unseen.
    pub fn missing(&self, watch: usize, listed: &BTreeSet<String>) -> Vec<String> {
        let of_watch = self.requests.iter().filter(|(uid, life)| life.watch == watch && !listed.contains(*uid));
        of_watch.filter(|(_, life)| life.gone.is_none()).map(|(uid, _)| uid.clone()).collect()
    }

    /// What is to be told next of a request on a route.
    pub fn next(&self, uid: &str, route: &NoticeRoute, ledger: &NoticeLedger, now: Timestamp) -> Option<WaitingNotice> {
        let life = self.requests.get(uid)?;
        let from = ledger.first_due(&route.name, &life.request, uid);
        let history = notice::of_history(&life.request, from).into_iter();
        let history = history.map(|(index, notice)| WaitingNotice { notice, index: Some(index) });
        let by_time = notice::by_time(&life.request, self.foresight, now).into_iter().filter(|notice| {
            // The missing guard is told once for all requests.
            notice.event != NoticeEvent::GuardMissing && ledger.is_due(&route.name, uid, notice)
        });
        let waiting = history.chain(by_time.map(|notice| WaitingNotice { notice, index: None }));
        let next = waiting.into_iter().find(|waiting| route.carries(&waiting.notice) && life.matters(&waiting.notice));
        next.or_else(|| life.deletion(uid, route, ledger))
    }

    /// What is to be told on a route of the cluster's guard: that it is missing, once for as long as any request waits for it.
    pub fn next_of_guard(&self, route: &NoticeRoute, ledger: &NoticeLedger) -> Option<WaitingNotice> {
        if ledger.has_told(&route.name, GUARD) {
            return None;
        }
        let earliest = self.unguarded.iter().min_by(|(a, of_a), (b, of_b)| (of_a.at, a).cmp(&(of_b.at, b)));
        let notice = earliest.map(|(_, notice)| notice.clone()).filter(|notice| route.carries(notice))?;
        Some(WaitingNotice { notice, index: None })
    }

    /// Whether no request waits for the guard.
    pub fn is_guarded(&self) -> bool {
        self.unguarded.is_empty()
    }

    /// When time brings the next notice of a request.
    pub fn next_by_time(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        let life = self.requests.get(uid).filter(|life| life.gone.is_none())?;
        notice::next_by_time(&life.request, self.foresight, now)
    }

    /// Whether nothing more can happen to a request that would be told: it is gone, or over and reviewed.
    pub fn is_settled(&self, uid: &str, now: Timestamp) -> bool {
        self.requests.get(uid).is_none_or(|life| {
            let over = life.request.is_over() && !break_glass::is_unreviewed(&life.request);
            life.gone.is_some() || (over && self.next_by_time(uid, now).is_none())
        })
    }

    /// Whether something of a request may be left to tell.
    pub fn has(&self, uid: &str) -> bool {
        self.requests.contains_key(uid)
    }

    /// Whether a request is gone.
    pub fn was_deleted(&self, uid: &str) -> bool {
        self.requests.get(uid).is_some_and(|life| life.gone.is_some())
    }

    /// Nothing of a request is left to tell. It comes back when it is seen again.
    pub fn forget(&mut self, uid: &str) {
        self.requests.remove(uid);
        self.unguarded.remove(uid);
    }

    /// The UIDs of all.
    pub fn uids(&self) -> Vec<String> {
        self.requests.keys().cloned().collect()
    }
}

impl NoticedLife {
    /// Whether a notice still tells somebody something.
    fn matters(&self, notice: &Notice) -> bool {
        match self.gone {
            // Nobody can act on what is gone; that there was an emergency stays news.
            Some(_) => !notice.event.calls_for_action() || notice.event == NoticeEvent::BreakGlass,
            None => !notice::is_pointless(notice, &self.request),
        }
    }

    /// That the request was deleted before its end, for a route that has told something of it: whoever heard that it waits must
    /// hear that it does not, whatever else the route carries.
    fn deletion(&self, uid: &str, route: &NoticeRoute, ledger: &NoticeLedger) -> Option<WaitingNotice> {
        let notice = notice::deleted(&self.request, self.gone?)?;
        let heard = ledger.has_told(&route.name, uid) && ledger.is_due(&route.name, uid, &notice);
        heard.then_some(WaitingNotice { notice, index: None })
    }
}

#[cfg(test)]
mod tests;
