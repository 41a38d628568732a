//! Takes objects from a queue through their passes: each at most once at a time, and so many at a time. A pass says when the
//! next one is to be made.
//!
//! Owns which pass runs when. The runtime of the client library does the same, but puts each name through a queue of timers
//! that counts in milliseconds, and takes names in no order: each pass began one or two milliseconds late, and one could be
//! passed over for ever. It must not know what a pass does.

mod timers;

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span, debug, error};

use self::timers::Timers;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::queues::Incoming;

/// When to make the next pass over an object, if nobody asks for one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextPass(Option<Duration>);

impl NextPass {
    /// After so long.
    pub fn after(wait: Duration) -> Self {
        Self(Some(wait))
    }

    /// When somebody asks for it.
    pub fn when_asked() -> Self {
        Self(None)
    }
}

/// A queue, and what is done with the objects in it.
pub struct Passes<K: Resource<DynamicType = ()> + 'static, P, E> {
    /// Where the objects are.
    pub store: Store<K>,
    /// Their names, as they are asked for.
    pub queue: Incoming<K>,
    /// How many are worked on at a time.
    pub concurrency: usize,
    /// The fields that every log line of a pass has.
    pub span: fn(&K) -> Span,
    pub pass: P,
    /// When to make another after one that failed.
    pub after_error: E,
}

/// A pass that runs, and what comes of it.
type Running<K> = BoxFuture<'static, (ObjectRef<K>, Arc<K>, Result<NextPass, Error>)>;

impl<K, P, E, F> Passes<K, P, E>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    P: Fn(Arc<K>, Arc<Context>) -> F,
    E: Fn(Arc<K>, &Error, Arc<Context>) -> NextPass,
    F: Future<Output = Result<NextPass, Error>> + Send + 'static,
{
    /// Works until `stop`; passes that run then are finished.
    pub async fn run(self, context: Arc<Context>, stop: impl Future<Output = ()> + Send + 'static) {
        let mut stop = pin!(stop);
        tokio::select! {
            () = &mut stop => return,
            // It fails when nobody fills the store any more: then the process is about to end.
            _ = self.store.wait_until_ready() => {}
        }
        let mut timers = Timers::default();
        let mut running: FuturesUnordered<Running<K>> = FuturesUnordered::new();
        let mut worked_on = HashSet::new();
        // Asked for while a pass runs that may not see what is new.
        let mut once_more = HashSet::new();
        loop {
            // A pass may never wait, and all else in this task must not wait until the queue is empty.
            consume_budget().await;
            timers.take_due(Instant::now()).into_iter().for_each(|object| self.queue.add(object));
            let wake = timers.next();
            let object = tokio::select! {
                biased;
                () = &mut stop => break,
                Some((name, object, result)) = running.next(), if !running.is_empty() => {
                    worked_on.remove(&name);
                    let next = result.unwrap_or_else(|error| (self.after_error)(object, &error, context.clone()));
                    if once_more.remove(&name) {
                        self.queue.add(name);
                    } else if let NextPass(Some(wait)) = next {
                        timers.set(name, Instant::now() + wait);
                    }
                    continue;
                }
                object = poll_fn(|task| self.queue.poll_next(task)), if running.len() < self.concurrency => object,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => continue,
            };
            if worked_on.contains(&object) {
                once_more.insert(object);
                continue;
            }
            timers.cancel(&object);
            if let Some(pass) = self.begin(object.clone(), &context) {
                running.push(pass);
                worked_on.insert(object);
            }
        }
        running.for_each(|_| async {}).await;
    }

    /// One pass over an object; none when it was deleted while its name stood in the queue.
    fn begin(&self, name: ObjectRef<K>, context: &Arc<Context>) -> Option<Running<K>> {
        let object = self.store.get(&name)?;
        let span = (self.span)(&object);
        let pass = (self.pass)(object.clone(), context.clone());
        let metrics = context.metrics.clone();
        let counted = async move {
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
            (name, object, result.inspect_err(|error| metrics.shown.pass_failed(error.kind())))
        };
        Some(Box::pin(counted.instrument(span)))
    }
}

#[cfg(test)]
mod tests;
