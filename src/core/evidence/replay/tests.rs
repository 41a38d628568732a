use serde_json::Value;

use super::super::chain::ChainLink;
use super::*;
use crate::api::record::digest;
use crate::core::laws::fixtures::{noon, policy};

/// What is on record of a request for role edit in shop by alice of dev.
struct Told {
    policy: AccessPolicy,
    records: Vec<Value>,
    texts: BTreeMap<String, String>,
}

impl Told {
    /// Decided with this word, under a policy with this spec on top, for a role with these rules.
    fn new(kind: &str, outcome: &str, spec: Value, rules: Value) -> Self {
        let policy = policy("shop", spec);
        let set = PolicySet::new([&policy]);
        let version = set.get("shop").unwrap().readable().unwrap().reference.clone();
        let of_policy = set.digest(&version).unwrap();
        let rules: Vec<PolicyRule> = serde_json::from_value(rules).unwrap();
        let role = RoleSeen::OfCluster(Some(Arc::new(ClusterRole { rules: Some(rules), ..ClusterRole::default() })));
        let of_role = role.digest();
        let texts =
            [(of_policy.clone(), set.text(&of_policy).unwrap().to_string()), (of_role.clone(), role.text().unwrap())];
        let alice = json!({ "username": "alice" });
        let access = json!({ "role": { "name": "edit" }, "namespaces": ["shop"] });
        let at = format!("{:.6}", noon());
        let first = json!({
            "schema": "daypass.dev/record/v1", "id": "r-1/0", "cluster": "c", "index": 0, "at": at, "kind": "Requested",
            "outcome": "Asked", "request": { "namespace": "shop", "name": "fix", "uid": "r-1" }, "subject": alice,
            "actor": alice, "access": access,
            "asked": { "reason": "fix the shop", "duration": "30m", "groups": ["dev"] },
        });
        let mut second = first.clone();
        second.as_object_mut().unwrap().remove("asked");
        second.as_object_mut().unwrap().remove("actor");
        second["id"] = "r-1/1".into();
        second["index"] = 1.into();
        second["kind"] = kind.into();
        second["outcome"] = outcome.into();
        second["access"]["roleDigest"] = of_role.into();
        second["policy"] = json!({ "name": "shop", "uid": "p-shop", "generation": 1, "digest": of_policy });
        second["previous"] = digest(b"").into();
        Self { policy, records: vec![first, second], texts: texts.into() }
    }

    fn replayed(&self) -> DecisionReplay {
        assert_eq!(self.policy.metadata.name.as_deref(), Some("shop"));
        let link = |record: &Value| ChainLink {
            record: serde_json::from_value(record.clone()).unwrap(),
            line: record.to_string(),
        };
        let chains = EvidenceChain::of(self.records.iter().map(link));
        replay(&chains[0], &NamedTexts::new(self.texts.clone(), &chains))
    }
}

fn looks() -> Value {
    json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }])
}

const ALWAYS: [ReplayLack; 2] = [ReplayLack::OtherPolicies, ReplayLack::Settings];

#[test]
fn what_policy_allowed_at_once_it_allows_again() {
    let replay = Told::new("Approved", "Allowed", json!({}), looks()).replayed();
    assert_eq!((replay.verdict, replay.record), (ReplayVerdict::Same, Some(1)), "{replay:?}");
    assert_eq!(replay.lacks, ALWAYS);
}

#[test]
fn an_answer_that_the_policy_does_not_give_is_another_one() {
    // The policy on record is for an hour at most, and another namespace.
    let replay = Told::new("Approved", "Allowed", json!({ "scope": { "namespaces": ["bank"] } }), looks()).replayed();
    assert_eq!(replay.verdict, ReplayVerdict::Different, "{replay:?}");
    let denied = Told::new("Denied", "Refused", json!({ "duration": { "max": "10m" } }), looks()).replayed();
    assert_eq!(denied.verdict, ReplayVerdict::Same, "{denied:?}");
    // A no that this policy does not say, another one may have said.
    let denied = Told::new("Denied", "Refused", json!({}), looks()).replayed();
    assert_eq!(denied.verdict, ReplayVerdict::Unknown, "{denied:?}");
}

#[test]
fn what_may_bear_on_the_answer_and_is_not_recorded_is_named() {
    let labels = json!({ "scope": { "namespaces": [], "namespaceSelector": { "matchLabels": { "team": "pay" } } } });
    let replay = Told::new("Approved", "Allowed", labels, looks()).replayed();
    assert_eq!(replay.verdict, ReplayVerdict::Unknown, "{replay:?}");
    assert!(replay.lacks.contains(&ReplayLack::NamespaceLabels));
    let people =
        json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "leads" }] }] } });
    let replay = Told::new("Approved", "Allowed", people, looks()).replayed();
    assert_eq!(replay.verdict, ReplayVerdict::Unknown, "{replay:?}");
    assert!(replay.lacks.contains(&ReplayLack::ApproverGroups));
    let counts = json!({ "limits": { "maxActivePerRequester": 1 } });
    let replay = Told::new("Approved", "Allowed", counts, looks()).replayed();
    assert!(replay.lacks.contains(&ReplayLack::Counts), "{replay:?}");
}

#[test]
fn without_a_text_nothing_is_decided() {
    for lack in [ReplayLack::Policy, ReplayLack::Role, ReplayLack::Question] {
        let mut told = Told::new("Approved", "Allowed", json!({}), looks());
        match lack {
            ReplayLack::Policy => told.texts.retain(|_, text| text.starts_with('[')),
            // A text that is not that of its digest is none.
            ReplayLack::Role => told.texts.values_mut().for_each(|text| *text = text.replace("pods", "secrets")),
            _ => drop(told.records[0].as_object_mut().unwrap().remove("asked")),
        }
        let replay = told.replayed();
        assert!(replay.anew.is_none() && replay.verdict == ReplayVerdict::Unknown, "{replay:?}");
        assert_eq!(replay.lacks, [&[lack][..], &ALWAYS].concat());
    }
    let mut undecided = Told::new("Approved", "Allowed", json!({}), looks());
    undecided.records.truncate(1);
    assert_eq!(undecided.replayed().record, None);
}
