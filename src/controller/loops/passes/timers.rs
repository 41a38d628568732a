//! When to make passes that nobody asks for: at most one timer for each object. It must not make them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::runtime::reflector::{Lookup, ObjectRef};
use tokio::time::Instant;

/// When a timer goes off, and its number, which tells apart those for the same time.
type Key = (Instant, u64);

/// The timers of one loop.
pub struct Timers<K: Lookup<DynamicType = ()>> {
    by_object: HashMap<Arc<ObjectRef<K>>, Key>,
    by_time: BTreeMap<Key, Arc<ObjectRef<K>>>,
    made: u64,
}

impl<K: Lookup<DynamicType = ()>> Default for Timers<K> {
    fn default() -> Self {
        Self { by_object: HashMap::new(), by_time: BTreeMap::new(), made: 0 }
    }
}

impl<K: Lookup<DynamicType = ()>> Timers<K> {
    /// In place of the one that the object had.
    pub fn set(&mut self, object: ObjectRef<K>, at: Instant) {
        self.cancel(&object);
        self.made += 1;
        let object = Arc::new(object);
        self.by_time.insert((at, self.made), object.clone());
        self.by_object.insert(object, (at, self.made));
    }

    /// The object has none from now on.
    pub fn cancel(&mut self, object: &ObjectRef<K>) {
        if let Some(key) = self.by_object.remove(object) {
            self.by_time.remove(&key);
        }
    }

    /// When the first goes off.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes those whose time has come, the earliest first.
    pub fn take_due(&mut self, now: Instant) -> Vec<ObjectRef<K>> {
        let mut due = Vec::new();
        while let Some(first) = self.by_time.first_entry().filter(|first| first.key().0 <= now) {
            let object = first.remove();
            self.by_object.remove(&object);
            due.push(Arc::unwrap_or_clone(object));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::stores::packed::PackedRequest;

    fn name(name: &str) -> ObjectRef<PackedRequest> {
        ObjectRef::new(name).within("shop")
    }

    #[test]
    fn an_object_has_one_timer_and_the_earliest_comes_first() {
        let (now, mut timers) = (Instant::now(), Timers::default());
        let after = |seconds| now + Duration::from_secs(seconds);
        timers.set(name("a"), after(1));
        timers.set(name("b"), after(2));
        timers.set(name("c"), after(2));
        timers.set(name("d"), after(3));
        // Later than before.
        timers.set(name("a"), after(3));
        timers.cancel(&name("b"));
        assert_eq!((timers.take_due(after(1)), timers.next()), (Vec::new(), Some(after(2))));
        assert_eq!(timers.take_due(after(3)), [name("c"), name("d"), name("a")]);
        assert_eq!((timers.take_due(after(9)), timers.next()), (Vec::new(), None));
    }
}
