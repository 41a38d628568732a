//! What keeps the log alive: leaves for old records, a heartbeat each hour, and a checkpoint whenever it has grown.
//!
//! Owns when. A checkpoint is signed only where the tree in the store is the former one's and more, and never says an earlier
//! time; of several replicas one does it at a time, by a row in the store. What fails is told and tried again. It must not
//! hold up what arrives.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::append::LogEnd;
use super::figures::LogFigures;
use super::leaf::{MadeLeaf, NoLeaf};
use super::signer::{LogSigner, SigningFault};
use super::tables;
use crate::archive::store::leaves::KeptCheckpoint;
use crate::archive::store::{ArchiveStore, StoreError};
use crate::core::proof::checkpoint::{Checkpoint, CheckpointFault, LogBreak, SigningPlace, follows};
use crate::core::proof::climb::{NoProof, prove_consistency, root_of, tiles_of_consistency, tiles_of_root};
use crate::core::proof::event::{ClusterBeat, Heartbeat, LogEvent};
use crate::core::proof::note::{NoteFault, SignedNote};
use crate::runtime::clock::Clock;

/// Time between two heartbeats.
const BEAT: Duration = Duration::from_secs(3600);
/// Longest time between two looks at the log.
const LOOKS: Duration = Duration::from_secs(5);
/// How many times in one pass old records get leaves.
const BATCHES: usize = 16;
/// How many clusters one heartbeat tells of; with more there are several.
const CLUSTERS: usize = 200;
/// For how long a replica has the row by which it signs.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);

/// Why the log is not kept alive now.
#[derive(Debug, thiserror::Error)]
pub enum KeeperFault {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no leaf.
    #[error(transparent)]
    Leaf(#[from] NoLeaf),
    /// There is no signature.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// The tree in the store is not whole.
    #[error("signs nothing: {0}; rows were changed by hand, so restore the store from a backup")]
    Tree(#[from] NoProof),
    /// The last checkpoint cannot be read.
    #[error("signs nothing: the last {0}; rows were changed by hand, so restore the store from a backup")]
    Last(#[from] CheckpointFault),
    /// What is in the store is not what was signed before.
    #[error("signs nothing: {0}; rows were changed by hand, so restore the store from a backup")]
    Forked(#[from] LogBreak),
}

impl From<NoteFault> for KeeperFault {
    fn from(fault: NoteFault) -> Self {
        Self::Last(fault.into())
    }
}

/// Keeps the log of one archive.
pub struct LogKeeper {
    pub store: ArchiveStore,
    /// Name of the log.
    pub origin: String,
    /// None: nothing is signed.
    pub signer: Option<LogSigner>,
    /// Where its key lies, as every checkpoint says.
    pub place: SigningPlace,
    /// Longest time for which new leaves wait for a checkpoint.
    pub every: Duration,
    /// By what this replica is known to the others.
    pub replica: String,
    pub figures: LogFigures,
    /// When this replica did it last.
    pub done: DoneAt,
}

/// When something was done by this process, by a clock that nobody sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoneAt {
    pub beat: Option<Instant>,
    pub signed: Option<Instant>,
}

/// Whether something is due that was done at `before`, by the wall clock, or by the other one where that was set back.
fn is_due(now: Timestamp, before: Timestamp, every: Duration, done: Option<Instant>) -> bool {
    match Duration::try_from(now.duration_since(before)) {
        Ok(passed) => passed >= every,
        Err(_) => done.is_none_or(|done| done.elapsed() >= every),
    }
}

impl LogKeeper {
    /// Keeps it for good. `stamped` is called with each new checkpoint.
    pub async fn run(mut self, mut stamped: impl FnMut(KeptCheckpoint)) {
        loop {
            match self.pass(Clock::wall().now()).await {
                Ok(Some(checkpoint)) => stamped(checkpoint),
                Ok(None) => {}
                Err(error) => warn!(%error, "the log is not kept alive"),
            }
            match self.store.catch_up().await {
                Ok(0) | Err(_) => sleep(LOOKS.min(self.every)).await,
                Ok(_) => {}
            }
        }
    }

    /// Does what is due, and gives the checkpoint if there is a new one.
    ///
    /// # Errors
    /// When something of it fails; then the rest waits too.
    pub async fn pass(&mut self, now: Timestamp) -> Result<Option<KeptCheckpoint>, KeeperFault> {
        for _ in 0..BATCHES {
            if self.store.catch_up().await? == 0 {
                break;
            }
        }
        let end = self.store.log_end().await?;
        let last = self.store.last_checkpoint().await?;
        self.figures.grown(&end, last.as_ref());
        if !self.beats(&end, now) && !self.signs(&end, last.as_ref(), now) {
            return Ok(None);
        }
        let until = now.saturating_add(CLAIM).unwrap_or(now);
        if !self.store.claim(&self.replica, now, until).await? {
            return Ok(None);
        }
        // Another replica may have done it meanwhile.
        let mut end = self.store.log_end().await?;
        let beats = self.beats(&end, now);
        if beats {
            self.beat(&end, now).await?;
            end = self.store.log_end().await?;
        }
        let last = self.store.last_checkpoint().await?;
        if !beats && !self.signs(&end, last.as_ref(), now) {
            return Ok(None);
        }
        self.sign(&end, last, now).await
    }

    fn beats(&self, end: &LogEnd, now: Timestamp) -> bool {
        is_due(now, time(end.beat_at), BEAT, self.done.beat)
    }

    fn signs(&self, end: &LogEnd, last: Option<&KeptCheckpoint>, now: Timestamp) -> bool {
        let Some(last) = last else { return end.size > 0 && self.signer.is_some() };
        let before = i64::try_from(last.at).ok().and_then(|at| Timestamp::from_second(at).ok());
        let is_due = is_due(now, before.unwrap_or(Timestamp::MIN), self.every, self.done.signed);
        self.signer.is_some() && end.size > last.size && is_due
    }

    async fn beat(&mut self, end: &LogEnd, now: Timestamp) -> Result<(), KeeperFault> {
        // It never says an earlier time than the one before.
        let at = now.max(time(end.beat_at));
        let clusters: Vec<(String, ClusterBeat)> = self.store.beat_of_clusters(now).await?.into_iter().collect();
        let mut leaves = Vec::new();
        for some in clusters.chunks(CLUSTERS).chain(clusters.is_empty().then_some(&[][..])) {
            let clusters: BTreeMap<String, ClusterBeat> = some.iter().cloned().collect();
            let beat = Heartbeat { at: MicroTime(at), clusters };
            leaves.push(MadeLeaf::of_event(&LogEvent::Heartbeat(beat))?);
        }
        self.store.keep_events(leaves, vec![tables::beaten(at)]).await?;
        self.done.beat = Some(Instant::now());
        Ok(())
    }

    async fn sign(
        &mut self,
        end: &LogEnd,
        last: Option<KeptCheckpoint>,
        now: Timestamp,
    ) -> Result<Option<KeptCheckpoint>, KeeperFault> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let root = root_of(end.size, &self.store.fetched(tiles_of_root(end.size)).await?)?;
        let last = match last {
            Some(last) => Some(Checkpoint::read(SignedNote::read(&last.note)?.text())?),
            None => None,
        };
        let second = u64::try_from(now.as_second()).unwrap_or_default();
        let at = last.as_ref().and_then(|last| last.at).unwrap_or_default().max(second);
        let (origin, size) = (self.origin.clone(), end.size);
        let checkpoint = Checkpoint { origin, size, root, at: Some(at), place: self.place };
        if let Some(last) = &last {
            let tiles = self.store.fetched(tiles_of_consistency(last.size, size)?).await?;
            follows(last, &checkpoint, &prove_consistency(last.size, size, &tiles)?)?;
        }
        let signature = signer.sign(checkpoint.text().as_bytes()).await?;
        let note = checkpoint.signed(&signer.verifier(&self.origin)?, |_| signature).to_string();
        let kept = KeptCheckpoint { size, at, note };
        let is_kept = self.store.keep_checkpoint(&kept).await?;
        self.done.signed = Some(Instant::now());
        if is_kept {
            info!(size, "signs a checkpoint");
            self.figures.grown(end, Some(&kept));
        }
        Ok(is_kept.then_some(kept))
    }
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
