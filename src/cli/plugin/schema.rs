//! Holds a manifest against the schema of its CRD: unknown fields, types, bounds and patterns. CEL rules are for the
//! API server alone.

use regex::Regex;
use serde_json::Value;

use crate::api::crds;

/// Everything in which an object breaks the schema of its kind, each with its path.
pub fn faults(kind: &str, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for crd in crds().into_iter().filter(|crd| crd.spec.names.kind == kind) {
        let versions = crd.spec.versions.into_iter();
        for schema in versions.filter_map(|v| v.schema?.open_api_v3_schema).filter_map(|s| serde_json::to_value(s).ok())
        {
            for part in ["spec", "status"] {
                check(part, &schema["properties"][part], &value[part], &mut faults);
            }
            let known = ["apiVersion", "kind", "metadata", "spec", "status"];
            let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
            faults.extend(fields.filter(|f| !known.contains(&f.as_str())).map(|f| format!("{f}: unknown field")));
        }
    }
    if value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        faults.push("metadata.name: is missing".to_owned());
    }
    if value["spec"].is_null() {
        faults.push("spec: is missing".to_owned());
    }
    faults
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

fn string(path: &str, schema: &Value, text: &str, faults: &mut Vec<String>) {
    bounds(path, schema, "Length", text.chars().count(), faults);
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.iter().any(|v| v == text)) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        faults.push(format!("{path}: {text:?} is not one of {}", values.join(", ")));
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
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            let answer = faults("AccessPolicy", &bad);
            assert!(answer.len() == 1 && answer[0].starts_with(message), "{message}: {answer:?}");
        }
    }
}
