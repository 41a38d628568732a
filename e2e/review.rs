//! Review campaigns on a real API server with the archive behind its aggregator: owners decide, everybody else tries to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::campaign::{CampaignStart, ItemStanding, ShownCampaign, ShownItem};
use daypass::core::campaign::judge::CampaignRefusal;
use daypass::core::campaign::so_far::Campaign;
use http::Request;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::archive::{ARCHIVE, RunningArchive};
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, BOB, BOB_LEFT, CAROL, DAVE, GRETA, MALLORY, User};
use crate::harness::{Cluster, ControlPlane, eventually, trial};
use crate::page::browser::reviews;

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("review::owners_decide_by_a_date_and_nobody_else_does_nor_sets_a_hold", || {
        trial::browsed_private(async || {
            let control_plane = Arc::new(ControlPlane::start_with(AUDIT_POLICY, &[]).await);
            let values = ["archive.enabled=true", "clusterName=trial"];
            campaign(&Cluster::with(control_plane, &values).await).await;
        })
    })]
}

/// How long a part may take to work.
const LIMIT: Duration = Duration::from_secs(60);
const CAMPAIGNS: &str = "/apis/archive.daypass.dev/v1/campaigns";

/// A campaign about one namespace, which group approvers owns: group dev and carol have access there.
struct Reviewed<'a> {
    cluster: &'a Cluster,
    archive: RunningArchive,
    namespace: String,
}

/// Sends somebody's call through the API server, with headers that say that bob calls.
async fn call(cluster: &Cluster, user: User, method: &str, path: &str, body: &Value) -> Result<Value, u16> {
    let request = Request::builder().method(method).uri(format!("{CAMPAIGNS}{path}"));
    let request = request.header("x-remote-user", "bob").header("x-remote-group", "approvers");
    let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
    let request = request.header("content-type", "application/json").body(body).expect("a request");
    cluster.client(user).await.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) => status.code,
        other => panic!("no refusal: {other}"),
    })
}

impl Reviewed<'_> {
    fn plugin(&self, user: User) -> Plugin {
        Plugin::of(self.cluster, user)
    }

    async fn shown(&self, user: User) -> ShownCampaign {
        let text = self.plugin(user).done(&["review", "show", "h2", "-o", "json"]).await;
        serde_json::from_str(&text).expect("a campaign")
    }

    /// The access of a subject, as greta sees it.
    async fn item(&self, subject: &str) -> ShownItem {
        let campaign = self.shown(GRETA).await;
        let holder = |item: &&ShownItem| item.item.holder.as_ref().unwrap().subject.to_string() == subject;
        campaign.items.iter().find(holder).expect("an item").clone()
    }

    async fn decision(&self, subject: &str, verdict: &str) -> Value {
        let item = self.item(subject).await;
        json!({ "decisions": [{ "item": item.id, "digest": item.digest, "verdict": verdict, "reason": "asked" }] })
    }

    async fn decide(&self, user: User, body: &Value) -> Result<Value, u16> {
        call(self.cluster, user, "POST", "/h2/decisions", body).await
    }
}

async fn campaign(cluster: &Cluster) {
    let archive = RunningArchive::start(&cluster.control_plane).await;
    let (admin, namespace) = (cluster.kubectl(ADMIN), cluster.namespace("reviewed").await);
    admin.ok(&["annotate", "namespace", &namespace, "daypass.dev/owner=group/approvers"]).await;
    bind(cluster, &namespace).await;
    cluster.allow("reviewed", &namespace, json!({})).await;
    let wide = |name: &'static str, role: &'static str, to: &'static str| {
        let args = ["create", "clusterrolebinding", name, role, to];
        let admin = cluster.kubectl(ADMIN);
        async move { admin.ok(&args).await }
    };
    wide("greta-reviews", "--clusterrole=daypass-archive-campaigns", "--user=greta").await;
    wide("approvers-own", "--clusterrole=daypass-archive-owner", "--group=approvers").await;
    // As RBAC goes they may decide: dave owns nothing, and bob by a login that no longer has him among the approvers.
    wide("dave-owns", "--clusterrole=daypass-archive-owner", "--user=dave").await;
    wide("bob-owns", "--clusterrole=daypass-archive-owner", "--user=bob").await;
    let reviewed = Reviewed { cluster, archive, namespace };
    starts(&reviewed).await;
    refuses(&reviewed).await;
    decides(&reviewed).await;
    removes_and_closes(&reviewed).await;
    crate::retention::holds(cluster).await;
}

async fn bind(cluster: &Cluster, namespace: &str) {
    let subject =
        |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "devs", "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [subject("Group", "dev"), subject("User", "carol")],
    });
    cluster.kubectl(ADMIN).apply(&binding.to_string()).await;
}

/// Who starts it sees first what would be reviewed; who may not read all of it reviews nothing.
async fn starts(reviewed: &Reviewed<'_>) {
    let (cluster, namespace) = (reviewed.cluster, reviewed.namespace.as_str());
    let greta = reviewed.plugin(GRETA);
    let line = ["review", "start", "h2", "--due=30d", "--owner=admin", "--for=Half-yearly review"];
    let here = [&line[..], &["-n", namespace]].concat();
    let told = greta.done(&[&here[..], &["--dry-run"]].concat()).await;
    let rows: Vec<&str> = told.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    let mut sorted = rows.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["Group/dev", "User/carol"], "{told}");
    let all = greta.done(&[&line[..], &["-A", "--dry-run", "-o", "json"]].concat()).await;
    let all: CampaignStart = serde_json::from_str(&all).expect("what would be sent");
    let owners = |name: &str| {
        let of = all.items.iter().filter(|owned| owned.item.object.name == name);
        of.flat_map(|owned| owned.owners.iter().map(ToString::to_string)).collect::<Vec<_>>()
    };
    assert_eq!(owners("devs"), ["Group/approvers", "Group/approvers"]);
    assert_eq!(
        (owners("reviewed"), owners("greta-reads")),
        (vec!["User/admin".to_owned()], vec!["User/admin".to_owned()])
    );
    assert_eq!(owners("cluster-admin"), [""; 0], "what the API server binds itself");
    let (_, err) = reviewed.plugin(BOB).ends(&[&here[..], &["--yes"]].concat(), 1).await;
    assert!(err.contains("you may not list rolebindings"), "{err}");
    eventually("the archive knows greta's roles", LIMIT, async || {
        call(cluster, GRETA, "GET", "", &json!({})).await.map(|_| ()).map_err(|code| code.to_string())
    })
    .await;
    let mut start: Value =
        serde_json::from_str(&greta.done(&[&here[..], &["--dry-run", "-o", "json"]].concat()).await).unwrap();
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut other = start.clone();
        change(&mut other);
        call(cluster, GRETA, "POST", "", &other).await
    };
    assert_eq!(refused(&|start| start["cluster"] = json!("another")).await, Err(403));
    let many = vec![start["items"][0].clone(); 5001];
    assert_eq!(refused(&|start| start["items"] = json!(many)).await, Err(400));
    assert_eq!(refused(&|start| start["purpose"] = json!("x".repeat(8 << 20))).await, Err(413));
    for user in [MALLORY, BOB, DAVE] {
        assert_eq!(call(cluster, user, "POST", "", &start).await, Err(403), "{}", user.login);
    }
    assert_eq!(call(cluster, GRETA, "GET", "", &json!({})).await.unwrap()["items"], json!([]));
    greta.done(&[&here[..], &["--yes"]].concat()).await;
    completes(reviewed).await;
    let (_, err) = greta.ends(&[&here[..], &["--yes"]].concat(), 1).await;
    assert!(err.contains("there is a campaign \"h2\" already"), "{err}");
    start["name"] = json!("direct");
    let direct = Request::post(CAMPAIGNS).header("x-remote-user", "greta").header("x-remote-group", "system:masters");
    let direct = direct.body(start.to_string().into_bytes()).expect("a request");
    let forged = reviewed.archive.client("any").request_text(direct).await;
    assert!(matches!(forged, Err(kube::Error::Api(status)) if status.code == 401), "past the API server");
}

/// A shell offers the campaigns that somebody sees, and none where a new one is named; the archive counts them.
async fn completes(reviewed: &Reviewed<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display().to_string();
    reviewed.plugin(GRETA).done(&["completion", "install", "--dir", &dir]).await;
    let completer = folder.path().join("kubectl_complete-daypass");
    for (user, words, offered) in [
        (GRETA, ["review", "show", ""], "h2\t2 of 2 open\n:36\n"),
        (GRETA, ["report", "review", "h"], "h2\t2 of 2 open\n:36\n"),
        (GRETA, ["review", "start", ""], ":4\n"),
        (MALLORY, ["review", "show", ""], ":36\n"),
    ] {
        assert_eq!(reviewed.plugin(user).through(&completer).done(&words).await, offered, "{words:?}");
    }
    let told = reviewed.archive.told().await;
    assert!(["campaigns_open", "campaign_items_overdue"].iter().all(|name| told.contains(name)), "{told}");
}

/// Nobody decides who is no owner, or on their own; whatever their headers say.
async fn refuses(reviewed: &Reviewed<'_>) {
    let (carols, devs) = ("User/carol", "Group/dev");
    eventually("the roles of owners are known", LIMIT, async || {
        call(reviewed.cluster, DAVE, "GET", "", &json!({})).await.map(|_| ()).map_err(|code| code.to_string())
    })
    .await;
    for (user, of, code) in [
        (MALLORY, carols, 403),
        (GRETA, carols, 403),
        (DAVE, carols, 403),
        (BOB_LEFT, carols, 403),
        (BOB, devs, 403),
        (CAROL, carols, 403),
    ] {
        let body = reviewed.decision(of, "Confirm").await;
        assert_eq!(reviewed.decide(user, &body).await, Err(code), "{} on {of}", user.login);
    }
    for (user, code) in [(MALLORY, 403), (DAVE, 404), (BOB_LEFT, 404)] {
        assert_eq!(call(reviewed.cluster, user, "GET", "/h2", &json!({})).await, Err(code), "{}", user.login);
    }
    let lines = call(reviewed.cluster, BOB, "GET", "/h2?format=jsonl", &json!({})).await;
    assert_eq!(lines, Err(403), "owners see what they decide on");
    let id = reviewed.item(devs).await.id;
    let (_, err) = reviewed.plugin(BOB).ends(&["review", "confirm", "h2", &id, "-m", "mine", "--yes"], 1).await;
    assert!(err.contains(&CampaignRefusal::Own(id).to_string()), "{err}");
    let (_, err) = reviewed.plugin(MALLORY).ends(&["review", "show", "h2"], 1).await;
    assert!(err.contains("daypass-archive-owner"), "{err}");
    assert_eq!(reviewed.shown(GRETA).await.counts.open, 2);
}

/// Owners decide on what was shown to them, and what changes is open again.
async fn decides(reviewed: &Reviewed<'_>) {
    let (bob, carol, greta) = (reviewed.plugin(BOB), reviewed.plugin(CAROL), reviewed.plugin(GRETA));
    let shown = reviewed.shown(BOB).await;
    let marks: Vec<(bool, bool)> = shown.items.iter().map(|item| (item.mine, item.own)).collect();
    assert_eq!((shown.whole, marks), (false, vec![(true, false), (false, true)]));
    let table = bob.done(&["review", "show", "h2", "--mine"]).await;
    assert!(table.contains("User/carol") && !table.contains("Group/dev"), "{table}");
    let old = reviewed.decision("User/carol", "Confirm").await;
    bob.done(&["review", "confirm", "h2", "--all-mine", "-m", "on call until March", "--yes"]).await;
    let dev = reviewed.item("Group/dev").await.id;
    if !reviews::confirm(reviewed.cluster, &dev).await {
        carol.done(&["review", "confirm", "h2", &dev, "-m", "the team works there", "--yes"]).await;
    }
    assert_eq!(reviewed.shown(GRETA).await.counts.confirmed, 2);
    // The same name, and another object.
    reviewed.cluster.kubectl(ADMIN).ok(&["delete", "rolebinding", "devs", "-n", &reviewed.namespace]).await;
    bind(reviewed.cluster, &reviewed.namespace).await;
    bob.ends(&["review", "look", "h2"], 1).await;
    greta.done(&["review", "look", "h2"]).await;
    assert_eq!(reviewed.item("User/carol").await.standing, ItemStanding::Changed);
    assert_eq!(reviewed.decide(BOB, &old).await, Err(409), "the digest of what was there before");
    let id = reviewed.item("User/carol").await.id;
    // bob may decide, and not unbind.
    let (_, err) = bob.ends(&["review", "remove", "h2", &id[..6], "-m", "left the team", "--yes", "--now"], 1).await;
    assert!(err.contains("you may not get rolebindings"), "{err}");
    assert_eq!(reviewed.item("User/carol").await.standing, ItemStanding::StillThere);
    carol.done(&["review", "confirm", "h2", "--all-mine", "-m", "still works there", "--yes"]).await;
}

/// What goes is taken away by who may, and seen to be gone; the end is acknowledged once, and is evidence.
async fn removes_and_closes(reviewed: &Reviewed<'_>) {
    let (cluster, namespace) = (reviewed.cluster, reviewed.namespace.as_str());
    let (greta, item) = (reviewed.plugin(GRETA), reviewed.item("User/carol").await);
    let admin = cluster.kubectl(ADMIN);
    // bob with the rights that it takes.
    admin.ok(&["create", "rolebinding", "bob-unbinds", "-n", namespace, "--clusterrole=admin", "--user=bob"]).await;
    let bob = reviewed.plugin(BOB);
    eventually("bob may unbind", LIMIT, async || {
        let args = ["review", "remove", "h2", &item.id, "-m", "left the team", "--yes", "--now"];
        let (code, out, err) = bob.run(&args).await;
        if code == Some(0) { Ok(()) } else { Err(format!("{out}{err}")) }
    })
    .await;
    let left = ["get", "rolebinding", "devs", "-n", namespace, "-o", "jsonpath={.subjects[*].name}"];
    assert_eq!(admin.ok(&left).await, "dev", "carol alone is taken out");
    let last = reviewed.shown(GRETA).await.last;
    assert_eq!(call(cluster, BOB, "PUT", "/h2/close", &json!({ "acknowledged": "x", "last": last })).await, Err(403));
    let told = greta.done(&["review", "close", "h2", "-m", "seen and agreed", "--yes"]).await;
    assert!(told.contains("1 confirmed, 1 removed"), "{told}");
    let body = reviewed.decision("User/carol", "Remove").await;
    assert_eq!(reviewed.decide(BOB, &body).await, Err(409), "it is closed");
    let report: ShownCampaign =
        serde_json::from_str(&greta.done(&["report", "review", "h2", "-o", "json"]).await).expect("a campaign");
    assert_eq!(
        report.closed.map(|closing| (closing.by, closing.acknowledged)),
        Some(("greta".to_owned(), "seen and agreed".to_owned()))
    );
    let csv = greta.done(&["review", "export", "h2"]).await;
    let heads = csv.lines().next().expect("heads");
    assert!(heads.starts_with("campaign,cluster,due,closedAt,closedBy,item") && csv.lines().count() > 5, "{csv}");
    // The lines prove themselves, and are what the archive printed.
    let lines = greta.done(&["review", "export", "h2", "--form", "jsonl"]).await;
    let (mut texts, mut entries) = (BTreeMap::new(), Vec::new());
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).expect("JSON");
        match value["text"].as_str() {
            Some(text) => drop(texts.insert(value["digest"].as_str().unwrap().to_owned(), text.to_owned())),
            None => entries.push(line),
        }
    }
    let read = Campaign::read(entries.iter().copied(), &texts).expect("it is whole");
    assert_eq!((read.items.len(), read.closed.is_some()), (2, true));
    let log = std::fs::read_to_string(cluster.control_plane.dir().join(format!("{ARCHIVE}.log"))).expect("its output");
    assert!(entries.iter().all(|entry| log.lines().any(|line| line == *entry)), "each is a line on standard output");
}
