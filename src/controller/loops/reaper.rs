//! Removes bindings that have no business being there, from the bindings' side: at start, whenever something
//! suspicious is seen, and in regular sweeps.
//!
//! What the stores say is a suspicion only: two watches are never at the same point. The API server is asked
//! again before anything is deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, mpsc};
use tokio::task::consume_budget;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, error, error_span, warn};

use crate::api::keys;
use crate::api::request::{AccessRequest, BindingRef};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::loops::lost_namespace;
use crate::controller::observe;
use crate::controller::queues::ReapTask;
use crate::controller::stores::listed::ACCESS_REQUESTS;
use crate::controller::stores::packed::PackedRequest;
use crate::core::lifecycle::reap::{Owner, is_litter, verdict};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::ObservedRole;
use crate::core::rbac::ownership::possible_request_uids;

/// Time between two sweeps: how long a stray may last that no watch made suspicious. What a watch or a clock tells of
/// is seen to at once.
pub const SWEEP: Duration = Duration::from_secs(60);
/// Time to the next look after one in which something failed.
const RETRY: Duration = Duration::from_millis(500);
/// How many bindings are looked into at a time.
const CONCURRENT: usize = 16;

/// Runs for as long as the process.
pub async fn run(context: Arc<Context>, mut suspects: mpsc::UnboundedReceiver<ReapTask>) {
    let queue = stream::poll_fn(move |task| suspects.poll_recv(task));
    let (context, everything) = (&context, &Notify::new());
    let inspections = queue.for_each_concurrent(CONCURRENT, |suspect| inspect(context, suspect, everything));
    // Sweeps that are asked for while one runs are one sweep: each that fails is made again.
    let sweeps = async {
        let mut reported = BTreeSet::new();
        loop {
            let well = !context.stores.listed.has(&[ACCESS_REQUESTS]) || sweep(context, &mut reported).await;
            let _ = timeout(if well { SWEEP } else { RETRY }, everything.notified()).await;
        }
    };
    tokio::select! {
        () = inspections => {}
        () = sweeps => {}
    }
}

async fn inspect(context: &Context, suspect: ReapTask, everything: &Notify) {
    let all_well = match &suspect {
        // Without the requests, every binding would look like one that nobody knows.
        _ if !context.stores.listed.has(&[ACCESS_REQUESTS]) => return,
        ReapTask::Everything => return everything.notify_one(),
        ReapTask::Binding(binding) => inspect_binding(context, binding).await,
        ReapTask::Deleted(request) => unbind_all(context, request).await,
    };
    if !all_well {
        sleep(RETRY).await;
        context.queues.reap(suspect);
    }
}

/// Looks into every binding that the stores know. True when nothing failed. Foreign ones are told of once.
async fn sweep(context: &Context, reported: &mut BTreeSet<String>) -> bool {
    let now = context.clock.now();
    let mut suspicious = Vec::new();
    for binding in context.stores.rbac.bindings() {
        // Many thousand take seconds, and ends must not wait for them.
        consume_budget().await;
        if binding.request_uid().is_none() {
            if binding.metadata.uid.as_ref().is_some_and(|uid| reported.insert(uid.clone())) {
                let binding = binding.reference();
                warn!(
                    ?binding,
                    "a binding has Daypass's label and names no request, so it is left alone: if it is not \
                      Daypass's, delete it and make it anew without the label"
                );
            }
            continue;
        }
        let reference = owner_ref(context, &binding.metadata);
        let request = reference.as_ref().and_then(|r| context.stores.requests.store.get(r)?.open());
        let request = request.as_ref();
        if verdict(&binding, request.map_or(Owner::Gone, Owner::Found), now).is_none() {
            continue;
        }
        let open = |r: &AccessRequest| r.status.as_ref().is_some_and(|s| !s.state.is_final());
        match reference {
            // Its own pass ends it, and records that. This makes sure that there is one.
            Some(reference) if request.is_some_and(|r| open(r) && knows(r, &binding)) => context.enqueue(reference),
            _ => suspicious.push(binding),
        }
    }
    let tidy = clear_litter(context).await;
    let results: Vec<bool> = stream::iter(suspicious)
        .map(|binding| async move { inspect_binding(context, &binding).await })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    results.into_iter().all(|well| well) && tidy
}

/// Deletes made roles that no binding needs any more. True when nothing failed.
async fn clear_litter(context: &Context) -> bool {
    let mut tidy = true;
    for (place, role) in context.stores.rbac.made_roles() {
        let request = role
            .request_uid()
            .and_then(|uid| context.stores.requests.store.get(&context.stores.requests.by_uid.get(uid)?)?.open());
        let owner = request.as_ref().map_or(Owner::Gone, Owner::Found);
        if context.stores.rbac.binding(&place).is_none() && is_litter(&role, owner) {
            tidy &= inspect_role(context, &place, &role).await;
        }
    }
    tidy
}

/// Asks the API server about a made role's request, and deletes the role when it is left over. True when nothing failed.
async fn inspect_role(context: &Context, place: &BindingRef, role: &ObservedRole) -> bool {
    let looking = async {
        let Some(uid) = role.request_uid() else { return Ok(()) };
        let found = ask(context, &role.metadata).await?;
        if is_litter(role, found.as_ref().map_or_else(|none| *none, Owner::Found)) {
            warn!(role = ?place, uid, "a role that was made for a binding is removed: nothing needs it");
            lost_namespace::unbind(context, place, uid).await?;
        }
        Ok(())
    };
    message(looking.await).is_some()
}

fn knows(request: &AccessRequest, binding: &Observed) -> bool {
    request.status.iter().flat_map(|s| &s.bindings).any(|recorded| binding.is_at(recorded))
}

/// Where the request of an object of ours is: by its UID, or where the object itself says.
fn owner_ref(context: &Context, metadata: &ObjectMeta) -> Option<ObjectRef<PackedRequest>> {
    let by_uid = possible_request_uids(metadata).find_map(|uid| context.stores.requests.by_uid.get(uid));
    let label = |key| metadata.labels.as_ref().and_then(|l| l.get(key));
    let name = metadata.annotations.as_ref().and_then(|a| a.get(keys::REQUEST_NAME));
    by_uid.or_else(|| Some(ObjectRef::new(name?).within(label(keys::REQUEST_NAMESPACE)?)))
}

/// The request of an object of ours from the API server, or why there is none.
async fn ask(context: &Context, metadata: &ObjectMeta) -> Result<Result<AccessRequest, Owner<'static>>, Error> {
    let Some(ObjectRef { name, namespace: Some(namespace), .. }) = owner_ref(context, metadata) else {
        return Ok(Err(Owner::Gone));
    };
    if !context.served.serves(&namespace) {
        return Ok(Err(Owner::Unserved));
    }
    let found = observe::request(&context.reader, &namespace, &name).await;
    match lost_namespace::unless_gone(context, Some(&namespace), found).await {
        Err(error) if error.is_forbidden() => {
            warn!(%error, namespace, name, "cannot ask for the request of a binding");
            Ok(Err(Owner::Unreadable))
        }
        found => Ok(found?.flatten().ok_or(Owner::Gone)),
    }
}

/// Asks the API server about a binding's request, and deletes the binding when it must go. True when there is no need to
/// look again soon.
async fn inspect_binding(context: &Context, binding: &Observed) -> bool {
    let looking = async {
        let found = ask(context, &binding.metadata).await?;
        let owner = found.as_ref().map_or_else(|none| *none, Owner::Found);
        let (Some(why), Some(uid)) = (verdict(binding, owner, context.clock.now()), binding.request_uid()) else {
            return Ok(!matches!(owner, Owner::Unreadable));
        };
        warn!(binding = ?binding.reference(), "a binding is removed: {why}");
        lost_namespace::unbind(context, &binding.reference(), uid).await.map(|()| true)
    };
    async { message(looking.await) == Some(true) }.instrument(error_span!("reap", uid = binding.request_uid())).await
}

/// Deletes the recorded bindings of a deleted request. True when nothing failed. Nobody else speaks for such a request, so
/// its people are told here of what cannot be ended.
async fn unbind_all(context: &Context, request: &AccessRequest) -> bool {
    let (Some(uid), Some(namespace)) = (request.uid(), request.namespace()) else { return true };
    let reference = ObjectRef::new(&request.name_any()).within(&namespace);
    let span = error_span!("reap", namespace = request.namespace(), name = request.name_any(), uid);
    let bindings = request.status.iter().flat_map(|s| &s.bindings);
    let uid = uid.as_str();
    let results: Vec<Result<(), Error>> = stream::iter(bindings)
        .map(|binding| async move { lost_namespace::unbind(context, binding, uid).await })
        .buffer_unordered(CONCURRENT)
        .collect()
        .instrument(span.clone())
        .await;
    let Some(error) = results.into_iter().find_map(Result::err).map(Error::cannot_end) else {
        context.stores.requests.failures.forget(&reference);
        return true;
    };
    span.in_scope(|| error!(%error, "cannot remove a binding; trying again soon"));
    if context.stores.requests.failures.count(reference, &error).1 {
        context.writer.announce_hindrance(request, &error.to_string());
    }
    false
}

/// What came of it, if it did not fail.
fn message<T>(result: Result<T, Error>) -> Option<T> {
    result.inspect_err(|error| error!(%error, "cannot remove a binding; trying again soon")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::scripted::{Script, context, failure, granted};
    use crate::core::laws::fixtures::noon;
    use crate::runtime::clock::Clock;
    use http::Method;

    /// A right that was taken away must not end what runs.
    #[tokio::test]
    async fn a_binding_whose_request_may_not_be_read_stays_and_is_looked_at_again() {
        let (_, wanted) = granted();
        let mut binding = Observed::from(&wanted.role_binding());
        binding.metadata.uid = Some("b-1".to_owned());
        let forbidden = failure(403, "Forbidden");
        let script = Script::default().then(Method::GET, "/namespaces/shop/accessrequests/fix", 403, forbidden);
        let (context, _feeds, _inbox) = context(&script, Clock::at(noon()));
        assert!(!inspect_binding(&context, &binding).await, "nothing is known yet");
        script.is_over();
    }
}
