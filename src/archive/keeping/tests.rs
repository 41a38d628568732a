//! What goes when its time is over, and what stays, tried on both stores.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::super::log::tests::whole;
use super::super::store::ArchiveStore;
use super::super::store::search::Search;
use super::super::tests::{Story, delivery};
use super::sweep::sweep;
use crate::api::activity::UseCount;
use crate::api::keeping::{ErasureAsked, ErasureTold, HoldAsked, KeepingTimes, KeptHold, LiftedHold};
use crate::api::record::RecordOutcome;
use crate::archive::activity::tables as activity;
use crate::archive::store::WriteRule;
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{RowKind, SummaryRow};
use crate::core::proof::audit::{LeafStore, LogWalk, WalkedLog};
use crate::core::proof::field::{FieldSalt, FieldSalts};

/// A day as records of [`Story`] have it, and a time within it.
const MADE: &str = "2026-11-29T16:00:00Z";

/// Each on an empty store.
pub async fn try_all(mut empty: impl AsyncFnMut(&str) -> ArchiveStore) {
    what_is_over_goes_with_all_that_finds_it(&empty("due").await).await;
    what_is_held_stays_until_it_is_lifted(&empty("holds").await).await;
    calls_go_before_what_was_decided(&empty("calls").await).await;
    what_is_erased_leaves_every_proof(&empty("proofs").await).await;
}

/// So many days after the records were made.
fn days_later(days: i64) -> Timestamp {
    MADE.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
}

/// A request that is over with its third record.
fn over(uid: &str, person: &str) -> Story {
    Story::told(uid, 3, |record| {
        record.subject.as_mut().unwrap().username = person.to_owned();
        record.message = Some(format!("said by {person}"));
        if record.index == 2 {
            record.outcome = RecordOutcome::Ended;
        }
    })
}

async fn keep(store: &ArchiveStore, story: &Story) {
    let answers = store.take(&story.cluster, story.delivery()).await.unwrap();
    assert!(answers.iter().all(|answer| answer.refused.is_none()), "{answers:?}");
}

/// UIDs of requests of which something is found.
async fn found(store: &ArchiveStore, search: Search) -> BTreeSet<String> {
    let page = store.search(Search { limit: 100, ..search }).await.unwrap();
    let uid = |bytes: &str| serde_json::from_str::<serde_json::Value>(bytes).unwrap()["request"]["uid"].to_string();
    page.records.iter().map(|record| uid(&record.bytes).trim_matches('"').to_owned()).collect()
}

fn uids(uids: &[&str]) -> BTreeSet<String> {
    uids.iter().map(|uid| (*uid).to_owned()).collect()
}

async fn what_is_over_goes_with_all_that_finds_it(store: &ArchiveStore) {
    let times = KeepingTimes::default();
    let (old, running) = (over("old", "alice"), Story::of("running", 2));
    keep(store, &running).await;
    keep(store, &old).await;
    assert_eq!(sweep(store, times, days_later(401)).await.unwrap(), 0, "no number may be given twice");
    keep(store, &Story::of("latest", 1)).await;
    assert_eq!(sweep(store, times, days_later(399)).await.unwrap(), 0, "not yet");
    assert_eq!(sweep(store, KeepingTimes { decision_days: None, ..times }, days_later(4000)).await.unwrap(), 0);
    assert_eq!(sweep(store, times, days_later(401)).await.unwrap(), 1);
    assert_eq!(found(store, Search::default()).await, uids(&["latest", "running"]), "one that is not over stays");
    let of = async |search: Search| found(store, search).await;
    assert_eq!(
        of(Search { person: Some("alice".to_owned()), ..Search::default() }).await,
        uids(&["latest", "running"])
    );
    assert_eq!(of(Search { text: Some("said".to_owned()), ..Search::default() }).await, uids(&[]), "words are left");
    assert_eq!(
        of(Search { namespace: Some("shop".to_owned()), ..Search::default() }).await,
        uids(&["latest", "running"])
    );
    // What comes once more is not new, and nothing is asked for anew.
    let answer = store.take("here", delivery(old.records.clone())).await.unwrap().remove(0);
    assert_eq!((answer.held, answer.refused), (old.held(3), None));
    assert_eq!(found(store, Search::default()).await, uids(&["latest", "running"]), "what was erased came back");
    assert_eq!(sweep(store, times, days_later(401)).await.unwrap(), 0);
}

fn hold(name: &str, requests: &[&str], person: Option<&str>) -> KeptHold {
    let asked = HoldAsked {
        name: name.to_owned(),
        requests: requests.iter().map(|uid| (*uid).to_owned()).collect(),
        person: person.map(str::to_owned),
        until: None,
        reason: "Case 7.".to_owned(),
    };
    KeptHold { asked, at: MicroTime(days_later(1)), by: "lea".to_owned(), lifted: None }
}

async fn what_is_held_stays_until_it_is_lifted(store: &ArchiveStore) {
    let times = KeepingTimes::default();
    for (uid, person) in [("named", "alice"), ("of-bob", "bob"), ("other", "dave")] {
        keep(store, &over(uid, person)).await;
    }
    keep(store, &Story::of("running", 1)).await;
    let mut by_person = hold("by-person", &[], Some("bob"));
    by_person.asked.until = Some(MicroTime(days_later(500)));
    assert!(store.keep_hold(&hold("by-uid", &["named", "gone"], None)).await.unwrap());
    assert!(store.keep_hold(&by_person).await.unwrap());
    assert!(!store.keep_hold(&hold("by-uid", &["other"], None)).await.unwrap(), "a name is given once");
    assert_eq!(sweep(store, times, days_later(450)).await.unwrap(), 1);
    assert_eq!(found(store, Search::default()).await, uids(&["named", "of-bob", "running"]));
    assert_eq!(sweep(store, times, days_later(501)).await.unwrap(), 1, "the time of a hold is over");
    assert_eq!(found(store, Search::default()).await, uids(&["named", "running"]));
    let lifted = LiftedHold { at: MicroTime(days_later(600)), by: "lea".to_owned(), reason: "Closed.".to_owned() };
    assert_eq!(store.lift_hold("none", lifted.clone()).await.unwrap(), None);
    let told = store.lift_hold("by-uid", lifted.clone()).await.unwrap().unwrap();
    assert_eq!(told.lifted, Some(lifted.clone()));
    assert_eq!(store.lift_hold("by-uid", lifted).await.unwrap(), None, "it is lifted once");
    assert_eq!(sweep(store, times, days_later(601)).await.unwrap(), 1);
    assert_eq!(found(store, Search::default()).await, uids(&["running"]));
    let holds = store.holds().await.unwrap();
    assert_eq!(holds, [by_person, told], "those that are over are told too");
}

async fn calls_go_before_what_was_decided(store: &ArchiveStore) {
    for (uid, person) in [("over", "alice"), ("held", "bob")] {
        keep(store, &over(uid, person)).await;
    }
    keep(store, &Story::of("running", 2)).await;
    store.keep_hold(&hold("h", &["held"], None)).await.unwrap();
    let at = days_later(0);
    let row = SummaryRow {
        kind: RowKind::Others,
        calls: 3,
        first: at,
        last: at,
        claimed: Vec::new(),
        names: ObjectNames::Many,
    };
    let used = UseCount { calls: 3, first: Some(at), last: Some(at), ..UseCount::default() };
    for uid in ["over", "held", "running"] {
        let writes = vec![
            activity::keep_row("here", uid, &row),
            activity::keep_count("here", uid, [1, 1], &used, at),
            activity::keep_line("here", uid, at, "{}"),
        ];
        store.write(writes, WriteRule::Always).await.unwrap();
    }
    let left = async |uid: &str| {
        let found = store.activity("here", uid).await.unwrap().map(|found| (found.used.calls, found.rows.len()));
        (found, store.audit_lines("here", uid, 0).await.unwrap().0.len())
    };
    let whole = (Some((3, 1)), 1);
    assert_eq!(sweep(store, KeepingTimes::default(), days_later(180)).await.unwrap(), 0);
    assert_eq!(left("over").await, whole, "not yet");
    sweep(store, KeepingTimes::default(), days_later(181)).await.unwrap();
    assert_eq!(left("over").await, (Some((3, 0)), 0), "how many calls there were stays");
    assert_eq!((left("held").await, left("running").await), (whole, whole));
    sweep(store, KeepingTimes::default(), days_later(401)).await.unwrap();
    assert_eq!(left("over").await, (None, 0));
    assert_eq!((left("held").await, left("running").await), (whole, whole));
}

/// What a walk through the whole log finds, with what is still there of each leaf.
async fn walked(store: &ArchiveStore) -> WalkedLog {
    let leaves = whole(store).await;
    let mut walk = LogWalk::new([]);
    let mut opened = Vec::new();
    while opened.len() < leaves.len() {
        opened.extend(store.openings(opened.len() as u64).await.unwrap());
    }
    for (leaf, opening) in leaves.iter().zip(&opened) {
        let salts: BTreeMap<String, String> = serde_json::from_str(&opening.salts).unwrap();
        let salt = |text: &String| FieldSalt::new(STANDARD.decode(text).unwrap().try_into().unwrap());
        let salts: FieldSalts = salts.iter().map(|(path, text)| (path.clone(), salt(text))).collect();
        let about = if opening.record.is_empty() { &opening.event } else { &opening.record };
        let stored = if about.is_empty() { LeafStore::Gone } else { LeafStore::Kept(about, &salts) };
        walk.step(leaf.as_bytes(), stored);
    }
    walk.finish()
}

async fn what_is_erased_leaves_every_proof(store: &ArchiveStore) {
    let now = days_later(1);
    for (uid, person) in [("hers", "alice"), ("held", "alice"), ("of-carol", "bob")] {
        keep(store, &over(uid, person)).await;
    }
    keep(store, &Story::of("running", 3)).await;
    let before = whole(store).await;
    let whole_before = walked(store).await;
    assert_eq!((whole_before.findings.as_slice(), whole_before.erased), (&[][..], 0));
    assert!(store.keep_hold(&hold("h", &["held"], None)).await.unwrap());
    let ask = |person: &str| ErasureAsked { person: person.to_owned(), reason: "left".to_owned() };
    let told = store.erase_person(&ask("alice"), "lea", now).await.unwrap();
    assert_eq!(told, ErasureTold { erased: 1, kept: 2, of_others: 0 });
    // Carol decided in each of them and asked for none.
    let told = store.erase_person(&ask("carol"), "lea", now).await.unwrap();
    assert_eq!(told, ErasureTold { erased: 0, kept: 0, of_others: 3 });
    assert_eq!(found(store, Search::default()).await, uids(&["held", "of-carol", "running"]));
    let after = whole(store).await;
    assert_eq!(after[..before.len()], before, "a leaf was changed");
    let shut = store.openings(0).await.unwrap();
    let of_hers: Vec<_> = shut[..3].iter().map(|leaf| (leaf.salts.as_str(), leaf.record.as_str())).collect();
    assert_eq!(of_hers, [("{}", ""); 3], "salts are left");
    let walked = walked(store).await;
    assert_eq!((walked.findings, walked.erased), (Vec::new(), 3), "the log says what was erased");
}
