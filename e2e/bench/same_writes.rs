//! What a burst costs the API server alone: a client that decides nothing makes the objects that Daypass would, in the
//! order that Daypass must. More than this no controller can save that records a grant before it exists.

use daypass::api::AccessRequest;
use futures::{StreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{BURST, Bench, CLIENTS};
use crate::harness::install::Controller;

/// As many requests as the controller works on at a time.
const AT_A_TIME: usize = 64;

/// What Daypass left behind of one grant.
pub struct Sample {
    request: AccessRequest,
    binding: RoleBinding,
    event: Event,
}

impl Bench {
    /// One grant of those that are there, with all that was written for it.
    pub async fn sample(&self) -> Sample {
        let admin = self.bindings.clone().into_client();
        let one = ListParams::default().limit(1);
        let request = self.requests.list(&one).await.expect("list requests").items.remove(0);
        let (uid, namespace) = (request.uid().expect("a uid"), request.namespace().expect("a namespace"));
        let binding = self.bindings.get(&format!("daypass-{uid}")).await.expect("its binding");
        let events: Api<Event> = Api::namespaced(admin, &namespace);
        let event = events.list(&one).await.expect("list Events").items.remove(0);
        Sample { request, binding, event }
    }

    /// A burst by a client that decides nothing, in the controller's name; it must not run meanwhile.
    pub async fn same_writes(&self, sample: &Sample) -> std::time::Duration {
        let token = Controller::token(&self.cluster.control_plane).await;
        let client = self.cluster.control_plane.client_for_token("same-writes", &token).await;
        let begin = Instant::now();
        let asked = stream::iter(0..BURST).map(|n| async move { self.file(&format!("same-{n}"), "1h").await });
        let written = asked.buffer_unordered(CLIENTS).map(|request| write(client.clone(), sample, request));
        let all = written.buffer_unordered(AT_A_TIME).collect::<Vec<()>>();
        let bound = async {
            self.seen.many(BURST).await;
            begin.elapsed()
        };
        let (took, _) = tokio::join!(bound, all);
        took
    }
}

async fn write(client: kube::Client, sample: &Sample, request: AccessRequest) {
    let (name, uid, namespace) = (request.name_any(), request.uid().expect("a uid"), request.namespace().expect("one"));
    let requests: Api<AccessRequest> = Api::namespaced(client.clone(), &namespace);
    let record = |state: &str| {
        let mut status = json!(sample.request.status);
        status["state"] = json!(state);
        json!({ "status": status })
    };
    let (as_is, fields) = (PostParams::default(), PatchParams::default());
    requests.patch_status(&name, &fields, &Patch::Merge(record("Scheduled"))).await.expect("record a grant");
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
    let binding = instead(&sample.binding, (&sample.request, &name, &uid));
    bindings.create(&as_is, &binding).await.expect("create a binding");
    requests.patch_status(&name, &fields, &Patch::Merge(record("Active"))).await.expect("record that it is bound");
    let events: Api<Event> = Api::namespaced(client, &namespace);
    events.create(&as_is, &instead(&sample.event, (&sample.request, &name, &uid))).await.expect("create an Event");
}

/// The object that was made for the sample's request, as it is for another.
fn instead<K: serde::Serialize + serde::de::DeserializeOwned>(
    object: &K,
    (of, name, uid): (&AccessRequest, &str, &str),
) -> K {
    let (old_name, old_uid) = (of.name_any(), of.uid().expect("a uid"));
    let mut fresh = json!(object);
    let short = |uid: &str| uid.chars().take(8).collect::<String>();
    rewrite(&mut fresh, &|text| {
        let event = format!("{old_name}.{}", short(&old_uid));
        let text = text.replace(&old_uid, uid).replace(&event, &format!("{name}.{}", short(uid)));
        if text == old_name { name.to_owned() } else { text }
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
