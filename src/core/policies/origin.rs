//! Whether a policy was written under the author guard, and so whether it is believed.
//!
//! What was written in a gap of the guard gives nothing new and ends nothing that runs, until somebody writes it again or
//! confirms it who passes the author guard. Owns the judgement and its words. It must not look at a clock: instants are
//! the API server's, so that a clock that is wrong hides no gap.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::keys;
use crate::api::policy::{AccessPolicy, Effect, PolicyOrigin};
use crate::core::guard::{Gap, Gaps, Guard, NotInForce, Unguarded};

/// Why a policy is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disbelief {
    /// It was written while a guard may be missing; which.
    GuardMissing(NotInForce),
    /// It may have been written in a time without guard, and nobody has judged that yet.
    Unjudged(Unguarded),
    /// The same, judged: it is used when it is written anew or confirmed.
    Unconfirmed {
        when: Unguarded,
        /// Name of the policy.
        policy: String,
        /// What it does, and so who may confirm it.
        effect: Effect,
        /// What confirms it.
        token: String,
    },
}

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardMissing(why) => {
                write!(f, "it was written while the cluster's guard may not be in place: {why}")
            }
            Self::Unjudged(when) => {
                write!(f, "it was written {when}, and is not used until it is confirmed; its status says how")
            }
            Self::Unconfirmed { when, policy, effect, token } => {
                let who = match effect {
                    Effect::Allow => "somebody who may bind every role that it lists",
                    Effect::Deny => "somebody who may write policies",
                };
                let key = keys::CONFIRM;
                write!(
                    f,
                    "it was written {when}, and is not used until it is written anew, or confirmed by {who}: kubectl \
                     annotate accesspolicy {policy} --overwrite {key}={token}"
                )
            }
        }
    }
}

/// Why the policy is not believed as it stands, if it is not, in the light of its record and of the guard.
///
/// What has not been judged yet is used, unless it may come from a gap: the judgement waits for a round of the canary.
pub fn doubt(policy: &AccessPolicy, guard: &Guard) -> Option<Disbelief> {
    if judged(policy).is_some() {
        return doubt_on_record(policy);
    }
    match guard {
        Guard::Missing(why) => Some(Disbelief::GuardMissing(why.clone())),
        Guard::InForce(gaps) => written_in(policy, gaps).map(Disbelief::Unjudged),
    }
}

/// Why the policy is not believed as it stands, as far as its record says so.
pub fn doubt_on_record(policy: &AccessPolicy) -> Option<Disbelief> {
    judged(policy).and_then(|origin| disbelief(policy, origin))
}

/// What such a record of a policy says; nothing when it is believed.
pub fn disbelief(policy: &AccessPolicy, origin: &PolicyOrigin) -> Option<Disbelief> {
    (!origin.believed).then(|| Disbelief::Unconfirmed {
        when: Unguarded { from: origin.from.as_ref().map(|from| from.0), to: origin.after.0 },
        policy: policy.metadata.name.clone().unwrap_or_default(),
        effect: policy.spec.effect,
        token: origin.confirm.clone().unwrap_or_default(),
    })
}

/// The record that the policy should have. None while it must not be judged: what was seen has yet to be `proven`, by
/// a sound round of the canary that began after it was first seen, since the gap that it comes from may not be known
/// before. `token` is for a confirmation, and not to be guessed.
pub fn judge(policy: &AccessPolicy, gaps: &Gaps, proven: bool, token: &str) -> Option<PolicyOrigin> {
    let generation = generation(policy);
    let believed =
        |after: Timestamp| PolicyOrigin { generation, from: None, after: Time(after), believed: true, confirm: None };
    let doubted = |when: Unguarded| PolicyOrigin {
        generation,
        from: when.from.map(Time),
        after: Time(when.to),
        believed: false,
        confirm: Some(token.to_owned()),
    };
    match judged(policy) {
        // Nothing of it has changed since, also not in the gaps that came later.
        Some(origin) if origin.believed => Some(believed(origin.after.0.max(gaps.end()))),
        Some(origin) => match unguarded_after(origin.after.0, gaps) {
            // A confirmation may have come in that gap.
            Some(later) => {
                let from = origin.from.as_ref().map(|from| from.0);
                Some(doubted(Unguarded { from, ..later }))
            }
            None if !is_confirmed(policy, origin) => Some(origin.clone()),
            None => proven.then(|| believed(gaps.end())),
        },
        None => match written_in(policy, gaps) {
            Some(when) => Some(doubted(when)),
            None => proven.then(|| believed(gaps.end())),
        },
    }
}

fn generation(policy: &AccessPolicy) -> i64 {
    policy.metadata.generation.unwrap_or_default()
}

fn stored(policy: &AccessPolicy) -> Option<&PolicyOrigin> {
    policy.status.as_ref().and_then(|status| status.origin.as_ref())
}

/// What was judged of the spec as it is.
fn judged(policy: &AccessPolicy) -> Option<&PolicyOrigin> {
    stored(policy).filter(|origin| origin.generation == generation(policy))
}

fn is_confirmed(policy: &AccessPolicy, origin: &PolicyOrigin) -> bool {
    let answer = policy.metadata.annotations.as_ref().and_then(|all| all.get(keys::CONFIRM));
    origin.confirm.as_ref().is_some_and(|token| !token.is_empty() && answer == Some(token))
}

/// The times without guard in which a spec may have been written that was not judged.
fn written_in(policy: &AccessPolicy, gaps: &Gaps) -> Option<Unguarded> {
    if let Some(before) = stored(policy) {
        return unguarded_after(before.after.0, gaps);
    }
    // An install brings its own policies, so the time before the first sound round does not count.
    let created = policy.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |at| at.0);
    // The first generation was never changed, so it was written when it was created.
    let unchanged = generation(policy) <= 1;
    span(gaps.between.iter().filter(|gap| created < gap.to && (!unchanged || gap.from <= created)))
}

fn unguarded_after(at: Timestamp, gaps: &Gaps) -> Option<Unguarded> {
    let later = span(gaps.between.iter().filter(|gap| gap.to > at));
    match later {
        _ if gaps.since > at => Some(Unguarded { from: None, to: gaps.end() }),
        later => later,
    }
}

fn span<'a>(gaps: impl Iterator<Item = &'a Gap>) -> Option<Unguarded> {
    gaps.fold(None, |all: Option<Unguarded>, gap| {
        let from = all.and_then(|all| all.from).map_or(gap.from, |from| from.min(gap.from));
        let to = all.map_or(gap.to, |all| all.to.max(gap.to));
        Some(Unguarded { from: Some(from), to })
    })
}

#[cfg(test)]
mod tests;
