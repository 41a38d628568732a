//! Who asks is said by the cluster, never by the writer; and only the controller writes its bindings.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::reason::Reason;
use daypass::core::decision::answer::AllowedBy;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::RequestProblem;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{assert_refused_by, assert_says, request, why_over};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE, MALLORY};
use crate::harness::{Cluster, Daypass, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("identity::a_forged_requester_is_overwritten", forged_requester),
        shared("identity::the_spec_is_frozen", the_spec_is_frozen),
        shared("identity::status_is_written_by_the_controller_and_reviewers_only", status_is_guarded),
        shared("identity::only_the_controller_writes_its_bindings", bindings_are_guarded),
        shared("identity::a_policy_author_needs_bind_on_every_role", policy_author),
        shared("identity::a_human_stage_needs_its_approver", a_human_stage),
        private("identity::without_the_stamp_nothing_is_granted", without_the_stamp),
        private("identity::without_the_stamp_people_say_truly_who_they_are", check_alone),
        private("identity::a_missing_guard_is_noticed_and_fails_closed", missing_guard),
    ]
}

const IN_FORCE: &str = "daypass_guard_in_force";
const MISSED: &str = r#"daypass_guard_tries_total{result="missing"}"#;

fn as_alice() -> serde_json::Value {
    json!({ "username": "alice", "uid": "u-alice", "groups": ["dev"] })
}

async fn forged_requester(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("forged").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(MALLORY, &namespace, "forged", json!({ "requester": as_alice() })).await;
    let denied = cluster.until(&namespace, "forged", State::Denied).await;
    assert_eq!(denied.spec.requester.unwrap().username, "mallory");
    // Server-side apply, with force, is no way around it.
    let manifest = request(&namespace, "applied", json!({ "requester": as_alice() })).to_string();
    cluster.kubectl(EVE).apply_server_side(&manifest).await;
    let granted = cluster.until(&namespace, "applied", State::Active).await;
    assert_eq!(granted.spec.requester.unwrap().username, "eve");
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    assert!(!cluster.kubectl(MALLORY).can_i("create", "pods", Some(&namespace)).await);
}

async fn the_spec_is_frozen(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("frozen").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let patch = r#"{"spec":{"duration":"30m"}}"#;
    let refusal =
        cluster.kubectl(ADMIN).refused(&["patch", "areq", "fix", "-n", &namespace, "--type=merge", "-p", patch]).await;
    assert!(refusal.contains("spec: Forbidden"), "{refusal}");
}

async fn status_is_guarded(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("status").await;
    // Nobody can satisfy this stage, so the request stays pending.
    let stages =
        json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "User", "name": "nobody" }] }] } });
    cluster.allow(&namespace, &namespace, stages).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    cluster.until(&namespace, "fix", State::Pending).await;
    let patch = |body: &str| format!(r#"{{"status":{body}}}"#);
    for body in [
        r#"{"state":"Active"}"#,
        r#"{"expiresAt":"2030-01-01T00:00:00Z"}"#,
        r#"{"grantedAt":"2026-01-01T00:00:00Z"}"#,
        r#"{"reviews":{"carol":{"verdict":"Approve"}}}"#,
        r#"{"history":[]}"#,
        r#"{"conditions":[]}"#,
        r#"{"policy":null}"#,
        r#"{"message":"granted"}"#,
        r#"{"bindings":[{"kind":"ClusterRoleBinding","name":"cluster-admin"}]}"#,
    ] {
        for user in [BOB, ADMIN] {
            let body = patch(body);
            let kubectl = cluster.kubectl(user);
            kubectl
                .refused(&[
                    "patch",
                    "areq",
                    "fix",
                    "-n",
                    &namespace,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    &body,
                ])
                .await;
        }
    }
    let used = r#"{"status":{"observedGeneration":7}}"#;
    let patch_policy = ["patch", "apol", &namespace, "--subresource=status", "--type=merge", "-p", used];
    let refusal = cluster.kubectl(ADMIN).refused(&patch_policy).await;
    assert_refused_by(&refusal, "daypass-policy-status-guard");
    // The reviewer's own entry is theirs, and says who they are, whatever they write.
    let own = patch(r#"{"reviews":{"bob":{"verdict":"Approve","comment":"ok","groups":["kings"],"uid":"u-alice"}}}"#);
    cluster
        .kubectl(BOB)
        .ok(&["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &own])
        .await;
    let status = cluster.until(&namespace, "fix", State::Pending).await.status.unwrap();
    assert_eq!(status.reviews["bob"].uid.as_deref(), Some("u-bob"));
    assert!(!status.reviews["bob"].groups.contains(&"kings".to_owned()));
}

async fn bindings_are_guarded(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("guarded").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let name = cluster.our_bindings(&namespace).await[0].metadata.name.clone().unwrap();
    let admin = cluster.kubectl(ADMIN);
    let wider =
        r#"{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}]}"#;
    let longer = r#"{"metadata":{"annotations":{"daypass.dev/expires-at":"2030-01-01T00:00:00Z"}}}"#;
    let unmarked = r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}"#;
    let finalized = r#"{"metadata":{"finalizers":["example.com/stays"]}}"#;
    let orphan = r#"{"metadata":{"ownerReferences":null}}"#;
    for patch in [wider, longer, unmarked, finalized, orphan] {
        let refusal =
            admin.refused(&["patch", "rolebinding", &name, "-n", &namespace, "--type=merge", "-p", patch]).await;
        assert_refused_by(&refusal, "daypass-binding-guard");
    }
    for (label, value) in [("app.kubernetes.io/managed-by", "daypass"), ("daypass.dev/request-uid", "any")] {
        let forged = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "mine", "namespace": namespace, "labels": { label: value } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory" }]
        });
        let refusal = admin.apply_refused(&forged.to_string()).await;
        assert_refused_by(&refusal, "daypass-binding-guard");
    }
}

async fn policy_author(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("author").await;
    let gitops = cluster.kubectl(crate::harness::users::GITOPS);
    let mut policy = crate::harness::cast::policy(&namespace, &namespace);
    policy["spec"]["roles"] = json!([{ "name": "edit" }, { "name": "cluster-admin" }]);
    let refusal = gitops.apply_refused(&policy.to_string()).await;
    assert_refused_by(&refusal, "daypass-policy-author-guard-1");
    // Each policy of the guard looks at some of the roles; none is too far down.
    let mut many: Vec<serde_json::Value> = (1..64).map(|_| json!({ "name": "edit" })).collect();
    many.push(json!({ "name": "cluster-admin" }));
    policy["spec"]["roles"] = json!(many);
    let refusal = gitops.apply_refused(&policy.to_string()).await;
    assert_refused_by(&refusal, "daypass-policy-author-guard-4");
    policy["spec"]["roles"] = json!([{ "kind": "Role", "name": "deployer" }, { "kind": "Role", "name": "edit" }]);
    let refusal = gitops.apply_refused(&policy.to_string()).await;
    assert_refused_by(&refusal, "daypass-policy-author-guard-1");
}

async fn a_human_stage(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("stage").await;
    let stages = json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] } });
    cluster.allow(&namespace, &namespace, stages).await;
    cluster.ask(BOB, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Pending).await;
    let review = |name: &str| format!(r#"{{"status":{{"reviews":{{"{name}":{{"verdict":"Approve"}}}}}}}}"#);
    let patch = async |user: crate::harness::users::User| {
        let body = review(user.name);
        cluster
            .kubectl(user)
            .ok(&["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &body])
            .await;
    };
    // bob is an approver, but it is his own request.
    patch(BOB).await;
    let waiting = cluster.until(&namespace, "fix", State::Pending).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "{waiting:?}");
    patch(CAROL).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let by_carol = AllowedBy { policy: namespace, approvers: vec!["carol".to_owned()] };
    assert_says(&granted.status.unwrap().message.unwrap(), &by_carol);
}

/// A cluster whose stamp is missing: the schema lets such a request in, and it must get nothing.
async fn without_the_stamp(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    Daypass::take_stamp_away(&cluster.control_plane).await;
    admin.ok(&["delete", "validatingadmissionpolicybindings", "--all"]).await;
    let namespace = cluster.namespace("unstamped").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    crate::harness::eventually("a request is stored without a requester", crate::harness::cast::SOON, async || {
        let name = format!("unstamped-{}", crate::harness::wait::random());
        let manifest = request(&namespace, &name, json!({})).to_string();
        let output = cluster.kubectl(ALICE).run_with(&["create", "-f", "-"], &manifest).await;
        if !output.ok {
            return Err(format!("the check is still in force: {}", output.stderr));
        }
        let request = cluster.requests(&namespace).await.get(&name).await.map_err(|e| e.to_string())?;
        if request.spec.requester.is_some() {
            return Err("the stamp is still in force".to_owned());
        }
        let denied = cluster.until(&namespace, &name, State::Denied).await;
        let unstamped = FieldError::new("spec.requester", RequestProblem::NotStamped);
        assert_eq!(why_over(&denied.status.unwrap()), unstamped.to_string());
        Ok(())
    })
    .await;
}

/// Without the stamp people write who they are, and the check lets them write nothing else.
async fn check_alone(cluster: Arc<Cluster>) {
    Daypass::take_stamp_away(&cluster.control_plane).await;
    let namespace = cluster.namespace("checked").await;
    let stages = json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] } });
    cluster.allow(&namespace, &namespace, stages).await;
    let alice = cluster.kubectl(ALICE);
    crate::harness::eventually("the stamp is out of force", crate::harness::cast::SOON, async || {
        let unstamped = request(&namespace, "unstamped", json!({})).to_string();
        let output = alice.run_with(&["create", "--dry-run=server", "-f", "-"], &unstamped).await;
        if output.stderr.contains("'daypass-identity-check'") { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    let with = |key: &str, value: serde_json::Value| {
        let mut who = as_alice_whole();
        who[key] = value;
        request(&namespace, "fix", json!({ "duration": "1h", "requester": who })).to_string()
    };
    let refusal = cluster.kubectl(MALLORY).apply_refused(&with("username", json!("alice"))).await;
    assert_refused_by(&refusal, "daypass-identity-check");
    for (key, value) in [
        ("username", json!("carol")),
        ("uid", json!("u-carol")),
        ("groups", json!(["dev", "sre", "system:authenticated"])),
        ("groups", json!(["dev"])),
    ] {
        let refusal = alice.apply_refused(&with(key, value)).await;
        assert_refused_by(&refusal, "daypass-identity-check");
    }
    alice.apply(&with("username", json!("alice"))).await;
    cluster.until(&namespace, "fix", State::Pending).await;

    let review = |who: serde_json::Value| {
        let mut carol = json!({ "verdict": "Approve" });
        who.as_object().unwrap().iter().for_each(|(key, value)| carol[key] = value.clone());
        json!({ "status": { "reviews": { "carol": carol } } }).to_string()
    };
    let carol = cluster.kubectl(CAROL);
    let patch = ["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p"];
    let groups = json!(["approvers", "system:authenticated"]);
    // It is a policy of its own, and goes out of force at a time of its own.
    crate::harness::eventually("the stamp of reviews is out of force", crate::harness::cast::SOON, async || {
        let unstamped = review(json!({}));
        let output = carol.run(&[&patch[..], &[&unstamped, "--dry-run=server"]].concat()).await;
        if output.stderr.contains("'daypass-status-guard'") { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    for forged in [
        json!({}),
        json!({ "uid": "u-bob", "groups": groups }),
        json!({ "uid": "u-carol", "groups": ["approvers", "kings", "system:authenticated"] }),
    ] {
        let refusal = carol.refused(&[&patch[..], &[&review(forged)]].concat()).await;
        assert_refused_by(&refusal, "daypass-status-guard");
    }
    carol.ok(&[&patch[..], &[&review(json!({ "uid": "u-carol", "groups": groups }))]].concat()).await;
    cluster.until(&namespace, "fix", State::Active).await;
}

/// The canary tries each guard. Without one nothing new is granted, what runs still ends, and a request from the
/// time without it is never granted.
async fn missing_guard(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let namespace = cluster.namespace("unguarded").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    // Or it would count as written in the first gap, which begins with the last look at the guard.
    let judged = "--for=jsonpath={.status.origin.believed}=true";
    admin.ok(&["wait", judged, "apol", &namespace, "--timeout=30s"]).await;
    for guard in ["daypass-identity-check", "daypass-status-guard", "daypass-binding-guard"] {
        let running = format!("running-{guard}");
        cluster.ask(ALICE, &namespace, &running, json!({ "duration": "25s" })).await;
        cluster.until(&namespace, &running, State::Active).await;
        assert_eq!(cluster.controller.metric(IN_FORCE).await, 1.0);
        let missed = cluster.controller.metric(MISSED).await;
        let backup = without_status(&admin.ok(&["get", "validatingadmissionpolicybinding", guard, "-o", "json"]).await);
        admin.ok(&["delete", "validatingadmissionpolicybinding", guard]).await;
        let stamp = if guard == "daypass-identity-check" {
            Some(Daypass::take_stamp_away(&cluster.control_plane).await)
        } else {
            None
        };
        until_ready(&cluster, 503, guard).await;
        assert_eq!(cluster.controller.metric(IN_FORCE).await, 0.0);
        assert!(cluster.controller.metric(MISSED).await > missed);

        let asked = format!("asked-{guard}");
        cluster.ask(ALICE, &namespace, &asked, json!({ "duration": "1h", "requester": as_alice_whole() })).await;
        let waiting = cluster.until_reason(&namespace, &asked, "Approved", Reason::GuardMissing.as_str()).await;
        let status = waiting.status.unwrap();
        assert_eq!(status.state, State::Pending);
        assert!(status.message.unwrap().contains(guard));
        cluster.until(&namespace, &running, State::Expired).await;

        admin.apply(&backup).await;
        if let Some(stamp) = stamp {
            admin.apply(&stamp).await;
        }
        until_ready(&cluster, 200, "ok: leads").await;
        assert_eq!(cluster.controller.metric(IN_FORCE).await, 1.0);
        crate::harness::cast::until_stamped(&cluster.kubectl(MALLORY)).await;
        let denied = cluster.until(&namespace, &asked, State::Denied).await;
        crate::guards::gaps::assert_made_in_a_gap(&cluster, &denied).await;
        assert!(cluster.our_bindings(&namespace).await.is_empty());
        cluster.ask(ALICE, &namespace, &format!("after-{guard}"), json!({ "duration": "2s" })).await;
        cluster.until(&namespace, &format!("after-{guard}"), State::Expired).await;
    }
    // A new controller goes on trusting what it has seen without a break: requests that wait for people survive.
    let nobody = json!({ "approval": { "stages": [{ "name": "nobody", "approvers": [{ "kind": "User", "name": "nobody" }] }] } });
    cluster.allow(&namespace, &namespace, nobody).await;
    cluster.ask(ALICE, &namespace, "waits", json!({})).await;
    cluster.until(&namespace, "waits", State::Pending).await;
    cluster.controller.restart().await;
    // It is ready before the first pass in the guard's light is on record.
    let waiting = cluster.until_reason(&namespace, "waits", "Approved", "ApprovalNeeded").await.status.unwrap();
    assert_eq!(waiting.state, State::Pending);
    assert_eq!(waiting.stage.map(|stage| stage.name).as_deref(), Some("nobody"));
}

fn as_alice_whole() -> serde_json::Value {
    json!({ "username": "alice", "uid": "u-alice", "groups": ["dev", "system:authenticated"] })
}

/// An object as it can be applied again.
fn without_status(object: &str) -> String {
    let mut object: serde_json::Value = serde_json::from_str(object).expect("JSON");
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    object.to_string()
}

async fn until_ready(cluster: &Cluster, wanted: u16, words: &str) {
    crate::harness::eventually(
        &format!("/readyz answers {wanted} with {words:?}"),
        crate::harness::cast::SOON,
        async || match cluster.controller.get("/readyz").await? {
            (status, body) if status == wanted && body.contains(words) => Ok(()),
            (status, body) => Err(format!("{status}: {body}")),
        },
    )
    .await;
}
