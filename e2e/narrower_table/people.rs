//! Five kinds of people, and what they do with a grant: mostly the same, and now and then something else.
//!
//! Owns the made months. It must not know what is proposed from them.

use daypass::core::activity::deed::DeedKind;
use daypass::core::activity::names::ObjectNames;
use daypass::core::activity::summary::{RowKind, SummaryRow};
use daypass::core::insight::narrower::evidence::{GrantCalls, NarrowerTerms, PastGrant};
use daypass::core::rbac::risk::Extent;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::IN_NAMESPACES;

const DAYS: i64 = 30;
const USUAL: NarrowerTerms = NarrowerTerms { grants: 10, weeks: 4 };

/// A kind of people.
pub struct PeopleKind {
    pub name: &'static str,
    /// A ClusterRole of Kubernetes that they are given.
    pub role: &'static str,
    pub extent: Extent,
    pub terms: NarrowerTerms,
    /// On which days of a month they have a grant.
    days: fn(i64) -> bool,
    work: fn(&mut Work),
}

/// Two months of one of them.
pub struct MadeMonths {
    pub first: Vec<PastGrant>,
    pub second: Vec<PastGrant>,
}

/// Every kind.
pub const KINDS: [PeopleKind; 5] = [
    PeopleKind { name: "on-call", role: "edit", extent: IN_NAMESPACES, terms: USUAL, days: |_| true, work: on_call },
    PeopleKind { name: "developer", role: "edit", extent: IN_NAMESPACES, terms: USUAL, days: weekday, work: developer },
    PeopleKind {
        name: "release engineer",
        role: "admin",
        extent: IN_NAMESPACES,
        terms: USUAL,
        days: |day| day % 2 == 0,
        work: release,
    },
    PeopleKind {
        name: "database keeper",
        role: "admin",
        extent: IN_NAMESPACES,
        terms: USUAL,
        days: |day| day % 3 != 2,
        work: keeper,
    },
    PeopleKind {
        name: "auditor",
        role: "cluster-admin",
        extent: Extent::Cluster,
        terms: NarrowerTerms { grants: 5, weeks: 4 },
        days: |day| day % 7 == 0,
        work: auditor,
    },
];

fn weekday(day: i64) -> bool {
    day % 7 < 5
}

/// Restarts what hangs, and reads logs.
fn on_call(work: &mut Work) {
    work.all(&["get", "list"], "pods").all(&["get"], "pods/log").all(&["list"], "events");
    if work.one_in(2) {
        // kubectl rollout restart, and its status.
        work.named("get", "deployments.apps", &["web"]).named("patch", "deployments.apps", &["web"]);
        work.all(&["list", "watch"], "deployments.apps");
    }
    if work.one_in(3) {
        let pod = work.pod();
        work.named("delete", "pods", &[&pod]);
    }
    if work.one_in(60) {
        work.all(&["get", "patch"], "deployments.apps/scale");
    }
}

/// Debugs in pods.
fn developer(work: &mut Work) {
    let pod = work.pod();
    work.all(&["list"], "pods").named("get", "pods", &[&pod]).all(&["get"], "pods/log");
    let opened = if work.one_in(2) { "pods/exec" } else { "pods/portforward" };
    work.reached("get", opened, &pod);
    if work.one_in(4) {
        work.all(&["get", "list"], "services");
    }
    if work.one_in(100) {
        work.named("patch", "pods/ephemeralcontainers", &[&pod]).reached("get", "pods/attach", &pod);
    }
}

/// Brings out releases of three applications, and reads their settings.
fn release(work: &mut Work) {
    let app = ["web", "api", "worker"][work.below(3)];
    work.named("get", "deployments.apps", &[app]).named("patch", "deployments.apps", &[app]);
    work.all(&["list", "watch"], "deployments.apps").all(&["list"], "replicasets.apps");
    work.named("get", "configmaps", &["settings"]).named("get", "configmaps", &[&format!("{app}-settings")]);
    if work.one_in(8) {
        work.all(&["list"], "pods").all(&["get"], "pods/log");
    }
    if work.one_in(40) {
        work.created("configmaps", &format!("{app}-flags"));
    }
}

/// Looks after databases, and touches their secrets by name once in a while.
fn keeper(work: &mut Work) {
    work.all(&["get", "list"], "statefulsets.apps").all(&["list"], "pods").all(&["get"], "pods/log");
    work.reached("get", "pods/exec", "orders-db-0");
    if work.one_in(4) {
        work.all(&["get", "list"], "persistentvolumeclaims");
    }
    if work.day == 12 {
        let secret = ["orders-db", "ledger-db"][work.below(2)];
        work.named("get", "secrets", &[secret]).named("patch", "secrets", &[secret]);
    }
    if work.one_in(12) {
        work.all(&["get", "update"], "statefulsets.apps/scale");
    }
}

/// Lists everything each week.
fn auditor(work: &mut Work) {
    for resource in ["pods", "services", "secrets", "configmaps", "serviceaccounts", "namespaces", "nodes"] {
        work.all(&["list"], resource);
    }
    for resource in ["deployments.apps", "statefulsets.apps", "ingresses.networking.k8s.io"] {
        work.all(&["list"], resource);
    }
    for resource in ["roles", "rolebindings", "clusterroles", "clusterrolebindings"] {
        work.all(&["get", "list"], &format!("{resource}.rbac.authorization.k8s.io"));
    }
}

impl PeopleKind {
    /// Two months, the same for the same number.
    pub fn months(&self, seed: u64) -> MadeMonths {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        MadeMonths { first: self.month(0, &mut dice), second: self.month(1, &mut dice) }
    }

    fn month(&self, month: i64, dice: &mut Dice) -> Vec<PastGrant> {
        // A day more than a month, so that the last week is a whole one.
        let days = (0..=DAYS).filter(|day| (self.days)(*day));
        let grant = |day: i64| {
            let begin = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (day + month * (DAYS + 1)));
            let mut work = Work { day, dice: Dice(dice.roll()), rows: Vec::new() };
            (self.work)(&mut work);
            // The audit policy of Daypass writes nothing of events, so no evidence ever has them.
            let is_logged = |row: &SummaryRow| !matches!(&row.kind, RowKind::Alike(kind) if kind.resource == "events");
            work.rows.retain(|row| month > 0 || is_logged(row));
            PastGrant {
                name: format!("shop/{}-{month}-{day}", self.name),
                from: begin,
                until: begin + SignedDuration::from_hours(2),
                calls: GrantCalls::of(&work.rows),
            }
        };
        days.map(grant).collect()
    }
}

/// What is done with one grant.
struct Work {
    day: i64,
    dice: Dice,
    rows: Vec<SummaryRow>,
}

impl Work {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.roll() % bound as u64).unwrap_or_default()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A pod of a Deployment, whose name comes once.
    fn pod(&mut self) -> String {
        format!("web-{:08x}", self.dice.roll() as u32)
    }

    fn row(&mut self, kind: DeedKind, names: &[&str]) -> &mut Self {
        let names = ObjectNames::from(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        let (kind, at) = (RowKind::Alike(Box::new(kind)), Timestamp::UNIX_EPOCH);
        self.rows.push(SummaryRow { kind, calls: 1, first: at, last: at, claimed: Vec::new(), names });
        self
    }

    /// About objects whose names nobody kept.
    fn all(&mut self, verbs: &[&str], resource: &str) -> &mut Self {
        verbs.iter().for_each(|verb| _ = self.row(deed(verb, resource), &[]));
        self
    }

    fn named(&mut self, verb: &str, resource: &str, names: &[&str]) -> &mut Self {
        self.row(deed(verb, resource), names)
    }

    fn created(&mut self, resource: &str, name: &str) -> &mut Self {
        self.row(DeedKind { created: true, ..deed("patch", resource) }, &[name])
    }

    fn reached(&mut self, verb: &str, resource: &str, pod: &str) -> &mut Self {
        self.row(DeedKind { target: Some(pod.to_owned()), ..deed(verb, resource) }, &[])
    }
}

fn deed(verb: &str, resource: &str) -> DeedKind {
    // `deployments.apps/scale` is written as kubectl does not write it, so that the group stands behind the resource.
    let (path, subresource) = resource.split_once('/').map_or((resource, None), |(path, sub)| (path, Some(sub)));
    let (resource, group) = path.split_once('.').unwrap_or((path, ""));
    let resource = subresource.map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"));
    DeedKind {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource,
        user: "somebody".to_owned(),
        ..DeedKind::default()
    }
}

/// Numbers that look as if by chance, and are the same on every machine: SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
