//! What somebody can do who has stolen the notifier's token, and what others can do to what it has told and to where it tells.
//!
//! Whoever empties the state makes notices be lost. Whoever changes the routes, or a Secret that they name, leads to themselves
//! what is told to others.

use std::sync::Arc;

use daypass::notify::state::ToldState;
use daypass::runtime::leader::{LEASE, LeaseStore};
use daypass::runtime::leases::Leases;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::call::{Call, create, delete, json_patch, merge, read};
use super::self_guard::{OURS, THEIR_LEASE, core, home, lease as lease_of_controller, leases};
use crate::harness::cast::{SOON, give_rights};
use crate::harness::install::{Controller, Daypass, NAMESPACE};
use crate::harness::notifier::{NOTIFIER, NotifierPod, STATE, VALUES};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, TRUDY};
use crate::harness::wait::now;
use crate::harness::{ControlPlane, alone, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        alone("attack::notifier::a_thief_of_its_token_writes_what_it_writes_and_no_more", AUDIT_POLICY, stolen),
        alone("attack::notifier::nobody_else_writes_what_is_told_or_where", AUDIT_POLICY, others),
    ]
}

fn state() -> String {
    core(&format!("configmaps/{STATE}"))
}

fn routes() -> String {
    core(&format!("configmaps/{NOTIFIER}"))
}

fn lease() -> String {
    format!("{}/{NOTIFIER}", leases())
}

fn deployment() -> String {
    home("apps/v1", &format!("deployments/{NOTIFIER}"))
}

fn token(account: &str) -> Call {
    let asked = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    create(ADMIN, core(&format!("serviceaccounts/{account}/token")), asked)
}

fn told(since: &str) -> Call {
    merge(ADMIN, state(), json!({ "data": { "since": since } }))
}

/// The chart with a notifier whose Lease and the controller's are held, and the clients of the notifier and of an admin.
async fn install(control_plane: &ControlPlane) -> (Client, Client) {
    Daypass::install(control_plane, &VALUES).await;
    give_rights(&control_plane.kubectl(ADMIN)).await;
    let admin = control_plane.client(ADMIN).await;
    let secret = json!({ "metadata": { "name": "slack" }, "stringData": { "token": "xoxb-1" } });
    create(ADMIN, core("secrets"), secret).send(&admin).await.expect("the token of the bot");
    let pod = NotifierPod::of(control_plane, &control_plane.dir().join("notifier")).await;
    let notifier = control_plane.client_for_token("notifier", &pod.token(control_plane).await).await;
    let controller = control_plane.client_for_token("controller", &Controller::token(control_plane).await).await;
    for (client, name) in [(&controller, LEASE), (&notifier, NOTIFIER)] {
        let leases = Leases::new(client.clone(), NAMESPACE, name);
        eventually("the Lease is made", SOON, async || {
            leases.make(&Lease::default()).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
    let trudy = control_plane.client(TRUDY).await;
    let other = create(TRUDY, core("configmaps"), json!({ "metadata": { "name": "theirs" } })).dry();
    until_refused("trudy", &trudy, &other, OURS).await;
    until_refused("admin", &admin, &held_by_nobody(lease_of_controller()).dry(), THEIR_LEASE).await;
    (notifier, admin)
}

fn held_by_nobody(lease: String) -> Call {
    merge(ADMIN, lease, json!({ "spec": { "holderIdentity": "nobody", "leaseDurationSeconds": 86_400 } }))
}

/// Waits until the guard, or a right that somebody was given, is in force.
async fn until_refused(who: &str, client: &Client, call: &Call, words: &str) {
    eventually(&format!("{who}: {} {} is refused", call.method, call.path), SOON, async || {
        match call.send(client).await {
            Err(why) if why.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Refused by an admission policy with these words; RBAC would let it.
async fn refused(who: &str, client: &Client, call: &Call, words: &str) {
    let why = call.send(client).await.err();
    assert!(why.as_ref().is_some_and(|why| why.contains(words)), "{who}: {} {}: {why:?}", call.method, call.path);
}

/// Gives an account all that `edit` gives in the namespace of Daypass.
async fn let_edit(admin: &Client, who: &str, client: &Client) {
    let binding = json!({
        "metadata": { "name": format!("{who}-edits") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [{ "kind": "ServiceAccount", "name": who, "namespace": NAMESPACE }]
    });
    let bindings = home("rbac.authorization.k8s.io/v1", "rolebindings");
    create(ADMIN, bindings, binding).send(admin).await.expect("bind edit");
    let other = create(ADMIN, core("configmaps"), json!({ "metadata": { "name": "theirs" } })).dry();
    until_refused(who, client, &other, OURS).await;
}

/// As the program does it.
async fn does_its_work(notifier: &Client) {
    let now = now();
    let mut state = ToldState::new(notifier.clone(), NAMESPACE, STATE);
    let mut ledger = state.read(now).await.expect("it reads what it told");
    state.store(&mut ledger).await.expect("it stores what it told");
    told(&now.to_string()).send(notifier).await.expect("it stores more");
    let leases = Leases::new(notifier.clone(), NAMESPACE, NOTIFIER);
    let mut held = leases.read().await.expect("it reads its Lease").expect("a Lease");
    held.spec.get_or_insert_default().holder_identity = Some("notifier-0".to_owned());
    let mut held = leases.write_over(&held).await.expect("it renews its Lease");
    held.spec.get_or_insert_default().holder_identity = Some(String::new());
    held.metadata.annotations = Some([("daypass.dev/given-back-by".to_owned(), "notifier-0".to_owned())].into());
    leases.write_over(&held).await.expect("it gives its Lease back");
}

/// What would keep an object from going, take it along, or mark it.
fn marks(path: &str) -> [Call; 3] {
    let nobody = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000" });
    [
        json!({ "labels": { "a": "b" } }),
        json!({ "finalizers": ["example.com/stays"] }),
        json!({ "ownerReferences": [nobody] }),
    ]
    .map(|metadata| merge(ADMIN, path.to_owned(), json!({ "metadata": metadata })))
}

fn annotated_state() -> Call {
    merge(ADMIN, state(), json!({ "metadata": { "annotations": { "a": "b" } } }))
}

/// What decides who is told what, and all of it is more than the notifier itself may write.
fn takeovers() -> Vec<Call> {
    let leaks = "routes: [{name: a, slack: {channel: THEIRS, tokenFile: /secrets/slack/token}}]";
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "theirs:1" }]);
    let pod = json!({ "containers": [{ "name": "it", "image": "theirs:1" }], "serviceAccountName": NOTIFIER });
    let theirs = json!({ "name": "theirs" });
    let more = vec![
        annotated_state(),
        merge(ADMIN, state(), json!({ "immutable": true })),
        merge(ADMIN, state(), json!({ "binaryData": { "a": "AAAA" } })),
        delete(ADMIN, state()),
        delete(ADMIN, core("configmaps")),
        delete(ADMIN, lease()),
        delete(ADMIN, routes()),
        merge(ADMIN, routes(), json!({ "data": { "notify.yaml": leaks } })),
        merge(ADMIN, core("secrets/slack"), json!({ "stringData": { "token": "xoxb-theirs" } })),
        create(ADMIN, core("configmaps"), json!({ "metadata": theirs })),
        create(ADMIN, leases(), json!({ "metadata": theirs })),
        json_patch(ADMIN, deployment(), image),
        merge(ADMIN, format!("{}/scale", deployment()), json!({ "spec": { "replicas": 0 } })),
        delete(ADMIN, deployment()),
        create(ADMIN, core("pods"), json!({ "metadata": theirs, "spec": pod })),
        token(NOTIFIER),
        token("daypass"),
    ];
    marks(&state()).into_iter().chain(marks(&lease())).chain(more).collect()
}

async fn stolen(control_plane: Arc<ControlPlane>) {
    let (thief, admin) = install(&control_plane).await;
    does_its_work(&thief).await;
    // RBAC cannot tell which Lease is made, so this it may try without any other right.
    let anew = create(ADMIN, leases(), json!({ "metadata": { "name": LEASE } }));
    refused("thief", &thief, &anew, THEIR_LEASE).await;
    let theirs = create(ADMIN, leases(), json!({ "metadata": { "name": "theirs" } }));
    refused("thief", &thief, &theirs, OURS).await;
    for mark in marks(&state()).into_iter().chain([annotated_state()]) {
        refused("thief", &thief, &mark, OURS).await;
    }
    for call in [
        delete(ADMIN, state()),
        delete(ADMIN, lease()),
        merge(ADMIN, routes(), json!({ "data": {} })),
        merge(ADMIN, core("secrets/slack"), json!({ "data": {} })),
        token(NOTIFIER),
    ] {
        refused("thief", &thief, &call, "cannot").await;
    }
    let secrets: Api<Secret> = Api::namespaced(thief.clone(), NAMESPACE);
    let unread = secrets.get("slack").await.expect_err("its Secrets are files");
    assert!(matches!(&unread, kube::Error::Api(status) if status.code == 403), "{unread}");

    let_edit(&admin, NOTIFIER, &thief).await;
    for call in takeovers() {
        refused("thief", &thief, &call, OURS).await;
    }
    refused("thief", &thief, &held_by_nobody(lease_of_controller()), THEIR_LEASE).await;
    does_its_work(&thief).await;
    without_the_guard(&control_plane, &thief, merge(ADMIN, state(), json!({ "immutable": true }))).await;
}

async fn others(control_plane: Arc<ControlPlane>) {
    let (notifier, admin) = install(&control_plane).await;
    does_its_work(&notifier).await;
    let trudy = control_plane.client(TRUDY).await;
    let mut thieves = vec![("trudy", trudy.clone())];
    for account in ["daypass", "daypass-canary"] {
        let issued = token(account).send(&admin).await.expect("a token");
        let issued = issued["status"]["token"].as_str().expect("a token");
        let client = control_plane.client_for_token(account, issued).await;
        let_edit(&admin, account, &client).await;
        thieves.push((account, client));
    }
    let stored = async || read(&admin, &state()).await.expect("what was told")["data"].clone();
    let before = stored().await;
    let later = "2099-01-01T00:00:00Z";
    for (who, client) in &thieves {
        let emptied = merge(ADMIN, state(), json!({ "data": null }));
        let writes = [told(later), emptied, held_by_nobody(lease())];
        for call in takeovers().iter().chain(&writes) {
            refused(who, client, call, OURS).await;
        }
    }
    // `edit` lets its holders act as any account.
    let as_notifier = |call: Call| call.acting_as(&format!("system:serviceaccount:{NAMESPACE}:{NOTIFIER}"));
    let forged = as_notifier(told(later));
    refused("trudy", &trudy, &forged, OURS).await;
    let anew = create(ADMIN, leases(), json!({ "metadata": { "name": NOTIFIER } }));
    refused("trudy", &trudy, &as_notifier(anew), OURS).await;
    assert_eq!(stored().await, before);
    without_the_guard(&control_plane, &trudy, forged).await;
}

/// It is that guard which keeps them: RBAC lets them.
async fn without_the_guard(control_plane: &ControlPlane, thief: &Client, call: Call) {
    control_plane.kubectl(ADMIN).ok(&["delete", "validatingadmissionpolicybinding", "daypass-self-guard"]).await;
    let landed = async || {
        let answer: Value = call.send(thief).await?;
        if call.landed(Some(&answer)) { Ok(()) } else { Err(answer.to_string()) }
    };
    eventually("without the guard it succeeds", SOON, landed).await;
}
