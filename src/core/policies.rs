//! Policies as the core uses them: read once, all faults found, sorted by name.
//!
//! A policy with a fault grants nothing. One that denies and has a fault cannot be ignored either: what it
//! might deny waits until it is mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;
use kube::core::{Expression, Selector, SelectorExt};

use super::approvals;
use super::cel::Condition;
use super::duration;
use super::facts::Circumstances;
use super::fault::Fault;
use super::limits::Limits;
use super::namespaces::{Namespace, glob_matches};
use super::schedule::Schedule;
use super::validate::{Aim, Ask};
use crate::api::policy::{AccessPolicy, AccessPolicySpec, Approval, Effect, PolicyCondition, Stage};
use crate::api::request::PolicyRef;
use crate::api::selector::{LabelOperator, LabelSelector, PolicyScope};
use crate::api::subject::{RoleKind, RoleName, Subject};

/// How long a grant lasts when neither request nor policy says.
const DEFAULT_LENGTH: SignedDuration = SignedDuration::from_hours(1);
/// How long approvers have when the policy does not say.
const DEFAULT_DEADLINE: SignedDuration = SignedDuration::from_hours(168);
/// How many extensions of one grant its status has room for.
const MOST_EXTENSIONS: usize = 100;

/// Every policy of the cluster, by name.
#[derive(Clone, Debug, Default)]
pub struct PolicySet(BTreeMap<String, Entry>);

/// A policy, readable or not.
#[derive(Clone, Debug)]
pub enum Entry {
    /// In use.
    Valid(Arc<Policy>),
    /// Has faults. `effect` is what it would do, as far as that can be read.
    Broken {
        /// What it would do if it were in order.
        effect: Effect,
        /// What is wrong.
        faults: Vec<Fault>,
    },
}

impl PolicySet {
    /// Reads all policies. One being deleted counts as gone.
    pub fn new<'a>(policies: impl IntoIterator<Item = &'a AccessPolicy>) -> Self {
        Self::default().renewed(policies)
    }

    /// Reads all policies, and takes over from this set what has not changed: a thousand policies are not read anew
    /// because one of them was edited.
    #[must_use]
    pub fn renewed<'a>(&self, policies: impl IntoIterator<Item = &'a AccessPolicy>) -> Self {
        let read = |policy: &AccessPolicy| {
            let name = policy.metadata.name.clone().unwrap_or_default();
            let known = self.0.get(&name).filter(|entry| entry.is_of(policy)).cloned();
            (name, known.unwrap_or_else(|| Entry::read(policy)))
        };
        Self(policies.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()).map(read).collect())
    }

    /// Adds a policy that could not even be decoded. It might be one that denies.
    pub fn insert_unreadable(&mut self, name: &str, problem: &str) {
        let faults = vec![Fault::new("spec", problem)];
        self.0.insert(name.to_owned(), Entry::Broken { effect: Effect::Deny, faults });
    }

    /// The policy of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// All policies, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Whether the policy of this name has limits.
    pub fn has_limits(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Entry::Valid(policy)) if policy.limits.are_set())
    }

    /// Whether any policy has limits.
    pub fn any_limits(&self) -> bool {
        self.valid(Effect::Allow).any(|policy| policy.limits.are_set())
    }

    /// Valid policies with this effect, in the order of their names.
    pub fn valid(&self, effect: Effect) -> impl Iterator<Item = &Policy> {
        self.0.values().filter_map(move |entry| match entry {
            Entry::Valid(policy) if policy.effect == effect => Some(&**policy),
            _ => None,
        })
    }

    /// Names and faults of broken policies with this effect, in the order of their names.
    pub fn broken(&self, wanted: Effect) -> impl Iterator<Item = (&str, &[Fault])> {
        self.0.iter().filter_map(move |(name, entry)| match entry {
            Entry::Broken { effect, faults } if *effect == wanted => Some((name.as_str(), faults.as_slice())),
            _ => None,
        })
    }
}

impl Entry {
    /// Whether this is what reading the policy would give: the same object with the same spec.
    fn is_of(&self, policy: &AccessPolicy) -> bool {
        let Self::Valid(known) = self else { return false };
        let of = &known.reference;
        let version = (policy.metadata.uid.as_ref(), policy.metadata.generation);
        version == (Some(&of.uid), Some(of.generation))
    }

    /// Reads one policy and finds all its faults.
    pub fn read(policy: &AccessPolicy) -> Self {
        let spec = &policy.spec;
        let mut faults = Vec::new();
        let schedule = spec
            .schedule
            .as_ref()
            .and_then(|raw| Schedule::read(raw, "spec.schedule").map_err(|found| faults.extend(found)).ok());
        let (default_length, longest) = lengths(spec, &mut faults);
        let break_glass = break_glass(spec, &mut faults);
        let extension = extension(spec, &mut faults);
        let limits = Limits::read(spec.limits.as_ref(), &mut faults);
        let conditions = conditions(spec, &mut faults);
        let automatic_when = automatic_when(spec, &mut faults);
        let stages = spec.approval.as_ref().map(|a| a.stages.clone()).unwrap_or_default();
        for stage in spec.approval.iter().flat_map(|a| &a.stages) {
            if let Some(text) = &stage.escalate_after {
                read_length(&format!("spec.approval.stages[{}].escalateAfter", stage.name), text, &mut faults);
            }
        }
        let deadline = spec
            .approval
            .as_ref()
            .and_then(|a| a.deadline.as_deref())
            .map_or(DEFAULT_DEADLINE, |text| read_length("spec.approval.deadline", text, &mut faults));
        if !spec.scope.cluster && spec.scope.namespaces.is_empty() && spec.scope.namespace_selector.is_none() {
            faults.push(Fault::new("spec.scope", "give at least one of namespaces, namespaceSelector and cluster"));
        }
        if spec.effect == Effect::Allow {
            required_lists(spec, &mut faults);
        }
        if !faults.is_empty() {
            return Self::Broken { effect: spec.effect, faults };
        }
        Self::Valid(Arc::new(Policy {
            reference: PolicyRef {
                name: policy.metadata.name.clone().unwrap_or_default(),
                uid: policy.metadata.uid.clone().unwrap_or_default(),
                generation: policy.metadata.generation.unwrap_or_default(),
            },
            effect: spec.effect,
            requesters: spec.requesters.clone(),
            roles: spec.roles.clone(),
            scope: Scope::read(&spec.scope),
            default_length,
            longest,
            stages,
            deadline,
            break_glass,
            extension,
            conditions,
            automatic_when,
            limits,
            schedule,
        }))
    }
}

/// A policy without faults.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name, UID and generation.
    pub reference: PolicyRef,
    /// Allow or Deny.
    pub effect: Effect,
    /// Who may ask; none in a Deny means everybody.
    pub requesters: Vec<Subject>,
    /// Which roles; none in a Deny means every role.
    pub roles: Vec<RoleName>,
    /// Where.
    pub scope: Scope,
    default_length: SignedDuration,
    /// Longest grant.
    pub longest: SignedDuration,
    /// Who must agree, in order; none means nobody.
    pub stages: Vec<Stage>,
    /// How long approvers have, from the request's creation.
    pub deadline: SignedDuration,
    /// Access at once in an emergency, if it allows that.
    pub break_glass: Option<BreakGlass>,
    /// How far a grant may be extended, if it may.
    pub extension: Option<Extension>,
    /// Further conditions, which must all hold.
    pub conditions: Vec<Requirement>,
    /// When nobody needs to agree after all.
    pub automatic_when: Option<Condition>,
    /// How much there may be under it at a time.
    pub limits: Limits,
    /// When access may be used; none means always.
    pub schedule: Option<Schedule>,
}

/// A condition, and what the requester is told when it does not hold.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// What must hold.
    pub condition: Condition,
    /// What the requester is told.
    pub message: String,
}

/// Access at once, reviewed afterwards.
#[derive(Clone, Debug)]
pub struct BreakGlass {
    /// Who may close the review.
    pub reviewers: Vec<Subject>,
    /// How long after the grant they have.
    pub within: SignedDuration,
}

/// How far a grant may be extended.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// The most that one extension adds.
    pub most: SignedDuration,
    /// How many there may be of one grant.
    pub count: usize,
}

impl Policy {
    /// How much a request under this policy asks of people before it is granted: stages, then approvals; nothing of
    /// anybody when it is `automatic`.
    pub fn friction(&self, aim: Aim<'_>, automatic: bool) -> (usize, i64) {
        match aim {
            Aim::BreakGlass => (0, 0),
            _ if automatic => (0, 0),
            Aim::Grant | Aim::Extension { .. } => {
                (self.stages.len(), self.stages.iter().map(|s| i64::from(s.required)).sum())
            }
        }
    }

    /// Whether nobody needs to agree to this request.
    ///
    /// # Errors
    /// When that cannot be said.
    pub fn is_automatic(&self, ask: &Ask<'_>, circumstances: &Circumstances<'_>) -> Result<bool, String> {
        let Some(condition) = &self.automatic_when else { return Ok(false) };
        condition.holds(&circumstances.facts(ask, self))
    }

    /// Keys of the labels that its conditions ask for.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let conditions = self.conditions.iter().map(|requirement| &requirement.condition);
        conditions.chain(&self.automatic_when).flat_map(Condition::labels)
    }

    /// Whether it serves emergencies only: without stages it would otherwise let everybody in unreviewed.
    pub fn is_for_break_glass_only(&self) -> bool {
        self.break_glass.is_some() && self.stages.is_empty()
    }

    /// For how long a request is granted under it, or extends a grant: what it asks for, or else the default.
    pub fn length(&self, ask: &Ask<'_>) -> SignedDuration {
        ask.length.unwrap_or(match (ask.aim, self.extension) {
            (Aim::Extension { .. }, Some(extension)) => self.default_length.min(extension.most),
            _ => self.default_length,
        })
    }
}

/// Where a policy applies.
#[derive(Clone, Debug)]
pub struct Scope {
    globs: Vec<String>,
    selector: Option<Selector>,
    /// Whether requests for the whole cluster are covered.
    pub cluster: bool,
}

impl Scope {
    fn read(scope: &PolicyScope) -> Self {
        Self {
            globs: scope.namespaces.clone(),
            selector: scope.namespace_selector.as_ref().map(selector),
            cluster: scope.cluster,
        }
    }

    /// Whether the scope names namespaces at all, rather than only the whole cluster.
    pub fn has_namespaces(&self) -> bool {
        !self.globs.is_empty() || self.selector.is_some()
    }

    /// Whether the namespace is covered: by name and by label, where both are given.
    pub fn covers(&self, name: &str, namespace: &Namespace) -> bool {
        self.has_namespaces()
            && (self.globs.is_empty() || self.globs.iter().any(|glob| glob_matches(glob, name)))
            && self.selector.as_ref().is_none_or(|s| s.matches(&namespace.labels))
    }
}

/// A label selector in the form that can be evaluated.
pub fn selector(raw: &LabelSelector) -> Selector {
    let equal = raw.match_labels.iter().map(|(k, v)| Expression::Equal(k.clone(), v.clone()));
    let rules = raw.match_expressions.iter().map(|rule| {
        let (key, values) = (rule.key.clone(), rule.values.iter().cloned().collect());
        match rule.operator {
            LabelOperator::In => Expression::In(key, values),
            LabelOperator::NotIn => Expression::NotIn(key, values),
            LabelOperator::Exists => Expression::Exists(key),
            LabelOperator::DoesNotExist => Expression::DoesNotExist(key),
        }
    });
    equal.chain(rules).collect()
}

fn lengths(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) -> (SignedDuration, SignedDuration) {
    let Some(limits) = &spec.duration else {
        if spec.effect == Effect::Allow {
            faults.push(Fault::new("spec.duration.max", "a policy that allows must set it"));
        }
        return (DEFAULT_LENGTH, DEFAULT_LENGTH);
    };
    let longest = read_length("spec.duration.max", &limits.max, faults);
    let default_length = match &limits.default {
        Some(text) => read_length("spec.duration.default", text, faults),
        None => DEFAULT_LENGTH.min(longest),
    };
    if default_length > longest {
        faults.push(Fault::new("spec.duration.default", "must not be longer than spec.duration.max"));
    }
    (default_length, longest)
}

fn read_length(field: &str, text: &str, faults: &mut Vec<Fault>) -> SignedDuration {
    duration::parse(text).unwrap_or_else(|error| {
        faults.push(Fault::new(field, error.to_string()));
        duration::SHORTEST
    })
}

fn conditions(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) -> Vec<Requirement> {
    let read = |(index, raw): (usize, &PolicyCondition)| {
        let field = format!("spec.conditions[{index}].expression");
        let condition = Condition::read(&field, &raw.expression).map_err(|fault| faults.push(fault)).ok()?;
        Some(Requirement { condition, message: raw.message.clone() })
    };
    spec.conditions.iter().enumerate().filter_map(read).collect()
}

fn automatic_when(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) -> Option<Condition> {
    const FIELD: &str = "spec.approval.automaticWhen";
    let approval = spec.approval.as_ref()?;
    let source = approval.automatic_when.as_ref()?;
    if approval.stages.is_empty() {
        faults.push(Fault::new(FIELD, "spares approvers, and there are none: add stages, or remove it"));
    }
    Condition::read(FIELD, source).map_err(|fault| faults.push(fault)).ok()
}

fn break_glass(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) -> Option<BreakGlass> {
    let raw = spec.break_glass.as_ref()?;
    if raw.reviewers.is_empty() {
        faults.push(Fault::new("spec.breakGlass.reviewers", "must name who reviews the access afterwards"));
    }
    let within = read_length("spec.breakGlass.reviewWithin", &raw.review_within, faults);
    Some(BreakGlass { reviewers: raw.reviewers.clone(), within })
}

fn extension(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) -> Option<Extension> {
    let raw = spec.extension.as_ref()?;
    let most = read_length("spec.extension.max", &raw.max, faults);
    let count = usize::try_from(raw.count).ok().filter(|count| (1..=MOST_EXTENSIONS).contains(count));
    if count.is_none() {
        let problem =
            format!("must be between 1 and {MOST_EXTENSIONS}; to allow no extension leave spec.extension out");
        faults.push(Fault::new("spec.extension.count", problem));
    }
    Some(Extension { most, count: count? })
}

/// The schema asks for these too. Said again here since an empty list must never mean everybody.
fn required_lists(spec: &AccessPolicySpec, faults: &mut Vec<Fault>) {
    if spec.requesters.is_empty() {
        faults.push(Fault::new("spec.requesters", "a policy that allows must name its requesters"));
    }
    if spec.roles.is_empty() {
        faults.push(Fault::new("spec.roles", "a policy that allows must list its roles"));
    }
    let somewhere = !spec.scope.namespaces.is_empty() || spec.scope.namespace_selector.is_some();
    if spec.scope.cluster && !somewhere && spec.roles.iter().all(|r| r.kind == RoleKind::Role) {
        faults.push(Fault::new("spec.roles", "only a ClusterRole can be bound in the whole cluster"));
    }
    let stages = spec.approval.as_ref().map_or(&[][..], |a: &Approval| &a.stages);
    if let Some(stage) = approvals::impossible(stages) {
        let field = format!("spec.approval.stages[{}]", stage.name);
        let problem = "cannot be complete: it needs more people than it names, and one person counts in one stage only";
        faults.push(Fault::new(field, problem));
    }
    for stage in stages {
        if stage.approvers.is_empty() || stage.required < 1 {
            let field = format!("spec.approval.stages[{}]", stage.name);
            faults.push(Fault::new(field, "must have approvers, and require at least one of them"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fault::sentence;
    use crate::core::samples::{deny, policy};
    use serde_json::json;

    fn faults(policy: &AccessPolicy) -> String {
        match Entry::read(policy) {
            Entry::Valid(_) => String::new(),
            Entry::Broken { faults, .. } => sentence(&faults),
        }
    }

    #[test]
    fn what_the_schema_would_refuse_is_a_fault_here_too() {
        let bob = json!({ "kind": "User", "name": "bob" });
        let stage = json!({ "name": "s", "approvers": [bob] });
        let sound = json!({ "expression": "true", "message": "m" });
        let windows = json!([{ "days": ["Mon"], "start": "09:00", "end": "17:00" }]);
        for (fault, spec) in [
            ("spec.requesters", json!({ "requesters": [] })),
            ("spec.roles", json!({ "roles": [] })),
            ("spec.roles", json!({ "roles": [{ "kind": "Role", "name": "edit" }], "scope": { "cluster": true } })),
            ("spec.duration.max", json!({ "duration": { "max": "1d" } })),
            ("spec.duration.default", json!({ "duration": { "max": "1h", "default": "2h" } })),
            ("spec.approval.deadline", json!({ "approval": { "deadline": "-1h" } })),
            ("spec.approval.stages[s]", json!({ "approval": { "stages": [{ "name": "s", "approvers": [] }] } })),
            (
                "spec.conditions[1].expression: is not CEL",
                json!({ "conditions": [sound, { "expression": "(", "message": "m" }] }),
            ),
            (
                "spec.approval.automaticWhen: knows no x",
                json!({ "approval": { "automaticWhen": "x", "stages": [stage] } }),
            ),
            ("spec.approval.automaticWhen: spares", json!({ "approval": { "automaticWhen": "true" } })),
            ("spec.schedule.timeZone", json!({ "schedule": { "timeZone": "Berlin", "windows": windows } })),
            ("spec.breakGlass.reviewers", json!({ "breakGlass": { "reviewers": [], "reviewWithin": "1h" } })),
            ("spec.breakGlass.reviewWithin", json!({ "breakGlass": { "reviewers": [bob], "reviewWithin": "-1h" } })),
            ("spec.extension.max", json!({ "extension": { "max": "soon", "count": 1 } })),
            ("spec.extension.count", json!({ "extension": { "max": "1h", "count": 0 } })),
            ("spec.extension.count", json!({ "extension": { "max": "1h", "count": -1 } })),
            ("spec.extension.count", json!({ "extension": { "max": "1h", "count": 101 } })),
        ] {
            assert!(faults(&policy("p", spec)).starts_with(fault), "{fault}");
        }
        let mut unbounded = policy("p", json!({}));
        unbounded.spec.duration = None;
        assert!(faults(&unbounded).starts_with("spec.duration.max"));
    }

    #[test]
    fn what_the_schema_takes_is_no_fault_here() {
        let role = json!([{ "kind": "Role", "name": "edit" }]);
        for scope in
            [json!({ "cluster": true, "namespaceSelector": {} }), json!({ "cluster": true, "namespaces": ["shop"] })]
        {
            assert_eq!(faults(&policy("p", json!({ "roles": role, "scope": scope }))), "");
        }
        assert_eq!(faults(&deny("p", json!({}))), "");
    }

    #[test]
    fn a_policy_that_is_being_deleted_counts_as_gone() {
        let mut policy = policy("p", json!({}));
        policy.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::core::samples::noon()));
        assert!(PolicySet::new([&policy]).get("p").is_none());
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let before = PolicySet::new([&policy("a", json!({})), &policy("b", json!({}))]);
        let same = |set: &PolicySet, name: &str| match (before.get(name), set.get(name)) {
            (Some(Entry::Valid(old)), Some(Entry::Valid(new))) => Arc::ptr_eq(old, new),
            _ => false,
        };
        let mut edited = policy("a", json!({ "duration": { "max": "2h" } }));
        edited.metadata.generation = Some(2);
        let mut anew = policy("b", json!({}));
        anew.metadata.uid = Some("another".to_owned());
        let after = before.renewed([&edited, &policy("b", json!({}))]);
        assert!(!same(&after, "a") && same(&after, "b"));
        assert!(!same(&before.renewed([&anew]), "b"));
        assert!(before.renewed([&anew]).get("a").is_none());
    }

    #[test]
    fn an_unreadable_policy_might_deny() {
        let mut set = PolicySet::default();
        set.insert_unreadable("odd", "unknown field");
        assert_eq!(set.broken(Effect::Deny).map(|(name, _)| name).collect::<Vec<_>>(), ["odd"]);
    }

    #[test]
    fn a_scope_with_names_and_labels_asks_for_both() {
        let spec = json!({ "namespaces": ["team-*"], "namespaceSelector": { "matchLabels": { "env": "prod" } } });
        let scope = Scope::read(&serde_json::from_value(spec).unwrap());
        let prod = Namespace { labels: [("env".to_owned(), "prod".to_owned())].into(), terminating: false };
        assert!(scope.covers("team-a", &prod));
        assert!(!scope.covers("team-a", &Namespace::default()));
        assert!(!scope.covers("other", &prod));
        assert!(!Scope::read(&PolicyScope::default()).covers("team-a", &prod), "an empty scope covers nothing");
    }

    #[test]
    fn selectors_mean_what_kubernetes_means() {
        let labelled = |value: &str| [("env".to_owned(), value.to_owned())].into();
        let (prod, dev, bare) = (labelled("prod"), labelled("dev"), BTreeMap::new());
        for (operator, values, fits) in [
            ("In", json!(["prod"]), [true, false, false]),
            ("NotIn", json!(["prod"]), [false, true, true]),
            ("Exists", json!([]), [true, true, false]),
            ("DoesNotExist", json!([]), [false, false, true]),
        ] {
            let rule = json!({ "matchExpressions": [{ "key": "env", "operator": operator, "values": values }] });
            let selector = selector(&serde_json::from_value(rule).unwrap());
            let seen = [&prod, &dev, &bare].map(|labels: &BTreeMap<String, String>| selector.matches(labels));
            assert_eq!(seen, fits, "{operator}");
        }
    }
}
