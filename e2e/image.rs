//! `make image-check`: the programs of the images at work as a pod has it: an empty root with nothing but the program and
//! what the kubelet mounts, a user who is nobody, no environment but the pod's. No container runtime is needed for that.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Duration;

use serde_json::json;

use crate::harness::archive::{self, ARCHIVE};
use crate::harness::process::Process;
use crate::harness::servers::free_ports;
use crate::harness::users::{ADMIN, ALICE, GITOPS, MALLORY};
use crate::harness::{ControlPlane, Controller, Daypass, binaries, cast, install, trial, webhook};

/// Where a pod finds its account.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";
/// What a debug build is told a wrong clock with.
const WRONG_CLOCK: &str = "DAYPASS_CLOCK_OFFSET";
const LIMIT: Duration = Duration::from_secs(180);

/// Checks the controller's program and the archive's; fails by a panic.
pub fn run(program: Option<String>, archive: Option<String>) -> ExitCode {
    let (Some(program), Some(archive)) = (program, archive) else {
        eprintln!("which programs? `make image-check` knows");
        return ExitCode::FAILURE;
    };
    let checked = async { tokio::time::timeout(LIMIT, check(Path::new(&program), Path::new(&archive))).await };
    trial::runtime().block_on(checked).expect("an end in time");
    ExitCode::SUCCESS
}

/// A root directory in which there is the program and nothing else.
struct Root(PathBuf);

impl Root {
    fn with(program: &Path, root: PathBuf) -> Self {
        std::fs::create_dir_all(&root).expect("make the root");
        std::fs::copy(program, root.join("daypass")).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self(root)
    }

    /// What to run, so that the program runs in this root as nobody, with this environment and no other.
    fn line(&self, env: &[String], args: &[&str]) -> Vec<String> {
        let user = ["unshare", "--user", "--map-user=65532", "--map-group=65532"];
        let root = [format!("--root={}", self.0.display()), "--wd=/".to_owned(), "/daypass".to_owned()];
        let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        let mut line = vec!["-i".to_owned(), path];
        line.extend(env.iter().cloned());
        line.extend(user.map(str::to_owned));
        line.extend(root);
        line.extend(args.iter().map(|arg| (*arg).to_owned()));
        line
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new("/usr/bin/env").args(self.line(&[], args)).output().expect("run in an empty root")
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "daypass {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A folder in which nobody may write: the root belongs to who runs this.
    fn open(&self, name: &str) -> PathBuf {
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder).expect("make a folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, open).expect("open the folder");
        folder
    }

    /// What the kubelet mounts: token, authority and namespace.
    fn mount_account(&self, control_plane: &ControlPlane, token: &str) {
        let account = self.0.join(ACCOUNT);
        std::fs::create_dir_all(&account).expect("make the account's folder");
        std::fs::write(account.join("token"), token).expect("write the token");
        std::fs::write(account.join("namespace"), install::NAMESPACE).expect("write the namespace");
        std::fs::copy(control_plane.address().1, account.join("ca.crt")).expect("write the authority");
    }
}

async fn check(program: &Path, archive: &Path) {
    let bytes = std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let knows_of_it = bytes.windows(WRONG_CLOCK.len()).any(|bytes| bytes == WRONG_CLOCK.as_bytes());
    assert!(!knows_of_it, "a debug build: its clock can be made wrong");
    let control_plane = ControlPlane::start().await;
    Daypass::install(&control_plane, &["archive.enabled=true"]).await;
    cast::give_rights(&control_plane.kubectl(ADMIN)).await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    let root = Root::with(program, control_plane.dir().join("root"));
    assert_eq!(root.ok(&["--version"]), format!("daypass {}\n", env!("CARGO_PKG_VERSION")));
    println!("it runs in an empty root: {}", root.ok(&["--version"]).trim());
    writes_the_crds(&root);

    root.mount_account(&control_plane, &Controller::token(&control_plane).await);
    let [port] = free_ports();
    let env = environment(&control_plane);
    let line = root.line(&env, &["controller", &format!("--listen=127.0.0.1:{port}")]);
    let mut controller = Process::spawn(control_plane.dir(), "controller", Path::new("/usr/bin/env"), &line, &[]);
    let ready = root.run(&["check", &format!("--url=http://127.0.0.1:{port}/readyz"), "--within=60"]);
    if let Some(end) = controller.gone() {
        panic!("{end}");
    }
    assert!(ready.status.success(), "{}\n{}", String::from_utf8_lossy(&ready.stderr), controller.log_tail(20));
    println!("it is ready as a pod would be, by the account and the authority that are mounted");
    grants_and_revokes(&control_plane).await;
    println!("it grants within a window of a time zone, and revokes");
    let archive = Root::with(archive, control_plane.dir().join("archive-root"));
    keeps_and_shows(&archive, &root, &control_plane).await;
}

/// What a pod has of one.
fn environment(control_plane: &ControlPlane) -> [String; 3] {
    let url = control_plane.address().0;
    let api_server = url.rsplit_once(':').expect("a port").1;
    [
        "KUBERNETES_SERVICE_HOST=127.0.0.1".to_owned(),
        format!("KUBERNETES_SERVICE_PORT={api_server}"),
        format!("POD_NAMESPACE={}", install::NAMESPACE),
    ]
}

/// The archive opens its database, is asked by the API server, and copies what it has.
async fn keeps_and_shows(root: &Root, checks: &Root, control_plane: &ControlPlane) {
    assert_eq!(root.ok(&["--version"]), format!("daypass-archive {}\n", env!("CARGO_PKG_VERSION")));
    let admin = control_plane.kubectl(ADMIN);
    let token = admin.ok(&["create", "token", ARCHIVE, "-n", install::NAMESPACE]).await;
    root.mount_account(control_plane, token.trim());
    let folder = root.open("certificates");
    archive::write_files(control_plane, &folder).await;
    root.open("data");
    let (address, [port], [probes]) = (webhook::address(), free_ports(), free_ports());
    let flags = [
        format!("--listen={address}:{port}"),
        format!("--probes=127.0.0.1:{probes}"),
        "--certificates=/certificates".to_owned(),
        "--database=/data/archive.db".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let line = root.line(&environment(control_plane), &flags);
    let mut archive = Process::spawn(control_plane.dir(), ARCHIVE, Path::new("/usr/bin/env"), &line, &[]);
    let ready = checks.run(&["check", &format!("--url=http://127.0.0.1:{probes}/readyz"), "--within=60"]);
    if let Some(end) = archive.gone() {
        panic!("{end}");
    }
    assert!(ready.status.success(), "{}\n{}", String::from_utf8_lossy(&ready.stderr), archive.log_tail(20));
    webhook::lead(control_plane, ARCHIVE, address, port).await;
    admin.ok(&["wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1.archive.daypass.dev"]).await;
    let list = admin.ok(&["get", "--raw", "/apis/archive.daypass.dev/v1/records"]).await;
    assert!(list.contains(r#""kind":"RecordList""#), "{list}");
    let copy = root.run(&["backup", "--database=/data/archive.db"]);
    assert!(copy.status.success() && copy.stdout.starts_with(b"SQLite format 3"), "{copy:?}");
    println!("the archive's program is ready as a pod would be, lists records, and copies its database");
}

fn writes_the_crds(root: &Root) {
    root.open("out");
    root.ok(&["crds", "--out", "/out"]);
    for name in ["accessrequests.yaml", "accesspolicies.yaml"] {
        let read = |folder: PathBuf| std::fs::read_to_string(folder.join(name)).expect("read the definition");
        assert_eq!(read(root.0.join("out")), read(binaries::repository().join("crds")));
    }
    println!("it writes its definitions");
}

async fn grants_and_revokes(control_plane: &ControlPlane) {
    let all_week =
        json!({ "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "end": "24:00" });
    let mut policy = cast::policy("in-berlin", "default");
    policy["spec"]["schedule"] = json!({ "timeZone": "Europe/Berlin", "windows": [all_week] });
    let gitops = control_plane.kubectl(GITOPS);
    gitops.apply(&policy.to_string()).await;
    gitops.ok(&["wait", "--for=condition=Ready", "apol/in-berlin", "--timeout=30s"]).await;
    let alice = control_plane.kubectl(ALICE);
    alice.apply(&cast::request("default", "fix", json!({ "duration": "3s" })).to_string()).await;
    for state in ["Active", "Expired"] {
        let state = format!("--for=jsonpath={{.status.state}}={state}");
        alice.ok(&["wait", &state, "areq/fix", "-n", "default", "--timeout=30s"]).await;
    }
}
