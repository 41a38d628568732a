//! That a change is looked at by every request that it concerns: what `decision::dependence` leaves out comes to the same
//! plan as before.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::strategies::stories;
use super::{cases, play, scenes};
use crate::api::policy::{AccessPolicy, Effect};
use crate::core::decision::dependence::{Change, Dependence};
use crate::core::laws::fixtures::policy;
use crate::core::model::namespaces::Namespace;

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_namespace_that_concerns_nobody_changes_no_plan(
        (scenario, live) in scenes(),
        story in stories(),
        name in select(vec!["bank", "shop", "moon"]),
        label in prop::option::of(select(vec![("team", "pay"), ("env", "prod")])),
        is_gone in any::<bool>(),
    ) {
        let simulator = play(&scenario, live, &story);
        let mut changed = simulator.clone();
        let labels: BTreeMap<_, _> = label.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        match is_gone {
            true => changed.namespaces.remove(name),
            false => changed.namespaces.insert(name.to_owned(), Namespace { labels, ..Namespace::default() }),
        };
        let concerned = Dependence::of(&simulator.request).on(&Change::Namespace(name));
        prop_assert!(concerned || changed.plan() == simulator.plan(), "{name}: {:?}", simulator.request.spec);
    }

    #[test]
    fn a_policy_that_concerns_nobody_changes_no_plan(
        (scenario, live) in scenes(),
        story in stories(),
        spec in select(vec![json!({}), json!({ "duration": { "max": "1s" } }), json!({ "requesters": [] })]),
        position in any::<prop::sample::Index>(),
        anew in any::<bool>(),
    ) {
        let simulator = play(&scenario, live, &story);
        let mut changed = simulator.clone();
        let name = match anew || simulator.policies.is_empty() {
            true => "another".to_owned(),
            false => changed.policies.remove(position.index(simulator.policies.len())).metadata.name.unwrap(),
        };
        changed.policies.push(policy(&name, spec));
        let denies = |p: &AccessPolicy| p.spec.effect == Effect::Deny;
        let may_deny = simulator.policies.iter().any(|p| p.metadata.name.as_ref() == Some(&name) && denies(p));
        let concerned = Dependence::of(&simulator.request).on(&Change::Policy { name: &name, may_deny });
        prop_assert!(concerned || changed.plan() == simulator.plan(), "{name}: {:?}", simulator.request.status);
    }
}
