//! What a review that the page sends may be: the caller's own, of exactly what they have seen, and nothing beside it.
//!
//! It must not judge whether a review has an effect: the controller does.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::PageRefusal;
use super::rules::{PageRule, PageRules};
use crate::api::request::ReviewVerdict;

/// The body of such a call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewPatch {
    metadata: SeenObject,
    status: ReviewsPatch,
}

/// What was seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeenObject {
    uid: Option<String>,
    resource_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewsPatch {
    reviews: BTreeMap<String, WrittenReview>,
}

/// A review. UID and groups are not for its author to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenReview {
    verdict: ReviewVerdict,
    comment: Option<String>,
}

/// The merge patch that writes the review of this caller, made anew from what came. Nothing of their last review is left.
///
/// # Errors
/// When it is anything else than one review of theirs, or does not say what was seen.
pub fn patch(rules: &PageRules, body: &[u8], me: &str) -> Result<Bytes, PageRefusal> {
    let read: ReviewPatch = serde_json::from_slice(body).map_err(|error| PageRefusal::BadBody(error.to_string()))?;
    let is_there = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let SeenObject { uid, resource_version } = read.metadata;
    rules.hold(PageRule::ReviewSeen, is_there(&uid) && is_there(&resource_version), PageRefusal::NotSeen)?;
    let reviews = read.status.reviews;
    let several = PageRefusal::BadBody("status.reviews has one review".to_owned());
    rules.hold(PageRule::OneReview, reviews.len() == 1, several)?;
    let is_own = !me.is_empty() && reviews.keys().all(|name| name == me);
    rules.hold(PageRule::OwnReview, is_own, PageRefusal::NotYourReview(me.to_owned()))?;
    let whole = |(name, review): (String, WrittenReview)| {
        (name, json!({ "verdict": review.verdict, "comment": review.comment, "uid": null, "groups": null }))
    };
    let reviews: Map<String, Value> = reviews.into_iter().map(whole).collect();
    let seen = json!({ "uid": uid, "resourceVersion": resource_version });
    Ok(json!({ "metadata": seen, "status": { "reviews": reviews } }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<Value, PageRefusal> {
        patch(&PageRules::all(), body.to_string().as_bytes(), "carol")
            .map(|made| serde_json::from_slice(&made).unwrap())
    }

    fn good() -> Value {
        let seen = json!({ "uid": "u", "resourceVersion": "7" });
        json!({ "metadata": seen, "status": { "reviews": { "carol": { "verdict": "Approve" } } } })
    }

    #[test]
    fn ones_own_review_of_what_was_seen_is_made_anew() {
        let mut made = good();
        made["status"]["reviews"]["carol"] =
            json!({ "verdict": "Approve", "comment": null, "uid": null, "groups": null });
        assert_eq!(read(&good()), Ok(made.clone()));
        let mut told = good();
        told["status"]["reviews"]["carol"]["comment"] = json!("yes");
        made["status"]["reviews"]["carol"]["comment"] = json!("yes");
        assert_eq!(read(&told), Ok(made));
    }

    #[test]
    fn a_review_says_what_was_seen() {
        for key in ["uid", "resourceVersion"] {
            let mut without = good();
            without["metadata"].as_object_mut().unwrap().remove(key);
            assert_eq!(read(&without), Err(PageRefusal::NotSeen), "{key}");
            let mut empty = good();
            empty["metadata"][key] = json!("");
            assert_eq!(read(&empty), Err(PageRefusal::NotSeen), "{key}");
        }
    }

    #[test]
    fn it_is_ones_own_and_one() {
        let mut others = good();
        others["status"]["reviews"] = json!({ "bob": { "verdict": "Approve" } });
        assert_eq!(read(&others), Err(PageRefusal::NotYourReview("carol".to_owned())));
        let both = json!({ "bob": { "verdict": "Approve" }, "carol": { "verdict": "Approve" } });
        for reviews in [json!({}), both] {
            let mut several = good();
            several["status"]["reviews"] = reviews;
            assert!(matches!(read(&several), Err(PageRefusal::BadBody(_))), "{several}");
        }
        let nobody = json!({ "metadata": { "uid": "u", "resourceVersion": "7" }, "status": { "reviews": { "": { "verdict": "Approve" } } } });
        assert_eq!(
            patch(&PageRules::all(), nobody.to_string().as_bytes(), ""),
            Err(PageRefusal::NotYourReview(String::new()))
        );
    }

    #[test]
    fn nothing_stands_beside_it() {
        let beside = [
            ("/spec", json!({ "reason": "x" })),
            ("/metadata/labels", json!({})),
            ("/metadata/finalizers", json!([])),
            ("/status/state", json!("Active")),
            ("/status/reviews/carol/uid", json!("u-bob")),
            ("/status/reviews/carol/groups", json!(["approvers"])),
            ("/status/reviews/carol/verdict", json!("Grant")),
            ("/status/reviews/carol", Value::Null),
            ("/status", json!([])),
        ];
        for (path, value) in beside {
            let (parent, key) = path.rsplit_once('/').unwrap();
            let mut with = good();
            with.pointer_mut(parent).unwrap()[key] = value;
            assert!(matches!(read(&with), Err(PageRefusal::BadBody(_))), "{path}");
        }
        for text in ["", "null", "[]", "{\"metadata\":{},\"metadata\":{}}", "not json"] {
            assert!(
                matches!(patch(&PageRules::all(), text.as_bytes(), "carol"), Err(PageRefusal::BadBody(_))),
                "{text}"
            );
        }
    }
}
