//! Reads the cluster, asks the core what to do, and does it.
//!
//! | Room | What it owns |
//! | --- | --- |
//! | [`stores`] | What this process knows of the cluster |
//! | [`watch`] | Filling the stores, and saying what to look at |
//! | [`mod@write`] | Every write to the cluster |
//! | [`loops`] | Ends, passes, the reaper, the canary, and the questions what can be bound |
//!
//! Beside them: [`observe`] reads from the API server, [`queues`] hold what to look at next, [`context`] is what all loops
//! share, [`records`] go to standard output and to [`outputs`], [`archive`] is called by the loops that deliver and remove, and
//! [`gauges`] is what `/metrics` says.

pub mod archive;
pub mod bind_error;
pub mod context;
pub mod error;
pub mod gauges;
pub mod loops;
pub mod observe;
pub mod outputs;
pub mod queues;
pub mod records;
pub mod refusal;
#[cfg(test)]
pub mod scripted;
pub mod stores;
pub mod versions;
pub mod watch;
pub mod write;

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{oneshot, watch as signal};

use self::archive::Archive;
use self::context::{Context, Reach};
use self::error::Error;
use self::loops::canary::{Canary, Memory, Report, in_one_line};
use self::loops::work::work;
use self::outputs::{OutputSettings, RecordOutputs};
use self::queues::Queues;
use self::records::RecordPrinter;
use self::stores::listed::ACCESS_REQUESTS;
use self::stores::outbox::OutboxSettings;
use self::stores::packed::Summary;
use self::write::transition_metrics::TransitionMetrics;
use self::write::{TransitionListeners, Writer};
use crate::api::State;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::sight::Expected;
use crate::core::guard::{Guard, NotInForce};
use crate::runtime::archive_line::ArchivePlace;
use crate::runtime::client::{Clients, Hearers};
use crate::runtime::gate::Leadership;
use crate::runtime::leader::{Election, LeadershipLost};
use crate::runtime::leases::Leases;
use crate::runtime::metrics::Metrics;
use crate::runtime::server::Readiness;

/// Name of the guard in readiness.
const GUARD: &str = "guard";

/// Who and where this process is, and for whom.
pub struct Installation {
    /// Its name in Events.
    pub instance: String,
    /// Namespace that Daypass is installed in.
    pub namespace: String,
    /// Where requests are served.
    pub served: ServedNamespaces,
    /// The guards that its chart made.
    pub guards: Vec<Expected>,
    /// Keys of a login's extra that are recorded in requests.
    pub extra_keys: Vec<String>,
    /// Whether it looks for findings.
    pub insight: bool,
    /// Where records go besides standard output.
    pub outputs: OutputSettings,
    /// Where records are delivered, if they are.
    pub archive: Option<ArchivePlace>,
    /// What is to be done with them.
    pub records: OutboxSettings,
}

/// What the process around the controller has to do with it.
pub struct Process {
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// What `/metrics` says, and the time that counts.
    pub hearers: Hearers,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// How it comes to lead; none when it leads anyway.
    pub election: Option<Election<Leases>>,
}

/// Runs the controller until `stop` says so, or until a part of it fails. It follows the cluster at once, and works
/// when it leads.
///
/// # Errors
/// When a part ends that should not, or this replica leads no more. The process should end then too: a supervisor
/// starts it afresh.
pub async fn run(
    clients: Clients,
    identity: Installation,
    process: Process,
    stop: signal::Receiver<bool>,
) -> Result<(), Error> {
    let Installation { instance, namespace, served, guards, extra_keys, insight, outputs, archive, records: outbox } =
        identity;
    let Process { readiness, hearers, leadership, election } = process;
    let Hearers { metrics, clock } = hearers.clone();
    let (config, client) = (clients.config, clients.calls.clone());
    let untried = Report::missing(NotInForce::Untried);
    let (report, reports) = signal::channel(untried);
    let (queues, inbox) = Queues::new();
    let transitions = Arc::new(TransitionMetrics::new(metrics.clone(), leadership.clone()));
    let (records, printer) = RecordPrinter::new(clients.calls.clone());
    let (outputs, sending) = RecordOutputs::start(outputs, &metrics);
    let printer = printer.beside(outputs);
    let listeners = TransitionListeners { transitions: transitions.clone(), records };
    let (writer, announcer) = Writer::new(clients.writes, instance, clock.clone(), listeners);
    let scope = Reach { served, release: namespace.clone(), extra_keys: extra_keys.clone(), insight, outbox };
    let (context, feeds) = Context::new(clients.calls, (writer, transitions), queues, clock, scope);
    let context = Arc::new(context);
    let canary = Canary {
        config,
        client,
        watches: clients.watches.clone(),
        namespace,
        guards,
        extra_keys,
        hearers,
        leadership: leadership.clone(),
        wanted: context.round_wanted.clone(),
        served: context.served.clone(),
        requests: context.stores.requests.store.clone(),
        doubts: context.stores.requests.doubts.clone(),
        uses: context.stores.uses.clone(),
        memory: tokio::sync::Mutex::<Memory>::default(),
    };
    // Weak, since Events end with the last who could write.
    let counted = Arc::downgrade(&context);
    metrics.count_with(move || counted.upgrade().map(|context| gauges::count(&context)).unwrap_or_default());

    let watches = watch::run(clients.watches, context.clone(), feeds, readiness.clone());
    let guarding = async { tokio::join!(canary.run(report), apply_guard(reports, &context, &readiness, &metrics)) };
    let clocks = loops::clock::run(&context, &readiness);
    let rights = loops::bind_rights::run(&context);
    let working = work(context.clone(), inbox, archive.map(Archive::at), &leadership, stop.clone());
    let announcing = tokio::spawn(announcer.run());
    let printing = tokio::spawn(printer.run());
    let sending = tokio::spawn(sending);
    let (nothing_is_written, over) = oneshot::channel::<()>();
    let over = over.map(drop);
    let mut electing = tokio::spawn(elect(election, readiness.clone(), unused(&context), over));

    let ended = tokio::select! {
        () = watches => Err(Error::PartEnded("a watch")),
        () = clocks => Err(Error::PartEnded("the look at the clocks")),
        () = rights => Err(Error::PartEnded("the look at what can be bound")),
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
    // What has been done is still told; the queues end with the last writer.
    let _ = tokio::time::timeout(write::LAST_WORDS, async { tokio::join!(announcing, printing) }).await;
    drop(nothing_is_written);
    let _ = electing.await;
    // Behind the Lease: another may lead while a receiver is waited for.
    let _ = tokio::time::timeout(write::LAST_WORDS, sending).await;
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
        let context = context.upgrade().filter(|context| context.stores.listed.has(&[ACCESS_REQUESTS]))?;
        let undecided = |summary: &Summary| summary.state == State::Pending;
        let requests = context.stores.requests.store.state();
        Some(requests.iter().all(|packed| packed.summary.as_ref().is_some_and(undecided)))
    }
}

async fn elect(
    election: Option<Election<Leases>>,
    readiness: Readiness,
    unused: impl Fn() -> Option<bool> + Send + Sync,
    over: impl Future<Output = ()> + Send,
) -> Result<(), LeadershipLost> {
    match election {
        Some(election) => election.run(readiness, unused, over).await,
        None => {
            over.await;
            Ok(())
        }
    }
}

/// Passes on what the canary says, and looks at open requests and at policies again in its light.
async fn apply_guard(
    mut reports: signal::Receiver<Report>,
    context: &Context,
    readiness: &Readiness,
    metrics: &Metrics,
) {
    loop {
        let Report { guard, remarks, sound, .. } = reports.borrow_and_update().clone();
        metrics.guard_in_force(matches!(guard, Guard::InForce(_)));
        match &guard {
            Guard::InForce(_) => readiness.done(GUARD),
            Guard::Missing(why) => readiness.wait_for(GUARD, &why.to_string()),
        }
        readiness.remark(GUARD, in_one_line(&remarks).as_deref());
        if context.stores.policies.guard() != guard {
            context.stores.policies.set_guard(guard);
            context.enqueue_open_requests();
            context.enqueue_policies();
        }
        // After the guard: whoever sees this round sees the gaps that it found.
        context.stores.policies.set_sound(sound);
        if reports.changed().await.is_err() {
            return;
        }
    }
}
