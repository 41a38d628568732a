//! Owns which trials every version of Kubernetes must pass that the chart says it runs on, and checks that each version
//! can be had: pinned as one release, run when it is asked for, and within what the chart declares.

pub mod table;

use std::process::Command;
use std::sync::Arc;

use daypass::core::guard::missing::OLDEST_KUBERNETES;
use libtest_mimic::{Failed, Trial};

use crate::harness::binaries::{Version, repository};
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::proxy::Fault;
use crate::harness::users::{ADMIN, MALLORY};
use crate::harness::{Cluster, ControlPlane, bare, cast, eventually, flagged, shared};
use crate::{admission, approve, attack, chart, grant, identity, identity_ways, release, spread, tutorial};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("versions::the_api_server_is_of_the_version_asked_for", is_of_the_version_asked_for),
        bare("versions::the_chart_allows_each_that_is_pinned", the_chart_allows_each),
        flagged(
            "versions::the_chart_refuses_a_cluster_without_the_kind_of_its_guards",
            &NO_GUARDS,
            on_every_version,
            the_chart_wants_guards,
        ),
        shared("versions::an_api_server_without_the_kind_of_the_guards_is_told_by_its_version", the_kind_goes),
        flagged("versions::the_stamp_of_a_beta_is_used_where_it_is_switched_on", &BETA, beta_left_out, beta),
        Trial::test("versions::each_is_pinned_as_one_release", each_is_one_release),
        Trial::test("versions::five_minors_without_a_gap_are_pinned_and_the_newest_comes_first", five_without_a_gap),
        Trial::test("versions::every_check_tries_the_oldest", every_check_tries_the_oldest),
        Trial::test("versions::the_oldest_is_the_same_everywhere", the_oldest_is_the_same_everywhere),
        Trial::test("versions::each_has_a_row_in_the_pages", each_has_a_row),
        Trial::test("versions::the_table_says_what_a_run_said", table::says_what_a_run_said),
        Trial::test("versions::one_that_is_not_pinned_is_refused_by_name", not_pinned_is_refused),
    ]
}

/// The trials of what depends most on the API server and kubectl: admission policies, the schema, a request's life, the
/// chart's life, and the tours of the pages, word for word.
pub fn part() -> Vec<Trial> {
    let of_all = [
        trials(),
        attack::trials(),
        admission::trials(),
        identity::trials(),
        identity_ways::trials(),
        grant::trials(),
        approve::trials(),
        tutorial::trials(),
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

/// How an admin switches the kind of the guards off.
const NO_GUARDS: [&str; 2] = [
    "--runtime-config=admissionregistration.k8s.io/v1/validatingadmissionpolicies=false,\
     admissionregistration.k8s.io/v1/validatingadmissionpolicybindings=false",
    "--disable-admission-plugins=ValidatingAdmissionPolicy",
];

/// Helm's own words for it would be that definitions of custom resources are missing.
async fn the_chart_wants_guards(control_plane: Arc<ControlPlane>) {
    let chart = chart::chart();
    let install = ["install", "daypass", &chart, "-n", NAMESPACE, "--create-namespace"];
    let refusal = control_plane.helm_refused(&install).await;
    let words = format!("this cluster ({}) does not serve ValidatingAdmissionPolicy of", Version::run().release);
    assert!(refusal.contains(&words), "{refusal}");
    // A list of what is served, as GitOps tools hand it over, counts as much as a cluster that was asked.
    let with = |kinds| ["template", "daypass", chart.as_str(), "-n", NAMESPACE, "--api-versions", kinds];
    let refusal = control_plane.helm_refused(&with("v1/Pod")).await;
    assert!(refusal.contains("does not serve ValidatingAdmissionPolicy of"), "{refusal}");
    control_plane.helm(&with("v1/Pod,admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")).await;
}

/// As when an API server starts again with that kind switched off. It is known at once, and so is its return.
async fn the_kind_goes(cluster: Arc<Cluster>) {
    let version = cluster.kubectl(ADMIN).ok(&["get", "--raw", "/version"]).await;
    let version: serde_json::Value = serde_json::from_str(&version).expect("JSON");
    let (proxy, controller) = cluster.replica_through_proxy("without-guard-kind", &[]).await;
    let is = async |code: u16, words: &str| {
        eventually(&format!("/readyz answers {code} with {words:?}"), SOON, async || {
            let (status, body) = controller.get("/readyz").await?;
            if status == code && body.contains(words) { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    };
    is(200, "ok: stands by").await;
    proxy.disturb(|call| call.path.contains("/validatingadmissionpolic").then_some(Fault::Answer(404)));
    let server = version["gitVersion"].as_str().expect("a version");
    is(503, &format!("this API server ({server}) does not serve ValidatingAdmissionPolicy of")).await;
    is(503, &format!("Daypass runs on Kubernetes {OLDEST_KUBERNETES} and later")).await;
    proxy.calm();
    is(200, "ok: stands by").await;
}

/// How an admin switches MutatingAdmissionPolicy on before it is on by default.
const BETA: [&str; 2] =
    ["--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=admissionregistration.k8s.io/v1beta1=true"];

fn on_every_version(_: &Version) -> Option<&'static str> {
    None
}

fn beta_left_out(version: &Version) -> Option<&'static str> {
    (!matches!(version.number(), 34 | 35))
        .then_some("MutatingAdmissionPolicy is a beta in Kubernetes 1.34 and 1.35 alone")
}

/// The chart asks the cluster which version of the kind there is.
async fn beta(control_plane: Arc<ControlPlane>) {
    let chart = chart::chart();
    let install =
        ["install", "daypass", &chart, "-n", NAMESPACE, "--create-namespace", "--set", "identity.stamp=policy"];
    control_plane.helm(&install).await;
    cast::give_rights(&control_plane.kubectl(ADMIN)).await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    let stamps = control_plane.kubectl(ADMIN).ok(&["get", "mutatingadmissionpolicies", "-o", "name"]).await;
    let of_beta = |name: &str| format!("mutatingadmissionpolicy.admissionregistration.k8s.io/daypass-{name}-stamp\n");
    assert_eq!(stamps, of_beta("identity") + &of_beta("review"));
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

/// Everything is tried on the newest, so it must be the one that is run when none is named.
fn five_without_a_gap() -> Result<(), Failed> {
    let mut minors: Vec<u32> = Version::pinned().iter().map(Version::number).collect();
    let newest = minors[0];
    minors.sort_unstable();
    let five: Vec<u32> = (newest.saturating_sub(4)..=newest).collect();
    if minors == five { Ok(()) } else { Err(format!("the first is 1.{newest}, and all are {minors:?}").into()) }
}

/// Or it could be pinned and never run.
fn every_check_tries_the_oldest() -> Result<(), Failed> {
    let check = std::fs::read_to_string(repository().join(".ci/run"))?;
    let line = format!("make test-version KUBERNETES={}", oldest().minor);
    if check.lines().any(|of_check| of_check == line) { Ok(()) } else { Err(format!(".ci/run lacks: {line}").into()) }
}

fn the_oldest_is_the_same_everywhere() -> Result<(), Failed> {
    let (oldest, newest) = (oldest().minor, Version::pinned()[0].minor.clone());
    let of = |file: &str| std::fs::read_to_string(repository().join(file));
    let said = [
        ("charts/daypass/Chart.yaml", format!("kubeVersion: \">={oldest}.0-0\"")),
        ("Cargo.toml", format!("\"v{}\"", oldest.replace('.', "_"))),
        ("README.md", format!("| Kubernetes | {oldest} to {newest}")),
    ];
    for (file, words) in said {
        if !of(file)?.contains(&words) {
            return Err(format!("{file} does not say: {words}").into());
        }
    }
    if OLDEST_KUBERNETES != oldest {
        return Err(format!("the controller says that it runs on {OLDEST_KUBERNETES} and later").into());
    }
    Ok(())
}

fn each_has_a_row() -> Result<(), Failed> {
    for file in ["README.md", "e2e/controlplane/README.md", "charts/daypass/README.md"] {
        let page = std::fs::read_to_string(repository().join(file))?;
        for version in Version::pinned() {
            let (with, without) = (format!("| {} |", version.release), format!("| {} |", version.minor));
            if !page.lines().any(|line| line.starts_with(&without) || line.starts_with(&with)) {
                return Err(format!("{file} has no row for {}", version.minor).into());
            }
        }
    }
    Ok(())
}

fn oldest() -> Version {
    Version::pinned().into_iter().min_by_key(Version::number).expect("a version is pinned")
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
