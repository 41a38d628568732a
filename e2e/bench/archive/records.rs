//! Records as those of a busy cluster: of each request the first two, and the other two 50 batches later.

use daypass::api::record::Record;
use daypass::archive::intake::{Arrival, Delivery, FoundBy};
use serde_json::{Value, json};

/// New requests of a batch.
const NEW: usize = 250;
/// How many batches later the rest of a request comes.
pub const BATCHES_APART: usize = 50;
const PEOPLE: usize = 5000;
const FIRST: i64 = 1_780_000_000;

/// What a number of records comes to.
pub struct Batches {
    pub batches: usize,
    pub records: usize,
    pub largest: usize,
}

/// A batch, as it is pushed and as rows.
pub struct Batch {
    pub arrivals: Vec<(usize, Arrival)>,
    /// Numbers of its new requests.
    pub new: std::ops::Range<usize>,
}

impl Batch {
    /// The body that is pushed.
    pub fn body(&self) -> Vec<u8> {
        let lines: Vec<&str> = self.arrivals.iter().map(|(_, arrival)| arrival.bytes.as_str()).collect();
        lines.join("\n").into_bytes()
    }

    /// What the store is given.
    pub fn delivery(self) -> Delivery {
        Delivery { records: self.arrivals.into_iter().map(|(_, arrival)| arrival).collect(), texts: Vec::new() }
    }

    /// The request of each record, with what the record is found by.
    pub fn rows(&self) -> Vec<(usize, &Arrival, FoundBy)> {
        self.arrivals.iter().map(|(request, arrival)| (*request, arrival, FoundBy::of(&arrival.record))).collect()
    }
}

/// Makes them.
#[derive(Default)]
pub struct RecordMill {
    made: usize,
    /// Digest of the second record of each request.
    second: Vec<String>,
}

/// Somebody.
pub fn person(n: usize) -> String {
    format!("person-{:04}@example.com", n % PEOPLE)
}

pub fn uid(request: usize) -> String {
    format!("6f9a1c52-0000-4000-8000-{request:012}")
}

impl RecordMill {
    /// How many batches come to so many records, or a few more.
    pub fn batches(records: usize) -> Batches {
        let apart = BATCHES_APART * 2 * NEW;
        let batches = BATCHES_APART + records.saturating_sub(apart).div_ceil(4 * NEW);
        Batches { batches, records: apart + (batches - BATCHES_APART) * 4 * NEW, largest: 4 * NEW }
    }

    /// The next one.
    pub fn batch(&mut self) -> Batch {
        let first = self.made * NEW;
        let mut arrivals = Vec::with_capacity(4 * NEW);
        for request in first..first + NEW {
            let asked = arrival(request, 0, None);
            let approved = arrival(request, 1, Some(asked.record.digest()));
            self.second.push(approved.record.digest());
            arrivals.extend([(request, asked), (request, approved)]);
        }
        if let Some(before) = self.made.checked_sub(BATCHES_APART) {
            for request in before * NEW..(before + 1) * NEW {
                let granted = arrival(request, 2, Some(self.second[request].clone()));
                let ended = arrival(request, 3, Some(granted.record.digest()));
                arrivals.extend([(request, granted), (request, ended)]);
            }
        }
        self.made += 1;
        Batch { arrivals, new: first..first + NEW }
    }
}

fn arrival(request: usize, index: u32, previous: Option<String>) -> Arrival {
    // Spread, and the same in each run.
    let mixed = request.wrapping_mul(0x9e37_79b9) >> 8;
    let (who, namespace) = (person(mixed), format!("team-{:03}", mixed % 500));
    let role = ["edit", "view", "admin", "deployer", "debugger"][mixed % 5];
    let at = FIRST + i64::try_from(request).expect("a number") * 30 + i64::from(index) * 600;
    let at = k8s_openapi::jiff::Timestamp::from_second(at).expect("a time");
    let (kind, outcome) =
        [("Requested", "Asked"), ("Reviewed", "Noted"), ("Granted", "Begun"), ("Expired", "Ended")][index as usize];
    let digest = "sha256:b71e764c537644c3fbff60275f3d190c70a3be2b01d063093ecc7e046f2b39d8";
    let mut record: Value = json!({
        "schema": "daypass.dev/record/v1", "id": format!("{}/{index}", uid(request)), "cluster": "bench", "index": index,
        "request": { "namespace": namespace, "name": format!("fix-{request}"), "uid": uid(request) },
        "at": format!("{at:.6}"), "kind": kind, "outcome": outcome,
        "subject": { "username": who, "uid": format!("u-{mixed}"), "groups": digest },
        "access": { "role": { "kind": "ClusterRole", "name": role }, "namespaces": [namespace] },
        "policy": { "name": format!("policy-{}", mixed % 50), "uid": format!("p-{}", mixed % 50), "generation": 3 },
    });
    match index {
        0 => {
            record["asked"] =
                json!({ "reason": format!("the checkout of shop {} is slow, INC-{request}", mixed % 900) });
            record["actor"] = record["subject"].clone();
        }
        1 => record["actor"] = json!({ "username": format!("approver-{:03}@example.com", mixed % 200) }),
        2 => {
            record["message"] =
                json!(format!("{who} has ClusterRole/{role} in namespace {namespace} for 1h; policy allows it"))
        }
        _ => record["message"] = json!("the time that was given is over"),
    }
    if let Some(previous) = previous {
        record["previous"] = json!(previous);
    }
    let record: Record = serde_json::from_value(record).expect("a record");
    let bytes = record.bytes();
    Arrival::new(record, bytes).expect("it has a leaf")
}
