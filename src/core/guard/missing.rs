//! Why the guards do not count as in force, as values, with `Display` for `/readyz`, the log and requests that wait.
//!
//! It must not judge: [`sight`](super::sight) and [`record`](super::record) do, and the canary says what it could not find
//! out.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use super::sight::GuardDrift;

/// The oldest minor of Kubernetes that Daypass is made for and tried on. The chart refuses to be installed on older ones.
pub const OLDEST_KUBERNETES: &str = "1.33";

/// Why nothing new may be granted as far as the guards go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInForce {
    /// Nobody has tried them yet.
    Untried,
    /// A round found these wanting.
    Wanting(Vec<GuardFault>),
    /// The API server does not have a kind of theirs.
    Unserved(UnservedKind),
    /// The controller's own status write is refused, by another Daypass's guard, say; the API server's words.
    OwnWriteRefused(String),
    /// They are in force again, and count from then on.
    CountsFrom(Timestamp),
    /// They are in force again, and the replica that leads has yet to look at what was written without them.
    LeaderHasToLook,
    /// They are in force again, and requests have yet to be read.
    RequestsUnread,
    /// Nobody could find out.
    Unknown(Obstacle),
    /// What the record of a request says that waits for them; its words.
    OnRecord(String),
}

impl fmt::Display for NotInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untried => f.write_str("the cluster's guard has not been tried yet"),
            Self::Wanting(faults) => {
                let faults: Vec<String> = faults.iter().map(GuardFault::to_string).collect();
                f.write_str(&faults.join("; "))
            }
            Self::Unserved(kind) => write!(f, "{kind}"),
            Self::OwnWriteRefused(why) => write!(f, "the controller's own status write is refused: {why}"),
            Self::CountsFrom(at) => write!(f, "it is in force again, and counts from {at} on"),
            Self::LeaderHasToLook => f.write_str(
                "it is in force again; the replica that leads has yet to look at what was written without it",
            ),
            Self::RequestsUnread => f.write_str("it is in force again; requests have yet to be read"),
            Self::Unknown(obstacle) => write!(f, "{obstacle}"),
            Self::OnRecord(words) => f.write_str(words),
        }
    }
}

/// A guard that is not in force, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardFault {
    pub guard: String,
    pub flaw: GuardFlaw,
}

/// What is wrong with a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardFlaw {
    /// It is not what the chart made.
    Drifted(GuardDrift),
    /// It lets this through.
    Passed(Loophole),
}

impl fmt::Display for GuardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = &self.guard;
        match self.flaw {
            GuardFlaw::Drifted(drift) => write!(f, "{guard} {drift}"),
            GuardFlaw::Passed(loophole) => write!(f, "{guard} is missing: {loophole}"),
        }
    }
}

/// What the cluster lets others do, as a try has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loophole {
    /// Ask in another's name.
    Requests,
    /// Write any status of a request.
    Statuses,
    /// Make bindings of Daypass.
    Bindings,
    /// Write finalizers on requests.
    Finalizers,
    /// Write the Lease of the controller.
    Lease,
    /// Write in the namespace of the controller.
    BesideController,
}

impl fmt::Display for Loophole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "the cluster lets anybody ask in another's name",
            Self::Statuses => "the cluster lets reviewers write any status",
            Self::Bindings => "the cluster lets others make bindings of Daypass",
            Self::Finalizers => "the cluster lets people write finalizers on requests",
            Self::Lease => "the cluster lets others write the Lease of the controller",
            Self::BesideController => "the cluster lets others write beside the controller",
        })
    }
}

/// A kind that the API server does not serve, so that there can be no guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedKind {
    pub kind: String,
    pub group_version: String,
    /// Which version of Kubernetes the API server says it is.
    pub server: Option<String>,
}

impl fmt::Display for UnservedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group_version, server } = self;
        let server = server.as_deref().unwrap_or("of a version that it does not tell");
        write!(
            f,
            "this API server ({server}) does not serve {kind} of {group_version}, which keeps requests from being \
             forged; Daypass runs on Kubernetes {OLDEST_KUBERNETES} and later, with that kind switched on"
        )
    }
}

/// What keeps a round from saying anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A call failed; why.
    Failed(String),
    /// There is no request to try it on, and another replica has to make one.
    NothingToTryOn,
    /// The chart hands over the digest of no guard.
    NothingHandedOver,
    /// The API server did not say what time it is.
    NoTime,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "the guard cannot be tried: {why}"),
            Self::NothingToTryOn => {
                f.write_str("the guard cannot be tried yet: the replica that leads has to make a request for it")
            }
            Self::NothingHandedOver => {
                f.write_str("the guard cannot be told: the chart hands over no digest of any (--guard)")
            }
            Self::NoTime => f.write_str("the guard cannot be tried: the API server did not say what time it is"),
        }
    }
}

/// A guard whose try was refused by something else, so that sight alone decides over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BySight {
    pub guard: String,
    /// The API server's words.
    pub refusal: String,
}

impl fmt::Display for BySight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guard, refusal } = self;
        write!(f, "{guard} is believed by sight (its try was refused by something else: {refusal})")
    }
}
