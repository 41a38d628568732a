//! `history`, and `show` of what is gone: from the archive for who may read it, from the requests for everybody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use daypass::api::State;
use daypass::runtime::clock::Clock;
use kube::ResourceExt;
use libtest_mimic::Trial;
use regex::Regex;
use serde_json::{Value, json};

use super::doctor::findings;
use crate::harness::binaries;
use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL, DAVE, EVE};
use crate::harness::{Cluster, eventually, shared};
use crate::outbox::{Recorded, with_archive};

pub fn trials() -> Vec<Trial> {
    vec![
        with_archive("plugin::history::tells_of_requests_that_are_gone_to_who_may_read_the_archive", None, archived),
        shared("plugin::history::tells_of_requests_that_are_there_where_there_is_no_archive", without_archive),
    ]
}

/// What is shown, with the same words for every time and UID, and two spaces between cells.
fn steady(shown: &str) -> String {
    let time = Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap();
    let uid = Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let gap = Regex::new(" {2,}").unwrap();
    let shown = uid.replace_all(shown, "UID").into_owned();
    gap.replace_all(&time.replace_all(&shown, "TIME"), "  ").into_owned()
}

async fn uid(cluster: &Cluster, namespace: &str, name: &str) -> String {
    cluster.requests(namespace).await.get(name).await.unwrap().uid().unwrap()
}

/// alice has had request `fix`, which is purged; eve has one of the same name.
async fn two_of_one_name(recorded: &Recorded, namespace: &str) -> String {
    let cluster = &recorded.cluster;
    cluster.allow("edits", namespace, json!({})).await;
    cluster
        .ask(ALICE, namespace, "fix", json!({ "duration": "40m", "ticket": "OPS-7", "reason": "disk is full" }))
        .await;
    cluster.until(namespace, "fix", State::Active).await;
    let first = uid(cluster, namespace, "fix").await;
    cluster.review(ALICE, namespace, "fix", "Revoke", "done").await;
    cluster.until(namespace, "fix", State::Revoked).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", namespace]).await;
    let all = recorded.until_recorded(namespace, "fix", &["Requested", "Granted", "Revoked", "Deleted"]).await;
    // A request is made at a whole second, and should come behind what happened before.
    eventually("the next second has begun", SOON, async || {
        let last = all.iter().map(|record| record.at.0.as_second()).max();
        if Some(Clock::wall().now().as_second()) > last { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    cluster.ask(EVE, namespace, "fix", json!({ "duration": "50m" })).await;
    cluster.until(namespace, "fix", State::Active).await;
    eventually("the archive has that too", SOON, async || {
        let records = recorded.records(namespace).await;
        if records.len() == 6 { Ok(()) } else { Err(format!("{} records", records.len())) }
    })
    .await;
    first
}

async fn archived(mut recorded: Recorded) {
    let namespace = recorded.cluster.namespace("shop").await;
    let gone = two_of_one_name(&recorded, &namespace).await;
    let admin = recorded.cluster.kubectl(ADMIN);
    let reader = "--clusterrole=daypass-archive-reader";
    admin.ok(&["create", "clusterrolebinding", "carol-audits", reader, "--user=carol"]).await;
    admin.ok(&["create", "rolebinding", "dave-reads", reader, "--user=dave", "-n", &namespace]).await;
    eventually("dave may read", SOON, async || {
        let (code, _, err) = Plugin::of(&recorded.cluster, DAVE).run(&["history", "-n", &namespace]).await;
        if code == Some(0) && err.is_empty() { Ok(()) } else { Err(err) }
    })
    .await;
    an_auditor_is_told_all(&recorded, &namespace, &gone).await;
    for_programs(&recorded, &namespace).await;
    a_pack_is_whole_and_its_export_is_noted(&recorded).await;
    what_is_gone_is_shown(&recorded.cluster, &namespace, &gone).await;
    others_are_told_what_they_may_read(&recorded.cluster, &namespace, &gone).await;
    doctor_says(&recorded.cluster, &["ok delivery", "ok retention", "ok service"], 1).await;
    what_the_archive_lacks_is_told_too(&mut recorded, &namespace).await;
    doctor_says(&recorded.cluster, &["error service", "ok delivery", "ok retention"], 1).await;
}

/// What `doctor` says of the archive. Deployments have no replicas here, so that it ends well is for other trials.
async fn doctor_says(cluster: &Cluster, expected: &[&str], code: i32) {
    let findings = findings(cluster, ADMIN, &[], code).await;
    let of_archive = findings.iter().filter(|finding| finding["check"] == "archive");
    let words = |finding: &Value| ["level", "object"].map(|part| finding[part].as_str().unwrap_or_default()).join(" ");
    let mut found: Vec<String> = of_archive.map(words).collect();
    found.sort();
    assert_eq!(found, expected, "{findings:#?}");
}

async fn an_auditor_is_told_all(recorded: &Recorded, namespace: &str, gone: &str) {
    let carol = Plugin::of(&recorded.cluster, CAROL);
    let line =
        |what: &str, who: &str, by: &str| format!("TIME  {what}  {who}  edit  {namespace}  {by}{namespace}/fix\n");
    let of_alice = [
        line("Deleted", "alice", ""),
        line("Revoked", "alice", "alice  "),
        line("Granted", "alice", ""),
        line("Requested", "alice", "alice  "),
    ];
    let of_eve = [line("Granted", "eve", ""), line("Requested", "eve", "eve  ")].concat();
    let told = async |args: &[&str]| steady(&carol.done(&[&["history", "--no-headers"], args].concat()).await);
    let here = ["-n", namespace];
    let with_heads = steady(&carol.done(&[&["history"][..], &here].concat()).await);
    assert_eq!(with_heads, format!("WHEN  WHAT  WHO  ROLE  WHERE  BY  REQUEST\n{of_eve}{}", of_alice.concat()));
    for (flags, expected) in [
        (&["--person=alice"][..], of_alice.concat()),
        (&["--person=alice", "--since=1h", "--role=ClusterRole/edit", "-A"], of_alice.concat()),
        (&["--policy=edits", "--person=eve"], line("Granted", "eve", "")),
        (&["--text=FULL disk"], line("Requested", "alice", "alice  ")),
        (&["--until=1h"], String::new()),
        (&["--role=admin"], String::new()),
    ] {
        let args = if flags.contains(&"-A") { flags.to_vec() } else { [flags, &here].concat() };
        assert_eq!(told(&args).await, expected, "{flags:?}");
    }
    let (out, err) = carol.ends(&["history", "-n", namespace, "--limit=2", "--no-headers"], 0).await;
    assert_eq!(steady(&out), of_eve);
    assert!(err.contains("note: these are the newest 2, and there are older ones: give --until, or --limit"), "{err}");
    let (_, err) = carol.ends(&["history", "-n", namespace, "--limit=6"], 0).await;
    assert_eq!(err, "", "there are no more than 6");
    let life = carol.done(&["history", gone, "-n", namespace]).await;
    let facts = format!(
        "who  alice\nrole  edit\nwhere  {namespace}\nfor  40m\nfrom  TIME\nuntil  TIME\nwhy  disk is full\nticket  OPS-7\nrisk  High\npolicy  edits, generation 1\nuid  UID\n"
    );
    let granted =
        format!("alice has ClusterRole/edit in namespace {namespace} for 40m, until TIME; policy edits allows it");
    let words = [
        "WHEN  WHAT  BY  WORDS".to_owned(),
        "TIME  Requested  alice  disk is full".to_owned(),
        format!("TIME  Granted  {granted}"),
        "TIME  Revoked  alice  alice ended it: done".to_owned(),
        "TIME  Deleted\n".to_owned(),
    ];
    assert_eq!(steady(&life), format!("{namespace}/fix Revoked\n\n{facts}\n{}", words.join("\n")));
    let both = steady(&carol.done(&["history", "fix", "-n", namespace]).await);
    assert!(
        both.starts_with(&steady(&life)) && both.contains(&format!("\n\n{namespace}/fix Granted\n\nwho  eve\n")),
        "{both}"
    );
}

async fn for_programs(recorded: &Recorded, namespace: &str) {
    let carol = Plugin::of(&recorded.cluster, CAROL);
    let path = format!("/apis/archive.daypass.dev/v1/namespaces/{namespace}/records");
    let raw = recorded.cluster.kubectl(CAROL).ok(&["get", "--raw", &path]).await;
    let raw: Value = serde_json::from_str(&raw).unwrap();
    let list: Value = serde_json::from_str(&carol.done(&["history", "-n", namespace, "-o", "json"]).await).unwrap();
    assert_eq!((&list["kind"], &list["items"]), (&json!("List"), &raw["items"]), "it is not as the archive has it");
    let names = carol.done(&["history", "-n", namespace, "--person=eve", "-o", "name"]).await;
    let eve = uid(&recorded.cluster, namespace, "fix").await;
    assert_eq!(names, [1, 0].map(|index| format!("record.archive.daypass.dev/{eve}.{index}\n")).concat());
    for format in ["jsonl", "csv"] {
        let exported = carol.done(&["history", "-n", namespace, &format!("--export={format}")]).await;
        let raw = recorded.cluster.kubectl(CAROL).ok(&["get", "--raw", &format!("{path}?format={format}")]).await;
        assert_eq!(exported, raw, "{format}: not the bytes that the archive has");
    }
}

async fn a_pack_is_whole_and_its_export_is_noted(recorded: &Recorded) {
    let carol = Plugin::of(&recorded.cluster, CAROL);
    let file = recorded.cluster.control_plane.dir().join("evidence.tar.gz").display().to_string();
    let pack = ["report", "pack", "--from=1h", "--purpose=audit 7", "-f", &file];
    let (out, _) = carol.ends(&pack, 0).await;
    assert!(out.is_empty(), "{out}");
    let script = binaries::repository().join("examples/evidence/check_pack.py");
    let checked = std::process::Command::new("python3").arg("-B").arg(script).arg(&file).output().expect("run python3");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.contains("3 requests with 8 records"), "{said}");
    let reads = recorded.cluster.kubectl(CAROL).ok(&["get", "--raw", "/apis/archive.daypass.dev/v1/reads"]).await;
    let reads: Value = serde_json::from_str(&reads).unwrap();
    let reads = reads["items"].as_array().expect("reads");
    let export = reads.iter().find(|read| read["purpose"] == "evidence pack: audit 7").expect("the export is noted");
    assert_eq!((&export["user"], &export["rows"]), (&json!("carol"), &json!(8)), "{export}");
    let (_, err) = carol.ends(&pack, 2).await;
    assert!(err.contains("is there already"), "it writes over a pack: {err}");
    let access = carol.done(&["report", "access", "-A", "-o", "csv"]).await;
    assert_eq!(access.lines().filter(|line| line.contains("ClusterRole/edit")).count(), 2, "{access}");
    let usage: Value = serde_json::from_str(&carol.done(&["report", "usage", "-A", "-o", "json"]).await).unwrap();
    assert_eq!(usage["parts"][2]["rows"].as_array().map(Vec::len), Some(2), "{usage:#}");
}

async fn what_is_gone_is_shown(cluster: &Cluster, namespace: &str, gone: &str) {
    let carol = Plugin::of(cluster, CAROL);
    assert!(carol.done(&["show", "fix", "-n", namespace]).await.starts_with(&format!("{namespace}/fix Active\n")));
    for args in [&["show", "fix", "--uid", gone][..], &["show", "--uid", gone]] {
        let (out, err) = carol.ends(&[args, &["-n", namespace]].concat(), 0).await;
        assert!(out.starts_with(&format!("{namespace}/fix Revoked\n\nwho")), "{out}");
        assert!(err.contains("note: the request is gone from the cluster"), "{err}");
    }
    let out = carol.done(&["show", "--uid", gone, "-n", namespace, "-o", "jsonpath={.items[*].record.kind}"]).await;
    assert_eq!(out, "Requested Granted Revoked Deleted");
    let (_, err) = carol.ends(&["show", "nix", "-n", namespace], 1).await;
    assert!(err.contains("there is no request nix"), "{err}");
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", namespace]).await;
    let (out, err) = carol.ends(&["show", "fix", "-n", namespace], 0).await;
    assert!(out.contains("who    eve") || steady(&out).contains("who  eve"), "the last of that name: {out}");
    assert!(err.contains("note: 1 before it had that name"), "{err}");
}

async fn others_are_told_what_they_may_read(cluster: &Cluster, namespace: &str, gone: &str) {
    cluster.ask(EVE, namespace, "again", json!({ "duration": "50m" })).await;
    cluster.until(namespace, "again", State::Active).await;
    let alice = Plugin::of(cluster, ALICE);
    let refused = |place: &str, binding: &str| {
        format!(
            "note: you may not list records.archive.daypass.dev in {place}, so this is what the requests say that are \
             still there: ask for a {binding} to ClusterRole daypass-archive-reader\n"
        )
    };
    let here = refused(&format!("namespace {namespace}"), "RoleBinding");
    let (out, err) = alice.ends(&["history", "-n", namespace, "--no-headers"], 0).await;
    assert_eq!(err, here);
    let line = |what: &str, by: &str| format!("TIME  {what}  eve  edit  {namespace}  {by}{namespace}/again\n");
    assert_eq!(steady(&out), line("Granted", "") + &line("Requested", "eve  "));
    let (out, err) = alice.ends(&["history", "-n", namespace, "--person=alice"], 0).await;
    assert_eq!((out.as_str(), err.contains("there is no such record of requests that are still there")), ("", true));
    for args in [&["history", gone][..], &["show", "--uid", gone], &["show", "fix"]] {
        let (out, err) = alice.ends(&[args, &["-n", namespace]].concat(), 1).await;
        assert!(out.is_empty() && err.starts_with(&here), "{args:?}: {out}{err}");
    }
    let dave = Plugin::of(cluster, DAVE);
    let (_, err) = dave.ends(&["history", "-A"], 0).await;
    assert!(err.starts_with(&refused("all namespaces", "ClusterRoleBinding")), "{err}");
    let (out, err) = dave.ends(&["history", gone, "-n", namespace], 0).await;
    assert!(out.contains("Deleted") && err.is_empty(), "{out}{err}");
}

/// Words in alphabetical order: what happens within a second of a creation may stand on either side of it.
fn sorted(words: &str) -> String {
    let mut words: Vec<&str> = words.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

async fn what_the_archive_lacks_is_told_too(recorded: &mut Recorded, namespace: &str) {
    recorded.until_recorded(namespace, "again", &["Requested", "Granted"]).await;
    recorded.cluster.controller.kill();
    recorded.cluster.ask(ALICE, namespace, "late", json!({ "duration": "50m" })).await;
    let carol = Plugin::of(&recorded.cluster, CAROL);
    let of_requests = ["history", "-n", namespace, "-o", "jsonpath={.items[*].record.request.name}"];
    let (out, err) = carol.ends(&of_requests, 0).await;
    assert_eq!(sorted(&out), "again again fix fix fix fix fix fix fix late", "each once");
    assert!(err.contains("no cluster and no previous"), "{err}");
    let late = carol.done(&["history", "late", "-n", namespace]).await;
    assert!(late.starts_with(&format!("{namespace}/late Requested\n")), "{late}");
    let admin = Plugin::of(&recorded.cluster, ADMIN);
    let list: Value = serde_json::from_str(&admin.done(&["history", "-n", namespace, "-o", "json"]).await).unwrap();
    let clusters: BTreeSet<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["record"]["cluster"].as_str().unwrap()).collect();
    assert_eq!(clusters.len(), 1, "of the same cluster");
    recorded.archive.kill();
    let (out, err) = carol.ends(&of_requests, 0).await;
    assert_eq!(sorted(&out), "again again late");
    assert!(err.contains("note: the archive does not answer, so this is what the requests say"), "{err}");
}

async fn without_archive(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("told").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "40m" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let alice = Plugin::of(&cluster, ALICE);
    let (out, err) = alice.ends(&["history", "-n", &namespace, "--no-headers", "-o", "wide"], 0).await;
    let granted = format!(
        "alice has ClusterRole/edit in namespace {namespace} for 40m, until TIME; policy {namespace} allows it"
    );
    let expected = format!(
        "TIME  Granted  alice  edit  {namespace}  {namespace}/fix  {namespace}  UID  {granted}\n\
         TIME  Requested  alice  edit  {namespace}  alice  {namespace}/fix  UID  a trial\n"
    );
    assert_eq!((steady(&out).as_str(), err.as_str()), (expected.as_str(), ""));
    let (out, _) = alice.ends(&["history", "-n", &namespace, "--text=trial", "-o", "json"], 0).await;
    let list: Value = serde_json::from_str(&out).unwrap();
    let record = &list["items"][0]["record"];
    assert_eq!((list["items"].as_array().unwrap().len(), &record["kind"]), (1, &json!("Requested")));
    assert_eq!(record.get("cluster"), None, "alice may not know its UID");
    let (_, err) = alice.ends(&["history", "nix", "-n", &namespace], 1).await;
    assert!(err.contains(&format!("nothing is known of a request nix in namespace {namespace}")), "{err}");
    let (_, err) = alice.ends(&["activity", "fix", "-n", &namespace], 1).await;
    assert!(err.contains("cannot be known: the cluster has no archive"), "{err}");
    for wrong in ["--since=yesterday", "--limit=-1", "--export=xml"] {
        alice.ends(&["history", "-n", &namespace, wrong], 2).await;
    }
}
