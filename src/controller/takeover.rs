//! What a replica does before it works, and when it begins to. Records nothing.

use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::context::{ACCESS_REQUESTS, Context};
use super::gone;
use super::kept::{Glance, KeptRequest, reference};
use super::queues::{Inbox, Queues, Suspect};
use super::versions::{self, Versions};

/// Time between two looks at whether the watch has caught up.
const LOOK: Duration = Duration::from_millis(20);
/// Time to the next list after one that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Time to the next list while the watch is behind.
const RELIST: Duration = Duration::from_secs(5);
/// How many bindings are deleted at a time.
const CONCURRENT_ENDS: usize = 64;
/// How long the ends that nobody saw come go before everything else. What is left is ended as ever.
const ENDS_FIRST: Duration = Duration::from_secs(2);

/// Throws away what the watches say, for as long as it is polled: all is looked at when the work begins.
pub async fn discard(inbox: &mut Inbox, queues: &Queues) {
    async fn drain<T>(queue: &mut mpsc::UnboundedReceiver<T>, forget: impl Fn(T)) {
        while let Some(name) = queue.recv().await {
            forget(name);
        }
    }
    tokio::join!(
        drain(&mut inbox.requests, |request| queues.waiting_requests.begun(&request)),
        drain(&mut inbox.policies, |policy| queues.waiting_policies.begun(&policy)),
        drain(&mut inbox.reaper, drop),
    );
}

/// Looks at everything that the stores have.
pub fn look_at_all(context: &Context) {
    context.requests.state().iter().for_each(|request| context.queues.look_at(reference(&**request)));
    context.look_at_policies();
    context.queues.suspect(Suspect::Everything);
}

/// Takes away what should have ended while nobody led, before any of it is recorded or told, which takes longer. The passes
/// that come after do both, each for its own request, and delete again what could not be deleted here.
pub async fn end_overdue(context: &Context) {
    while !context.has_listed(&[ACCESS_REQUESTS]) {
        sleep(LOOK).await;
    }
    let now = context.clock.now();
    let overdue = |glance: &Glance| !glance.state.is_final() && glance.ends.is_some_and(|end| end <= now);
    let requests = context.requests.state_filter(|kept| kept.glance.as_ref().is_some_and(overdue));
    let ends = stream::iter(requests.iter().filter_map(|kept| kept.open())).flat_map(|request| {
        let uid = request.metadata.uid.unwrap_or_default();
        let bindings = request.status.unwrap_or_default().bindings.into_iter();
        stream::iter(bindings.map(move |binding| (binding, uid.clone())))
    });
    let ending = ends.for_each_concurrent(CONCURRENT_ENDS, |(binding, uid)| async move {
        if let Err(error) = gone::unbind(context, &binding, &uid).await {
            warn!(%error, ?binding, uid, "cannot end what is overdue; its pass tries again");
        }
    });
    if timeout(ENDS_FIRST, ending).await.is_err() {
        warn!("what is overdue could not all be ended first");
    }
}

/// Waits until the watch has brought every request as it was at this call or later, so that limits can be counted: the
/// process that led until now may have granted something in its last moment. Where no policy has limits, there is
/// nothing to wait for.
pub async fn catch_up(context: &Context) {
    let any_limits = loop {
        match context.policies() {
            Some(policies) => break policies.any_limits(),
            None => sleep(LOOK).await,
        }
    };
    let mut behind = if any_limits { listed(context).await } else { Versions::default() };
    let mut read_at = Instant::now();
    while !behind.is_empty() {
        sleep(LOOK).await;
        behind.retain(|request, version| !has(context, request, *version));
        if !behind.is_empty() && read_at.elapsed() > RELIST {
            // One that was deleted since will never come.
            let there = listed(context).await;
            behind.retain(|request, _| there.contains_key(request));
            read_at = Instant::now();
        }
    }
    context.ledger.complete();
    context.look_at_open_requests();
}

/// Every request and its version, from the API server; asks until it is answered.
async fn listed(context: &Context) -> Versions {
    loop {
        match versions::list(&context.reader, &context.reach).await {
            Ok(versions) => return versions,
            Err(error) => warn!(%error, "cannot list requests; those under limits wait"),
        }
        sleep(RETRY).await;
    }
}

/// Whether the store has a request in this version or a later one.
fn has(context: &Context, request: &ObjectRef<KeptRequest>, version: u64) -> bool {
    let stored = context.requests.get(request);
    let stored = stored.and_then(|kept| kept.meta().resource_version.as_ref()?.parse::<u64>().ok());
    stored.is_some_and(|stored| stored >= version)
}
