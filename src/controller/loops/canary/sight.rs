//! Guards as they stand in the cluster: read for a round, and watched, so that a change is known at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::CanaryRemark;
use crate::controller::watch::patience::patient;
use crate::core::guard::missing::UnservedKind;
use crate::core::guard::sight::{Expected, SeenGuard, Stored};
use crate::core::model::revision::{Revision, revision};

/// What a look at the guards found.
pub(crate) struct Sighted {
    /// Policy and binding of each guard.
    pub guards: BTreeMap<String, SeenGuard>,
    /// The state of the cluster that the policies were read in. The bindings were read after it.
    pub revision: Option<Revision>,
    /// A kind of theirs that the API server does not have, so that there can be no guard.
    pub unserved: Option<UnservedKind>,
}

/// Policy and binding of each guard, read from the API server and from no cache.
pub(crate) async fn read_guards(client: &Client, guards: &[Expected]) -> kube::Result<Sighted> {
    let policies = named::<ValidatingAdmissionPolicy>(client, guards).await?;
    let bindings = named::<ValidatingAdmissionPolicyBinding>(client, guards).await?;
    let mut seen: BTreeMap<String, SeenGuard> = BTreeMap::new();
    for (name, policy) in policies.objects {
        seen.entry(name).or_default().policy = Some(policy);
    }
    for (name, binding) in bindings.objects {
        seen.entry(name).or_default().binding = Some(binding);
    }
    Ok(Sighted { guards: seen, revision: policies.revision, unserved: policies.unserved.or(bindings.unserved) })
}

/// The objects of one kind that have the name of a guard.
#[derive(Default)]
struct Named {
    objects: Vec<(String, Stored)>,
    /// The state of the cluster that they were read in.
    revision: Option<Revision>,
    /// The API server does not know the kind.
    unserved: Option<UnservedKind>,
}

async fn named<K>(client: &Client, guards: &[Expected]) -> kube::Result<Named>
where
    K: Resource<DynamicType = ()>,
{
    // Unknown fields must not be lost on the way: one of them may be what was changed.
    let resource = kube::api::ApiResource::erase::<K>(&());
    let objects: Api<kube::api::DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = match objects.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let server = client.apiserver_version().await.map(|version| version.git_version).ok();
            let unserved = UnservedKind { kind: resource.kind, group_version: resource.api_version, server };
            return Ok(Named { unserved: Some(unserved), ..Named::default() });
        }
        listed => listed?,
    };
    let revision = revision(listed.metadata.resource_version.as_ref());
    let ours = listed.items.into_iter().filter(|object| guards.iter().any(|guard| guard.name == object.name_any()));
    let ours = ours.map(|mut object| {
        let uid = object.uid().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        (object.name_any(), Stored { uid, generation, spec: object.data["spec"].take() })
    });
    Ok(Named { objects: ours.collect(), revision, unserved: None })
}

/// For how long a watch that failed counts as failing: it is tried again more often than that, and gives no sign when it
/// comes back.
const FAILS: Duration = Duration::from_secs(8);

/// Why a watch fails, by kind, and when it last did.
#[derive(Debug, Default)]
pub(super) struct Blind(Mutex<BTreeMap<&'static str, (String, Instant)>>);

impl Blind {
    /// What `/readyz` should say of it.
    pub fn remark(&self) -> Option<CanaryRemark> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (why, _) = kinds.values().find(|(_, at)| at.elapsed() < FAILS)?;
        Some(CanaryRemark::Late(why.clone()))
    }

    fn note(&self, kind: &'static str, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, (why, Instant::now()));
    }
}

/// Says so whenever a policy or binding of a guard changes, comes or goes, and keeps in `blind` whether it can. Does not
/// end.
pub(super) async fn watch(client: Client, guards: &[Expected], changed: &Notify, blind: &Blind) {
    let concerns = |name: &str| guards.iter().any(|guard| guard.name == name);
    let policies = touched::<ValidatingAdmissionPolicy>(client.clone());
    let bindings = touched::<ValidatingAdmissionPolicyBinding>(client);
    let mut touched = stream::select(policies, bindings);
    while let Some((kind, seen)) = touched.next().await {
        match seen {
            Ok(name) if concerns(&name) => changed.notify_one(),
            Ok(_) => {}
            // The next round says so.
            Err(why) => blind.note(kind, why),
        }
    }
}

/// Names of objects of one kind as they change, or why they cannot be watched. A watch that fails is made again, less and
/// less often: rounds look all the same.
fn touched<K>(client: Client) -> BoxStream<'static, (&'static str, Result<String, String>)>
where
    K: Resource<DynamicType = ()> + k8s_openapi::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let objects = Api::<PartialObjectMeta<K>>::all(client);
    let watch = patient(watcher(objects, watcher::Config::default()));
    let seen = async |event: watcher::Result<watcher::Event<PartialObjectMeta<K>>>| match event {
        Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => Some((K::KIND, Ok(object.name_any()))),
        Ok(_) => None,
        Err(error) => Some((K::KIND, Err(error.to_string()))),
    };
    watch.filter_map(seen).boxed()
}
