//! What is frozen: the records of requests as several versions of Daypass stored them, byte for byte. A line may be added
//! here and none changed: what it says was recorded somewhere.

use crate::api::record::Record;
use crate::api::request::AccessRequest;
use crate::core::laws::fixtures::noon;
use crate::core::record::v1::{deleted, records};

pub const REQUESTS: &str = include_str!("golden/requests.jsonl");
pub const RECORDS: &str = include_str!("golden/records.jsonl");

#[test]
fn records_are_the_same_in_every_version() {
    let requests: Vec<AccessRequest> = REQUESTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut all = String::new();
    for request in requests {
        let end = deleted(&request, "cluster-uid", noon());
        for record in records(&request, "cluster-uid").iter().chain([&end]) {
            all.push_str(&record.bytes());
            all.push('\n');
        }
    }
    assert_eq!(all, RECORDS, "{all}");
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for line in RECORDS.lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(record.bytes(), line);
        assert!(record.kind.known().is_some(), "{line}");
    }
}
