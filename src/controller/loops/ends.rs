//! Takes access away on the second: deletes the bindings of every request whose end has come, before anything else is done
//! with it, whatever passes wait for. Records nothing: the request's pass does, once the bindings are gone.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, error_span, warn};

use super::lost_namespace;
use crate::api::request::BindingRef;
use crate::controller::context::Context;
use crate::controller::stores::ends::{Due, Gone};
use crate::controller::stores::listed::ACCESS_REQUESTS;
use crate::core::model::instants::{self, LONGEST_SLEEP};

/// Access of how many requests is taken away at a time.
const CONCURRENT_ENDS: usize = 64;
/// How many bindings of one request are deleted at a time.
const CONCURRENT_BINDINGS: usize = 16;
/// Recording waits until nothing is due, or until nothing more was ended for so long: one deletion that hangs holds up no
/// other's record.
const RECORD_AFTER: Duration = Duration::from_millis(500);
/// The longest that recording waits while ends come on and on.
const RECORD_WITHIN: Duration = Duration::from_secs(5);
/// How long what came due while nobody led goes before everything else.
const FIRST: Duration = Duration::from_secs(2);
/// Time between two looks at whether all of that is gone.
const LOOK: Duration = Duration::from_millis(20);

/// Runs for as long as the process.
pub async fn run(context: &Context) {
    // Until then the store has none of what the list brings.
    until_listed(context).await;
    let ends = &context.stores.requests.ends;
    let mut ending = FuturesUnordered::new();
    let mut ended = Vec::new();
    let (mut record_at, mut record_by) = (None, None);
    loop {
        let now = context.clock.now();
        while ending.len() < CONCURRENT_ENDS
            && let Some(due) = ends.take_due(now)
        {
            ending.push(end(context, due));
        }
        if ending.is_empty() || record_at.is_some_and(|at| at <= Instant::now()) {
            for Due { uid, request, .. } in ended.drain(..) {
                ends.release(&uid);
                context.enqueue(request);
            }
            (record_at, record_by) = (None, None);
        }
        let has_room = ending.len() < CONCURRENT_ENDS;
        let next = ends.next().map_or(LONGEST_SLEEP, |next| instants::sleep_until(next, now));
        tokio::select! {
            Some(due) = ending.next(), if !ending.is_empty() => {
                ended.push(due);
                let now = Instant::now();
                let by = *record_by.get_or_insert(now + RECORD_WITHIN);
                record_at = Some(by.min(now + RECORD_AFTER));
            }
            () = ends.changed(), if has_room => {}
            () = sleep(next), if has_room => {}
            () = async { sleep_until(record_at.unwrap_or_else(Instant::now)).await }, if record_at.is_some() => {}
        }
    }
}

/// Waits until what came due while nobody led is gone, before any of it is recorded or told, which takes longer. What is
/// left then is ended as at any other time.
pub async fn first_are_gone(context: &Context) {
    until_listed(context).await;
    let gone = async {
        while context.stores.requests.ends.are_due(context.clock.now()) {
            sleep(LOOK).await;
        }
    };
    if timeout(FIRST, gone).await.is_err() {
        warn!("what is overdue could not all be ended first");
    }
}

/// Waits until the requests are known.
pub(super) async fn until_listed(context: &Context) {
    while !context.stores.listed.has(&[ACCESS_REQUESTS]) {
        sleep(LOOK).await;
    }
}

/// Takes away the access of one request. Its pass deletes again what could not be deleted here, and tells people.
async fn end(context: &Context, due: Due) -> Due {
    let Due { uid, request, .. } = &due;
    let stored = context.stores.requests.open(request).filter(|r| r.metadata.uid.as_deref() == Some(&**uid));
    let gone = match stored.and_then(|request| request.status) {
        Some(status) => {
            let span = error_span!("end", namespace = request.namespace, name = request.name, uid = &**uid);
            unbind_all(context, uid, status.bindings).instrument(span).await
        }
        None => None,
    };
    context.stores.requests.ends.done(&due, gone);
    due
}

/// What is gone; none when something may still be there.
async fn unbind_all(context: &Context, uid: &Arc<str>, bindings: Vec<BindingRef>) -> Option<Gone> {
    let unbind = async |binding: &BindingRef| {
        let ended = lost_namespace::unbind(context, binding, uid).await;
        ended.inspect_err(|error| warn!(%error, ?binding, "cannot end access; its pass tries again")).is_ok()
    };
    let ended: Vec<bool> = stream::iter(&bindings).map(unbind).buffer_unordered(CONCURRENT_BINDINGS).collect().await;
    // One without a UID on record may still be on its way to the API server: its pass looks for it again.
    let known = || bindings.iter().filter(|binding| binding.uid.is_some()).cloned().collect();
    ended.into_iter().all(|gone| gone).then(|| Gone { bindings: known(), at: context.clock.now() })
}

#[cfg(test)]
mod tests;
