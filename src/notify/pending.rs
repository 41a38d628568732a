//! What a route has yet to tell, and when it may: in order for each request, one call at a time, later after a failure.
//!
//! Owns the order and the waits, as a machine without a clock and without connections. It must not know what a notice says.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::notice::Notice;

/// First wait after a failure; doubles each time.
const FIRST_WAIT: SignedDuration = SignedDuration::from_millis(500);
/// Longest wait after a failure.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// How often a wait is doubled at most.
const MOST_DOUBLINGS: u32 = 16;

/// A notice that waits to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingNotice {
    pub notice: Notice,
    /// The index of its entry in the history; none of what time brought.
    pub index: Option<usize>,
}

/// The next notice of a request, and how its telling went so far.
#[derive(Clone, Debug)]
struct NextOfRequest {
    next: WaitingNotice,
    /// When it failed first.
    failing_since: Option<Timestamp>,
    failures: u32,
    not_before: Timestamp,
}

/// What a route has yet to tell: of each request the next notice.
#[derive(Debug)]
pub struct RoutePending {
    /// Least time between two calls.
    pace: SignedDuration,
    /// How long a notice is tried.
    give_up_after: SignedDuration,
    requests: BTreeMap<String, NextOfRequest>,
    /// Of which request something is being told.
    in_flight: Option<String>,
    /// How many calls in a row failed, whatever they were about.
    failures: u32,
    not_before: Timestamp,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteStep {
    /// Tell this, of the request of this UID.
    Tell(String, Box<WaitingNotice>),
    /// Nothing before that time; without one, until there is something new.
    Wait(Option<Timestamp>),
}

/// What became of a notice that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again.
    Again,
    /// It was tried for so long that it is not tried any more.
    GivenUp,
}

impl RoutePending {
    /// One that has nothing to tell yet.
    pub fn new(pace: SignedDuration, give_up_after: SignedDuration) -> Self {
        let requests = BTreeMap::new();
        Self { pace, give_up_after, requests, in_flight: None, failures: 0, not_before: Timestamp::MIN }
    }

    /// This is the next to tell of a request; none when there is nothing. How its telling went so far counts on while it is
    /// the same.
    pub fn set(&mut self, uid: &str, next: Option<WaitingNotice>) {
        let Some(next) = next else {
            self.requests.remove(uid);
            return;
        };
        let known = self.requests.get_mut(uid).filter(|known| known.next.notice.id == next.notice.id);
        match known {
            Some(known) => known.next = next,
            None => {
                let not_before = Timestamp::MIN;
                let fresh = NextOfRequest { next, failing_since: None, failures: 0, not_before };
                self.requests.insert(uid.to_owned(), fresh);
            }
        }
    }

    /// What to do now. What happened first is told first.
    pub fn step(&mut self, now: Timestamp) -> RouteStep {
        if self.in_flight.is_some() {
            return RouteStep::Wait(None);
        }
        let ready = self.requests.iter().filter(|(_, request)| request.not_before <= now);
        let first = ready.min_by(|(a, of_a), (b, of_b)| (of_a.next.notice.at, a).cmp(&(of_b.next.notice.at, b)));
        match first {
            Some(_) if self.not_before > now => RouteStep::Wait(Some(self.not_before)),
            Some((uid, request)) => {
                let (uid, next) = (uid.clone(), Box::new(request.next.clone()));
                self.in_flight = Some(uid.clone());
                RouteStep::Tell(uid, next)
            }
            None => {
                let next = self.requests.values().map(|request| request.not_before).min();
                RouteStep::Wait(next.map(|at| at.max(self.not_before)))
            }
        }
    }

    /// What was being told was taken, or is not told any more.
    pub fn done(&mut self, now: Timestamp) {
        if let Some(uid) = self.in_flight.take() {
            self.requests.remove(&uid);
        }
        self.failures = 0;
        self.not_before = self.not_before.max(now + self.pace);
    }

    /// It was not taken. `after` is how long the place wants to be left alone; `jitter` is any number from 0 to 1.
    pub fn failed(&mut self, after: Option<Duration>, jitter: f64, now: Timestamp) -> AfterFailure {
        self.failures = self.failures.saturating_add(1);
        let of_route = self.not_before.max(now + self.pace);
        self.not_before = match after.and_then(|after| SignedDuration::try_from(after).ok()) {
            Some(after) => of_route.max(now + after),
            None => of_route.max(now + wait(self.failures, jitter)),
        };
        let Some(request) = self.in_flight.take().and_then(|uid| self.requests.get_mut(&uid)) else {
            return AfterFailure::Again;
        };
        request.failures = request.failures.saturating_add(1);
        request.not_before = now + wait(request.failures, jitter);
        let since = *request.failing_since.get_or_insert(now);
        if now.duration_since(since) >= self.give_up_after { AfterFailure::GivenUp } else { AfterFailure::Again }
    }

    /// When the first happened of what waits.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.requests.values().map(|request| request.next.notice.at).min()
    }

    /// Of how many requests something waits.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }
}

/// How long to wait after so many failures: anything from half the bound to all of it.
fn wait(failures: u32, jitter: f64) -> SignedDuration {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    let bound = FIRST_WAIT.checked_mul(1 << doublings).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    bound.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
