//! Asking for less than a role, for the same again, and from a template that was kept.

use std::sync::Arc;

use daypass::api::State;
use serde_json::json;

use super::{Seat, with_approval};
use crate::harness::Cluster;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::plugin::only_request;
use crate::harness::users::{ALICE, CAROL};

const RIGHT: &str = "delete:pods/shop-0";

async fn until_field_is(alice: &Seat, name: &str, value: &str) {
    eventually(&format!("{name} is {value:?}"), SOON, async || {
        let now = alice.browser.value(name).await;
        if now == value { Ok(()) } else { Err(format!("it is {now:?}")) }
    })
    .await;
}

pub async fn again_and_templates(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let alice = Seat::of(&cluster, ALICE).await;
    alice.go("Ask").await;
    alice.browser.fill("Namespace", "nowhere").await;
    alice.browser.fill("Role", "edit").await;
    alice.browser.fill("Reason", "shop-0 hangs").await;
    // As it is complete, the cluster is asked too, which is sent nothing yet.
    alice.browser.until_shows("The cluster would not take it: ").await;
    alice.browser.fill("Namespace", &namespace).await;
    // What is offered there is chosen with one press.
    alice.browser.fill("Role", "none").await;
    alice.browser.press("radio", "edit up to 1h needs approval by approvers…").await;
    until_field_is(&alice, "Role", "edit").await;
    alice.browser.fill("For how long", "20m").await;
    alice.browser.press("DisclosureTriangle", "Less, elsewhere…").await;
    alice.browser.fill("Only these rights", "delete shop-0").await;
    alice.browser.until_shows("“delete shop-0” is no rule").await;
    assert!(!alice.browser.is_enabled("button", "Ask for access").await, "it would be sent as it is");
    alice.browser.fill("Only these rights", RIGHT).await;
    alice.browser.until_shows("It needs approval.").await;
    alice.browser.press("DisclosureTriangle", "Templates and…").await;
    alice.browser.fill("Name of a template", "restart shop-0").await;
    alice.browser.press("button", "Keep as template").await;
    alice.browser.until_there("button", "Remove template restart shop-0").await;
    alice.browser.press("button", "Ask for access").await;
    let name = only_request(&cluster, &namespace).await;
    alice.browser.until_there("heading", &format!("{namespace}/{name}")).await;
    alice.browser.until_shows("delete on pods shop-0").await;
    cluster.until_reason(&namespace, &name, "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, &namespace, &name, "Deny", "in an hour").await;
    alice.browser.until_shows("carol denied: in an hour").await;

    alice.browser.press("link", "Ask for the same again").await;
    until_field_is(&alice, "Only these rights", RIGHT).await;
    until_field_is(&alice, "For how long", "20m").await;
    alice.browser.until_shows("It needs approval.").await;
    alice.browser.press("button", "Ask for access").await;
    alice.browser.until_there("heading", &format!("{namespace}/edit-…")).await;
    let requests = cluster.requests(&namespace).await;
    let all = eventually("it is asked for again", SOON, async || {
        let all = requests.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        if all.len() == 2 { Ok(all) } else { Err(format!("there are {}", all.len())) }
    })
    .await;
    assert_eq!(json!(all[0].spec.rules), json!(all[1].spec.rules));
    let waiting = all.iter().filter(|one| one.status.as_ref().is_none_or(|status| status.state == State::Pending));
    assert_eq!(waiting.count(), 1);

    // Kept in the browser: there when the page is opened anew.
    alice.browser.open(&format!("{}/ask", alice.origin)).await;
    alice.browser.press("button", "restart shop-0").await;
    until_field_is(&alice, "Only these rights", RIGHT).await;
    until_field_is(&alice, "Namespace", &namespace).await;
    until_field_is(&alice, "Reason", "shop-0 hangs").await;
    alice.browser.press("button", "Remove template restart shop-0").await;
    alice.browser.until_gone("button", "restart shop-0").await;
}
