//! A decision made anew by what is on record of it, and whether the answer is the same.
//!
//! Owns what of a decision its records hold, and what they do not. It must not guess: where a fact that could bear on the
//! answer is not recorded, it is named as a [`ReplayLack`], and an answer that differs by it is no finding. The decision itself
//! is that of [`crate::core::report::explain`], which the controller's own functions make.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chain::EvidenceChain;
use super::known::NamedTexts;
use crate::api::policy::{AccessPolicy, AccessPolicySpec};
use crate::api::record::{Record, RecordOutcome};
use crate::api::request::AccessRequest;
use crate::core::decision::protected::Protected;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::policies::PolicySet;
use crate::core::rbac::role::RoleSeen;
use crate::core::report::explain::{Explanation, Outcome, explain};

/// A fact that a decision was made by and that its records do not hold.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplayLack {
    /// The policy that decided, or its text.
    Policy,
    /// The rules of the role.
    Role,
    /// The first record, with what was asked for.
    Question,
    /// The grant that was to be extended.
    Extended,
    /// Labels of namespaces.
    NamespaceLabels,
    /// How much access there was already under the policy's limits.
    Counts,
    /// What else expressions of the policy see, such as how somebody signed in.
    Expressions,
    /// The groups of those who approved, which are recorded as digests.
    ApproverGroups,
    /// All other policies that were in force.
    OtherPolicies,
    /// How Daypass was set up: what is protected, what is served, and what it may bind.
    Settings,
}

/// Whether the answer is the same.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayVerdict {
    /// By what is recorded the answer is the one that was given.
    Same,
    /// It is another one, and nothing that is not recorded can be why.
    Different,
    /// It cannot be told by what is recorded.
    Unknown,
}

/// A decision, made anew.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct DecisionReplay {
    /// UID of the request.
    pub request: String,
    /// Index of the record with the decision. Left out: none is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u32>,
    /// What it says: its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// The decision made anew. Left out where too much is lacking for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anew: Option<Explanation>,
    /// Whether that is the same.
    pub verdict: ReplayVerdict,
    /// What was not recorded of what the decision was made by.
    pub lacks: Vec<ReplayLack>,
}

/// Decides anew what the records of a request say was decided. A request that nothing was decided of has no decision, and what
/// became of it is unknown.
pub fn replay(chain: &EvidenceChain, known: &NamedTexts) -> DecisionReplay {
    let request = chain.records().next().map(|record| record.request.uid.clone()).unwrap_or_default();
    let decision =
        chain.records().find(|record| matches!(record.outcome, RecordOutcome::Allowed | RecordOutcome::Refused));
    let decision = decision.or(chain.begun());
    let nothing = DecisionReplay {
        request,
        record: None,
        recorded: None,
        anew: None,
        verdict: ReplayVerdict::Unknown,
        lacks: Vec::new(),
    };
    let Some(decision) = decision else { return nothing };
    let told =
        DecisionReplay { record: Some(decision.index), recorded: Some(decision.kind.as_str().to_owned()), ..nothing };
    let mut lacks = vec![ReplayLack::OtherPolicies, ReplayLack::Settings];
    match DecisionMade::of(chain, decision, known, &mut lacks) {
        None => DecisionReplay { lacks: in_order(lacks), ..told },
        Some(made) => {
            let anew = made.decide();
            let verdict = made.verdict(decision, &anew, &mut lacks);
            DecisionReplay { anew: Some(anew), verdict, lacks: in_order(lacks), ..told }
        }
    }
}

fn in_order(mut lacks: Vec<ReplayLack>) -> Vec<ReplayLack> {
    lacks.sort_unstable();
    lacks.dedup();
    lacks
}

/// What a decision was made by, as far as it is recorded.
struct DecisionMade {
    request: AccessRequest,
    policies: PolicySet,
    namespaces: Namespaces,
    role: RoleSeen,
    at: Timestamp,
}

impl DecisionMade {
    /// None when there is too little for a decision; what is lacking is added.
    fn of(chain: &EvidenceChain, decision: &Record, known: &NamedTexts, lacks: &mut Vec<ReplayLack>) -> Option<Self> {
        let mut held = |is: bool, lack: ReplayLack| {
            if !is {
                lacks.push(lack);
            }
            is
        };
        let first = chain.records().next().filter(|first| first.index == 0 && first.asked.is_some());
        let policy = decision.policy.as_ref().zip(known.policy(decision));
        let role = decision.access.role_digest.as_ref().and_then(|digest| role_of(digest, known.texts()));
        let is_whole = [
            held(first.is_some(), ReplayLack::Question),
            held(policy.is_some(), ReplayLack::Policy),
            held(role.is_some(), ReplayLack::Role),
            held(chain.extends().is_none(), ReplayLack::Extended),
        ];
        if is_whole.contains(&false) {
            return None;
        }
        let (first, (version, spec), role) = (first?, policy?, role?);
        lacks.extend(unrecorded(first, spec));
        let mut policy = AccessPolicy::new(&version.name, spec.clone());
        (policy.metadata.uid, policy.metadata.generation) = (Some(version.uid.clone()), Some(version.generation));
        let names = decision.access.namespaces.iter().chain([&first.request.namespace]);
        Some(Self {
            request: asked(first, decision)?,
            policies: PolicySet::new([&policy]),
            namespaces: names.map(|name| (name.clone(), Namespace::default())).collect(),
            role,
            at: decision.at.0,
        })
    }

    fn decide(&self) -> Explanation {
        let (guard, protected) = (Guard::since(Timestamp::MIN), Protected::default());
        let risk = self.role.risk(&self.request.spec.rules, protected.extent(&self.request, None, &self.namespaces));
        let snapshot = Snapshot {
            role: Some(&self.role),
            risk: Some(&risk),
            protected,
            ..Snapshot::bare(&self.request, &self.policies, &self.namespaces, &guard)
        };
        explain(&snapshot, self.at)
    }

    fn verdict(&self, decision: &Record, anew: &Explanation, lacks: &mut Vec<ReplayLack>) -> ReplayVerdict {
        let was_allowed = decision.outcome != RecordOutcome::Refused;
        match (was_allowed, anew.outcome) {
            (true, Outcome::Granted) | (false, Outcome::Denied) => ReplayVerdict::Same,
            // Whether those who said yes or no were people whom it asks hangs on their groups.
            (_, Outcome::Waiting) => {
                lacks.push(ReplayLack::ApproverGroups);
                ReplayVerdict::Unknown
            }
            // Under this policy alone it is denied, and no other policy turns that into a yes.
            (true, Outcome::Denied) if lacks.iter().all(ReplayLack::cannot_allow) => ReplayVerdict::Different,
            _ => ReplayVerdict::Unknown,
        }
    }
}

impl ReplayLack {
    /// Whether knowing it could turn no yes out of a no under the policy that decided.
    fn cannot_allow(&self) -> bool {
        matches!(self, Self::OtherPolicies | Self::Settings | Self::Counts)
    }
}

/// What the decision could be made by beside what is recorded, as the policy reads it.
fn unrecorded(first: &Record, spec: &AccessPolicySpec) -> Vec<ReplayLack> {
    let reads_labels = spec.scope.namespace_selector.is_some() || first.access.selector.is_some();
    let has_expressions =
        !spec.conditions.is_empty() || spec.approval.as_ref().is_some_and(|approval| approval.automatic_when.is_some());
    [
        (reads_labels, ReplayLack::NamespaceLabels),
        (spec.limits.is_some(), ReplayLack::Counts),
        (has_expressions, ReplayLack::Expressions),
    ]
    .into_iter()
    .filter_map(|(is, lack)| is.then_some(lack))
    .collect()
}

/// The request as its first record tells of it. Its namespaces are those of the decision, by name.
fn asked(first: &Record, decision: &Record) -> Option<AccessRequest> {
    let (question, access) = (first.asked.as_ref()?, &first.access);
    let requester = first
        .subject
        .as_ref()
        .map(|who| json!({ "username": who.username, "uid": who.uid, "groups": question.groups }));
    let own = decision.access.namespaces == [first.request.namespace.clone()];
    let names = if own || access.cluster_wide { Vec::new() } else { decision.access.namespaces.clone() };
    let spec = json!({
        "requester": requester,
        "role": access.role,
        "rules": access.rules,
        "scope": { "cluster": access.cluster_wide, "namespaces": names },
        "reason": question.reason,
        "ticket": question.ticket,
        "duration": question.duration,
        "startTime": question.from.as_ref().map(|from| from.0.to_string()),
        "recurrence": question.recurrence,
        "policy": question.policy,
        "breakGlass": access.break_glass,
    });
    let metadata = json!({
        "name": first.request.name,
        "namespace": first.request.namespace,
        "uid": first.request.uid,
        "creationTimestamp": Timestamp::from_second(first.at.0.as_second()).ok()?.to_string(),
    });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).ok()
}

#[derive(Deserialize)]
struct RecordedPlace {
    namespace: Option<String>,
    rules: Option<Vec<PolicyRule>>,
}

/// The role that a digest is of, from its text as [`RoleSeen::text`] writes it.
fn role_of(digest: &str, texts: &BTreeMap<String, String>) -> Option<RoleSeen> {
    let places: Vec<RecordedPlace> = serde_json::from_str(texts.get(digest)?).ok()?;
    let seen = match places.as_slice() {
        [RecordedPlace { namespace: None, rules }] => {
            let role = rules.clone().map(|rules| ClusterRole { rules: Some(rules), ..ClusterRole::default() });
            RoleSeen::OfCluster(role.map(Arc::new))
        }
        places => {
            let of = |place: &RecordedPlace| {
                let role = place.rules.clone().map(|rules| Arc::new(Role { rules: Some(rules), ..Role::default() }));
                Some((place.namespace.clone()?, role))
            };
            RoleSeen::OfNamespaces(places.iter().map(of).collect::<Option<_>>()?)
        }
    };
    seen.has_digest(digest).then_some(seen)
}

#[cfg(test)]
mod tests;
