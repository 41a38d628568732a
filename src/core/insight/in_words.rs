//! Findings in sentences, for people.
//!
//! It must not say more than the evidence does, and knows no colours and no width.

use std::fmt;

use super::finding::{
    AboutKind, AboutObject, CountedThing, Holder, InsightFact, InsightFinding, InsightKind, PowerfulRight,
};
use super::narrower::proposal::NarrowerRules;
use crate::api::subject::RoleName;
use crate::core::model::duration;

/// The most rights that are told one by one.
const MOST_RIGHTS_TOLD: usize = 4;

impl InsightKind {
    /// What such a finding says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ClusterAdminBound => "has everything in the cluster all the time",
            Self::AnonymousBound => "gives rights to callers who are not logged in",
            Self::AllAuthenticatedBound => "gives rights to everybody who is logged in, or to every service account",
            Self::CanForgeDaypass => {
                "can come by what Daypass decides by: its policies, its account, or the identity of others"
            }
            Self::CanStopDaypass => "can switch off what holds Daypass, or take its objects away",
            Self::CanUseStrongerAccount => "can run pods as a service account that is stronger",
            Self::StandingReplaceable => "holds all the time what could be asked for when it is needed",
            Self::PowerfulAccount => "is a service account that can take over the cluster",
            Self::MissingRole => "binds a role that there is not: whoever makes one of this name gives it to them",
            Self::MissingAccount => {
                "binds a service account that there is not: whoever makes one of this name has its rights"
            }
            Self::DefaultAccountBound => "gives rights to every pod that names no service account of its own",
            Self::ExecByGet => "opens streams to pods by get alone, on API servers before 1.35",
            Self::BoundOutsideDuringGrant => "was bound outside of Daypass while a grant with these rights ran",
            Self::BoundOutsideAfterGrant => "was bound outside of Daypass after a grant with these rights had ended",
            Self::UnaccountedBinding => "carries the mark of Daypass, and no running request accounts for it",
            Self::UnusedHighRights => "holds high rights that were not used",
            Self::ApprovedNeverUsed => "was given access that was never used",
            Self::ActivatedTooOften => "asks for the same again and again: it could come back by itself",
            Self::NeverDenies => "agreed to every request that they decided on",
            Self::SamePair => "was always agreed to by the same person, though others agree to the same policies",
            Self::PolicyUnused => "is a policy under which nobody asked of late",
            Self::PolicyNeverMatched => "is a policy under which no request is on record",
            Self::WiderThanUsed => "is a policy whose roles have more rights than the grants of them used",
            Self::UnexplainedWrite => "was written past Daypass: no record explains it",
        }
    }
}

impl InsightFinding {
    /// The evidence, as one sentence.
    pub fn why(&self) -> String {
        let rights: Vec<&PowerfulRight> = self.rights().collect();
        let others = self.evidence.iter().filter(|fact| !matches!(fact, InsightFact::Right(_)));
        let mut parts: Vec<String> = others.map(ToString::to_string).collect();
        let shown = rights.iter().take(MOST_RIGHTS_TOLD).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = rights.len().saturating_sub(MOST_RIGHTS_TOLD);
        match (rights.len(), more) {
            (0, _) => {}
            (_, 0) => parts.push(format!("may {shown}")),
            (_, more) => parts.push(format!("may {shown} and {more} more")),
        }
        parts.join("; ")
    }

    /// The rights by which it is so.
    pub fn rights(&self) -> impl Iterator<Item = &PowerfulRight> {
        self.evidence.iter().filter_map(|fact| match fact {
            InsightFact::Right(right) => Some(right),
            _ => None,
        })
    }
}

impl fmt::Display for AboutObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{name}", kind.as_str()),
            None => write!(f, "{}/{name}", kind.as_str()),
        }
    }
}

impl AboutKind {
    /// The kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::RoleBinding => "RoleBinding",
            Self::ClusterRole => "ClusterRole",
            Self::Role => "Role",
            Self::AccessPolicy => "AccessPolicy",
            Self::AccessRequest => "AccessRequest",
            Self::User => "User",
        }
    }
}

impl Holder {
    /// The word that programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "Anonymous",
            Self::Everybody => "Everybody",
            Self::AllAccounts => "AllAccounts",
            Self::Person => "Person",
            Self::Group => "Group",
            Self::AccountsOfNamespace => "AccountsOfNamespace",
            Self::Account => "Account",
        }
    }

    /// Whether it is robots alone.
    pub fn is_of_accounts(self) -> bool {
        matches!(self, Self::AllAccounts | Self::AccountsOfNamespace | Self::Account)
    }
}

impl fmt::Display for PowerfulRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, namespace } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")?;
        namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
    }
}

impl fmt::Display for InsightFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound { role, namespace } => bound(f, role, namespace.as_deref()),
            Self::Risk(reasons) => f.write_str(reasons.first().map_or("looks", String::as_str)),
            Self::Right(right) => write!(f, "may {right}"),
            Self::NoSuchRole(role) => write!(f, "there is no {role}"),
            Self::NoSuchAccount { namespace_gone: true } => f.write_str("there is no such namespace either"),
            Self::NoSuchAccount { namespace_gone: false } => f.write_str("there is no such service account"),
            Self::Stronger { namespace, name } => write!(f, "ServiceAccount/{namespace}/{name} is stronger"),
            Self::Grant { namespace, name, from, until } => {
                write!(f, "request {namespace}/{name} was granted from {from} to {until}")
            }
            Self::Made(at) => write!(f, "made at {at}"),
            Self::OfferedBy(policy) => write!(f, "policy {policy} gives it for a time"),
            Self::Count { what, count, of } => match what {
                CountedThing::Approvals => write!(f, "{count} of {of} decisions were approvals"),
                CountedThing::Unused => write!(f, "{count} of {of} grants ended unused"),
                CountedThing::Grants => write!(f, "{count} grants"),
                CountedThing::Writes => write!(f, "{count} writes"),
                CountedThing::Requests => write!(f, "{count} of {of} requests on record"),
            },
            Self::Within(length) => write!(f, "within {}", duration::format(*length)),
            Self::With(who) => write!(f, "by {who}"),
            Self::Last(at) => write!(f, "the last at {at}"),
            Self::ActingAs(who) => write!(f, "acting as {who}"),
            Self::Told(words) => f.write_str(words),
            Self::Narrower { role, rules } => narrower(f, role, rules),
        }
    }
}

/// How much evidence there is, what harm would be gone, and what the grants that were would have lacked.
fn narrower(f: &mut fmt::Formatter<'_>, role: &RoleName, rules: &NarrowerRules) -> fmt::Result {
    let NarrowerRules { seen, risk_before, risk_after, replay, .. } = rules;
    write!(
        f,
        "{role}: {} of {} grants in {} weeks used less than it has; with rules for that alone its risk is {} and not {}, and \
         {} of {} grants would have lacked a right",
        seen.used,
        seen.grants,
        seen.weeks(),
        risk_after.level,
        risk_before.level,
        replay.lacking.len(),
        replay.grants
    )
}

fn bound(f: &mut fmt::Formatter<'_>, role: &RoleName, namespace: Option<&str>) -> fmt::Result {
    match namespace {
        Some(namespace) => write!(f, "{role} in {namespace}"),
        None => write!(f, "{role}"),
    }
}
