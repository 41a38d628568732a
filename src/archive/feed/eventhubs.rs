//! The audit log of AKS: resource logs that Azure Monitor writes to Event Hubs, as a function of the admin passes them on.
//!
//! Owns that wrapping: batches of records, of which the categories kube-audit and kube-audit-admin have an event as text.
//! Only read, never run against Azure: <https://learn.microsoft.com/azure/aks/monitor-aks-reference>,
//! <https://learn.microsoft.com/azure/azure-monitor/platform/stream-monitoring-data-event-hubs>.

use serde::Deserialize;

use super::events::is_document;
use super::{BadEnvelope, Unwrapped};

const WANTED: &str = "Azure Monitor writes to Event Hubs";
const WAY_OUT: &str = r#"send {"records": [...]}, or a list of such"#;
/// Every call, and every call but get and list.
const CATEGORIES: [&str; 2] = ["kube-audit", "kube-audit-admin"];

#[derive(Deserialize)]
#[serde(untagged)]
enum HubBatch {
    Records { records: Vec<HubRecord> },
    Many(Vec<HubBatch>),
    One(HubRecord),
}

#[derive(Deserialize)]
struct HubRecord {
    category: String,
    #[serde(default)]
    properties: HubProperties,
}

#[derive(Default, Deserialize)]
struct HubProperties {
    #[serde(default)]
    log: Option<String>,
}

/// The events of a body.
///
/// # Errors
/// When it is nothing that Event Hubs has.
pub fn unwrapped(body: &[u8]) -> Result<Unwrapped, BadEnvelope> {
    let mut found = Unwrapped::default();
    for batch in serde_json::Deserializer::from_slice(body).into_iter::<HubBatch>() {
        batches(batch.map_err(|error| BadEnvelope::unread(WANTED, WAY_OUT, &error))?, &mut found);
    }
    Ok(found)
}

fn batches(batch: HubBatch, found: &mut Unwrapped) {
    match batch {
        HubBatch::Records { records } => records.iter().for_each(|one| record(one, found)),
        HubBatch::Many(all) => all.into_iter().for_each(|batch| batches(batch, found)),
        HubBatch::One(one) => record(&one, found),
    }
}

fn record(record: &HubRecord, found: &mut Unwrapped) {
    if !CATEGORIES.contains(&record.category.as_str()) {
        found.passed_over += 1;
        return;
    }
    match &record.properties.log {
        Some(log) if is_document(log.trim()) => found.take(log),
        // Azure cuts a text off that is too long.
        _ => found.unreadable += 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BATCH: &str = include_str!("fixtures/eventhubs.json");

    #[test]
    fn records_of_both_audit_categories_are_events_and_others_are_not() {
        let found = unwrapped(BATCH.as_bytes()).unwrap();
        assert_eq!((found.events.len(), found.unreadable, found.passed_over), (2, 0, 1));
        let event: Value = serde_json::from_str(&found.events[0]).unwrap();
        assert_eq!(event["objectRef"]["resource"], "pods");
        assert!(!found.events[0].ends_with('\n'));
    }

    #[test]
    fn a_list_of_batches_and_batches_one_a_line_are_read_too() {
        let batch: Value = serde_json::from_str(BATCH).unwrap();
        let list = json!([batch, batch, batch["records"][0]]).to_string();
        assert_eq!(unwrapped(list.as_bytes()).unwrap().events.len(), 5);
        assert_eq!(unwrapped(format!("{batch}\n{batch}").as_bytes()).unwrap().events.len(), 4);
    }

    #[test]
    fn an_event_that_was_cut_off_is_counted_and_keeps_none_back() {
        let record = |log: Value| json!({ "category": "kube-audit", "properties": { "log": log } });
        let batch =
            json!({ "records": [record(json!("{\"kind\":\"Ev")), { "category": "kube-audit" }, record(json!("{}"))] });
        let found = unwrapped(batch.to_string().as_bytes()).unwrap();
        assert_eq!((found.events.len(), found.unreadable), (1, 2));
        for none in ["", "[]"] {
            assert_eq!(unwrapped(none.as_bytes()), Ok(Unwrapped::default()));
        }
        assert!(matches!(unwrapped(b"{\"records\": 1}"), Err(BadEnvelope::Unread { .. })));
    }
}
