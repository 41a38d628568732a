//! What is asked of an archive, when, and what becomes of its answers: against an archive that follows a script.

use http::Method;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::controller::queues::Inbox;
use crate::controller::scripted::{Script, asked, bring, context_with, failure};
use crate::controller::stores::outbox::OutboxSettings;
use crate::core::laws::fixtures::{namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::runtime::clock::Clock;

const USES: &str = "/v1/activity/uses";
const STATUS: &str = "/namespaces/shop/accessrequests/fix/status";

fn at(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// That both API servers were heard from long ago until this minute, and what was done with the grant.
fn heard(minutes: i64, used: Value) -> Value {
    let run =
        |server: &str| json!({ "server": server, "from": at(-600).to_string(), "until": at(minutes).to_string() });
    let uses = if used.is_null() { json!([]) } else { json!([used]) };
    json!({ "servers": [run("a:1"), run("b:1")], "uses": uses })
}

/// A use of it at this minute.
fn use_at(minutes: i64) -> Value {
    let at = at(minutes).to_string();
    json!({
        "uid": "r-1", "calls": 3, "refused": 0, "standing": 0, "ambiguous": 0, "open": 0, "openBeside": 0, "first": at,
        "last": at,
    })
}

/// A grant that runs from noon on under a policy that ends it after ten minutes without use; `over`: it has ended.
fn ground(script: &Script, minutes: i64, over: bool) -> (Context, Inbox) {
    let mut policy = policy("p", json!({ "idleTimeout": "10m" }));
    let believed = json!({ "origin": { "generation": 1, "after": at(-60).to_string(), "believed": true } });
    policy.status = Some(serde_json::from_value(believed).unwrap());
    let mut simulator = Simulator::new(request(json!({})), vec![policy.clone()], namespaces(), noon());
    simulator.settle();
    if over {
        simulator.now = at(60);
        simulator.settle();
    }
    let mut granted = simulator.request.clone();
    granted.metadata.resource_version = Some("7".to_owned());
    let settings = OutboxSettings { delivers: true, hears: true, retention: None };
    let (context, mut feeds, inbox) = context_with(script, Clock::at(at(minutes)), settings);
    for event in [Event::Init, Event::InitApply(DeserializeGuard(Ok(policy))), Event::InitDone] {
        feeds.policies.apply_watcher_event(&event);
    }
    context.renew_policies();
    bring(&context, &mut feeds, granted);
    // Read every half a minute since long ago.
    let servers: BTreeSet<String> = ["a:1".to_owned(), "b:1".to_owned()].into();
    for half in -1200..=minutes * 2 {
        context.stores.uses.read_servers(servers.clone(), noon() + SignedDuration::from_secs(half * 30));
    }
    (context, inbox)
}

/// One round at this minute after the grant, and the names of those that passes are to look at.
async fn round_at(minutes: i64, answers: Script) -> (Context, Vec<String>) {
    let (context, inbox) = ground(&answers, minutes, false);
    let archive = Archive::answering(answers.client());
    asked(&inbox.grants);
    let _ = round(&context, &archive, &mut Earliest::new()).await;
    answers.is_over();
    let asked = asked(&inbox.grants);
    (context, asked)
}

fn about(requests: Value) -> Value {
    json!({ "requests": requests })
}

#[tokio::test]
async fn one_that_cannot_be_idle_yet_is_not_asked_about() {
    let answers = Script::default().then(Method::POST, USES, 200, heard(9, json!(null))).sending(about(json!([])));
    let (context, passes) = round_at(9, answers).await;
    assert!(passes.is_empty() && context.stores.uses.of("r-1").is_none());
    assert_eq!((context.stores.uses.count().known, context.stores.uses.count().heard), (2, 2));
}

#[tokio::test]
async fn one_that_is_idle_is_asked_about_twice_and_looked_at() {
    let answer =
        |script: Script| script.then(Method::POST, USES, 200, heard(20, use_at(1))).sending(about(json!(["r-1"])));
    let (context, passes) = round_at(20, answer(answer(Script::default()))).await;
    assert_eq!(passes, ["fix"]);
    assert!(context.stores.uses.of("r-1").is_some());
}

#[tokio::test]
async fn a_use_between_the_two_answers_keeps_it() {
    let answers = Script::default().then(Method::POST, USES, 200, heard(20, json!(null)));
    let (context, passes) = round_at(20, answers.then(Method::POST, USES, 200, heard(20, use_at(20)))).await;
    assert!(passes.is_empty() && context.stores.uses.of("r-1").is_none());
}

#[tokio::test]
async fn what_is_not_proven_and_an_archive_that_is_away_change_nothing() {
    let mut silent = heard(20, json!(null));
    silent["servers"].as_array_mut().unwrap().pop();
    let (context, passes) = round_at(20, Script::default().then(Method::POST, USES, 200, silent)).await;
    assert!(passes.is_empty() && context.stores.uses.of("r-1").is_none());
    assert_eq!((context.stores.uses.count().known, context.stores.uses.count().heard), (2, 1));
    for code in [401, 404, 500, 503] {
        let (context, passes) = round_at(20, Script::default().then(Method::POST, USES, code, failure(code, ""))).await;
        assert!(passes.is_empty() && context.stores.uses.of("r-1").is_none(), "{code}");
    }
}

/// The request is over since an hour after noon; whether it is still waited for after one look at this minute.
async fn closed_at(minutes: i64, script: Script) -> bool {
    let (context, _inbox) = ground(&script, minutes, true);
    let over = context.stores.requests.store.state()[0].open().unwrap();
    assert!(context.stores.uses.close(&over));
    close(&context, &Archive::answering(script.client())).await;
    script.is_over();
    !context.stores.uses.closing().is_empty()
}

#[tokio::test]
async fn how_access_was_used_is_written_once_with_the_note_that_it_is_recorded() {
    let told =
        |used: &str, calls: u64| json!({ "status": { "recorded": 2, "activity": { "used": used, "calls": calls } } });
    let answer = |minutes, used| Script::default().then(Method::POST, USES, 200, heard(minutes, used));
    let notes = |script: Script, told| script.then(Method::PATCH, STATUS, 200, json!(request(json!({})))).sending(told);
    // Heard to the end and past it by the difference of clocks.
    assert!(!closed_at(61, notes(answer(61, use_at(30)), told("Used", 3))).await);
    assert!(!closed_at(61, notes(answer(61, json!(null)), told("NotUsed", 0))).await);
    // The logs are behind: waited for, and two minutes after the end no more.
    assert!(closed_at(61, answer(60, json!(null))).await);
    assert!(!closed_at(62, notes(answer(61, json!(null)), told("NotUsed", 0))).await);
    assert!(!closed_at(62, notes(answer(60, json!(null)), told("Unknown", 0))).await);
    let away = || Script::default().then(Method::POST, USES, 503, failure(503, ""));
    assert!(closed_at(61, away()).await);
    assert!(!closed_at(62, notes(away(), told("Unknown", 0))).await);
    // Somebody has written to it: the watch brings that.
    let conflict = answer(61, json!(null)).then(Method::PATCH, STATUS, 409, failure(409, "Conflict"));
    let seen = conflict.then(Method::GET, "/namespaces/shop/accessrequests/fix", 200, json!(request(json!({}))));
    assert!(!closed_at(61, seen).await);
}

#[tokio::test]
async fn what_never_began_and_what_no_archive_hears_is_not_waited_for() {
    let (context, _inbox) = ground(&Script::default(), 61, true);
    let over = context.stores.requests.store.state()[0].open().unwrap();
    let mut denied = over.clone();
    denied.status.as_mut().unwrap().granted_at = None;
    assert!(!context.stores.uses.close(&denied));
    let mut told = over.clone();
    let activity = json!({ "used": "Unknown", "calls": 0 });
    told.status.as_mut().unwrap().activity = serde_json::from_value(activity).unwrap();
    assert!(!context.stores.uses.close(&told), "it is told already");
    let deaf = crate::controller::stores::uses::GrantUses::new(false);
    assert!(!deaf.close(&over));
}
