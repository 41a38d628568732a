//! Who does not trust the archive verifies its log: whole and changed, with a request proven and somebody erased.

use std::path::Path;
use std::process::Command;

use daypass::runtime::note_signer::{NoteSigner, SignerUse};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{LIMIT, Receiver};
use crate::harness::binaries::repository;
use crate::harness::eventually;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, CAROL, GRETA};

/// The UID of a request that is over.
const OVER: &str = "0e3f7a5c-1d2b-4c3a-9e8f-000000000001";

/// A log that carol reads, and the key that checks it.
struct Verified<'a> {
    archive: &'a Receiver<'a>,
    carol: Plugin,
    key: &'a str,
}

impl Verified<'_> {
    /// The verdict, and whether all is well by the exit code.
    async fn verdict(&self, more: &[&str]) -> (Option<i32>, Value) {
        let args = [&["verify", "--key", self.key, "-o", "json"], more].concat();
        let (code, out, err) = self.carol.run(&args).await;
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }

    /// The verdict once all is well.
    async fn sound(&self) -> Value {
        eventually("the log is sound", LIMIT, async || {
            let (code, verdict) = self.verdict(&[]).await;
            if code == Some(0) { Ok(verdict) } else { Err(format!("{code:?}: {verdict}")) }
        })
        .await
    }

    /// Writes to the file of the archive, past it.
    fn changed(&self, sql: &str) {
        let file = Connection::open(self.archive.archive.database()).expect("the database");
        file.busy_timeout(LIMIT).expect("patience");
        assert_eq!(file.execute(sql, []).expect("a change"), 1, "{sql}");
    }

    fn salts(&self, leaf: &str) -> String {
        let file = Connection::open(self.archive.archive.database()).expect("the database");
        let sql = format!("SELECT salts FROM leaf_opening WHERE {leaf}");
        file.query_row(&sql, [], |row| row.get(0)).expect("salts")
    }

    async fn finds(&self, kind: &str) {
        let (code, verdict) = self.verdict(&[]).await;
        let findings = verdict["findings"].as_array().expect("findings");
        assert_eq!(code, Some(1), "{kind}: {verdict:#}");
        assert!(findings.iter().any(|finding| finding["kind"] == kind), "{kind}: {verdict:#}");
    }
}

/// Carol may read all of it. `key` checks the log.
pub async fn by_who_does_not_trust_it(archive: &Receiver<'_>, key: &str) {
    let push = archive.push_token().await;
    let mut first = archive.record(OVER, "shop");
    first["subject"]["username"] = json!("erin");
    let mut last = first.clone();
    last["id"] = json!(format!("{OVER}/1"));
    (last["index"], last["kind"], last["outcome"]) = (json!(1), json!("Revoked"), json!("Ended"));
    last["previous"] = json!(daypass::api::record::digest(first.to_string().as_bytes()));
    for record in [&first, &last, &archive.record("after", "shop")] {
        archive.push(&push, record).await.expect("it is kept");
    }
    let verified = Verified { archive, carol: Plugin::of(archive.cluster, CAROL), key };
    let folder = tempfile::tempdir().expect("a folder");
    let proof = folder.path().join("proof.json");
    verified.sound().await;
    is_proven(&verified, &proof).await;
    changes_are_found(&verified, &folder.path().join("kept")).await;
    is_erased(&verified, &proof).await;
}

/// The file of one request is right to the plugin without a cluster, and to the second program; with another key to neither.
async fn is_proven(verified: &Verified<'_>, proof: &Path) {
    let path = proof.display().to_string();
    let text = eventually("both records are signed", LIMIT, async || {
        let (_, text, err) = verified.carol.run(&["proof", OVER]).await;
        let file: Value = serde_json::from_str(&text).map_err(|_| err)?;
        if file["leaves"].as_array().is_some_and(|leaves| leaves.len() == 2) { Ok(text) } else { Err(text) }
    })
    .await;
    std::fs::write(proof, text).expect("write the proof");
    let offline = Plugin::without_cluster();
    let told = offline.done(&["verify", &path, "--key", verified.key, "-o", "json"]).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let records = told["records"].as_array().expect("records");
    assert_eq!(records.len(), 2, "{told:#}");
    assert_eq!(records[1]["record"]["kind"], "Revoked", "{told:#}");
    assert!(by_python(proof, verified.key));
    let name = verified.key.split('+').next().expect("its name");
    let other = NoteSigner::generate(name, SignerUse::Log).expect("a key").verifier_key();
    assert!(!by_python(proof, &other) && offline.run(&["verify", &path, "--key", &other]).await.0 == Some(1));
}

fn by_python(proof: &Path, key: &str) -> bool {
    let program = repository().join("examples/record/verify.py");
    let output = Command::new("python3").arg(program).arg(proof).arg(key).output().expect("run python3");
    output.status.success()
}

/// A record that was changed, one that was taken away, and a log that was cut, against what was kept elsewhere.
async fn changes_are_found(verified: &Verified<'_>, kept: &Path) {
    let kept_at = kept.display().to_string();
    verified.carol.done(&["verify", "--key", verified.key, "--keep", &kept_at]).await;
    let offline = Plugin::without_cluster();
    offline.done(&["verify", &kept_at, "--key", verified.key]).await;
    let of = format!("WHERE body LIKE '%\"id\":\"{OVER}/0\"%'");
    verified.changed(&format!("UPDATE record SET body = replace(body, 'erin', 'evan') {of}"));
    verified.finds("OtherRecord").await;
    verified.changed(&format!("UPDATE record SET body = replace(body, 'evan', 'erin') {of}"));
    verified.sound().await;
    // Salts and all, as whoever erases would, but no leaf says so.
    let leaf = "place = (SELECT place FROM leaf WHERE body LIKE '%\"id\":\"of-bank/0\"%')";
    let salts = verified.salts(leaf);
    verified.changed(&format!("UPDATE leaf_opening SET salts = '{{}}' WHERE {leaf}"));
    verified.changed(&format!("UPDATE leaf SET record = -record WHERE {leaf}"));
    verified.finds("Withheld").await;
    verified.changed(&format!("UPDATE leaf SET record = -record WHERE {leaf}"));
    verified.changed(&format!("UPDATE leaf_opening SET salts = '{salts}' WHERE {leaf}"));
    verified.sound().await;
    // An earlier checkpoint, as it was kept elsewhere, is of the same history.
    let held = kept.join("checkpoint").display().to_string();
    let (code, verdict) = verified.verdict(&["--against", &held]).await;
    assert_eq!(code, Some(0), "{verdict:#}");
    let said = |kind: &str| verdict["proven"].as_array().expect("claims").iter().any(|claim| claim["kind"] == kind);
    assert!(said("HeldElsewhere") && said("Unchanged") && said("Chained"), "{verdict:#}");
}

/// Who was erased is gone from what is served, and each proof holds on, that of the request too.
async fn is_erased(verified: &Verified<'_>, proof: &Path) {
    let cluster = verified.archive.cluster;
    let keeps =
        ["create", "clusterrolebinding", "greta-erases", "--clusterrole=daypass-archive-keeper", "--user=greta"];
    cluster.kubectl(ADMIN).ok(&keeps).await;
    let erase = ["retention", "erase", "erin", "-m", "erin left", "--yes"];
    let (code, _, err) = verified.carol.run(&erase).await;
    assert!(code == Some(1) && err.contains("create erasures.archive.daypass.dev"), "{err}");
    Plugin::of(cluster, GRETA).done(&erase).await;
    let served = verified.carol.done(&["history", "-A", "-o", "json"]).await;
    assert!(!served.contains("erin") && served.contains("of-bank"), "{served}");
    let verdict = verified.sound().await;
    let unproven = verdict["notProven"].as_array().expect("claims");
    assert!(unproven.iter().any(|claim| claim["kind"] == "Erased"), "{verdict:#}");
    let offline = Plugin::without_cluster();
    offline.done(&["verify", &proof.display().to_string(), "--key", verified.key]).await;
    assert!(by_python(proof, verified.key));
}
