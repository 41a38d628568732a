//! What the benchmark has seen of objects, by a watch of its own. Measures nothing.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::LIMIT;
use crate::harness::wait::now;

/// When each object of a kind in the namespace was seen to come and to go, by a watch of its own.
pub struct Seen {
    state: Arc<Mutex<Lives>>,
    changed: watch::Receiver<()>,
}

#[derive(Default)]
struct Lives {
    by_name: HashMap<String, Life>,
    /// How many have come and not gone.
    there: usize,
}

#[derive(Clone, Copy, Default)]
struct Life {
    added: Option<Instant>,
    removed: Option<Timestamp>,
}

impl Seen {
    /// One has come once it `counts`.
    pub async fn start<K>(api: Api<K>, counts: fn(&K) -> bool) -> Self
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let state = Arc::new(Mutex::new(Lives::default()));
        let (tell, changed) = watch::channel(());
        let (ready_tell, mut ready) = watch::channel(false);
        let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
        let lives = state.clone();
        tokio::spawn(async move {
            let mut events = Box::pin(events);
            while let Some(event) = events.next().await {
                // It breaks at the end of the benchmark, with the control plane.
                let Ok(event) = event else { continue };
                let mut lives = lives.lock().expect("no panic");
                match event {
                    Event::Apply(b) | Event::InitApply(b) if !counts(&b) => {}
                    Event::Apply(b) | Event::InitApply(b) => lives.came(b.name_any()),
                    Event::Delete(b) => lives.went(b.name_any()),
                    Event::Init => {}
                    Event::InitDone => drop(ready_tell.send_replace(true)),
                }
                tell.send_replace(());
            }
        });
        ready.wait_for(|ready| *ready).await.expect("the watch starts");
        Self { state, changed }
    }

    async fn until<T>(&self, what: &str, found: impl Fn(&Lives) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = found(&self.state.lock().expect("no panic")) {
                    return found;
                }
                changed.changed().await.expect("the watch goes on");
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("{what}: not seen in {LIMIT:?}"))
    }

    pub async fn added(&self, name: &str) -> Instant {
        self.until(name, |lives| lives.by_name.get(name)?.added).await
    }

    pub async fn removed(&self, name: &str) -> Timestamp {
        self.until(name, |lives| lives.by_name.get(name)?.removed).await
    }

    /// Waits until exactly this many are there.
    pub async fn many(&self, wanted: usize) {
        self.until("as many objects", |lives| (lives.there == wanted).then_some(())).await;
    }

    pub fn names(&self) -> Vec<String> {
        let lives = self.state.lock().expect("no panic");
        lives.by_name.iter().filter(|(_, life)| life.is_there()).map(|(name, _)| name.clone()).collect()
    }
}

impl Lives {
    fn came(&mut self, name: String) {
        let life = self.by_name.entry(name).or_default();
        if life.added.is_none() {
            life.added = Some(Instant::now());
            self.there += 1;
        }
    }

    fn went(&mut self, name: String) {
        let life = self.by_name.entry(name).or_default();
        self.there -= usize::from(life.is_there());
        life.removed = Some(now());
    }
}

impl Life {
    fn is_there(&self) -> bool {
        self.added.is_some() && self.removed.is_none()
    }
}
