//! Which roles of a policy that allows cannot be handed out, wherever it covers anything. Says nothing of one request: that
//! is for the decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::RoleKind;
use crate::api::policy::{AccessPolicy, Effect};
use crate::api::subject::RoleName;
use crate::core::decision::served::ServedNamespaces;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::usable::{BindRights, ListedRole, MayBind, Sought, Unusable};
use crate::core::policies::{Entry, Policy};

/// Where each role is that a policy lists: in which namespaces, or none for a ClusterRole that is there.
pub type Whereabouts = BTreeMap<RoleName, BTreeSet<Option<String>>>;

/// What is known of the roles of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Where they are.
    pub roles: &'a Whereabouts,
    /// What the controller may bind.
    pub rights: &'a BindRights,
    /// All namespaces.
    pub namespaces: &'a Namespaces,
    /// Where requests are served.
    pub served: &'a ServedNamespaces,
}

/// What to ask the API server about a role: in the whole cluster, or in each namespace that is served.
pub fn questions(role: &RoleName, served: &ServedNamespaces) -> Vec<MayBind> {
    let question = |namespace: Option<&String>| MayBind { role: role.clone(), namespace: namespace.cloned() };
    match served {
        ServedNamespaces::Cluster => vec![question(None)],
        ServedNamespaces::Namespaces(names) => names.iter().map(|name| question(Some(name))).collect(),
    }
}

/// The roles of this policy that cannot be handed out, in their order. None when that is not known of all of them, and of
/// a policy of which nobody can say what it covers.
pub fn unusable_roles(policy: &AccessPolicy, known: Known<'_>) -> Option<Vec<ListedRole>> {
    let entry = Entry::read(policy);
    let read = entry.readable().filter(|read| read.effect == Effect::Allow)?;
    let mut unusable = Vec::new();
    for (index, role) in read.roles.iter().enumerate() {
        let why = match (missing(read, role, known), right(read, role, known)) {
            (Some(missing), _) => missing,
            (None, Right::Unknown) => return None,
            (None, Right::Given) => continue,
            (None, Right::Refused(namespace)) => Unusable::NotBindable { role: role.clone(), namespace },
        };
        unusable.push(ListedRole { index, why });
    }
    Some(unusable)
}

/// That a role is not there, or not where the policy covers anything. A policy that covers no namespace yet lacks none.
fn missing(policy: &Policy, role: &RoleName, known: Known<'_>) -> Option<Unusable> {
    let places = known.roles.get(role)?;
    let sought = match role.kind {
        RoleKind::ClusterRole if places.is_empty() => Sought::Cluster,
        RoleKind::ClusterRole => return None,
        RoleKind::Role => {
            let mut covered = known.namespaces.keys().filter(|name| policy.covers(name, known.namespaces)).peekable();
            covered.peek()?;
            if covered.any(|name| places.contains(&Some(name.clone()))) {
                return None;
            }
            Sought::Covered
        }
    };
    Some(Unusable::Missing { role: role.clone(), sought })
}

/// Whether the controller may bind a role.
enum Right {
    /// Not everything has been answered.
    Unknown,
    /// Wherever the policy covers anything.
    Given,
    /// Not in this namespace of those that are served; with none, nowhere.
    Refused(Option<String>),
}

fn right(policy: &Policy, role: &RoleName, known: Known<'_>) -> Right {
    // In a namespace that is not there, nobody has any right.
    let covers = |name: &String| known.namespaces.contains_key(name) && policy.covers(name, known.namespaces);
    let covered = |question: &MayBind| question.namespace.as_ref().is_none_or(covers);
    let asked = questions(role, known.served).into_iter().filter(covered);
    let answers: Vec<(MayBind, Option<bool>)> =
        asked.map(|asked| (asked.clone(), known.rights.answer(&asked))).collect();
    if answers.iter().any(|(_, may)| may.is_none()) {
        return Right::Unknown;
    }
    let everywhere = answers.iter().all(|(_, may)| *may == Some(false));
    let refused = answers.into_iter().find(|(_, may)| *may == Some(false));
    refused.map_or(Right::Given, |(asked, _)| Right::Refused(asked.namespace.filter(|_| !everywhere)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{deny, namespaces, policy};
    use serde_json::{Value, json};

    fn listed(spec: &Value, there: &[(&str, Option<&str>)], rights: &[(&str, Option<&str>, bool)]) -> Told {
        judged(&policy("p", spec.clone()), there, rights, &ServedNamespaces::Cluster)
    }

    /// The roles that cannot be handed out; none when nobody knows.
    type Told = Option<Vec<ListedRole>>;

    fn missing(index: usize, kind: RoleKind, name: &str, sought: Sought) -> ListedRole {
        ListedRole { index, why: Unusable::Missing { role: RoleName { kind, name: name.to_owned() }, sought } }
    }

    fn refused(index: usize, name: &str, namespace: Option<&str>) -> ListedRole {
        let role = RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() };
        ListedRole { index, why: Unusable::NotBindable { role, namespace: namespace.map(str::to_owned) } }
    }

    fn judged(
        policy: &AccessPolicy,
        there: &[(&str, Option<&str>)],
        answers: &[(&str, Option<&str>, bool)],
        served: &ServedNamespaces,
    ) -> Told {
        let mut roles: Whereabouts = policy.spec.roles.iter().map(|role| (role.clone(), BTreeSet::new())).collect();
        for (name, places) in roles.iter_mut().map(|(role, places)| (role.name.clone(), places)) {
            let here = there.iter().filter(|(there, _)| *there == name);
            places.extend(here.map(|(_, place)| place.map(str::to_owned)));
        }
        let mut rights = BindRights::default();
        for (name, namespace, answer) in answers {
            for role in policy.spec.roles.iter().filter(|role| role.name == *name) {
                let namespace = namespace.map(str::to_owned);
                rights.note(MayBind { role: role.clone(), namespace }, *answer);
            }
        }
        let known = Known { roles: &roles, rights: &rights, namespaces: &namespaces(), served };
        unusable_roles(policy, known)
    }

    #[test]
    fn each_role_is_judged_by_itself_and_nothing_is_said_before_all_are_known() {
        let spec = json!({ "roles": [{ "name": "edit" }, { "name": "ops" }, { "name": "view" }] });
        let (edit, view) = (("edit", None), ("view", None));
        let missing = missing(1, RoleKind::ClusterRole, "ops", Sought::Cluster);
        let refused = refused(2, "view", None);
        let rights = |view: bool| [("edit", None, true), ("view", None, view)];
        assert_eq!(listed(&spec, &[edit, view], &rights(true)), Some(vec![missing.clone()]));
        assert_eq!(listed(&spec, &[edit, view], &rights(false)), Some(vec![missing, refused]));
        assert_eq!(listed(&spec, &[edit, view], &rights(true)[..1]), None, "nobody knows of view");
        let all = [edit, view, ("ops", None)];
        assert_eq!(
            listed(&spec, &all, &[("edit", None, true), ("view", None, true), ("ops", None, true)]),
            Some(vec![])
        );
        assert_eq!(judged(&deny("no", spec), &[], &[], &ServedNamespaces::Cluster), None, "a denial lacks no role");
    }

    #[test]
    fn a_role_of_namespaces_is_looked_for_where_the_policy_covers_any() {
        let deployer = json!([{ "kind": "Role", "name": "deployer" }]);
        let spec = json!({ "roles": deployer, "scope": { "namespaces": ["shop", "bank"] } });
        let may = [("deployer", None, true)];
        let nowhere = missing(0, RoleKind::Role, "deployer", Sought::Covered);
        assert_eq!(listed(&spec, &[("deployer", Some("yard"))], &may), Some(vec![nowhere]));
        assert_eq!(listed(&spec, &[("deployer", Some("yard")), ("deployer", Some("bank"))], &may), Some(vec![]));
        let later = json!({ "roles": deployer, "scope": { "namespaces": ["not-yet"] } });
        assert_eq!(listed(&later, &[], &may), Some(vec![]), "it covers no namespace yet");
    }

    #[test]
    fn where_only_some_namespaces_are_served_the_right_is_needed_in_those_that_are_covered() {
        let spec = json!({ "scope": { "namespaces": ["shop", "bank", "gone"] } });
        let served = ServedNamespaces::of(["bank", "gone", "shop", "yard"].map(str::to_owned));
        let of = |rights: &[(&str, Option<&str>, bool)]| {
            judged(&policy("p", spec.clone()), &[("edit", None)], rights, &served)
        };
        let both = |bank: bool, shop: bool| [("edit", Some("bank"), bank), ("edit", Some("shop"), shop)];
        assert_eq!(of(&both(true, true)), Some(vec![]), "yard is not covered");
        assert_eq!(of(&both(false, true)), Some(vec![refused(0, "edit", Some("bank"))]));
        assert_eq!(of(&both(false, false)), Some(vec![refused(0, "edit", None)]));
        assert_eq!(of(&both(false, true)[..1]), None, "nobody knows of shop");
    }
}
