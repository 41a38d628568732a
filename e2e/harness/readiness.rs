//! Owns what it means that the control plane, and a server beside it, is ready for use.

use std::time::Duration;

use axum::http::Request;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;

use super::http;
use super::process::Process;
use super::wait::eventually;

/// How long a process may take to be ready.
const LIMIT: Duration = Duration::from_secs(60);

/// The API server says that it is ready.
pub async fn api_server(client: &kube::Client) -> Result<(), String> {
    let request = Request::get("/readyz").body(Vec::new()).expect("make a request");
    match client.request_text(request).await {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(format!("/readyz answers {answer:?}")),
        Err(error) => Err(format!("/readyz: {error}")),
    }
}

/// The controller manager has done what clusters have from the start: the service account `default`, and
/// the rules of the roles that are gathered from others.
pub async fn controller_manager(client: &kube::Client) -> Result<(), String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    accounts.get("default").await.map_err(|error| format!("ServiceAccount default: {error}"))?;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let edit = roles.get("edit").await.map_err(|error| format!("ClusterRole edit: {error}"))?;
    match edit.rules {
        Some(rules) if !rules.is_empty() => Ok(()),
        _ => Err("ClusterRole edit has no rules yet".to_owned()),
    }
}

/// Waits until a process says at the port of its probes that it is ready. One that has ended fails at once, with its log.
pub async fn process(what: &str, process: &mut Process, probes: u16) {
    eventually(what, LIMIT, async || {
        if let Some(end) = process.gone() {
            panic!("{end}");
        }
        match http::get(probes, "/readyz").await? {
            (200, _) => Ok(()),
            (status, body) => Err(format!("/readyz answers {status}: {body}")),
        }
    })
    .await;
}
