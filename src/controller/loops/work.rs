//! Starts every loop of the replica that leads, and stops them.
//!
//! It must not know what a loop does.

use std::sync::Arc;

use futures::FutureExt;
use kube::ResourceExt;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;
use tracing::error_span;

use super::passes::Passes;
use super::{activity, ends, insight, outbox, policy, reaper, request, retention, takeover};
use crate::controller::archive::Archive;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::queues::{Inbox, Incoming, Lane};
use crate::controller::records::uid_of_cluster;
use crate::controller::stores::packed::PackedRequest;
use crate::runtime::gate::Leadership;

/// How many requests of a lane are worked on at a time.
const CONCURRENT_REQUESTS: usize = 64;
/// How many of those that limits count: all but one of them only wait for their turn to count.
const CONCURRENT_LIMITED: usize = 4;
/// How many policies are worked on at a time.
const CONCURRENT_POLICIES: usize = 4;

/// Stands by until this replica leads, then works until `stop`.
///
/// # Errors
/// When a loop ends that should not.
pub async fn work(
    context: Arc<Context>,
    mut inbox: Inbox,
    archive: Option<Archive>,
    leadership: &Leadership,
    stop: signal::Receiver<bool>,
) -> Result<(), Error> {
    let until_stop = || {
        let mut stop = stop.clone();
        let stopped = async move {
            let _ = stop.wait_for(|stopped| *stopped).await;
        };
        stopped.boxed().shared()
    };
    tokio::select! {
        biased;
        () = until_stop() => return Ok(()),
        () = leadership.taken() => {}
        () = takeover::discard(&mut inbox) => return Err(Error::PartEnded("a queue")),
    }
    takeover::enqueue_all(&context);
    let requests = |lane: Lane, queue: Incoming<PackedRequest>, concurrency: usize| {
        let passes = Passes {
            store: context.stores.requests.store.clone(),
            queue,
            concurrency,
            span: |request| {
                error_span!("pass", namespace = request.namespace(), name = request.name_any(), uid = request.uid())
            },
            pass: move |packed, context| request::reconcile(lane, packed, context),
            after_error: request::after_error,
        };
        let (context, stop) = (context.clone(), until_stop());
        async move {
            tokio::select! {
                () = stop.clone() => {}
                () = ends::first_are_gone(&context) => {}
            }
            passes.run(context, stop).await;
        }
    };
    let policies = Passes {
        store: context.stores.policies.store.clone(),
        queue: inbox.policies,
        concurrency: CONCURRENT_POLICIES,
        span: |policy| error_span!("pass", policy = policy.name_any(), policy_uid = policy.uid()),
        pass: policy::reconcile,
        after_error: policy::after_error,
    };
    let passes = async {
        tokio::join!(
            requests(Lane::Grants, inbox.grants, CONCURRENT_REQUESTS),
            requests(Lane::Limited, inbox.limited, CONCURRENT_LIMITED),
            requests(Lane::Decisions, inbox.decisions, CONCURRENT_REQUESTS),
            policies.run(context.clone(), until_stop()),
        )
    };
    let catching_up = async {
        takeover::catch_up(&context).await;
        std::future::pending::<()>().await;
    };
    // A task of its own: nothing that others compute holds up its deletions. It ends with this function.
    let mut ending = JoinSet::new();
    let for_ends = context.clone();
    ending.spawn(async move { ends::run(&for_ends).await });
    // Nor does what is computed for records hold up a pass.
    let mut delivering = JoinSet::new();
    if let Some(archive) = archive {
        let context = context.clone();
        delivering.spawn(async move {
            let cluster = uid_of_cluster(&context.reader).await;
            tokio::join!(
                outbox::run(&context, &archive, &cluster),
                retention::run(&context, &archive, &cluster),
                activity::run(&context, &archive)
            );
        });
    }
    // A look takes a moment in which nothing else may wait.
    if context.insight {
        let context = context.clone();
        delivering.spawn(async move {
            let cluster = uid_of_cluster(&context.reader).await;
            insight::run(&context, &cluster).await;
        });
    }
    tokio::select! {
        Some(_) = delivering.join_next() => Err(Error::PartEnded("the outbox, or the look for findings")),
        _ = ending.join_next() => Err(Error::PartEnded("the loop of ends")),
        () = reaper::run(context.clone(), inbox.reaper) => Err(Error::PartEnded("the reaper")),
        ((), (), (), ()) = passes => Ok(()),
        () = catching_up => Err(Error::PartEnded("the takeover")),
    }
}
