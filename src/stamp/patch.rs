//! What the webhook writes: an AdmissionReview goes in, the answer with its JSON patch comes out.
//!
//! Owns when and how a request or a review is stamped. That is what the chart's MutatingAdmissionPolicies do
//! (`charts/daypass/templates/identity-stamp.yaml`), so that a cluster answers the same by either way; the trials
//! `identity_ways` hold both together. It must not refuse anything, and must not read a file, a clock or the cluster.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde::Serialize;
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::admission_review::{AdmissionReview, Anything, Asked, Login, MapOr, OnlyUid, Resource, Status, Written};
use crate::api::keys;

/// Most characters of a username or a group that can be recorded; the CRD has the same bound.
const LONGEST_NAME: usize = 253;
/// Most groups of a person that can be recorded; the CRD has the same bound.
const MOST_GROUPS: usize = 512;
/// Most values of a key of a login's extra that can be recorded; the CRD has the same bound.
const MOST_VALUES: usize = 16;
/// Most characters of such a value that can be recorded; the CRD has the same bound.
const LONGEST_VALUE: usize = 512;

/// The answer to an AdmissionReview.
#[derive(Debug, PartialEq, Eq)]
pub struct StampAnswer {
    /// UID of the AdmissionReview's request.
    uid: String,
    /// Nothing where nothing is to be stamped.
    patch: Vec<Operation>,
    /// Why the review could not be read as a whole, if so.
    unread: Option<String>,
}

/// An operation of a JSON patch (RFC 6902).
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Operation {
    /// Also replaces what is there.
    Add {
        /// A JSON pointer.
        path: String,
        /// What to put there.
        value: Value,
    },
    /// Fails where nothing is.
    Remove {
        /// A JSON pointer.
        path: String,
    },
}

/// A body without a `request.uid` cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no AdmissionReview of admission.k8s.io/v1: {0}")]
pub struct NoReview(String);

/// Answers the body of a call. Of a login's extra these keys are written into requests.
///
/// # Errors
/// When not even the UID to answer to can be read.
pub fn answer(body: &[u8], extra_keys: &[String]) -> Result<StampAnswer, NoReview> {
    match serde_json::from_slice::<AdmissionReview<Asked>>(body) {
        Ok(AdmissionReview { request }) => {
            let patch = request.operations(extra_keys);
            Ok(StampAnswer { uid: request.uid, patch, unread: None })
        }
        Err(error) => {
            let unread = reason(&error);
            let known: Result<AdmissionReview<OnlyUid>, _> = serde_json::from_slice(body);
            let AdmissionReview { request } = known.map_err(|error| NoReview(reason(&error)))?;
            Ok(StampAnswer { uid: request.uid, patch: Vec::new(), unread: Some(unread) })
        }
    }
}

/// Without the words of the parser, which quote what was sent.
fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Syntax => "it is no JSON",
        Category::Eof => "it breaks off",
        Category::Data => "a field is missing or of another type",
        Category::Io => "it cannot be read",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

impl StampAnswer {
    /// Why the review could not be read, if so; nothing is stamped then.
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether anything is stamped.
    pub fn stamps(&self) -> bool {
        !self.patch.is_empty()
    }

    /// The AdmissionReview to send back. It always allows.
    ///
    /// # Errors
    /// None that is known: what it holds was read from JSON.
    pub fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        let patch = self.stamps().then(|| serde_json::to_vec(&self.patch).map(ByteString)).transpose()?;
        let patch_type = self.stamps().then_some("JSONPatch");
        let response = Response { uid: &self.uid, allowed: true, patch_type, patch };
        serde_json::to_vec(&Answered { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
}

impl Asked {
    fn operations(&self, extra_keys: &[String]) -> Vec<Operation> {
        let Resource { group, version, resource } = &self.resource;
        let ours = group == keys::GROUP && version == keys::VERSION && resource == "accessrequests";
        let Some(MapOr::Map(object)) = self.object.as_ref().filter(|_| ours && self.user_info.is_recordable()) else {
            return Vec::new();
        };
        match (self.operation.as_str(), self.sub_resource.as_str()) {
            ("CREATE", "") => self.user_info.requester(object, extra_keys),
            ("UPDATE", "status") => self.user_info.review(object),
            _ => Vec::new(),
        }
    }
}

impl Login {
    /// Whether name and groups fit the fields that record them. What does not is refused by the guards, which say why.
    fn is_recordable(&self) -> bool {
        let fits = |name: &str| name.chars().count() <= LONGEST_NAME;
        fits(&self.username) && self.groups.len() <= MOST_GROUPS && self.groups.iter().all(|group| fits(group))
    }

    /// What the login says under these keys; of one that says nothing, nothing is written.
    fn extra(&self, keys: &[String]) -> BTreeMap<&str, &[String]> {
        let said = |key: &String| Some((self.extra.get_key_value(key)?.0.as_str(), self.extra.get(key)?.as_deref()?));
        keys.iter().filter_map(said).filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Who asks, over whatever the writer put there. Without a spec there is no place for it, and the schema refuses. What
    /// does not fit the field of the extra is refused by the guard, which says why.
    fn requester(&self, object: &Written, extra_keys: &[String]) -> Vec<Operation> {
        let Some(MapOr::Map(Anything {})) = object.spec else { return Vec::new() };
        let extra = self.extra(extra_keys);
        let fits = |values: &&[String]| {
            values.len() <= MOST_VALUES && values.iter().all(|value| value.chars().count() <= LONGEST_VALUE)
        };
        if !extra.values().all(fits) {
            return Vec::new();
        }
        let mut requester = Map::from_iter([("username".to_owned(), Value::from(self.username.as_str()))]);
        if !self.uid.is_empty() {
            requester.insert("uid".to_owned(), Value::from(self.uid.as_str()));
        }
        if !self.groups.is_empty() {
            requester.insert("groups".to_owned(), Value::from(self.groups.as_slice()));
        }
        if !extra.is_empty() {
            let extra = extra.into_iter().map(|(key, values)| (key.to_owned(), Value::from(values)));
            requester.insert("extra".to_owned(), Value::Object(extra.collect()));
        }
        vec![Operation::Add { path: "/spec/requester".to_owned(), value: Value::Object(requester) }]
    }

    /// Who reviews, in the caller's own review and in no other. What the writer put there goes even when the login has
    /// nothing to put in its place.
    fn review(&self, object: &Written) -> Vec<Operation> {
        let Some(MapOr::Map(Status { reviews: Some(MapOr::Map(reviews)) })) = &object.status else { return Vec::new() };
        let Some(MapOr::Map(own)) = reviews.get(&self.username) else { return Vec::new() };
        let path = |field: &str| format!("/status/reviews/{}/{field}", escaped(&self.username));
        let operation = |field: &str, value: Option<Value>, written: bool| match value {
            Some(value) => Some(Operation::Add { path: path(field), value }),
            None => written.then(|| Operation::Remove { path: path(field) }),
        };
        let uid = Some(self.uid.as_str()).filter(|uid| !uid.is_empty()).map(Value::from);
        let groups = Some(self.groups.as_slice()).filter(|groups| !groups.is_empty()).map(Value::from);
        [operation("uid", uid, own.uid), operation("groups", groups, own.groups)].into_iter().flatten().collect()
    }
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A review of a creation by bob, with `more` over its request.
    fn creation(more: Value) -> Value {
        let mut request = json!({
            "uid": "r-1", "operation": "CREATE",
            "kind": { "group": "daypass.dev", "version": "v1alpha1", "kind": "AccessRequest" },
            "resource": { "group": "daypass.dev", "version": "v1alpha1", "resource": "accessrequests" },
            "userInfo": { "username": "bob", "uid": "u-bob", "groups": ["dev", "system:authenticated"] },
            "object": { "spec": { "role": { "name": "edit" } } }, "oldObject": null, "dryRun": false
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request })
    }

    /// A review of a status written by this user, who has these reviews.
    fn status(user: Value, reviews: Value) -> Value {
        let object = json!({ "spec": {}, "status": { "reviews": reviews } });
        creation(json!({ "operation": "UPDATE", "subResource": "status", "userInfo": user, "object": object }))
    }

    /// What comes back for it, as the patch says it.
    fn patch(review: &Value) -> Value {
        let answer = answer(&serde_json::to_vec(review).unwrap(), &keys()).unwrap();
        assert_eq!(answer.unread, None);
        json!(answer.patch)
    }

    fn keys() -> Vec<String> {
        ["example.com/amr", "country"].map(str::to_owned).to_vec()
    }

    fn bob() -> Value {
        json!({ "username": "bob", "uid": "u-bob", "groups": ["dev"] })
    }

    #[test]
    fn a_request_says_who_asks_whatever_its_writer_wrote() {
        let whole = json!({ "username": "bob", "uid": "u-bob", "groups": ["dev", "system:authenticated"] });
        let forged = json!({ "requester": { "username": "alice", "uid": "u-alice", "groups": ["kings"] } });
        for spec in [json!({}), forged, json!({ "requester": null }), json!({ "requester": "alice" })] {
            let stamped = json!([{ "op": "add", "path": "/spec/requester", "value": whole }]);
            assert_eq!(patch(&creation(json!({ "object": { "spec": spec } }))), stamped, "{spec}");
        }
        for (user, requester) in [
            (json!({ "username": "bob" }), json!({ "username": "bob" })),
            (json!({ "username": "bob", "uid": "", "groups": [] }), json!({ "username": "bob" })),
            (json!({ "username": "a/b~c", "groups": ["g"] }), json!({ "username": "a/b~c", "groups": ["g"] })),
        ] {
            let stamped = json!([{ "op": "add", "path": "/spec/requester", "value": requester }]);
            assert_eq!(patch(&creation(json!({ "userInfo": user }))), stamped, "{user}");
        }
    }

    #[test]
    fn a_review_says_who_reviews_in_the_callers_own_entry() {
        let add = |path: &str, value: Value| json!({ "op": "add", "path": path, "value": value });
        let remove = |path: &str| json!({ "op": "remove", "path": path });
        let by = |name: &str| json!({ "username": name, "uid": "u", "groups": ["g"] });
        let nameless = json!({ "username": "bob" });
        for (user, own, expected) in [
            (
                bob(),
                json!({ "verdict": "Approve" }),
                json!([
                    add("/status/reviews/bob/uid", json!("u-bob")),
                    add("/status/reviews/bob/groups", json!(["dev"]))
                ]),
            ),
            (
                bob(),
                json!({ "uid": "u-alice", "groups": ["kings"] }),
                json!([
                    add("/status/reviews/bob/uid", json!("u-bob")),
                    add("/status/reviews/bob/groups", json!(["dev"]))
                ]),
            ),
            (
                nameless.clone(),
                json!({ "uid": "u-alice", "groups": null }),
                json!([remove("/status/reviews/bob/uid"), remove("/status/reviews/bob/groups")]),
            ),
            (nameless.clone(), json!({ "uid": "u-alice" }), json!([remove("/status/reviews/bob/uid")])),
            (nameless.clone(), json!({ "groups": ["kings"] }), json!([remove("/status/reviews/bob/groups")])),
            (nameless, json!({ "verdict": "Approve" }), json!([])),
            (
                by("team/anna~1"),
                json!({}),
                json!([
                    add("/status/reviews/team~1anna~01/uid", json!("u")),
                    add("/status/reviews/team~1anna~01/groups", json!(["g"]))
                ]),
            ),
        ] {
            let reviews = json!({ user["username"].as_str().unwrap(): own, "carol": { "verdict": "Deny" } });
            assert_eq!(patch(&status(user.clone(), reviews)), expected, "{user} {own}");
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_is_to_be_stamped() {
        let resource = |group: &str, version: &str, resource: &str| {
            creation(json!({ "resource": { "group": group, "version": version, "resource": resource } }))
        };
        let own = json!({ "bob": { "verdict": "Approve" } });
        let mut main = status(bob(), own.clone());
        main["request"]["subResource"] = json!("");
        let mut created = status(bob(), own.clone());
        created["request"]["operation"] = json!("CREATE");
        let mut scaled = status(bob(), own.clone());
        scaled["request"]["subResource"] = json!("scale");
        let mut deleted = creation(json!({ "operation": "DELETE", "object": null }));
        deleted["request"]["oldObject"] = json!({ "spec": {} });
        for review in [
            resource("daypass.dev", "v1alpha1", "accesspolicies"),
            resource("daypass.dev", "v2", "accessrequests"),
            resource("example.com", "v1alpha1", "accessrequests"),
            creation(json!({ "subResource": "status" })),
            creation(json!({ "operation": "UPDATE" })),
            creation(json!({ "operation": "CONNECT" })),
            main,
            created,
            scaled,
            deleted,
            creation(json!({ "object": {} })),
            creation(json!({ "object": { "spec": null } })),
            creation(json!({ "object": { "spec": ["role"] } })),
            creation(json!({ "object": "spec" })),
            status(bob(), json!({ "carol": { "verdict": "Approve" } })),
            status(bob(), json!({ "bob": "Approve" })),
            status(bob(), json!({ "bob": null })),
            status(bob(), json!(["bob"])),
            status(bob(), json!(7)),
            status(bob(), json!(-7)),
            status(bob(), json!(-7.5)),
            status(bob(), json!(true)),
            status(json!({ "username": "carol", "uid": "u-carol" }), own),
        ] {
            assert_eq!(patch(&review), json!([]), "{review}");
        }
    }

    #[test]
    fn a_login_is_stamped_up_to_the_bounds_of_the_definition() {
        let groups = |many: usize, long: usize| json!(vec!["\u{17e}".repeat(long); many]);
        for (username, groups, stamped) in [
            ("\u{17e}".repeat(253), groups(512, 253), true),
            ("\u{17e}".repeat(254), groups(1, 1), false),
            ("bob".to_owned(), groups(513, 1), false),
            ("bob".to_owned(), groups(1, 254), false),
        ] {
            let user = json!({ "username": username, "groups": groups });
            assert_eq!(patch(&creation(json!({ "userInfo": user }))) != json!([]), stamped);
            let own = json!({ username: { "verdict": "Approve" } });
            assert_eq!(patch(&status(user, own)) != json!([]), stamped);
        }
        let definition = include_str!("../../crds/accessrequests.yaml");
        let definition: Value = serde_saphyr::from_str(definition).unwrap();
        let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let requester = &spec["requester"]["properties"];
        assert_eq!(requester["username"]["maxLength"], json!(LONGEST_NAME));
        assert_eq!(requester["groups"]["maxItems"], json!(MOST_GROUPS));
        assert_eq!(requester["groups"]["items"]["maxLength"], json!(LONGEST_NAME));
        let values = &requester["extra"]["additionalProperties"];
        assert_eq!(values["maxItems"], json!(MOST_VALUES));
        assert_eq!(values["items"]["maxLength"], json!(LONGEST_VALUE));
    }

    #[test]
    fn of_the_extra_of_a_login_what_is_asked_for_and_said_is_stamped_and_nothing_else() {
        let stamped = |extra: Value| {
            let user = json!({ "username": "bob", "extra": extra });
            let patch = patch(&creation(json!({ "userInfo": user })));
            patch[0]["value"]["extra"].clone()
        };
        let other = json!(["x"]);
        for (said, written) in [
            (
                json!({ "example.com/amr": ["pwd", "mfa"], "other": other }),
                json!({ "example.com/amr": ["pwd", "mfa"] }),
            ),
            (
                json!({ "example.com/amr": ["mfa"], "country": ["CH"] }),
                json!({ "example.com/amr": ["mfa"], "country": ["CH"] }),
            ),
            (json!({ "example.com/amr": [], "country": null }), Value::Null),
            (json!({ "other": other }), Value::Null),
            (json!({}), Value::Null),
        ] {
            assert_eq!(stamped(said.clone()), written, "{said}");
        }
        let review = status(json!({ "username": "bob", "extra": { "country": ["CH"] } }), json!({ "bob": {} }));
        assert_eq!(patch(&review), json!([]), "a review does not say it");
    }

    #[test]
    fn extra_is_stamped_up_to_the_bounds_of_the_definition() {
        let values = |many: usize, long: usize| json!(vec!["\u{17e}".repeat(long); many]);
        for (key, values, stamped) in [
            ("country", values(16, 512), true),
            ("country", values(17, 1), false),
            ("country", values(1, 513), false),
            ("other", values(17, 513), true),
        ] {
            let user = json!({ "username": "bob", "extra": { key: values } });
            assert_eq!(patch(&creation(json!({ "userInfo": user }))) != json!([]), stamped, "{key}");
        }
    }

    #[test]
    fn an_answer_always_allows() {
        let body = |review: &Value| -> Value {
            let answer = answer(&serde_json::to_vec(review).unwrap(), &[]).unwrap();
            serde_json::from_slice(&answer.body().unwrap()).unwrap()
        };
        let stamped = body(&creation(json!({ "userInfo": { "username": "bob" } })));
        let patch: ByteString = serde_json::from_value(stamped["response"]["patch"].clone()).unwrap();
        let patch: Value = serde_json::from_slice(&patch.0).unwrap();
        assert_eq!(patch, json!([{ "op": "add", "path": "/spec/requester", "value": { "username": "bob" } }]));
        let head =
            json!({ "uid": "r-1", "allowed": true, "patchType": "JSONPatch", "patch": stamped["response"]["patch"] });
        let whole = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": head });
        assert_eq!(stamped, whole);
        // What is not understood is allowed too: no patch, and nothing refused.
        let plain = json!({ "uid": "r-1", "allowed": true });
        for more in [
            json!({ "object": null }),
            json!({ "operation": "DELETE" }),
            json!({ "userInfo": { "username": ["bob"] } }),
            json!({ "userInfo": null }),
            json!({ "resource": "accessrequests" }),
        ] {
            assert_eq!(body(&creation(more.clone()))["response"], plain, "{more}");
        }
    }

    #[test]
    fn what_cannot_be_answered_says_so_without_quoting_it() {
        for text in
            ["", "{", "alice", r#"{"request":{"name":"alice"}}"#, r#"{"request":{"uid":7,"name":"alice"}}"#, "[]"]
        {
            let NoReview(why) = answer(text.as_bytes(), &[]).unwrap_err();
            assert!(!why.contains("alice") && why.contains("column"), "{text}: {why}");
        }
        let odd = creation(json!({ "userInfo": { "username": "alice", "groups": "kings" } }));
        let answer = answer(&serde_json::to_vec(&odd).unwrap(), &[]).unwrap();
        assert!(!answer.stamps());
        assert!(
            answer.unread().is_some_and(|why| !why.contains("kings") && why.contains("another type")),
            "{answer:?}"
        );
    }
}
