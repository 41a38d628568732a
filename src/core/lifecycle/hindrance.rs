//! What stands in the way of a request before any policy is asked, and the request as it is decided when nothing does.
//!
//! Owns the checks that come before the decision: the guard, the clock, what a role lacks, overdue reviews, and what an
//! extension extends. It must not ask a policy, nor say what goes on record.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use crate::api::request::AccessRequestStatus;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::{Guard, NotInForce, Unguarded};
use crate::core::lifecycle::break_glass::{self, Unreviewed};
use crate::core::lifecycle::end::Ending;
use crate::core::lifecycle::extension::{self, NotExtendable};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::history::join;
use crate::core::model::own_clock::WrongClock;
use crate::core::rbac::role::{Lack, RoleSeen, missing_rights};

/// What stands in the way of a request before any policy is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// A guard of the cluster is missing; why.
    Guard(NotInForce),
    /// The controller's clock is wrong.
    Clock(WrongClock),
    /// It was made in a time without guard.
    MadeInGap(Unguarded),
    /// Its role lacks what it asks for; what.
    Lacks(Vec<Lack>),
    /// Earlier break-glass access has not been reviewed.
    Unreviewed(Unreviewed),
    /// It is an extension, and has been carried out.
    Extended {
        /// Name of the request that has the grant.
        of: String,
        /// How its end was moved.
        from: Timestamp,
        to: Timestamp,
    },
    /// It is an extension of what cannot be extended.
    NotExtendable {
        why: NotExtendable,
        /// Whether it could when it was first looked at.
        could: bool,
    },
}

impl Hindrance {
    /// How the request ends by it; none when it waits.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Self::Guard(_) | Self::Clock(_) => None,
            Self::MadeInGap(_) | Self::Lacks(_) | Self::Unreviewed(_) => Some(Ending::Denied),
            Self::Extended { .. } => Some(Ending::Extended),
            Self::NotExtendable { could: true, .. } => Some(Ending::Lapsed),
            Self::NotExtendable { could: false, .. } => Some(Ending::Denied),
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard(why) => write!(f, "{why}"),
            Self::Clock(wrong) => write!(f, "{wrong}"),
            Self::MadeInGap(when) => write!(f, "it was made {when}: make it again"),
            Self::Lacks(lacks) => write!(f, "spec.rules: {}", join(lacks)),
            Self::Unreviewed(unreviewed) => write!(f, "{unreviewed}"),
            Self::Extended { of, from, to } => write!(f, "the end of {of} moved from {from} to {to}"),
            Self::NotExtendable { why, could: true } => write!(f, "{why}"),
            Self::NotExtendable { why, could: false } => write!(f, "spec.extends: {why}"),
        }
    }
}

/// The request in the form in which it is decided: with its length when that is settled, and for an extension with
/// what the running grant settles.
///
/// # Errors
/// What stands in its way instead.
pub fn prepare<'a>(
    s: &Snapshot<'a>,
    status: &AccessRequestStatus,
    ask: &ValidRequest<'a>,
    now: Timestamp,
) -> Result<ValidRequest<'a>, Hindrance> {
    // Once an end is on record the length is settled, whichever policy allows it by then.
    let settled = ask.start.zip(status.expires_at.as_ref()).map(|(start, end)| end.0.duration_since(start));
    let ask = ValidRequest { length: settled.or(ask.length), ..ask.clone() };
    match s.guard {
        Guard::Missing(why) => return Err(Hindrance::Guard(why.clone())),
        Guard::InForce(gaps) => {
            if let Some(when) = gaps.gap_at(ask.created) {
                return Err(Hindrance::MadeInGap(when));
            }
        }
    }
    if let Some(wrong) = s.wrong_clock {
        return Err(Hindrance::Clock(wrong));
    }
    let lacks = missing_rights(&s.request.spec.rules, s.role);
    // Of a role that is nowhere, the decision says it.
    if !lacks.is_empty() && s.role.and_then(RoleSeen::nowhere).is_none() {
        return Err(Hindrance::Lacks(lacks));
    }
    match ask.aim {
        RequestKind::Extension { of, .. } => complete_extension(s, status, &ask, of),
        RequestKind::BreakGlass => match break_glass::refusal(s, ask.requester, now) {
            Some(unreviewed) => Err(Hindrance::Unreviewed(unreviewed)),
            None => Ok(ask),
        },
        RequestKind::Grant => Ok(ask),
    }
}

/// The extension with what the running grant settles. How it ends instead, when it has been carried out, or cannot be.
fn complete_extension<'a>(
    s: &Snapshot<'a>,
    status: &AccessRequestStatus,
    ask: &ValidRequest<'a>,
    of: &'a str,
) -> Result<ValidRequest<'a>, Hindrance> {
    if let Some(moved) = extension::applied(s.request, s.extended) {
        return Err(Hindrance::Extended { of: of.to_owned(), from: moved.from.0, to: moved.to.0 });
    }
    let could = status.extends.is_some();
    extension::complete(ask, of, s).map_err(|why| Hindrance::NotExtendable { why, could })
}
