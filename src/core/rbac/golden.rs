//! The sentences of this room, in one place to read: what a role does not have, and the rules of a request in words.
//! Elsewhere in the tests of the room a sentence is compared only where it is the key of a finding (`risk/tests.rs`).

use serde_json::json;

use super::role::Lack;
use super::rules::{Uncovered, describe};
use crate::api::request::NarrowRule;

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
fn the_rules_of_a_request() {
    let rule = |value: serde_json::Value| serde_json::from_value::<NarrowRule>(value).unwrap();
    let one =
        rule(json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }));
    let url = rule(json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }));
    assert_eq!(describe(&[one.clone(), url]), "delete on pods web-0 and get on /metrics");
    let many = "delete on pods web-0 and delete on pods web-0 and delete on pods web-0 and 2 rules more";
    assert_eq!(describe(&vec![one; 5]), many);
}
