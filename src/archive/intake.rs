//! What a cluster delivers: records and texts, one on each line, as they were sent.
//!
//! Owns reading them, and what is wrong with one by itself. Whether a record fits behind those that are held is for
//! [`super::judge`]. It must not alter a byte of what it reads.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::log::leaf::{MadeLeaf, NoLeaf};
use crate::api::delivery::TEXT_SCHEMA;
use crate::api::record::{Record, SCHEMA, digest};

/// A record as it came, and the leaf that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub record: Record,
    /// Its bytes, which are kept.
    pub bytes: String,
    pub leaf: MadeLeaf,
}

impl Arrival {
    /// Of a record and its bytes.
    ///
    /// # Errors
    /// When it cannot be told in a leaf of the log.
    pub fn new(record: Record, bytes: String) -> Result<Self, NoLeaf> {
        let leaf = MadeLeaf::of_record(&bytes)?;
        Ok(Self { record, bytes, leaf })
    }
}

/// What an archive exported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportedLines {
    /// Records with their bytes, in the order of their lines.
    pub records: Vec<(Record, String)>,
    /// In the order of their lines.
    pub texts: Vec<ArrivedText>,
}

/// A text that records name by its digest: the spec of a policy, the rules of a role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ArrivedText {
    /// Digest of the text.
    pub digest: String,
    /// The text itself.
    pub text: String,
}

/// What came in one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// In the order of their lines.
    pub records: Vec<Arrival>,
    /// In the order of their lines.
    pub texts: Vec<ArrivedText>,
}

/// Why nothing of a call is taken. Lines count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableDelivery {
    /// It is no text at all.
    #[error("the body is not UTF-8; send JSON, one record on each line")]
    NotText,
    /// No JSON, or none that holds what it must.
    #[error("line {line}: {why}; send records as the controller makes them")]
    NotARecord { line: usize, why: String },
    /// Of a schema that this version does not know.
    #[error(
        "line {line}: schema: {schema:?} is not {SCHEMA} or {TEXT_SCHEMA}; upgrade the archive before those that write to it"
    )]
    UnknownSchema { line: usize, schema: String },
    /// JSON, and not in its canonical form.
    #[error(
        "line {line}: not canonical JSON (RFC 8785), so its digest would be another; send the bytes as they were made"
    )]
    NotCanonical { line: usize },
    /// The id is not made of UID and index.
    #[error("line {line}: id: {id:?} is not the request's UID, a slash and the index")]
    OtherId { line: usize, id: String },
    /// Whoever writes has another cluster.
    #[error(
        "line {line}: cluster: {found:?} is not {expected:?}, of which alone this writer may record; use its own account"
    )]
    OtherCluster { line: usize, found: String, expected: String },
    /// Nobody could prove by the log that it is held.
    #[error("line {line}: it cannot stand in the archive's log: {why}")]
    NoLeaf { line: usize, why: NoLeaf },
    /// A text that its digest is not made of.
    #[error("line {line}: digest: {stated:?} is not the digest of the text, {real:?}")]
    OtherDigest { line: usize, stated: String, real: String },
}

impl UnreadableDelivery {
    /// Whether it is a matter of who may write what.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::OtherCluster { .. })
    }
}

/// Reads a body of lines, from a writer who may record what happens in `cluster`.
///
/// # Errors
/// On the first line that is wrong by itself.
pub fn read(body: &[u8], cluster: &str) -> Result<Delivery, UnreadableDelivery> {
    let mut delivery = Delivery::default();
    let keep = |line, record, bytes: &str| {
        let arrival = Arrival::new(record, bytes.to_owned());
        delivery.records.push(arrival.map_err(|why| UnreadableDelivery::NoLeaf { line, why })?);
        Ok(())
    };
    delivery.texts = read_of(body, Some(cluster), keep)?;
    Ok(delivery)
}

/// Reads a body of lines that was exported, of whichever clusters.
///
/// # Errors
/// On the first line that is wrong by itself.
pub fn read_of_any(body: &[u8]) -> Result<ExportedLines, UnreadableDelivery> {
    let mut exported = ExportedLines::default();
    let keep = |_, record, bytes: &str| {
        exported.records.push((record, bytes.to_owned()));
        Ok(())
    };
    exported.texts = read_of(body, None, keep)?;
    Ok(exported)
}

/// The texts of a body. Its records, each with its line, go to `keep`.
fn read_of(
    body: &[u8],
    cluster: Option<&str>,
    mut keep: impl FnMut(usize, Record, &str) -> Result<(), UnreadableDelivery>,
) -> Result<Vec<ArrivedText>, UnreadableDelivery> {
    let text = std::str::from_utf8(body).map_err(|_| UnreadableDelivery::NotText)?;
    let mut texts = Vec::new();
    for (index, bytes) in text.lines().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
        let line = index + 1;
        let value: Value = serde_json::from_str(bytes).map_err(no_record(line))?;
        match value["schema"].as_str().unwrap_or_default() {
            SCHEMA => keep(line, read_record(line, bytes, value, cluster)?, bytes)?,
            TEXT_SCHEMA => texts.push(arrived_text(line, value)?),
            other => return Err(UnreadableDelivery::UnknownSchema { line, schema: other.to_owned() }),
        }
    }
    Ok(texts)
}

/// What is wrong with a line that does not hold what it must.
fn no_record(line: usize) -> impl Fn(serde_json::Error) -> UnreadableDelivery {
    move |error| UnreadableDelivery::NotARecord { line, why: error.to_string() }
}

fn read_record(line: usize, bytes: &str, value: Value, cluster: Option<&str>) -> Result<Record, UnreadableDelivery> {
    let canonical = value.to_string();
    if canonical != bytes {
        return Err(UnreadableDelivery::NotCanonical { line });
    }
    let record: Record = serde_json::from_value(value).map_err(no_record(line))?;
    if record.id != format!("{}/{}", record.request.uid, record.index) {
        return Err(UnreadableDelivery::OtherId { line, id: record.id });
    }
    if let Some(cluster) = cluster.filter(|cluster| *cluster != record.cluster) {
        return Err(UnreadableDelivery::OtherCluster { line, found: record.cluster, expected: cluster.to_owned() });
    }
    Ok(record)
}

fn arrived_text(line: usize, value: Value) -> Result<ArrivedText, UnreadableDelivery> {
    let text: ArrivedText = serde_json::from_value(value).map_err(no_record(line))?;
    if text.text.contains('\0') {
        return Err(UnreadableDelivery::NotARecord { line, why: "text: it has a zero character".to_owned() });
    }
    let real = digest(text.text.as_bytes());
    if real == text.digest {
        Ok(text)
    } else {
        Err(UnreadableDelivery::OtherDigest { line, stated: text.digest, real })
    }
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBy {
    /// Microseconds since 1970.
    pub at: i64,
    pub kind: String,
    pub outcome: String,
    /// Kind and name of the role.
    pub role: String,
    pub policy: Option<String>,
    /// Who gets access, and who did something about it.
    pub people: BTreeSet<String>,
    /// The namespace of the request, and those that access is for.
    pub places: BTreeSet<String>,
    /// Its words, as [`words`] makes them.
    pub words: String,
}

impl FoundBy {
    /// Of a record.
    pub fn of(record: &Record) -> Self {
        let people = record.subject.iter().chain(&record.actor).map(|person| storable(&person.username));
        let places = record.access.namespaces.iter().chain([&record.request.namespace]).map(|name| storable(name));
        let asked = record.asked.as_ref();
        let said = [
            Some(record.request.name.as_str()),
            record.message.as_deref(),
            asked.map(|asked| asked.reason.as_str()),
            asked.and_then(|asked| asked.ticket.as_deref()),
            record.review.as_ref().and_then(|review| review.comment.as_deref()),
        ];
        Self {
            at: record.at.0.as_microsecond(),
            kind: storable(record.kind.as_str()),
            outcome: format!("{:?}", record.outcome),
            role: storable(&record.access.role.to_string()),
            policy: record.policy.as_ref().map(|policy| storable(&policy.name)),
            people: people.collect(),
            places: places.collect(),
            words: words(&said.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        }
    }
}

/// A name as a column of PostgreSQL can hold it, which has no zero character. The bytes of the record write it as an escape.
fn storable(name: &str) -> String {
    name.replace('\0', "\u{fffd}")
}

/// The words of a text, each once, with a space between them. A word is a run of letters and digits; whether they are
/// capital makes no difference. Both stores are given these, so that both find the same.
pub fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let all = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    all.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}
