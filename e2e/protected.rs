//! The namespaces from which the cluster, or Daypass itself, can be taken over: no policy reaches them unless it says so,
//! and nobody may write that it does but who administers Daypass.

use std::sync::Arc;

use daypass::api::subject::RoleName;
use daypass::api::{AccessRequestStatus, RoleKind, State};
use daypass::core::decision::protected::{BeyondReading, ProtectedBy, Protection};
use daypass::core::decision::shortfall::Shortfall;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, falls_short, policy, why_over};
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, ALICE, GITOPS};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("protected::an_ordinary_policy_stops_short_of_them", stops_short),
        private("protected::a_policy_that_says_so_reaches_them_and_is_for_administrators", reaches),
    ]
}

/// A policy for everything everywhere, as far as a policy goes that does not say more.
fn wide() -> Value {
    let mut wide = policy("wide", "*");
    wide["spec"]["roles"] = json!([{ "name": "view" }, { "name": "edit" }]);
    wide["spec"]["scope"]["cluster"] = json!(true);
    wide["spec"]["extension"] = json!({ "max": "30m", "count": 1 });
    wide
}

fn saying_so() -> Value {
    let mut wide = wide();
    wide["spec"]["scope"]["systemNamespaces"] = json!(true);
    wide
}

fn of(role: &str, scope: Value) -> Value {
    json!({ "role": { "name": role }, "scope": scope })
}

fn whole_cluster() -> Value {
    json!({ "cluster": true })
}

fn namespaces(name: &str, selected: bool) -> ProtectedBy {
    ProtectedBy::Namespaces { reached: vec![name.to_owned()], selected }
}

/// Why policy `wide` denies what is protected.
fn protected(of: ProtectedBy, approved: bool) -> String {
    falls_short("wide", [Shortfall::Protected(Protection { of, approved })]).to_string()
}

/// That a request is denied since `edit` does more than look in the whole cluster. Which of its rights is told is the
/// built-in role's own affair.
fn assert_too_much_for_the_cluster(denied: &AccessRequestStatus) {
    let why = why_over(denied);
    let mut verbs = ["create", "update", "patch", "delete", "deletecollection", "impersonate", "get"].iter();
    let role = || RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() };
    let unknown = ProtectedBy::Cluster { release: NAMESPACE.to_owned(), role: role(), beyond: BeyondReading::Unknown };
    let unknown = protected(unknown, false);
    let (told, _) = unknown.split_once(&BeyondReading::Unknown.to_string()).expect("the role and what it may");
    let is_right = |verb: &&str| why.contains(&format!("({verb} on "));
    assert!(why.starts_with(told) && verbs.any(is_right), "{why}");
}

fn level(status: &AccessRequestStatus) -> &str {
    status.risk.as_ref().map(|risk| risk.level.as_str()).unwrap_or_default()
}

/// What becomes of a request of alice's.
async fn asked(cluster: &Cluster, namespace: &str, name: &str, spec: Value, state: State) -> AccessRequestStatus {
    cluster.ask(ALICE, namespace, name, spec).await;
    cluster.until(namespace, name, state).await.status.expect("a status")
}

async fn stops_short(cluster: Arc<Cluster>) {
    let (admin, namespace) = (cluster.kubectl(ADMIN), cluster.namespace("protected").await);
    cluster.kubectl(GITOPS).apply(&wide().to_string()).await;
    let in_mind = json!({ "matchLabels": { "in-mind": "yes" } });
    for namespace in [namespace.as_str(), "kube-system"] {
        admin.ok(&["label", "namespace", namespace, "in-mind=yes"]).await;
    }
    for (name, place, scope, expected) in [
        ("system", &*namespace, json!({ "namespaces": ["kube-system"] }), namespaces("kube-system", false)),
        ("release", &*namespace, json!({ "namespaces": [NAMESPACE] }), namespaces(NAMESPACE, false)),
        ("made-there", "kube-system", json!({}), namespaces("kube-system", false)),
        ("beside", &*namespace, json!({ "namespaces": [namespace, "kube-system"] }), namespaces("kube-system", false)),
        ("by-label", &*namespace, json!({ "namespaceSelector": in_mind }), namespaces("kube-system", true)),
    ] {
        let denied = asked(&cluster, place, name, of("edit", scope), State::Denied).await;
        assert_eq!(why_over(&denied), protected(expected, false), "{name}");
        assert_eq!(level(&denied), "Critical", "{name}: {denied:?}");
    }
    let denied = asked(&cluster, &namespace, "everywhere", of("edit", whole_cluster()), State::Denied).await;
    assert_too_much_for_the_cluster(&denied);
    assert_eq!(level(&denied), "Critical");
    // To look there is not given either, namespace by namespace.
    asked(&cluster, &namespace, "look", of("view", json!({ "namespaces": ["kube-system"] })), State::Denied).await;
    let here = asked(&cluster, &namespace, "here", of("edit", json!({})), State::Active).await;
    assert_eq!(level(&here), "High");
    // What only looks is given in the whole cluster as before: the role, and a part of one that does more.
    let alice = cluster.kubectl(ALICE);
    let sees = async |verb: &str, what: &str| alice.can_i(verb, what, Some("kube-system")).await;
    assert!(!sees("list", "pods").await);
    let looks = asked(&cluster, &namespace, "looks", of("view", whole_cluster()), State::Active).await;
    assert_eq!(level(&looks), "Low");
    assert!(sees("list", "pods").await && !sees("get", "secrets").await && !sees("create", "pods").await);
    let mut part = of("edit", whole_cluster());
    part["rules"] = json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["serviceaccounts"] }]);
    asked(&cluster, &namespace, "part", part.clone(), State::Active).await;
    part["rules"] = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"] }]);
    let denied = asked(&cluster, &namespace, "secrets", part, State::Denied).await;
    let (verb, resource) = ("get".to_owned(), "secrets".to_owned());
    let role = RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() };
    let beyond = BeyondReading::Resource { verb, resource };
    let secrets = ProtectedBy::Cluster { release: NAMESPACE.to_owned(), role, beyond };
    assert_eq!(why_over(&denied), protected(secrets, false));
    for place in ["kube-system", NAMESPACE] {
        assert!(cluster.our_bindings(place).await.is_empty(), "a binding in {place}");
    }
}

async fn reaches(cluster: Arc<Cluster>) {
    let (admin, gitops) = (cluster.kubectl(ADMIN), cluster.kubectl(GITOPS));
    let (alice, namespace) = (cluster.kubectl(ALICE), cluster.namespace("protected").await);
    let refused = async |policy: &Value| {
        let answer = gitops.run_with(&["apply", "-f", "-"], &policy.to_string()).await;
        assert!(!answer.ok && answer.stderr.contains("only who administers Daypass"), "{}", answer.stderr);
    };
    refused(&saying_so()).await;
    admin.apply(&saying_so().to_string()).await;
    // One who may not write it may not change what is in it either, only take it out.
    let mut longer = saying_so();
    longer["spec"]["duration"]["max"] = json!("2h");
    refused(&longer).await;

    let system = json!({ "namespaces": ["kube-system"] });
    let granted = asked(&cluster, &namespace, "system", of("edit", system.clone()), State::Active).await;
    assert_eq!(level(&granted), "Critical");
    assert!(alice.can_i("create", "deployments", Some("kube-system")).await);
    let later = json!({ "role": { "name": "edit" }, "scope": system, "startTime": now_plus_seconds(3600) });
    asked(&cluster, &namespace, "later", later, State::Scheduled).await;
    let granted = asked(&cluster, &namespace, "everywhere", of("edit", whole_cluster()), State::Active).await;
    assert_eq!(level(&granted), "Critical");
    assert!(alice.can_i("patch", "deployments", Some(NAMESPACE)).await);

    gitops.apply(&wide().to_string()).await;
    let denied = why_over(&cluster.until(&namespace, "later", State::Denied).await.status.unwrap());
    assert_eq!(denied, protected(namespaces("kube-system", false), true));
    // What runs goes on, and is not made longer.
    for running in ["system", "everywhere"] {
        let more = format!("more-of-{running}");
        let extends = json!({ "extends": running, "duration": "10m" });
        let denied = asked(&cluster, &namespace, &more, extends, State::Denied).await;
        match running {
            "system" => assert_eq!(why_over(&denied), protected(namespaces("kube-system", false), false)),
            _ => assert_too_much_for_the_cluster(&denied),
        }
        assert_eq!(level(&denied), "Critical", "it is weighed where the grant holds that it is for");
        eventually(&format!("{running} has been looked at and runs on"), SOON, async || {
            let requests = cluster.requests(&namespace).await;
            let status = requests.get(running).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            if status.state == State::Active { Ok(()) } else { Err(format!("{:?}", status.message)) }
        })
        .await;
    }
    assert!(alice.can_i("create", "deployments", Some("kube-system")).await);
    the_way_out_is_one(&cluster).await;
}

/// What the refusal says to do, for as large a policy as there can be: each role is asked for by its name, which costs
/// the guard most.
async fn the_way_out_is_one(cluster: &Cluster) {
    let (admin, gitops) = (cluster.kubectl(ADMIN), cluster.kubectl(GITOPS));
    let role = ["clusterrole", "administers", "--verb=administer", "--resource=accesspolicies.daypass.dev"];
    admin.ok(&[&["create"], &role[..]].concat()).await;
    admin.ok(&["create", "clusterrolebinding", "administers", "--clusterrole=administers", "--user=gitops"]).await;
    let mut large = saying_so();
    let roles = [json!({ "name": "edit" }), json!({ "kind": "Role", "name": "deployer" })];
    large["spec"]["roles"] = roles.into_iter().cycle().take(64).collect();
    eventually("the right is in force", SOON, async || {
        let answer = gitops.run_with(&["apply", "-f", "-"], &large.to_string()).await;
        if answer.ok { Ok(()) } else { Err(answer.stderr) }
    })
    .await;
}
