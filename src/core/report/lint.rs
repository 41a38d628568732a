//! What looks wrong in policies that are in order: warnings for their authors, each with a way out.
//!
//! Owns what is a warning. Warns only of what the policies themselves prove, their status included, and decides nothing: a
//! policy with warnings is used all the same. Which policy covers which is for [`cover`] to prove.

mod cover;

use k8s_openapi::jiff::SignedDuration;
use serde::Serialize;

use self::cover::{is_everything, is_stopped_by, is_within, less_friction};
use crate::api::policy::{AccessPolicy, AccessPolicyStatus, Effect, Stage};
use crate::api::subject::{Subject, SubjectKind};
use crate::core::decision::protected::{Protected, WAY_OUT};
use crate::core::model::duration;
use crate::core::model::namespaces::{Namespaces, glob_matches};
use crate::core::policies::usable::{ListedRole, Unusable};
use crate::core::policies::wildcards::{self, wildcards};
use crate::core::policies::written_for::denies_always;
use crate::core::policies::{Entry, Policy};

/// Group of everybody who is logged in, people and robots.
const EVERYBODY: &str = "system:authenticated";
/// Prefix of the groups of service accounts.
const ROBOTS: &str = "system:serviceaccounts";
/// Roles that let somebody take over a namespace, or the cluster.
const POWERFUL: [&str; 2] = ["cluster-admin", "admin"];
/// Roles of Kubernetes that do more than look.
const WRITING: [&str; 3] = ["cluster-admin", "admin", "edit"];
/// Longest time that a review of break-glass access should take.
const LONG_REVIEW: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Longest access that nobody agrees to.
const LONG_ACCESS: SignedDuration = SignedDuration::from_hours(24);
/// The most that extensions should add up to.
const LONG_EXTENSION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Something that looks wrong in a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// Name of the policy.
    pub policy: String,
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
    pub way_out: String,
}

/// A policy under scrutiny: as written, and as read.
struct Subjected<'a> {
    raw: &'a AccessPolicy,
    read: &'a Policy,
}

/// All warnings, by policy and field. With `namespaces`, globs that fit none of them are found as well.
pub fn lint(policies: &[AccessPolicy], namespaces: Option<&Namespaces>, protected: Protected<'_>) -> Vec<Warning> {
    let entries: Vec<(&AccessPolicy, Entry)> = policies.iter().map(|raw| (raw, Entry::read(raw))).collect();
    let mut warnings = Vec::new();
    let mut sound = Vec::new();
    for (raw, entry) in &entries {
        if let Entry::Valid(read) | Entry::Doubted { policy: read, .. } = entry {
            sound.push(Subjected { raw, read });
        }
        let consequence = entry.consequence().unwrap_or_default();
        warnings.extend(entry.faults().iter().map(|fault| Warning {
            policy: raw.metadata.name.clone().unwrap_or_default(),
            field: fault.field.clone(),
            why: fault.problem.clone(),
            way_out: format!("mend it: {consequence}"),
        }));
    }
    for policy in &sound {
        policy.roles(&mut warnings);
        policy.nobody(&mut warnings);
        policy.alone(&mut warnings);
        policy.beyond_protection(protected, &mut warnings);
        policy.beside(&sound, &mut warnings);
        if let Some(namespaces) = namespaces {
            policy.among(namespaces, &mut warnings);
        }
    }
    warnings.sort();
    warnings
}

impl Subjected<'_> {
    fn warn(&self, warnings: &mut Vec<Warning>, field: &str, why: impl Into<String>, way_out: &str) {
        warnings.push(Warning {
            policy: self.read.reference.name.clone(),
            field: field.to_owned(),
            why: why.into(),
            way_out: way_out.to_owned(),
        });
    }

    /// Roles that cannot be handed out, as the controller said last of this spec. A file says nothing of that.
    fn roles(&self, warnings: &mut Vec<Warning>) {
        let of_this_spec = |status: &&AccessPolicyStatus| status.observed_generation == self.raw.metadata.generation;
        for unusable in self.raw.status.iter().filter(of_this_spec).flat_map(|status| &status.unusable_roles) {
            let index = self.read.roles.iter().position(|role| *role == unusable.role);
            if let Some((index, why)) = index.zip(Unusable::recorded(unusable)) {
                let field = ListedRole { index, why: why.clone() }.field();
                self.warn(warnings, &field, why.why(), &why.way_out());
            }
        }
    }

    /// Subjects that are nobody, in a Deny too: there it denies nobody.
    fn nobody(&self, warnings: &mut Vec<Warning>) {
        for wildcard in wildcards(&self.raw.spec) {
            self.warn(warnings, &wildcard.field, wildcard.to_string(), wildcards::WAY_OUT);
        }
    }

    /// What can be said of the policy alone.
    fn alone(&self, warnings: &mut Vec<Warning>) {
        if self.read.effect == Effect::Deny {
            self.windows_of_denial(warnings);
            return;
        }
        // What serves emergencies only is reviewed afterwards.
        if self.read.stages.is_empty() && !self.read.is_for_break_glass_only() {
            self.without_approval(warnings);
        }
        for (index, stage) in self.read.stages.iter().enumerate() {
            self.stage(index, stage, warnings);
        }
        if let Some(terms) = &self.read.break_glass {
            self.robots_or_everybody("spec.breakGlass.reviewers", &terms.reviewers, warnings);
            if terms.within > LONG_REVIEW {
                let why = format!("emergencies may stay unreviewed for {}", duration::format(terms.within));
                self.warn(warnings, "spec.breakGlass.reviewWithin", why, "name a week (168h) or less");
            }
        }
        if let Some(extension) = self.read.extension {
            let most = i32::try_from(extension.count).unwrap_or(i32::MAX);
            let total = extension.most.checked_mul(most).unwrap_or(SignedDuration::MAX);
            if total > LONG_EXTENSION {
                let why = format!("a grant can be extended by {} in all, more than 30 days", duration::format(total));
                self.warn(warnings, "spec.extension", why, "lower max or count: who needs it longer can ask anew");
            }
        }
    }

    /// What a policy that denies leaves unsaid about its windows, or says in vain.
    fn windows_of_denial(&self, warnings: &mut Vec<Warning>) {
        let Some(schedule) = &self.read.schedule else { return };
        if !self.read.schedule_counts {
            let way_out = "set spec.onBreakGlass, or change the spec otherwise, and its windows count";
            self.warn(warnings, "spec.schedule", denies_always(self.raw), way_out);
        }
        if schedule.is_always() {
            let why = "its windows leave no minute of the week out, so it denies always";
            self.warn(warnings, "spec.schedule", why, "remove schedule, or leave a time for access");
        }
        if self.raw.spec.on_break_glass.is_none() {
            let why = "in its windows emergencies are denied too, since it does not say otherwise";
            let way_out =
                "set spec.onBreakGlass to Exempt to leave emergencies alone, or to Deny to say that you mean it";
            self.warn(warnings, "spec.onBreakGlass", why, way_out);
        }
    }

    /// What it names and never gives, since that is protected.
    fn beyond_protection(&self, protected: Protected<'_>, warnings: &mut Vec<Warning>) {
        if self.read.effect == Effect::Deny || self.read.scope.system_namespaces {
            return;
        }
        for name in self.raw.spec.scope.namespaces.iter().filter(|name| protected.contains(name)) {
            let why = format!("{name} is protected, so nothing is ever granted there by this policy");
            self.warn(warnings, "spec.scope.namespaces", why, &format!("remove it, or {WAY_OUT}"));
        }
        let writes = self.read.roles.iter().map(|role| role.name.as_str()).find(|name| WRITING.contains(name));
        if let (true, Some(role)) = (self.read.scope.cluster, writes) {
            let why = format!("{role} is never granted in the whole cluster, which includes protected namespaces");
            self.warn(warnings, "spec.scope.cluster", why, &format!("list roles that only look, or {WAY_OUT}"));
        }
    }

    /// Too much, for access that nobody agrees to.
    fn without_approval(&self, warnings: &mut Vec<Warning>) {
        let stages = "add approval.stages, or narrow it";
        let role = |among: &[&str]| {
            let name = self.read.roles.iter().map(|role| role.name.as_str()).find(|name| among.contains(name));
            name.map(str::to_owned)
        };
        let scope = &self.raw.spec.scope;
        let everywhere = scope.namespaces.iter().any(|glob| is_everything(glob)) && scope.namespace_selector.is_none();
        if let (true, Some(role)) = (everywhere, role(&POWERFUL)) {
            let why = format!("{role} in every namespace, and nobody needs to agree");
            self.warn(warnings, "spec.scope.namespaces", why, stages);
        }
        if self.read.scope.cluster {
            let why = "access to the whole cluster, and nobody needs to agree";
            self.warn(warnings, "spec.scope.cluster", why, stages);
        }
        let everybody = self.read.requesters.iter().any(|s| s.kind == SubjectKind::Group && s.name == EVERYBODY);
        if let (true, Some(role)) = (everybody, role(&WRITING)) {
            let why = format!("everybody who is logged in, robots too, can have {role}, and nobody needs to agree");
            self.warn(warnings, "spec.requesters", why, "name the groups that need it, or add approval.stages");
        }
        if self.read.longest > LONG_ACCESS {
            let why = format!("up to {}, and nobody needs to agree", duration::format(self.read.longest));
            self.warn(warnings, "spec.duration.max", why, "lower it to 24h or less, or add approval.stages");
        }
    }

    fn stage(&self, index: usize, stage: &Stage, warnings: &mut Vec<Warning>) {
        let field = format!("spec.approval.stages[{index}]");
        self.robots_or_everybody(&format!("{field}.approvers"), &stage.approvers, warnings);
        self.robots_or_everybody(&format!("{field}.escalateTo"), &stage.escalate_to, warnings);
        let requesters = &self.read.requesters;
        if !stage.approvers.iter().chain(&stage.escalate_to).all(|s| cover::names(requesters, s)) {
            return;
        }
        let alone = matches!(requesters.as_slice(), [only] if only.kind != SubjectKind::Group);
        let why = if alone {
            "nobody can approve: the only approver is the only requester"
        } else {
            "only those who ask may approve, so they approve each other"
        };
        let way_out = "name approvers who are not among the requesters";
        self.warn(warnings, &format!("{field}.approvers"), format!("stage {}: {why}", stage.name), way_out);
    }

    fn robots_or_everybody(&self, field: &str, subjects: &[Subject], warnings: &mut Vec<Warning>) {
        for group in subjects.iter().filter(|s| s.kind == SubjectKind::Group) {
            let name = &group.name;
            if name == EVERYBODY {
                let why = format!("{name} is everybody who is logged in: any two accounts can agree with each other");
                self.warn(warnings, field, why, "name the groups whose word should count");
            } else if name == ROBOTS || name.starts_with(&format!("{ROBOTS}:")) {
                let why = format!("{name} stands for nobody here: a service account counts only when it is named");
                self.warn(warnings, field, why, "name each one with kind ServiceAccount, or name people");
            }
        }
    }

    /// What the others make of it.
    fn beside(&self, all: &[Self], warnings: &mut Vec<Warning>) {
        if self.read.effect == Effect::Deny {
            return;
        }
        let other = |effect: Effect| {
            let name = &self.read.reference.name;
            all.iter().filter(move |o| o.read.effect == effect && o.read.reference.name != *name)
        };
        if let Some(deny) = other(Effect::Deny).find(|deny| is_stopped_by(self.read, self.raw, deny.read, deny.raw)) {
            let why = format!("never allows anything: policy {} denies all of it", deny.read.reference.name);
            self.warn(warnings, "spec.scope", why, "remove one of the two, or narrow the one that denies");
            return;
        }
        let shadows = |o: &&Self| is_within(self.read, self.raw, o.read, o.raw) && less_friction(o.read, self.read);
        if let Some(first) = other(Effect::Allow).find(shadows) {
            let why = format!(
                "shadowed: policy {} allows all of it and is chosen first; this one decides only when a request names it",
                first.read.reference.name
            );
            self.warn(warnings, "spec", why, "remove it, or narrow the other");
        }
    }

    fn among(&self, namespaces: &Namespaces, warnings: &mut Vec<Warning>) {
        for glob in &self.raw.spec.scope.namespaces {
            if !namespaces.keys().any(|name| glob_matches(glob, name)) {
                let why = format!("{glob} fits none of the {} namespaces that are known", namespaces.len());
                self.warn(warnings, "spec.scope.namespaces", why, "correct or remove it, or create the namespace");
            }
        }
    }
}

#[cfg(test)]
mod tests;
