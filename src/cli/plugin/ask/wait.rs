//! Waits for the answer to a request by a watch, and says how it ended. Decides nothing, and leaves the request alone
//! whatever happens here.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use crate::api::request::{AccessRequest, State};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests;
use crate::controller::observe::DecodedRequest;
use crate::core::model::duration;
use crate::runtime::clock::Clock;

/// How the wait ended.
#[derive(Clone, Debug)]
pub enum Waited {
    /// It is decided, or over.
    Answered(Box<AccessRequest>),
    /// It is not there any more.
    Deleted,
    /// The time that the caller gave is up, or they have had enough.
    StillOpen(Why),
}

/// Why nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Timeout,
    Interrupted,
}

/// Waits until a request is decided.
///
/// # Errors
/// When it cannot be watched.
pub async fn until_answered(
    cluster: &Cluster,
    request: &AccessRequest,
    timeout: Option<Duration>,
    console: &mut Console,
) -> Result<Waited, PluginError> {
    let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
    let api: Api<DecodedRequest> = Api::namespaced(cluster.client.clone(), &namespace);
    let mut changes = watch_object(api, &name).default_backoff().boxed();
    let began = Instant::now();
    let mut heard = HeardRequest { latest: request.clone(), unheard: None };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let over = async {
        match timeout {
            Some(timeout) => tokio::time::sleep_until(began + timeout).await,
            None => std::future::pending().await,
        }
    };
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(over, interrupted);
    loop {
        tokio::select! {
            change = changes.try_next() => match change {
                Ok(Some(Some(changed))) => heard.hear(decoded(changed, &namespace, &name)?),
                Ok(Some(None)) => return Ok(Waited::Deleted),
                Ok(None) => return Err(ended(&namespace)),
                Err(error) => match requests::refusal(error) {
                    Ok(source) => {
                        let what = format!("watch accessrequests in namespace {namespace}");
                        return Err(cluster.failed(what, source));
                    }
                    // The watch comes back by itself.
                    Err(error) => heard.unheard = Some(error.to_string()),
                },
            },
            // For the time on the line; nothing is asked.
            _ = tick.tick() => {}
            () = &mut over => return Ok(Waited::StillOpen(Why::Timeout)),
            _ = &mut interrupted => return Ok(Waited::StillOpen(Why::Interrupted)),
        }
        if is_answered(&heard.latest, Clock::wall().now()) {
            return Ok(Waited::Answered(Box::new(heard.latest)));
        }
        let long = SignedDuration::from_secs(i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX));
        console.wait_line(&heard.line(), &format!(" ({})", duration::format(long)));
    }
}

/// Whether there is an answer, so that nobody needs to wait at a terminal. Access that begins later is one; access that is on
/// record, and bound the next moment, is not yet.
fn is_answered(request: &AccessRequest, now: Timestamp) -> bool {
    let Some(status) = &request.status else { return false };
    let begins = request.spec.start_time.as_ref().or(status.window.as_ref().map(|window| &window.opens_at));
    match status.state {
        State::Pending => false,
        // Without a begin on record it is approved, and waits for a window; but the move of an end comes at once.
        State::Scheduled => {
            begins.map_or(status.granted_at.is_none() && request.spec.extends.is_none(), |at| at.0 > now)
        }
        _ => true,
    }
}

/// The request as it was last heard of.
struct HeardRequest {
    latest: AccessRequest,
    /// Why nothing has been heard since.
    unheard: Option<String>,
}

impl HeardRequest {
    fn hear(&mut self, changed: AccessRequest) {
        *self = Self { latest: changed, unheard: None };
    }

    /// What is waited for.
    fn line(&self) -> String {
        if let Some(why) = &self.unheard {
            return format!("the cluster cannot be heard: {why}");
        }
        let message = self.latest.status.as_ref().and_then(|status| status.message.as_deref());
        message.map_or_else(|| "waiting for Daypass to look at it".to_owned(), |message| format!("waiting: {message}"))
    }
}

fn decoded(changed: DecodedRequest, namespace: &str, name: &str) -> Result<AccessRequest, PluginError> {
    changed.0.map_err(|invalid| PluginError::Undecodable {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        problem: invalid.error.to_string(),
    })
}

fn ended(namespace: &str) -> PluginError {
    PluginError::WatchEnded { namespace: namespace.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request};
    use serde_json::{Value, json};

    #[test]
    fn that_the_cluster_is_not_heard_is_said_until_it_is_heard_again() {
        let mut heard = HeardRequest { latest: request(json!({})), unheard: None };
        let silent = heard.line();
        heard.unheard = Some("connection refused".to_owned());
        assert!(heard.line().contains("cannot be heard: connection refused"), "{}", heard.line());
        heard.hear(request(json!({})));
        assert_eq!(heard.line(), silent);
    }

    /// A grant is on record before it is bound, and whoever goes on then is turned away.
    #[test]
    fn access_that_is_on_record_and_not_bound_is_no_answer_yet() {
        let answered = |spec: Value, status: Value| {
            let mut request = request(spec);
            request.status = serde_json::from_value(status).unwrap();
            is_answered(&request, noon())
        };
        let soon = noon() + SignedDuration::from_hours(1);
        let begun = noon() - SignedDuration::from_secs(1);
        let at = |instant: Timestamp| json!({ "startTime": instant.to_string() });
        let scheduled = || json!({ "state": "Scheduled", "grantedAt": noon().to_string() });
        assert!(!answered(json!({}), scheduled()));
        assert!(!answered(at(begun), scheduled()));
        assert!(answered(at(soon), scheduled()));
        let approved = || json!({ "state": "Scheduled" });
        assert!(answered(json!({}), approved()), "its first window is still to come");
        assert!(!answered(json!({ "extends": "x", "duration": "1h" }), approved()));
        let window = json!({ "opensAt": soon.to_string(), "closesAt": soon.to_string() });
        assert!(answered(json!({}), json!({ "state": "Scheduled", "window": window })));
        for (state, expected) in [("Pending", false), ("Active", true), ("Denied", true), ("Suspended", true)] {
            assert_eq!(answered(json!({}), json!({ "state": state })), expected, "{state}");
        }
    }
}
