//! What a replica does before it works, and when it begins to. Writes nothing.

use std::time::Duration;

use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::context::Context;
use super::observe::GuardedRequest;
use super::queues::{Inbox, Queues, Suspect};
use crate::api::AccessRequest;

/// Time between two looks at whether the watch has caught up, and the first wait after a failed list.
const LOOK: Duration = Duration::from_millis(20);
/// Time to the next list after one that failed.
const RETRY: Duration = Duration::from_millis(500);
/// How many requests are listed at a time.
const PAGE: u32 = 500;

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
    context.requests.state().iter().for_each(|request| context.queues.look_at(ObjectRef::from_obj(&**request)));
    context.look_at_policies();
    context.queues.suspect(Suspect::Everything);
}

/// Keeps requests from being counted against limits until the watch has brought all that was written before this call:
/// the process that led until now may have granted something in its last moment. Ends do not wait for it.
pub async fn catch_up(context: &Context) {
    let turn = context.ledger.turn().await;
    let mut behind = loop {
        match listed(context).await {
            Ok(versions) => break versions,
            Err(error) => warn!(%error, "cannot list requests; those under limits wait"),
        }
        sleep(RETRY).await;
    };
    loop {
        behind.retain(|(request, version)| !has(context, request, *version));
        let mut still = Vec::new();
        for (request, version) in behind {
            // One that was deleted since the list will never come.
            if !matches!(is_there(context, &request).await, Ok(false)) {
                still.push((request, version));
            }
        }
        if still.is_empty() {
            break;
        }
        behind = still;
        sleep(LOOK).await;
    }
    drop(turn);
}

type Versions = Vec<(ObjectRef<GuardedRequest>, u64)>;

/// Every request and its version, from the API server.
async fn listed(context: &Context) -> kube::Result<Versions> {
    let api: Api<AccessRequest> = Api::all(context.reader.clone());
    let mut page = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let list = api.list_metadata(&page).await?;
        all.extend(list.items.iter().filter_map(place_and_version));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn place_and_version(request: &PartialObjectMeta<AccessRequest>) -> Option<(ObjectRef<GuardedRequest>, u64)> {
    let metadata = &request.metadata;
    let place = ObjectRef::new(metadata.name.as_deref()?).within(metadata.namespace.as_deref()?);
    Some((place, metadata.resource_version.as_ref()?.parse().ok()?))
}

/// Whether the store has a request in this version or a later one.
fn has(context: &Context, request: &ObjectRef<GuardedRequest>, version: u64) -> bool {
    let stored = context.requests.get(request);
    let stored = stored.and_then(|guarded| guarded.meta().resource_version.as_ref()?.parse::<u64>().ok());
    stored.is_some_and(|stored| stored >= version)
}

async fn is_there(context: &Context, request: &ObjectRef<GuardedRequest>) -> kube::Result<bool> {
    let api: Api<AccessRequest> =
        Api::namespaced(context.reader.clone(), request.namespace.as_deref().unwrap_or_default());
    Ok(api.get_metadata_opt(&request.name).await?.is_some())
}
