//! What an OCSF event is made of, as far as records need it, and what is the same in every class.
//!
//! It must not say what happened: the table of a version does.

use serde::Serialize;
use serde_json::{Map, Value};

use super::OcsfVersion;
use crate::api::record::{Record, RecordOutcome, RecordedPerson};
use crate::api::risk::RiskLevel;
use crate::api::word::Word;

/// Members of a record that stand elsewhere in its event, whole.
const MAPPED: [&str; 7] = ["schema", "id", "cluster", "index", "at", "kind", "message"];

/// The number of what OCSF has no number for: its name is the source's.
pub const OTHER: u32 = 99;

/// An event of OCSF.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct OcsfEvent {
    activity_id: u32,
    activity_name: String,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    type_uid: u32,
    type_name: String,
    severity_id: u32,
    severity: &'static str,
    status_id: u32,
    status: &'static str,
    /// The kind of the record.
    status_code: String,
    /// Milliseconds since 1970.
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    metadata: OcsfMetadata,
    actor: OcsfActor,
    #[serde(flatten)]
    of_class: OcsfPart,
    unmapped: Map<String, Value>,
    #[serde(skip)]
    class_path: &'static str,
}

/// A class of OCSF.
pub struct OcsfClass {
    /// Its number, with that of its category.
    pub uid: u32,
    /// Its caption.
    pub name: &'static str,
    /// Its name in addresses.
    pub path: &'static str,
}

/// What an event says beyond what every event says.
pub struct OcsfHappening {
    /// The class.
    pub class: OcsfClass,
    /// The activity in it, by number and caption.
    pub activity: (u32, String),
    /// What only events of this class have.
    pub part: OcsfPart,
}

/// What only events of one class have.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum OcsfPart {
    /// Of Entity Management: the request, and what was said about it.
    Entity {
        /// The request.
        entity: OcsfEntity,
        /// Why it was made, or what a reviewer said.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// Of User Access Management: who got or lost which rights, and where.
    Access {
        /// Whose access it is.
        user: OcsfUser,
        /// The rights, each a text.
        privileges: Vec<String>,
        /// Where they hold.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        resources: Vec<OcsfResource>,
    },
}

#[derive(Serialize, Clone, Debug, PartialEq)]
struct OcsfMetadata {
    version: &'static str,
    product: OcsfProduct,
    uid: String,
    sequence: u32,
    tenant_uid: String,
    correlation_uid: String,
    event_code: String,
    log_version: String,
    original_time: String,
}

#[derive(Serialize, Clone, Debug, PartialEq)]
struct OcsfProduct {
    name: &'static str,
    vendor_name: &'static str,
}

/// Somebody, or the program.
#[derive(Serialize, Clone, Debug, PartialEq)]
struct OcsfActor {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<OcsfUser>,
    /// Without a user, it followed policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'static str>,
}

/// A person.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct OcsfUser {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
}

/// A managed entity.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct OcsfEntity {
    /// Namespace and name.
    pub name: String,
    /// UID of the object.
    pub uid: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The number of its kind in OCSF.
    pub type_id: u32,
}

/// Something that rights are about.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct OcsfResource {
    /// Its name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its UID, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl OcsfUser {
    /// Somebody that a record names.
    pub fn of(person: &RecordedPerson) -> Self {
        Self { name: person.username.clone(), uid: person.uid.clone() }
    }
}

impl OcsfEvent {
    /// The event of a record in a version.
    pub fn new(record: &Record, version: OcsfVersion, happening: OcsfHappening) -> Self {
        let OcsfHappening { class, activity: (activity_id, activity_name), part } = happening;
        let (severity_id, severity) = severity(record);
        let (status_id, status) = status(record.outcome);
        let user = record.actor.as_ref().map(OcsfUser::of);
        let type_of = if activity_id == OTHER { "Other" } else { &activity_name };
        Self {
            type_name: format!("{}: {type_of}", class.name),
            activity_id,
            activity_name,
            category_uid: class.uid / 1000,
            category_name: "Identity & Access Management",
            class_uid: class.uid,
            class_name: class.name,
            class_path: class.path,
            type_uid: class.uid * 100 + activity_id,
            severity_id,
            severity,
            status_id,
            status,
            status_code: record.kind.to_string(),
            time: record.at.0.as_millisecond(),
            message: record.message.clone(),
            metadata: OcsfMetadata::of(record, version),
            actor: OcsfActor { app_name: user.is_none().then_some("daypass"), user },
            of_class: part,
            unmapped: unmapped(record),
        }
    }

    /// Where OCSF says what its class has.
    pub fn schema_url(&self) -> String {
        format!("https://schema.ocsf.io/{}/classes/{}", self.metadata.version, self.class_path)
    }
}

impl OcsfMetadata {
    fn of(record: &Record, version: OcsfVersion) -> Self {
        Self {
            version: version.as_str(),
            product: OcsfProduct { name: "Daypass", vendor_name: "Daypass" },
            uid: record.id.clone(),
            sequence: record.index,
            tenant_uid: record.cluster.clone(),
            correlation_uid: record.request.uid.clone(),
            event_code: record.kind.to_string(),
            log_version: record.schema.clone(),
            // Time itself has milliseconds only.
            original_time: format!("{:.6}", record.at.0),
        }
    }
}

/// How much harm the role can do, as far as it is known by then.
fn severity(record: &Record) -> (u32, &'static str) {
    let Some(word) = record.access.risk.as_deref() else { return (1, "Informational") };
    match Word::<RiskLevel>::from(word).known() {
        Some(RiskLevel::Low) => (2, "Low"),
        Some(RiskLevel::Medium) => (3, "Medium"),
        Some(RiskLevel::High) => (4, "High"),
        Some(RiskLevel::Critical) => (5, "Critical"),
        Some(RiskLevel::Unknown) | None => (0, "Unknown"),
    }
}

fn status(outcome: RecordOutcome) -> (u32, &'static str) {
    match outcome {
        RecordOutcome::Refused => (2, "Failure"),
        RecordOutcome::Asked
        | RecordOutcome::Allowed
        | RecordOutcome::Begun
        | RecordOutcome::Moved
        | RecordOutcome::Rested
        | RecordOutcome::Ended
        | RecordOutcome::Noted => (1, "Success"),
    }
}

/// The members of a record that OCSF has no whole place for, and its digest, by which the next one names it.
fn unmapped(record: &Record) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(record) else { return Map::new() };
    members.retain(|name, _| !MAPPED.contains(&name.as_str()));
    members.insert("digest".to_owned(), record.digest().into());
    members
}
