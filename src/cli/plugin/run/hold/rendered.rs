//! The objects of a chart, as helm renders them on this machine: without the cluster, and without what runs beside them.
//!
//! Asks nobody. A chart that is not here is not fetched, and what cannot be rendered is asked for when it is refused.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cli::plugin::manifests::documents_in;
use crate::cli::plugin::run::known::chart::ChartRendering;

/// What takes longer is not waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// What is in the chart that a command line names, the program first; nothing for most lines.
pub async fn rendered(line: &[String], namespace: &str) -> Vec<Value> {
    let Some(rendering) = ChartRendering::of(line, namespace).filter(|of| Path::new(&of.chart).exists()) else {
        return Vec::new();
    };
    let mut helm = Command::new(&line[0]);
    helm.args(rendering.args).env("KUBECONFIG", if cfg!(windows) { "NUL" } else { "/dev/null" });
    let output = helm.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).output();
    let Ok(Ok(output)) = timeout(LIMIT, output).await else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    let documents = documents_in(&rendering.chart, &text).unwrap_or_default();
    // What runs before or after it is made, watched and deleted in its own way.
    let is_hook = |value: &Value| !value["metadata"]["annotations"]["helm.sh/hook"].is_null();
    documents.into_iter().map(|document| document.value).filter(|value| !is_hook(value)).collect()
}
