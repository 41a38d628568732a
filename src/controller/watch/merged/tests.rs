use std::sync::{Arc, Mutex};

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::core::Status;
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, ResourceExt};
use serde_json::json;
use tower::{BoxError, service_fn};

use super::*;

type WatchResult = watcher::Result<Event<ConfigMap>>;

/// Watches of namespaces `a` and `b` that say what a test lets them say, merged and followed by a store.
struct Trial {
    watches: BTreeMap<&'static str, UnboundedSender<WatchResult>>,
    merged: BoxStream<'static, WatchResult>,
    store: Store<ConfigMap>,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl Trial {
    fn new(refusals_are_reported: bool) -> Self {
        let (store, writer) = reflector::store();
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let hear = refusals.clone();
        let mut watches = BTreeMap::new();
        let streams: Vec<_> = ["a", "b"]
            .map(|namespace| {
                let (watch, stream) = unbounded();
                watches.insert(namespace, watch);
                (namespace.to_owned(), stream)
            })
            .into();
        let on_refusal: OnRefusal = Box::new(move |namespace, refused| {
            hear.lock().unwrap().push(format!("{namespace} is refused: {refused}"));
        });
        let merged = merge(
            streams,
            MergedStore { stored: store.clone(), object: ConfigMap::clone },
            refusals_are_reported.then_some(on_refusal),
        )
        .reflect(writer)
        .boxed();
        Self { watches, merged, store, refusals }
    }

    /// What comes out when the watch of a namespace says this.
    fn send(&mut self, namespace: &str, events: impl IntoIterator<Item = WatchResult>) -> Vec<String> {
        events.into_iter().for_each(|events| self.watches[namespace].unbounded_send(events).unwrap());
        let mut out = Vec::new();
        while let Some(Some(event)) = self.merged.next().now_or_never() {
            out.push(match event {
                Ok(Event::Init) => "Init".to_owned(),
                Ok(Event::InitApply(object)) => format!("InitApply {}", named(&object)),
                Ok(Event::InitDone) => "InitDone".to_owned(),
                Ok(Event::Apply(object)) => format!("Apply {}", named(&object)),
                Ok(Event::Delete(object)) => format!("Delete {}", named(&object)),
                Err(_) => "Err".to_owned(),
            });
        }
        // A list has no order.
        let word = |event: &str| event.split(' ').next().map(str::to_owned);
        out.chunk_by_mut(|a, b| word(a) == word(b)).for_each(<[String]>::sort);
        out
    }

    fn stored(&self) -> Vec<String> {
        let mut stored: Vec<String> = self.store.state().iter().map(|object| named(object)).collect();
        stored.sort();
        stored
    }

    fn refusals(&self) -> Vec<String> {
        std::mem::take(&mut self.refusals.lock().unwrap())
    }

    /// `a` and `b` listed, with `a/x`, `a/y` and `b/x`.
    fn listed() -> Self {
        let mut trial = Self::new(true);
        assert!(trial.send("a", list(["a/x", "a/y"])).is_empty());
        assert_eq!(trial.send("b", list(["b/x"])).len(), 5);
        trial
    }
}

fn named(object: &ConfigMap) -> String {
    format!("{}/{}", object.namespace().unwrap(), object.name_any())
}

fn object(name: &str) -> ConfigMap {
    let (namespace, name) = name.split_once('/').unwrap();
    let mut object = ConfigMap::default();
    (object.metadata.namespace, object.metadata.name) = (Some(namespace.to_owned()), Some(name.to_owned()));
    object
}

fn apply(name: &str) -> WatchResult {
    Ok(Event::Apply(object(name)))
}

fn delete(name: &str) -> WatchResult {
    Ok(Event::Delete(object(name)))
}

/// A list that is begun and not ended.
fn begun<const N: usize>(names: [&str; N]) -> Vec<WatchResult> {
    let objects = names.map(|name| Ok(Event::InitApply(object(name))));
    std::iter::once(Ok(Event::Init)).chain(objects).collect()
}

fn list<const N: usize>(names: [&str; N]) -> Vec<WatchResult> {
    let mut list = begun(names);
    list.push(Ok(Event::InitDone));
    list
}

fn failed(code: u16) -> WatchResult {
    let status = Status { code, ..Status::failure("no", if code == 403 { "Forbidden" } else { "InternalError" }) };
    Err(watcher::Error::InitialListFailed(kube::Error::Api(status.boxed())))
}

#[test]
fn the_first_list_goes_out_when_every_namespace_is_listed_and_then_changes_pass() {
    let mut trial = Trial::new(true);
    assert!(trial.send("a", list(["a/x", "a/y"])).is_empty());
    // What changes until then is in the list.
    assert!(trial.send("a", [apply("a/z"), delete("a/x")]).is_empty());
    let first = ["Init", "InitApply a/y", "InitApply a/z", "InitApply b/x", "InitDone"];
    assert_eq!(trial.send("b", list(["b/x"])), first);
    assert_eq!(trial.stored(), ["a/y", "a/z", "b/x"]);
    assert_eq!(trial.send("b", [apply("b/y"), delete("b/x")]), ["Apply b/y", "Delete b/x"]);
    assert_eq!(trial.send("a", [delete("a/y")]), ["Delete a/y"]);
    assert_eq!(trial.stored(), ["a/z", "b/y"]);
}

#[test]
fn a_list_that_comes_again_deletes_what_went_while_the_watch_was_broken() {
    let mut trial = Trial::listed();
    let again = trial.send("a", list(["a/y", "a/z"]));
    assert_eq!(again, ["Apply a/y", "Apply a/z", "Delete a/x"]);
    assert_eq!(trial.stored(), ["a/y", "a/z", "b/x"], "the other namespace is left alone");
    assert_eq!(trial.send("b", list([])), ["Delete b/x"]);
}

#[test]
fn what_was_made_anew_under_its_name_meanwhile_was_deleted_before() {
    let with_uid = |uid: &str| {
        let mut object = object("a/x");
        object.metadata.uid = Some(uid.to_owned());
        [Ok(Event::InitApply(object)), Ok(Event::InitDone)]
    };
    let mut trial = Trial::new(true);
    trial.send("a", with_uid("1"));
    trial.send("b", list([]));
    assert_eq!(trial.send("a", with_uid("1")), ["Apply a/x"]);
    assert_eq!(trial.send("a", with_uid("2")), ["Delete a/x", "Apply a/x"]);
    assert_eq!(trial.store.state()[0].uid().as_deref(), Some("2"));
}

#[test]
fn a_list_that_fails_half_way_deletes_nothing_and_what_it_named_may_be_gone_when_it_comes_whole() {
    let mut trial = Trial::listed();
    let mut broken = begun(["a/y", "a/z"]);
    broken.push(failed(500));
    assert_eq!(trial.send("a", broken), ["Apply a/y", "Apply a/z", "Err"]);
    assert_eq!(trial.stored(), ["a/x", "a/y", "a/z", "b/x"]);
    // Without the word that a list begins, as `watch` has it.
    assert_eq!(trial.send("a", list(["a/x"]).into_iter().skip(1)), ["Apply a/x", "Delete a/y", "Delete a/z"]);
}

#[test]
fn the_same_before_the_first_list_of_all() {
    let mut trial = Trial::new(true);
    assert!(trial.send("a", list(["a/w"])).is_empty());
    assert!(trial.send("a", list(["a/x"])).is_empty());
    let mut broken = begun(["a/y"]);
    broken.push(failed(500));
    assert_eq!(trial.send("a", broken), ["Err"]);
    // It is listed again when the other one comes: what it was known to have goes out, and then what has gone.
    assert!(trial.send("a", begun(["a/y"])).is_empty());
    assert_eq!(trial.send("b", list([])), ["Init", "InitApply a/x", "InitApply a/y", "InitDone"]);
    assert_eq!(trial.send("a", [Ok(Event::InitDone)]), ["Delete a/x"]);
    assert_eq!(trial.stored(), ["a/y"]);
}

#[test]
fn a_refused_namespace_is_not_waited_for_and_is_served_once_it_can_be_listed() {
    let mut trial = Trial::new(true);
    trial.send("a", list(["a/x"]));
    assert!(trial.send("b", [Ok(Event::Init), failed(403), Ok(Event::Init), failed(403)]).is_empty());
    assert!(trial.refusals().is_empty());
    assert_eq!(trial.send("b", [failed(403)]), ["Init", "InitApply a/x", "InitDone"]);
    assert!(trial.send("b", [failed(403), failed(403)]).is_empty());
    assert_eq!(trial.refusals(), ["b is refused: true"], "it is told once");
    assert_eq!(trial.send("b", list(["b/x"])), ["Apply b/x"]);
    assert_eq!(trial.refusals(), ["b is refused: false"]);
    // Refused again, what is known of it stays: nobody said that it is gone.
    assert!(trial.send("b", [failed(403), failed(403), failed(403)]).is_empty());
    assert_eq!(
        (trial.refusals(), trial.stored()),
        (vec!["b is refused: true".to_owned()], vec!["a/x".into(), "b/x".into()])
    );
}

#[test]
fn any_other_failure_is_waited_for_and_so_is_a_refusal_where_it_must_be() {
    let mut trial = Trial::new(true);
    trial.send("a", list(["a/x"]));
    assert_eq!(trial.send("b", (0..5).map(|_| failed(500))), ["Err"; 5]);
    assert_eq!(trial.send("b", list([])), ["Init", "InitApply a/x", "InitDone"]);

    let mut trial = Trial::new(false);
    trial.send("a", list(["a/x"]));
    assert_eq!(trial.send("b", (0..5).map(|_| failed(403))), ["Err"; 5]);
    assert!(trial.refusals().is_empty());
    assert_eq!(trial.send("b", list([])), ["Init", "InitApply a/x", "InitDone"]);
}

#[test]
fn a_refusal_to_watch_what_may_be_listed_is_not_hidden() {
    let mut trial = Trial::listed();
    let refused = || {
        let status = Status { code: 403, ..Status::failure("no", "Forbidden") };
        Err(watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed())))
    };
    for _ in 0..4 {
        assert_eq!(trial.send("a", [refused()]), ["Err"]);
        assert_eq!(trial.send("a", list(["a/x", "a/y"]).into_iter().skip(1)), ["Apply a/x", "Apply a/y"]);
    }
    assert!(trial.refusals().is_empty(), "it can be read");
}

/// An API server that lets anybody list and refuses to watch, and what it was asked.
fn refuses_to_watch() -> (Client, Arc<Mutex<Vec<&'static str>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let service = service_fn(move |request: Request<Body>| {
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        seen.lock().unwrap().push(if watches { "watch" } else { "list" });
        async move {
            let (code, answer) = match watches {
                true => (403, json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden" })),
                false => (200, json!({ "kind": "ConfigMapList", "metadata": { "resourceVersion": "1" }, "items": [] })),
            };
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = code.try_into()?;
            Ok::<_, BoxError>(response)
        }
    });
    (Client::new(service, "default"), asked)
}

#[tokio::test]
async fn what_may_not_be_watched_is_listed_anew() {
    let (client, asked) = refuses_to_watch();
    let watch = watch::<ConfigMap>(Api::namespaced(client, "a"), watcher::Config::default());
    let events: Vec<WatchResult> = watch.take(6).collect().await;
    let [list, again] = events.as_chunks().0 else { panic!("{events:?}") };
    for list in [list, again] {
        assert!(
            matches!(list, [Ok(Event::Init), Ok(Event::InitDone), Err(refused)] if is_refusal(refused)),
            "{list:?}"
        );
    }
    assert_eq!(*asked.lock().unwrap(), ["list", "watch", "list", "watch"]);
}
