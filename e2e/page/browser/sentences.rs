//! What stands where there is nothing to show, or another thing than was meant.

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;

use super::{Seat, with_approval};
use crate::harness::Cluster;
use crate::harness::users::{ALICE, CAROL};

pub async fn never_empty(cluster: Arc<Cluster>) {
    let carol = Seat::of(&cluster, CAROL).await;
    let views = [
        ("/now", "Now", "Nobody has asked for access here yet. Ask for access"),
        ("/now?person=nobody&state=all", "Now", "Nobody has asked for access here yet. Ask for access"),
        ("/inbox", "Inbox", "Nothing waits for your decision."),
        ("/ask", "Ask", "Name a namespace to see what you may ask for there."),
        ("/ask", "Ask", "Name a namespace and a role to see what would be decided."),
        ("/ask?namespace=nowhere", "Ask", "No policy offers you anything here. You can still name a role and see why."),
        ("/policies", "Policies", "There is no policy, so nothing can be asked for. An administrator writes one."),
        ("/history?person=nobody", "History", "There is no archive here that you may read"),
        ("/history?person=nobody", "History", "Nothing is found."),
        ("/health", "Health", "Everything that could be looked at is as it should be."),
        ("/health", "Health", "have somebody look who may: the ClusterRole daypass-auditor reads most of it"),
        ("/r/shop/fix", "shop/fix", "There is no request shop/fix. It may have been removed after it was over."),
    ];
    for (path, heading, sentence) in views {
        carol.browser.open(&format!("{}{path}", carol.origin)).await;
        carol.browser.until_there("heading", heading).await;
        carol.browser.until_shows(sentence).await;
    }
}

pub async fn another_of_the_name(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "reason": "the first" })).await;
    let requests = cluster.requests(&namespace).await;
    let meant = requests.get("fix").await.expect("a request").uid().expect("a UID");
    requests.delete("fix", &Default::default()).await.expect("delete a request");
    cluster.ask(ALICE, &namespace, "fix", json!({ "reason": "the second" })).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let carol = Seat::of(&cluster, CAROL).await;
    carol.browser.open(&format!("{}/r/{namespace}/fix?uid={meant}", carol.origin)).await;
    carol.browser.until_shows("The link is for another request of the same name, which is not there any more.").await;
    let approve = format!("Approve {namespace}/fix");
    let text = carol.browser.text().await;
    assert!(!carol.browser.has("button", &approve).await && !text.contains("the second"), "it shows the other: {text}");
    carol.browser.press("button", "Show the one that is there now").await;
    carol.browser.until_shows("the second").await;
    carol.browser.until_there("button", &approve).await;
}
