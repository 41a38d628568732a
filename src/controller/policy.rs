//! Takes one policy through a pass: says on the policy itself whether it is in use, and if not, why.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use tracing::warn;

use super::context::Context;
use super::error::Error;
use super::observe::GuardedPolicy;
use crate::core::readiness::readiness;

/// Wait after a failed pass.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the Ready condition when it says something new.
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
    let status = readiness(policy, context.clock.now());
    if policy.status.as_ref() != Some(&status) {
        context.writer.record_policy(policy, status).await?;
    }
    Ok(Action::await_change())
}

/// When to try again.
pub fn after_error(_: Arc<GuardedPolicy>, _: &Error, _: Arc<Context>) -> Action {
    Action::requeue(RETRY)
}
