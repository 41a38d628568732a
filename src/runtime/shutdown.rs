//! Turns SIGTERM and Ctrl-C into a signal to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// A flag that becomes true when the process is asked to stop.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn requested() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("asked to stop; finishing what is under way");
        sender.send_replace(true);
        // A closed channel reads as "stop" too, but not before the value has been seen.
        sender.closed().await;
    });
    Ok(receiver)
}
