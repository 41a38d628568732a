//! The record in status of what happens to a request.
//!
//! History only grows. It is bounded, so entries that somebody could provoke without end stop at
//! [`ORDINARY_ENTRIES`], which leaves room for those that can be there once only.

use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::request::{HistoryEntry, NotedReview};
use crate::core::model::instants::whole_second;

/// How many entries the schema allows.
const MOST_ENTRIES: usize = 128;
/// How many of them may be of the kind that can repeat.
pub const ORDINARY_ENTRIES: usize = MOST_ENTRIES - 16;
/// Longest message, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// Adds an entry, unless there is no room for one of its kind.
pub fn add(history: &mut Vec<HistoryEntry>, at: Timestamp, reason: Reason, by: Option<&str>, message: &str) {
    let room = if happens_once(reason) { MOST_ENTRIES } else { ORDINARY_ENTRIES };
    if history.len() < room {
        history.push(HistoryEntry {
            at: Time(whole_second(at)),
            event: reason.into(),
            by: by.map(str::to_owned),
            review: None,
            message: shorten(message),
        });
    }
}

/// Adds what somebody has said, unless there is no room for it.
pub fn add_review(
    history: &mut Vec<HistoryEntry>,
    at: Timestamp,
    reason: Reason,
    by: &str,
    review: NotedReview,
    message: &str,
) {
    let before = history.len();
    add(history, at, reason, Some(by), message);
    if let Some(added) = history.get_mut(before) {
        added.review = Some(review);
    }
}

/// Whether a request can have only one entry of this kind.
fn happens_once(reason: Reason) -> bool {
    use Reason::{
        BreakGlass, Denied, Expired, Failed, Granted, Justified, Lapsed, ReviewOverdue, Revoked, Unjustified,
    };
    matches!(
        reason,
        Granted | Denied | Lapsed | Expired | Revoked | Failed | BreakGlass | ReviewOverdue | Justified | Unjustified
    )
}

/// Cuts a text to what the schema allows, on a character's edge.
pub fn shorten(text: &str) -> String {
    cut(text, LONGEST_MESSAGE)
}

/// A text and what is said behind it, which stays whole when the text must be cut.
pub fn followed_by(text: &str, more: &str) -> String {
    format!("{}; {more}", cut(text, LONGEST_MESSAGE.saturating_sub(more.len() + 2)))
}

/// Cuts a text to a number of bytes, on a character's edge, with a mark where it was cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(3)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// Joins reasons into one sentence that fits a message, and says how many are left out.
pub fn join(reasons: &[impl Display]) -> String {
    const ROOM: usize = LONGEST_MESSAGE - 256;
    let mut text = String::new();
    for (index, reason) in reasons.iter().enumerate() {
        let reason = cut(&reason.to_string(), ROOM);
        if text.len() + reason.len() > ROOM && index > 0 {
            return format!("{text}; and {} more", reasons.len() - index);
        }
        if index > 0 {
            text.push_str("; ");
        }
        text.push_str(&reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;
    use proptest::prelude::*;

    #[test]
    fn what_can_repeat_without_end_leaves_room_for_the_end() {
        for reason in [Reason::BindingRestored, Reason::ApprovalNeeded, Reason::Approved] {
            let mut history = Vec::new();
            for _ in 0..500 {
                add(&mut history, noon(), reason, None, "again");
            }
            assert_eq!(history.len(), ORDINARY_ENTRIES);
            use Reason::{BreakGlass, Denied, Expired, Failed, Granted, Justified, Lapsed, ReviewOverdue};
            let once = [BreakGlass, Granted, Reason::Revoked, Expired, Failed, Denied, Lapsed];
            for end in once.into_iter().chain([ReviewOverdue, Justified, Reason::Unjustified]) {
                add(&mut history, noon(), end, None, "over");
                assert_eq!(history.last().unwrap().event, end, "after {reason:?}");
            }
        }
    }

    #[test]
    fn a_cut_text_shows_that_it_was_cut() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc…");
        assert_eq!(cut("aäöüß", 8), "aäö…");
    }

    proptest! {
        #[test]
        fn texts_are_cut_on_the_edge_of_a_character(text in "[a-zäß…日🔑]{0,60}", most in 3..80_usize) {
            let cut = cut(&text, most);
            prop_assert!(cut.len() <= most);
            prop_assert!(cut == text || cut.strip_suffix('…').is_some_and(|start| text.starts_with(start)));
        }

        #[test]
        fn joined_reasons_fit_a_message_and_none_goes_missing_in_silence(
            reasons in proptest::collection::vec(("[a-zß]", 1..6000_usize), 1..6)
        ) {
            let reasons: Vec<String> = reasons.into_iter().map(|(letter, n)| letter.repeat(n)).collect();
            let joined = join(&reasons);
            prop_assert!(joined.len() <= LONGEST_MESSAGE);
            let words = joined.split("; ").filter(|part| !part.starts_with("and ")).count();
            let left_out = reasons.len() - words;
            prop_assert_eq!(left_out > 0, joined.ends_with(&format!("; and {left_out} more")));
        }
    }
}
