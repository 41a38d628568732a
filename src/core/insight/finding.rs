//! What a finding is: its kind, how bad it is, which object it is about, what shows it, and what to do.
//!
//! Owns the words that metrics, records, CSV and JSON carry, and the form of all findings. It must not look for any: the
//! families do.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::narrower::proposal::NarrowerRules;
use crate::api::request::BindingKind;
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleName, Subject};
use crate::api::word::Vocabulary;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct InsightFinding {
    pub kind: InsightKind,
    /// How much harm can come of it, as the rights in it are read.
    pub severity: RiskLevel,
    pub about: AboutObject,
    /// Whose rights or requests it is about, if it is about anybody's.
    pub who: Option<Subject>,
    /// Who that is to the cluster.
    pub holder: Option<Holder>,
    /// What shows it.
    pub evidence: Vec<InsightFact>,
    pub remedy: Remedy,
    /// That somebody has written on the object that it is known, and why.
    pub accepted: Option<AcceptedFinding>,
}

/// The kinds of findings, each by a word that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InsightKind {
    /// Has everything in the cluster all the time, by any binding.
    ClusterAdminBound,
    /// Callers who are not logged in have rights.
    AnonymousBound,
    /// Everybody who is logged in, or every service account, has rights.
    AllAuthenticatedBound,
    /// Can come by what Daypass decides by: its account, its policies, the identity of others.
    CanForgeDaypass,
    /// Can switch off what holds Daypass, or take its record away.
    CanStopDaypass,
    /// Can run pods in a namespace with a service account that is stronger than they are.
    CanUseStrongerAccount,
    /// A person or group holds all the time what a policy could give for a time.
    StandingReplaceable,
    /// A service account can take over the cluster with what it has.
    PowerfulAccount,
    /// A binding to a role that there is not.
    MissingRole,
    /// A binding for a service account that there is not.
    MissingAccount,
    /// The service account that pods have unless they say otherwise has rights.
    DefaultAccountBound,
    /// Runs commands in pods by `get`, as nobody meant who did not give `create`.
    ExecByGet,
    /// Somebody was bound outside of Daypass while a grant of theirs ran.
    BoundOutsideDuringGrant,
    /// Somebody was bound outside of Daypass after a grant of theirs had ended.
    BoundOutsideAfterGrant,
    /// A binding of Daypass that no running request accounts for.
    UnaccountedBinding,
    /// High rights that nobody used for long.
    UnusedHighRights,
    /// Access was approved, ended, and was never used.
    ApprovedNeverUsed,
    /// One role is asked for so often that it could come back by itself.
    ActivatedTooOften,
    /// Somebody agreed to everything that they decided on.
    NeverDenies,
    /// All requests of one person were agreed to by the same other person, though there are others.
    SamePair,
    /// No request was made under a policy for long.
    PolicyUnused,
    /// No request is on record under a policy at all.
    PolicyNeverMatched,
    /// A role of a policy has more rights than the grants of it used.
    WiderThanUsed,
    /// A binding, role or status of a request was written, and no record explains it.
    UnexplainedWrite,
}

impl Vocabulary for InsightKind {
    const ALL: &'static [Self] = &[
        Self::ClusterAdminBound,
        Self::AnonymousBound,
        Self::AllAuthenticatedBound,
        Self::CanForgeDaypass,
        Self::CanStopDaypass,
        Self::CanUseStrongerAccount,
        Self::StandingReplaceable,
        Self::PowerfulAccount,
        Self::MissingRole,
        Self::MissingAccount,
        Self::DefaultAccountBound,
        Self::ExecByGet,
        Self::BoundOutsideDuringGrant,
        Self::BoundOutsideAfterGrant,
        Self::UnaccountedBinding,
        Self::UnusedHighRights,
        Self::ApprovedNeverUsed,
        Self::ActivatedTooOften,
        Self::NeverDenies,
        Self::SamePair,
        Self::PolicyUnused,
        Self::PolicyNeverMatched,
        Self::WiderThanUsed,
        Self::UnexplainedWrite,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::ClusterAdminBound => "ClusterAdminBound",
            Self::AnonymousBound => "AnonymousBound",
            Self::AllAuthenticatedBound => "AllAuthenticatedBound",
            Self::CanForgeDaypass => "CanForgeDaypass",
            Self::CanStopDaypass => "CanStopDaypass",
            Self::CanUseStrongerAccount => "CanUseStrongerAccount",
            Self::StandingReplaceable => "StandingReplaceable",
            Self::PowerfulAccount => "PowerfulAccount",
            Self::MissingRole => "MissingRole",
            Self::MissingAccount => "MissingAccount",
            Self::DefaultAccountBound => "DefaultAccountBound",
            Self::ExecByGet => "ExecByGet",
            Self::BoundOutsideDuringGrant => "BoundOutsideDuringGrant",
            Self::BoundOutsideAfterGrant => "BoundOutsideAfterGrant",
            Self::UnaccountedBinding => "UnaccountedBinding",
            Self::UnusedHighRights => "UnusedHighRights",
            Self::ApprovedNeverUsed => "ApprovedNeverUsed",
            Self::ActivatedTooOften => "ActivatedTooOften",
            Self::NeverDenies => "NeverDenies",
            Self::SamePair => "SamePair",
            Self::PolicyUnused => "PolicyUnused",
            Self::PolicyNeverMatched => "PolicyNeverMatched",
            Self::WiderThanUsed => "WiderThanUsed",
            Self::UnexplainedWrite => "UnexplainedWrite",
        }
    }
}

/// The object that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AboutObject {
    pub kind: AboutKind,
    pub namespace: Option<String>,
    pub name: String,
}

/// Of which kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AboutKind {
    ClusterRoleBinding,
    RoleBinding,
    ClusterRole,
    Role,
    AccessPolicy,
    AccessRequest,
    /// Somebody by their username, where no object stands for them.
    User,
}

impl From<BindingKind> for AboutKind {
    fn from(kind: BindingKind) -> Self {
        match kind {
            BindingKind::RoleBinding => Self::RoleBinding,
            BindingKind::ClusterRoleBinding => Self::ClusterRoleBinding,
        }
    }
}

/// Who holds rights, as far as the name of a subject says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Callers who are not logged in.
    Anonymous,
    /// Everybody who is logged in.
    Everybody,
    /// Every service account of the cluster.
    AllAccounts,
    /// One that logs in by a name of its own.
    Person,
    /// A group that the login gives.
    Group,
    /// Every service account of one namespace.
    AccountsOfNamespace,
    /// One service account.
    Account,
}

/// Something that shows a finding.
#[derive(Clone, Debug, PartialEq)]
pub enum InsightFact {
    /// This role is bound; in a namespace, or with none in the whole cluster.
    Bound { role: RoleName, namespace: Option<String> },
    /// What its rights are good for, the worst first, each as its level and a sentence.
    Risk(Vec<String>),
    /// A right by which something is possible.
    Right(PowerfulRight),
    /// There is no such role.
    NoSuchRole(RoleName),
    /// There is no such service account; or not even its namespace.
    NoSuchAccount { namespace_gone: bool },
    /// A stronger service account, by namespace and name.
    Stronger { namespace: String, name: String },
    /// A request that it has to do with, by namespace and name, and when its access began and ended or ends.
    Grant { namespace: String, name: String, from: Timestamp, until: Timestamp },
    /// When the object was made.
    Made(Timestamp),
    /// A policy that gives the same for a time, by name.
    OfferedBy(String),
    /// So many, of so many.
    Count { what: CountedThing, count: usize, of: usize },
    /// Within this time.
    Within(SignedDuration),
    /// The other person of a pair.
    With(String),
    /// When it was last so.
    Last(Timestamp),
    /// As whom somebody acted.
    ActingAs(String),
    /// What the archive says of it, in its words.
    Told(String),
    /// Rules that would do for this role, by what was done with grants of it.
    Narrower { role: RoleName, rules: Box<NarrowerRules> },
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountedThing {
    /// Decisions that were an approval.
    Approvals,
    /// Grants that ended unused.
    Unused,
    /// Grants.
    Grants,
    /// Requests on record under the policy, of those on record.
    Requests,
    /// Writes of the object.
    Writes,
}

/// A right that matters beyond what it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PowerfulRight {
    pub verb: &'static str,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// With its subresource, if any.
    pub resource: &'static str,
    /// Where it is one; none in the whole cluster.
    pub namespace: Option<String>,
}

/// What to do about a finding.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// Have them ask: a policy, its test, and what takes the standing right away.
    Replace(Box<PolicyProposal>, CommandLine),
    /// A policy gives it already: ask, and take the standing right away.
    AskInstead { ask: CommandLine, unbind: CommandLine },
    /// Take the right away.
    Unbind(CommandLine),
    /// Look further; nothing is to be removed at once.
    Look(CommandLine),
}

/// An AccessPolicy that gives for a time what somebody holds all the time, and the test of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyProposal {
    /// Name of the policy.
    pub name: String,
    /// Who may ask.
    pub requester: Subject,
    pub role: RoleName,
    /// None in the whole cluster.
    pub namespace: Option<String>,
    /// Whether it has to say that it reaches protected namespaces.
    pub system_namespaces: bool,
    /// Who agrees.
    pub approvers: Vec<Subject>,
}

/// A command, word by word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(pub Vec<String>);

/// That a finding is known to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedFinding {
    /// In their words.
    pub reason: String,
    /// Whether whoever the finding is about could have written that, by what was read of their rights.
    pub by_holder: bool,
}
