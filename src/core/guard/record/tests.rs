use super::super::missing::Loophole;
use super::super::sight::{GuardDrift, Mark};
use super::*;
use crate::core::laws::fixtures::noon;

fn at(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn marks(uid: &str, generation: i64) -> Marks {
    let mark = Mark { policy: (uid.to_owned(), generation), binding: ("b".to_owned(), 1) };
    Marks::from([("status-guard".to_owned(), mark)])
}

fn sound(marks: Marks) -> RoundFindings {
    RoundFindings { marks, ..RoundFindings::default() }
}

fn drifted(marks: Marks) -> RoundFindings {
    RoundFindings { drifted: vec![("status-guard".to_owned(), GuardDrift::Changed)], ..sound(marks) }
}

fn passed(marks: Marks) -> RoundFindings {
    RoundFindings { passed: vec![("status-guard".to_owned(), Loophole::Statuses)], ..sound(marks) }
}

/// The record after rounds that each take no time, and what decisions go by then.
fn after(before: Option<GapRecord>, rounds: &[(i64, RoundFindings)]) -> (Option<GapRecord>, Guard) {
    rounds.iter().fold((before, Guard::Missing(NotInForce::Untried)), |(record, _), (seconds, verdict)| {
        let round = Round { verdict, began: at(*seconds), ended: at(*seconds), revision: Some(*seconds as u64) };
        let record = GapRecord::after(record, round);
        let guard = record.as_ref().map_or(Guard::Missing(NotInForce::Untried), |record| record.guard(round));
        (record, guard)
    })
}

fn gaps(guard: Guard) -> Vec<(i64, i64)> {
    match guard {
        Guard::InForce(gaps) => {
            let seconds = |t: Timestamp| t.duration_since(noon()).as_secs();
            gaps.between.iter().map(|gap| (seconds(gap.from), seconds(gap.to))).collect()
        }
        Guard::Missing(why) => panic!("{why}"),
    }
}

fn begun() -> Option<GapRecord> {
    after(None, &[(0, sound(marks("p", 1)))]).0
}

#[test]
fn nothing_is_believed_of_the_time_before_the_first_round() {
    let (record, guard) = after(None, &[(0, sound(marks("p", 1)))]);
    assert!(matches!(guard, Guard::Missing(_)), "told too early");
    let (_, guard) = after(record, &[(1, sound(marks("p", 1)))]);
    let Guard::InForce(gaps) = guard else { panic!("{guard:?}") };
    assert!(gaps.gap_at(at(0)).is_some() && gaps.gap_at(at(1)).is_none());
}

#[test]
fn what_passed_a_guard_leaves_a_gap_from_the_last_sound_round_to_the_next() {
    let (record, guard) = after(begun(), &[(10, sound(marks("p", 1))), (20, passed(marks("p", 1)))]);
    assert_eq!(guard, Guard::Missing(passed(marks("p", 1)).complaint()));
    let (record, guard) = after(record, &[(30, sound(marks("p", 1)))]);
    assert!(matches!(guard, Guard::Missing(_)), "told before the second of the end is over");
    let (_, guard) = after(record, &[(31, sound(marks("p", 1)))]);
    assert_eq!(gaps(guard), [(10, 31)]);
}

#[test]
fn a_guard_that_was_another_between_two_rounds_leaves_a_gap_though_it_is_right_again() {
    for now in [marks("p", 3), marks("anew", 1)] {
        let (record, _) = after(begun(), &[(10, sound(marks("p", 1))), (3600, sound(now.clone()))]);
        assert_eq!(gaps(after(record, &[(3601, sound(now))]).1), [(10, 3601)]);
    }
}

#[test]
fn an_upgrade_that_leads_straight_from_one_chart_s_guards_to_the_next_leaves_none() {
    // The former controller sees the new guards as drift, and notes it; the new one knows both.
    let (record, _) = after(begun(), &[(10, sound(marks("p", 1))), (20, drifted(marks("p", 2)))]);
    assert_eq!(gaps(after(record.clone(), &[(25, sound(marks("p", 2)))]).1), []);
    // Unless it was something else in between.
    let (record, _) = after(record, &[(25, sound(marks("p", 3)))]);
    assert_eq!(gaps(after(record, &[(26, sound(marks("p", 3)))]).1), [(10, 26)]);
}

#[test]
fn a_record_of_a_version_that_did_not_look_at_guards_is_taken_over() {
    let former = Some(GapRecord::of_former(at(0)));
    // Its guards are still there when this version starts.
    let (record, guard) = after(former, &[(100, drifted(marks("p", 1)))]);
    assert!(matches!(guard, Guard::Missing(_)));
    let (record, guard) = after(record, &[(101, sound(marks("p", 2)))]);
    assert_eq!(gaps(guard), []);
    assert_eq!(record.and_then(|record| record.unbroken_since()), Some(at(0)));
}

#[test]
fn a_guard_that_is_new_in_this_version_leaves_none() {
    let more: Marks =
        marks("p", 1).into_iter().chain([("lease-guard".to_owned(), marks("l", 1)["status-guard"].clone())]).collect();
    assert_eq!(gaps(after(begun(), &[(10, sound(more))]).1), []);
}

#[test]
fn of_many_gaps_the_oldest_become_one_with_what_was_before() {
    let mut record = begun();
    for i in 1..=(MOST_GAPS as i64 + 3) {
        record = after(
            record,
            &[
                (i * 100, passed(marks("p", 1))),
                (i * 100 + 10, sound(marks("p", 1))),
                (i * 100 + 20, sound(marks("p", 1))),
            ],
        )
        .0;
    }
    let Guard::InForce(gaps) = after(record, &[(9000, sound(marks("p", 1)))]).1 else { panic!("missing") };
    assert_eq!((gaps.between.len(), gaps.since), (MOST_GAPS, at(311)));
}

#[test]
fn it_is_stored_when_something_changed_and_now_and_then() {
    let stored = begun();
    let next = |seconds| after(stored.clone(), &[(seconds, sound(marks("p", 1)))]).0.unwrap();
    assert!(next(5).is_news_to(None) && !next(5).is_news_to(stored.as_ref()));
    assert!(next(300).is_news_to(stored.as_ref()));
    assert!(after(stored.clone(), &[(5, passed(marks("p", 1)))]).0.unwrap().is_news_to(stored.as_ref()));
    let text = serde_json::to_string(&next(5)).unwrap();
    assert_eq!(serde_json::from_str::<GapRecord>(&text).unwrap(), next(5));
}

#[test]
fn what_was_written_after_the_last_sound_round_before_a_gap_has_yet_to_be_looked_at() {
    let (record, _) = after(begun(), &[(10, sound(marks("p", 1))), (20, passed(marks("p", 1)))]);
    let unsettled = |record: &Option<GapRecord>| record.as_ref().unwrap().unsettled();
    assert_eq!(unsettled(&record), None, "it is not over yet");
    let (record, _) = after(record, &[(30, sound(marks("p", 1))), (40, sound(marks("p", 1)))]);
    assert_eq!((unsettled(&record), record.as_ref().unwrap().revision()), (Some(10), Some(40)));
    // Another gap before anybody looked.
    let (record, _) = after(record, &[(50, sound(marks("p", 3))), (60, sound(marks("p", 3)))]);
    assert_eq!(unsettled(&record), Some(10));
    let settled = record.clone().map(GapRecord::settled);
    assert_eq!(unsettled(&settled), None);
    assert!(settled.unwrap().is_news_to(record.as_ref()), "it must be stored");
}

#[test]
fn an_upgrade_leaves_nothing_to_look_at() {
    let (record, _) = after(begun(), &[(10, sound(marks("p", 1))), (20, sound(marks("p", 2)))]);
    assert_eq!(record.unwrap().unsettled(), None);
}

#[test]
fn a_gap_of_another_guard_leaves_statuses_as_they_are() {
    let mark = marks("p", 1).remove("status-guard").unwrap();
    let with = |author: &str| {
        let author = Mark { policy: (author.to_owned(), 1), ..mark.clone() };
        sound(Marks::from([("status-guard".to_owned(), mark.clone()), ("policy-author-guard-1".to_owned(), author)]))
    };
    let (record, _) = after(begun(), &[(10, with("a")), (20, with("anew")), (21, with("anew"))]);
    assert_eq!(record.as_ref().unwrap().unsettled(), None);
    let passed =
        RoundFindings { passed: vec![("policy-author-guard-1".to_owned(), Loophole::Bindings)], ..with("anew") };
    let rounds = [(30, with("anew")), (40, passed), (50, with("anew")), (51, with("anew"))];
    let (record, _) = after(record, &rounds);
    assert_eq!((record.as_ref().unwrap().unsettled(), record.unwrap().gaps.len()), (None, 2));
}
