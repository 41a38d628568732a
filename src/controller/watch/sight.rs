//! The events of each kind as they are followed here: of the whole cluster, or of each namespace that is served.
//!
//! Owns what is asked of the API server, and that a store takes an event in before anybody hears of it. It must not say
//! what an event is to lead to.

use std::fmt::Debug;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::merged;
use super::patience;
use crate::controller::observe::{self, DecodedPolicy};
use crate::controller::stores::packed::{self, Pack, Packed};
use crate::core::decision::served::ServedNamespaces;
use crate::runtime::server::Readiness;

/// Annotation in which kubectl keeps a second copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The events of a kind, for as long as it is followed.
pub type Events<'a, K> = BoxStream<'a, watcher::Result<Event<K>>>;

/// What can be seen from here.
pub struct WatchedCluster<'a> {
    pub client: &'a Client,
    pub served: &'a ServedNamespaces,
    pub readiness: &'a Readiness,
}

impl<'a> WatchedCluster<'a> {
    /// Policies, which are few and looked at often.
    pub fn policies(&self, store: StoreWriter<DecodedPolicy>) -> Events<'a, DecodedPolicy> {
        let watch = watcher::watcher(Api::all(self.client.clone()), watcher::Config::default());
        events(watch).reflect(store).boxed()
    }

    /// Objects of the cluster.
    pub fn of_cluster<K>(&self, config: watcher::Config, store: StoreWriter<Packed<K>>) -> Events<'a, K>
    where
        K: Pack + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        follow(events(watcher::watcher(Api::all(self.client.clone()), config)), store).boxed()
    }

    /// Objects in all namespaces that are served. One that may not be read is empty, and keeps nobody waiting.
    pub fn in_namespaces<K>(
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
    pub fn of_namespaces(&self) -> Events<'a, PartialObjectMeta<NamespaceObject>> {
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
    pub fn of_cluster_role_bindings(
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
