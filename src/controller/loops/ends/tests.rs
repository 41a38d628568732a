//! When access is taken away, and what becomes of the request then, on a clock and before an API server that the tests set.

use http::Method;
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::api::AccessRequest;
use crate::controller::scripted::{Script, asked, bring, context, failure};
use crate::core::laws::fixtures;
use crate::core::laws::fixtures::noon;
use crate::runtime::clock::Clock;

const BINDING: &str = "/namespaces/shop/rolebindings/daypass-r-1";
/// Time for what is due to be done, and not for more.
const MOMENT: Duration = Duration::from_millis(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The binding of the request with this UID, as it is on record.
fn bound(uid: &str) -> Value {
    json!({ "kind": "RoleBinding", "namespace": "shop", "name": format!("daypass-{uid}"), "uid": format!("b-{uid}") })
}

/// A version of a request whose access ends so many seconds after noon.
fn active(name: &str, uid: &str, version: u64, end: u64) -> AccessRequest {
    let mut request = fixtures::request(json!({}));
    request.metadata.name = Some(name.to_owned());
    request.metadata.uid = Some(uid.to_owned());
    request.metadata.resource_version = Some(version.to_string());
    let status = json!({
        "state": "Active",
        "grantedAt": noon().to_string(),
        "expiresAt": (noon() + seconds(end)).to_string(),
        "bindings": [bound(uid)]
    });
    request.status = Some(serde_json::from_value(status).unwrap());
    request
}

/// The request `fix`, which ends a minute after noon.
fn fix() -> AccessRequest {
    active("fix", "r-1", 1, 60)
}

/// A deletion that succeeds.
fn deletes(script: Script, uid: &str) -> Script {
    let path = format!("/namespaces/shop/rolebindings/daypass-{uid}");
    let exactly = json!({ "preconditions": { "uid": format!("b-{uid}") } });
    let gone = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" });
    script.then(Method::DELETE, &path, 200, gone).sending(exactly)
}

/// What is answered to somebody who looks for the binding.
fn there(uid: &str) -> Value {
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "daypass-r-1", "uid": uid } })
}

/// A story that is told while the loop runs.
async fn while_it_runs(context: &Context, story: impl Future<Output = ()>) {
    context.stores.listed.mark(ACCESS_REQUESTS);
    from_the_start(context, story).await;
}

/// The same before the requests have been listed.
async fn from_the_start(context: &Context, story: impl Future<Output = ()>) {
    tokio::select! {
        () = run(context) => unreachable!("it has no end"),
        () = story => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_is_deleted_at_the_end_and_the_pass_is_asked_for_after_that() {
    let script = deletes(Script::default(), "r-1").taking(millis(200));
    let clock = Clock::at(noon());
    let (context, mut feeds, inbox) = context(&script, clock);
    let ends = &context.stores.requests.ends;
    bring(&context, &mut feeds, fix());
    while_it_runs(&context, async {
        sleep(seconds(60) - MOMENT * 2).await;
        // It looks once more.
        ends.clock_was_set();
        sleep(MOMENT).await;
        assert_eq!(script.left(), 1, "before the end");
        sleep(MOMENT * 2).await;
        assert_eq!(script.left(), 0, "at the end");
        assert!(ends.is_due("r-1", clock.now()) && ends.gone("r-1").is_none(), "it is on its way");
        assert_eq!(asked(&inbox.grants), Vec::<String>::new(), "it is on its way");
        sleep(millis(200)).await;
        assert_eq!(asked(&inbox.grants), ["fix"]);
        let gone = ends.gone("r-1").unwrap();
        assert_eq!(serde_json::to_value(&gone.bindings).unwrap(), json!([bound("r-1")]));
        assert!(gone.at >= noon() + millis(60_200) && gone.at <= clock.now(), "{}", gone.at);
        assert!(!ends.is_due("r-1", clock.now()));
        sleep(seconds(3600)).await;
        assert_eq!(asked(&inbox.grants), Vec::<String>::new(), "once");
    })
    .await;
    script.is_over();
}

/// What is gone of `fix` after its end, where its deletion goes by this script. Its pass is asked for in any case.
async fn gone_after(script: Script, request: AccessRequest) -> Option<Gone> {
    let clock = Clock::at(noon());
    let (context, mut feeds, inbox) = context(&script, clock);
    bring(&context, &mut feeds, request);
    while_it_runs(&context, sleep(seconds(60) + MOMENT)).await;
    script.is_over();
    assert_eq!(asked(&inbox.grants), ["fix"]);
    assert!(!context.stores.requests.ends.is_due("r-1", clock.now()), "nothing keeps its pass waiting");
    context.stores.requests.ends.gone("r-1")
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_left_to_the_pass() {
    for (code, reason) in [(401, "Unauthorized"), (403, "Forbidden"), (429, "TooManyRequests"), (500, "InternalError")]
    {
        let script = Script::default().then(Method::DELETE, BINDING, code, failure(code, reason));
        assert!(gone_after(script, fix()).await.is_none(), "{code}");
    }
    for (code, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let script = Script::default().then(Method::DELETE, BINDING, code, failure(code, reason));
        let script = script.then(Method::GET, BINDING, 200, there("b-r-1"));
        assert!(gone_after(script, fix()).await.is_none(), "{code}: it is there");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_bindings_that_stays_leaves_both_to_the_pass() {
    let mut request = fix();
    let second: BindingRef = serde_json::from_value(bound("r-2")).unwrap();
    request.status.as_mut().unwrap().bindings.push(second);
    let first_stays = Script::default().then(Method::DELETE, BINDING, 500, failure(500, "InternalError"));
    assert!(gone_after(deletes(first_stays, "r-2"), request.clone()).await.is_none());
    let both_go = deletes(deletes(Script::default(), "r-1"), "r-2");
    assert_eq!(gone_after(both_go, request).await.unwrap().bindings.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_binding_whose_name_another_object_has_is_gone() {
    for (code, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let answered = || Script::default().then(Method::DELETE, BINDING, code, failure(code, reason));
        let nothing = answered().then(Method::GET, BINDING, 404, failure(404, "NotFound"));
        assert!(gone_after(nothing, fix()).await.is_some(), "{code}");
        let another = answered().then(Method::GET, BINDING, 200, there("b-2"));
        assert!(gone_after(another, fix()).await.is_some(), "{code}: another");
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_may_have_yet_to_be_made_is_looked_for_again_by_the_pass() {
    let mut request = fix();
    request.status.as_mut().unwrap().bindings[0].uid = None;
    let not_yet = Script::default().then(Method::GET, BINDING, 404, failure(404, "NotFound"));
    assert_eq!(gone_after(not_yet, request).await.unwrap().bindings, []);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_moved_before_it_came_counts_where_it_is_now() {
    let script = deletes(Script::default(), "r-1");
    let (context, mut feeds, inbox) = context(&script, Clock::at(noon()));
    bring(&context, &mut feeds, fix());
    while_it_runs(&context, async {
        sleep(seconds(60) - MOMENT).await;
        bring(&context, &mut feeds, active("fix", "r-1", 2, 7200));
        // The watch may be behind the pass that has moved it.
        bring(&context, &mut feeds, fix());
        sleep(seconds(3000)).await;
        assert_eq!((script.left(), asked(&inbox.grants)), (1, Vec::new()), "moved later");
        bring(&context, &mut feeds, active("fix", "r-1", 3, 3600));
        sleep(seconds(540) - MOMENT).await;
        assert_eq!((script.left(), asked(&inbox.grants)), (1, Vec::new()), "moved sooner");
        sleep(MOMENT * 3).await;
        assert_eq!((script.left(), asked(&inbox.grants)), (0, vec!["fix".to_owned()]));
    })
    .await;
    script.is_over();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_brings_ends_near_and_far() {
    for (set, wait) in [(-30, 90), (30, 30), (3600, 0)] {
        let script = deletes(Script::default(), "r-1");
        let clock = Clock::at(noon());
        let (context, mut feeds, _inbox) = context(&script, clock);
        bring(&context, &mut feeds, fix());
        while_it_runs(&context, async {
            sleep(MOMENT).await;
            clock.set_by(SignedDuration::from_secs(set));
            context.stores.requests.ends.clock_was_set();
            if wait > 0 {
                sleep(seconds(wait) - MOMENT * 2).await;
                assert_eq!(script.left(), 1, "{set}");
            }
            sleep(MOMENT * 2).await;
            assert_eq!(script.left(), 0, "{set}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_while_more_is_deleted_but_for_a_second_at_most() {
    let script = deletes(deletes(Script::default(), "r-1").taking(millis(300)), "r-2");
    let script = deletes(deletes(script, "r-3").taking(seconds(9)), "r-4");
    let (context, mut feeds, inbox) = context(&script, Clock::at(noon()));
    for (name, uid, end) in [("a", "r-1", 60), ("b", "r-2", 60), ("hangs", "r-3", 120), ("d", "r-4", 120)] {
        bring(&context, &mut feeds, active(name, uid, 1, end));
    }
    while_it_runs(&context, async {
        sleep(seconds(60) + millis(200)).await;
        assert!(context.stores.requests.ends.gone("r-2").is_some());
        assert_eq!(asked(&inbox.grants), Vec::<String>::new(), "another is being deleted");
        sleep(millis(200)).await;
        assert_eq!(asked(&inbox.grants), ["b", "a"]);
        sleep(seconds(60)).await;
        assert_eq!(asked(&inbox.grants), Vec::<String>::new(), "another is being deleted");
        sleep(millis(700)).await;
        assert_eq!(asked(&inbox.grants), ["d"], "it has waited long enough");
        sleep(seconds(9)).await;
        assert_eq!(asked(&inbox.grants), ["hangs"]);
    })
    .await;
    script.is_over();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_of_another_request_that_has_the_name_by_now() {
    let script = Script::default();
    let (context, mut feeds, _inbox) = context(&script, Clock::at(noon()));
    bring(&context, &mut feeds, active("fix", "r-2", 9, 7200));
    context.stores.requests.ends.note(&fix());
    while_it_runs(&context, sleep(seconds(3600))).await;
    assert!(context.stores.requests.ends.gone("r-1").is_none(), "its bindings are the reaper's");
}

#[tokio::test(start_paused = true)]
async fn what_is_overdue_when_a_replica_begins_to_lead_goes_first_for_two_seconds_at_most() {
    for (takes, waits) in [(millis(500), millis(500)), (seconds(9), seconds(2))] {
        let script = deletes(Script::default(), "r-1").taking(takes);
        let (context, mut feeds, _inbox) = context(&script, Clock::at(noon() + seconds(120)));
        from_the_start(&context, async {
            assert!(timeout(MOMENT, first_are_gone(&context)).await.is_err(), "requests have yet to be listed");
            bring(&context, &mut feeds, fix());
            context.stores.listed.mark(ACCESS_REQUESTS);
            let began = Instant::now();
            first_are_gone(&context).await;
            let waited = began.elapsed();
            assert!(waited >= waits && waited <= waits + LOOK * 2, "{takes:?}: {waited:?}");
        })
        .await;
    }
}

/// What a list brings comes name by name, and is in the store when the list is whole.
#[tokio::test(start_paused = true)]
async fn nothing_is_taken_before_the_list_is_whole() {
    let script = Script::default();
    let (context, ..) = context(&script, Clock::at(noon() + seconds(90)));
    context.stores.requests.ends.note(&fix());
    let soon = tokio::time::timeout(seconds(1), run(&context)).await;
    assert!(soon.is_err() && context.stores.requests.ends.gone("r-1").is_none());
    assert!(context.stores.requests.ends.take_due(context.clock.now()).is_some(), "it was left");
}

/// The pass knows what to delete, and the store does not.
#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_have_is_left_to_the_pass() {
    let script = Script::default();
    let (context, _feeds, _inbox) = context(&script, Clock::at(noon() + seconds(90)));
    context.stores.requests.ends.note(&fix());
    while_it_runs(&context, tokio::time::sleep(MOMENT)).await;
    assert!(
        context.stores.requests.ends.gone("r-1").is_none()
            && !context.stores.requests.ends.is_due("r-1", context.clock.now())
    );
}
