//! What an event of a request leads to: a pass over it, over those that it bears on, and a look at its bindings.
//!
//! Owns what follows from each event. It must not decide anything about a request.

use std::collections::HashSet;

use futures::Stream;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use tracing::warn;

use super::follow::{Listing, for_each, listed};
use crate::controller::context::Context;
use crate::controller::observe::{self, DecodedRequest};
use crate::controller::queues::ReapTask;
use crate::controller::stores::listed::ACCESS_REQUESTS;
use crate::controller::stores::packed::reference;
use crate::runtime::server::Readiness;

/// Follows requests. Ends only when the watch does.
pub async fn watch_requests(
    stream: impl Stream<Item = watcher::Result<Event<DecodedRequest>>>,
    context: &Context,
    readiness: &Readiness,
) {
    let mut listing = Listing::new();
    let mut uids = HashSet::new();
    // Those that were there when a list began: what it does not bring has gone.
    let mut before = Vec::new();
    for_each((ACCESS_REQUESTS, readiness), stream, |event| {
        match &event {
            Event::Init => {
                uids.clear();
                before = context.stores.requests.store.state();
            }
            Event::InitApply(request) => {
                uids.extend(request.uid());
                warn_if_broken(request);
                context.stores.requests.came(request);
            }
            Event::InitDone => {
                context.stores.requests.by_uid.retain(|uid| uids.contains(uid));
                context.stores.requests.extensions.clear();
                let stored = context.stores.requests.store.state();
                stored.iter().filter_map(|packed| packed.open()).for_each(|request| {
                    context.enqueue_related(&request);
                    context.to_outbox(&request);
                });
                for packed in before.drain(..).filter(|packed| packed.uid().is_some_and(|uid| !uids.contains(&uid))) {
                    packed.open().iter().for_each(|request| context.went(request));
                }
                listed(ACCESS_REQUESTS, context, readiness);
                context.enqueue_policies();
                context.queues.reap(ReapTask::Everything);
            }
            Event::Apply(request) => {
                warn_if_broken(request);
                context.stores.requests.came(request);
                request.0.iter().for_each(|request| {
                    context.metrics.came(request, context.clock.now());
                    if request.status.is_none() {
                        context.round_wanted.notify_one();
                    }
                    context.enqueue_related(request);
                    context.to_outbox(request);
                });
            }
            Event::Delete(request) => {
                context.forget(&reference(request), &request.uid().unwrap_or_default());
                if let Ok(request) = &request.0 {
                    context.enqueue_related(request);
                    context.stores.requests.extensions.forget(request);
                    context.queues.reap(ReapTask::Deleted(Box::new(request.clone())));
                    context.went(request);
                }
            }
        }
        if matches!(&event, Event::Apply(request) if is_echo(request, context)) {
            return;
        }
        let listed = listing.after(&event).into_iter();
        listed.for_each(|request| context.enqueue(request.into_kind_unchecked(())));
    })
    .await;
}

/// It is looked at no more: what cannot be read grants nothing.
fn warn_if_broken(request: &DecodedRequest) {
    if let Err(invalid) = &request.0 {
        let (name, namespace) = (&invalid.metadata.name, &invalid.metadata.namespace);
        warn!(error = %invalid, ?name, ?namespace, "cannot decode request");
    }
}

/// Whether a request comes as a pass has just left it.
fn is_echo(request: &DecodedRequest, context: &Context) -> bool {
    let version = request.0.as_ref().ok().and_then(observe::version);
    version.is_some_and(|version| context.stores.requests.expectations.is_echo(&reference(request), version))
}
