//! What an event of a policy leads to: the set of policies read anew, and passes over the requests that it concerns.
//!
//! Owns what counts as a change of a policy. It must not judge one.

use std::collections::HashMap;

use futures::Stream;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};

use super::follow::{Listing, for_each, listed};
use crate::api::policy::Effect;
use crate::controller::context::Context;
use crate::controller::observe::DecodedPolicy;
use crate::controller::stores::listed::ACCESS_POLICIES;
use crate::core::decision::dependence::Change;
use crate::core::policies::origin;
use crate::runtime::server::Readiness;

/// Follows policies. Ends only when the watch does.
pub async fn watch_policies(
    stream: impl Stream<Item = watcher::Result<Event<DecodedPolicy>>>,
    context: &Context,
    readiness: &Readiness,
) {
    let mut listing = Listing::new();
    let mut known = HashMap::new();
    for_each((ACCESS_POLICIES, readiness), stream, |event| {
        match &event {
            Event::Init => known.clear(),
            Event::InitApply(policy) => {
                known.insert(policy.name_any(), SpecVersion::of(policy));
            }
            Event::InitDone => {
                context.renew_policies();
                listed(ACCESS_POLICIES, context, readiness);
                context.enqueue_open_requests();
            }
            Event::Apply(policy) => {
                let (name, after) = (policy.name_any(), SpecVersion::of(policy));
                let before = known.insert(name.clone(), after.clone());
                let may_deny = after.may_deny || before.as_ref().is_some_and(|before| before.may_deny);
                // Of what a status says, only whether the policy is believed bears on a decision.
                let doubts = || context.stores.policies.set().is_some_and(|policies| policies.doubts(&name));
                let (edited, doubted) = (before != Some(after), doubts());
                if edited || doubted || is_doubted(policy) {
                    context.renew_policies();
                }
                if edited || doubted != doubts() {
                    context.enqueue_concerned(&Change::Policy { name: &name, may_deny });
                }
            }
            Event::Delete(policy) => {
                let name = policy.name_any();
                let may_deny = known.remove(&name).is_none_or(|before| before.may_deny);
                context.stores.policies.first_seen.forget(policy.uid().as_deref());
                context.renew_policies();
                context.enqueue_concerned(&Change::Policy { name: &name, may_deny });
            }
        }
        listing.after(&event).into_iter().for_each(|policy| context.queues.enqueue_policy(policy));
    })
    .await;
}

/// Whether its status says that it is doubted.
fn is_doubted(policy: &DecodedPolicy) -> bool {
    policy.0.as_ref().is_ok_and(|policy| origin::doubt_on_record(policy).is_some())
}

/// What changes when a policy says something else than before; a new status changes none of it.
#[derive(Clone, PartialEq, Eq)]
struct SpecVersion {
    uid: Option<String>,
    generation: Option<i64>,
    is_deleted: bool,
    /// Also of one that cannot be decoded.
    may_deny: bool,
}

impl SpecVersion {
    fn of(policy: &DecodedPolicy) -> Self {
        Self {
            uid: policy.uid(),
            generation: policy.meta().generation,
            is_deleted: policy.meta().deletion_timestamp.is_some(),
            may_deny: policy.0.as_ref().map_or(true, |policy| policy.spec.effect == Effect::Deny),
        }
    }
}
