//! A program that is run in a pod, as `kubectl exec` does: what it wrote, and how it ended.
//!
//! It must not know what the program is.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::reach::failure::reason;

/// As much is read of each stream, in bytes; what follows is left out.
const MOST: u64 = 64 << 10;

/// Where a program runs.
#[derive(Clone, Copy, Debug)]
pub struct ExecPlace<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub container: &'a str,
}

/// What a program left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecEnd {
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// Its exit code.
    pub code: i32,
}

/// Runs a program to its end, with the caller's own rights. Only for the API server's answer there is a limit of time.
///
/// # Errors
/// When the caller may not, or the pod cannot be entered; and when nobody says how the program ended.
pub async fn run<'a>(
    cluster: &Cluster,
    place: ExecPlace<'_>,
    line: impl IntoIterator<Item = &'a str>,
) -> Result<ExecEnd, PluginError> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), place.namespace);
    let how = AttachParams::default().container(place.container).stdin(false).stdout(true).stderr(true);
    let line: Vec<&str> = line.into_iter().collect();
    let what = format!("create pods/exec in namespace {}", place.namespace);
    let mut process = cluster.call(what, api.exec(place.pod, line, &how)).await?;
    let (out, err, status) = (process.stdout(), process.stderr(), process.take_status());
    let status = async { status?.await };
    let (out, err, status) = tokio::join!(text(out), text(err), status);
    let broken =
        |why: String| PluginError::NoExecEnd { namespace: place.namespace.to_owned(), pod: place.pod.to_owned(), why };
    let Some(status) = status else {
        let why = process.join().await.err().map(|error| reason(&error));
        return Err(broken(why.unwrap_or_else(|| "the connection ended before it did".to_owned())));
    };
    Ok(ExecEnd { out, err, code: code(&status).map_err(broken)? })
}

/// What comes of a stream. All of it is taken, so that the program is not held up.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut read = Vec::new();
    // What came before a fault is still worth to be shown; the fault itself the connection tells.
    let _ = (&mut stream).take(MOST).read_to_end(&mut read).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&read).into_owned()
}

/// The exit code, as the last word of the API server has it; or what kept the program from running.
fn code(status: &Status) -> Result<i32, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let mut codes = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = codes.next().and_then(|cause| cause.message.as_deref()?.parse().ok());
    code.ok_or_else(|| status.message.clone().unwrap_or_else(|| "it is not said why".to_owned()))
}

#[cfg(test)]
mod tests;
