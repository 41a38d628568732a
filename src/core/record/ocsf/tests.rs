//! Every kind of record as an event, held against a JSON Schema that is derived from what OCSF publishes.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::OcsfVersion;
use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind};
use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;
use crate::api::word::Vocabulary;
use crate::core::record::golden::{RECORDS, REQUESTS};
use crate::core::record::v1::records;

const SCHEMA: &str = include_str!("schema-1.8.0.json");
const EVENTS: &str = include_str!("../golden/ocsf-1.8.0.jsonl");

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap());

fn event(record: &Record) -> Value {
    serde_json::to_value(OcsfVersion::V1_8.event(record)).unwrap()
}

fn assert_fits(event: &Value) {
    let wrong: Vec<String> =
        VALIDATOR.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}: {event:#}");
}

/// A record with everything that one can say, of each kind.
fn one_of_each_kind() -> Vec<Record> {
    let requests: Vec<AccessRequest> = REQUESTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let full = requests.iter().flat_map(|request| records(request, "cluster-uid"));
    let full = full.max_by_key(|record| record.bytes().len()).unwrap();
    assert!(full.actor.is_some() && full.subject.is_some() && full.given.is_some(), "{full:?}");
    let entries = Reason::ALL.iter().map(|reason| RecordKind::Entry(*reason));
    let kinds = entries.chain([RecordKind::Requested, RecordKind::Deleted]);
    kinds.map(|kind| Record { kind: kind.into(), ..full.clone() }).collect()
}

/// With less and less said.
fn variants(record: Record) -> Vec<Record> {
    let mut cluster_wide = record.clone();
    cluster_wide.access.cluster_wide = true;
    cluster_wide.access.rules.clear();
    let mut not_begun = record.clone();
    not_begun.given.as_mut().unwrap().from = None;
    let risks = RiskLevel::ALL.iter().map(|level| {
        let mut of_risk = record.clone();
        of_risk.access.risk = Some(level.as_str().to_owned());
        of_risk
    });
    let bare = Record { actor: None, asked: None, review: None, given: None, message: None, ..record.clone() };
    let of_nobody = Record { subject: None, ..bare.clone() };
    risks.chain([cluster_wide, not_begun, bare, of_nobody, record.clone()]).collect()
}

#[test]
fn every_kind_of_record_is_an_event_that_ocsf_knows() {
    let all: Vec<Record> = one_of_each_kind();
    assert_eq!(all.len(), Reason::ALL.len() + 2);
    for record in all.into_iter().flat_map(variants) {
        let event = event(&record);
        assert_fits(&event);
        assert!(event["activity_id"] != 99 && event["activity_id"] != 0, "{} has no row: {event}", record.kind);
    }
}

#[test]
fn nothing_of_a_record_is_lost() {
    for record in one_of_each_kind() {
        let event = event(&record);
        let mut again = event["unmapped"].as_object().unwrap().clone();
        let digest = again.remove("digest").unwrap();
        let metadata = &event["metadata"];
        for (member, value) in [
            ("schema", &metadata["log_version"]),
            ("id", &metadata["uid"]),
            ("cluster", &metadata["tenant_uid"]),
            ("index", &metadata["sequence"]),
            ("at", &metadata["original_time"]),
            ("kind", &metadata["event_code"]),
            ("message", &event["message"]),
        ] {
            again.insert(member.to_owned(), value.clone());
        }
        let again: Record = serde_json::from_value(again.into()).unwrap();
        assert_eq!(again, record);
        assert_eq!(digest, json!(record.digest()));
    }
}

#[test]
fn a_kind_of_a_later_version_is_an_event_by_its_own_word() {
    let mut value = serde_json::to_value(&one_of_each_kind()[0]).unwrap();
    value["kind"] = json!("Blessed");
    let event = event(&serde_json::from_value(value).unwrap());
    assert_fits(&event);
    assert_eq!((&event["activity_id"], &event["activity_name"]), (&json!(99), &json!("Blessed")));
}

/// The schema is no use if it lets everything pass.
#[test]
fn the_schema_refuses_what_ocsf_does_not_have() {
    let granted = one_of_each_kind().into_iter().find(|record| record.kind.as_str() == "Granted").unwrap();
    let good = event(&granted);
    assert_fits(&good);
    for (path, wrong) in [
        ("/class_uid", json!(3999)),
        ("/class_name", json!("Access")),
        ("/activity_id", json!(3)),
        ("/activity_name", json!("Assign Role")),
        ("/type_uid", json!(300_502)),
        ("/severity_id", json!(7)),
        ("/severity", json!("Harmful")),
        ("/status_id", json!(2)),
        ("/time", json!("2026-11-23T11:00:00Z")),
        ("/privileges", Value::Null),
        ("/user", json!({})),
        ("/metadata/version", json!("1.9.0")),
        ("/metadata/product", Value::Null),
        ("/actor", json!({ "user": { "name": "alice", "shoe_size": 38 } })),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(path).unwrap() = wrong.clone();
        assert!(!VALIDATOR.is_valid(&event), "{path} may be {wrong}");
    }
}

#[test]
fn events_are_the_same_for_the_same_records() {
    let all: Vec<Record> = RECORDS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut lines = String::new();
    for record in &all {
        let event = event(record);
        assert_fits(&event);
        lines.push_str(&(event.to_string() + "\n"));
    }
    assert!(lines == EVENTS, "{lines}");
}
