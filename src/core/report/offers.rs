//! What policies let somebody ask for: each role, where and on which terms.
//!
//! Owns the list of what is worth asking about. Whether one of these is granted it must not say: the decision is asked for
//! each as for any request.

use std::collections::BTreeSet;

use k8s_openapi::jiff::SignedDuration;

use crate::api::policy::Effect;
use crate::api::subject::{Identity, RoleKind, RoleName};
use crate::core::model::namespaces::Namespaces;
use crate::core::model::subjects::is_subject;
use crate::core::policies::{Entry, Policy, PolicySet};

/// Something that a policy lets somebody ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub role: RoleName,
    pub place: OfferPlace,
    /// Whether only as break-glass access.
    pub break_glass: bool,
    /// Name of the policy.
    pub policy: String,
    /// How long access lasts when the request does not say.
    pub usual: SignedDuration,
    pub longest: SignedDuration,
    /// For how many weeks access may come back, if it may.
    pub weeks: Option<i32>,
}

/// Where a role is offered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferPlace {
    /// In the namespace of this name.
    Namespace(String),
    /// In the whole cluster.
    Cluster,
}

/// What policies let somebody ask for in a namespace and in the whole cluster, by role, place and name of the policy. Those of
/// policies that are of no use for now are among them.
pub fn offers(policies: &PolicySet, who: &Identity, namespace: &str, namespaces: &Namespaces) -> Vec<Offer> {
    let mut offers: Vec<Offer> =
        for_somebody(policies, who).flat_map(|policy| of_policy(policy, namespace, namespaces)).collect();
    let order = |offer: &Offer| (offer.role.clone(), offer.place.clone(), offer.break_glass, offer.policy.clone());
    offers.sort_by_key(order);
    offers
}

/// The namespaces in which policies let somebody ask for something, as far as they are known or given by their whole name.
pub fn offered_in(policies: &PolicySet, who: &Identity, namespaces: &Namespaces) -> BTreeSet<String> {
    let of = |policy: &Policy| -> Vec<String> {
        let names = namespaces.keys().map(String::as_str).chain(policy.scope.named());
        names.filter(|name| policy.covers(name, namespaces)).map(str::to_owned).collect()
    };
    for_somebody(policies, who).flat_map(of).collect()
}

/// Whether the labels of a namespace decide about what somebody may ask for there.
pub fn may_be_offered_by_label(policies: &PolicySet, who: &Identity, namespace: &str) -> bool {
    for_somebody(policies, who).any(|policy| policy.scope.chooses_by_label() && policy.scope.may_cover(namespace))
}

fn for_somebody<'p>(policies: &'p PolicySet, who: &Identity) -> impl Iterator<Item = &'p Policy> {
    let readable = policies.all().filter_map(|(_, entry)| Entry::readable(entry));
    readable.filter(|policy| policy.effect == Effect::Allow && policy.requesters.iter().any(|s| is_subject(who, s)))
}

fn of_policy(policy: &Policy, namespace: &str, namespaces: &Namespaces) -> Vec<Offer> {
    let here = policy.covers(namespace, namespaces).then(|| OfferPlace::Namespace(namespace.to_owned()));
    let places: Vec<OfferPlace> = here.into_iter().chain(policy.scope.cluster.then_some(OfferPlace::Cluster)).collect();
    let terms = [(false, !policy.is_for_break_glass_only()), (true, policy.break_glass.is_some())];
    let terms = terms.into_iter().filter(|(_, allowed)| *allowed);
    let offer = |role: &RoleName, place: &OfferPlace, break_glass: bool| Offer {
        role: role.clone(),
        place: place.clone(),
        break_glass,
        policy: policy.reference.name.clone(),
        usual: policy.default_length,
        longest: policy.longest,
        weeks: policy.weeks.filter(|_| !break_glass),
    };
    let mut offers = Vec::new();
    for (break_glass, _) in terms {
        for place in &places {
            let bindable = policy.roles.iter().filter(|role| *place != OfferPlace::Cluster || is_for_clusters(role));
            offers.extend(bindable.map(|role| offer(role, place, break_glass)));
        }
    }
    offers
}

/// Whether a role can be bound in the whole cluster at all.
fn is_for_clusters(role: &RoleName) -> bool {
    role.kind == RoleKind::ClusterRole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{deny, namespaces, policy};
    use serde_json::json;

    /// Role, place, whether break-glass, policy.
    fn offered(policies: &[crate::api::policy::AccessPolicy], namespace: &str) -> Vec<String> {
        let who = Identity { username: "alice".to_owned(), groups: vec!["dev".to_owned()], ..Identity::default() };
        let place = |place: OfferPlace| match place {
            OfferPlace::Namespace(name) => name,
            OfferPlace::Cluster => "*".to_owned(),
        };
        let words = |o: Offer| {
            let fire = if o.break_glass { "!" } else { "" };
            format!("{}@{}{fire} {}", o.role.name, place(o.place), o.policy)
        };
        offers(&PolicySet::new(policies), &who, namespace, &namespaces()).into_iter().map(words).collect()
    }

    #[test]
    fn what_is_offered_is_what_policies_name_somebody_for() {
        let two = json!({
            "roles": [{ "name": "view" }, { "kind": "Role", "name": "deployer" }],
            "scope": { "namespaces": ["shop"], "cluster": true }
        });
        let others = json!({ "requesters": [{ "kind": "Group", "name": "sre" }] });
        let policies = [policy("b", two), policy("a", json!({})), policy("others", others), deny("no", json!({}))];
        assert_eq!(offered(&policies, "shop"), ["edit@shop a", "view@shop b", "view@* b", "deployer@shop b"]);
        assert_eq!(offered(&policies, "bank"), ["view@* b"], "a Role is nothing for the whole cluster");
    }

    #[test]
    fn emergencies_are_offers_of_their_own() {
        let reviewers = json!([{ "kind": "Group", "name": "leads" }]);
        let fire = json!({ "reviewers": reviewers, "reviewWithin": "24h" });
        let stages = json!({ "stages": [{ "name": "s", "approvers": reviewers }] });
        let both = policy("both", json!({ "breakGlass": fire, "approval": stages }));
        assert_eq!(offered(&[both], "shop"), ["edit@shop both", "edit@shop! both"]);
        assert_eq!(offered(&[policy("fire", json!({ "breakGlass": fire }))], "shop"), ["edit@shop! fire"]);
    }

    #[test]
    fn where_else_there_is_something_is_known_or_named() {
        let who = Identity { username: "alice".to_owned(), groups: vec!["dev".to_owned()], ..Identity::default() };
        let set = PolicySet::new(&[policy("a", json!({ "scope": { "namespaces": ["sh*", "yard"] } }))]);
        let names = |known: &Namespaces| offered_in(&set, &who, known).into_iter().collect::<Vec<_>>().join(",");
        assert_eq!(names(&namespaces()), "shop,yard");
        assert_eq!(names(&Namespaces::new()), "yard");
    }
}
