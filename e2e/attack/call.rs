//! Owns one act: an HTTP request to the API server as somebody, and how to see whether what it wanted is stored.

use http::Method;
use serde_json::Value;

use crate::harness::users::User;

const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// One request to the API server.
#[derive(Clone)]
pub struct Call {
    pub by: User,
    pub method: Method,
    /// Where it goes.
    pub path: String,
    query: Vec<&'static str>,
    /// Headers that say as whom it is made.
    impersonation: Vec<(String, String)>,
    content: &'static str,
    pub body: Value,
    /// The object that shows whether it succeeded, when that is not what `path` names.
    object: Option<String>,
    /// How an object shows it, when that is not by holding what `body` says.
    shows: Option<fn(&Value) -> bool>,
}

fn call(by: User, method: Method, path: String, content: &'static str, body: Value) -> Call {
    Call { by, method, path, query: Vec::new(), impersonation: Vec::new(), content, body, object: None, shows: None }
}

/// A merge patch.
pub fn merge(by: User, path: String, body: Value) -> Call {
    call(by, Method::PATCH, path, MERGE_PATCH, body)
}

/// A JSON patch.
pub fn json_patch(by: User, path: String, operations: Value) -> Call {
    call(by, Method::PATCH, path, JSON_PATCH, operations)
}

/// Server-side apply; `object` needs its kind and name.
pub fn apply(by: User, path: String, object: Value) -> Call {
    Call { query: vec!["fieldManager=attack"], ..call(by, Method::PATCH, path, APPLY_PATCH, object) }
}

/// Server-side apply that takes fields over from whoever owns them.
pub fn apply_with_force(by: User, path: String, object: Value) -> Call {
    Call { query: vec!["fieldManager=attack", "force=true"], ..apply(by, path, object) }
}

/// A replacement of the whole object.
pub fn put(by: User, path: String, object: Value) -> Call {
    call(by, Method::PUT, path, "application/json", object)
}

/// A new object in a collection.
pub fn create(by: User, collection: String, object: Value) -> Call {
    call(by, Method::POST, collection, "application/json", object)
}

/// A deletion. It has no body: the API server would take its options from that, and not heed the parameters.
pub fn delete(by: User, path: String) -> Call {
    call(by, Method::DELETE, path, "application/json", Value::Null)
}

impl Call {
    /// With one more parameter.
    pub fn with(mut self, parameter: &'static str) -> Self {
        self.query.push(parameter);
        self
    }

    /// As somebody else, with the right to impersonate them.
    pub fn acting_as(self, name: &str) -> Self {
        self.impersonating("User", name)
    }

    /// With one more fact of whom it is made as: `User`, `Uid`, `Group`, or `Extra-` and a key.
    pub fn impersonating(mut self, what: &str, value: &str) -> Self {
        self.impersonation.push((format!("Impersonate-{what}"), value.to_owned()));
        self
    }

    /// With another object to look at afterwards.
    pub fn seen_at(mut self, object: String) -> Self {
        self.object = Some(object);
        self
    }

    /// With another look at the object afterwards.
    pub fn seen_by(mut self, shows: fn(&Value) -> bool) -> Self {
        self.shows = Some(shows);
        self
    }

    /// The same as a dry run.
    pub fn dry(self) -> Self {
        self.with("dryRun=All")
    }

    /// The path of the object that shows whether it succeeded.
    pub fn object(&self, answer: Option<&Value>) -> Option<String> {
        if let Some(object) = &self.object {
            return Some(object.clone());
        }
        if self.method != Method::POST {
            return Some(self.path.clone());
        }
        let name = answer.unwrap_or(&self.body)["metadata"]["name"].as_str()?;
        Some(format!("{}/{name}", self.path))
    }

    /// Makes it. The object that the server answers with, or why it refuses.
    pub async fn send(&self, client: &kube::Client) -> Result<Value, String> {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query.join("&")) };
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(format!("{}{query}", self.path))
            .header("content-type", self.content);
        for (name, value) in &self.impersonation {
            request = request.header(name, value);
        }
        let request = request
            .body(if self.body.is_null() { Vec::new() } else { serde_json::to_vec(&self.body).expect("JSON") })
            .expect("a request");
        client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => panic!("{} {}: {other}", self.method, self.path),
        })
    }

    /// Whether an object, if it is there, is as the call wanted it.
    pub fn landed(&self, object: Option<&Value>) -> bool {
        if self.method == Method::DELETE {
            return object.is_none_or(|object| !object["metadata"]["deletionTimestamp"].is_null());
        }
        let Some(object) = object else { return false };
        if let Some(shows) = self.shows {
            return shows(object);
        }
        if self.content == JSON_PATCH {
            return self
                .body
                .as_array()
                .expect("operations")
                .iter()
                .all(|operation| operation_landed(operation, object));
        }
        if self.method == Method::PUT {
            let parts = self.body.as_object().expect("an object").iter();
            let (now, sent) = (&object["metadata"], &self.body["metadata"]);
            let metadata = ["labels", "annotations", "finalizers", "ownerReferences"];
            return parts.filter(|(key, _)| *key != "metadata").all(|(key, part)| contains(&object[key], part))
                && metadata.iter().all(|key| contains(&now[key], &sent[key]))
                && (!self.path.ends_with("/status") || object["status"] == self.body["status"]);
        }
        contains(object, &self.body)
    }
}

/// Reads an object; none when there is none.
pub async fn read(client: &kube::Client, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    match client.request(request).await {
        Ok(object) => Some(object),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => panic!("read {path}: {error}"),
    }
}

fn operation_landed(operation: &Value, object: &Value) -> bool {
    let at = |key: &str| operation[key].as_str().and_then(|path| object.pointer(path));
    match operation["op"].as_str() {
        Some("add" | "replace") => at("path").is_some_and(|value| contains(value, &operation["value"])),
        Some("remove") => at("path").is_none(),
        Some("copy") => at("path").is_some(),
        Some("move") => at("path").is_some() && at("from").is_none(),
        Some("test") => true,
        other => panic!("{other:?} is no operation"),
    }
}

/// Whether a value holds all that another says. Null says that there is nothing.
pub fn contains(value: &Value, sent: &Value) -> bool {
    match (value, sent) {
        (Value::Object(value), Value::Object(sent)) => {
            sent.iter().all(|(key, part)| contains(value.get(key).unwrap_or(&Value::Null), part))
        }
        (Value::Array(value), Value::Array(sent)) => {
            value.len() == sent.len() && value.iter().zip(sent).all(|(value, part)| contains(value, part))
        }
        _ => value == sent,
    }
}
