//! What the tab key offers behind `kubectl daypass`: through the real kubectl, with the rights of whoever types.

use std::path::Path;
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::{Completion, Trial};
use serde_json::json;
use tokio::time::{Duration, Instant};

use super::request::stages;
use crate::harness::plugin::{PROGRAM, Plugin};
use crate::harness::trial::within;
use crate::harness::users::{ALICE, BOB, CAROL, EVE, GRETA, MALLORY, User};
use crate::harness::{Cluster, binaries, private, shared};

/// Longer than anybody waits at a prompt, and shorter than a call may take.
const AT_A_PROMPT: Duration = Duration::from_secs(8);

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::kubectl_completes_requests_for_whoever_types", requests),
        private("plugin::kubectl_completes_places_roles_and_policies", places),
        shared("plugin::completion_says_nothing_of_a_cluster_that_is_away", away),
        shared("plugin::completion_is_installed_where_kubectl_finds_it", installed),
        in_shell("bash", &["--norc", "--noprofile", "-i"], "source <(kubectl-daypass completion bash)"),
        in_shell(
            "zsh",
            &["-f", "-i"],
            "autoload -Uz compinit; compinit -u -D; source <(kubectl-daypass completion zsh)",
        ),
        in_shell("fish", &["--no-config", "-i"], "kubectl-daypass completion fish | source"),
    ]
}

/// A trial with a real shell, where the machine has it.
fn in_shell(shell: &'static str, flags: &'static [&'static str], loads: &'static str) -> Trial {
    Trial::ignorable_test(format!("plugin::{shell}_completes_the_program_itself"), move || {
        if std::process::Command::new(shell).arg("--version").output().is_err() {
            return Ok(Completion::ignored_with("this machine does not have that shell"));
        }
        let body = async move |cluster: Arc<Cluster>| completes(&cluster, shell, flags, loads).await;
        within(body).map(|()| Completion::Completed)
    })
}

/// What the tab key makes of a line is run: the request is approved.
async fn completes(cluster: &Cluster, shell: &str, flags: &[&str], loads: &str) {
    let (folder, namespace) = (folder().await, cluster.namespace(shell).await);
    cluster.allow(&namespace, &namespace, stages()).await;
    for name in ["fix", "other"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    let carol = Plugin::of(cluster, CAROL).found_in(folder.path()).through(Path::new(shell));
    let mut terminal = carol.variable("HOME", folder.path().display().to_string()).start_at_terminal(flags);
    // While it loads, the terminal is not the shell's, and a key may be taken for something else. What is typed does not show
    // the word that is waited for.
    terminal.types(&format!("{loads}; echo lo''aded\r")).await;
    terminal.until_shown("loaded").await;
    let almost = &namespace[..namespace.len() - 1];
    terminal.types(&format!("kubectl-daypass appr\t--namespace={almost}\t fi\t--ye\t\r")).await;
    terminal.until_shown(&format!("approved {namespace}/fix")).await;
    cluster.until(&namespace, "fix", State::Active).await;
    terminal.types("exit\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    let other = cluster.requests(&namespace).await.get("other").await.unwrap().status.unwrap();
    assert_eq!(other.state, State::Pending, "{screen}");
}

/// A folder with the plugin and what completes it.
async fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("kubectl-daypass")).unwrap();
    Plugin::without_cluster().found_in(folder.path()).done(&["completion", "install"]).await;
    folder
}

/// What kubectl offers to somebody, and the code that tells the shell what else it may do.
async fn offered(cluster: &Cluster, folder: &Path, user: User, words: &[&str]) -> String {
    let kubectl = binaries::Binaries::find().unwrap().kubectl;
    let plugin = Plugin::of(cluster, user).found_in(folder).through(&kubectl);
    plugin.done(&[&["__complete", "daypass"], words].concat()).await
}

/// The same lines by their letters: what is made within a second has no order.
fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

async fn requests(cluster: Arc<Cluster>) {
    let (folder, namespace) = (folder().await, cluster.namespace("tab").await);
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    let own = json!({ "roles": [{ "name": "view" }], "requesters": [{ "kind": "User", "name": "eve" }] });
    cluster.allow(&format!("{namespace}-own"), &namespace, own).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    cluster.ask(BOB, &namespace, "look", json!({ "duration": "20m" })).await;
    cluster.until_reason(&namespace, "look", "Approved", "ApprovalNeeded").await;
    cluster.ask(EVE, &namespace, "run", json!({ "role": { "name": "view" } })).await;
    cluster.until(&namespace, "run", State::Active).await;
    cluster.ask(EVE, &namespace, "no", json!({ "role": { "name": "admin" } })).await;
    cluster.until(&namespace, "no", State::Denied).await;
    let (fix, look) = ("fix\talice: edit, Pending\n", "look\tbob: edit, Pending\n");
    let (run, no) = ("run\teve: view, Active\n", "no\teve: admin, Denied\n");
    let all = format!("{no}{run}{look}{fix}");
    for (user, words, expected) in [
        (CAROL, &["approve", "-n", &namespace, ""][..], format!("{look}{fix}")),
        (CAROL, &["deny", "-n", &namespace, "look", ""], fix.to_owned()),
        (CAROL, &["approve", "-n", &namespace, "l"], look.to_owned()),
        (BOB, &["approve", "-n", &namespace, ""], fix.to_owned()),
        (ALICE, &["approve", "-n", &namespace, ""], String::new()),
        (ALICE, &["drop", "-n", &namespace, ""], fix.to_owned()),
        (EVE, &["drop", "-n", &namespace, ""], run.to_owned()),
        (EVE, &["extend", "-n", &namespace, ""], run.to_owned()),
        (ALICE, &["extend", "-n", &namespace, ""], String::new()),
        (EVE, &["again", "-n", &namespace, ""], format!("{no}{run}")),
        (ALICE, &["show", "-n", &namespace, ""], all.clone()),
        (ALICE, &["explain", "--namespace", &namespace, "-o", "json", ""], all),
        // As whom, and where, the line itself may say.
        (MALLORY, &["drop", "-n", &namespace, "--token", &EVE.token(), ""], run.to_owned()),
        (MALLORY, &["drop", "-n", &namespace, ""], String::new()),
    ] {
        let shown = offered(&cluster, folder.path(), user, words).await;
        assert_eq!(sorted(&shown), sorted(&format!("{expected}:36")), "{} {words:?}", user.name);
    }
    let of_alice = cluster.control_plane.kubeconfig(ALICE).display().to_string();
    let words = ["drop", "--kubeconfig", &of_alice, "-n", &namespace, ""];
    assert_eq!(offered(&cluster, folder.path(), MALLORY, &words).await, format!("{fix}:36\n"));
}

async fn places(cluster: Arc<Cluster>) {
    let (folder, namespace) = (folder().await, cluster.namespace("tabs").await);
    let roles = json!({ "roles": [{ "name": "edit" }, { "kind": "Role", "name": "deployer" }] });
    cluster.allow(&namespace, &namespace, roles).await;
    let policy = format!("policy {namespace}");
    let roles = format!("edit\tup to 1h, {policy}\nrole/deployer\tup to 1h, {policy}\n");
    let (start, half) = (&namespace[..namespace.len() - 1], format!("default,{}", &namespace[..namespace.len() - 1]));
    let both = format!("{namespace},default");
    for (user, words, expected) in [
        (ALICE, &["request", "-n", &namespace, ""][..], format!("{roles}:36\n")),
        (ALICE, &["request", "--namespaces", &namespace, "e"], format!("edit\tup to 1h, {policy}\n:36\n")),
        (ALICE, &["request", "-n", &namespace, "--cluster-wide", ""], ":36\n".to_owned()),
        // Nothing is to be had in both.
        (GRETA, &["request", "--namespaces", &both, ""], ":36\n".to_owned()),
        (MALLORY, &["request", "-n", &namespace, ""], ":36\n".to_owned()),
        (ALICE, &["request", "edit", "--policy", &namespace], format!("{namespace}\n:36\n")),
        // alice may not list namespaces: those that policies name. greta may.
        (ALICE, &["list", "-n", start], format!("{namespace}\n:36\n")),
        (GRETA, &["list", "-n", start], format!("{namespace}\n:36\n")),
        (GRETA, &["request", "edit", "--namespaces", &half], format!("default,{namespace}\n:36\n")),
        (ALICE, &["list", "--context", ""], "e2e\tcluster e2e\n:36\n".to_owned()),
        (ALICE, &["list", "--state", "Active,Ex"], "Active,Expired\nActive,Extended\n:36\n".to_owned()),
        (ALICE, &["list", "-o", "j"], "json\njsonpath=\n:36\n".to_owned()),
        (ALICE, &["policy", "li"], "lint\tWarn of what looks wrong in policies that are in order\n:4\n".to_owned()),
        (ALICE, &["list", "--every"], "--everyone\tThose of everybody, and not yours alone\n:4\n".to_owned()),
        (ALICE, &["request", "edit", "--reason", ""], ":4\n".to_owned()),
        (ALICE, &["policy", "test", ""], ":0\n".to_owned()),
    ] {
        assert_eq!(offered(&cluster, folder.path(), user, words).await, expected, "{} {words:?}", user.name);
    }
}

async fn away(cluster: Arc<Cluster>) {
    let folder = folder().await;
    let completer = Plugin::of(&cluster, ALICE).through(&folder.path().join("kubectl_complete-daypass"));
    // One that takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", silent.local_addr().unwrap());
    for flags in [
        &["--server", "https://127.0.0.1:1"][..],
        &["--server", &silent, "--request-timeout=0"],
        &["--token", "of-yesterday"],
        &["--kubeconfig", "/nowhere"],
        &["--context", "nowhere"],
        &["--request-timeout", "soon"],
    ] {
        let begin = Instant::now();
        let (out, err) = completer.ends(&[&["approve"], flags, &[""]].concat(), 0).await;
        assert_eq!((out.as_str(), err.as_str()), (":36\n", ""), "{flags:?}");
        assert!(begin.elapsed() < AT_A_PROMPT, "{flags:?}: {:?}", begin.elapsed());
    }
}

async fn installed(cluster: Arc<Cluster>) {
    let kubectl = binaries::Binaries::find().unwrap().kubectl;
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::of(&cluster, ALICE).found_in(folder.path());
    let completes = async || plugin.clone().through(&kubectl).done(&["__complete", "daypass", "appr"]).await;
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("kubectl-daypass")).unwrap();
    assert_eq!(completes().await, ":0\n", "nothing is installed yet");
    let file = folder.path().join("kubectl_complete-daypass");
    for what in ["is made", "is there already"] {
        let out = plugin.done(&["completion", "install"]).await;
        assert!(out.starts_with(&format!("{} {what}\n", file.display())), "{out}");
        assert_eq!(completes().await, "approve\tApprove requests\n:4\n");
    }
    // Where something else has that name, it is left alone, and the way out is named.
    let other = tempfile::tempdir().unwrap();
    let taken = other.path().join("kubectl_complete-daypass");
    std::fs::write(&taken, "mine").unwrap();
    let dir = ["completion", "install", "--dir", &other.path().display().to_string()];
    let (_, err) = plugin.ends(&dir, 1).await;
    assert!(err.contains("remove it first") && err.contains("ln -s "), "{err}");
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
    // kubectl does not look there, which is said.
    std::fs::remove_file(&taken).unwrap();
    let (out, err) = plugin.ends(&dir, 0).await;
    assert!(out.contains("is made") && err.contains("is not in $PATH"), "{out}{err}");
}
