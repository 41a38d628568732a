//! What somebody has once it is granted, and why policy does not allow it any more: as values, with `Display` for people.
//!
//! It must not judge a grant: [`active`](super::active) does.

use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::request::{FreezeAhead, NarrowRule};
use crate::api::subject::RoleName;
use crate::core::decision::freeze::Denying;
use crate::core::decision::shortfall::{Shortfall, in_a_row};
use crate::core::lifecycle::happened::Happened;
use crate::core::model::duration;
use crate::core::model::field_error::{FieldError, sentence};
use crate::core::model::grant_scope::GrantScope;
use crate::core::rbac::role::Lack;
use crate::core::rbac::rules::describe as describe_rules;

/// The most namespaces that are named one by one.
const MOST_NAMED: usize = 8;

/// Access that somebody has.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    pub who: String,
    /// What of the role it is; empty for all of it.
    pub rules: Vec<NarrowRule>,
    pub role: RoleName,
    pub place: GrantScope,
    pub length: GrantLength,
    pub until: Option<Timestamp>,
    /// Who or what allowed it, as the record says.
    pub because: Option<String>,
    /// The policy that will deny it before its end.
    pub freeze: Option<FreezeAhead>,
}

/// How long access lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLength {
    /// So long, as far as it is known.
    Once(Option<SignedDuration>),
    /// In windows, as people write them.
    Recurring(String),
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, rules, role, place, length, until, because, freeze } = self;
        write!(f, "{who} has ")?;
        if !rules.is_empty() {
            write!(f, "{} of ", describe_rules(rules))?;
        }
        write!(f, "{role} in ")?;
        match place {
            GrantScope::Cluster => f.write_str("the whole cluster")?,
            GrantScope::Namespaces(names) if names.len() > MOST_NAMED => write!(f, "{} namespaces", names.len())?,
            GrantScope::Namespaces(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                write!(f, "namespace {}", names.join(", "))?;
            }
        }
        let length = match length {
            GrantLength::Once(length) => length.map(duration::format).unwrap_or_default(),
            GrantLength::Recurring(windows) => windows.clone(),
        };
        let until = until.map(|until| until.to_string()).unwrap_or_default();
        write!(f, " for {length}, until {until}; {}", because.as_deref().unwrap_or_default())?;
        freeze.iter().try_for_each(|ahead| write!(f, "; {}", Happened::FreezeAhead(ahead.clone())))
    }
}

/// Why policy does not allow any more what is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoLonger {
    /// A policy denies it.
    Denied(Denying),
    /// Its record names no end.
    NoEnd,
    /// Its record names no policy.
    NoPolicy,
    /// Its role has less than is granted.
    RoleNarrowed { role: RoleName, lacks: Box<Lack> },
    /// The policy of this name is gone.
    PolicyGone(String),
    /// Another policy has this name by now.
    PolicyMadeAnew(String),
    /// The policy of this name denies by now.
    PolicyDenies(String),
    /// The policy has faults.
    PolicyNotReady {
        policy: String,
        /// What is wrong with it.
        faults: Vec<FieldError>,
    },
    /// The policy falls short of what is granted.
    FallsShort { policy: String, shortfalls: Vec<Shortfall> },
}

impl fmt::Display for NoLonger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denying) => write!(f, "{denying}"),
            Self::NoEnd => f.write_str("the record names no end"),
            Self::NoPolicy => f.write_str("the record names no policy"),
            Self::RoleNarrowed { role, lacks } => write!(f, "{role} was narrowed below what is granted: {lacks}"),
            Self::PolicyGone(policy) => write!(f, "policy {policy} is gone"),
            Self::PolicyMadeAnew(policy) => write!(f, "policy {policy} was deleted and made anew"),
            Self::PolicyDenies(policy) => write!(f, "policy {policy} denies now"),
            Self::PolicyNotReady { policy, faults } => {
                write!(f, "policy {policy} is not ready any more: {}", sentence(faults))
            }
            Self::FallsShort { policy, shortfalls } => {
                write!(f, "policy {policy} does not allow it any more: {}", in_a_row(shortfalls))
            }
        }
    }
}
