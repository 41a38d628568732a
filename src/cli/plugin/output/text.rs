//! Text for people, as lines of words in a few tones. Whatever stands in an object was written by somebody else, so nothing
//! gets out of here that moves a cursor or turns letters around: it is shown as an escape instead.

use std::fmt;

use anstyle::{AnsiColor, Style};

pub use crate::core::report::spelled::visible;

/// How words are meant; on a terminal they have a colour by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    /// Access is there, or comes.
    Good,
    /// Access is refused, or something is wrong.
    Bad,
    /// Somebody is waited for.
    Waiting,
    /// Beside the point.
    Dim,
    /// Heads and names.
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Waiting => AnsiColor::Yellow.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// Some words in one tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSpan {
    pub words: String,
    pub tone: Tone,
}

impl TextSpan {
    /// Words in a tone.
    pub fn new(words: impl Into<String>, tone: Tone) -> Self {
        Self { words: words.into(), tone }
    }
}

impl<T: Into<String>> From<T> for TextSpan {
    fn from(words: T) -> Self {
        Self::new(words, Tone::Plain)
    }
}

impl fmt::Display for TextSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = visible(&self.words);
        if self.tone == Tone::Plain || words.is_empty() {
            return f.write_str(&words);
        }
        let style = self.tone.style();
        write!(f, "{style}{words}{style:#}")
    }
}

/// Lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<Vec<TextSpan>>);

impl Text {
    /// One line.
    pub fn of(words: impl Into<TextSpan>) -> Self {
        let mut text = Self::default();
        text.line(words);
        text
    }

    /// Adds a line.
    pub fn line(&mut self, words: impl Into<TextSpan>) {
        self.0.push(vec![words.into()]);
    }

    /// Adds a line of words in several tones.
    pub fn spans(&mut self, spans: Vec<TextSpan>) {
        self.0.push(spans);
    }

    /// Adds an empty line, unless there is nothing yet.
    pub fn gap(&mut self) {
        if !self.0.is_empty() {
            self.0.push(Vec::new());
        }
    }

    /// Adds the lines of another text.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            for (index, span) in line.iter().enumerate() {
                if index + 1 == line.len() {
                    TextSpan { words: span.words.trim_end().to_owned(), tone: span.tone }.fmt(f)?;
                } else {
                    span.fmt(f)?;
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_an_escape() {
        let hostile = "fix\u{1b}[2K\rgranted\u{202e}lla\nsecond\u{200b} line";
        let shown = r"fix\u{1b}[2K\rgranted\u{202e}lla\nsecond\u{200b} line";
        assert_eq!(Text::of(hostile).to_string(), format!("{shown}\n"));
        let mut text = Text::default();
        text.spans(vec![TextSpan::new(hostile, Tone::Bad), " after".into()]);
        assert_eq!(text.to_string(), format!("\u{1b}[31m{shown}\u{1b}[0m after\n"));
    }
}
