//! What tables say of requests that did not go as they should: of a made quarter everything did.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::approvals::approvals;
use super::break_glass::break_glass;
use super::chain::{ChainBreak, ChainLink, EvidenceChain};
use super::exceptions::exceptions;
use super::grants::{EndBound, grants};
use super::known::NamedTexts;
use super::measures::{EvidenceMeasure, MeasureCount};
use super::population::population;
use super::table::EvidenceTable;
use super::versions::versions;
use crate::api::record::{Record, digest};
use crate::core::laws::fixtures::policy;

/// So many seconds after ten.
fn at(second: i64) -> String {
    let ten: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
    format!("{:.6}", Timestamp::from_second(ten.as_second() + second).unwrap())
}

/// One more thing that happened: when, its kind, its outcome, and what else is to be said.
fn then(second: i64, kind: &str, outcome: &str, more: Value) -> Value {
    let mut record = json!({ "at": at(second), "kind": kind, "outcome": outcome });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

fn review(second: i64, who: &str, kind: &str, verdict: &str) -> Value {
    let said =
        json!({ "actor": { "username": who }, "review": { "verdict": verdict }, "policy": edits(Some(&by_bob())) });
    then(second, kind, "Noted", said)
}

/// A policy of this text, as records name it.
fn edits(text: Option<&str>) -> Value {
    json!({ "name": "edits", "uid": "p", "generation": 1, "digest": text.map(|text| digest(text.as_bytes())) })
}

fn asked() -> Value {
    then(0, "Requested", "Asked", json!({ "asked": { "reason": "why", "groups": ["dev"] } }))
}

fn begun(second: i64, by: &[&str], text: Option<&str>) -> Value {
    let given = json!({ "from": at(second), "until": at(3630) });
    then(second, "Granted", "Begun", json!({ "approvedBy": by, "given": given, "policy": edits(text) }))
}

fn ended(second: i64, kind: &str) -> Value {
    then(second, kind, "Ended", json!({ "given": { "from": at(30), "until": at(3630) } }))
}

/// The chain of a request, whole.
fn chain(uid: &str, records: &[Value]) -> Vec<ChainLink> {
    let mut previous: Option<String> = None;
    let links = records.iter().enumerate().map(|(index, record)| {
        let mut whole = json!({
            "schema": "daypass.dev/record/v1", "id": format!("{uid}/{index}"), "cluster": "c", "index": index,
            "request": { "namespace": "shop", "name": "fix", "uid": uid }, "previous": previous,
            "access": { "role": { "kind": "ClusterRole", "name": "edit" }, "namespaces": ["shop"] },
            "subject": { "username": "alice", "uid": "u-alice" },
        });
        whole.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
        let record: Record = serde_json::from_value(whole).unwrap();
        let line = record.bytes();
        previous = Some(digest(line.as_bytes()));
        ChainLink { record, line }
    });
    links.collect()
}

/// The text of a policy with one stage, whose approvers are these.
fn text(approvers: Value, more: Value) -> String {
    let mut stage = json!({ "name": "leads", "approvers": approvers });
    stage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_string(&policy("edits", json!({ "approval": { "stages": [stage] } })).spec).unwrap()
}

fn by_bob() -> String {
    text(json!([{ "kind": "User", "name": "bob" }]), json!({}))
}

/// A pack's tables of one request.
struct Told {
    chains: Vec<EvidenceChain>,
    known: NamedTexts,
    grants: EvidenceTable,
}

impl Told {
    fn of(records: &[Value], texts: &[&str]) -> Self {
        let chains = EvidenceChain::of(chain("u", records));
        let texts = texts.iter().map(|text| (digest(text.as_bytes()), (*text).to_owned())).collect();
        let known = NamedTexts::new(texts, &chains);
        let clock = at(4000).parse().unwrap();
        let grants = grants(&chains, &known, EndBound { clock, late_after: 60 });
        Self { chains, known, grants }
    }

    fn grant(&self, column: &str) -> &str {
        self.grants.cell(&self.grants.rows[0], column)
    }

    fn what(&self) -> Vec<String> {
        let table = exceptions(&self.chains, &self.grants);
        table.rows.iter().map(|row| table.cell(row, "what").to_owned()).collect()
    }

    /// Cells of a column.
    fn column(table: &EvidenceTable, column: &str) -> Vec<String> {
        table.rows.iter().map(|row| table.cell(row, column).to_owned()).collect()
    }
}

/// As it should be, with something else in place of what is at a place; behind the end, one more.
fn with(place: usize, other: Value) -> Vec<Value> {
    let text = by_bob();
    let mut records = vec![
        asked(),
        review(10, "bob", "Reviewed", "Approve"),
        then(20, "Approved", "Allowed", json!({})),
        begun(30, &["bob"], Some(&text)),
        ended(3635, "Expired"),
    ];
    if place < records.len() {
        records[place] = other
    } else {
        records.push(other)
    }
    records
}

/// The same with one more thing before the one at a place.
fn beside(place: usize, one_more: Value) -> Vec<Value> {
    let mut records = with(0, asked());
    records.insert(place, one_more);
    records
}

fn grant_of(records: &[Value], columns: &[&str]) -> Vec<String> {
    let told = Told::of(records, &[&by_bob()]);
    columns.iter().map(|column| told.grant(column).to_owned()).collect()
}

#[test]
fn what_went_as_it_should_is_said_to_have() {
    let columns = ["order", "asAsked", "ownApproval", "eligible", "end", "lateSeconds", "inTime", "asked", "approvals"];
    let expected = ["ok", "yes", "no", "yes", "stated", "5.000000", "yes", "1", "1"];
    assert_eq!(grant_of(&with(0, asked()), &columns), expected);
    assert!(Told::of(&with(0, asked()), &[&by_bob()]).what().is_empty());
}

#[test]
fn what_does_not_follow_is_out_of_order() {
    let order = |records: Vec<Value>| grant_of(&records, &["order"]).remove(0);
    let text = by_bob();
    assert_eq!(order(with(3, begun(30, &["bob", "dora"], Some(&text)))), "unapproved");
    assert_eq!(order(with(1, review(10, "bob", "Reviewed", "Deny"))), "unapproved");
    assert_eq!(order(with(1, review(10, "bob", "ReviewIgnored", "Approve"))), "unapproved");
    assert_eq!(order(beside(2, review(12, "bob", "ReviewWithdrawn", "Approve"))), "unapproved");
    assert_eq!(order(beside(2, review(12, "bob", "ReviewIgnored", "Approve"))), "ok", "the first one still counts");
    let late = vec![
        asked(),
        then(20, "Approved", "Allowed", json!({})),
        review(25, "bob", "Reviewed", "Approve"),
        begun(30, &["bob"], Some(&text)),
    ];
    assert_eq!(order(late), "unapproved", "it was decided before");
    assert_eq!(order(with(1, review(-10, "bob", "Reviewed", "Approve"))), "approval");
    let from = json!({ "actor": { "username": "bob" }, "review": { "verdict": "Approve", "countsFrom": at(25) } });
    let waits = with(1, then(10, "Reviewed", "Noted", from));
    assert_eq!(order(waits.clone()), "approval", "it did not count yet");
    assert_eq!(grant_of(&waits, &["lastApprovalAt"]), [at(25)]);
    let nobody = vec![asked(), then(-5, "Approved", "Allowed", json!({})), begun(30, &[], Some(&text))];
    assert_eq!(order(nobody), "decision");
    assert_eq!(order(with(3, begun(15, &["bob"], Some(&text)))), "beginning");
    assert_eq!(order(with(4, ended(25, "Revoked"))), "end");
}

#[test]
fn who_may_not_approve_fills_no_stage() {
    let text = by_bob();
    let by = |who: &str| {
        let mut records = with(1, review(10, who, "Reviewed", "Approve"));
        records[3] = begun(30, &[who], Some(&text));
        grant_of(&records, &["asAsked", "eligible", "ownApproval"])
    };
    assert_eq!(by("mallory"), ["no", "no", "no"]);
    assert_eq!(by("alice"), ["no", "no", "yes"]);
    let renamed = json!({ "actor": { "username": "al", "uid": "u-alice" }, "review": { "verdict": "Approve" } });
    let mut records = with(1, then(10, "Reviewed", "Noted", renamed));
    records[3] = begun(30, &["al"], Some(&text));
    assert_eq!(grant_of(&records, &["ownApproval"]), ["yes"], "the login says that it is the same person");
    let both = |records: Vec<Value>| grant_of(&records, &["eligible"]).remove(0);
    let mut two = beside(2, review(12, "mallory", "Reviewed", "Approve"));
    two[4] = begun(30, &["bob", "mallory"], Some(&text));
    assert_eq!(both(two), "no", "one of two is not");
    assert_eq!(grant_of(&with(3, begun(30, &[], Some(&text))), &["asAsked"]), ["no"], "nobody approved");
}

#[test]
fn approvers_are_known_by_name_by_group_or_by_the_record_alone() {
    let of = |approvers: Value, actor: Value| {
        let text = text(approvers, json!({}));
        let name = actor["username"].as_str().unwrap().to_owned();
        let said = json!({ "actor": actor, "review": { "verdict": "Approve" } });
        let mut records = with(1, then(10, "Reviewed", "Noted", said));
        records[3] = begun(30, &[&name], Some(&text));
        Told::of(&records, &[&text]).grant("eligible").to_owned()
    };
    let group = |name: &str| json!([{ "kind": "Group", "name": name }]);
    let dev = crate::core::model::facts::of_groups(&["dev".to_owned()]);
    assert_eq!(of(group("leads"), json!({ "username": "bob" })), "recorded");
    assert_eq!(of(group("dev"), json!({ "username": "bob", "groups": dev })), "yes");
    assert_eq!(of(group("leads"), json!({ "username": "bob", "groups": dev })), "no", "their groups are known");
    assert_eq!(of(group("leads"), json!({ "username": "system:serviceaccount:shop:ci" })), "no");
    let unheld = Told::of(&with(0, asked()), &[]);
    assert_eq!(["asAsked", "eligible", "asked"].map(|column| unheld.grant(column)), ["unknown", "unknown", ""]);
}

#[test]
fn those_to_whom_a_stage_is_escalated_may_approve_from_then_on() {
    let more = json!({ "escalateTo": [{ "kind": "User", "name": "carol" }], "escalateAfter": "5m" });
    let text = text(json!([{ "kind": "User", "name": "bob" }]), more);
    let mut records = with(1, review(10, "carol", "Reviewed", "Approve"));
    records[3] = begun(30, &["carol"], Some(&text));
    let told =
        |records: &[Value]| ["asAsked", "eligible"].map(|column| Told::of(records, &[&text]).grant(column).to_owned());
    assert_eq!(told(&records), ["no", "no"]);
    records.insert(1, then(5, "Escalated", "Noted", json!({})));
    assert_eq!(told(&records), ["yes", "yes"]);
}

#[test]
fn an_end_is_early_in_time_late_or_missing() {
    let end = |records: Vec<Value>| grant_of(&records, &["end", "inTime", "endedBy"]);
    assert_eq!(end(with(4, ended(100, "Revoked"))), ["early", "", "Revoked"]);
    assert_eq!(end(with(4, ended(3690, "Expired"))), ["stated", "yes", "Expired"]);
    assert_eq!(end(with(4, ended(3691, "Expired"))), ["stated", "no", "Expired"]);
    let open = || with(4, then(40, "Noticed", "Noted", json!({ "given": { "from": at(30), "until": at(3630) } })));
    assert_eq!(end(open()), ["overdue", "no", ""]);
    let longer = with(4, then(40, "Noticed", "Noted", json!({ "given": { "from": at(30), "until": at(9000) } })));
    assert_eq!(end(longer), ["running", "", ""]);
    assert_eq!(end(with(4, then(3000, "Deleted", "Noted", json!({})))), ["early", "", "Deleted"]);
}

#[test]
fn what_is_beside_the_plain_way_is_an_exception() {
    let what = |records: Vec<Value>| Told::of(&records, &[&by_bob()]).what();
    assert_eq!(what(with(4, ended(3691, "Expired"))), ["Late"]);
    let open = with(4, then(40, "Noticed", "Noted", json!({ "given": { "from": at(30), "until": at(3630) } })));
    assert_eq!(what(open), ["UnknownKind", "Overdue"]);
    assert_eq!(what(with(4, then(3000, "Deleted", "Noted", json!({})))), ["DeletedUnended"]);
    assert_eq!(what(vec![asked(), then(9, "Deleted", "Noted", json!({}))]), ["DeletedUndecided"]);
    assert_eq!(what(vec![asked(), then(9, "Denied", "Refused", json!({}))]), [] as [&str; 0]);
    let mut full = ended(3635, "Expired");
    full["leftOut"] = json!({ "count": 2 });
    assert_eq!(what(with(4, full)), ["LeftOut"]);
    let automatic = serde_json::to_string(&policy("edits", json!({})).spec).unwrap();
    let nobody = vec![asked(), begun(30, &[], Some(&automatic)), ended(3635, "Expired")];
    assert_eq!(Told::of(&nobody, &[&automatic]).what(), ["Automatic"]);
    let mut links = chain("u", &with(0, asked()));
    links.remove(2);
    let chains = EvidenceChain::of(links);
    let known = NamedTexts::new(BTreeMap::new(), &chains);
    let bound = EndBound { clock: at(4000).parse().unwrap(), late_after: 60 };
    let table = exceptions(&chains, &grants(&chains, &known, bound));
    assert_eq!(Told::column(&table, "what"), ["BrokenChain"]);
    assert_eq!(Told::column(&population(&chains), "chain"), [ChainBreak::Lacks(2).to_string()]);
}

#[test]
fn an_approval_is_one_of_the_grant_where_it_stood_when_that_was_decided() {
    let mut records = beside(2, review(12, "carol", "Reviewed", "Approve"));
    records.push(review(40, "alice", "Reviewed", "Approve"));
    let told = Told::of(&records, &[&by_bob()]);
    let table = approvals(&told.chains, &told.known);
    let of = |column: &str| Told::column(&table, column);
    assert_eq!(of("reviewer"), ["bob", "carol", "alice"]);
    assert_eq!(of("ofGrant"), ["yes", "no", "no"]);
    assert_eq!(of("own"), ["no", "no", "yes"]);
    assert_eq!(of("named"), ["yes", "no", "no"]);
}

#[test]
fn an_emergency_is_reviewed_in_time_by_somebody_else_or_not() {
    let of = |more: &[Value]| {
        let first = [asked(), then(5, "BreakGlass", "Noted", json!({})), begun(6, &[], None)];
        let told = Told::of(&[&first, more].concat(), &[]);
        let table = break_glass(&told.chains, &told.known);
        ["inTime", "ownReview", "finding"].map(|column| table.cell(&table.rows[0], column).to_owned())
    };
    let closed = |second, who: &str| then(second, "Justified", "Noted", json!({ "actor": { "username": who } }));
    let overdue = || then(50, "ReviewOverdue", "Noted", json!({}));
    assert_eq!(of(&[]), ["open", "no", ""]);
    assert_eq!(of(&[closed(40, "bob")]), ["yes", "no", "Justified"]);
    assert_eq!(of(&[closed(40, "bob"), overdue()]), ["yes", "no", "Justified"]);
    assert_eq!(of(&[overdue(), closed(60, "bob")]), ["no", "no", "Justified"]);
    assert_eq!(of(&[overdue()]), ["no", "no", ""]);
    assert_eq!(of(&[closed(40, "alice")]), ["yes", "yes", "Justified"]);
    let told = Told::of(&[asked(), then(5, "BreakGlass", "Noted", json!({})), begun(6, &[], None)], &[]);
    assert_eq!((told.grant("asAsked"), told.grant("breakGlass")), ("breakGlass", "yes"));
}

#[test]
fn a_chain_is_whole_or_says_where_it_is_not() {
    let whole = chain("u", &with(0, asked()));
    let broken = |links: Vec<ChainLink>| EvidenceChain::of(links)[0].broken();
    assert_eq!(broken(whole.clone()), None);
    let mut altered = whole.clone();
    altered[1].line.push(' ');
    assert_eq!(broken(altered), Some(ChainBreak::Unlinked(2)));
    assert_eq!(broken(whole[1..].to_vec()), Some(ChainBreak::Lacks(0)));
    let mut twice = whole.clone();
    let mut other = whole[0].clone();
    other.line = "another".to_owned();
    twice.push(other);
    assert_eq!(broken(twice), None, "of two records of one place the first counts");
    let one = &EvidenceChain::of(whole)[0];
    let touches = |from, to| one.touches(at(from).parse().unwrap(), at(to).parse().unwrap());
    assert!(touches(3635, 3636) && !touches(3636, 9000));
    assert!(!touches(-9, 0) && touches(-9, 1), "the end is not in it");
}

#[test]
fn what_became_of_a_request_is_the_last_that_changed_something() {
    let of = |records: Vec<Value>, column: &str| {
        Told::column(&population(&Told::of(&records, &[]).chains), column).remove(0)
    };
    assert_eq!(of(beside(5, then(3700, "Reviewed", "Noted", json!({}))), "result"), "Expired");
    assert_eq!(of(vec![asked(), then(9, "ApprovalNeeded", "Noted", json!({}))], "result"), "Requested");
    let mut silent = asked();
    silent["asked"]["reason"] = json!("  ");
    assert_eq!(of(vec![silent], "reasonGiven"), "no");
    assert_eq!(of(vec![asked()], "reasonGiven"), "yes");
    let mut emergency = asked();
    emergency["access"] =
        json!({ "role": { "kind": "ClusterRole", "name": "edit" }, "namespaces": ["shop"], "breakGlass": true });
    assert_eq!(of(vec![emergency], "breakGlass"), "yes");
}

#[test]
fn versions_of_policies_say_how_many_requests_name_them_and_whether_their_text_is_held() {
    let text = by_bob();
    let links = [chain("u", &with(0, asked())), chain("v", &with(0, asked()))].concat();
    let chains = EvidenceChain::of(links);
    let held = NamedTexts::new([(digest(text.as_bytes()), text.clone())].into(), &chains);
    let told = |known: &NamedTexts| {
        let table = versions(&chains, known);
        ["requests", "text"].map(|column| Told::column(&table, column).concat())
    };
    assert_eq!(told(&held), ["2", "held"]);
    assert_eq!(told(&NamedTexts::new(BTreeMap::new(), &chains)), ["2", "missing"]);
}

#[test]
fn a_rule_counts_the_rows_that_it_is_about_and_those_where_it_held() {
    let count = |name: &str, records: &[Value]| {
        EvidenceMeasure::named(name).unwrap().count(&Told::of(records, &[&by_bob()]).grants)
    };
    let late = with(4, ended(3691, "Expired"));
    assert_eq!(count("ended-in-time", &late), MeasureCount { operated: 0, of: 1 });
    assert_eq!(count("ended-in-time", &with(0, asked())), MeasureCount { operated: 1, of: 1 });
    let early = with(4, ended(100, "Revoked"));
    assert_eq!(count("ended-in-time", &early), MeasureCount { operated: 0, of: 0 });
    assert_eq!(count("end-stated", &early), MeasureCount { operated: 1, of: 1 });
}
