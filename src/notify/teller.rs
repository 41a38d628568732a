//! The loop that joins what is seen, what was told and the routes: each notice is told by each route that carries it, and noted.
//!
//! Owns the order of things: what was told is stored before anything else of it follows, and nothing is told while that cannot
//! be stored, or while another replica leads. At least once: what was on its way when the process died is told again under the
//! same id, one notice a route at most. It must not know how a place is called, nor what a notice says.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use super::figures::NoticeFigures;
use super::ledger::{GUARD, NoticeLedger};
use super::lives::NoticedLives;
use super::message::Message;
use super::pending::{AfterFailure, RoutePending, RouteStep, WaitingNotice};
use super::providers::Reception;
use super::routes::{NoticeRoute, NotifySettings};
use super::sender::{RouteSender, Told};
use super::state::ToldState;
use super::watched::{self, Sight};
use crate::runtime::clock::Clock;
use crate::runtime::gate::Leadership;
use crate::runtime::server::Readiness;

/// Name of the requests in readiness.
pub const REQUESTS: &str = "accessrequests";
/// Name of what was told in readiness.
pub const STATE: &str = "what was told";
/// The longest time between two looks at the clock, which may have been set.
const LOOK: Duration = Duration::from_secs(30);
/// How long is waited after what was told could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How long calls on their way are waited for when the process is asked to stop.
const LAST_CALLS: Duration = Duration::from_secs(8);

/// Why no more is told.
#[derive(Debug, thiserror::Error)]
pub enum TellerEnd {
    /// Somebody else writes what was told.
    #[error("the ConfigMap of what was told was written by somebody else, so it is read anew after a restart")]
    Conflict,
    /// Another replica leads, or may.
    #[error("this replica does not lead any more")]
    NotLeading,
    /// Watches go on for ever.
    #[error("the watch of requests has ended")]
    WatchEnded,
}

/// What a teller works with.
pub struct TellerParts {
    pub settings: NotifySettings,
    /// Name by which people know the cluster.
    pub cluster: Option<String>,
    /// Namespaces whose requests are told of; none stands for all.
    pub namespaces: Vec<String>,
    pub leadership: Leadership,
    pub readiness: Readiness,
    pub figures: NoticeFigures,
}

/// Tells what is seen.
pub struct Teller {
    parts: TellerParts,
    clock: Clock,
    state: ToldState,
    ledger: NoticeLedger,
    lives: NoticedLives,
    routes: Vec<TellingRoute>,
    /// When time brings the next notice, by the UID of its request.
    wakes: BTreeMap<String, Timestamp>,
    begin: FirstLists,
    /// Not before this is it tried again to store what was told.
    store_not_before: Option<Instant>,
}

struct TellingRoute {
    route: NoticeRoute,
    pending: RoutePending,
    sender: Arc<RouteSender>,
}

/// What came of telling a notice of the request of this UID.
struct Telling {
    route: usize,
    uid: String,
    waiting: Box<WaitingNotice>,
    told: Told,
}

/// The first list of each watch.
struct FirstLists {
    /// Watches that have neither listed nor failed yet.
    missing: BTreeSet<usize>,
    /// Whether one has failed, so that a request that was not listed may still be there.
    incomplete: bool,
    listed: BTreeSet<String>,
}

impl Teller {
    /// One that goes on from what the ConfigMap says now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn new(parts: TellerParts, mut state: ToldState, clock: Clock) -> kube::Result<Self> {
        let now = clock.now();
        let mut ledger = state.read(now).await?;
        ledger.begin(&parts.settings.routes, now);
        parts.settings.routes.iter().for_each(|route| parts.figures.begin(&route.name));
        let routes = parts.settings.routes.iter().map(|route| TellingRoute {
            pending: RoutePending::new(route.pace, parts.settings.give_up_after),
            sender: Arc::new(RouteSender::new(route)),
            route: route.clone(),
        });
        let missing = (0..parts.namespaces.len().max(1)).collect();
        Ok(Self {
            routes: routes.collect(),
            lives: NoticedLives::new(parts.settings.foresight),
            begin: FirstLists { missing, incomplete: false, listed: BTreeSet::new() },
            wakes: BTreeMap::new(),
            store_not_before: None,
            parts,
            clock,
            state,
            ledger,
        })
    }

    /// Tells until `stop` says so, or until this replica may not.
    ///
    /// # Errors
    /// When somebody else tells, or may. The process should end then: it starts from what is stored.
    pub async fn run(mut self, watches: Client, mut stop: watch::Receiver<bool>) -> Result<(), TellerEnd> {
        let mut sights = watched::requests(&watches, &self.parts.namespaces);
        let mut calls = FuturesUnordered::new();
        let leadership = self.parts.leadership.clone();
        let mut lapsed = pin!(leadership.lapsed());
        loop {
            self.store().await?;
            let next = self.start(&calls);
            self.show();
            tokio::select! {
                () = &mut lapsed => return Err(TellerEnd::NotLeading),
                _ = stop.wait_for(|stop| *stop) => break,
                sight = sights.next() => match sight {
                    Some((watch, sight)) => self.saw(watch, sight),
                    None => return Err(TellerEnd::WatchEnded),
                },
                Some(telling) = calls.next() => self.told(telling),
                () = sleep_until(next) => self.time_passed(),
            }
        }
        let ending = async {
            while let Some(telling) = calls.next().await {
                self.told(telling);
                self.store().await?;
            }
            Ok(())
        };
        timeout(LAST_CALLS, ending).await.unwrap_or_else(|_| {
            warn!("what was on its way is not waited for any longer, and may be told again");
            Ok(())
        })
    }

    /// Stores what has changed, unless that failed just now.
    async fn store(&mut self) -> Result<(), TellerEnd> {
        if self.store_not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        match self.state.store(&mut self.ledger).await {
            Ok(()) => {
                self.store_not_before = None;
                self.parts.readiness.done(STATE);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(TellerEnd::Conflict),
            Err(error) => {
                warn!(%error, "what was told cannot be stored, so nothing more is told until it can be");
                self.parts.readiness.wait_for(STATE, &error.to_string());
                self.store_not_before = Some(Instant::now() + STORE_AGAIN);
                Ok(())
            }
        }
    }

    /// Starts what may be told now, one notice a route at a time. Until when there is nothing to do.
    fn start(&mut self, calls: &FuturesUnordered<BoxFuture<'static, Telling>>) -> Instant {
        let (now, instant) = (self.clock.now(), Instant::now());
        let mut next = self.wakes.values().min().copied();
        if let Some(at) = self.store_not_before {
            return at;
        }
        if self.begin.is_over() && self.parts.leadership.holds() {
            for (n, telling) in self.routes.iter_mut().enumerate() {
                match telling.pending.step(now) {
                    RouteStep::Tell(uid, waiting) => {
                        let posted = self.ledger.posted(&telling.route.name, &uid).cloned();
                        let (cluster, link) = (self.parts.cluster.as_deref(), self.parts.settings.link.as_deref());
                        let message = Message::of(waiting.notice.clone(), cluster, link);
                        let sender = telling.sender.clone();
                        let call = async move {
                            let told = sender.tell(&message, posted.as_ref(), now).await;
                            Telling { route: n, uid, waiting, told }
                        };
                        calls.push(call.boxed());
                    }
                    RouteStep::Wait(until) => next = next.into_iter().chain(until).min(),
                }
            }
        }
        let wait = next.map_or(LOOK, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        instant + wait.min(LOOK)
    }

    fn saw(&mut self, watch: usize, sight: Sight) {
        self.take_in(watch, sight);
        self.refresh_guard();
    }

    fn take_in(&mut self, watch: usize, sight: Sight) {
        let now = self.clock.now();
        match sight {
            Sight::Request(uid, request) => {
                self.lives.saw(&uid, *request, watch, now);
                self.refresh(&uid);
            }
            Sight::Gone(uid) if !self.lives.has(&uid) => self.ledger.forget(&uid),
            Sight::Gone(uid) => {
                self.lives.is_gone(&uid, now);
                self.refresh(&uid);
            }
            Sight::Listed(listed) => {
                for uid in self.lives.missing(watch, &listed) {
                    self.lives.is_gone(&uid, now);
                    self.refresh(&uid);
                }
                self.parts.readiness.done(REQUESTS);
                self.begin.listed.extend(listed);
                self.heard_of(watch);
            }
            Sight::Failed(error) => {
                warn!(error, "requests cannot be read; trying again");
                self.parts.readiness.hindered(REQUESTS, &error);
                self.begin.incomplete |= self.begin.missing.contains(&watch);
                self.heard_of(watch);
            }
        }
    }

    /// A watch has listed what it sees, or could not. When all have, telling begins.
    fn heard_of(&mut self, watch: usize) {
        if !self.begin.missing.remove(&watch) || !self.begin.is_over() {
            return;
        }
        let listed = std::mem::take(&mut self.begin.listed);
        if !self.begin.incomplete {
            let open = self.ledger.open().filter(|(uid, ..)| !listed.contains(*uid));
            let gone: Vec<String> = open.map(|(uid, ..)| uid.to_owned()).collect();
            gone.iter().for_each(|uid| self.ledger.forget(uid));
        }
        let uids = self.lives.uids();
        info!(requests = uids.len(), "tells what happens to requests");
        uids.iter().for_each(|uid| self.refresh(uid));
    }

    /// Looks anew at what is to be told of a request.
    fn refresh(&mut self, uid: &str) {
        if !self.begin.is_over() {
            return;
        }
        let now = self.clock.now();
        let mut is_told = true;
        for telling in &mut self.routes {
            let next = self.lives.next(uid, &telling.route, &self.ledger, now);
            is_told &= next.is_none();
            telling.pending.set(uid, next);
        }
        let over = is_told && self.lives.is_settled(uid, now);
        if !over {
            self.ledger.note_over(uid, false);
            match self.lives.next_by_time(uid, now) {
                Some(at) => drop(self.wakes.insert(uid.to_owned(), at)),
                None => drop(self.wakes.remove(uid)),
            }
            return;
        }
        match self.lives.was_deleted(uid) {
            true => self.ledger.forget(uid),
            false => self.ledger.note_over(uid, true),
        }
        self.lives.forget(uid);
        self.wakes.remove(uid);
    }

    /// Looks anew at whether the guard is missing. When it is back, it can be missed again.
    fn refresh_guard(&mut self) {
        if !self.begin.is_over() {
            return;
        }
        if self.lives.is_guarded() {
            self.ledger.forget(GUARD);
        }
        for telling in &mut self.routes {
            let next = self.lives.next_of_guard(&telling.route, &self.ledger);
            telling.pending.set(GUARD, next);
        }
    }

    fn told(&mut self, telling: Telling) {
        let Telling { route, uid, waiting, told } = telling;
        let Some(TellingRoute { route, pending, .. }) = self.routes.get_mut(route) else { return };
        let (now, name, notice) = (self.clock.now(), route.name.as_str(), &waiting.notice);
        if told.anew {
            self.ledger.forget_posted(name, &uid);
        }
        let dead = match told.reception {
            Reception::Taken(posted) => {
                debug!(route = name, notice = notice.id, "told");
                self.ledger.dealt_with(name, &uid, notice, waiting.index, posted);
                self.parts.figures.told(name, notice.at, now);
                pending.done(now);
                None
            }
            Reception::Later { why, after } => {
                warn!(route = name, notice = notice.id, why, "not taken, and tried again");
                self.parts.figures.failed(name);
                (pending.failed(after, jitter(now), now) == AfterFailure::GivenUp).then_some(why)
            }
            Reception::Never(why) => Some(why),
            Reception::Gone => Some("the place does not know the request's message, nor takes a new one".to_owned()),
        };
        if let Some(why) = dead {
            error!(route = name, notice = notice.id, why, "not told, and not tried any more");
            self.parts.figures.dead(name);
            self.ledger.bury(name, notice, &why, now);
            self.ledger.dealt_with(name, &uid, notice, waiting.index, None);
            pending.done(now);
        }
        // The guard is no request: nothing of it is over, or left out, while it is missing.
        if uid == GUARD {
            self.refresh_guard()
        } else {
            self.refresh(&uid)
        }
        let oldest = self.routes.iter().filter_map(|telling| telling.pending.oldest()).min();
        self.ledger.leave_out(oldest, now);
    }

    /// Time brings notices.
    fn time_passed(&mut self) {
        let now = self.clock.now();
        let due: Vec<String> = self.wakes.iter().filter(|(_, at)| **at <= now).map(|(uid, _)| uid.clone()).collect();
        due.iter().for_each(|uid| self.refresh(uid));
    }

    fn show(&self) {
        let now = self.clock.now();
        for telling in &self.routes {
            let (waiting, oldest) = (telling.pending.waiting(), telling.pending.oldest());
            self.parts.figures.waiting(&telling.route.name, waiting, oldest, now);
        }
        self.parts.figures.state(self.ledger.bytes());
    }
}

impl FirstLists {
    fn is_over(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Any number from 0 to 1, so that replicas and routes do not try at the same instant.
fn jitter(now: Timestamp) -> f64 {
    let random = RandomState::new().hash_one(now);
    f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::controller::scripted::Script;
    use crate::core::laws::fixtures::{noon, request};
    use crate::notify::routes::NotifyConfig;
    use crate::runtime::gate::seat;

    const STATE_MAP: &str = "/namespaces/daypass-system/configmaps/daypass-notify-state";

    /// A teller of one route, which has listed all requests and whose state began long ago.
    async fn teller() -> Teller {
        let route = json!({ "name": "chat", "teams": { "urlFile": "/secrets/teams" }, "events": ["GuardMissing"] });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!({ "routes": [route] }).to_string()).unwrap();
        let stored = json!({ "metadata": { "resourceVersion": "7" }, "data": { "since": "2020-01-01T00:00:00Z" } });
        let script = Script::default().then(Method::GET, STATE_MAP, 200, stored);
        let leadership = seat().1;
        let parts = TellerParts {
            settings: NotifyConfig::read(file.path()).unwrap(),
            cluster: None,
            namespaces: Vec::new(),
            readiness: Readiness::waiting_for([], leadership.clone()),
            leadership,
            figures: NoticeFigures::default(),
        };
        let state = ToldState::new(script.client(), "daypass-system", "daypass-notify-state");
        let mut teller = Teller::new(parts, state, Clock::wall()).await.unwrap();
        teller.begin.missing.clear();
        teller
    }

    #[tokio::test]
    async fn that_the_guard_is_missing_stays_told_while_it_is() {
        let mut teller = teller().await;
        let mut unguarded = request(json!({}));
        let condition = json!({
            "type": "Approved", "status": "Unknown", "reason": "GuardMissing", "message": "",
            "lastTransitionTime": noon().to_string(),
        });
        unguarded.status = serde_json::from_value(json!({ "state": "Pending", "conditions": [condition] })).unwrap();
        teller.saw(0, Sight::Request("r-1".to_owned(), Box::new(unguarded)));
        let RouteStep::Tell(uid, waiting) = teller.routes[0].pending.step(teller.clock.now()) else { panic!() };
        assert_eq!(uid, GUARD);
        let told = Told { reception: Reception::Taken(None), anew: false };
        teller.told(Telling { route: 0, uid, waiting, told });
        assert!(teller.ledger.has_told("chat", GUARD));
        assert_eq!(teller.routes[0].pending.waiting(), 0, "it would be told again");
    }
}
