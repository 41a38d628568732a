//! What every pass shares: stores of the cluster's objects, the writer, the clock, the queues.
//!
//! Holds and hands out; decides nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, ObjectRef, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::doubts::Doubts;
use super::error::Error;
use super::first_seen::FirstSeen;
use super::kept::{Glance, Kept, KeptRequest, reference};
use super::ledger::Ledger;
use super::observe::{self, FreshRules, GuardedPolicy, GuardedRequest, Rules, places_of};
use super::queues::Queues;
use super::related::Extensions;
use super::write::Writer;
use super::written::Written;
use crate::api::RoleKind;
use crate::api::request::{AccessRequest, BindingKind, BindingRef};
use crate::core::decision::protected::Protected;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::Guard;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::{PolicySet, origin};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::MadeRole;
use crate::core::rbac::role::RoleSeen;
use crate::runtime::clock::Clock;

/// Name of a kind that is watched, as readiness gives it.
pub const ACCESS_REQUESTS: &str = "accessrequests";
/// Name of a kind that is watched.
pub const ACCESS_POLICIES: &str = "accesspolicies";
/// Name of a kind that is watched.
pub const NAMESPACES: &str = "namespaces";
/// Name of a kind that is watched.
pub const ROLE_BINDINGS: &str = "rolebindings";
/// Name of a kind that is watched.
pub const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings";
/// What is said of the guard before the canary has tried it.
pub const UNTRIED: &str = "the cluster's guard has not been tried yet";
/// Name of a kind that is watched.
pub const CLUSTER_ROLES: &str = "clusterroles";
/// Name of a kind that is watched.
pub const ROLES: &str = "roles";
/// Every kind that is watched.
pub const KINDS: [&str; 7] =
    [ACCESS_REQUESTS, ACCESS_POLICIES, NAMESPACES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLES];

/// What all passes share.
pub struct Context {
    /// For single reads.
    pub reader: kube::Client,
    /// For all writes.
    pub writer: Writer,
    /// The wall clock.
    pub clock: Clock,
    /// Where requests are served.
    pub reach: ServedNamespaces,
    /// Namespace that Daypass is installed in.
    pub release: String,
    /// What to look at next.
    pub queues: Queues,
    /// Requests as last seen.
    pub requests: Store<KeptRequest>,
    /// Policies as last seen.
    pub policy_store: Store<GuardedPolicy>,
    /// RoleBindings with our mark, as last seen.
    pub role_bindings: Store<Kept<RoleBinding>>,
    /// ClusterRoleBindings with our mark, as last seen.
    pub cluster_role_bindings: Store<Kept<ClusterRoleBinding>>,
    /// ClusterRoles, for what they allow.
    pub cluster_roles: Store<Kept<ClusterRole>>,
    /// Roles, for what they allow.
    pub roles: Store<Kept<Role>>,
    /// Requests by UID.
    pub by_uid: Index,
    /// Which requests extend which.
    pub extensions: Extensions,
    /// Requests as limits count them.
    pub ledger: Ledger,
    /// What passes wrote and the watch has yet to bring.
    pub written: Written,
    /// Requests that somebody may have written to while the guard was missing.
    pub doubts: Arc<Doubts>,
    /// Policies and namespaces straight from the API server.
    pub fresh_rules: FreshRules,
    /// Says that a new request was seen, or a policy that has yet to be judged.
    pub asked: Arc<Notify>,
    /// Since when policies are as they are.
    pub first_seen: FirstSeen,
    sound: Mutex<Option<Instant>>,
    guard: RwLock<Guard>,
    listed: RwLock<BTreeSet<&'static str>>,
    policies: RwLock<Option<Arc<PolicySet>>>,
    namespaces: RwLock<Option<Arc<Namespaces>>>,
    failures: Mutex<HashMap<ObjectRef<KeptRequest>, Failures>>,
}

/// After how long people are told again of what still keeps a request from going on. Events are kept for an hour.
const TOLD_AGAIN: Duration = Duration::from_secs(1800);

/// How many passes over a request have failed in a row.
#[derive(Clone, Copy, Default)]
struct Failures {
    /// Of whatever.
    all: u32,
    /// The last ones, of what the API server answered.
    hindered: u32,
    /// When people were told of those.
    told: Option<Instant>,
}

/// The writing ends of the stores, for the watches.
pub struct Feeds {
    /// Of requests.
    pub requests: StoreWriter<KeptRequest>,
    /// Of policies.
    pub policies: StoreWriter<GuardedPolicy>,
    /// Of RoleBindings.
    pub role_bindings: StoreWriter<Kept<RoleBinding>>,
    /// Of ClusterRoleBindings.
    pub cluster_role_bindings: StoreWriter<Kept<ClusterRoleBinding>>,
    /// Of ClusterRoles.
    pub cluster_roles: StoreWriter<Kept<ClusterRole>>,
    /// Of Roles.
    pub roles: StoreWriter<Kept<Role>>,
}

impl Context {
    /// Empty stores, and their writing ends.
    pub fn new(
        reader: kube::Client,
        writer: Writer,
        queues: Queues,
        clock: Clock,
        reach: ServedNamespaces,
        release: String,
        asked: Arc<Notify>,
    ) -> (Self, Feeds) {
        let (requests, requests_feed) = reflector::store();
        let (policy_store, policies_feed) = reflector::store();
        let (role_bindings, role_bindings_feed) = reflector::store();
        let (cluster_role_bindings, cluster_role_bindings_feed) = reflector::store();
        let (cluster_roles, cluster_roles_feed) = reflector::store();
        let (roles, roles_feed) = reflector::store();
        let context = Self {
            reader,
            writer,
            clock,
            reach,
            release,
            queues,
            requests,
            policy_store,
            role_bindings,
            cluster_role_bindings,
            cluster_roles,
            roles,
            by_uid: Index::default(),
            extensions: Extensions::default(),
            ledger: Ledger::default(),
            written: Written::default(),
            doubts: Arc::default(),
            fresh_rules: FreshRules::default(),
            asked,
            first_seen: FirstSeen::default(),
            sound: Mutex::default(),
            guard: RwLock::new(Guard::Missing(UNTRIED.to_owned())),
            listed: RwLock::default(),
            policies: RwLock::default(),
            namespaces: RwLock::default(),
            failures: Mutex::default(),
        };
        let feeds = Feeds {
            requests: requests_feed,
            policies: policies_feed,
            role_bindings: role_bindings_feed,
            cluster_role_bindings: cluster_role_bindings_feed,
            cluster_roles: cluster_roles_feed,
            roles: roles_feed,
        };
        (context, feeds)
    }

    /// What only policies that say so reach.
    pub fn protected(&self) -> Protected<'_> {
        Protected::with_release(&self.release)
    }

    /// What the canary last said of the cluster's guard.
    pub fn guard(&self) -> Guard {
        self.guard.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is known of the guard. Policies are judged in its light first: whoever sees this guard and then
    /// the policies sees no gap without what was written in it.
    pub fn set_guard(&self, guard: Guard) {
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = policies.take() {
            *policies = Some(Arc::new(self.read_policies(&known, &guard)));
        }
        *self.guard.write().unwrap_or_else(PoisonError::into_inner) = guard;
    }

    /// When the last round of the canary began in which the guard was in force; none while it is not.
    pub fn sound(&self) -> Option<Instant> {
        *self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces it.
    pub fn set_sound(&self, began: Option<Instant>) {
        *self.sound.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// Notes that a kind has been listed as a whole, so that what its store lacks is not there.
    pub fn mark_listed(&self, kind: &'static str) {
        self.listed.write().unwrap_or_else(PoisonError::into_inner).insert(kind);
    }

    /// Whether all of these kinds have been listed.
    pub fn has_listed(&self, kinds: &[&str]) -> bool {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().all(|kind| listed.contains(kind))
    }

    /// Policies and namespaces as the watches have them, once everything has been listed that a plan needs.
    pub fn rules(&self) -> Option<Rules> {
        if !self.has_listed(&KINDS) {
            return None;
        }
        let policies = self.policies()?;
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Rules { policies, namespaces })
    }

    /// Policies as the watch has them, once they have been listed.
    pub fn policies(&self) -> Option<Arc<PolicySet>> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the policies anew, as the store has them.
    pub fn renew_policies(&self) {
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        let known = policies.take().unwrap_or_default();
        *policies = Some(Arc::new(self.read_policies(&known, &self.guard())));
    }

    fn read_policies(&self, known: &PolicySet, guard: &Guard) -> PolicySet {
        let stored = self.policy_store.state();
        observe::policy_set(known, stored.iter().map(|policy| &**policy), |policy| origin::doubt(policy, guard))
    }

    /// Replaces the namespaces.
    pub fn set_namespaces(&self, namespaces: Namespaces) {
        *self.namespaces.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(namespaces));
    }

    /// The role that a request is for, as the watches have it.
    pub fn role(&self, request: &AccessRequest, namespaces: &Namespaces) -> RoleSeen {
        let name = &request.spec.role.name;
        match request.spec.role.kind {
            RoleKind::ClusterRole => {
                let role = self.cluster_roles.get(&ObjectRef::new(name)).and_then(|kept| kept.open());
                RoleSeen::OfCluster(role.map(Arc::new))
            }
            RoleKind::Role => {
                let places = places_of(request, namespaces).into_iter();
                let roles = places.map(|place| {
                    let role = self.roles.get(&ObjectRef::new(name).within(&place)).and_then(|kept| kept.open());
                    (place, role.map(Arc::new))
                });
                RoleSeen::OfNamespaces(roles.collect())
            }
        }
    }

    /// The role that was made for a recorded binding.
    fn made_role(&self, recorded: &BindingRef) -> Option<MadeRole> {
        recorded.role.as_ref()?;
        let name = &recorded.name;
        match &recorded.namespace {
            Some(place) => self.roles.get(&ObjectRef::new(name).within(place))?.seen(),
            None => self.cluster_roles.get(&ObjectRef::new(name))?.seen(),
        }
    }

    /// Every role that was made for a binding, with where it stands.
    pub fn made_roles(&self) -> Vec<(BindingRef, MadeRole)> {
        let made = |role: Option<MadeRole>, kind| role.and_then(|role| Some((role.beside(kind)?, role)));
        let of_namespaces = self.roles.state_filter(|kept| kept.glance.is_some()).into_iter();
        let of_cluster = self.cluster_roles.state_filter(|kept| kept.glance.is_some()).into_iter();
        let of_namespaces = of_namespaces.filter_map(|kept| made(kept.seen(), BindingKind::RoleBinding));
        of_namespaces.chain(of_cluster.filter_map(|kept| made(kept.seen(), BindingKind::ClusterRoleBinding))).collect()
    }

    /// What the store has in the place of a recorded binding.
    pub fn binding(&self, recorded: &BindingRef) -> Option<Observed> {
        let found: Observed = match (recorded.kind, &recorded.namespace) {
            (BindingKind::RoleBinding, Some(namespace)) => {
                self.role_bindings.get(&ObjectRef::new(&recorded.name).within(namespace))?.seen()?
            }
            (BindingKind::RoleBinding, None) => return None,
            (BindingKind::ClusterRoleBinding, _) => {
                self.cluster_role_bindings.get(&ObjectRef::new(&recorded.name))?.seen()?
            }
        };
        Some(Observed { made_role: self.made_role(recorded), ..found })
    }

    /// Every binding with our mark. Unpacked one by one, since all of them unpacked take many times the room.
    pub fn bindings(&self) -> impl Iterator<Item = Observed> + use<> {
        let of_namespaces = self.role_bindings.state().into_iter().filter_map(|kept| kept.seen());
        let of_cluster = self.cluster_role_bindings.state().into_iter().filter_map(|kept| kept.seen());
        of_namespaces.chain(of_cluster)
    }

    /// Puts into the queue what depends on this request: the one that it extends, those that extend it, and the
    /// policy that must say whether its review is overdue.
    pub fn look_at_related(&self, request: &AccessRequest) {
        let extended = self.extensions.note(request);
        let extensions = self.extensions.of(request);
        extended.into_iter().chain(extensions).for_each(|other| self.queues.look_at(other));
        let policy = request.status.as_ref().filter(|s| s.break_glass.is_some()).and_then(|s| s.policy.as_ref());
        if let Some(policy) = policy {
            self.queues.look_at_policy(ObjectRef::new(&policy.name));
        }
    }

    /// Puts every request into the queue that is not over, or whose access has yet to be reviewed.
    pub fn look_at_open_requests(&self) {
        self.look_at_those(Glance::is_open);
    }

    /// Puts every request into the queue that is for this role and not over.
    pub fn look_at_requests_for(&self, kind: RoleKind, name: &str) {
        self.look_at_those(|glance| !glance.state.is_final() && glance.is_for(kind, name));
    }

    fn look_at_those(&self, concerned: impl Fn(&Glance) -> bool) {
        for kept in self.requests.state_filter(|kept| kept.glance.as_ref().is_some_and(&concerned)) {
            self.queues.look_at(reference(&*kept));
        }
    }

    /// Puts every policy into the queue.
    pub fn look_at_policies(&self) {
        self.policy_store.state().iter().for_each(|policy| self.queues.look_at_policy(ObjectRef::from_obj(&**policy)));
    }

    /// Counts a failed pass: how many there are now, and whether people must be told of it.
    pub fn failed(&self, request: ObjectRef<KeptRequest>, error: &Error) -> (u32, bool) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = failures.entry(request).or_default();
        counted.all = counted.all.saturating_add(1);
        let Some(told_after) = error.told_after() else {
            (counted.hindered, counted.told) = (0, None);
            return (counted.all, false);
        };
        counted.hindered = counted.hindered.saturating_add(1);
        let is_due = counted.told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN);
        let tell = is_due && counted.hindered >= told_after;
        if tell {
            counted.told = Some(Instant::now());
        }
        (counted.all, tell)
    }

    /// Forgets failed passes.
    pub fn succeeded(&self, request: &ObjectRef<KeptRequest>) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(request);
    }

    /// A pass settled on this version and said when to look again; noted if the watch has yet to bring it.
    pub fn settled(&self, request: &ObjectRef<KeptRequest>, at: u64, wake: Option<Timestamp>) {
        if self.requests.get(request).and_then(|kept| kept.version()).is_some_and(|stored| stored < at) {
            self.written.note(request, at, wake);
        }
    }

    /// A pass has dealt with a request in doubt.
    pub fn settle_doubt(&self, request: &ObjectRef<KeptRequest>) {
        if self.doubts.settle(request) {
            // The canary notes it.
            self.asked.notify_one();
        }
    }

    /// Forgets all about a request that is gone.
    pub fn forget(&self, request: &ObjectRef<KeptRequest>) {
        self.succeeded(request);
        self.writer.figures.forget(request);
        self.written.forget(request);
        self.doubts.forget(request);
    }
}

/// Requests by UID, since a binding is tied to its request by UID and its other marks can be edited.
#[derive(Default)]
pub struct Index(RwLock<HashMap<String, ObjectRef<KeptRequest>>>);

impl Index {
    /// Where the request with this UID is.
    pub fn get(&self, uid: &str) -> Option<ObjectRef<KeptRequest>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Adds a request.
    pub fn insert(&self, request: &GuardedRequest) {
        if let Some(uid) = request.uid() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(uid, reference(request));
        }
    }

    /// Removes a request.
    pub fn remove(&self, uid: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Keeps only the requests of these UIDs.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| keep(uid));
    }
}
