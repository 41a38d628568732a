//! The records of one request in their order, byte for byte, and what they say without anything else.
//!
//! Owns which record is the decision, the beginning and the end of access. It must not repair a chain: what is missing is
//! said.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind, RecordOutcome, digest};

/// A record, and its bytes as they were recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainLink {
    pub record: Record,
    pub line: String,
}

/// The records of one request; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceChain {
    links: Vec<ChainLink>,
}

/// How a chain is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainBreak {
    /// There is no record of this index, and there is a later one.
    Lacks(u32),
    /// The record of this index does not carry the digest of the one before.
    Unlinked(u32),
}

impl EvidenceChain {
    /// The chains that these records make, by when their requests were made. Of two records of one place the first counts.
    pub fn of(links: impl IntoIterator<Item = ChainLink>) -> Vec<Self> {
        let mut by_request: BTreeMap<(String, String), BTreeMap<u32, ChainLink>> = BTreeMap::new();
        for link in links {
            let key = (link.record.cluster.clone(), link.record.request.uid.clone());
            by_request.entry(key).or_default().entry(link.record.index).or_insert(link);
        }
        let mut all: Vec<Self> =
            by_request.into_values().map(|links| Self { links: links.into_values().collect() }).collect();
        all.sort_by(|a, b| a.order().cmp(&b.order()));
        all
    }

    fn order(&self) -> Option<(Timestamp, &str, &str)> {
        self.links.first().map(|link| {
            let record = &link.record;
            (record.at.0, record.cluster.as_str(), record.request.uid.as_str())
        })
    }

    /// In the order of their indices.
    pub fn links(&self) -> &[ChainLink] {
        &self.links
    }

    /// The records.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.links.iter().map(|link| &link.record)
    }

    /// Digest of its last record, which carries those of all before.
    pub fn head(&self) -> String {
        self.links.last().map(|link| digest(link.line.as_bytes())).unwrap_or_default()
    }

    /// How it is not whole, if it is not: the first place.
    pub fn broken(&self) -> Option<ChainBreak> {
        let mut before: Option<String> = None;
        for (index, link) in (0..).zip(&self.links) {
            if link.record.index != index {
                return Some(ChainBreak::Lacks(index));
            }
            if link.record.previous != before {
                return Some(ChainBreak::Unlinked(index));
            }
            before = Some(digest(link.line.as_bytes()));
        }
        None
    }

    /// Whether anything happened to it from the first instant on and before the second.
    pub fn touches(&self, from: Timestamp, to: Timestamp) -> bool {
        self.records().any(|record| from <= record.at.0 && record.at.0 < to)
    }

    /// What became of the request: the kind of the last record that changed something for access, or else of the first.
    pub fn result(&self) -> &str {
        let changes = |record: &&Record| !matches!(record.outcome, RecordOutcome::Noted | RecordOutcome::Asked);
        let last = self.records().rfind(changes).or_else(|| self.records().next());
        last.map_or("", |record| record.kind.as_str())
    }

    /// Whether its object is gone.
    pub fn is_deleted(&self) -> bool {
        self.records().any(|record| record.kind.known() == Some(RecordKind::Deleted))
    }

    /// Name of the request that it extends, if it does.
    pub fn extends(&self) -> Option<&str> {
        self.records().find_map(|record| record.asked.as_ref()).and_then(|asked| asked.extends.as_deref())
    }

    /// The record with which access began, or with which the end of another's moved.
    pub fn begun(&self) -> Option<&Record> {
        let outcome = if self.extends().is_some() { RecordOutcome::Moved } else { RecordOutcome::Begun };
        self.records().find(|record| record.outcome == outcome)
    }

    /// The record with which it was decided that access begins: the last approval before it began, or the beginning.
    pub fn decided(&self) -> Option<&Record> {
        let begun = self.begun()?;
        let before = self.records().take_while(|record| record.index <= begun.index);
        before.filter(|record| record.outcome == RecordOutcome::Allowed).last().or(Some(begun))
    }

    /// The record with which access ended that had begun: its end, or that the object was gone.
    pub fn ended(&self) -> Option<&Record> {
        let begun = self.begun()?;
        let after = || self.records().filter(|record| record.index > begun.index);
        let gone = |record: &&Record| record.kind.known() == Some(RecordKind::Deleted);
        after().find(|record| record.outcome == RecordOutcome::Ended).or_else(|| after().find(gone))
    }

    /// The first record of an entry with this reason.
    pub fn first(&self, reason: Reason) -> Option<&Record> {
        self.records().find(|record| record.kind.known() == Some(RecordKind::Entry(reason)))
    }
}

impl std::fmt::Display for ChainBreak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lacks(index) => write!(f, "lacks {index}"),
            Self::Unlinked(index) => write!(f, "unlinked {index}"),
        }
    }
}

/// An instant as records write it.
pub fn instant(at: &MicroTime) -> String {
    format!("{:.6}", at.0)
}

/// The name of who a record is about, or of who did it; empty where nobody is named.
pub fn username(person: Option<&crate::api::record::RecordedPerson>) -> String {
    person.map(|person| person.username.clone()).unwrap_or_default()
}

/// Where access holds, as one word or several: `*` is the whole cluster.
pub fn place(record: &Record) -> String {
    let access = &record.access;
    if access.cluster_wide {
        return "*".to_owned();
    }
    access.selector.clone().unwrap_or_else(|| access.namespaces.join(" "))
}

/// A role by kind and name.
pub fn role(record: &Record) -> String {
    format!("{}/{}", record.access.role.kind.as_str(), record.access.role.name)
}
