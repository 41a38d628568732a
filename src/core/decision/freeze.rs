//! Denials by policies as values: a no, or windows that bound the time of access.
//!
//! Owns the sentences of a denial, and how the windows of several policies add up. It must not say which of the two a policy
//! does to a request (`stance`), nor when access would be (`period`).

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use crate::core::model::field_error::{FieldError, sentence};
use crate::core::model::openings::Openings;
use crate::core::model::schedule::Schedule;
use crate::core::policies::Policy;
use crate::core::policies::cel::Unevaluated;

/// A policy that denies a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denying {
    pub policy: String,
    /// Why a condition of it cannot be evaluated, if that is why it denies: such a condition lets nobody in.
    pub unevaluated: Option<NoAnswer>,
    /// The window in which it denies; none when it always does.
    pub window: Option<Frozen>,
}

/// Why a condition of a policy that denies says neither yes nor no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Its expressions have faults.
    Faults(Vec<FieldError>),
    Evaluation(Unevaluated),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => f.write_str(&sentence(faults)),
            Self::Evaluation(why) => write!(f, "{why}"),
        }
    }
}

/// What lies in a window in which a policy denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    pub what: Moment,
    pub at: Timestamp,
    /// When the window closes.
    pub until: Timestamp,
}

/// What of a request cannot be moved out of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its start, which it names.
    Start,
    /// The end of the grant from which on it adds time.
    EndOfGrant,
    /// Now: it is an emergency.
    Emergency,
    /// Now: its access runs.
    Running,
}

impl fmt::Display for Denying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, unevaluated, window } = self;
        write!(f, "policy {policy} denies it")?;
        if let Some(Frozen { what, at, until }) = window {
            match what {
                Moment::Start => write!(
                    f,
                    " until {until}, and spec.startTime is {at}: name a start from then on, or leave startTime out to have \
                     access when it can be"
                )?,
                Moment::EndOfGrant => write!(f, " from {at} until {until}, so a grant that ends then is not extended")?,
                Moment::Emergency => write!(f, " until {until}, emergencies too (its spec.onBreakGlass)")?,
                Moment::Running => write!(f, " until {until}")?,
            }
        }
        match unevaluated {
            Some(why) => write!(f, ", since a condition cannot be evaluated: {why}"),
            None => Ok(()),
        }
    }
}

/// What a policy that denies makes of a request.
#[derive(Clone, Debug)]
pub enum Stance<'p> {
    Denies(Denying),
    /// It bounds the time of access by these windows.
    Bounds(&'p Schedule),
}

/// The windows in which policies deny a request that they otherwise leave alone.
#[derive(Clone, Debug, Default)]
pub struct Freezes<'p> {
    names: Vec<&'p str>,
    schedules: Vec<&'p Schedule>,
}

/// A policy, and the instant at which a window of it opens or closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeEdge {
    /// Name of the policy.
    pub policy: String,
    pub at: Timestamp,
}

impl<'p> Freezes<'p> {
    /// What those policies make of a request that bound it, and all denials by the others.
    pub fn of(
        policies: impl Iterator<Item = &'p Policy>,
        stance: impl Fn(&'p Policy) -> Option<Stance<'p>>,
    ) -> (Vec<Denying>, Self) {
        let (mut denying, mut freezes) = (Vec::new(), Self::default());
        for policy in policies {
            match stance(policy) {
                None => {}
                Some(Stance::Denies(why)) => denying.push(why),
                Some(Stance::Bounds(schedule)) => {
                    freezes.names.push(&policy.reference.name);
                    freezes.schedules.push(schedule);
                }
            }
        }
        (denying, freezes)
    }

    /// When access under a policy that allows it may be used.
    pub fn openings<'a>(&'a self, allowing: &'a Policy) -> Openings<'a> {
        Openings { allowed: allowing.schedule.as_ref(), denied: &self.schedules }
    }

    /// The window that is open at this instant and closes last.
    pub fn in_force(&self, at: Timestamp) -> Option<FreezeEdge> {
        self.edges(|schedule| schedule.open(at)).max_by_key(|edge| edge.at)
    }

    /// The window that opens first after this instant.
    pub fn next(&self, at: Timestamp) -> Option<FreezeEdge> {
        self.edges(|schedule| schedule.next_opening(at)).min_by_key(|edge| edge.at)
    }

    /// The windows as people write them, each with the policy whose it is.
    pub fn describe(&self) -> Vec<String> {
        let all = self.names.iter().zip(&self.schedules);
        all.map(|(name, schedule)| format!("{} (policy {name})", schedule.describe())).collect()
    }

    fn edges(&self, when: impl Fn(&Schedule) -> Option<Timestamp>) -> impl Iterator<Item = FreezeEdge> {
        let all = self.names.iter().zip(&self.schedules);
        all.filter_map(move |(name, schedule)| Some(FreezeEdge { policy: (*name).to_owned(), at: when(schedule)? }))
    }
}
