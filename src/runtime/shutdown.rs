//! Turns SIGTERM and Ctrl-C into a signal to stop.

use tokio::sync::watch;
use tracing::info;

/// A flag that becomes true when the process is asked to stop.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn requested() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let asked = asked()?;
    tokio::spawn(async move {
        asked.await;
        info!("asked to stop; finishing what is under way");
        sender.send_replace(true);
        // A closed channel reads as "stop" too, but not before the value has been seen.
        sender.closed().await;
    });
    Ok(receiver)
}

/// Listens from now on, and is done when the process is asked to stop.
#[cfg(unix)]
fn asked() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The same on Windows, where nothing but the kubectl plugin is run, which does not come here.
#[cfg(windows)]
fn asked() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
