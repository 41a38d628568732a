//! Requests as the caller may read them: one by name, those of a namespace or of all.

use std::fmt;

use kube::api::{ListParams, ObjectMeta};
use kube::runtime::wait::await_condition;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::cluster::Cluster;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::output::text::{TextSpan, Tone};
use super::reach::failure::login_failure;
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::controller::observe::DecodedRequest;
use crate::core::model::subjects::is_same_person;

/// Where requests are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    Namespace(String),
    Everywhere,
}

impl Where {
    /// What the flags say: all namespaces, or the one that was typed, or that of the context.
    pub fn of(cluster: &Cluster, all_namespaces: bool, typed: &Option<String>) -> Self {
        if all_namespaces { Self::Everywhere } else { Self::Namespace(cluster.namespace_or(typed).to_owned()) }
    }

    /// The place, as it stands behind what is looked for.
    pub fn words(&self) -> String {
        match self {
            Self::Namespace(name) => format!(" in namespace {name}"),
            Self::Everywhere => " in all namespaces".to_owned(),
        }
    }
}

/// The requests of a place, also those that cannot be decoded.
pub fn api(cluster: &Cluster, place: &Where) -> Api<DecodedRequest> {
    match place {
        Where::Namespace(name) => Api::namespaced(cluster.client.clone(), name),
        Where::Everywhere => Api::all(cluster.client.clone()),
    }
}

/// One request.
///
/// # Errors
/// When it is not there, cannot be decoded, or may not be read.
pub async fn get(cluster: &Cluster, namespace: &str, name: &str) -> Result<AccessRequest, PluginError> {
    let api: Api<DecodedRequest> = Api::namespaced(cluster.client.clone(), namespace);
    let found = cluster.call(format!("get accessrequests in namespace {namespace}"), api.get_opt(name)).await?;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    match found {
        None => Err(PluginError::NoSuchRequest { namespace, name }),
        Some(found) => {
            found.0.map_err(|invalid| PluginError::Undecodable { namespace, name, problem: invalid.error.to_string() })
        }
    }
}

/// The requests of these names. What is wrong with one is said and keeps no other back; it is how the command ends.
pub async fn named(
    cluster: &Cluster,
    namespace: &str,
    names: &[String],
    console: &mut Console,
) -> (Vec<AccessRequest>, Exit) {
    let (mut found, mut exit) = (Vec::new(), Exit::Done);
    for name in names {
        match get(cluster, namespace, name).await {
            Ok(request) => found.push(request),
            Err(error) => {
                console.say(TextSpan::new(error.to_string(), Tone::Bad));
                exit = exit.or(error.exit());
            }
        }
    }
    (found, exit)
}

/// A request that cannot be decoded, and so is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutRequest {
    namespace: String,
    name: String,
}

impl LeftOutRequest {
    fn of(undecodable: &ObjectMeta) -> Self {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Self { namespace: text(&undecodable.namespace), name: text(&undecodable.name) }
    }
}

impl fmt::Display for LeftOutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {}/{} cannot be read, and is left out", self.namespace, self.name)
    }
}

/// Requests, oldest first. Those that cannot be decoded are left out, which is said.
///
/// # Errors
/// When they may not be listed.
pub async fn list(cluster: &Cluster, place: &Where, console: &mut Console) -> Result<Vec<AccessRequest>, PluginError> {
    let (requests, left_out) = listed(cluster, place).await?;
    left_out.iter().for_each(|left_out| console.note(&left_out.to_string()));
    Ok(requests)
}

/// Requests, oldest first, and those that cannot be decoded.
///
/// # Errors
/// When they may not be listed.
pub async fn listed(
    cluster: &Cluster,
    place: &Where,
) -> Result<(Vec<AccessRequest>, Vec<LeftOutRequest>), PluginError> {
    let what = format!("list accessrequests{}", place.words());
    let listed = cluster.call(what, api(cluster, place).list(&ListParams::default())).await?;
    let (mut requests, mut left_out) = (Vec::new(), Vec::new());
    for decoded in listed.items {
        match decoded.0 {
            Ok(request) => requests.push(request),
            Err(invalid) => left_out.push(LeftOutRequest::of(&invalid.metadata)),
        }
    }
    let made = |request: &AccessRequest| request.creation_timestamp().map(|time| time.0);
    requests.sort_by(|a, b| made(a).cmp(&made(b)).then_with(|| a.name_any().cmp(&b.name_any())));
    Ok((requests, left_out))
}

/// Says that a request cannot be decoded.
pub fn left_out(undecodable: &ObjectMeta, console: &mut Console) {
    console.note(&LeftOutRequest::of(undecodable).to_string());
}

/// Whether somebody made a request, by whichever name of the same login.
pub fn is_of(request: &AccessRequest, who: &Identity) -> bool {
    request.spec.requester.as_ref().is_some_and(|requester| is_same_person(requester, who))
}

/// The answer to a watch that would be the same again; all else passes, and the watch comes back by itself.
///
/// # Errors
/// What passes.
pub fn refusal(error: watcher::Error) -> Result<kube::Error, watcher::Error> {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source)
            if matches!(&source, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404))
                || login_failure(&source).is_some() =>
        {
            Ok(source)
        }
        error => Err(error),
    }
}

/// How a request was seen to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSeen {
    /// It is over, and the controller has put that on record.
    Over,
    /// It is not there any more. Nothing says whether its access is.
    Deleted,
}

/// Waits until a request is over or deleted, no longer than a call may take.
///
/// # Errors
/// Why it was not seen to end.
pub async fn until_over(cluster: &Cluster, request: &AccessRequest) -> Result<EndSeen, String> {
    let namespace = request.namespace().unwrap_or_default();
    let api: Api<DecodedRequest> = Api::namespaced(cluster.client.clone(), &namespace);
    let uid = request.uid();
    let ended = |found: Option<&DecodedRequest>| end_seen(found, uid.as_deref()).is_some();
    let last = cluster.read(await_condition(api, &request.name_any(), ended)).await?;
    Ok(end_seen(last.as_ref(), uid.as_deref()).unwrap_or(EndSeen::Deleted))
}

/// How the request of this UID has ended, if it has, by what is there under its name.
fn end_seen(found: Option<&DecodedRequest>, uid: Option<&str>) -> Option<EndSeen> {
    match found {
        Some(found) if found.uid().as_deref() == uid => {
            found.0.as_ref().is_ok_and(AccessRequest::is_over).then_some(EndSeen::Over)
        }
        _ => Some(EndSeen::Deleted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_deleted_or_replaced_is_not_seen_to_be_over() {
        let found = |uid: &str, status: Value| -> DecodedRequest {
            let mut request = json!(crate::core::laws::fixtures::request(json!({})));
            request["metadata"]["uid"] = json!(uid);
            request["status"] = status;
            serde_json::from_value(request).unwrap()
        };
        let seen = |found: Option<&DecodedRequest>| end_seen(found, Some("a"));
        assert_eq!(seen(Some(&found("a", json!({ "state": "Active" })))), None);
        assert_eq!(seen(Some(&found("a", json!({ "state": 7 })))), None, "it cannot be read, and is there");
        assert_eq!(seen(Some(&found("a", json!({ "state": "Revoked" })))), Some(EndSeen::Over));
        for other in [json!({ "state": "Active" }), json!({ "state": "Revoked" }), json!({ "state": 7 })] {
            assert_eq!(seen(Some(&found("b", other))), Some(EndSeen::Deleted));
        }
        assert_eq!(seen(None), Some(EndSeen::Deleted));
    }
}
