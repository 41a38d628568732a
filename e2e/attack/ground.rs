//! Owns where an attempt is made: a namespace of its own with a policy and alice's request `fix`, brought as far as
//! the attempt needs it. Where no controller runs, its hand is played with its token.

use std::collections::BTreeMap;
use std::sync::Arc;

use daypass::api::State;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::call::{Call, create, merge, put, read};
use crate::harness::cast::{SOON, policy, request};
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, DAVE, User};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, eventually};

const REQUESTS: &str = "/apis/daypass.dev/v1alpha1/namespaces";
const POLICIES: &str = "/apis/daypass.dev/v1alpha1/accesspolicies";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// How far alice's request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Three must approve, and bob has.
    Pending,
    /// bob has approved; it begins tomorrow.
    Scheduled,
    /// bob has approved, and alice has the role.
    Active,
    /// bob has approved, and access rests: somebody has changed its role.
    Suspended,
    /// bob has approved, and carol has denied it.
    Denied,
    /// It is over, dave said Revoke in vain, and dave must review it as break-glass access.
    BreakGlass,
    /// It waits, and has as many reviews as it can have.
    Full,
    /// There is no request, but objects in the namespace that Daypass runs in, by the name of the ground's own.
    Home,
}

/// What an attempt is made on.
pub struct Ground {
    pub cluster: Arc<Cluster>,
    /// Its namespace; the policy has the same name.
    pub namespace: String,
    /// alice's request as it stands before the attempt.
    pub request: Value,
    /// Whether a controller runs.
    live: bool,
    /// By login. They belong to the trial.
    clients: Arc<Mutex<BTreeMap<String, kube::Client>>>,
}

impl Ground {
    /// A namespace with nothing in it.
    pub async fn empty(cluster: &Arc<Cluster>, live: bool) -> Self {
        let (namespace, request) = (String::new(), Value::Null);
        Self { cluster: cluster.clone(), namespace, request, live, clients: Arc::default() }.beside().await
    }

    /// Another namespace of the same trial with nothing in it.
    async fn beside(&self) -> Self {
        let namespace = json!({ "metadata": { "generateName": "attack-" } });
        let made = self.ok(&create(ADMIN, "/api/v1/namespaces".to_owned(), namespace)).await;
        let namespace = made["metadata"]["name"].as_str().expect("a name").to_owned();
        let (cluster, clients) = (self.cluster.clone(), self.clients.clone());
        Self { cluster, namespace, request: Value::Null, live: self.live, clients }
    }

    /// A namespace where alice's request is as far as the scene says.
    pub async fn prepare(cluster: &Arc<Cluster>, scene: Scene, live: bool) -> Self {
        Self::empty(cluster, live).await.play_here(scene).await
    }

    /// The same beside this one.
    pub async fn prepare_beside(&self, scene: Scene) -> Self {
        self.beside().await.play_here(scene).await
    }

    async fn play_here(self, scene: Scene) -> Self {
        let mut ground = self;
        if scene == Scene::Home {
            super::self_guard::furnish(&ground).await;
            return ground;
        }
        let required = if matches!(scene, Scene::Active | Scene::Scheduled | Scene::Suspended) { 1 } else { 3 };
        let stages = json!([{ "name": "leads", "required": required, "approvers": group("approvers") }]);
        let deployer = json!({ "kind": "Role", "name": "deployer" });
        if scene == Scene::Suspended {
            ground.ok(&create(ADMIN, ground.roles(), ground.deployer(json!(["get"])))).await;
            let rests = json!({ "roles": [deployer], "onRoleChange": "Suspend" });
            ground.allow_with(stages, rests).await;
        } else {
            ground.allow(stages).await;
        }
        let spec = match scene {
            Scene::Scheduled => json!({ "duration": "1h", "startTime": now_plus_seconds(86_400) }),
            Scene::Suspended => json!({ "duration": "1h", "role": deployer }),
            _ => json!({ "duration": "1h" }),
        };
        ground.ok(&create(ALICE, ground.requests(), request(&ground.namespace, "fix", spec))).await;
        ground.reach("Pending").await;
        ground.play(scene).await;
        ground.request = ground.read(&ground.areq("fix")).await.expect("the request");
        ground
    }

    async fn play(&self, scene: Scene) {
        match scene {
            Scene::Pending => self.submit_review(BOB, "Approve").await,
            Scene::Scheduled | Scene::Active => {
                self.submit_review(BOB, "Approve").await;
                self.reach(if scene == Scene::Active { "Active" } else { "Scheduled" }).await;
            }
            Scene::Suspended => {
                self.submit_review(BOB, "Approve").await;
                self.reach("Active").await;
                let path = format!("{}/deployer", self.roles());
                self.ok(&put(ADMIN, path, self.deployer(json!(["get", "delete"])))).await;
                self.reach("Suspended").await;
            }
            Scene::Denied => {
                self.submit_review(BOB, "Approve").await;
                let denies = json!({ "status": { "reviews": { "carol": { "verdict": "Deny" } } } });
                self.ok(&merge(CAROL, self.status(), denies)).await;
                self.reach("Denied").await;
            }
            Scene::BreakGlass => {
                self.submit_review(DAVE, "Revoke").await;
                self.submit_review(ALICE, "Revoke").await;
                self.reach("Revoked").await;
                let open =
                    json!({ "reviewers": [{ "kind": "User", "name": "dave" }], "reviewBy": now_plus_seconds(3600) });
                self.as_controller(json!({ "breakGlass": open })).await;
            }
            Scene::Home => {}
            Scene::Full => {
                let reviews: BTreeMap<String, Value> =
                    (0..64).map(|n| (format!("voter-{n}"), json!({ "verdict": "Approve" }))).collect();
                self.as_controller(json!({ "reviews": reviews })).await;
            }
        }
    }

    /// A policy that lets group dev have `edit` here when these stages agree.
    pub async fn allow(&self, stages: Value) {
        self.allow_with(stages, json!({})).await;
    }

    async fn allow_with(&self, stages: Value, spec: Value) {
        let mut policy = policy(&self.namespace, &self.namespace);
        policy["spec"]["approval"] = json!({ "stages": stages });
        for (field, value) in spec.as_object().expect("fields") {
            policy["spec"][field] = value.clone();
        }
        self.ok(&create(ADMIN, POLICIES.to_owned(), policy)).await;
    }

    /// Writes somebody's review of `fix`.
    pub async fn submit_review(&self, by: User, verdict: &str) {
        let review = json!({ "verdict": verdict, "comment": format!("by {}", by.login) });
        self.ok(&merge(by, self.status(), json!({ "status": { "reviews": { by.name: review } } }))).await;
        if self.live {
            self.until_recorded(by.name).await;
        }
    }

    /// Waits until what somebody said is on record.
    pub async fn until_recorded(&self, by: &str) {
        eventually(&format!("what {by} said is on record"), SOON, async || {
            let request = self.read(&self.areq("fix")).await.ok_or("there is no request")?;
            let history = request["status"]["history"].as_array().cloned().unwrap_or_default();
            if history.iter().any(|entry| entry["by"] == by) { Ok(()) } else { Err(json!(history).to_string()) }
        })
        .await;
    }

    /// Writes a status as the controller.
    pub async fn as_controller(&self, status: Value) {
        let call = merge(ADMIN, self.status(), json!({ "status": status }));
        call.send(&self.controller().await).await.unwrap_or_else(|why| panic!("as the controller: {why}"));
    }

    /// Brings the request into a state: waits for the controller, or does in its place what it would.
    async fn reach(&self, state: &str) {
        if self.live {
            let state: State = serde_json::from_value(json!(state)).expect("a state");
            self.cluster.until(&self.namespace, "fix", state).await;
            return;
        }
        let policy = self.read(&self.policy()).await.expect("the policy");
        let uid = self.read(&self.areq("fix")).await.expect("the request")["metadata"]["uid"].clone();
        let history =
            json!([{ "at": now_plus_seconds(0), "event": "Trial", "message": "it is as the trial needs it" }]);
        let policy = json!({ "name": self.namespace, "uid": policy["metadata"]["uid"], "generation": 1 });
        let mut status = json!({ "state": state, "message": "a trial", "policy": policy, "history": history });
        if state == "Active" {
            status["grantedAt"] = json!(now_plus_seconds(0));
            status["expiresAt"] = json!(now_plus_seconds(3600));
            status["bindings"] = json!([{ "kind": "RoleBinding", "namespace": self.namespace, "name": name_of(&uid) }]);
            let binding = self.binding_of(&name_of(&uid), uid.as_str().expect("a UID"));
            let bind = create(ADMIN, self.bindings(), binding);
            bind.send(&self.controller().await).await.unwrap_or_else(|why| panic!("bind as the controller: {why}"));
        }
        self.as_controller(status).await;
    }

    /// The Role that access is to in the scene where it rests.
    fn deployer(&self, verbs: Value) -> Value {
        let rules = json!([{ "verbs": verbs, "apiGroups": ["apps"], "resources": ["deployments"] }]);
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": "deployer", "namespace": self.namespace }, "rules": rules
        })
    }

    /// A binding as the controller makes them for alice.
    pub fn binding_of(&self, name: &str, request_uid: &str) -> Value {
        let labels = json!({ "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": request_uid });
        let mut binding = self.foreign_binding(name);
        binding["metadata"]["labels"] = labels;
        binding["metadata"]["annotations"] = json!({ "daypass.dev/ttl": "1h" });
        binding["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest", "name": "fix", "uid": request_uid
        }]);
        binding
    }

    /// A binding that is none of Daypass.
    pub fn foreign_binding(&self, name: &str) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": self.namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice" }]
        })
    }

    /// Makes a call as whom it is by.
    pub async fn send(&self, call: &Call) -> Result<Value, String> {
        call.send(&self.client(call.by).await).await
    }

    /// Makes a call that must be accepted.
    pub async fn ok(&self, call: &Call) -> Value {
        self.send(call).await.unwrap_or_else(|why| panic!("{} as {}: {why}", call.path, call.by.login))
    }

    /// Reads an object as the admin.
    pub async fn read(&self, path: &str) -> Option<Value> {
        read(&self.client(ADMIN).await, path).await
    }

    pub async fn client(&self, user: User) -> kube::Client {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(user.login) {
            return client.clone();
        }
        let client = self.cluster.client(user).await;
        clients.insert(user.login.to_owned(), client.clone());
        client
    }

    /// A client with the controller's own account, which the guards trust.
    pub async fn controller(&self) -> kube::Client {
        self.service_account_in(ADMIN, NAMESPACE, "daypass").await
    }

    /// A client with the token of a service account that is here; somebody asks for the token.
    pub async fn service_account_of(&self, owner: User, name: &str) -> kube::Client {
        self.service_account_in(owner, &self.namespace, name).await
    }

    /// A client with the token of a service account of Kubernetes itself.
    pub async fn service_account_of_system(&self, name: &str) -> kube::Client {
        self.service_account_in(ADMIN, "kube-system", name).await
    }

    /// The same of one that is elsewhere.
    pub async fn service_account_in(&self, owner: User, namespace: &str, name: &str) -> kube::Client {
        let login = format!("{namespace}-{name}");
        if let Some(client) = self.clients.lock().await.get(&login) {
            return client.clone();
        }
        let tokens = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let asked = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let answer = self.ok(&create(owner, tokens, asked)).await;
        let token = answer["status"]["token"].as_str().expect("a token");
        let client = self.cluster.control_plane.client_for_token(&login, token).await;
        self.clients.lock().await.insert(login, client.clone());
        client
    }

    pub fn requests(&self) -> String {
        format!("{REQUESTS}/{}/accessrequests", self.namespace)
    }

    pub fn areq(&self, name: &str) -> String {
        format!("{}/{name}", self.requests())
    }

    pub fn status(&self) -> String {
        format!("{}/status", self.areq("fix"))
    }

    pub fn policy(&self) -> String {
        format!("{POLICIES}/{}", self.namespace)
    }

    pub fn roles(&self) -> String {
        format!("{RBAC}/namespaces/{}/roles", self.namespace)
    }

    pub fn bindings(&self) -> String {
        format!("{RBAC}/namespaces/{}/rolebindings", self.namespace)
    }

    /// The binding of alice's grant, by the name that the controller gives it.
    pub fn binding(&self) -> String {
        format!("{}/{}", self.bindings(), self.binding_name())
    }

    pub fn binding_name(&self) -> String {
        name_of(&self.request["metadata"]["uid"])
    }

    pub fn uid(&self) -> &str {
        self.request["metadata"]["uid"].as_str().expect("a UID")
    }

    /// Kind and name, as server-side apply wants them, and more.
    pub fn fix(&self, more: Value) -> Value {
        let mut fix = json!({
            "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
            "metadata": { "name": "fix", "namespace": self.namespace }
        });
        for (key, value) in more.as_object().expect("an object") {
            fix[key] = value.clone();
        }
        fix
    }

    /// alice's request as it stands, with one place set.
    pub fn fix_but(&self, place: &str, value: Value) -> Value {
        let mut fix = self.request.clone();
        *fix.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there")) = value;
        fix
    }
}

fn name_of(uid: &Value) -> String {
    format!("daypass-{}", uid.as_str().expect("a UID"))
}

/// A group as an approver.
pub fn group(name: &str) -> Value {
    json!([{ "kind": "Group", "name": name }])
}

/// A person as an approver.
pub fn person(name: &str) -> Value {
    json!([{ "kind": "User", "name": name }])
}
