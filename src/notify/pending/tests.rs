use proptest::prelude::*;

use super::*;
use crate::core::laws::fixtures::noon;
use crate::core::notice::{NoticeEvent, NoticedRequest};

const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);

fn at(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn waiting(id: &str, happened: i64) -> WaitingNotice {
    let request = NoticedRequest::default();
    let notice = Notice {
        id: id.to_owned(),
        event: NoticeEvent::Waits,
        at: at(happened),
        request,
        automatic: false,
        by: None,
        comment: None,
        message: None,
    };
    WaitingNotice { notice, index: Some(0) }
}

fn route(pace: i64) -> RoutePending {
    RoutePending::new(SignedDuration::from_secs(pace), GIVE_UP)
}

fn told(step: RouteStep) -> String {
    match step {
        RouteStep::Tell(_, next) => next.notice.id,
        RouteStep::Wait(until) => panic!("it waits until {until:?}"),
    }
}

#[test]
fn what_happened_first_is_told_first_and_one_call_is_made_at_a_time() {
    let mut route = route(0);
    route.set("b", Some(waiting("b/0", 1)));
    route.set("a", Some(waiting("a/0", 2)));
    assert_eq!(told(route.step(at(9))), "b/0");
    assert_eq!(route.step(at(9)), RouteStep::Wait(None));
    route.done(at(9));
    assert_eq!(told(route.step(at(9))), "a/0");
    route.done(at(9));
    assert_eq!((route.step(at(9)), route.waiting()), (RouteStep::Wait(None), 0));
}

#[test]
fn a_place_is_not_called_faster_than_its_pace() {
    let mut route = route(1);
    route.set("a", Some(waiting("a/0", 0)));
    route.set("b", Some(waiting("b/0", 0)));
    assert_eq!(told(route.step(at(0))), "a/0");
    route.done(at(0));
    assert_eq!(route.step(at(0)), RouteStep::Wait(Some(at(1))));
    assert_eq!(told(route.step(at(1))), "b/0");
}

#[test]
fn a_place_that_wants_to_be_left_alone_is() {
    let mut route = route(0);
    route.set("a", Some(waiting("a/0", 0)));
    route.set("b", Some(waiting("b/0", 1)));
    assert_eq!(told(route.step(at(0))), "a/0");
    assert_eq!(route.failed(Some(Duration::from_secs(30)), 1.0, at(0)), AfterFailure::Again);
    assert_eq!(route.step(at(29)), RouteStep::Wait(Some(at(30))), "another request calls it");
    assert_eq!(told(route.step(at(30))), "a/0");
}

#[test]
fn one_message_that_is_never_taken_does_not_hold_up_the_others() {
    let mut route = route(0);
    route.set("a", Some(waiting("a/0", 0)));
    let mut now = at(0);
    for _ in 0..6 {
        let RouteStep::Tell(..) = route.step(now) else { panic!() };
        route.failed(None, 1.0, now);
        let RouteStep::Wait(Some(until)) = route.step(now) else { panic!() };
        now = until;
    }
    assert_eq!(told(route.step(now)), "a/0");
    route.failed(None, 1.0, now);
    route.set("b", Some(waiting("b/0", 99)));
    let RouteStep::Wait(Some(until)) = route.step(now) else { panic!() };
    assert_eq!(told(route.step(until - SignedDuration::from_millis(0))).as_str(), "a/0");
    route.failed(None, 1.0, until);
    // The pause of the route ends with that of the message, and the other has its turn when that waits on.
    let RouteStep::Wait(Some(until)) = route.step(until) else { panic!() };
    assert!(until.duration_since(now) <= LONGEST_WAIT * 2);
}

#[test]
fn what_fails_for_too_long_is_given_up() {
    let mut route = route(0);
    route.set("a", Some(waiting("a/0", 0)));
    let RouteStep::Tell(..) = route.step(at(0)) else { panic!() };
    assert_eq!(route.failed(None, 0.0, at(0)), AfterFailure::Again);
    let day = 24 * 3600;
    // The same notice, looked at again, has failed since then all the same.
    route.set("a", Some(waiting("a/0", 0)));
    let RouteStep::Tell(..) = route.step(at(day)) else { panic!() };
    assert_eq!(route.failed(None, 0.0, at(day)), AfterFailure::GivenUp);
    // Another notice of the request begins anew.
    route.set("a", Some(waiting("a/1", 0)));
    let RouteStep::Tell(..) = route.step(at(2 * day)) else { panic!() };
    assert_eq!(route.failed(None, 0.0, at(2 * day)), AfterFailure::Again);
}

#[test]
fn waits_grow_to_their_bound_and_differ() {
    assert_eq!(wait(1, 1.0), FIRST_WAIT);
    assert_eq!(wait(1, 0.0), FIRST_WAIT / 2);
    assert_eq!(wait(3, 1.0), FIRST_WAIT * 4);
    for failures in [12, 60, u32::MAX] {
        assert_eq!(wait(failures, 1.0), LONGEST_WAIT);
    }
}

proptest! {
    /// Whatever fails: of each request all is told, once and in its order, and a place that is away for ten minutes is called
    /// some thirty times in them.
    #[test]
    fn all_is_told_once_and_in_order(
        lengths in prop::collection::vec(1_usize..5, 1..6), away in 0_i64..600, jitter in 0.0_f64..1.0,
    ) {
        let mut route = route(0);
        let mut told: Vec<Vec<usize>> = vec![Vec::new(); lengths.len()];
        let next = |route: &mut RoutePending, told: &[Vec<usize>]| {
            for (n, length) in lengths.iter().enumerate() {
                let done = told[n].len();
                let waits = (done < *length).then(|| waiting(&format!("{n}/{done}"), i64::try_from(done).unwrap()));
                route.set(&n.to_string(), waits);
            }
        };
        let (mut now, mut calls) = (at(0), 0);
        next(&mut route, &told);
        while told.iter().zip(&lengths).any(|(told, length)| told.len() < *length) {
            match route.step(now) {
                RouteStep::Tell(uid, notice) if now >= at(away) => {
                    let (request, index) = notice.notice.id.split_once('/').unwrap();
                    prop_assert_eq!(request, uid.as_str());
                    told[request.parse::<usize>().unwrap()].push(index.parse().unwrap());
                    route.done(now);
                    next(&mut route, &told);
                }
                RouteStep::Tell(..) => {
                    calls += 1;
                    prop_assert_eq!(route.failed(None, jitter, now), AfterFailure::Again);
                }
                RouteStep::Wait(Some(until)) => {
                    prop_assert!(until > now);
                    now = until;
                }
                RouteStep::Wait(None) => prop_assert!(false, "something is left and nothing happens"),
            }
        }
        for (told, length) in told.iter().zip(&lengths) {
            prop_assert_eq!(told, &(0..*length).collect::<Vec<_>>());
        }
        prop_assert!(calls < 60, "{} calls in {} seconds", calls, away);
    }
}
