//! `who`: who can do what now, for an auditor held against the bindings, and for somebody with few rights.

use std::sync::Arc;

use daypass::api::State;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, EVE, GRETA};
use crate::harness::{Cluster, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        private("plugin::tells_an_auditor_who_can_do_what_and_whether_it_is_so", audits),
        shared("plugin::tells_somebody_with_few_rights_who_can_do_what", few_rights),
        shared("plugin::says_what_is_wrong_in_a_right_that_is_asked_about", wrong_rights),
    ]
}

/// The lines of a table, each without more than two spaces between its cells.
fn lines(table: &str) -> Vec<String> {
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
        cells.join("  ")
    };
    table.lines().map(cells).collect()
}

/// The end of the access that a request gives, once it does.
async fn runs_until(cluster: &Cluster, namespace: &str, name: &str) -> String {
    cluster.until(namespace, name, State::Active).await.status.unwrap().expires_at.unwrap().0.to_string()
}

async fn audits(cluster: Arc<Cluster>) {
    let (shop, bank) = (cluster.namespace("shop").await, cluster.namespace("bank").await);
    cluster.allow("edits", &shop, json!({})).await;
    cluster.ask(ALICE, &shop, "fix", json!({ "duration": "40m", "ticket": "OPS-7" })).await;
    let fix = runs_until(&cluster, &shop, "fix").await;
    let web = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    cluster.ask(EVE, &bank, "web", json!({ "duration": "50m", "rules": web, "scope": { "namespaces": [shop] } })).await;
    let web = runs_until(&cluster, &bank, "web").await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "rolebinding", "keeps-shop", "--clusterrole=admin", "--user=dave", "-n", &shop]).await;
    let greta = Plugin::of(&cluster, GRETA);
    let who = async |more: &[&str]| greta.done(&[&["who", "-n", &shop], more].concat()).await;
    let narrow = "edit: delete on pods web-0";
    let expected = [
        "WHO  ROLE  WHERE  UNTIL  THROUGH  STATE".to_owned(),
        format!("User/alice  edit  {shop}  {fix}  {shop}/fix  bound"),
        format!("User/eve  {narrow}  {shop}  {web}  {bank}/web  bound"),
    ];
    assert_eq!(lines(&who(&[]).await), expected);
    let wide = lines(&who(&["-o", "wide", "--no-headers"]).await);
    assert_eq!(wide[0], format!("User/alice  edit  {shop}  {fix}  {shop}/fix  bound  policy edits  a trial"));

    // Who can delete pods: also by bindings that Daypass did not make, people before what the cluster itself has.
    let can = lines(&who(&["--can", "delete:pods"]).await);
    let expected = [
        "WHO  ROLE  ON  WHERE  UNTIL  THROUGH  STATE".to_owned(),
        format!("User/alice  edit  {shop}  {fix}  {shop}/fix  bound"),
        format!("User/eve  {narrow}  web-0  {shop}  {web}  {bank}/web  bound"),
        format!("User/dave  admin  {shop}  RoleBinding/keeps-shop  standing"),
        "User/edda  edit  the whole cluster  ClusterRoleBinding/edda-edits  standing".to_owned(),
        "User/oscar  admin  the whole cluster  ClusterRoleBinding/oscar-administers-everywhere  standing".to_owned(),
        "User/trudy  edit  the whole cluster  ClusterRoleBinding/trudy-edits-everywhere  standing".to_owned(),
    ];
    assert_eq!(can[..7], expected);
    let masters = "Group/system:masters  cluster-admin  the whole cluster  ClusterRoleBinding/cluster-admin  standing";
    assert!(can.contains(&masters.to_owned()), "{can:?}");
    assert!(!can.iter().any(|line| line.contains("greta") || line.contains("daypass-requester")), "{can:?}");
    one_person(&cluster, &shop, &fix).await;
    without_controller(&cluster, &shop, &bank).await;
}

async fn one_person(cluster: &Cluster, shop: &str, until: &str) {
    let greta = Plugin::of(cluster, GRETA);
    let alice = ["who", "alice", "--can", "delete:pods", "-n", shop];
    let out = greta.done(&[&alice[..], &["--no-headers"]].concat()).await;
    assert_eq!(lines(&out), [format!("User/alice  edit  {shop}  {until}  {shop}/fix  bound")]);
    assert_eq!(greta.done(&[&alice[..], &["-o", "name"]].concat()).await, "accessrequest.daypass.dev/fix\n");
    let json: Value = serde_json::from_str(&greta.done(&[&alice[..], &["-o", "json"]].concat()).await).unwrap();
    let row = json!({
        "subject": { "kind": "User", "name": "alice" }, "role": { "kind": "ClusterRole", "name": "edit" },
        "namespaces": [shop], "cluster": false, "state": "bound", "until": until,
        "request": { "namespace": shop, "name": "fix" }, "policy": "edits", "breakGlass": false, "reason": "a trial",
        "ticket": "OPS-7", "roleUnread": false
    });
    assert_eq!((&json["kind"], &json["items"]), (&json!("List"), &json!([row])));
    let path = "jsonpath={.items[*].subject.name}";
    assert_eq!(greta.done(&["who", "-A", "--can=delete:pods/web-0", "eve", "-o", path]).await, "eve");
    assert_eq!(greta.done(&["who", "-A", "--can=delete:pods/db-0", "eve", "-o", path]).await, "");
    // Whose groups nobody can tell, of them it is said.
    let (out, err) = greta.ends(&["who", "dave", "-n", shop, "--no-headers"], 0).await;
    assert!(lines(&out)[0].starts_with("User/dave  admin"), "{out}");
    assert!(err.contains("note: which groups dave is in is not known here"), "{err}");
    let (out, err) = greta.ends(&["who", "-n", "nowhere"], 0).await;
    assert_eq!((out.as_str(), err.contains("nobody has access through Daypass now in namespace nowhere")), ("", true));
}

/// What a request says and no binding bears out, and the other way round.
async fn without_controller(cluster: &Cluster, shop: &str, bank: &str) {
    cluster.ask(ALICE, shop, "again", json!({ "duration": "55m" })).await;
    runs_until(cluster, shop, "again").await;
    let greta = Plugin::of(cluster, GRETA);
    let admin = cluster.kubectl(ADMIN);
    // What somebody has anyway, they keep when their access ends.
    admin.ok(&["create", "rolebinding", "alice-edits", "--clusterrole=edit", "--user=alice", "-n", shop]).await;
    let out = lines(&greta.done(&["who", "-n", shop, "--no-headers"]).await);
    let anyway = format!("User/alice  edit  {shop}  RoleBinding/alice-edits  standing");
    assert_eq!(out.last(), Some(&anyway));
    cluster.controller.kill();
    let uid = cluster.requests(shop).await.get("fix").await.unwrap().uid().unwrap();
    admin.ok(&["delete", "rolebinding", &format!("daypass-{uid}"), "-n", shop]).await;
    let web = cluster.requests(bank).await.get("web").await.unwrap().uid().unwrap();
    admin.ok(&["delete", "areq", "web", "-n", bank]).await;
    let out = eventually("the request is gone", SOON, async || {
        let out = lines(&greta.done(&["who", "-n", shop, "--no-headers"]).await);
        if out.iter().any(|line| line.contains("/web  ")) { Err(out.join("\n")) } else { Ok(out) }
    })
    .await;
    let has = |start: &str, end: &str| out.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(has("User/alice  edit", &format!("{shop}/fix  binding missing")), "{out:?}");
    assert!(has("User/alice  edit", &format!("{shop}/again  bound")), "{out:?}");
    assert!(has("User/eve  role/daypass-", &format!("RoleBinding/daypass-{web}  no running request")), "{out:?}");
}

async fn few_rights(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("few").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(EVE, &namespace, "fix", json!({ "duration": "40m" })).await;
    let fix = runs_until(&cluster, &namespace, "fix").await;
    let alice = Plugin::of(&cluster, ALICE);
    let (out, err) = alice.ends(&["who", "-n", &namespace], 0).await;
    let row = format!("User/eve  edit  {namespace}  {fix}  {namespace}/fix  on record");
    assert_eq!(lines(&out), ["WHO  ROLE  WHERE  UNTIL  THROUGH  STATE".to_owned(), row]);
    assert!(
        err.contains(&format!("note: you may not list rolebindings in namespace {namespace} and clusterrolebindings"))
    );
    let (out, err) = alice.ends(&["who", "--can", "delete:pods", "-n", &namespace, "--no-headers"], 0).await;
    assert_eq!(lines(&out), [format!("User/eve  edit  not known  {namespace}  {fix}  {namespace}/fix  on record")]);
    assert!(err.contains("note: ClusterRole/edit could not be read"), "{err}");
    let (out, err) = alice.ends(&["who", "alice", "-n", &namespace], 0).await;
    assert_eq!(out, "", "{err}");
}

async fn wrong_rights(cluster: Arc<Cluster>) {
    let greta = Plugin::of(&cluster, GRETA);
    for (args, words) in [
        (&["who", "--can", "pods"][..], "there is no verb before a colon"),
        (&["who", "--can", "get:pod"], "--can: the cluster serves no resource pod: did you mean pods?"),
        (&["who", "serviceaccount/ci"], "WHO: write serviceaccount/NAMESPACE/NAME"),
        (&["who", "-A", "-n", "shop"], "cannot be used with"),
    ] {
        let (_, err) = greta.ends(args, 2).await;
        assert!(err.contains(words), "{args:?}: {err}");
    }
}
