//! What a request is decided by, as far as the caller may read it: the snapshot of the core, and its gaps.
//!
//! Reads with the caller's own rights, writes nothing and decides nothing. Whoever promises something by it must look at
//! the gaps first: the controller may see more.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::{Mutex, OnceCell};

use super::cluster::Cluster;
use super::error::PluginError;
use crate::api::conditions::{self, ConditionStatus};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, PolicyRef, RoleRisk};
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleKind, RoleName};
use crate::controller::observe::{self, DecodedPolicy, DecodedRequest};
use crate::core::decision::protected::{Protected, USUAL_RELEASE};
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::{Guard, NotInForce};
use crate::core::lifecycle::break_glass::is_unreviewed;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::policies::limits::{self, Counted};
use crate::core::policies::usable::BindRights;
use crate::core::policies::{PolicySet, origin};
use crate::core::rbac::role::RoleSeen;
use crate::core::rbac::rules;
use crate::core::report::explain::{Explanation, explain};

/// How Daypass is installed, which nobody can read from the cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallationArgs {
    /// The namespaces that the cluster's Daypass is limited to (`watchNamespaces` of its chart), separated by commas. They
    /// cannot be read from the cluster. Left out: it serves all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    watch_namespaces: Vec<String>,
    /// Namespace that the cluster's Daypass is installed in: it is protected, as kube-system is.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    pub release_namespace: String,
}

impl InstallationArgs {
    /// Where requests are served.
    pub fn reach(&self) -> ServedNamespaces {
        ServedNamespaces::of(self.watch_namespaces.clone())
    }
}

impl Default for InstallationArgs {
    fn default() -> Self {
        Self { watch_namespaces: Vec::new(), release_namespace: USUAL_RELEASE.to_owned() }
    }
}

impl InstallationArgs {
    /// Namespace that it is installed in.
    pub fn release(&self) -> &str {
        &self.release_namespace
    }
}

/// Something that the controller knows and the caller may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Whether these namespaces are there, and their labels.
    Namespaces(Vec<String>),
    /// The labels of all namespaces, by which policies say what they do about the whole cluster.
    LabelsOfAll,
    /// The request that this one extends, by name, and why.
    Extended { name: String, why: String },
    /// The role asked for, why, and the risk that it is taken to have.
    Role { role: RoleName, why: String, taken_for: String },
    /// Requests in other namespaces, and why.
    Requests { why: String },
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces(names) => write!(
                f,
                "you may not read namespace {}: taken to be there without labels, so the answer may differ if it is not, or \
                 where a policy asks for labels",
                names.join(", ")
            ),
            Self::LabelsOfAll => f.write_str(
                "you may not list namespaces, and a policy asks for their labels: the answer may differ for the whole \
                 cluster",
            ),
            Self::Extended { name, why } => {
                write!(f, "{name}, which it extends, could not be read ({why}): the answer may differ")
            }
            Self::Role { role, why, taken_for } => write!(
                f,
                "{role} could not be read ({why}): its risk is taken to be {taken_for}, so the answer may differ where a \
                 policy asks for it, and for the whole cluster"
            ),
            Self::Requests { why } => write!(
                f,
                "the requests of all namespaces could not be listed ({why}): what other namespaces have counts for limits, \
                 and an overdue review there would deny break-glass access"
            ),
        }
    }
}

impl Unseen {
    fn is_of_role(&self, name: &RoleName) -> bool {
        matches!(self, Self::Role { role, .. } if role == name)
    }
}

/// What could not be read for several requests, each thing once.
pub fn each_once<'a>(gaps: impl IntoIterator<Item = &'a Unseen>) -> Vec<Unseen> {
    let (mut once, mut namespaces) = (Vec::new(), BTreeSet::new());
    for gap in gaps {
        match gap {
            Unseen::Namespaces(names) => namespaces.extend(names.iter().cloned()),
            // How much harm it is taken to do differs with the rules that are asked for.
            Unseen::Role { role, .. } if once.iter().any(|known: &Unseen| known.is_of_role(role)) => {}
            gap if once.contains(gap) => {}
            gap => once.push(gap.clone()),
        }
    }
    if !namespaces.is_empty() {
        once.insert(0, Unseen::Namespaces(namespaces.into_iter().collect()));
    }
    once
}

/// The policies, as the caller may read them, for any number of requests; and beside them what else is the same for all of
/// these, read once when the first one needs it.
#[derive(Debug)]
pub struct PoliciesRead {
    pub set: PolicySet,
    /// What they say of themselves of the roles that can be bound: nobody but the controller may ask what it may.
    pub rights: BindRights,
    /// All namespaces; none when they may not be listed.
    namespaces: OnceCell<Option<Namespaces>>,
    /// The requests of all namespaces, or why they cannot be listed.
    requests: OnceCell<Result<Vec<AccessRequest>, String>>,
    /// The roles that requests ask for, each where it is looked up, or why they cannot be read.
    roles: Mutex<BTreeMap<RoleLookup, Result<RoleSeen, String>>>,
}

/// A role, and the namespaces that it is looked up in: none for a ClusterRole.
type RoleLookup = (RoleName, BTreeSet<String>);

impl PoliciesRead {
    /// All of them.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn read(cluster: &Cluster) -> Result<Self, PluginError> {
        let api: Api<DecodedPolicy> = Api::all(cluster.client.clone());
        let listed = cluster.call("list accesspolicies", api.list(&ListParams::default())).await?;
        let rights = BindRights::on_record(listed.items.iter().filter_map(|policy| policy.0.as_ref().ok()));
        let set = observe::policy_set(&PolicySet::default(), &listed.items, origin::doubt_on_record);
        Ok(Self { rights, ..Self::of(set) })
    }

    /// Policies that are not those of the cluster: nothing is known of what can be bound for them.
    pub fn of(set: PolicySet) -> Self {
        Self {
            set,
            rights: BindRights::default(),
            namespaces: OnceCell::new(),
            requests: OnceCell::new(),
            roles: Mutex::default(),
        }
    }

    async fn namespaces(&self, cluster: &Cluster) -> Result<Option<&Namespaces>, PluginError> {
        let list = async || {
            let api: Api<NamespaceObject> = Api::all(cluster.client.clone());
            match cluster.call("list namespaces", api.list_metadata(&ListParams::default())).await {
                Ok(list) => Ok(Some(list.items.iter().map(observe::namespace).collect())),
                Err(error) if error.is_forbidden() => Ok(None),
                Err(error) => Err(error),
            }
        };
        Ok(self.namespaces.get_or_try_init(list).await?.as_ref())
    }

    /// The role that a request is for, as the cluster has it, or why it cannot be read.
    async fn role(
        &self,
        cluster: &Cluster,
        request: &AccessRequest,
        namespaces: &Namespaces,
    ) -> Result<RoleSeen, String> {
        let places = match request.spec.role.kind {
            RoleKind::ClusterRole => BTreeSet::new(),
            RoleKind::Role => observe::places_of(request, namespaces),
        };
        let mut roles = self.roles.lock().await;
        match roles.entry((request.spec.role.clone(), places)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                let read = cluster.read(observe::role(&cluster.client, request, namespaces)).await;
                unknown.insert(read).clone()
            }
        }
    }

    /// All namespaces, or those of these names that are there when not all may be listed; and the names of those that may not be read.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn namespaces_or(
        &self,
        cluster: &Cluster,
        names: &[String],
    ) -> Result<(Namespaces, Vec<String>), PluginError> {
        match self.namespaces(cluster).await? {
            Some(all) => Ok((all.clone(), Vec::new())),
            None => one_by_one(cluster, names).await,
        }
    }

    async fn requests(&self, cluster: &Cluster) -> &Result<Vec<AccessRequest>, String> {
        self.requests.get_or_init(|| decodable(cluster, Api::all(cluster.client.clone()))).await
    }
}

/// The namespaces of these names that are there, and the names of those that may not be read: they are taken to be there.
async fn one_by_one(cluster: &Cluster, names: &[String]) -> Result<(Namespaces, Vec<String>), PluginError> {
    let api: Api<NamespaceObject> = Api::all(cluster.client.clone());
    let (mut found, mut unread) = (Namespaces::new(), Vec::new());
    for name in names {
        match cluster.call("get namespaces", api.get_metadata_opt(name)).await {
            Ok(Some(object)) => found.extend([observe::namespace(&object)]),
            Ok(None) => {}
            Err(error) if error.is_forbidden() => {
                found.insert(name.clone(), Namespace::default());
                unread.push(name.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok((found, unread))
}

/// The requests that an API lists, without those that cannot be decoded.
///
/// # Errors
/// Why they cannot be listed.
pub async fn decodable(cluster: &Cluster, api: Api<DecodedRequest>) -> Result<Vec<AccessRequest>, String> {
    let listed = cluster.read(api.list(&ListParams::default())).await?;
    Ok(listed.items.into_iter().filter_map(|decoded| decoded.0.ok()).collect())
}

/// A policy as it is now, readable or not; none when it is not there.
///
/// # Errors
/// When it may not be read.
pub async fn policy_now(cluster: &Cluster, name: &str) -> Result<Option<PolicyRef>, PluginError> {
    let api: Api<DecodedPolicy> = Api::all(cluster.client.clone());
    let found = cluster.call("get accesspolicies", api.get_opt(name)).await?;
    Ok(found.map(|policy| PolicyRef {
        name: policy.name_any(),
        uid: policy.uid().unwrap_or_default(),
        generation: policy.meta().generation.unwrap_or_default(),
    }))
}

/// What one request is decided by.
#[derive(Debug)]
pub struct Seen<'a> {
    pub request: &'a AccessRequest,
    pub policies: &'a PoliciesRead,
    /// What could not be read.
    pub gaps: Vec<Unseen>,
    reach: ServedNamespaces,
    release: &'a str,
    namespaces: Namespaces,
    role: Option<RoleSeen>,
    /// How much harm the role can do; as recorded where it could not be read.
    pub risk: Option<RoleRisk>,
    extended: Option<AccessRequest>,
    unreviewed: Vec<AccessRequest>,
    others: Vec<Counted>,
    guard: Guard,
}

impl<'a> Seen<'a> {
    /// Reads what this request is decided by.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or so little may be read that nothing can be said.
    pub async fn of(
        cluster: &Cluster,
        request: &'a AccessRequest,
        policies: &'a PoliciesRead,
        installation: &'a InstallationArgs,
    ) -> Result<Self, PluginError> {
        let mut reading = Reading { cluster, request, policies, gaps: Vec::new() };
        let reach = installation.reach();
        let release = installation.release_namespace.as_str();
        let extended = reading.extended().await;
        let namespaces = reach.known(reading.namespaces(extended.as_ref()).await?);
        let role = reading.role(&namespaces).await;
        let recorded = request.status.as_ref().and_then(|status| status.risk.clone());
        let extent = Protected::with_release(release).extent(request, extended.as_ref(), &namespaces);
        let risk = role.as_ref().map(|role| role.risk(&request.spec.rules, extent)).or(recorded);
        let all = reading.others().await;
        let unreviewed: Vec<AccessRequest> = all.iter().filter(|other| is_unreviewed(other)).cloned().collect();
        let counted = all.iter().filter_map(|r| Some((r.metadata.uid.as_deref(), Cow::Owned(Counted::of(r)?))));
        let others = limits::others(request, |name| policies.set.has_limits(name), counted);
        let (gaps, guard) = (reading.gaps, guard(request));
        Ok(Self {
            request,
            policies,
            gaps,
            reach,
            release,
            namespaces,
            role,
            risk,
            extended,
            unreviewed,
            others,
            guard,
        })
    }

    /// All that the core decides by.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            reach: &self.reach,
            protected: Protected::with_release(self.release),
            others: &self.others,
            role: self.role.as_ref(),
            bind_rights: Some(&self.policies.rights),
            risk: self.risk.as_ref(),
            extended: self.extended.as_ref(),
            unreviewed: &self.unreviewed,
            ..Snapshot::bare(self.request, &self.policies.set, &self.namespaces, &self.guard)
        }
    }

    /// How many single rights the role has, as far as it could be read; one to all of something counts as more than any
    /// number.
    pub fn rights_of_role(&self) -> Option<usize> {
        let rules = self.role.as_ref().filter(|_| !self.gaps.iter().any(|gap| matches!(gap, Unseen::Role { .. })))?;
        let rules: Vec<PolicyRule> = rules.rules_in_every_place()?.into_iter().cloned().collect();
        let all = |texts: &Vec<String>| texts.iter().any(|text| text == "*");
        let lists =
            |rule: &PolicyRule| all(&rule.verbs) || [&rule.resources, &rule.api_groups].into_iter().flatten().any(all);
        Some(if rules.iter().any(lists) { usize::MAX } else { rules::rights(&rules) })
    }

    /// How much harm what the request asks for can do; none when its role may not be read, or is not there.
    pub fn known_risk(&self) -> Option<RiskLevel> {
        let level = self.risk.as_ref().and_then(|risk| risk.level.known())?;
        (level != RiskLevel::Unknown).then_some(level)
    }

    /// What would be granted, in lines: what the request asks of its role, or else each rule of the role. None when that may not
    /// be read.
    pub fn rights_in_lines(&self) -> Option<Vec<String>> {
        let asked = &self.request.spec.rules;
        if !asked.is_empty() {
            return Some(asked.iter().map(|rule| rules::describe(std::slice::from_ref(rule))).collect());
        }
        let role = self.role.as_ref().filter(|_| !self.gaps.iter().any(|gap| matches!(gap, Unseen::Role { .. })))?;
        Some(role.rules_in_every_place()?.into_iter().map(|rule| rules::describe(&[rules::to_narrow(rule)])).collect())
    }

    /// How the request stands, and why.
    pub fn explain(&self, now: Timestamp) -> Explanation {
        explain(&self.snapshot(), now)
    }
}

/// The reads for one request.
struct Reading<'a> {
    cluster: &'a Cluster,
    request: &'a AccessRequest,
    policies: &'a PoliciesRead,
    gaps: Vec<Unseen>,
}

impl Reading<'_> {
    /// All namespaces, or as many as the request names and one may read.
    async fn namespaces(&mut self, extended: Option<&AccessRequest>) -> Result<Namespaces, PluginError> {
        if let Some(all) = self.policies.namespaces(self.cluster).await? {
            return Ok(all.clone());
        }
        if self.request.spec.scope.as_ref().is_some_and(|scope| scope.namespace_selector.is_some()) {
            return Err(PluginError::NamespacesNotListed);
        }
        let (found, mut unread) = one_by_one(self.cluster, &named(self.request, extended)).await?;
        // A request can be made only in a namespace that is there.
        let own = self.request.namespace();
        let asks = |name: Option<&str>| self.policies.set.asks_for_labels(self.request, name);
        unread.retain(|name| own.as_ref() != Some(name) || asks(Some(name)));
        if !unread.is_empty() {
            self.gaps.push(Unseen::Namespaces(unread));
        }
        let of_all = |request: &AccessRequest| request.spec.scope.as_ref().is_some_and(|scope| scope.cluster);
        if [Some(self.request), extended].into_iter().flatten().any(of_all) && asks(None) {
            self.gaps.push(Unseen::LabelsOfAll);
        }
        Ok(found)
    }

    async fn extended(&mut self) -> Option<AccessRequest> {
        let (name, namespace) = (self.request.spec.extends.as_ref()?, self.request.namespace()?);
        match self.cluster.read(observe::request(&self.cluster.client, &namespace, name)).await {
            Ok(found) => found,
            Err(why) => {
                self.gaps.push(Unseen::Extended { name: name.clone(), why });
                None
            }
        }
    }

    /// The role, as the cluster has it; nothing when it cannot be read, or does not matter any more.
    async fn role(&mut self, namespaces: &Namespaces) -> Option<RoleSeen> {
        if self.request.is_over() {
            return None;
        }
        match self.policies.role(self.cluster, self.request, namespaces).await {
            Ok(role) => Some(role),
            Err(why) => {
                let recorded = self.request.status.as_ref().and_then(|status| status.risk.as_ref());
                let taken_for = recorded.map_or("Unknown", |risk| risk.level.as_str()).to_owned();
                self.gaps.push(Unseen::Role { role: self.request.spec.role.clone(), why, taken_for });
                // What it lacks of rules that are asked for cannot be said without it.
                (!self.request.spec.rules.is_empty()).then(RoleSeen::with_every_right)
            }
        }
    }

    /// Other requests, as far as some are looked at: for limits, and for reviews of break-glass access that are open.
    async fn others(&mut self) -> Vec<AccessRequest> {
        if self.request.is_decided() || !(self.request.spec.break_glass || self.policies.set.any_limits()) {
            return Vec::new();
        }
        let listed = match self.policies.requests(self.cluster).await {
            Ok(all) => all.clone(),
            Err(why) => {
                self.gaps.push(Unseen::Requests { why: why.clone() });
                let namespace = self.request.namespace().unwrap_or_default();
                let own = Api::namespaced(self.cluster.client.clone(), &namespace);
                decodable(self.cluster, own).await.unwrap_or_default()
            }
        };
        listed.into_iter().filter(|other| other.uid() != self.request.uid()).collect()
    }
}

/// What the controller last said of the cluster's guard or of its own clock, on the request itself: while one of them is not
/// as it should be, nothing new is granted. Neither can be tried from here.
fn guard(request: &AccessRequest) -> Guard {
    let waits = [Reason::GuardMissing, Reason::ClockWrong].map(Reason::as_str);
    let conditions = request.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match conditions::find(conditions, conditions::APPROVED) {
        Some(known) if known.status == ConditionStatus::Unknown && waits.contains(&&*known.reason) => {
            Guard::Missing(NotInForce::OnRecord(known.message.clone()))
        }
        _ => Guard::since(Timestamp::MIN),
    }
}

/// The namespaces that a request is about.
fn named(request: &AccessRequest, extended: Option<&AccessRequest>) -> Vec<String> {
    let asked = request.spec.scope.iter().flat_map(|scope| scope.namespaces.clone());
    let granted = [Some(request), extended].into_iter().flatten().filter_map(|r| r.status.as_ref());
    let granted = granted.flat_map(|status| status.bindings.iter().filter_map(|b| b.namespace.clone()));
    let mut names: Vec<String> = asked.chain(granted).chain(request.namespace()).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::json;

    #[test]
    fn what_may_not_be_read_is_said_once_for_all_requests() {
        let role = |name: &str, taken_for: &str| Unseen::Role {
            role: RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() },
            why: "forbidden".to_owned(),
            taken_for: taken_for.to_owned(),
        };
        let namespaces = |names: &[&str]| Unseen::Namespaces(names.iter().map(ToString::to_string).collect());
        let requests = Unseen::Requests { why: "forbidden".to_owned() };
        let all = [
            role("view", "Low"),
            namespaces(&["shop"]),
            requests.clone(),
            role("edit", "Low"),
            role("view", "High"),
            namespaces(&["bank", "shop"]),
            requests.clone(),
        ];
        let once = [namespaces(&["bank", "shop"]), role("view", "Low"), requests, role("edit", "Low")];
        assert_eq!(each_once(&all), once);
    }

    #[test]
    fn while_the_guard_or_the_clock_is_wrong_nothing_is_promised() {
        let judged = |status: &str, reason: &str| {
            let condition = json!({
                "type": "Approved", "status": status, "reason": reason, "message": "m",
                "lastTransitionTime": "2026-11-23T12:00:00Z"
            });
            let mut request = request(json!({}));
            request.status = serde_json::from_value(json!({ "conditions": [condition] })).unwrap();
            guard(&request)
        };
        let missing = Guard::Missing(NotInForce::OnRecord("m".to_owned()));
        for (status, reason, expected) in [
            ("Unknown", "GuardMissing", &missing),
            ("Unknown", "ClockWrong", &missing),
            ("Unknown", "ApprovalNeeded", &Guard::since(Timestamp::MIN)),
            ("True", "GuardMissing", &Guard::since(Timestamp::MIN)),
        ] {
            assert_eq!(judged(status, reason), *expected, "{status} {reason}");
        }
    }
}
