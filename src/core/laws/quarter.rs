//! A made quarter: the lives of many requests, as the core itself plans them, the same each time.
//!
//! Owns what people do in it. What is recorded of that is the core's: nothing here writes a record.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fixtures::{namespaces, policy, request, review};
use super::simulator::Simulator;
use crate::api::policy::AccessPolicy;
use crate::api::record::Record;
use crate::api::request::{AccessRequest, Review, ReviewVerdict};
use crate::core::evidence::chain::ChainLink;
use crate::core::policies::PolicySet;
use crate::core::rbac::role::RoleSeen;
use crate::core::record::v1::{deleted, records};

/// UID of the cluster that it is about.
pub const CLUSTER: &str = "c0ffee00-0000-4000-8000-000000000001";
/// Who asks, with a login UID and their groups.
const PEOPLE: [(&str, &[&str]); 6] = [
    ("alice", &["dev", "leads"]),
    ("dana", &["dev"]),
    ("emil", &["dev", "leads"]),
    ("fay", &["dev"]),
    ("=gus", &["dev", "on-call"]),
    ("hana", &["dev", "leads"]),
];
/// Who approves, with their groups.
const LEADS: [(&str, &[&str]); 3] = [("bob", &[]), ("ines", &["dev", "leads"]), ("jo", &["leads", "night"])];
const OWNERS: [(&str, &[&str]); 2] = [("carol", &["owners"]), ("kim", &["owners", "sre"])];

/// All that happened in it.
pub struct Quarter {
    pub from: Timestamp,
    pub to: Timestamp,
    pub links: Vec<ChainLink>,
    pub texts: BTreeMap<String, String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Automatic,
    Approved,
    ByTwo,
    Denied,
    Lapsed,
    GivenBack,
    Revoked,
    Emergency(ReviewVerdict),
    Unreviewed,
    Extended,
    DeletedUndecided,
    DeletedInUse,
    Late,
    NoPolicy,
    Ignored,
}

/// One in so many is of each fate: those of [`LIVES`] follow each other over and over.
const LIVES: [Fate; 25] = [
    Fate::Automatic,
    Fate::Approved,
    Fate::ByTwo,
    Fate::Approved,
    Fate::Denied,
    Fate::Automatic,
    Fate::Approved,
    Fate::Lapsed,
    Fate::GivenBack,
    Fate::ByTwo,
    Fate::Emergency(ReviewVerdict::Approve),
    Fate::Automatic,
    Fate::Extended,
    Fate::Approved,
    Fate::DeletedUndecided,
    Fate::Revoked,
    Fate::Ignored,
    Fate::Automatic,
    Fate::Unreviewed,
    Fate::NoPolicy,
    Fate::ByTwo,
    Fate::DeletedInUse,
    Fate::Approved,
    Fate::Emergency(ReviewVerdict::Deny),
    Fate::Late,
];

/// The lives of so many requests, spread over a quarter. Those of the last days may run on behind it.
pub fn quarter(count: usize) -> Quarter {
    let (from, to): (Timestamp, Timestamp) =
        ("2026-07-01T00:00:00Z".parse().unwrap(), "2026-10-01T00:00:00Z".parse().unwrap());
    let mut made = Quarter { from, to, links: Vec::new(), texts: texts() };
    let apart = to.duration_since(from).as_secs() / i64::try_from(count).unwrap();
    let mut n = 0;
    while n < count {
        let at = from + SignedDuration::from_secs(apart * i64::try_from(n).unwrap());
        let lives = Life::new(n, at).live();
        n += lives.len();
        for life in lives {
            made.links.extend(life.into_iter().map(|record| ChainLink { line: record.bytes(), record }));
        }
    }
    made
}

fn policies() -> Vec<AccessPolicy> {
    let user = |name: &str| json!({ "kind": "User", "name": name });
    let group = |name: &str| json!({ "kind": "Group", "name": name });
    let leads = json!({ "name": "leads", "approvers": [user("bob"), group("leads")] });
    let owners = json!({ "name": "owners", "approvers": [group("owners")] });
    vec![
        policy("automatic", json!({})),
        policy(
            "leads",
            json!({ "approval": { "stages": [leads], "deadline": "8h" }, "extension": { "max": "1h", "count": 2 } }),
        ),
        policy("two", json!({ "approval": { "stages": [leads, owners] } })),
        policy("emergency", json!({ "breakGlass": { "reviewers": [group("owners")], "reviewWithin": "24h" } })),
    ]
}

fn role() -> RoleSeen {
    RoleSeen::that_only_looks()
}

/// The texts that records of these policies and of the role name.
fn texts() -> BTreeMap<String, String> {
    let policies = PolicySet::new(&policies());
    let readable: Vec<_> = policies.all().filter_map(|(_, entry)| entry.readable()).collect();
    let specs = readable.iter().map(|policy| (policy.digest.clone(), policy.text.to_string()));
    specs.chain(role().text().map(|text| (role().digest(), text))).collect()
}

/// A request that is being lived.
struct Life {
    n: usize,
    fate: Fate,
    world: Simulator,
}

impl Life {
    fn new(n: usize, at: Timestamp) -> Self {
        let fate = LIVES[n % LIVES.len()];
        let policy = match fate {
            Fate::Automatic => "automatic",
            Fate::ByTwo => "two",
            Fate::Emergency(_) | Fate::Unreviewed => "emergency",
            Fate::NoPolicy => "gone",
            _ => "leads",
        };
        let emergency = matches!(fate, Fate::Emergency(_) | Fate::Unreviewed);
        let spec = json!({
            "policy": policy, "duration": format!("{}m", 10 + n % 50), "breakGlass": emergency,
            "reason": format!("ticket {n}: \"shop\" hangs, line\n{}", n * 7), "ticket": format!("OPS-{n}"),
        });
        Self { n, fate, world: world(asked(n, at, spec)) }
    }

    fn live(mut self) -> Vec<Vec<Record>> {
        self.world.settle();
        match self.fate {
            Fate::Automatic | Fate::NoPolicy => {}
            Fate::Approved | Fate::Late | Fate::GivenBack | Fate::Revoked | Fate::DeletedInUse | Fate::Extended => {
                self.say(LEADS[self.n % 3], ReviewVerdict::Approve);
            }
            Fate::Ignored => {
                self.say(("mallory", &["dev"]), ReviewVerdict::Approve);
                self.say(LEADS[self.n % 3], ReviewVerdict::Approve);
            }
            Fate::ByTwo => {
                self.say(LEADS[self.n % 3], ReviewVerdict::Approve);
                self.say(OWNERS[self.n % 2], ReviewVerdict::Approve);
            }
            Fate::Denied => self.say(LEADS[self.n % 3], ReviewVerdict::Deny),
            Fate::Lapsed => self.later(SignedDuration::from_hours(9)),
            Fate::Emergency(verdict) => {
                self.say(OWNERS[self.n % 2], verdict);
            }
            Fate::Unreviewed => {
                self.later(SignedDuration::from_hours(25));
                self.say(OWNERS[self.n % 2], ReviewVerdict::Approve);
            }
            Fate::DeletedUndecided => return vec![self.delete()],
        }
        match self.fate {
            Fate::GivenBack => {
                let name = self.world.request.spec.requester.clone().unwrap().username;
                self.say((&name, &["dev"]), ReviewVerdict::Revoke);
            }
            Fate::Revoked => self.say(LEADS[self.n % 3], ReviewVerdict::Revoke),
            Fate::DeletedInUse => return vec![self.delete()],
            Fate::Extended => {
                let extension = self.extend();
                self.end(SignedDuration::ZERO);
                return vec![self.told(), extension];
            }
            _ => {}
        }
        let late = if self.fate == Fate::Late { SignedDuration::from_secs(95) } else { SignedDuration::ZERO };
        self.end(late);
        // Finished requests are removed by and by, but for some.
        if self.n.is_multiple_of(3) { vec![self.told()] } else { vec![self.delete()] }
    }

    /// Somebody reviews it, a while later.
    fn say(&mut self, (who, groups): (&str, &[&str]), verdict: ReviewVerdict) {
        self.world.now += SignedDuration::new(60 + i64::try_from(self.n % 240).unwrap(), 120_000_000);
        note(&mut self.world, who, groups, verdict);
        self.world.settle();
    }

    fn later(&mut self, by: SignedDuration) {
        self.world.now += by;
        self.world.settle();
    }

    /// Its end comes, and is seen so much later.
    fn end(&mut self, late: SignedDuration) {
        if let Some(end) = self.world.end() {
            let seen = SignedDuration::from_millis(40 + i64::try_from(self.n % 300).unwrap());
            self.world.now = self.world.now.max(end + late + seen);
            self.world.settle();
        }
    }

    fn told(&self) -> Vec<Record> {
        assert!(self.world.breaches.is_empty(), "{:?}", self.world.breaches);
        records(&self.world.request, CLUSTER)
    }

    fn delete(&mut self) -> Vec<Record> {
        self.world.now += SignedDuration::from_secs(30);
        self.world.request.metadata.deletion_timestamp = Some(Time(self.world.now));
        self.world.version += 1;
        self.world.settle();
        let mut all = self.told();
        all.push(deleted(&self.world.request, CLUSTER, self.world.now + SignedDuration::from_secs(1)));
        all
    }

    /// A request for more time that is approved; its records.
    fn extend(&mut self) -> Vec<Record> {
        let name = self.world.request.metadata.name.clone().unwrap();
        let spec = json!({ "policy": Value::Null, "extends": name, "duration": "20m", "reason": "it takes longer" });
        let mut more = world(asked(self.n + 1, self.world.now, spec));
        more.request.spec.requester = self.world.request.spec.requester.clone();
        more.extended = Some(self.world.request.clone());
        more.settle();
        more.now += SignedDuration::from_secs(20);
        let (who, groups) = LEADS[self.n % 3];
        note(&mut more, who, groups, ReviewVerdict::Approve);
        more.settle();
        self.world.now = more.now;
        self.world.extensions.push(more.request.clone());
        self.world.settle();
        more.extended = Some(self.world.request.clone());
        more.settle();
        records(&more.request, CLUSTER)
    }
}

fn world(request: AccessRequest) -> Simulator {
    let made = request.metadata.creation_timestamp.as_ref().unwrap().0;
    let mut world = Simulator::new(request, policies(), namespaces(), made + SignedDuration::from_millis(180));
    world.role = Some(role());
    world
}

/// The request of this number.
fn asked(n: usize, at: Timestamp, spec: Value) -> AccessRequest {
    let mut asked = request(spec);
    let (who, groups) = PEOPLE[n % PEOPLE.len()];
    asked.metadata.name = Some(format!("fix-{n}"));
    asked.metadata.uid = Some(format!("{n:08x}-0000-4000-8000-000000000000"));
    asked.metadata.creation_timestamp = Some(Time(at));
    let requester = json!({ "username": who, "uid": format!("u-{who}"), "groups": groups });
    asked.spec.requester = serde_json::from_value(requester).unwrap();
    asked
}

fn note(world: &mut Simulator, who: &str, groups: &[&str], verdict: ReviewVerdict) {
    let comment = Some(format!("said by {who}, \"so\""));
    let said = Review { uid: Some(format!("u-{who}")), comment, ..review(verdict, groups) };
    world.request.status.get_or_insert_default().reviews.insert(who.to_owned(), said);
    world.version += 1;
}

/// The quarter has each fate, and each is recorded as what it is.
#[test]
fn a_quarter_has_all_that_may_become_of_a_request() {
    let made = quarter(50);
    let chains = crate::core::evidence::chain::EvidenceChain::of(made.links);
    let results: std::collections::BTreeSet<&str> = chains.iter().map(|chain| chain.result()).collect();
    let expected = ["Denied", "Expired", "Extended", "Lapsed", "Requested", "Revoked"];
    assert_eq!(results.into_iter().collect::<Vec<_>>(), expected);
    assert!(chains.iter().all(|chain| chain.broken().is_none()));
}
