use std::collections::BTreeSet;

use serde_json::json;

use super::super::event::{LegalHold, LogEvent, LoggedErasure, LoggedRead};
use super::super::tests::{SampleLog, salts};
use super::*;
use crate::api::record::{RecordedPerson, canonical as written};
use crate::core::laws::fixtures::noon;
use crate::core::record::golden::RECORDS;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

#[test]
fn opened_a_leaf_is_the_record_again() {
    for line in RECORDS.lines() {
        let (leaf, drawn) = LeafEntry::of_record(line, salts()).unwrap();
        assert_eq!(LeafEntry::read(leaf.bytes().as_bytes()).as_ref(), Ok(&leaf));
        let openings = leaf.compare(line, &drawn).unwrap();
        assert_eq!(leaf.restored(&openings).map(|whole| Value::Object(whole).to_string()).as_deref(), Some(line));
        let record: Value = serde_json::from_str(line).unwrap();
        for path in ["/actor/username", "/subject/groups", "/asked/reason", "/message", "/previous", "/request/name"] {
            assert_eq!(leaf.commits_to(path), record.pointer(path).is_some(), "{path} of {line}");
        }
    }
}

/// Whatever stands in one of the fields that may tell of a person, the leaf does not say it.
#[test]
fn a_leaf_says_nothing_of_a_person() {
    for line in RECORDS.lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let paths = LeafKind::Record.clear_fields().cut(record.as_object().unwrap().clone()).hidden.into_keys();
        for path in paths {
            *record.pointer_mut(&path).unwrap() = json!(["mallory"]);
        }
        let leaf = LeafEntry::of_record(&record.to_string(), salts()).unwrap().0;
        assert!(!leaf.bytes().contains("mallory"), "{line}");
        let sum = digest(record.to_string().as_bytes());
        assert!(!leaf.bytes().contains(&sum), "{line}");
    }
}

/// What each field of the golden records comes to is frozen with the schema.
#[test]
fn which_fields_stand_in_clear_is_frozen() {
    let (mut clear, mut hidden) = (BTreeSet::<&str>::new(), BTreeSet::new());
    for line in RECORDS.lines() {
        let cut = LeafKind::Record.clear_fields().cut(serde_json::from_str(line).unwrap());
        hidden.extend(cut.hidden.into_keys());
        clear.extend(
            RECORD_CLEAR.iter().copied().filter(|path| Value::Object(cut.clear.clone()).pointer(path).is_some()),
        );
    }
    assert_eq!(
        clear.len(),
        RECORD_CLEAR.len(),
        "{:?}",
        RECORD_CLEAR.iter().filter(|p| !clear.contains(*p)).collect::<Vec<_>>()
    );
    let frozen = [
        "/access/namespaces",
        "/access/roleDigest",
        "/access/rules",
        "/access/selector",
        "/actor/groups",
        "/actor/uid",
        "/actor/username",
        "/approvedBy",
        "/asked/extends",
        "/asked/groups",
        "/asked/reason",
        "/asked/recurrence",
        "/asked/ticket",
        "/leftOut/digest",
        "/message",
        "/policy/digest",
        "/previous",
        "/request/name",
        "/request/namespace",
        "/review/comment",
        "/stage",
        "/subject/groups",
        "/subject/uid",
        "/subject/username",
    ];
    assert_eq!(hidden.iter().map(String::as_str).collect::<Vec<_>>(), frozen);
}

/// The bytes themselves: a second implementation computes the same.
#[test]
fn a_commitment_is_frozen() {
    let salt = FieldSalt::new([7; 32]);
    let frozen = "sha256:40b74f26ba4aa5094048fbcb1b61087d798c7697bd8cd53bb9c99c354078266f";
    assert_eq!(commitment("/actor/username", &salt, &json!("alice")), frozen);
    assert_eq!(format!("{salt:?}"), "FieldSalt");
}

#[test]
fn a_commitment_is_to_one_path_one_salt_and_one_value() {
    let (one, other) = (FieldSalt::new([1; 32]), FieldSalt::new([2; 32]));
    let real = commitment("/a", &one, &json!("b"));
    for another in [
        commitment("/a", &other, &json!("b")),
        commitment("/b", &one, &json!("b")),
        commitment("/a", &one, &json!("c")),
        commitment("/a", &one, &json!(["b"])),
        commitment("/a\u{1}", &one, &json!("b")),
        commitment("", &one, &json!("b")),
    ] {
        assert_ne!(another, real);
    }
    assert_ne!(commitment("/a", &one, &json!("1")), commitment("/a", &one, &json!(1)));
    assert_ne!(commitment("/a", &one, &json!(null)), commitment("/a", &one, &json!("null")));
}

#[test]
fn a_field_of_tomorrow_is_hidden() {
    let base: Value = serde_json::from_str(RECORDS.lines().next().unwrap()).unwrap();
    for (path, value) in [
        ("tomorrow", json!({ "name": "mallory" })),
        ("digest", json!("mallory")),
        ("a/b~c", json!("mallory")),
        ("actor", json!("mallory")),
        ("actor", json!({})),
        ("asked", json!(null)),
        ("asked", json!(["mallory"])),
    ] {
        let mut record = base.clone();
        record[path] = value;
        let line = written(&record);
        let (leaf, drawn) = LeafEntry::of_record(&line, salts()).unwrap();
        assert!(!leaf.bytes().contains("mallory"), "{path}");
        let openings = leaf.compare(&line, &drawn).unwrap();
        assert_eq!(leaf.restored(&openings).map(|whole| Value::Object(whole).to_string()), Some(line), "{path}");
    }
}

#[test]
fn a_record_that_readers_would_read_differently_has_no_leaf() {
    let line = RECORDS.lines().next().unwrap();
    let with = |members: &str| line.replacen('{', &format!("{{{members},"), 1);
    let refused = |line: &str| LeafEntry::of_record(line, salts()).map(drop);
    assert_eq!(refused(line), Ok(()));
    for number in ["9007199254740992", "-9007199254740992", "18446744073709551615", "1.5", "1e3", "1.0", "-0"] {
        let found = refused(&with(&format!("\"a\":{number}")));
        assert!(matches!(found, Err(LeafFault::Canonical(CanonicalFault::Number(_)))), "{number}: {found:?}");
    }
    assert_eq!(refused(&with(r#""a":9007199254740991"#)), Ok(()));
    for other in [with(r#""access":1"#), with(r#""zz":1"#), line.replacen(':', ": ", 1), with(r#""a":"\u0061""#)] {
        assert_eq!(refused(&other), Err(LeafFault::Canonical(CanonicalFault::OtherForm)), "{other:.60}");
    }
    let umlaut = with(r#""ä":1"#);
    assert_eq!(refused(&umlaut), Err(LeafFault::Canonical(CanonicalFault::Name("ä".to_owned()))));
    assert!(matches!(refused("[]"), Err(LeafFault::Form)));
    assert!(matches!(refused(""), Err(LeafFault::Canonical(CanonicalFault::NotJson(_)))));
    let mut long: Value = serde_json::from_str(line).unwrap();
    long["kind"] = "k".repeat(65_535).into();
    assert!(matches!(refused(&written(&long)), Err(LeafFault::TooLong(_))));
}

#[test]
fn a_leaf_has_one_form() {
    let line = RECORDS.lines().next().unwrap();
    let leaf = LeafEntry::of_record(line, salts()).unwrap().0;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = leaf.as_json();
        change(&mut value);
        LeafEntry::read(value.to_string().as_bytes())
    };
    assert!(changed(&|_| {}).is_ok());
    assert_eq!(changed(&|leaf| leaf["schema"] = json!("daypass.dev/leaf/v2")), Err(LeafFault::UnknownSchema));
    assert_eq!(changed(&|leaf| leaf["schema"] = json!(1)), Err(LeafFault::UnknownSchema));
    assert_eq!(changed(&|leaf| leaf["heartbeat"] = json!({})), Err(LeafFault::Form));
    assert_eq!(changed(&|leaf| leaf["record"] = json!("x")), Err(LeafFault::Form));
    assert_eq!(changed(&|leaf| leaf["commitments"] = json!({})), Err(LeafFault::Form));
    let hash = leaf.commitments[OWN_DIGEST].clone();
    for (path, hash) in [
        ("x", hash.clone()),
        ("", hash.clone()),
        ("/x", hash.to_uppercase()),
        ("/x", hash[..hash.len() - 1].to_owned()),
        ("/x", hash.replace("sha256", "sha512")),
    ] {
        assert_eq!(changed(&|leaf| leaf["commitments"][path] = json!(hash)), Err(LeafFault::Form), "{path} {hash}");
    }
    assert_eq!(changed(&|leaf| leaf["record"]["message"] = json!("hello")), Err(LeafFault::InClear));
    assert_eq!(changed(&|leaf| leaf["record"]["actor"] = json!({ "username": "alice" })), Err(LeafFault::InClear));
    assert_eq!(changed(&|leaf| leaf["record"]["actor"] = json!({})), Err(LeafFault::InClear));
    let of_tomorrow = json!({ "schema": LEAF_SCHEMA, "tomorrow": {} }).to_string();
    assert_eq!(LeafEntry::read(of_tomorrow.as_bytes()), Err(LeafFault::UnknownKind("tomorrow".to_owned())));
    assert!(matches!(LeafEntry::read(b"\xff"), Err(LeafFault::Canonical(_))));
    let twice = leaf.bytes().replacen('{', r#"{"commitments":{},"#, 1);
    assert_eq!(LeafEntry::read(twice.as_bytes()), Err(LeafFault::Canonical(CanonicalFault::OtherForm)));
}

#[test]
fn a_leaf_with_two_names_names_nothing() {
    let line = RECORDS.lines().next().unwrap();
    let leaf = LeafEntry::of_record(line, salts()).unwrap().0;
    let changed = |path: &str, value: Value| {
        let mut json = leaf.as_json();
        json["record"][path] = value;
        LeafEntry::of_json(json).unwrap().record_name()
    };
    assert!(leaf.record_name().is_some());
    for (path, value) in [
        ("index", json!(1)),
        ("index", json!(-1)),
        ("index", json!("0")),
        ("id", json!("other/0")),
        ("cluster", json!(7)),
        ("request", json!({ "uid": 7 })),
    ] {
        assert_eq!(changed(path, value.clone()), None, "{path} {value}");
    }
}

#[test]
fn two_parts_about_one_field_are_no_object() {
    let fields = LeafKind::Record.clear_fields();
    let joined = |clear: Value, hidden: &[(&str, Value)]| {
        let hidden = hidden.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        fields.joined(CutObject { clear: clear.as_object().unwrap().clone(), hidden }).map(Value::Object)
    };
    assert_eq!(joined(json!({}), &[("/actor/uid", json!("u"))]), Some(json!({ "actor": { "uid": "u" } })));
    assert_eq!(joined(json!({}), &[("/actor", json!({})), ("/actor/uid", json!("u"))]), None);
    assert_eq!(joined(json!({}), &[("/actor", json!("x")), ("/actor/uid", json!("u"))]), None);
    assert_eq!(joined(json!({}), &[("/actor", json!({ "uid": "u" }))]), None);
    assert_eq!(joined(json!({ "kind": "K" }), &[("/kind", json!("L"))]), None);
    assert_eq!(joined(json!({ "kind": "K" }), &[("/kind/x", json!("L"))]), None);
    assert_eq!(joined(json!({}), &[("actor", json!("L"))]), None);
}

#[test]
fn what_was_erased_leaves_the_leaf_as_it_was() {
    let log = SampleLog::new();
    for (leaf, stored) in log.leaves.iter().zip(&log.stored) {
        let Some((record, salts)) = stored else { continue };
        let erased = |path: &str| path.starts_with("/subject") || path.starts_with("/actor") || path == OWN_DIGEST;
        if !leaf.committed().any(|path| path != OWN_DIGEST && erased(path)) {
            continue;
        }
        let mut left: Value = serde_json::from_str(record).unwrap();
        let members = left.as_object_mut().unwrap();
        members.remove("subject");
        members.remove("actor");
        let kept: FieldSalts = salts.clone().into_iter().filter(|(path, _)| !erased(path)).collect();
        let openings = leaf.compare(&left.to_string(), &kept).unwrap();
        assert_eq!(openings.len(), kept.len());
        assert_eq!(leaf.restored(&openings), None);
        // A half of it is no erasure.
        let values_alone = leaf.compare(record, &kept);
        assert!(matches!(values_alone, Err(LeafFault::Half(_))), "{values_alone:?}");
        let mut with_salts = salts.clone();
        with_salts.remove(OWN_DIGEST);
        assert!(matches!(leaf.compare(&left.to_string(), &with_salts), Err(LeafFault::Half(_))));
    }
}

#[test]
fn what_the_archive_says_of_itself_hides_who() {
    let (at, by) = (MicroTime(noon()), RecordedPerson { username: "mallory".to_owned(), uid: None, groups: None });
    let reason = "mallory asked".to_owned();
    let events = [
        LogEvent::Read(LoggedRead { at: at.clone(), by: by.clone(), what: "person=mallory".to_owned(), found: 7 }),
        LogEvent::Hold(LegalHold {
            at: at.clone(),
            by: by.clone(),
            requests: vec!["uid-1".to_owned()],
            person: Some("mallory".to_owned()),
            until: Some(at.clone()),
            lifted: true,
            reason: reason.clone(),
        }),
        LogEvent::Erasure(LoggedErasure {
            at,
            by,
            leaves: vec![3, 9],
            paths: vec!["/subject/username".to_owned()],
            reason,
        }),
    ];
    for event in events {
        let (leaf, drawn) = event.leaf(salts()).unwrap();
        assert!(!leaf.bytes().contains("mallory"), "{}", leaf.bytes());
        let hidden = if matches!(event, LogEvent::Hold(_)) { 3 } else { 2 };
        assert_eq!(drawn.len(), hidden, "{drawn:?}");
        assert_eq!(LeafEntry::read(leaf.bytes().as_bytes()), Ok(leaf));
    }
}
