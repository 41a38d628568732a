//! Ctrl-C at each step of a run: nothing of it is left, neither access nor file nor process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use super::super::request::stages;
use super::hold::{SCRIPT, asked_for, line, nothing_is_left, run_as};
use crate::harness::cast::SOON;
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::process::alive;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::run::breaks::at_a_question", at_question),
        shared("plugin::run::breaks::while_somebody_is_to_approve", while_waiting),
        shared("plugin::run::breaks::while_a_call_is_sent_again", while_sent_again),
        private("plugin::run::breaks::while_access_is_dropped", while_dropping),
        shared("plugin::run::breaks::what_is_deleted_meanwhile_is_said_to_be", deleted),
    ]
}

/// Where a run and its command leave what is looked for.
struct Traces {
    folder: TempDir,
}

impl Traces {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Where kubeconfigs of runs are.
    fn session(&self) -> &Path {
        self.folder.path()
    }

    fn process(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// A command that writes down its process, and then calls.
    fn command(&self, path: &str) -> String {
        format!("echo $$ > {}; exec kubectl get --raw '{path}'", self.process().display())
    }

    /// That neither process nor kubeconfig is there any more.
    async fn are_gone(&self) {
        let pid: u32 = std::fs::read_to_string(self.process()).unwrap().trim().parse().unwrap();
        eventually("the command has ended", SOON, async || if alive(pid) { Err(pid.to_string()) } else { Ok(()) })
            .await;
        let left: Vec<_> = std::fs::read_dir(self.session()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["pid"]);
    }
}

fn of_alice(cluster: &Cluster, traces: &Traces) -> Plugin {
    let alice = Plugin::of(cluster, ALICE).found_in(&cluster.control_plane.tools());
    alice.variable("XDG_RUNTIME_DIR", traces.session().display().to_string())
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

async fn at_question(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-break").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    for (answers, question) in [(&[][..], "ask for it? [y/N] "), (&["y\n"], "why is access needed? ")] {
        let traces = Traces::new();
        let command = traces.command(&pods(n));
        let mut terminal = of_alice(&cluster, &traces).start_at_terminal(&line(n, &[], &["sh", "-c", &command])[1..]);
        for answer in answers {
            terminal.until_shown("ask for it? [y/N] ").await;
            terminal.types(answer).await;
        }
        terminal.until_shown(question).await;
        terminal.types("\u{3}").await;
        let (code, screen) = terminal.end().await;
        assert_eq!(code, Some(130), "{question}: {screen}");
        assert!(asked_for(&cluster, n).await.is_empty(), "{screen}");
        traces.are_gone().await;
    }
}

async fn while_waiting(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-break").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    let traces = Traces::new();
    let command = traces.command(&pods(n));
    let mut terminal = of_alice(&cluster, &traces).start_at_terminal(&line(n, &SCRIPT, &["sh", "-c", &command])[1..]);
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    terminal.types("\u{3}").await;
    terminal.until_shown(&format!("dropped {n}/{name}")).await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(130), "{screen}");
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
    traces.are_gone().await;
}

async fn while_sent_again(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-break").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let traces = Traces::new();
    // A watch is answered for as long as it goes on.
    let command = traces.command(&format!("{}?watch=true", pods(n)));
    let mut terminal = of_alice(&cluster, &traces).start_at_terminal(&line(n, &SCRIPT, &["sh", "-c", &command])[1..]);
    let name = only_request(&cluster, n).await;
    eventually("the watch has begun", SOON, async || {
        let calls = cluster.control_plane.calls_of("alice");
        let is_it = |event: &serde_json::Value| {
            event["verb"] == "watch" && event["objectRef"]["namespace"] == *n && event["responseStatus"]["code"] == 200
        };
        if calls.iter().any(is_it) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    terminal.types("\u{3}").await;
    let (code, screen) = terminal.end().await;
    assert!(
        code == Some(130) && screen.contains(&format!("dropped {n}/{name}: its access is gone")),
        "{code:?} {screen}"
    );
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
    traces.are_gone().await;
}

/// Nobody ends access while no controller runs; what was said to it stays said.
async fn while_dropping(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-break").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let traces = Traces::new();
    let command = traces.command(&format!("{}?watch=true", pods(n)));
    let flags = [&SCRIPT[..], &["--request-timeout=4s"]].concat();
    let mut terminal = of_alice(&cluster, &traces).start_at_terminal(&line(n, &flags, &["sh", "-c", &command])[1..]);
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Active).await;
    terminal.until_shown("granted until").await;
    cluster.controller.kill();
    terminal.types("\u{3}").await;
    let requests = cluster.requests(n).await;
    eventually("alice has said that it ends", SOON, async || {
        let status = requests.get(&name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.reviews.contains_key("alice") { Ok(()) } else { Err("no review".to_owned()) }
    })
    .await;
    terminal.types("\u{3}").await;
    let (code, screen) = terminal.end().await;
    assert!(code == Some(130) && screen.contains("has not ended yet"), "{code:?} {screen}");
    traces.are_gone().await;
    cluster.controller.start_again();
    cluster.until(n, &name, State::Revoked).await;
    cluster.until_unbound(n).await;
}

async fn deleted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-deleted").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let watch = format!("{}?watch=true", pods(n));
    let mut running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["kubectl", "get", "--raw", &watch]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Active).await;
    running.until_said("granted until").await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", &name, "-n", n]).await;
    running.interrupt();
    let (_, out, err) = running.end().await;
    assert!(err.contains(&format!("{n}/{name} was deleted: access that it gave ends when Daypass sees")), "{out}{err}");
    cluster.until_unbound(n).await;
}
