//! That nothing is idle that is not proven to be: by examples, and by stories of uses, clocks and feeds.

use proptest::prelude::*;

use super::*;
use crate::core::laws::fixtures::noon;

const MARKS: i64 = 15;

fn at(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn server(name: &str, from: i64, until: i64) -> HeardServer {
    HeardServer { server: name.to_owned(), from: at(from), until: at(until) }
}

fn known(servers: &[&str], since: i64, until: i64) -> ServersKnown {
    let servers = servers.iter().map(|name| (*name).to_owned()).collect();
    ServersKnown { servers, since: at(since), until: at(until) }
}

fn used(last: Option<i64>, open: u64) -> KnownUse {
    let calls = u64::from(last.is_some());
    let count = UseCount { calls, first: last.map(at), last: last.map(at), ..UseCount::default() };
    KnownUse { uid: "u".to_owned(), count, open, open_beside: 0 }
}

/// Other access allowed a call, and may have streams open.
fn beside(count: UseCount, last: Option<i64>, open_beside: u64) -> KnownUse {
    let count = UseCount { last_beside: last.map(at), ..count };
    KnownUse { uid: "u".to_owned(), count, open: 0, open_beside }
}

/// A grant that began at noon and may be unused for ten minutes; an hour later two API servers are heard, and no use of it.
fn silent() -> UsesHeard {
    UsesHeard {
        at: at(3600),
        known: known(&["a:1", "b:1"], -3600, 3600),
        heard: vec![server("a:1", -3600, 3590), server("b:1", -3600, 3590)],
        used: None,
    }
}

fn judged(heard: &UsesHeard) -> Idleness {
    judge(heard, IdleTerms { begin: at(0), timeout: SignedDuration::from_mins(10) }, at(3600))
}

fn unknown(heard: UsesHeard) -> Unproven {
    match judged(&heard) {
        Idleness::Unknown(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_every_api_server_was_heard_for_without_a_use_is_idle() {
    assert_eq!(judged(&silent()), Idleness::Idle { since: at(0) });
    let long_ago = UsesHeard { used: Some(used(Some(600), 0)), ..silent() };
    assert_eq!(judged(&long_ago), Idleness::Idle { since: at(610) });
}

#[test]
fn a_late_use_and_an_open_stream_are_use() {
    let late = UsesHeard { used: Some(used(Some(3100), 0)), ..silent() };
    assert_eq!(judged(&late), Idleness::InUse { until: at(3100 + 10 + 600) });
    let open = UsesHeard { used: Some(used(Some(60), 1)), ..silent() };
    assert_eq!(judged(&open), Idleness::InUse { until: at(4200) });
}

#[test]
fn a_call_that_other_access_allowed_keeps_it_as_its_own_does_and_no_longer() {
    let standing = || UseCount { standing: 7, ..UseCount::default() };
    let heard = |used: KnownUse| UsesHeard { used: Some(used), ..silent() };
    let late = heard(beside(standing(), Some(3100), 0));
    assert_eq!(judged(&late), Idleness::InUse { until: at(3100 + 10 + 600) });
    assert_eq!(judged(&heard(beside(standing(), Some(600), 0))), Idleness::Idle { since: at(610) });
    let ambiguous = UseCount { ambiguous: 1, calls: 1, last: Some(at(60)), ..UseCount::default() };
    assert_eq!(judged(&heard(beside(ambiguous, Some(900), 0))), Idleness::Idle { since: at(910) });
    assert_eq!(judged(&heard(beside(standing(), Some(60), 1))), Idleness::InUse { until: at(4200) });
}

#[test]
fn whatever_is_missing_makes_it_unknown() {
    let silent_b = |run: Vec<HeardServer>| UsesHeard { heard: run, ..silent() };
    let b = || "b:1".to_owned();
    let undated = |change: fn(&mut UseCount)| {
        let mut known = used(None, 0);
        change(&mut known.count);
        UsesHeard { used: Some(known), ..silent() }
    };
    for (heard, why) in [
        (UsesHeard { at: at(3589), ..silent() }, Unproven::OldAnswer),
        (UsesHeard { at: at(3601), ..silent() }, Unproven::OldAnswer),
        (UsesHeard { known: known(&[], -3600, 3600), ..silent() }, Unproven::NoServers),
        (UsesHeard { known: known(&["a:1", "b:1"], -3600, 3539), ..silent() }, Unproven::ServersUnread),
        // The last mark would do for the time without use, and what came since is not heard.
        (silent_b(vec![server("a:1", -3600, 3590), server("b:1", -3600, 3529)]), Unproven::Silent(b())),
        (silent_b(vec![server("a:1", -3600, 3590)]), Unproven::Silent(b())),
        (silent_b(vec![server("a:1", -3600, 3590), server("b:1", 3591, 3590)]), Unproven::Odd(b())),
        (silent_b(vec![server("a:1", -3600, 3590), server("b:1", -3600, 3611)]), Unproven::Odd(b())),
        // Of two runs the worse one counts.
        (silent_b([silent().heard, vec![server("b:1", 3500, 3590)]].concat()), Unproven::TooShort),
        (silent_b(vec![server("a:1", -3600, 3590), server("b:1", 2990, 3590)]), Unproven::TooShort),
        (UsesHeard { known: known(&["a:1", "b:1"], 2990, 3600), ..silent() }, Unproven::TooShort),
        (undated(|count| count.standing = 1), Unproven::Undated),
        (undated(|count| count.ambiguous = 1), Unproven::Undated),
        (undated(|count| count.calls = 1), Unproven::Undated),
    ] {
        assert_eq!(unknown(heard.clone()), why, "{heard:?}");
    }
    // A gap is over when all have been heard for long enough since.
    let gap = silent_b(vec![server("a:1", -3600, 3590), server("b:1", 2900, 3590)]);
    assert_eq!(judged(&gap), Idleness::Idle { since: at(2910) });
    let joined = UsesHeard { known: known(&["a:1", "b:1"], 2900, 3600), ..silent() };
    assert_eq!(judged(&joined), Idleness::Idle { since: at(2900) });
}

#[test]
fn an_api_server_that_is_gone_and_a_gap_in_reading_begin_anew() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let first = ServersKnown::read(None, set(&["a:1", "b:1"]), at(0));
    let more = ServersKnown::read(Some(first.clone()), set(&["a:1", "b:1", "c:1"]), at(15));
    assert_eq!((more.since, more.until), (at(0), at(15)), "one that comes is asked of the archive");
    let fewer = ServersKnown::read(Some(more.clone()), set(&["a:1", "c:1"]), at(30));
    assert_eq!(fewer.since, at(30), "one that went may have been called until then");
    let late = ServersKnown::read(Some(more), set(&["a:1", "b:1", "c:1"]), at(76));
    assert_eq!(late.since, at(76), "others may have come and gone");
}

/// What truly happened, by the time that counts, in seconds from noon.
#[derive(Clone, Debug)]
struct Story {
    /// By how much the clock of each API server is ahead, and until when its feed arrives, from when on without a gap.
    servers: Vec<(i64, i64, i64)>,
    /// Calls that it allows: at which server, when, and whether something else allowed it.
    uses: Vec<(usize, i64, bool)>,
    timeout: i64,
    now: i64,
}

fn stories() -> impl Strategy<Value = Story> {
    let skew = SKEW.as_secs();
    let server = (-skew..=skew, 0..2000_i64, prop_oneof![3 => Just(i64::MAX), 1 => 0..4000_i64]);
    let uses = prop::collection::vec((0..3_usize, 0..4000_i64, any::<bool>()), 0..4);
    (prop::collection::vec(server, 1..4), uses, 1..1500_i64, 100..4000_i64).prop_map(|(servers, uses, timeout, now)| {
        let servers = servers.into_iter().map(|(ahead, from, until)| (ahead, from - 1000, until)).collect();
        Story { servers, uses, timeout, now }
    })
}

impl Story {
    /// What an archive says that has all that arrived.
    fn heard(&self) -> UsesHeard {
        let name = |index: usize| format!("s{index}:1");
        let run = |(index, (ahead, from, until)): (usize, &(i64, i64, i64))| {
            let last = self.now.min(*until);
            let last = from + (last - from).div_euclid(MARKS) * MARKS;
            (last >= *from).then(|| server(&name(index), from + ahead, last + ahead))
        };
        let uses = self.uses.iter().map(|(server, at, beside)| (server % self.servers.len(), *at, *beside));
        let arrived = uses.filter(|(server, at, _)| {
            let (_, from, until) = self.servers[*server];
            *at <= self.now && (from..=until).contains(at)
        });
        let arrived: Vec<(i64, bool)> =
            arrived.map(|(server, at, beside)| (at + self.servers[server].0, beside)).collect();
        let last = |wanted: bool| arrived.iter().filter(|(_, beside)| *beside == wanted).map(|(at, _)| *at).max();
        let mut known = used(last(false), 0);
        (known.count.standing, known.count.last_beside) = (u64::from(last(true).is_some()), last(true).map(at));
        UsesHeard {
            at: at(self.now),
            known: ServersKnown {
                servers: (0..self.servers.len()).map(name).collect(),
                since: at(-2000),
                until: at(self.now),
            },
            heard: self.servers.iter().enumerate().filter_map(run).collect(),
            used: (!arrived.is_empty()).then_some(known),
        }
    }

    fn judged(&self) -> Idleness {
        let terms = IdleTerms { begin: at(0), timeout: SignedDuration::from_secs(self.timeout) };
        judge(&self.heard(), terms, at(self.now))
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever the clocks of the API servers say within the bound, and whichever feed is dead.
    #[test]
    fn what_is_called_idle_was_not_used_for_so_long(story in stories()) {
        let Idleness::Idle { since } = story.judged() else { return Ok(()) };
        let until = since + SignedDuration::from_secs(story.timeout);
        prop_assert!(until <= at(story.now) && since >= at(0), "before its time");
        let in_it = story.uses.iter().find(|(_, use_at, _)| at(*use_at) > since && at(*use_at) <= until);
        prop_assert_eq!(in_it, None, "idle since {}", since);
    }

    #[test]
    fn nothing_is_idle_while_a_server_is_silent_or_a_stream_is_open(
        story in stories(), gone in 0..3_usize, (open, open_beside) in prop_oneof![(1..3_u64, 0..2_u64), (0..1_u64, 1..3_u64)],
    ) {
        let terms = IdleTerms { begin: at(0), timeout: SignedDuration::from_secs(story.timeout) };
        let (mut without, mut streams) = (story.heard(), story.heard());
        if !without.heard.is_empty() {
            without.heard.remove(gone % without.heard.len());
        }
        streams.used = Some(KnownUse { open, open_beside, ..streams.used.unwrap_or(used(None, 0)) });
        for heard in [without, streams] {
            let idle = matches!(judge(&heard, terms, at(story.now)), Idleness::Idle { .. });
            prop_assert!(!idle, "{:?}", heard);
        }
    }

    /// Whatever an archive makes up, nothing ends before the timeout is over, nor while it must be in use.
    #[test]
    fn no_answer_ends_anything_before_its_time(
        runs in prop::collection::vec((0..3_usize, -9000..9000_i64, -9000..9000_i64), 0..5),
        last in prop::option::of(-9000..9000_i64),
        (timeout, now) in (1..4000_i64, 0..4000_i64),
    ) {
        let heard = UsesHeard {
            at: at(now),
            known: known(&["s0:1", "s1:1"], -9000, now),
            heard: runs.into_iter().map(|(index, from, until)| server(&format!("s{index}:1"), from, until)).collect(),
            used: last.map(|last| used(Some(last), 0)),
        };
        let terms = IdleTerms { begin: at(0), timeout: SignedDuration::from_secs(timeout) };
        if let Idleness::Idle { since } = judge(&heard, terms, at(now)) {
            prop_assert!(now >= timeout && since >= at(0));
            prop_assert!(last.is_none_or(|last| now > last + timeout));
        }
    }

    /// The wake that a use gives is no earlier than any proof can come.
    #[test]
    fn one_that_is_in_use_is_not_idle_before_it_says(story in stories(), later in 0..3000_i64) {
        let Idleness::InUse { until } = story.judged() else { return Ok(()) };
        let then = Story { now: story.now + later, ..story.clone() };
        if let Idleness::Idle { .. } = then.judged() {
            prop_assert!(at(then.now) >= until);
        }
    }
}
