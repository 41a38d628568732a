//! Records reach the archive, whatever ends meanwhile; what the archive holds is removed from the cluster, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use daypass::api::State;
use daypass::api::reason::Reason;
use daypass::api::record::Record;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::archive::RunningArchive;
use crate::harness::cast::SOON;
use crate::harness::install::{Controller, NAMESPACE};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, DAVE, GITOPS};
use crate::harness::{Cluster, ControlPlane, Daypass, alone, cast, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        with_archive("outbox::what_is_over_is_recorded_and_removed_and_nothing_else_is", Some("2s"), removed),
        with_archive("outbox::an_archive_that_is_away_delays_nothing_and_misses_nothing", None, away),
        with_archive("outbox::what_is_deleted_or_changed_is_recorded_as_it_was_last_seen", None, deleted),
    ]
}

/// A trial in a cluster of its own, whose controller delivers to an archive.
pub fn with_archive<F>(name: &str, retention: Option<&'static str>, body: fn(Recorded) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    alone(name, AUDIT_POLICY, move |control_plane| async move {
        body(Recorded::start(control_plane, retention, &[]).await).await;
    })
}

/// A cluster and its archive.
pub struct Recorded {
    pub cluster: Cluster,
    pub archive: RunningArchive,
}

impl Recorded {
    /// The product with an archive beside it, on a control plane, with more values.
    pub async fn start(control_plane: Arc<ControlPlane>, retention: Option<&str>, more: &[&str]) -> Self {
        let values = [&["bindableRoles={deployer}", "archive.enabled=true"], more].concat();
        Daypass::install(&control_plane, &values).await;
        cast::give_rights(&control_plane.kubectl(ADMIN)).await;
        let archive = RunningArchive::start(&control_plane).await;
        let mut flags = archive.flags();
        flags.extend(retention.map(|time| format!("--retention={time}")));
        // As the chart says it of an archive that hears the audit logs.
        flags.extend(more.contains(&"archive.audit.enabled=true").then(|| "--activity".to_owned()));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let controller = Controller::start_with(&control_plane, "controller", &flags).await;
        let cluster = Cluster { controller, control_plane };
        cast::until_stamped(&cluster.kubectl(crate::harness::users::MALLORY)).await;
        Self { cluster, archive }
    }

    /// The records about a namespace, oldest first, as the archive has them.
    pub async fn records(&self, namespace: &str) -> Vec<Record> {
        let path = format!("/apis/archive.daypass.dev/v1/namespaces/{namespace}/records?limit=500");
        // The API server learns some time after it that an archive is there again.
        let list = eventually("the archive answers", SOON, async || {
            let got = self.cluster.kubectl(ADMIN).run(&["get", "--raw", &path]).await;
            if got.ok { Ok(got.stdout) } else { Err(got.stderr) }
        })
        .await;
        let list: Value = serde_json::from_str(&list).unwrap();
        let items = list["items"].as_array().expect("a list").iter();
        let mut records: Vec<Record> =
            items.map(|item| serde_json::from_value(item["record"].clone()).expect("a record")).collect();
        records.sort_by_key(|record| (record.request.uid.clone(), record.index));
        records
    }

    /// What became of one request, once the archive has it to the end.
    pub async fn until_recorded(&self, namespace: &str, name: &str, kinds: &[&str]) -> Vec<Record> {
        eventually("the archive has the whole chain", SOON, async || {
            let records = self.records(namespace).await.into_iter().filter(|record| record.request.name == name);
            let records: Vec<Record> = records.collect();
            let found: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
            if found == kinds { Ok(records) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    /// The last record about a namespace, once it is of this kind.
    async fn until_last(&self, namespace: &str, kind: &str) -> Record {
        eventually(&format!("the archive has {kind}"), SOON, async || {
            let last = self.records(namespace).await.pop();
            last.filter(|last| last.kind.as_str() == kind).ok_or_else(|| "not yet".to_owned())
        })
        .await
    }

    /// The texts that the records about a namespace name, by their digests, each as it was hashed.
    async fn texts(&self, namespace: &str) -> BTreeMap<String, String> {
        let records = self.records(namespace).await;
        let policies = records.iter().filter_map(|record| record.policy.as_ref()?.digest.clone());
        let roles = records.iter().filter_map(|record| record.access.role_digest.clone());
        let mut texts = BTreeMap::new();
        for digest in policies.chain(roles) {
            let path = format!("/apis/archive.daypass.dev/v1/texts/{digest}");
            let text = self.cluster.kubectl(ADMIN).ok(&["get", "--raw", &path]).await;
            let text: Value = serde_json::from_str(&text).expect("JSON");
            let text = text["text"].as_str().expect("a text").to_owned();
            let sum: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, format!("sha256:{sum}"), "{text}");
            texts.insert(digest, text);
        }
        texts
    }

    async fn until_gone(&self, namespace: &str, name: &str) {
        let requests = self.cluster.requests(namespace).await;
        eventually("the request is removed", SOON, async || match requests.get_opt(name).await.expect("an answer") {
            None => Ok(()),
            Some(there) => Err(format!("{:?}", there.status)),
        })
        .await;
    }
}

/// The records of a request as they were printed.
fn printed(cluster: &Cluster, uid: &str) -> Vec<String> {
    let log = cluster.controller.log();
    log.lines().filter(|line| line.contains("daypass.dev/record/v1") && line.contains(uid)).map(str::to_owned).collect()
}

async fn removed(mut recorded: Recorded) {
    let cluster = &recorded.cluster;
    let namespace = cluster.namespace("shop").await;
    let stages = json!([{ "name": "dave", "approvers": [{ "kind": "User", "name": "dave" }] }]);
    let review = json!({ "reviewers": [{ "kind": "User", "name": "dave" }], "reviewWithin": "1h" });
    cluster.allow(&namespace, &namespace, json!({})).await;
    let emergency = format!("{namespace}-emergency");
    let spec = json!({ "approval": { "stages": stages }, "breakGlass": review, "roles": [{ "name": "view" }] });
    cluster.allow(&emergency, &namespace, spec).await;
    cluster.ask(ALICE, &namespace, "runs", json!({ "duration": "10m" })).await;
    cluster.until(&namespace, "runs", State::Active).await;
    cluster
        .ask(ALICE, &namespace, "urgent", json!({ "role": { "name": "view" }, "duration": "1s", "breakGlass": true }))
        .await;
    cluster.ask(ALICE, &namespace, "refused", json!({ "role": { "name": "cluster-admin" } })).await;
    cluster.ask(ALICE, &namespace, "over", json!({ "duration": "5s" })).await;
    cluster.until(&namespace, "over", State::Active).await;
    recorded.until_gone(&namespace, "over").await;
    recorded.until_gone(&namespace, "refused").await;
    let records = recorded.until_recorded(&namespace, "over", &["Requested", "Granted", "Expired"]).await;
    let lines: Vec<String> = records.iter().map(Record::bytes).collect();
    assert_eq!(lines, printed(cluster, &records[0].request.uid), "what is held is what was printed");
    assert!(records.windows(2).all(|pair| pair[1].previous == Some(pair[0].digest())), "one chain");
    recorded.until_recorded(&namespace, "refused", &["Requested", "Denied"]).await;

    // Access that runs, and access that nobody has reviewed, stays; so does what the controller itself may not touch.
    let urgent = cluster.until(&namespace, "urgent", State::Expired).await;
    assert_eq!(urgent.status.unwrap().recorded, None, "its review is open");
    let requests = cluster.requests(&namespace).await;
    for name in ["runs", "urgent"] {
        assert!(requests.get_opt(name).await.unwrap().is_some(), "{name} is gone");
        let refusal = as_controller(cluster, &["delete", "areq", name, "-n", &namespace]).await;
        cast::assert_refused_by(&refusal, "daypass-deletion-guard");
    }
    cluster.review(DAVE, &namespace, "urgent", "Approve", "it burned").await;
    recorded.until_gone(&namespace, "urgent").await;
    let records = recorded.records(&namespace).await;
    let last = records.iter().rfind(|record| record.request.name == "urgent").unwrap();
    assert_eq!(last.kind.as_str(), "Justified", "{last:?}");
    assert!(records.iter().all(|record| record.kind.as_str() != "Deleted"), "a removal that was due is no news");
    assert_eq!(cluster.controller.metric("daypass_removed_requests_total").await, 3.0);
    let canary = cluster.kubectl(ADMIN).ok(&["get", "areq", "-n", NAMESPACE, "-o", "name"]).await;
    assert!(!canary.is_empty(), "what the canary notes is on its request");
    asked_again(&mut recorded, &namespace).await;
}

/// An archive that has lost what it had acknowledged gets it again before anything is removed.
async fn asked_again(recorded: &mut Recorded, namespace: &str) {
    let requests = recorded.cluster.requests(namespace).await;
    let mut lost = None;
    for name in ["lost-1", "lost-2", "lost-3", "lost-4"] {
        recorded.cluster.ask(ALICE, namespace, name, json!({ "duration": "4s" })).await;
        let is_recorded = eventually("it is recorded, or removed already", SOON, async || {
            let status = requests.get_opt(name).await.map_err(|error| error.to_string())?.map(|found| found.status);
            match status {
                None => Ok(false),
                Some(Some(status)) if status.recorded.is_some() => Ok(true),
                Some(status) => Err(format!("{status:?}")),
            }
        })
        .await;
        recorded.archive.kill();
        if is_recorded && requests.get_opt(name).await.expect("an answer").is_some() {
            lost = Some(name);
            break;
        }
        // It was removed in the meantime, as it may be.
        recorded.archive.run().await;
    }
    let lost = lost.expect("one that was recorded and not yet removed");
    recorded.archive.forget_all();
    recorded.archive.run().await;
    // What comes to rest has the controller look again at once.
    recorded.cluster.ask(ALICE, namespace, "another", json!({ "duration": "1s" })).await;
    recorded.until_gone(namespace, lost).await;
    recorded.until_recorded(namespace, lost, &["Requested", "Granted", "Expired"]).await;
}

/// What a call is refused with that the controller's account makes.
async fn as_controller(cluster: &Cluster, args: &[&str]) -> String {
    let token = Controller::token(&cluster.control_plane).await;
    let kubeconfig = cluster.control_plane.kubeconfig_for_token("thief-of-the-controller", &token);
    cluster.control_plane.kubectl_with(&kubeconfig).refused(args).await
}

async fn away(mut recorded: Recorded) {
    let namespace = recorded.cluster.namespace("shop").await;
    recorded.cluster.allow(&namespace, &namespace, json!({})).await;
    recorded.cluster.ask(ALICE, &namespace, "before", json!({ "duration": "10m" })).await;
    recorded.until_recorded(&namespace, "before", &["Requested", "Granted"]).await;
    let first = recorded.cluster.namespace("first").await;
    recorded.cluster.allow(&first, &first, json!({ "requireRecord": true })).await;
    recorded.cluster.ask(ALICE, &first, "with", json!({ "duration": "10m" })).await;
    recorded.cluster.until(&first, "with", State::Active).await;
    assert_eq!(recorded.texts(&first).await.len(), 2, "it begins when the archive has what it was decided by");
    recorded.until_recorded(&first, "with", &["Requested", "Approved", "Granted"]).await;
    recorded.archive.kill();
    let cluster = &recorded.cluster;
    cluster.ask(ALICE, &first, "without", json!({ "duration": "10m" })).await;
    cluster.until_reason(&first, "without", "Granted", Reason::AwaitingRecord.as_str()).await;
    assert_eq!(
        cluster.our_bindings(&first).await.len(),
        1,
        "what ran runs on, and nothing is bound before it is recorded"
    );
    cluster.ask(ALICE, &namespace, "meanwhile", json!({ "duration": "5s" })).await;
    cluster.until(&namespace, "meanwhile", State::Active).await;
    cluster.review(ALICE, &namespace, "before", "Revoke", "done").await;
    let over = cluster.until(&namespace, "meanwhile", State::Expired).await;
    let revoked = cluster.until(&namespace, "before", State::Revoked).await;
    assert!([&over, &revoked].iter().all(|request| request.status.as_ref().unwrap().recorded.is_none()));
    eventually("the figures say what waits", SOON, async || {
        let waits = cluster.controller.metric("daypass_unrecorded_requests").await;
        let failures = cluster.controller.metric("daypass_record_failures_total").await;
        if waits == 3.0 && failures > 0.0 { Ok(()) } else { Err(format!("{waits} wait after {failures} failures")) }
    })
    .await;
    // Whoever leads next has nothing but the histories.
    cluster.controller.restart().await;
    cluster.ask(ALICE, &namespace, "later", json!({ "duration": "5s" })).await;
    cluster.until(&namespace, "later", State::Active).await;
    cluster.until(&namespace, "later", State::Expired).await;
    recorded.archive.run().await;
    for (name, end) in [("meanwhile", "Expired"), ("before", "Revoked"), ("later", "Expired")] {
        recorded.until_recorded(&namespace, name, &["Requested", "Granted", end]).await;
    }
    recorded.cluster.until(&first, "without", State::Active).await;
    let requests = recorded.cluster.requests(&namespace).await;
    eventually("it is noted of all of them", SOON, async || {
        let all = requests.list(&Default::default()).await.expect("requests").items;
        let noted = all.iter().all(|request| {
            let status = request.status.as_ref().expect("a status");
            status.recorded == i64::try_from(status.history.len()).ok()
        });
        if noted && all.len() == 3 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    // An archive that was restored from an older copy is given again what it lacks.
    recorded.archive.kill();
    recorded.archive.forget_all();
    recorded.archive.run().await;
    recorded.cluster.controller.restart().await;
    recorded.until_recorded(&namespace, "meanwhile", &["Requested", "Granted", "Expired"]).await;
    let figures = ["daypass_unrecorded_requests", "daypass_unrecordable_requests", "daypass_oldest_unrecorded_seconds"];
    eventually("nothing waits any more", SOON, async || {
        for figure in figures {
            let value = recorded.cluster.controller.metric(figure).await;
            if value != 0.0 {
                return Err(format!("{figure} is {value}"));
            }
        }
        Ok(())
    })
    .await;
}

async fn deleted(mut recorded: Recorded) {
    changed(&mut recorded).await;
    let cluster = &recorded.cluster;
    let (namespace, going) = (cluster.namespace("shop").await, cluster.namespace("going").await);
    for place in [&namespace, &going] {
        cluster.allow(place, place, json!({})).await;
        cluster.ask(ALICE, place, "fix", json!({ "duration": "10m" })).await;
        cluster.until(place, "fix", State::Active).await;
    }
    cluster.ask(ALICE, &namespace, "own", json!({ "role": { "name": "cluster-admin" } })).await;
    cluster.until(&namespace, "own", State::Denied).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    cluster.kubectl(ALICE).ok(&["delete", "areq", "own", "-n", &namespace]).await;
    cluster.kubectl(ADMIN).ok(&["delete", "namespace", &going, "--wait=false"]).await;
    let records = recorded.until_recorded(&namespace, "fix", &["Requested", "Granted", "Deleted"]).await;
    assert_eq!(records[2].access.role, records[1].access.role);
    assert_eq!(records[2].previous, Some(records[1].digest()));
    let printed = printed(cluster, &records[0].request.uid);
    assert_eq!(printed.last(), Some(&records[2].bytes()), "what is held is what was printed");
    recorded.until_recorded(&namespace, "own", &["Requested", "Denied", "Deleted"]).await;
    // Access ends with the namespace, and that is written down while there is time.
    let last = recorded.until_last(&going, "Deleted").await;
    assert!(last.actor.is_none() && last.given.is_some(), "{last:?}");
    unseen(&recorded).await;
}

/// What went while no controller ran is missed by the next one, once; what is there, or over, is not.
async fn unseen(recorded: &Recorded) {
    let cluster = &recorded.cluster;
    let namespace = cluster.namespace("unseen").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let requests = [("went", json!({ "duration": "10m" })), ("stays", json!({ "duration": "10m" }))];
    let mut uids = Vec::new();
    for (name, spec) in requests {
        cluster.ask(ALICE, &namespace, name, spec).await;
        let records = recorded.until_recorded(&namespace, name, &["Requested", "Granted"]).await;
        uids.push(records[0].request.uid.clone());
    }
    let uid = &uids[0];
    cluster.ask(ALICE, &namespace, "over", json!({ "role": { "name": "cluster-admin" } })).await;
    recorded.until_recorded(&namespace, "over", &["Requested", "Denied"]).await;
    cluster.controller.kill();
    for name in ["went", "over"] {
        cluster.kubectl(ADMIN).ok(&["delete", "areq", name, "-n", &namespace]).await;
    }
    // Another of its name is another.
    cluster.ask(ALICE, &namespace, "went", json!({ "duration": "10m" })).await;
    let kinds = ["Requested", "Granted", "Deleted", "Requested", "Granted"];
    for round in ["first", "second"] {
        cluster.controller.restart().await;
        cluster.ask(ALICE, &namespace, round, json!({ "duration": "10m" })).await;
        // It is sent behind the look at what is missing.
        recorded.until_recorded(&namespace, round, &["Requested", "Granted"]).await;
        let records = recorded.records(&namespace).await;
        let of = |name: &'static str| records.iter().filter(move |record| record.request.name == name);
        let (mut went, again): (Vec<&Record>, Vec<&Record>) = of("went").partition(|one| one.request.uid == *uid);
        went.extend(again);
        assert_eq!(went.iter().map(|record| record.kind.as_str()).collect::<Vec<_>>(), kinds, "{round}");
        assert!(went[2].message.is_some() && went[2].previous == Some(went[1].digest()), "{:?}", went[2]);
        assert_eq!(of("stays").count() + of("over").count(), 4, "{round}");
        let missing = printed(cluster, uid).into_iter().filter(|line| *line == went[2].bytes()).count();
        assert_eq!(missing, 1, "it is printed once");
    }
}

/// What a request was decided by is found by its digest, though it was changed and deleted while the archive was away.
async fn changed(recorded: &mut Recorded) {
    let namespace = recorded.cluster.namespace("texts").await;
    let admin = recorded.cluster.kubectl(ADMIN);
    recorded.archive.kill();
    let cluster = &recorded.cluster;
    let name = json!({ "kind": "Role", "name": "deployer" });
    let policy = |description: &str| json!({ "roles": [name.clone()], "description": description });
    admin.apply(&deployer(&namespace, "get").to_string()).await;
    cluster.allow(&namespace, &namespace, policy("as it was")).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "role": name, "duration": "10m" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    admin.apply(&deployer(&namespace, "list").to_string()).await;
    let requests = cluster.requests(&namespace).await;
    eventually("the role's change is noted", SOON, async || {
        let status = requests.get("fix").await.expect("the request").status.expect("a status");
        let noted = status.history.iter().any(|entry| entry.event == Reason::RoleChanged);
        if noted { Ok(()) } else { Err(json!(status).to_string()) }
    })
    .await;
    cluster.allow(&namespace, &namespace, policy("as it is now")).await;
    cluster.kubectl(GITOPS).ok(&["delete", "apol", &namespace]).await;
    cluster.until(&namespace, "fix", State::Revoked).await;
    admin.ok(&["delete", "role", "deployer", "-n", &namespace]).await;
    recorded.archive.run().await;
    admin.ok(&["wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1.archive.daypass.dev"]).await;
    recorded.until_last(&namespace, "Revoked").await;
    let texts = recorded.texts(&namespace).await;
    for part in ["as it was", r#""verbs":["get"]"#, r#""verbs":["list"]"#] {
        assert!(texts.values().any(|text| text.contains(part)), "{part} is not in {texts:?}");
    }
    assert_eq!(recorded.cluster.controller.metric("daypass_lost_texts_total").await, 0.0);
}

/// A Role of this verb on pods.
fn deployer(namespace: &str, verb: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "deployer", "namespace": namespace },
        "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": [verb] }]
    })
}
