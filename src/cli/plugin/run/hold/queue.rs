//! The calls that come to the desk. Programs call several things at the same time, so those that come close together are
//! worked off together.
//!
//! Knows nothing of what the calls are.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::WaitingCall;

/// How long no further call must come for a question to be put.
const GATHERED: Duration = Duration::from_millis(75);

/// The calls that wait and that nobody has looked at yet.
pub struct CallQueue(mpsc::UnboundedReceiver<WaitingCall>);

impl CallQueue {
    /// Those that come by this way.
    pub fn new(calls: mpsc::UnboundedReceiver<WaitingCall>) -> Self {
        Self(calls)
    }

    /// The next call, and what comes close behind it. None when nobody can come any more.
    pub async fn next(&mut self) -> Option<Vec<WaitingCall>> {
        let first = self.0.recv().await?;
        Some([vec![first], self.until_quiet().await].into_iter().flatten().collect())
    }

    /// What has come and comes now, until no further call comes.
    pub async fn until_quiet(&mut self) -> Vec<WaitingCall> {
        let mut calls = Vec::new();
        while let Ok(Some(next)) = timeout(GATHERED, self.0.recv()).await {
            calls.push(next);
        }
        calls
    }

    /// Whether somebody has come meanwhile.
    pub fn has_more(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use tokio::sync::oneshot;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::cli::plugin::run::endpoint::desk::HeldCall;

    #[tokio::test(start_paused = true)]
    async fn what_comes_close_together_is_one_batch() {
        let (sender, calls) = mpsc::unbounded_channel();
        let mut queue = CallQueue::new(calls);
        tokio::spawn(async move {
            for pause in [0, 50, 70, 74, 80, 10] {
                sleep(Duration::from_millis(pause)).await;
                let call = HeldCall { method: Method::GET, path: "/".to_owned(), query: None, answer: [][..].into() };
                let _ = sender.send(WaitingCall { call, since: Instant::now(), answer: oneshot::channel().0 });
            }
        });
        assert_eq!(queue.next().await.map(|calls| calls.len()), Some(4));
        assert!(!queue.has_more());
        assert_eq!(queue.next().await.map(|calls| calls.len()), Some(2));
        assert_eq!(queue.next().await.map(|calls| calls.len()), None);
    }
}
