//! What every command says to whoever may not do it, has no cluster, or no login any longer.
//!
//! [`COMMANDS`] has each command that talks to a cluster, which is held against the command line itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Command, CommandFactory};
use daypass::api::State;
use daypass::cli::plugin::Plugin as CommandLine;
use futures::{StreamExt, stream};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::draft;
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, GRETA, MALLORY};
use crate::harness::{Cluster, ControlPlane, alone, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::each_command_names_the_right_that_is_missing", no_rights),
        shared("plugin::each_command_says_that_the_cluster_is_away", away),
        shared("plugin::each_command_says_that_the_cluster_gives_no_answer_in_time", silent),
        shared("plugin::each_command_says_that_the_login_is_over", logged_out),
        alone("plugin::each_command_says_that_daypass_is_not_installed", AUDIT_POLICY, not_installed),
        private("plugin::each_command_copes_with_a_cluster_without_policies", no_policy),
    ]
}

/// How a command tells that a call failed, and which: the first that it makes.
#[derive(Clone, Copy)]
enum FailureTold {
    /// It prints nothing, and ends with this code.
    Error(i32, &'static str),
    /// The same of the archive; and of the objects, for whoever may not read the archive.
    Behind(&'static str, &'static str),
    /// In a note: it goes on without the cluster.
    Note(&'static str),
    /// As what it found. Whoever may nothing may make this call; the second is the first that they may not.
    Finding(&'static str, &'static str),
}

/// Every command that talks to a cluster, with what it takes to do so.
const COMMANDS: [(&str, &[&str], FailureTold); 49] = [
    ("request", &["edit", "--reason=x"], FailureTold::Error(1, WHO)),
    ("request", &["--from-error"], FailureTold::Error(1, WHO)),
    ("request", &[], FailureTold::Error(1, WHO)),
    ("options", &[], FailureTold::Error(1, WHO)),
    ("extend", &["fix", "--by=5m"], FailureTold::Error(1, "get accessrequests in namespace default")),
    ("again", &["fix"], FailureTold::Error(1, "get accessrequests in namespace default")),
    ("list", &[], FailureTold::Error(1, "list accessrequests in namespace default")),
    ("list", &["-A"], FailureTold::Error(1, "list accessrequests in all namespaces")),
    ("watch", &["--everyone"], FailureTold::Error(1, "watch accessrequests in namespace default")),
    ("activity", &["fix"], FailureTold::Error(1, "get accessrequests in namespace default")),
    ("show", &["fix"], FailureTold::Error(1, "get accessrequests in namespace default")),
    (
        "history",
        &[],
        FailureTold::Behind(
            "list records.archive.daypass.dev in namespace default",
            "list accessrequests in namespace default",
        ),
    ),
    (
        "report decisions",
        &[],
        FailureTold::Behind(
            "list records.archive.daypass.dev in namespace default",
            "list accessrequests in namespace default",
        ),
    ),
    ("verify", &[A_LOG], FailureTold::Error(1, "list log.archive.daypass.dev")),
    ("proof", &["fix"], FailureTold::Error(1, "list log.archive.daypass.dev")),
    (
        "replay",
        &["fix"],
        FailureTold::Behind(
            "list records.archive.daypass.dev in namespace default",
            "get accessrequests in namespace default",
        ),
    ),
    ("report findings", &[], FailureTold::Error(1, "list accessrequests in namespace default")),
    (
        "report access",
        &[],
        FailureTold::Behind(
            "list records.archive.daypass.dev in namespace default",
            "list accessrequests in namespace default",
        ),
    ),
    (
        "report usage",
        &[],
        FailureTold::Behind(
            "list records.archive.daypass.dev in namespace default",
            "list accessrequests in namespace default",
        ),
    ),
    ("report standing", &["-A"], FailureTold::Error(1, "list accessrequests in all namespaces")),
    ("report pack", &["--from=1d", "--file=target/never-made"], FailureTold::Error(1, WHO)),
    ("report review", &["h2"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    (
        "review start",
        &["h2", "--due=4w", "--owner=carol", "-A", "--yes"],
        FailureTold::Error(1, "list accessrequests in all namespaces"),
    ),
    ("review list", &[], FailureTold::Error(1, "list campaigns.archive.daypass.dev")),
    ("review show", &["h2"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("review confirm", &["h2", "abc", "-m", "x", "--yes"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("review remove", &["h2", "abc", "-m", "x", "--yes"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("review look", &["h2"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("review close", &["h2", "-m", "x", "--yes"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("review export", &["h2"], FailureTold::Error(1, "get campaigns.archive.daypass.dev")),
    ("retention show", &[], FailureTold::Error(1, "list retention.archive.daypass.dev")),
    ("retention holds", &[], FailureTold::Error(1, "list holds.archive.daypass.dev")),
    (
        "retention hold",
        &["case-7", "--person", "alice", "-m", "x"],
        FailureTold::Error(1, "create holds.archive.daypass.dev"),
    ),
    ("retention lift", &["case-7", "-m", "x", "--yes"], FailureTold::Error(1, "delete holds.archive.daypass.dev")),
    ("retention erase", &["alice", "-m", "x", "--yes"], FailureTold::Error(1, "create erasures.archive.daypass.dev")),
    ("who", &["-A"], FailureTold::Error(1, "list accessrequests in all namespaces")),
    ("pending", &["-A"], FailureTold::Error(1, WHO)),
    ("approve", &["fix", "--yes"], FailureTold::Error(1, WHO)),
    ("deny", &["fix", "--yes"], FailureTold::Error(1, WHO)),
    ("revoke", &["fix", "--yes"], FailureTold::Error(1, WHO)),
    ("drop", &["fix"], FailureTold::Error(1, WHO)),
    ("explain", &["fix"], FailureTold::Error(1, "get accessrequests in namespace default")),
    ("doctor", &[], FailureTold::Finding("ask the API server for its version", WHO)),
    ("notify test", &["ops"], FailureTold::Error(1, "list pods in namespace daypass-system")),
    ("ui", &["--no-browser"], FailureTold::Error(1, WHO)),
    ("policy lint", &["--cluster"], FailureTold::Error(2, "list accesspolicies")),
    ("policy narrower", &["devs"], FailureTold::Error(2, "get accesspolicies")),
    (
        "policy diff",
        &["--cluster", "examples/gitops/policies", "-f", "examples/gitops/tests"],
        FailureTold::Error(2, "list accesspolicies"),
    ),
    (
        "policy init",
        &["--team=dev", "--namespaces=shop", "--role=edit", "--approver=sre", "--max=2h", "--low-risk=at-once"],
        FailureTold::Note(WHO),
    ),
];
/// Those that ask nothing themselves: the calls of what they run are tried in [`super::run`].
const FOR_OTHERS: [&str; 1] = ["run"];
/// A key of a log that nobody has.
const A_LOG: &str = "--key=daypass.dev/archive/e2e+297d9526+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The call that says who calls.
const WHO: &str = "create selfsubjectreviews";

/// Runs each command; what it says of the call that fails is what `says` makes of it.
async fn each(plugin: &Plugin, more: &[&str], may_ask: bool, says: impl Fn(&str) -> String) {
    let paths = COMMANDS.iter().map(|(path, ..)| *path).chain(FOR_OTHERS);
    assert_eq!(paths.map(str::to_owned).collect::<BTreeSet<_>>(), talking());
    let run = async |(path, args, told): &(&str, &[&str], FailureTold)| {
        let line: Vec<&str> = path.split(' ').chain(more.iter().chain(*args).copied()).collect();
        let (code, out, err) = plugin.run(&line).await;
        let (expected, text, what) = match *told {
            FailureTold::Error(code, what) => (code, &err, what),
            FailureTold::Behind(_, what) if may_ask => (1, &err, what),
            FailureTold::Behind(what, _) => (1, &err, what),
            FailureTold::Note(what) => (0, &err, what),
            FailureTold::Finding(_, what) if may_ask => (0, &out, what),
            FailureTold::Finding(what, _) => (1, &out, what),
        };
        assert_eq!(code, Some(expected), "{line:?}: {out}{err}");
        assert!(text.contains(&says(what)), "{line:?}: {:?} is not in {out}{err}", says(what));
        let is_error = matches!(told, FailureTold::Error(..) | FailureTold::Behind(..));
        assert_eq!(out.is_empty(), is_error, "{line:?}: {out}{err}");
    };
    // More at a time would only keep each other from being heard in time.
    stream::iter(&COMMANDS).for_each_concurrent(4, run).await;
}

/// The commands of the command line that take a cluster, by the words that choose them.
fn talking() -> BTreeSet<String> {
    fn collect(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        if command.get_arguments().any(|arg| arg.get_id() == "context") {
            found.insert(path.to_owned());
        }
        for below in command.get_subcommands() {
            collect(below, format!("{path} {}", below.get_name()).trim(), found);
        }
    }
    let mut found = BTreeSet::new();
    collect(&CommandLine::command(), "", &mut found);
    found
}

async fn no_rights(cluster: Arc<Cluster>) {
    let kubeconfig = cluster.control_plane.kubeconfig(MALLORY);
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    // Whoever does not log in is let in as nobody, and may do nothing of this.
    kubeconfig["users"][0]["user"] = json!({});
    let nobody = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(nobody.path(), kubeconfig.to_string()).unwrap();
    each(&Plugin::with(nobody.path()), &[], true, |what| format!("you may not {what}")).await;
}

async fn away(cluster: Arc<Cluster>) {
    let says = |what: &str| format!("cannot {what}: https://127.0.0.1:1 (context e2e) cannot be reached (");
    each(&Plugin::of(&cluster, GRETA), &["--server=https://127.0.0.1:1"], false, says).await;
}

/// Somebody listens, and says nothing.
async fn silent(cluster: Arc<Cluster>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let flags = ["--server", &server, "--request-timeout=1s"];
    let says = |what: &str| format!("cannot {what}: no answer of {server} (context e2e) within 1s");
    let greta = Plugin::of(&cluster, GRETA);
    each(&greta, &flags, false, says).await;
    // The doctor, who asks for so much, does not wait for each answer when the first two do not come.
    let (listener, calls) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(Mutex::new(Vec::new())));
    let (server, held) = (format!("--server=https://{}", listener.local_addr().unwrap()), calls.clone());
    tokio::spawn(async move {
        while let Ok((call, _)) = listener.accept().await {
            held.lock().await.push(call);
        }
    });
    greta.ends(&["doctor", &server, "--request-timeout=1s"], 1).await;
    assert_eq!(calls.lock().await.len(), 2);
}

async fn logged_out(cluster: Arc<Cluster>) {
    let server = cluster.control_plane.address().0;
    let says = |what: &str| format!("cannot {what}: {server} (context e2e) does not accept the token of --token: get");
    each(&Plugin::of(&cluster, GRETA), &["--token=of-yesterday"], false, says).await;
}

/// Nothing of the chart is there, and nothing of its group is served.
async fn not_installed(control_plane: Arc<ControlPlane>) {
    let admin = Plugin::with(&control_plane.kubeconfig(ADMIN));
    let looks = COMMANDS.iter().filter(|(.., told)| matches!(told, FailureTold::Error(..) | FailureTold::Behind(..)));
    for (path, args, _) in looks.filter(|(_, args, _)| !args.contains(&"--from-error")) {
        let line: Vec<&str> = path.split(' ').chain(args.iter().copied()).collect();
        let (code, out, err) = admin.run(&line).await;
        assert!(code != Some(0) && out.is_empty(), "{line:?}: {code:?} {out}{err}");
        assert!(err.contains("Daypass is not installed in this cluster"), "{line:?}: {err}");
    }
}

async fn no_policy(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("bare").await;
    let admin = Plugin::of(&cluster, ADMIN);
    let asks = ["request", "edit", "--reason=x", "-n", &namespace];
    let (out, err) = admin.ends(&asks, 3).await;
    assert!(out.starts_with("would be denied"), "{out}{err}");
    let file = draft(&namespace, json!({}));
    let file = file.path().display().to_string();
    let out = admin.done(&["explain", "-f", &file]).await;
    assert!(out.contains("denied because"), "{out}");
    let (out, err) = admin.ends(&["pending", "-A"], 0).await;
    assert!(out.is_empty(), "{out}{err}");
    assert_eq!(admin.done(&["policy", "lint", "--cluster"]).await, "0 policies, 0 warnings\n");
    let out = admin.done(&["options", "-n", &namespace]).await;
    assert!(out.starts_with(&format!("no policy lets admin ask for anything in namespace {namespace}")), "{out}");
    cluster.ask(ADMIN, &namespace, "fix", json!({})).await;
    cluster.until(&namespace, "fix", State::Denied).await;
    let (out, err) = admin.ends(&["again", "fix", "-n", &namespace], 3).await;
    assert!(out.starts_with("would be denied"), "{out}{err}");
    let (_, err) = admin.ends(&["approve", "fix", "-n", &namespace, "--yes"], 1).await;
    assert!(err.contains("it is over (Denied)"), "{err}");
}
