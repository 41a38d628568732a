//! An entry of Cloud Audit Logs about a call of a GKE cluster, said as an audit event of Kubernetes.
//!
//! Owns what stands for what. Google writes no audit.k8s.io event: there is no request URI, so what exec ran is not known, no
//! groups and no impersonation, and of an address it says at times only that it is Google's own. Nothing is guessed. Written
//! by entries that others published, never by a cluster of ours:
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging>,
//! <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The service that writes calls of clusters; other services of Google write calls of their own.
const SERVICE: &str = "k8s.io";
/// What Google calls the group that has no name.
const CORE: &str = "core";

/// An entry of the log, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    proto_payload: AuditPayload,
    insert_id: String,
    timestamp: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    operation: Option<EntryOperation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditPayload {
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    method_name: String,
    #[serde(default)]
    resource_name: String,
    #[serde(default)]
    authentication_info: CallerInfo,
    #[serde(default)]
    authorization_info: Vec<AuthorizationInfo>,
    #[serde(default)]
    request_metadata: CallMetadata,
    #[serde(default)]
    status: Option<CallStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallerInfo {
    #[serde(default)]
    principal_email: String,
}

#[derive(Deserialize)]
struct AuthorizationInfo {
    #[serde(default)]
    granted: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallMetadata {
    #[serde(default)]
    caller_ip: Option<String>,
    #[serde(default)]
    caller_supplied_user_agent: Option<String>,
}

#[derive(Default, Deserialize)]
struct CallStatus {
    /// Of gRPC; left out when it is OK.
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct EntryOperation {
    id: String,
    #[serde(default)]
    first: bool,
    #[serde(default)]
    last: bool,
}

/// The resource that a method is about.
#[derive(Debug, PartialEq, Eq)]
struct CalledMethod<'a> {
    version: &'a str,
    resource: &'a str,
    subresource: Option<&'a str>,
    verb: &'a str,
}

/// The event, if the entry is about a call of a cluster.
pub fn event(entry: &AuditEntry) -> Option<Value> {
    let payload = &entry.proto_payload;
    let method = method(&payload.method_name).filter(|_| payload.service_name == SERVICE)?;
    let (id, stage) = stage(entry);
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id, "stage": stage,
        "verb": method.verb,
        "user": { "username": payload.authentication_info.principal_email },
        "objectRef": object(&method, &payload.resource_name),
        "requestReceivedTimestamp": entry.timestamp, "stageTimestamp": entry.timestamp,
        "responseStatus": { "code": code(payload.status.as_ref(), stage) },
        "annotations": annotations(entry),
    });
    if let Some(address) = &payload.request_metadata.caller_ip {
        event["sourceIPs"] = json!([address]);
    }
    if let Some(agent) = &payload.request_metadata.caller_supplied_user_agent {
        event["userAgent"] = json!(agent);
    }
    Some(event)
}

/// A call that goes on has an entry for its beginning and one for its end, under one operation.
fn stage(entry: &AuditEntry) -> (&str, &'static str) {
    match &entry.operation {
        Some(operation) if operation.first && !operation.last => (&operation.id, "ResponseStarted"),
        Some(operation) => (&operation.id, "ResponseComplete"),
        None => (&entry.insert_id, "ResponseComplete"),
    }
}

/// Such as io.k8s.core.v1.pods.exec.create: the group backwards, its version, the resource, the verb.
fn method(name: &str) -> Option<CalledMethod<'_>> {
    let parts: Vec<&str> = name.split('.').collect();
    let at = parts.iter().position(|part| is_version(part))?;
    match parts[at..] {
        [version, resource, verb] => Some(CalledMethod { version, resource, subresource: None, verb }),
        [version, resource, subresource, verb] => {
            Some(CalledMethod { version, resource, subresource: Some(subresource), verb })
        }
        _ => None,
    }
}

/// Such as v1 or v1beta2.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Of a name such as core/v1/namespaces/shop/pods/web/exec. The group of a method is spelled otherwise, so it is read here.
fn object(method: &CalledMethod<'_>, name: &str) -> Value {
    let mut parts = name.split('/').filter(|part| !part.is_empty());
    let group = parts.next().filter(|group| *group != CORE).unwrap_or_default();
    let mut rest: Vec<&str> = parts.skip(1).collect();
    let mut object = Map::from_iter([("resource".to_owned(), json!(method.resource))]);
    let mut set = |field: &str, value: &str| {
        if !value.is_empty() {
            object.insert(field.to_owned(), json!(value));
        }
    };
    set("apiGroup", group);
    set("apiVersion", method.version);
    set("subresource", method.subresource.unwrap_or_default());
    // The namespace itself is a resource too.
    if method.resource != "namespaces" && rest.len() > 2 && rest[0] == "namespaces" {
        set("namespace", rest[1]);
        rest.drain(..2);
    }
    if rest.first() == Some(&method.resource) {
        set("name", rest.get(1).copied().unwrap_or_default());
    }
    Value::Object(object)
}

/// As of HTTP (<https://cloud.google.com/apis/design/errors#handling_errors>). A call that has begun was let in.
fn code(status: Option<&CallStatus>, stage: &str) -> u16 {
    match status.map_or(0, |status| status.code) {
        0 if stage == "ResponseStarted" => 101,
        0 => 200,
        3 | 9 | 11 => 400,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        16 => 401,
        _ => 500,
    }
}

/// Google keeps the annotations of the event as labels. Where it does not, whether the call was allowed stands elsewhere.
fn annotations(entry: &AuditEntry) -> Value {
    let kept = entry.labels.iter().filter(|(key, _)| key.contains("k8s.io/"));
    let mut annotations: Map<String, Value> = kept.map(|(key, value)| (key.clone(), json!(value))).collect();
    let all = &entry.proto_payload.authorization_info;
    if !annotations.contains_key("authorization.k8s.io/decision") && !all.is_empty() {
        let decision = if all.iter().all(|one| one.granted) { "allow" } else { "forbid" };
        annotations.insert("authorization.k8s.io/decision".to_owned(), json!(decision));
    }
    Value::Object(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXEC: &str = include_str!("fixtures/gke-exec.json");

    fn read(entry: &Value) -> Option<Value> {
        event(&serde_json::from_value(entry.clone()).unwrap())
    }

    fn exec() -> Value {
        serde_json::from_str(EXEC).unwrap()
    }

    #[test]
    fn an_exec_is_said_as_kubernetes_says_it() {
        let event = read(&exec()).unwrap();
        let object = json!({ "resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0", "apiVersion": "v1" });
        assert_eq!(event["objectRef"], object);
        assert_eq!((&event["verb"], &event["user"]["username"]), (&json!("create"), &json!("alice@shop.example")));
        assert_eq!(
            (&event["auditID"], &event["stage"]),
            (&json!("5c0f4a5e-0f2c-4b7a-9b35-0f0a7a2f1c11"), &json!("ResponseComplete"))
        );
        assert_eq!((&event["sourceIPs"], &event["responseStatus"]["code"]), (&json!(["203.0.113.7"]), &json!(200)));
        let reason = event["annotations"]["authorization.k8s.io/reason"].as_str().unwrap();
        assert!(reason.starts_with("RBAC: allowed by RoleBinding \"daypass-"), "{reason}");
        assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");
    }

    #[test]
    fn names_of_every_form_lead_to_their_object() {
        for (method, name, object) in [
            (
                "io.k8s.authorization.rbac.v1.clusterrolebindings.create",
                "rbac.authorization.k8s.io/v1/clusterrolebindings/ops",
                json!({ "resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1", "name": "ops" }),
            ),
            (
                "io.k8s.core.v1.pods.list",
                "core/v1/namespaces/shop/pods",
                json!({ "resource": "pods", "apiVersion": "v1", "namespace": "shop" }),
            ),
            (
                "io.k8s.core.v1.namespaces.delete",
                "core/v1/namespaces/shop",
                json!({ "resource": "namespaces", "apiVersion": "v1", "name": "shop" }),
            ),
            (
                "io.k8s.core.v1.namespaces.finalize.update",
                "core/v1/namespaces/shop/finalize",
                json!({ "resource": "namespaces", "subresource": "finalize", "apiVersion": "v1", "name": "shop" }),
            ),
            (
                "dev.daypass.v1alpha1.accessrequests.status.patch",
                "daypass.dev/v1alpha1/accessrequests/x/status",
                json!({ "resource": "accessrequests", "subresource": "status", "apiGroup": "daypass.dev", "apiVersion": "v1alpha1", "name": "x" }),
            ),
            (
                "io.k8s.apps.v1.deployments.scale.patch",
                "",
                json!({ "resource": "deployments", "subresource": "scale", "apiVersion": "v1" }),
            ),
            ("io.k8s.core.v1.create", "core/v1", Value::Null),
            ("io.k8s.a.v1.b.c.d.e", "a/v1/b", Value::Null),
        ] {
            let mut entry = exec();
            entry["protoPayload"]["methodName"] = json!(method);
            entry["protoPayload"]["resourceName"] = json!(name);
            assert_eq!(read(&entry).map_or(Value::Null, |event| event["objectRef"].clone()), object, "{method}");
        }
    }

    #[test]
    fn a_refusal_an_open_stream_and_missing_labels_are_told_as_such() {
        let mut refused = exec();
        refused["protoPayload"]["status"] = json!({ "code": 7, "message": "Forbidden" });
        refused["protoPayload"]["authorizationInfo"][0]["granted"] = json!(false);
        refused.as_object_mut().unwrap().remove("labels");
        let event = read(&refused).unwrap();
        assert_eq!(event["responseStatus"]["code"], 403);
        assert_eq!(event["annotations"], json!({ "authorization.k8s.io/decision": "forbid" }));
        let mut open = exec();
        open["operation"]["last"] = json!(false);
        let event = read(&open).unwrap();
        assert_eq!((&event["stage"], &event["responseStatus"]["code"]), (&json!("ResponseStarted"), &json!(101)));
        let mut bare = exec();
        bare.as_object_mut().unwrap().remove("operation");
        bare["protoPayload"].as_object_mut().unwrap().remove("authorizationInfo");
        assert_eq!(read(&bare).unwrap()["auditID"], "1q2w3e4r5t");
    }
}
