//! Fills the stores from the API server, and says which request, policy or binding to look at.
//!
//! One watch a kind, or one in each namespace that is served, which [`merged`] makes one of; [`sight`] opens them. Each backs
//! off by itself, so that a kind that cannot be listed does not slow the others.

mod follow;
mod merged;
pub(super) mod patience;
mod policies;
mod requests;
mod sight;

use std::fmt::Debug;
use std::sync::Arc;

use futures::Stream;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};

use self::follow::{for_each, listed};
use self::policies::watch_policies;
use self::requests::watch_requests;
use self::sight::WatchedCluster;
use crate::api::subject::RoleName;
use crate::api::{RoleKind, keys};
use crate::controller::context::Context;
use crate::controller::observe;
use crate::controller::queues::ReapTask;
use crate::controller::stores::Feeds;
use crate::controller::stores::listed::{
    ACCESS_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES,
};
use crate::controller::stores::packed::PackedRequest;
use crate::controller::stores::rbac::RbacFeeds;
use crate::core::decision::dependence::Change;
use crate::core::model::namespaces::Namespaces;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::ObservedRole;
use crate::runtime::server::Readiness;

/// Watches all kinds. Ends only when a watch does, which none should.
pub async fn run(client: Client, context: Arc<Context>, feeds: Feeds, readiness: Readiness) {
    let ours = watcher::Config::default().labels(&format!("{}={}", keys::MANAGED_BY, keys::DAYPASS));
    let all = watcher::Config::default;
    let Feeds { requests, policies, rbac } = feeds;
    let RbacFeeds { role_bindings, cluster_role_bindings, cluster_roles, roles } = rbac;
    let sight = WatchedCluster { client: &client, served: &context.served, readiness: &readiness };
    tokio::select! {
        () = watch_requests(sight.in_namespaces(ACCESS_REQUESTS, all(), requests), &context, &readiness) => {}
        () = watch_policies(sight.policies(policies), &context, &readiness) => {}
        () = watch_namespaces(sight.of_namespaces(), &context, &readiness) => {}
        () = watch_roles(
            sight.of_cluster(all(), cluster_roles),
            |r: &ClusterRole| ObservedRole::from(r), (CLUSTER_ROLES, RoleKind::ClusterRole), &context, &readiness,
        ) => {}
        () = watch_roles(
            sight.in_namespaces(ROLES, all(), roles),
            |r: &Role| ObservedRole::from(r), (ROLES, RoleKind::Role), &context, &readiness,
        ) => {}
        () = watch_bindings(
            sight.in_namespaces(ROLE_BINDINGS, ours.clone(), role_bindings),
            |b| Observed::from(b), ROLE_BINDINGS, &context, &readiness,
        ) => {}
        () = watch_bindings(
            sight.of_cluster_role_bindings(ours, cluster_role_bindings),
            |b| Observed::from(b), CLUSTER_ROLE_BINDINGS, &context, &readiness,
        ) => {}
    }
}

async fn watch_namespaces(
    stream: impl Stream<Item = watcher::Result<Event<PartialObjectMeta<NamespaceObject>>>>,
    context: &Context,
    readiness: &Readiness,
) {
    let mut known = Namespaces::new();
    let mut listing = Namespaces::new();
    for_each((NAMESPACES, readiness), stream, |event| {
        let changed = match event {
            Event::Init => {
                listing.clear();
                None
            }
            Event::InitApply(namespace) => {
                listing.extend([observe::namespace(&namespace)]);
                None
            }
            Event::InitDone => {
                known = std::mem::take(&mut listing);
                context.stores.set_namespaces(known.clone());
                listed(NAMESPACES, context, readiness);
                context.enqueue_open_requests();
                context.enqueue_policies();
                None
            }
            Event::Apply(namespace) => {
                let (name, namespace) = observe::namespace(&namespace);
                (known.insert(name.clone(), namespace.clone()) != Some(namespace)).then_some(name)
            }
            Event::Delete(namespace) => known.remove(&namespace.name_any()).map(|_| namespace.name_any()),
        };
        if let Some(name) = changed {
            context.stores.set_namespaces(known.clone());
            context.enqueue_concerned(&Change::Namespace(&name));
            context.enqueue_policies_of_namespaces();
        }
    })
    .await;
}

/// A role that changes is news for the requests that are for it, for the policies that list it, and for what this process
/// may bind, since it may be one of its own; one that was made for a binding, for its request.
async fn watch_roles<K>(
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    read: impl Fn(&K) -> ObservedRole,
    (kind, role_kind): (&'static str, RoleKind),
    context: &Context,
    readiness: &Readiness,
) where
    K: Resource<DynamicType = ()> + Clone + Debug,
{
    for_each((kind, readiness), stream, |event| match event {
        Event::Init | Event::InitApply(_) => {}
        Event::InitDone => {
            listed(kind, context, readiness);
            context.enqueue_open_requests();
            context.enqueue_policies();
            context.stores.bind_rights.round_wanted.notify_one();
        }
        Event::Apply(role) | Event::Delete(role) => {
            match read(&role).possible_request_uids().find_map(|uid| context.stores.requests.by_uid.get(uid)) {
                Some(request) => context.enqueue(request),
                None => {
                    let name = role.name_any();
                    context.enqueue_requests_for(role_kind, &name);
                    context.enqueue_policies_that_list(&RoleName { kind: role_kind, name });
                    context.stores.bind_rights.round_wanted.notify_one();
                }
            }
        }
    })
    .await;
}

async fn watch_bindings<K>(
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    read: impl Fn(&K) -> Observed,
    kind: &'static str,
    context: &Context,
    readiness: &Readiness,
) where
    K: Resource<DynamicType = ()> + Clone + Debug,
{
    for_each((kind, readiness), stream, |event| match event {
        Event::Init | Event::InitApply(_) => {}
        Event::InitDone => {
            listed(kind, context, readiness);
            context.queues.reap(ReapTask::Everything);
            context.enqueue_open_requests();
        }
        Event::Apply(binding) => seen(read(&binding), context),
        Event::Delete(binding) => {
            owners(&read(&binding), context).for_each(|request| context.enqueue(request));
        }
    })
    .await;
}

/// A binding appeared or changed. Its request's pass puts it right; one that nobody knows is the reaper's.
fn seen(binding: Observed, context: &Context) {
    let mut known = false;
    for request in owners(&binding, context) {
        known = true;
        context.enqueue(request);
    }
    if !known {
        context.queues.reap(ReapTask::Binding(Box::new(binding)));
    }
}

fn owners<'a>(binding: &'a Observed, context: &'a Context) -> impl Iterator<Item = ObjectRef<PackedRequest>> + 'a {
    binding.possible_request_uids().filter_map(|uid| context.stores.requests.by_uid.get(uid))
}
