//! `daypass-archive tail`: follows the audit log of an API server, and sends what is written there to an archive.
//!
//! Owns the order: read ([`reader`]), send ([`sender`]), and only then keep the place ([`position`]). So every line is sent at
//! least once and in the order of the log; the archive leaves out what it has already. It looks each second instead of
//! being woken by inotify: a look is one stat, the folder of a host may be on a file system that wakes nobody, and a use that
//! is known a second later is known in time. It must not judge a line, or hold more of the log than one batch.

pub mod figures;
pub mod folder;
pub mod position;
pub mod reader;
pub mod sender;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use self::figures::{TailFigures, TailWait};
use self::position::{NoPosition, PositionFile};
use self::reader::{LogBatch, LogReader};
use self::sender::FeedSender;
use crate::runtime::clock::Clock;

/// Time between two looks at a log in which nothing new is.
const LOOKS: Duration = Duration::from_secs(1);
/// Time between two tries to send, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// A log that is followed, and where it is sent.
pub struct AuditTail {
    sender: FeedSender,
    state: PositionFile,
    figures: TailFigures,
    reader: Option<LogReader>,
}

/// Why the tail cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TailEnd {
    /// Where it was is not known.
    #[error(transparent)]
    Position(#[from] NoPosition),
    /// Its own reading broke.
    #[error("the reading of the log broke: {0}")]
    Broken(#[from] JoinError),
}

impl AuditTail {
    /// Goes on where the state file says, or from the oldest line that is there.
    ///
    /// # Errors
    /// When that file cannot be used.
    pub fn of(log: PathBuf, state: PathBuf, sender: FeedSender, figures: TailFigures) -> Result<Self, TailEnd> {
        let state = PositionFile::at(state, &log);
        let position = state.read()?;
        match &position {
            Some(position) => info!(log = %log.display(), ?position, "goes on"),
            None => info!(log = %log.display(), "begins at the oldest line that is there"),
        }
        let reader = Some(LogReader::of(log, position));
        Ok(Self { sender, state, figures, reader })
    }

    /// Follows until it is asked to stop.
    ///
    /// # Errors
    /// When the place in the log cannot be kept: going on would send all again after each start.
    pub async fn follow(mut self, mut stop: watch::Receiver<bool>) -> Result<(), TailEnd> {
        loop {
            let read = self.read().await?;
            let wait = match read {
                Ok(batch) => self.take(batch, &mut stop).await?,
                Err(error) => {
                    warn!(%error, "cannot read the log");
                    self.figures.waits_for(TailWait::Log, &error.to_string());
                    LOOKS
                }
            };
            // A sender that is gone is a wish to stop too.
            if timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok() {
                return Ok(());
            }
        }
    }

    /// Reads beside the runtime: a disk may be slow.
    async fn read(&mut self) -> Result<io::Result<LogBatch>, JoinError> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(Err(io::Error::other("the reader is in use")));
        };
        let (reader, batch) = spawn_blocking(move || {
            let batch = reader.next_batch();
            (reader, batch)
        })
        .await?;
        self.reader = Some(reader);
        Ok(batch)
    }

    /// How long to wait before the next look.
    async fn take(&mut self, batch: LogBatch, stop: &mut watch::Receiver<bool>) -> Result<Duration, TailEnd> {
        match batch.waits {
            true => self.figures.waits_for(TailWait::Log, "it is not there yet"),
            false => self.figures.has(TailWait::Log),
        }
        self.figures.read(&batch);
        for gap in &batch.gaps {
            error!(%gap, "lines of the log may be missing");
        }
        if batch.events > 0 && !self.send(&batch, stop).await {
            return Ok(Duration::ZERO);
        }
        if let Some(position) = &batch.position {
            self.state.write(position)?;
        }
        self.figures.sent(&batch, Clock::wall().now());
        Ok(if batch.more { Duration::ZERO } else { LOOKS })
    }

    /// Tries until the archive has taken it; false, if it is asked to stop before.
    async fn send(&self, batch: &LogBatch, stop: &mut watch::Receiver<bool>) -> bool {
        let mut pause = PAUSES.0;
        loop {
            // A batch that is being sent is let be sent; who stops this process waits a while.
            match self.sender.send(batch.lines.clone()).await {
                Ok(()) => {
                    self.figures.has(TailWait::Archive);
                    return true;
                }
                Err(error) => {
                    warn!(%error, events = batch.events, "the archive has not taken the events; they are sent again");
                    self.figures.failed(&error);
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return false,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
