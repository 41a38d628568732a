//! Two people in two browsers: what one does, the other sees.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::request::AccessRequest;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;

use super::deciding::until_focus;
use super::{Seat, with_approval};
use crate::harness::cast::SOON;
use crate::harness::plugin::only_request;
use crate::harness::users::{ALICE, CAROL, EVE};
use crate::harness::{Cluster, eventually};

/// How long after the end of a grant a page may still show it as running.
const LATE: i64 = 10_000;
/// How soon a request is in the inbox of its approver, in milliseconds, and how often that is tried: this machine may be busy
/// with other trials just then.
const AT_ONCE: i64 = 1_000;
const TRIES: usize = 6;

async fn noted(seat: &Seat, name: &str) -> i64 {
    eventually(name, SOON, async || seat.noted(name).await).await
}

fn end(request: &AccessRequest) -> Timestamp {
    request.status.as_ref().and_then(|status| status.expires_at.as_ref()).expect("an end").0
}

/// Has alice fill in the form and send it; how many milliseconds later it is in carol's inbox.
async fn asked(alice: &Seat, carol: &Seat, namespace: &str, nth: usize) -> i64 {
    let reason = format!("the cart is stuck, {nth}");
    carol.note(&reason, &reason).await;
    alice.go("Ask").await;
    alice.browser.fill("Namespace", namespace).await;
    alice.browser.fill("Role", "edit").await;
    alice.browser.fill("Reason", &reason).await;
    alice.browser.fill("For how long", "20s").await;
    alice.browser.until_shows("It needs approval.").await;
    alice.browser.press("button", "Ask for access").await;
    noted(carol, &reason).await - noted(alice, "sent").await
}

pub async fn ask_and_decide(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    alice.note_sending().await;
    let mut took = Vec::new();
    let name = loop {
        carol.go("Inbox").await;
        carol.browser.until_shows("Nothing waits for your decision.").await;
        took.push(asked(&alice, &carol, &namespace, took.len()).await);
        let name = only_request(&cluster, &namespace).await;
        if took.iter().any(|took| *took < AT_ONCE) || took.len() == TRIES {
            break name;
        }
        cluster.requests(&namespace).await.delete(&name, &Default::default()).await.expect("delete a request");
    };
    println!("a request is in the inbox of its approver {took:?} ms after it was sent");
    assert!(took.iter().any(|took| *took < AT_ONCE), "not once within {AT_ONCE} ms: {took:?}");
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

/// Has carol approve what waits in her inbox, from there.
async fn approve(carol: &Seat, key: &str) {
    carol.go("Inbox").await;
    carol.browser.press("button", &format!("Approve {key}")).await;
    carol.browser.until_shows(&format!("You approved {key}.")).await;
}

pub async fn longer_back_and_taken(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "30m" })).await;
    cluster.ask(EVE, &namespace, "other", json!({ "duration": "30m" })).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    for name in ["fix", "other"] {
        approve(&carol, &format!("{namespace}/{name}")).await;
    }
    let granted = cluster.until(&namespace, "fix", State::Active).await;

    alice.go("Now").await;
    alice.browser.press("link", "alice").await;
    alice.browser.until_there("heading", &format!("{namespace}/fix")).await;
    alice.browser.fill("Longer by", "10m").await;
    alice.browser.fill("Why it takes longer", "one more pod").await;
    alice.browser.press("button", "Ask for more time").await;
    alice.browser.until_there("heading", &format!("{namespace}/fix-more-…")).await;
    let requests = cluster.requests(&namespace).await;
    let listed = requests.list(&Default::default()).await.expect("list requests");
    let more = listed.iter().find(|request| request.spec.extends.is_some()).expect("an extension").name_any();
    approve(&carol, &format!("{namespace}/{more}")).await;
    alice.browser.until_shows("Extended").await;
    let told = "return [...document.querySelectorAll('.notice time')].map((time) => time.title).join(' ')";
    let [told, text] = [alice.browser.run(told, json!([])).await.to_string(), alice.browser.text().await];
    let was = end(&granted).to_string();
    assert!(!text.contains(&was) && told.contains(&was.replace('T', " ").replace('Z', " UTC")), "{told}: {text}");
    let later = end(&cluster.until(&namespace, "fix", State::Active).await);
    assert_eq!(later, end(&granted) + SignedDuration::from_mins(10));

    alice.browser.press("link", "fix").await;
    alice.browser.until_shows("Give it back").await;
    alice.browser.fill("Comment, for the record", "done").await;
    alice.browser.press("button", &format!("Drop {namespace}/fix")).await;
    alice.browser.until_shows("Revoked").await;
    cluster.until(&namespace, "fix", State::Revoked).await;

    carol.go("Now").await;
    carol.browser.press("link", "eve").await;
    carol.browser.until_shows("End this access").await;
    carol.browser.fill("Comment, for the record", "not now").await;
    carol.browser.press("button", &format!("Revoke {namespace}/other")).await;
    carol.browser.until_shows("carol ended it: not now").await;
    let revoked = cluster.until(&namespace, "other", State::Revoked).await;
    assert_eq!(revoked.status.expect("a status").reviews["carol"].comment.as_deref(), Some("not now"));
    cluster.until_unbound(&namespace).await;
}

/// What runs is given back and what waits is taken back, each by whose it is alone, and nothing of it can be done twice.
pub async fn given_back(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    for name in ["runs", "waits"] {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "30m" })).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    cluster.review(CAROL, &namespace, "runs", "Approve", "go ahead").await;
    cluster.until(&namespace, "runs", State::Active).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    let page = |seat: &Seat, name: &str| format!("{}/r/{namespace}/{name}", seat.origin);
    let [runs, waits] = ["runs", "waits"].map(|name| format!("Drop {namespace}/{name}"));

    carol.browser.open(&page(&carol, "waits")).await;
    carol.browser.until_there("button", &format!("Approve {namespace}/waits")).await;
    assert!(!carol.browser.has("button", &waits).await, "it is not hers");
    alice.browser.open(&page(&alice, "waits")).await;
    alice.browser.until_there("heading", "Take it back").await;
    assert!(!alice.browser.has("heading", "Give it back").await, "there is nothing to give back yet");
    alice.browser.press("button", &waits).await;
    alice.browser.until_shows(&format!("You ended {namespace}/waits.")).await;
    cluster.until(&namespace, "waits", State::Revoked).await;
    carol.browser.until_gone("button", &format!("Approve {namespace}/waits")).await;

    carol.browser.open(&page(&carol, "runs")).await;
    carol.browser.until_there("button", &format!("Revoke {namespace}/runs")).await;
    assert!(!carol.browser.has("button", &runs).await, "it is not hers");
    alice.browser.open(&page(&alice, "runs")).await;
    alice.browser.until_there("heading", "Give it back").await;
    for not_hers in ["Take it back", "End this access"] {
        assert!(!alice.browser.has("heading", not_hers).await, "{not_hers}");
    }
    alice.browser.fill("Comment, for the record", "done").await;
    alice.browser.press("button", &runs).await;
    alice.browser.until_gone("button", &runs).await;
    // It goes on there, and is not lost with what was pressed.
    until_focus(&alice, &format!("{namespace}/runs")).await;
    alice.browser.until_shows("It is over.").await;
    carol.browser.until_shows("alice ended it: done").await;
    let over = cluster.until(&namespace, "runs", State::Revoked).await;
    assert_eq!(over.status.expect("a status").reviews["alice"].comment.as_deref(), Some("done"));
    cluster.until_unbound(&namespace).await;
}

/// Presses the emergency button of a form that has all else, and sends it; the name of the request.
async fn in_an_emergency(alice: &Seat, cluster: &Cluster, namespace: &str) -> String {
    alice.go("Ask").await;
    alice.browser.fill("Namespace", namespace).await;
    alice.browser.fill("Role", "edit").await;
    alice.browser.fill("Reason", "the shop is down").await;
    alice.browser.until_shows("It needs approval.").await;
    alice.browser.press("DisclosureTriangle", "Less, elsewhere…").await;
    alice.browser.press("checkbox", "Emergency: access at once, reviewed afterwards").await;
    alice.browser.until_shows("It is announced to everybody who watches, and reviewers ask why.").await;
    alice.browser.until_shows("It would be granted at once.").await;
    // Nobody plans one.
    assert!(!alice.browser.has("checkbox", "Comes back every week").await);
    let starts = "return [...document.querySelectorAll('input')].some((each) => each.type === 'datetime-local')";
    assert_eq!(alice.browser.run(starts, json!([])).await, false, "it can be for later");
    alice.browser.press("button", "Ask for access").await;
    alice.browser.until_shows("Has yet to be reviewed by one of: approvers").await;
    let name = only_request(cluster, namespace).await;
    let granted = cluster.until(namespace, &name, State::Active).await;
    assert!(granted.spec.break_glass, "{:?}", granted.spec);
    name
}

pub async fn emergency(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    carol.go("Inbox").await;
    let name = in_an_emergency(&alice, &cluster, &namespace).await;
    let key = format!("{namespace}/{name}");
    alice.browser.until_there("heading", "Give it back").await;
    for not_hers in ["Extend", "Your review"] {
        assert!(!alice.browser.has("heading", not_hers).await, "{not_hers}");
    }
    until_marked(&alice).await;

    carol.browser.until_shows("Review of emergency access").await;
    until_marked(&carol).await;
    carol.browser.fill("Comment, for the record", "it was down").await;
    carol.browser.press("button", &format!("It was justified {key}")).await;
    carol.browser.until_shows("Nothing waits for your decision.").await;
    alice.browser.until_shows("Found justified").await;
    alice.browser.until_shows("carol approved: it was down").await;
    let reviewed = cluster.until_reason(&namespace, &name, "Reviewed", "Justified").await;
    assert_eq!(reviewed.status.expect("a status").break_glass.expect("a review").closed_by.as_deref(), Some("carol"));
    // What is not found justified ends: the same by the page of the request.
    cluster.requests(&namespace).await.delete(&name, &Default::default()).await.expect("delete a request");
    let name = in_an_emergency(&alice, &cluster, &namespace).await;
    carol.browser.open(&format!("{}/r/{namespace}/{name}", carol.origin)).await;
    carol.browser.until_there("heading", "Your review").await;
    carol.browser.until_shows("To be reviewed by").await;
    carol.browser.press("button", &format!("It was not justified {namespace}/{name}")).await;
    let reviewed = cluster.until_reason(&namespace, &name, "Reviewed", "Unjustified").await;
    assert_eq!(reviewed.status.expect("a status").break_glass.expect("a review").closed_by.as_deref(), Some("carol"));
    alice.browser.until_shows("Found not justified").await;
    carol.browser.until_gone("heading", "Your review").await;
    until_focus(&carol, &format!("{namespace}/{name}")).await;
}

/// Waits until what is shown is marked as an emergency.
async fn until_marked(seat: &Seat) {
    let marked = "return document.querySelector('main .mark')?.innerText ?? null";
    eventually("it is marked", SOON, async || {
        let mark = seat.browser.run(marked, json!([])).await;
        if mark == "emergency" { Ok(()) } else { Err(mark.to_string()) }
    })
    .await;
}
