//! Audit events for tests, and what a store makes of them, tried on both. [`bindings`] tries what is kept of other bindings.

pub mod bindings;

use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::intake::{ArrivedText, Delivery};
use super::super::store::ArchiveStore;
use super::super::tests::Story;
use super::{ActivityRules, ClusterAccounts, Taken};
use crate::api::activity::{KnownUse, UseCount, UsesKnown};
use crate::api::reason::Reason;
use crate::api::record::{RecordKind, RecordOutcome, digest};
use crate::api::request::GrantUse;
use crate::core::activity::event::{ReadEvent, read};
use crate::core::activity::explained::Unexplained;
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{MOST_ROWS, RowKind, SummaryRow};
use crate::core::activity::verdict::UnknownUse;
use crate::runtime::clock::Clock;

pub const UID: &str = "0f0e2d1c-3b4a-4958-8776-000000000001";
const OTHER: &str = "0f0e2d1c-3b4a-4958-8776-000000000002";
const CONTROLLER: &str = "system:serviceaccount:daypass-system:daypass";
const CANARY: &str = "system:serviceaccount:daypass-system:daypass-canary";

pub fn rules(lines: bool) -> Arc<ActivityRules> {
    let here = ClusterAccounts::of_writers([&CONTROLLER.to_owned()]);
    Arc::new(ActivityRules { clusters: [("here".to_owned(), here)].into(), lines })
}

/// A moment that tests count from, a while ago.
fn start() -> Timestamp {
    let second = Clock::wall().now().as_second() - 600;
    Timestamp::from_second(second).unwrap()
}

/// A call of alice in namespace shop that a binding of this request allowed, so many seconds after a start.
pub fn call(id: &str, uid: &str, start: Timestamp, second: i64) -> Value {
    let reason =
        format!("RBAC: allowed by RoleBinding \"daypass-{uid}/shop\" of ClusterRole \"edit\" to User \"alice\"");
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api/v1/namespaces/shop/pods",
        "requestReceivedTimestamp": start + SignedDuration::from_secs(second),
        "stageTimestamp": start + SignedDuration::from_secs(second),
        "user": { "username": "alice" }, "sourceIPs": ["10.0.0.1"],
        "objectRef": { "resource": "pods", "namespace": "shop" }, "responseStatus": { "code": 200 },
        "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason },
    })
}

fn with(mut event: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn exec(id: &str, stage: &str, start: Timestamp, second: i64) -> Value {
    let object = json!({ "resource": "pods", "namespace": "shop", "name": "web", "subresource": "exec" });
    let uri = "/api/v1/namespaces/shop/pods/web/exec?command=psql&command=-psecret";
    let event = with(call(id, UID, start, 10), json!({ "verb": "get", "stage": stage, "objectRef": object }));
    let at = start + SignedDuration::from_secs(second);
    with(event, json!({ "requestURI": uri, "responseStatus": { "code": 101 }, "stageTimestamp": at }))
}

fn mark(server: &str, start: Timestamp, second: i64) -> Value {
    let agent = format!("daypass-canary/0.1.0 api-server={server} api-servers=2");
    let id = format!("mark-{server}-{second}");
    let event = with(call(&id, UID, start, second), json!({ "userAgent": agent, "annotations": {}, "verb": "get" }));
    with(event, json!({ "user": { "username": CANARY } }))
}

async fn take(store: &ArchiveStore, events: &[Value]) -> Taken {
    let events: Vec<ReadEvent> = events.iter().map(|event| read(&event.to_string()).unwrap()).collect();
    store.take_activity("here", events, &rules(true)).await.unwrap()
}

/// The records of a grant of alice that began at a time.
fn grant(uid: &str, start: Timestamp, change: impl Fn(&mut crate::api::record::Record)) -> Story {
    Story::told(uid, 2, |record| {
        record.at.0 = start + SignedDuration::from_secs(i64::from(record.index));
        if record.index == 1 {
            (record.kind, record.outcome) = (RecordKind::Entry(Reason::Granted).into(), RecordOutcome::Begun);
        }
        change(record);
    })
}

async fn rows(store: &ArchiveStore, uid: &str) -> Vec<SummaryRow> {
    store.activity("here", uid).await.unwrap().unwrap().rows
}

/// Each on an empty store.
pub async fn try_all(empty: &mut impl AsyncFnMut(&str) -> ArchiveStore) {
    orders_make_no_difference(empty).await;
    a_stream_is_one_call_and_open_until_its_end(&empty("streams").await).await;
    what_is_beside_is_told_by_what_allowed_it(&empty("beside").await).await;
    one_that_ended_before_the_first_event_comes_is_known(&empty("late").await).await;
    calls_that_came_before_the_records_are_beside_too(&empty("early").await).await;
    only_what_is_heard_is_said_to_be_unused(&empty("heard").await).await;
    what_no_record_explains_is_told_once_until_one_does(&empty("unexplained").await).await;
    several_that_are_deleted_by_one_call_are_told_of_where_access_ran(&empty("many").await).await;
    rows_are_bounded(&empty("bounded").await).await;
    a_few_names_are_kept_of_what_calls_were_about(&empty("names").await).await;
    events_are_kept_as_they_are_where_that_is_asked(&empty("lines").await).await;
    bindings::the_last_use_of_each_is_kept(empty).await;
    bindings::silence_counts_since_uses_are_looked_for(&empty("silence").await).await;
}

async fn orders_make_no_difference(empty: &mut impl AsyncFnMut(&str) -> ArchiveStore) {
    let start = start();
    let refused = with(call("refused", UID, start, 30), json!({ "verb": "create", "responseStatus": { "code": 422 } }));
    let of_others = with(
        call("devs", UID, start, 31),
        json!({ "annotations": {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding \"devs\" of ClusterRole \"view\" to Group \"devs\"",
    } }),
    );
    let events = [
        call("one", UID, start, 1),
        call("two", UID, start, 2),
        exec("exec", "ResponseStarted", start, 11),
        exec("exec", "ResponseComplete", start, 20),
        exec("open", "ResponseStarted", start, 12),
        refused,
        of_others,
        call("another", OTHER, start, 40),
        mark("a:1", start, 1),
        mark("a:1", start, 50),
    ];
    let doubled = [&events[..], &events[..]].concat();
    let reversed: Vec<Value> = events.iter().rev().cloned().collect();
    let turned = [&events[4..], &events[..4]].concat();
    let mut answers: Vec<(UsesKnown, Vec<SummaryRow>)> = Vec::new();
    for (n, (order, size)) in [(&events[..], 3), (&doubled, 20), (&reversed, 1), (&turned, 4)].into_iter().enumerate() {
        let store = empty(&format!("order-{n}")).await;
        for batch in order.chunks(size) {
            take(&store, batch).await;
        }
        let uses = store.uses("here", &[UID.to_owned(), OTHER.to_owned()]).await.unwrap();
        answers.push((uses, rows(&store, UID).await));
        assert_eq!(store.uses("there", &[UID.to_owned()]).await.unwrap(), UsesKnown::default());
    }
    let at = |second| Some(start + SignedDuration::from_secs(second));
    let known = |uid: &str, calls, refused, open, first, last| {
        let count = UseCount { calls, refused, first: at(first), last: at(last), ..UseCount::default() };
        KnownUse { uid: uid.to_owned(), count, open, open_beside: 0 }
    };
    let (uses, rows) = &answers[0];
    assert_eq!(uses.uses, [known(UID, 5, 1, 1, 1, 30), known(OTHER, 1, 0, 0, 40, 40)]);
    assert_eq!(uses.servers.len(), 1);
    assert_eq!((Some(uses.servers[0].from), Some(uses.servers[0].until)), (at(1), at(50)));
    assert_eq!(rows.iter().map(|row| row.calls).collect::<Vec<_>>(), [2, 2, 1]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &answers[0], "order {n}");
    }
}

async fn a_stream_is_one_call_and_open_until_its_end(store: &ArchiveStore) {
    let start = start();
    let open = async || store.uses("here", &[UID.to_owned()]).await.unwrap().uses[0].open;
    let taken = take(store, &[exec("exec", "ResponseStarted", start, 11)]).await;
    assert_eq!((taken.tied, open().await), (1, 1));
    let taken = take(store, &[exec("exec", "ResponseComplete", start, 90)]).await;
    assert_eq!((taken.tied, open().await), (0, 0));
    let taken = take(store, &[exec("exec", "ResponseStarted", start, 11)]).await;
    assert_eq!((taken.tied, open().await), (0, 0), "it does not open again");
    let row = &rows(store, UID).await[0];
    assert_eq!((row.calls, row.last), (1, start + SignedDuration::from_secs(90)));
    let RowKind::Alike(kind) = &row.kind else { panic!("{row:?}") };
    assert_eq!((kind.target.as_deref(), kind.program.as_deref()), (Some("web"), Some("psql")));
}

async fn what_is_beside_is_told_by_what_allowed_it(store: &ArchiveStore) {
    let start = start();
    let text = r#"[{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}]"#.to_owned();
    let of = |uid: &str| grant(uid, start, |record| record.access.role_digest = Some(digest(text.as_bytes())));
    // Before there is anything to know.
    take(store, &[]).await;
    for uid in [UID, OTHER] {
        let mut delivery = of(uid).delivery();
        delivery.texts.push(ArrivedText { digest: digest(text.as_bytes()), text: text.clone() });
        store.take("here", delivery).await.unwrap();
    }
    let taken = take(store, &[call("one", UID, start, 5)]).await;
    assert_eq!((taken.tied, taken.beside), (1, 1));
    let ambiguous = store.activity("here", OTHER).await.unwrap().unwrap();
    assert_eq!(ambiguous.verdict.unknown, Some(UnknownUse::Ambiguous), "{ambiguous:?}");
    let RowKind::Alike(kind) = &ambiguous.rows[0].kind else { panic!("{ambiguous:?}") };
    assert_eq!(kind.instead.as_ref().and_then(|instead| instead.request.as_deref()), Some(UID));
    assert_eq!(store.activity("here", UID).await.unwrap().unwrap().verdict.used, GrantUse::Used);
    let standing = |id: &str| {
        let reason = "RBAC: allowed by ClusterRoleBinding \"devs\" of ClusterRole \"view\" to Group \"devs\"";
        let why = json!({ "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason });
        with(call(id, UID, start, 6), json!({ "annotations": why }))
    };
    let taken = take(store, &[standing("two"), standing("two")]).await;
    assert_eq!((taken.tied, taken.beside), (0, 2), "once for each grant");
    let both = store.activity("here", OTHER).await.unwrap().unwrap();
    assert_eq!((both.used.standing, both.used.ambiguous), (1, 1));
    let at = |second| Some(start + SignedDuration::from_secs(second));
    assert_eq!((both.verdict.unknown, both.used.last_beside), (Some(UnknownUse::Ambiguous), at(6)));
    let stream = |stage: &str, second: i64| {
        let event = with(standing("stream"), json!({ "stage": stage, "verb": "list" }));
        with(event, json!({ "stageTimestamp": start + SignedDuration::from_secs(second) }))
    };
    let known = async || store.uses("here", &[OTHER.to_owned()]).await.unwrap().uses.remove(0);
    take(store, &[stream("ResponseStarted", 7)]).await;
    let open = known().await;
    assert_eq!((open.open, open.open_beside, open.count.last_beside), (0, 1, at(7)));
    take(store, &[stream("ResponseComplete", 90)]).await;
    let closed = known().await;
    assert_eq!((closed.open_beside, closed.count.last_beside, closed.count.standing), (0, at(90), 2));
}

async fn one_that_ended_before_the_first_event_comes_is_known(store: &ArchiveStore) {
    let start = start();
    let text = r#"[{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}]"#.to_owned();
    let story = grant(UID, start, |record| record.access.role_digest = Some(digest(text.as_bytes())));
    let mut delivery = ended(story, start + SignedDuration::from_secs(300));
    delivery.texts.push(ArrivedText { digest: digest(text.as_bytes()), text });
    store.take("here", delivery).await.unwrap();
    let reason = "RBAC: allowed by ClusterRoleBinding \"devs\" of ClusterRole \"view\" to Group \"devs\"";
    let why = json!({ "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason });
    let taken = take(store, &[with(call("late", UID, start, 6), json!({ "annotations": why }))]).await;
    assert_eq!(taken.beside, 1, "its event comes after a restart of the archive");
}

async fn calls_that_came_before_the_records_are_beside_too(store: &ArchiveStore) {
    let start = start();
    let text = r#"[{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}]"#.to_owned();
    let comes = async |uid: &str| {
        let story = grant(uid, start, |record| record.access.role_digest = Some(digest(text.as_bytes())));
        let mut delivery = story.delivery();
        delivery.texts.push(ArrivedText { digest: digest(text.as_bytes()), text: text.clone() });
        store.take("here", delivery).await.unwrap();
    };
    let why = |by: &str| {
        let reason = format!("RBAC: allowed by ClusterRoleBinding \"{by}\" of ClusterRole \"view\" to Group \"devs\"");
        json!({ "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason })
    };
    let standing = |id: &str| with(call(id, UID, start, 5), json!({ "annotations": why("devs") }));
    let stream = |stage: &str, second: i64| {
        let at = start + SignedDuration::from_secs(second);
        with(standing("watch"), json!({ "stage": stage, "stageTimestamp": at }))
    };
    let before = [standing("one"), standing("one"), call("two", OTHER, start, 5), stream("ResponseStarted", 5)];
    let of_everybody = with(call("three", UID, start, 5), json!({ "annotations": why("system:discovery") }));
    let taken = take(store, &[&before[..], &[of_everybody]].concat()).await;
    assert_eq!((taken.tied, taken.beside), (1, 0), "no grant is known yet");
    comes(UID).await;
    let taken = take(store, &[]).await;
    assert_eq!((taken.tied, taken.beside), (0, 3), "each once");
    let known = async |uid: &str| store.activity("here", uid).await.unwrap().unwrap();
    let first = known(UID).await;
    assert_eq!((first.used.standing, first.used.ambiguous, first.open), (2, 1, [0, 1]), "{first:?}");
    assert_eq!(first.used.last_beside, Some(start + SignedDuration::from_secs(5)));
    // Another, also beside what counts already.
    comes(OTHER).await;
    let taken = take(store, &before).await;
    assert_eq!((taken.tied, taken.beside), (0, 2), "what comes again counts no more");
    let taken = take(store, &[stream("ResponseComplete", 60)]).await;
    assert_eq!((taken.tied, taken.beside), (0, 0), "the call is counted");
    let both = (known(UID).await, known(OTHER).await);
    assert_eq!((both.0.used.standing, both.1.used.standing, both.1.used.calls), (2, 2, 1));
    assert_eq!((both.0.open, both.1.open, both.1.used.ambiguous), ([0, 0], [0, 0], 0));
}

/// The records of a grant that is over since then.
fn ended(story: Story, at: Timestamp) -> Delivery {
    let mut records = story.records;
    let mut end = records[1].clone();
    (end.index, end.id) = (2, format!("{}/2", end.request.uid));
    end.previous = Some(records[1].digest());
    (end.kind, end.outcome) = (RecordKind::Entry(Reason::Expired).into(), RecordOutcome::Ended);
    end.at.0 = at;
    records.push(end);
    super::super::tests::delivery(records)
}

async fn only_what_is_heard_is_said_to_be_unused(store: &ArchiveStore) {
    let start = start();
    let story = grant(UID, start + SignedDuration::from_secs(60), |_| {});
    store.take("here", ended(story, start + SignedDuration::from_secs(300))).await.unwrap();
    let known = async || store.activity("here", UID).await.unwrap().unwrap().verdict.used;
    assert_eq!(known().await, GrantUse::Unknown);
    let all = |server: &str| (0..=21).map(|round| mark(server, start, round * 15)).collect::<Vec<_>>();
    take(store, &all("a:1")).await;
    assert_eq!(known().await, GrantUse::Unknown, "one of two is silent");
    let with_gap: Vec<Value> =
        all("b:1").into_iter().enumerate().filter(|(n, _)| !(8..13).contains(n)).map(|(_, mark)| mark).collect();
    take(store, &with_gap).await;
    assert_eq!(known().await, GrantUse::Unknown, "one of two was silent for a while");
    let forged: Vec<Value> =
        all("b:1").into_iter().map(|mark| with(mark, json!({ "user": { "username": "mallory" } }))).collect();
    take(store, &forged).await;
    assert_eq!(known().await, GrantUse::Unknown, "who else says so proves nothing");
    take(store, &all("b:1")).await;
    assert_eq!(known().await, GrantUse::NotUsed);
    let many: Vec<Value> = vec![with(
        mark("a:1", start, 100),
        json!({
            "auditID": "more", "userAgent": "daypass-canary/0.1.0 api-server=a:1 api-servers=3",
        }),
    )];
    let forged = with(many[0].clone(), json!({ "user": { "username": "mallory" } }));
    take(store, &[forged]).await;
    assert_eq!(known().await, GrantUse::NotUsed, "who else says that there are more proves nothing");
    let heard = store.uses("here", &[]).await.unwrap().servers;
    assert_eq!(heard.len(), 2);
    assert!(heard.iter().all(|server| server.from == start), "{heard:?}");
    take(store, &[call("late", UID, start, 100)]).await;
    assert_eq!(known().await, GrantUse::Used);
}

async fn what_no_record_explains_is_told_once_until_one_does(store: &ArchiveStore) {
    let start = start();
    let bound = |id: &str, user: &str, uid: &str| {
        let group = "rbac.authorization.k8s.io";
        let name = format!("daypass-{uid}");
        let object = json!({ "resource": "rolebindings", "namespace": "shop", "name": name, "apiGroup": group });
        let event = with(call(id, UID, start, 5), json!({ "verb": "create", "objectRef": object, "annotations": {} }));
        with(event, json!({ "user": { "username": user } }))
    };
    let by_hand = bound("by-hand", "mallory", UID);
    let ours = bound("ours", CONTROLLER, OTHER);
    assert_eq!(take(store, &[by_hand.clone(), ours.clone(), by_hand.clone()]).await.told, []);
    let told = take(store, std::slice::from_ref(&by_hand)).await.told;
    assert_eq!(
        told.iter().map(|(write, why)| (write.deed.user.as_str(), *why)).collect::<Vec<_>>(),
        [("mallory", Unexplained::OtherHand)]
    );
    assert_eq!(take(store, &[by_hand, ours.clone()]).await.told, [], "it is told once");
    let found = async |after: i64| {
        let found = store.findings(Clock::wall().now() + SignedDuration::from_secs(after)).await.unwrap();
        found.into_iter().map(|found| found.why).collect::<Vec<_>>()
    };
    assert_eq!(found(1).await, [Unexplained::OtherHand], "a record may be on its way");
    let mut both = found(70).await;
    both.sort();
    assert_eq!(both, [Unexplained::OtherHand, Unexplained::NoRecord]);
    for uid in [UID, OTHER] {
        store.take("here", grant(uid, start, |_| {}).delivery()).await.unwrap();
    }
    take(store, &[]).await;
    assert_eq!(found(70).await, [Unexplained::OtherHand], "a record explains one of them");
    take(store, &[ours]).await;
    assert_eq!(found(70).await, [Unexplained::OtherHand], "what comes again is explained as well");
    let status = json!({
        "resource": "accessrequests", "subresource": "status", "namespace": "shop", "name": "fix", "apiGroup": "daypass.dev",
    });
    let patch = |id: &str, user: &str| {
        let event = with(bound(id, user, UID), json!({ "verb": "patch", "objectRef": status }));
        with(event, json!({ "stageTimestamp": start }))
    };
    take(store, &[patch("carols", "carol"), patch("mallorys", "mallory")]).await;
    let mut all = found(70).await;
    all.sort();
    assert_eq!(all, [Unexplained::OtherHand, Unexplained::StatusUnrecorded], "carol's has a record");
}

async fn several_that_are_deleted_by_one_call_are_told_of_where_access_ran(store: &ArchiveStore) {
    let start = start();
    let deleted = |id: &str, resource: &str, group: &str, namespace: &str, second: i64| {
        let object = json!({ "resource": resource, "namespace": namespace, "apiGroup": group });
        let event = with(call(id, UID, start, second), json!({ "verb": "deletecollection", "objectRef": object }));
        with(event, json!({ "annotations": {}, "user": { "username": "mallory" } }))
    };
    let rbac = "rbac.authorization.k8s.io";
    let running = grant(UID, start, |record| record.access.namespaces = vec!["till".to_owned()]);
    store.take("here", running.delivery()).await.unwrap();
    let events = [
        deleted("bindings", "rolebindings", rbac, "till", 10),
        deleted("before", "rolebindings", rbac, "till", -60),
        deleted("elsewhere", "rolebindings", rbac, "bank", 10),
        deleted("requests", "accessrequests", "daypass.dev", "shop", 10),
        deleted("wide", "clusterrolebindings", rbac, "", 10),
    ];
    take(store, &events).await;
    let found = async |after: i64| {
        let found = store.findings(Clock::wall().now() + SignedDuration::from_secs(after)).await.unwrap();
        found.into_iter().map(|found| (found.write.deed.resource, found.why)).collect::<Vec<_>>()
    };
    let bindings = ("rolebindings".to_owned(), Unexplained::ManyDeleted);
    assert_eq!(found(1).await, std::slice::from_ref(&bindings), "of requests a record may be on its way");
    let mut both = found(70).await;
    both.sort();
    assert_eq!(both, [("accessrequests".to_owned(), Unexplained::ManyDeleted), bindings.clone()]);
    let story = Story::told(OTHER, 1, |record| {
        record.kind = RecordKind::Deleted.into();
        record.at.0 = start + SignedDuration::from_secs(11);
    });
    store.take("here", story.delivery()).await.unwrap();
    take(store, &[]).await;
    assert_eq!(found(70).await, [bindings], "a record says that a request is gone");
}

async fn rows_are_bounded(store: &ArchiveStore) {
    let start = start();
    let most = i64::try_from(MOST_ROWS).unwrap();
    for half in [0, most / 2 + 10] {
        let of = |n: i64| with(call(&format!("id-{n}"), UID, start, 1), json!({ "verb": format!("verb-{n}") }));
        let events: Vec<Value> = (half..half + most / 2 + 10).map(of).collect();
        take(store, &events).await;
    }
    let rows = rows(store, UID).await;
    assert_eq!(rows.len() as u64, MOST_ROWS + 1);
    let others: Vec<u64> = rows.iter().filter(|row| row.kind == RowKind::Others).map(|row| row.calls).collect();
    assert_eq!(others, [20]);
}

async fn a_few_names_are_kept_of_what_calls_were_about(store: &ArchiveStore) {
    let start = start();
    let get = |id: &str, name: &str| {
        let object = json!({ "resource": "secrets", "namespace": "shop", "name": name });
        with(call(id, UID, start, 5), json!({ "verb": "get", "objectRef": object }))
    };
    let names = async || rows(store, UID).await[0].names.clone();
    let few = |names: &[&str]| ObjectNames::from(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    take(store, &[get("one", "db"), get("two", "web"), get("one", "other")]).await;
    assert_eq!(names().await, few(&["db", "web"]), "of each event once");
    take(store, &[get("three", "cache"), get("four", "db")]).await;
    assert_eq!(names().await, few(&["cache", "db", "web"]), "those of before stay");
    let more: Vec<Value> = (0..6).map(|n| get(&format!("more-{n}"), &format!("name-{n}"))).collect();
    take(store, &more).await;
    assert_eq!((names().await, rows(store, UID).await.len()), (ObjectNames::Many, 1));
    take(store, &[get("five", "db")]).await;
    assert_eq!(names().await, ObjectNames::Many, "many stay many");
}

async fn events_are_kept_as_they_are_where_that_is_asked(store: &ArchiveStore) {
    let start = start();
    let body = json!({ "requestObject": { "data": "secret" } });
    take(store, &[with(exec("exec", "ResponseComplete", start, 11), body), call("two", OTHER, start, 1)]).await;
    let (lines, next) = store.audit_lines("here", UID, 0).await.unwrap();
    assert_eq!((lines.len(), next), (1, None));
    assert!(lines[0].contains("psql") && !lines[0].contains("secret"), "{lines:?}");
    let events = vec![read(&call("three", OTHER, start, 1).to_string()).unwrap()];
    store.take_activity("here", events, &rules(false)).await.unwrap();
    assert_eq!(store.audit_lines("here", OTHER, 0).await.unwrap().0.len(), 1);
}
