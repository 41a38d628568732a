//! The CRDs as they go into `crds/` and the chart, made from the Rust types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::policy::AccessPolicy;
use super::request::AccessRequest;

/// Both CRDs, ready to apply.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [AccessRequest::crd(), AccessPolicy::crd()]
        .into_iter()
        .map(|mut crd| {
            for version in &mut crd.spec.versions {
                if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
                    refuse_null(schema);
                    let spec = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
                    spec.into_iter().for_each(|spec| leave_lists_as_written(spec, false));
                }
            }
            crd
        })
        .collect()
}

/// The CRDs by file name, as YAML with the header that says where they come from.
///
/// # Errors
/// When the YAML library cannot write a CRD, which would be a fault in the types.
pub fn crds_as_yaml() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    crds()
        .into_iter()
        .map(|crd| {
            let yaml = serde_saphyr::to_string(&crd)?;
            let text = format!("# Generated from src/api by `make crds`. Do not edit.\n{yaml}");
            Ok((format!("{}.yaml", crd.spec.names.plural), text))
        })
        .collect()
}

/// An optional Rust field is generated as nullable. Left so, a stored null would pass `has()` in the CEL
/// rules and then break the comparison behind it.
fn refuse_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|v| !v.0.is_null());
    }
    if let Some(properties) = &mut schema.properties {
        properties.values_mut().for_each(refuse_null);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => refuse_null(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(refuse_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        refuse_null(values);
    }
}

/// A default that the API server fills in inside of a list makes the list another than the one in the author's file, and
/// kubectl and GitOps tools compare lists as a whole: each apply would change it. What is left out there stays out; who
/// reads it, in Rust or CEL, knows what it means.
fn leave_lists_as_written(schema: &mut JSONSchemaProps, in_list: bool) {
    if in_list {
        schema.default = None;
    }
    let properties = schema.properties.iter_mut().flat_map(|properties| properties.values_mut());
    properties.for_each(|property| leave_lists_as_written(property, in_list));
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => leave_lists_as_written(item, true),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(|item| leave_lists_as_written(item, true));
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        leave_lists_as_written(values, in_list);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_files_are_what_the_types_say() {
        for (name, text) in crds_as_yaml().unwrap() {
            for folder in ["crds", "charts/daypass/files/crds"] {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(&name);
                let stored = std::fs::read_to_string(&path).unwrap();
                assert!(stored == text, "{folder}/{name} is not what src/api says: run `make crds`");
            }
        }
    }

    /// Calls `check` with every part of every schema and its path.
    fn for_each_part(check: &mut impl FnMut(&str, &Value)) {
        fn walk(path: &str, part: &Value, check: &mut impl FnMut(&str, &Value)) {
            check(path, part);
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                walk(&format!("{path}.{name}"), property, check);
            }
            for (mark, key) in [("[]", "items"), ("{}", "additionalProperties")] {
                if part[key].is_object() {
                    walk(&format!("{path}{mark}"), &part[key], check);
                }
            }
        }
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            walk(&crd.spec.names.kind, &serde_json::to_value(schema).unwrap(), check);
        }
    }

    #[test]
    fn everything_is_bounded() {
        let mut parts = 0;
        for_each_part(&mut |path, part| {
            parts += 1;
            let bound = match part["type"].as_str() {
                Some("string") => ["maxLength", "enum", "format"].as_slice(),
                Some("array") => &["maxItems"],
                Some("object") if part["additionalProperties"].is_object() => &["maxProperties"],
                Some("integer") => &["format"],
                _ => return,
            };
            assert!(bound.iter().any(|key| !part[*key].is_null()), "{path} has no bound: {part}");
            assert!(!part["format"].as_str().is_some_and(|f| f.starts_with("uint")), "{path} is unsigned");
        });
        assert!(parts > 100, "the walk saw {parts} parts");
    }

    #[test]
    fn a_field_of_a_policy_is_for_one_that_denies_or_refused_in_it() {
        let for_a_deny =
            ["description", "effect", "requesters", "roles", "scope", "schedule", "conditions", "onBreakGlass"];
        let mut fields = 0;
        for_each_part(&mut |path, part| {
            if path != "AccessPolicy.spec" {
                return;
            }
            let rules: Vec<&str> = part["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|rule| rule["rule"].as_str()?.strip_prefix("self.effect == 'Allow' || !("))
                .collect();
            let [refused] = rules[..] else { panic!("the rule for policies that deny is not found: {rules:?}") };
            for name in part["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
                fields += 1;
                let is_refused = refused.contains(&format!("has(self.{name})"));
                assert!(
                    is_refused != for_a_deny.contains(&name),
                    "{name}: name it in the rule for policies that deny, or in the list of this test"
                );
            }
        });
        assert!(fields > 10, "the walk saw {fields} fields");
    }

    #[test]
    fn every_field_has_words_and_none_takes_null() {
        for_each_part(&mut |path, part| {
            let item = path.ends_with("[]") || path.ends_with("{}");
            assert!(item || part["description"].as_str().is_some_and(|d| d.len() > 5), "{path} is not explained");
            assert!(part["nullable"].is_null(), "{path} takes null");
        });
    }

    /// Or the same file, applied again, would be another than what is stored.
    #[test]
    fn nothing_is_filled_in_inside_of_a_list_that_people_write() {
        let (mut lists, mut filled_in) = (0, Vec::new());
        for_each_part(&mut |path, part| {
            let of_people = path.contains(".spec");
            lists += usize::from(of_people && path.ends_with("[]"));
            if of_people && !part["default"].is_null() {
                filled_in.push(path.to_owned());
            }
        });
        assert!(lists > 20, "the walk saw {lists} lists");
        assert_eq!(filled_in, ["AccessRequest.spec.role.kind", "AccessPolicy.spec.effect"]);
    }

    #[test]
    fn conditions_are_a_list_map() {
        let mut found = 0;
        for_each_part(&mut |path, part| {
            if path.ends_with("status.conditions") {
                found += 1;
                assert_eq!(part["x-kubernetes-list-type"], "map", "{path}");
                assert_eq!(part["x-kubernetes-list-map-keys"], serde_json::json!(["type"]), "{path}");
            }
        });
        assert_eq!(found, 2);
    }
}
