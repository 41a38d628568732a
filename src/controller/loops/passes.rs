//! Takes objects from a queue through their passes: each at most once at a time, and so many at a time.

use std::future::Future;
use std::sync::Arc;
use std::task;

use futures::{StreamExt, stream};
use kube::Resource;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{Instrument, Span, debug, error};

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::queues::Incoming;

/// A queue, and what is done with the objects in it.
pub struct Passes<K: Resource<DynamicType = ()> + 'static, P, E> {
    /// Where the objects are.
    pub store: Store<K>,
    /// Their names, as they are asked for.
    pub queue: Incoming<K>,
    /// How many are worked on at a time.
    pub concurrency: u16,
    /// The fields that every log line of a pass has.
    pub span: fn(&K) -> Span,
    pub pass: P,
    /// When to make another after one that failed.
    pub after_error: E,
}

impl<K, P, E, F> Passes<K, P, E>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    P: Fn(Arc<K>, Arc<Context>) -> F,
    E: Fn(Arc<K>, &Error, Arc<Context>) -> Action,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    /// Works until `stop`; passes that run then are finished.
    pub async fn run(self, context: Arc<Context>, stop: impl Future<Output = ()> + Send + 'static) {
        let Self { store, queue, concurrency, span, pass, after_error } = self;
        let next = |task: &mut task::Context<'_>| queue.poll_next(task, concurrency.into()).map(Some);
        let names = stream::poll_fn(next).map(Ok::<_, std::convert::Infallible>).take_until(stop);
        let config = controller::Config::default().concurrency(concurrency);
        let one = |object: Arc<K>, context: Arc<Context>| {
            let running = queue.begun(&ObjectRef::from_obj(&*object));
            let (span, metrics) = (span(&object), context.metrics.clone());
            let pass = pass(object, context);
            let counted = async move {
                let result = pass.await;
                drop(running);
                match &result {
                    Ok(_) => {}
                    Err(Error::Conflict) => debug!("changed meanwhile"),
                    Err(error) => error!(%error, "pass failed"),
                }
                #[cfg(feature = "otlp")]
                if let Err(error) = &result {
                    crate::runtime::traces::pass_failed(error.kind());
                }
                result.inspect_err(|error| metrics.shown.pass_failed(error.kind()))
            };
            Box::pin(counted.instrument(span))
        };
        controller::applier(one, after_error, context, store, names, config)
            .for_each(|result| async {
                // It was deleted while it stood in the queue.
                if let Err(controller::Error::ObjectNotFound(object)) = result {
                    let name = ObjectRef::new(&object.name);
                    queue.forget(&object.namespace.as_ref().map_or(name.clone(), |namespace| name.within(namespace)));
                }
            })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use kube::ResourceExt;
    use kube::runtime::watcher::Event;
    use serde_json::json;
    use tokio::sync::Notify;

    use super::*;
    use crate::controller::queues::Lane;
    use crate::controller::scripted::{Script, bring, context};
    use crate::core::laws::fixtures::{noon, request};
    use crate::runtime::clock::Clock;

    /// How many requests are asked for again at each of their passes.
    const BUSY: usize = 50;

    /// Without turns, those that the runtime finds first in its set would be taken again and again.
    #[tokio::test(start_paused = true)]
    async fn whoever_came_first_is_next_however_many_come_again() {
        let (context, mut feeds, inbox) = context(&Script::default(), Clock::at(noon()));
        [Event::Init, Event::InitDone].iter().for_each(|event| feeds.requests.apply_watcher_event(event));
        for n in 0..BUSY {
            let mut request = request(json!({}));
            request.metadata.name = Some(format!("fix-{n}"));
            bring(&context, &mut feeds, request);
        }
        let context = Arc::new(context);
        let store = context.requests.store.clone();
        let begun: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let enough = Arc::new(Notify::new());
        let pass = |request: Arc<_>, context: Arc<Context>| {
            let (begun, enough) = (begun.clone(), enough.clone());
            async move {
                let reference = ObjectRef::from_obj(&*request);
                context.queues.enqueue(Lane::Decisions, reference);
                let mut begun = begun.lock().unwrap();
                *begun.entry(request.name_any()).or_default() += 1;
                if begun.values().sum::<usize>() >= BUSY * 4 {
                    enough.notify_one();
                }
                Ok(Action::await_change())
            }
        };
        for request in store.state() {
            context.queues.enqueue(Lane::Decisions, ObjectRef::from_obj(&*request));
        }
        let passes = Passes {
            store,
            queue: inbox.decisions,
            concurrency: 2,
            span: |_| Span::none(),
            pass,
            after_error: |_, _: &Error, _| Action::await_change(),
        };
        passes
            .run(context, {
                let enough = enough.clone();
                async move { enough.notified().await }
            })
            .await;
        let begun = begun.lock().unwrap();
        let (least, most) = (begun.values().min().unwrap(), begun.values().max().unwrap());
        assert!(begun.len() == BUSY && most - least <= 1, "{begun:?}");
    }
}
