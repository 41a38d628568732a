//! A policy says on itself whether it is in use, and if not, why.

use std::sync::Arc;

use daypass::api::State;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{World, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("policy::that_cannot_be_used_says_so_until_it_can", says_so)]
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
