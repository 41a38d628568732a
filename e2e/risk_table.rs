//! The table of risks: what the reading says of real roles and of single rights, in one file for people to read.
//!
//! `roles.jsonl` has the rules of 73 ClusterRoles that well-known projects install, `kubernetes.jsonl` those of Kubernetes
//! itself, and `rights.txt` single rights. `table.txt` is what is said of each: it is written by `make risk-table` and by
//! nothing else, and a change in it is to be read line by line. None of these trials needs a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use daypass::core::rbac::risk::{Extent, Risk, risk};
use k8s_openapi::api::rbac::v1::PolicyRule;
use libtest_mimic::Trial;
use serde::Deserialize;

use crate::harness::table::CommittedTable;
use crate::harness::without_cluster;

const ROLES: [&str; 2] = [include_str!("risk_table/roles.jsonl"), include_str!("risk_table/kubernetes.jsonl")];
const RIGHTS: &str = include_str!("risk_table/rights.txt");
const TABLE: CommittedTable = CommittedTable { path: "e2e/risk_table/table.txt", written_by: "run make risk-table" };
/// Where rights hold, from the narrowest: in an ordinary namespace, in a protected one, in the whole cluster.
const SCOPES: [(Extent, &str); 3] =
    [(Extent::Namespaces, "namespace"), (Extent::SystemNamespaces, "kube-system"), (Extent::Cluster, "cluster")];

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("risk_table::is_what_the_reading_says", is_what_the_reading_says),
        without_cluster("risk_table::is_of_all_roles_and_of_enough_single_rights", is_of_enough),
        without_cluster("risk_table::no_write_is_low_without_a_reason", no_write_is_low_without_a_reason),
    ]
}

/// `make risk-table`.
pub fn write() -> ExitCode {
    TABLE.write(&table())
}

fn is_what_the_reading_says() {
    TABLE.is(&table());
}

fn is_of_enough() {
    let (roles, rights) = (roles(), rights());
    assert_eq!(ROLES[0].lines().count(), 73);
    assert!(roles.len() >= 73 + 15, "only {} roles", roles.len());
    assert!(rights.len() >= 80, "only {} rights", rights.len());
}

/// What a reviewer would look for first: everything that does more than look says why, or is known to do nothing.
fn no_write_is_low_without_a_reason() {
    const HARMLESS: [&str; 6] = [
        // Kubernetes asks for these verbs elsewhere only.
        "impersonate core pods",
        // What one may ask for, of oneself or of others, decides nothing.
        "create authorization.k8s.io selfsubjectaccessreviews",
        "create certificates.k8s.io certificatesigningrequests/selfnodeclient",
        "create daypass.dev accessrequests",
        // Says that the owner of an object can keep it from being deleted.
        "update example.com databases/finalizers",
        // Answers, and stores nothing.
        "* custom.metrics.k8s.io *",
    ];
    let silent: Vec<String> = rights()
        .into_iter()
        .filter(|(name, rules)| !looks(name) && risk(rules, Extent::Cluster).reasons.is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(silent.iter().map(String::as_str).collect::<BTreeSet<_>>(), HARMLESS.into());
}

fn looks(right: &str) -> bool {
    right.split(' ').next().is_some_and(|verbs| verbs.split(',').all(|verb| ["get", "list", "watch"].contains(&verb)))
}

/// A line for each reading: `NAME | WHERE | LEVEL | REASONS`, the places where it is the same in one.
fn table() -> String {
    let named = |kind: &str, all: BTreeMap<String, Vec<PolicyRule>>| {
        let kind = kind.to_owned();
        all.into_iter().map(move |(name, rules)| (format!("{kind} {name}"), rules))
    };
    let all: BTreeMap<String, Vec<PolicyRule>> = named("right", rights()).chain(named("role", roles())).collect();
    let lines: Vec<String> = all.iter().flat_map(|(name, rules)| lines(name, rules)).collect();
    format!("{}\n", lines.join("\n"))
}

fn lines(name: &str, rules: &[PolicyRule]) -> Vec<String> {
    let mut readings: Vec<(Vec<&str>, Risk)> = Vec::new();
    for (extent, place) in SCOPES {
        let read = risk(rules, extent);
        match readings.last_mut() {
            Some((places, last)) if *last == read => places.push(place),
            _ => readings.push((vec![place], read)),
        }
    }
    let line = |(places, read): (Vec<&str>, Risk)| {
        // As approvers see them: of many the worst.
        let reasons = read.on_record().reasons;
        let reasons = if reasons.is_empty() { "-".to_owned() } else { reasons.join("; ") };
        format!("{name} | {} | {} | {reasons}", places.join(", "), read.level)
    };
    readings.into_iter().map(line).collect()
}

fn roles() -> BTreeMap<String, Vec<PolicyRule>> {
    #[derive(Deserialize)]
    struct Role {
        role: String,
        rules: Option<Vec<PolicyRule>>,
    }
    let lines = ROLES.iter().flat_map(|roles| roles.lines());
    let roles = lines.map(|line| serde_json::from_str::<Role>(line).expect("a role"));
    roles.map(|role| (role.role, role.rules.unwrap_or_default())).collect()
}

fn rights() -> BTreeMap<String, Vec<PolicyRule>> {
    let lines = RIGHTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| (line.to_owned(), vec![right(line)])).collect()
}

fn right(line: &str) -> PolicyRule {
    let words: Vec<&str> = line.split(' ').collect();
    let list = |word: &str| word.split(',').map(str::to_owned).collect::<Vec<_>>();
    let (verbs, rest) = words.split_first().expect("verbs");
    let rule = PolicyRule { verbs: list(verbs), ..PolicyRule::default() };
    match rest {
        [url] => PolicyRule { non_resource_urls: Some(list(url)), ..rule },
        [group, resources, names @ ..] if names.len() < 2 => PolicyRule {
            api_groups: Some(vec![if *group == "core" { String::new() } else { (*group).to_owned() }]),
            resources: Some(list(resources)),
            resource_names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..rule
        },
        _ => panic!("{line}: not VERBS GROUP RESOURCES [NAME] and not VERBS PATH"),
    }
}
