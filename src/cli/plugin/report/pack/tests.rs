//! The pack of a made quarter, and the script that checks it: what it passes, and what it finds.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::blank;
use super::written::PackPlace;
use crate::api::record::digest;
use crate::cli::plugin::output::document::ReportForm;
use crate::cli::plugin::report::reading::ScopeRead;
use crate::cli::plugin::report::{access, usage};
use crate::cli::plugin::requests::Where;
use crate::core::evidence::controls::ControlTable;
use crate::core::evidence::grants::{EndBound, grants};
use crate::core::evidence::known::NamedTexts;
use crate::core::evidence::pack::{EvidencePack, PackInput, PackOrigin, begun, begun_of, chains_of};
use crate::core::laws::quarter::{Quarter, quarter};

/// What is altered is chosen by it.
const SEED: u64 = 23;
/// Files that the script makes again: a change to a cell is found though all digests are made anew.
const MADE_AGAIN: [&str; 7] = [
    "population.csv",
    "grants.csv",
    "approvals.csv",
    "break-glass.csv",
    "exceptions.csv",
    "policies.csv",
    "activity.csv",
];
/// Columns of the table of controls that the script makes again.
const COUNTED: [&str; 4] = ["measure", "result", "operated", "of"];

fn origin(made: &Quarter) -> PackOrigin {
    PackOrigin {
        from: made.from,
        to: made.to,
        clock: made.to + SignedDuration::from_hours(1),
        by: "ida".to_owned(),
        version: "0.0.0".to_owned(),
        source: "archive",
        queries: vec!["/apis/archive.daypass.dev/v1/records?since=2026-07-01T00:00:00Z".to_owned()],
        purpose: Some("the trial".to_owned()),
        late_after: 60,
        held: [Some(made.links.len() as u64); 2],
    }
}

fn pack(count: usize) -> EvidencePack {
    pack_of(&quarter(count))
}

fn pack_of(made: &Quarter) -> EvidencePack {
    let used = |(cluster, uid): (String, String)| {
        json!({ "cluster": cluster, "request": uid, "known": "Used", "why": "so", "calls": 3, "refused": 0, "standing": 0, "ambiguous": 0,
            "first": "2026-07-01T10:00:00Z", "last": null, "open": 0, "rows": [] })
    };
    let answers: Vec<Value> = begun(&made.links, made.from, made.to).into_iter().map(used).collect();
    let binding = json!({ "metadata": { "name": "ops", "namespace": "shop" }, "subjects": [{ "kind": "Group", "name": "ops" }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" } });
    let binding: k8s_openapi::api::rbac::v1::RoleBinding = serde_json::from_value(binding).unwrap();
    let input = PackInput {
        links: made.links.clone(),
        texts: made.texts.clone(),
        bindings: Ok(vec![(&binding).into()]),
        activity: Ok(answers),
        ..blank(origin(made), ControlTable::built_in().unwrap())
    };
    EvidencePack::of(input)
}

/// What the script says, and whether it found nothing wrong.
fn checked(place: &Path) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/evidence/check_pack.py");
    let run = Command::new("python3").arg("-B").arg(script).arg(place).output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap() + &String::from_utf8_lossy(&run.stderr);
    assert!(matches!(run.status.code(), Some(0 | 1)), "{said}");
    (run.status.success(), said)
}

/// A pack in a folder, whose files are altered one after the other.
struct AlteredPack {
    folder: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

impl AlteredPack {
    fn new(folder: &Path, pack: &EvidencePack) -> Self {
        PackPlace::free(folder).unwrap().write(pack).unwrap();
        let files = pack.files.iter().map(|file| (file.name.to_owned(), file.text.clone().into_bytes())).collect();
        Self { folder: folder.to_owned(), files }
    }

    fn text(&self, name: &str) -> String {
        let file = self.files.iter().find(|(file, _)| file == name).unwrap();
        String::from_utf8(file.1.clone()).unwrap()
    }

    /// What the script says of the pack with another file in place of one. With `again`, manifest and digests are made anew.
    fn with(&self, name: &str, bytes: &[u8], again: bool) -> (bool, String) {
        std::fs::write(self.folder.join(name), bytes).unwrap();
        if again {
            let mut manifest: Value = serde_json::from_str(&self.text("manifest.json")).unwrap();
            for file in manifest["files"].as_array_mut().unwrap() {
                if file["name"] == name {
                    file["sha256"] = json!(digest(bytes));
                    file["bytes"] = json!(bytes.len());
                    if file["rows"].is_number() {
                        let lines = String::from_utf8_lossy(bytes).matches('\n').count();
                        // No cell of the altered rows has a line break, so rows come and go with lines.
                        let before = self.text(name).matches('\n').count();
                        let rows = file["rows"].as_u64().unwrap() as usize + lines - before;
                        file["rows"] = json!(rows);
                    }
                }
            }
            let manifest = format!("{manifest:#}\n");
            std::fs::write(self.folder.join("manifest.json"), &manifest).unwrap();
            let sum = |bytes: &[u8]| digest(bytes).trim_start_matches("sha256:").to_owned();
            let line = |(file, old): &(String, Vec<u8>)| {
                let now = match file.as_str() {
                    "manifest.json" => manifest.as_bytes(),
                    file if file == name => bytes,
                    _ => old,
                };
                format!("{}  {file}\n", sum(now))
            };
            let sums: String = self.files.iter().filter(|(file, _)| file != "SHA256SUMS").map(line).collect();
            std::fs::write(self.folder.join("SHA256SUMS"), sums).unwrap();
        }
        let answer = checked(&self.folder);
        for (file, old) in &self.files {
            if file == name || ["manifest.json", "SHA256SUMS"].contains(&file.as_str()) {
                std::fs::write(self.folder.join(file), old).unwrap();
            }
        }
        answer
    }
}

/// Numbers that look random and are the same each time.
struct Sampled(u64);

impl Sampled {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

#[test]
fn the_pack_of_a_quarter_of_two_thousand_requests_is_found_to_be_whole() {
    let folder = tempfile::tempdir().unwrap();
    let pack = pack(2000);
    assert_eq!(pack.manifest["counts"]["requests"], 2000);
    for name in ["pack", "pack.tar.gz"] {
        let place = folder.path().join(name);
        PackPlace::free(&place).unwrap().write(&pack).unwrap();
        let (whole, said) = checked(&place);
        assert!(whole, "{said}");
        assert!(said.contains("2000 requests") && said.contains("What this does not show"), "{said}");
        assert!(PackPlace::free(&place).is_err(), "it would write over a pack");
    }
    // What the quarter was made to have, as its tables tell it.
    let grants = pack.table("grants.csv").unwrap();
    let count = |column: &str, word: &str| grants.rows.iter().filter(|row| grants.cell(row, column) == word).count();
    assert_eq!((count("order", "ok"), count("ownApproval", "no")), (grants.rows.len(), grants.rows.len()));
    assert_eq!((count("asAsked", "no"), count("asAsked", "unknown"), count("eligible", "no")), (0, 0, 0));
    assert_eq!(count("inTime", "no"), count("end", "stated") - count("inTime", "yes"));
    assert!(count("inTime", "no") > 60 && count("asAsked", "automatic") > 300 && count("asAsked", "breakGlass") > 200);
    assert!(count("eligible", "recorded") > 100 && count("eligible", "yes") > 100);
}

/// Reports on the same quarter, as pages.
#[test]
fn the_pages_of_a_quarter_have_a_table_beside_each_chart() {
    let made = quarter(250);
    let chains = chains_of(made.links.clone(), made.from, made.to);
    let known = NamedTexts::new(made.texts.clone(), &chains);
    let grants = grants(&chains, &known, EndBound { clock: made.to, late_after: 60 });
    let used = |(at, (cluster, uid)): (usize, (String, String))| {
        let known = ["Used", "NotUsed", "Used", "Unknown"][at % 4];
        json!({ "cluster": cluster, "request": uid, "known": known, "calls": at % 4 * 3, "refused": 0, "standing": 0, "ambiguous": 0 })
    };
    let answers: Vec<Value> = begun_of(&chains).into_iter().enumerate().map(used).collect();
    let uses = crate::core::evidence::activity::activity(&answers);
    let (place, now) = (Where::Everywhere, made.to);
    let read = ScopeRead { place, since: made.from, now, chains, grants, has_archive: true };
    let pages = [("access", access::report(&read)), ("usage", usage::report(&read, &uses, vec!["so".to_owned()]))];
    for (name, report) in pages {
        let page = report.document(ReportForm::Html).unwrap();
        let sections: Vec<&str> = page.split("<section>").skip(1).collect();
        assert_eq!(sections.len(), report.parts.len());
        assert!(sections.iter().all(|part| part.contains("<table")), "{name}: a part without a table");
        assert!(sections[0].contains("<svg") && !sections[sections.len() - 1].contains("<svg"), "{name}");
        assert!(!page.contains("<script") && page.contains("=gus"), "{name}");
        if std::path::Path::new("/tmp/look").exists() {
            std::fs::write(format!("/tmp/look/{name}.html"), &page).unwrap();
        }
        let rows = report.document(ReportForm::Csv).unwrap().lines().count();
        let moved = if name == "usage" { 10 } else { 0 };
        assert_eq!(rows, read.grants.rows.len() + 1 - moved, "{name}: a row for each grant, and heads");
    }
}

#[test]
fn an_altered_or_removed_row_of_any_file_and_column_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let pack = pack(25);
    let altered = AlteredPack::new(&folder.path().join("pack"), &pack);
    let mut sampled = Sampled(SEED);
    assert!(checked(&altered.folder).0);
    for table in &pack.tables {
        let name = table.schema.file;
        assert!(!table.rows.is_empty(), "{name} has no row to alter");
        for (column, (head, _)) in table.schema.columns.iter().enumerate() {
            let again = MADE_AGAIN.contains(&name) || (name == "controls.csv" && COUNTED.contains(head));
            let mut other = table.clone();
            let row = sampled.below(other.rows.len());
            other.rows[row][column].push('7');
            let (whole, said) = altered.with(name, other.csv().as_bytes(), again);
            assert!(!whole && said.contains(name), "{name}: {head} of row {row}: {said}");
        }
        if MADE_AGAIN.contains(&name) {
            let mut other = table.clone();
            let row = other.rows.iter().position(|row| row.iter().all(|cell| !cell.contains('\n'))).unwrap();
            other.rows.remove(row);
            let (whole, said) = altered.with(name, other.csv().as_bytes(), true);
            assert!(!whole && said.contains(name), "{name}: without row {row}: {said}");
        }
    }
    for name in ["records.jsonl", "texts.jsonl", "activity.jsonl"] {
        let text = altered.text(name);
        let lines: Vec<&str> = text.lines().collect();
        let gone = sampled.below(lines.len());
        let rest: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| *line).collect();
        let (whole, said) = altered.with(name, (rest.join("\n") + "\n").as_bytes(), true);
        assert!(!whole, "{name}: without line {gone}: {said}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let altered = AlteredPack::new(&folder.path().join("pack"), &pack(25));
    let mut sampled = Sampled(SEED);
    for (name, bytes) in &altered.files {
        for place in [0, bytes.len() - 1, sampled.below(bytes.len())] {
            let mut other = bytes.clone();
            other[place] ^= 1;
            let (whole, said) = altered.with(name, &other, false);
            assert!(!whole && said.contains("WRONG"), "{name}: byte {place}: {said}");
        }
    }
    std::fs::write(altered.folder.join("more.csv"), "").unwrap();
    let (whole, said) = checked(&altered.folder);
    assert!(!whole && said.contains("more.csv"), "{said}");
}

/// Of each record every field that a table is made of, with all that hangs on it made anew but the chain.
#[test]
fn a_changed_record_is_found_though_its_digest_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let altered = AlteredPack::new(&folder.path().join("pack"), &pack(25));
    let text = altered.text("records.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    let mut sampled = Sampled(SEED);
    for _ in 0..12 {
        let at = sampled.below(lines.len());
        let mut record: Value = serde_json::from_str(lines[at]).unwrap();
        record["at"] = json!("2026-07-01T00:00:00.000007Z");
        let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        all[at] = record.to_string();
        let (whole, said) = altered.with("records.jsonl", (all.join("\n") + "\n").as_bytes(), true);
        assert!(!whole, "line {at}: {said}");
    }
}

/// Whoever makes all tables anew must make the whole chain anew too.
#[test]
fn a_record_that_does_not_follow_is_found_though_the_whole_pack_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (made, mut sampled) = (quarter(25), Sampled(SEED));
    for round in 0..6 {
        let mut other = Quarter { links: made.links.clone(), texts: made.texts.clone(), ..made };
        let at = sampled.below(other.links.len() - 1);
        let follows = other.links[at + 1].record.index > 0;
        if round % 2 == 0 && follows {
            other.links.remove(at);
        } else {
            let at = if follows { at } else { at + 1 };
            other.links[at].record.message = Some("It never happened.".to_owned());
            other.links[at].line = other.links[at].record.bytes();
        }
        let place = folder.path().join(round.to_string());
        PackPlace::free(&place).unwrap().write(&pack_of(&other)).unwrap();
        let (whole, said) = checked(&place);
        assert!(!whole && said.contains("its chain is not whole"), "round {round}, link {at}: {said}");
    }
}
