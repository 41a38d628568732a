//! Owns what the people of the tests may do before Daypass grants them anything, and how they act: write a
//! policy, ask, wait for an answer.

use std::fmt::Display;
use std::time::Duration;

use daypass::api::conditions::{FINISHED, find};
use daypass::api::request::AccessRequestStatus;
use daypass::api::{AccessRequest, RoleKind, RoleName, State};
use daypass::controller::loops::reaper::SWEEP;
use daypass::core::decision::freeze::Denying;
use daypass::core::decision::shortfall::{Denial, Shortfall};
use daypass::core::lifecycle::granted::NoLonger;
use daypass::core::policies::usable::{ListedRole, Unusable};
use daypass::core::rbac::role::Lack;
use daypass::core::rbac::rules::Uncovered;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::kubectl::Kubectl;
use super::users::{self, User};
use super::wait::eventually;

/// How long a transition may take on a busy machine. No trial waits longer for one, and none expects it.
pub const SOON: Duration = Duration::from_secs(50);

// Or a sweep would come within every wait, and a wake-up that was lost would be made good unseen.
const _: () = assert!(SOON.as_millis() < SWEEP.as_millis());

/// Ordinary rights: everybody may ask, approvers may review, the GitOps machine may write policies for roles
/// that it may bind.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everybody-may-ask}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: daypass-requester}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: approvers-may-review}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: daypass-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: approvers}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gitops-writes-policies}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: daypass-policy-author}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: gitops}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: hands-out-view-and-edit}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [view, edit, admin]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [bind], resourceNames: [deployer]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gitops-hands-out-view-and-edit}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: hands-out-view-and-edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: gitops}]
"#;

/// edda is trusted with everything in the namespaces of others, and Daypass's role for requesters is part of that.
const RIGHTS_OF_EDDA: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: edda-edits}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: edda}]
"#;

/// petra's account can write nearly everything of Daypass, as RBAC goes: it is for what RBAC cannot refuse.
const RIGHTS_OF_PETRA: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: operates-this-product}
rules:
- {apiGroups: [daypass.dev], resources: [accessrequests], verbs: [update, patch, delete, deletecollection]}
- {apiGroups: [daypass.dev], resources: [accessrequests/status], verbs: [update, patch]}
- {apiGroups: [daypass.dev], resources: [accesspolicies], verbs: [create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: petra-operates-this-product}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operates-this-product}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: petra}]
"#;

/// trudy and oscar may write in every namespace, that of Daypass included, as RBAC goes; oscar debugs pods too.
const RIGHTS_EVERYWHERE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: trudy-edits-everywhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: trudy}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: oscar-administers-everywhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: oscar}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: debugs-pods}
rules:
- {apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: oscar-debugs-pods}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: debugs-pods}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: oscar}]
"#;

/// greta reads what an auditor reads.
const RIGHTS_OF_GRETA: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: greta-reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: daypass-auditor}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: greta}]
"#;

/// Gives the people of the tests their ordinary rights.
pub async fn give_rights(admin: &Kubectl) {
    admin.apply_server_side(RIGHTS).await;
    admin.apply_server_side(RIGHTS_OF_EDDA).await;
    admin.apply_server_side(RIGHTS_OF_PETRA).await;
    admin.apply_server_side(RIGHTS_EVERYWHERE).await;
    admin.apply_server_side(RIGHTS_OF_GRETA).await;
}

/// Waits until the cluster stamps requests: admission policies come into force a moment after they are made.
pub async fn until_stamped(mallory: &Kubectl) {
    until_stamped_in("default", mallory).await;
}

/// The same where only some namespaces are served, by one of them.
pub async fn until_stamped_in(namespace: &str, mallory: &Kubectl) {
    let forged = request(namespace, "forged", json!({ "requester": { "username": "alice" } })).to_string();
    eventually("the cluster says who asks", SOON, async || {
        let args = ["create", "--dry-run=server", "-o", "jsonpath={.spec.requester.username}", "-f", "-"];
        let output = mallory.run_with(&args, &forged).await;
        if output.stdout == "mallory" { Ok(()) } else { Err(format!("{}{}", output.stdout, output.stderr)) }
    })
    .await;
}

impl Cluster {
    /// Applies a policy as the GitOps machine. `spec` goes over one that lets group dev have `edit` in
    /// `namespace` for up to an hour.
    pub async fn allow(&self, name: &str, namespace: &str, spec: Value) {
        let mut policy = policy(name, namespace);
        lay_over(&mut policy["spec"], spec);
        self.kubectl(users::GITOPS).apply(&policy.to_string()).await;
    }

    /// Applies a policy that denies everything to alice in `namespace`.
    pub async fn deny(&self, name: &str, namespace: &str) {
        let alice = json!([{ "kind": "User", "name": "alice" }]);
        let spec = json!({ "effect": "Deny", "requesters": alice, "scope": { "namespaces": [namespace] } });
        self.kubectl(users::GITOPS).apply(&object("AccessPolicy", name, None, spec).to_string()).await;
    }

    /// Applies a request as a user. `spec` goes over one for `edit` in the request's own namespace.
    pub async fn ask(&self, user: User, namespace: &str, name: &str, spec: Value) {
        self.kubectl(user).apply(&request(namespace, name, spec).to_string()).await;
    }

    /// Reviews a request as a user, as people do it: one patch.
    pub async fn review(&self, user: User, namespace: &str, name: &str, verdict: &str, comment: &str) {
        let submitted = json!({ user.name: { "verdict": verdict, "comment": comment } });
        let patch = json!({ "status": { "reviews": submitted } }).to_string();
        let args = ["patch", "areq", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch];
        self.kubectl(user).ok(&args).await;
    }

    /// Requests, as the admin.
    pub async fn requests(&self, namespace: &str) -> Api<AccessRequest> {
        Api::namespaced(self.client(users::ADMIN).await, namespace)
    }

    /// RoleBindings, as the admin.
    pub async fn bindings(&self, namespace: &str) -> Api<RoleBinding> {
        Api::namespaced(self.client(users::ADMIN).await, namespace)
    }

    /// The bindings of Daypass in a namespace.
    pub async fn our_bindings(&self, namespace: &str) -> Vec<RoleBinding> {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=daypass");
        self.bindings(namespace).await.list(&ours).await.expect("list bindings").items
    }

    /// How often somebody did something to an object, and was let, as the API server's audit log has it.
    pub fn times_done(&self, verb: &str, resource: &str, name: &str) -> usize {
        let is_it = |event: &&Value| {
            event["verb"] == verb
                && event["objectRef"]["resource"] == resource
                && (event["objectRef"]["name"] == name || event["responseObject"]["metadata"]["name"] == name)
                && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
        };
        self.control_plane.audit_log().iter().filter(is_it).count()
    }

    /// Waits until Daypass has no binding in a namespace.
    pub async fn until_unbound(&self, namespace: &str) {
        eventually(&format!("no binding is left in {namespace}"), SOON, async || {
            let left = self.our_bindings(namespace).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{} are", left.len())) }
        })
        .await;
    }

    /// Waits until a request is in a state, and hands it over. A final state other than that is a failure.
    pub async fn until(&self, namespace: &str, name: &str, state: State) -> AccessRequest {
        let requests = self.requests(namespace).await;
        let what = format!("request {namespace}/{name} is {state:?}");
        let found = eventually(&what, SOON, async || {
            let request = requests.get(name).await.map_err(|error| error.to_string())?;
            match request.status.as_ref() {
                Some(status) if status.state == state || status.state.is_final() => Ok(request),
                status => Err(format!("status is {}", json!(status))),
            }
        })
        .await;
        let status = found.status.clone().expect("a status");
        assert_eq!(status.state, state, "{what}: {}", json!(status));
        found
    }

    /// Waits until a request's condition has this reason, and hands the request over.
    pub async fn until_reason(&self, namespace: &str, name: &str, condition: &str, reason: &str) -> AccessRequest {
        let requests = self.requests(namespace).await;
        eventually(&format!("{condition} of {namespace}/{name} is so because of {reason}"), SOON, async || {
            let request = requests.get(name).await.map_err(|error| error.to_string())?;
            let conditions = request.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            match find(conditions, condition) {
                Some(found) if found.reason == reason => Ok(request),
                found => Err(format!("it is {found:?}")),
            }
        })
        .await
    }

    /// Waits until the Events of a request have these reasons, in the order of their times.
    pub async fn until_events(&self, request: &AccessRequest, reasons: &[&str]) -> Vec<Event> {
        let namespace = request.namespace().expect("a namespace");
        let events: Api<Event> = Api::namespaced(self.client(users::ADMIN).await, &namespace);
        let uid = request.uid();
        eventually(&format!("the Events {reasons:?}"), SOON, async || {
            let listed = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let mut of_it: Vec<Event> =
                listed.items.into_iter().filter(|e| e.regarding.as_ref().and_then(|r| r.uid.clone()) == uid).collect();
            of_it.sort_by_key(|event| event.event_time.as_ref().map(|t| t.0));
            let seen: Vec<&str> = of_it.iter().filter_map(|event| event.reason.as_deref()).collect();
            if seen == reasons { Ok(of_it) } else { Err(format!("they are {seen:?}")) }
        })
        .await
    }
}

/// Why a request is over: its message without what the person may do next.
pub fn why_over(status: &AccessRequestStatus) -> String {
    find(&status.conditions, FINISHED).map(|finished| finished.message.clone()).expect("it is over")
}

/// That a message has the sentence of a value; how it is worded is for the golden tests of `src/core`.
#[track_caller]
pub fn assert_says(message: &str, what: &dyn Display) {
    assert!(message.contains(&what.to_string()), "{what}\nis not in\n{message}");
}

/// That an admission policy of this name refused it, as the API server says. Why it does is for people to read.
#[track_caller]
pub fn assert_refused_by(refusal: &str, policy: &str) {
    let by = format!("ValidatingAdmissionPolicy '{policy}'");
    assert!(refusal.contains(&by), "{policy} is not who refuses\n{refusal}");
}

/// That a policy denies it, whatever the time.
pub fn denies(policy: &str) -> Denying {
    Denying { policy: policy.to_owned(), unevaluated: None, window: None }
}

/// That the role of this place in the list of a policy, a ClusterRole, may not be bound.
pub fn not_bindable(index: usize, name: &str) -> ListedRole {
    let role = cluster_role(name);
    ListedRole { index, why: Unusable::NotBindable { role, namespace: None } }
}

/// A ClusterRole.
pub fn cluster_role(name: &str) -> RoleName {
    RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() }
}

/// That a role does not have these verbs on a resource; of a Role, in which namespace.
pub fn lacks(verbs: &[&str], group: &str, resource: &str, namespace: Option<&str>) -> Lack {
    let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
    let what = Uncovered::Resource { verbs, group: group.to_owned(), resource: resource.to_owned(), name: None };
    Lack::Right { what, namespace: namespace.map(str::to_owned) }
}

/// That a policy falls short of a request in these things.
pub fn falls_short(policy: &str, shortfalls: impl Into<Vec<Shortfall>>) -> Denial {
    Denial::FallsShort { policy: policy.to_owned(), shortfalls: shortfalls.into() }
}

/// That a policy falls short of what runs under it.
pub fn no_longer(policy: &str, shortfall: Shortfall) -> NoLonger {
    NoLonger::FallsShort { policy: policy.to_owned(), shortfalls: vec![shortfall] }
}

/// A policy that lets group dev have `edit` in `namespace` for up to an hour.
pub fn policy(name: &str, namespace: &str) -> Value {
    let spec = json!({
        "requesters": [{ "kind": "Group", "name": "dev" }],
        "roles": [{ "name": "edit" }],
        "scope": { "namespaces": [namespace] },
        "duration": { "max": "1h" }
    });
    object("AccessPolicy", name, None, spec)
}

/// A request for `edit`, with `spec` on top.
pub fn request(namespace: &str, name: &str, spec: Value) -> Value {
    let mut request =
        object("AccessRequest", name, Some(namespace), json!({ "role": { "name": "edit" }, "reason": "a trial" }));
    lay_over(&mut request["spec"], spec);
    request
}

fn object(kind: &str, name: &str, namespace: Option<&str>, spec: Value) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({ "apiVersion": "daypass.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

/// Lays fields over others; null removes one.
fn lay_over(base: &mut Value, over: Value) {
    let (Some(base), Value::Object(over)) = (base.as_object_mut(), over) else { panic!("specs are objects") };
    for (key, value) in over {
        if value.is_null() {
            base.remove(&key);
        } else {
            base.insert(key, value);
        }
    }
}
