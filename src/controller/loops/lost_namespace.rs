//! Calls in a namespace that may have been deleted.
//!
//! The deletion of a namespace deletes what is in it and, where Daypass serves single namespaces, its rights there. So a
//! refusal in such a namespace may mean that the object is gone: this module asks whether the namespace exists. It must not
//! say what becomes of a grant.

use tokio::time::Instant;

use crate::api::request::BindingRef;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::observe;
use crate::core::rbac::binding::Observed;

/// Whether the API server has no such namespace. It is asked only when the watch has none.
async fn is_gone(context: &Context, namespace: &str) -> Result<bool, Error> {
    if context.stores.rules().is_none_or(|rules| rules.namespaces.contains_key(namespace)) {
        return Ok(false);
    }
    let known = context.stores.policies.set().unwrap_or_default();
    let Context { fresh_rules, reader, served, .. } = context;
    let rules = fresh_rules.since(Instant::now(), &known, || context.stores.policies.guard(), reader, served).await?;
    Ok(!rules.namespaces.contains_key(namespace))
}

/// What came of a call in a namespace; none when it was refused because the namespace is gone.
///
/// # Errors
/// Any other failure of the call, and when it cannot be found out whether the namespace is there.
pub async fn unless_gone<T>(
    context: &Context,
    namespace: Option<&str>,
    called: Result<T, Error>,
) -> Result<Option<T>, Error> {
    match (called, namespace) {
        (Err(error), Some(namespace)) if error.is_forbidden() && is_gone(context, namespace).await? => Ok(None),
        (called, _) => called.map(Some),
    }
}

/// What the API server has in the place of a recorded binding.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn binding(context: &Context, recorded: &BindingRef) -> Result<Option<Observed>, Error> {
    let found = observe::binding(&context.reader, recorded).await;
    Ok(unless_gone(context, recorded.namespace.as_deref(), found).await?.flatten())
}

/// Deletes a binding of the request with this UID, and the role that was made for it, wherever they stand.
///
/// # Errors
/// When it may still be there.
pub async fn unbind(context: &Context, binding: &BindingRef, request_uid: &str) -> Result<(), Error> {
    let ended = context.writer.unbind(binding, request_uid).await;
    unless_gone(context, binding.namespace.as_deref(), ended).await.map(|_| ())
}
