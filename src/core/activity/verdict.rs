//! What can be said of the use of a grant, and why no more can.
//!
//! Owns the one judgement, for the status of a request and for people who ask the archive, and its words. What was heard each of
//! them knows in its own way: only where every API server was heard for all of the time is it said that nothing was done, or
//! that a grant was not needed; else it is not known.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::alive::HeardRun;
use super::idle::{FRESH, SKEW};
use crate::api::activity::UseCount;
use crate::api::record::{Record, RecordKind, RecordOutcome};
use crate::api::request::GrantUse;

/// What is known of the use of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseVerdict {
    /// As the status of a request says it.
    pub used: GrantUse,
    /// Why it is unknown; none where it is known.
    pub unknown: Option<UnknownUse>,
}

/// Why the use of a grant is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownUse {
    /// Calls that it would have allowed too were allowed by another grant of the same person, or by what is not named.
    Ambiguous,
    /// No record says that access began.
    NeverBegun,
    /// Nobody says how many API servers there were.
    ServersUnknown,
    /// So many of so many API servers were heard for all of the time.
    Silence { heard: usize, servers: u32 },
    /// Not all API servers were heard for all of the time.
    Unheard,
}

/// When a grant gave access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantTerm {
    pub from: Timestamp,
    /// None while it runs.
    pub end: Option<Timestamp>,
}

/// When API servers were heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeardFeed {
    /// Runs by the address of the API server.
    pub runs: BTreeMap<String, Vec<HeardRun>>,
    /// When there were so many API servers, as the canary said.
    pub fleet: BTreeMap<u32, Vec<HeardRun>>,
}

/// When access was given, by the records of a request in their order; none where it never was.
pub fn term(records: &[Record]) -> Option<GrantTerm> {
    let from = records.iter().find(|record| record.outcome == RecordOutcome::Begun)?.at.0;
    let ends =
        |record: &&Record| record.outcome == RecordOutcome::Ended || record.kind.known() == Some(RecordKind::Deleted);
    Some(GrantTerm { from, end: records.iter().find(ends).map(|record| record.at.0) })
}

/// What is known of a grant that was used so often; `heard`: whether every API server was heard for all of its time. That a call
/// was allowed is known whatever else was missed; that none was is not.
pub fn verdict(used: &UseCount, heard: Result<(), UnknownUse>) -> UseVerdict {
    if used.calls > 0 {
        return UseVerdict { used: GrantUse::Used, unknown: None };
    }
    let heard = if used.ambiguous > 0 { Err(UnknownUse::Ambiguous) } else { heard };
    match heard {
        Err(why) => UseVerdict { used: GrantUse::Unknown, unknown: Some(why) },
        Ok(()) if used.standing > 0 => UseVerdict { used: GrantUse::Redundant, unknown: None },
        Ok(()) => UseVerdict { used: GrantUse::NotUsed, unknown: None },
    }
}

impl HeardFeed {
    /// Whether every API server was heard for all of the time of a grant. One that runs is judged by what is heard so far.
    ///
    /// # Errors
    /// Why it was not.
    pub fn all_of(&self, term: Option<GrantTerm>, now: Timestamp) -> Result<(), UnknownUse> {
        let GrantTerm { from, end } = term.ok_or(UnknownUse::NeverBegun)?;
        let until = end.unwrap_or(now);
        let ran = |run: &HeardRun| run.from <= until && run.until >= from;
        let there = self.fleet.iter().filter(|(_, runs)| runs.iter().any(ran));
        // The most that there were at a time: one that is gone may have been called until then.
        let servers = there.map(|(servers, _)| *servers).max().filter(|servers| *servers > 0);
        let servers = servers.ok_or(UnknownUse::ServersUnknown)?;
        let to_the_end = |run: &HeardRun| match end {
            Some(end) => end <= before(run.until, SKEW),
            None => before(now, FRESH + SKEW) <= run.until,
        };
        let covers = |run: &HeardRun| run.from <= before(from, SKEW) && to_the_end(run);
        let heard = self.runs.values().filter(|runs| runs.iter().any(covers)).count();
        if heard >= servers as usize { Ok(()) } else { Err(UnknownUse::Silence { heard, servers }) }
    }
}

fn before(at: Timestamp, length: SignedDuration) -> Timestamp {
    at.checked_sub(length).unwrap_or(Timestamp::MIN)
}

/// Whether access was used, in words.
pub fn words(used: GrantUse) -> &'static str {
    match used {
        GrantUse::Used => {
            "its bindings allowed calls; there may be more, since the API server names only the first binding that allows one"
        }
        GrantUse::Redundant => {
            "approved and not needed: standing access allowed what was done, and it allowed nothing itself"
        }
        GrantUse::NotUsed => "approved and never used",
        GrantUse::Unknown => {
            "not known: not all audit logs arrived for all of its time, or another grant may have allowed what was done"
        }
    }
}

impl fmt::Display for UseVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unknown {
            Some(why) => write!(f, "not known: {why}"),
            None => f.write_str(words(self.used)),
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
                f.write_str("no call of the canary says how many API servers there were, so one may have been silent")
            }
            Self::Silence { heard, servers } => {
                write!(
                    f,
                    "{heard} of {servers} API servers were heard for all of its time, so something may have been missed"
                )
            }
            Self::Unheard => f.write_str("not all API servers were heard for all of its time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(from: i64, until: i64) -> HeardRun {
        HeardRun { from: at(from), until: at(until) }
    }

    fn feed(runs: &[(&str, i64, i64)], fleet: &[(u32, i64, i64)]) -> HeardFeed {
        let mut feed = HeardFeed::default();
        for (server, from, until) in runs {
            feed.runs.entry((*server).to_owned()).or_default().push(run(*from, *until));
        }
        for (servers, from, until) in fleet {
            feed.fleet.entry(*servers).or_default().push(run(*from, *until));
        }
        feed
    }

    #[test]
    fn all_is_heard_when_every_api_server_was_for_all_of_the_time() {
        let over = Some(GrantTerm { from: at(1000), end: Some(at(2000)) });
        let both = [("a", 900, 2100), ("b", 990, 2010)];
        let always = |servers| [(servers, 900, 2100)];
        assert_eq!(feed(&both, &always(2)).all_of(over, at(9000)), Ok(()));
        assert_eq!(feed(&both, &always(2)).all_of(None, at(9000)), Err(UnknownUse::NeverBegun));
        for (runs, servers, heard) in [
            (&both[..], 3, 2),
            (&both[..1], 2, 1),
            (&[], 1, 0),
            (&[("a", 900, 2100), ("b", 991, 2100)], 2, 1),
            (&[("a", 900, 2100), ("b", 900, 2009)], 2, 1),
            (&[("a", 900, 1500), ("a", 1600, 2100)], 1, 0),
        ] {
            let silence = Err(UnknownUse::Silence { heard, servers });
            assert_eq!(feed(runs, &always(servers)).all_of(over, at(9000)), silence, "{runs:?}");
        }
        for fleet in [&[][..], &always(0), &[(2, 2100, 3000)]] {
            assert_eq!(feed(&both, fleet).all_of(over, at(9000)), Err(UnknownUse::ServersUnknown), "{fleet:?}");
        }
    }

    #[test]
    fn an_api_server_that_is_gone_counts_for_the_time_in_which_it_was_there() {
        let both = [("a", 900, 2100), ("b", 900, 2100)];
        let shrunk = feed(&both, &[(3, 0, 1200), (2, 1205, 9000)]);
        let term = |from, end| Some(GrantTerm { from: at(from), end: Some(at(end)) });
        assert_eq!(shrunk.all_of(term(1000, 2000), at(9000)), Err(UnknownUse::Silence { heard: 2, servers: 3 }));
        assert_eq!(shrunk.all_of(term(1300, 2000), at(9000)), Ok(()));
    }

    #[test]
    fn one_that_runs_is_judged_by_what_is_heard_so_far() {
        let runs = GrantTerm { from: at(1000), end: None };
        let feed = feed(&[("a", 900, 2000)], &[(1, 900, 2000)]);
        assert_eq!(feed.all_of(Some(runs), at(2070)), Ok(()));
        assert_eq!(feed.all_of(Some(runs), at(2071)), Err(UnknownUse::Silence { heard: 0, servers: 1 }));
    }

    #[test]
    fn a_use_is_known_whatever_was_missed_and_nothing_else_is() {
        let of = |calls, standing, ambiguous, heard: Result<(), UnknownUse>| {
            verdict(&UseCount { calls, standing, ambiguous, ..UseCount::default() }, heard)
        };
        let unheard = Err(UnknownUse::Unheard);
        for heard in [Ok(()), unheard] {
            assert_eq!(of(1, 1, 1, heard).used, GrantUse::Used);
            // Another grant may have hidden its own uses, whatever standing access allowed as well.
            for standing in [0, 1] {
                assert_eq!(of(0, standing, 1, heard).unknown, Some(UnknownUse::Ambiguous));
            }
        }
        assert_eq!(of(0, 1, 0, Ok(())).used, GrantUse::Redundant);
        assert_eq!(of(0, 0, 0, Ok(())).used, GrantUse::NotUsed);
        for standing in [0, 1] {
            let unknown = UseVerdict { used: GrantUse::Unknown, unknown: Some(UnknownUse::Unheard) };
            assert_eq!(of(0, standing, 0, unheard), unknown);
        }
    }
}
