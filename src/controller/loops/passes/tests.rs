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

/// Each has its turn, also where every one is asked for again at once.
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
    let store = context.stores.requests.store.clone();
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

/// How long a pass takes, and what comes of it.
type Made = (Duration, Result<NextPass, Error>);

/// How long after a pass that failed the next one is made.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// Passes over these requests that end as they are told, and when each began.
fn asked_for(
    names: &[&str],
    concurrency: usize,
    pass: impl Fn(&str, usize, &Context) -> Made + Send + Sync + 'static,
) -> (impl AsyncFnOnce(Duration), Begun) {
    let (context, mut feeds, inbox) = context(&Script::default(), Clock::at(noon()));
    [Event::Init, Event::InitDone].iter().for_each(|event| feeds.requests.apply_watcher_event(event));
    for name in names {
        let mut request = request(json!({}));
        request.metadata.name = Some((*name).to_owned());
        bring(&context, &mut feeds, request);
        context.queues.enqueue(Lane::Decisions, ObjectRef::new(name).within("shop"));
    }
    let context = Arc::new(context);
    let (start, begun, pass) = (Instant::now(), Begun::default(), Arc::new(pass));
    let seen = begun.clone();
    let passes = Passes {
        store: context.stores.requests.store.clone(),
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
                let (takes, made) = pass(&request.name_any(), before, &context);
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
                made
            }
        },
        after_error: |_, _: &Error, _| NextPass::after(AFTER_ERROR),
    };
    let run = async move |during| {
        passes.run(context, tokio::time::sleep(during)).await;
        drop(feeds);
    };
    (run, begun)
}

/// Has these requests taken through such passes for so long, and tells when each began.
async fn begun(
    names: &[&str],
    concurrency: usize,
    during: Duration,
    pass: impl Fn(&str, usize, &Context) -> Made + Send + Sync + 'static,
) -> Vec<(String, Duration)> {
    let (run, begun) = asked_for(names, concurrency, pass);
    run(during).await;
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
    let begun = begun(&["a", "b"], 2, ms(50), |_, _, _| (Duration::ZERO, Ok(NextPass::when_asked()))).await;
    assert_eq!(begun, [at("a", 0), at("b", 0)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_asked_for_while_it_runs_is_made_when_that_has_ended() {
    let begun = begun(&["a"], 4, ms(50), |name, nth, context| {
        if nth == 1 {
            context.queues.enqueue(Lane::Decisions, ObjectRef::new(name).within("shop"));
        }
        (ms(7), Ok(NextPass::when_asked()))
    })
    .await;
    assert_eq!(begun, [at("a", 0), at("a", 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_asked_for_comes_in_place_of_one_by_a_timer() {
    let begun = begun(&["a", "b"], 2, ms(50), |name, nth, context| match (name, nth) {
        // It would come at 20, but for the pass that b asks for at 5.
        ("a", 1) => (Duration::ZERO, Ok(NextPass::after(ms(20)))),
        ("b", 1) => (Duration::ZERO, Ok(NextPass::after(ms(5)))),
        ("b", 2) => {
            context.queues.enqueue(Lane::Decisions, ObjectRef::new("a").within("shop"));
            (Duration::ZERO, Ok(NextPass::when_asked()))
        }
        _ => (Duration::ZERO, Ok(NextPass::when_asked())),
    })
    .await;
    assert_eq!(begun, [at("a", 0), at("b", 0), at("b", 5), at("a", 5)]);
}

#[tokio::test(start_paused = true)]
async fn what_runs_at_the_end_is_finished_and_nothing_more_is_begun() {
    let begin = Instant::now();
    let begun = begun(&["a", "b"], 1, ms(5), |_, _, _| (ms(10), Ok(NextPass::when_asked()))).await;
    assert_eq!((begun, begin.elapsed()), (vec![at("a", 0)], ms(10)));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_gone_is_passed_over() {
    let begun = begun(&["a", "b"], 1, ms(50), |name, _, context| {
        if name == "a" {
            context.queues.enqueue(Lane::Decisions, ObjectRef::new("gone").within("shop"));
            context.queues.enqueue(Lane::Decisions, ObjectRef::new("a").within("elsewhere"));
        }
        (ms(1), Ok(NextPass::when_asked()))
    })
    .await;
    assert_eq!(begun, [at("a", 0), at("b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_is_made_again_later_or_as_soon_as_it_was_asked_for() {
    let begun = begun(&["a", "b"], 2, ms(50), |name, nth, context| {
        if (name, nth) == ("b", 1) {
            context.queues.enqueue(Lane::Decisions, ObjectRef::new(name).within("shop"));
        }
        (ms(1), if nth == 1 { Err(Error::Conflict) } else { Ok(NextPass::when_asked()) })
    })
    .await;
    assert_eq!(begun, [at("a", 0), at("b", 0), at("b", 1), at("a", 21)]);
}

/// Other loops share the task, and a queue may hold thousands.
#[tokio::test(start_paused = true)]
async fn passes_that_wait_for_nothing_do_not_keep_others_waiting() {
    let names: Vec<String> = (0..1000).map(|n| format!("fix-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (run, begun) = asked_for(&names, 64, |_, _, _| (Duration::ZERO, Ok(NextPass::when_asked())));
    let other = async {
        tokio::task::yield_now().await;
        begun.lock().unwrap().len()
    };
    let ((), by_then) = tokio::join!(run(ms(50)), other);
    assert!(by_then < names.len(), "{by_then}");
    assert_eq!(begun.lock().unwrap().len(), names.len());
}
