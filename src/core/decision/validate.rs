//! A request read once into facts that cannot fail later, or all that is wrong with it.
//!
//! The CRD's schema refuses most faults when the request is made. What is left here is what a schema cannot
//! see, and what must hold even if somebody changed the schema.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::request::AccessRequest;
use crate::api::subject::{Identity, RoleKind};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::duration;
use crate::core::model::field_error::FieldError;
use crate::core::model::grant_scope::Target;
use crate::core::model::namespaces::selector;
use crate::core::model::problem::{RequestProblem, ScopeProblem};
use crate::core::model::recurrence::Recurrence;
use crate::core::rbac::rules;

/// How far ahead a start may lie.
const FARTHEST_START: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Reads a request.
///
/// # Errors
/// All faults, when it has any.
pub fn validate(request: &AccessRequest) -> Result<ValidRequest<'_>, Vec<FieldError>> {
    let spec = &request.spec;
    let mut faults = rules::faults(&spec.rules);
    let created = request.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0);
    let length = spec.duration.as_deref().and_then(|text| {
        duration::parse(text).map_err(|error| faults.push(FieldError::new("spec.duration", error))).ok()
    });
    let start = spec.start_time.as_ref().map(|t| t.0);
    let recurrence = recurrence(request, &mut faults);
    if start.is_some_and(|start| start.duration_since(created) > FARTHEST_START) {
        faults.push(FieldError::new("spec.startTime", RequestProblem::StartsTooLate));
    }
    let requester = stamped(request, &mut faults);
    let target = target(request, &mut faults);
    let aim = aim(request, &mut faults);
    match requester {
        Some(requester) if faults.is_empty() => Ok(ValidRequest {
            request,
            requester,
            role: &spec.role,
            target,
            length,
            start,
            recurrence,
            policy: spec.policy.as_deref(),
            aim,
            created,
        }),
        _ => Err(faults),
    }
}

fn stamped<'a>(request: &'a AccessRequest, faults: &mut Vec<FieldError>) -> Option<&'a Identity> {
    let problem = match &request.spec.requester {
        None => RequestProblem::NotStamped,
        Some(who) if who.username.is_empty() || is_anonymous(who) => RequestProblem::Anonymous,
        Some(who) => return Some(who),
    };
    faults.push(FieldError::new("spec.requester", problem));
    None
}

fn is_anonymous(who: &Identity) -> bool {
    who.username == "system:anonymous" || who.groups.iter().any(|g| g == "system:unauthenticated")
}

fn target(request: &AccessRequest, faults: &mut Vec<FieldError>) -> Target {
    let own = request.metadata.namespace.clone().unwrap_or_default();
    let Some(scope) = &request.spec.scope else {
        return Target::Namespaces(vec![own]);
    };
    let given = [!scope.namespaces.is_empty(), scope.namespace_selector.is_some(), scope.cluster];
    if given.iter().filter(|g| **g).count() > 1 {
        faults.push(FieldError::new("spec.scope", ScopeProblem::Several));
    }
    if scope.cluster {
        if request.spec.role.kind == RoleKind::Role {
            faults.push(FieldError::new("spec.role", ScopeProblem::RoleInCluster));
        }
        Target::Cluster
    } else if let Some(raw) = &scope.namespace_selector {
        Target::Selected(selector(raw))
    } else if scope.namespaces.is_empty() {
        Target::Namespaces(vec![own])
    } else {
        let mut names = scope.namespaces.clone();
        names.sort();
        names.dedup();
        Target::Namespaces(names)
    }
}

/// The schema refuses most of these too. Said again here, since each would change what is decided.
fn aim<'a>(request: &'a AccessRequest, faults: &mut Vec<FieldError>) -> RequestKind<'a> {
    let spec = &request.spec;
    if spec.break_glass && (spec.extends.is_some() || spec.start_time.is_some()) {
        faults.push(FieldError::new("spec.breakGlass", RequestProblem::BreakGlassLater));
    }
    let Some(of) = spec.extends.as_deref() else {
        return if spec.break_glass { RequestKind::BreakGlass } else { RequestKind::Grant };
    };
    if spec.scope.is_some() || spec.start_time.is_some() {
        faults.push(FieldError::new("spec.extends", RequestProblem::ExtensionElsewhere));
    }
    if request.metadata.name.as_deref() == Some(of) {
        faults.push(FieldError::new("spec.extends", RequestProblem::ExtendsItself));
    }
    RequestKind::Extension { of, running: None }
}

fn recurrence(request: &AccessRequest, faults: &mut Vec<FieldError>) -> Option<Recurrence> {
    let spec = &request.spec;
    let raw = spec.recurrence.as_ref()?;
    if spec.duration.is_some() || spec.extends.is_some() || spec.break_glass {
        faults.push(FieldError::new("spec.recurrence", RequestProblem::RecurrenceAndMore));
    }
    Recurrence::read(raw).map_err(|found| faults.extend(found)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{fault, request};
    use crate::core::model::problem::{RuleProblem, WordFault};
    use serde_json::json;

    fn faults(spec: serde_json::Value) -> Vec<FieldError> {
        validate(&request(spec)).err().unwrap_or_default()
    }

    #[test]
    fn nobody_gets_access_who_is_not_known_to_the_cluster() {
        for (who, problem) in [
            (json!(null), RequestProblem::NotStamped),
            (json!({ "username": "" }), RequestProblem::Anonymous),
            (json!({ "username": "system:anonymous" }), RequestProblem::Anonymous),
            (json!({ "username": "eve", "groups": ["system:unauthenticated"] }), RequestProblem::Anonymous),
        ] {
            assert_eq!(faults(json!({ "requester": who })), [fault("spec.requester", problem)], "{who}");
        }
        assert_eq!(faults(json!({})), []);
    }

    #[test]
    fn rules_that_would_not_do_what_they_say_are_refused() {
        let rules =
            |resource: &str| json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": [resource] }] });
        let word = RuleProblem::Word { written: "Pods".to_owned(), fault: WordFault::UpperCase };
        assert_eq!(faults(rules("Pods")), [fault("spec.rules[0].resources[0]", word)]);
        assert_eq!(faults(rules("pods")), []);
    }

    #[test]
    fn recurring_access_is_neither_endless_nor_anything_else_besides() {
        let recurring = |spec: serde_json::Value, days: serde_json::Value, weeks: i32| {
            let windows = json!([{ "days": days, "start": "02:00", "end": "04:00" }]);
            let mut all = json!({ "recurrence": { "timeZone": "Europe/Berlin", "windows": windows, "weeks": weeks } });
            all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            faults(all)
        };
        assert_eq!(recurring(json!({}), json!(["Tue"]), 48), []);
        assert_eq!(recurring(json!({}), json!(["Tue", "Thu"]), 24), []);
        let many = RequestProblem::Windows { there: 50, most: 48 };
        assert_eq!(recurring(json!({}), json!(["Tue", "Thu"]), 25), [fault("spec.recurrence.weeks", many)]);
        for other in [json!({ "duration": "1h" }), json!({ "extends": "other" }), json!({ "breakGlass": true })] {
            let more = fault("spec.recurrence", RequestProblem::RecurrenceAndMore);
            assert_eq!(recurring(other.clone(), json!(["Tue"]), 1), [more], "{other}");
        }
    }

    #[test]
    fn an_aim_leaves_no_room_for_another() {
        let start = "2026-11-23T13:00:00Z";
        let later = || vec![fault("spec.breakGlass", RequestProblem::BreakGlassLater)];
        let elsewhere = || vec![fault("spec.extends", RequestProblem::ExtensionElsewhere)];
        for (spec, expected) in [
            (json!({ "breakGlass": true, "extends": "other" }), later()),
            (json!({ "breakGlass": true, "startTime": start }), later()),
            (json!({ "extends": "other", "startTime": start }), elsewhere()),
            (json!({ "extends": "other", "scope": { "cluster": true } }), elsewhere()),
            (json!({ "extends": "fix" }), vec![fault("spec.extends", RequestProblem::ExtendsItself)]),
            (json!({ "breakGlass": true }), Vec::new()),
            (json!({ "extends": "other" }), Vec::new()),
        ] {
            assert_eq!(faults(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let all = faults(json!({ "duration": "1h-5m", "startTime": "2028-01-01T00:00:00Z", "requester": null }));
        let fields: Vec<&str> = all.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["spec.duration", "spec.startTime", "spec.requester"]);
    }

    #[test]
    fn a_scope_names_one_place() {
        let two = json!({ "namespaces": ["a"], "cluster": true });
        assert_eq!(faults(json!({ "scope": two })), [fault("spec.scope", ScopeProblem::Several)]);
        let role = json!({ "kind": "Role", "name": "edit" });
        let cluster = json!({ "role": role, "scope": { "cluster": true } });
        assert_eq!(faults(cluster), [fault("spec.role", ScopeProblem::RoleInCluster)]);
        let names = |spec| match validate(&request(spec)).unwrap().target {
            Target::Namespaces(names) => names,
            other => panic!("{other:?}"),
        };
        assert_eq!(names(json!({})), ["shop"]);
        assert_eq!(names(json!({ "scope": {} })), ["shop"]);
        assert_eq!(names(json!({ "scope": { "namespaces": ["b", "a", "b"] } })), ["a", "b"]);
    }
}
