//! Commands that ask the API server what they may do, and do not try what they may not: then its no is the refusal.
//!
//! To ask is no call, so this is for programs that are known to do so, and not for `kubectl auth can-i`. Asks nobody.

use std::path::Path;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;

use crate::cli::plugin::refused::{RefusedCall, RefusedTarget};

/// Where a caller asks what they may do themselves.
pub const OWN_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Programs that show what they may not see as if it were not there.
const ASK_FIRST: [&str; 1] = ["k9s"];

/// Whether a command asks first; its words, the program first.
pub fn asks_first(line: &[String]) -> bool {
    let program = line.first().and_then(|program| Path::new(program).file_stem());
    program.is_some_and(|program| ASK_FIRST.iter().any(|known| program == *known))
}

/// What somebody was told that they may not do. None where they may, and for what no rule is for alone.
pub fn denied_by_review(answer: &[u8]) -> Option<RefusedCall> {
    let review: SelfSubjectAccessReview = serde_json::from_slice(answer).ok()?;
    if review.status.is_none_or(|status| status.allowed) {
        return None;
    }
    let attributes = review.spec.resource_attributes?;
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let target = RefusedTarget::Resource {
        group: attributes.group.unwrap_or_default(),
        resource: text(attributes.resource)?,
        subresource: text(attributes.subresource),
        name: text(attributes.name),
        namespace: text(attributes.namespace),
    };
    let call = RefusedCall { user: None, verb: text(attributes.verb)?, target };
    let rule = call.rule();
    let words = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names];
    words.into_iter().flatten().all(|word| !word.contains('*')).then_some(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn denied(allowed: bool, attributes: &Value) -> Option<String> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
            "spec": { "resourceAttributes": attributes }, "status": { "allowed": allowed }
        });
        denied_by_review(review.to_string().as_bytes()).map(|call| call.to_string())
    }

    #[test]
    fn a_no_of_the_api_server_is_a_refusal() {
        let pods = json!({ "verb": "list", "version": "v1", "resource": "pods", "namespace": "shop", "name": "" });
        assert_eq!(denied(false, &pods).as_deref(), Some("list pods in namespace shop"));
        assert_eq!(denied(true, &pods), None);
        let log = json!({ "verb": "get", "resource": "pods", "subresource": "log", "name": "a", "namespace": "shop" });
        assert_eq!(denied(false, &log).as_deref(), Some("get pods/log a in namespace shop"));
        let nodes = json!({ "verb": "list", "group": "metrics.k8s.io", "resource": "nodes" });
        assert_eq!(denied(false, &nodes).as_deref(), Some("list nodes.metrics.k8s.io in the whole cluster"));
        for all in ["verb", "group", "resource", "name"] {
            let mut any = pods.clone();
            any[all] = json!("*");
            assert_eq!(denied(false, &any), None, "{all}");
        }
        assert_eq!(denied_by_review(b"k8s"), None);
    }

    #[test]
    fn only_what_asks_first_is_taken_at_its_word() {
        let asks = |program: &str| asks_first(&[program.to_owned()]);
        assert!(asks("k9s") && asks("/usr/bin/k9s") && asks("k9s.exe"));
        assert!(!asks("kubectl") && !asks("helm") && !asks_first(&[]));
    }
}
