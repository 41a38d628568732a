//! Guards as they stand in the cluster: read for a round, and watched, so that a change is known at once.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::CannotTry;
use crate::core::guard::sight::{Expected, Seen, Stored};

/// Policy and binding of each guard, read from the API server and from no cache.
pub(super) async fn look(client: &Client, guards: &[Expected]) -> Result<BTreeMap<String, Seen>, CannotTry> {
    let policies = named::<ValidatingAdmissionPolicy>(client, guards).await?;
    let bindings = named::<ValidatingAdmissionPolicyBinding>(client, guards).await?;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for (name, policy) in policies {
        seen.entry(name).or_default().policy = Some(policy);
    }
    for (name, binding) in bindings {
        seen.entry(name).or_default().binding = Some(binding);
    }
    Ok(seen)
}

/// The objects of one kind that have the name of a guard.
async fn named<K>(client: &Client, guards: &[Expected]) -> Result<Vec<(String, Stored)>, CannotTry>
where
    K: Resource<DynamicType = ()>,
{
    // Unknown fields must not be lost on the way: one of them may be what was changed.
    let resource = kube::api::ApiResource::erase::<K>(&());
    let objects: Api<kube::api::DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = objects.list(&ListParams::default()).await?;
    let ours = listed.items.into_iter().filter(|object| guards.iter().any(|guard| guard.name == object.name_any()));
    Ok(ours
        .map(|mut object| {
            let uid = object.uid().unwrap_or_default();
            let generation = object.metadata.generation.unwrap_or_default();
            (object.name_any(), Stored { uid, generation, spec: object.data["spec"].take() })
        })
        .collect())
}

/// Says so whenever a policy or binding of a guard changes, comes or goes. Does not end.
pub(super) async fn watch(client: Client, guards: &[Expected], changed: &Notify) {
    let concerns = |name: &str| guards.iter().any(|guard| guard.name == name);
    let policies = names::<ValidatingAdmissionPolicy>(client.clone());
    let bindings = names::<ValidatingAdmissionPolicyBinding>(client);
    let mut touched = stream::select(policies, bindings);
    while let Some(name) = touched.next().await {
        if concerns(&name) {
            changed.notify_one();
        }
    }
}

/// Names of objects of one kind as they change. A watch that fails is made again, less and less often: rounds look all
/// the same.
fn names<K>(client: Client) -> futures::stream::BoxStream<'static, String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let objects = Api::<PartialObjectMeta<K>>::all(client);
    let watch = watcher(objects, watcher::Config::default()).default_backoff();
    let name = async |event: watcher::Result<watcher::Event<PartialObjectMeta<K>>>| match event {
        Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => Some(object.name_any()),
        _ => None,
    };
    watch.filter_map(name).boxed()
}
