//! Takes one policy through a pass and writes its status: whether the policy is in use or why not, whether it was written
//! under the author guard, which of its roles cannot be handed out, and whether reviews of break-glass access under it are
//! overdue.
//!
//! It must not decide these: `core/lifecycle/policy_status` and `core/policies/origin` do.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tracing::warn;

use crate::api::policy::{AccessPolicy, Effect};
use crate::api::request::AccessRequest;
use crate::api::subject::RoleName;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::loops::bind_rights;
use crate::controller::loops::passes::NextPass;
use crate::controller::observe::DecodedPolicy;
use crate::controller::stores::listed::{ACCESS_REQUESTS, CLUSTER_ROLES, NAMESPACES, ROLES};
use crate::core::guard::Guard;
use crate::core::lifecycle::policy_status::{readiness, reviews, roles_usable};
use crate::core::lifecycle::roles_usable::{Known, Whereabouts, unusable_roles};
use crate::core::model::instants::sleep_until;
use crate::core::policies::origin;
use crate::core::policies::usable::ListedRole;

/// Wait after a failed pass.
const RETRY: Duration = Duration::from_secs(5);

/// Wait for the round of the canary by which a policy can be judged.
const JUDGE_AGAIN: Duration = Duration::from_secs(1);

/// Writes the conditions, and whether the policy is believed, when that is something new.
///
/// # Errors
/// When the status could not be written.
pub async fn reconcile(decoded: Arc<DecodedPolicy>, context: Arc<Context>) -> Result<NextPass, Error> {
    let policy = match &decoded.0 {
        Ok(policy) => policy,
        Err(invalid) => {
            warn!(error = %invalid, name = ?invalid.metadata.name, "cannot decode policy");
            return Ok(NextPass::when_asked());
        }
    };
    let now = context.clock.now();
    let first_seen = context.stores.policies.first_seen.of(policy);
    // Before the guard: a round that is known by then has told its gaps.
    let proven = context.stores.policies.sound().is_some_and(|began| began > first_seen);
    let origin = match context.stores.policies.guard() {
        Guard::InForce(gaps) => {
            let judged = origin::judge(policy, &gaps, proven, &token());
            if judged.is_none() {
                context.round_wanted.notify_one();
            }
            judged
        }
        // It is looked at again when the guard is in force.
        Guard::Missing(_) => None,
    };
    let unjudged = origin.is_none();
    let mut status = readiness(policy, origin, &context.extra_keys, now);
    // Before the requests are known, none would seem to be overdue.
    let wake = context.stores.listed.has(&[ACCESS_REQUESTS]).then(|| {
        let unreviewed = unreviewed(&context, &policy.name_any());
        let unreviewed: Vec<&AccessRequest> = unreviewed.iter().collect();
        reviews(&mut status, policy, &unreviewed, now)
    });
    roles_usable(&mut status, policy, unusable(policy, &context).await.as_deref(), now);
    if policy.status.as_ref() != Some(&status) {
        context.writer.record_policy(policy, status).await?;
    }
    let wake = wake.flatten().map(|wake| sleep_until(wake, now));
    let judge = unjudged.then_some(JUDGE_AGAIN);
    Ok(wake.into_iter().chain(judge).min().map_or_else(NextPass::when_asked, NextPass::after))
}

/// Those of its roles that cannot be handed out; none while that is not known.
async fn unusable(policy: &AccessPolicy, context: &Context) -> Option<Vec<ListedRole>> {
    if policy.spec.effect == Effect::Deny {
        return None;
    }
    bind_rights::learn(context, &policy.spec.roles).await;
    let namespaces =
        context.stores.namespaces().filter(|_| context.stores.listed.has(&[NAMESPACES, CLUSTER_ROLES, ROLES]))?;
    let place = |role: &RoleName| (role.clone(), context.stores.rbac.whereabouts(role, &namespaces));
    let roles: Whereabouts = policy.spec.roles.iter().map(place).collect();
    let rights = context.stores.bind_rights.answers();
    unusable_roles(policy, Known { roles: &roles, rights: &rights, namespaces: &namespaces, served: &context.served })
}

/// A text that nobody can guess: each [`RandomState`] is seeded anew.
fn token() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

/// Requests that were let in by this policy without approval and have yet to be reviewed.
fn unreviewed(context: &Context, policy: &str) -> Vec<AccessRequest> {
    let under_it = |request: &AccessRequest| {
        request.status.as_ref().and_then(|s| s.policy.as_ref()).is_some_and(|decided| decided.name == policy)
    };
    let unreviewed = context.stores.requests.which(|summary| summary.unreviewed);
    unreviewed.iter().filter_map(|packed| packed.open()).filter(under_it).collect()
}

/// When to try again.
pub fn after_error(_: Arc<DecodedPolicy>, _: &Error, _: Arc<Context>) -> NextPass {
    NextPass::after(RETRY)
}
