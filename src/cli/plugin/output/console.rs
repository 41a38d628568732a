//! Where the plugin speaks and listens. Results go to standard output, all else to standard error; colours, hints, live lines
//! and questions are for terminals only.

use std::io::{BufRead, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::super::error::PluginError;
use super::text::{Text, TextSpan, Tone, visible};

/// The streams of the process.
pub struct Console {
    out: AutoStream<std::io::Stdout>,
    err: AutoStream<std::io::Stderr>,
    /// Whether the last thing on standard error is a line that the next one writes over.
    is_live: bool,
    /// What was said last where there is no terminal to write over.
    said: String,
    /// What everything that is said beside the result begins with.
    about: Option<String>,
    /// Whether nothing is said beside the result.
    is_silent: bool,
    /// Whether results go to standard error too.
    is_beside: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            out: AutoStream::auto(std::io::stdout()),
            err: AutoStream::auto(std::io::stderr()),
            is_live: false,
            said: String::new(),
            about: None,
            is_silent: false,
            is_beside: false,
        }
    }
}

// Whoever reads may have gone, as `head` does, so that nothing can be written is no failure.
impl Console {
    /// The same streams, where what is said beside the result begins with what it is about.
    pub fn about(what: &str) -> Self {
        Self { about: Some(what.to_owned()), ..Self::default() }
    }

    /// The same streams, where nothing is said beside the result: for what was said before.
    pub fn silent() -> Self {
        Self { is_silent: true, ..Self::default() }
    }

    /// The same streams, where results go to standard error too: standard output is that of a command that runs.
    pub fn beside_a_command() -> Self {
        Self { is_beside: true, ..Self::default() }
    }

    /// A result, for people.
    pub fn show(&mut self, text: &Text) {
        if self.is_beside {
            return self.remark(text);
        }
        self.end_live();
        let _ = write!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// A result, for programs: it goes out as it is. On a terminal, what that would obey is shown as an escape.
    pub fn print(&mut self, document: &str) {
        self.end_live();
        let mut out = std::io::stdout();
        let document = if out.is_terminal() { visible_lines(document) } else { document.to_owned() };
        let _ = out.write_all(document.as_bytes()).and_then(|()| out.flush());
    }

    /// Something beside the result: what happens, what could not be read.
    pub fn say(&mut self, words: impl Into<TextSpan>) {
        if self.is_silent {
            return;
        }
        self.end_live();
        let words: TextSpan = words.into();
        let about = self.about.as_ref().map(|about| format!("{about}: ")).unwrap_or_default();
        let _ = write!(self.err, "{}", Text::of(TextSpan { words: about + &words.words, ..words }));
    }

    /// Something that bears on the result and that one might not expect.
    pub fn note(&mut self, words: &str) {
        self.say(TextSpan::new(format!("note: {words}"), Tone::Dim));
    }

    /// Several lines beside the result.
    pub fn remark(&mut self, text: &Text) {
        self.end_live();
        let _ = write!(self.err, "{text}");
    }

    /// The command that one would type next.
    pub fn next(&mut self, command: &str) {
        if self.err_is_terminal() {
            let mut text = Text::default();
            text.spans(vec![TextSpan::new("next: ", Tone::Dim), command.into()]);
            self.end_live();
            let _ = write!(self.err, "{text}");
        }
    }

    /// What is waited for. On a terminal that can wipe a line, each such line takes the place of the one before; elsewhere it is
    /// written when `steady` is not what it was, so that a log has a line for each change and none for each second.
    pub fn wait_line(&mut self, steady: &str, clock: &str) {
        if wipes_lines(self.err_is_terminal(), self.err.current_choice()) {
            // Longer than the screen, it would not be written over but pushed up.
            let words: String = visible(&format!("{steady}{clock}")).chars().take(width_of_terminal()).collect();
            let _ =
                write!(self.err, "\r\x1b[2K{}", TextSpan::new(words, Tone::Waiting)).and_then(|()| self.err.flush());
            self.is_live = true;
        } else if self.said != steady {
            self.said = steady.to_owned();
            let _ = write!(self.err, "{}", Text::of(steady));
        }
    }

    /// Whether somebody is there who can be asked.
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && self.err_is_terminal()
    }

    /// Whether somebody agrees to what is shown; `yes`: the command line says so.
    ///
    /// # Errors
    /// When nobody is there who can be asked; then nothing is shown.
    pub fn agreed(&mut self, yes: bool, shown: Option<&Text>, question: &str) -> Result<bool, PluginError> {
        if yes {
            return Ok(true);
        }
        if !self.can_ask() {
            return Err(PluginError::NobodyToAsk);
        }
        if let Some(shown) = shown {
            self.remark(shown);
        }
        Ok(self.confirm(question))
    }

    /// Asks for a yes; anything else, and no answer, is a no.
    pub fn confirm(&mut self, question: &str) -> bool {
        self.ask(&yes_or_no(question)).is_some_and(|answer| is_yes(&answer))
    }

    /// Asks for a line; none when there is no more input.
    pub fn ask(&mut self, question: &str) -> Option<String> {
        self.end_live();
        let _ = write!(self.err, "{}", visible(question)).and_then(|()| self.err.flush());
        let mut answer = String::new();
        match std::io::stdin().lock().read_line(&mut answer) {
            Ok(read) if read > 0 => Some(answer.trim().to_owned()),
            _ => None,
        }
    }

    fn err_is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    fn end_live(&mut self) {
        if std::mem::take(&mut self.is_live) {
            let _ = write!(self.err, "\r\x1b[2K");
        }
    }
}

/// A question to which anything but a yes is a no.
pub fn yes_or_no(question: &str) -> String {
    format!("{question} [y/N] ")
}

/// Whether an answer to it is a yes.
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

/// Whether a line can be wiped: where colours are not wanted or not there, no escape gets through.
fn wipes_lines(is_terminal: bool, escapes: ColorChoice) -> bool {
    is_terminal && escapes != ColorChoice::Never
}

/// A document with everything that a terminal would obey as an escape, except for its line breaks.
fn visible_lines(document: &str) -> String {
    document
        .split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => visible(line) + "\n",
            None => visible(line),
        })
        .collect()
}

/// As wide as a shell says that its terminal is, or as wide as every terminal is at least.
fn width_of_terminal() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0).unwrap_or(79)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_wiped_only_where_escapes_get_through() {
        assert!(wipes_lines(true, ColorChoice::Always));
        assert!(wipes_lines(true, ColorChoice::AlwaysAnsi));
        assert!(!wipes_lines(true, ColorChoice::Never), "NO_COLOR, or TERM=dumb");
        assert!(!wipes_lines(false, ColorChoice::Always));
    }

    #[test]
    fn a_document_on_a_terminal_keeps_its_lines_and_nothing_else_to_obey() {
        assert_eq!(visible_lines("a: \u{1b}[2Kb\n  c\n\nd"), "a: \\u{1b}[2Kb\n  c\n\nd");
        assert_eq!(visible_lines(""), "");
    }
}
