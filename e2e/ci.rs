//! The examples of `examples/ci`: the lines of each pipeline, run word for word as the pipeline, ask, work and give back.
//!
//! Neither CI service nor Terraform runs here. What stands around them does, with the tokens that they would hand out.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri, header};
use axum::routing::get;
use daypass::api::State;
use kube::ResourceExt;
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::harness::cast::SOON;
use crate::harness::plugin::PROGRAM;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::private_control_plane;
use crate::harness::users::{ADMIN, BOB, GITHUB_JOB, GITLAB_JOB, User};
use crate::harness::{Cluster, ControlPlane, binaries, eventually, pod, private};

const FOLDER: &str = "examples/ci";
/// What the pipelines deploy.
const GOOD: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, labels: {expires: nightly}}}";
/// What the API server refuses after it has taken what comes before.
const BROKEN: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: Not_A_Name}}";

pub fn trials() -> Vec<Trial> {
    vec![
        private("ci::github_actions_asks_deploys_and_drops", github),
        private("ci::gitlab_and_terraform_ask_work_and_drop", gitlab_and_terraform),
        Trial::ignorable_test("ci::a_cronjob_asks_works_and_drops", || {
            if !pod::can_be_one() {
                return Ok(Completion::ignored_with("this machine lets nobody mount what a pod has"));
            }
            private_control_plane(|| async { cronjob(Cluster::private().await).await }).map(|()| Completion::Completed)
        }),
        Trial::test("ci::the_api_server_takes_the_logins_of_pipelines", || private_control_plane(logins)),
    ]
}

fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(binaries::repository().join(FOLDER).join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// The namespace with its policies and what the pipelines may do there.
async fn shop(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "namespace", "shop"]).await;
    for document in documents("policies.yaml") {
        admin.apply(&document.to_string()).await;
    }
    for policy in ["shop-deploy", "shop-nightly"] {
        admin.ok(&["wait", "--for=condition=Ready", "--timeout=30s", "apol", policy]).await;
    }
}

/// The machine that a pipeline runs on.
struct Runner {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Runner {
    fn new(control_plane: &ControlPlane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(binaries::repository().join(FOLDER), folder.path().join("ci")).unwrap();
        std::fs::create_dir(folder.path().join("k8s")).unwrap();
        let (url, authority) = control_plane.address();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let tools = [
            folder.path().to_owned(),
            binaries::repository().join(FOLDER),
            Path::new(PROGRAM).parent().unwrap().to_owned(),
            binaries::Binaries::find().unwrap().kubectl.parent().unwrap().to_owned(),
        ];
        let tools =
            std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&std::env::var("PATH").unwrap())));
        let variables = vec![
            ("PATH", tools.unwrap().into_string().unwrap()),
            ("HOME", path("home")),
            ("KUBECONFIG", path("kubeconfig")),
            ("RUNNER_TEMP", path("")),
            ("CI_PROJECT_DIR", path("project")),
            ("CLUSTER_URL", url),
            ("CLUSTER_CA", authority),
            ("GITHUB_SHA", "1f2e3d".to_owned()),
            ("CI_COMMIT_SHORT_SHA", "1f2e3d".to_owned()),
            ("ACCESS_WAIT", "60s".to_owned()),
        ];
        Self { folder, variables }
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    fn deploys(&self, manifests: &[&str]) {
        std::fs::write(self.folder.path().join("k8s/web.yaml"), manifests.join("\n---\n")).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        command.current_dir(self.folder.path()).env_clear().envs(variables).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts lines in the shell that the pipeline has.
    fn start(&self, lines: &str) -> Child {
        self.command("bash").args(["-e", "-c", lines]).spawn().unwrap()
    }

    async fn runs(&self, lines: &str, code: i32) -> String {
        ended(self.start(lines), code).await
    }
}

/// All that a run said, which must end with this code.
async fn ended(child: Child, code: i32) -> String {
    let output = tokio::time::timeout(SOON * 4, child.wait_with_output()).await.expect("an end").unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The one request that waits for somebody.
async fn waiting(cluster: &Cluster) -> String {
    let requests = cluster.requests("shop").await;
    eventually("a request waits", SOON, async || {
        let items = requests.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        let waits = items.iter().find(|item| item.status.as_ref().is_some_and(|status| status.state == State::Pending));
        waits.map(ResourceExt::name_any).ok_or_else(|| format!("none of {}", items.len()))
    })
    .await
}

/// Runs the step that deploys, with somebody who decides; how it is called, and what it said.
async fn decided(cluster: &Cluster, runner: &Runner, step: &str, verdict: &str, code: i32) -> (String, String) {
    let run = runner.start(step);
    let name = waiting(cluster).await;
    cluster.review(BOB, "shop", &name, verdict, "seen").await;
    (name, ended(run, code).await)
}

async fn is_deployed(cluster: &Cluster) -> bool {
    let found = ["get", "configmap", "web", "-n", "shop", "--ignore-not-found", "-o", "name"];
    !cluster.kubectl(ADMIN).ok(&found).await.is_empty()
}

/// That a deploy that was approved is done, and one that fails is too, and access is gone after each.
async fn deploys_and_drops(cluster: &Cluster, runner: &Runner, step: &str, job: User) {
    runner.deploys(&[GOOD]);
    let (name, said) = decided(cluster, runner, step, "Approve", 0).await;
    assert!(said.contains("configmap/web created"), "{said}");
    assert!(is_deployed(cluster).await);
    let dropped = cluster.until("shop", &name, State::Revoked).await;
    assert_eq!(dropped.spec.requester.unwrap().username, job.name);
    cluster.until_unbound("shop").await;
    runner.deploys(&[GOOD, BROKEN]);
    let (name, said) = decided(cluster, runner, step, "Approve", 1).await;
    assert!(said.contains("Not_A_Name"), "the deploy failed: {said}");
    cluster.until("shop", &name, State::Revoked).await;
    cluster.until_unbound("shop").await;
    cluster.kubectl(ADMIN).ok(&["delete", "configmap", "web", "-n", "shop"]).await;
}

/// GitHub's answer to a job that asks for its ID token; where it is asked.
async fn hands_out(token: String) -> String {
    let answer = move |uri: Uri, headers: HeaderMap| {
        let token = token.clone();
        async move {
            assert_eq!(headers[header::AUTHORIZATION], "bearer of-the-job");
            assert_eq!(uri.query(), Some("api-version=2.0&audience=kubernetes"));
            json!({ "count": 1, "value": token }).to_string()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token?api-version=2.0", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/token", get(answer))).await });
    url
}

async fn github(cluster: Arc<Cluster>) {
    shop(&cluster).await;
    let workflow = documents("github-actions.yaml").remove(0);
    let steps = workflow["jobs"]["deploy"]["steps"].as_array().unwrap().clone();
    let lines: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let [logs_in, deploys] = lines[..] else { panic!("{lines:?}") };
    let mut runner = Runner::new(&cluster.control_plane);
    // The variable has the certificate itself.
    runner.set("CLUSTER_CA", std::fs::read_to_string(cluster.control_plane.address().1).unwrap());
    runner.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job");
    runner.set("ACTIONS_ID_TOKEN_REQUEST_URL", hands_out(GITHUB_JOB.token()).await);
    runner.runs(logs_in, 0).await;
    runner.deploys(&[GOOD]);

    let (_, said) = decided(&cluster, &runner, deploys, "Deny", 3).await;
    assert!(said.contains("denied") && !is_deployed(&cluster).await, "denied: {said}");
    runner.set("ACCESS_WAIT", "2s");
    let run = runner.start(deploys);
    let name = waiting(&cluster).await;
    let said = ended(run, 4).await;
    assert!(said.contains("no answer in time") && !is_deployed(&cluster).await, "{said}");
    cluster.until("shop", &name, State::Revoked).await;
    runner.set("ACCESS_WAIT", "60s");
    deploys_and_drops(&cluster, &runner, deploys, GITHUB_JOB).await;
    // Somebody else's job is not the one that the policy names.
    runner.set("ACTIONS_ID_TOKEN_REQUEST_URL", hands_out(crate::harness::users::MALLORY.token()).await);
    let said = runner.runs(deploys, 3).await;
    assert!(said.contains("mallory is not among its requesters"), "{said}");
}

async fn gitlab_and_terraform(cluster: Arc<Cluster>) {
    shop(&cluster).await;
    let script = documents("gitlab-ci.yaml").remove(0)["deploy"]["script"].clone();
    let lines: Vec<&str> = script.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let (deploys, logs_in) = lines.split_last().unwrap();
    let mut runner = Runner::new(&cluster.control_plane);
    runner.set("KUBERNETES_TOKEN", GITLAB_JOB.token());
    runner.runs(&logs_in.join("\n"), 0).await;
    deploys_and_drops(&cluster, &runner, deploys, GITLAB_JOB).await;
    terraform(&cluster, &mut runner).await;
}

/// In the place of Terraform: its provider, which gets its token as the block says and applies.
async fn terraform(cluster: &Cluster, runner: &mut Runner) {
    let text = std::fs::read_to_string(binaries::repository().join(FOLDER).join("terraform.tf")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap();
        line.split_once("= ").unwrap().1.trim_matches(['"', '[', ']']).to_owned()
    };
    let (program, version) = (value("command").replace("${path.module}", "."), value("api_version"));
    let stand_in = format!(
        "#!/bin/sh -e\n[ \"$*\" = 'apply -auto-approve' ]\nanswer=$({program} {})\n\
         [ \"$(echo \"$answer\" | jq -r .apiVersion)\" = {version} ]\n\
         exec kubectl --kubeconfig=/dev/null --server=\"$CLUSTER_URL\" --certificate-authority=\"$CLUSTER_CA\" \
         --token=\"$(echo \"$answer\" | jq -r .status.token)\" apply -n shop -f k8s/\n",
        value("args")
    );
    let path: PathBuf = runner.folder.path().join("terraform");
    std::fs::write(&path, stand_in).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    runner.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job");
    runner.set("ACTIONS_ID_TOKEN_REQUEST_URL", hands_out(GITLAB_JOB.token()).await);
    let line = text.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    deploys_and_drops(cluster, runner, line, GITLAB_JOB).await;
}

async fn cronjob(cluster: Arc<Cluster>) {
    shop(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    let manifests = documents("cronjob.yaml");
    for manifest in &manifests {
        admin.apply(&manifest.to_string()).await;
    }
    admin.apply(&GOOD.replace("{name: web", "{namespace: shop, name: web")).await;
    let pod = &manifests[2]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let account = pod::account(&cluster, "shop", pod["serviceAccountName"].as_str().unwrap()).await;
    let mut runner = Runner::new(&cluster.control_plane);
    runner.variables.retain(|(name, _)| *name != "KUBECONFIG");
    runner.variables.extend(pod::variables(&cluster.control_plane));
    let words = [&container["command"], &container["args"]];
    let words: Vec<&str> =
        words.iter().flat_map(|list| list.as_array().unwrap()).map(|word| word.as_str().unwrap()).collect();
    let run = |words: &[&str]| runner.command("unshare").args(pod::before(&account)).args(words).spawn().unwrap();
    let said = ended(run(&words), 0).await;
    assert!(said.contains("configmap \"web\" deleted") && !is_deployed(&cluster).await, "{said}");
    let requests = cluster.requests("shop").await.list(&Default::default()).await.unwrap().items;
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(request.spec.requester.as_ref().unwrap().username, "system:serviceaccount:shop:nightly");
    cluster.until("shop", &request.name_any(), State::Revoked).await;
    cluster.until_unbound("shop").await;
    // Work that fails is the end of the job, and access is given back all the same.
    ended(run(&[&words[..4], &["false"]].concat()), 1).await;
    cluster.until_unbound("shop").await;
}

/// An API server that does not understand the file does not start.
async fn logins() {
    let flag = format!(
        "--authentication-config={}",
        binaries::repository().join(FOLDER).join("authentication.yaml").display()
    );
    ControlPlane::start_with(AUDIT_POLICY, Vec::leak(vec![&*String::leak(flag)])).await;
}
