//! What can be said of the use of a grant, and why.
//!
//! Owns the judgement for people who ask the archive. Only where every API server was heard for all of the time is it said
//! that nothing was done; else it is not known.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::alive::HeardRun;
use super::summary::UseCount;
use crate::api::record::{Record, RecordKind, RecordOutcome};
use crate::api::request::GrantUse;

/// How far behind the end of the time the last mark may be: four rounds of the canary.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

/// What is known of the use of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseVerdict {
    /// Its bindings allowed calls.
    Used,
    /// Only standing access allowed calls that it would have allowed too.
    Redundant,
    /// Nothing was done that it allows.
    NotUsed,
    /// Nothing was seen, or nothing that would say which, for this reason.
    Unknown(UnknownUse),
}

/// Why the use of a grant is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUse {
    /// Calls that it would have allowed too were allowed by another grant of the same person, or by what is not named.
    Ambiguous,
    /// No record says that access began.
    NeverBegun,
    /// Nobody says how many API servers there are.
    ServersUnknown,
    /// So many of so many API servers were heard for all of the time.
    Silence { heard: usize, servers: u32 },
}

/// When API servers were heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeardFeed {
    /// Runs by the address of the API server.
    pub runs: BTreeMap<String, Vec<HeardRun>>,
    /// How many API servers there are, as the canary says.
    pub servers: Option<u32>,
}

/// From when to when access was given, by the records of a request in their order; `now` where it goes on.
pub fn term(records: &[Record], now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let from = records.iter().find(|record| record.outcome == RecordOutcome::Begun)?.at.0;
    let ends =
        |record: &&Record| record.outcome == RecordOutcome::Ended || record.kind.known() == Some(RecordKind::Deleted);
    Some((from, records.iter().find(ends).map_or(now, |record| record.at.0)))
}

/// What is known of a grant that was used so often, by what was heard in its time.
pub fn verdict(used: &UseCount, term: Option<(Timestamp, Timestamp)>, feed: &HeardFeed) -> UseVerdict {
    if used.calls > 0 {
        return UseVerdict::Used;
    }
    if used.standing > 0 {
        return UseVerdict::Redundant;
    }
    let unknown = if used.ambiguous > 0 {
        UnknownUse::Ambiguous
    } else {
        match (term, feed.servers) {
            (None, _) => UnknownUse::NeverBegun,
            (_, None | Some(0)) => UnknownUse::ServersUnknown,
            (Some((from, until)), Some(servers)) => {
                let covers = |run: &HeardRun| run.from <= from && run.until + SLACK >= until;
                let heard = feed.runs.values().filter(|runs| runs.iter().any(covers)).count();
                if heard >= servers as usize {
                    return UseVerdict::NotUsed;
                }
                UnknownUse::Silence { heard, servers }
            }
        }
    };
    UseVerdict::Unknown(unknown)
}

impl UseVerdict {
    /// The same as the status of a request says it, without why.
    pub fn used(&self) -> GrantUse {
        match self {
            Self::Used => GrantUse::Used,
            Self::Redundant => GrantUse::Redundant,
            Self::NotUsed => GrantUse::NotUsed,
            Self::Unknown(_) => GrantUse::Unknown,
        }
    }
}

impl fmt::Display for UseVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used => f.write_str(
                "its bindings allowed calls; there may be more, since only the first binding that allows one is named",
            ),
            Self::Redundant => f.write_str("other access allowed calls that it allows too, and it allowed none itself"),
            Self::NotUsed => f.write_str("every API server was heard for all of its time, and nothing was done"),
            Self::Unknown(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for UnknownUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous => f.write_str(
                "calls that it allows too were allowed by another grant of whoever has it, or by what the API server does not name",
            ),
            Self::NeverBegun => f.write_str("no record says that access began"),
            Self::ServersUnknown => {
                f.write_str("no call of the canary says how many API servers there are, so one may be silent")
            }
            Self::Silence { heard, servers } => {
                write!(
                    f,
                    "{heard} of {servers} API servers were heard for all of its time, so something may have been missed"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn feed(runs: &[(&str, i64, i64)], servers: Option<u32>) -> HeardFeed {
        let mut feed = HeardFeed { servers, ..HeardFeed::default() };
        for (server, from, until) in runs {
            let run = HeardRun { from: at(*from), until: at(*until) };
            feed.runs.entry((*server).to_owned()).or_default().push(run);
        }
        feed
    }

    #[test]
    fn nothing_is_said_to_be_unused_unless_every_api_server_was_heard_for_all_of_the_time() {
        let (none, term) = (UseCount::default(), Some((at(1000), at(2000))));
        let both = [("a", 900, 2100), ("b", 900, 1990)];
        assert_eq!(verdict(&none, term, &feed(&both, Some(2))), UseVerdict::NotUsed);
        assert_eq!(verdict(&none, None, &feed(&both, Some(2))), UseVerdict::Unknown(UnknownUse::NeverBegun));
        for (runs, servers, heard) in [
            (&both[..], 3, 2),
            (&both[..1], 2, 1),
            (&[], 1, 0),
            (&[("a", 900, 2100), ("b", 1001, 2100)], 2, 1),
            (&[("a", 900, 2100), ("b", 900, 1900)], 2, 1),
            (&[("a", 900, 1500), ("a", 1600, 2100)], 1, 0),
        ] {
            let silence = UnknownUse::Silence { heard, servers };
            assert_eq!(verdict(&none, term, &feed(runs, Some(servers))), UseVerdict::Unknown(silence), "{runs:?}");
        }
        for servers in [None, Some(0)] {
            let unknown = UseVerdict::Unknown(UnknownUse::ServersUnknown);
            assert_eq!(verdict(&none, term, &feed(&both, servers)), unknown);
        }
    }

    #[test]
    fn a_use_is_a_use_whatever_was_heard() {
        let of = |calls, standing, ambiguous| {
            let used = UseCount { calls, standing, ambiguous, ..UseCount::default() };
            verdict(&used, None, &HeardFeed::default())
        };
        assert_eq!(of(1, 1, 1), UseVerdict::Used);
        assert_eq!(of(0, 1, 1), UseVerdict::Redundant);
        assert_eq!(of(0, 0, 1), UseVerdict::Unknown(UnknownUse::Ambiguous));
    }
}
