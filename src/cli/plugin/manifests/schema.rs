//! Holds a manifest against the schema of its CRD as the API server does at its creation: unknown fields, types, bounds,
//! patterns, lists without a thing twice, and in [`rules`] the CEL rules.

mod rules;

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::api::crds;

/// RFC 3339, as the API server reads `date-time`.
const DATE_TIME: &str = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$";

/// Everything in which an object breaks the schema of its kind, each with its path.
pub fn faults(kind: &str, value: &Value) -> Vec<String> {
    let mut faults: Vec<String> = name_fault(&value["metadata"]).into_iter().collect();
    for crd in crds().into_iter().filter(|crd| crd.spec.names.kind == kind) {
        let versions = crd.spec.versions.into_iter();
        for schema in versions.filter_map(|v| v.schema?.open_api_v3_schema).filter_map(|s| serde_json::to_value(s).ok())
        {
            for part in ["spec", "status"] {
                check(part, &schema["properties"][part], &value[part], &mut faults);
            }
            // Rules count on the types; what breaks those is told first.
            if faults.is_empty() {
                rules::broken("", &schema, &as_created(&schema, value), &mut faults);
            }
            let known = ["apiVersion", "kind", "metadata", "spec", "status"];
            let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
            faults.extend(fields.filter(|f| !known.contains(&f.as_str())).map(|f| format!("{f}: unknown field")));
        }
    }
    if value["spec"].is_null() {
        faults.push("spec: is missing".to_owned());
    }
    faults
}

/// What is wrong with the name of an object. The API server makes one from `generateName`.
fn name_fault(metadata: &Value) -> Option<String> {
    let given = |field: &str| metadata[field].as_str().filter(|text| !text.is_empty());
    let (field, name) = match (given("name"), given("generateName")) {
        (Some(name), _) => ("name", name),
        (None, Some(prefix)) => ("generateName", prefix.trim_end_matches(['-', '.'])),
        (None, None) => return Some("metadata.name: is missing".to_owned()),
    };
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = |part: &str| {
        part.starts_with(is_letter) && part.ends_with(is_letter) && part.chars().all(|c| is_letter(c) || c == '-')
    };
    let good = name.len() <= 253 && name.split('.').all(fits);
    (!good).then(|| format!("metadata.{field}: {name:?} must be lower-case letters, digits, - and ."))
}

/// The object as the API server has it before it looks at the rules: with a name and with defaults, and without nulls.
fn as_created(schema: &Value, value: &Value) -> Value {
    let mut value = value.clone();
    if let (None, Some(prefix)) = (value["metadata"]["name"].as_str(), value["metadata"]["generateName"].as_str()) {
        let name = format!("{prefix}00000");
        value["metadata"]["name"] = name.into();
    }
    complete(schema, &mut value);
    value
}

fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, inner| !inner.is_null());
            for (name, of) in schema["properties"].as_object().into_iter().flatten() {
                if !fields.contains_key(name) && !of["default"].is_null() {
                    fields.insert(name.clone(), of["default"].clone());
                }
                if let Some(inner) = fields.get_mut(name) {
                    complete(of, inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(&schema["items"], item)),
        _ => {}
    }
}

fn check(path: &str, schema: &Value, value: &Value, faults: &mut Vec<String>) {
    // A null is a field that is not there; whoever needs it says so.
    match value {
        Value::Null => {}
        _ if !is_type(schema, value) => {
            faults.push(format!("{path}: must be of type {}", schema["type"].as_str().unwrap_or("another")));
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if fields.get(name).is_none_or(Value::is_null) {
                    faults.push(format!("{path}.{name}: is missing"));
                }
            }
            bounds(path, schema, "Properties", fields.len(), faults);
            for (name, inner) in fields {
                let path = format!("{path}.{name}");
                match (schema["properties"].get(name), &schema["additionalProperties"]) {
                    (Some(of), _) | (None, of @ Value::Object(_)) => check(&path, of, inner, faults),
                    (None, _) => faults.push(format!("{path}: unknown field")),
                }
            }
        }
        Value::Array(items) => {
            bounds(path, schema, "Items", items.len(), faults);
            for (index, item) in items.iter().enumerate() {
                check(&format!("{path}[{index}]"), &schema["items"], item, faults);
            }
            twice(path, schema, items, faults);
        }
        Value::String(text) => string(path, schema, text, faults),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if schema["minimum"].as_f64().is_some_and(|least| number < least)
                || schema["maximum"].as_f64().is_some_and(|most| number > most)
            {
                let (least, most) = (&schema["minimum"], &schema["maximum"]);
                faults.push(format!("{path}: {number} is not between {least} and {most}"));
            }
        }
        Value::Bool(_) => {}
    }
}

/// What a list has twice that must be in it once.
fn twice(path: &str, schema: &Value, items: &[Value], faults: &mut Vec<String>) {
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        }
        Some("set") => Vec::new(),
        _ => return,
    };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let is =
            if keys.is_empty() { item.to_string() } else { keys.iter().map(|key| item[*key].to_string()).collect() };
        if !seen.insert(is.clone()) {
            let what = if keys.is_empty() { is } else { format!("{} {is}", keys.join(", ")) };
            faults.push(format!("{path}[{index}]: {what} is there twice"));
        }
    }
}

fn string(path: &str, schema: &Value, text: &str, faults: &mut Vec<String>) {
    bounds(path, schema, "Length", text.chars().count(), faults);
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.iter().any(|v| v == text)) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        faults.push(format!("{path}: {text:?} is not one of {}", values.join(", ")));
    }
    // Not what our own calendar can hold: its last day is one that the API server knows.
    if schema["format"] == "date-time" && !Regex::new(DATE_TIME).is_ok_and(|form| form.is_match(text)) {
        faults.push(format!("{path}: {text:?} must be a time as 2026-11-28T09:00:00Z (date-time, with a zone)"));
    }
    let pattern = schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok());
    if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
        faults.push(format!("{path}: {text:?} does not match {pattern}"));
    }
}

fn is_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    }
}

fn bounds(path: &str, schema: &Value, what: &str, size: usize, faults: &mut Vec<String>) {
    let bound = |side: &str| schema[format!("{side}{what}")].as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(most) = bound("max").filter(|most| size > *most) {
        faults.push(format!("{path}: has {size}, at most {most} are allowed"));
    }
    if let Some(least) = bound("min").filter(|least| size < *least) {
        faults.push(format!("{path}: has {size}, at least {least} must be there"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_is_held_against_its_schema() {
        let good = json!({ "metadata": { "name": "p" }, "spec": { "requesters": [{ "kind": "Group", "name": "dev" }],
            "roles": [{ "name": "edit" }], "scope": { "namespaces": ["shop"] }, "duration": { "max": "1h" } } });
        assert_eq!(faults("AccessPolicy", &good), Vec::<String>::new());
        for (path, value, message) in [
            ("/spec/scope", json!({ "namespace": ["shop"] }), "spec.scope.namespace: unknown field"),
            ("/spec/duration", json!({}), "spec.duration.max: is missing"),
            ("/spec/duration/max", json!(5), "spec.duration.max: must be of type string"),
            ("/spec/roles", json!(vec![json!({ "name": "edit" }); 65]), "spec.roles: has 65, at most 64 are allowed"),
            (
                "/spec/requesters/0",
                json!({ "kind": "User", "name": "alice", "apiGroup": "apps" }),
                "spec.requesters[0].apiGroup: \"apps\" does not match",
            ),
            ("/spec/requesters/0/kind", json!("Team"), "spec.requesters[0].kind: \"Team\" is not one of User, Group"),
            ("/spec/roles", json!("edit"), "spec.roles: must be of type array"),
            ("/metadata", json!({}), "metadata.name: is missing"),
            ("/metadata", json!({ "name": "Shop_Edit" }), "metadata.name: \"Shop_Edit\" must be lower-case"),
            // Rules in CEL, as the API server evaluates them.
            ("/spec/requesters", json!([]), "spec: a policy that allows must name its requesters"),
            ("/spec/duration", json!(null), "spec: a policy that allows must set duration.max"),
            ("/spec/duration/max", json!("1d"), "spec.duration.max: must be hours, minutes and seconds"),
            ("/spec/duration", json!({ "max": "1h", "default": "2h" }), "spec.duration: default must not be longer"),
            ("/spec/roles/0/name", json!("view-*"), "spec.roles[0].name: must be the exact name of a role"),
            (
                "/spec/requesters/0",
                json!({ "kind": "ServiceAccount", "name": "bot" }),
                "spec.requesters[0]: namespace goes with kind ServiceAccount",
            ),
            ("/spec/scope", json!({}), "spec.scope: give at least one of namespaces"),
            ("/spec/scope/namespaces", json!(["Team_?"]), "spec.scope.namespaces[0]: must be the name of a namespace"),
            ("/spec/scope/namespaces", json!(["a", "a"]), "spec.scope.namespaces[1]: \"a\" is there twice"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            let answer = faults("AccessPolicy", &bad);
            assert!(answer.len() == 1 && answer[0].starts_with(message), "{message}: {answer:?}");
        }
    }

    /// Or a rule would be one that no manifest is held against.
    #[test]
    fn every_rule_can_be_evaluated_here() {
        let subject = json!({ "kind": "ServiceAccount", "name": "bot", "namespace": "ci" });
        let windows = json!([{ "days": ["Mon"], "start": "09:00", "end": "24:00" }]);
        let hours = json!({ "timeZone": "Europe/Berlin", "windows": windows });
        let stage = json!({ "name": "s", "approvers": [subject], "hours": hours, "escalateAfter": "1h", "escalateTo": [subject] });
        let selector = json!({ "matchExpressions": [{ "key": "a", "operator": "Exists" }] });
        let policy = json!({ "metadata": { "name": "p" }, "spec": {
            "requesters": [subject], "roles": [{ "name": "edit" }, { "kind": "Role", "name": "x" }],
            "scope": { "namespaces": ["team-*"], "namespaceSelector": selector, "cluster": true },
            "duration": { "default": "1h", "max": "2h" }, "schedule": hours,
            "approval": { "deadline": "1h", "stages": [stage] }, "limits": { "cooldown": "1h", "timePerDay": "1h" },
            "breakGlass": { "reviewers": [subject], "reviewWithin": "1h" }, "extension": { "max": "1h", "count": 1 }
        } });
        assert_eq!(faults("AccessPolicy", &policy), Vec::<String>::new());
        let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
        let request = json!({ "metadata": { "generateName": "fix-", "namespace": "shop" }, "spec": {
            "role": { "name": "edit" }, "rules": [rule], "duration": "1h", "startTime": "2030-01-01T00:00:00Z",
            "reason": "why", "ticket": "T-1", "policy": "p", "scope": { "namespaces": ["shop"] }
        } });
        assert_eq!(faults("AccessRequest", &request), Vec::<String>::new());
        let late = json!({ "metadata": { "name": "fix" }, "spec": { "role": { "name": "edit" }, "reason": " ",
            "startTime": "9999-12-31T00:00:00Z", "extends": "x" } });
        let found = faults("AccessRequest", &late);
        for words in ["spec.reason: must say why", "startTime must be within a year", "leave startTime out"] {
            assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
        }
        assert!(found.iter().all(|fault| !fault.contains("cannot be evaluated")), "{found:?}");
    }
}
