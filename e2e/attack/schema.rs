//! Walks the schema of a request's status: whatever field it has, now or later, nobody but the controller writes it.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::call::{Call, contains, merge};
use super::ground::{Ground, Scene};
use crate::harness::users::{ADMIN, BOB, User};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("attack::status::every_field_of_the_schema_is_guarded", every_field_is_guarded)]
}

/// A place in the status, the field that it is in, and a status that says something new there.
struct Sample {
    place: String,
    field: String,
    status: Value,
}

/// The schema of the status, as the API server serves it.
pub async fn schema(ground: &Ground) -> Value {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/accessrequests.daypass.dev";
    let definition = ground.read(path).await.expect("the definition");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
}

/// One sample for every property at any depth. The API server takes each from the controller, so that a refusal is
/// the guard's and not the schema's.
async fn samples(ground: &Ground) -> Vec<Sample> {
    let controller = ground.controller().await;
    let mut samples = Vec::new();
    for (field, schema) in schema(ground).await["properties"].as_object().expect("fields") {
        for (place, values) in places(schema, field.clone()) {
            let mut refusal = "no value differs from what is there".to_owned();
            let mut taken = None;
            for status in values.into_iter().map(|value| json!({ field: value })) {
                if contains(&ground.request["status"], &status) {
                    continue;
                }
                match writes(ADMIN, ground, &status).dry().send(&controller).await {
                    Ok(_) => {
                        taken = Some(status);
                        break;
                    }
                    Err(why) => refusal = why,
                }
            }
            let status = taken.unwrap_or_else(|| panic!("status.{place} cannot be sampled: {refusal}"));
            samples.push(Sample { place, field: field.clone(), status });
        }
    }
    samples
}

fn writes(by: User, ground: &Ground, status: &Value) -> Call {
    merge(by, ground.status(), json!({ "status": status }))
}

async fn every_field_is_guarded(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Pending, true).await;
    let samples = samples(&ground).await;
    for known in [
        "state",
        "reviews.*.verdict",
        "bindings[].uid",
        "breakGlass.reviewers[].namespace",
        "extensions[].to",
        "narrowedTo",
        "stage.approvers[].name",
    ] {
        assert!(samples.iter().any(|sample| sample.place == known), "{known} was not found");
    }
    for Sample { place, field, status } in &samples {
        for by in [BOB, ADMIN] {
            let refusal = match ground.send(&writes(by, &ground, status)).await {
                Ok(_) => panic!("{} writes status.{place}", by.name),
                Err(refusal) => refusal,
            };
            let by_guard = refusal.contains("'daypass-status-guard'");
            assert!(by_guard && refusal.contains(&format!("status.{field}")), "{} and {place}: {refusal}", by.name);
        }
    }
}

/// The same without the guard: each of these writes would be accepted.
pub async fn every_field_is_writable(cluster: &Arc<Cluster>) -> Result<(), String> {
    let ground = Ground::prepare(cluster, Scene::Pending, false).await;
    for Sample { place, status, .. } in samples(&ground).await {
        for by in [BOB, ADMIN] {
            let written = ground.send(&writes(by, &ground, &status).dry()).await;
            written.map_err(|why| format!("{} does not write status.{place}: {why}", by.name))?;
        }
    }
    Ok(())
}

/// Every place in a value of this schema, with values that have something there.
fn places(schema: &Value, path: String) -> Vec<(String, Vec<Value>)> {
    let mut all = vec![(path.clone(), values(schema))];
    let mut within = |inner: &Value, path: String, wrap: &dyn Fn(Value) -> Vec<Value>| {
        for (place, values) in places(inner, path) {
            all.push((place, values.into_iter().flat_map(wrap).collect()));
        }
    };
    if let Some(properties) = schema["properties"].as_object() {
        for (key, part) in properties {
            within(part, format!("{path}.{key}"), &|value| with_property(schema, key, &value));
        }
    }
    if schema["additionalProperties"].is_object() {
        let wrap = |value| vec![json!({ "somebody": value })];
        within(&schema["additionalProperties"], format!("{path}.*"), &wrap);
    }
    if schema["items"].is_object() {
        within(&schema["items"], format!("{path}[]"), &|value| vec![json!([value])]);
    }
    all
}

fn with_property(schema: &Value, key: &str, value: &Value) -> Vec<Value> {
    let mut objects = values(schema);
    objects.iter_mut().for_each(|object| object[key] = value.clone());
    objects
}

/// Values of this schema, with what it requires and no more. Rules between properties are not read, so there are
/// several to choose from.
fn values(schema: &Value) -> Vec<Value> {
    if let Some(listed) = schema["enum"].as_array() {
        return listed.clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => vec![json!("2031-01-01T00:00:00Z")],
        (Some("string"), None) => vec![json!("sample"), json!("rbac.authorization.k8s.io")],
        (Some("integer"), _) => vec![json!(7)],
        (Some("boolean"), _) => vec![json!(true), json!(false)],
        (Some("array"), _) => values(&schema["items"]).into_iter().map(|item| json!([item])).collect(),
        (Some("object"), _) if schema["additionalProperties"].is_object() => {
            values(&schema["additionalProperties"]).into_iter().map(|value| json!({ "somebody": value })).collect()
        }
        (Some("object"), _) => objects(schema),
        other => panic!("no sample is known for {other:?}: {schema}"),
    }
}

fn objects(schema: &Value) -> Vec<Value> {
    let mut objects = vec![json!({})];
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let choices = values(&schema["properties"][key]);
        let with = |object: &Value| {
            let object = object.clone();
            choices.clone().into_iter().map(move |choice| {
                let mut object = object.clone();
                object[key] = choice;
                object
            })
        };
        // One choice of each is enough where no rule ties them together; a few more where one may.
        objects = objects.iter().flat_map(with).take(64).collect();
    }
    objects
}
