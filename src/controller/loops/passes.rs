//! Takes objects from a queue through their passes: each at most once at a time, and so many at a time.

use std::future::Future;
use std::sync::Arc;

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
    /// One pass.
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
        let Self { store, mut queue, concurrency, span, pass, after_error } = self;
        let begun = queue.begun();
        let names =
            stream::poll_fn(move |task| queue.poll_next(task)).map(Ok::<_, std::convert::Infallible>).take_until(stop);
        let config = controller::Config::default().concurrency(concurrency);
        let one = |object: Arc<K>, context: Arc<Context>| {
            begun(&ObjectRef::from_obj(&*object));
            let (span, metrics) = (span(&object), context.metrics.clone());
            let pass = pass(object, context);
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
                result.inspect_err(|error| metrics.shown.pass_failed(error.kind()))
            };
            Box::pin(counted.instrument(span))
        };
        controller::applier(one, after_error, context, store, names, config)
            .for_each(|result| async {
                // It was deleted while it stood in the queue.
                if let Err(controller::Error::ObjectNotFound(object)) = result {
                    let name = ObjectRef::new(&object.name);
                    begun(&object.namespace.as_ref().map_or(name.clone(), |namespace| name.within(namespace)));
                }
            })
            .await;
    }
}
