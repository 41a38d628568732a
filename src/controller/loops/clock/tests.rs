//! What is said of the clock, and what is looked at again, on clocks that the tests set.

use http::Method;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::controller::scripted::{Script, asked, bring, context, granted};
use crate::core::laws::fixtures::noon;
use crate::runtime::clock::Clock;
use crate::runtime::gate::seat;
use crate::runtime::judged_clock::Witness;

/// Two answers of an API server with this clock.
fn heard(context: &Context, server: Clock) {
    for _ in 0..2 {
        let stated = Timestamp::from_second(server.now().as_second()).unwrap();
        context.clock.hear(Witness::Date, Instant::now(), stated);
    }
}

async fn while_it_runs(context: &Context, readiness: &Readiness, story: impl Future<Output = ()>) {
    tokio::select! {
        () = run(context, readiness) => unreachable!("it has no end"),
        () = story => {}
    }
}

fn readiness_text(readiness: &Readiness) -> String {
    readiness.answer().1
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_said_in_readiness_and_requests_are_looked_at_when_it_is_right() {
    let script = (0..4 * QUESTIONS).fold(Script::default(), |s, _| s.then(Method::GET, "/readyz", 200, json!("ok")));
    let (own, server) = (Clock::at(noon()), Clock::at(noon()));
    let (context, mut feeds, inbox) = context(&script, own);
    let readiness = Readiness::waiting_for([CLOCK], seat().1);
    let mut open = granted().0;
    open.status = None;
    bring(&context, &mut feeds, open);
    while_it_runs(&context, &readiness, async {
        sleep(LOOK * 2).await;
        assert!(
            readiness_text(&readiness).contains("clock (the API server has not said yet"),
            "{}",
            readiness_text(&readiness)
        );
        heard(&context, server);
        sleep(LOOK * 2).await;
        assert!(readiness_text(&readiness).starts_with("ok"), "{}", readiness_text(&readiness));
        assert_eq!(asked(&inbox.decisions), ["fix"]);
        for (step, how) in [(3600, "the own clock is 59 min ahead of"), (-40, "the own clock is 39 s behind")] {
            own.set_by(SignedDuration::from_secs(step));
            sleep(LOOK * 2).await;
            assert!(readiness_text(&readiness).contains(how), "{}", readiness_text(&readiness));
            assert_eq!(asked(&inbox.decisions), ["fix"]);
            own.set_by(SignedDuration::from_secs(-step));
            sleep(LOOK * 2).await;
            assert!(readiness_text(&readiness).starts_with("ok"), "{}", readiness_text(&readiness));
            assert_eq!(asked(&inbox.decisions), ["fix"]);
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!(asked(&inbox.decisions), Vec::<String>::new(), "a clock that goes on is not news");
    })
    .await;
    script.is_over();
}
