//! How audit events of a real API server come to the archive: by a tail of its log, and by its own webhook. Each that counts is
//! there once, through a log that is renamed and packed, programs that are killed, and an archive that is away.

mod attacks;
mod ground;
pub mod load;

use libtest_mimic::Trial;

use self::ground::{FeedGround, LIMIT};
use crate::chart::metrics::OF_FEEDS;
use crate::harness::eventually;
use crate::harness::trial::flagged;

/// Files so small that the log is renamed again and again, packed as in production, and a webhook that does not wait long.
const FLAGS: &[&str] = &[
    "--audit-log-maxsize=1",
    "--audit-log-compress",
    "--audit-webhook-batch-max-wait=1s",
    "--audit-webhook-initial-backoff=4s",
];

pub fn trials() -> Vec<Trial> {
    vec![
        flagged(
            "feeds::a_tail_brings_each_event_that_counts_once",
            FLAGS,
            |_| None,
            |control_plane| async move {
                let mut ground = FeedGround::on(control_plane).await;
                by_tail(&mut ground).await;
                attacks::who_may_feed(&ground).await;
                tells_of_itself(&ground).await;
            },
        ),
        flagged(
            "feeds::the_webhook_brings_each_event_that_counts_once",
            FLAGS,
            |_| None,
            |control_plane| async move {
                by_webhook(&mut FeedGround::on(control_plane).await).await;
            },
        ),
    ]
}

/// What counts deliveries that the archive did not take.
const FAILURES: &str = "daypass_tail_failures_total";

/// Calls by alice in one go: more than a file of the log holds.
const CALLS: usize = 700;

async fn by_tail(ground: &mut FeedGround) {
    ground.daemon_set_is_made().await;
    ground.calls(CALLS).await;
    ground.start_tail().await;
    ground.tail().until_ready().await;
    ground.counted("what was in the log before the tail, and what came since").await;

    ground.calls(CALLS).await;
    ground.tail().kill();
    ground.calls(CALLS).await;
    ground.tail().run();
    ground.counted("files that were renamed and packed while the tail was away").await;

    ground.archive.kill();
    ground.calls(CALLS).await;
    eventually("the tail cannot send", LIMIT, async || {
        match ground.tail_figure(&format!("{FAILURES}{{code=\"none\"}}")).await? {
            0.0 => Err("no failure".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    ground.archive.run().await;
    ground.counted("what was written while the archive was away").await;

    // From the oldest line that is there: all of it comes a second time.
    let once = ground.known_calls().await;
    ground.tail().kill();
    ground.forget_position();
    ground.tail().run();
    eventually("all lines are sent again", LIMIT, async || {
        let again = ground.tail_figure("daypass_tail_events_total").await?;
        if again > 3.0 * CALLS as f64 { Ok(()) } else { Err(format!("{again} lines")) }
    })
    .await;
    assert_eq!(ground.known_calls().await, once);
    assert_eq!(ground.tail_figure("daypass_tail_gaps_total").await, Ok(0.0));
    assert!(ground.renamed() > 2, "the log was hardly renamed");
}

async fn by_webhook(ground: &mut FeedGround) {
    ground.start_webhook().await;
    ground.calls(CALLS).await;
    ground.counted("what the API server sends").await;
    // Both at once: each call comes twice.
    ground.start_tail().await;
    ground.tail().until_ready().await;
    ground.calls(CALLS).await;
    ground.counted("what comes by both").await;
    ground.tail().kill();
    ground.archive.kill();
    ground.calls(CALLS).await;
    ground.archive.run().await;
    ground.counted("what the API server tried to send while the archive was away").await;
}

/// By now each figure was needed; that of failures by a tail before this one, whose figure was looked at then.
async fn tells_of_itself(ground: &FeedGround) {
    let told = ground.told().await;
    let missing: Vec<&str> = OF_FEEDS.into_iter().filter(|name| *name != FAILURES && !told.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} in {told}");
}
