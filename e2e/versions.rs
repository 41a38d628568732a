//! Owns which trials every version of Kubernetes must pass that the chart says it runs on, and checks that each version
//! can be had: pinned as one release, run when it is asked for, and within what the chart declares.

use std::process::Command;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::harness::binaries::{Version, repository};
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, bare};
use crate::{admission, approve, attack, chart, identity, release, spread};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("versions::the_api_server_is_of_the_version_asked_for", is_of_the_version_asked_for),
        bare("versions::the_chart_allows_each_that_is_pinned", the_chart_allows_each),
        Trial::test("versions::each_is_pinned_as_one_release", each_is_one_release),
        Trial::test("versions::every_check_tries_the_newest", every_check_tries_the_newest),
        Trial::test("versions::one_that_is_not_pinned_is_refused_by_name", not_pinned_is_refused),
    ]
}

/// The trials of what depends most on the API server: admission policies, the schema, and the chart's life.
pub fn part() -> Vec<Trial> {
    let of_all = [
        trials(),
        attack::trials(),
        admission::trials(),
        identity::trials(),
        approve::trials(),
        chart::trials(),
        spread::trials(),
        release::trials(),
    ];
    of_all.into_iter().flatten().collect()
}

async fn is_of_the_version_asked_for(control_plane: Arc<ControlPlane>) {
    let default = || Version::pinned().into_iter().next();
    let given = std::env::var_os("KUBEBUILDER_ASSETS").is_some_and(|assets| !assets.is_empty());
    // Which version is in a folder that somebody else filled is theirs to know.
    let unnamed = || if given { None } else { default() };
    let Some(asked) = Version::asked().expect("a version").or_else(unnamed) else { return };
    let answer = control_plane.kubectl(ADMIN).ok(&["get", "--raw", "/version"]).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["gitVersion"], asked.release, "the version asked for is {}", asked.minor);
}

async fn the_chart_allows_each(control_plane: Arc<ControlPlane>) {
    let chart = chart::chart();
    let with = |version| ["template", "daypass", chart.as_str(), "--kube-version", version];
    let pinned = Version::pinned();
    for version in &pinned {
        control_plane.helm(&with(&version.release)).await;
    }
    // So that a chart that allows any version at all would be seen.
    let refusal = control_plane.helm_refused(&with("v1.32.9")).await;
    assert!(refusal.contains("incompatible with Kubernetes v1.32.9"), "{refusal}");
}

fn each_is_one_release() -> Result<(), Failed> {
    for version in Version::pinned() {
        // A build of parts that were never released together tells nothing of either release.
        let staging = version.release.replacen("v1.", "v0.", 1);
        let replaced: Vec<_> =
            version.go_mod().lines().filter(|line| line.contains(" => ")).map(str::to_owned).collect();
        let others: Vec<_> = replaced.iter().filter(|line| !line.ends_with(&format!(" {staging}"))).collect();
        if replaced.is_empty() || !others.is_empty() {
            return Err(format!("{} replaces {replaced:?}; not with {staging}: {others:?}", version.minor).into());
        }
    }
    Ok(())
}

/// Or a version could be pinned and never run.
fn every_check_tries_the_newest() -> Result<(), Failed> {
    let number = |version: &Version| version.minor.split_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok());
    let newest = Version::pinned().into_iter().max_by_key(number).ok_or("nothing is pinned")?;
    let check = std::fs::read_to_string(repository().join(".ci/run"))?;
    let line = format!("make test-version KUBERNETES={}", newest.minor);
    if check.lines().any(|of_check| of_check == line) { Ok(()) } else { Err(format!(".ci/run lacks: {line}").into()) }
}

fn not_pinned_is_refused() -> Result<(), Failed> {
    let pinned = Version::pinned();
    for name in ["1.99", "helm", "1.3", "../controlplane"] {
        let Err(by_harness) = Version::named(name) else { return Err(format!("{name} is taken for a version").into()) };
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("programs");
        let script = repository().join("e2e/controlplane/build.sh");
        let output = Command::new(script).arg(&out).arg(name).output()?;
        let by_script = String::from_utf8_lossy(&output.stderr).into_owned();
        for refusal in [&by_harness, &by_script] {
            let all_named = pinned.iter().all(|version| refusal.contains(&version.minor));
            if !refusal.contains(name) || !all_named {
                return Err(format!("{name}: the refusal names not all of {pinned:?}: {refusal}").into());
            }
        }
        if output.status.success() || out.exists() {
            return Err(format!("{name}: the script went to work").into());
        }
    }
    Ok(())
}
