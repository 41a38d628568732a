//! A policy says on itself whether it is in use, and if not, why.

use std::sync::Arc;

use daypass::api::State;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::{World, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("policy::that_cannot_be_used_says_so_until_it_can", says_so),
        shared("policy::conditions_say_what_the_fields_cannot", conditions),
        shared("policy::low_risk_waits_for_nobody", automatic),
    ]
}

async fn says_so(world: Arc<World>) {
    let namespace = world.namespace("policy").await;
    let office =
        json!({ "timeZone": "Europe/Berlin", "windows": [{ "days": ["Mon"], "start": "09:00", "end": "17:00" }] });
    world.allow(&namespace, &namespace, json!({ "schedule": office })).await;
    let alice = world.kubectl(ALICE);
    let ready = async |is: &str| {
        let condition = format!("--for=condition=Ready={is}");
        alice.ok(&["wait", &condition, "--timeout=30s", "apol", &namespace]).await;
        let message = "jsonpath={.status.conditions[?(@.type=='Ready')].message}";
        alice.ok(&["get", "apol", &namespace, "-o", message]).await
    };
    let why = ready("False").await;
    assert!(why.contains("spec.schedule") && why.contains("not served"), "{why}");
    until_events(&world, &namespace, &[("Warning", "Invalid", "spec.schedule")]).await;
    world.ask(ALICE, &namespace, "too-early", json!({})).await;
    let denied = world.until(&namespace, "too-early", State::Denied).await.status.unwrap();
    assert!(denied.message.as_ref().unwrap().contains(&namespace), "{denied:?}");

    world.allow(&namespace, &namespace, json!({})).await;
    ready("True").await;
    until_events(&world, &namespace, &[("Warning", "Invalid", "spec.schedule"), ("Normal", "InUse", "")]).await;
    world.ask(ALICE, &namespace, "now", json!({})).await;
    world.until(&namespace, "now", State::Active).await;
}

async fn conditions(world: Arc<World>) {
    let namespace = world.namespace("cel").await;
    let ready = async |is: &str| {
        let condition = format!("--for=condition=Ready={is}");
        world.kubectl(ALICE).ok(&["wait", &condition, "--timeout=30s", "apol", &namespace]).await;
    };
    let condition =
        |expression: &str| json!({ "expression": expression, "message": "prod needs a ticket (spec.ticket)" });
    world.allow(&namespace, &namespace, json!({ "conditions": [condition("request.nothing(")] })).await;
    ready("False").await;
    let needs_ticket = condition("!('prod' in label('env')) || request.ticket.matches('^OPS-[0-9]+$')");
    world.allow(&namespace, &namespace, json!({ "conditions": [needs_ticket] })).await;
    ready("True").await;
    world.ask(ALICE, &namespace, "dev", json!({ "duration": "1h" })).await;
    world.until(&namespace, "dev", State::Active).await;

    world.kubectl(ADMIN).ok(&["label", "namespace", &namespace, "env=prod"]).await;
    // The label is news for what runs as well.
    let revoked = world.until(&namespace, "dev", State::Revoked).await.status.unwrap().message.unwrap();
    assert!(revoked.contains("prod needs a ticket"), "{revoked}");
    world.ask(ALICE, &namespace, "no-ticket", json!({ "ticket": "soon" })).await;
    let denied = world.until(&namespace, "no-ticket", State::Denied).await.status.unwrap().message.unwrap();
    assert_eq!(told_by(&denied, &namespace), "prod needs a ticket (spec.ticket)");
    world.ask(ALICE, &namespace, "ticket", json!({ "ticket": "OPS-7" })).await;
    world.until(&namespace, "ticket", State::Active).await;
}

/// What a denial says of one policy.
fn told_by<'a>(denial: &'a str, policy: &str) -> &'a str {
    let of_it = denial.split(&format!("policy {policy}: ")).nth(1).unwrap_or_else(|| panic!("{denial}"));
    of_it.split("; policy").next().unwrap_or_default()
}

async fn automatic(world: Arc<World>) {
    let namespace = world.namespace("automatic").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let short = json!({ "automaticWhen": "request.durationSeconds <= 600", "stages": stages });
    world.allow(&namespace, &namespace, json!({ "approval": short })).await;
    world.ask(ALICE, &namespace, "short", json!({ "duration": "10m" })).await;
    world.until(&namespace, "short", State::Active).await;
    world.ask(ALICE, &namespace, "long", json!({ "duration": "11m" })).await;
    world.until_reason(&namespace, "long", "Approved", "ApprovalNeeded").await;
    world.review(CAROL, &namespace, "long", "Approve", "").await;
    world.until(&namespace, "long", State::Active).await;
}

/// Waits until the Events of a policy have these types, reasons and words. They are in namespace `default`.
async fn until_events(world: &World, policy: &str, wanted: &[(&str, &str, &str)]) {
    let events: Api<Event> = Api::namespaced(world.client(ADMIN).await, "default");
    eventually(&format!("the Events {wanted:?}"), SOON, async || {
        let listed = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let of_it = |event: &Event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|r| r.kind.as_deref() == Some("AccessPolicy") && r.name.as_deref() == Some(policy))
        };
        let mut events: Vec<Event> = listed.items.into_iter().filter(of_it).collect();
        events.sort_by_key(|event| event.event_time.as_ref().map(|t| t.0));
        let is = |(event, (type_, reason, words)): (&Event, &(&str, &str, &str))| {
            event.type_.as_deref() == Some(type_)
                && event.reason.as_deref() == Some(reason)
                && event.note.as_ref().is_some_and(|note| note.contains(words))
        };
        if events.len() == wanted.len() && events.iter().zip(wanted).all(is) {
            Ok(())
        } else {
            Err(format!("they are {:?}", events.iter().map(|e| (&e.type_, &e.reason, &e.note)).collect::<Vec<_>>()))
        }
    })
    .await;
}
