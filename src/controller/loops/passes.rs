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
type Running<K> = BoxFuture<'static, (Arc<K>, Result<NextPass, Error>)>;

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
            timers.take_due(Instant::now()).into_iter().for_each(|object| self.queue.add(object));
            let wake = timers.next();
            let object = tokio::select! {
                biased;
                () = &mut stop => break,
                Some((object, result)) = running.next(), if !running.is_empty() => {
                    let name = ObjectRef::from_obj(&*object);
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
            if let Some(pass) = self.begin(&object, &context) {
                running.push(pass);
                worked_on.insert(object);
            }
        }
        running.for_each(|_| async {}).await;
    }

    /// One pass over an object; none when it was deleted while its name stood in the queue.
    fn begin(&self, name: &ObjectRef<K>, context: &Arc<Context>) -> Option<Running<K>> {
        let object = self.store.get(name)?;
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
            (object, result.inspect_err(|error| metrics.shown.pass_failed(error.kind())))
        };
        Some(Box::pin(counted.instrument(span)))
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
    use crate::controller::stores::packed::PackedRequest;
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
                Ok(NextPass::when_asked())
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
            after_error: |_, _: &Error, _| NextPass::when_asked(),
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

    /// What is known of a pass when it begins: of which request, and how long after the first.
    type Begun = Arc<Mutex<Vec<(String, Duration)>>>;

    /// Has these requests taken through passes that say what they are told, for so long, and tells when each began.
    async fn begun(
        names: &[&str],
        concurrency: usize,
        during: Duration,
        pass: impl Fn(&str, usize, &Context) -> (Duration, NextPass) + Send + Sync + 'static,
    ) -> Vec<(String, Duration)> {
        let (context, mut feeds, inbox) = context(&Script::default(), Clock::at(noon()));
        [Event::Init, Event::InitDone].iter().for_each(|event| feeds.requests.apply_watcher_event(event));
        for name in names {
            let mut request = request(json!({}));
            request.metadata.name = Some((*name).to_owned());
            bring(&context, &mut feeds, request);
        }
        let context = Arc::new(context);
        let store = context.requests.store.clone();
        let of = |name: &&str| store.state().into_iter().find(|request| request.name_any() == **name).unwrap();
        for name in names {
            context.queues.enqueue(Lane::Decisions, ObjectRef::from_obj(&*of(name)));
        }
        let (start, begun, pass) = (Instant::now(), Begun::default(), Arc::new(pass));
        let seen = begun.clone();
        let passes = Passes {
            store: store.clone(),
            queue: inbox.decisions,
            concurrency,
            span: |_| Span::none(),
            pass: move |request: Arc<PackedRequest>, context: Arc<Context>| {
                let (seen, pass) = (seen.clone(), pass.clone());
                async move {
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push((request.name_any(), start.elapsed()));
                        seen.iter().filter(|(name, _)| *name == request.name_any()).count()
                    };
                    let (takes, next) = pass(&request.name_any(), before, &context);
                    tokio::time::sleep(takes).await;
                    Ok(next)
                }
            },
            after_error: |_, _: &Error, _| NextPass::when_asked(),
        };
        passes.run(context, tokio::time::sleep(during)).await;
        std::mem::take(&mut *begun.lock().unwrap())
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(name: &str, millis: u64) -> (String, Duration) {
        (name.to_owned(), ms(millis))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_begins_as_soon_as_it_is_asked_for() {
        let begun = begun(&["a", "b"], 2, ms(50), |_, _, _| (Duration::ZERO, NextPass::when_asked())).await;
        assert_eq!(begun, [at("a", 0), at("b", 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_asked_for_while_it_runs_is_made_when_that_has_ended() {
        let begun = begun(&["a"], 4, ms(50), |name, nth, context| {
            if nth == 1 {
                context.queues.enqueue(Lane::Decisions, ObjectRef::new(name).within("shop"));
            }
            (ms(7), NextPass::when_asked())
        })
        .await;
        assert_eq!(begun, [at("a", 0), at("a", 7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_is_asked_for_comes_in_place_of_one_by_a_timer() {
        let begun = begun(&["a", "b"], 2, ms(50), |name, nth, context| match (name, nth) {
            // It would come at 20, but for the pass that b asks for at 5.
            ("a", 1) => (Duration::ZERO, NextPass::after(ms(20))),
            ("b", 1) => (Duration::ZERO, NextPass::after(ms(5))),
            ("b", 2) => {
                context.queues.enqueue(Lane::Decisions, ObjectRef::new("a").within("shop"));
                (Duration::ZERO, NextPass::when_asked())
            }
            _ => (Duration::ZERO, NextPass::when_asked()),
        })
        .await;
        assert_eq!(begun, [at("a", 0), at("b", 0), at("b", 5), at("a", 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_at_the_end_is_finished_and_nothing_more_is_begun() {
        let begin = Instant::now();
        let begun = begun(&["a", "b"], 1, ms(5), |_, _, _| (ms(10), NextPass::when_asked())).await;
        assert_eq!((begun, begin.elapsed()), (vec![at("a", 0)], ms(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_gone_is_passed_over() {
        let begun = begun(&["a", "b"], 1, ms(50), |name, _, context| {
            if name == "a" {
                context.queues.enqueue(Lane::Decisions, ObjectRef::new("gone").within("shop"));
                context.queues.enqueue(Lane::Decisions, ObjectRef::new("a").within("elsewhere"));
            }
            (ms(1), NextPass::when_asked())
        })
        .await;
        assert_eq!(begun, [at("a", 0), at("b", 1)]);
    }
}
