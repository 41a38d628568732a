use super::*;
use crate::core::guard::{Gap, NotInForce};
use crate::core::laws::fixtures::policy;
use crate::core::policies::{Entry, PolicySet};
use serde_json::{Value, json};

/// An instant on one day, by its hour.
fn hour(hour: u8) -> Timestamp {
    format!("2026-11-23T{hour:02}:00:00Z").parse().unwrap()
}

/// The guard is there since six, with these gaps.
fn gaps(between: &[(u8, u8)]) -> Gaps {
    let gap = |(from, to): &(u8, u8)| Gap { from: hour(*from), to: hour(*to) };
    Gaps { since: hour(6), between: between.iter().map(gap).collect() }
}

/// A policy of this generation, made at this hour, with this record.
fn made(at: u8, generation: i64, origin: Value) -> AccessPolicy {
    let mut policy = policy("p", json!({}));
    policy.metadata.generation = Some(generation);
    policy.metadata.creation_timestamp = Some(Time(hour(at)));
    policy.status = Some(serde_json::from_value(json!({ "origin": origin })).unwrap());
    policy
}

fn believed(generation: i64, after: u8) -> Value {
    json!({ "generation": generation, "after": hour(after).to_string(), "believed": true })
}

fn doubted(generation: i64, after: u8, token: &str) -> Value {
    json!({ "generation": generation, "after": hour(after).to_string(), "believed": false, "confirm": token })
}

fn confirmed(policy: AccessPolicy, token: &str) -> AccessPolicy {
    let mut policy = policy;
    policy.metadata.annotations = Some([(keys::CONFIRM.to_owned(), token.to_owned())].into());
    policy
}

/// What is judged at once, and what after a sound round: Some(believed), or None while it must not be judged.
fn judged(policy: &AccessPolicy, gaps: &Gaps) -> [Option<bool>; 2] {
    [false, true].map(|proven| judge(policy, gaps, proven, "new").map(|origin| origin.believed))
}

const DOUBTED: [Option<bool>; 2] = [Some(false), Some(false)];
const BELIEVED: [Option<bool>; 2] = [Some(true), Some(true)];
const BELIEVED_AFTER_A_ROUND: [Option<bool>; 2] = [None, Some(true)];

#[test]
fn what_was_written_in_a_gap_is_doubted_and_what_was_written_besides_is_believed_after_a_round() {
    let one = gaps(&[(10, 11)]);
    for (case, policy, known, wanted) in [
        ("new, and no gap", made(9, 1, Value::Null), gaps(&[]), BELIEVED_AFTER_A_ROUND),
        ("it came with the install", made(5, 1, Value::Null), gaps(&[]), BELIEVED_AFTER_A_ROUND),
        ("it came with the install, and was changed", made(5, 7, Value::Null), gaps(&[]), BELIEVED_AFTER_A_ROUND),
        ("made in the gap", made(10, 1, Value::Null), one.clone(), DOUBTED),
        ("made in the gap, and changed", made(10, 2, Value::Null), one.clone(), DOUBTED),
        ("made before it, and never changed", made(9, 1, Value::Null), one.clone(), BELIEVED_AFTER_A_ROUND),
        ("made before it, and changed some time", made(9, 2, Value::Null), one.clone(), DOUBTED),
        ("made after it", made(11, 3, Value::Null), one.clone(), BELIEVED_AFTER_A_ROUND),
        ("judged after it", made(9, 2, believed(2, 11)), one.clone(), BELIEVED),
        ("judged before it, and not changed since", made(9, 2, believed(2, 6)), one.clone(), BELIEVED),
        ("judged before it, and changed since", made(9, 3, believed(2, 6)), one.clone(), DOUBTED),
        ("judged after it, and changed since", made(9, 3, believed(2, 11)), one.clone(), BELIEVED_AFTER_A_ROUND),
        ("judged before all that is known", made(5, 3, believed(2, 5)), gaps(&[]), DOUBTED),
        ("doubted, and written anew", made(10, 2, doubted(1, 11, "t")), one.clone(), BELIEVED_AFTER_A_ROUND),
        ("doubted, and written in a later gap", made(10, 2, doubted(1, 11, "t")), gaps(&[(10, 11), (12, 13)]), DOUBTED),
        ("doubted", made(10, 1, doubted(1, 11, "t")), one.clone(), DOUBTED),
        ("confirmed", confirmed(made(10, 1, doubted(1, 11, "t")), "t"), one.clone(), [None, Some(true)]),
        ("confirmed by another word", confirmed(made(10, 1, doubted(1, 11, "t")), "new"), one.clone(), DOUBTED),
        ("confirmed by no word", confirmed(made(10, 1, doubted(1, 11, "")), ""), one.clone(), DOUBTED),
        (
            "confirmed in a later gap",
            confirmed(made(10, 1, doubted(1, 11, "t")), "t"),
            gaps(&[(10, 11), (12, 13)]),
            DOUBTED,
        ),
    ] {
        assert_eq!(judged(&policy, &known), wanted, "{case}");
    }
}

#[test]
fn the_record_names_the_gap_and_moves_on_with_the_next() {
    let two = gaps(&[(8, 9), (12, 13)]);
    let origin = judge(&made(7, 2, Value::Null), &two, false, "t").unwrap();
    assert_eq!((origin.from, origin.after.0), (Some(Time(hour(8))), hour(13)));
    assert_eq!(origin.confirm.as_deref(), Some("t"));
    let origin = judge(&made(7, 3, believed(2, 9)), &two, false, "t").unwrap();
    assert_eq!((origin.from, origin.after.0), (Some(Time(hour(12))), hour(13)));
    let origin = judge(&made(7, 2, believed(2, 9)), &two, false, "t").unwrap();
    assert_eq!((origin.after.0, origin.confirm), (hour(13), None));
    // A confirmation of the former token would be one from the gap.
    let origin = judge(&made(7, 2, doubted(2, 9, "old")), &two, false, "new").unwrap();
    assert_eq!(origin.confirm.as_deref(), Some("new"));
    let origin = judge(&made(7, 2, doubted(2, 13, "old")), &two, true, "new").unwrap();
    assert_eq!(origin.confirm.as_deref(), Some("old"));
}

#[test]
fn until_it_is_judged_it_is_used_unless_it_may_come_from_a_gap() {
    let (none, one) = (Guard::InForce(gaps(&[])), Guard::InForce(gaps(&[(10, 11)])));
    assert_eq!(doubt(&made(9, 1, Value::Null), &none), None);
    assert_eq!(doubt(&made(9, 2, believed(1, 6)), &none), None);
    let when = Unguarded { from: Some(hour(10)), to: hour(11) };
    assert_eq!(doubt(&made(9, 2, believed(1, 6)), &one), Some(Disbelief::Unjudged(when)));
    assert_eq!(doubt(&made(9, 2, believed(2, 6)), &one), None);
    let missing = Guard::Missing(NotInForce::Untried);
    let unguarded = Disbelief::GuardMissing(NotInForce::Untried);
    assert_eq!(doubt(&made(9, 2, believed(1, 6)), &missing), Some(unguarded));
    assert_eq!(doubt(&made(9, 2, believed(2, 6)), &missing), None);
    // Not before the record says so: the annotation may come from a gap that is not known yet.
    let confirmed = confirmed(made(10, 1, doubted(1, 11, "t")), "t");
    let (policy, token) = ("p".to_owned(), "t".to_owned());
    let when = Unguarded { from: None, to: hour(11) };
    let unconfirmed = Disbelief::Unconfirmed { when, policy, effect: Effect::Allow, token };
    assert_eq!(doubt(&confirmed, &one), Some(unconfirmed));
}

#[test]
fn a_policy_that_is_believed_again_is_not_read_again() {
    let (policy, why) = (policy("p", json!({})), Disbelief::GuardMissing(NotInForce::Untried));
    let set = PolicySet::default().renewed([&policy], |_| Some(why.clone()));
    let Some(Entry::Doubted { policy: doubted, .. }) = set.get("p") else { panic!("{set:?}") };
    let after = set.renewed([&policy], |_| None);
    let Some(Entry::Valid(believed)) = after.get("p") else { panic!("{after:?}") };
    assert!(std::sync::Arc::ptr_eq(doubted, believed));
}
