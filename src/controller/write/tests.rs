//! What becomes of each write when the API server accepts it, refuses it, or is in trouble.

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::api::request::State;
use crate::controller::scripted::{self, Script, failure, granted};

const STATUS: &str = "/namespaces/shop/accessrequests/fix/status";
const REQUEST: &str = "/namespaces/shop/accessrequests/fix";
const BINDINGS: &str = "/namespaces/shop/rolebindings";
const BINDING: &str = "/namespaces/shop/rolebindings/daypass-r-1";

/// Answers that are somebody's decision, and those that may be another one next time.
const DECISIONS: [(u16, &str); 3] = [(403, "Forbidden"), (404, "NotFound"), (422, "Invalid")];
const TROUBLE: [(u16, &str); 4] = [(401, "Unauthorized"), (429, "TooManyRequests"), (500, "InternalError"), (503, "")];

fn writer(script: &Script) -> Writer {
    scripted::writer(script, crate::runtime::clock::Clock::wall()).0
}

fn stored(request: &AccessRequest, version: &str) -> Value {
    let mut stored = serde_json::to_value(request).unwrap();
    stored["metadata"]["resourceVersion"] = json!(version);
    stored
}

fn bound(wanted: &Wanted, uid: &str) -> Value {
    let mut bound = serde_json::to_value(wanted.role_binding()).unwrap();
    bound["metadata"]["uid"] = json!(uid);
    bound
}

async fn records(script: &Script) -> Result<AccessRequest, Error> {
    let (request, _) = granted();
    let status = AccessRequestStatus { state: State::Active, ..request.status.clone().unwrap() };
    let pass = PassInfo { began: Instant::now(), wake: None, unbound_at: None };
    let result = writer(script).record(&request, status, pass).await;
    script.is_over();
    result
}

#[tokio::test]
async fn a_status_is_stored_over_the_version_that_it_was_planned_for() {
    let (request, _) = granted();
    let planned_for = json!({ "metadata": { "resourceVersion": "7" }, "status": { "state": "Active" } });
    let script = Script::default().then(Method::PATCH, STATUS, 200, stored(&request, "8")).sending(planned_for);
    assert_eq!(records(&script).await.unwrap().metadata.resource_version.as_deref(), Some("8"));
}

/// What people said is theirs: it is forgotten as a whole, when it may be forged, and else left alone.
#[test]
fn the_reviews_of_people_are_cleared_or_left_alone() {
    let (request, _) = granted();
    let with = |reviews: Value| {
        let status = json!({ "state": "Pending", "reviews": reviews });
        serde_json::from_value::<AccessRequestStatus>(status).unwrap()
    };
    let (bob, carol) = (json!({ "verdict": "Approve" }), json!({ "verdict": "Deny" }));
    let old = with(json!({ "bob": bob }));
    for edited in [json!({ "bob": bob, "carol": carol }), json!({ "bob": carol }), json!({ "carol": carol })] {
        let patch = status_patch(&request.metadata, Some(&old), &with(edited)).unwrap();
        assert!(patch["status"].get("reviews").is_none(), "{patch}");
    }
    let patch = status_patch(&request.metadata, Some(&old), &with(json!({}))).unwrap();
    assert_eq!(patch["status"]["reviews"], Value::Null);
    assert!(patch["status"].as_object().unwrap().contains_key("reviews"), "{patch}");
}

#[tokio::test]
async fn a_conflict_is_one_only_if_the_request_has_changed() {
    let (request, _) = granted();
    let conflict = || Script::default().then(Method::PATCH, STATUS, 409, failure(409, "Conflict"));
    let changed = conflict().then(Method::GET, REQUEST, 200, stored(&request, "9"));
    assert!(matches!(records(&changed).await, Err(Error::Conflict)));
    let gone = conflict().then(Method::GET, REQUEST, 404, failure(404, "NotFound"));
    assert!(matches!(records(&gone).await, Err(Error::Conflict)));
    // Somebody's admission says so, in words of its own.
    let the_same = conflict().then(Method::GET, REQUEST, 200, stored(&request, "7"));
    assert!(matches!(records(&the_same).await, Err(Error::Api { .. })));
    let unreadable = conflict().then(Method::GET, REQUEST, 500, failure(500, ""));
    assert!(matches!(records(&unreadable).await, Err(Error::Api { .. })));
}

#[tokio::test]
async fn a_status_that_is_refused_is_tried_again_and_people_are_told() {
    for (code, reason) in DECISIONS.into_iter().chain(TROUBLE) {
        let script = Script::default().then(Method::PATCH, STATUS, code, failure(code, reason));
        let error = records(&script).await.unwrap_err();
        assert!(error.reported_after().is_some(), "{code}: {error}");
    }
}

/// A review that opens, or an entry that comes, between the look and the removal makes another version of the request.
#[tokio::test]
async fn a_request_is_removed_in_the_version_that_was_looked_at_or_not_at_all() {
    let (request, _) = granted();
    let removes = async |script: Script| {
        let result = writer(&script).remove(&request).await;
        script.is_over();
        result
    };
    let exactly = json!({ "preconditions": { "uid": request.uid(), "resourceVersion": "7" } });
    let answers = |code, body| Script::default().then(Method::DELETE, REQUEST, code, body).sending(exactly.clone());
    removes(answers(200, stored(&request, "7"))).await.unwrap();
    let conflict = || answers(409, failure(409, "Conflict"));
    let changed = removes(conflict().then(Method::GET, REQUEST, 200, stored(&request, "8"))).await;
    assert!(matches!(changed, Err(Error::Conflict)), "it is looked at again");
    let of_another = removes(conflict().then(Method::GET, REQUEST, 200, stored(&request, "7"))).await;
    assert!(matches!(of_another, Err(Error::Api { .. })));
    assert!(matches!(removes(answers(404, failure(404, "NotFound"))).await, Err(Error::Conflict)), "it is gone");
}

async fn binds(script: &Script) -> Result<Observed, BindError> {
    let result = writer(script).bind(granted().1).await;
    script.is_over();
    result
}

#[tokio::test]
async fn a_binding_is_made() {
    let (_, wanted) = granted();
    let script = Script::default().then(Method::POST, BINDINGS, 201, bound(&wanted, "b-1"));
    assert_eq!(binds(&script).await.unwrap().metadata.uid.as_deref(), Some("b-1"));
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_binding_is_handed_back() {
    let (_, wanted) = granted();
    let taken = || Script::default().then(Method::POST, BINDINGS, 409, failure(409, "AlreadyExists"));
    let there = taken().then(Method::GET, BINDING, 200, bound(&wanted, "b-0"));
    assert_eq!(binds(&there).await.unwrap().metadata.uid.as_deref(), Some("b-0"));
    let gone = taken().then(Method::GET, BINDING, 404, failure(404, "NotFound"));
    assert!(matches!(binds(&gone).await, Err(BindError::Retry(_))));
    let unreadable = taken().then(Method::GET, BINDING, 503, failure(503, ""));
    assert!(matches!(binds(&unreadable).await, Err(BindError::Retry(_))));
}

#[tokio::test]
async fn a_refused_binding_is_final_and_one_that_met_trouble_is_not() {
    for (code, reason) in DECISIONS {
        let script = Script::default().then(Method::POST, BINDINGS, code, failure(code, reason));
        assert!(matches!(binds(&script).await, Err(BindError::Refused(_))), "{code}");
    }
    for (code, reason) in TROUBLE.into_iter().chain([(409, "Conflict")]) {
        let script = Script::default().then(Method::POST, BINDINGS, code, failure(code, reason));
        assert!(matches!(binds(&script).await, Err(BindError::Retry(_))), "{code}");
    }
}

async fn unbinds(script: &Script, uid: Option<&str>) -> Result<(), Error> {
    let (_, wanted) = granted();
    let binding = BindingRef { uid: uid.map(str::to_owned), ..wanted.reference() };
    let result = writer(script).unbind(&binding, "r-1").await;
    script.is_over();
    result
}

#[tokio::test]
async fn a_binding_is_deleted_by_its_uid() {
    let gone = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" });
    let exactly = json!({ "preconditions": { "uid": "b-1" } });
    let script = Script::default().then(Method::DELETE, BINDING, 200, gone.clone()).sending(exactly.clone());
    unbinds(&script, Some("b-1")).await.unwrap();
    // Its UID is not on record: the process died after it was made.
    let (_, wanted) = granted();
    let script = Script::default()
        .then(Method::GET, BINDING, 200, bound(&wanted, "b-1"))
        .then(Method::DELETE, BINDING, 200, gone)
        .sending(exactly);
    unbinds(&script, None).await.unwrap();
    let nothing = Script::default().then(Method::GET, BINDING, 404, failure(404, "NotFound"));
    unbinds(&nothing, None).await.unwrap();
    let mut strangers = bound(&wanted, "b-2");
    strangers["metadata"]["labels"] = json!({});
    unbinds(&Script::default().then(Method::GET, BINDING, 200, strangers), None).await.unwrap();
}

#[tokio::test]
async fn a_binding_counts_as_gone_only_when_it_is() {
    let (_, wanted) = granted();
    for (code, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let answered = || Script::default().then(Method::DELETE, BINDING, code, failure(code, reason));
        let gone = answered().then(Method::GET, BINDING, 404, failure(404, "NotFound"));
        unbinds(&gone, Some("b-1")).await.unwrap();
        let another = answered().then(Method::GET, BINDING, 200, bound(&wanted, "b-2"));
        unbinds(&another, Some("b-1")).await.unwrap();
        let still_there = answered().then(Method::GET, BINDING, 200, bound(&wanted, "b-1"));
        assert!(unbinds(&still_there, Some("b-1")).await.is_err(), "{code}: it is there");
        let unknown = answered().then(Method::GET, BINDING, 500, failure(500, ""));
        assert!(unbinds(&unknown, Some("b-1")).await.is_err(), "{code}: nobody knows");
    }
    for (code, reason) in [(403, "Forbidden"), (422, "Invalid")].into_iter().chain(TROUBLE) {
        let script = Script::default().then(Method::DELETE, BINDING, code, failure(code, reason));
        assert!(unbinds(&script, Some("b-1")).await.is_err(), "{code}");
    }
}

#[tokio::test]
async fn finalizers_of_others_do_not_keep_a_binding() {
    let (_, wanted) = granted();
    let mut held = bound(&wanted, "b-1");
    held["metadata"]["finalizers"] = json!(["somebody/holds"]);
    let lingers = || Script::default().then(Method::DELETE, BINDING, 200, held.clone());
    let freed = lingers().then(Method::PUT, BINDING, 200, bound(&wanted, "b-1"));
    unbinds(&freed, Some("b-1")).await.unwrap();
    let kept = lingers().then(Method::PUT, BINDING, 200, held.clone());
    assert!(
        matches!(unbinds(&kept, Some("b-1")).await, Err(Error::Refused(Refusing::FinalizersBack(names))) if names == ["somebody/holds"])
    );
    let refused = lingers().then(Method::PUT, BINDING, 403, failure(403, "Forbidden"));
    assert!(unbinds(&refused, Some("b-1")).await.is_err());
}

#[tokio::test]
async fn a_binding_is_put_back_over_what_was_seen() {
    let (_, mut wanted) = granted();
    wanted.metadata.resource_version = Some("5".to_owned());
    let restores = async |script: Script| {
        let result = writer(&script).restore(&wanted).await;
        script.is_over();
        result
    };
    let stored = |version: &str| {
        let mut stored = bound(&wanted, "b-1");
        stored["metadata"]["resourceVersion"] = json!(version);
        stored
    };
    let seen = json!({ "metadata": { "resourceVersion": "5" } });
    restores(Script::default().then(Method::PUT, BINDING, 200, stored("6")).sending(seen)).await.unwrap();
    let conflict = || Script::default().then(Method::PUT, BINDING, 409, failure(409, "Conflict"));
    let changed = restores(conflict().then(Method::GET, BINDING, 200, stored("6"))).await;
    assert!(matches!(changed, Err(Error::Conflict)));
    let the_same = restores(conflict().then(Method::GET, BINDING, 200, stored("5"))).await;
    assert!(matches!(the_same, Err(Error::Api { .. })));
    for (code, reason) in DECISIONS.into_iter().chain(TROUBLE) {
        let refused = restores(Script::default().then(Method::PUT, BINDING, code, failure(code, reason))).await;
        assert!(refused.is_err(), "{code}");
    }
}

/// Applies a merge patch as RFC 7396 says.
fn apply(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut target = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        let before = target.remove(&key).unwrap_or_default();
        if !value.is_null() {
            target.insert(key, apply(before, value));
        }
    }
    Value::Object(target)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..4).prop_map(Value::from), Just(json!([1, 2]))];
    leaf.prop_recursive(4, 24, 4, |inner| prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)))
}

proptest! {
    #[test]
    fn a_patch_leads_from_the_old_value_to_the_new_one(
        old in prop::collection::btree_map("[a-d]", values(), 0..4),
        new in prop::collection::btree_map("[a-d]", values(), 0..4),
    ) {
        let (old, new) = (json!(old), json!(new));
        prop_assert_eq!(apply(old.clone(), merge_patch(&old, new.clone())), new.clone());
        prop_assert_eq!(merge_patch(&new, new.clone()), json!({}));
    }
}
