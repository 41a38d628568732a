//! What a store does, tried on both.

use std::collections::BTreeSet;

use super::super::activity::bindings::{self, MOST_USES};
use super::super::activity::tests as activity;
use super::super::activity::tests::bindings::call_by;
use super::super::campaign::tests as campaign;
use super::super::keeping::tests as keeping;
use super::super::log::tests as log;
use super::super::tests::{Story, delivery};
use super::search::{BoundValue, Statement};
use super::*;
use crate::api::delivery::ChainRule;
use crate::api::record::{Record, RecordOutcome};
use crate::core::activity::event::read;
use crate::core::record::v1::deleted_unseen;

#[path = "../../../e2e/harness/postgres.rs"]
mod server;

pub(super) use server::PostgresServer;

/// Each on an empty store.
async fn try_all(mut empty: impl AsyncFnMut(&str) -> ArchiveStore) {
    what_is_held_is_told(&empty("held").await).await;
    what_does_not_fit_is_refused(&empty("refused").await).await;
    what_comes_again_in_any_order_is_kept_once(&empty("again").await).await;
    clusters_do_not_meet(&empty("clusters").await).await;
    a_search_finds_what_fits_all_of_it(&empty("search").await).await;
    pages_do_not_shift(&empty("pages").await).await;
    texts_are_found_by_their_digest(&empty("texts").await).await;
    what_has_not_ended_is_told_of_its_cluster(&empty("open").await).await;
    those_who_write_at_once_lose_nothing(&empty("race").await).await;
    a_zero_character_harms_nothing(&empty("zero").await).await;
    reads::tests::pages_of_one_listing_are_one_read(&empty("reads").await).await;
    activity::try_all(&mut empty).await;
    keeping::try_all(&mut empty).await;
    log::each_record_is_one_leaf(&empty("log").await).await;
    log::records_from_before_the_log_get_leaves_in_their_order(&empty("backlog").await).await;
    uses_of_bindings_are_bounded(&empty("uses").await).await;
    campaign::what_happens_is_kept_once_and_to_the_byte(&empty("campaigns").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    try_all(async |name| ArchiveStore::Sqlite(SqliteStore::open(&folder.path().join(name)).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_a_store() {
    let Some(server) = PostgresServer::start(&["fsync=off"]) else {
        return PostgresServer::say_left_out("archive::store::tests::postgres_is_a_store");
    };
    try_all(async |name| ArchiveStore::Postgres(PostgresStore::open(&server.database(name), None).await.unwrap()))
        .await;
}

pub(super) async fn all(store: &ArchiveStore, search: Search) -> Vec<String> {
    let page = store.search(Search { limit: 1000, ..search }).await.unwrap();
    page.records.into_iter().map(|record| record.bytes).collect()
}

/// As many as there may be, each of another time, and then three more: the oldest go, and nothing is known of their time.
async fn uses_of_bindings_are_bounded(store: &ArchiveStore) {
    let (step, hour) = (60_000_000_i64, 3_600_000_000_i64);
    let now = crate::runtime::clock::Clock::wall().now();
    let base = now.as_microsecond() - hour - (MOST_USES + 1) * step;
    let filled = format!(
        "INSERT INTO binding_use (cluster, key, kind, namespace, name, username, hour)
        WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {MOST_USES})
        SELECT 'here', CAST(i AS TEXT), '', '', '', CAST(i AS TEXT), {base} + i * {step} FROM n"
    );
    let since = format!("INSERT INTO binding_since (cluster, at) VALUES ('here', {base})");
    let statements = [filled, since].map(|sql| Statement { sql, values: Vec::new() }).to_vec();
    store.write(statements, WriteRule::Always).await.unwrap();
    let take = async |ids: &[&str]| {
        let events = ids.iter().map(|id| read(&call_by(id, id, "admins", now).to_string()).unwrap()).collect();
        store.take_activity("here", events, &activity::rules(false)).await.unwrap();
        let uses = store.binding_uses("here").await.unwrap().uses;
        let first = uses.iter().map(|one| (one.hour.as_microsecond() - base) / step).min();
        let since = store.rows(vec![bindings::since("here")]).await.unwrap();
        let since = match since[0][0] {
            BoundValue::Number(at) => (at - base - hour) / step,
            _ => panic!("{since:?}"),
        };
        (i64::try_from(uses.len()).unwrap(), first.unwrap(), since)
    };
    assert_eq!(take(&["a"]).await, (MOST_USES, 2, 1));
    assert_eq!(take(&["b", "c"]).await, (MOST_USES, 4, 3));
    assert_eq!(take(&["a"]).await, (MOST_USES, 4, 3), "one that is there makes no more");
}

/// Keeps all records of a story.
pub(super) async fn keep(store: &ArchiveStore, story: &Story) {
    let answers = store.take(&story.cluster, story.delivery()).await.unwrap();
    assert!(answers.iter().all(|answer| answer.refused.is_none()), "{answers:?}");
}

async fn what_is_held_is_told(store: &ArchiveStore) {
    let (one, two) = (Story::of("one", 3), Story::of("two", 1));
    let both = delivery([one.records.clone(), two.records.clone()].concat());
    let answers = store.take(&one.cluster, both).await.unwrap();
    assert_eq!(
        answers.iter().map(|a| (a.uid.as_str(), a.held.clone())).collect::<Vec<_>>(),
        [("one", one.held(3)), ("two", two.held(1))]
    );
    let held = store.held(&one.cluster, vec!["one".into(), "none".into(), "two".into()]).await.unwrap();
    assert_eq!(held, HashMap::from([("one".to_owned(), one.held(3)), ("two".to_owned(), two.held(1))]));
    let found = all(store, Search { request: Some("one".into()), ..Search::default() }).await;
    let newest_first: Vec<String> = one.bytes().into_iter().rev().collect();
    assert_eq!(found, newest_first, "not what was sent, byte for byte");
}

async fn what_does_not_fit_is_refused(store: &ArchiveStore) {
    let story = Story::of("uid", 4);
    let take = async |indices: &[usize]| {
        let some = indices.iter().map(|index| story.records[*index].clone()).collect();
        let answer = store.take(&story.cluster, delivery(some)).await.unwrap().remove(0);
        (answer.held.held, answer.refused.map(|refused| (refused.index, refused.rule, refused.send_from)))
    };
    assert_eq!(take(&[1]).await, (0, Some((1, ChainRule::Gap, 0))));
    assert_eq!(take(&[0, 1, 3]).await, (2, Some((3, ChainRule::Gap, 2))), "what fits is kept");
    let mut other = story.records[1].clone();
    other.message = Some("It never happened.".to_owned());
    let answer = store.take(&story.cluster, delivery(vec![story.records[0].clone(), other])).await.unwrap().remove(0);
    assert_eq!(answer.refused.map(|refused| (refused.index, refused.rule)), Some((1, ChainRule::Conflict)));
    assert_eq!(answer.held, story.held(2));
    for previous in [None, Some(story.held(1).digest.unwrap())] {
        let mut astray = story.records[2].clone();
        astray.previous = previous;
        let answer = store.take(&story.cluster, delivery(vec![astray])).await.unwrap().remove(0);
        assert_eq!(answer.refused.map(|refused| (refused.index, refused.rule)), Some((2, ChainRule::Previous)));
    }
    assert_eq!(all(store, Search::default()).await, [story.bytes()[1].clone(), story.bytes()[0].clone()]);
    assert_eq!(take(&[2, 3]).await, (4, None), "a refusal is not for ever");
}

async fn what_comes_again_in_any_order_is_kept_once(store: &ArchiveStore) {
    let story = Story::of("uid", 5);
    for indices in [&[2, 0, 1][..], &[1, 0], &[4, 2, 3, 3], &[0, 1, 2, 3, 4]] {
        let some = indices.iter().map(|index| story.records[*index].clone()).collect();
        let answer = store.take(&story.cluster, delivery(some)).await.unwrap().remove(0);
        assert_eq!(answer.refused, None, "{indices:?}");
    }
    let newest_first: Vec<String> = story.bytes().into_iter().rev().collect();
    assert_eq!(all(store, Search::default()).await, newest_first);
    assert_eq!(all(store, Search { person: Some("alice".into()), ..Search::default() }).await.len(), 5);
}

async fn clusters_do_not_meet(store: &ArchiveStore) {
    let here = Story::of("uid", 2);
    let there = Story::told("uid", 2, |record| record.cluster = "there".to_owned());
    keep(store, &there).await;
    assert_eq!(store.held(&here.cluster, vec!["uid".into()]).await.unwrap(), HashMap::new());
    keep(store, &here).await;
    assert_eq!(store.held("there", vec!["uid".into()]).await.unwrap()["uid"], there.held(2));
    let of = async |cluster: &str| {
        let search = Search { cluster: Some(cluster.to_owned()), ..Search::default() };
        all(store, search).await.into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(of("there").await, there.bytes().into_iter().collect());
    assert_eq!(of(&here.cluster).await, here.bytes().into_iter().collect());
    assert_eq!(of("nowhere").await, BTreeSet::new());
}

async fn a_search_finds_what_fits_all_of_it(store: &ArchiveStore) {
    let alice = Story::of("a", 3);
    let bob = Story::told("b", 2, |record| {
        record.subject.as_mut().unwrap().username = "bob".to_owned();
        record.access.role.name = "admin".to_owned();
        record.access.namespaces = vec!["bank".to_owned(), "shop".to_owned()];
        record.request.namespace = "desk".to_owned();
        record.policy.as_mut().unwrap().name = "tight".to_owned();
        record.message = Some("Größe: INC-7, as carol said.".to_owned());
    });
    keep(store, &alice).await;
    keep(store, &bob).await;
    let find = async |search: Search| {
        let found = all(store, search.clone()).await;
        let all = alice.records.iter().chain(&bob.records);
        let held: BTreeSet<String> = all.filter(|record| search.holds(record)).map(Record::bytes).collect();
        assert_eq!(
            found.iter().cloned().collect::<BTreeSet<_>>(),
            held,
            "{search:?} means something else without a store"
        );
        let ids = found.iter().map(|bytes| serde_json::from_str::<serde_json::Value>(bytes).unwrap()["id"].clone());
        ids.map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    let every_of_b = ["b/1", "b/0"];
    let by = Search::default;
    assert_eq!(find(Search { person: some("bob"), ..by() }).await, every_of_b);
    assert_eq!(find(Search { person: some("carol"), ..by() }).await, ["b/1", "a/1"], "who did something counts");
    assert_eq!(find(Search { person: some("carol"), namespace: some("bank"), ..by() }).await, ["b/1"]);
    assert_eq!(find(Search { role: some("admin"), ..by() }).await, every_of_b);
    assert_eq!(find(Search { role: some("ClusterRole/admin"), ..by() }).await, every_of_b);
    assert_eq!(find(Search { role: some("Role/admin"), ..by() }).await, [""; 0]);
    for namespace in ["bank", "desk"] {
        assert_eq!(find(Search { namespace: some(namespace), ..by() }).await, every_of_b, "{namespace}");
    }
    assert_eq!(find(Search { namespace: some("shop"), ..by() }).await.len(), 5);
    assert_eq!(find(Search { policy: some("tight"), ..by() }).await, every_of_b);
    assert_eq!(find(Search { kind: some("Requested"), ..by() }).await, ["b/0", "a/0"]);
    assert_eq!(find(Search { outcome: some("Noted"), person: some("bob"), ..by() }).await, ["b/1"]);
    for text in ["größe", "GRÖSSE", "inc 7", "7-inc", "größe carol"] {
        let expected: &[&str] = if text == "GRÖSSE" { &[] } else { &every_of_b };
        assert_eq!(find(Search { text: some(text), ..by() }).await, expected, "{text}");
    }
    for text in ["größ", "inc 8", "\"inc", "inc OR nothing", "inc*"] {
        let expected: &[&str] = if text == "\"inc" || text == "inc*" { &every_of_b } else { &[] };
        assert_eq!(find(Search { text: some(text), ..by() }).await, expected, "{text}");
    }
    let (first, second) = (alice.at(0), alice.at(1));
    assert_eq!(find(Search { since: Some(second), person: some("alice"), ..by() }).await, ["a/2", "a/1"]);
    assert_eq!(find(Search { until: Some(second), ..by() }).await, ["b/0", "a/0"]);
    assert_eq!(find(Search { since: Some(first), until: Some(first), ..by() }).await, [""; 0]);
}

async fn pages_do_not_shift(store: &ArchiveStore) {
    let before = Story::of("m", 7);
    keep(store, &before).await;
    let (mut found, mut after) = (Vec::new(), None);
    for round in 0.. {
        let page = store.search(Search { limit: 2, after, ..Search::default() }).await.unwrap();
        assert!(page.records.len() <= 2);
        found.extend(page.records.into_iter().map(|record| record.bytes));
        after = page.next.map(|place| place.to_string().parse().unwrap());
        if after.is_none() {
            break;
        }
        // Of the same instants as those that are being read.
        keep(store, &Story::of(&format!("new-{round}"), 7)).await;
        assert!(round < 50, "it never ends");
    }
    let of_before: Vec<&String> = found.iter().filter(|bytes| bytes.contains("\"m/")).collect();
    assert_eq!(of_before, before.bytes().iter().rev().collect::<Vec<_>>());
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len(), "a record stands on two pages");
}

async fn texts_are_found_by_their_digest(store: &ArchiveStore) {
    let text = super::super::intake::ArrivedText { digest: crate::api::record::digest(b"{}"), text: "{}".to_owned() };
    for _ in 0..2 {
        let delivery = Delivery { records: Vec::new(), texts: vec![text.clone()] };
        assert_eq!(store.take("here", delivery).await.unwrap(), []);
    }
    assert_eq!(store.text(&text.digest).await.unwrap(), Some("{}".to_owned()));
    assert_eq!(store.text("sha256:none").await.unwrap(), None);
}

async fn what_has_not_ended_is_told_of_its_cluster(store: &ArchiveStore) {
    let ended = Story::told("ended", 3, |record| {
        record.outcome = if record.index == 1 { RecordOutcome::Ended } else { RecordOutcome::Noted };
    });
    let there = Story::told("there", 1, |record| record.cluster = "there".to_owned());
    let (first, second) = (Story::of("first", 3), Story::of("second", 2));
    for story in [&first, &ended, &there, &second] {
        keep(store, story).await;
    }
    let open = async |after: i64| {
        let found = store.open_chains("here", after).await.unwrap();
        found.into_iter().map(|end| (end.n, end.digest, end.bytes)).collect::<Vec<_>>()
    };
    let found = open(0).await;
    let ends = |story: &Story| (story.records.last().unwrap().digest(), story.bytes().pop().unwrap());
    let told: Vec<_> = found.iter().map(|(_, digest, bytes)| (digest.clone(), bytes.clone())).collect();
    assert_eq!(told, [ends(&first), ends(&second)]);
    assert_eq!(open(found[0].0).await, found[1..]);
    let last = deleted_unseen(first.records[2].clone(), ends(&first).0, first.records[2].at.0);
    store.take("here", delivery(vec![last])).await.unwrap();
    assert_eq!(open(0).await, found[1..], "it is told no more when it is said to be gone");
    assert_eq!(open(i64::MAX).await, []);
    assert_eq!(store.open_chains("nowhere", 0).await.unwrap(), []);
}

async fn those_who_write_at_once_lose_nothing(store: &ArchiveStore) {
    let story = Story::of("uid", 40);
    let writers = (0..8).map(|writer| {
        let (store, story) = (store.clone(), Story::of("uid", 40));
        tokio::spawn(async move {
            let mut from = 0;
            while from < 40 {
                let some = story.records[from..(from + 3 + writer).min(40)].to_vec();
                let answer = store.take(&story.cluster, delivery(some)).await.unwrap().remove(0);
                assert_eq!(answer.refused, None);
                from = answer.held.held as usize;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let newest_first: Vec<String> = story.bytes().into_iter().rev().collect();
    assert_eq!(all(store, Search::default()).await, newest_first);
}

async fn a_zero_character_harms_nothing(store: &ArchiveStore) {
    let story = Story::told("uid", 1, |record| {
        record.message = Some("a\0b".to_owned());
        record.subject.as_mut().unwrap().username = "mal\0lory".to_owned();
    });
    keep(store, &story).await;
    assert_eq!(all(store, Search::default()).await, story.bytes());
}

#[tokio::test]
async fn what_is_committed_to_sqlite_is_on_disk_and_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.db");
    let story = Story::of("uid", 2);
    keep(&ArchiveStore::Sqlite(SqliteStore::open(&file).unwrap()), &story).await;
    let again = ArchiveStore::Sqlite(SqliteStore::open(&file).unwrap());
    assert_eq!(all(&again, Search::default()).await.len(), 2);
    let beside = rusqlite::Connection::open(&file).unwrap();
    let mode: String = beside.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    beside.execute_batch(&schema::reached(99)).unwrap();
    let refused = SqliteStore::open(&file).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, known } if known == schema::newest()), "{refused}");
}

#[tokio::test]
async fn postgres_of_a_later_version_is_left_alone_and_tls_is_verified_or_refused() {
    let unencrypted = PostgresStore::open("host=/nowhere sslmode=require", None).await.unwrap_err();
    assert!(matches!(&unencrypted, StoreError::Address(why) if why.contains("--database-ca")), "{unencrypted}");
    let Some(server) = PostgresServer::start(&["fsync=off"]) else {
        return PostgresServer::say_left_out("archive::store::tests::postgres_of_a_later_version_is_left_alone");
    };
    let url = server.database("later");
    keep(&ArchiveStore::Postgres(PostgresStore::open(&url, None).await.unwrap()), &Story::of("uid", 2)).await;
    let again = ArchiveStore::Postgres(PostgresStore::open(&url, None).await.unwrap());
    assert_eq!(all(&again, Search::default()).await.len(), 2);
    let sql = schema::reached(99);
    assert!(server.client("psql").args(["-q", "-d", "later", "-c", &sql]).status().unwrap().success());
    let refused = PostgresStore::open(&url, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, known } if known == schema::newest()), "{refused}");
}
