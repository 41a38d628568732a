//! Yes, no, or not yet: what the policies and reviewers say to a request.
//!
//! The answer does not depend on the order of policies. A denial carries all reasons.

use k8s_openapi::jiff::Timestamp;

use super::choose::{Chosen, choose};
use crate::api::policy::Effect;
use crate::core::decision::answer::{Approved, Decision, Lapse, Unreadable, Waiting};
use crate::core::decision::approvals::ReviewLog;
use crate::core::decision::context::EvalContext;
use crate::core::decision::held_up::{frozen, role_away};
use crate::core::decision::people::{Said, ask_people};
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::stance::denials;
use crate::core::model::ask::ValidRequest;

/// Decides a request at a time.
pub fn decide<'p>(ask: &ValidRequest<'_>, s: &Snapshot<'p>, log: ReviewLog<'_>, now: Timestamp) -> Decision<'p> {
    let policies = s.policies;
    if let Some(fault) = s.reach.refusal(s.request.metadata.namespace.as_deref().unwrap_or_default(), &ask.target) {
        return Decision::Denied(vec![Denial::Request(fault)]);
    }
    let place = match ask.target.resolve(s.namespaces) {
        Ok(place) => place,
        Err(fault) => return Decision::Denied(vec![Denial::Request(fault)]),
    };
    if let Some((name, faults)) = policies.broken(Effect::Deny).next() {
        return Decision::Undecided(Unreadable { policy: name.to_owned(), faults: faults.to_vec() });
    }
    let mut context = EvalContext::new(s, &place, now);
    let (denied, freezes) = denials(ask, policies, &context);
    context.freezes = freezes.clone();
    if !denied.is_empty() {
        return Decision::Denied(denied.into_iter().map(Denial::Policy).collect());
    }
    let Chosen { policy, period, automatic } = match choose(ask, policies, &context) {
        Ok(chosen) => chosen,
        Err(reasons) => return Decision::Denied(reasons),
    };
    let denied = |shortfall| {
        let policy = policy.reference.name.clone();
        Decision::Denied(vec![Denial::FallsShort { policy, shortfalls: vec![shortfall] }])
    };
    let automatic = match automatic {
        Ok(automatic) => automatic,
        Err(why) => return denied(Shortfall::AutomaticUnevaluated(why)),
    };
    if context.role_is_unknown() {
        return Decision::RightUnknown(ask.role.clone());
    }
    let frozen = frozen(ask, &context);
    match ask_people(ask, policy, automatic, period, log, now) {
        Said::Open(waiting) => match context.too_many_open(ask, policy) {
            None => {
                Decision::Waiting(Waiting { frozen, role_away: context.role_away().cloned().map(Box::new), ..waiting })
            }
            Some(exceeded) => denied(Shortfall::Limit(exceeded)),
        },
        Said::Complete(approvers) => {
            let approved = Approved { policy, place: place.clone(), period, approvers, freezes };
            match (frozen, role_away(ask, policy, period, &context)) {
                (Some(edge), _) => Decision::Frozen(approved, edge),
                (None, None) => Decision::Approved(approved),
                (None, Some(away)) if away.deadline <= now => Decision::Lapsed(Lapse::Role(away.why)),
                (None, Some(away)) => Decision::RoleAway(approved, away),
            }
        }
        Said::Refused { by, comment } => Decision::Refused { policy, by, comment },
        Said::Late(why) => Decision::Lapsed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::policy::AccessPolicy;
    use crate::core::decision::answer::{frozen_until, refused, right_unknown, waits_for_role};
    use crate::core::decision::approvals::Reviews;
    use crate::core::decision::validate::validate;
    use crate::core::laws::fixtures::{deny, namespaces, noon, policy, request};
    use crate::core::laws::simulator::Simulator;
    use crate::core::policies::PolicySet;
    use crate::core::policies::limits::Counted;
    use crate::core::rbac::role::RoleSeen;
    use serde_json::{Value, json};

    fn text(reasons: &[Denial]) -> String {
        reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// The policy and length that a request is granted under, or why it is not.
    fn answer(spec: Value, policies: &[AccessPolicy]) -> Result<(String, String), String> {
        answer_beside(&[], spec, policies)
    }

    fn answer_beside(others: &[Counted], spec: Value, policies: &[AccessPolicy]) -> Result<(String, String), String> {
        let (request, set) = (request(spec), PolicySet::new(policies));
        let mut simulator = Simulator::new(request, Vec::new(), namespaces(), noon());
        simulator.others = others.to_vec();
        let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
        match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
            Decision::Approved(a) => {
                Ok((a.policy.reference.name.clone(), crate::core::model::duration::format(a.period.length())))
            }
            Decision::Denied(reasons) => Err(text(&reasons)),
            Decision::Waiting(waiting) => Err(format!("{} waits", waiting.policy.reference.name)),
            Decision::Undecided(why) => Err(why.to_string()),
            Decision::Lapsed(why) => Err(why.to_string()),
            Decision::Frozen(_, edge) => Err(frozen_until(&edge)),
            Decision::RightUnknown(role) => Err(right_unknown(&role)),
            Decision::RoleAway(_, away) => Err(waits_for_role(&away.why)),
            Decision::Refused { by, comment, .. } => Err(refused(&by, &comment)),
        }
    }

    fn by(name: &str, length: &str) -> Result<(String, String), String> {
        Ok((name.to_owned(), length.to_owned()))
    }

    #[test]
    fn a_doubted_policy_denies_what_is_new_and_allows_nothing() {
        let (allow, deny) = (policy("allow", json!({})), deny("no", json!({})));
        let asked_of = |role: RoleSeen, policies: &[&AccessPolicy], spec: Value| {
            let doubted = |_: &AccessPolicy| Some("it was written in a gap".to_owned());
            let set = PolicySet::default().renewed(policies.iter().copied(), doubted);
            let mut simulator = Simulator::new(request(spec), Vec::new(), namespaces(), noon());
            simulator.role = Some(role);
            let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
            match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
                Decision::Denied(reasons) => text(&reasons),
                other => format!("{other:?}"),
            }
        };
        let asked = |policies: &[&AccessPolicy], spec| asked_of(RoleSeen::that_only_looks(), policies, spec);
        assert_eq!(asked(&[&allow], json!({})), "policy allow: it was written in a gap");
        // A role that is not there is another fault of the policy, and hides no first one.
        let gone = asked_of(RoleSeen::OfCluster(None), &[&allow], json!({}));
        assert!(gone.starts_with("policy allow: it was written in a gap, spec.roles[0]: there is no"), "{gone}");
        let longer = asked(&[&allow], json!({ "duration": "700h" }));
        assert!(longer.starts_with("policy allow: ") && !longer.contains("gap"), "{longer}");
        assert_eq!(asked(&[&allow, &deny], json!({})), "policy no denies it");
    }

    #[test]
    fn deny_wins_over_every_allow_and_says_all_that_deny() {
        let allow = policy("allow", json!({}));
        let text = answer(json!({}), &[deny("no-b", json!({})), allow.clone(), deny("no-a", json!({}))]);
        assert_eq!(text, Err("policy no-a denies it; policy no-b denies it".to_owned()));
        let elsewhere = deny("no", json!({ "scope": { "namespaces": ["bank"] } }));
        let others = deny("no", json!({ "requesters": [{ "kind": "User", "name": "mallory" }] }));
        let admins = deny("no", json!({ "roles": [{ "name": "admin" }] }));
        for deny in [elsewhere, others, admins] {
            assert_eq!(answer(json!({}), &[allow.clone(), deny]), by("allow", "1h"));
        }
    }

    #[test]
    fn a_deny_for_one_namespace_stops_requests_that_reach_it_from_above() {
        let allow = policy("allow", json!({ "scope": { "namespaces": ["*"], "cluster": true } }));
        let policies = [allow, deny("no", json!({ "scope": { "namespaces": ["bank"] } }))];
        let text = Err("policy no denies it".to_owned());
        assert_eq!(answer(json!({ "scope": { "cluster": true } }), &policies), text);
        assert_eq!(answer(json!({ "scope": { "namespaces": ["bank", "shop"] } }), &policies), text);
        assert_eq!(answer(json!({ "scope": { "namespaces": ["shop"] } }), &policies), by("allow", "1h"));
    }

    #[test]
    fn the_policy_with_least_friction_decides_then_the_first_by_name() {
        let stages = |required: &[i32]| {
            let approvers = json!([{ "kind": "Group", "name": "leads" }]);
            let stage = |(i, n)| json!({ "name": format!("s{i}"), "required": n, "approvers": approvers });
            let stages: Vec<Value> = required.iter().enumerate().map(stage).collect();
            json!({ "approval": { "stages": stages } })
        };
        let (two, one_of_two, one) = (stages(&[1, 1]), stages(&[2]), stages(&[1]));
        let all = |specs: &[(&str, &Value)]| specs.iter().map(|(n, s)| policy(n, (*s).clone())).collect::<Vec<_>>();
        assert_eq!(answer(json!({}), &all(&[("a", &two), ("b", &one_of_two)])), Err("b waits".to_owned()));
        assert_eq!(answer(json!({}), &all(&[("a", &one_of_two), ("b", &one)])), Err("b waits".to_owned()));
        assert_eq!(answer(json!({}), &all(&[("a", &one), ("c", &json!({})), ("b", &json!({}))])), by("b", "1h"));
    }

    #[test]
    fn a_named_policy_decides_alone_but_never_over_a_deny() {
        let policies = [policy("easy", json!({})), policy("hard", json!({ "duration": { "max": "5m" } }))];
        assert_eq!(answer(json!({ "policy": "hard" }), &policies), by("hard", "5m"));
        assert_eq!(answer(json!({ "policy": "ghost" }), &policies), Err("there is no policy ghost".to_owned()));
        let near = "there is no policy eazy; names that are near: easy";
        assert_eq!(answer(json!({ "policy": "eazy" }), &policies), Err(near.to_owned()));
        let long = answer(json!({ "policy": "hard", "duration": "10m" }), &policies);
        assert_eq!(long, Err("policy hard: 10m is longer than its maximum of 5m".to_owned()));
        let denied = [policies[0].clone(), deny("no", json!({}))];
        assert_eq!(answer(json!({ "policy": "easy" }), &denied), Err("policy no denies it".to_owned()));
        let far = deny("no", json!({ "scope": { "namespaces": ["bank"] } }));
        assert!(answer(json!({ "policy": "no" }), &[far]).unwrap_err().contains("nothing can be granted by it"));
    }

    #[test]
    fn a_length_that_is_not_named_is_the_policy_s_default() {
        for (limits, length) in [
            (json!({ "max": "8h" }), "1h"),
            (json!({ "max": "20m" }), "20m"),
            (json!({ "max": "8h", "default": "2h" }), "2h"),
        ] {
            assert_eq!(answer(json!({}), &[policy("p", json!({ "duration": limits }))]), by("p", length));
        }
        let at_most = answer(json!({ "duration": "60m" }), &[policy("p", json!({}))]);
        assert_eq!(at_most, by("p", "1h"));
        let longer = answer(json!({ "duration": "3601s" }), &[policy("p", json!({}))]);
        assert_eq!(longer, Err("policy p: 1h1s is longer than its maximum of 1h".to_owned()));
    }

    #[test]
    fn an_allow_covers_everything_that_is_asked_for_or_it_does_not_match() {
        let text = |spec, policy| answer(spec, &[policy]).unwrap_err();
        let role = json!([{ "kind": "Role", "name": "edit" }]);
        assert_eq!(
            text(json!({}), policy("p", json!({ "roles": role }))),
            "policy p: ClusterRole/edit is not among its roles (Role/edit)"
        );
        assert_eq!(
            text(json!({ "scope": { "namespaces": ["bank", "shop"] } }), policy("p", json!({}))),
            "policy p: it does not cover namespace bank"
        );
        assert_eq!(
            text(json!({ "scope": { "cluster": true } }), policy("p", json!({ "scope": { "namespaces": ["*"] } }))),
            "policy p: it does not cover the whole cluster"
        );
        assert_eq!(
            text(json!({}), policy("p", json!({ "scope": { "cluster": true } }))),
            "policy p: it does not cover namespace shop"
        );
        assert_eq!(
            text(json!({ "requester": { "username": "eve" }, "duration": "2h" }), policy("p", json!({}))),
            "policy p: eve is not among its requesters (Group/dev), 2h is longer than its maximum of 1h"
        );
        assert_eq!(
            text(json!({}), deny("p", json!({ "scope": { "cluster": true } }))),
            "there is no policy that allows anything"
        );
    }

    fn when(expression: &str, message: &str) -> Value {
        json!({ "conditions": [{ "expression": expression, "message": message }] })
    }

    #[test]
    fn a_condition_that_does_not_hold_is_told_in_its_author_s_words() {
        let ticket = || policy("p", when("request.ticket != ''", "name a ticket (spec.ticket)"));
        assert_eq!(answer(json!({}), &[ticket()]), Err("policy p: name a ticket (spec.ticket)".to_owned()));
        assert_eq!(answer(json!({ "ticket": "OPS-7" }), &[ticket()]), by("p", "1h"));
        let easier = answer(json!({}), &[ticket(), policy("q", json!({}))]);
        assert_eq!(easier, by("q", "1h"));
        // The length of a request that names none is the policy's, also for its conditions.
        let short = policy("p", when("request.durationSeconds <= 60", "at most a minute"));
        assert!(answer(json!({}), std::slice::from_ref(&short)).is_err());
        assert_eq!(answer(json!({ "duration": "1m" }), &[short]), by("p", "1m"));
    }

    #[test]
    fn a_condition_that_cannot_be_evaluated_lets_nobody_in() {
        let text = answer(json!({}), &[policy("p", when("1 / 0 == 1", "m"))]).unwrap_err();
        assert!(text.starts_with("policy p: its condition cannot be evaluated: 1 / 0 == 1"), "{text}");
        let denial = deny("no", when("1 / 0 == 1", "m"));
        let text = answer(json!({}), &[policy("p", json!({})), denial]).unwrap_err();
        assert!(text.starts_with("policy no denies it, since a condition cannot be evaluated: 1 / 0 == 1"), "{text}");
    }

    #[test]
    fn a_denial_with_conditions_denies_when_they_all_hold() {
        let denial = |expression| deny("no", when(expression, "m"));
        let all = |expression| [policy("p", json!({})), denial(expression)];
        assert_eq!(answer(json!({}), &all("request.role == 'edit'")), Err("policy no denies it".to_owned()));
        assert_eq!(answer(json!({}), &all("request.role == 'admin'")), by("p", "1h"));
        let mut both = denial("request.role == 'edit'");
        both.spec.conditions.extend(denial("'ops' in requester.groups").spec.conditions);
        assert_eq!(answer(json!({}), &[policy("p", json!({})), both]), by("p", "1h"));
    }

    #[test]
    fn a_slip_in_an_expression_lets_nobody_in_and_hinders_nobody_else() {
        let slip = || when("request.reson == ''", "m");
        let expected = "spec.conditions[0].expression: character 9: request has no reson, did you mean reason?";
        let text = answer(json!({}), &[policy("p", slip())]).unwrap_err();
        assert!(text.starts_with(&format!("policy p: it is not ready ({expected}")), "{text}");
        assert_eq!(answer(json!({}), &[policy("a", slip()), policy("b", json!({}))]), by("b", "1h"));
        // What its fields say against the request comes first.
        let text = answer(json!({ "role": { "name": "admin" } }), &[policy("p", slip())]).unwrap_err();
        assert_eq!(text, "policy p: ClusterRole/admin is not among its roles (ClusterRole/edit)");
        let text = answer(json!({}), &[policy("p", staged("risk.level == 'low'"))]).unwrap_err();
        assert!(text.starts_with("policy p: it is not ready (spec.approval.automaticWhen: character 15: "), "{text}");
    }

    /// Its other conditions do not count either: nobody knows what was meant.
    #[test]
    fn a_slip_in_a_deny_denies_what_its_fields_touch_and_no_more() {
        let slip = |mut spec: Value| {
            let conditions =
                [when("1 == 2", "m"), when("request.reson == ''", "m")].map(|c| c["conditions"][0].clone());
            spec["conditions"] = json!(conditions);
            deny("no", spec)
        };
        let all = |spec| [policy("p", json!({})), slip(spec)];
        let text = answer(json!({}), &all(json!({}))).unwrap_err();
        let expected =
            "policy no denies it, since a condition cannot be evaluated: spec.conditions[1].expression: character 9";
        assert!(text.starts_with(expected), "{text}");
        for elsewhere in [
            json!({ "roles": [{ "name": "admin" }] }),
            json!({ "scope": { "namespaces": ["bank"] } }),
            json!({ "requesters": [{ "kind": "User", "name": "mallory" }] }),
        ] {
            assert_eq!(answer(json!({}), &all(elsewhere)), by("p", "1h"));
        }
    }

    fn staged(automatic_when: &str) -> Value {
        let stages = json!([{ "name": "s", "approvers": [{ "kind": "Group", "name": "leads" }] }]);
        json!({ "approval": { "automaticWhen": automatic_when, "stages": stages } })
    }

    #[test]
    fn low_risk_waits_for_nobody_and_the_rest_for_people() {
        let short = || policy("p", staged("request.durationSeconds <= 600"));
        assert_eq!(answer(json!({ "duration": "10m" }), &[short()]), by("p", "10m"));
        assert_eq!(answer(json!({ "duration": "11m" }), &[short()]), Err("p waits".to_owned()));
        // Asking nobody, it asks least.
        let plain = policy("a", json!({ "approval": staged("false")["approval"] }));
        assert_eq!(answer(json!({ "duration": "10m" }), &[plain, short()]), by("p", "10m"));
        let text = answer(json!({}), &[policy("p", staged("1 / 0 == 1"))]).unwrap_err();
        assert!(text.starts_with("policy p: its automaticWhen cannot be evaluated: 1 / 0 == 1"), "{text}");
    }

    #[test]
    fn a_policy_that_is_full_leaves_room_for_another() {
        let mut other = request(json!({}));
        other.metadata.uid = Some("r-2".to_owned());
        let binding = json!({ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-2" });
        let status = json!({
            "state": "Active", "grantedAt": noon().to_string(), "expiresAt": "2026-11-23T13:00:00Z", "bindings": [binding],
            "policy": { "name": "full", "uid": "p-full", "generation": 1 }
        });
        other.status = Some(serde_json::from_value(status).unwrap());
        let others = [Counted::of(&other).unwrap()];
        let full = policy("full", json!({ "limits": { "liveGrants": 1 } }));
        let text = answer_beside(&others, json!({}), std::slice::from_ref(&full));
        assert_eq!(text, Err("policy full: there are 1 running grants under it, and it allows 1".to_owned()));
        assert_eq!(answer_beside(&others, json!({}), &[full.clone(), policy("other", json!({}))]), by("other", "1h"));
        assert_eq!(answer_beside(&[], json!({}), &[full]), by("full", "1h"));
        // The same for what would have to wait.
        let waiting = json!({ "state": "Pending", "policy": { "name": "p", "uid": "p-p", "generation": 1 } });
        other.status = Some(serde_json::from_value(waiting).unwrap());
        let mut spec = staged("false");
        spec["limits"] = json!({ "openRequestsPerPerson": 1 });
        let text = answer_beside(&[Counted::of(&other).unwrap()], json!({}), &[policy("p", spec.clone())]).unwrap_err();
        assert_eq!(text, "policy p: there are 1 requests of alice that wait under it, and it allows 1");
        assert_eq!(answer(json!({}), &[policy("p", spec)]), Err("p waits".to_owned()));
    }

    #[test]
    fn a_broken_allow_grants_nobody_anything() {
        let text = answer(json!({}), &[policy("p", json!({ "requesters": [] }))]).unwrap_err();
        assert!(text.starts_with("policy p: it is not ready (spec.requesters: "), "{text}");
    }

    #[test]
    fn a_broken_allow_is_no_hindrance_to_a_sound_one() {
        let unread = policy("a", json!({ "duration": { "max": "soon" } }));
        assert_eq!(answer(json!({}), &[unread, policy("b", json!({}))]), by("b", "1h"));
    }
}
