//! Small objects for the core's tests.

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use crate::api::policy::{AccessPolicy, Stage};
use crate::api::request::{AccessRequest, Review, ReviewVerdict};
use crate::api::subject::{Subject, SubjectKind};
use crate::core::decision::freeze::Denying;
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::lifecycle::end::ASK_ANEW;
use crate::core::model::field_error::FieldError;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::model::problem::FieldProblem;

/// Noon of the day that the samples live in.
pub fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Namespaces `bank` and `shop` of team `pay`, and `yard` of nobody.
pub fn namespaces() -> Namespaces {
    let pay = Namespace { labels: [("team".to_owned(), "pay".to_owned())].into(), ..Namespace::default() };
    [("bank".to_owned(), pay.clone()), ("shop".to_owned(), pay), ("yard".to_owned(), Namespace::default())].into()
}

pub fn user(name: &str) -> Subject {
    Subject { kind: SubjectKind::User, name: name.into(), namespace: None, api_group: None }
}

pub fn group(name: &str) -> Subject {
    Subject { kind: SubjectKind::Group, ..user(name) }
}

pub fn stage(name: &str, required: i32, approvers: Vec<Subject>) -> Stage {
    Stage { name: name.into(), approvers, required, hours: None, escalate_after: None, escalate_to: Vec::new() }
}

pub fn review(verdict: ReviewVerdict, groups: &[&str]) -> Review {
    Review { verdict, comment: None, uid: None, groups: groups.iter().map(|g| (*g).to_owned()).collect() }
}

pub fn approve(username: &str) -> (String, Review) {
    (username.to_owned(), review(ReviewVerdict::Approve, &[]))
}

/// That this policy falls short of a request in these things, and no other policy would allow it.
pub fn falls_short(policy: &str, shortfalls: impl Into<Vec<Shortfall>>) -> Vec<Denial> {
    vec![Denial::FallsShort { policy: policy.to_owned(), shortfalls: shortfalls.into() }]
}

/// That these policies deny a request, whenever it is.
pub fn denied_by(policies: &[&str]) -> Vec<Denial> {
    let denying = |name: &&str| Denying { policy: (*name).to_owned(), unevaluated: None, window: None };
    policies.iter().map(denying).map(Denial::Policy).collect()
}

/// A fault in a field.
pub fn fault(field: &str, problem: impl Into<FieldProblem>) -> FieldError {
    FieldError::new(field, problem)
}

/// What a message says of its request, without what every request says that is over.
pub fn message_of(message: Option<String>) -> String {
    let message = message.unwrap_or_default();
    message.strip_suffix(&format!("; {ASK_ANEW}")).map(str::to_owned).unwrap_or(message)
}

/// A request of alice (groups dev) in namespace `shop`, made at noon, with this spec on top of the least one.
pub fn request(spec: Value) -> AccessRequest {
    let mut object = json!({
        "apiVersion": "daypass.dev/v1alpha1",
        "kind": "AccessRequest",
        "metadata": { "name": "fix", "namespace": "shop", "uid": "r-1", "creationTimestamp": noon().to_string() },
        "spec": {
            "role": { "name": "edit" },
            "reason": "fix the shop",
            "requester": { "username": "alice", "uid": "u-alice", "groups": ["dev"] }
        }
    });
    merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

/// A policy that lets group dev have `edit` in `shop` for up to an hour, with this spec on top.
pub fn policy(name: &str, spec: Value) -> AccessPolicy {
    let mut object = json!({
        "apiVersion": "daypass.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": { "name": name, "uid": format!("p-{name}"), "generation": 1 },
        "spec": {
            "requesters": [{ "kind": "Group", "name": "dev" }],
            "roles": [{ "name": "edit" }],
            "scope": { "namespaces": ["shop"] },
            "duration": { "max": "1h" }
        }
    });
    merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

/// A policy that denies everything in `shop`, with this spec on top.
pub fn deny(name: &str, spec: Value) -> AccessPolicy {
    let mut policy = policy(name, json!({ "effect": "Deny", "requesters": [], "roles": [] }));
    policy.spec.duration = None;
    let mut value = serde_json::to_value(&policy).unwrap();
    merge(&mut value["spec"], spec);
    serde_json::from_value(value).unwrap()
}

/// Words that rules of roles are made of, some with a meaning and some without.
pub struct Words {
    pub verbs: &'static [&'static str],
    pub groups: &'static [&'static str],
    pub resources: &'static [&'static str],
    pub names: &'static [&'static str],
    pub urls: &'static [&'static str],
}

/// Any rule made of these words; half of them without names, half without URLs.
pub fn any_rule(words: &'static Words) -> impl Strategy<Value = PolicyRule> {
    let some_of = |words: &'static [&'static str], most| {
        subsequence(words.to_vec(), 0..=most).prop_map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let names = prop_oneof![Just(Vec::new()), some_of(words.names, 2)];
    let urls = prop_oneof![Just(Vec::new()), some_of(words.urls, 3)];
    (some_of(words.verbs, 3), some_of(words.groups, 3), some_of(words.resources, 4), names, urls).prop_map(
        |(verbs, groups, resources, names, urls)| PolicyRule {
            verbs,
            api_groups: Some(groups),
            resources: Some(resources),
            resource_names: Some(names),
            non_resource_urls: Some(urls),
        },
    )
}

fn merge(base: &mut Value, over: Value) {
    for (key, value) in over.as_object().unwrap() {
        base[key] = value.clone();
    }
}
