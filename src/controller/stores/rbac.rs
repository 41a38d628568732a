//! Roles and bindings as the watches have them: all roles, for what they allow, and the bindings with our mark.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, ObjectRef, Store};

use super::packed::Packed;
use crate::api::RoleKind;
use crate::api::request::{AccessRequest, BindingKind, BindingRef};
use crate::api::subject::RoleName;
use crate::controller::observe::places_of;
use crate::core::model::namespaces::Namespaces;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::made_role::ObservedRole;
use crate::core::rbac::role::RoleSeen;

/// How many ClusterRoles are kept unpacked: most requests are for few roles, and one may have hundreds of rules.
const MOST_UNPACKED: usize = 8;

/// ClusterRoles that were asked for last, unpacked, the latest last. Each is told by where its packed form is, so that it
/// is never one from before a change.
#[derive(Default)]
struct Unpacked(Mutex<VecDeque<UnpackedRole>>);

struct UnpackedRole {
    packed: Arc<Packed<ClusterRole>>,
    role: Arc<ClusterRole>,
}

impl Unpacked {
    fn of(&self, packed: &Arc<Packed<ClusterRole>>) -> Option<Arc<ClusterRole>> {
        let mut unpacked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = unpacked.iter().position(|known| Arc::ptr_eq(&known.packed, packed)) {
            let known = unpacked.remove(at)?;
            let role = known.role.clone();
            unpacked.push_back(known);
            return Some(role);
        }
        let role = Arc::new(packed.open()?);
        if unpacked.len() == MOST_UNPACKED {
            unpacked.pop_front();
        }
        unpacked.push_back(UnpackedRole { packed: packed.clone(), role: role.clone() });
        Some(role)
    }
}

/// Roles and bindings.
pub struct Rbac {
    /// RoleBindings with our mark.
    pub role_bindings: Store<Packed<RoleBinding>>,
    /// ClusterRoleBindings with our mark.
    pub cluster_role_bindings: Store<Packed<ClusterRoleBinding>>,
    cluster_roles: Store<Packed<ClusterRole>>,
    unpacked: Unpacked,
    roles: Store<Packed<Role>>,
}

/// The writing ends of the stores.
pub struct RbacFeeds {
    pub role_bindings: StoreWriter<Packed<RoleBinding>>,
    pub cluster_role_bindings: StoreWriter<Packed<ClusterRoleBinding>>,
    pub cluster_roles: StoreWriter<Packed<ClusterRole>>,
    pub roles: StoreWriter<Packed<Role>>,
}

impl Rbac {
    /// Empty stores, and their writing ends.
    pub fn new() -> (Self, RbacFeeds) {
        let (role_bindings, role_bindings_feed) = reflector::store();
        let (cluster_role_bindings, cluster_role_bindings_feed) = reflector::store();
        let (cluster_roles, cluster_roles_feed) = reflector::store();
        let (roles, roles_feed) = reflector::store();
        let feeds = RbacFeeds {
            role_bindings: role_bindings_feed,
            cluster_role_bindings: cluster_role_bindings_feed,
            cluster_roles: cluster_roles_feed,
            roles: roles_feed,
        };
        let unpacked = Unpacked::default();
        (Self { role_bindings, cluster_role_bindings, cluster_roles, unpacked, roles }, feeds)
    }

    /// The role that a request is for.
    pub fn role(&self, request: &AccessRequest, namespaces: &Namespaces) -> RoleSeen {
        let name = &request.spec.role.name;
        match request.spec.role.kind {
            RoleKind::ClusterRole => {
                let role = self.cluster_roles.get(&ObjectRef::new(name));
                RoleSeen::OfCluster(role.and_then(|packed| self.unpacked.of(&packed)))
            }
            RoleKind::Role => {
                let places = places_of(request, namespaces).into_iter();
                let roles = places.map(|place| {
                    let role = self.roles.get(&ObjectRef::new(name).within(&place)).and_then(|packed| packed.open());
                    (place, role.map(Arc::new))
                });
                RoleSeen::OfNamespaces(roles.collect())
            }
        }
    }

    /// Where a role is: in which of these namespaces, or none for a ClusterRole that is there.
    pub fn whereabouts(&self, role: &RoleName, namespaces: &Namespaces) -> BTreeSet<Option<String>> {
        match role.kind {
            RoleKind::ClusterRole => {
                self.cluster_roles.get(&ObjectRef::new(&role.name)).map(|_| None).into_iter().collect()
            }
            RoleKind::Role => {
                let there = |name: &&String| self.roles.get(&ObjectRef::new(&role.name).within(name)).is_some();
                namespaces.keys().filter(there).cloned().map(Some).collect()
            }
        }
    }

    /// The role that was made for a recorded binding.
    fn made_role(&self, recorded: &BindingRef) -> Option<ObservedRole> {
        recorded.role.as_ref()?;
        let name = &recorded.name;
        match &recorded.namespace {
            Some(place) => self.roles.get(&ObjectRef::new(name).within(place))?.seen(),
            None => self.cluster_roles.get(&ObjectRef::new(name))?.seen(),
        }
    }

    /// Every role that was made for a binding, with where it stands.
    pub fn made_roles(&self) -> Vec<(BindingRef, ObservedRole)> {
        let made = |role: Option<ObservedRole>, kind| role.and_then(|role| Some((role.beside(kind)?, role)));
        let of_namespaces = self.roles.state_filter(|packed| packed.summary.is_some()).into_iter();
        let of_cluster = self.cluster_roles.state_filter(|packed| packed.summary.is_some()).into_iter();
        let of_namespaces = of_namespaces.filter_map(|packed| made(packed.seen(), BindingKind::RoleBinding));
        let of_cluster = of_cluster.filter_map(|packed| made(packed.seen(), BindingKind::ClusterRoleBinding));
        of_namespaces.chain(of_cluster).collect()
    }

    /// What stands in the place of a recorded binding.
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
        let of_namespaces = self.role_bindings.state().into_iter().filter_map(|packed| packed.seen());
        let of_cluster = self.cluster_role_bindings.state().into_iter().filter_map(|packed| packed.seen());
        of_namespaces.chain(of_cluster)
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::controller::stores::packed::pack;
    use crate::core::laws::fixtures::request;

    #[test]
    fn a_role_that_has_changed_is_unpacked_anew_and_few_are_kept() {
        let (rbac, mut feeds) = Rbac::new();
        let bring = |feeds: &mut RbacFeeds, name: &str, verb: &str| {
            let rules = json!([{ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] }]);
            let role: ClusterRole =
                serde_json::from_value(json!({ "metadata": { "name": name }, "rules": rules })).unwrap();
            feeds.cluster_roles.apply_watcher_event(&pack(&Event::Apply(role)));
        };
        let seen = |name: &str| {
            let request = request(json!({ "role": { "kind": "ClusterRole", "name": name } }));
            match rbac.role(&request, &Namespaces::default()) {
                RoleSeen::OfCluster(role) => role,
                RoleSeen::OfNamespaces(_) => unreachable!("a ClusterRole"),
            }
        };
        bring(&mut feeds, "edit", "get");
        let first = seen("edit").unwrap();
        assert!(Arc::ptr_eq(&first, &seen("edit").unwrap()), "unpacked once");
        bring(&mut feeds, "edit", "delete");
        assert_eq!(seen("edit").unwrap().rules.as_ref().unwrap()[0].verbs, ["delete"]);
        for n in 0..2 * MOST_UNPACKED {
            bring(&mut feeds, &format!("role-{n}"), "get");
            assert!(seen(&format!("role-{n}")).is_some());
        }
        assert_eq!(rbac.unpacked.0.lock().unwrap().len(), MOST_UNPACKED);
        assert!(seen("gone").is_none());
    }
}
