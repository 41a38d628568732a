//! The versions of policies that decided, each with when and whether its text is held.
//!
//! Who changed a policy no record says: what is not known is said in the manifest.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{EvidenceChain, instant};
use super::known::NamedTexts;
use super::table::{EvidenceTable, TableSchema};

/// The table.
pub static VERSIONS: TableSchema = TableSchema {
    file: "policies.csv",
    row: "A version of a policy by which a request of the population was decided.",
    columns: &[
        ("policy", "Name of the AccessPolicy."),
        ("uid", "UID of the AccessPolicy."),
        ("generation", "Generation of its spec."),
        ("digest", "Digest of its text, by which it stands in texts.jsonl. Empty: it was gone, or could not be read."),
        ("text", "held, or missing."),
        ("firstAt", "`at` of the first record that names it."),
        ("lastAt", "`at` of the last record that names it."),
        ("requests", "How many requests of the population name it."),
    ],
};

/// Name, UID, generation and digest of a policy.
type VersionKey = (String, String, i64, String);
/// When it was named first and last, and by which requests.
type VersionUse<'a> = (String, String, BTreeSet<&'a str>);

/// The rows, by name, UID, generation and digest.
pub fn versions(chains: &[EvidenceChain], known: &NamedTexts) -> EvidenceTable {
    let mut all: BTreeMap<VersionKey, VersionUse<'_>> = BTreeMap::new();
    for record in chains.iter().flat_map(EvidenceChain::records) {
        let Some(policy) = &record.policy else { continue };
        let digest = policy.digest.clone().unwrap_or_default();
        let key = (policy.name.clone(), policy.uid.clone(), policy.generation, digest);
        let at = instant(&record.at);
        let version = all.entry(key).or_insert_with(|| (at.clone(), at.clone(), BTreeSet::new()));
        version.0 = at.clone().min(std::mem::take(&mut version.0));
        version.1 = at.max(std::mem::take(&mut version.1));
        version.2.insert(&record.request.uid);
    }
    let row = |((name, uid, generation, digest), (first, last, requests)): (VersionKey, VersionUse<'_>)| {
        let text = if known.texts().contains_key(&digest) { "held" } else { "missing" };
        vec![name, uid, generation.to_string(), digest, text.to_owned(), first, last, requests.len().to_string()]
    };
    EvidenceTable::new(&VERSIONS, all.into_iter().map(row).collect())
}
