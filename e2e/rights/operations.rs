//! What people rely on the controller for, each as something that is begun, and an outcome that comes or does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daypass::api::conditions::find;
use daypass::api::{AccessPolicy, State};
use daypass::core::guard::sight::digest;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE, EVE, User};
use crate::harness::{Cluster, eventually, install};

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A Role, in the request's namespace.
    Whole,
    /// Less than that Role has.
    Narrow,
    /// A ClusterRole, in the request's namespace.
    Edit,
    /// A ClusterRole, everywhere.
    Everywhere,
    /// Less than that ClusterRole has.
    NarrowEverywhere,
}

/// Something that people rely on.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A request is taken up, decided and granted.
    Decide,
    /// A request that is approved is granted; one that cannot be says why, and is over.
    Grant(Form),
    /// A request that must be denied is.
    Refuse(Form),
    /// Access that is given up ends, and nothing of this kind is left of it.
    End(Form, &'static str),
    /// What was edited by hand is put back.
    Restore(&'static str),
    /// A binding that belongs to no request is removed.
    Stray,
    /// Access ends when its namespace leaves the policy's scope.
    Leave,
    /// A policy says whether it is in use.
    Judge,
    /// A transition is told by an Event. One that could not be sent is not sent again.
    Tell,
}

/// What is there before a deed begins.
pub enum Prepared {
    Nothing,
    /// A request of this name that is Active, in this namespace.
    Granted(String, String),
}

/// What comes when a deed is done.
pub enum Outcome {
    /// A request in this namespace of this name is in this state.
    State(String, String, State),
    /// The same, and an object is gone.
    Ended(String, State, Object),
    /// An object has the mark of Daypass.
    Marked(Object),
    /// An object is gone.
    Gone(Object),
    /// A policy says that it is ready.
    Ready(String),
    /// There is an Event about this request.
    Told(String),
}

/// Where an object is: kind, namespace and name, as kubectl takes them.
pub struct Object {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// A cluster in which only people that ask may ask, with a policy, and a running grant of each form.
pub struct Ground {
    pub cluster: Arc<Cluster>,
    namespace: String,
    asked: AtomicUsize,
    standing: Vec<(&'static str, String)>,
}

impl Deed {
    /// Whether it is not tried again by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Grant(_) | Self::Tell)
    }
}

impl Form {
    fn asks(self) -> (User, Value) {
        let (deployer, view) = (json!({ "kind": "Role", "name": "deployer" }), json!({ "name": "view" }));
        let (everywhere, one) = (json!({ "cluster": true }), rules("get", Some("web-0")));
        match self {
            Self::Whole => (ALICE, json!({ "role": deployer })),
            Self::Narrow => (ALICE, json!({ "role": deployer, "rules": one })),
            Self::Edit => (ALICE, json!({})),
            Self::Everywhere => (EVE, json!({ "role": view, "scope": everywhere })),
            Self::NarrowEverywhere => (EVE, json!({ "role": view, "scope": everywhere, "rules": one })),
        }
    }

    /// The role that it is for, as it stands in a sentence.
    fn role(self) -> &'static str {
        match self {
            Self::Whole | Self::Narrow => "deployer",
            Self::Edit => "edit",
            Self::Everywhere | Self::NarrowEverywhere => "view",
        }
    }
}

fn rules(verb: &str, name: Option<&str>) -> Value {
    let mut rule = json!({ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] });
    if let Some(name) = name {
        rule["resourceNames"] = json!([name]);
    }
    json!([rule])
}

impl Object {
    fn args(&self) -> [&str; 4] {
        [self.kind, &self.name, "-n", &self.namespace]
    }
}

impl Ground {
    pub async fn prepare(cluster: Arc<Cluster>) -> Self {
        let admin = cluster.kubectl(ADMIN);
        // Everybody is also the controller: what everybody may, would not be missed in its own rights.
        admin.ok(&["delete", "clusterrolebinding", "everybody-may-ask"]).await;
        let people = ["--clusterrole=daypass-requester", "--group=dev"];
        admin.ok(&[&["create", "clusterrolebinding", "developers-may-ask"], &people[..]].concat()).await;
        let namespace = cluster.namespace("taken").await;
        admin.ok(&["create", "role", "deployer", "-n", &namespace, "--verb=get", "--resource=pods"]).await;
        let roles = json!([{ "name": "view" }, { "name": "edit" }, { "kind": "Role", "name": "deployer" }]);
        let scope = json!({ "namespaces": [namespace], "cluster": true });
        cluster.allow(&namespace, &namespace, json!({ "roles": roles, "scope": scope })).await;
        // Edits by hand are let through; that nobody makes a binding is what the canary tries, and stays.
        let edits = json!([{ "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["*"], "operations": ["UPDATE"],
            "resources": ["roles", "clusterroles", "rolebindings", "clusterrolebindings"] }]);
        let patch = json!({ "spec": { "matchResources": { "excludeResourceRules": edits } } }).to_string();
        let guard =
            ["patch", "validatingadmissionpolicybinding", "daypass-binding-guard", "--type=merge", "-p", &patch];
        admin.ok(&guard).await;
        // As if the chart had made it so; else nothing would be granted.
        let spec = async |kind: &str| {
            let object = admin.ok(&["get", kind, "daypass-binding-guard", "-o", "json"]).await;
            serde_json::from_str::<Value>(&object).expect("JSON")["spec"].take()
        };
        let (policy, binding) =
            (spec("validatingadmissionpolicy").await, spec("validatingadmissionpolicybinding").await);
        cluster.controller.hand_over("daypass-binding-guard", &digest(&policy, &binding));
        cluster.controller.restart().await;
        let mut ground = Self { cluster, namespace, asked: AtomicUsize::new(0), standing: Vec::new() };
        for (kind, form) in [
            ("rolebindings", Form::Whole),
            ("clusterrolebindings", Form::Everywhere),
            ("roles", Form::Narrow),
            ("clusterroles", Form::NarrowEverywhere),
        ] {
            let name = ground.granted(form).await;
            ground.standing.push((kind, ground.name_of_binding(&name).await));
        }
        ground
    }

    /// Takes away what the election and the canary left behind.
    pub async fn forget_earlier_starts(&self) {
        let admin = self.cluster.kubectl(ADMIN);
        for (kind, name) in [("lease", "daypass"), ("areq", "daypass-canary")] {
            admin.ok(&["delete", kind, name, "-n", install::NAMESPACE]).await;
        }
    }

    fn next(&self, what: &str) -> String {
        format!("{what}-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// The name of a new request of this form.
    async fn asked(&self, form: Form) -> String {
        let ((who, spec), name) = (form.asks(), self.next("ask"));
        self.cluster.ask(who, &self.namespace, &name, spec).await;
        name
    }

    async fn granted(&self, form: Form) -> String {
        let name = self.asked(form).await;
        self.cluster.until(&self.namespace, &name, State::Active).await;
        name
    }

    async fn name_of_binding(&self, request: &str) -> String {
        let request = self.cluster.requests(&self.namespace).await.get(request).await.expect("a request");
        request.status.expect("a status").bindings.first().expect("a binding").name.clone()
    }

    /// What has to be there while every right is.
    pub async fn prepare_for(&self, operation: Deed) -> Prepared {
        match operation {
            Deed::End(form, _) => Prepared::Granted(self.namespace.clone(), self.granted(form).await),
            Deed::Leave => {
                let (cluster, admin) = (&self.cluster, self.cluster.kubectl(ADMIN));
                let namespace = cluster.namespace("leaves").await;
                admin.ok(&["label", "namespace", &namespace, "team=here"]).await;
                let selector = json!({ "namespaceSelector": { "matchLabels": { "team": "here" } } });
                cluster.allow(&namespace, &namespace, json!({ "scope": selector })).await;
                cluster.ask(ALICE, &namespace, "fix", json!({})).await;
                cluster.until(&namespace, "fix", State::Active).await;
                Prepared::Granted(namespace, "fix".to_owned())
            }
            _ => Prepared::Nothing,
        }
    }

    pub async fn begin(&self, operation: Deed, prepared: Prepared) -> Outcome {
        let (cluster, here) = (&self.cluster, self.namespace.clone());
        let admin = cluster.kubectl(ADMIN);
        match (operation, prepared) {
            (Deed::Decide, _) => Outcome::State(here, self.asked(Form::Edit).await, State::Active),
            (Deed::Grant(form), _) => Outcome::State(here, self.asked(form).await, State::Active),
            (Deed::Refuse(form), _) => {
                let ((who, mut spec), name) = (form.asks(), self.next("refuse"));
                spec["rules"] = rules("escalate", None);
                cluster.ask(who, &here, &name, spec).await;
                Outcome::State(here, name, State::Denied)
            }
            (Deed::End(form, kind), Prepared::Granted(namespace, name)) => {
                let object = Object { kind, namespace, name: self.name_of_binding(&name).await };
                cluster.review(form.asks().0, &here, &name, "Revoke", "done").await;
                Outcome::Ended(name, State::Revoked, object)
            }
            (Deed::Restore(kind), _) => {
                let name = self.standing.iter().find(|(of, _)| *of == kind).expect("a standing grant").1.clone();
                let object = Object { kind, namespace: here, name };
                let no_mark = json!({ "metadata": { "labels": { MARK: null } } }).to_string();
                let patch = [&["patch"], &object.args()[..], &["--type=merge", "-p", &no_mark]].concat();
                eventually("an edit by hand is let through", SOON, async || {
                    let output = admin.run(&patch).await;
                    if output.ok { Ok(()) } else { Err(output.stderr) }
                })
                .await;
                Outcome::Marked(object)
            }
            (Deed::Stray, _) => {
                let name = self.next("stray");
                admin.ok(&["create", "rolebinding", &name, "--clusterrole=view", "--user=nobody", "-n", &here]).await;
                let labels = json!({ MARK: "daypass", "daypass.dev/request-namespace": here,
                    "daypass.dev/request-uid": "00000000-0000-0000-0000-000000000000" });
                let marks = json!({ "labels": labels, "annotations": { "daypass.dev/request-name": "gone" } });
                let patch = json!({ "metadata": marks }).to_string();
                admin.ok(&["patch", "rolebinding", &name, "-n", &here, "--type=merge", "-p", &patch]).await;
                Outcome::Gone(Object { kind: "rolebinding", namespace: here, name })
            }
            (Deed::Leave, Prepared::Granted(namespace, name)) => {
                admin.ok(&["label", "namespace", &namespace, "team=elsewhere", "--overwrite"]).await;
                Outcome::State(namespace, name, State::Revoked)
            }
            (Deed::Judge, _) => {
                let name = self.next(&here);
                cluster.allow(&name, &here, json!({})).await;
                Outcome::Ready(name)
            }
            (Deed::Tell, _) => Outcome::Told(self.granted(Form::Whole).await),
            (Deed::End(..) | Deed::Leave, Prepared::Nothing) => unreachable!("it was prepared"),
        }
    }

    async fn state(&self, namespace: &str, name: &str, wanted: State) -> Result<(), String> {
        let request = self.cluster.requests(namespace).await.get(name).await.map_err(|error| error.to_string())?;
        match request.status {
            Some(status) if status.state == wanted => Ok(()),
            status => Err(format!("status is {}", json!(status))),
        }
    }

    /// What kubectl prints of an object; nothing when it is gone.
    async fn print(&self, object: &Object, what: &str) -> String {
        let shown = [&["get"], &object.args()[..], &["--ignore-not-found", "-o", what]].concat();
        self.cluster.kubectl(ADMIN).ok(&shown).await
    }

    async fn has_come(&self, outcome: &Outcome) -> Result<(), String> {
        match outcome {
            Outcome::State(namespace, name, wanted) => self.state(namespace, name, *wanted).await,
            Outcome::Ended(name, wanted, object) => {
                self.state(&self.namespace, name, *wanted).await?;
                self.is_gone(object).await
            }
            Outcome::Marked(object) => {
                let label =
                    self.print(object, &format!("jsonpath={{.metadata.labels.{}}}", MARK.replace('.', "\\."))).await;
                if label == "daypass" { Ok(()) } else { Err(format!("its mark is {label:?}")) }
            }
            Outcome::Gone(object) => self.is_gone(object).await,
            Outcome::Ready(name) => {
                let policies: Api<AccessPolicy> = Api::all(self.cluster.client(ADMIN).await);
                let status = policies.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
                let ready = find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == "InUse");
                if ready { Ok(()) } else { Err(format!("its conditions are {:?}", status.conditions)) }
            }
            Outcome::Told(name) => {
                if self.events_of(name).await?.is_empty() {
                    Err("there is no Event".to_owned())
                } else {
                    Ok(())
                }
            }
        }
    }

    async fn is_gone(&self, object: &Object) -> Result<(), String> {
        let left = self.print(object, "name").await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left} is there")) }
    }

    pub async fn has_not_come(&self, operation: Deed, outcome: &Outcome, right: &str) {
        let come = self.has_come(outcome).await;
        assert!(come.is_err(), "not so that {right}, and yet it came: {operation:?}");
    }

    /// The outcome has not come, and where a person asked for something, they are told why.
    pub async fn has_failed(&self, operation: Deed, outcome: &Outcome, right: &str) {
        self.has_not_come(operation, outcome, right).await;
        match (operation, outcome) {
            (Deed::Grant(form), Outcome::State(namespace, name, _)) => {
                // A role that cannot be bound is denied, or fails at the binding if that was taken away in this moment.
                let bind = right.contains(" may bind ");
                let ends = |state: State| state == State::Failed || (bind && state == State::Denied);
                let requests = self.cluster.requests(namespace).await;
                let failed = eventually(&format!("not so that {right}, and {name} fails"), SOON, async || {
                    let request = requests.get(name).await.map_err(|error| error.to_string())?;
                    match &request.status {
                        Some(status) if ends(status.state) => Ok(request),
                        status => Err(format!("status is {}", json!(status))),
                    }
                })
                .await;
                let why = failed.status.and_then(|status| status.message).unwrap_or_default();
                assert!(why.contains(form.role()), "not so that {right}, and the request says {why:?}");
            }
            (Deed::End(..), Outcome::Ended(name, _, object)) => {
                assert!(self.is_gone(object).await.is_err(), "not so that {right}, and yet it is gone");
                self.until_told_of_hindrance(name, right).await;
            }
            (Deed::Decide | Deed::Refuse(_), Outcome::State(_, name, _)) => {
                self.until_told_of_hindrance(name, right).await;
            }
            _ => {}
        }
    }

    /// An Event on the request says what the controller may not do.
    async fn until_told_of_hindrance(&self, request: &str, right: &str) {
        eventually(&format!("not so that {right}, and {request} says so"), SOON, async || {
            let events = self.events_of(request).await?;
            let announced = |event: &Event| {
                let note = event.note.as_deref().unwrap_or_default();
                event.reason.as_deref() == Some("Hindered") && note.contains("cannot ")
            };
            if events.iter().any(announced) { Ok(()) } else { Err(format!("it says {events:?}")) }
        })
        .await;
    }

    async fn events_of(&self, request: &str) -> Result<Vec<Event>, String> {
        let events: Api<Event> = Api::namespaced(self.cluster.client(ADMIN).await, &self.namespace);
        let events = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
        let about = |event: &Event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(request);
        Ok(events.into_iter().filter(about).collect())
    }

    pub async fn comes(&self, outcome: &Outcome, right: &str) {
        let what = format!("what failed comes, now that again {right}");
        eventually(&what, SOON, async || self.has_come(outcome).await).await;
    }

    pub async fn until_it_waits_for(&self, words: &str, right: &str) {
        eventually(&format!("not so that {right}, and it says that it waits for {words:?}"), SOON, async || {
            let (status, body) = self.cluster.controller.get("/readyz").await?;
            if status == 503 && body.contains(words) { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    }

    pub async fn until_it_says(&self, words: &str, right: &str) {
        eventually(&format!("not so that {right}, and it says {words:?}"), SOON, async || {
            let (status, body) = self.cluster.controller.get("/readyz").await?;
            if body.contains(words) { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    }

    pub async fn until_it_leads(&self) {
        eventually("the controller is ready and leads", SOON, async || {
            let (status, body) = self.cluster.controller.get("/readyz").await?;
            if status == 200 && body == "ok: leads\n" { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
    }
}

const MARK: &str = "app.kubernetes.io/managed-by";
