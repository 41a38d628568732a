//! How a watch is followed, whatever its kind: its failures, its lists, and when a kind has been read as a whole.
//!
//! Owns what is said of a watch that fails. It must not know what an event is to lead to.

use futures::{Stream, StreamExt, pin_mut};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;
use tracing::{info, warn};

use super::patience;
use crate::controller::context::Context;
use crate::runtime::server::Readiness;

/// What is said of a kind that the API server does not serve.
const UNKNOWN: &str = "the API server does not know this kind; is its definition installed?";

/// Unwraps a watch: failures are told, and the watch goes on by itself.
pub async fn for_each<K>(
    (kind, readiness): (&str, &Readiness),
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    mut handle: impl FnMut(Event<K>),
) {
    let began = Instant::now();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => handle(event),
            Err(failure) => {
                let error = if patience::is_unknown(&failure) { UNKNOWN.to_owned() } else { failure.to_string() };
                match patience::is_not_yet(&failure) && began.elapsed() < patience::SETTLING {
                    true => info!(kind, error, "not served yet; trying again"),
                    false => warn!(kind, error, "watch failed; trying again"),
                }
                readiness.hindered(kind, &error);
            }
        }
    }
}

/// Names that were listed, to be looked at when the list is complete: until then the store has the old list.
pub struct Listing<K: Resource<DynamicType = ()>>(Vec<ObjectRef<K>>);

impl<K: Resource<DynamicType = ()> + Clone> Listing<K> {
    /// With nothing listed yet.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Which objects to look at after this event.
    pub fn after(&mut self, event: &Event<K>) -> Vec<ObjectRef<K>> {
        match event {
            Event::Init => {
                self.0.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.0.push(ObjectRef::from_obj(object));
                Vec::new()
            }
            Event::InitDone => std::mem::take(&mut self.0),
            Event::Apply(object) => vec![ObjectRef::from_obj(object)],
            Event::Delete(_) => Vec::new(),
        }
    }
}

/// A kind has been read as a whole.
pub fn listed(kind: &'static str, context: &Context, readiness: &Readiness) {
    context.stores.listed.mark(kind);
    readiness.done(kind);
}
