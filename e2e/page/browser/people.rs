//! Two people in two browsers: what one does, the other sees.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::request::AccessRequest;
use k8s_openapi::jiff::Timestamp;

use super::{Seat, with_approval};
use crate::harness::cast::SOON;
use crate::harness::plugin::only_request;
use crate::harness::users::{ALICE, CAROL};
use crate::harness::{Cluster, eventually};

/// How long after the end of a grant a page may still show it as running.
const LATE: i64 = 3_000;

async fn noted(seat: &Seat, name: &str) -> i64 {
    eventually(name, SOON, async || seat.noted(name).await).await
}

fn end(request: &AccessRequest) -> Timestamp {
    request.status.as_ref().and_then(|status| status.expires_at.as_ref()).expect("an end").0
}

pub async fn ask_and_decide(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    carol.go("Inbox").await;
    carol.browser.until_shows("Nothing waits for your decision.").await;
    carol.note("in the inbox", &format!("alice asks for edit in {namespace}")).await;

    alice.go("Ask").await;
    alice.browser.fill("Namespace", &namespace).await;
    alice.browser.fill("Role", "edit").await;
    alice.browser.fill("Reason", "the cart is stuck").await;
    alice.browser.fill("For how long", "20s").await;
    alice.browser.until_shows("It needs approval.").await;
    alice.note_sending().await;
    alice.browser.press("button", "Ask for access").await;
    let took = noted(&carol, "in the inbox").await - noted(&alice, "sent").await;
    println!("a request is in the inbox of its approver {took} ms after it was sent");

    let name = only_request(&cluster, &namespace).await;
    alice.browser.until_there("heading", &format!("{namespace}/{name}")).await;
    alice.browser.until_shows("Pending").await;
    alice.note("active", "Active").await;
    carol.note("decided", "Nothing waits for your decision.").await;
    carol.browser.until_shows("the cart is stuck").await;
    carol.browser.fill("Comment, for the record", "go ahead").await;
    carol.browser.press("button", &format!("Approve {namespace}/{name}")).await;
    carol.browser.until_shows(&format!("You approved {namespace}/{name}.")).await;
    let granted = cluster.until(&namespace, &name, State::Active).await;
    let review = &granted.status.as_ref().expect("a status").reviews["carol"];
    assert_eq!(review.comment.as_deref(), Some("go ahead"));
    let began = granted.status.as_ref().and_then(|status| status.granted_at.as_ref()).expect("a begin").0;
    let after = noted(&alice, "active").await - began.as_millisecond();
    println!("who asked sees the grant {after} ms after the second of its begin");
    noted(&carol, "decided").await;

    carol.browser.press("link", "See it").await;
    carol.browser.until_shows("carol approved: go ahead").await;
    for seat in [&alice, &carol] {
        seat.browser.until_shows("Active").await;
        seat.note("ended", "Expired").await;
    }
    let ends = end(&granted).as_millisecond();
    for (who, seat) in [("alice", &alice), ("carol", &carol)] {
        let late = noted(seat, "ended").await - ends;
        println!("{who} sees the end {late} ms after its second");
        assert!((0..LATE).contains(&late), "{who} sees the end {late} ms after its second");
    }
}
