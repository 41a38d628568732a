//! The record in status of what happens to a request.
//!
//! History only grows. It is bounded, so entries that somebody could provoke without end stop at
//! [`ORDINARY_ENTRIES`], which leaves room for those that can be there once only. What is left out is counted.

use std::fmt::Display;

use k8s_openapi::jiff::Timestamp;

use crate::api::precise_time::PreciseTime;
use crate::api::reason::Reason;
use crate::api::record::{canonical, digest};
use crate::api::request::{AccessRequestStatus, HistoryEntry, NotedReview, OpenStage};

/// How many entries the schema allows.
const MOST_ENTRIES: usize = 128;
/// How many of them may be of the kind that can repeat.
pub const ORDINARY_ENTRIES: usize = MOST_ENTRIES - 16;
/// Longest message, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// Adds an entry. Whether there is room for it is told when all are added, by [`bound`].
pub fn add(history: &mut Vec<HistoryEntry>, at: Timestamp, reason: Reason, by: Option<&str>, what: &dyn Display) {
    history.push(entry(at, reason, by, what));
}

/// Adds what happened to an approval stage.
pub fn add_of_stage(history: &mut Vec<HistoryEntry>, at: Timestamp, reason: Reason, stage: &str, what: &dyn Display) {
    history.push(HistoryEntry { stage: Some(stage.to_owned()), ..entry(at, reason, None, what) });
}

/// Adds what somebody has said, while this stage was open or none.
pub fn add_review(
    history: &mut Vec<HistoryEntry>,
    at: Timestamp,
    reason: Reason,
    by: &str,
    stage: Option<&OpenStage>,
    review: NotedReview,
    what: &dyn Display,
) {
    let stage = stage.map(|stage| stage.name.clone());
    history.push(HistoryEntry { stage, review: Some(review), ..entry(at, reason, Some(by), what) });
}

fn entry(at: Timestamp, reason: Reason, by: Option<&str>, what: &dyn Display) -> HistoryEntry {
    HistoryEntry {
        at: PreciseTime::of(at),
        event: reason.into(),
        by: by.map(str::to_owned),
        identity: None,
        stage: None,
        review: None,
        facts: None,
        message: shorten(&what.to_string()),
    }
}

/// Leaves out what there is no room for of the entries that were added to the first `before`, and counts it. The first
/// time an entry says so.
pub fn bound(status: &mut AccessRequestStatus, before: usize) {
    let before = before.min(status.history.len());
    for added in status.history.split_off(before) {
        let once = added.event.known().is_some_and(happens_once);
        let room = if once { MOST_ENTRIES } else { ORDINARY_ENTRIES };
        if status.history.len() < room {
            status.history.push(added);
            continue;
        }
        // What is not on record is said again in every pass, so that nobody could tell how often it was left out.
        if !added.event.known().is_some_and(is_of_review) {
            leave_out(status, &added);
        }
        let noted = status.history.iter().any(|entry| entry.event == Reason::HistoryFull);
        if !noted && status.history.len() < MOST_ENTRIES {
            let why = "the history is full: what can repeat without end is left out from here on, and \
                       status.historyDropped says how often";
            status.history.push(entry(added.at.0, Reason::HistoryFull, None, &why));
        }
    }
}

/// Counts an entry that there is no room for, and makes it part of the digest of all of them.
fn leave_out(status: &mut AccessRequestStatus, entry: &HistoryEntry) {
    // What a version before this one left out has no digest, and neither has what follows it.
    let all_are_known = status.history_dropped.is_none() || status.history_dropped_digest.is_some();
    let before = status.history_dropped_digest.take().unwrap_or_default();
    status.history_dropped_digest = all_are_known.then(|| digest((before + &canonical(entry)).as_bytes()));
    status.history_dropped = Some(status.history_dropped.unwrap_or(0).saturating_add(1));
}

/// Whether an entry says what a reviewer said, or took back.
fn is_of_review(reason: Reason) -> bool {
    matches!(reason, Reason::Reviewed | Reason::ReviewIgnored | Reason::ReviewWithdrawn)
}

/// Whether a request can have only one entry of this kind.
fn happens_once(reason: Reason) -> bool {
    // Without a wildcard, so that whoever adds a reason has to say.
    match reason {
        Reason::BreakGlass
        | Reason::Denied
        | Reason::Expired
        | Reason::Failed
        | Reason::Granted
        | Reason::HistoryFull
        | Reason::Idle
        | Reason::Justified
        | Reason::Lapsed
        | Reason::ReviewOverdue
        | Reason::Revoked
        | Reason::Unjustified
        | Reason::Unrecorded => true,
        Reason::Approved
        | Reason::ApprovalNeeded
        | Reason::AwaitingRecord
        | Reason::Binding
        | Reason::BindingRestored
        | Reason::ClockWrong
        | Reason::Escalated
        | Reason::Extended
        | Reason::Extending
        | Reason::FreezeAhead
        | Reason::Frozen
        | Reason::GuardMissing
        | Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::Resumed
        | Reason::ReviewIgnored
        | Reason::ReviewOpen
        | Reason::ReviewWithdrawn
        | Reason::Reviewed
        | Reason::RoleChanged
        | Reason::RightUnknown
        | Reason::RoleUnusable
        | Reason::Suspended
        | Reason::WaitingForStart
        | Reason::WrittenInGap => false,
    }
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
    use std::collections::BTreeSet;

    use crate::api::word::Vocabulary;
    use crate::core::laws::fixtures::noon;
    use proptest::prelude::*;

    /// What a request can have once, beside that its history is full.
    const ONCE: [Reason; 12] = [
        Reason::BreakGlass,
        Reason::Granted,
        Reason::Revoked,
        Reason::Idle,
        Reason::Expired,
        Reason::Failed,
        Reason::Denied,
        Reason::Lapsed,
        Reason::ReviewOverdue,
        Reason::Justified,
        Reason::Unjustified,
        Reason::Unrecorded,
    ];

    /// The status after one more entry of each of these kinds.
    fn after(mut status: AccessRequestStatus, reasons: &[Reason]) -> AccessRequestStatus {
        for reason in reasons {
            let before = status.history.len();
            add(&mut status.history, noon(), *reason, None, &"again");
            bound(&mut status, before);
        }
        status
    }

    #[test]
    fn whatever_happens_once_is_tried_for_room_at_the_end() {
        let listed: BTreeSet<&str> = ONCE.iter().chain([&Reason::HistoryFull]).map(|reason| reason.as_str()).collect();
        let once: BTreeSet<&str> =
            Reason::ALL.iter().filter(|reason| happens_once(**reason)).map(|reason| reason.as_str()).collect();
        assert_eq!(listed, once, "what happens_once says, and ONCE of its tests");
    }

    #[test]
    fn what_can_repeat_without_end_leaves_room_for_the_end_and_says_how_often_it_was_left_out() {
        for reason in [Reason::BindingRestored, Reason::ApprovalNeeded, Reason::Approved] {
            let full = after(AccessRequestStatus::default(), &[reason; ORDINARY_ENTRIES]);
            assert_eq!((full.history.len(), full.history_dropped), (ORDINARY_ENTRIES, None));
            let more = after(full.clone(), &[reason; 3]);
            assert_eq!((more.history.len(), more.history_dropped), (ORDINARY_ENTRIES + 1, Some(3)));
            assert_eq!(more.history.last().unwrap().event, Reason::HistoryFull);
            assert!(more.history.starts_with(&full.history));
            let mut status = more;
            for end in ONCE {
                status = after(status, &[end]);
                assert_eq!(status.history.last().unwrap().event, end, "after {reason:?}");
            }
            assert_eq!(status.history_dropped, Some(3));
        }
    }

    /// They are held against what reviews say in every pass, and would be counted in each.
    #[test]
    fn what_reviewers_said_is_left_out_uncounted_and_comes_to_rest() {
        let full = after(AccessRequestStatus::default(), &[Reason::BindingRestored; ORDINARY_ENTRIES]);
        let more = after(full, &[Reason::Reviewed]);
        assert_eq!(
            (more.history.last().unwrap().event.known(), more.history_dropped),
            (Some(Reason::HistoryFull), None)
        );
        assert_eq!(after(more.clone(), &[Reason::Reviewed, Reason::ReviewIgnored, Reason::ReviewWithdrawn]), more);
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
