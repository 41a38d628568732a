//! Takes one policy through a pass: says on the policy itself whether it is in use, and if not, why; and whether
//! reviews of break-glass access under it are overdue.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use tracing::warn;

use super::context::{ACCESS_REQUESTS, Context};
use super::error::Error;
use super::observe::GuardedPolicy;
use crate::api::request::AccessRequest;
use crate::core::deadline::sleep_until;
use crate::core::readiness::{readiness, reviews};

/// Wait after a failed pass.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the conditions when they say something new.
///
/// # Errors
/// When the status could not be written.
pub async fn reconcile(guarded: Arc<GuardedPolicy>, context: Arc<Context>) -> Result<Action, Error> {
    let policy = match &guarded.0 {
        Ok(policy) => policy,
        Err(invalid) => {
            warn!(error = %invalid, name = ?invalid.metadata.name, "cannot decode policy");
            return Ok(Action::await_change());
        }
    };
    let now = context.clock.now();
    let mut status = readiness(policy, now);
    // Before the requests are known, none would seem to be overdue.
    let wake = context.has_listed(&[ACCESS_REQUESTS]).then(|| {
        let unreviewed = unreviewed(&context, &policy.name_any());
        let unreviewed: Vec<&AccessRequest> = unreviewed.iter().collect();
        reviews(&mut status, policy, &unreviewed, now)
    });
    if policy.status.as_ref() != Some(&status) {
        context.writer.record_policy(policy, status).await?;
    }
    Ok(wake.flatten().map_or_else(Action::await_change, |wake| Action::requeue(sleep_until(wake, now))))
}

/// Requests that were let in by this policy without approval and have yet to be reviewed.
fn unreviewed(context: &Context, policy: &str) -> Vec<AccessRequest> {
    let under_it = |request: &AccessRequest| {
        request.status.as_ref().and_then(|s| s.policy.as_ref()).is_some_and(|decided| decided.name == policy)
    };
    let unreviewed = context.requests.state_filter(|kept| kept.glance.as_ref().is_some_and(|glance| glance.unreviewed));
    unreviewed.iter().filter_map(|kept| kept.open()).filter(under_it).collect()
}

/// When to try again.
pub fn after_error(_: Arc<GuardedPolicy>, _: &Error, _: Arc<Context>) -> Action {
    Action::requeue(RETRY)
}
