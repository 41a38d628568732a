//! What can look wrong in a policy, as values, with the sentences for its author: what is wrong, and the way out.
//!
//! It must not say when something is: that is for [`super`].

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::jiff::SignedDuration;

use crate::core::decision::protected::WAY_OUT;
use crate::core::model::duration;
use crate::core::model::problem::FieldProblem;
use crate::core::policies::unrecorded::{self, UnrecordedKey};
use crate::core::policies::usable::Unusable;
use crate::core::policies::wildcards::{self, Wildcard};
use crate::core::policies::written_for::DeniesAlways;

/// Something that looks wrong. Shown, it says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A fault, and what becomes of the policy until it is mended.
    Fault { problem: FieldProblem, consequence: &'static str },
    /// It cannot be decoded, as the decoder says it.
    Undecodable(String),
    /// A role that cannot be handed out.
    RoleUnusable(Unusable),
    /// A subject that is nobody.
    Nobody(Wildcard),
    /// A key that a condition asks for and the cluster does not record.
    Unrecorded(UnrecordedKey),
    /// Emergencies may stay unreviewed for long.
    LongReview(SignedDuration),
    /// Extensions add up to much.
    LongExtension(SignedDuration),
    /// Access would end so soon that it ends under those who use it.
    ShortIdle(SignedDuration),
    /// The time without use is no shorter than any access.
    IdleNeverComes { timeout: SignedDuration, longest: SignedDuration },
    /// Its windows do not count, since an earlier version did not know them; in words.
    WindowsIgnored(DeniesAlways),
    /// Its windows leave no time for access.
    WindowsAlways,
    /// It does not say what its windows do to emergencies.
    EmergenciesUnsaid,
    /// It names this namespace, which is protected.
    Protected(String),
    /// It lists this role, which is never granted in the whole cluster.
    NeverInCluster(String),
    /// This role in every namespace, and nobody needs to agree.
    EverywhereAlone(String),
    /// The whole cluster, and nobody needs to agree.
    ClusterAlone,
    /// Everybody can have this role, and nobody needs to agree.
    EverybodyAlone(String),
    /// Long access, and nobody needs to agree.
    LongAlone(SignedDuration),
    /// The only approver of a stage is the only requester.
    NobodyCanApprove { stage: String },
    /// Only those who ask may approve in a stage.
    ApproveEachOther { stage: String },
    /// This group, which is everybody, may approve.
    EverybodyApproves(String),
    /// This group of service accounts may approve.
    RobotsApprove(String),
    /// The policy of this name denies all that it allows.
    DeniedBy(String),
    /// The policy of this name allows all of it and is chosen first.
    ShadowedBy(String),
    /// A glob that fits none of so many namespaces.
    FitsNothing { glob: String, known: usize },
}

impl Oddity {
    /// What to do about it.
    pub fn way_out(&self) -> Cow<'static, str> {
        match self {
            Self::Fault { consequence, .. } => format!("mend it: {consequence}").into(),
            Self::RoleUnusable(why) => why.way_out().into(),
            Self::Protected(_) => format!("remove it, or {WAY_OUT}").into(),
            Self::NeverInCluster(_) => format!("list roles that only look, or {WAY_OUT}").into(),
            Self::Undecodable(_) => "mend or remove it: until then no request can be decided".into(),
            Self::Nobody(_) => wildcards::WAY_OUT.into(),
            Self::Unrecorded(_) => unrecorded::WAY_OUT.into(),
            Self::LongReview(_) => "name a week (168h) or less".into(),
            Self::LongExtension(_) => "lower max or count: who needs it longer can ask anew".into(),
            Self::ShortIdle(_) => "name 5m or more".into(),
            Self::IdleNeverComes { .. } => "name less than duration.max, or remove it".into(),
            Self::WindowsIgnored(_) => {
                "set spec.onBreakGlass, or change the spec otherwise, and its windows count".into()
            }
            Self::WindowsAlways => "remove schedule, or leave a time for access".into(),
            Self::EmergenciesUnsaid => {
                "set spec.onBreakGlass to Exempt to leave emergencies alone, or to Deny to say that you mean it".into()
            }
            Self::EverywhereAlone(_) => {
                "add approval.stages, or narrow it; if you mean it, add stages of those who may say no, and set \
                 approval.automaticWhen to \"true\""
                    .into()
            }
            Self::ClusterAlone => "add approval.stages, or narrow it".into(),
            Self::EverybodyAlone(_) => "name the groups that need it, or add approval.stages".into(),
            Self::LongAlone(_) => "lower it to 24h or less, or add approval.stages".into(),
            Self::NobodyCanApprove { .. } | Self::ApproveEachOther { .. } => {
                "name approvers who are not among the requesters".into()
            }
            Self::EverybodyApproves(_) => "name the groups whose word should count".into(),
            Self::RobotsApprove(_) => "name each one with kind ServiceAccount, or name people".into(),
            Self::DeniedBy(_) => "remove one of the two, or narrow the one that denies".into(),
            Self::ShadowedBy(_) => "remove it, or narrow the other".into(),
            Self::FitsNothing { .. } => "correct or remove it, or create the namespace".into(),
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { problem, .. } => write!(f, "{problem}"),
            Self::Undecodable(why) => write!(f, "cannot be read: {why}"),
            Self::RoleUnusable(why) => f.write_str(&why.why()),
            Self::Nobody(wildcard) => write!(f, "{wildcard}"),
            Self::Unrecorded(key) => write!(f, "{key}"),
            Self::LongReview(within) => {
                write!(f, "emergencies may stay unreviewed for {}", duration::format(*within))
            }
            Self::LongExtension(total) => {
                write!(f, "a grant can be extended by {} in all, more than 30 days", duration::format(*total))
            }
            Self::ShortIdle(timeout) => {
                write!(f, "access ends under who reads for {} what it showed", duration::format(*timeout))
            }
            Self::IdleNeverComes { timeout, longest } => {
                let (timeout, longest) = (duration::format(*timeout), duration::format(*longest));
                write!(f, "no access lasts for longer than {longest}, so none ends after {timeout} without use")
            }
            Self::WindowsIgnored(why) => write!(f, "{why}"),
            Self::WindowsAlways => f.write_str("its windows leave no minute of the week out, so it denies always"),
            Self::EmergenciesUnsaid => {
                f.write_str("in its windows emergencies are denied too, since it does not say otherwise")
            }
            Self::Protected(name) => {
                write!(f, "{name} is protected, so nothing is ever granted there by this policy")
            }
            Self::NeverInCluster(role) => {
                write!(f, "{role} is never granted in the whole cluster, which includes protected namespaces")
            }
            Self::EverywhereAlone(role) => write!(f, "{role} in every namespace, and nobody needs to agree"),
            Self::ClusterAlone => f.write_str("access to the whole cluster, and nobody needs to agree"),
            Self::EverybodyAlone(role) => {
                write!(f, "everybody who is logged in, robots too, can have {role}, and nobody needs to agree")
            }
            Self::LongAlone(longest) => {
                write!(f, "up to {}, and nobody needs to agree", duration::format(*longest))
            }
            Self::NobodyCanApprove { stage } => {
                write!(f, "stage {stage}: nobody can approve: the only approver is the only requester")
            }
            Self::ApproveEachOther { stage } => {
                write!(f, "stage {stage}: only those who ask may approve, so they approve each other")
            }
            Self::EverybodyApproves(group) => {
                write!(f, "{group} is everybody who is logged in: any two accounts can agree with each other")
            }
            Self::RobotsApprove(group) => {
                write!(f, "{group} stands for nobody here: a service account counts only when it is named")
            }
            Self::DeniedBy(policy) => write!(f, "never allows anything: policy {policy} denies all of it"),
            Self::ShadowedBy(policy) => write!(
                f,
                "shadowed: policy {policy} allows all of it and is chosen first; this one decides only when a request \
                 names it"
            ),
            Self::FitsNothing { glob, known } => {
                write!(f, "{glob} fits none of the {known} namespaces that are known")
            }
        }
    }
}
