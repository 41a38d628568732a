//! The requests that `policy diff` looks at, each with all that it is decided by but the policies.

use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::api::request::{AccessRequest, AccessRequestStatus};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::manifests::documents;
use crate::cli::plugin::policy::policy_test::{self, PolicyTest, TestCase, TestCluster};
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Seen};
use crate::core::decision::snapshot::Snapshot;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::policies::PolicySet;
use crate::core::report::explain::{Explanation, explain};
use crate::runtime::clock::Clock;

/// A request that is decided under several sets of policies.
pub struct AskedRequest<'a> {
    /// The name of its case, or its own.
    pub name: String,
    /// What could not be read of what decides it.
    pub notes: Vec<String>,
    beside: Beside<'a>,
}

/// A request, and what it is decided by.
enum Beside<'a> {
    /// A case, in the cluster of its PolicyTest.
    Case(Box<TestCase>, TestCluster),
    /// One of a file, in a cluster of which the files say this, when it was made.
    File(Box<AccessRequest>, TestCluster, Timestamp),
    /// One of the cluster as it is now, when the request was made.
    Stored(Box<Seen<'a>>, Timestamp),
    /// Nothing can be said of it, and why.
    Unknown(Box<AccessRequest>, &'static str),
}

impl AskedRequest<'_> {
    /// The request.
    pub fn request(&self) -> &AccessRequest {
        match &self.beside {
            Beside::Case(case, _) => &case.request,
            Beside::File(request, ..) | Beside::Unknown(request, _) => request,
            Beside::Stored(seen, _) => seen.request,
        }
    }

    /// How it would be decided under these policies.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn decide(&self, policies: &PolicySet) -> Result<Explanation, String> {
        match &self.beside {
            Beside::Case(case, place) => case.decide(policies, place).map_err(|why| why.to_string()),
            Beside::File(request, place, at) => Ok(policy_test::decided(request, policies, place, &[], *at)),
            // Nobody knows whether the controller may bind the roles of policies that it has not seen.
            Beside::Stored(seen, at) => Ok(explain(
                &Snapshot { policies, bind_rights: None, others: &[], unreviewed: &[], ..seen.snapshot() },
                *at,
            )),
            Beside::Unknown(_, why) => Err((*why).to_owned()),
        }
    }
}

/// The requests of files: cases, and AccessRequests by themselves.
///
/// # Errors
/// When they cannot be read.
pub fn of_files(paths: &[PathBuf], installation: &InstallationArgs) -> Result<Vec<AskedRequest<'static>>, PluginError> {
    let documents = documents(paths)?;
    let (mut asked, mut known) = (Vec::new(), Namespaces::new());
    for document in documents.iter().filter(|document| document.is("PolicyTest")) {
        let PolicyTest { cases, place, .. } = PolicyTest::read(document, &documents)?;
        known.extend(place.namespaces.clone());
        asked.extend(cases.into_iter().map(|case| AskedRequest {
            name: case.name.clone(),
            notes: Vec::new(),
            beside: Beside::Case(Box::new(case), place.clone()),
        }));
    }
    let now = Clock::wall().now();
    for document in documents.iter().filter(|document| document.is("AccessRequest")) {
        let request = as_if_new(&document.request()?);
        let at = request.creation_timestamp().map_or(now, |made| made.0);
        let (place, unknown) = place_of(&request, &known, installation);
        let notes = unknown
            .into_iter()
            .map(|name| format!("namespace {name} is in no PolicyTest of the files: taken to be there without labels"));
        let (name, notes) = (words::name(&request), notes.collect());
        let beside = match why_unknown(&request) {
            Some(why) => Beside::Unknown(Box::new(request), why),
            None => Beside::File(Box::new(made_at(request, at)), place, at),
        };
        asked.push(AskedRequest { name, notes, beside });
    }
    Ok(asked)
}

/// The requests of a cluster, with what is read of it for each.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn of_cluster<'a>(
    cluster: &Cluster,
    stored: &'a [AccessRequest],
    policies: &'a PoliciesRead,
    installation: &'a InstallationArgs,
) -> Result<Vec<AskedRequest<'a>>, PluginError> {
    let mut asked = Vec::new();
    for request in stored {
        let name = words::name(request);
        let made = request.creation_timestamp().map(|made| made.0).unwrap_or_default();
        let (beside, notes) = match why_unknown(request) {
            Some(why) => (Beside::Unknown(Box::new(request.clone()), why), Vec::new()),
            None => {
                let seen = Seen::of(cluster, request, policies, installation).await?;
                let notes = seen.gaps.iter().map(ToString::to_string).collect();
                (Beside::Stored(Box::new(seen), made), notes)
            }
        };
        asked.push(AskedRequest { name, notes, beside });
    }
    Ok(asked)
}

/// A request as it was before anybody looked at it. The risk of its role stays: the role may be gone.
pub fn as_if_new(request: &AccessRequest) -> AccessRequest {
    let risk = request.status.as_ref().and_then(|status| status.risk.clone());
    AccessRequest { status: Some(AccessRequestStatus { risk, ..Default::default() }), ..request.clone() }
}

fn made_at(mut request: AccessRequest, at: Timestamp) -> AccessRequest {
    request.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    request
}

fn why_unknown(request: &AccessRequest) -> Option<&'static str> {
    match (&request.spec.requester, &request.spec.extends) {
        (None, _) => Some("it does not say who asks: add spec.requester"),
        (_, Some(_)) => Some("it extends access that ran then, and what is left of that decides nothing now"),
        _ => None,
    }
}

/// The cluster for a request of a file, and the namespaces of which the files say nothing.
fn place_of(
    request: &AccessRequest,
    known: &Namespaces,
    installation: &InstallationArgs,
) -> (TestCluster, Vec<String>) {
    let named = request.spec.scope.iter().flat_map(|scope| scope.namespaces.clone()).chain(request.namespace());
    let unknown: Vec<String> = named.filter(|name| !known.contains_key(name)).collect();
    let mut namespaces = known.clone();
    namespaces.extend(unknown.iter().map(|name| (name.clone(), Namespace::default())));
    let reach = installation.reach();
    let release = installation.release_namespace.clone();
    (TestCluster { namespaces: reach.known(namespaces), reach, release }, unknown)
}
