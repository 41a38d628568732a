//! Makes one watch of a kind out of one for each namespace, for a controller that may not look at the whole cluster.
//!
//! A store takes one stream: a list that replaces everything, then changes. So the first list goes out when every
//! namespace has been listed, and what one namespace lists again later goes out as changes. Knows no context: who
//! reads the stream decides what its events mean.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::patience::is_refusal;

/// After so many refusals in a row a namespace counts as empty: a right that was just given takes a moment to be seen.
const REFUSALS: u32 = 3;

/// The watch of one namespace. What was refused is listed anew, since nobody tells what was missed.
pub fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    stream::unfold(None, move |watch| {
        let mut watch = watch.unwrap_or_else(|| watcher::watcher(api.clone(), config.clone()).boxed());
        async move {
            let event = watch.next().await?;
            let refused = matches!(&event, Err(error) if is_refusal(error));
            Some((event, (!refused).then_some(watch)))
        }
    })
}

/// Hears that a namespace may not be listed, or may be again.
pub type OnRefusal<'a> = Box<dyn FnMut(&str, bool) + Send + 'a>;

/// The store that follows the merged watch, and how what it holds becomes an object again.
pub struct MergedStore<T: Resource<DynamicType = ()> + Clone + 'static, K> {
    pub stored: Store<T>,
    /// The object of what is stored.
    pub object: fn(&T) -> K,
}

impl<T, K> MergedStore<T, K>
where
    T: Resource<DynamicType = ()> + Clone + 'static,
    K: Resource<DynamicType = ()>,
{
    /// All of a namespace.
    fn all(&self, namespace: &str) -> Vec<K> {
        let of_it = self.stored.state_filter(|stored| home(stored) == namespace);
        of_it.iter().map(|stored| (self.object)(stored)).collect()
    }

    /// The one in the place of this object, if its UID is another.
    fn before(&self, object: &K) -> Option<K> {
        let stored = self.stored.get(&ObjectRef::from_obj(object).into_kind_unchecked(()))?;
        (stored.meta().uid != object.meta().uid).then(|| (self.object)(&stored))
    }
}

/// Merges the watches of namespaces into one, whose events a store follows. A namespace that may not be listed counts as
/// empty until it can be, and is told of. With nobody to tell, it is waited for.
pub fn merge<T, K, S>(
    watches: Vec<(String, S)>,
    known: MergedStore<T, K>,
    on_refusal: Option<OnRefusal<'_>>,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    T: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    S: Stream<Item = watcher::Result<Event<K>>> + Send,
{
    let mut parts = BTreeMap::new();
    let watches = watches.into_iter().map(|(namespace, watch)| {
        parts.insert(namespace.clone(), Part::default());
        Box::pin(watch.map(move |event| (namespace.clone(), event)))
    });
    let events = stream::select_all(watches);
    let mut merger = Merger { parts, known, listed: false, on_refusal };
    events.flat_map(move |(namespace, event)| stream::iter(merger.take(&namespace, event)))
}

/// What is known of one namespace.
struct Part<K: Resource<DynamicType = ()>> {
    /// Whether it has been listed once, or counts as empty.
    listed: bool,
    /// How often in a row it was refused.
    refusals: u32,
    /// What the list that is on its way has named.
    named: HashSet<ObjectRef<K>>,
    /// Its objects, until the first list of all goes out.
    held: HashMap<ObjectRef<K>, K>,
}

impl<K: Resource<DynamicType = ()>> Default for Part<K> {
    fn default() -> Self {
        Self { listed: false, refusals: 0, named: HashSet::new(), held: HashMap::new() }
    }
}

struct Merger<'a, T, K>
where
    T: Resource<DynamicType = ()> + Clone + 'static,
    K: Resource<DynamicType = ()>,
{
    parts: BTreeMap<String, Part<K>>,
    known: MergedStore<T, K>,
    /// Whether the first list of all has gone out.
    listed: bool,
    on_refusal: Option<OnRefusal<'a>>,
}

impl<T, K> Merger<'_, T, K>
where
    T: Resource<DynamicType = ()> + Clone + 'static,
    K: Resource<DynamicType = ()> + Clone,
{
    /// What goes out when this comes from a namespace. Everything that went out before is in the store by now, since
    /// the stream is read one by one.
    fn take(&mut self, namespace: &str, event: watcher::Result<Event<K>>) -> Vec<watcher::Result<Event<K>>> {
        let Some(part) = self.parts.get_mut(namespace) else { return Vec::new() };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // The list begins anew.
                part.named.clear();
                // What may be listed and not watched is read by lists alone, and whoever hears of errors is told each time.
                let counts = matches!(error, watcher::Error::InitialListFailed(_)) && is_refusal(&error);
                let Some(on_refusal) = self.on_refusal.as_mut().filter(|_| counts) else { return vec![Err(error)] };
                part.refusals = part.refusals.saturating_add(1);
                if part.refusals == REFUSALS {
                    part.listed = true;
                    on_refusal(namespace, true);
                }
                return self.first_list();
            }
        };
        // That a list begins says nothing yet.
        if !matches!(event, Event::Init) {
            if let Some(on_refusal) = self.on_refusal.as_mut().filter(|_| part.refusals >= REFUSALS) {
                on_refusal(namespace, false);
            }
            part.refusals = 0;
        }
        let out = match event {
            Event::Init => {
                part.named.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                // Another of its name went while nobody looked.
                let gone = self.known.before(&object).map(Event::Delete);
                part.named.insert(ObjectRef::from_obj(&object));
                gone.into_iter().chain(part.applied(object, self.listed)).collect()
            }
            Event::Apply(object) => part.applied(object, self.listed),
            Event::InitDone => {
                part.listed = true;
                let named = std::mem::take(&mut part.named);
                part.held.retain(|object, _| named.contains(object));
                let gone = |object: &K| !named.contains(&ObjectRef::from_obj(object));
                self.known.all(namespace).into_iter().filter(gone).map(Event::Delete).collect()
            }
            Event::Delete(object) if self.listed => vec![Event::Delete(object)],
            Event::Delete(object) => {
                part.held.remove(&ObjectRef::from_obj(&object));
                Vec::new()
            }
        };
        out.into_iter().map(Ok).chain(self.first_list()).collect()
    }

    /// The first list of all, once every namespace has been listed.
    fn first_list(&mut self) -> Vec<watcher::Result<Event<K>>> {
        if self.listed || !self.parts.values().all(|part| part.listed) {
            return Vec::new();
        }
        self.listed = true;
        let objects = self.parts.values_mut().flat_map(|part| std::mem::take(&mut part.held).into_values());
        let objects = objects.map(Event::InitApply);
        std::iter::once(Event::Init).chain(objects).chain([Event::InitDone]).map(Ok).collect()
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Part<K> {
    fn applied(&mut self, object: K, listed: bool) -> Vec<Event<K>> {
        if listed {
            return vec![Event::Apply(object)];
        }
        self.held.insert(ObjectRef::from_obj(&object), object);
        Vec::new()
    }
}

/// The namespace that an object is in, or is.
fn home<K: Resource>(object: &K) -> &str {
    let metadata = object.meta();
    metadata.namespace.as_deref().or(metadata.name.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
