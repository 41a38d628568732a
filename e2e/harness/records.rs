//! Every record that a controller of the trials printed, read by the published schema and, as an event of OCSF, by what OCSF
//! publishes: two schemas that no code of Daypass reads.
//!
//! Owns what was found wrong, until the run is over: a trial does not know what other trials had the controller print.

use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, PoisonError};

use daypass::api::record::{Record, schema_as_json};
use daypass::core::record::ocsf::OcsfVersion;
use jsonschema::Validator;
use serde_json::Value;

/// What a line with a record begins with. Its members are sorted.
const BEGINS: &str = r#"{"access":"#;
/// How many faults are shown.
const SHOWN: usize = 20;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| validator(&schema_as_json()));
static OCSF: LazyLock<Validator> =
    LazyLock::new(|| validator(include_str!("../../src/core/record/ocsf/schema-1.8.0.json")));
static SEEN: Mutex<RecordCheck> = Mutex::new(RecordCheck { read: 0, faults: Vec::new() });

struct RecordCheck {
    read: usize,
    faults: Vec<String>,
}

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).expect("a schema");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// Reads what a controller printed in all its lives. `name` says which controller.
pub fn check(name: &str, log: &str) {
    // The last line may have been cut by a kill.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let lines: Vec<&str> = whole.lines().filter(|line| line.starts_with(BEGINS)).collect();
    let faults = lines.iter().filter_map(|line| fault(line).map(|why| format!("{name}: {why}: {line}")));
    let faults: Vec<String> = faults.collect();
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.read += lines.len();
    seen.faults.extend(faults);
}

/// What is wrong with a line, if anything.
pub fn fault(line: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => return Some(error.to_string()),
    };
    let record: Record = match serde_json::from_value(value.clone()) {
        Ok(record) => record,
        Err(error) => return Some(error.to_string()),
    };
    if record.kind.known().is_none() {
        return Some(format!("no kind is {}", record.kind));
    }
    let event = serde_json::to_value(OcsfVersion::NEWEST.event(&record)).expect("JSON");
    let of_record = SCHEMA.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path()));
    let mut faults: Vec<String> = of_record.collect();
    faults.extend(OCSF.iter_errors(&event).map(|error| format!("as OCSF, {}: {error}", error.instance_path())));
    (!faults.is_empty()).then(|| faults.join(", "))
}

/// Says what was read. A run with a fault has failed, whatever its trials say.
pub fn verdict(trials: ExitCode) -> ExitCode {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    println!("records::every_one_that_was_printed_fits_its_schema_and_ocsf ... {} read", seen.read);
    if seen.faults.is_empty() {
        return trials;
    }
    println!("{} of them do not fit:\n{}", seen.faults.len(), seen.faults[..seen.faults.len().min(SHOWN)].join("\n"));
    ExitCode::FAILURE
}
