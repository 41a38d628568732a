//! Owns the clusters that trials run in: a control plane with the product installed and its controller running.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use daypass::api::{AccessPolicy, AccessRequest};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, ResourceExt};

use super::cast::{self, SOON};
use super::control_plane::ControlPlane;
use super::install::{Controller, Daypass};
use super::kubectl::Kubectl;
use super::proxy::Proxy;
use super::sign_in::SignInCluster;
use super::trial;
use super::users::{self, User};
use super::wait::eventually;

/// A control plane with the product at work.
pub struct Cluster {
    // Dropped before the control plane that it works on.
    pub controller: Controller,
    pub control_plane: Arc<ControlPlane>,
}

impl Cluster {
    /// A cluster of one's own, for trials that kill things.
    pub async fn private() -> Arc<Self> {
        Arc::new(Self::on(Arc::new(ControlPlane::start().await)).await)
    }

    /// The product, installed and at work on a control plane.
    pub async fn on(control_plane: Arc<ControlPlane>) -> Self {
        let cluster = Self::with(control_plane, &[]).await;
        cast::until_stamped(&cluster.kubectl(users::MALLORY)).await;
        cluster
    }

    /// The same with more values. Whether the cluster stamps requests by now is not waited for.
    pub async fn with(control_plane: Arc<ControlPlane>, values: &[&str]) -> Self {
        Daypass::install(&control_plane, &[&["bindableRoles={deployer}"], values].concat()).await;
        cast::give_rights(&control_plane.kubectl(users::ADMIN)).await;
        let controller = Controller::start(&control_plane).await;
        Self { controller, control_plane }
    }

    /// The product, limited to these namespaces, which must be there.
    pub async fn limited(control_plane: Arc<ControlPlane>, namespaces: &[&str]) -> Self {
        let (value, flag) = limits(namespaces);
        Daypass::install(&control_plane, &["bindableRoles={deployer}", &value]).await;
        let admin = control_plane.kubectl(users::ADMIN);
        cast::give_rights(&admin).await;
        cast::until_stamped_in(namespaces[0], &control_plane.kubectl(users::MALLORY)).await;
        // Everybody who is logged in is the controller too: what it may do shall come from the chart alone.
        let subjects = r#"{"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"}]}"#;
        admin.ok(&["patch", "clusterrolebinding", "everybody-may-ask", "--type=merge", "-p", subjects]).await;
        let controller = Controller::start_with(&control_plane, "controller", &[&flag]).await;
        Self { controller, control_plane }
    }

    /// One more controller, which speaks through a proxy and works whether another does or not: what holds then, no
    /// election is needed for.
    pub async fn controller_through_proxy(&self) -> (Proxy, Controller) {
        self.replica_through_proxy("by-proxy", &["--no-leader-election"]).await
    }

    /// One more controller, which speaks through a proxy.
    pub async fn replica_through_proxy(&self, name: &str, flags: &[&str]) -> (Proxy, Controller) {
        let token = Controller::token(&self.control_plane).await;
        let proxy = Proxy::start(&self.control_plane, token).await;
        let kubeconfig = proxy.kubeconfig(&self.control_plane);
        let controller = Controller::start_as(&self.control_plane, name, &kubeconfig, flags).await;
        (proxy, controller)
    }

    /// One more controller.
    pub async fn replica(&self, name: &str, flags: &[&str]) -> Controller {
        Controller::start_with(&self.control_plane, name, flags).await
    }

    /// A new namespace, `PREFIX-` and something that no other trial has.
    pub async fn namespace(&self, prefix: &str) -> String {
        let namespaces: Api<Namespace> = Api::all(self.client(users::ADMIN).await);
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&Default::default(), &namespace).await.expect("create a namespace").name_any()
    }

    /// Takes away every policy and request, and with them the access that there is.
    pub async fn clear(&self) {
        let client = self.client(users::ADMIN).await;
        let policies: Api<AccessPolicy> = Api::all(client.clone());
        policies.delete_collection(&Default::default(), &Default::default()).await.expect("delete policies");
        let requests: Api<AccessRequest> = Api::all(client.clone());
        eventually("no request is left", SOON, async || {
            let left = requests.list_metadata(&Default::default()).await.map_err(|error| error.to_string())?;
            let namespaces: BTreeSet<String> = left.items.iter().filter_map(ResourceExt::namespace).collect();
            for namespace in &namespaces {
                let here: Api<AccessRequest> = Api::namespaced(client.clone(), namespace);
                let deleted = here.delete_collection(&Default::default(), &Default::default()).await;
                deleted.map_err(|error| error.to_string())?;
            }
            if namespaces.is_empty() { Ok(()) } else { Err(format!("there are some in {namespaces:?}")) }
        })
        .await;
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=daypass");
        let bindings: Api<RoleBinding> = Api::all(client);
        eventually("no access is left", SOON, async || {
            let left = bindings.list_metadata(&ours).await.map_err(|error| error.to_string())?.items;
            if left.is_empty() { Ok(()) } else { Err(format!("there are {} bindings", left.len())) }
        })
        .await;
    }

    /// A client with the identity of a user. It belongs to the trial that asked for it.
    pub async fn client(&self, user: User) -> kube::Client {
        self.control_plane.client(user).await
    }

    /// kubectl as a user.
    pub fn kubectl(&self, user: User) -> Kubectl {
        self.control_plane.kubectl(user)
    }
}

/// The chart's value and the controller's flag that limit them to these namespaces.
pub fn limits(namespaces: &[&str]) -> (String, String) {
    let names = namespaces.join(",");
    (format!("watchNamespaces={{{names}}}"), format!("--watch-namespaces={names}"))
}

/// Made on first use by whichever trial comes first; the others wait for it. A failed start is remembered,
/// as an empty inner option, so that it fails every trial at once instead of being tried again by each.
struct Shared<T>(Mutex<Option<Option<Arc<T>>>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Must be called outside of a runtime: it blocks, and starts on a runtime of its own.
    fn get(&self, what: &str, start: impl Future<Output = T>) -> Arc<T> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            let started = std::panic::catch_unwind(AssertUnwindSafe(|| trial::runtime().block_on(start)));
            if let Err(panic) = &started {
                *made = Some(None);
                panic!("{what} did not start: {}", trial::message(panic.as_ref()));
            }
            *made = Some(started.ok().map(Arc::new));
        }
        match made.as_ref().and_then(Option::as_ref) {
            Some(shared) => shared.clone(),
            None => panic!("{what} did not start; the first trial that wanted it says why"),
        }
    }

    fn drop(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

static CONTROL_PLANE: Shared<ControlPlane> = Shared::new();
static CLUSTER: Shared<Cluster> = Shared::new();
static BROWSED: Shared<Cluster> = Shared::new();
static SIGN_IN: Shared<SignInCluster> = Shared::new();

/// The control plane that most trials share.
pub fn shared_control_plane() -> Arc<ControlPlane> {
    CONTROL_PLANE.get("the shared control plane", ControlPlane::start())
}

/// The cluster that most trials share: the product on the shared control plane.
pub fn shared_cluster() -> Arc<Cluster> {
    let control_plane = shared_control_plane();
    CLUSTER.get("the shared cluster", Cluster::on(control_plane))
}

/// The cluster that the trials with browsers use one after the other: what is asked in it is shown to all of them.
pub fn browsed_cluster() -> Arc<Cluster> {
    BROWSED.get("the cluster of the browsers", async { Cluster::on(Arc::new(ControlPlane::start().await)).await })
}

/// The cluster that the trials share whose people sign in to the page.
pub fn sign_in_cluster() -> Arc<SignInCluster> {
    SIGN_IN.get("the cluster with a sign-in", SignInCluster::start())
}

/// Ends what the trials shared. Called once, after the last trial.
pub fn end() {
    SIGN_IN.drop();
    BROWSED.drop();
    CLUSTER.drop();
    CONTROL_PLANE.drop();
}
