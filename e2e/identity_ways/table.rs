//! Owns the table: who writes what, and what is recorded, where identities are written for people and where not.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::attack::call::{Call, apply_with_force, create, merge};
use crate::harness::Cluster;
use crate::harness::cast::request;
use crate::harness::users::{
    ADMIN, ALICE, BOB, CAROL, CROWDED, EVE, MALLORY, OVERFULL, TOO_LONG, User, with_odd_names,
};

const REQUESTS: &str = "/apis/daypass.dev/v1alpha1/namespaces";
/// What the guards say to who is not the one that is written.
const NOT_YOU: &str = "spec.requester must be you";
const NOT_YOURS: &str = "uid and groups of your review must be yours";
const TOO_MUCH: &str = "cannot be recorded";
const NOT_SAID: &str = "spec.requester.extra must be what your login says";

/// What the chart records of a login in these trials.
pub const KEYS: &str = "identity.extraKeys={example.com/amr,country}";

/// Whether identities are written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// By the policy or the webhook.
    Written,
    /// By nobody, since it is off, away or too slow.
    Missing,
}

/// What comes of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Who is recorded; groups in the order of the alphabet.
    Recorded(Value),
    /// Refused with these words.
    Refused(&'static str),
}

use Answer::{Recorded, Refused};

/// A line of the table.
struct Case {
    name: String,
    call: Call,
    /// The answer where identities are written, and where not.
    answers: (Answer, Answer),
}

impl Case {
    fn answer(&self, stamp: Stamp) -> &Answer {
        match stamp {
            Stamp::Written => &self.answers.0,
            Stamp::Missing => &self.answers.1,
        }
    }
}

/// Who somebody is, as it is recorded.
pub fn identity(user: User) -> Value {
    let mut groups: Vec<&str> = user.groups.to_vec();
    groups.push("system:authenticated");
    groups.sort_unstable();
    json!({ "username": user.name, "uid": user.uid, "groups": groups })
}

/// Runs every line, and fails with all that came out otherwise.
pub async fn hold(cluster: &Cluster, stamp: Stamp) {
    let namespace = cluster.namespace("ways").await;
    // Nobody can satisfy this stage, so all wait.
    let nobody =
        json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "User", "name": "nobody" }] }] } });
    cluster.allow(&namespace, &namespace, nobody).await;
    let cases: Vec<Case> =
        requests(&namespace).into_iter().chain(extras(&namespace)).chain(reviews(&namespace)).collect();
    assert!(cases.len() > 40, "{} lines", cases.len());
    let mut clients = BTreeMap::new();
    for case in &cases {
        if !clients.contains_key(case.call.by.login) {
            clients.insert(case.call.by.login, cluster.client(case.call.by).await);
        }
    }
    let alice = cluster.client(ALICE).await;
    let faults = join_all(cases.iter().map(async |case| {
        if case.call.path.ends_with("/status") {
            // One request for each review, in the name of who asks by every way.
            let name = case.call.path.rsplit('/').nth(1).expect("a name");
            let own = request(&namespace, name, json!({ "requester": identity(ALICE) }));
            create(ALICE, collection(&namespace), own).send(&alice).await.expect("a request of alice");
        }
        let answer = case.call.send(&clients[case.call.by.login]).await;
        fault(case, stamp, answer)
    }));
    let faults: Vec<String> = faults.await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{stamp:?}:\n{}", faults.join("\n"));
}

fn fault(case: &Case, stamp: Stamp, answer: Result<Value, String>) -> Option<String> {
    let expected = case.answer(stamp);
    let is_so = match (&answer, expected) {
        (Ok(object), Recorded(who)) => recorded(&case.call, object) == *who,
        (Err(refusal), Refused(words)) => refusal.contains(words),
        _ => false,
    };
    let recorded = answer.map(|object| recorded(&case.call, &object));
    (!is_so).then(|| format!("{}: {recorded:?}, not {expected:?}", case.name))
}

/// Who an object says wrote it: its requester, or the uid and the groups in the review of that name.
fn recorded(call: &Call, object: &Value) -> Value {
    let mut who = match call.body["status"]["reviews"].as_object().and_then(|reviews| reviews.keys().next()) {
        Some(name) => {
            let review = &object["status"]["reviews"][name];
            let mut who = json!({ "username": name });
            for field in ["uid", "groups"] {
                if !review[field].is_null() {
                    who[field] = review[field].clone();
                }
            }
            who
        }
        None => object["spec"]["requester"].clone(),
    };
    if let Some(groups) = who["groups"].as_array_mut() {
        groups.sort_by_key(ToString::to_string);
    }
    who
}

fn collection(namespace: &str) -> String {
    format!("{REQUESTS}/{namespace}/accessrequests")
}

/// A login that has no uid, as those of certificates.
fn without_uid(name: &str, group: &str) -> Value {
    json!({ "username": name, "groups": [group, "system:authenticated"] })
}

/// The call as somebody without a uid, in one group.
fn as_nameless(call: Call) -> Call {
    call.acting_as("zoe").impersonating("Group", "dev")
}

/// The call as somebody without a uid whose login says how they signed in, from where, and one thing that is not recorded.
fn as_somebody_known(call: Call) -> Call {
    let said = [("example.com%2Famr", "pwd"), ("example.com%2Famr", "mfa"), ("country", "CH"), ("session", "s-1")];
    said.into_iter().fold(as_nameless(call), |call, (key, value)| call.impersonating(&format!("Extra-{key}"), value))
}

/// What is recorded of them, with this extra.
fn saying(extra: Value) -> Value {
    let mut who = without_uid("zoe", "dev");
    who["extra"] = extra;
    who
}

/// What a login says beside name, UID and groups.
fn extras(namespace: &str) -> Vec<Case> {
    let asks = |name: &str, requester: Value| {
        let wanted = request(namespace, &format!("says-more-{name}"), json!({ "requester": requester }));
        as_somebody_known(create(ADMIN, collection(namespace), wanted))
    };
    let whole = json!({ "example.com/amr": ["pwd", "mfa"], "country": ["CH"] });
    let recorded = || Recorded(saying(whole.clone()));
    let forged = |key: &str, value: Value| {
        let mut extra = whole.clone();
        extra[key] = value;
        saying(extra)
    };
    let mut cases = vec![
        ("nothing", without_uid("zoe", "dev"), Refused(NOT_SAID)),
        ("own", saying(whole.clone()), recorded()),
        ("a-part", saying(json!({ "country": ["CH"] })), Refused(NOT_SAID)),
        ("a-value-more", forged("example.com/amr", json!(["pwd", "mfa", "hwk"])), Refused(NOT_SAID)),
        ("a-value-less", forged("example.com/amr", json!(["mfa"])), Refused(NOT_SAID)),
        ("another-value", forged("country", json!(["US"])), Refused(NOT_SAID)),
        ("unnamed", forged("session", json!(["s-1"])), Refused(NOT_SAID)),
        ("made-up", forged("example.com/acr", json!(["2"])), Refused(NOT_SAID)),
    ]
    .into_iter()
    .map(|(name, requester, missing)| (name, asks(name, requester), recorded(), missing))
    .collect::<Vec<_>>();
    let plain = {
        let mut who = identity(ALICE);
        who["extra"] = json!({ "example.com/amr": ["mfa"] });
        create(ALICE, collection(namespace), request(namespace, "says-more-silent", json!({ "requester": who })))
    };
    cases.push(("silent", plain, Recorded(identity(ALICE)), Refused(NOT_SAID)));
    let much = (0..16).fold(asks("much", without_uid("zoe", "dev")), |call, nth| {
        call.impersonating("Extra-country", &nth.to_string())
    });
    cases.push(("much", much, Refused(TOO_MUCH), Refused(TOO_MUCH)));
    let long = asks("long", without_uid("zoe", "dev")).impersonating("Extra-country", &"x".repeat(513));
    cases.push(("long", long, Refused(TOO_MUCH), Refused(TOO_MUCH)));
    let case =
        |(name, call, written, missing)| Case { name: format!("says more: {name}"), call, answers: (written, missing) };
    cases.into_iter().map(case).collect()
}

fn requests(namespace: &str) -> Vec<Case> {
    let asks = |name: &str, by: User, requester: Value| {
        let mut wanted = request(namespace, &format!("asks-{name}"), json!({}));
        if !requester.is_null() {
            wanted["spec"]["requester"] = requester;
        }
        create(by, collection(namespace), wanted)
    };
    let case = |name: &str, call: Call, written: Answer, missing: Answer| Case {
        name: format!("asks: {name}"),
        call,
        answers: (written, missing),
    };
    // Each of these is somebody that mallory is not, or not quite.
    let king = json!({ "username": "mallory", "uid": "u-mallory", "groups": ["kings", "system:authenticated"] });
    let mut with_uid = identity(MALLORY);
    with_uid["uid"] = json!("u-alice");
    let backwards =
        json!({ "username": "bob", "uid": "u-bob", "groups": ["system:authenticated", "dev", "approvers"] });
    let forced = {
        let call = asks("forced", EVE, identity(ALICE));
        let path = format!("{}/asks-forced", call.path);
        apply_with_force(EVE, path, call.body)
    };
    let mut cases = vec![
        case("plain", asks("plain", ALICE, Value::Null), Recorded(identity(ALICE)), Refused(NOT_YOU)),
        case("own", asks("own", ALICE, identity(ALICE)), Recorded(identity(ALICE)), Recorded(identity(ALICE))),
        case("backwards", asks("backwards", BOB, backwards), Recorded(identity(BOB)), Recorded(identity(BOB))),
        case("forged", asks("forged", MALLORY, identity(ALICE)), Recorded(identity(MALLORY)), Refused(NOT_YOU)),
        case("admin", asks("admin", ADMIN, identity(ALICE)), Recorded(identity(ADMIN)), Refused(NOT_YOU)),
        case("king", asks("king", MALLORY, king), Recorded(identity(MALLORY)), Refused(NOT_YOU)),
        case("uid", asks("uid", MALLORY, with_uid), Recorded(identity(MALLORY)), Refused(NOT_YOU)),
        case("name", asks("name", EVE, json!({ "username": "eve" })), Recorded(identity(EVE)), Refused(NOT_YOU)),
        case(
            "text",
            asks("text", EVE, json!("eve")),
            Recorded(identity(EVE)),
            Refused("spec.requester: Invalid value"),
        ),
        case("forced", forced, Recorded(identity(EVE)), Refused(NOT_YOU)),
        case("dry", asks("dry", ALICE, Value::Null).dry(), Recorded(identity(ALICE)), Refused(NOT_YOU)),
        case(
            "nameless",
            as_nameless(asks("nameless", ADMIN, identity(ALICE))),
            Recorded(without_uid("zoe", "dev")),
            Refused(NOT_YOU),
        ),
        case(
            "own-nameless",
            as_nameless(asks("own-nameless", ADMIN, without_uid("zoe", "dev"))),
            Recorded(without_uid("zoe", "dev")),
            Recorded(without_uid("zoe", "dev")),
        ),
        case("crowded", asks("crowded", *CROWDED, Value::Null), Recorded(identity(*CROWDED)), Refused(NOT_YOU)),
        case("overfull", asks("overfull", *OVERFULL, Value::Null), Refused(TOO_MUCH), Refused(TOO_MUCH)),
        case("too-long", asks("too-long", *TOO_LONG, Value::Null), Refused(TOO_MUCH), Refused(TOO_MUCH)),
    ];
    for user in with_odd_names() {
        let (name, own) = (format!("odd-{}", user.login), format!("odd-own-{}", user.login));
        cases.push(case(&name, asks(&name, user, identity(MALLORY)), Recorded(identity(user)), Refused(NOT_YOU)));
        cases.push(case(&own, asks(&own, user, identity(user)), Recorded(identity(user)), Recorded(identity(user))));
    }
    cases
}

fn reviews(namespace: &str) -> Vec<Case> {
    let says = |name: &str, by: User, as_whom: &str, more: Value| {
        let mut review = json!({ "verdict": "Approve" });
        review.as_object_mut().expect("a review").extend(more.as_object().expect("fields").clone());
        let path = format!("{}/says-{name}/status", collection(namespace));
        merge(by, path, json!({ "status": { "reviews": { as_whom: review } } }))
    };
    let case = |name: &str, call: Call, written: Answer, missing: Answer| Case {
        name: format!("reviews: {name}"),
        call,
        answers: (written, missing),
    };
    let of = |user: User| {
        let mut own = identity(user);
        own.as_object_mut().expect("fields").remove("username");
        own
    };
    let carol = || Recorded(identity(CAROL));
    let king = json!({ "uid": "u-carol", "groups": ["approvers", "kings", "system:authenticated"] });
    let foreign = Refused("is not yours");
    let mut cases = vec![
        case("plain", says("plain", CAROL, "carol", json!({})), carol(), Refused(NOT_YOURS)),
        case("own", says("own", CAROL, "carol", of(CAROL)), carol(), carol()),
        case("forged", says("forged", CAROL, "carol", of(BOB)), carol(), Refused(NOT_YOURS)),
        case("king", says("king", CAROL, "carol", king), carol(), Refused(NOT_YOURS)),
        case("foreign", says("foreign", CAROL, "bob", of(BOB)), foreign.clone(), foreign.clone()),
        case("admin", says("admin", ADMIN, "carol", of(CAROL)), foreign.clone(), foreign),
        case("dry", says("dry", CAROL, "carol", json!({})).dry(), carol(), Refused(NOT_YOURS)),
        case("text", says("text", CAROL, "carol", json!({ "uid": 7 })), carol(), Refused("status.reviews.carol.uid")),
        case(
            "crowded",
            says("crowded", *CROWDED, CROWDED.name, json!({})),
            Recorded(identity(*CROWDED)),
            Refused(NOT_YOURS),
        ),
        case("overfull", says("overfull", *OVERFULL, OVERFULL.name, json!({})), Refused(TOO_MUCH), Refused(TOO_MUCH)),
        case(
            "nameless",
            as_nameless(says("nameless", ADMIN, "zoe", json!({ "uid": "u-alice", "groups": ["kings"] }))),
            Recorded(without_uid("zoe", "dev")),
            Refused(NOT_YOURS),
        ),
    ];
    for user in with_odd_names() {
        let (name, own) = (format!("odd-{}", user.login), format!("odd-own-{}", user.login));
        let forged = says(&name, user, user.name, of(ALICE));
        cases.push(case(&name, forged, Recorded(identity(user)), Refused(NOT_YOURS)));
        let true_one = says(&own, user, user.name, of(user));
        cases.push(case(&own, true_one, Recorded(identity(user)), Recorded(identity(user))));
    }
    cases
}
