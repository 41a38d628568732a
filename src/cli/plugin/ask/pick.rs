//! Has somebody at a terminal pick what to ask for, and asks for what the command line does not say.
//!
//! A numbered list and words that narrow it: a library that draws on the whole screen would be more code than the plugin. Knows
//! no cluster, and sends nothing.

use super::options::{AskOption, AskOptions};
use super::send::check_length;
use crate::api::request::AccessRequest;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::core::model::duration;

/// What the command line says already.
pub struct GivenAnswers {
    pub reason: Option<String>,
    pub ticket: Option<String>,
    pub duration: Option<String>,
}

/// The option that somebody picks; none when they have enough.
pub fn option<'a>(options: &'a AskOptions, console: &mut Console) -> Option<&'a AskOption> {
    let mut left: Vec<&AskOption> = options.options.iter().collect();
    loop {
        console.remark(&numbered(&left));
        let answer = console.ask(&format!("which one (1 to {}, or words of it)? ", left.len()))?;
        match chosen(&answer, &left) {
            Narrowed::One(option) => return Some(option),
            Narrowed::Some(fewer) => left = fewer,
            Narrowed::None => console.say("there is none like that"),
            Narrowed::Nothing => return None,
        }
    }
}

/// The request for an option, with what the command line says and what somebody answers; none when they have enough.
///
/// # Errors
/// When the command line has no length of time where one should be.
pub fn draft(
    option: &AskOption,
    given: GivenAnswers,
    console: &mut Console,
) -> Result<Option<AccessRequest>, PluginError> {
    let mut draft = option.draft.clone();
    let (usual, longest) = (duration::format(option.offer.usual), duration::format(option.offer.longest));
    let usual = draft.spec.duration.clone().unwrap_or(usual);
    draft.spec.duration = match given.duration {
        Some(length) => Some(length),
        None => match console.ask(&format!("for how long (at most {longest}) [{usual}]? ")) {
            None => return Ok(None),
            Some(answer) if answer.is_empty() => draft.spec.duration,
            Some(answer) => {
                check_length("for how long", &answer)?;
                Some(answer)
            }
        },
    };
    let Some(reason) = given.reason.or_else(|| insist("why is access needed? ", console)) else { return Ok(None) };
    draft.spec.reason = reason;
    draft.spec.ticket = match given.ticket {
        None if option.needs_ticket => match insist("which ticket does it belong to? ", console) {
            None => return Ok(None),
            ticket => ticket,
        },
        ticket => ticket,
    };
    Ok(Some(draft))
}

/// Asks until there is an answer; none when there is no more input.
fn insist(question: &str, console: &mut Console) -> Option<String> {
    loop {
        match console.ask(question) {
            Some(answer) if answer.is_empty() => {}
            answer => return answer,
        }
    }
}

fn numbered(options: &[&AskOption]) -> Text {
    let mut text = Text::default();
    for (index, option) in options.iter().enumerate() {
        let number = TextSpan::new(format!("{:>3}  ", index + 1), Tone::Dim);
        text.spans([vec![number], option.spans()].concat());
    }
    text
}

/// What an answer means.
enum Narrowed<'a> {
    One(&'a AskOption),
    Some(Vec<&'a AskOption>),
    None,
    /// They have enough.
    Nothing,
}

fn chosen<'a>(answer: &str, options: &[&'a AskOption]) -> Narrowed<'a> {
    if answer.is_empty() {
        return Narrowed::Nothing;
    }
    if let Some(option) = answer.parse::<usize>().ok().and_then(|n| options.get(n.checked_sub(1)?)) {
        return Narrowed::One(option);
    }
    let words: Vec<String> = answer.split_whitespace().map(str::to_lowercase).collect();
    let has_all = |option: &&&AskOption| {
        let line: String = option.spans().into_iter().map(|span| span.words.to_lowercase()).collect();
        words.iter().all(|word| line.contains(word))
    };
    let fewer: Vec<&AskOption> = options.iter().filter(has_all).copied().collect();
    match fewer[..] {
        [] => Narrowed::None,
        [only] => Narrowed::One(only),
        _ => Narrowed::Some(fewer),
    }
}
