//! The files of a pack, and the manifest that says what they are.
//!
//! Owns which files there are, their order, and what the manifest says that is not known. The same input gives the same
//! bytes. It must not read anything, nor write a file.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::activity::{ACTIVITY_LINES, activity};
use super::approvals::approvals;
use super::break_glass::break_glass;
use super::chain::{ChainLink, EvidenceChain};
use super::controls::{ControlTable, results};
use super::exceptions::exceptions;
use super::grants::{EndBound, grants};
use super::known::NamedTexts;
use super::population::population;
use super::standing::standing;
use super::table::EvidenceTable;
use super::versions::versions;
use crate::api::delivery::TEXT_SCHEMA;
use crate::api::record::{canonical, digest};
use crate::core::insight::seen::BindingUses;
use crate::core::rbac::binding::Observed;
use crate::core::record::texts;

/// The schema of a manifest.
pub const PACK_SCHEMA: &str = "daypass.dev/evidence/v1";
/// Every file that a pack may have.
pub const FILES: [&str; 15] = [
    "records.jsonl",
    "texts.jsonl",
    "population.csv",
    "grants.csv",
    "approvals.csv",
    "break-glass.csv",
    "exceptions.csv",
    "policies.csv",
    "standing.csv",
    "activity.csv",
    ACTIVITY_LINES,
    "controls.csv",
    README,
    MANIFEST,
    SUMS,
];
const README: &str = "README.txt";
const MANIFEST: &str = "manifest.json";
const SUMS: &str = "SHA256SUMS";
const HOW_TO_VERIFY: &str = include_str!("verify.txt");

/// What nobody can know from the records.
const NOT_KNOWN: [&str; 4] = [
    "Who changed a policy: records name the version and its text. The API server's audit log says who wrote it.",
    "The names of the groups of a reviewer, where nobody with the same groups made a request: records keep a digest.",
    "Whether a request was left out of the archive and of this pack alike: signed checkpoints would show it, and there are none.",
    "What was done with access outside of the API server, or while its audit log was not heard.",
];
/// How long what is kept.
const KEPT: [(&str, &str); 3] = [
    ("records and texts", "The archive removes none."),
    (
        "activity",
        "Sums of activity stay with the records of their request; single events are kept for less long, as the archive is set up.",
    ),
    (
        "requests in the cluster",
        "Until the retention time of the controller is over, and an archive holds all of their records.",
    ),
];

/// Who made a pack, when, and by which question.
#[derive(Clone, Debug)]
pub struct PackOrigin {
    /// The first instant of the time.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
    /// When it was made.
    pub clock: Timestamp,
    /// The user who made it, as the cluster says.
    pub by: String,
    /// Version of the program.
    pub version: String,
    /// What the records are from.
    pub source: &'static str,
    /// What was asked, as it was sent, or the files that were read.
    pub queries: Vec<String>,
    /// What it is for, as whoever made it says.
    pub purpose: Option<String>,
    /// An end that was recorded later than this many seconds is late.
    pub late_after: i64,
    /// How many records the archive held before it was read, and after.
    pub held: [Option<u64>; 2],
}

/// All that a pack is made of.
#[derive(Debug)]
pub struct PackInput {
    pub origin: PackOrigin,
    /// Records of requests; those of requests to which nothing happened in the time are left out.
    pub links: Vec<ChainLink>,
    /// Texts by their digests.
    pub texts: BTreeMap<String, String>,
    /// The bindings of the cluster, or why they were not read.
    pub bindings: Result<Vec<Observed>, String>,
    /// When bindings were last used, or why that was not read.
    pub uses: Result<BindingUses, String>,
    /// What the archive says of the use of each request, or why it was not read.
    pub activity: Result<Vec<Value>, String>,
    pub controls: Vec<ControlTable>,
}

/// A file of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackFile {
    pub name: &'static str,
    pub text: String,
    /// Rows of a table, or lines.
    pub rows: Option<usize>,
    columns: Value,
}

/// A pack, and the tables in it.
#[derive(Debug)]
pub struct EvidencePack {
    /// With manifest and sums, which come last.
    pub files: Vec<PackFile>,
    pub tables: Vec<EvidenceTable>,
    pub manifest: Value,
}

/// The chains to which anything happened in the time.
pub fn chains_of(links: Vec<ChainLink>, from: Timestamp, to: Timestamp) -> Vec<EvidenceChain> {
    EvidenceChain::of(links).into_iter().filter(|chain| chain.touches(from, to)).collect()
}

/// The UIDs of the requests of a time whose access began.
pub fn begun(links: &[ChainLink], from: Timestamp, to: Timestamp) -> Vec<(String, String)> {
    begun_of(&chains_of(links.to_vec(), from, to))
}

/// The same of these chains: cluster and UID of each.
pub fn begun_of(chains: &[EvidenceChain]) -> Vec<(String, String)> {
    let begun = chains.iter().filter(|chain| chain.extends().is_none()).filter_map(EvidenceChain::begun);
    begun.map(|record| (record.cluster.clone(), record.request.uid.clone())).collect()
}

impl EvidencePack {
    /// Makes it.
    pub fn of(input: PackInput) -> Self {
        let PackInput { origin, links, texts, bindings, uses, activity: answers, controls } = input;
        let chains = chains_of(links, origin.from, origin.to);
        let named = named_by(&chains);
        let known = NamedTexts::new(texts.into_iter().filter(|(digest, _)| named.contains(digest)).collect(), &chains);
        let missing: Vec<&String> = named.iter().filter(|digest| !known.texts().contains_key(*digest)).collect();
        let mut tables = derived(&chains, &known, &origin);
        let mut not_read = Vec::new();
        let mut lines = vec![record_lines(&chains), text_lines(&known)];
        match &bindings {
            Ok(bindings) => tables.push(standing(bindings, uses.as_ref().ok())),
            Err(why) => not_read.push(json!({ "what": "standing.csv", "why": why })),
        }
        if let Some(why) = why_unheard(&uses) {
            not_read.push(json!({ "what": "lastUsed of standing.csv", "why": why }));
        }
        match &answers {
            Ok(answers) => {
                tables.push(activity(answers));
                lines.push(PackFile::lines(ACTIVITY_LINES, answers.iter().map(canonical)));
            }
            Err(why) => not_read.push(json!({ "what": "activity.csv", "why": why })),
        }
        tables.push(results(&controls, &tables.iter().collect::<Vec<_>>()));
        let mut files = lines;
        files.extend(tables.iter().map(PackFile::table));
        let text = HOW_TO_VERIFY.to_owned();
        files.push(PackFile { name: README, text, rows: None, columns: Value::Null });
        let records = chains.iter().map(|chain| chain.links().len()).sum::<usize>();
        let counts = json!({ "requests": chains.len(), "records": records, "missingTexts": missing });
        let manifest = manifest(&origin, &files, counts, &not_read);
        let text = format!("{manifest:#}\n");
        files.push(PackFile { name: MANIFEST, text, rows: None, columns: Value::Null });
        files.push(sums(&files));
        Self { files, tables, manifest }
    }

    /// The table in the file of this name.
    pub fn table(&self, file: &str) -> Option<&EvidenceTable> {
        self.tables.iter().find(|table| table.schema.file == file)
    }
}

/// Why nobody knows of bindings that they were not used.
fn why_unheard(uses: &Result<BindingUses, String>) -> Option<&String> {
    match uses {
        Ok(uses) => uses.heard_since.as_ref().err(),
        Err(why) => Some(why),
    }
}

/// Digests of the texts that the records name.
fn named_by(chains: &[EvidenceChain]) -> BTreeSet<String> {
    chains.iter().flat_map(EvidenceChain::records).flat_map(texts::named).map(str::to_owned).collect()
}

/// The tables that are made of records and texts alone.
fn derived(chains: &[EvidenceChain], known: &NamedTexts, origin: &PackOrigin) -> Vec<EvidenceTable> {
    let bound = EndBound { clock: origin.clock, late_after: origin.late_after };
    let grants = grants(chains, known, bound);
    let exceptions = exceptions(chains, &grants);
    vec![
        population(chains),
        grants,
        approvals(chains, known),
        break_glass(chains, known),
        exceptions,
        versions(chains, known),
    ]
}

fn record_lines(chains: &[EvidenceChain]) -> PackFile {
    PackFile::lines("records.jsonl", chains.iter().flat_map(EvidenceChain::links).map(|link| link.line.clone()))
}

fn text_lines(known: &NamedTexts) -> PackFile {
    let line = |(digest, text): (&String, &String)| {
        json!({ "digest": digest, "schema": TEXT_SCHEMA, "text": text }).to_string()
    };
    PackFile::lines("texts.jsonl", known.texts().iter().map(line))
}

impl PackFile {
    fn lines(name: &'static str, lines: impl Iterator<Item = String>) -> Self {
        let lines: Vec<String> = lines.map(|line| line + "\n").collect();
        Self { name, rows: Some(lines.len()), text: lines.concat(), columns: Value::Null }
    }

    fn table(table: &EvidenceTable) -> Self {
        Self { name: table.schema.file, text: table.csv(), rows: Some(table.rows.len()), columns: table.columns() }
    }

    fn described(&self) -> Value {
        json!({
            "name": self.name,
            "bytes": self.text.len(),
            "sha256": digest(self.text.as_bytes()),
            "rows": self.rows,
            "columns": self.columns,
        })
    }
}

fn manifest(origin: &PackOrigin, files: &[PackFile], counts: Value, not_read: &[Value]) -> Value {
    let kept: Vec<Value> = KEPT.iter().map(|(what, how_long)| json!({ "what": what, "kept": how_long })).collect();
    json!({
        "schema": PACK_SCHEMA,
        "from": format!("{:.6}", origin.from),
        "to": format!("{:.6}", origin.to),
        "made": { "at": format!("{:.6}", origin.clock), "by": origin.by, "version": origin.version, "purpose": origin.purpose },
        "source": origin.source,
        "queries": origin.queries,
        "parameters": { "lateAfterSeconds": origin.late_after },
        "archive": { "atStart": origin.held[0], "atEnd": origin.held[1] },
        "counts": counts,
        "notRead": not_read,
        "notKnown": NOT_KNOWN,
        "retention": kept,
        "files": files.iter().map(PackFile::described).collect::<Vec<_>>(),
    })
}

/// As `sha256sum` writes them.
fn sums(files: &[PackFile]) -> PackFile {
    let line = |file: &PackFile| {
        let sum = digest(file.text.as_bytes());
        format!("{}  {}\n", sum.trim_start_matches("sha256:"), file.name)
    };
    PackFile { name: SUMS, text: files.iter().map(line).collect(), rows: None, columns: Value::Null }
}
