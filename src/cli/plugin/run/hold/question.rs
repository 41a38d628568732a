//! Asks the person at the terminal, and not on standard input: that is the command's. Knows nothing of what is asked.

use std::fs::File;
use std::io::{Read, Write};

use tokio::sync::oneshot;

use crate::cli::plugin::output::console::{is_yes, yes_or_no};
use crate::cli::plugin::output::text::visible;

/// The terminal of the process, whatever its streams are.
const TERMINAL: &str = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };

/// Whether there is a terminal at which somebody can be asked.
pub fn can_ask() -> bool {
    open().is_ok()
}

fn open() -> std::io::Result<File> {
    File::options().read(true).write(true).open(TERMINAL)
}

/// Asks for a line; none when there is no more input. The answer is read in a thread of its own, which ends with the process
/// when nobody answers: no runtime waits for it.
pub async fn ask(question: &str) -> Option<String> {
    let question = visible(question);
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = answer.send(asked(&question));
    });
    answered.await.ok().flatten()
}

/// What somebody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalReply {
    Yes,
    /// Yes to the wider one.
    All,
    /// Anything else, and no answer.
    No,
}

/// Asks for a yes, or for a yes to all where that is offered.
pub async fn reply(question: &str, offers_all: bool) -> TerminalReply {
    let question = if offers_all { format!("{question} [y/N/a] ") } else { yes_or_no(question) };
    match ask(&question).await.unwrap_or_default() {
        answer if is_yes(&answer) => TerminalReply::Yes,
        answer if offers_all && matches!(answer.to_lowercase().as_str(), "a" | "all") => TerminalReply::All,
        _ => TerminalReply::No,
    }
}

fn asked(question: &str) -> Option<String> {
    let mut terminal = open().ok()?;
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).ok()?;
    // Byte by byte: what is typed behind the line is the command's.
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match terminal.read(&mut byte) {
            Ok(0) | Err(_) if line.is_empty() => return None,
            Ok(0) | Err(_) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.push(byte[0]),
        }
    }
    Some(String::from_utf8_lossy(&line).trim().to_owned())
}
