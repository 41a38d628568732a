//! Why a policy that allows does not cover a request, and why a request is denied: as values, with `Display` for people.
//!
//! It must not be compared as text: status messages, Events and explanations alone show it.

use std::fmt;

use k8s_openapi::jiff::SignedDuration;

use super::freeze::Denying;
use super::period::NoTime;
use super::protected::Protection;
use crate::api::subject::{RoleName, Subject};
use crate::core::model::duration;
use crate::core::model::field_error::{FieldError, sentence};
use crate::core::model::near_miss::NearMiss;
use crate::core::policies::cel::Unevaluated;
use crate::core::policies::limits::Exceeded;
use crate::core::policies::origin::Disbelief;
use crate::core::policies::usable::ListedRole;

/// One thing in which a policy falls short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// It does not name this person, nor a group of theirs.
    Requester {
        who: String,
        wanted: Requesters,
        /// Whom of these they nearly are, if they are.
        near: Option<NearMiss>,
    },
    /// It does not name the role.
    Role {
        /// The role asked for.
        asked: RoleName,
        listed: Vec<RoleName>,
    },
    /// It covers namespaces alone.
    Cluster,
    /// It does not cover these namespaces.
    Namespaces(Vec<String>),
    /// Nobody has looked at the grant of this name that is to be extended.
    UnknownGrant(String),
    /// It allows no extension.
    Extension,
    /// It allows only so many extensions of a grant.
    Extensions(usize),
    /// An extension adds more than it allows.
    ExtensionLength {
        asked: SignedDuration,
        /// The most that one may add.
        most: SignedDuration,
    },
    /// It allows no recurring access.
    Recurrence,
    /// It allows recurring access for fewer weeks.
    Weeks {
        /// How many are asked for.
        asked: i32,
        /// How many it allows.
        most: i32,
    },
    /// Windows last longer than it allows access to.
    WindowLength {
        /// The longest of them.
        asked: SignedDuration,
        most: SignedDuration,
    },
    /// Access lasts longer than it allows.
    Length { asked: SignedDuration, most: SignedDuration },
    /// It allows no break-glass access.
    BreakGlass,
    /// It allows nothing but break-glass access.
    BreakGlassOnly,
    /// A condition does not hold; its message.
    Condition(String),
    /// A condition cannot be evaluated.
    ConditionUnevaluated(Unevaluated),
    /// Whether people must be asked cannot be evaluated.
    AutomaticUnevaluated(Unevaluated),
    /// It does not reach what is protected.
    Protected(Protection),
    /// It lists the role, which cannot be handed out.
    RoleUnusable(ListedRole),
    /// It has no window for it.
    NoTime(NoTime),
    /// Its limits leave no room.
    Limit(Exceeded),
    /// It is not believed; why, and the way out.
    Disbelieved(Disbelief),
    /// It has faults in its expressions.
    Faulty(Vec<FieldError>),
}

impl Shortfall {
    /// Whether the policy is for other places than the one asked for.
    fn is_of_the_place(&self) -> bool {
        matches!(self, Self::Cluster | Self::Namespaces(_))
    }

    /// Whether it is a fault of the policy, whatever is asked for.
    pub fn is_of_the_policy(&self) -> bool {
        matches!(self, Self::Disbelieved(_) | Self::Faulty(_) | Self::RoleUnusable(_))
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = |length: &SignedDuration| duration::format(*length);
        match self {
            Self::Requester { who, wanted, near } => {
                write!(f, "{who} is not among its requesters ({wanted})")?;
                near.iter().try_for_each(|near| write!(f, ": {near}"))
            }
            Self::Role { asked, listed } => {
                write!(f, "{asked} is not among its roles ({})", in_a_row(listed))
            }
            Self::Cluster => f.write_str("it does not cover the whole cluster"),
            Self::Namespaces(names) => write!(f, "it does not cover namespace {}", names.join(", ")),
            Self::UnknownGrant(of) => write!(f, "nothing is known of {of}"),
            Self::Extension => f.write_str("it allows no extension"),
            Self::Extensions(1) => f.write_str("it allows a grant to be extended once only"),
            Self::Extensions(most) => write!(f, "it allows a grant to be extended {most} times only"),
            Self::ExtensionLength { asked, most } => {
                write!(f, "{} is longer than {}, the most that one extension adds", long(asked), long(most))
            }
            Self::Recurrence => f.write_str("it allows no recurring access (spec.recurrence)"),
            Self::Weeks { asked, most } => write!(f, "{asked} weeks are more than the {most} that it allows"),
            Self::WindowLength { asked, most } => {
                write!(f, "windows of {} are longer than its maximum of {}", long(asked), long(most))
            }
            Self::Length { asked, most } => write!(f, "{} is longer than its maximum of {}", long(asked), long(most)),
            Self::BreakGlass => f.write_str("it has no breakGlass"),
            Self::BreakGlassOnly => f.write_str("it is for emergencies only (spec.breakGlass)"),
            Self::Condition(message) => f.write_str(message),
            Self::ConditionUnevaluated(why) => write!(f, "its condition cannot be evaluated: {why}"),
            Self::AutomaticUnevaluated(why) => write!(f, "its automaticWhen cannot be evaluated: {why}"),
            Self::Protected(protection) => write!(f, "{protection}"),
            Self::RoleUnusable(listed) => write!(f, "{listed}"),
            Self::NoTime(why) => write!(f, "{why}"),
            Self::Limit(exceeded) => write!(f, "{exceeded}"),
            Self::Disbelieved(why) => write!(f, "{why}"),
            Self::Faulty(faults) => write!(f, "it is not ready ({})", sentence(faults)),
        }
    }
}

/// Whom a policy names, as far as they are told: it may name hundreds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requesters {
    /// The first of them.
    pub named: Vec<Subject>,
    /// How many there are beside these.
    pub more: usize,
}

impl Requesters {
    const MOST_NAMED: usize = 5;

    /// Of a policy.
    pub fn of(subjects: &[Subject]) -> Self {
        let (named, more) = subjects.split_at(subjects.len().min(Self::MOST_NAMED));
        Self { named: named.to_vec(), more: more.len() }
    }
}

impl fmt::Display for Requesters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_a_row(&self.named))?;
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

/// Values as people write them, in a row.
pub fn in_a_row<T: fmt::Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why policies deny a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It asks for what there is not, or what cannot be granted from here.
    Request(FieldError),
    /// A policy denies it.
    Policy(Denying),
    /// A policy falls short of it.
    FallsShort {
        policy: String,
        /// Everything in which it does.
        shortfalls: Vec<Shortfall>,
    },
    /// A policy that allows has faults.
    NotReady {
        policy: String,
        /// What is wrong with it.
        faults: Vec<FieldError>,
    },
    /// The policy that the request names denies, so nothing can be granted by it.
    NamesDenying(String),
    /// There is no policy of the name that the request gives.
    NamesNone {
        name: String,
        /// Names of policies that are near to it, nearest first.
        near: Vec<String>,
    },
    /// No policy allows anything.
    NoPolicy,
}

impl Denial {
    /// How far a policy is from allowing the request; the closest comes first. Of two that fall short in as much, that for
    /// another place is the farther one: in a large cluster nearly all policies are for other places.
    pub fn distance(&self) -> (usize, bool) {
        match self {
            Self::FallsShort { shortfalls, .. } => {
                let of_the_request = shortfalls.iter().filter(|short| !short.is_of_the_policy()).count();
                (of_the_request, shortfalls.iter().any(Shortfall::is_of_the_place))
            }
            _ => (0, false),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(fault) => write!(f, "{fault}"),
            Self::Policy(denying) => write!(f, "{denying}"),
            Self::FallsShort { policy, shortfalls } => write!(f, "policy {policy}: {}", in_a_row(shortfalls)),
            Self::NotReady { policy, faults } => write!(f, "policy {policy}: it is not ready ({})", sentence(faults)),
            Self::NamesDenying(policy) => write!(f, "policy {policy}: it denies, so nothing can be granted by it"),
            Self::NamesNone { name, near } if near.is_empty() => write!(f, "there is no policy {name}"),
            Self::NamesNone { name, near } => {
                write!(f, "there is no policy {name}; names that are near: {}", in_a_row(near))
            }
            Self::NoPolicy => f.write_str("there is no policy that allows anything"),
        }
    }
}
