//! Records for tests, and what is taken of a body.

use serde_json::json;

use super::intake::{Arrival, Delivery, UnreadableDelivery, read, words};
use crate::api::delivery::HeldChain;
use crate::api::record::{Record, digest};

/// The records of a request.
pub struct Story {
    pub cluster: String,
    pub records: Vec<Record>,
}

impl Story {
    /// The first few of a request of alice, a second apart.
    pub fn of(uid: &str, count: u32) -> Self {
        Self::told(uid, count, |_| {})
    }

    /// With a change in each.
    pub fn told(uid: &str, count: u32, change: impl Fn(&mut Record)) -> Self {
        let mut records: Vec<Record> = Vec::new();
        for index in 0..count {
            let mut record = plain(uid, index);
            change(&mut record);
            record.previous = records.last().map(Record::digest);
            records.push(record);
        }
        Self { cluster: records[0].cluster.clone(), records }
    }

    pub fn delivery(&self) -> Delivery {
        delivery(self.records.clone())
    }

    pub fn bytes(&self) -> Vec<String> {
        self.records.iter().map(Record::bytes).collect()
    }

    /// What is held when the first few are.
    pub fn held(&self, count: u32) -> HeldChain {
        HeldChain { held: count, digest: Some(self.records[count as usize - 1].digest()) }
    }

    /// When one happened.
    pub fn at(&self, index: usize) -> i64 {
        self.records[index].at.0.as_microsecond()
    }
}

fn plain(uid: &str, index: u32) -> Record {
    let mut record = json!({
        "schema": "daypass.dev/record/v1", "id": format!("{uid}/{index}"), "cluster": "here", "index": index,
        "request": { "namespace": "shop", "name": "fix", "uid": uid },
        "at": format!("2026-11-29T16:{:02}:{:02}.000001Z", index / 60, index % 60),
        "kind": if index == 0 { "Requested" } else { "Reviewed" },
        "outcome": if index == 0 { "Asked" } else { "Noted" },
        "subject": { "username": "alice" },
        "access": { "role": { "kind": "ClusterRole", "name": "edit" }, "namespaces": ["shop"] },
        "policy": { "name": "wide", "uid": "p", "generation": 1 },
    });
    if index == 1 {
        record["actor"] = json!({ "username": "carol" });
    }
    serde_json::from_value(record).unwrap()
}

pub fn delivery(records: Vec<Record>) -> Delivery {
    let records = records.into_iter().map(|record| Arrival::new(record.clone(), record.bytes()).unwrap()).collect();
    Delivery { records, texts: Vec::new() }
}

#[test]
fn a_body_is_read_line_by_line_and_kept_as_it_is() {
    let story = Story::of("uid", 3);
    let text = json!({ "digest": digest(b"{}"), "schema": "daypass.dev/text/v1", "text": "{}" }).to_string();
    let body = [story.bytes().join("\n"), text, String::new()].join("\n");
    let delivery = read(body.as_bytes(), "here").unwrap();
    let read: Vec<(Record, String)> = delivery.records.into_iter().map(|one| (one.record, one.bytes)).collect();
    assert_eq!(read, story.records.iter().cloned().zip(story.bytes()).collect::<Vec<_>>());
    assert_eq!(delivery.texts.len(), 1);
}

#[test]
fn what_is_wrong_with_a_line_is_named() {
    let good = Story::of("uid", 1).bytes().remove(0);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        read(format!("{good}\n{}\n", good.replacen(from, to, 1)).as_bytes(), "here").unwrap_err()
    };
    assert!(matches!(changed("\"at\":", "\"at\": "), UnreadableDelivery::NotCanonical { line: 2 }));
    assert!(matches!(changed("record/v1", "record/v2"), UnreadableDelivery::UnknownSchema { line: 2, .. }));
    assert!(matches!(changed("uid/0", "uid/1"), UnreadableDelivery::OtherId { line: 2, .. }));
    let forbidden = changed("\"here\"", "\"there\"");
    assert!(forbidden.is_forbidden(), "{forbidden}");
    assert!(matches!(changed("\"index\":0", "\"index\":\"0\""), UnreadableDelivery::NotARecord { line: 2, .. }));
    assert!(matches!(changed("{", ""), UnreadableDelivery::NotARecord { line: 2, .. }));
    assert_eq!(read(&[0xff], "here").unwrap_err(), UnreadableDelivery::NotText);
    for text in ["other", "zero\0"] {
        let line = json!({ "digest": digest(b"{}"), "schema": "daypass.dev/text/v1", "text": text }).to_string();
        assert!(read(line.as_bytes(), "here").is_err(), "{text:?}");
    }
}

#[test]
fn words_are_runs_of_letters_and_digits() {
    assert_eq!(words("INC-7: Größe, größe; a_b"), "7 a b größe inc");
    assert_eq!(words(" -- "), "");
}
