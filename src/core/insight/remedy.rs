//! What to do about a finding: the commands, and a policy that gives for a time what is held all the time.
//!
//! Owns that these are commands which work as they stand. It must not run one.

use std::collections::BTreeMap;

use serde_json::json;

use super::bound::{BoundHolder, BoundRole};
use super::finding::{CommandLine, InsightFact, InsightFinding, InsightKind, PolicyProposal, Remedy};
use super::seen::ClusterSeen;
use crate::api::policy::Effect;
use crate::api::request::BindingKind;
use crate::api::risk::RiskLevel;
use crate::api::subject::{Identity, RoleKind, Subject, SubjectKind};
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::{Entry, PolicySet};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::risk::Extent;
use crate::core::report::offers::{OfferPlace, offers};
use crate::core::report::spelled::quoted;

/// Group that is named as approvers where no policy names any yet.
pub const APPROVERS_TO_NAME: &str = "access-approvers";
/// The longest name of a policy, so that a suffix still fits into a name.
const LONGEST_NAME: usize = 63;

impl CommandLine {
    /// A command of these words.
    pub fn of(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// As a shell takes it.
    pub fn in_shell(&self) -> String {
        self.0.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

impl BoundRole<'_> {
    /// What is found about one of its holders; the way out is to unbind them.
    pub fn finding(
        &self,
        kind: InsightKind,
        held: &BoundHolder,
        severity: RiskLevel,
        evidence: Vec<InsightFact>,
    ) -> InsightFinding {
        InsightFinding {
            kind,
            severity,
            about: self.about(),
            who: Some(held.who.clone()),
            holder: Some(held.holder),
            evidence,
            remedy: Remedy::Unbind(unbind(self.binding, held.index)),
            accepted: None,
        }
    }
}

/// What takes one subject out of a binding: its deletion when nobody else is in it.
pub fn unbind(binding: &Observed, index: usize) -> CommandLine {
    if binding.subjects.len() <= 1 {
        return delete(binding);
    }
    // Another may have changed the list since: then the first step fails, and nobody else is taken out.
    let name = binding.subjects.get(index).map(|subject| subject.name.clone());
    let path = format!("/subjects/{index}");
    let steps = json!([
        { "op": "test", "path": format!("{path}/name"), "value": name },
        { "op": "remove", "path": path },
    ]);
    on(binding, "patch", &["--type=json", "-p", &steps.to_string()])
}

/// What deletes a binding.
pub fn delete(binding: &Observed) -> CommandLine {
    on(binding, "delete", &[])
}

fn on(binding: &Observed, verb: &str, more: &[&str]) -> CommandLine {
    let kind = match binding.kind {
        BindingKind::RoleBinding => "rolebinding",
        BindingKind::ClusterRoleBinding => "clusterrolebinding",
    };
    let name = binding.metadata.name.as_deref().unwrap_or_default();
    let place: Vec<&str> = binding.metadata.namespace.iter().flat_map(|namespace| ["-n", namespace]).collect();
    CommandLine::of(&[&["kubectl", verb, kind, name], place.as_slice(), more].concat())
}

/// How somebody gets for a time what they hold all the time: by a policy that is there, or else by one that is proposed.
pub fn replacement(seen: &ClusterSeen, policies: &PolicySet, role: &BoundRole<'_>, held: &BoundHolder) -> Remedy {
    let unbind = unbind(role.binding, held.index);
    match offered(seen, policies, role, held) {
        Some(_) => Remedy::AskInstead { ask: ask(role), unbind },
        None => Remedy::Replace(Box::new(proposal(policies, role, held)), unbind),
    }
}

/// The name of a policy that gives the same for a time.
pub fn offered(seen: &ClusterSeen, policies: &PolicySet, role: &BoundRole<'_>, held: &BoundHolder) -> Option<String> {
    let who = match held.who.kind {
        SubjectKind::Group => Identity { groups: vec![held.who.name.clone()], ..Identity::default() },
        _ => Identity { username: held.who.name.clone(), ..Identity::default() },
    };
    let none = Namespaces::new();
    let namespaces = seen.namespaces.as_ref().unwrap_or(&none);
    let namespace = role.binding.metadata.namespace.clone();
    let place = namespace.clone().map_or(OfferPlace::Cluster, OfferPlace::Namespace);
    let mut all = offers(policies, &who, namespace.as_deref().unwrap_or_default(), namespaces).into_iter();
    all.find(|offer| offer.role == role.role && offer.place == place && !offer.break_glass).map(|offer| offer.policy)
}

/// What asks for what a binding gives.
fn ask(role: &BoundRole<'_>) -> CommandLine {
    let name = match role.role.kind {
        RoleKind::ClusterRole => role.role.name.clone(),
        RoleKind::Role => format!("role/{}", role.role.name),
    };
    let place: Vec<&str> = match role.binding.metadata.namespace.as_deref() {
        Some(namespace) => vec!["-n", namespace],
        None => vec!["--cluster-wide"],
    };
    CommandLine::of(
        &[&["kubectl", "daypass", "request", name.as_str()], place.as_slice(), &["--reason", "why"]].concat(),
    )
}

fn proposal(policies: &PolicySet, role: &BoundRole<'_>, held: &BoundHolder) -> PolicyProposal {
    let namespace = role.binding.metadata.namespace.clone();
    let approvers = approvers(policies, &held.who);
    PolicyProposal {
        name: plain_name(role, held),
        requester: held.who.clone(),
        role: role.role.clone(),
        system_namespaces: role.extent != Extent::Namespaces,
        namespace,
        approvers,
    }
}

/// Those who approve already under most policies, and are not who is to ask; or a group that is still to be named.
fn approvers(policies: &PolicySet, requester: &Subject) -> Vec<Subject> {
    let readable = policies.all().filter_map(|(_, entry)| Entry::readable(entry));
    let stages = readable.filter(|policy| policy.effect == Effect::Allow).flat_map(|policy| &policy.stages);
    let mut count: Vec<(usize, Vec<Subject>)> = Vec::new();
    for stage in stages.filter(|stage| !stage.approvers.contains(requester)) {
        match count.iter_mut().find(|(_, approvers)| *approvers == stage.approvers) {
            Some((times, _)) => *times += 1,
            None => count.push((1, stage.approvers.clone())),
        }
    }
    let most = count.into_iter().rev().max_by_key(|(times, _)| *times).map(|(_, approvers)| approvers);
    let to_name =
        || Subject { kind: SubjectKind::Group, name: APPROVERS_TO_NAME.to_owned(), namespace: None, api_group: None };
    most.unwrap_or_else(|| vec![to_name()])
}

/// A name for a policy: of who, role and place.
fn plain_name(role: &BoundRole<'_>, held: &BoundHolder) -> String {
    let place = role.binding.metadata.namespace.as_deref().unwrap_or("cluster");
    let words = format!("{}-{}-{place}", held.who.name, role.role.name).to_lowercase();
    let plain: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut name = String::new();
    for part in plain.split('-').filter(|part| !part.is_empty()) {
        let dash = if name.is_empty() { "" } else { "-" };
        if name.len() + dash.len() + part.len() <= LONGEST_NAME {
            name = format!("{name}{dash}{part}");
        }
    }
    if name.is_empty() { "standing".to_owned() } else { name }
}

/// Gives proposals that differ names that differ, which no policy has. The same proposal keeps one name.
pub fn name_apart(found: &mut [InsightFinding], policies: &PolicySet) {
    let mut given: BTreeMap<String, PolicyProposal> = BTreeMap::new();
    for finding in found {
        let Remedy::Replace(proposal, _) = &mut finding.remedy else { continue };
        let plain = proposal.name.clone();
        let numbered = (2..).map(|n: u32| format!("{plain}-{n}"));
        let fits = |name: &String| {
            let same = |other: &PolicyProposal| PolicyProposal { name: plain.clone(), ..other.clone() } == **proposal;
            policies.get(name).is_none() && given.get(name).is_none_or(same)
        };
        if let Some(name) = std::iter::once(plain.clone()).chain(numbered).find(fits) {
            proposal.name.clone_from(&name);
            given.insert(name, (**proposal).clone());
        }
    }
}
