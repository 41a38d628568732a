//! Which replica writes: it holds the Lease `daypass`, and renews it. The others keep their watches warm and stand by.
//! Owns the Lease; decides nothing about access.
//!
//! What protects what:
//! - The lease keeps two replicas from working at once. A holder believes in it until the renew deadline, counted
//!   from the SENDING of its last good renewal; a successor waits for the whole, longer, lease, counted from when it
//!   has last SEEN the record change. Both count on their own monotonic clock; no clock of another machine is read.
//! - The [`Gate`](super::gate::Gate) asks for the deadline before each write and cuts the writes that are on their way when it passes,
//!   so a process that was frozen or cut off sends nothing afterwards. It then ends: starting anew is simpler than
//!   unlearning.
//! - What no lease can stop is a write that was sent in time and arrives late, or a machine whose monotonic clock
//!   stood still while it slept. Against those, statuses carry the version that they were planned from, deletions the
//!   UID, a binding is made only on a record read from the API server, and the reaper takes what has no live request.
//! - The Lease is written with the version that it was read in, so of two candidates one gets it.
//!
//! The exception to the waiting: a process that finds the lease in the name of its own pod takes it at once. A pod's
//! container is started again only when the old one is dead. Outside of a pod the name is made up, and never found.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use super::clock::Clock;
use super::gate::Seat;
use super::server::Readiness;

/// Name of the Lease.
pub const LEASE: &str = "daypass";
/// Name of the election in readiness.
pub const ELECTION: &str = "lease";
/// The longest time between two looks of a replica that stands by: how long it may take to see that the lease was
/// given back. A look is one read.
const LOOK: Duration = Duration::from_millis(500);
/// Stands between the name of a pod and what tells its processes apart.
const MARK: char = '_';

/// How long what lasts.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// For how long others leave a lease alone that was not renewed.
    pub lease: Duration,
    /// For how long its holder goes on without having renewed it.
    pub renew_deadline: Duration,
    /// Time between two renewals.
    pub retry: Duration,
}

impl Terms {
    /// The terms, if they leave time for a write on its way to die before a successor begins.
    ///
    /// # Errors
    /// A sentence that says which length does not fit.
    pub fn checked(self) -> Result<Self, String> {
        let Self { lease, renew_deadline, retry } = self;
        if lease.subsec_nanos() != 0 {
            return Err("the lease must last whole seconds".to_owned());
        }
        if lease <= renew_deadline {
            return Err("the lease must last longer than the renew deadline".to_owned());
        }
        if renew_deadline < retry * 2 {
            return Err("the renew deadline must leave time for two tries".to_owned());
        }
        Ok(self)
    }
}

/// Why the lease is lost.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// It was not renewed in time.
    #[error("the lease could not be renewed for {0:?}")]
    Late(Duration),
    /// It is not this process's any more.
    #[error("the lease was taken by {0}")]
    Taken(String),
}

/// Stands for election, and holds the seat.
pub struct Election {
    seat: Seat,
    leases: Api<Lease>,
    /// Name of this pod, and of this process in it.
    me: String,
    terms: Terms,
    clock: Clock,
}

/// A lease of somebody else, and when it was first seen in this version.
struct Seen {
    version: Option<String>,
    holder: String,
    lasts: Duration,
    at: Instant,
}

impl Election {
    /// An election for `seat`, in the name of the pod or, outside of one, in a name that is made up.
    pub fn new(seat: Seat, client: Client, namespace: &str, pod: Option<&str>, terms: Terms, clock: Clock) -> Self {
        // Seeded anew in each process.
        let process = RandomState::new().hash_one(std::process::id());
        let me = match pod {
            Some(pod) => format!("{pod}{MARK}{process:016x}"),
            None => format!("daypass-{process:016x}{MARK}"),
        };
        Self { seat, leases: Api::namespaced(client, namespace), me, terms, clock }
    }

    /// Stands by, leads when it can, and gives the lease back when `over` says that nothing is written any more.
    ///
    /// # Errors
    /// When this process led and does so no more. It must end.
    pub async fn run(self, readiness: Readiness, over: impl Future<Output = ()>) -> Result<(), Lost> {
        tokio::pin!(over);
        let (lease, until) = tokio::select! {
            taken = self.stand_by(&readiness) => taken,
            () = &mut over => return Ok(()),
        };
        info!(holder = self.me, "leads");
        let ended = tokio::select! {
            lost = self.lead(lease, until) => Err(lost),
            () = &mut over => Ok(()),
        };
        self.seat.stand_by(None);
        if ended.is_ok() {
            self.give_back().await;
        }
        ended
    }

    /// Looks at the lease until it can be taken. The lease as it is then, and until when it is good.
    async fn stand_by(&self, readiness: &Readiness) -> (Lease, Instant) {
        let mut seen = None;
        loop {
            let limit = Instant::now() + self.terms.renew_deadline / 2;
            match timeout_at(limit, self.look(&mut seen)).await {
                Ok(Ok(found)) => {
                    readiness.done(ELECTION);
                    if let Some((lease, until)) = found {
                        self.seat.take_until(until);
                        return (lease, until);
                    }
                    self.tell_of(seen.as_ref());
                }
                Ok(Err(error)) => {
                    warn!(%error, "cannot stand for election; trying again");
                    readiness.wait_for(ELECTION, &error.to_string());
                }
                Err(_) => readiness.wait_for(ELECTION, "the API server does not answer"),
            }
            sleep(LOOK.min(self.terms.retry)).await;
        }
    }

    /// Says who leads, when that is news.
    fn tell_of(&self, seen: Option<&Seen>) {
        let leader: Option<Arc<str>> = seen.map(|seen| pod_of(&seen.holder).into());
        if self.seat.stand_by(leader.clone()) {
            info!(leader = leader.as_deref(), "stands by");
        }
    }

    /// One look at the lease. It is taken if it is free, or over by this process's own clock.
    async fn look(&self, seen: &mut Option<Seen>) -> kube::Result<Option<(Lease, Instant)>> {
        let found = self.leases.get_opt(LEASE).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.as_ref());
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() && found.is_some() {
            *seen = None;
        } else if !holder.is_empty() {
            let version = found.as_ref().and_then(ResourceExt::resource_version);
            if seen.as_ref().is_none_or(|seen| seen.version != version) {
                let lasts = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok()).unwrap_or(0);
                // Theirs or ours, whichever is longer: replicas may differ during an upgrade.
                let lasts = Duration::from_secs(lasts).max(self.terms.lease);
                *seen = Some(Seen { version, holder: holder.to_owned(), lasts, at: Instant::now() });
            }
        }
        // A lease that was deleted under its holder is still that holder's for a while.
        let waits = seen.as_ref().is_some_and(|seen| seen.at.elapsed() < seen.lasts && !self.is_mine(&seen.holder));
        if waits {
            return Ok(None);
        }
        let taken = Instant::now();
        match self.put(found).await {
            Ok(lease) => Ok(Some((lease, taken + self.terms.renew_deadline))),
            // Another was faster; the next look says who.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews the lease for as long as it can.
    async fn lead(&self, mut lease: Lease, mut until: Instant) -> Lost {
        loop {
            sleep_until((Instant::now() + self.terms.retry).min(until)).await;
            let sent = Instant::now();
            if sent >= until {
                return Lost::Late(self.terms.renew_deadline);
            }
            let limit = until.min(sent + self.terms.renew_deadline / 2);
            match timeout_at(limit, self.renew(&lease)).await {
                Ok(Ok(Ok(renewed))) => {
                    (lease, until) = (renewed, sent + self.terms.renew_deadline);
                    self.seat.take_until(until);
                }
                Ok(Ok(Err(lost))) => return lost,
                Ok(Err(error)) => warn!(%error, "cannot renew the lease; trying again"),
                Err(_) => warn!("cannot renew the lease in time; trying again"),
            }
        }
    }

    /// Writes the lease once more. One that has changed is read again: an answer may have been lost.
    async fn renew(&self, lease: &Lease) -> kube::Result<Result<Lease, Lost>> {
        match self.put(Some(lease.clone())).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            other => return other.map(Ok),
        }
        let Some(found) = self.leases.get_opt(LEASE).await? else {
            return Ok(Err(Lost::Taken("nobody: it was deleted".to_owned())));
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if holder == self.me { self.put(Some(found)).await.map(Ok) } else { Ok(Err(Lost::Taken(holder))) }
    }

    /// Writes the lease in this process's name, over the version given.
    async fn put(&self, found: Option<Lease>) -> kube::Result<Lease> {
        let now = MicroTime(self.clock.now());
        let before = found.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let mine = before.holder_identity.as_ref() == Some(&self.me);
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.terms.lease.as_secs()).ok(),
            acquire_time: before.acquire_time.filter(|_| mine).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.map_or(0, |n| n.saturating_add(i32::from(!mine)))),
            ..LeaseSpec::default()
        };
        match found {
            Some(lease) => {
                self.leases.replace(LEASE, &PostParams::default(), &Lease { spec: Some(spec), ..lease }).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
                self.leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
        }
    }

    /// Gives the lease back, so that another can take it at once. Without luck it takes the length of the lease.
    async fn give_back(&self) {
        let limit = Instant::now() + self.terms.retry;
        let given = timeout_at(limit, async {
            let Some(mut lease) = self.leases.get_opt(LEASE).await? else { return Ok(()) };
            match lease.spec.as_mut().filter(|spec| spec.holder_identity.as_ref() == Some(&self.me)) {
                Some(spec) => spec.holder_identity = Some(String::new()),
                None => return Ok(()),
            }
            self.leases.replace(LEASE, &PostParams::default(), &lease).await.map(drop)
        });
        match given.await {
            Ok(Ok(())) => info!("the lease is given back"),
            Ok(Err(error)) => warn!(%error, "the lease could not be given back"),
            Err(_) => warn!("the lease could not be given back in time"),
        }
    }

    /// Whether a holder is this process, or a dead one of the same pod.
    fn is_mine(&self, holder: &str) -> bool {
        pod_of(holder) == pod_of(&self.me)
    }
}

fn pod_of(holder: &str) -> &str {
    holder.rsplit_once(MARK).map_or(holder, |(pod, _)| pod)
}

#[cfg(test)]
mod tests;
