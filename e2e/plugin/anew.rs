//! `extend` and `again`: a request made of one that there is.

use std::sync::Arc;

use daypass::api::{AccessRequest, State};
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, CAROL, EVE, GRETA};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("plugin::extends_access_that_runs", extends), shared("plugin::asks_once_more_for_the_same", again)]
}

/// The only request besides those of these names.
async fn other(cluster: &Cluster, namespace: &str, known: &[&str]) -> AccessRequest {
    let requests = cluster.requests(namespace).await;
    eventually("one more request is made", SOON, async || {
        let items = requests.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        let mut others: Vec<_> = items.into_iter().filter(|r| !known.contains(&r.name_any().as_str())).collect();
        if others.len() == 1 { Ok(others.remove(0)) } else { Err(format!("there are {}", others.len())) }
    })
    .await
}

async fn extends(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("longer").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let terms = json!({ "approval": { "stages": leads }, "extension": { "max": "1h", "count": 1 } });
    cluster.allow(&namespace, &namespace, terms).await;
    cluster.ask(GRETA, &namespace, "fix", json!({ "duration": "30m" })).await;
    let greta = Plugin::of(&cluster, GRETA);
    let extend = ["extend", "fix", "--by", "20m", "-n", &namespace];
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let carol = Plugin::of(&cluster, CAROL);
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    let end = cluster.until(&namespace, "fix", State::Active).await.status.unwrap().expires_at.unwrap().0;
    let mut asking = greta.start(&[&extend[..], &["--reason", "it takes longer"]].concat());
    asking.until_said("waiting: stage leads of policy").await;
    let more = other(&cluster, &namespace, &["fix"]).await;
    let name = more.name_any();
    assert!(name.starts_with("fix-more-"), "{name}");
    assert_eq!((more.spec.extends.as_deref(), more.spec.reason.as_str()), (Some("fix"), "it takes longer"));
    carol.done(&["approve", &name, "-n", &namespace, "--yes"]).await;
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(0), "{out}{err}");
    let later = end + SignedDuration::from_mins(20);
    assert!(out.starts_with("needs one of Group/approvers (stage leads), by "), "{out}{err}");
    assert!(out.ends_with(&format!("extended: the end of fix moved from {end} to {later}\n")), "{out}{err}");
    let now = cluster.until(&namespace, "fix", State::Active).await.status.unwrap().expires_at.unwrap().0;
    assert_eq!(now, later);
    // What cannot be is said, and not asked for: once is all that the policy allows, and it is greta's.
    let (out, err) = greta.ends(&extend, 3).await;
    assert!(out.starts_with("would be denied"), "{out}{err}");
    let (out, err) = Plugin::of(&cluster, EVE).ends(&[&extend[..], &["--dry-run"]].concat(), 0).await;
    assert!(
        out.contains("denied") && out.contains("fix is not yours: only who asked for it can have it extended"),
        "{out}{err}"
    );
    assert_eq!(other(&cluster, &namespace, &["fix"]).await.name_any(), name);
    // Nor has what is over a later end.
    Plugin::of(&cluster, CAROL).done(&["revoke", "fix", "-n", &namespace, "--yes"]).await;
    let (out, err) = greta.ends(&extend, 3).await;
    assert!(out.starts_with("would be denied") && out.contains("fix"), "{out}{err}");
    let (_, err) = greta.ends(&["extend", "fix", "--by", "soon", "-n", &namespace], 2).await;
    assert!(err.contains("--by: ") && err.contains("write 30m or 1h30m"), "{err}");
    let (_, err) = greta.ends(&["extend", "nix", "--by", "5m", "-n", &namespace], 1).await;
    assert!(err.contains(&format!("there is no request nix in namespace {namespace}")), "{err}");
}

async fn again(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("again").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "30m", "ticket": "OPS-7", "rules": rules })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    Plugin::of(&cluster, ALICE).done(&["drop", "fix", "-n", &namespace]).await;
    let greta = Plugin::of(&cluster, GRETA);
    let out = greta.done(&["again", "fix", "-n", &namespace, "--for", "20m"]).await;
    assert!(out.starts_with("granted at once for 20m"), "{out}");
    let anew = other(&cluster, &namespace, &["fix"]).await;
    assert!(anew.name_any().starts_with("fix-"), "{}", anew.name_any());
    let spec = json!(anew.spec);
    assert_eq!((&spec["rules"], &spec["ticket"], &spec["duration"]), (&rules, &json!("OPS-7"), &json!("20m")));
    // Whoever asks is whoever asks now.
    assert_eq!(spec["requester"]["username"], json!("greta"));
    let json: Value = serde_json::from_str(
        &greta.done(&["again", &anew.name_any(), "-n", &namespace, "--reason", "once more", "-o", "json"]).await,
    )
    .unwrap();
    assert_eq!((&json["spec"]["reason"], &json["status"]["state"]), (&json!("once more"), &json!("Active")));
    let (_, err) = greta.ends(&["again", "nix", "-n", &namespace], 1).await;
    assert!(err.contains(&format!("there is no request nix in namespace {namespace}")), "{err}");
}
