//! Fills the stores from the API server, and says which request, policy or binding to look at.
//!
//! One watch a kind, or one in each namespace that is served, which [`merged`] makes one of. Each backs off by itself, so
//! that a kind that cannot be listed does not slow the others.

mod merged;
pub(super) mod patience;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, pin_mut, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api::policy::Effect;
use crate::api::subject::RoleName;
use crate::api::{RoleKind, keys};
use crate::controller::context::{Context, Feeds};
use crate::controller::observe::{self, DecodedPolicy, DecodedRequest};
use crate::controller::queues::ReapTask;
use crate::controller::stores::listed::{
    ACCESS_POLICIES, ACCESS_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES,
};
use crate::controller::stores::packed::{self, Pack, Packed, PackedRequest, reference};
use crate::controller::stores::rbac::RbacFeeds;
use crate::core::decision::dependence::Change;
use crate::core::decision::served::ServedNamespaces;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::origin;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::ObservedRole;
use crate::runtime::server::Readiness;

/// Annotation in which kubectl keeps a second copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

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

type Events<'a, K> = BoxStream<'a, watcher::Result<Event<K>>>;

/// What can be seen from here.
struct WatchedCluster<'a> {
    client: &'a Client,
    served: &'a ServedNamespaces,
    readiness: &'a Readiness,
}

impl<'a> WatchedCluster<'a> {
    /// Policies, which are few and looked at often.
    fn policies(&self, store: StoreWriter<DecodedPolicy>) -> Events<'a, DecodedPolicy> {
        let watch = watcher::watcher(Api::all(self.client.clone()), watcher::Config::default());
        events(watch).reflect(store).boxed()
    }

    /// Objects of the cluster.
    fn of_cluster<K>(&self, config: watcher::Config, store: StoreWriter<Packed<K>>) -> Events<'a, K>
    where
        K: Pack + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        follow(events(watcher::watcher(Api::all(self.client.clone()), config)), store).boxed()
    }

    /// Objects in all namespaces that are served. One that may not be read is empty, and keeps nobody waiting.
    fn in_namespaces<K>(
        &self,
        kind: &'static str,
        config: watcher::Config,
        store: StoreWriter<Packed<K>>,
    ) -> Events<'a, K>
    where
        K: Pack<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let ServedNamespaces::Namespaces(names) = self.served else { return self.of_cluster(config, store) };
        let watch = |name: &String| {
            let watch = merged::watch(Api::namespaced(self.client.clone(), name), config.clone());
            (name.clone(), events(watch))
        };
        let readiness = self.readiness;
        let message: merged::OnRefusal<'a> = Box::new(move |namespace, refused| {
            readiness.note_unreadable(kind, namespace, refused);
            match refused {
                true => warn!(
                    kind,
                    namespace,
                    "cannot be read, so requests there wait: is the namespace there, and the chart's Role in it?"
                ),
                false => info!(kind, namespace, "can be read"),
            }
        });
        let known = merged::MergedStore { stored: store.as_reader(), object: Packed::restored };
        follow(merged::merge(names.iter().map(watch).collect(), known, Some(message)), store).boxed()
    }

    /// The namespaces that are served, by name; or all. A right to look at one is waited for: taken for gone, it would
    /// take its grants along.
    fn of_namespaces(&self) -> Events<'a, PartialObjectMeta<NamespaceObject>> {
        let (api, all) = (Api::all(self.client.clone()), watcher::Config::default());
        let ServedNamespaces::Namespaces(names) = self.served else {
            return events(watcher::watcher(api, all)).boxed();
        };
        let watch = |name: &String| {
            let config = all.clone().fields(&observe::by_name(name));
            (name.clone(), events(merged::watch(api.clone(), config)))
        };
        let (stored, store) = reflector::store();
        let known = merged::MergedStore { stored, object: PartialObjectMeta::clone };
        merged::merge(names.iter().map(watch).collect(), known, None).reflect(store).boxed()
    }

    /// ClusterRoleBindings, of which none can be made where the cluster is out of reach.
    fn of_cluster_role_bindings(
        &self,
        config: watcher::Config,
        store: StoreWriter<Packed<ClusterRoleBinding>>,
    ) -> Events<'a, ClusterRoleBinding> {
        match self.served {
            ServedNamespaces::Cluster => self.of_cluster(config, store),
            ServedNamespaces::Namespaces(_) => {
                stream::iter([Ok(Event::Init), Ok(Event::InitDone)]).chain(stream::pending()).boxed()
            }
        }
    }
}

/// The events of a watch, without what is only bulk.
fn events<K>(
    watch: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Send,
{
    patience::patient(watch).modify(|object| {
        object.managed_fields_mut().clear();
        object.annotations_mut().remove(LAST_APPLIED);
    })
}

/// The same events, after a store has taken them in.
fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut store: StoreWriter<Packed<K>>,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Pack + Clone + Send + Sync + 'static,
{
    events.inspect(move |event| event.iter().for_each(|event| store.apply_watcher_event(&packed::pack(event))))
}

/// What is said of a kind that the API server does not serve.
const UNKNOWN: &str = "the API server does not know this kind; is its definition installed?";

/// Unwraps a watch: failures are told, and the watch goes on by itself.
async fn for_each<K>(
    (kind, readiness): (&str, &Readiness),
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    mut handle: impl FnMut(Event<K>),
) {
    let began = Instant::now();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => handle(event),
            Err(failure) => {
                let error = if patience::is_unknown(&failure) { UNKNOWN.to_owned() } else { failure.to_string() };
                match patience::is_not_yet(&failure) && began.elapsed() < patience::SETTLING {
                    true => info!(kind, error, "not served yet; trying again"),
                    false => warn!(kind, error, "watch failed; trying again"),
                }
                readiness.hindered(kind, &error);
            }
        }
    }
}

/// Names that were listed, to be looked at when the list is complete: until then the store has the old list.
struct Listing<K: Resource<DynamicType = ()>>(Vec<ObjectRef<K>>);

impl<K: Resource<DynamicType = ()> + Clone> Listing<K> {
    /// Which objects to look at after this event.
    fn after(&mut self, event: &Event<K>) -> Vec<ObjectRef<K>> {
        match event {
            Event::Init => {
                self.0.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.0.push(ObjectRef::from_obj(object));
                Vec::new()
            }
            Event::InitDone => std::mem::take(&mut self.0),
            Event::Apply(object) => vec![ObjectRef::from_obj(object)],
            Event::Delete(_) => Vec::new(),
        }
    }
}

async fn watch_requests(
    stream: impl Stream<Item = watcher::Result<Event<DecodedRequest>>>,
    context: &Context,
    readiness: &Readiness,
) {
    let mut listing = Listing(Vec::new());
    let mut uids = HashSet::new();
    for_each((ACCESS_REQUESTS, readiness), stream, |event| {
        match &event {
            Event::Init => uids.clear(),
            Event::InitApply(request) => {
                uids.extend(request.uid());
                warn_if_broken(request);
                context.requests.came(request);
            }
            Event::InitDone => {
                context.requests.by_uid.retain(|uid| uids.contains(uid));
                context.requests.extensions.clear();
                let stored = context.requests.store.state();
                stored.iter().filter_map(|packed| packed.open()).for_each(|request| context.enqueue_related(&request));
                listed(ACCESS_REQUESTS, context, readiness);
                context.enqueue_policies();
                context.queues.reap(ReapTask::Everything);
            }
            Event::Apply(request) => {
                warn_if_broken(request);
                context.requests.came(request);
                request.0.iter().for_each(|request| {
                    context.metrics.came(request, context.clock.now());
                    if request.status.is_none() {
                        context.round_wanted.notify_one();
                    }
                    context.enqueue_related(request);
                });
            }
            Event::Delete(request) => {
                context.forget(&reference(request), &request.uid().unwrap_or_default());
                if let Ok(request) = &request.0 {
                    context.enqueue_related(request);
                    context.requests.extensions.forget(request);
                    context.queues.reap(ReapTask::Deleted(Box::new(request.clone())));
                }
            }
        }
        if matches!(&event, Event::Apply(request) if is_echo(request, context)) {
            return;
        }
        let listed = listing.after(&event).into_iter();
        listed.for_each(|request| context.enqueue(request.into_kind_unchecked(())));
    })
    .await;
}

/// It is looked at no more: what cannot be read grants nothing.
fn warn_if_broken(request: &DecodedRequest) {
    if let Err(invalid) = &request.0 {
        let (name, namespace) = (&invalid.metadata.name, &invalid.metadata.namespace);
        warn!(error = %invalid, ?name, ?namespace, "cannot decode request");
    }
}

/// Whether a request comes as a pass has just left it.
fn is_echo(request: &DecodedRequest, context: &Context) -> bool {
    let version = request.0.as_ref().ok().and_then(observe::version);
    version.is_some_and(|version| context.requests.expectations.is_echo(&reference(request), version))
}

async fn watch_policies(
    stream: impl Stream<Item = watcher::Result<Event<DecodedPolicy>>>,
    context: &Context,
    readiness: &Readiness,
) {
    let mut listing = Listing(Vec::new());
    let mut known = HashMap::new();
    for_each((ACCESS_POLICIES, readiness), stream, |event| {
        match &event {
            Event::Init => known.clear(),
            Event::InitApply(policy) => {
                known.insert(policy.name_any(), SpecVersion::of(policy));
            }
            Event::InitDone => {
                context.policies.renew();
                listed(ACCESS_POLICIES, context, readiness);
                context.enqueue_open_requests();
            }
            Event::Apply(policy) => {
                let (name, after) = (policy.name_any(), SpecVersion::of(policy));
                let before = known.insert(name.clone(), after.clone());
                let may_deny = after.may_deny || before.as_ref().is_some_and(|before| before.may_deny);
                // Of what a status says, only whether the policy is believed bears on a decision.
                let doubts = || context.policies.set().is_some_and(|policies| policies.doubts(&name));
                let (edited, doubted) = (before != Some(after), doubts());
                if edited || doubted || is_doubted(policy) {
                    context.policies.renew();
                }
                if edited || doubted != doubts() {
                    context.enqueue_concerned(&Change::Policy { name: &name, may_deny });
                }
            }
            Event::Delete(policy) => {
                let name = policy.name_any();
                let may_deny = known.remove(&name).is_none_or(|before| before.may_deny);
                context.policies.first_seen.forget(policy.uid().as_deref());
                context.policies.renew();
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

/// A kind has been read as a whole.
fn listed(kind: &'static str, context: &Context, readiness: &Readiness) {
    context.listed.mark(kind);
    readiness.done(kind);
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
                context.set_namespaces(known.clone());
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
            context.set_namespaces(known.clone());
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
            context.bind_rights.round_wanted.notify_one();
        }
        Event::Apply(role) | Event::Delete(role) => {
            match read(&role).possible_request_uids().find_map(|uid| context.requests.by_uid.get(uid)) {
                Some(request) => context.enqueue(request),
                None => {
                    let name = role.name_any();
                    context.enqueue_requests_for(role_kind, &name);
                    context.enqueue_policies_that_list(&RoleName { kind: role_kind, name });
                    context.bind_rights.round_wanted.notify_one();
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
    binding.possible_request_uids().filter_map(|uid| context.requests.by_uid.get(uid))
}
