//! The sentences of this room, in one place to read: what a role does not have, what somebody changed of a binding, and the
//! rules of a request in words.
//! Elsewhere in the tests of the room a sentence is compared only where it is the key of a finding (`risk/tests.rs`).

use serde_json::json;

use super::bind_refusal::{BindRefusal, BindWayOut};
use super::changed::ChangedPart;
use super::role::Lack;
use super::rules::{Uncovered, describe};
use crate::api::request::{BindingKind, NarrowRule};

fn own(text: &str) -> String {
    text.to_owned()
}

#[test]
fn what_a_role_does_not_have() {
    let resource = |group: &str, name: Option<&str>| Uncovered::Resource {
        verbs: vec![own("get"), own("list")],
        group: own(group),
        resource: own("pods"),
        name: name.map(own),
    };
    let url = Uncovered::Url { verbs: vec![own("get")], url: own("/metrics") };
    for (uncovered, sentence) in [
        (resource("", None), "the role does not allow get, list on pods of the core group"),
        (resource("*", Some("web")), "the role does not allow get, list on pods of every API group named web"),
        (resource("apps", None), "the role does not allow get, list on pods of apps"),
        (url.clone(), "the role does not allow get on URL /metrics"),
        (Uncovered::More(1), "nor does it allow 1 more right"),
        (Uncovered::More(184), "nor does it allow 184 more rights"),
        (Uncovered::TooMany(4097), "4097 single rights are wanted, at most 4096 are compared: split the request"),
    ] {
        assert_eq!(uncovered.to_string(), sentence);
    }
    for (lack, sentence) in [
        (Lack::Unread, "the role has not been read"),
        (Lack::Role { namespace: None }, "there is no such role"),
        (Lack::Role { namespace: Some(own("shop")) }, "there is no such role in namespace shop"),
        (
            Lack::Right { what: url, namespace: Some(own("shop")) },
            "the role does not allow get on URL /metrics in namespace shop",
        ),
    ] {
        assert_eq!(lack.to_string(), sentence);
    }
}

#[test]
fn why_a_binding_cannot_be_made() {
    let kind = BindingKind::RoleBinding;
    let forbidden =
        |way_out| BindRefusal::Forbidden { kind, role: own("ClusterRole/edit"), way_out, words: own("WHY") };
    for (refusal, sentence) in [
        (
            forbidden(BindWayOut::ListRole),
            "the controller may not create this RoleBinding for role ClusterRole/edit; if the role should be granted by \
             Daypass, add it to bindableClusterRoles or bindableRoles in the chart's values (WHY)",
        ),
        (
            forbidden(BindWayOut::ApplyChart),
            "the controller may not create this RoleBinding for role ClusterRole/edit; its rights come with the chart, \
             which can be applied again (WHY)",
        ),
        (
            BindRefusal::Binding { kind, words: own("WHY"), code: 422 },
            "the RoleBinding could not be created: WHY (422)",
        ),
        (
            BindRefusal::MadeRole { within: own("edit"), words: own("WHY"), code: 403 },
            "a role with these rules of edit could not be made: WHY (403)",
        ),
        (BindRefusal::RoleTaken(own("r")), "role r is there already and is not Daypass's: delete it, then ask again"),
    ] {
        assert_eq!(refusal.to_string(), sentence);
    }
}

#[test]
fn what_somebody_changed() {
    for (part, words) in [
        (ChangedPart::Role, "its role"),
        (ChangedPart::Subjects, "its subjects"),
        (ChangedPart::Labels, "its labels"),
        (ChangedPart::Annotations, "its annotations"),
        (ChangedPart::Finalizers, "its finalizers"),
        (ChangedPart::Owner, "its owner"),
        (ChangedPart::RoleRules, "the rules of its role"),
        (ChangedPart::RoleMetadata, "the metadata of its role"),
    ] {
        assert_eq!(part.to_string(), words);
    }
}

#[test]
fn the_rules_of_a_request() {
    let rule = |value: serde_json::Value| serde_json::from_value::<NarrowRule>(value).unwrap();
    let one =
        rule(json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }));
    let url = rule(json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }));
    assert_eq!(describe(&[one.clone(), url]), "delete on pods web-0 and get on /metrics");
    let many = "delete on pods web-0 and delete on pods web-0 and delete on pods web-0 and 2 rules more";
    assert_eq!(describe(&vec![one; 5]), many);
}
