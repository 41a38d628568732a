//! Which of the calls that were answered 403 lack a right.
//!
//! Admission and quota answer 403 too; the API server is asked whether the caller may make the call, and its answer counts. Asks
//! for nothing.

use super::reviewed::{OWN_REVIEWS, denied_by_review};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::identity;
use crate::cli::plugin::refused::message::refused_calls;
use crate::cli::plugin::refused::{RefusedCall, RefusedTarget};
use crate::cli::plugin::run::attributes::refused_call;
use crate::cli::plugin::run::endpoint::desk::HeldCall;

/// What a held call may have been refused for: the call itself, and what the answer names of the same caller. The API server asks
/// for more than the call where it opens a connection into a pod.
pub fn candidates(held: &HeldCall, who: &Identity) -> Vec<RefusedCall> {
    if held.path == OWN_REVIEWS {
        return denied_by_review(&held.answer).into_iter().collect();
    }
    let said = refused_calls(&message(&held.answer));
    let is_own = |call: &RefusedCall| call.user.as_ref().is_some_and(|user| *user == who.username);
    let (own, others): (Vec<_>, Vec<_>) = said.into_iter().partition(is_own);
    // It was refused to somebody else: to whomever the caller acts as.
    if own.is_empty() && !others.is_empty() {
        return Vec::new();
    }
    let called = refused_call(held.method.as_str(), &held.path, held.query.as_deref().unwrap_or_default());
    let mut calls: Vec<RefusedCall> = Vec::new();
    let own = own.into_iter().map(|call| named_as(called.as_ref(), RefusedCall { user: None, ..call }));
    for call in called.iter().cloned().chain(own) {
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    calls
}

/// What an answer names, with the name of what was called where the answer lost it: or it would be asked for all objects.
fn named_as(called: Option<&RefusedCall>, mut said: RefusedCall) -> RefusedCall {
    if let (
        Some(RefusedTarget::Resource { resource: its, name: Some(its_name), .. }),
        RefusedTarget::Resource { resource, name: name @ None, .. },
    ) = (called.map(|call| &call.target), &mut said.target)
        && its == resource
    {
        *name = Some(its_name.clone());
    }
    said
}

/// The message of a `Status`. In protobuf it stands there as it is, and is found in what else is there.
fn message(answer: &[u8]) -> String {
    let status: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    let message = status.and_then(|status| status["message"].as_str().map(str::to_owned));
    message.unwrap_or_else(|| String::from_utf8_lossy(answer).into_owned())
}

/// Those of the calls that the caller may not make now.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn lacking(cluster: &Cluster, calls: Vec<RefusedCall>) -> Result<Vec<RefusedCall>, PluginError> {
    let asked = calls.iter().map(|call| identity::may(cluster, call.question()));
    let allowed = futures::future::try_join_all(asked).await?;
    Ok(calls.into_iter().zip(allowed).filter(|(_, allowed)| !allowed).map(|(call, _)| call).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use serde_json::json;

    fn held(method: Method, path: &str, answer: &str) -> HeldCall {
        let answer = answer.as_bytes().to_vec().into();
        HeldCall { method, path: path.to_owned(), query: None, answer }
    }

    fn found(held: &HeldCall) -> Vec<String> {
        let alice = Identity { username: "alice".to_owned(), ..Identity::default() };
        candidates(held, &alice).iter().map(ToString::to_string).collect()
    }

    const EXEC: &str = "/api/v1/namespaces/shop/pods/a/exec";

    fn said(user: &str, verb: &str) -> String {
        format!(
            "pods \"a\" is forbidden: User \"{user}\" cannot {verb} resource \"pods/exec\" in API group \"\" in the namespace \"shop\""
        )
    }

    #[test]
    fn a_call_and_what_its_answer_names_are_looked_at() {
        let status = json!({ "kind": "Status", "reason": "Forbidden", "message": said("alice", "create") }).to_string();
        let protobuf = format!("k8s\0\n\u{c}\n\u{2}v1{}\u{1a}", said("alice", "create"));
        let both = ["get pods/exec a in namespace shop", "create pods/exec a in namespace shop"];
        for answer in [&status, &protobuf] {
            assert_eq!(found(&held(Method::GET, EXEC, answer)), both, "{answer}");
        }
        assert_eq!(found(&held(Method::POST, EXEC, &status)), both[1..]);
        // Whatever admission says is looked at by the call alone.
        assert_eq!(found(&held(Method::POST, EXEC, "exceeded quota")), both[1..]);
    }

    #[test]
    fn what_somebody_else_was_refused_is_not_asked_for() {
        let status = json!({ "message": said("bob", "create") }).to_string();
        assert!(found(&held(Method::POST, EXEC, &status)).is_empty());
    }
}
