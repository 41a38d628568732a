//! What the API server asks to know what is served here. It says nothing of any record, so anybody may ask.

use axum::response::Response;
use serde_json::{Value, json};

use super::super::who::campaigners::{CAMPAIGNS, CLOSE, DECISIONS, LOOK};
use super::super::who::readers::{
    ACTIVITY, BINDING_USES, ERASURES, FINDINGS, GROUP, HOLDS, LOG, OPENINGS, READS, RESOURCE, RETENTION, VERSION,
};
use super::answer;
use super::campaigns::KIND;

/// `GET /apis`.
pub async fn groups() -> Response {
    answer::json(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [described()] }).to_string())
}

/// `GET /apis/GROUP`.
pub async fn group() -> Response {
    let mut group = described();
    (group["kind"], group["apiVersion"]) = (json!("APIGroup"), json!("v1"));
    answer::json(group.to_string())
}

/// `GET /apis/GROUP/VERSION`.
pub async fn resources() -> Response {
    let resource = |name: &str, one: &str, namespaced: bool, kind: &str| json!({ "name": name, "singularName": one, "namespaced": namespaced, "kind": kind, "verbs": ["list"] });
    let of_campaigns = |below: &str, verbs: &[&str]| json!({ "name": format!("{CAMPAIGNS}{below}"), "singularName": "campaign", "namespaced": false, "kind": KIND, "verbs": verbs });
    let all = [
        resource(RESOURCE, "record", true, "Record"),
        resource(ACTIVITY, "activity", true, "Activity"),
        resource(FINDINGS, "finding", false, "Finding"),
        resource(BINDING_USES, "bindinguse", false, "BindingUses"),
        resource(READS, "read", false, "Read"),
        resource(RETENTION, "retention", false, "Retention"),
        json!({ "name": HOLDS, "singularName": "hold", "namespaced": false, "kind": "Hold", "verbs": ["create", "delete", "list"] }),
        json!({ "name": ERASURES, "singularName": "erasure", "namespaced": false, "kind": "Erasure", "verbs": ["create"] }),
        resource(LOG, "log", false, "Log"),
        resource(OPENINGS, "opening", false, "Opening"),
        of_campaigns("", &["create", "get", "list"]),
        of_campaigns(&format!("/{DECISIONS}"), &["create"]),
        of_campaigns(&format!("/{LOOK}"), &["update"]),
        of_campaigns(&format!("/{CLOSE}"), &["update"]),
    ];
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": all,
    });
    answer::json(list.to_string())
}

fn described() -> Value {
    let version = json!({ "groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION });
    json!({ "name": GROUP, "versions": [version], "preferredVersion": version })
}
