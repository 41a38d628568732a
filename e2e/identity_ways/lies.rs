//! Somebody has taken the webhook over, and has its certificate: what they can write, and what they cannot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::table::{KEYS, identity};
use crate::attack::call::{create, merge};
use crate::harness::cast::{self, SOON, request};
use crate::harness::impostor::{Impostor, patching};
use crate::harness::users::{ALICE, BOB, CAROL, MALLORY};
use crate::harness::{Cluster, ControlPlane, eventually};

/// What is answered next.
type Next = Arc<Mutex<Value>>;

/// A lie to a write, and what comes of it.
struct Lie {
    name: &'static str,
    /// The response to the API server.
    response: Value,
    becomes: Becomes,
}

enum Becomes {
    /// The write is refused with these words.
    Refused(&'static str),
    /// The write is stored, and has nothing of the lie: this field is as it was.
    Dropped(&'static str),
    /// The write is stored, and this field says what the webhook wrote.
    Stored(&'static str, Value),
}

use Becomes::{Dropped, Refused, Stored};

fn lie(name: &'static str, operations: Value, becomes: Becomes) -> Lie {
    Lie { name, response: patching(&operations), becomes }
}

fn add(path: &str, value: Value) -> Value {
    json!({ "op": "add", "path": path, "value": value })
}

/// To mallory, who asks and says nothing of who it is.
fn to_a_request() -> Vec<Lie> {
    let requester = |value: Value| add("/spec/requester", value);
    let with = |field: &str, value: Value| {
        let mut who = identity(MALLORY);
        who[field] = value;
        json!([requester(who)])
    };
    let stamped_and = |more: Value| json!([requester(identity(MALLORY)), more]);
    let not_you = || Refused("spec.requester must be you");
    vec![
        lie("somebody else", json!([requester(identity(ALICE))]), not_you()),
        lie("another name", with("username", json!("alice")), not_you()),
        lie("another uid", with("uid", json!("u-alice")), not_you()),
        lie("a group more", with("groups", json!(["dev", "system:authenticated"])), not_you()),
        lie("a group less", with("groups", json!([])), not_you()),
        lie("nothing", json!([]), not_you()),
        lie(
            "a second factor",
            with("extra", json!({ "example.com/amr": ["mfa"] })),
            Refused("spec.requester.extra must be what your login says"),
        ),
        lie("a finalizer", stamped_and(add("/metadata/finalizers", json!(["a.example/b"]))), Refused("finalizers")),
        lie("a status", stamped_and(add("/status", json!({ "message": "granted" }))), Dropped("/status/message")),
        Lie { name: "a refusal", response: json!({ "allowed": false }), becomes: Refused("stamp.daypass.dev") },
        Lie { name: "no answer", response: json!("no answer"), becomes: not_you() },
        // An error of the API server on 1.33, no answer of the webhook on later versions.
        Lie {
            name: "no patch",
            response: json!({ "allowed": true, "patchType": "JSONPatch", "patch": "e30=" }),
            becomes: Refused(""),
        },
        // What no guard can see: the API server shows them what the webhook made of it, and nothing else.
        lie(
            "another role",
            stamped_and(add("/spec/role/name", json!("admin"))),
            Stored("/spec/role/name", json!("admin")),
        ),
    ]
}

/// To carol, who denies a request that bob has approved.
fn to_a_review() -> Vec<Lie> {
    let own = |field: &str, value: Value| add(&format!("/status/reviews/carol/{field}"), value);
    let stamp = || [own("uid", json!("u-carol")), own("groups", json!(["approvers", "system:authenticated"]))];
    let stamped_and = |more: Value| json!([&stamp()[..], &[more]].concat());
    let forged = json!({ "verdict": "Approve", "uid": "u-dave", "groups": ["approvers", "system:authenticated"] });
    let not_yours = || Refused("uid and groups of your review must be yours");
    vec![
        lie(
            "a group more",
            stamped_and(own("groups", json!(["approvers", "kings", "system:authenticated"]))),
            not_yours(),
        ),
        lie("another uid", stamped_and(own("uid", json!("u-bob"))), not_yours()),
        lie("another's review", stamped_and(add("/status/reviews/dave", forged)), Refused("\"dave\" is not yours")),
        lie(
            "another's verdict",
            stamped_and(add("/status/reviews/bob/verdict", json!("Deny"))),
            Refused("\"bob\" is not yours"),
        ),
        lie(
            "another's review taken away",
            stamped_and(json!({ "op": "remove", "path": "/status/reviews/bob" })),
            Refused("\"bob\" is not yours"),
        ),
        lie("a state", stamped_and(add("/status/state", json!("Active"))), Refused("only Daypass writes status.state")),
        lie(
            "an end",
            stamped_and(add("/status/expiresAt", json!("2036-01-01T00:00:00Z"))),
            Refused("only Daypass writes status.expiresAt"),
        ),
        lie("a role", stamped_and(add("/spec/role/name", json!("admin"))), Dropped("/spec/role/name")),
        lie(
            "a finalizer",
            stamped_and(add("/metadata/finalizers", json!(["a.example/b"]))),
            Dropped("/metadata/finalizers"),
        ),
        Lie { name: "no answer", response: json!(7), becomes: not_yours() },
        // What no guard can see: the review is carol's own, and so carol could have written it.
        lie(
            "another verdict",
            stamped_and(own("verdict", json!("Approve"))),
            Stored("/status/reviews/carol/verdict", json!("Approve")),
        ),
    ]
}

pub async fn lying(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=webhook", KEYS]).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    cluster.control_plane.stop_webhook().await;
    let next: Next = Arc::new(Mutex::new(Value::Null));
    let answers = next.clone();
    let says = Arc::new(move |_: &Value| answers.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let impostor = Impostor::start(&cluster.control_plane, Duration::ZERO, says).await;
    let namespace = cluster.namespace("lies").await;
    let two = json!({ "approval": { "stages": [{ "name": "leads", "required": 3, "approvers": [{ "kind": "Group", "name": "approvers" }] }] } });
    cluster.allow(&namespace, &namespace, two).await;
    let mallory = cluster.client(MALLORY).await;
    let collection = format!("/apis/daypass.dev/v1alpha1/namespaces/{namespace}/accessrequests");
    let plain = || create(MALLORY, collection.clone(), request(&namespace, "plain", json!({}))).dry();
    eventually("the impostor is called", SOON, async || {
        let _ = plain().send(&mallory).await;
        if impostor.calls() > 0 { Ok(()) } else { Err("it is not called".to_owned()) }
    })
    .await;

    let mut faults = Vec::new();
    for (nth, lie) in to_a_request().iter().enumerate() {
        *next.lock().unwrap_or_else(PoisonError::into_inner) = lie.response.clone();
        let (called, mut asked) = (impostor.calls(), request(&namespace, &format!("asked-{nth}"), json!({})));
        asked["metadata"]["labels"] = json!({ "lie": nth.to_string() });
        let answer = create(MALLORY, collection.clone(), asked.clone()).send(&mallory).await;
        assert!(impostor.calls() > called, "{}: it was not told", lie.name);
        faults.extend(fault("request", lie, &asked, answer));
    }
    let (bob, carol) = (cluster.client(BOB).await, cluster.client(CAROL).await);
    let alice = cluster.client(ALICE).await;
    for (nth, lie) in to_a_review().iter().enumerate() {
        let name = format!("reviewed-{nth}");
        let asked = request(&namespace, &name, json!({ "requester": identity(ALICE) }));
        create(ALICE, collection.clone(), asked).send(&alice).await.expect("a request of alice");
        let path = format!("{collection}/{name}/status");
        let approves =
            json!({ "verdict": "Approve", "uid": "u-bob", "groups": ["dev", "approvers", "system:authenticated"] });
        let before = merge(BOB, path.clone(), json!({ "status": { "reviews": { "bob": approves } } }));
        let before = before.send(&bob).await.expect("a review of bob");
        *next.lock().unwrap_or_else(PoisonError::into_inner) = lie.response.clone();
        let called = impostor.calls();
        let denies = json!({ "status": { "reviews": { "carol": { "verdict": "Deny" } } } });
        let answer = merge(CAROL, path, denies).send(&carol).await;
        assert!(impostor.calls() > called, "{}: it was not told", lie.name);
        faults.extend(fault("review", lie, &before, answer));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether something else came of a lie.
fn fault(to: &str, lie: &Lie, before: &Value, answer: Result<Value, String>) -> Option<String> {
    let is_so = match (&answer, &lie.becomes) {
        (Err(refusal), Refused(words)) => refusal.contains(words),
        (Ok(object), Dropped(field)) => object.pointer(field) == before.pointer(field),
        (Ok(object), Stored(field, value)) => object.pointer(field) == Some(value),
        _ => false,
    };
    (!is_so).then(|| format!("{} to a {to}: {answer:?}", lie.name))
}
