//! An API server whose clock is right, and an own clock that a test sets.

use super::*;
use proptest::prelude::*;
use tokio::time::sleep;

fn noon() -> Timestamp {
    "2026-07-27T12:00:00Z".parse().unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn millis(millis: i64) -> SignedDuration {
    SignedDuration::from_millis(millis)
}

/// The two clocks of a test, and the time that counts.
struct Scene {
    theirs: Clock,
    own: Clock,
    judged: JudgedClock,
}

impl Scene {
    /// An own clock that is so far ahead.
    fn ahead(by: SignedDuration) -> Self {
        let own = Clock::at(noon() + by);
        Self { theirs: Clock::at(noon()), own, judged: JudgedClock::new(own) }
    }

    /// A call that takes so long; the answer is dated half way, by a clock that is so far from the API server's.
    async fn call(&self, witness: Witness, takes: u64, off: SignedDuration) {
        let sent = Instant::now();
        sleep(Duration::from_millis(takes / 2)).await;
        let stated = Timestamp::from_second((self.theirs.now() + off).as_second()).unwrap();
        sleep(Duration::from_millis(takes - takes / 2)).await;
        self.judged.hear(witness, sent, stated);
    }

    /// Calls for some time, by this clock.
    async fn calls(&self, count: u64, off: SignedDuration) {
        for _ in 0..count {
            self.call(Witness::Date, 4, off).await;
            sleep(Duration::from_millis(233)).await;
        }
    }

    /// By how much the time that counts is ahead of the API server's.
    fn judged_ahead(&self) -> SignedDuration {
        self.judged.now().duration_since(self.theirs.now())
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_own_clock_counts_and_is_known_to_be_unheard() {
    let scene = Scene::ahead(seconds(3600));
    assert_eq!((scene.judged.standing(), scene.judged_ahead()), (ClockState::Unheard, seconds(3600)));
}

#[tokio::test(start_paused = true)]
async fn up_to_five_seconds_the_own_clock_counts_and_beyond_the_api_server_s() {
    for (wrong_by, standing) in [
        (seconds(0), ClockState::Right),
        (seconds(3), ClockState::Right),
        (seconds(-3), ClockState::Right),
        (millis(4_900), ClockState::Right),
        (millis(-4_900), ClockState::Right),
        (seconds(6), ClockState::Ahead),
        (seconds(-6), ClockState::Behind),
        (seconds(3600), ClockState::Ahead),
        (seconds(-3600), ClockState::Behind),
    ] {
        let scene = Scene::ahead(wrong_by);
        scene.calls(20, seconds(0)).await;
        let reading = scene.judged.read();
        assert_eq!(reading.standing, standing, "{wrong_by}");
        assert!((reading.ahead - wrong_by).abs() < millis(100), "{wrong_by}: {}", reading.ahead);
        if standing == ClockState::Right {
            assert_eq!(scene.judged_ahead(), wrong_by);
        } else {
            let ahead = scene.judged_ahead();
            assert!(ahead >= seconds(0) && ahead < millis(100), "never behind it: {ahead}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_is_enough_to_notice_and_one_that_took_long_says_little() {
    let scene = Scene::ahead(seconds(60));
    scene.call(Witness::Date, 9_000, seconds(0)).await;
    assert_eq!(scene.judged.standing(), ClockState::Ahead);
    assert!(scene.judged_ahead() >= seconds(0) && scene.judged_ahead() <= seconds(6));
    let scene = Scene::ahead(seconds(7));
    scene.call(Witness::Date, 9_000, seconds(0)).await;
    assert_eq!(scene.judged.standing(), ClockState::Right, "it may be");
    scene.call(Witness::Date, 4, seconds(0)).await;
    assert_eq!(scene.judged.standing(), ClockState::Ahead);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_noticed_before_any_answer_and_the_time_that_counts_hardly_moves() {
    for step in [3600, -3600, 120, -120] {
        let scene = Scene::ahead(seconds(0));
        scene.calls(20, seconds(0)).await;
        scene.own.set_by(seconds(step));
        assert_ne!(scene.judged.standing(), ClockState::Right, "{step}");
        assert!(scene.judged_ahead() >= seconds(0) && scene.judged_ahead() < millis(100), "{step}");
        // Nobody answers for an hour: clocks drift by a little.
        sleep(Duration::from_secs(3600)).await;
        assert!(scene.judged_ahead() >= seconds(0) && scene.judged_ahead() < seconds(2), "{step}");
        scene.own.set_by(seconds(-step));
        assert_eq!((scene.judged.standing(), scene.judged_ahead()), (ClockState::Right, seconds(0)), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_the_two_do_not_take_turns() {
    let scene = Scene::ahead(millis(5_200));
    scene.calls(20, seconds(0)).await;
    assert_eq!(scene.judged.standing(), ClockState::Ahead);
    let mut changes = 0;
    for step in [-400, 400, -400, 400] {
        let before = scene.judged.standing();
        scene.own.set_by(millis(step));
        changes += usize::from(scene.judged.standing() != before);
    }
    assert_eq!(changes, 0);
    scene.own.set_by(millis(-1_400));
    assert_eq!(scene.judged.standing(), ClockState::Right);
    scene.own.set_by(millis(800));
    assert_eq!(scene.judged.standing(), ClockState::Right);
}

/// While a machine sleeps its monotonic clock may stand still: the own clock has gone on, and is right.
#[tokio::test(start_paused = true)]
async fn after_a_sleep_of_the_machine_two_answers_put_it_right() {
    let scene = Scene::ahead(seconds(0));
    scene.calls(20, seconds(0)).await;
    scene.own.set_by(seconds(3600));
    scene.theirs.set_by(seconds(3600));
    assert_eq!(scene.judged.standing(), ClockState::Ahead, "nobody knows better yet");
    scene.calls(2, seconds(0)).await;
    assert_eq!((scene.judged.standing(), scene.judged_ahead()), (ClockState::Right, seconds(0)));
}

#[tokio::test(start_paused = true)]
async fn one_answer_in_another_time_changes_nothing() {
    for off in [86_400, -86_400, 9, -9] {
        let scene = Scene::ahead(seconds(0));
        scene.calls(20, seconds(0)).await;
        for _ in 0..3 {
            scene.call(Witness::Date, 4, seconds(off)).await;
            assert_eq!((scene.judged.standing(), scene.judged_ahead()), (ClockState::Right, seconds(0)), "{off}");
            scene.calls(1, seconds(0)).await;
        }
    }
}

/// Or access would outlive its end by the clock of one of them.
#[tokio::test(start_paused = true)]
async fn of_several_api_servers_the_latest_clock_counts() {
    let scene = Scene::ahead(seconds(-3600));
    for _ in 0..40 {
        scene.calls(3, millis(-1_500)).await;
        scene.calls(1, millis(0)).await;
        let ahead = scene.judged_ahead();
        assert!(scene.judged.standing() == ClockState::Behind && ahead < seconds(1), "{ahead}");
    }
    assert!(scene.judged_ahead() > millis(-300), "{}", scene.judged_ahead());
    // That one is gone for good.
    scene.calls(4 * 70, millis(-1_500)).await;
    assert!(scene.judged_ahead() < millis(-1_000), "{}", scene.judged_ahead());
}

#[tokio::test(start_paused = true)]
async fn a_proxy_s_date_is_not_believed_against_creation_times() {
    let scene = Scene::ahead(seconds(0));
    for off in [seconds(-3600), seconds(3600)] {
        for _ in 0..8 {
            scene.call(Witness::Creation, 4, seconds(0)).await;
            scene.call(Witness::Creation, 40, seconds(0)).await;
            scene.calls(20, off).await;
            let reading = scene.judged.read();
            assert!(
                reading.standing == ClockState::Right && reading.contradicted && scene.judged_ahead().is_zero(),
                "{off}"
            );
        }
        scene.own.set_by(-off);
        assert!(scene.judged_ahead() >= seconds(0) && scene.judged_ahead() < seconds(1), "{}", scene.judged_ahead());
        scene.own.set_by(off);
    }
    // Without any Date they are enough.
    let scene = Scene::ahead(seconds(60));
    scene.call(Witness::Creation, 4, seconds(0)).await;
    let reading = scene.judged.read();
    assert!(reading.standing == ClockState::Ahead && !reading.contradicted && scene.judged_ahead() <= seconds(1));
}

proptest! {
    /// Whatever the calls take, and whenever they come: the bounds hold the API server's time.
    #[test]
    fn the_time_that_counts_is_never_behind_the_api_server_s_when_it_goes_by_that(
        wrong_by in prop_oneof![-90_000_000..-6_000_i64, 6_000..90_000_000_i64],
        calls in proptest::collection::vec((0..12_000_u64, 0..90_000_u64, any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scene = Scene::ahead(millis(wrong_by));
            for (takes, pause, creates) in calls {
                let witness = if creates { Witness::Creation } else { Witness::Date };
                scene.call(witness, takes, seconds(0)).await;
                sleep(Duration::from_millis(pause)).await;
                let (reading, ahead) = (scene.judged.read(), scene.judged_ahead());
                let measured = millis(wrong_by).abs() - reading.ahead.abs();
                prop_assert!(measured >= seconds(0) && reading.ahead.signum() * millis(wrong_by).signum() >= 0);
                if reading.standing == ClockState::Right {
                    prop_assert_eq!(ahead, millis(wrong_by), "it could not be told");
                } else {
                    prop_assert!(ahead >= seconds(0) && ahead <= seconds(14), "{}", ahead);
                }
            }
            Ok(())
        })?;
    }
}
