//! The archive beside a real API server: controllers push records with a token that is good for nothing else, and people
//! read through the API server, by the roles of the cluster.

mod log;
mod outside;
mod verified;
mod volume;

use std::time::Duration;

use http::Request;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::archive::{ARCHIVE, RunningArchive};
use crate::harness::install::NAMESPACE;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, BOB, CAROL, MALLORY};
use crate::harness::{Cluster, alone, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        with_archive("receiver::a_push_token_writes_its_own_cluster_and_reads_nothing", async |c| push(c).await),
        with_archive("receiver::people_read_by_their_roles_through_the_api_server_alone", async |c| {
            read(c).await;
            volume::is_bound_and_nothing_else_changes(c).await;
        }),
        alone("receiver::each_cluster_writes_of_itself_and_an_issuer_names_readers", AUDIT_POLICY, outside::believes),
    ]
}

/// A trial in a cluster of its own, whose chart has the archive.
fn with_archive(name: &str, body: impl AsyncFnOnce(&Cluster) + Send + 'static) -> Trial {
    alone(name, AUDIT_POLICY, |control_plane| async move {
        body(
            &Cluster::with(control_plane, &["archive.enabled=true", "archive.log.everySeconds=1", "clusterName=trial"])
                .await,
        )
        .await;
    })
}

/// How long a part may take to work.
const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: &str = "/apis/archive.daypass.dev/v1/records";

/// An archive that is installed and runs as its own account.
struct Receiver<'a> {
    cluster: &'a Cluster,
    archive: RunningArchive,
    /// UID of the cluster.
    home: String,
}

impl<'a> Receiver<'a> {
    async fn start(cluster: &'a Cluster) -> Self {
        let archive = RunningArchive::start(&cluster.control_plane).await;
        let uid = ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"];
        Self { cluster, archive, home: cluster.kubectl(ADMIN).ok(&uid).await }
    }

    /// A token of an account.
    async fn token(&self, account: &str, more: &[&str]) -> String {
        let args = [&["create", "token", account, "-n", NAMESPACE], more].concat();
        self.cluster.kubectl(ADMIN).ok(&args).await.trim().to_owned()
    }

    async fn push_token(&self) -> String {
        self.token("daypass", &["--audience=daypass-archive"]).await
    }

    /// Delivers a record. What it is answered, or the code of the refusal.
    async fn push(&self, token: &str, record: &Value) -> Result<Value, u16> {
        let request = Request::post("/v1/records").body(record.to_string().into_bytes()).expect("a request");
        self.archive.client(token).request(request).await.map_err(code)
    }

    /// A first record about a namespace.
    fn record(&self, uid: &str, namespace: &str) -> Value {
        json!({
            "schema": "daypass.dev/record/v1", "id": format!("{uid}/0"), "cluster": self.home, "index": 0,
            "request": { "namespace": namespace, "name": "fix", "uid": uid }, "at": "2026-11-29T16:00:00.000000Z",
            "kind": "Requested", "outcome": "Asked", "subject": { "username": "alice" },
            "access": { "role": { "kind": "ClusterRole", "name": "edit" }, "namespaces": [namespace] },
        })
    }
}

/// The code of a refusal.
fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("no refusal: {other}"),
    }
}

async fn push(cluster: &Cluster) {
    let archive = Receiver::start(cluster).await;
    let (good, push) = (archive.record("uid", "shop"), archive.push_token().await);
    assert_eq!(archive.push("nobody", &good).await, Err(401));
    assert_eq!(archive.push(&archive.token("daypass", &[]).await, &good).await, Err(401), "a login of the API server");
    let stranger = archive.token(ARCHIVE, &["--audience=daypass-archive"]).await;
    assert_eq!(archive.push(&stranger, &good).await, Err(403), "another account");
    let mut of_another = archive.record("other", "shop");
    of_another["cluster"] = json!("another");
    assert_eq!(archive.push(&push, &of_another).await, Err(403), "a record of another cluster");
    for _ in 0..2 {
        let answer = archive.push(&push, &good).await.expect("it is kept");
        assert_eq!(answer["requests"][0]["held"], 1, "{answer}");
    }
    // Stolen, it opens neither the archive nor the API server.
    let direct = Request::get(RECORDS).body(Vec::new()).expect("a request");
    assert_eq!(archive.archive.client(&push).request_text(direct).await.map_err(code), Err(401));
    let thief = cluster.control_plane.client_for_token("thief", &push).await;
    for path in [RECORDS, "/api/v1/namespaces"] {
        let request = Request::get(path).body(Vec::new()).expect("a request");
        assert_eq!(thief.request_text(request).await.map_err(code), Err(401), "{path}");
    }
}

async fn read(cluster: &Cluster) {
    let archive = Receiver::start(cluster).await;
    let (shop, bank) = (cluster.namespace("shop").await, cluster.namespace("bank").await);
    let push = archive.push_token().await;
    for (uid, namespace) in [("of-shop", &shop), ("of-bank", &bank)] {
        archive.push(&push, &archive.record(uid, namespace)).await.expect("it is kept");
    }
    let admin = cluster.kubectl(ADMIN);
    let role = "--clusterrole=daypass-archive-reader";
    admin.ok(&["create", "clusterrolebinding", "carol-audits", role, "--user=carol"]).await;
    admin.ok(&["create", "rolebinding", "bob-audits", "-n", &shop, role, "--user=bob"]).await;
    let read = async |user, path: &str| {
        let request = Request::get(path).header("x-remote-user", "carol").body(Vec::new()).expect("a request");
        let list: Result<Value, u16> = cluster.client(user).await.request(request).await.map_err(code);
        list.map(|list| {
            let items = list["items"].as_array().expect("a list").iter();
            items.map(|item| item["record"]["request"]["uid"].as_str().expect("a UID").to_owned()).collect::<Vec<_>>()
        })
    };
    let of = |namespace: &str| format!("/apis/archive.daypass.dev/v1/namespaces/{namespace}/records");
    eventually("the roles are known", LIMIT, async || {
        let known = (read(BOB, &of(&shop)).await, read(CAROL, RECORDS).await);
        if known.0.is_ok() && known.1.is_ok() { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;
    assert_eq!(read(CAROL, RECORDS).await, Ok(vec!["of-bank".to_owned(), "of-shop".to_owned()]));
    assert_eq!(read(CAROL, &format!("{RECORDS}?person=alice&namespace={bank}")).await, Ok(vec!["of-bank".to_owned()]));
    assert_eq!(read(BOB, &of(&shop)).await, Ok(vec!["of-shop".to_owned()]));
    assert_eq!(read(BOB, &of(&bank)).await, Err(403));
    assert_eq!(read(BOB, RECORDS).await, Err(403));
    // All of these came with a header that says carol.
    assert_eq!(read(MALLORY, RECORDS).await, Err(403));
    let listed =
        cluster.kubectl(BOB).ok(&["get", "records", "-n", &shop, "-o", "jsonpath={.items[*].record.id}"]).await;
    assert_eq!(listed, "of-shop/0");
    let forged = Request::get(RECORDS).header("x-remote-user", "carol").header("x-remote-group", "system:masters");
    let forged = forged.body(Vec::new()).expect("a request");
    assert_eq!(archive.archive.client("any").request_text(forged).await.map_err(code), Err(401));
    let key = log::is_read_by_another_program(&archive).await;
    verified::by_who_does_not_trust_it(&archive, &key).await;
}
