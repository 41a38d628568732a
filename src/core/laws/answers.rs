//! Laws 8 and 9 where they are about single answers: who counts, and what policies say together.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::cases;
use super::simulator::Simulator;
use super::strategies::review_by;
use crate::api::policy::{AccessPolicy, Effect, Stage};
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::api::subject::Identity;
use crate::core::decision::answer::Decision;
use crate::core::decision::approvals::{Progress, ReviewLog, Reviews, progress};
use crate::core::decision::decide::decide;
use crate::core::decision::freeze::Denying;
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::decision::validate::validate;
use crate::core::laws::fixtures::{deny, group, namespaces, noon, policy, request, stage, user};
use crate::core::model::subjects::is_approver;
use crate::core::policies::PolicySet;

proptest! {
    #![proptest_config(cases(300))]

    /// Two ways of counting: the one that is used, and trying every seating there is.
    #[test]
    fn law_8_a_person_counts_once_and_nobody_is_counted_out(
        approvers in prop::collection::vec((
            subsequence(vec!["bob", "carol", "dave", "mallory"], 1..3),
            prop::bool::weighted(0.3),
            select(vec![1, 1, 2]),
        ), 1..4),
        who in prop::collection::btree_set(0..8_usize, 2..8),
        deny in prop::option::weighted(0.2, 0..8_usize),
        uid in select(vec![None, Some(""), Some("u-alice")]),
    ) {
        let stages: Vec<Stage> = approvers.iter().enumerate().map(|(index, (names, leads, required))| {
            let groups = leads.then(|| group("leads"));
            stage(&index.to_string(), *required, names.iter().map(|n| user(n)).chain(groups).collect())
        }).collect();
        let approve = who.into_iter().map(|who| (who, ReviewVerdict::Approve));
        let log = approve.chain(deny.map(|who| (who, ReviewVerdict::Deny)));
        let reviews: Reviews = log.map(|(who, verdict)| review_by(who, verdict)).collect();
        let uid = uid.map(str::to_owned);
        let alice = Identity { username: "alice".into(), uid: uid.clone(), groups: vec!["leads".into()], ..Identity::default() };
        let counted: Vec<(ReviewVerdict, Identity)> = reviews.iter()
            .filter(|(name, review)| *name != "alice" && (uid.as_deref() != Some("u-alice") || review.uid != uid))
            .map(|(name, r)| (r.verdict, name.clone(), r.uid.clone(), r.groups.clone()))
            .map(|(verdict, username, uid, groups)| (verdict, Identity { username, uid, groups, ..Identity::default() }))
            .collect();
        let of = |wanted: ReviewVerdict| counted.iter().filter(move |(v, _)| *v == wanted).map(|(_, who)| who);
        let denied = of(ReviewVerdict::Deny).any(|who| stages.iter().any(|s| is_approver(who, &s.approvers)));
        let seats: Vec<&Stage> = stages.iter().flat_map(|s| std::iter::repeat_n(s, s.required as usize)).collect();
        let full = can_seat(&seats, &of(ReviewVerdict::Approve).collect::<Vec<_>>());
        match progress(&stages, &reviews, &alice, |_, _| true) {
            Progress::Denied { .. } => prop_assert!(denied),
            Progress::Complete(people) => {
                prop_assert!(full && !denied);
                prop_assert_eq!(people.iter().collect::<BTreeSet<_>>().len(), seats.len());
            }
            Progress::Open { .. } => prop_assert!(!full && !denied),
        }
    }

    #[test]
    fn law_9_the_answer_does_not_depend_on_the_order_of_policies(
        (policies, shuffled) in policies().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
        ask in asks(),
    ) {
        let mut simulators = [policies, shuffled].map(|p| Simulator::new(ask.clone(), p, namespaces(), noon()));
        prop_assert_eq!(simulators[0].plan(), simulators[1].plan());
        simulators.iter_mut().for_each(Simulator::settle);
        prop_assert_eq!(simulators[0].status(), simulators[1].status());
    }

    #[test]
    fn law_9_one_more_policy_that_denies_never_helps(policies in policies(), mut more in denying(), ask in asks()) {
        let before = answer(&ask, &policies);
        more.metadata.name = Some("deny-too".to_owned());
        let after = answer(&ask, &[policies, vec![more]].concat());
        let yes = |a: &Answer| matches!(a, Answer::Yes(_));
        prop_assert!(!yes(&after) || before == after, "{before:?} became {after:?}");
        prop_assert!(!matches!(before, Answer::No(_)) || !yes(&after));
    }

    #[test]
    fn law_9_one_more_policy_that_allows_never_hurts(policies in policies(), mut more in allowing(), ask in asks()) {
        let before = answer(&ask, &policies);
        more.metadata.name = Some("allow-too".to_owned());
        let after = answer(&ask, &[policies, vec![more]].concat());
        let yes = |a: &Answer| matches!(a, Answer::Yes(_));
        prop_assert!(!yes(&before) || yes(&after), "{before:?} became {after:?}");
        prop_assert!(before != Answer::NotYet || !matches!(after, Answer::No(_)), "{before:?} became {after:?}");
    }

    #[test]
    fn law_9_a_denial_carries_all_reasons_in_order(policies in policies(), ask in asks()) {
        if let Answer::No(reasons) = answer(&ask, &policies) {
            prop_assert!(!reasons.is_empty());
            prop_assert!(reasons.is_sorted_by_key(|reason| (points(reason), reason.to_string())), "{reasons:?}");
            let alone = |p: &AccessPolicy| answer(&ask, std::slice::from_ref(p));
            let name = |p: &AccessPolicy| p.metadata.name.clone().unwrap();
            let denies = |p: &AccessPolicy| Denial::Policy(Denying { policy: name(p), unevaluated: None, window: None });
            let against: Vec<Denial> = policies.iter().map(|p| (p, denies(p)))
                .filter(|(p, denies)| alone(p) == Answer::No(vec![denies.clone()])).map(|(_, denies)| denies).collect();
            if !against.is_empty() {
                prop_assert_eq!(reasons, against);
            } else {
                let allow = policies.iter().filter(|p| p.spec.effect == Effect::Allow)
                    .filter(|p| ask.spec.policy.as_ref().is_none_or(|wanted| *wanted == name(p)));
                for policy in allow {
                    let of_it = |r: &Denial| match r {
                        Denial::FallsShort { policy: of, .. } | Denial::NotReady { policy: of, .. } => *of == name(policy),
                        _ => false,
                    };
                    prop_assert!(reasons.iter().any(of_it), "{reasons:?}");
                }
            }
        }
    }
}

/// In how many points a policy falls short, and whether it is for other places.
fn points(denial: &Denial) -> (usize, bool) {
    match denial {
        Denial::FallsShort { shortfalls, .. } => {
            let elsewhere = |short: &Shortfall| matches!(short, Shortfall::Cluster | Shortfall::Namespaces(_));
            (shortfalls.len(), shortfalls.iter().any(elsewhere))
        }
        _ => (0, false),
    }
}

fn can_seat(seats: &[&Stage], people: &[&Identity]) -> bool {
    let Some((seat, others)) = seats.split_first() else { return true };
    (0..people.len()).any(|p| {
        let rest: Vec<&Identity> = people.iter().enumerate().filter(|(i, _)| *i != p).map(|(_, who)| *who).collect();
        is_approver(people[p], &seat.approvers) && can_seat(others, &rest)
    })
}

/// A decision, without what it borrows.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Yes(String),
    No(Vec<Denial>),
    Refused,
    NotYet,
}

fn answer(request: &AccessRequest, policies: &[AccessPolicy]) -> Answer {
    let (set, simulator) =
        (PolicySet::new(policies), Simulator::new(request.clone(), Vec::new(), namespaces(), noon()));
    let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
    match decide(&validate(request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
        Decision::Approved(approved) => Answer::Yes(approved.policy.reference.name.clone()),
        Decision::Denied(reasons) => Answer::No(reasons),
        Decision::Refused { .. } => Answer::Refused,
        Decision::Waiting(_)
        | Decision::Frozen(..)
        | Decision::RoleAway(..)
        | Decision::RightUnknown(_)
        | Decision::Undecided(_)
        | Decision::Lapsed(_) => Answer::NotYet,
    }
}

pub fn asks() -> impl Strategy<Value = AccessRequest> {
    let scope = select(vec![json!({}), json!({ "namespaces": ["bank", "shop"] }), json!({ "cluster": true })]);
    let policy = select(vec![json!(null), json!(null), json!("allow-b"), json!("deny-a"), json!("nothing")]);
    let length = select(vec![json!(null), json!("20m"), json!("3h")]);
    (scope, policy, length).prop_map(|(scope, policy, duration)| {
        request(json!({ "scope": scope, "policy": policy, "duration": duration }))
    })
}

pub fn policies() -> impl Strategy<Value = Vec<AccessPolicy>> {
    prop::collection::vec(prop_oneof![3 => allowing(), 1 => denying()], 0..6).prop_map(|all| {
        let by_name: BTreeMap<String, AccessPolicy> =
            all.into_iter().map(|p| (p.metadata.name.clone().unwrap(), p)).collect();
        by_name.into_values().collect()
    })
}

fn allowing() -> impl Strategy<Value = AccessPolicy> {
    let names = select(vec!["allow-a", "allow-b", "allow-c"]);
    (names, reach(), select(vec!["dev", "ops"]), 0..3_usize, prop::bool::weighted(0.2)).prop_map(
        |(name, scope, requesters, stages, broken)| {
            let approvers = json!([{ "kind": "User", "name": "bob" }]);
            let stages: Vec<_> =
                (0..stages).map(|i| json!({ "name": format!("s{i}"), "approvers": approvers })).collect();
            let requesters = json!([{ "kind": "Group", "name": requesters }]);
            let mut spec = json!({ "scope": scope, "requesters": requesters, "approval": { "stages": stages } });
            if broken {
                spec["duration"] = json!({ "max": "an hour" });
            }
            policy(name, spec)
        },
    )
}

fn denying() -> impl Strategy<Value = AccessPolicy> {
    let roles = select(vec![json!([]), json!([{ "name": "edit" }]), json!([{ "kind": "Role", "name": "edit" }])]);
    // Noon is in the first window, and the second one opens while access runs.
    let hours = select(vec![None, None, Some(("09:00", "12:30")), Some(("12:30", "18:00"))]);
    (select(vec!["deny-a", "deny-b", "deny-c"]), reach(), roles, hours).prop_map(|(name, scope, roles, hours)| {
        let mut spec = json!({ "scope": scope, "roles": roles });
        if let Some((start, end)) = hours {
            let windows = json!([{ "days": ["Mon"], "start": start, "end": end }]);
            spec["schedule"] = json!({ "timeZone": "UTC", "windows": windows });
        }
        deny(name, spec)
    })
}

fn reach() -> impl Strategy<Value = serde_json::Value> {
    select(vec![
        json!({ "namespaces": ["*"], "cluster": true }),
        json!({ "namespaces": ["*"], "cluster": true, "systemNamespaces": true }),
        json!({ "namespaces": ["s*"] }),
        json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } }),
        json!({ "namespaces": ["elsewhere"] }),
        json!({ "cluster": true }),
    ])
}
