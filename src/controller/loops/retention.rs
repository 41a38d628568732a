//! Removes requests from the cluster that are over, recorded and old enough, so that etcd does not fill up. Only while this
//! replica leads, and only where an archive holds the whole history, which it is asked once more.
//!
//! When one may go is for `core::record::retention`; the deletion guard holds the controller to what is over, reviewed and
//! recorded.

use std::time::Duration;

use futures::{StreamExt, stream};
use kube::ResourceExt;
use tokio::time::sleep;
use tracing::{info, warn};

use super::outbox::{REQUESTS, RoundError, held};
use crate::api::request::AccessRequest;
use crate::controller::archive::Archive;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::stores::packed::Summary;
use crate::core::model::instants::sleep_until;
use crate::core::record::retention::due;

/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest time between two looks: policies may have changed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The time to the next look where the archive did not hold all of what is due: that is sent to it again in the meantime.
const SENT_AGAIN: Duration = Duration::from_secs(5);
/// How many requests are removed at a time.
const CONCURRENT: usize = 4;

/// Runs for as long as this replica leads.
pub async fn run(context: &Context, archive: &Archive, cluster: &str) {
    if context.stores.outbox.retention().is_none() {
        std::future::pending::<()>().await;
    }
    loop {
        let wait = match look(context, archive, cluster).await {
            Ok(wait) => wait,
            Err(error) => {
                warn!(%error, "cannot remove requests that are over; trying again");
                LONGEST_PAUSE
            }
        };
        sleep(PAUSE).await;
        tokio::select! {
            () = sleep(wait) => {}
            () = context.stores.outbox.rested() => {}
        }
    }
}

/// Removes what is due. How long it is until more is.
async fn look(context: &Context, archive: &Archive, cluster: &str) -> Result<Duration, RoundError> {
    let Some(kept_for) = context.kept_for() else { return Ok(LONGEST_PAUSE) };
    let now = context.clock.now();
    let due_at = |summary: &Summary| summary.rests_since.map(|since| due(since, kept_for));
    let all = context.stores.requests.which(|summary| due_at(summary).is_some_and(|due| due <= now));
    // What the canary notes stands on a request there.
    let of_others: Vec<_> =
        all.iter().filter(|packed| packed.namespace().as_deref() != Some(&context.release)).collect();
    let mut longest = LONGEST_PAUSE;
    for some in of_others.chunks(REQUESTS) {
        let requests: Vec<AccessRequest> = some.iter().filter_map(|packed| packed.open()).collect();
        let asked = requests.len();
        let requests = held(context, archive, cluster, requests).await?;
        if requests.len() < asked {
            longest = SENT_AGAIN;
        }
        remove(context, requests).await?;
    }
    let rest = context.stores.requests.which(|summary| due_at(summary).is_some_and(|due| due > now));
    let next = rest.iter().filter_map(|packed| due_at(packed.summary.as_ref()?)).min();
    Ok(next.map_or(longest, |next| sleep_until(next, now).min(longest)))
}

async fn remove(context: &Context, requests: Vec<AccessRequest>) -> Result<(), Error> {
    let removing = stream::iter(requests).map(|request| async move {
        match context.writer.remove(&request).await {
            // It is looked at again as it is by now.
            Err(Error::Conflict) => Ok(0),
            removed => removed.map(|()| 1),
        }
    });
    let results: Vec<Result<u64, Error>> = removing.buffer_unordered(CONCURRENT).collect().await;
    let removed = results.iter().flatten().sum();
    if removed > 0 {
        info!(requests = removed, "removed requests that are over and recorded");
        context.metrics.shown.records.removed(removed);
    }
    results.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}
