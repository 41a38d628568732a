//! Reads the cluster, asks the core what to do, and does it.
//!
//! [`watch`] fills the stores, which hold objects as in [`kept`], and says which request to look at; [`request`] and
//! [`policy`] take one object through a pass; [`observe`] reads what a plan needs, [`related`] and [`ledger`] which other
//! requests it concerns, [`written`] keeps what is on its way from a pass to the watch; [`mod@write`] is the only module
//! that writes to the cluster (but for the Lease, which the election holds), [`figures`] counts what it does, [`first_seen`] keeps when policies came, [`gone`] knows what went with a
//! namespace; [`reaper`] looks at bindings from the other side; [`canary`] proves the guards, and [`doubts`] keeps which
//! requests were written without them; [`versions`] lists what is there; [`takeover`] is for the replica that does not lead yet, or has just begun to.

pub mod canary;
pub mod context;
pub mod doubts;
pub mod error;
pub mod figures;
pub mod first_seen;
pub mod gone;
pub mod kept;
pub mod ledger;
pub mod observe;
pub mod policy;
pub mod queues;
pub mod reaper;
pub mod related;
pub mod request;
#[cfg(test)]
pub mod scripted;
pub mod takeover;
pub mod versions;
pub mod watch;
pub mod write;
pub mod written;

use std::future::Future;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, stream};
use kube::ResourceExt;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Notify, mpsc, oneshot, watch as signal};
use tracing::{Instrument, Span, debug, error, error_span, warn};

use crate::api::State;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::Guard;
use crate::core::guard::sight::Expected;
use crate::runtime::client::Clients;
use crate::runtime::clock::Clock;
use crate::runtime::gate::Leadership;
use crate::runtime::leader::{Election, Lost};
use crate::runtime::metrics::Metrics;
use crate::runtime::server::Readiness;
use canary::{Canary, Report};
use context::{ACCESS_REQUESTS, Context, UNTRIED};
use error::Error;
use figures::Figures;
use queues::{Inbox, Queues, Waiting};
use write::Writer;

/// How many requests are worked on at a time.
const CONCURRENT_REQUESTS: u16 = 64;
/// How many policies are worked on at a time.
const CONCURRENT_POLICIES: u16 = 4;

/// Name of the guard in readiness.
const GUARD: &str = "guard";

/// Who and where this process is, and for whom.
pub struct Identity {
    /// Its name in Events.
    pub instance: String,
    /// Namespace that Daypass is installed in.
    pub namespace: String,
    /// Where requests are served.
    pub reach: ServedNamespaces,
    /// The guards that its chart made.
    pub guards: Vec<Expected>,
}

/// What the process around the controller has to do with it.
pub struct Process {
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// What `/metrics` says.
    pub metrics: Metrics,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// How it comes to lead; none when it leads anyway.
    pub election: Option<Election>,
}

/// Runs the controller until `stop` says so, or until a part of it fails. It follows the cluster at once, and works
/// when it leads.
///
/// # Errors
/// When a part ends that should not, or this replica leads no more. The process should end then too: a supervisor
/// starts it afresh.
pub async fn run(
    clients: Clients,
    identity: Identity,
    process: Process,
    stop: signal::Receiver<bool>,
) -> Result<(), Error> {
    let Identity { instance, namespace, reach, guards } = identity;
    let Process { readiness, metrics, leadership, election } = process;
    let (config, client) = (clients.config, clients.calls.clone());
    let release = namespace.clone();
    let asked = Arc::new(Notify::new());
    let untried = Report { guard: Guard::Missing(UNTRIED.to_owned()), remark: None, sound: None };
    let (told, reports) = signal::channel(untried);
    let (queues, inbox) = Queues::new();
    let figures = Arc::new(Figures::new(metrics.clone(), leadership.clone()));
    let (writer, announcer) = Writer::new(clients.writes, instance, Clock, figures);
    let (context, feeds) = Context::new(clients.calls, writer, queues, Clock, reach, release, asked);
    let context = Arc::new(context);
    let canary = Canary {
        config,
        client,
        watches: clients.watches.clone(),
        namespace,
        guards,
        metrics: metrics.clone(),
        leadership: leadership.clone(),
        asked: context.asked.clone(),
        reach: context.reach.clone(),
        requests: context.requests.clone(),
        doubts: context.doubts.clone(),
        kept: tokio::sync::Mutex::default(),
    };
    // Weak, since Events end with the last who could write.
    let counted = Arc::downgrade(&context);
    metrics.count_with(move || counted.upgrade().map(|context| figures::count(&context)).unwrap_or_default());

    let watches = watch::run(clients.watches, context.clone(), feeds, readiness.clone());
    let guarding = async { tokio::join!(canary.run(told), heed(reports, &context, &readiness, &metrics)) };
    let working = work(context.clone(), inbox, &leadership, stop.clone());
    let announcing = tokio::spawn(announcer.run());
    let (nothing_is_written, over) = oneshot::channel::<()>();
    let over = over.map(drop);
    let mut electing = tokio::spawn(elect(election, readiness.clone(), unused(&context), over));

    let ended = tokio::select! {
        () = watches => Err(Error::PartEnded("a watch")),
        ((), ()) = guarding => Err(Error::PartEnded("the canary")),
        ended = working => ended,
        // Nothing is flushed: this replica may write no more.
        ended = &mut electing => return match ended {
            Ok(Err(lost)) => Err(lost.into()),
            _ => Err(Error::PartEnded("the election")),
        },
    };
    drop(context);
    let _ = tokio::time::timeout(write::LAST_WORDS, canary.store_last()).await;
    // What has been done is still told; the queue ends with the last writer.
    let _ = tokio::time::timeout(write::LAST_WORDS, announcing).await;
    drop(nothing_is_written);
    let _ = electing.await;
    match ended {
        Ok(()) if !*stop.borrow() => Err(Error::PartEnded("the reconciler")),
        other => other,
    }
}

/// Tells whether no request was ever decided, once the requests are known.
fn unused(context: &Arc<Context>) -> impl Fn() -> Option<bool> + Send + Sync + 'static {
    // Weak, since Events end with the last who could write.
    let context = Arc::downgrade(context);
    move || {
        let context = context.upgrade().filter(|context| context.has_listed(&[ACCESS_REQUESTS]))?;
        Some(
            context.requests.state().iter().all(|kept| kept.glance.as_ref().is_some_and(|g| g.state == State::Pending)),
        )
    }
}

async fn elect(
    election: Option<Election>,
    readiness: Readiness,
    unused: impl Fn() -> Option<bool> + Send + Sync,
    over: impl Future<Output = ()> + Send,
) -> Result<(), Lost> {
    match election {
        Some(election) => election.run(readiness, unused, over).await,
        None => {
            over.await;
            Ok(())
        }
    }
}

/// Stands by until this replica leads, then works until `stop`.
async fn work(
    context: Arc<Context>,
    mut inbox: Inbox,
    leadership: &Leadership,
    stop: signal::Receiver<bool>,
) -> Result<(), Error> {
    let until = |mut stop: signal::Receiver<bool>| async move {
        let _ = stop.wait_for(|stopped| *stopped).await;
    };
    tokio::select! {
        biased;
        () = until(stop.clone()) => return Ok(()),
        () = leadership.taken() => {}
        () = takeover::discard(&mut inbox, &context.queues) => return Err(Error::PartEnded("a queue")),
    }
    takeover::look_at_all(&context);
    let end_first = async {
        tokio::select! {
            () = until(stop.clone()) => {}
            () = takeover::end_overdue(&context) => {}
        }
    };
    let requests = passes(
        context.requests.clone(),
        (inbox.requests, context.queues.waiting_requests.clone()),
        until(stop.clone()),
        CONCURRENT_REQUESTS,
        |request| error_span!("pass", namespace = request.namespace(), name = request.name_any(), uid = request.uid()),
        request::reconcile,
        request::after_error,
        context.clone(),
    );
    let policies = passes(
        context.policy_store.clone(),
        (inbox.policies, context.queues.waiting_policies.clone()),
        until(stop.clone()),
        CONCURRENT_POLICIES,
        |policy| error_span!("pass", policy = policy.name_any(), policy_uid = policy.uid()),
        policy::reconcile,
        policy::after_error,
        context.clone(),
    );
    let catching_up = async {
        takeover::catch_up(&context).await;
        std::future::pending::<()>().await;
    };
    // Timers know nothing of a clock that is set while they run.
    let minding_the_clock = async {
        let mut steps = context.clock.steps();
        loop {
            let step = steps.next().await;
            warn!(seconds = step.as_secs_f64(), "the clock was set; looking at everything again");
            takeover::look_at_all(&context);
        }
    };
    tokio::select! {
        () = minding_the_clock => Err(Error::PartEnded("the look at the clock")),
        () = reaper::run(context.clone(), inbox.reaper) => Err(Error::PartEnded("the reaper")),
        ((), ()) = async { tokio::join!(end_first.then(|()| requests), policies) } => Ok(()),
        () = catching_up => Err(Error::PartEnded("the takeover")),
    }
}

/// Passes on what the canary says, and looks at open requests and at policies again in its light.
async fn heed(mut reports: signal::Receiver<Report>, context: &Context, readiness: &Readiness, metrics: &Metrics) {
    loop {
        let Report { guard, remark, sound } = reports.borrow_and_update().clone();
        metrics.guard_in_force(matches!(guard, Guard::InForce(_)));
        match &guard {
            Guard::InForce(_) => readiness.done(GUARD),
            Guard::Missing(why) => readiness.wait_for(GUARD, why),
        }
        readiness.remark(remark.as_deref());
        if context.guard() != guard {
            context.set_guard(guard);
            context.look_at_open_requests();
            context.look_at_policies();
        }
        // After the guard: whoever sees this round sees the gaps that it found.
        context.set_sound(sound);
        if reports.changed().await.is_err() {
            return;
        }
    }
}

/// Takes objects from a queue through their passes, each at most once at a time, until `stop`; passes that
/// run then are finished. Every log line of a pass has the fields of its `span`.
#[expect(clippy::too_many_arguments, reason = "each is a part of one sentence, and there are two callers")]
async fn passes<K, F, S>(
    store: Store<K>,
    (mut queue, waiting): (mpsc::UnboundedReceiver<ObjectRef<K>>, Waiting<K>),
    stop: S,
    concurrency: u16,
    span: impl Fn(&K) -> Span,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> F,
    after_error: impl Fn(Arc<K>, &Error, Arc<Context>) -> Action,
    context: Arc<Context>,
) where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let queue =
        stream::poll_fn(move |task| queue.poll_recv(task)).map(Ok::<_, std::convert::Infallible>).take_until(stop);
    let config = controller::Config::default().concurrency(concurrency);
    let begun = waiting.clone();
    let pass = |object: Arc<K>, context: Arc<Context>| {
        begun.begun(&ObjectRef::from_obj(&*object));
        let (span, figures) = (span(&object), context.writer.figures.clone());
        let pass = reconcile(object, context);
        let told = async move {
            let result = pass.await;
            match &result {
                Ok(_) => {}
                Err(Error::Conflict) => debug!("changed meanwhile"),
                Err(error) => error!(%error, "pass failed"),
            }
            #[cfg(feature = "otlp")]
            if let Err(error) = &result {
                crate::runtime::traces::pass_failed(error.kind());
            }
            result.inspect_err(|error| figures.metrics.pass_failed(error.kind()))
        };
        Box::pin(told.instrument(span))
    };
    controller::applier(pass, after_error, context, store, queue, config)
        .for_each(|result| async {
            // It was deleted while it stood in the queue.
            if let Err(controller::Error::ObjectNotFound(object)) = result {
                let name = ObjectRef::new(&object.name);
                waiting.begun(&object.namespace.as_ref().map_or(name.clone(), |namespace| name.within(namespace)));
            }
        })
        .await;
}
