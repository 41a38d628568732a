//! `revoke` and `drop`: access ends before its end has come, by those who may end it.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::request::ReviewVerdict;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE};
use crate::harness::{Cluster, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::revokes_access_of_others", revokes),
        shared("plugin::drops_what_is_ones_own", drops),
        private("plugin::says_when_access_has_not_ended_yet", not_yet),
    ]
}

/// In this namespace `edit` is allowed at once, and `view` when an approver agrees.
async fn allowed(cluster: &Cluster, namespace: &str) {
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(namespace, namespace, json!({})).await;
    let view = json!({ "roles": [{ "name": "view" }], "approval": { "stages": leads } });
    cluster.allow(&format!("{namespace}-view"), namespace, view).await;
}

async fn revokes(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("end").await;
    allowed(&cluster, &namespace).await;
    let view = json!({ "role": { "name": "view" } });
    cluster.ask(ALICE, &namespace, "fix", view.clone()).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let carol = Plugin::of(&cluster, CAROL);
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let alice = cluster.kubectl(ALICE);
    assert!(alice.can_i("list", "pods", Some(&namespace)).await);
    let revoke = ["revoke", "fix", "-n", &namespace];
    let (_, err) = carol.ends(&revoke, 2).await;
    assert!(err.contains("give --yes"), "{err}");
    let (_, err) = Plugin::of(&cluster, EVE).ends(&[&revoke[..], &["--yes"]].concat(), 1).await;
    assert!(err.contains("no stage of the policy names this person or one of their groups"), "{err}");
    assert!(alice.can_i("list", "pods", Some(&namespace)).await);
    let (out, err) = carol.ends(&[&revoke[..], &["--yes", "-m", "that is enough"]].concat(), 0).await;
    assert_eq!(out, format!("revoked {namespace}/fix: its access is gone\n"), "{err}");
    assert!(!alice.can_i("list", "pods", Some(&namespace)).await);
    let status = cluster.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    assert!(status.message.unwrap().starts_with("carol ended it: that is enough"));
    let (_, err) = carol.ends(&[&revoke[..], &["--yes"]].concat(), 1).await;
    assert!(err.contains("it is over (Revoked)"), "{err}");
}

async fn drops(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("drop").await;
    allowed(&cluster, &namespace).await;
    let view = json!({ "role": { "name": "view" } });
    for name in ["fix", "mine"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    for name in ["asked", "more"] {
        cluster.ask(ALICE, &namespace, name, view.clone()).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    cluster.ask(EVE, &namespace, "hers", json!({})).await;
    cluster.until(&namespace, "hers", State::Active).await;
    let alice = Plugin::of(&cluster, ALICE);
    let (out, err) = alice.ends(&["drop", "fix", "nix", "hers", "asked", "-n", &namespace, "-m", "done"], 1).await;
    assert_eq!(out, format!("dropped {namespace}/fix: its access is gone\ndropped {namespace}/asked\n"), "{err}");
    assert!(err.contains(&format!("{namespace}/hers: it is eve's and not yours")), "{err}");
    assert!(err.contains("there is no request nix"), "{err}");
    let review = &cluster.until(&namespace, "fix", State::Revoked).await.status.unwrap().reviews["alice"];
    assert_eq!((review.verdict, review.comment.as_deref()), (ReviewVerdict::Revoke, Some("done")));
    cluster.until(&namespace, "asked", State::Revoked).await;
    let (_, err) = alice.ends(&["drop", "fix", "-n", &namespace], 1).await;
    assert!(err.contains("it is over (Revoked)"), "{err}");
    let mut out: Vec<String> =
        alice.done(&["drop", "--all", "-n", &namespace]).await.lines().map(String::from).collect();
    out.sort();
    assert_eq!(out, [format!("dropped {namespace}/mine: its access is gone"), format!("dropped {namespace}/more")]);
    assert!(!cluster.kubectl(ALICE).can_i("delete", "pods", Some(&namespace)).await);
    cluster.until(&namespace, "hers", State::Active).await;
    let (out, err) = alice.ends(&["drop", "--all", "-n", &namespace], 0).await;
    assert_eq!((out.as_str(), err.as_str()), ("", "you have no request here that is not over\n"));
    let (_, err) = alice.ends(&["drop"], 2).await;
    assert!(err.contains("NAME"), "{err}");
}

/// Nobody ends it while no controller runs; it is ended when one does.
async fn not_yet(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("still").await;
    allowed(&cluster, &namespace).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    cluster.until(&namespace, "fix", State::Active).await;
    cluster.ask(ALICE, &namespace, "away", json!({})).await;
    cluster.until(&namespace, "away", State::Active).await;
    cluster.controller.kill();
    let alice = Plugin::of(&cluster, ALICE);
    // The second time it is not said again, and waited for all the same.
    for _ in 0..2 {
        let (out, err) = alice.ends(&["drop", "fix", "-n", &namespace, "--request-timeout", "3s"], 4).await;
        assert!(out.is_empty(), "{out}");
        assert!(
            err.contains(&format!("{namespace}/fix is told to end, and has not ended yet: no answer in time")),
            "{err}"
        );
    }
    // What is deleted meanwhile was not seen to end.
    let dropping = alice.start(&["drop", "away", "-n", &namespace, "--request-timeout", "60s"]);
    let requests = cluster.requests(&namespace).await;
    eventually("alice has said that it ends", SOON, async || {
        let status = requests.get("away").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.reviews.contains_key("alice") { Ok(()) } else { Err("no review".to_owned()) }
    })
    .await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "away", "-n", &namespace]).await;
    let (code, out, err) = dropping.end().await;
    assert_eq!((code, out.as_str()), (Some(4), ""), "{err}");
    assert!(
        err.contains(&format!("{namespace}/away was deleted: access that it gave ends when Daypass sees")),
        "{err}"
    );
    cluster.controller.start_again();
    cluster.until(&namespace, "fix", State::Revoked).await;
}
