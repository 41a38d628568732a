//! The command as a process of its own, in the same terminal: how it is started, what signals it gets, how it ended.
//!
//! It must not know what the command is.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// The signals that this process gets and that the command is meant to act on.
///
/// From here on none of them ends this process: there are things to put in order first.
pub struct CommandSignals {
    #[cfg(unix)]
    heard: Vec<(rustix::process::Signal, tokio::signal::unix::Signal)>,
}

/// A command that runs.
pub struct RunningCommand {
    child: Child,
}

impl CommandSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (Signal::INT, SignalKind::interrupt()),
            (Signal::QUIT, SignalKind::quit()),
            (Signal::TERM, SignalKind::terminate()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::USR1, SignalKind::user_defined1()),
            (Signal::USR2, SignalKind::user_defined2()),
        ];
        let heard = kinds.into_iter().map(|(sent, kind)| Ok((sent, signal(kind)?))).collect::<io::Result<_>>()?;
        Ok(Self { heard })
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// Never here.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next signal.
    #[cfg(unix)]
    async fn next(&mut self) -> rustix::process::Signal {
        let each = self.heard.iter_mut().map(|(sent, signal)| {
            Box::pin(async move {
                if signal.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                *sent
            })
        });
        futures::future::select_all(each).await.0
    }

    /// Waits until a key is pressed that ends a process.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl RunningCommand {
    /// Starts a command that talks to the cluster of a kubeconfig.
    ///
    /// # Errors
    /// When it is not there or cannot be run.
    pub fn start(line: &[OsString], kubeconfig: &Path, cache: &Path) -> io::Result<Self> {
        let (program, args) = line.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", kubeconfig).env("KUBECACHEDIR", cache);
        Ok(Self { child: command.spawn()? })
    }

    /// Waits for its end, and hands on the signals that it has not had.
    ///
    /// # Errors
    /// When the system does not say how it ended.
    pub async fn end(&mut self, signals: &mut CommandSignals) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                ended = self.child.wait() => return ended,
                signal = signals.next() => self.hand_on(signal),
            }
        }
    }

    /// The console has told all of its processes, the command included.
    #[cfg(not(unix))]
    fn hand_on(&self, (): ()) {}

    #[cfg(unix)]
    fn hand_on(&self, signal: rustix::process::Signal) {
        use rustix::process::{Pid, Signal};
        let typed = [Signal::INT, Signal::QUIT].contains(&signal);
        // The terminal has sent it to the command already, and a second one means haste to many.
        if typed && is_in_foreground() {
            return;
        }
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Whether what is typed at a terminal, such as Ctrl-C, goes to this process and those it starts.
#[cfg(unix)]
fn is_in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == rustix::process::getpgrp())
}

/// The exit code of a command that ended: as a shell has it, so 128 and the signal where one ended it.
pub fn code_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(1);
    // Systems that have larger codes than this one can give fail with any of them.
    u8::try_from(code).unwrap_or(1)
}

/// The exit code where a command cannot be started: as a shell has it.
pub fn code_of_failure(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(15)), 143);
        assert_eq!(code_of_failure(&io::ErrorKind::NotFound.into()), 127);
        assert_eq!(code_of_failure(&io::ErrorKind::PermissionDenied.into()), 126);
    }
}
