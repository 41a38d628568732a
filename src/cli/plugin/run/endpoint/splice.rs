//! Connections that have become something else than HTTP: what comes in at one end goes out at the other.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Two connections of which each carries what the other one gets.
pub struct Splice {
    pub command: OnUpgrade,
    pub api_server: OnUpgrade,
}

impl Splice {
    /// Carries bytes both ways until both ends are done, or one is gone.
    pub async fn carry(self) {
        let (Ok(command), Ok(api_server)) = tokio::join!(self.command, self.api_server) else { return };
        // Whoever is left sees that the other one is gone.
        let _ = copy_bidirectional(&mut TokioIo::new(command), &mut TokioIo::new(api_server)).await;
    }
}

/// Where a call leaves what is to be spliced, for whoever serves its connection.
#[derive(Clone, Default)]
pub struct SpliceSlot(Arc<Mutex<Option<Splice>>>);

impl SpliceSlot {
    /// Leaves it.
    pub fn put(&self, splice: Splice) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(splice);
    }

    /// Takes what was left.
    pub fn take(&self) -> Option<Splice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
