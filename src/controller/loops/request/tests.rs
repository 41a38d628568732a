//! What a pass does on the word of a watch, and what only on what it has read itself.

use http::Method;
use serde_json::json;

use super::*;
use crate::controller::scripted::{Script, bring, context, failure, granted};
use crate::core::laws::fixtures::noon;
use crate::runtime::clock::Clock;

#[tokio::test]
async fn nothing_is_bound_before_the_pass_has_read_the_request_itself() {
    let (request, wanted) = granted();
    let there = serde_json::to_value(&request).unwrap();
    let mut another = there.clone();
    another["metadata"]["uid"] = json!("r-2");
    for (code, answer, goes_on) in [(200, there, true), (200, another, false), (404, failure(404, "NotFound"), false)] {
        let script = Script::default().then(Method::GET, "/namespaces/shop/accessrequests/fix", code, answer);
        let (context, ..) = context(&script, Clock::at(noon()));
        let mut pass = Pass::begin(&context, request.clone(), Guard::since(noon()), false);
        assert_eq!(pass.bind(vec![wanted.clone()]).await.unwrap(), goes_on, "{code}");
        assert!(pass.bindings.made().is_empty() && pass.fresh == goes_on, "{code}");
        script.is_over();
    }
}

/// Access that rests until its next window has a later end on record, and no binding that it could be an end of.
#[tokio::test]
async fn only_the_end_of_access_that_goes_on_is_moved() {
    let script = Script::default();
    let (context, ..) = context(&script, Clock::at(noon()));
    let end = |seconds: i64| {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            noon() + k8s_openapi::jiff::SignedDuration::from_secs(seconds),
        )
    };
    let (mut request, _) = granted();
    let status = request.status.as_mut().unwrap();
    (status.state, status.expires_at) = (State::Active, Some(end(-1)));
    let now = status.clone();
    context.stores.requests.ends.note(&request);
    let suspended = AccessRequestStatus { state: State::Suspended, expires_at: Some(end(60)), ..now.clone() };
    assert!(begin_to_move_end(&context, &request, &suspended).unwrap().is_none());
    let goes_on = AccessRequestStatus { expires_at: Some(end(60)), ..now };
    assert!(matches!(begin_to_move_end(&context, &request, &goes_on), Err(Error::Conflict)), "it has come");
}

/// A clock may go back by what it is allowed to be off.
#[tokio::test]
async fn an_end_that_has_come_stays_come() {
    let (mut request, _) = granted();
    let status = request.status.as_mut().unwrap();
    status.state = State::Active;
    let (end, bindings) = (status.expires_at.clone().unwrap().0, status.bindings.clone());
    let mut ended = request.clone();
    ended.metadata.resource_version = Some("8".to_owned());
    ended.status.as_mut().unwrap().state = State::Expired;
    let path = "/namespaces/shop/accessrequests/fix/status";
    let script = Script::default().then(Method::PATCH, path, 200, serde_json::to_value(&ended).unwrap());
    let script = script.sending(json!({ "status": { "state": "Expired" } }));
    let clock = Clock::at(end);
    let (context, mut feeds, _inbox) = context(&script, clock);
    bring(&context, &mut feeds, request.clone());
    let ends = &context.stores.requests.ends;
    let due = ends.take_due(context.clock.now()).unwrap();
    ends.done(&due, Some(Gone { bindings, at: end }));
    ends.release(&due.uid);
    clock.set_by(k8s_openapi::jiff::SignedDuration::from_secs(-4));
    assert!(ends.begin_to_move("r-1", context.clock.now()).is_none(), "it is not moved any more");
    let stored = context.stores.requests.store.get(&reference(&request)).unwrap();
    reconcile(Lane::Grants, stored, Arc::new(context)).await.unwrap();
    script.is_over();
}
