//! Checks the harness itself: the users are who they claim to be, and nothing outlives the test program.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use libtest_mimic::Trial;

use crate::harness::process::{alive, signal};
use crate::harness::users::{ALICE, BOB};
use crate::harness::{self, ControlPlane, eventually};

/// The argument that makes this program start a control plane, print its folder and wait.
pub const HOLD: &str = "--hold-a-control-plane";

pub fn trials() -> Vec<Trial> {
    vec![
        harness::bare("harness::a_client_is_its_user", a_client_is_its_user),
        harness::bare("harness::kubectl_is_its_user", kubectl_is_its_user),
        harness::bare("harness::every_action_is_in_the_audit_log", every_action_is_in_the_audit_log),
        harness::bare("harness::nothing_outlives_a_killed_program", |_| nothing_outlives("KILL")),
        harness::bare("harness::nothing_outlives_an_interrupted_program", |_| nothing_outlives("INT")),
    ]
}

async fn a_client_is_its_user(control_plane: Arc<ControlPlane>) {
    let reviews: Api<SelfSubjectReview> = Api::all(control_plane.client(ALICE).await);
    let review = reviews.create(&Default::default(), &SelfSubjectReview::default()).await.expect("ask who I am");
    let user = review.status.and_then(|status| status.user_info).expect("an answer");
    assert_eq!(user.username.as_deref(), Some("alice"));
    assert_eq!(user.uid.as_deref(), Some("u-alice"));
    assert_eq!(user.groups.unwrap_or_default(), ["dev", "system:authenticated"]);
}

async fn kubectl_is_its_user(control_plane: Arc<ControlPlane>) {
    let bob = control_plane.kubectl(BOB);
    let answer =
        bob.ok(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}"]).await;
    assert_eq!(answer, r#"bob ["dev","approvers","system:authenticated"]"#);
    assert!(!bob.can_i("delete", "secrets", Some("default")).await);
    assert!(control_plane.kubectl(harness::users::ADMIN).can_i("delete", "secrets", None).await);
    let refusal = bob.apply_refused("{apiVersion: v1, kind: Namespace, metadata: {name: of-bob}}").await;
    assert!(refusal.contains(r#"User "bob" cannot"#), "{refusal}");
}

async fn every_action_is_in_the_audit_log(control_plane: Arc<ControlPlane>) {
    control_plane.kubectl(ALICE).refused(&["get", "secrets", "--namespace", "of-the-audit-trial"]).await;
    eventually("alice's attempt is in the audit log", Duration::from_secs(10), async || {
        let events = control_plane.audit_log();
        let hers = events.iter().find(|event| event["objectRef"]["namespace"] == "of-the-audit-trial");
        let hers = hers.ok_or_else(|| format!("none among {} events", events.len()))?;
        assert_eq!(hers["user"]["username"], "alice");
        assert_eq!(hers["responseStatus"]["code"], 403);
        Ok(())
    })
    .await;
}

/// Ends a program that holds a control plane, by a signal, and waits until everything of it is gone.
async fn nothing_outlives(name: &str) {
    let mut program = Command::new(std::env::current_exe().expect("find this program"))
        .arg(HOLD)
        // The terminal interrupts all of a group: this makes one that is not the group of the tests.
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start this program again");
    let mut line = String::new();
    BufReader::new(program.stdout.take().expect("its output is piped")).read_line(&mut line).expect("read its output");
    let folder = PathBuf::from(line.trim_end().strip_prefix("ready ").unwrap_or_else(|| panic!("it printed {line:?}")));
    let pids = pids(&folder);
    assert_eq!(pids.len(), 4, "three servers and their keeper");
    assert!(pids.iter().all(|pid| alive(*pid)), "they run");

    signal(name, &format!("-{}", program.id()));
    program.wait().expect("wait for its end");

    eventually("everything of the ended program is gone", Duration::from_secs(20), async || {
        let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
        match (left.is_empty(), folder.exists()) {
            (true, false) => Ok(()),
            (_, folder_exists) => Err(format!("processes {left:?} of {pids:?}; its folder exists: {folder_exists}")),
        }
    })
    .await;
}

/// The processes that a control plane recorded in its folder.
fn pids(folder: &std::path::Path) -> Vec<u32> {
    let files = std::fs::read_dir(folder).expect("read the folder of the control plane");
    let paths = files.map(|file| file.expect("read an entry").path());
    let records = paths.filter(|path| path.extension().is_some_and(|kind| kind == "pid") || path.ends_with("keeper"));
    records.map(|path| std::fs::read_to_string(path).expect("read a pid").trim().parse().expect("a pid")).collect()
}

/// The program that [`HOLD`] asks for. It never ends by itself.
pub fn hold() -> ExitCode {
    harness::trial::runtime().block_on(async {
        let control_plane = ControlPlane::start().await;
        println!("ready {}", control_plane.dir().display());
        // Without this, a shell that ignores interrupts for its background jobs would make this program ignore them.
        let _ = tokio::signal::ctrl_c().await;
        // Like the default of the signal: nothing is dropped.
        std::process::exit(130)
    })
}
