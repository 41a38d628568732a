//! How long the plugin takes to start and how much memory it takes at most, beside kubectl in the same run.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tokio::time::Instant;

use super::{Spread, in_millis, line};
use crate::harness::plugin::PROGRAM;
use crate::harness::users::ALICE;
use crate::harness::{Cluster, binaries};

/// How often each is started.
const STARTS: usize = 200;
/// How often each is watched for its memory.
const WATCHED: usize = 20;

/// A command line of a program.
struct Start<'a> {
    what: &'a str,
    program: &'a Path,
    args: Vec<&'a str>,
}

/// Measures and prints.
pub async fn measure() {
    let cluster = Cluster::private().await;
    let namespace = cluster.namespace("bench").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    for n in 0..20 {
        cluster.ask(ALICE, &namespace, &format!("fix-{n}"), json!({})).await;
    }
    let kubeconfig = cluster.control_plane.kubeconfig(ALICE);
    let kubectl = binaries::Binaries::find().expect("kubectl").kubectl;
    let folder = tempfile::tempdir().expect("a folder");
    let completer = folder.path().join("kubectl_complete-daypass");
    std::os::unix::fs::symlink(PROGRAM, &completer).expect("make a link");
    let plugin = Path::new(PROGRAM);
    let kubectl = Start::of("kubectl version --client", &kubectl, &["version", "--client"]);
    let help = Start::of("kubectl-daypass --help", plugin, &["--help"]);
    let commands = Start::of("completion of a command", &completer, &["app"]);
    let names = Start::of("completion of 20 names, asked for", &completer, &["drop", "-n", &namespace, ""]);
    let list = Start::of("kubectl-daypass list", plugin, &["list", "-n", &namespace]);
    let request = ["request", "edit", "--reason=x", "--no-wait", "-n", &namespace];
    let request = Start::of("kubectl-daypass request", plugin, &request);
    println!("The plugin: {STARTS} starts of each, in turn");
    println!("{:<54} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
    let timed = [&kubectl, &help, &commands, &names];
    let mut took = timed.map(|_| Vec::new());
    for _ in 0..STARTS {
        for (start, took) in timed.iter().zip(&mut took) {
            took.push(start.timed(&kubeconfig));
        }
    }
    for (start, took) in timed.iter().zip(took) {
        line(start.what, &Spread::of(in_millis(&took)));
    }
    println!("{:<54} {:>9}", format!("the most memory, in {WATCHED} runs"), "MiB");
    for start in [&help, &commands, &names, &list, &request] {
        let most = (0..WATCHED).map(|_| start.most_memory(&kubeconfig)).fold(0.0, f64::max);
        println!("{:<54} {most:>9.1}", start.what);
    }
    println!();
}

impl<'a> Start<'a> {
    fn of(what: &'a str, program: &'a Path, args: &[&'a str]) -> Self {
        Self { what, program, args: args.to_vec() }
    }

    fn command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.args).env("KUBECONFIG", kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn timed(&self, kubeconfig: &Path) -> std::time::Duration {
        let begin = Instant::now();
        let ended = self.command(kubeconfig).status().expect("run it");
        assert!(ended.success(), "{}: {ended}", self.what);
        begin.elapsed()
    }

    /// In MiB, as the kernel last told it before the end; nothing more is told of a process that has ended.
    fn most_memory(&self, kubeconfig: &Path) -> f64 {
        let mut child = self.command(kubeconfig).spawn().expect("run it");
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0.0_f64;
        while child.try_wait().expect("look at it").is_none() {
            let told = std::fs::read_to_string(&status).unwrap_or_default();
            let size = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            most = size.trim().trim_end_matches(" kB").parse::<f64>().map_or(most, |kb| most.max(kb / 1024.0));
        }
        most
    }
}
