//! Which replica writes: it holds the Lease of its election, and renews it. The others keep their watches warm and stand by.
//! Owns what the Lease says, and when it is written; decides nothing about access. It reads and writes it by a
//! [`LeaseStore`] alone, and must have no client: what calls the API server for it is [`super::leases`].
//!
//! What protects what:
//! - The lease keeps two replicas from working at once. A holder believes in it until the renew deadline, counted
//!   from the SENDING of its last good renewal; a successor waits for the whole, longer, lease of its own, counted from
//!   when it has last SEEN a replica's record change. Both count on their own monotonic clock; no clock of another
//!   machine is read, and neither is how long the Lease says that it lasts.
//! - Somebody else may write the Lease, or delete it. Then it says nothing about who leads, and a replica's record may
//!   come and go between two looks of another. So what is written over something strange, by a leader that takes its
//!   lease back or by a successor whose wait is over, counts only when it has stood for [`STANDS`]: until
//!   then a leader's deadline stays where it was, and a successor does not begin. One that waits looks so often while it
//!   sees something strange that it cannot miss what stood that long, and where it may have, its wait begins anew.
//!   When a replica's record has become something strange, the wait begins with the sight of that, since renewals may
//!   have come before.
//! - The [`Gate`](super::gate::Gate) asks for the deadline before each write and cuts the writes that are on their way when it passes,
//!   so a process that was frozen or cut off sends nothing afterwards. It then ends: starting anew is simpler than
//!   unlearning.
//! - What no lease can stop is a write that was sent in time and arrives late, or a machine whose monotonic clock
//!   stood still while it slept. Against those, statuses carry the version that they were planned from, deletions the
//!   UID, a binding is made only on a record read from the API server, and the reaper takes what has no live request.
//! - The Lease is written with the version that it was read in, so of two candidates one gets it.
//!
//! Two exceptions to the waiting. A process that finds the lease in the name of its own pod takes it at once: a pod's
//! container is started again only when the old one is dead. Outside of a pod the name is made up, and never found. And
//! one that finds no Lease at its first look takes it at once where no request was ever decided, as on a new cluster.
//!
//! So a stranger can keep the lease from all replicas only by writing it more often than twice a second, without a
//! pause, or in a name of the form that replicas have. Only admission can refuse that. Until then nobody writes, rather than two.
//! Replicas of different terms, during an upgrade, are safe while each one's lease is longer than each one's deadline.

mod record;
mod sight;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

pub use self::record::{LeaseRecord, pod_of};
use self::sight::{ElectionStep, LeaseRead, LeaseSight, STANDS};
use super::clock::Clock;
use super::gate::Seat;
use super::server::Readiness;

/// Name of the controller's Lease.
pub const LEASE: &str = "daypass";
/// Name of the election in readiness.
pub const ELECTION: &str = "lease";
/// The longest time between two looks of a replica that stands by: how long it may take to see that the lease was
/// given back. A look is one read.
const LOOK: Duration = Duration::from_millis(500);
/// The same while the lease says nothing of who leads.
const CLOSE_LOOK: Duration = Duration::from_millis(100);

/// Lease timings.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTimings {
    /// For how long others leave a lease alone that was not renewed.
    pub lease: Duration,
    /// For how long its holder goes on without having renewed it.
    pub renew_deadline: Duration,
    /// Time between two renewals.
    pub retry: Duration,
}

impl LeaseTimings {
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
        if renew_deadline < retry.max(STANDS) * 2 {
            return Err("the renew deadline must leave time for two tries, of half a second at least".to_owned());
        }
        Ok(self)
    }
}

/// Why the lease is lost.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipLost {
    /// It was not renewed in time.
    #[error("the lease could not be renewed for {0:?}")]
    Late(Duration),
    /// It is not this process's any more.
    #[error("the lease was taken by {0}")]
    Taken(String),
}

/// How the Lease is read and written. Whether it may be is the election's to know: nothing must hold these calls back.
pub trait LeaseStore: Send + Sync {
    /// The Lease, if there is one.
    fn read(&self) -> impl Future<Output = kube::Result<Option<Lease>>> + Send;

    /// Makes it, in the name that it has here. A conflict when there is one.
    fn make(&self, lease: &Lease) -> impl Future<Output = kube::Result<Lease>> + Send;

    /// Writes over the version that it was read in. A conflict when there is another by now.
    fn write_over(&self, lease: &Lease) -> impl Future<Output = kube::Result<Lease>> + Send;
}

/// Stands for election, and holds the seat.
pub struct Election<L> {
    seat: Seat,
    leases: L,
    /// Name of this pod, and of this process in it.
    me: String,
    terms: LeaseTimings,
    clock: Clock,
}

/// A lease that is held.
struct Hold {
    /// As it was last written.
    lease: Lease,
    /// Until when it is good.
    until: Instant,
    /// What stood in its place, when what was written over that has yet to stand.
    shaken: Option<String>,
}

impl<L: LeaseStore> Election<L> {
    /// An election for `seat`, in the name of the pod or, outside of one, in a name that is made up.
    pub fn new(seat: Seat, leases: L, pod: Option<&str>, terms: LeaseTimings, clock: Clock) -> Self {
        // Seeded anew in each process.
        let process = RandomState::new().hash_one(std::process::id());
        let me = record::identity(pod, process);
        Self { seat, leases, me, terms, clock }
    }

    /// Stands by, leads when it can, and gives the lease back when `over` says that nothing is written any more.
    /// `unused` says whether no replica has ever worked on this cluster, once that is known.
    ///
    /// # Errors
    /// When this process led and does so no more. It must end.
    pub async fn run(
        self,
        readiness: Readiness,
        unused: impl Fn() -> Option<bool>,
        over: impl Future<Output = ()>,
    ) -> Result<(), LeadershipLost> {
        tokio::pin!(over);
        let mut hold = tokio::select! {
            taken = self.stand_by(&readiness, unused) => taken,
            () = &mut over => return Ok(()),
        };
        info!(holder = self.me, "leads");
        let ended = tokio::select! {
            lost = self.lead(&mut hold) => Err(lost),
            () = &mut over => Ok(()),
        };
        self.seat.stand_by(None);
        match hold.shaken {
            None if ended.is_ok() => self.give_back().await,
            Some(_) if ended.is_ok() => warn!("the lease is not given back: it was not safely held"),
            _ => {}
        }
        ended
    }

    /// Looks at the lease until it can be taken.
    async fn stand_by(&self, readiness: &Readiness, unused: impl Fn() -> Option<bool>) -> Hold {
        let mut sight = LeaseSight::new(&self.me, self.terms.lease);
        loop {
            let limit = Instant::now() + self.terms.renew_deadline / 2;
            let mut pause = LOOK.min(self.terms.retry);
            match timeout_at(limit, self.read_lease(&mut sight, &unused)).await {
                Ok(Ok(Found::Mine(hold))) => {
                    readiness.done(ELECTION);
                    self.seat.take_until(hold.until);
                    return *hold;
                }
                Ok(Ok(Found::Other(record))) => {
                    readiness.done(ELECTION);
                    if !matches!(&record, LeaseRecord::Held { by, .. } if *by != self.me) {
                        pause = CLOSE_LOOK;
                    }
                    self.log_holder(&record);
                }
                Ok(Ok(Found::Undecided)) => pause = CLOSE_LOOK,
                Ok(Err(error)) => {
                    warn!(%error, "cannot stand for election; trying again");
                    readiness.wait_for(ELECTION, &error.to_string());
                }
                Err(_) => readiness.wait_for(ELECTION, "the API server does not answer"),
            }
            sleep(pause).await;
        }
    }

    /// Says who leads, when that is news.
    fn log_holder(&self, record: &LeaseRecord) {
        let what = record.clause();
        if self.seat.stand_by(Some(what.as_str().into())) {
            match record {
                LeaseRecord::Strange(_) | LeaseRecord::Absent => {
                    warn!("stands by: {what}; it is taken when the wait is over")
                }
                _ => info!("stands by: {what}"),
            }
        }
    }

    /// One look at the lease. It is taken if it is free, or over by this process's own clock.
    async fn read_lease(&self, sight: &mut LeaseSight, unused: impl Fn() -> Option<bool>) -> kube::Result<Found> {
        let sent = Instant::now();
        let found = self.leases.read().await?;
        let record = LeaseRecord::of(found.as_ref());
        let unused = match record {
            LeaseRecord::Absent if sight.is_first() => match unused() {
                Some(unused) => unused,
                None => return Ok(Found::Undecided),
            },
            _ => false,
        };
        let version = found.as_ref().and_then(ResourceExt::resource_version);
        let lease_read = LeaseRead { record: record.clone(), version, sent, answered: Instant::now() };
        let step = sight.judge(lease_read, unused);
        if step == ElectionStep::Wait {
            return Ok(Found::Other(record));
        }
        let taken = Instant::now();
        match self.put(found, step == ElectionStep::Take).await {
            Ok(lease) if step == ElectionStep::Take => {
                Ok(Found::Mine(Box::new(Hold { lease, until: taken + self.terms.renew_deadline, shaken: None })))
            }
            Ok(lease) => {
                sight.claimed(lease.resource_version());
                Ok(Found::Other(record))
            }
            // Another was faster; the next look says who.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Found::Undecided),
            Err(error) => Err(error),
        }
    }

    /// Renews the lease for as long as it can.
    async fn lead(&self, hold: &mut Hold) -> LeadershipLost {
        loop {
            let pause = if hold.shaken.is_some() { STANDS } else { self.terms.retry.max(STANDS) };
            sleep_until((Instant::now() + pause).min(hold.until)).await;
            let sent = Instant::now();
            if sent >= hold.until {
                return LeadershipLost::Late(self.terms.renew_deadline);
            }
            let limit = hold.until.min(sent + self.terms.renew_deadline / 2);
            match timeout_at(limit, self.renew(hold)).await {
                Ok(Ok(Ok(()))) if hold.shaken.is_none() => {
                    hold.until = sent + self.terms.renew_deadline;
                    self.seat.take_until(hold.until);
                }
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(lost))) => return lost,
                Ok(Err(error)) => warn!(%error, "cannot renew the lease; trying again"),
                Err(_) => warn!("cannot renew the lease in time; trying again"),
            }
        }
    }

    /// Writes the lease once more. One that has changed is read again: an answer may have been lost, or somebody else has
    /// written it. What is then written over that is no renewal yet: the hold is shaken until that has stood.
    async fn renew(&self, hold: &mut Hold) -> kube::Result<Result<(), LeadershipLost>> {
        match self.put(Some(hold.lease.clone()), true).await {
            Ok(lease) => {
                (hold.lease, hold.shaken) = (lease, None);
                return Ok(Ok(()));
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error),
        }
        let found = self.leases.read().await?;
        match LeaseRecord::of(found.as_ref()) {
            LeaseRecord::Held { by, .. } if by == self.me => {}
            LeaseRecord::Held { by, .. } | LeaseRecord::GivenBack(by) => return Ok(Err(LeadershipLost::Taken(by))),
            strange => {
                let what = strange.clause();
                if hold.shaken.as_ref() != Some(&what) {
                    warn!("{what}; taking it back");
                }
                self.seat.is_shaken(&what);
                hold.shaken = Some(what);
            }
        }
        hold.lease = self.put(found, hold.shaken.is_none()).await?;
        Ok(Ok(()))
    }

    /// Writes the lease in this process's name, over the version given.
    async fn put(&self, found: Option<Lease>, settled: bool) -> kube::Result<Lease> {
        let creates = found.is_none();
        let lease = record::held(found, &self.me, &self.terms, settled, MicroTime(self.clock.now()));
        if creates { self.leases.make(&lease).await } else { self.leases.write_over(&lease).await }
    }

    /// Gives the lease back, so that another can take it at once. Without luck it takes the length of the lease.
    async fn give_back(&self) {
        let limit = Instant::now() + self.terms.retry;
        let given = timeout_at(limit, async {
            let found = self.leases.read().await?;
            let Some(lease) = found.and_then(|lease| record::given_back(lease, &self.me)) else { return Ok(()) };
            self.leases.write_over(&lease).await.map(drop)
        });
        match given.await {
            Ok(Ok(())) => info!("the lease is given back"),
            Ok(Err(error)) => warn!(%error, "the lease could not be given back"),
            Err(_) => warn!("the lease could not be given back in time"),
        }
    }
}

/// What one look at the lease came to.
enum Found {
    /// This process holds it now.
    Mine(Box<Hold>),
    /// It is not this process's, or not yet.
    Other(LeaseRecord),
    /// It is not known yet whether it is free.
    Undecided,
}

#[cfg(test)]
mod tests;
