//! Owns the command-line tools, kubectl and helm, as people use them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No command that a test runs takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// What a command left behind.
pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A program that is told by environment who it is, with a home of its own, so that neither the settings
/// nor the caches of the person who runs the tests are read or written.
#[derive(Clone)]
pub struct Tool {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Tool {
    pub fn new(program: &Path, folder: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), home: folder.join("home"), kubeconfig: kubeconfig.to_owned() }
    }

    /// Runs the program to its end, with `input` on its standard input.
    pub async fn run(&self, args: &[&str], input: &str) -> Output {
        self.run_in(Path::new("."), args, input).await
    }

    async fn run_in(&self, folder: &Path, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.program)
            .args(args)
            .current_dir(folder)
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.home.join("kube-cache"))
            .env("HELM_CACHE_HOME", self.home.join("helm-cache"))
            .env("HELM_CONFIG_HOME", self.home.join("helm-config"))
            .env("HELM_DATA_HOME", self.home.join("helm-data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.line(args)));
        let mut stdin = child.stdin.take().expect("its input is piped");
        let exchange = async {
            // It may fail before it has read everything; then its message says why.
            let (_, output) =
                tokio::join!(async move { stdin.write_all(input.as_bytes()).await }, child.wait_with_output());
            output
        };
        let output = match tokio::time::timeout(LIMIT, exchange).await {
            Ok(output) => output.unwrap_or_else(|error| panic!("run {}: {error}", self.line(args))),
            Err(_) => panic!("{}: no end after {LIMIT:?}", self.line(args)),
        };
        Output {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What a command prints that must succeed.
    pub async fn ok(&self, args: &[&str]) -> String {
        self.succeed(args, "").await
    }

    /// The standard error of a command that must fail.
    pub async fn refused(&self, args: &[&str]) -> String {
        self.fail(args, "").await
    }

    async fn succeed(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input).await;
        assert!(output.ok, "{} failed: {}{}", self.line(args), output.stderr, output.stdout);
        output.stdout
    }

    async fn fail(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input).await;
        assert!(!output.ok, "{} succeeded, and should have been refused: {}", self.line(args), output.stdout);
        output.stderr
    }

    /// The command as a person would type it, for messages.
    fn line(&self, args: &[&str]) -> String {
        let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        format!("`{} {}` as {}", name(&self.program), args.join(" "), name(&self.kubeconfig))
    }
}

/// kubectl with the identity of one user.
#[derive(Clone)]
pub struct Kubectl {
    tool: Tool,
}

impl Kubectl {
    pub fn new(tool: Tool) -> Self {
        Self { tool }
    }

    /// Runs kubectl, whatever comes of it.
    pub async fn run(&self, args: &[&str]) -> Output {
        self.tool.run(args, "").await
    }

    /// Runs kubectl in a folder, whatever comes of it.
    pub async fn run_in(&self, folder: &Path, args: &[&str]) -> Output {
        self.tool.run_in(folder, args, "").await
    }

    /// Runs kubectl with `input` on its standard input, whatever comes of it.
    pub async fn run_with(&self, args: &[&str], input: &str) -> Output {
        self.tool.run(args, input).await
    }

    /// The standard output of a command that must succeed.
    pub async fn ok(&self, args: &[&str]) -> String {
        self.tool.ok(args).await
    }

    /// The standard error of a command that must fail.
    pub async fn refused(&self, args: &[&str]) -> String {
        self.tool.fail(args, "").await
    }

    /// Applies objects that must be accepted.
    pub async fn apply(&self, yaml: &str) -> String {
        self.tool.succeed(&["apply", "-f", "-"], yaml).await
    }

    /// Makes a namespace, if it is not there.
    pub async fn apply_namespace(&self, name: &str) -> String {
        self.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")).await
    }

    /// Applies objects on the server's side under this tool's field manager; they must be accepted.
    pub async fn apply_server_side(&self, yaml: &str) -> String {
        self.tool.succeed(&["apply", "--server-side", "-f", "-"], yaml).await
    }

    /// Waits until the API server serves every kind that is defined.
    pub async fn until_established(&self) {
        self.ok(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await;
    }

    /// Defines namespaced kinds of another project, each as kind and plural, with a schema that takes anything.
    pub async fn define(&self, group: &str, kinds: &[(&str, &str)]) {
        for (kind, plural) in kinds {
            let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": { "name": format!("{plural}.{group}") },
                "spec": {
                    "group": group, "names": { "kind": kind, "plural": plural }, "scope": "Namespaced",
                    "versions": [{
                        "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": anything }
                    }]
                }
            });
            self.apply_server_side(&definition.to_string()).await;
        }
        self.until_established().await;
    }

    /// Deletes objects that must be there.
    pub async fn delete(&self, yaml: &str) -> String {
        self.tool.succeed(&["delete", "--timeout=60s", "-f", "-"], yaml).await
    }

    /// The standard error of an apply that must be refused.
    pub async fn apply_refused(&self, yaml: &str) -> String {
        self.tool.fail(&["apply", "-f", "-"], yaml).await
    }

    /// Whether this user may do something now: in a namespace, or in the whole cluster.
    pub async fn can_i(&self, verb: &str, resource: &str, namespace: Option<&str>) -> bool {
        let mut args = vec!["auth", "can-i", verb, resource, "--quiet"];
        match namespace {
            Some(namespace) => args.extend(["--namespace", namespace]),
            None => args.push("--all-namespaces"),
        }
        let output = self.run(&args).await;
        // `no` and an error share the exit code; with --quiet only an error says something more than `no`.
        let answered = output.ok || output.stderr.trim().is_empty() || output.stderr.starts_with("Warning");
        assert!(answered, "kubectl auth can-i {verb} {resource}: {}", output.stderr);
        output.ok
    }
}
