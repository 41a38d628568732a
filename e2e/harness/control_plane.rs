//! Owns a real control plane on this machine: etcd, the API server and the controller manager, in a folder
//! of their own, gone when the test program is.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::binaries::Binaries;
use super::kubeconfig;
use super::kubectl::{Kubectl, Output, Tool};
use super::process::{self, Keeper, Process};
use super::readiness;
use super::servers::{self, Layout, free_ports};
use super::users::{self, User};
use super::wait::poll;
use super::webhook::{self, Webhook};

/// How long a server may take to be ready. Two cores that also compile need most of it.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A running control plane. Dropping it ends its servers and removes its folder.
pub struct ControlPlane {
    // Dropped in this order, so that no server complains about one that went before.
    webhook: tokio::sync::Mutex<Option<Webhook>>,
    controller_manager: Mutex<Option<Process>>,
    api_server: Mutex<Process>,
    etcd: Mutex<Process>,
    _keeper: Keeper,
    layout: Layout,
    binaries: Binaries,
}

/// One more API server on the etcd of a control plane.
pub struct SecondApiServer {
    pub port: u16,
    /// The file that it writes its audit events to.
    pub audit_file: PathBuf,
    process: Process,
    folder: PathBuf,
    authority: PathBuf,
}

impl SecondApiServer {
    /// A kubeconfig file of a user that leads to it.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        let url = format!("https://127.0.0.1:{}", self.port);
        kubeconfig::write(&self.folder, user.login, &url, &self.authority, &user.token())
    }
}

/// Why a control plane did not start.
enum Refusal {
    /// Somebody took one of the chosen ports in between.
    PortTaken(String),
    Other(String),
}

impl ControlPlane {
    /// Starts a control plane of its own and waits until it is ready for use.
    pub async fn start() -> Self {
        Self::start_with(servers::AUDIT_POLICY, &[]).await
    }

    /// Starts one whose API server records what this audit policy says, and is given more flags.
    pub async fn start_with(audit_policy: &str, api_flags: &'static [&'static str]) -> Self {
        let mut attempt = 1;
        loop {
            match Self::attempt(audit_policy, api_flags).await {
                Ok(control_plane) => return control_plane,
                Err(Refusal::PortTaken(_)) if attempt < 3 => attempt += 1,
                Err(Refusal::PortTaken(reason) | Refusal::Other(reason)) => {
                    panic!("the control plane did not start: {reason}")
                }
            }
        }
    }

    async fn attempt(audit_policy: &str, api_flags: &'static [&'static str]) -> Result<Self, Refusal> {
        let binaries = Binaries::find().map_err(Refusal::Other)?;
        let folder = process::private_folder("control-plane-");
        // Before the first server, or the death of this program in between would leave that one behind.
        let keeper = Keeper::start(&folder);
        let layout = Layout::prepare(&folder, audit_policy, api_flags);
        let etcd = Process::spawn(&folder, "etcd", &binaries.etcd, &layout.etcd_args(), &[]);
        // The API server waits for etcd by itself.
        let api_server =
            Process::spawn(&folder, "kube-apiserver", &binaries.kube_apiserver, &layout.api_server_args(), &[]);
        let mut control_plane = Self {
            webhook: tokio::sync::Mutex::new(None),
            controller_manager: Mutex::new(None),
            api_server: Mutex::new(api_server),
            etcd: Mutex::new(etcd),
            _keeper: keeper,
            layout,
            binaries,
        };
        match control_plane.become_ready().await {
            Ok(()) => Ok(control_plane),
            Err(refusal) => {
                if matches!(refusal, Refusal::Other(_)) {
                    control_plane.keep();
                }
                Err(refusal)
            }
        }
    }

    async fn become_ready(&mut self) -> Result<(), Refusal> {
        self.api_server_is_ready().await?;
        self.start_controller_manager().await
    }

    async fn api_server_is_ready(&mut self) -> Result<(), Refusal> {
        self.until("the API server is ready", async |this| {
            if !this.layout.authority().exists() {
                return Err("it has no certificate yet".to_owned());
            }
            readiness::api_server(&this.client(users::ADMIN).await).await
        })
        .await
    }

    async fn start_controller_manager(&mut self) -> Result<(), Refusal> {
        let args = self.layout.controller_manager_args(&self.kubeconfig(users::ADMIN), &[]);
        let manager =
            Process::spawn(self.dir(), "kube-controller-manager", &self.binaries.kube_controller_manager, &args, &[]);
        *guard(&self.controller_manager) = Some(manager);
        let client = self.client(users::ADMIN).await;
        self.until("the controller manager works", async |_| readiness::controller_manager(&client).await).await
    }

    /// Waits for `check`, but no longer than all servers run.
    async fn until(&mut self, what: &str, check: impl AsyncFn(&Self) -> Result<(), String>) -> Result<(), Refusal> {
        let waited = poll(START_LIMIT, async || {
            if let Some(end) = self.server_end() {
                return ControlFlow::Break(Err(end));
            }
            match check(self).await {
                Ok(()) => ControlFlow::Break(Ok(())),
                Err(reason) => ControlFlow::Continue(reason),
            }
        })
        .await;
        waited.unwrap_or_else(|reason| Err(Refusal::Other(format!("{what}: not within {START_LIMIT:?}: {reason}"))))
    }

    /// The first server that ended, if one did.
    fn server_end(&mut self) -> Option<Refusal> {
        let end = guard(&self.etcd)
            .gone()
            .or_else(|| guard(&self.api_server).gone())
            .or_else(|| guard(&self.controller_manager).as_mut().and_then(Process::gone))?;
        Some(if end.contains("address already in use") { Refusal::PortTaken(end) } else { Refusal::Other(end) })
    }

    /// Stops the controller manager for good: nothing is collected, and no namespace is emptied.
    pub fn stop_controller_manager(&self) {
        drop(guard(&self.controller_manager).take());
    }

    /// Starts the controller manager again with more controllers.
    pub async fn run_more_controllers(&self, more: &[&str]) {
        self.stop_controller_manager();
        let args = self.layout.controller_manager_args(&self.kubeconfig(users::ADMIN), more);
        let name = "kube-controller-manager";
        let manager = Process::spawn(self.dir(), name, &self.binaries.kube_controller_manager, &args, &[]);
        *guard(&self.controller_manager) = Some(manager);
        let client = self.client(users::ADMIN).await;
        super::eventually("the controller manager works again", START_LIMIT, async || {
            readiness::controller_manager(&client).await
        })
        .await;
    }

    /// Runs the webhook that is installed, if one is, anew: with the arguments and the certificate of now.
    pub async fn run_webhook(&self) {
        let mut webhook = self.webhook.lock().await;
        drop(webhook.take());
        *webhook = Webhook::start(self).await;
    }

    /// Stops the webhook as a crash would. Its address stays where it was.
    pub async fn stop_webhook(&self) {
        drop(self.webhook.lock().await.take());
    }

    /// What the webhook wrote to its log.
    pub async fn webhook_log(&self) -> String {
        self.webhook.lock().await.as_ref().expect("a webhook that runs").log()
    }

    /// Starts the scheduler of Kubernetes, for as long as it is not dropped: most tests have no nodes.
    pub fn start_scheduler(&self) -> Process {
        let args = self.layout.scheduler_args(&self.kubeconfig(users::SCHEDULER));
        Process::spawn(self.dir(), "kube-scheduler", &self.binaries.kube_scheduler, &args, &[])
    }

    /// Stops the API server as a crash would.
    pub fn stop_api_server(&self) {
        guard(&self.api_server).kill();
    }

    /// Starts the API server again, on the same port and data.
    pub async fn start_api_server(&self) {
        let args = self.layout.api_server_args();
        let again = Process::spawn(self.dir(), "kube-apiserver", &self.binaries.kube_apiserver, &args, &[]);
        *guard(&self.api_server) = again;
        let client = self.client(users::ADMIN).await;
        super::eventually("the API server is ready again", START_LIMIT, async || {
            if let Some(end) = guard(&self.api_server).gone() {
                panic!("{end}");
            }
            readiness::api_server(&client).await
        })
        .await;
    }

    /// The process of the API server.
    pub fn api_server_pid(&self) -> u32 {
        guard(&self.api_server).pid()
    }

    /// Starts one more API server on the same etcd, with an audit log of its own, for as long as it is not dropped.
    pub async fn start_second_api_server(&self) -> SecondApiServer {
        let [port] = free_ports();
        let args = self.layout.second_api_server_args(port);
        let process = Process::spawn(self.dir(), "second-apiserver", &self.binaries.kube_apiserver, &args, &[]);
        let (folder, authority) = (self.dir().join("kubeconfig-of-second"), self.layout.authority());
        let mut second =
            SecondApiServer { port, audit_file: self.layout.second_audit_log(), process, folder, authority };
        let client = kubeconfig::client(&second.kubeconfig(users::ADMIN)).await;
        super::eventually("the second API server is ready", START_LIMIT, async || {
            if let Some(end) = second.process.gone() {
                panic!("{end}");
            }
            readiness::api_server(&client).await
        })
        .await;
        second
    }

    /// Stops etcd as a crash would.
    pub fn stop_etcd(&self) {
        guard(&self.etcd).kill();
    }

    /// Starts etcd again on the same data, and waits until the API server is ready with it.
    pub async fn start_etcd(&self) {
        let again = Process::spawn(self.dir(), "etcd", &self.binaries.etcd, &self.layout.etcd_args(), &[]);
        *guard(&self.etcd) = again;
        let client = self.client(users::ADMIN).await;
        super::eventually("the API server is ready with etcd", START_LIMIT, async || {
            readiness::api_server(&client).await
        })
        .await;
    }

    /// The folder of this control plane: logs, kubeconfig files, data.
    pub fn dir(&self) -> &Path {
        &self.layout.folder
    }

    /// A kubeconfig file of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.kubeconfig_for_token(user.login, &user.token())
    }

    /// A kubeconfig file of anyone who has a token, such as a service account.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> PathBuf {
        let folder = self.dir().join("kubeconfig");
        kubeconfig::write(&folder, name, &self.layout.url(), &self.layout.authority(), token)
    }

    /// URL of the API server, and the file of the certificate that it proves itself with.
    pub fn address(&self) -> (String, String) {
        (self.layout.url(), self.layout.authority().display().to_string())
    }

    /// A client with the identity of a user. It belongs to the runtime it was made on.
    pub async fn client(&self, user: User) -> kube::Client {
        kubeconfig::client(&self.kubeconfig(user)).await
    }

    /// A client of anyone who has a token, such as a service account.
    pub async fn client_for_token(&self, name: &str, token: &str) -> kube::Client {
        kubeconfig::client(&self.kubeconfig_for_token(name, token)).await
    }

    /// A client that says nothing of who it is.
    pub async fn anonymous(&self) -> kube::Client {
        kubeconfig::anonymous(&self.kubeconfig(users::ADMIN)).await
    }

    /// kubectl as a user.
    pub fn kubectl(&self, user: User) -> Kubectl {
        self.kubectl_with(&self.kubeconfig(user))
    }

    /// kubectl with a kubeconfig file.
    pub fn kubectl_with(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(Tool::new(&self.binaries.kubectl, self.dir(), kubeconfig))
    }

    /// The folder in which kubectl and helm are.
    pub fn tools(&self) -> PathBuf {
        self.binaries.kubectl.parent().expect("a folder").to_owned()
    }

    /// Runs a line in a shell as a user, whatever comes of it: `kubectl` is theirs there.
    pub async fn shell(&self, user: User, line: &str) -> Output {
        let tools = self.tools().display().to_string();
        let line = format!("PATH='{tools}':\"$PATH\"\n{line}");
        Tool::new(Path::new("/bin/sh"), self.dir(), &self.kubeconfig(user)).run(&["-c", &line], "").await
    }

    /// Runs helm as the admin and returns what it prints.
    pub async fn helm(&self, args: &[&str]) -> String {
        Tool::new(&self.binaries.helm, self.dir(), &self.kubeconfig(users::ADMIN)).ok(args).await
    }

    /// Runs helm as somebody, whatever comes of it.
    pub async fn helm_as(&self, user: User, args: &[&str]) -> Output {
        Tool::new(&self.binaries.helm, self.dir(), &self.kubeconfig(user)).run(args, "").await
    }

    /// The standard error of a helm command that must fail.
    pub async fn helm_refused(&self, args: &[&str]) -> String {
        Tool::new(&self.binaries.helm, self.dir(), &self.kubeconfig(users::ADMIN)).refused(args).await
    }

    /// Where the API server writes its audit log.
    pub fn audit_log_file(&self) -> PathBuf {
        self.layout.audit_log()
    }

    /// The kubeconfig of an audit webhook: an API server that is started while it is there sends its events by it.
    pub fn audit_webhook_file(&self) -> PathBuf {
        self.layout.audit_webhook()
    }

    /// The port of the API server.
    pub fn port(&self) -> u16 {
        self.layout.port()
    }

    /// The API server's audit events so far.
    pub fn audit_log(&self) -> Vec<serde_json::Value> {
        self.audit_lines(|_| true)
    }

    /// The calls so far that the API server has forbidden.
    pub fn refusals(&self) -> Vec<serde_json::Value> {
        // Most lines are not, and reading each takes longer than a trial has.
        self.audit_lines(|line| line.contains(r#""code":403"#))
    }

    /// The calls so far of a user.
    pub fn calls_of(&self, username: &str) -> Vec<serde_json::Value> {
        let events = self.audit_lines(|line| line.contains(username));
        events.into_iter().filter(|event| event["user"]["username"] == username).collect()
    }

    fn audit_lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<serde_json::Value> {
        let log = process::read_log(&self.layout.audit_log());
        // The last line may still be in the writing.
        let complete = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let wanted = complete.lines().filter(|line| wanted(line));
        wanted.map(|line| serde_json::from_str(line).expect("read an audit event")).collect()
    }

    /// Marks that something went wrong here: the folder is kept, and the ends of the logs are shown at the end.
    pub fn keep(&self) {
        let _ = std::fs::write(self.dir().join("keep"), "");
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
        if !self.dir().join("keep").exists() {
            return;
        }
        for name in ["kube-apiserver", "controller", webhook::NAME] {
            let log = process::read_log(&self.dir().join(format!("{name}.log")));
            if !log.is_empty() {
                eprintln!("---- the end of {name}.log\n{}", process::tail(&log, 40));
            }
        }
        eprintln!("---- all logs and data are kept in {}", self.dir().display());
    }
}

/// The lock on a server; a panic elsewhere does not make the server unusable.
fn guard<T>(server: &Mutex<T>) -> MutexGuard<'_, T> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
