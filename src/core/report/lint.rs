//! What looks wrong in policies that are in order: warnings for their authors, each with a way out.
//!
//! Owns what is a warning. Warns only of what the policies themselves prove, their status included, and decides nothing: a
//! policy with warnings is used all the same. Which policy covers which is for [`cover`] to prove.

mod cover;
mod oddity;

use k8s_openapi::jiff::SignedDuration;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use self::cover::{everywhere, is_stopped_by, is_within, less_friction};
pub use self::oddity::Oddity;
use crate::api::policy::{AccessPolicy, AccessPolicyStatus, Effect, Stage};
use crate::api::subject::{Subject, SubjectKind};
use crate::core::decision::protected::Protected;
use crate::core::model::namespaces::{Namespaces, glob_matches};
use crate::core::policies::unrecorded::unrecorded;
use crate::core::policies::usable::{ListedRole, Unusable};
use crate::core::policies::wildcards::wildcards;
use crate::core::policies::written_for::DeniesAlways;
use crate::core::policies::{Entry, Policy};

/// Group of everybody who is logged in, people and robots.
const EVERYBODY: &str = "system:authenticated";
/// Prefix of the groups of service accounts.
const ROBOTS: &str = "system:serviceaccounts";
/// Roles of Kubernetes that do more than look.
const WRITING: [&str; 3] = ["cluster-admin", "admin", "edit"];
/// Longest time that a review of break-glass access should take.
const LONG_REVIEW: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Longest access that nobody agrees to.
const LONG_ACCESS: SignedDuration = SignedDuration::from_hours(24);
/// The shortest time without use after which access should end: people read what they were shown.
const SHORT_IDLE: SignedDuration = SignedDuration::from_mins(5);
/// The most that extensions should add up to.
const LONG_EXTENSION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Something that looks wrong in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Name of the policy.
    pub policy: String,
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub what: Oddity,
}

/// For people and programs: with the sentences that say what is wrong and what to do.
impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut warning = serializer.serialize_struct("Warning", 4)?;
        warning.serialize_field("policy", &self.policy)?;
        warning.serialize_field("field", &self.field)?;
        warning.serialize_field("why", &self.what.to_string())?;
        warning.serialize_field("wayOut", &self.what.way_out())?;
        warning.end()
    }
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
            what: Oddity::Fault { problem: fault.problem.clone(), consequence },
        }));
    }
    for policy in &sound {
        policy.roles(&mut warnings);
        policy.unrecorded(&mut warnings);
        policy.nobody(&mut warnings);
        policy.alone(&mut warnings);
        policy.beyond_protection(protected, &mut warnings);
        policy.beside(&sound, &mut warnings);
        if let Some(namespaces) = namespaces {
            policy.among(namespaces, &mut warnings);
        }
    }
    in_order(warnings)
}

/// Warnings by policy, field and sentence.
pub fn in_order(mut warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.sort_by_cached_key(|w| (w.policy.clone(), w.field.clone(), w.what.to_string()));
    warnings
}

impl Subjected<'_> {
    fn warn(&self, warnings: &mut Vec<Warning>, field: &str, what: Oddity) {
        warnings.push(Warning { policy: self.read.reference.name.clone(), field: field.to_owned(), what });
    }

    /// Roles that cannot be handed out, as the controller said last of this spec. A file says nothing of that.
    fn roles(&self, warnings: &mut Vec<Warning>) {
        let of_this_spec = self.raw.status.iter().filter(|status| self.is_of_this_spec(status));
        for unusable in of_this_spec.flat_map(|status| &status.unusable_roles) {
            let index = self.read.roles.iter().position(|role| *role == unusable.role);
            if let Some((index, why)) = index.zip(Unusable::recorded(unusable)) {
                let field = ListedRole { index, why: why.clone() }.field();
                self.warn(warnings, &field, Oddity::RoleUnusable(why));
            }
        }
    }

    /// Keys that conditions ask for and the cluster does not record, as the controller said last of this spec. A file says
    /// nothing of that.
    fn unrecorded(&self, warnings: &mut Vec<Warning>) {
        let Some(status) = self.raw.status.as_ref().filter(|status| self.is_of_this_spec(status)) else { return };
        for key in unrecorded(&self.raw.spec, &status.extra_keys) {
            self.warn(warnings, &key.field.clone(), Oddity::Unrecorded(key));
        }
    }

    /// Whether a status speaks of the spec as it is.
    fn is_of_this_spec(&self, status: &AccessPolicyStatus) -> bool {
        status.observed_generation == self.raw.metadata.generation
    }

    /// Subjects that are nobody, in a Deny too: there it denies nobody.
    fn nobody(&self, warnings: &mut Vec<Warning>) {
        for wildcard in wildcards(&self.raw.spec) {
            self.warn(warnings, &wildcard.field.clone(), Oddity::Nobody(wildcard));
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
                self.warn(warnings, "spec.breakGlass.reviewWithin", Oddity::LongReview(terms.within));
            }
        }
        self.idle(warnings);
        if let Some(extension) = self.read.extension {
            let most = i32::try_from(extension.count).unwrap_or(i32::MAX);
            let total = extension.most.checked_mul(most).unwrap_or(SignedDuration::MAX);
            if total > LONG_EXTENSION {
                self.warn(warnings, "spec.extension", Oddity::LongExtension(total));
            }
        }
    }

    /// A time without use that comes too soon, or never. Extended access lasts longer, and recurring access each time.
    fn idle(&self, warnings: &mut Vec<Warning>) {
        let Some(timeout) = self.read.idle_timeout else { return };
        let added = self.read.extension.map_or(SignedDuration::ZERO, |extension| extension.most);
        let longest = self.read.longest.max(added);
        if timeout < SHORT_IDLE {
            self.warn(warnings, "spec.idleTimeout", Oddity::ShortIdle(timeout));
        }
        if timeout >= longest {
            self.warn(warnings, "spec.idleTimeout", Oddity::IdleNeverComes { timeout, longest });
        }
    }

    /// What a policy that denies leaves unsaid about its windows, or says in vain.
    fn windows_of_denial(&self, warnings: &mut Vec<Warning>) {
        let Some(schedule) = &self.read.schedule else { return };
        if !self.read.schedule_counts {
            self.warn(warnings, "spec.schedule", Oddity::WindowsIgnored(DeniesAlways::of(self.raw)));
        }
        if schedule.is_always() {
            self.warn(warnings, "spec.schedule", Oddity::WindowsAlways);
        }
        if self.raw.spec.on_break_glass.is_none() {
            self.warn(warnings, "spec.onBreakGlass", Oddity::EmergenciesUnsaid);
        }
    }

    /// What it names and never gives, since that is protected.
    fn beyond_protection(&self, protected: Protected<'_>, warnings: &mut Vec<Warning>) {
        if self.read.effect == Effect::Deny || self.read.scope.system_namespaces {
            return;
        }
        for name in self.raw.spec.scope.namespaces.iter().filter(|name| protected.contains(name)) {
            self.warn(warnings, "spec.scope.namespaces", Oddity::Protected(name.clone()));
        }
        let writes = self.read.roles.iter().map(|role| role.name.as_str()).find(|name| WRITING.contains(name));
        if let (true, Some(role)) = (self.read.scope.cluster, writes) {
            self.warn(warnings, "spec.scope.cluster", Oddity::NeverInCluster(role.to_owned()));
        }
    }

    /// Too much, for access that nobody agrees to.
    fn without_approval(&self, warnings: &mut Vec<Warning>) {
        let writes = self.read.roles.iter().map(|role| role.name.as_str()).find(|name| WRITING.contains(name));
        if let (Some(field), Some(role)) = (everywhere(&self.raw.spec.scope), writes) {
            self.warn(warnings, field, Oddity::EverywhereAlone(role.to_owned()));
        }
        if self.read.scope.cluster {
            self.warn(warnings, "spec.scope.cluster", Oddity::ClusterAlone);
        }
        let everybody = self.read.requesters.iter().any(|s| s.kind == SubjectKind::Group && s.name == EVERYBODY);
        if let (true, Some(role)) = (everybody, writes) {
            self.warn(warnings, "spec.requesters", Oddity::EverybodyAlone(role.to_owned()));
        }
        if self.read.longest > LONG_ACCESS {
            self.warn(warnings, "spec.duration.max", Oddity::LongAlone(self.read.longest));
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
        let stage = stage.name.clone();
        let what = if alone { Oddity::NobodyCanApprove { stage } } else { Oddity::ApproveEachOther { stage } };
        self.warn(warnings, &format!("{field}.approvers"), what);
    }

    fn robots_or_everybody(&self, field: &str, subjects: &[Subject], warnings: &mut Vec<Warning>) {
        for group in subjects.iter().filter(|s| s.kind == SubjectKind::Group) {
            let name = &group.name;
            if name == EVERYBODY {
                self.warn(warnings, field, Oddity::EverybodyApproves(name.clone()));
            } else if name == ROBOTS || name.starts_with(&format!("{ROBOTS}:")) {
                self.warn(warnings, field, Oddity::RobotsApprove(name.clone()));
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
            self.warn(warnings, "spec.scope", Oddity::DeniedBy(deny.read.reference.name.clone()));
            return;
        }
        let shadows = |o: &&Self| is_within(self.read, self.raw, o.read, o.raw) && less_friction(o.read, self.read);
        if let Some(first) = other(Effect::Allow).find(shadows) {
            self.warn(warnings, "spec", Oddity::ShadowedBy(first.read.reference.name.clone()));
        }
    }

    fn among(&self, namespaces: &Namespaces, warnings: &mut Vec<Warning>) {
        for glob in &self.raw.spec.scope.namespaces {
            if !namespaces.keys().any(|name| glob_matches(glob, name)) {
                let what = Oddity::FitsNothing { glob: glob.clone(), known: namespaces.len() };
                self.warn(warnings, "spec.scope.namespaces", what);
            }
        }
    }
}

#[cfg(test)]
mod tests;
