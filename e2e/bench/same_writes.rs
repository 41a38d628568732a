//! What a burst costs the API server alone: a client that decides nothing makes the objects that Daypass would, in the
//! order that Daypass must. More than this no controller can save that records a grant before it exists.

use daypass::api::AccessRequest;
use futures::channel::mpsc;
use futures::{StreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{BURST, Bench, CLIENTS, binding_of};
use crate::harness::install::Controller;

/// As many requests as the controller works on at a time.
const AT_A_TIME: usize = 64;
/// As many Events as it sends at a time: they follow behind, so that they hold up no binding.
const EVENTS_AT_A_TIME: usize = 2;

/// What Daypass left behind of one grant.
pub struct Sample {
    request: AccessRequest,
    binding: RoleBinding,
    event: Event,
}

impl Bench {
    /// One grant of those that are there, with all that was written for it.
    pub async fn sample(&self) -> Sample {
        let one = ListParams::default().limit(1);
        let request = self.requests.list(&one).await.expect("list requests").items.remove(0);
        self.until_told(&request).await;
        let request = self.requests.get(&request.name_any()).await.expect("read it again");
        let binding = self.bindings.get(&binding_of(&request)).await.expect("its binding");
        let event = self.events.get(&super::event_of(&request)).await.expect("its Event");
        Sample { request, binding, event }
    }

    /// A burst by a client that decides nothing, in the controller's name; it must not run meanwhile.
    pub async fn same_writes(&self, sample: &Sample) -> std::time::Duration {
        let token = Controller::token(&self.cluster.control_plane).await;
        let client = self.cluster.control_plane.client_for_token("same-writes", &token).await;
        let (file, filed) = mpsc::unbounded();
        let (tell, told) = mpsc::unbounded();
        let client = &client;
        let begin = Instant::now();
        let filing = stream::iter(0..BURST).for_each_concurrent(CLIENTS, |n| {
            let file = file.clone();
            async move {
                let request = self.file(&format!("same-{n}"), "1h").await;
                file.unbounded_send(request).expect("somebody writes");
            }
        });
        let writing = filed.take(BURST).for_each_concurrent(AT_A_TIME, |request| {
            let tell = tell.clone();
            async move {
                write(client, sample, &request).await;
                tell.unbounded_send(request).expect("somebody tells");
            }
        });
        let telling = told.take(BURST).for_each_concurrent(EVENTS_AT_A_TIME, |request| async move {
            let events: Api<Event> = Api::namespaced(client.clone(), &request.namespace().expect("one"));
            let event = instead(&sample.event, &sample.request, &request);
            events.create(&PostParams::default(), &event).await.expect("create an Event");
        });
        let bound = async {
            self.seen.many(BURST).await;
            begin.elapsed()
        };
        tokio::join!(bound, filing, writing, telling).0
    }
}

/// Records a grant, makes the binding, and records that it is there.
async fn write(client: &kube::Client, sample: &Sample, request: &AccessRequest) {
    let (name, namespace) = (request.name_any(), request.namespace().expect("one"));
    let requests: Api<AccessRequest> = Api::namespaced(client.clone(), &namespace);
    let fields = PatchParams::default();
    let mut granted = json!(sample.request.status);
    granted["state"] = json!("Scheduled");
    let granted = json!({ "status": granted });
    requests.patch_status(&name, &fields, &Patch::Merge(granted)).await.expect("record a grant");
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
    let binding = instead(&sample.binding, &sample.request, request);
    bindings.create(&PostParams::default(), &binding).await.expect("create a binding");
    let bound = json!({ "status": { "state": "Active" } });
    requests.patch_status(&name, &fields, &Patch::Merge(bound)).await.expect("record that it is bound");
}

/// The object that was made for the sample's request, as it is for another.
fn instead<K: serde::Serialize + serde::de::DeserializeOwned>(
    object: &K,
    of: &AccessRequest,
    other: &AccessRequest,
) -> K {
    let (old_name, old_uid) = (of.name_any(), of.uid().expect("a uid"));
    let (name, uid) = (other.name_any(), other.uid().expect("a uid"));
    let mut fresh = json!(object);
    let short = |uid: &str| uid.chars().take(8).collect::<String>();
    rewrite(&mut fresh, &|text| {
        let event = format!("{old_name}.{}", short(&old_uid));
        let text = text.replace(&old_uid, &uid).replace(&event, &format!("{name}.{}", short(&uid)));
        if text == old_name { name.clone() } else { text }
    });
    let metadata = fresh["metadata"].as_object_mut().expect("metadata");
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    serde_json::from_value(fresh).expect("the same kind")
}

fn rewrite(value: &mut Value, text: &impl Fn(&str) -> String) {
    match value {
        Value::String(old) => *old = text(old),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, text)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rewrite(field, text)),
        _ => {}
    }
}
