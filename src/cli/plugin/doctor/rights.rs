//! Which rights the controller needs, which it must not have, and which a person has: asked of the API server, since it alone
//! knows. Asking stores nothing.

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::Api;
use kube::api::PostParams;

use super::facts::{InstalledController, Looked, RightAsked, UnreadFact};
use super::marked::MarkedText;
use crate::api::keys::GROUP;
use crate::cli::plugin::cluster::Cluster;
use crate::core::decision::served::ServedNamespaces;
use crate::runtime::leader::LEASE;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];
const FOLLOW: [&str; 2] = ["list", "watch"];
const KEEP: [&str; 6] = ["get", "list", "watch", "create", "update", "delete"];
/// The account that guards are tried with.
const CANARY: &str = "daypass-canary";
/// Where Events about what belongs to the cluster are stored.
const DEFAULT: &str = "default";
/// How many questions are asked at a time.
const CONCURRENT_QUESTIONS: usize = 8;

/// What the chart gives to the controller, but for the roles that it may bind: policies say of these.
pub fn needed(controller: &InstalledController, release: &str) -> Vec<RightAsked> {
    let mut rights = RightsWanted::default();
    rights.add(&FOLLOW, GROUP, "accesspolicies", None, None);
    rights.add(&["patch"], GROUP, "accesspolicies/status", None, None);
    rights.add(&FOLLOW, ADMISSION, "validatingadmissionpolicies", None, None);
    rights.add(&FOLLOW, ADMISSION, "validatingadmissionpolicybindings", None, None);
    match &controller.served {
        ServedNamespaces::Cluster => {
            rights.add(&FOLLOW, "", "namespaces", None, None);
            rights.add(&KEEP, RBAC, "clusterroles", None, None);
            rights.add(&KEEP, RBAC, "clusterrolebindings", None, None);
            rights.in_namespace(None);
        }
        ServedNamespaces::Namespaces(names) => {
            rights.add(&READ, RBAC, "clusterroles", None, None);
            rights.add(&["create"], "events.k8s.io", "events", None, Some(DEFAULT));
            for name in names {
                rights.add(&FOLLOW, "", "namespaces", Some(name), None);
                rights.in_namespace(Some(name));
            }
        }
    }
    rights.add(&["create"], "coordination.k8s.io", "leases", None, Some(release));
    rights.add(&["get", "update"], "coordination.k8s.io", "leases", Some(LEASE), Some(release));
    rights.add(&["create"], "", "serviceaccounts/token", Some(CANARY), Some(release));
    rights.0
}

/// What no controller of Daypass has, and what would let it give more than its chart says.
pub fn excessive() -> Vec<RightAsked> {
    let mut rights = RightsWanted::default();
    rights.add(&["escalate"], RBAC, "clusterroles", None, None);
    rights.add(&["bind"], RBAC, "clusterroles", None, None);
    rights.add(&["impersonate"], "", "users", None, None);
    rights.add(&["get"], "", "secrets", None, None);
    rights.0
}

/// What people need to ask, to see and to decide in a namespace, and to see what is asked by.
pub fn of_people(namespace: &str) -> Vec<RightAsked> {
    let mut rights = RightsWanted::default();
    rights.add(&["create", "list"], GROUP, "accessrequests", None, Some(namespace));
    rights.add(&["patch"], GROUP, "accessrequests/status", None, Some(namespace));
    rights.add(&["list"], GROUP, "accesspolicies", None, None);
    rights.0
}

#[derive(Default)]
struct RightsWanted(Vec<RightAsked>);

impl RightsWanted {
    fn add(
        &mut self,
        verbs: &[&'static str],
        group: &'static str,
        resource: &'static str,
        name: Option<&str>,
        namespace: Option<&str>,
    ) {
        let (name, namespace) = (name.map(str::to_owned), namespace.map(str::to_owned));
        self.0.extend(verbs.iter().map(|verb| RightAsked {
            verb,
            group,
            resource,
            name: name.clone(),
            namespace: namespace.clone(),
        }));
    }

    /// What it does where requests are served: in a namespace, or in all.
    fn in_namespace(&mut self, namespace: Option<&str>) {
        self.add(&READ, GROUP, "accessrequests", None, namespace);
        self.add(&["patch"], GROUP, "accessrequests/status", None, namespace);
        self.add(&KEEP, RBAC, "roles", None, namespace);
        self.add(&KEEP, RBAC, "rolebindings", None, namespace);
        self.add(&["create"], "events.k8s.io", "events", None, namespace);
    }
}

impl RightAsked {
    fn attributes(&self) -> ResourceAttributes {
        let (resource, part) = match self.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (self.resource, None),
        };
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: part,
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ..ResourceAttributes::default()
        }
    }

    /// Verb and resource alone.
    pub fn kind(&self) -> MarkedText {
        MarkedText::of(self.verb).words(" ").words(self.resource)
    }

    /// As one says it.
    pub fn sentence(&self) -> MarkedText {
        let text = self.kind();
        let text = match &self.name {
            Some(name) => text.words(" ").object(name),
            None => text,
        };
        match &self.namespace {
            Some(namespace) => text.words(" in namespace ").namespace(namespace),
            None => text,
        }
    }
}

/// What the caller may do of this.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn own(cluster: &Cluster, rights: Vec<RightAsked>) -> Looked<Vec<(RightAsked, bool)>> {
    let reviews: &Api<SelfSubjectAccessReview> = &Api::all(cluster.client.clone());
    each(rights, |right| async move {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(right.attributes()),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let what = "create selfsubjectaccessreviews";
        let answer = cluster.call(what, reviews.create(&PostParams::default(), &review)).await;
        let answer = answer.map_err(|error| UnreadFact::of(what.into(), &error))?;
        allowed(what, answer.status).map(|allowed| (right, allowed))
    })
    .await
}

/// What an account of a namespace may do of this.
///
/// # Errors
/// When the caller may not ask for others, or the API server cannot be asked.
pub async fn of_account(
    cluster: &Cluster,
    (namespace, account): (&str, &str),
    rights: Vec<RightAsked>,
) -> Looked<Vec<(RightAsked, bool)>> {
    let reviews: &Api<SubjectAccessReview> = &Api::all(cluster.client.clone());
    let groups = ["system:serviceaccounts", "system:authenticated"].map(str::to_owned);
    let groups: Vec<String> = groups.into_iter().chain([format!("system:serviceaccounts:{namespace}")]).collect();
    let groups = &groups;
    each(rights, |right| async move {
        let spec = SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            groups: Some(groups.clone()),
            resource_attributes: Some(right.attributes()),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let what = "create subjectaccessreviews";
        let answer = cluster.call(what, reviews.create(&PostParams::default(), &review)).await;
        let answer = answer.map_err(|error| UnreadFact::of(what.into(), &error))?;
        allowed(what, answer.status).map(|allowed| (right, allowed))
    })
    .await
}

async fn each<F>(rights: Vec<RightAsked>, ask: impl Fn(RightAsked) -> F) -> Looked<Vec<(RightAsked, bool)>>
where
    F: Future<Output = Looked<(RightAsked, bool)>>,
{
    let asked = rights.into_iter().map(ask);
    stream::iter(asked).buffered(CONCURRENT_QUESTIONS).collect::<Vec<_>>().await.into_iter().collect()
}

/// A question that the authorizer could not answer is none.
fn allowed(what: &'static str, status: Option<SubjectAccessReviewStatus>) -> Looked<bool> {
    match status {
        Some(status) if status.allowed || status.evaluation_error.is_none() => Ok(status.allowed),
        status => {
            let said = status.and_then(|status| status.evaluation_error);
            Err(UnreadFact { said, ..UnreadFact::hangs_on(what) })
        }
    }
}
