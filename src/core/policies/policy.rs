//! One policy as decisions use it: without faults, or with faults in its expressions alone.
//!
//! It must not read a spec: `read` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;

use super::cel::Expression;
use super::limits::Limits;
use super::scope::Scope;
use crate::api::policy::{Effect, Stage};
use crate::api::request::PolicyRef;
use crate::api::subject::{Identity, RoleName, Subject};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::field_error::FieldError;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::model::schedule::Schedule;
use crate::core::model::subjects::is_subject;

/// A policy without faults, or with faults in its expressions alone.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name, UID and generation.
    pub reference: PolicyRef,
    /// Its spec, in canonical JSON.
    pub text: Arc<str>,
    /// SHA-256 over that: by it the text is found again.
    pub digest: String,
    pub effect: Effect,
    /// Who may ask; none in a Deny means everybody.
    pub requesters: Vec<Subject>,
    /// Which roles; none in a Deny means every role.
    pub roles: Vec<RoleName>,
    pub scope: Scope,
    /// How long a grant lasts, or how much an extension adds, when the request does not say.
    pub default_length: SignedDuration,
    pub longest: SignedDuration,
    /// Who must agree, in order; none means nobody.
    pub stages: Vec<Stage>,
    /// How long approvers have, from the request's creation.
    pub deadline: SignedDuration,
    /// Access at once in an emergency, if it allows that.
    pub break_glass: Option<BreakGlass>,
    /// How far a grant may be extended, if it may.
    pub extension: Option<Extension>,
    /// Further conditions, which must all hold; of a policy with faults, those that have none.
    pub conditions: Vec<Requirement>,
    /// When nobody needs to agree after all.
    pub automatic_when: Option<Expression>,
    /// What is wrong with its expressions. One that has any gives nothing new.
    pub faults: Vec<FieldError>,
    /// How much there may be under it at a time.
    pub limits: Limits,
    /// Its windows: of one that allows, those in which access may be used. None means always. Of one that denies, see
    /// [`Policy::denies_in`].
    pub schedule: Option<Schedule>,
    /// Of one that denies, whether its schedule counts; otherwise it was written for a version that denied always.
    pub schedule_counts: bool,
    /// Of one that denies: whether it leaves emergencies alone.
    pub exempts_emergencies: bool,
    /// For how many weeks access may come back, if it may.
    pub weeks: Option<i32>,
    /// Whether access is taken away while its role is not what was decided on.
    pub suspends: bool,
    /// When approvals count, by the name of the stage; at any time in one that is not here.
    pub hours: BTreeMap<String, Schedule>,
    /// Whether access waits until an archive has the decision.
    pub requires_record: bool,
    /// After how long without use access ends, if it does.
    pub idle_timeout: Option<SignedDuration>,
}

/// A condition, and what the requester is told when it does not hold.
#[derive(Clone, Debug)]
pub struct Requirement {
    pub condition: Expression,
    /// What the requester is told.
    pub message: String,
}

/// Access at once, reviewed afterwards.
#[derive(Clone, Debug)]
pub struct BreakGlass {
    /// Who may close the review.
    pub reviewers: Vec<Subject>,
    /// How long after the grant they have.
    pub within: SignedDuration,
}

/// How far a grant may be extended.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// The most that one extension adds.
    pub most: SignedDuration,
    /// How many there may be of one grant.
    pub count: usize,
}

impl Policy {
    /// Whether it covers the namespace of this name.
    pub fn covers(&self, name: &str, namespaces: &Namespaces) -> bool {
        // A namespace that is gone has no labels; its name still counts.
        let gone = Namespace::default();
        self.scope.covers(name, namespaces.get(name).unwrap_or(&gone))
    }

    /// Of one that denies: the windows in which it does; none when it always does.
    pub fn denies_in(&self) -> Option<&Schedule> {
        self.schedule.as_ref().filter(|schedule| self.schedule_counts && !schedule.is_always())
    }

    /// Keys of the labels that its conditions ask for.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let conditions = self.conditions.iter().map(|requirement| &requirement.condition);
        conditions.chain(&self.automatic_when).flat_map(Expression::labels)
    }

    /// Whether what it says can hang on the labels of the namespace of this name; with none, on those of all namespaces,
    /// which is access to the whole cluster.
    pub fn asks_for_labels_of(&self, namespace: Option<&str>) -> bool {
        let in_conditions = self.labels().next().is_some();
        match namespace {
            Some(name) => self.scope.may_cover(name) && (in_conditions || self.scope.chooses_by_label()),
            None => in_conditions,
        }
    }

    /// Whether it can be about what somebody asks for, as far as who asks and for which role goes.
    pub fn may_concern(&self, requester: Option<&Identity>, role: &RoleName) -> bool {
        // One that denies and names none means all of them.
        let all = |named: bool| self.effect == Effect::Deny && !named;
        let asks = requester.is_some_and(|who| self.requesters.iter().any(|subject| is_subject(who, subject)));
        (asks || all(!self.requesters.is_empty())) && (self.roles.contains(role) || all(!self.roles.is_empty()))
    }

    /// Whether it serves emergencies only: without stages it would otherwise let everybody in unreviewed.
    pub fn is_for_break_glass_only(&self) -> bool {
        self.break_glass.is_some() && self.stages.is_empty()
    }

    /// For how long a request is granted under it, or extends a grant: what it asks for, or else the default. Of
    /// recurring access, the longest at a time.
    pub fn length(&self, ask: &ValidRequest<'_>) -> SignedDuration {
        if let Some(recurrence) = &ask.recurrence {
            return recurrence.longest();
        }
        ask.length.unwrap_or(match (ask.aim, self.extension) {
            (RequestKind::Extension { .. }, Some(extension)) => self.default_length.min(extension.most),
            _ => self.default_length,
        })
    }
}
