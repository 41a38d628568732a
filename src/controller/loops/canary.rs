//! The canary: proves again and again that the cluster's admission policies, the guards, are in force.
//!
//! Each guard is proven twice. By sight: the policy and its binding are what the chart made, by the digest that the chart
//! hands over ([`sight`]). And by tries: the canary, an account of its own, since the guards trust the controller's, does
//! what a guard must refuse, as dry runs, and the refusal must carry that guard's own name ([`tries`]). While one of them is
//! missing, or cannot be seen, nothing new is granted; what runs still ends. What came of it is judged in
//! [`crate::core::guard`].
//!
//! Where an archive hears the audit logs of the API servers, it also calls each of them, so that its log says something
//! ([`marks`]).
//!
//! It writes nothing but the one request that it tries reviews on, with the note of its rounds, and that only while this
//! replica leads; the rounds every replica makes for itself.

mod account;
mod marks;
mod report;
mod sight;
mod tries;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::Store;
use kube::{Client, Config, ResourceExt};
use serde_json::json;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use self::account::{CanaryAccount, who_and_when};
pub use self::report::{CanaryRemark, Report, in_one_line};
use self::report::{log_change, publish};
use self::sight::Blind;
pub(crate) use self::sight::read_guards;
use self::tries::{CANARY, Tries};
use crate::api::AccessRequest;
use crate::controller::stores::doubts::Doubts;
use crate::controller::stores::packed::PackedRequest;
use crate::controller::stores::uses::GrantUses;
use crate::controller::versions;
use crate::controller::watch::patience::SETTLING;
use crate::controller::write;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::missing::Obstacle;
use crate::core::guard::record::Round;
use crate::core::guard::sight::{Expected, judge};
use crate::core::guard::{GapRecord, Guard, NotInForce};
use crate::runtime::client::Hearers;
use crate::runtime::gate::Leadership;
use crate::runtime::metrics::RoundOutcome;

/// Annotation of the canary's request: the [`GapRecord`] of its rounds.
const RECORD: &str = "daypass.dev/guard-record";
/// Annotation of it that versions of Daypass before the record go by: since when the guard has been in force.
const SINCE: &str = "daypass.dev/guarded-since";
/// Time between two rounds while all is well.
const CALM: Duration = Duration::from_secs(15);
/// Time between two rounds while it is not, and the least time between two that something asks for.
const ALARMED: Duration = Duration::from_secs(1);
/// For how long a sound guard is still trusted when it can be neither seen nor tried.
const TRUST: Duration = Duration::from_secs(60);

/// Proves the guards for as long as the process runs.
pub struct Canary {
    /// Where the API server is; the canary's own credentials go over the controller's.
    pub config: Config,
    /// The controller's client, for the canary's tokens and for looking at the guards.
    pub client: Client,
    /// The controller's client for watches.
    pub watches: Client,
    /// Namespace that Daypass is installed in.
    pub namespace: String,
    /// The guards of the chart.
    pub guards: Vec<Expected>,
    /// Keys of a login's extra that requests have to say.
    pub extra_keys: Vec<String>,
    /// Where each round is counted, and each answer of the API server is heard.
    pub hearers: Hearers,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// Says that a new request was seen, or a policy: the more lately the guard was in force, the fewer are caught in a
    /// gap.
    pub wanted: Arc<Notify>,
    /// Where requests are served.
    pub served: ServedNamespaces,
    /// Requests as the watch has them.
    pub requests: Store<PackedRequest>,
    /// Requests that somebody may have written to while the guard was missing.
    pub doubts: Arc<Doubts>,
    /// Where the API servers of the cluster are noted.
    pub uses: Arc<GrantUses>,
    /// What one round leaves to the next.
    pub memory: Mutex<Memory>,
}

/// What one round leaves to the next.
#[derive(Default)]
pub struct Memory {
    account: Option<CanaryAccount>,
    /// May be fresher in the time of the last sound round than what is stored.
    record: Option<GapRecord>,
    /// Whether this replica led then, so that nobody else had to write the record since.
    led: bool,
    /// Whether the requests to doubt have been found since the guard was missing last.
    found: bool,
}

/// Why a round said nothing.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.obstacle())]
pub(crate) enum CannotTry {
    Api(#[from] kube::Error),
    Encode(#[from] serde_json::Error),
    NothingToTryOn,
    NothingHandedOver,
    NoTime,
}

impl CannotTry {
    /// What decisions know of it.
    fn obstacle(&self) -> Obstacle {
        match self {
            Self::Api(error) => Obstacle::Failed(error.to_string()),
            Self::Encode(error) => Obstacle::Failed(error.to_string()),
            Self::NothingToTryOn => Obstacle::NothingToTryOn,
            Self::NothingHandedOver => Obstacle::NothingHandedOver,
            Self::NoTime => Obstacle::NoTime,
        }
    }
}

/// How thorough a round is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    Sight,
}

impl Canary {
    /// Makes rounds on and on, and tells each change.
    pub async fn run(&self, reports: watch::Sender<Report>) {
        let changed = Arc::new(Notify::new());
        let blind = Blind::default();
        let watching = sight::watch(self.watches.clone(), &self.guards, &changed, &blind);
        tokio::select! {
            () = watching => {}
            () = self.rounds(reports, &changed, &blind) => {}
            // Beside the rounds: an API server that does not answer keeps no proof waiting.
            () = self.marks() => {}
        }
    }

    async fn rounds(&self, reports: watch::Sender<Report>, changed: &Notify, blind: &Blind) {
        let (started, mut last_sound, mut logged) = (Instant::now(), None::<Instant>, None);
        let mut depth = Depth::Whole;
        loop {
            let began = Instant::now();
            let led = self.leadership.holds();
            let outcome = self.round(&mut *self.memory.lock().await, depth).await;
            // What sight alone found to be in order was not tried.
            let tried = tried(&outcome);
            if depth == Depth::Whole || tried != RoundOutcome::Sound {
                self.hearers.metrics.guard_tried(tried);
            }
            // A fresh install lets nobody try anything before its kinds are served and a replica leads.
            let wrong = outcome.as_ref().is_ok_and(|report| !report.faultless);
            let early = !wrong && started.elapsed() < SETTLING;
            let report = match outcome {
                Ok(report) => {
                    let sound = matches!(report.guard, Guard::InForce(_));
                    last_sound = sound.then(Instant::now);
                    let remarks = report.remarks.into_iter().chain(blind.remark()).collect();
                    Report { sound: sound.then_some(began), remarks, ..report }
                }
                Err(error) if last_sound.is_some_and(|at| at.elapsed() < TRUST) => {
                    warn!("{error}; it was sound {:?} ago", last_sound.map(|at| at.elapsed()).unwrap_or_default());
                    reports.borrow().clone()
                }
                Err(error) => Report::missing(NotInForce::Unknown(error.obstacle())),
            };
            let calm = matches!(report.guard, Guard::InForce(_));
            log_change(&report, &reports.borrow(), early, &mut logged);
            publish(&reports, report);
            // Who begins to lead does not go by an old round.
            let begins = async {
                match led {
                    true => std::future::pending().await,
                    false => self.leadership.taken().await,
                }
            };
            let next = async {
                tokio::select! {
                    () = begins => Depth::Whole,
                    () = changed.notified() => Depth::Whole,
                    () = self.wanted.notified(), if calm => {
                        sleep_until(began + ALARMED).await;
                        Depth::Sight
                    }
                }
            };
            depth = timeout(if calm { CALM } else { ALARMED }, next).await.unwrap_or(Depth::Whole);
        }
    }

    /// Stores when the guard was last seen in force, for whoever comes after this replica.
    pub async fn store_last(&self) {
        let mut memory = self.memory.lock().await;
        if let Err(error) = self.round(&mut memory, Depth::Sight).await {
            warn!("{error}");
        }
        if let (Some(account), Some(record), true) = (&memory.account, &memory.record, self.leadership.holds())
            && let Err(error) = self.store(account, record).await
        {
            warn!("{error}");
        }
    }

    async fn store(&self, account: &CanaryAccount, record: &GapRecord) -> Result<(), CannotTry> {
        let since = record.unbroken_since().map(|since| since.to_string());
        let note = json!({ RECORD: serde_json::to_string(record)?, SINCE: since });
        write::canary::note(&account.requests(self), CANARY, note).await?;
        Ok(())
    }

    /// One round.
    async fn round(&self, memory: &mut Memory, depth: Depth) -> Result<Report, CannotTry> {
        if self.guards.is_empty() {
            return Err(CannotTry::NothingHandedOver);
        }
        let account = CanaryAccount::fresh(&mut memory.account, self).await?;
        let (who, began) = who_and_when(&account.tries, self).await?;
        let tries = Tries { namespace: &self.namespace, guards: &self.guards, who: &who, account: &account.tries };
        let leads = self.leadership.holds();
        let own = match tries.requests().get_opt(CANARY).await? {
            Some(own) => own,
            None if leads => write::canary::make(&account.requests(self), &tries.request(CANARY, &who)?).await?,
            None => return Err(CannotTry::NothingToTryOn),
        };
        let stored = noted(&own);
        let before = freshest(stored.clone(), memory.record.clone(), leads, memory.led);
        let (answers, refused) = match depth {
            Depth::Whole => (tries.all().await?, tries.own_status_write(&self.client).await?),
            Depth::Sight => (BTreeMap::new(), None),
        };
        // After the tries: a guard that was changed meanwhile is another version.
        let seen = sight::read_guards(&self.client, &self.guards).await?;
        let refused = seen.unserved.map(NotInForce::Unserved).or(refused);
        let vouched = before.as_ref().map(|record| record.vouched().clone()).unwrap_or_default();
        let verdict = judge(&self.guards, &seen.guards, &answers, &vouched);
        let (_, ended) = who_and_when(&account.tries, self).await?;
        let round = Round { verdict: &verdict, began, ended, revision: seen.revision };
        let mut record = GapRecord::after(before, round);
        let faultless = verdict.is_sound() && refused.is_none();
        let guard = match (&mut record, refused) {
            (_, Some(why)) => Guard::Missing(why),
            (Some(record), None) => match record.guard(round) {
                Guard::InForce(gaps) => {
                    self.settle(&mut memory.found, record, leads).await?.unwrap_or(Guard::InForce(gaps))
                }
                missing => missing,
            },
            (None, None) => Guard::Missing(verdict.complaint()),
        };
        memory.found &= matches!(guard, Guard::InForce(_));
        if let Some(record) = record.as_ref().filter(|record| leads && record.is_news_to(stored.as_ref())) {
            self.store(account, record).await?;
        }
        if depth == Depth::Whole {
            let names = self.guards.iter().map(|guard| guard.name.as_str());
            self.hearers.metrics.guards_proven(names.map(|name| (name, !verdict.condemns(name))));
        }
        (memory.record, memory.led) = (record, leads);
        let remarks = verdict.inconclusive.into_iter().map(CanaryRemark::BySight).collect();
        Ok(Report { guard, remarks, sound: None, faultless })
    }

    /// Now that the guard is in force: finds the requests that somebody may have written to while it was not, before
    /// anything is decided on them, and notes when passes have dealt with all. Why nothing may be decided yet, if so.
    async fn settle(&self, found: &mut bool, record: &mut GapRecord, leads: bool) -> Result<Option<Guard>, CannotTry> {
        let Some(sound) = record.unsettled() else {
            record.revision().into_iter().for_each(|revision| self.doubts.sound_at(revision));
            return Ok(None);
        };
        if !leads {
            return Ok(Some(Guard::Missing(NotInForce::LeaderHasToLook)));
        }
        if !*found {
            if self.requests.wait_until_ready().now_or_never().is_none() {
                return Ok(Some(Guard::Missing(NotInForce::RequestsUnread)));
            }
            self.doubts.find(versions::list(&self.client, &self.served).await?, sound, &self.requests);
            *found = true;
        }
        if self.doubts.is_empty() {
            *record = record.clone().settled();
        }
        Ok(None)
    }
}

/// The record on the canary's request; what is not one counts as none.
fn noted(own: &AccessRequest) -> Option<GapRecord> {
    let record = own.annotations().get(RECORD).and_then(|text| serde_json::from_str(text).ok());
    let since = || own.annotations().get(SINCE).and_then(|text| text.parse::<Timestamp>().ok());
    record.or_else(|| since().map(GapRecord::of_former))
}

/// What is stored counts, since another replica may have written it; what this one remembers is the same, or fresher in
/// the time of its last round. Without a note a leader goes by what it has seen itself, and else begins anew. A leader that
/// was one before believes no note but its own: without a guard, whoever may write requests may write that one.
fn freshest(stored: Option<GapRecord>, memory: Option<GapRecord>, leads: bool, led: bool) -> Option<GapRecord> {
    match (stored, memory) {
        (_, Some(memory)) if leads && led => Some(memory),
        (Some(stored), Some(memory)) if !memory.is_news_to(Some(&stored)) => Some(memory),
        (Some(stored), _) => Some(stored),
        (None, memory) => memory.filter(|_| leads),
    }
}

fn tried(outcome: &Result<Report, CannotTry>) -> RoundOutcome {
    match outcome.as_ref().map(|report| &report.guard) {
        Ok(Guard::InForce(_)) => RoundOutcome::Sound,
        Ok(Guard::Missing(_)) => RoundOutcome::Missing,
        Err(_) => RoundOutcome::CannotTry,
    }
}

#[cfg(test)]
mod tests;
