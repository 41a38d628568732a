//! `examples/run.md`, played: each command as it stands there, by alice, and what it answers held against the page.

use std::path::Path;
use std::sync::Arc;

use daypass::api::{AccessRequest, State};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::json;

use super::super::request::stages;
use super::hold::run_as;
use crate::harness::plugin::PROGRAM;
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::{Cluster, cast, eventually, private, shell, wait};
use crate::tutorial::{Command, Part};

const PAGE: Part = Part { file: "examples/run.md", heading: "\n## Access for one command\n", more_than: 5 };
/// What alice is asked at a terminal; what she types stands behind it.
const QUESTIONS: [&str; 2] = ["ask for it? [y/N] ", "why is access needed? "];
/// Stands in the answer of a command that waits for carol.
const APPROVED: &str = "approved by carol";

pub fn trials() -> Vec<Trial> {
    vec![private("plugin::run::story::the_page_tells_what_happens", told)]
}

async fn told(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "namespace", "shop"]).await;
    admin.ok(&["create", "configmap", "checkout", "-n", "shop"]).await;
    admin.ok(&["create", "deployment", "web", "--image=web", "-n", "shop"]).await;
    cluster.allow("shop-view", "shop", json!({ "roles": [{ "name": "view" }] })).await;
    cluster.allow("shop-edit", "shop", stages()).await;
    let mut faults = Vec::new();
    for command in PAGE.commands() {
        let before = requests(&cluster).await;
        // They are listed by the second in which they were made.
        let last = before.iter().filter_map(|request| Some(request.metadata.creation_timestamp.as_ref()?.0)).max();
        eventually("the second of the last request is over", cast::SOON, async || {
            let is_over = last.is_none_or(|last| wait::now().as_second() > last.as_second());
            if is_over { Ok(()) } else { Err("it is not".to_owned()) }
        })
        .await;
        let answer = if QUESTIONS.iter().any(|question| command.answer.contains(question)) {
            at_terminal(&cluster, &command).await
        } else if command.answer.contains(APPROVED) {
            tokio::join!(in_shell(&cluster, &command.line), approve(&cluster, &before)).0
        } else {
            in_shell(&cluster, &command.line).await
        };
        let answer = requests(&cluster).await.iter().map(ResourceExt::name_any).fold(answer, |answer, name| {
            let stem = name.rsplit_once('-').map_or(name.as_str(), |(stem, _)| stem);
            answer.replace(&name, &format!("{stem}-x7k2p"))
        });
        // What is passed through on the way is not told where it takes no time.
        let is_told = |line: &&str| !line.starts_with("waiting") || command.answer.contains(line);
        let answer = answer.lines().filter(is_told).collect::<Vec<_>>().join("\n");
        faults.extend(command.is_answered(PAGE.file, &answer).err().map(|why| format!("$ {}\n{why}", command.line)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// What a line prints in a shell of alice.
async fn in_shell(cluster: &Cluster, line: &str) -> String {
    let plugin = Path::new(PROGRAM).parent().unwrap().display();
    let answered = cluster.control_plane.shell(ALICE, &format!("PATH=\"$PATH:{plugin}\"\n{line} 2>&1")).await;
    answered.stdout
}

/// What a line shows at a terminal of alice, who answers as the page says.
async fn at_terminal(cluster: &Cluster, command: &Command) -> String {
    let words = shell::words(&command.line.replace("kubectl daypass", PROGRAM));
    let args: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut terminal = run_as(cluster, ALICE).variable("NO_COLOR", "1").start_at_terminal(&args);
    for line in command.answer.lines() {
        if let Some((question, typed)) = QUESTIONS.iter().find_map(|q| line.strip_prefix(q).map(|typed| (q, typed))) {
            terminal.until_shown(question).await;
            terminal.types(&format!("{typed}\n")).await;
        }
    }
    terminal.end().await.1.replace("\r\n", "\n")
}

/// carol approves the request that was not there before.
async fn approve(cluster: &Cluster, before: &[AccessRequest]) {
    let before: Vec<String> = before.iter().map(ResourceExt::name_any).collect();
    let name = eventually("one more request is made", cast::SOON, async || {
        let new = requests(cluster).await.iter().map(ResourceExt::name_any).find(|name| !before.contains(name));
        new.ok_or_else(|| "there is none".to_owned())
    })
    .await;
    cluster.until("shop", &name, State::Pending).await;
    cluster.review(CAROL, "shop", &name, "Approve", "go ahead").await;
}

async fn requests(cluster: &Cluster) -> Vec<AccessRequest> {
    cluster.requests("shop").await.list(&Default::default()).await.unwrap().items
}
