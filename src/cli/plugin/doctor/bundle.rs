//! The report for strangers: what was found, and how policies and requests stand, without a name and without a word that
//! somebody wrote.
//!
//! Nothing of an object is in it but what is named here; texts are those of findings, in which names are marked.

use std::collections::BTreeMap;
use std::path::Path;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::facts::HealthFacts;
use super::finding::{CheckFinding, HealthReport};
use super::marked::{NameKind, Pseudonyms};
use crate::api::AccessPolicy;
use crate::api::conditions::Condition;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::format::FormatError;

/// Writes it to a file.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, facts: &HealthFacts, report: &HealthReport) -> Result<(), PluginError> {
    let text = serde_json::to_string_pretty(&bundle(facts, report)).map_err(FormatError::from)?;
    std::fs::write(path, text + "\n").map_err(|error| PluginError::Flag {
        flag: "--bundle",
        problem: format!("cannot write {}: {error}: name a file in a folder that you may write to", path.display()),
    })
}

fn bundle(facts: &HealthFacts, report: &HealthReport) -> Value {
    let mut names = Pseudonyms::default();
    let findings: Vec<Value> = report.findings.iter().map(|finding| anonymous(finding, &mut names)).collect();
    json!({
        "kind": "HealthBundle",
        "apiVersion": "cli.daypass.dev/v1alpha1",
        "plugin": report.plugin,
        "kubernetes": report.kubernetes,
        "controller": report.controller,
        "findings": findings,
        "policies": policies(facts, &mut names),
        "requests": requests(facts, &mut names),
        "bindings": facts.bindings.as_ref().map(Vec::len).ok(),
    })
}

fn anonymous(finding: &CheckFinding, names: &mut Pseudonyms) -> Value {
    json!({
        "check": finding.check,
        "level": finding.level,
        "object": finding.object.as_ref().map(|text| text.anonymous(names)),
        "message": finding.message.anonymous(names),
        "fix": finding.fix.as_ref().map(|text| text.anonymous(names)),
    })
}

fn policies(facts: &HealthFacts, names: &mut Pseudonyms) -> Value {
    let policies = facts.policies.iter().flatten().filter_map(|policy| policy.0.as_ref().ok());
    let policy = |policy: &AccessPolicy| {
        let status = policy.status.clone().unwrap_or_default();
        json!({
            "name": names.of(NameKind::Object, &policy.name_any()),
            "effect": policy.spec.effect,
            "generation": policy.metadata.generation,
            "observedGeneration": status.observed_generation,
            "conditions": conditions(&status.conditions),
        })
    };
    policies.map(policy).collect()
}

/// Those that are not over, one by one; of the others how many there are.
fn requests(facts: &HealthFacts, names: &mut Pseudonyms) -> Value {
    let requests = || facts.requests.iter().flat_map(|seen| &seen.requests).map(|standing| &standing.request);
    let mut states: BTreeMap<&'static str, usize> = BTreeMap::new();
    for request in requests() {
        let state = request.status.as_ref().map(|status| status.state).unwrap_or_default();
        *states.entry(state.as_str()).or_default() += 1;
    }
    let open = requests().filter(|request| !request.is_over()).map(|request| {
        let status = request.status.clone().unwrap_or_default();
        json!({
            "name": names.of(NameKind::Object, &request.name_any()),
            "namespace": names.of(NameKind::Namespace, &request.namespace().unwrap_or_default()),
            "state": status.state,
            "created": request.creation_timestamp(),
            "expiresAt": status.expires_at,
            "breakGlass": request.spec.break_glass,
            "risk": status.risk.as_ref().map(|risk| risk.level.as_str()),
            "bindings": status.bindings.len(),
            "conditions": conditions(&status.conditions),
        })
    });
    json!({ "open": open.collect::<Vec<_>>(), "states": states })
}

/// Without their messages, which tell names.
fn conditions(conditions: &[Condition]) -> Vec<Value> {
    let one = |condition: &Condition| {
        json!({
            "type": condition.type_,
            "status": condition.status,
            "reason": condition.reason,
            "lastTransitionTime": condition.last_transition_time,
        })
    };
    conditions.iter().map(one).collect()
}
