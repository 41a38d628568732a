//! The largest request and cluster that a policy may have to speak of.

use std::sync::LazyLock;

use daypass::api::{AccessPolicy, AccessRequest};
use daypass::core::decision::answer::Decision;
use daypass::core::decision::approvals::{ReviewLog, Reviews};
use daypass::core::decision::decide::decide;
use daypass::core::decision::shortfall::{Denial, Shortfall};
use daypass::core::decision::snapshot::Snapshot;
use daypass::core::decision::validate::validate;
use daypass::core::guard::Guard;
use daypass::core::model::namespaces::{Namespace, Namespaces};
use daypass::core::policies::PolicySet;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// As many as one grant may cover.
const SELECTED: usize = 256;
/// As many as there are in a large cluster.
const NAMESPACES: usize = 4000;
/// Labels of each namespace; half of them have keys that no other has.
const LABELS: usize = 32;

/// A request with everything as long as it may be, in 256 namespaces.
static WIDE: LazyLock<AccessRequest> =
    LazyLock::new(|| request(json!({ "namespaceSelector": { "matchLabels": { "wide": "yes" } } })));
/// The same for the whole cluster.
static CLUSTER: LazyLock<AccessRequest> = LazyLock::new(|| request(json!({ "cluster": true })));
static NOTHING: LazyLock<Reviews> = LazyLock::new(Reviews::new);

static ALL: LazyLock<Namespaces> = LazyLock::new(|| {
    let namespace = |n: usize| {
        let own = (0..LABELS / 2).map(|l| (format!("own.example.com/{n}-{l}"), "v".repeat(63)));
        let shared = (0..LABELS / 2).map(|l| (format!("shared.example.com/{l}"), format!("{n:063}")));
        let wide = (n < SELECTED).then(|| ("wide".to_owned(), "yes".to_owned()));
        (format!("n{n:062}"), Namespace { labels: own.chain(shared).chain(wide).collect(), ..Namespace::default() })
    };
    (0..NAMESPACES).map(namespace).collect()
});

/// 1024 letters in an order that no pattern can foresee.
fn reason() -> String {
    let numbers = std::iter::successors(Some(1_u32), |n| Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    numbers.take(1024).map(|n| ['a', 'b', '0', '𝄞', 'x', 'k', ' ', 'é'][(n >> 24) as usize % 8]).collect()
}

fn request(scope: Value) -> AccessRequest {
    let groups: Vec<String> = (0..512).map(|n| format!("{n:0>253}")).collect();
    let object = json!({
        "apiVersion": "daypass.dev/v1alpha1",
        "kind": "AccessRequest",
        "metadata": { "name": "a".repeat(200), "namespace": format!("n{:062}", 0), "uid": "r-1" },
        "spec": {
            "role": { "name": "r".repeat(253) },
            "reason": reason(),
            "ticket": "t".repeat(256),
            "scope": scope,
            "requester": { "username": "u".repeat(253), "uid": "u-1", "groups": groups }
        }
    });
    serde_json::from_value(object).unwrap()
}

/// A policy that lets everybody have everything, with this spec on top.
pub fn policy(spec: &Value) -> AccessPolicy {
    let mut object = json!({
        "apiVersion": "daypass.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": { "name": "p", "uid": "p-1", "generation": 1 },
        "spec": {
            "requesters": [{ "kind": "Group", "name": format!("{:0>253}", 511) }],
            "roles": [{ "name": "r".repeat(253) }],
            "scope": { "namespaces": ["*"], "cluster": true, "systemNamespaces": true },
            "duration": { "max": "1h" }
        }
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// Decides the largest request under a policy, in one's namespaces or for the whole cluster.
pub fn decided(policies: &PolicySet, cluster: bool, now: Timestamp) {
    let request: &AccessRequest = if cluster { &CLUSTER } else { &WIDE };
    let guard = Guard::since(Timestamp::MIN);
    let snapshot = Snapshot::bare(request, policies, &ALL, &guard);
    let ask = validate(request).expect("a valid request");
    let decision = decide(&ask, &snapshot, ReviewLog { reviews: &NOTHING, escalated: &[], counted: &[] }, now);
    // Anything but a policy that is not asked at all.
    let unasked = |denial: &Denial| match denial {
        Denial::FallsShort { shortfalls, .. } => {
            shortfalls.iter().any(|short| matches!(short, Shortfall::Requester { .. } | Shortfall::Role { .. }))
        }
        _ => false,
    };
    assert!(!matches!(&decision, Decision::Denied(denials) if denials.iter().any(unasked)), "{decision:?}");
}

/// Makes the request and the cluster, so that their making is no part of a case.
pub fn made() {
    LazyLock::force(&ALL);
    LazyLock::force(&WIDE);
    LazyLock::force(&CLUSTER);
    LazyLock::force(&NOTHING);
}
