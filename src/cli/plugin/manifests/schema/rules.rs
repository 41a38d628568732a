//! The CEL rules of a CRD, held against a manifest without an API server.
//!
//! Owns how a rule sees a manifest. What a rule says is written once, in `src/api`. Rules that compare with the object as
//! it was (`oldSelf`) say nothing of a manifest and are left out.

use std::sync::{Arc, LazyLock};

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Value as Cel};
use regex::Regex;
use serde_json::{Map, Value};

use crate::core::model::duration;

/// With macros, which the conditions of policies do not have: these rules are our own.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Every rule that a value breaks, with its path. The value must be of the types that the schema says.
pub fn broken(path: &str, schema: &Value, value: &Value, faults: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap_or_default();
        if text.contains("oldSelf") {
            continue;
        }
        let message = rule["message"].as_str().unwrap_or(text);
        match holds(text, value) {
            Ok(true) => {}
            Ok(false) => faults.push(fault(path, message)),
            Err(why) => faults.push(fault(path, &format!("{message} (cannot be evaluated: {why})"))),
        }
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let of = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                broken(&path, of, inner, faults);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                broken(&format!("{path}[{index}]"), &schema["items"], item, faults);
            }
        }
        _ => {}
    }
}

fn fault(path: &str, message: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

fn holds(rule: &str, value: &Value) -> Result<bool, String> {
    let program = ENV.compile(rule).map_err(|error| error.to_string())?;
    let mut context = Context::with_env(ENV.clone());
    let itself = cel::to_value(escaped(value)).map_err(|error| error.to_string())?;
    context.add_variable_from_value("self", itself);
    // Names that the library leaves free, so none of them can be taken.
    let _ = context.add_function("matches", |text: This<Arc<String>>, pattern: Arc<String>| {
        let pattern = Regex::new(&pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
        Ok::<bool, ExecutionError>(pattern.is_match(&text.0))
    });
    let _ = context.add_function("trim", |text: This<Arc<String>>| text.0.trim().to_owned());
    // In seconds, which compare as the durations do.
    let _ = context.add_function("duration", |text: Arc<String>| {
        let length = duration::parse(&text).map_err(|error| ExecutionError::function_error("duration", error))?;
        Ok::<f64, ExecutionError>(length.as_secs_f64())
    });
    // Instants of one form compare as texts do.
    let _ = context.add_function("timestamp", |text: Arc<String>| text.as_str().to_owned());
    match program.execute(&context) {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("it is {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A value with its fields named as CEL must call them: `namespace` is a word of the language.
fn escaped(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let name = |name: &String| if name == "namespace" { "__namespace__".to_owned() } else { name.clone() };
            Value::Object(fields.iter().map(|(key, inner)| (name(key), escaped(inner))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(escaped).collect()),
        other => other.clone(),
    }
}
