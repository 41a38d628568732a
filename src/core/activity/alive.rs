//! Whether the audit events of an API server arrive: the canary calls each one every few seconds, and its own calls must
//! be among them.
//!
//! Owns what a mark is, and runs of marks without a gap. Nothing that anybody else does is a mark, and nothing but a read: an
//! audit policy may leave reads out, and a grant that reads alone would look unused. Where there is none, nothing is known, and
//! it must never be said that nothing was done.

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::event::{AuditStage, ReadEvent};

/// What the name of the canary's client begins with.
const CANARY: &str = "daypass-canary/";
/// What comes before the address of the API server that is called.
const SERVER: &str = "api-server=";
/// What comes before the number of API servers that are called.
const SERVERS: &str = "api-servers=";
/// The verb of its calls.
const READS: &str = "get";
/// The longest that the address of an API server may be.
const MOST_OF_ADDRESS: usize = 128;
/// The longest time between two marks that is no gap: four rounds of the canary.
const GAP: SignedDuration = SignedDuration::from_secs(60);

/// A call of the canary that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryMark {
    /// The API server that it was made to, as the canary called it: HOST:PORT.
    pub server: String,
    /// How many API servers the canary calls, where it says so.
    pub servers: Option<u32>,
    /// When it was over.
    pub at: Timestamp,
}

/// Marks without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeardRun {
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
}

/// The mark that an event is, if its user is one of these canaries.
pub fn mark(event: &ReadEvent, canaries: &BTreeSet<String>) -> Option<CanaryMark> {
    let is_canary =
        canaries.contains(&event.deed.user) && event.deed.impersonated.is_none() && event.deed.verb == READS;
    let words = event.agent.strip_prefix(CANARY).filter(|_| is_canary && event.stage == AuditStage::Complete)?;
    let word = |start: &str| words.split(' ').find_map(|word| word.strip_prefix(start));
    let server = word(SERVER).filter(|server| !server.is_empty() && server.len() <= MOST_OF_ADDRESS)?;
    let servers = word(SERVERS).and_then(|servers| servers.parse().ok());
    Some(CanaryMark { server: server.to_owned(), servers, at: event.at })
}

/// Adds a mark to runs that are in the order of time, each with a gap behind it. In whatever order marks come, the runs are
/// the same in the end.
pub fn join(runs: &mut Vec<HeardRun>, at: Timestamp) {
    let far = |one: Timestamp, other: Timestamp| other.duration_since(one) > GAP;
    let first = runs.partition_point(|run| far(run.until, at));
    let end = runs.partition_point(|run| !far(at, run.from));
    let touched = &runs[first..end.max(first)];
    let from = touched.first().map_or(at, |run| run.from.min(at));
    let until = touched.last().map_or(at, |run| run.until.max(at));
    runs.splice(first..end.max(first), [HeardRun { from, until }]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::core::activity::event::read;

    const OURS: &str = "system:serviceaccount:daypass-system:daypass-canary";

    fn of(user: &str, agent: &str, stage: &str, acting: Option<&str>) -> Option<CanaryMark> {
        by("get", user, agent, stage, acting)
    }

    fn by(verb: &str, user: &str, agent: &str, stage: &str, acting: Option<&str>) -> Option<CanaryMark> {
        let event = json!({
            "kind": "Event", "auditID": "a", "stage": stage, "stageTimestamp": "2026-11-30T12:00:00Z", "verb": verb,
            "user": { "username": user }, "impersonatedUser": acting.map(|name| json!({ "username": name })),
            "userAgent": agent,
        });
        mark(&read(&event.to_string()).unwrap(), &[OURS.to_owned()].into())
    }

    #[test]
    fn only_the_canary_itself_makes_marks() {
        let agent = "daypass-canary/0.1.0 api-server=10.0.0.1:6443 api-servers=3";
        let mark = of(OURS, agent, "ResponseComplete", None).unwrap();
        assert_eq!((mark.server.as_str(), mark.servers), ("10.0.0.1:6443", Some(3)));
        assert_eq!(mark.at, "2026-11-30T12:00:00Z".parse().unwrap());
        assert_eq!(by("patch", OURS, agent, "ResponseComplete", None), None, "reads may be left out of the log");
        assert_eq!(of("mallory", agent, "ResponseComplete", None), None);
        assert_eq!(of("mallory", agent, "ResponseComplete", Some(OURS)), None);
        assert_eq!(of(OURS, agent, "ResponseComplete", Some("bob")), None);
        assert_eq!(of(OURS, agent, "RequestReceived", None), None);
        let plain = of(OURS, "daypass-canary/0.1.0 api-server=[fd00::1]:6443", "ResponseComplete", None).unwrap();
        assert_eq!((plain.server.as_str(), plain.servers), ("[fd00::1]:6443", None));
        for agent in ["daypass-canary/0.1.0", "kubectl api-server=10.0.0.1:6443", "daypass-canary/1 api-server="] {
            assert_eq!(of(OURS, agent, "ResponseComplete", None), None, "{agent}");
        }
    }

    fn run(from: i64, until: i64) -> HeardRun {
        let at = |second| Timestamp::from_second(second).unwrap();
        HeardRun { from: at(from), until: at(until) }
    }

    fn joined(seconds: &[i64]) -> Vec<HeardRun> {
        let mut runs = Vec::new();
        seconds.iter().for_each(|second| join(&mut runs, Timestamp::from_second(*second).unwrap()));
        runs
    }

    #[test]
    fn a_gap_of_more_than_a_minute_breaks_a_run() {
        assert_eq!(joined(&[0, 60, 120]), [run(0, 120)]);
        assert_eq!(joined(&[0, 61]), [run(0, 0), run(61, 61)]);
        assert_eq!(joined(&[0, 120, 60]), [run(0, 120)], "what arrives late closes the gap");
        assert_eq!(joined(&[200, 0, 100]), [run(0, 0), run(100, 100), run(200, 200)]);
        assert_eq!(joined(&[10, 10, 5]), [run(5, 10)]);
    }

    proptest! {
        #[test]
        fn runs_are_the_same_in_any_order(seconds in prop::collection::vec(0..2000i64, 1..40)) {
            let mut sorted = seconds.clone();
            sorted.sort_unstable();
            let mut expected: Vec<HeardRun> = Vec::new();
            for second in sorted {
                match expected.last_mut() {
                    Some(last) if second - last.until.as_second() <= 60 => *last = run(last.from.as_second(), second),
                    _ => expected.push(run(second, second)),
                }
            }
            prop_assert_eq!(joined(&seconds), expected);
        }
    }
}
