//! Why a request is decided as it is, as a value that can be shown to people.
//!
//! Owns the account of a decision and makes none: every answer in it comes from the functions that the controller
//! decides with, asked once more.

mod account;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::{Serialize, Serializer};

use self::account::Account;
use crate::api::policy::{Effect, Stage};
use crate::api::request::{AccessRequestStatus, State};
use crate::api::subject::Subject;
use crate::core::decision::approvals::{Eligibility, Said};
use crate::core::decision::period::Period;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::validate::validate;
use crate::core::lifecycle::active::{self, Allowed};
use crate::core::lifecycle::break_glass::review_due;
use crate::core::lifecycle::expiry::{Ended, ended};
use crate::core::lifecycle::freeze;
use crate::core::lifecycle::happened::Happened;
use crate::core::lifecycle::hindrance::prepare;
use crate::core::lifecycle::plan::withdrawn;
use crate::core::lifecycle::stages;
use crate::core::model::ask::ValidRequest;
use crate::core::model::duration;
use crate::core::model::field_error::sentence;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::history::{join, shorten};
use crate::core::policies::Policy;
use crate::core::rbac::rules;

/// What is decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub outcome: Outcome,
    pub summary: String,
    /// Of a denial: every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Every policy, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Judged>,
    /// The policy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decides: Option<Deciding>,
    /// The stages of that policy, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageProgress>,
    /// When the wait for people ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// What is granted, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// Of an extension: what it moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Moves>,
    /// Of break-glass access: the review that must follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewAfterwards>,
    /// Reviews that change nothing, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
}

/// How a request stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum Outcome {
    /// Yes: access runs, begins at once, or begins at its start.
    Granted,
    /// People must agree first.
    Waiting,
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// Something that might deny cannot be read.
    Undecided,
    /// It was granted and is over, or was withdrawn.
    Over,
}

/// A policy, and what it says to the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Name of the policy.
    pub name: String,
    pub effect: Effect,
    pub verdict: Verdict,
    /// Why it does not match, denies, or cannot be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// What a policy says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Allows it, and decides.
    Decides,
    /// Would allow it too.
    Matches,
    /// Does not allow it.
    FallsShort,
    Denies,
    /// Denies it in windows that it can wait for, or end before.
    Freezes,
    /// Denies, but nothing of what is asked for.
    DoesNotTouch,
    Broken,
    /// Would allow, but was written while the author guard was not in place.
    Doubted,
}

/// Which policy decides, and why that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deciding {
    pub policy: String,
    pub because: Because,
}

/// Why a policy decides, and no other. In output it is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Access was granted under it.
    GrantedUnder,
    /// The request of this name runs under it, and is to be extended.
    RunsUnder(String),
    /// The request names it.
    Named,
    /// No other policy matches.
    OnlyMatch,
    /// Of those that match it asks least of people.
    LeastFriction,
    /// Others that match ask no more of people, and come later by name.
    FirstByName,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GrantedUnder => "access was granted under it",
            Self::RunsUnder(of) => return write!(f, "{of} runs under it"),
            Self::Named => "the request names it",
            Self::OnlyMatch => "no other policy matches",
            Self::LeastFriction => "of those that match it asks least of people",
            Self::FirstByName => "it comes first by name of those that ask least of people",
        })
    }
}

impl Serialize for Because {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A stage, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageProgress {
    pub name: String,
    pub state: StageState,
    /// How many people it needs.
    pub required: i32,
    /// How many count for it; none before it opens.
    pub approved: i32,
    /// Who may approve in it.
    pub approvers: Vec<Approver>,
    /// When more people may approve, if that is still to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalates_at: Option<Time>,
}

/// How a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StageState {
    /// Enough people have approved.
    Full,
    Open,
    /// It opens when the one before it is full.
    Later,
    /// Nobody is waited for.
    Spared,
}

/// Somebody who may approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approver {
    /// Kind and name, such as `Group/leads`.
    pub subject: String,
    /// Whether only because the stage had to wait too long.
    pub escalated: bool,
}

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Kind and name of the role.
    pub role: String,
    /// Whether in the whole cluster.
    pub cluster: bool,
    /// In which namespaces otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// For how long; of recurring access, in which windows.
    pub duration: String,
    /// From when on; unknown as long as people are waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Until when; unknown as long as `from` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// After how long it ends early when it is proven that nobody used it for so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
}

/// What an extension moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// Name of the running request.
    pub of: String,
    pub from: Time,
    pub to: Time,
}

/// The review that must follow break-glass access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewAfterwards {
    /// One of these must review it.
    pub reviewers: Vec<String>,
    pub by: Time,
}

impl Explanation {
    /// A bare account: how it stands, and a sentence.
    fn new(outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            outcome,
            summary: summary.into(),
            reasons: Vec::new(),
            policies: Vec::new(),
            decides: None,
            stages: Vec::new(),
            deadline: None,
            grant: None,
            extension: None,
            review: None,
            without_effect: Vec::new(),
        }
    }

    fn denied(reasons: Vec<String>) -> Self {
        Self { reasons: reasons.clone(), ..Self::new(Outcome::Denied, format!("denied because {}", join(&reasons))) }
    }

    fn ended(state: State, why: &str) -> Self {
        match state {
            State::Denied => Self::denied(vec![why.to_owned()]),
            State::Lapsed => Self::new(Outcome::Lapsed, format!("lapsed: {why}")),
            other => Self::new(Outcome::Over, format!("over ({}): {why}", other.as_str())),
        }
    }
}

/// Explains how a request stands at a time, and why.
pub fn explain(s: &Snapshot<'_>, now: Timestamp) -> Explanation {
    let status = s.request.status.clone().unwrap_or_default();
    let granted = status.granted_at.is_some();
    if status.state.is_final() {
        let ended = Explanation::ended(status.state, status.message.as_deref().unwrap_or("no reason is on record"));
        return Explanation { review: reviewed_afterwards(s, &status), ..ended };
    }
    if matches!(ended(&status, now), Some(Ended::Stated(_))) {
        let (state, why) = match granted {
            true => (State::Expired, "its end has come".to_owned()),
            false => (State::Lapsed, Happened::NeverBegan.to_string()),
        };
        return Explanation::ended(state, &why);
    }
    let ask = match validate(s.request) {
        Ok(ask) => ask,
        Err(faults) => return Explanation::ended(State::Denied, &sentence(&faults)),
    };
    if let Some((_, why)) = withdrawn(s, &status, &ask) {
        return Explanation::ended(State::Revoked, &why.to_string());
    }
    if granted {
        return running(s, &status, &ask, now);
    }
    match prepare(s, &status, &ask, now) {
        Err(hindrance) => match hindrance.ending() {
            Some(ending) => Explanation::ended(ending.state(), &hindrance.to_string()),
            None => Explanation::new(Outcome::Undecided, format!("undecided: {hindrance}")),
        },
        Ok(ask) => Account { s, status: &status, ask: &ask, now }.give(),
    }
}

/// Access that has begun: what it is, and whether policy still allows it.
fn running(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &ValidRequest<'_>, now: Timestamp) -> Explanation {
    let Allowed { policy, freezes } = match active::still_allowed(s, status, ask, now) {
        Ok(allowed) => allowed,
        Err(why) => return Explanation::ended(State::Revoked, &why.to_string()),
    };
    let ahead = freeze::freeze_ahead(status, &freezes, ask, now);
    let ahead = ahead.map(|ahead| format!("; {}", Happened::FreezeAhead(ahead))).unwrap_or_default();
    let end = status.expires_at.clone();
    let until = end.as_ref().map_or_else(String::new, |end| format!(", until {}", end.0));
    let (from, to) = (ask.start.or(status.granted_at.as_ref().map(|t| t.0)), end.as_ref().map(|t| t.0));
    let period = from.zip(to).map_or(Period { begin: now, end: now }, |(begin, end)| Period { begin, end });
    let grant = grant(ask, &GrantScope::recorded(status), period, true, Vec::new());
    let stages = stages::in_force(s, status);
    Explanation {
        grant: Some(Grant { until: end, idle_timeout: idle_timeout(policy), ..grant }),
        review: reviewed_afterwards(s, status),
        decides: status
            .policy
            .as_ref()
            .map(|policy| Deciding { policy: policy.name.clone(), because: Because::GrantedUnder }),
        without_effect: without_effect(&stages, status, ask),
        ..Explanation::new(Outcome::Granted, format!("granted, and still allowed{until}{ahead}"))
    }
}

fn grant(ask: &ValidRequest<'_>, place: &GrantScope, period: Period, settled: bool, approved_by: Vec<String>) -> Grant {
    Grant {
        role: if ask.request.spec.rules.is_empty() {
            ask.role.to_string()
        } else {
            format!("{} of {}", rules::describe(&ask.request.spec.rules), ask.role)
        },
        cluster: *place == GrantScope::Cluster,
        namespaces: match place {
            GrantScope::Cluster => Vec::new(),
            GrantScope::Namespaces(names) => names.iter().cloned().collect(),
        },
        duration: match &ask.recurrence {
            Some(recurrence) => recurrence.describe(),
            None => duration::format(period.length()),
        },
        from: settled.then_some(Time(period.begin)),
        until: settled.then_some(Time(period.end)),
        idle_timeout: None,
        approved_by,
    }
}

/// After how long without use access under a policy ends early, as people write it.
fn idle_timeout(policy: &Policy) -> Option<String> {
    policy.idle_timeout.map(duration::format)
}

fn reviewed_afterwards(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Option<ReviewAfterwards> {
    let by = Time(review_due(status)?);
    let open = status.break_glass.as_ref()?;
    Some(ReviewAfterwards { reviewers: stages::reviewers(s, status, open).iter().map(written).collect(), by })
}

fn without_effect(stages: &[Stage], status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> Vec<String> {
    let judged = status.reviews.iter().map(|(who, review)| {
        let eligibility = Eligibility::of(stages, ask.requester, who, review);
        (eligibility, who, review)
    });
    let vain = judged.filter(|(eligibility, ..)| !eligibility.is_eligible());
    vain.map(|(eligibility, who, review)| shorten(&Said { who, review, eligibility }.to_string())).collect()
}

/// A subject as people write it: `Group/leads`, `ServiceAccount/ci/bot`.
pub fn written(subject: &Subject) -> String {
    subject.to_string()
}

#[cfg(test)]
mod tests;
