//! What can be answered to a request, as types, and the sentences that people read of it.
//!
//! Owns the words of an answer. It must not decide: [`super::decide`] does.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use crate::api::policy::Stage;
use crate::api::subject::RoleName;
use crate::core::decision::freeze::{FreezeEdge, Freezes};
use crate::core::decision::period::Period;
use crate::core::decision::shortfall::Denial;
use crate::core::model::field_error::{FieldError, sentence};
use crate::core::model::grant_scope::GrantScope;
use crate::core::policies::Policy;
use crate::core::policies::usable::Unusable;

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Decision<'p> {
    /// A policy that might deny cannot be read.
    Undecided(Unreadable),
    /// Policies allow it, and the API server has yet to say whether the controller may bind this role.
    RightUnknown(RightUnknown),
    /// No, as far as policies go; all reasons, the closest to a yes first.
    Denied(Vec<Denial>),
    /// No, says somebody who may.
    Refused {
        /// The policy that gives them a say.
        policy: &'p Policy,
        refusal: Refusal,
    },
    /// People must agree first.
    Waiting(Waiting<'p>),
    /// Nobody decided in time.
    Lapsed(Lapse),
    /// Yes, and a policy denies it for now.
    Frozen(Approved<'p>, FreezeEdge),
    /// Yes, and its role cannot be handed out any more, or not yet again.
    RoleAway(Approved<'p>, RoleAway),
    Approved(Approved<'p>),
}

/// A policy that denies and has faults outside of its expressions: what it might deny waits until it is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub policy: String,
    /// What is wrong with it.
    pub faults: Vec<FieldError>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, faults) = (&self.policy, sentence(&self.faults));
        write!(f, "policy {policy} denies, but cannot be read, so no request can be decided: {faults}")
    }
}

/// Until when nobody decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// The stage of this name had to be full by the deadline.
    Stage(String),
    /// The time asked for is over.
    Time,
    /// The grant that was to be extended came to its end.
    Grant(String),
    /// The role could not be handed out in time.
    Role(Unusable),
    /// The archive did not have the decision in time.
    Record,
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(name) => write!(f, "stage {name} had no answer in time"),
            Self::Time => f.write_str("the time asked for is over"),
            Self::Grant(of) => write!(f, "{of} came to its end first"),
            Self::Role(why) => write!(f, "its role did not come in time: {why}"),
            Self::Record => f.write_str("the archive did not acknowledge the decision in time"),
        }
    }
}

/// What somebody said who denied a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub by: String,
    /// What they said to it; empty when they said nothing.
    pub comment: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, comment } = self;
        write!(f, "{by} denied it")?;
        if comment.is_empty() { Ok(()) } else { write!(f, ": {comment}") }
    }
}

/// People must agree: under which policy, in which stage, and by when.
#[derive(Clone, Debug)]
pub struct Waiting<'p> {
    /// The policy that asks for it.
    pub policy: &'p Policy,
    /// The stage that is open, with everybody who may approve in it.
    pub stage: Stage,
    /// How many people count for the stage so far.
    pub approved: i32,
    /// When the wait ends.
    pub deadline: Timestamp,
    /// The policy that denies it meanwhile, and until when.
    pub frozen: Option<FreezeEdge>,
    /// Why access would have to wait for its role.
    pub role_away: Option<Box<Unusable>>,
}

/// What access waits for whose role cannot be handed out, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAway {
    /// Why it cannot.
    pub why: Unusable,
    /// When the wait ends.
    pub deadline: Timestamp,
}

/// It is not known whether the controller may bind this role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightUnknown(pub RoleName);

impl fmt::Display for RightUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API server has yet to say whether Daypass may bind {}", self.0)
    }
}

/// What holds up access that policies allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// A policy denies it until a window of it closes.
    Frozen(FreezeEdge),
    /// Its role cannot be handed out.
    Role(Unusable),
}

impl HeldBy {
    /// Both of them, as far as they are there.
    pub fn all(frozen: Option<&FreezeEdge>, role: Option<&Unusable>) -> Vec<Self> {
        frozen.cloned().map(Self::Frozen).into_iter().chain(role.cloned().map(Self::Role)).collect()
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frozen(FreezeEdge { policy, at }) => {
                write!(f, "policy {policy} denies it until {at}: access waits for that")
            }
            Self::Role(why) => write!(f, "access waits for its role: {why}"),
        }
    }
}

/// A yes: under which policy, where, for how long, and who agreed.
#[derive(Clone, Debug)]
pub struct Approved<'p> {
    /// The policy that allows it.
    pub policy: &'p Policy,
    pub place: GrantScope,
    /// From when until when. Of an extension, what it adds.
    pub period: Period,
    /// Who agreed; nobody when the policy asks for nobody.
    pub approvers: Vec<String>,
    /// The windows in which other policies deny it.
    pub freezes: Freezes<'p>,
}

impl Approved<'_> {
    /// Which policy allows it, and who agreed.
    pub fn allowed_by(&self) -> AllowedBy {
        AllowedBy { policy: self.policy.reference.name.clone(), approvers: self.approvers.clone() }
    }
}

/// The policy that allows a request, and the people who agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedBy {
    pub policy: String,
    /// Nobody when the policy asks for nobody.
    pub approvers: Vec<String>,
}

impl fmt::Display for AllowedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {} allows it", self.policy)?;
        match self.approvers.as_slice() {
            [] => Ok(()),
            who => write!(f, ", approved by {}", who.join(", ")),
        }
    }
}
