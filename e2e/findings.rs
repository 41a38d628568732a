//! `report findings` on a cluster with planted faults and the roles of public charts: what is found, what is missed and what is
//! said that is not so; and that its ways out work.
//!
//! `findings/faults.yaml` was written before the rules. `findings/table.txt` is what comes of it: a change in it is to be read
//! line by line. All of it is one trial, since to plant takes longer than to look.

mod ground;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use libtest_mimic::Trial;
use serde_json::Value;

use self::ground::{Fault, LEFT, chart_roles, faults};
use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::table::CommittedTable;
use crate::harness::users::{ADMIN, ALICE, BOB};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{ControlPlane, Controller, alone, binaries, eventually, without_cluster};

const TABLE: CommittedTable =
    CommittedTable { path: "e2e/findings/table.txt", written_by: "copy target/findings-table.txt over it" };
/// The same as it came out, for who has to compare.
const NOW: &str = "target/findings-table.txt";

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("findings::are_planted_in_numbers", are_enough),
        alone("findings::find_what_is_planted_and_lead_out_of_it", AUDIT_POLICY, found),
    ]
}

fn are_enough() {
    let names: BTreeSet<String> = faults().into_iter().map(|fault| fault.fault).collect();
    assert!(names.len() >= 60, "{} faults", names.len());
}

async fn found(control_plane: Arc<ControlPlane>) {
    ground::prepare(&control_plane).await;
    let admin = Plugin::with(&control_plane.kubeconfig(ADMIN));
    let report = async |more: &[&str]| -> Value {
        let out = admin.done(&[&["report", "findings", "-o", "json"], more].concat()).await;
        serde_json::from_str(&out).expect("JSON")
    };
    let all = report(&["-A"]).await;
    // To everybody who looks back for less than no time, every policy is an old one: what the trial cannot wait for.
    let later = report(&["-A", "--kind=PolicyUnused,PolicyNeverMatched", "--since", &now_plus_seconds(60)]).await;
    let found: Vec<Value> = [all["findings"].clone(), later["findings"].clone()]
        .iter()
        .flat_map(|list| list.as_array().expect("findings").clone())
        .collect();
    let denied = not_so(&control_plane, &found).await;
    let table = table(&found, &denied);
    let path = binaries::repository().join(NOW);
    std::fs::write(path, &table).expect(NOW);
    asks_for_less(&admin).await;
    notes(&control_plane, &admin).await;
    leads_out(&control_plane, &admin).await;
    TABLE.is(&table);
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Of the rights that findings name, those that the API server denies.
async fn not_so(control_plane: &ControlPlane, found: &[Value]) -> Vec<String> {
    let reviews: Api<SubjectAccessReview> = Api::all(control_plane.client(ADMIN).await);
    let mut denied = Vec::new();
    for finding in found {
        for right in finding["rights"].as_array().into_iter().flatten() {
            let mut is_so = false;
            for name in [None, Some("daypass"), Some("kubernetes.io/kube-apiserver-client")] {
                let review =
                    reviews.create(&Default::default(), &question(finding, right, name)).await.expect("a review");
                is_so = is_so || review.status.is_some_and(|status| status.allowed);
            }
            if !is_so {
                denied.push(format!("{} of {}: {right}", text(finding, "/kind"), text(finding, "/about/name")));
            }
        }
    }
    denied
}

fn question(finding: &Value, right: &Value, name: Option<&str>) -> SubjectAccessReview {
    let (resource, part) = match text(right, "/resource").split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (text(right, "/resource"), None),
    };
    let who = text(finding, "/who/name").to_owned();
    let (user, groups) = match text(finding, "/who/kind") {
        "Group" => ("somebody".to_owned(), Some(vec![who])),
        "ServiceAccount" => (format!("system:serviceaccount:{}:{who}", text(finding, "/who/namespace")), None),
        _ => (who, None),
    };
    let given = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
    let attributes = ResourceAttributes {
        verb: given(text(right, "/verb")),
        group: given(text(right, "/group")),
        resource: given(resource),
        subresource: part,
        namespace: given(text(right, "/namespace")),
        name: name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user),
        groups,
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// A line for each fault, for each role of a chart that is bound, and for whatever else was found.
fn table(found: &[Value], denied: &[String]) -> String {
    let mut left: Vec<&Value> = found.iter().collect();
    let mut lines = Vec::new();
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in faults() {
        let own = take(&mut left, |finding| is_about(finding, &fault.fault));
        let (verdict, words) = verdict(&fault, &own);
        *sums.entry(verdict).or_default() += 1;
        lines.push(format!("fault {} | {} | {words}", fault.fault, fault.expect));
    }
    for role in chart_roles() {
        let own = take(&mut left, |finding| text(finding, "/about/name") == format!("chart-{role}"));
        if !own.is_empty() {
            *sums.entry("said of roles of charts").or_default() += own.len();
            lines.push(format!("chart {role} | {}", kinds(&own).join(", ")));
        }
    }
    // Policies are looked at twice, and the one that the requests are made under is old to the second look.
    left.retain(|finding| text(finding, "/about/name") != ground::POLICY);
    for finding in &left {
        let line = [text(finding, "/kind"), text(finding, "/about/name"), text(finding, "/who/name")];
        lines.push(format!("false {}", line.join(" ")));
    }
    lines.extend(denied.iter().map(|denied| format!("not so {denied}")));
    sums.insert("false", left.len() + denied.len());
    let sums: Vec<String> = sums.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    format!("{}\n{}\n", sums.join(", "), lines.join("\n"))
}

fn take<'v>(left: &mut Vec<&'v Value>, is: impl Fn(&Value) -> bool) -> Vec<&'v Value> {
    let (own, others) = left.iter().partition(|finding| is(finding));
    *left = others;
    own
}

/// What is made for a fault has its name: an object, or somebody.
fn is_about(finding: &Value, fault: &str) -> bool {
    let name = if fault == LEFT.0 { LEFT.1 } else { fault };
    text(finding, "/about/name") == name || text(finding, "/who/name") == name
}

fn kinds(found: &[&Value]) -> Vec<String> {
    let all: BTreeSet<String> =
        found.iter().map(|one| format!("{} {}", text(one, "/kind"), text(one, "/severity"))).collect();
    all.into_iter().collect()
}

fn verdict(fault: &Fault, own: &[&Value]) -> (&'static str, String) {
    let named = own.iter().any(|finding| text(finding, "/kind") == fault.expect);
    match (own.is_empty(), named) {
        (true, _) => ("missed", "missed".to_owned()),
        (false, true) => ("found", format!("found: {}", kinds(own).join(", "))),
        (false, false) => ("found as another", format!("found as another: {}", kinds(own).join(", "))),
    }
}

/// Less of it, and the exit code for CI.
async fn asks_for_less(admin: &Plugin) {
    let line = ["report", "findings", "-n", "shop", "--kind", "defaultaccountbound,missingrole", "--no-headers"];
    let told = admin.done(&line).await;
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.lines().all(|line| line.contains("DefaultAccountBound") || line.contains("MissingRole")), "{told}");
    for (more, code) in [("--fail-on=high", 1), ("--fail-on=critical", 0)] {
        admin.ends(&[&line[..], &[more]].concat(), code).await;
    }
    let robots =
        admin.done(&["report", "findings", "-A", "--whose=accounts", "--severity=critical", "-o", "json"]).await;
    let robots: Value = serde_json::from_str(&robots).unwrap();
    let robots = robots["findings"].as_array().unwrap();
    let is_one =
        |finding: &Value| text(finding, "/severity") == "Critical" && text(finding, "/holder").contains("Account");
    assert!(robots.len() > 10 && robots.iter().all(is_one), "{robots:#?}");
    // Who may read requests alone is told what was not looked for.
    let (_, err) =
        admin.ends(&["report", "findings", "-n", "shop", "--as=alice", "--as-group=system:authenticated"], 0).await;
    assert!(err.contains("list rolebindings in namespace shop") && err.contains("StandingReplaceable"), "{err}");
}

/// What is noted as known is told, and does not count, unless those whom it is about could have written the note.
async fn notes(control_plane: &ControlPlane, admin: &Plugin) {
    let kubectl = control_plane.kubectl(ADMIN);
    let note = "daypass.dev/accepted-finding=StandingReplaceable: on call until May";
    kubectl.ok(&["annotate", "rolebinding", "-n", "shop", "person-edit", note]).await;
    kubectl.ok(&["annotate", "rolebinding", "-n", "shop", "person-everything-in-namespace", note]).await;
    let line = ["report", "findings", "-n", "shop", "--kind=StandingReplaceable", "-o", "json"];
    let report: Value = serde_json::from_str(&admin.done(&line).await).unwrap();
    let accepted = |name: &str| {
        let mut all = report["findings"].as_array().unwrap().iter();
        all.find(|one| text(one, "/about/name") == name).unwrap()["accepted"].clone()
    };
    let expected = |counts: bool| serde_json::json!({ "reason": "on call until May", "counts": counts });
    assert_eq!(accepted("person-edit"), expected(true));
    assert_eq!(accepted("person-everything-in-namespace"), expected(false), "they may write the note themselves");
}

/// Commands take one out of a binding and leave the others; a proposed policy passes its test, is applied, and gives by a
/// request what was held all the time.
async fn leads_out(control_plane: &Arc<ControlPlane>, admin: &Plugin) {
    let kubectl = control_plane.kubectl(ADMIN);
    let of = async |name: &str| -> Value {
        let report =
            admin.done(&["report", "findings", "-n", "bank", "--kind=StandingReplaceable", "-o", "json"]).await;
        let report: Value = serde_json::from_str(&report).unwrap();
        let all = report["findings"].as_array().unwrap().clone();
        all.into_iter().find(|one| text(one, "/who/name") == name).unwrap_or_default()
    };
    let run = async |finding: &Value| {
        let line = text(finding, "/wayOut/commands/0");
        let output = control_plane.shell(ADMIN, line).await;
        assert!(output.ok, "{line}: {}", output.stderr);
    };
    run(&of("p-gus").await).await;
    let subjects = ["get", "rolebinding", "-n", "bank", "two-people-and-a-robot", "-o", "jsonpath={.subjects[*].name}"];
    assert_eq!(kubectl.ok(&subjects).await, "p-hana deployer");

    kubectl.ok(&["create", "rolebinding", "alice-edits", "--clusterrole=edit", "--user=alice", "-n", "bank"]).await;
    let standing = of("alice").await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    admin.done(&["report", "findings", "-n", "bank", "--kind=StandingReplaceable", "--propose", &dir]).await;
    admin.done(&["policy", "test", &dir]).await;
    admin.done(&["policy", "lint", &format!("{dir}/policies")]).await;
    ground::clear(control_plane).await;
    let controller = Controller::start_with(control_plane, "controller", &["--insight"]).await;
    kubectl.ok(&["apply", "-f", &format!("{dir}/policies/alice-edit-bank.yaml")]).await;
    // By which everybody, and so alice too, can edit there.
    kubectl.ok(&["delete", "rolebinding", "everybody-edits", "-n", "bank"]).await;
    let alice = control_plane.kubectl(ALICE);
    assert!(alice.can_i("delete", "pods", Some("bank")).await);
    run(&standing).await;
    eventually("the standing right is gone", SOON, async || match alice.can_i("delete", "pods", Some("bank")).await {
        false => Ok(()),
        true => Err("it is there".to_owned()),
    })
    .await;
    let asks = ["request", "edit", "-n", "bank", "--reason=why", "--no-wait"];
    let (out, err) = Plugin::with(&control_plane.kubeconfig(ALICE)).ends(&asks, 0).await;
    let name = kubectl.ok(&["get", "accessrequests", "-n", "bank", "-o", "jsonpath={.items[0].metadata.name}"]).await;
    let approves = Plugin::with(&control_plane.kubeconfig(BOB));
    eventually("bob may approve it", SOON, async || {
        let (code, _, err) = approves.run(&["approve", &name, "-n", "bank", "--yes"]).await;
        if code == Some(0) { Ok(()) } else { Err(err) }
    })
    .await;
    eventually("the same right by a request", SOON, async || match alice.can_i("delete", "pods", Some("bank")).await {
        true => Ok(()),
        false => Err(format!("not yet {out}{err}")),
    })
    .await;
    // The controller looks too, with the rights that the chart gives it for that, and tells.
    eventually("the controller tells of findings", SOON, async || {
        let (_, text) = controller.get("/metrics").await?;
        let is_told =
            |line: &str| line.starts_with(r#"daypass_findings{kind="ClusterAdminBound",severity="Critical"}"#);
        if text.lines().any(is_told) { Ok(()) } else { Err(text) }
    })
    .await;
    let log = controller.log();
    let told = log.lines().filter(|line| line.contains(r#""schema":"daypass.dev/finding/v1""#)).count();
    assert!(told > 50, "{told} lines");
    controller.terminate().await;
}
