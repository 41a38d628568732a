//! Findings: what stands out in who may do what, in how access is asked for and used, and in the policies that give it.
//!
//! Owns what is a finding, how bad it is and what to do about it. It finds only what was read, and says what it could not
//! look for. It must not decide about a request, change anything, or judge a person: it says what is so.
//!
//! | Part | What it owns |
//! | --- | --- |
//! | [`seen`] | What was read of the cluster, and what was not, with why |
//! | [`finding`] | The form of a finding, its kinds and what to do about it |
//! | [`bound`] | Standing rights by binding, and who holds them |
//! | [`powers`] | Who has everything, who can forge or stop Daypass, and what everybody has |
//! | [`standing`] | What people hold all the time and could ask for |
//! | [`broken`] | Bindings that lead nowhere or to whom nobody meant |
//! | [`outside`] | Bindings beside grants |
//! | [`people`] | How access is asked for, agreed to and used |
//! | [`policies`] | Policies under which nobody asks |
//! | [`unused`] | High rights that nobody uses |
//! | [`wider`] | Roles with more rights than grants of them used |
//! | [`written`] | Writes that no record explains |
//! | [`narrower`] | Narrower rules for a role, from what was done with grants of it |
//! | [`accepted`] | What is noted as known |
//! | [`remedy`] | What to do |
//! | [`in_words`] | All of that in sentences |
//! | [`ocsf`] | Findings as events of OCSF |
//! | [`mod@line`] | What changed between two looks, for a log |

pub mod accepted;
pub mod bound;
pub mod broken;
pub mod finding;
pub mod in_words;
pub mod line;
pub mod narrower;
pub mod ocsf;
pub mod outside;
pub mod people;
pub mod policies;
pub mod powers;
pub mod remedy;
pub mod seen;
pub mod standing;
pub mod unused;
pub mod wider;
pub mod written;

use self::finding::{InsightFinding, InsightKind, Remedy};
use self::seen::{ClusterSeen, UnreadPart};
use crate::api::word::Vocabulary;
use crate::core::policies::PolicySet;

/// What was found, and what was not looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InsightReport {
    /// The worst first; of the same severity by kind, object and who.
    pub found: Vec<InsightFinding>,
    /// Kinds that were not looked for, or not everywhere, each with what was not read.
    pub unread: Vec<UnreadKinds>,
}

/// Kinds that were not looked for, or not everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadKinds {
    pub part: UnreadPart,
    pub kinds: Vec<InsightKind>,
}

/// Everything that stands out in what was read.
pub fn findings(seen: &ClusterSeen) -> InsightReport {
    let none = Vec::new();
    let set = PolicySet::new(seen.policies.as_ref().unwrap_or(&none));
    let bound = bound::standing(seen);
    let mut found = [
        powers::powers(seen, &bound),
        standing::standing(seen, &set, &bound),
        broken::broken(seen, &bound),
        outside::outside(seen, &bound),
        unused::unused(seen, &bound),
        people::people(seen),
        policies::policies(seen),
        wider::wider(seen),
        written::written(seen),
    ]
    .concat();
    replace_where_possible(&mut found, seen, &set, &bound);
    remedy::name_apart(&mut found, &set);
    accepted::accept(&mut found, seen, &bound);
    found.sort_by(|a, b| {
        let order = |f: &InsightFinding| (std::cmp::Reverse(f.severity), f.kind, f.about.clone(), f.who.clone());
        order(a).cmp(&order(b))
    });
    InsightReport { found, unread: unread(seen) }
}

/// Whoever has everything all the time can ask for it too.
fn replace_where_possible(
    found: &mut [InsightFinding],
    seen: &ClusterSeen,
    policies: &PolicySet,
    bound: &[bound::BoundRole<'_>],
) {
    for finding in found.iter_mut().filter(|finding| finding.kind == InsightKind::ClusterAdminBound) {
        let held = bound.iter().filter(|role| role.about() == finding.about);
        let mut held = held.flat_map(|role| role.holders.iter().map(move |held| (role, held)));
        let of_it = held.find(|(_, held)| Some(&held.who) == finding.who.as_ref() && standing::is_of_people(held));
        if let Some((role, held)) = of_it {
            finding.remedy = remedy::replacement(seen, policies, role, held);
        }
    }
}

/// A part of what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadPart {
    Bindings,
    Accounts,
    Policies,
    Requests,
    Uses,
    Grants,
    Writes,
}

/// What a kind is looked for in. A new one must say so too, or it would be taken for looked for where nothing was read.
fn goes_by(kind: InsightKind) -> &'static [ReadPart] {
    use InsightKind as Kind;
    use ReadPart::{Accounts, Bindings, Grants, Policies, Requests, Uses, Writes};
    match kind {
        Kind::ClusterAdminBound
        | Kind::AnonymousBound
        | Kind::AllAuthenticatedBound
        | Kind::CanForgeDaypass
        | Kind::CanStopDaypass
        | Kind::StandingReplaceable
        | Kind::PowerfulAccount
        | Kind::MissingRole
        | Kind::DefaultAccountBound
        | Kind::ExecByGet => &[Bindings],
        Kind::CanUseStrongerAccount | Kind::MissingAccount => &[Bindings, Accounts],
        Kind::BoundOutsideDuringGrant | Kind::BoundOutsideAfterGrant | Kind::UnaccountedBinding => {
            &[Bindings, Requests]
        }
        Kind::UnusedHighRights => &[Bindings, Uses],
        Kind::WiderThanUsed => &[Grants],
        Kind::UnexplainedWrite => &[Writes],
        Kind::ApprovedNeverUsed | Kind::ActivatedTooOften | Kind::NeverDenies | Kind::SamePair => &[Requests],
        Kind::PolicyUnused | Kind::PolicyNeverMatched => &[Requests, Policies],
    }
}

/// What was not looked for.
fn unread(seen: &ClusterSeen) -> Vec<UnreadKinds> {
    let of = |(part, missing): (ReadPart, Option<&UnreadPart>)| {
        let kinds = InsightKind::ALL.iter().copied().filter(|kind| goes_by(*kind).contains(&part)).collect();
        missing.map(|missing| UnreadKinds { part: missing.clone(), kinds })
    };
    let roles: Vec<UnreadPart> = seen
        .roles
        .unread()
        .map(|(namespace, name, why)| {
            let place = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
            UnreadPart { what: format!("role {place}{name}"), why: why.to_owned() }
        })
        .collect();
    let parts = [
        (ReadPart::Bindings, seen.role_bindings.as_ref().err()),
        (ReadPart::Bindings, seen.cluster_role_bindings.as_ref().err()),
        (ReadPart::Accounts, seen.accounts.as_ref().err()),
        (ReadPart::Policies, seen.policies.as_ref().err()),
        (ReadPart::Requests, seen.requests.as_ref().err()),
        (ReadPart::Uses, seen.uses.as_ref().err()),
        (ReadPart::Grants, seen.grants.as_ref().err()),
        (ReadPart::Writes, seen.writes.as_ref().err()),
    ];
    // What a role gives is known by its bindings alone.
    parts.into_iter().chain(roles.iter().map(|role| (ReadPart::Bindings, Some(role)))).filter_map(of).collect()
}

impl InsightFinding {
    /// Whether somebody noted it as known, and the note counts.
    pub fn is_accepted(&self) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| !accepted.by_holder)
    }

    /// The policy that it proposes, if it does.
    pub fn proposal(&self) -> Option<&finding::PolicyProposal> {
        match &self.remedy {
            Remedy::Replace(proposal, _) => Some(proposal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
