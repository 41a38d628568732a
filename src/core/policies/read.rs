//! The reading of a policy's spec: everything in it once, and all that is wrong with it. The schema says most of it
//! too; what must hold even if somebody changed the schema is said again here.
//!
//! What is wrong in an expression is kept with the policy that is read all the same, since its other fields still say
//! whom and what it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;

use super::policy::{BreakGlass, Extension, Policy, Requirement};
use super::scope::Scope;
use super::seats;
use super::written_for::schedule_counts;
use crate::api::policy::{
    AccessPolicy, AccessPolicySpec, Approval, Effect, OnBreakGlass, OnRoleChange, PolicyCondition, Stage,
};
use crate::api::record::{canonical, digest};
use crate::api::request::PolicyRef;
use crate::api::subject::RoleKind;
use crate::core::model::duration;
use crate::core::model::field_error::FieldError;
use crate::core::model::problem::{PolicyProblem, ScopeProblem};
use crate::core::model::schedule::Schedule;
use crate::core::policies::cel::Expression;
use crate::core::policies::limits::Limits;

/// How long a grant lasts when neither request nor policy says.
const DEFAULT_LENGTH: SignedDuration = SignedDuration::from_hours(1);
/// How long approvers have when the policy does not say.
const DEFAULT_DEADLINE: SignedDuration = SignedDuration::from_hours(168);
/// How many extensions of one grant its status has room for.
const MOST_EXTENSIONS: usize = 100;

/// Reads one policy.
///
/// # Errors
/// All its faults, when it has any outside of its expressions.
pub fn read(policy: &AccessPolicy) -> Result<Policy, Vec<FieldError>> {
    let spec = &policy.spec;
    // Without `..`, so that whoever adds a field decides here what reads it.
    let AccessPolicySpec {
        // For people alone.
        description: _,
        effect,
        requesters,
        roles,
        scope,
        duration: _,
        schedule,
        conditions: _,
        approval,
        limits,
        break_glass: _,
        on_break_glass,
        recurrence: weeks,
        on_role_change,
        extension: _,
        require_record,
        idle_timeout,
    } = spec;
    let mut faults = Vec::new();
    let schedule = schedule
        .as_ref()
        .and_then(|raw| Schedule::read(raw, "spec.schedule").map_err(|found| faults.extend(found)).ok());
    let (default_length, longest) = lengths(spec, &mut faults);
    let break_glass = break_glass(spec, &mut faults);
    let extension = extension(spec, &mut faults);
    let limits = Limits::read(limits.as_ref(), &mut faults);
    recurrence(spec, &mut faults);
    let hours = hours(spec, &mut faults);
    let mut in_expressions = Vec::new();
    let conditions = conditions(spec, &mut in_expressions);
    let automatic_when = automatic_when(spec, &mut faults, &mut in_expressions);
    let stages = approval.as_ref().map(|a| a.stages.clone()).unwrap_or_default();
    for (index, stage) in stages.iter().enumerate() {
        if let Some(text) = &stage.escalate_after {
            read_length(&format!("spec.approval.stages[{index}].escalateAfter"), text, &mut faults);
        }
    }
    let idle_timeout = idle_timeout.as_ref().map(|text| read_length("spec.idleTimeout", text, &mut faults));
    let deadline = approval
        .as_ref()
        .and_then(|a| a.deadline.as_deref())
        .map_or(DEFAULT_DEADLINE, |text| read_length("spec.approval.deadline", text, &mut faults));
    if !scope.cluster && scope.namespaces.is_empty() && scope.namespace_selector.is_none() {
        faults.push(FieldError::new("spec.scope", ScopeProblem::None));
    }
    if *effect == Effect::Allow {
        required_lists(spec, &mut faults);
        if on_break_glass.is_some() {
            faults.push(FieldError::new("spec.onBreakGlass", PolicyProblem::OnBreakGlass));
        }
    }
    if !faults.is_empty() {
        faults.extend(in_expressions);
        return Err(faults);
    }
    let text: Arc<str> = canonical(spec).into();
    Ok(Policy {
        reference: PolicyRef {
            name: policy.metadata.name.clone().unwrap_or_default(),
            uid: policy.metadata.uid.clone().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
        },
        digest: digest(text.as_bytes()),
        text,
        effect: *effect,
        requesters: requesters.clone(),
        roles: roles.clone(),
        scope: Scope::read(scope),
        default_length,
        longest,
        stages,
        deadline,
        break_glass,
        extension,
        conditions,
        automatic_when,
        faults: in_expressions,
        limits,
        schedule,
        schedule_counts: schedule_counts(policy),
        exempts_emergencies: *on_break_glass == Some(OnBreakGlass::Exempt),
        weeks: weeks.as_ref().map(|recurrence| recurrence.weeks),
        suspends: *on_role_change == Some(OnRoleChange::Suspend),
        hours,
        requires_record: *require_record,
        idle_timeout,
    })
}

fn lengths(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) -> (SignedDuration, SignedDuration) {
    let Some(limits) = &spec.duration else {
        if spec.effect == Effect::Allow {
            faults.push(FieldError::new("spec.duration.max", PolicyProblem::NoLongest));
        }
        return (DEFAULT_LENGTH, DEFAULT_LENGTH);
    };
    let longest = read_length("spec.duration.max", &limits.max, faults);
    let default_length = match &limits.default {
        Some(text) => read_length("spec.duration.default", text, faults),
        None => DEFAULT_LENGTH.min(longest),
    };
    if default_length > longest {
        faults.push(FieldError::new("spec.duration.default", PolicyProblem::DefaultOverLongest));
    }
    (default_length, longest)
}

fn read_length(field: &str, text: &str, faults: &mut Vec<FieldError>) -> SignedDuration {
    duration::parse(text).unwrap_or_else(|error| {
        faults.push(FieldError::new(field, error));
        duration::SHORTEST
    })
}

fn conditions(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) -> Vec<Requirement> {
    let read = |(index, raw): (usize, &PolicyCondition)| {
        let field = format!("spec.conditions[{index}].expression");
        let condition = Expression::read(&field, &raw.expression).map_err(|found| faults.extend(found)).ok()?;
        Some(Requirement { condition, message: raw.message.clone() })
    };
    spec.conditions.iter().enumerate().filter_map(read).collect()
}

fn automatic_when(
    spec: &AccessPolicySpec,
    faults: &mut Vec<FieldError>,
    in_expressions: &mut Vec<FieldError>,
) -> Option<Expression> {
    const FIELD: &str = "spec.approval.automaticWhen";
    let approval = spec.approval.as_ref()?;
    let source = approval.automatic_when.as_ref()?;
    if approval.stages.is_empty() {
        faults.push(FieldError::new(FIELD, PolicyProblem::NobodyToSpare));
    }
    Expression::read(FIELD, source).map_err(|found| in_expressions.extend(found)).ok()
}

fn break_glass(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) -> Option<BreakGlass> {
    let raw = spec.break_glass.as_ref()?;
    if raw.reviewers.is_empty() {
        faults.push(FieldError::new("spec.breakGlass.reviewers", PolicyProblem::NoReviewers));
    }
    let within = read_length("spec.breakGlass.reviewWithin", &raw.review_within, faults);
    Some(BreakGlass { reviewers: raw.reviewers.clone(), within })
}

fn extension(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) -> Option<Extension> {
    let raw = spec.extension.as_ref()?;
    let most = read_length("spec.extension.max", &raw.max, faults);
    let count = usize::try_from(raw.count).ok().filter(|count| (1..=MOST_EXTENSIONS).contains(count));
    if count.is_none() {
        faults.push(FieldError::new("spec.extension.count", PolicyProblem::Extensions { most: MOST_EXTENSIONS }));
    }
    Some(Extension { most, count: count? })
}

/// Time that is granted for weeks ahead cannot be counted by the day, nor what follows it put off.
fn recurrence(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) {
    let counted = spec.limits.as_ref().is_some_and(|limits| limits.time_per_day.is_some() || limits.cooldown.is_some());
    if spec.recurrence.is_some() && counted {
        faults.push(FieldError::new("spec.recurrence", PolicyProblem::RecurrenceAndCounted));
    }
}

fn hours(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) -> BTreeMap<String, Schedule> {
    let stages = spec.approval.iter().flat_map(|approval| &approval.stages);
    let read = |(index, stage): (usize, &Stage)| {
        let field = format!("spec.approval.stages[{index}].hours");
        let hours = Schedule::read(stage.hours.as_ref()?, &field).map_err(|found| faults.extend(found)).ok()?;
        Some((stage.name.clone(), hours))
    };
    stages.enumerate().filter_map(read).collect()
}

/// The schema asks for these too. Said again here since an empty list must never mean everybody.
fn required_lists(spec: &AccessPolicySpec, faults: &mut Vec<FieldError>) {
    if spec.requesters.is_empty() {
        faults.push(FieldError::new("spec.requesters", PolicyProblem::NoRequesters));
    }
    if spec.roles.is_empty() {
        faults.push(FieldError::new("spec.roles", PolicyProblem::NoRoles));
    }
    let somewhere = !spec.scope.namespaces.is_empty() || spec.scope.namespace_selector.is_some();
    if spec.scope.cluster && !somewhere && spec.roles.iter().all(|r| r.kind == RoleKind::Role) {
        faults.push(FieldError::new("spec.roles", PolicyProblem::OnlyRolesInCluster));
    }
    let stages = spec.approval.as_ref().map_or(&[][..], |a: &Approval| &a.stages);
    if let Some(index) = seats::impossible(stages) {
        let field = format!("spec.approval.stages[{index}]");
        faults.push(FieldError::new(field, PolicyProblem::StageImpossible));
    }
    for (index, stage) in stages.iter().enumerate() {
        if stage.approvers.is_empty() || stage.required < 1 {
            let field = format!("spec.approval.stages[{index}]");
            faults.push(FieldError::new(field, PolicyProblem::NoApprovers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{deny, fault, policy};
    use crate::core::model::duration::BadDuration;
    use crate::core::model::problem::{FieldProblem, TimeProblem};
    use serde_json::json;

    fn faults(policy: &AccessPolicy) -> Vec<FieldError> {
        read(policy).map_or_else(|faults| faults, |policy| policy.faults)
    }

    #[test]
    fn what_the_schema_would_refuse_is_a_fault_here_too() {
        let bob = json!({ "kind": "User", "name": "bob" });
        let stage = json!({ "name": "s", "approvers": [bob] });
        let windows = json!([{ "days": ["Mon"], "start": "09:00", "end": "17:00" }]);
        let hours = json!({ "timeZone": "Berlin", "windows": windows });
        let odd_hours = json!({ "name": "s", "approvers": [bob], "hours": hours });
        let form = |text: &str| FieldProblem::from(BadDuration::Form(text.to_owned()));
        let (many, counted) = (PolicyProblem::Extensions { most: 100 }, PolicyProblem::RecurrenceAndCounted);
        let zone = || TimeProblem::NoZone("Berlin".to_owned());
        for (field, problem, spec) in [
            ("spec.requesters", PolicyProblem::NoRequesters.into(), json!({ "requesters": [] })),
            ("spec.roles", PolicyProblem::NoRoles.into(), json!({ "roles": [] })),
            (
                "spec.roles",
                PolicyProblem::OnlyRolesInCluster.into(),
                json!({ "roles": [{ "kind": "Role", "name": "edit" }], "scope": { "cluster": true } }),
            ),
            ("spec.duration.max", form("1d"), json!({ "duration": { "max": "1d" } })),
            (
                "spec.duration.default",
                PolicyProblem::DefaultOverLongest.into(),
                json!({ "duration": { "max": "1h", "default": "2h" } }),
            ),
            ("spec.approval.deadline", form("-1h"), json!({ "approval": { "deadline": "-1h" } })),
            (
                "spec.approval.stages[0]",
                PolicyProblem::NoApprovers.into(),
                json!({ "approval": { "stages": [{ "name": "s", "approvers": [bob], "required": 0 }] } }),
            ),
            (
                "spec.approval.automaticWhen",
                PolicyProblem::NobodyToSpare.into(),
                json!({ "approval": { "automaticWhen": "true" } }),
            ),
            (
                "spec.schedule.timeZone",
                zone().into(),
                json!({ "schedule": { "timeZone": "Berlin", "windows": windows } }),
            ),
            (
                "spec.breakGlass.reviewers",
                PolicyProblem::NoReviewers.into(),
                json!({ "breakGlass": { "reviewers": [], "reviewWithin": "1h" } }),
            ),
            (
                "spec.breakGlass.reviewWithin",
                form("-1h"),
                json!({ "breakGlass": { "reviewers": [bob], "reviewWithin": "-1h" } }),
            ),
            ("spec.idleTimeout", form("1d"), json!({ "idleTimeout": "1d" })),
            ("spec.extension.max", form("soon"), json!({ "extension": { "max": "soon", "count": 1 } })),
            ("spec.extension.count", many.clone().into(), json!({ "extension": { "max": "1h", "count": 0 } })),
            ("spec.extension.count", many.clone().into(), json!({ "extension": { "max": "1h", "count": -1 } })),
            ("spec.extension.count", many.into(), json!({ "extension": { "max": "1h", "count": 101 } })),
            ("spec.onBreakGlass", PolicyProblem::OnBreakGlass.into(), json!({ "onBreakGlass": "Exempt" })),
            (
                "spec.recurrence",
                counted.clone().into(),
                json!({ "recurrence": { "weeks": 1 }, "limits": { "cooldown": "1h" } }),
            ),
            (
                "spec.recurrence",
                counted.into(),
                json!({ "recurrence": { "weeks": 1 }, "limits": { "timePerDay": "1h" } }),
            ),
            ("spec.approval.stages[0].hours.timeZone", zone().into(), json!({ "approval": { "stages": [odd_hours] } })),
        ] {
            assert_eq!(faults(&policy("p", spec.clone())), [fault(field, problem)], "{spec}");
        }
        // Nobody could fill it either, which is told first.
        let empty = json!({ "approval": { "stages": [{ "name": "s", "approvers": [] }] } });
        let both = [PolicyProblem::StageImpossible, PolicyProblem::NoApprovers];
        let both = both.map(|problem| fault("spec.approval.stages[0]", problem));
        assert_eq!(faults(&policy("p", empty)), both);
        let unread = json!({ "approval": { "automaticWhen": "x", "stages": [stage] } });
        let fields = faults(&policy("p", unread)).into_iter().map(|fault| fault.field);
        assert_eq!(fields.collect::<Vec<_>>(), ["spec.approval.automaticWhen"]);
        let mut unbounded = policy("p", json!({}));
        unbounded.spec.duration = None;
        assert_eq!(faults(&unbounded), [fault("spec.duration.max", PolicyProblem::NoLongest)]);
    }

    /// Whom and what a policy touches can be said in spite of a slip in an expression, and of its other expressions too.
    #[test]
    fn a_slip_in_an_expression_is_kept_with_the_policy() {
        let condition = |expression: &str| json!({ "expression": expression, "message": "m" });
        let slips = json!({ "conditions": [condition("request.reson == ''"), condition("true"), condition("(")] });
        let slip = read(&policy("p", slips)).unwrap();
        let fields: Vec<&str> = slip.faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["spec.conditions[0].expression", "spec.conditions[2].expression"]);
        assert_eq!((slip.conditions.len(), slip.roles.len()), (1, 1));
        let both = json!({ "conditions": [condition("(")], "requesters": [] });
        assert_eq!(read(&policy("p", both)).unwrap_err().len(), 2);
    }

    #[test]
    fn what_the_schema_takes_is_no_fault_here() {
        let role = json!([{ "kind": "Role", "name": "edit" }]);
        for scope in
            [json!({ "cluster": true, "namespaceSelector": {} }), json!({ "cluster": true, "namespaces": ["shop"] })]
        {
            assert_eq!(faults(&policy("p", json!({ "roles": role, "scope": scope }))), []);
        }
        assert_eq!(faults(&deny("p", json!({}))), []);
    }
}
