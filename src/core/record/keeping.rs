//! For how long an archive keeps what tells of people, and what a legal hold may say.
//!
//! Owns the times and the rules of a hold. It must not find or erase anything: the store does, by the times that stand here.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::keeping::{ErasureAsked, HoldAsked, KeepingTimes};
use crate::core::model::name::is_label;

/// Days in which an archive keeps records where its settings say nothing else: a year, and time to report on it.
pub const DECISION_DAYS: u32 = 400;
/// Days in which it keeps what was done with access.
pub const ACTIVITY_DAYS: u32 = 180;
/// Days in which it keeps who read what.
pub const READ_DAYS: u32 = 400;
/// Days in which it keeps a write that no record explains.
pub const FINDING_DAYS: u32 = 90;
/// Most days that a setting may name: a century.
pub const MOST_DAYS: u32 = 36_500;
/// Most requests that one hold names.
const MOST_REQUESTS: usize = 500;
/// Most characters of a name or a UID.
const MOST_NAME: usize = 253;
/// Most characters of a reason.
const MOST_REASON: usize = 1024;

impl Default for KeepingTimes {
    fn default() -> Self {
        Self {
            decision_days: Some(DECISION_DAYS),
            activity_days: Some(ACTIVITY_DAYS),
            read_days: READ_DAYS,
            finding_days: FINDING_DAYS,
        }
    }
}

/// The time before which what happened is kept no longer that is kept for so many days.
pub fn kept_since(days: u32, now: Timestamp) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN)
}

/// Why a hold is not kept, or nothing erased.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// A name that is none.
    #[error("name: {0:?} is no name; give one to 63 lower-case letters, digits and dashes")]
    Name(String),
    /// It holds nothing.
    #[error("requests, person: there is neither; name UIDs of requests, a person, or both")]
    Nothing,
    /// It names too many.
    #[error("requests: there are {0}; name {MOST_REQUESTS} at most, and set another hold for the rest")]
    Requests(usize),
    /// Something that is too long, or empty.
    #[error("{field}: it has {length} characters; write 1 to {most}")]
    Length {
        /// The field.
        field: &'static str,
        /// How long it is.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// It would be over at once.
    #[error("until: it must be ahead; give a later time, or leave it out to hold until it is lifted")]
    Until,
}

/// Judges a hold that somebody asks for now.
///
/// # Errors
/// On the first field that breaks a rule.
pub fn check(asked: &HoldAsked, now: Timestamp) -> Result<(), HoldRefusal> {
    if !is_label(&asked.name) {
        return Err(HoldRefusal::Name(asked.name.chars().take(MOST_NAME).collect()));
    }
    if asked.requests.is_empty() && asked.person.is_none() {
        return Err(HoldRefusal::Nothing);
    }
    if asked.requests.len() > MOST_REQUESTS {
        return Err(HoldRefusal::Requests(asked.requests.len()));
    }
    asked.requests.iter().try_for_each(|uid| within("requests", uid, MOST_NAME))?;
    asked.person.iter().try_for_each(|person| within("person", person, MOST_NAME))?;
    if asked.until.as_ref().is_some_and(|until| until.0 <= now) {
        return Err(HoldRefusal::Until);
    }
    why(&asked.reason)
}

/// Judges whose records somebody asks to erase, and why.
///
/// # Errors
/// On the first field that breaks a rule.
pub fn check_erasure(asked: &ErasureAsked) -> Result<(), HoldRefusal> {
    within("person", &asked.person, MOST_NAME)?;
    why(&asked.reason)
}

/// Judges why something is held, lifted or erased.
///
/// # Errors
/// When it says nothing, or too much.
pub fn why(reason: &str) -> Result<(), HoldRefusal> {
    within("reason", reason, MOST_REASON)
}

fn within(field: &'static str, text: &str, most: usize) -> Result<(), HoldRefusal> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > most { Err(HoldRefusal::Length { field, length, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;
    use crate::core::laws::fixtures::noon;

    fn asked() -> HoldAsked {
        HoldAsked {
            name: "case-7".to_owned(),
            requests: vec!["uid".to_owned()],
            reason: "Case 7.".to_owned(),
            ..HoldAsked::default()
        }
    }

    #[test]
    fn a_hold_says_what_it_holds_and_why() {
        assert_eq!(check(&asked(), noon()), Ok(()));
        let erasure =
            |person: &str| check_erasure(&ErasureAsked { person: person.to_owned(), reason: "asked".to_owned() });
        assert_eq!(erasure("alice"), Ok(()));
        assert_eq!(erasure(""), Err(HoldRefusal::Length { field: "person", length: 0, most: 253 }));
        let of_person = HoldAsked { requests: Vec::new(), person: Some("alice".to_owned()), ..asked() };
        assert_eq!(check(&of_person, noon()), Ok(()));
        let ahead = MicroTime(noon() + SignedDuration::from_secs(1));
        assert_eq!(check(&HoldAsked { until: Some(ahead), ..asked() }, noon()), Ok(()));
    }

    #[test]
    fn what_breaks_a_rule_is_named_by_its_field() {
        let long = |length| "é".repeat(length);
        for (hold, refusal) in [
            (HoldAsked { name: "Case".to_owned(), ..asked() }, HoldRefusal::Name("Case".to_owned())),
            (HoldAsked { requests: Vec::new(), ..asked() }, HoldRefusal::Nothing),
            (HoldAsked { requests: vec!["u".to_owned(); 501], ..asked() }, HoldRefusal::Requests(501)),
            (
                HoldAsked { requests: vec![String::new()], ..asked() },
                HoldRefusal::Length { field: "requests", length: 0, most: 253 },
            ),
            (
                HoldAsked { person: Some(long(254)), ..asked() },
                HoldRefusal::Length { field: "person", length: 254, most: 253 },
            ),
            (HoldAsked { until: Some(MicroTime(noon())), ..asked() }, HoldRefusal::Until),
            (
                HoldAsked { reason: " ".to_owned(), ..asked() },
                HoldRefusal::Length { field: "reason", length: 1, most: 1024 },
            ),
            (
                HoldAsked { reason: long(1025), ..asked() },
                HoldRefusal::Length { field: "reason", length: 1025, most: 1024 },
            ),
        ] {
            assert_eq!(check(&hold, noon()), Err(refusal), "{hold:?}");
        }
    }

    #[test]
    fn a_day_has_24_hours_and_a_time_before_all_times_is_the_first() {
        assert_eq!(noon().duration_since(kept_since(400, noon())), SignedDuration::from_hours(9600));
        assert!(kept_since(u32::MAX, noon()) < noon());
    }
}
