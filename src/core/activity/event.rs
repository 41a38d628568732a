//! One event of the audit log of the API server: `audit.k8s.io/v1`, as it is written on a line.
//!
//! Owns the reading of an event, and the event as it may be kept. What comes may be anything at all; it is read, or it is
//! not, and neither is an end of the program. Bodies of calls, which policies may have it hold, are never kept.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::deed::{Deed, addresses, bounded, is_dry_run, path, ports, program, without_arguments};
use super::reason::Authorized;
use crate::api::keys;

/// The group of events; a version follows.
const GROUP: &str = "audit.k8s.io/";
const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";
/// The longest id that an event may have.
const MOST_OF_ID: usize = 128;
/// The longest that the name of a client is kept, in characters.
const MOST_OF_AGENT: usize = 256;
/// Members of an event that hold bodies of calls.
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

/// An event, as far as it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEvent {
    /// The same of all events of one call.
    pub id: String,
    pub stage: AuditStage,
    /// When it came to this stage.
    pub at: Timestamp,
    /// When the call came in.
    pub received: Timestamp,
    /// What let the call through.
    pub authorized: Authorized,
    pub deed: Deed,
    /// What the client calls itself.
    pub agent: String,
    /// Whether nothing was to be stored by it.
    pub is_dry_run: bool,
    /// UID of the request that the object is marked with, where the event holds the object.
    pub marked: Option<String>,
    /// All of it.
    pub line: AuditText,
}

/// How far a call had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuditStage {
    /// It came in; nothing is decided yet.
    Received,
    /// An answer has begun that goes on: a watch, an exec.
    Started,
    /// It is over.
    Complete,
    /// The API server broke off.
    Panic,
}

/// An event as it came. What it says is nobody's business in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditText(String);

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// Its message says where, and nothing of the text.
    #[error("line {line}, column {column}: no JSON that holds what an event has; send what the API server wrote")]
    NotJson { line: usize, column: usize },
    #[error("kind: it is no Event of audit.k8s.io; send what the API server wrote")]
    NotAnEvent,
    #[error("{0}: it is missing or has a form that the API server does not write; send what it wrote")]
    Field(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "auditID")]
    audit_id: String,
    #[serde(default)]
    stage: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    verb: String,
    #[serde(default)]
    user: Option<RawUser>,
    #[serde(default)]
    impersonated_user: Option<RawUser>,
    #[serde(default, rename = "sourceIPs")]
    source_ips: Option<Vec<String>>,
    #[serde(default)]
    user_agent: Option<String>,
    #[serde(default)]
    object_ref: Option<RawObject>,
    #[serde(default)]
    response_status: Option<RawStatus>,
    #[serde(default)]
    request_received_timestamp: Option<Timestamp>,
    #[serde(default)]
    stage_timestamp: Option<Timestamp>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawObject {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct RawStatus {
    #[serde(default)]
    code: Option<i64>,
}

impl ReadEvent {
    /// All that was read of it, without the text that it was read from.
    pub fn without_text(&self) -> Self {
        let Self { id, authorized, deed, agent, marked, .. } = self;
        Self {
            id: id.clone(),
            authorized: authorized.clone(),
            deed: deed.clone(),
            agent: agent.clone(),
            marked: marked.clone(),
            line: AuditText(String::new()),
            ..*self
        }
    }
}

/// Reads a line.
///
/// # Errors
/// When it is no event.
pub fn read(json: &str) -> Result<ReadEvent, UnreadableEvent> {
    let raw: Raw = serde_json::from_str(json)
        .map_err(|error| UnreadableEvent::NotJson { line: error.line(), column: error.column() })?;
    // Events within a list of them may leave out what the list says of all.
    let is_event = ["", "Event"].contains(&raw.kind.as_str());
    if !is_event || !(raw.api_version.is_empty() || raw.api_version.starts_with(GROUP)) {
        return Err(UnreadableEvent::NotAnEvent);
    }
    let is_plain = raw.audit_id.bytes().all(|byte| byte.is_ascii_graphic());
    if raw.audit_id.is_empty() || raw.audit_id.len() > MOST_OF_ID || !is_plain {
        return Err(UnreadableEvent::Field("auditID"));
    }
    let stage = match raw.stage.as_str() {
        "RequestReceived" => AuditStage::Received,
        "ResponseStarted" => AuditStage::Started,
        "ResponseComplete" => AuditStage::Complete,
        "Panic" => AuditStage::Panic,
        _ => return Err(UnreadableEvent::Field("stage")),
    };
    let at = raw.stage_timestamp.ok_or(UnreadableEvent::Field("stageTimestamp"))?;
    let user =
        raw.user.as_ref().filter(|user| !user.username.is_empty()).ok_or(UnreadableEvent::Field("user.username"))?;
    let annotation = |name: &str| raw.annotations.as_ref()?.get(name).map(String::as_str);
    let deed = deed(&raw, &user.username, stage);
    Ok(ReadEvent {
        stage,
        at,
        received: raw.request_received_timestamp.unwrap_or(at),
        authorized: Authorized::read(annotation(DECISION), annotation(REASON)),
        agent: bounded(raw.user_agent.as_deref().unwrap_or_default(), MOST_OF_AGENT),
        is_dry_run: is_dry_run(&raw.request_uri),
        marked: may_be_marked(&deed).then(|| mark(json)).flatten(),
        line: AuditText(json.to_owned()),
        id: raw.audit_id,
        deed,
    })
}

fn deed(raw: &Raw, user: &str, stage: AuditStage) -> Deed {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let none = RawObject::default();
    let object = raw.object_ref.as_ref().unwrap_or(&none);
    let resource = match object.subresource.as_str() {
        "" => object.resource.clone(),
        subresource => format!("{}/{subresource}", object.resource),
    };
    let code = raw.response_status.as_ref().and_then(|status| status.code).unwrap_or_default();
    // What an API server that broke off says of the outcome is about itself.
    let code = if stage == AuditStage::Panic { 0 } else { u16::try_from(code).unwrap_or_default() };
    let (address, claimed) = addresses(raw.source_ips.clone().unwrap_or_default());
    Deed {
        verb: raw.verb.clone(),
        group: object.api_group.clone(),
        path: resource.is_empty().then(|| path(&raw.request_uri).to_owned()),
        program: (object.subresource == "exec").then(|| program(&raw.request_uri)).flatten(),
        ports: if object.subresource == "portforward" { ports(&raw.request_uri) } else { Vec::new() },
        resource,
        namespace: some(&object.namespace),
        name: some(&object.name),
        user: user.to_owned(),
        impersonated: raw.impersonated_user.as_ref().and_then(|user| some(&user.username)),
        address,
        claimed,
        code,
    }
}

/// Whether the marks of an object could make a difference, so that it is worth to read it.
fn may_be_marked(deed: &Deed) -> bool {
    deed.group == "rbac.authorization.k8s.io" && ["create", "update", "patch"].contains(&deed.verb.as_str())
}

/// UID of the request that the object of an event is marked with, where the event holds it.
fn mark(json: &str) -> Option<String> {
    let event: Value = serde_json::from_str(json).ok()?;
    let labels = BODIES.iter().map(|body| &event[*body]["metadata"]["labels"]);
    let mut ours = labels.filter(|labels| labels[keys::MANAGED_BY] == keys::DAYPASS);
    ours.find_map(|labels| Some(labels[keys::REQUEST_UID].as_str()?.to_owned()))
}

impl AuditText {
    /// As it may be kept: without the bodies of the call, and without the arguments of what an exec ran.
    pub fn kept(&self) -> String {
        let Ok(Value::Object(mut event)) = serde_json::from_str(&self.0) else { return String::new() };
        for body in BODIES {
            event.remove(body);
        }
        if let Some(Value::String(uri)) = event.get_mut("requestURI") {
            *uri = without_arguments(uri);
        }
        Value::Object(event).to_string()
    }
}

impl fmt::Debug for AuditText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const UID: &str = "0f0e2d1c-3b4a-4958-8776-655443322110";

    /// As the API server writes one.
    fn plain() -> Value {
        let reason =
            format!("RBAC: allowed by RoleBinding \"daypass-{UID}/shop\" of ClusterRole \"edit\" to User \"alice\"");
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": "5b1a6c2e-0000-4000-8000-000000000001", "stage": "ResponseStarted",
            "requestURI": "/api/v1/namespaces/shop/pods/web/exec?command=psql&command=-psecret&stdin=true",
            "verb": "get",
            "user": { "username": "alice", "groups": ["system:authenticated"] },
            "impersonatedUser": { "username": "bob" },
            "sourceIPs": ["6.6.6.6", "10.0.0.1"], "userAgent": "kubectl/v1.35",
            "objectRef": { "resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1", "subresource": "exec" },
            "responseStatus": { "metadata": {}, "code": 101 },
            "requestObject": { "token": "a secret" },
            "requestReceivedTimestamp": "2026-11-30T12:00:00.000001Z", "stageTimestamp": "2026-11-30T12:00:00.500000Z",
            "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason },
        })
    }

    fn changed(place: &str, value: Value) -> Result<ReadEvent, UnreadableEvent> {
        let mut event = plain();
        let (parent, name) = place.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[name] = value;
        read(&event.to_string())
    }

    #[test]
    fn what_counts_is_read_and_no_secret_is_kept() {
        let event = read(&plain().to_string()).unwrap();
        assert_eq!(event.authorized.request(), Some(UID));
        assert_eq!((event.stage, event.deed.code), (AuditStage::Started, 101));
        assert_eq!((event.deed.verb.as_str(), event.deed.resource.as_str()), ("get", "pods/exec"));
        assert_eq!((event.deed.user.as_str(), event.deed.actor()), ("alice", "bob"));
        assert_eq!(event.deed.program.as_deref(), Some("psql"));
        assert_eq!(
            (event.deed.address.as_deref(), event.deed.claimed.as_slice()),
            (Some("10.0.0.1"), &["6.6.6.6".to_owned()][..])
        );
        assert!(event.received < event.at);
        let kept = event.line.kept();
        assert!(kept.contains("psql") && kept.contains(UID), "{kept}");
        for text in [kept, format!("{event:?}")] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_missing_and_what_is_none_is_told() {
        for name in
            ["impersonatedUser", "sourceIPs", "userAgent", "objectRef", "responseStatus", "annotations", "level"]
        {
            let mut event = plain();
            event.as_object_mut().unwrap().remove(name);
            assert!(read(&event.to_string()).is_ok(), "{name}");
            assert!(changed(&format!("/{name}"), Value::Null).is_ok(), "{name}");
        }
        for (name, value) in [
            ("auditID", json!("")),
            ("auditID", json!("a b")),
            ("auditID", json!("\u{0}")),
            ("auditID", json!("x".repeat(1000))),
            ("stage", json!("Later")),
            ("stageTimestamp", Value::Null),
        ] {
            assert_eq!(changed(&format!("/{name}"), value), Err(UnreadableEvent::Field(name)));
        }
        assert_eq!(changed("/user/username", json!("")), Err(UnreadableEvent::Field("user.username")));
        assert_eq!(changed("/kind", json!("Pod")), Err(UnreadableEvent::NotAnEvent));
        assert_eq!(changed("/apiVersion", json!("v1")), Err(UnreadableEvent::NotAnEvent));
        assert!(matches!(changed("/stageTimestamp", json!("now")), Err(UnreadableEvent::NotJson { .. })));
        assert_eq!(changed("/responseStatus/code", json!(-1)).map(|event| event.deed.code), Ok(0));
        let deep = "[".repeat(100_000);
        assert!(matches!(read(&deep), Err(UnreadableEvent::NotJson { .. })));
    }

    #[test]
    fn the_marks_of_an_object_are_read_where_the_event_holds_it() {
        let marks = json!({ "metadata": { "labels": { keys::MANAGED_BY: keys::DAYPASS, keys::REQUEST_UID: UID } } });
        let mut event = plain();
        event["objectRef"] =
            json!({ "resource": "rolebindings", "apiGroup": "rbac.authorization.k8s.io", "name": "mine" });
        event["verb"] = json!("create");
        for (body, marked) in [(marks.clone(), Some(UID)), (json!({ "metadata": [] }), None), (json!(7), None)] {
            event["requestObject"] = body;
            assert_eq!(read(&event.to_string()).unwrap().marked.as_deref(), marked);
        }
        event["requestObject"] = marks;
        event["objectRef"]["apiGroup"] = json!("apps");
        assert_eq!(read(&event.to_string()).unwrap().marked, None);
    }

    /// Any JSON at all.
    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::btree_map(any::<String>(), inner, 0..4);
            prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    fn members() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "/kind",
            "/apiVersion",
            "/auditID",
            "/stage",
            "/requestURI",
            "/verb",
            "/user",
            "/user/username",
            "/impersonatedUser",
            "/sourceIPs",
            "/userAgent",
            "/objectRef",
            "/objectRef/name",
            "/objectRef/subresource",
            "/responseStatus",
            "/responseStatus/code",
            "/requestObject",
            "/requestReceivedTimestamp",
            "/stageTimestamp",
            "/annotations",
            "/annotations/authorization.k8s.io~1reason",
        ])
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_is_not(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn whatever_stands_in_a_member_nothing_is_tied_that_the_reason_does_not_name(
            changes in prop::collection::vec((members(), json_value()), 1..4)
        ) {
            let mut event = plain();
            for (place, value) in changes {
                if let Some(member) = event.pointer_mut(place) {
                    *member = value;
                }
            }
            let read = read(&event.to_string());
            if let Ok(read) = read {
                let reason = event["annotations"]["authorization.k8s.io/reason"].as_str().unwrap_or_default();
                prop_assert!(read.authorized.request().is_none_or(|uid| reason.contains(uid)));
                let _ = read.line.kept();
                let _ = read.deed.kind(None);
            }
        }
    }
}
