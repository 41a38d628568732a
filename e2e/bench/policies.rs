//! A thousand policies and a thousand requests that wait under them: how long a decision takes, and what they cost in
//! memory.

use std::time::Duration;

use daypass::api::{AccessPolicy, AccessRequest};
use daypass::core::decision::snapshot::Snapshot;
use daypass::core::decision::validate::validate;
use daypass::core::guard::Guard;
use daypass::core::lifecycle::plan::plan;
use daypass::core::model::namespaces::{Namespace, Namespaces};
use daypass::core::policies::PolicySet;
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Bench, CLIENTS, Seen, Spread, beside, in_millis, line};
use crate::harness::cast;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::{eventually, now};

const POLICIES: usize = 1000;
const WAITING: usize = 1000;
const ONE_AT_A_TIME: usize = 200;

impl Bench {
    pub async fn policies(&self) {
        let namespace = self.cluster.namespace("many").await;
        let policies = many(&namespace);
        core(&namespace, &policies);

        let stored: Api<AccessPolicy> = Api::all(self.cluster.client(ADMIN).await);
        let asked: Api<AccessRequest> = Api::namespaced(self.cluster.client(ALICE).await, &namespace);
        let all = Api::<AccessRequest>::namespaced(self.cluster.client(ADMIN).await, &namespace);
        let answered = Seen::start(all, |request| request.status.is_some()).await;
        println!("{:<54} {:>9}", "memory, one policy, nothing live", self.memory());

        // Before the others are there, only this one.
        create(&stored, policies.last().expect("some")).await;
        let one = one_by_one(&asked, &answered, "one").await;
        beside("request -> first status, 2 policies", &one, &self.bare.one);
        self.remove(&asked).await;
        answered.many(0).await;

        stream::iter(&policies[..POLICIES - 1]).for_each_concurrent(CLIENTS, |policy| create(&stored, policy)).await;
        eventually("all policies are ready", super::LIMIT, async || {
            let listed = stored.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let ready = listed.iter().filter(|policy| policy.status.is_some()).count();
            if ready >= POLICIES { Ok(()) } else { Err(format!("{ready} are")) }
        })
        .await;
        println!("{:<54} {:>9}", format!("memory, {POLICIES} policies, nothing live"), self.memory());
        let many = one_by_one(&asked, &answered, "many").await;
        beside(&format!("the same with {POLICIES} policies"), &many, &self.bare.one);
        let begin = Instant::now();
        let names = (ONE_AT_A_TIME..WAITING).map(|n| format!("many-{n}"));
        let each = stream::iter(names).map(|name| {
            let (asked, answered) = (&asked, &answered);
            async move { answer(asked, answered, &name).await }
        });
        let each: Vec<Duration> = each.buffer_unordered(CLIENTS).collect().await;
        line(&format!("so, from {CLIENTS} clients"), &Spread::of(in_millis(&each)));
        println!("{:<54} {:>9.2?}", format!("{} of these in all", WAITING - ONE_AT_A_TIME), begin.elapsed());
        let what = format!("memory, {POLICIES} policies, {WAITING} wait");
        println!("{what:<54} {:>9}", self.memory());
        self.remove(&asked).await;
        stream::iter(&policies).for_each_concurrent(CLIENTS, |policy| delete(&stored, policy)).await;
        self.clear().await;
    }

    async fn remove(&self, asked: &Api<AccessRequest>) {
        let all = asked.list(&Default::default()).await.expect("list requests");
        stream::iter(all.items)
            .for_each_concurrent(CLIENTS, |request| async move {
                asked.delete(&request.name_any(), &DeleteParams::default()).await.expect("delete a request");
            })
            .await;
    }
}

/// How long so many requests take from their creation to their first status, one at a time.
async fn one_by_one(asked: &Api<AccessRequest>, answered: &Seen, prefix: &str) -> Spread {
    let mut took = Vec::new();
    for n in 0..ONE_AT_A_TIME {
        took.push(answer(asked, answered, &format!("{prefix}-{n}")).await);
    }
    Spread::of(in_millis(&took))
}

/// How long a request takes from its creation to its first status.
async fn answer(asked: &Api<AccessRequest>, answered: &Seen, name: &str) -> Duration {
    let request = super::request(name, json!({ "ticket": "OPS-7" }));
    let begin = Instant::now();
    super::create(asked, &request).await;
    answered.added(name).await.duration_since(begin)
}

async fn create(stored: &Api<AccessPolicy>, policy: &AccessPolicy) {
    stored.create(&PostParams::default(), policy).await.expect("create a policy");
}

async fn delete(stored: &Api<AccessPolicy>, policy: &AccessPolicy) {
    stored.delete(&policy.name_any(), &DeleteParams::default()).await.expect("delete a policy");
}

/// The planning of one request, without any cluster: under all policies, and beside it under the one that decides.
fn core(namespace: &str, policies: &[AccessPolicy]) {
    let all = PolicySet::new(policies);
    let one = PolicySet::new(policies.last());
    let known: Namespaces = [(namespace.to_owned(), Namespace::default())].into();
    let planned = |policies: &PolicySet| {
        let took: Vec<Duration> = (0..WAITING).map(|n| planned(&request(namespace, n), policies, &known)).collect();
        Spread::of(in_millis(&took))
    };
    line("core: a plan under one policy", &planned(&one));
    line(&format!("core: a plan under {POLICIES} policies"), &planned(&all));
}

fn planned(request: &AccessRequest, policies: &PolicySet, namespaces: &Namespaces) -> Duration {
    let guard = Guard::since(Timestamp::MIN);
    let snapshot = Snapshot::bare(request, policies, namespaces, &guard);
    let begin = Instant::now();
    let plan = plan(&snapshot, now());
    let took = begin.elapsed();
    assert!(!plan.is_settled() && validate(request).is_ok());
    took
}

fn request(namespace: &str, number: usize) -> AccessRequest {
    let who = json!({ "username": "alice", "uid": "u-alice", "groups": ["dev", "system:authenticated"] });
    let mut request =
        cast::request(namespace, &format!("many-{number}"), json!({ "ticket": "OPS-7", "requester": who }));
    request["metadata"]["uid"] = json!(format!("r-{number}"));
    request["metadata"]["creationTimestamp"] = json!(now().to_string());
    serde_json::from_value(request).expect("a request")
}

/// As many teams as there are policies: most are for other namespaces; each tenth is for this one and asks for a
/// ticket that nobody has, or denies what nobody does; some have limits, windows and risks. The last one fits.
fn many(namespace: &str) -> Vec<AccessPolicy> {
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let condition = |source: String| json!([{ "expression": source, "message": "has no such ticket" }]);
    let spec = |n: usize| -> Value {
        let spared = json!({ "automaticWhen": "risk.score == 0", "stages": stages });
        match (n % 100, n % 10) {
            _ if n == POLICIES - 1 => json!({ "approval": spared }),
            (0, _) => {
                json!({ "effect": "Deny", "duration": null, "conditions": condition(format!("request.ticket == 'NO-{n}'")) })
            }
            (_, 0) => json!({
                "approval": spared,
                "conditions": condition(format!("request.ticket.startsWith('T{n}-') && 'dev' in requester.groups"))
            }),
            (_, 1) => {
                json!({ "scope": { "namespaces": [format!("team-{n}-*")] }, "limits": { "liveGrantsPerPerson": 3 } })
            }
            _ => {
                json!({ "scope": { "namespaces": [format!("team-{n}-*"), format!("*-of-team-{n}")] }, "approval": spared })
            }
        }
    };
    let policy = |n: usize| {
        let mut policy = cast::policy(&format!("{namespace}-{n:04}"), namespace);
        for (field, value) in spec(n).as_object().expect("a spec") {
            policy["spec"][field] = value.clone();
        }
        serde_json::from_value(policy).expect("a policy")
    };
    (0..POLICIES).map(policy).collect()
}
