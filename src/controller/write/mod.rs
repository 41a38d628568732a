//! The only module of the controller that writes to the cluster: statuses, bindings and the roles made for them, Events, the removal of what is
//! recorded, and what the canary stores of itself. `core/laws/purity.rs` holds the code to it.
//!
//! Each write is safe to repeat: statuses carry the version they were planned from, bindings have fixed
//! names, deletions name the UID. Events are sent on the side; they are announcements, the record is in status.

mod announcer;
pub mod canary;
mod made_role;
mod recorded;
pub mod transition_metrics;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use self::announcer::{Announcer, EventQueue};
use crate::api::keys;
use crate::api::policy::{AccessPolicy, AccessPolicyStatus};
use crate::api::record::Record;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingKind, BindingRef};
use crate::controller::bind_error::BindError;
use crate::controller::error::Error;
use crate::controller::observe;
use crate::controller::records::TransitionQueue;
use crate::controller::refusal::Refusing;
use crate::controller::write::transition_metrics::{PassInfo, TransitionMetrics};
use crate::core::rbac::binding::{Observed, Wanted};
use crate::core::report::events::{Announcement, hindered, policy_events, request_events};
use crate::runtime::judged_clock::JudgedClock;

/// How long the process waits at its end for Events that are on their way.
pub const LAST_WORDS: Duration = Duration::from_secs(5);
/// Longest part of an Event's name that comes from the object it is about.
const LONGEST_NAME: usize = 200;

/// Writes for the controller.
#[derive(Clone)]
pub struct Writer {
    listeners: TransitionListeners,
    client: Client,
    events: EventQueue,
    instance: Arc<str>,
    clock: JudgedClock,
    /// Who the controller is to the API server, once somebody needed to know.
    account: Arc<OnceCell<String>>,
}

/// Where it is told beside the cluster what was stored.
#[derive(Clone)]
pub struct TransitionListeners {
    /// Counted.
    pub transitions: Arc<TransitionMetrics>,
    /// Printed.
    pub records: TransitionQueue,
}

impl Writer {
    /// A writer, and the announcer that sends its Events.
    pub fn new(
        client: Client,
        instance: String,
        clock: JudgedClock,
        listeners: TransitionListeners,
    ) -> (Self, Announcer) {
        let (events, announcer) = Announcer::new(client.clone());
        let account = Arc::default();
        (Self { listeners, client, events, instance: instance.into(), clock, account }, announcer)
    }

    /// Stores a status and announces what is new in it. Reviews belong to reviewers: they are left as they are, or all
    /// taken away when they cannot be believed.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the request is not the version that `request` is.
    pub async fn record(
        &self,
        request: &AccessRequest,
        status: AccessRequestStatus,
        pass: PassInfo,
    ) -> Result<AccessRequest, Error> {
        let now = self.clock.now();
        let (namespace, name) = observe::place(request)?;
        let api: Api<AccessRequest> = Api::namespaced(self.client.clone(), &namespace);
        let patch = status_patch(&request.metadata, request.status.as_ref(), &status)?;
        let stored = match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(stored) => stored,
            Err(error) => {
                let sent = request.metadata.resource_version.as_deref();
                let now = version_of(&api, &name);
                return Err(Error::of_write("store the status of a request", error, sent, now).await);
            }
        };
        self.listeners.transitions.recorded(request, &status, pass, now);
        self.listeners.records.push(&stored, request.status.as_ref().map_or(0, |status| status.history.len()));
        let regarding = stored.object_ref(&());
        for announcement in request_events(request.status.as_ref(), &status) {
            let (request, uid) = (format!("{namespace}/{name}"), request.uid());
            if announcement.warning {
                warn!(request, uid, event = announcement.reason, "{}", announcement.note);
            } else {
                info!(request, uid, event = announcement.reason, "{}", announcement.note);
            }
            self.announce(&regarding, &namespace, announcement);
        }
        Ok(stored)
    }

    /// Tells that a request is gone, to whom it is told beside the cluster.
    pub fn tell_gone(&self, request: &AccessRequest, at: Timestamp) {
        self.listeners.records.push_gone(request, at);
    }

    /// Tells that a request is gone that nobody saw go, in its last record.
    pub fn tell_unseen(&self, last: Record) {
        self.listeners.records.push_last(last);
    }

    /// Prints lines that are no records of requests, beside those that are.
    pub fn tell_lines(&self, lines: Vec<String>) {
        self.listeners.records.push_lines(lines);
    }

    /// Tells the people of a request that the API server does not let the controller do what comes next.
    pub fn announce_hindrance(&self, request: &AccessRequest, why: &str) {
        let namespace = request.namespace().unwrap_or_default();
        self.announce(&request.object_ref(&()), &namespace, hindered(why, self.clock.now()));
    }

    /// Stores the status of a policy and announces what is new in it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn record_policy(&self, policy: &AccessPolicy, status: AccessPolicyStatus) -> Result<(), Error> {
        let api: Api<AccessPolicy> = Api::all(self.client.clone());
        let patch = status_patch(&policy.metadata, policy.status.as_ref(), &status)?;
        let stored = api.patch_status(&policy.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
        if let Err(error) = stored {
            let sent = policy.metadata.resource_version.as_deref();
            let now = listed_version_of(&api, policy.name_any());
            return Err(Error::of_write("store the status of a policy", error, sent, now).await);
        }
        for announcement in policy_events(policy.status.as_ref(), &status) {
            info!(policy = policy.name_any(), event = announcement.reason, "{}", announcement.note);
            // Events of objects without a namespace go to `default`, as the API server asks.
            self.announce(&policy.object_ref(&()), "default", announcement);
        }
        Ok(())
    }

    /// Creates a binding. When its name is taken, what stands there is handed back for the next plan to judge.
    ///
    /// # Errors
    /// [`BindError::Refused`] when trying again will not help, if the API server knows all roles.
    pub async fn bind(&self, wanted: Wanted) -> Result<Observed, BindError> {
        match &wanted.made_role {
            Some(role) => self.bind_made_role(&wanted, role).await,
            None => self.create(&wanted).await,
        }
    }

    async fn create(&self, wanted: &Wanted) -> Result<Observed, BindError> {
        let sent = self.send(wanted).await;
        self.sort(sent, wanted).await
    }

    async fn send(&self, wanted: &Wanted) -> Result<Observed, kube::Error> {
        let as_is = PostParams::default();
        match wanted.kind {
            BindingKind::RoleBinding => {
                let api = observe::role_bindings(&self.client, &wanted.reference());
                api.create(&as_is, &wanted.role_binding()).await.map(|b| Observed::from(&b))
            }
            BindingKind::ClusterRoleBinding => {
                let api: Api<ClusterRoleBinding> = Api::all(self.client.clone());
                api.create(&as_is, &wanted.cluster_role_binding()).await.map(|b| Observed::from(&b))
            }
        }
    }

    async fn sort(&self, sent: Result<Observed, kube::Error>, wanted: &Wanted) -> Result<Observed, BindError> {
        match sent {
            Ok(binding) => Ok(binding),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let found = self.at(wanted).await.map_err(BindError::Retry)?;
                // It went meanwhile, or was never there and somebody's admission says so.
                found.ok_or_else(|| BindError::Retry(Error::api("create a binding")(kube::Error::Api(status))))
            }
            Err(error) => {
                let role = format!("{}/{}", wanted.role.kind, wanted.role.name);
                Err(BindError::from_api(error, wanted.kind, &role))
            }
        }
    }

    /// Puts a binding back to what it should be.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not the version that was seen.
    pub async fn restore(&self, wanted: &Wanted) -> Result<Observed, Error> {
        match &wanted.made_role {
            Some(role) => self.restore_made_role(wanted, role).await,
            None => self.put_back(wanted).await,
        }
    }

    async fn put_back(&self, wanted: &Wanted) -> Result<Observed, Error> {
        let replaced = self.replace(wanted).await;
        self.replaced(replaced, wanted).await
    }

    async fn replaced(&self, replaced: Result<Observed, kube::Error>, wanted: &Wanted) -> Result<Observed, Error> {
        match replaced {
            Ok(binding) => Ok(binding),
            Err(error) => {
                let now = async { Ok(self.at(wanted).await?.and_then(|there| there.metadata.resource_version)) };
                let sent = wanted.metadata.resource_version.as_deref();
                Err(Error::of_write("put a binding back", error, sent, now).await)
            }
        }
    }

    /// The binding that is in the place of one, without its role.
    async fn at(&self, wanted: &Wanted) -> Result<Option<Observed>, Error> {
        let reference = BindingRef { role: None, ..wanted.reference() };
        observe::binding(&self.client, &reference).await
    }

    async fn replace(&self, wanted: &Wanted) -> Result<Observed, kube::Error> {
        let (reference, as_is) = (wanted.reference(), PostParams::default());
        match wanted.kind {
            BindingKind::RoleBinding => {
                let api = observe::role_bindings(&self.client, &reference);
                api.replace(&reference.name, &as_is, &wanted.role_binding()).await.map(|b| Observed::from(&b))
            }
            BindingKind::ClusterRoleBinding => {
                let api: Api<ClusterRoleBinding> = Api::all(self.client.clone());
                api.replace(&reference.name, &as_is, &wanted.cluster_role_binding()).await.map(|b| Observed::from(&b))
            }
        }
    }

    /// Deletes a binding of the request with this UID, and the role that was made for it. One that is gone, or is
    /// somebody else's, is none.
    ///
    /// # Errors
    /// When it may still be there.
    pub async fn unbind(&self, binding: &BindingRef, request_uid: &str) -> Result<(), Error> {
        // The role first: as long as the binding is there, somebody will come back for what is left.
        let unmade = self.unmake_role(binding, request_uid).await;
        self.delete(binding, request_uid).await.and(unmade)
    }

    async fn delete(&self, binding: &BindingRef, request_uid: &str) -> Result<(), Error> {
        let uid = match &binding.uid {
            Some(uid) => uid.clone(),
            None => {
                let alone = BindingRef { role: None, ..binding.clone() };
                let found = observe::binding(&self.client, &alone).await?;
                match found.filter(|b| b.request_uid() == Some(request_uid)).and_then(|b| b.metadata.uid) {
                    Some(uid) => uid,
                    None => return Ok(()),
                }
            }
        };
        self.delete_exactly(binding, uid).await
    }

    /// Deletes a binding if it is the one with this UID.
    async fn delete_exactly(&self, binding: &BindingRef, uid: String) -> Result<(), Error> {
        let exactly = exactly(uid);
        match binding.kind {
            BindingKind::RoleBinding => {
                release(observe::role_bindings(&self.client, binding), &binding.name, &exactly).await
            }
            BindingKind::ClusterRoleBinding => {
                release(Api::<ClusterRoleBinding>::all(self.client.clone()), &binding.name, &exactly).await
            }
        }
    }

    fn announce(&self, regarding: &ObjectReference, namespace: &str, announcement: Announcement) {
        let Announcement { warning, reason, note, policy, index } = announcement;
        let object: String = regarding.name.iter().flat_map(|n| n.chars()).take(LONGEST_NAME).collect();
        let uid: String = regarding.uid.iter().flat_map(|u| u.chars()).take(8).collect();
        let event = Event {
            metadata: ObjectMeta {
                // Fixed, so that the same announcement made again after a crash is found to be there.
                name: Some(format!("{object}.{uid}-{index}")),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(reason.clone()),
            reason: Some(reason),
            note: Some(note),
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            regarding: Some(regarding.clone()),
            related: policy.map(|policy| ObjectReference {
                api_version: Some(format!("{}/{}", keys::GROUP, keys::VERSION)),
                kind: Some("AccessPolicy".to_owned()),
                name: Some(policy.name),
                uid: Some(policy.uid),
                ..ObjectReference::default()
            }),
            event_time: Some(MicroTime(self.clock.now())),
            reporting_controller: Some(keys::REPORTING_CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.to_string()),
            ..Event::default()
        };
        self.events.push(event);
    }
}

/// To delete the object of this UID and no other.
fn exactly(uid: String) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::background()
    }
}

/// The version that an object is in; none when it is gone.
async fn version_of<K>(api: &Api<K>, name: &str) -> Result<Option<String>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let found = api.get_metadata_opt(name).await.map_err(Error::api("see whether an object has changed"))?;
    Ok(found.and_then(|there| there.metadata.resource_version))
}

/// The same of an object whose kind may be listed and not read one by one.
async fn listed_version_of<K>(api: &Api<K>, name: String) -> Result<Option<String>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let one = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = api.list_metadata(&one).await.map_err(Error::api("see whether an object has changed"))?;
    Ok(found.items.into_iter().next().and_then(|there| there.metadata.resource_version))
}

/// Deletes an object for good. One that is gone, or whose name another object has by now, is gone; that is looked at and
/// not believed, since whoever refuses a deletion may say so in any words. RBAC goes on honouring a binding that is
/// marked as deleted and waits for its finalizers, so they are taken away.
async fn release<K>(api: Api<K>, name: &str, exactly: &DeleteParams) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let uid = exactly.preconditions.as_ref().and_then(|only| only.uid.as_deref());
    let lingering = match api.delete(name, exactly).await {
        Ok(deleted) => deleted.left(),
        Err(error) => return unless_other(&api, name, uid, "delete a binding", error).await,
    };
    let Some(mut lingering) = lingering else { return Ok(()) };
    lingering.finalizers_mut().clear();
    let what = "take the finalizers from a binding";
    match api.replace(name, &PostParams::default(), &lingering).await {
        Ok(left) if left.finalizers().is_empty() => Ok(()),
        Ok(left) => Err(Error::Refused(Refusing::FinalizersBack(left.finalizers().to_vec()))),
        Err(error) => unless_other(&api, name, uid, what, error).await,
    }
}

/// A failure to delete an object, unless it is gone or another object has its name.
async fn unless_other<K>(
    api: &Api<K>,
    name: &str,
    uid: Option<&str>,
    what: &'static str,
    error: kube::Error,
) -> Result<(), Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    match &error {
        kube::Error::Api(status) if status.is_not_found() || status.is_conflict() => {
            let there = api.get_metadata_opt(name).await.map_err(Error::api("see whether a binding is gone"))?;
            let same = there.is_some_and(|there| there.metadata.uid.as_deref() == uid);
            if same { Err(Error::api(what)(error)) } else { Ok(()) }
        }
        _ => Err(Error::api(what)(error)),
    }
}

/// What makes the new value of the old one: what is gone is null, at whatever depth, and what stays is left out
/// (RFC 7396). Nothing here is null itself, so none is lost.
fn merge_patch(old: &Value, new: Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, &new) else { return new };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    let nothing = Value::Null;
    let changed = changed.map(|(k, value)| (k.clone(), merge_patch(old.get(k).unwrap_or(&nothing), value.clone())));
    Value::Object(gone.chain(changed).collect())
}

/// A merge patch from the old status to the new, bound to the version that the old one is from.
fn status_patch<S: Serialize>(metadata: &ObjectMeta, old: Option<&S>, new: &S) -> Result<Value, Error> {
    let old = old.map(serde_json::to_value).transpose()?.unwrap_or_default();
    let mut status = merge_patch(&old, serde_json::to_value(new)?);
    if let Value::Object(patch) = &mut status
        && patch.get("reviews").is_some_and(|reviews| !reviews.is_null())
    {
        patch.remove("reviews");
    }
    let version = metadata.resource_version.as_ref().ok_or(Error::Incomplete("resourceVersion"))?;
    Ok(json!({ "metadata": { "resourceVersion": version }, "status": status }))
}

#[cfg(test)]
mod tests;
