//! Records as CloudEvents 1.0, in the structured mode of JSON.
//!
//! Owns the attributes of an event, for others too that make some. The same record gives the same event, so that one that is
//! sent twice is known by its source and id. It must not send anything.

use serde::Serialize;
use serde_json::Value;

use super::ocsf::OcsfVersion;
use crate::api::record::{Record, canonical};

/// What such an event is sent as.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// What an event has as its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudEventData {
    /// The record.
    Record,
    /// The record as an event of OCSF.
    Ocsf(OcsfVersion),
}

/// A CloudEvent.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// Version of CloudEvents.
    pub specversion: &'static str,
    /// UID of the request and what tells its events apart, such as the index of the record. No other event of its source has it.
    pub id: String,
    /// By what the cluster is known: for records its UID.
    pub source: String,
    /// What happened, as a name under `dev.daypass`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Namespace and name of the request, with a slash between them.
    pub subject: String,
    /// When it happened, in UTC.
    pub time: String,
    /// What the data is written in.
    pub datacontenttype: &'static str,
    /// By which schema the data is read.
    pub dataschema: String,
    /// What is told.
    pub data: Value,
}

impl CloudEvent {
    /// The event of a record.
    pub fn of(record: &Record, with: CloudEventData) -> Self {
        let (dataschema, data) = match with {
            CloudEventData::Record => (format!("https://{}", record.schema), serde_json::to_value(record)),
            CloudEventData::Ocsf(version) => {
                let event = version.event(record);
                (event.schema_url(), serde_json::to_value(event))
            }
        };
        Self {
            specversion: "1.0",
            id: record.id.clone(),
            source: record.cluster.clone(),
            kind: format!("dev.daypass.request.{}.v1", with_hyphens(record.kind.as_str())),
            subject: format!("{}/{}", record.request.namespace, record.request.name),
            time: format!("{:.6}", record.at.0),
            datacontenttype: "application/json",
            dataschema,
            data: data.unwrap_or_default(),
        }
    }

    /// Its bytes, as they are sent and signed.
    pub fn bytes(&self) -> String {
        canonical(self)
    }
}

/// `ApprovalNeeded` as `approval-needed`.
fn with_hyphens(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::golden::RECORDS;
    use serde_json::json;

    fn granted() -> Record {
        let all = RECORDS.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
        all.filter(|record| record.kind.as_str() == "Granted").max_by_key(|record| record.bytes().len()).unwrap()
    }

    #[test]
    fn the_attributes_are_those_of_the_record() {
        let record = granted();
        let event = serde_json::to_value(CloudEvent::of(&record, CloudEventData::Record)).unwrap();
        let data = serde_json::to_value(&record).unwrap();
        let expected = json!({
            "specversion": "1.0",
            "id": record.id,
            "source": "cluster-uid",
            "type": "dev.daypass.request.granted.v1",
            "subject": format!("{}/{}", record.request.namespace, record.request.name),
            "time": data["at"],
            "datacontenttype": "application/json",
            "dataschema": "https://daypass.dev/record/v1",
            "data": data,
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn in_the_words_of_ocsf_only_the_data_and_its_schema_differ() {
        let record = granted();
        let plain = serde_json::to_value(CloudEvent::of(&record, CloudEventData::Record)).unwrap();
        let version = OcsfVersion::NEWEST;
        let mut event = serde_json::to_value(CloudEvent::of(&record, CloudEventData::Ocsf(version))).unwrap();
        assert_eq!(event["data"], serde_json::to_value(version.event(&record)).unwrap());
        assert_eq!(event["dataschema"], "https://schema.ocsf.io/1.8.0/classes/user_access");
        (event["data"], event["dataschema"]) = (plain["data"].clone(), plain["dataschema"].clone());
        assert_eq!(event, plain);
    }

    #[test]
    fn the_examples_are_what_is_sent() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/record");
        for (file, data) in [
            ("cloud-event.record.json", CloudEventData::Record),
            ("cloud-event.ocsf.json", CloudEventData::Ocsf(OcsfVersion::NEWEST)),
        ] {
            let sent = format!("{:#}\n", serde_json::to_value(CloudEvent::of(&granted(), data)).unwrap());
            let stored = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            assert!(stored == sent, "{file} should be:\n{sent}");
        }
    }

    #[test]
    fn words_of_a_kind_are_parted() {
        for (kind, part) in [("ApprovalNeeded", "approval-needed"), ("Requested", "requested"), ("", "")] {
            assert_eq!(with_hyphens(kind), part);
        }
    }
}
