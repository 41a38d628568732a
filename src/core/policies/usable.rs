//! Whether a role can be handed out: whether it is there, and whether the controller may bind it.
//!
//! May it bind one, the API server says, and nobody else: whatever gave the right. Asked for is the verb `bind` alone. A
//! role of which the controller happens to have every right itself could be bound without it; it is handed out by nobody's
//! decision, so it is not handed out. Owns the facts and what is wrong with a role; must not say what follows for a request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::api::RoleKind;
use crate::api::policy::{AccessPolicy, Effect, UnusableRole};
use crate::api::policy_reason::UnusableReason;
use crate::api::subject::RoleName;
use crate::core::model::grant_scope::GrantScope;
use crate::core::rbac::role::RoleSeen;

/// A question to the API server: may the controller bind this role there?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MayBind {
    /// The role.
    pub role: RoleName,
    /// In this namespace; none for the whole cluster, and so for every namespace.
    pub namespace: Option<String>,
}

/// What the API server has answered. What nobody has asked is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindRights(BTreeMap<MayBind, bool>);

impl BindRights {
    /// What the statuses of policies say of the roles that they list, for whoever cannot ask for the controller.
    pub fn on_record<'a>(policies: impl IntoIterator<Item = &'a AccessPolicy>) -> Self {
        let mut rights = Self::default();
        let told = policies.into_iter().filter_map(|policy| Some((policy, policy.status.as_ref()?)));
        for (policy, status) in told.filter(|(policy, _)| policy.spec.effect == Effect::Allow) {
            for role in &policy.spec.roles {
                let refused = status.unusable_roles.iter().find(|unusable| unusable.role == *role);
                let refused = refused.filter(|unusable| unusable.why == UnusableReason::NotBindable);
                let nowhere = refused.is_some_and(|unusable| unusable.namespace.is_none());
                // One policy may have been looked at before another: whoever says no has a reason.
                *rights.0.entry(MayBind { role: role.clone(), namespace: None }).or_insert(true) &= !nowhere;
                if let Some(namespace) = refused.and_then(|unusable| unusable.namespace.clone()) {
                    rights.note(MayBind { role: role.clone(), namespace: Some(namespace) }, false);
                }
            }
        }
        rights
    }

    /// Notes an answer.
    pub fn note(&mut self, question: MayBind, answer: bool) {
        self.0.insert(question, answer);
    }

    /// What was answered to exactly this.
    pub fn answer(&self, question: &MayBind) -> Option<bool> {
        self.0.get(question).copied()
    }

    /// Forgets the answers to other questions than these.
    pub fn keep(&mut self, wanted: impl Fn(&MayBind) -> bool) {
        self.0.retain(|question, _| wanted(question));
    }

    /// Everything that was answered.
    pub fn questions(&self) -> impl Iterator<Item = &MayBind> {
        self.0.keys()
    }

    /// Whether the role can be bound in a namespace, or in the whole cluster: as answered for that place, or else for the
    /// cluster.
    pub fn may_bind(&self, role: &RoleName, namespace: Option<&str>) -> Option<bool> {
        let of = |namespace: Option<&str>| {
            self.answer(&MayBind { role: role.clone(), namespace: namespace.map(str::to_owned) })
        };
        of(namespace).or_else(|| of(None))
    }
}

/// Why a role cannot be handed out, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not there.
    Missing {
        /// The role.
        role: RoleName,
        /// Where it was looked for.
        sought: Sought,
    },
    /// The controller may not bind it.
    NotBindable {
        /// The role.
        role: RoleName,
        /// Where not, when that is said of one namespace.
        namespace: Option<String>,
    },
}

/// The value of the chart that lists what can be bound.
fn chart_value(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::ClusterRole => "bindableClusterRoles",
        RoleKind::Role => "bindableRoles",
    }
}

/// Where a role was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Among the ClusterRoles.
    Cluster,
    /// In these namespaces.
    Namespaces(BTreeSet<String>),
    /// In every namespace that a policy covers.
    Covered,
}

impl Unusable {
    /// Whether it is about this role.
    pub fn is_about(&self, other: &RoleName) -> bool {
        let (Self::Missing { role, .. } | Self::NotBindable { role, .. }) = self;
        role == other
    }

    /// What is wrong.
    pub fn why(&self) -> String {
        match self {
            Self::Missing { role, sought: Sought::Cluster } => format!("there is no {role}"),
            Self::Missing { role, sought: Sought::Namespaces(names) } => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("there is no {role} in namespace {}", names.join(", "))
            }
            Self::Missing { role, sought: Sought::Covered } => {
                format!("there is no {role} in any namespace that the policy covers")
            }
            Self::NotBindable { role, namespace: None } => format!("Daypass may not bind {role}"),
            Self::NotBindable { role, namespace: Some(name) } => {
                format!("Daypass may not bind {role} in namespace {name}")
            }
        }
    }

    /// What to do.
    pub fn way_out(&self) -> String {
        match self {
            Self::Missing { sought: Sought::Cluster, .. } => "create it, or take it out of the policy".to_owned(),
            Self::Missing { .. } => "create it there, or take it out of the policy".to_owned(),
            Self::NotBindable { role, namespace } => {
                let (name, value) = (&role.name, chart_value(role.kind));
                match namespace {
                    None => format!("add {name} to {value} in the chart's values, or take it out of the policy"),
                    // The right is in one namespace and not in another.
                    Some(_) => {
                        format!("apply the chart again, with {name} in {value}, or take it out of the policy")
                    }
                }
            }
        }
    }

    /// In one word, for the status of a policy.
    pub fn on_record(&self) -> UnusableRole {
        let (role, why, namespace) = match self {
            Self::Missing { role, .. } => (role, UnusableReason::Missing, None),
            Self::NotBindable { role, namespace } => (role, UnusableReason::NotBindable, namespace.clone()),
        };
        UnusableRole { role: role.clone(), why: why.into(), namespace }
    }

    /// What the status of a policy says; none of what another version of Daypass says there.
    pub fn recorded(recorded: &UnusableRole) -> Option<Self> {
        let role = recorded.role.clone();
        Some(match (recorded.why.known()?, role.kind) {
            (UnusableReason::Missing, RoleKind::ClusterRole) => Self::Missing { role, sought: Sought::Cluster },
            (UnusableReason::Missing, RoleKind::Role) => Self::Missing { role, sought: Sought::Covered },
            (UnusableReason::NotBindable, _) => Self::NotBindable { role, namespace: recorded.namespace.clone() },
        })
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.why(), self.way_out())
    }
}

/// A role that a policy lists and that cannot be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRole {
    /// Its place in the list.
    pub index: usize,
    /// Why it cannot.
    pub why: Unusable,
}

impl ListedRole {
    /// Path of the field.
    pub fn field(&self) -> String {
        format!("spec.roles[{}]", self.index)
    }
}

impl fmt::Display for ListedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field(), self.why)
    }
}

/// Whether a role can be handed out in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleUse {
    /// It can, as far as anybody has looked.
    Usable,
    /// The API server has yet to answer whether the controller may bind it.
    Unknown,
    /// It cannot.
    Unusable(Unusable),
}

/// Whether a role can be handed out in a place. `seen` and `rights` are none where nobody has looked; then nothing is held
/// against the role.
pub fn role_use(role: &RoleName, seen: Option<&RoleSeen>, rights: Option<&BindRights>, place: &GrantScope) -> RoleUse {
    if let Some(names) = seen.and_then(RoleSeen::nowhere) {
        let sought = match role.kind {
            RoleKind::ClusterRole => Sought::Cluster,
            RoleKind::Role => Sought::Namespaces(names.into_iter().map(str::to_owned).collect()),
        };
        return RoleUse::Unusable(Unusable::Missing { role: role.clone(), sought });
    }
    let Some(rights) = rights else { return RoleUse::Usable };
    let answers: Vec<(Option<&String>, Option<bool>)> = match place {
        GrantScope::Cluster => vec![(None, rights.may_bind(role, None))],
        GrantScope::Namespaces(names) => {
            names.iter().map(|name| (Some(name), rights.may_bind(role, Some(name)))).collect()
        }
    };
    // A grant of which one binding is refused fails as a whole.
    if let Some((namespace, _)) = answers.iter().find(|(_, may)| *may == Some(false)) {
        let everywhere =
            rights.may_bind(role, None) == Some(false) && answers.iter().all(|(_, may)| *may == Some(false));
        let namespace = namespace.filter(|_| !everywhere).cloned();
        return RoleUse::Unusable(Unusable::NotBindable { role: role.clone(), namespace });
    }
    if answers.iter().any(|(_, may)| may.is_none()) { RoleUse::Unknown } else { RoleUse::Usable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::policy;
    use serde_json::json;
    use std::sync::Arc;

    fn named(kind: RoleKind, name: &str) -> RoleName {
        RoleName { kind, name: name.to_owned() }
    }

    fn edit() -> RoleName {
        named(RoleKind::ClusterRole, "edit")
    }

    fn places(names: &[&str]) -> GrantScope {
        GrantScope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn rights(answers: &[(Option<&str>, bool)]) -> BindRights {
        let mut rights = BindRights::default();
        for (namespace, answer) in answers {
            rights.note(MayBind { role: edit(), namespace: namespace.map(str::to_owned) }, *answer);
        }
        rights
    }

    fn not_bindable(namespace: Option<&str>) -> RoleUse {
        RoleUse::Unusable(Unusable::NotBindable { role: edit(), namespace: namespace.map(str::to_owned) })
    }

    #[test]
    fn a_role_that_nobody_has_looked_at_is_not_held_to_be_missing() {
        let shop = places(&["shop"]);
        assert_eq!(role_use(&edit(), None, None, &shop), RoleUse::Usable);
        let (gone, there) = (RoleSeen::OfCluster(None), RoleSeen::that_only_looks());
        assert_eq!(role_use(&edit(), Some(&there), None, &shop), RoleUse::Usable);
        let missing = Unusable::Missing { role: edit(), sought: Sought::Cluster };
        assert_eq!(role_use(&edit(), Some(&gone), Some(&rights(&[(None, true)])), &shop), RoleUse::Unusable(missing));
    }

    #[test]
    fn a_right_that_was_not_answered_is_no_refusal() {
        let asked = |answers: &[(Option<&str>, bool)], place: &GrantScope| {
            role_use(&edit(), Some(&RoleSeen::that_only_looks()), Some(&rights(answers)), place)
        };
        let (shop, both) = (places(&["shop"]), places(&["bank", "shop"]));
        assert_eq!(asked(&[], &shop), RoleUse::Unknown);
        assert_eq!(asked(&[(None, true)], &both), RoleUse::Usable);
        assert_eq!(asked(&[(None, false)], &both), not_bindable(None));
        assert_eq!(asked(&[(None, false)], &GrantScope::Cluster), not_bindable(None));
        // A right that was given in one namespace holds there.
        assert_eq!(asked(&[(None, false), (Some("shop"), true)], &shop), RoleUse::Usable);
        assert_eq!(asked(&[(None, false), (Some("shop"), true)], &both), not_bindable(Some("bank")));
        assert_eq!(asked(&[(Some("shop"), true)], &both), RoleUse::Unknown);
        assert_eq!(asked(&[(Some("shop"), false)], &both), not_bindable(Some("shop")), "whatever the other is");
    }

    #[test]
    fn a_role_of_namespaces_is_missing_when_it_is_in_none_of_them() {
        let role = named(RoleKind::Role, "deployer");
        let seen = |there: &[(&str, bool)]| {
            let place = |(name, there): &(&str, bool)| ((*name).to_owned(), there.then(Arc::default));
            RoleSeen::OfNamespaces(there.iter().map(place).collect())
        };
        let both = places(&["bank", "shop"]);
        let of = |there: &[(&str, bool)]| role_use(&role, Some(&seen(there)), None, &both);
        assert_eq!(of(&[("bank", false), ("shop", true)]), RoleUse::Usable, "it is granted where it is");
        let sought = Sought::Namespaces(["bank", "shop"].map(str::to_owned).into());
        let missing = RoleUse::Unusable(Unusable::Missing { role: role.clone(), sought });
        assert_eq!(of(&[("bank", false), ("shop", false)]), missing);
    }

    #[test]
    fn without_a_way_to_ask_the_statuses_of_policies_say_what_can_be_bound() {
        let with = |name: &str, unusable: serde_json::Value| {
            let mut policy = policy(name, json!({ "roles": [{ "name": "edit" }, { "name": "view" }] }));
            policy.status = Some(serde_json::from_value(json!({ "unusableRoles": unusable })).unwrap());
            policy
        };
        let said = |why: &str| json!([{ "role": { "kind": "ClusterRole", "name": "edit" }, "why": why }]);
        let may = |policies: &[AccessPolicy]| {
            let rights = BindRights::on_record(policies);
            let view = RoleName { name: "view".to_owned(), ..edit() };
            [rights.may_bind(&edit(), Some("shop")), rights.may_bind(&view, Some("shop"))]
        };
        let (fine, refused) = (with("fine", json!([])), with("refused", said("NotBindable")));
        assert_eq!(may(std::slice::from_ref(&fine)), [Some(true), Some(true)]);
        assert_eq!(may(&[refused.clone(), fine.clone()]), [Some(false), Some(true)]);
        assert_eq!(may(&[fine, refused]), [Some(false), Some(true)]);
        let in_shop = json!([{ "role": { "name": "edit" }, "why": "NotBindable", "namespace": "shop" }]);
        let limited = with("limited", in_shop);
        assert_eq!(may(std::slice::from_ref(&limited)), [Some(false), Some(true)]);
        assert_eq!(BindRights::on_record(&[limited]).may_bind(&edit(), Some("bank")), Some(true));
        assert_eq!(may(&[with("gone", said("Missing"))]), [Some(true), Some(true)], "that is another matter");
        assert_eq!(may(&[with("later", said("Teleported"))]), [Some(true), Some(true)], "a word of another version");
        assert_eq!(may(&[policy("unjudged", json!({}))]), [None, None]);
    }

    #[test]
    fn what_the_status_of_a_policy_says_is_read_back() {
        let deployer = named(RoleKind::Role, "deployer");
        for unusable in [
            Unusable::Missing { role: edit(), sought: Sought::Cluster },
            Unusable::Missing { role: deployer.clone(), sought: Sought::Covered },
            Unusable::NotBindable { role: edit(), namespace: None },
            Unusable::NotBindable { role: deployer, namespace: Some("shop".to_owned()) },
        ] {
            assert_eq!(Unusable::recorded(&unusable.on_record()).as_ref(), Some(&unusable));
        }
    }
}
