//! Owns what the trials of feeds stand on: a cluster with an archive, a grant of alice's, calls under it, and how many of them
//! the log holds and the archive knows.

use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use daypass::api::activity::{USES_PATH, UsesAsked, UsesKnown};
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, stream};
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::archive::{ARCHIVE, RunningArchive};
use crate::harness::install::NAMESPACE;
use crate::harness::tail::{RunningTail, TAIL};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, ControlPlane, eventually};

/// How long a part may take to work.
pub const LIMIT: Duration = Duration::from_secs(90);
/// The token of the webhook.
pub const WEBHOOK: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c";
/// The cluster of whose calls the webhook tells where it has one of its own.
pub const BY_WEBHOOK: &str = "by-webhook";
const CLIENTS: usize = 16;

/// A cluster with an archive and a grant.
pub struct FeedGround {
    // Dropped before the control plane that they work on.
    tail: Option<RunningTail>,
    pub archive: RunningArchive,
    pub cluster: Cluster,
    /// UID of the cluster.
    pub home: String,
    namespace: String,
    /// UID of the request.
    pub request: String,
}

impl FeedGround {
    /// With no feed at work yet.
    pub async fn on(control_plane: Arc<ControlPlane>) -> Self {
        Self::of_clusters(control_plane, None).await
    }

    /// The same, and the webhook is of this cluster, if not of the one that it runs in.
    pub async fn of_clusters(control_plane: Arc<ControlPlane>, of_webhook: Option<&str>) -> Self {
        let digest: String = Sha256::digest(WEBHOOK.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let feed = "archive.audit.feeds[0]";
        let values = [
            "archive.enabled=true".to_owned(),
            "archive.audit.tail.enabled=true".to_owned(),
            format!("{feed}.name=webhook"),
            format!("{feed}.kind=Webhook"),
            format!("{feed}.sha256={digest}"),
        ];
        let cluster = of_webhook.map(|cluster| format!("{feed}.cluster={cluster}"));
        let values: Vec<&str> = values.iter().chain(&cluster).map(String::as_str).collect();
        let cluster = Cluster::with(control_plane, &values).await;
        let archive = RunningArchive::start(&cluster.control_plane).await;
        let namespace = cluster.namespace("feeds").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
        let request = cluster.until(&namespace, "fix", State::Active).await.uid().expect("a UID");
        let uid = ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"];
        let home = cluster.kubectl(ADMIN).ok(&uid).await;
        Self { tail: None, archive, cluster, home, namespace, request }
    }

    /// Waits until Kubernetes has seen to the DaemonSet: the self-guard lets its controller work here.
    pub async fn daemon_set_is_made(&self) {
        self.cluster.control_plane.run_more_controllers(&["daemonset-controller"]).await;
        let admin = self.cluster.kubectl(ADMIN);
        let seen = ["get", "daemonset", TAIL, "-n", NAMESPACE, "-o", "jsonpath={.status.observedGeneration}"];
        eventually("the DaemonSet is seen to", LIMIT, async || {
            let seen = admin.ok(&seen).await;
            if seen == "1" { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// Starts the tail of the chart.
    pub async fn start_tail(&mut self) {
        self.tail = Some(RunningTail::start(&self.cluster.control_plane, &self.archive).await);
    }

    /// Has the API server send its events by its webhook, from its next start on: now.
    pub async fn start_webhook(&self) {
        let control_plane = &self.cluster.control_plane;
        let authority = control_plane.dir().join("archive-ca.crt");
        fs::write(&authority, self.archive.authority()).expect("write the authority");
        // As examples/audit/webhook-kubeconfig.yaml has it.
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "archive",
            "clusters": [{ "name": "archive", "cluster": {
                "server": format!("{}/v1/audit/events", self.archive.url()),
                "certificate-authority": authority, "tls-server-name": format!("{ARCHIVE}.{NAMESPACE}.svc"),
            } }],
            "users": [{ "name": "api-server", "user": { "token": WEBHOOK } }],
            "contexts": [{ "name": "archive", "context": { "cluster": "archive", "user": "api-server" } }],
        });
        fs::write(control_plane.audit_webhook_file(), kubeconfig.to_string()).expect("write the kubeconfig");
        control_plane.stop_api_server();
        control_plane.start_api_server().await;
    }

    pub fn tail(&mut self) -> &mut RunningTail {
        self.tail.as_mut().expect("a tail")
    }

    pub async fn tail_figure(&self, name: &str) -> Result<f64, String> {
        self.tail.as_ref().expect("a tail").figure(name).await
    }

    /// What the tail and the archive tell of themselves.
    pub async fn told(&self) -> String {
        self.tail.as_ref().expect("a tail").told().await + &self.archive.told().await
    }

    /// Takes away what says how far the tail was. It must not run.
    pub fn forget_position(&self) {
        fs::remove_file(self.cluster.control_plane.dir().join("tail/position.json")).expect("remove the state");
    }

    /// What the grant lets alice read.
    pub async fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client(ALICE).await, &self.namespace)
    }

    /// alice reads so many times.
    pub async fn calls(&self, many: usize) {
        let maps = self.maps().await;
        let call = |_| async { maps.get_opt("none").await.expect("alice may read") };
        stream::iter(0..many).map(call).buffer_unordered(CLIENTS).for_each(|_| async {}).await;
    }

    /// Waits until the archive knows as many calls under the grant as the log holds.
    pub async fn counted(&self, what: &str) {
        eventually(what, LIMIT, async || {
            let (logged, known) = (self.logged_calls(), self.known_calls().await);
            if logged == known { Ok(()) } else { Err(format!("{logged} calls in the log, {known} known")) }
        })
        .await;
    }

    /// How many calls the API server has written down that the grant allowed.
    pub fn logged_calls(&self) -> u64 {
        let binding = format!("Binding \\\"daypass-{}/", self.request);
        let of_grant = |line: &&str| line.contains(&binding) && line.contains(r#""stage":"ResponseComplete""#);
        self.log().iter().map(|text| text.lines().filter(of_grant).count() as u64).sum()
    }

    /// A line of the log, whichever.
    pub fn a_logged_event(&self) -> String {
        let text = fs::read_to_string(self.cluster.control_plane.audit_log_file()).expect("read the log");
        text.lines().next().expect("a line").to_owned()
    }

    /// The texts of all files of the log.
    fn log(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for path in self.files() {
            let mut text = String::new();
            let Ok(mut file) = File::open(&path) else { continue };
            let read = match path.extension().is_some_and(|extension| extension == "gz") {
                // Beside the plain one it is not whole yet.
                true if path.with_extension("").exists() => continue,
                true => MultiGzDecoder::new(file).read_to_string(&mut text),
                false => file.read_to_string(&mut text),
            };
            if read.is_ok() {
                texts.push(text);
            }
        }
        texts
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let folder = self.cluster.control_plane.dir().read_dir().expect("read the folder");
        let paths = folder.map(|entry| entry.expect("an entry").path());
        let is_log = |name: &str| name.starts_with("audit") && (name.ends_with(".log") || name.ends_with(".log.gz"));
        paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_log)).collect()
    }

    /// How many files of the log were renamed.
    pub fn renamed(&self) -> usize {
        self.files().len().saturating_sub(1)
    }

    /// How many calls of the grant the archive knows.
    pub async fn known_calls(&self) -> u64 {
        let token = self.token("daypass", "daypass-archive").await;
        let body = json!(UsesAsked { requests: vec![self.request.clone()] }).to_string().into_bytes();
        let request = Request::post(USES_PATH).body(body).expect("a request");
        let known: Result<UsesKnown, _> = self.archive.client(&token).request(request).await;
        known.map_or(0, |known| known.uses.first().map_or(0, |used| used.count.calls))
    }

    /// A token of an account of Daypass.
    pub async fn token(&self, account: &str, audience: &str) -> String {
        let audience = format!("--audience={audience}");
        let args = ["create", "token", account, "-n", NAMESPACE, &audience];
        self.cluster.kubectl(ADMIN).ok(&args).await.trim().to_owned()
    }

    /// Sends a body to a path of the archive. The code of a refusal.
    pub async fn post(&self, path: &str, token: &str, body: &str) -> Result<Value, u16> {
        let request = Request::post(path).body(Body::from(body.as_bytes().to_vec())).expect("a request");
        let answer = self.archive.client(token).send(request).await.expect("an answer");
        let code = answer.status();
        let told = answer.into_body().collect_bytes().await.expect("the whole answer");
        // Not every cloud takes a refusal in the form of Kubernetes.
        if code.is_success() { Ok(serde_json::from_slice(&told).expect("JSON")) } else { Err(code.as_u16()) }
    }
}
