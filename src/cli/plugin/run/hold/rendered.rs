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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// In place of helm: writes down that it ran, and says what a chart has.
    const HELM: &str = "#!/bin/sh
echo \"$KUBECONFIG $*\" >> \"$0.ran\"
echo '{kind: ConfigMap, metadata: {name: a}}'
echo '---'
echo '{kind: Job, metadata: {name: before, annotations: {helm.sh/hook: pre-upgrade}}}'
";

    #[tokio::test]
    async fn only_a_chart_that_is_here_is_rendered_and_its_hooks_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let helm = folder.path().join("helm");
        std::fs::write(&helm, HELM).unwrap();
        std::fs::set_permissions(&helm, PermissionsExt::from_mode(0o700)).unwrap();
        let chart = folder.path().display().to_string();
        let in_chart = async |chart: &str| {
            let line = [&helm.display().to_string(), "upgrade", "web", chart].map(str::to_owned);
            let names = rendered(&line, "shop").await.into_iter().map(|value| value["metadata"]["name"].clone());
            names.collect::<Vec<_>>()
        };
        assert!(in_chart("oci://example.com/chart").await.is_empty());
        assert_eq!(in_chart(&chart).await, ["a"]);
        let ran = std::fs::read_to_string(folder.path().join("helm.ran")).unwrap();
        assert_eq!(ran, format!("/dev/null template web {chart} --namespace=shop\n"));
    }
}
