//! What a replica does before it leads, and when it begins to: it discards what the watches queue, then queues everything,
//! and waits until it has seen every grant of the leader before, so that limits count them.
//!
//! It must not record anything: the pass over each request does.

use std::time::Duration;

use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::controller::context::Context;
use crate::controller::queues::{Inbox, ReapTask};
use crate::controller::stores::packed::{PackedRequest, reference};
use crate::controller::versions::{self, Versions};
use crate::core::model::revision::revision;

/// Time between two looks at whether the watch has caught up.
const LOOK: Duration = Duration::from_millis(20);
/// Time to the next list after one that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Time to the next list while the watch is behind.
const RELIST: Duration = Duration::from_secs(5);

/// Throws away what the watches say, for as long as it is polled: all is looked at when the work begins.
pub async fn discard(inbox: &mut Inbox) {
    let reaper = async { while inbox.reaper.recv().await.is_some() {} };
    tokio::join!(
        inbox.grants.discard(),
        inbox.limited.discard(),
        inbox.decisions.discard(),
        inbox.policies.discard(),
        reaper
    );
}

/// Looks at everything that the stores have.
pub fn enqueue_all(context: &Context) {
    context.stores.requests.store.state().iter().for_each(|request| context.enqueue(reference(&**request)));
    context.enqueue_policies();
    context.queues.reap(ReapTask::Everything);
}

/// Waits until the watch has brought every request as it was at this call or later, so that limits can be counted: the
/// process that led until now may have granted something in its last moment. Where no policy has limits, there is
/// nothing to wait for.
pub async fn catch_up(context: &Context) {
    let any_limits = loop {
        match context.stores.policies.set() {
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
    context.stores.requests.ledger.complete();
    context.enqueue_open_requests();
}

/// Every request and its version, from the API server; asks until it is answered.
async fn listed(context: &Context) -> Versions {
    loop {
        match versions::list(&context.reader, &context.served).await {
            Ok(versions) => return versions,
            Err(error) => warn!(%error, "cannot list requests; those under limits wait"),
        }
        sleep(RETRY).await;
    }
}

/// Whether the store has a request in this version or a later one.
fn has(context: &Context, request: &ObjectRef<PackedRequest>, version: u64) -> bool {
    let stored = context.stores.requests.store.get(request);
    let stored = stored.and_then(|packed| revision(packed.meta().resource_version.as_ref()));
    stored.is_some_and(|stored| stored >= version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::scripted::{Script, bring, context, granted};
    use crate::core::laws::fixtures::noon;
    use crate::runtime::clock::Clock;

    /// A grant that the leader before made last would not be counted, and limits would let one more through.
    #[tokio::test]
    async fn only_a_version_as_new_as_the_one_that_is_stored_will_do() {
        let (context, mut feeds, _inbox) = context(&Script::default(), Clock::at(noon()));
        let (request, _) = granted();
        let name = reference(&request);
        assert!(!has(&context, &name, 7), "it has not come");
        bring(&context, &mut feeds, request);
        assert_eq!([6, 7, 8].map(|version| has(&context, &name, version)), [true, true, false]);
    }
}
