//! What a proposal holds and what it does not, for calls that are written out here and for any.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::compact::difference;
use super::evidence::{GrantCalls, NarrowerTerms, PastGrant, UnseenCalls, UsedCall, UsedRight};
use super::needs::allowed;
use super::proposal::{NarrowerRules, NoProposal, propose};
use super::replay::wanted_by;
use super::silent::asked_within;
use crate::core::activity::deed::{DeedKind, Instead};
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{RowKind, SummaryRow};
use crate::core::laws::fixtures::noon;
use crate::core::rbac::allowed::AllowedOn;
use crate::core::rbac::risk::Extent;
use crate::core::rbac::rules::{covers, list};

const ANY: NarrowerTerms = NarrowerTerms { grants: 1, weeks: 0 };

fn rules(rules: Value) -> Vec<PolicyRule> {
    serde_json::from_value(rules).unwrap()
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Value {
    json!({ "verbs": verbs, "apiGroups": groups, "resources": resources })
}

fn named(verbs: &[&str], resources: &[&str], names: &[&str]) -> Value {
    json!({ "verbs": verbs, "apiGroups": [""], "resources": resources, "resourceNames": names })
}

/// Every right but those to read events, which are a matter of their own.
fn all() -> Vec<PolicyRule> {
    let resources =
        ["pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward", "services", "secrets", "configmaps"];
    let more = ["nodes", "deployments", "users", "serviceaccounts", "roles", "clusterroles", "rolebindings"];
    rules(json!([rule(&["*"], &["*"], &[&resources[..], &more].concat())]))
}

fn after(days: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(24 * days)
}

fn row(kind: DeedKind, names: &[&str]) -> SummaryRow {
    let names = ObjectNames::from(Some(names.iter().map(|name| (*name).to_owned()).collect()));
    SummaryRow {
        kind: RowKind::Alike(Box::new(kind)),
        calls: 1,
        first: noon(),
        last: noon(),
        claimed: Vec::new(),
        names,
    }
}

fn deed(verb: &str, resource: &str) -> DeedKind {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    DeedKind {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: Some("shop".to_owned()),
        user: "alice".to_owned(),
        ..DeedKind::default()
    }
}

fn call(verb: &str, resource: &str) -> SummaryRow {
    row(deed(verb, resource), &[])
}

/// A grant of an hour on some day, and its rows.
fn grant(day: i64, rows: &[SummaryRow]) -> PastGrant {
    let (from, until) = (after(day), after(day) + SignedDuration::from_hours(1));
    PastGrant { name: format!("shop/fix-{day}"), from, until, calls: GrantCalls::of(rows) }
}

fn proposed(role: &[PolicyRule], grants: &[PastGrant]) -> NarrowerRules {
    propose(role, Extent::Namespaces, grants, ANY).unwrap()
}

#[track_caller]
fn leads_to(role: &[PolicyRule], rows: &[SummaryRow], expected: Value) {
    assert_eq!(proposed(role, &[grant(0, rows)]).rules, rules(expected));
}

#[test]
fn what_was_done_is_in_it_and_nothing_more() {
    let rows = [call("get", "pods"), call("list", "pods"), call("get", "services"), call("patch", "deployments.apps")];
    leads_to(
        &all(),
        &rows,
        json!([
            rule(&["get", "list"], &[""], &["pods"]),
            rule(&["get"], &[""], &["services"]),
            rule(&["patch"], &["apps"], &["deployments"])
        ]),
    );
    let same = [call("get", "pods"), call("get", "pods/log"), call("watch", "pods"), call("watch", "pods/log")];
    leads_to(&all(), &same, json!([rule(&["get", "watch"], &[""], &["pods", "pods/log"])]));
}

/// KEP-4006: over WebSocket it is `get`, over SPDY `create`, and newer API servers ask for `create` in both.
#[test]
fn who_opened_a_shell_gets_both_verbs_as_far_as_the_role_has_them() {
    for (verb, resource) in
        [("get", "pods/exec"), ("create", "pods/exec"), ("get", "pods/attach"), ("get", "pods/portforward")]
    {
        let mut kind = deed(verb, resource);
        kind.target = Some("web-0".to_owned());
        let rows = [row(kind, &[])];
        leads_to(&all(), &rows, json!([rule(&["get", "create"], &[""], &[resource])]));
        let one = rules(json!([rule(&[verb, "delete"], &[""], &[resource])]));
        leads_to(&one, &rows, json!([rule(&[verb], &[""], &[resource])]));
    }
}

#[test]
fn names_are_used_where_each_came_again_and_again() {
    let week = |names: &[&str]| row(deed("get", "secrets"), names);
    let settled: Vec<PastGrant> = (0..4).map(|n| grant(n * 7, &[week(&["db", "web"])])).collect();
    let got = |grants: &[PastGrant]| proposed(&all(), grants).rules;
    assert_eq!(got(&settled), rules(json!([named(&["get"], &["secrets"], &["db", "web"])])));
    let open = rules(json!([rule(&["get"], &[""], &["secrets"])]));
    let with = |day: i64, row: SummaryRow| [&settled[..], &[grant(day, &[row])]].concat();
    assert_eq!(got(&with(30, week(&["cache"]))), open, "a name that came once");
    assert_eq!(got(&with(30, row(deed("get", "secrets"), &[]))), open, "a call of which no name is known");
    assert_eq!(got(&settled[..2]), open, "two grants");
    let in_a_week: Vec<PastGrant> = (0..4).map(|n| grant(n, &[week(&["db"])])).collect();
    assert_eq!(got(&in_a_week), open, "one week");
    let six: Vec<PastGrant> = (0..4).map(|n| grant(n * 7, &[week(&["a", "b", "c", "d", "e", "f"])])).collect();
    assert_eq!(got(&six), open, "six names");
    let mut many = settled.clone();
    many[0].calls = GrantCalls::of(&[SummaryRow { names: ObjectNames::Many, ..week(&[]) }]);
    assert_eq!(got(&many), open);
    let listed = with(30, call("list", "secrets"));
    assert_eq!(
        got(&listed),
        rules(json!([rule(&["get", "list"], &[""], &["secrets"])])),
        "all of them were read anyhow"
    );
    let patched: Vec<PastGrant> = (0..4)
        .map(|n| grant(n * 7, &[row(deed("patch", "configmaps"), &["conf"]), call("list", "configmaps")]))
        .collect();
    let both = json!([rule(&["list"], &[""], &["configmaps"]), named(&["patch"], &["configmaps"], &["conf"])]);
    assert_eq!(got(&patched), rules(both), "what is changed is named also where all can be listed");
    for verb in ["create", "list", "watch", "deletecollection"] {
        let grants: Vec<PastGrant> = (0..4).map(|n| grant(n * 7, &[row(deed(verb, "secrets"), &["db"])])).collect();
        assert_eq!(got(&grants), rules(json!([rule(&[verb], &[""], &["secrets"])])));
    }
}

#[test]
fn the_names_of_the_role_stay() {
    let role = rules(json!([named(&["get", "list", "delete"], &["secrets"], &["db", "web", "cache"])]));
    let all_of_them = |verb: &str| json!([named(&[verb], &["secrets"], &["db", "web", "cache"])]);
    let sorted = |mut value: Value| {
        value[0]["resourceNames"] = json!(["cache", "db", "web"]);
        value
    };
    leads_to(&role, &[call("list", "secrets")], sorted(all_of_them("list")));
    leads_to(&role, &[row(deed("get", "secrets"), &["db"])], sorted(all_of_them("get")));
    let grants: Vec<PastGrant> = (0..4).map(|n| grant(n * 7, &[row(deed("get", "secrets"), &["db"])])).collect();
    assert_eq!(proposed(&role, &grants).rules, rules(json!([named(&["get"], &["secrets"], &["db"])])));
}

#[test]
fn what_other_access_allowed_beside_it_counts_as_used() {
    let instead = |request: Option<&str>, unsaid| {
        Some(Instead { by: "devs".to_owned(), request: request.map(str::to_owned), unsaid })
    };
    for instead in [instead(None, false), instead(Some("other"), false)] {
        let rows = [row(DeedKind { instead, ..deed("list", "pods") }, &[]), call("get", "nodes")];
        leads_to(&all(), &rows, json!([rule(&["get"], &[""], &["nodes"]), rule(&["list"], &[""], &["pods"])]));
    }
    // What is done as another needs the other's rights, and the right to act as them.
    for (acting, resource) in [("bob", "users"), ("system:serviceaccount:shop:bot", "serviceaccounts")] {
        let impersonated = Some(acting.to_owned());
        let kind = DeedKind { instead: instead(None, true), impersonated, ..deed("list", "secrets") };
        leads_to(&all(), &[row(kind, &[])], json!([rule(&["impersonate"], &[""], &[resource])]));
    }
}

#[test]
fn what_is_asked_for_within_a_call_is_kept_with_it() {
    let created = DeedKind { created: true, ..deed("patch", "configmaps") };
    leads_to(&all(), &[row(created, &["conf"])], json!([rule(&["create", "patch"], &[""], &["configmaps"])]));
    let group = "rbac.authorization.k8s.io";
    let made = [call("create", &format!("rolebindings.{group}"))];
    let proposal = proposed(&all(), &[grant(0, &made)]);
    let expected =
        json!([rule(&["bind"], &[group], &["clusterroles", "roles"]), rule(&["create"], &[group], &["rolebindings"])]);
    assert_eq!(proposal.rules, rules(expected));
    let names: Vec<String> = proposal.within.iter().map(ToString::to_string).collect();
    assert_eq!(names, [format!("bind clusterroles.{group}"), format!("bind roles.{group}")]);
    assert!(proposal.drops_unnamed_verbs);
    let without_bind = rules(json!([rule(&["create", "delete"], &[group], &["rolebindings"])]));
    leads_to(&without_bind, &made, json!([rule(&["create"], &[group], &["rolebindings"])]));
}

#[test]
fn what_no_log_tells_of_is_kept_where_the_role_names_it() {
    let urls = json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics", "/healthz/*"] });
    let role = rules(json!([
        rule(&["get", "list", "use"], &["", "policy"], &["pods", "podsecuritypolicies"]),
        rule(&["update"], &["apps"], &["deployments", "deployments/finalizers"]),
        rule(&["get"], &[""], &["nodes/metrics", "nodes/status"]),
        rule(&["bind"], &["rbac.authorization.k8s.io"], &["clusterroles"]),
        rule(&["impersonate"], &[""], &["users", "groups"]),
        urls
    ]));
    leads_to(
        &role,
        &[call("get", "pods")],
        json!([
            rule(&["get"], &[""], &["pods"]),
            rule(&["use"], &["", "policy"], &["pods", "podsecuritypolicies"]),
            rule(&["update"], &["apps"], &["deployments/finalizers"]),
            rule(&["get"], &[""], &["nodes/metrics"]),
            rule(&["impersonate"], &[""], &["groups"]),
            urls
        ]),
    );
}

/// The audit policy that Daypass comes with leaves them out.
#[test]
fn what_the_audit_policy_leaves_out_is_kept() {
    let everything = rules(json!([rule(&["*"], &["*"], &["*"])]));
    let proposal = proposed(&everything, &[grant(0, &[call("get", "pods")])]);
    let reads = &["get", "list", "watch"];
    let expected = json!([
        rule(reads, &[""], &["events"]),
        rule(&["get"], &[""], &["pods"]),
        rule(reads, &["events.k8s.io"], &["events"])
    ]);
    assert_eq!(proposal.rules, rules(expected));
    assert_eq!(proposal.events.len(), 6);
    let role = rules(json!([
        rule(&["get", "list"], &[""], &["events", "pods"]),
        rule(&["create"], &["authorization.k8s.io", "apps"], &["localsubjectaccessreviews"]),
    ]));
    let expected = json!([
        rule(&["list"], &[""], &["pods"]),
        rule(&["get", "list"], &[""], &["events"]),
        rule(&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews"])
    ]);
    leads_to(&role, &[call("list", "pods")], expected);
    let logged = PolicyRule { api_groups: Some(vec!["coordination.k8s.io".to_owned()]), ..role[0].clone() };
    let by_name = propose(&[logged], Extent::Namespaces, &[grant(0, &[call("get", "pods")])], ANY);
    assert_eq!(by_name.unwrap_err(), [NoProposal::NothingLeft], "what is kept is no use");
}

#[test]
fn urls_are_no_use_of_resources_and_refusals_after_the_authorisation_are() {
    let path = DeedKind { resource: String::new(), path: Some("/version".to_owned()), ..deed("get", "") };
    let refused = DeedKind { refused: true, ..deed("create", "pods") };
    leads_to(&all(), &[row(path, &[]), row(refused, &[])], json!([rule(&["create"], &[""], &["pods"])]));
}

#[test]
fn without_enough_evidence_there_is_no_proposal_but_every_reason() {
    let terms = NarrowerTerms { grants: 3, weeks: 2 };
    let tried = |grants: &[PastGrant]| propose(&all(), Extent::Namespaces, grants, terms).unwrap_err();
    assert_eq!(tried(&[]), [NoProposal::NoGrants]);
    let used: Vec<PastGrant> = [0, 7, 14].map(|day| grant(day, &[call("get", "pods")])).into();
    assert!(propose(&all(), Extent::Namespaces, &used, terms).is_ok());
    let few = NoProposal::FewGrants { used: 2, least: 3 };
    let unused = [&used[..2], &[grant(14, &[])]].concat();
    assert_eq!(tried(&unused), std::slice::from_ref(&few), "one that was not used is no evidence");
    assert_eq!(tried(&used[..2]), [few.clone(), NoProposal::ShortSpan { weeks: 1, least: 2 }]);
    let mut unknown = used.clone();
    unknown[1].calls = GrantCalls::of(&[SummaryRow { kind: RowKind::Others, ..call("get", "pods") }]);
    let unseen = NoProposal::Unseen(vec![("shop/fix-7".to_owned(), UnseenCalls::TooMany)]);
    assert_eq!(tried(&unknown), [unseen, few]);
    let nobody = propose(&all(), Extent::Namespaces, &[grant(0, &[])], NarrowerTerms { grants: 0, weeks: 0 });
    assert_eq!(nobody.unwrap_err(), [NoProposal::FewGrants { used: 0, least: 1 }]);
    let whole = rules(json!([rule(&["get"], &[""], &["pods"])]));
    assert_eq!(propose(&whole, Extent::Namespaces, &used, terms).unwrap_err(), [NoProposal::NothingToTake]);
    let gone = rules(json!([rule(&["get"], &[""], &["services"])]));
    assert_eq!(propose(&gone, Extent::Namespaces, &used, terms).unwrap_err(), [NoProposal::NothingLeft]);
}

#[test]
fn the_replay_names_who_would_have_lacked_what() {
    let plain = |day| grant(day, &[call("get", "pods")]);
    let rare = grant(9, &[call("get", "pods"), call("delete", "nodes")]);
    let grants = [plain(0), plain(3), rare, grant(12, &[])];
    let proposal = proposed(&all(), &grants);
    assert_eq!((proposal.replay.grants, proposal.replay.lacking.len()), (4, 0));
    let lacking: Vec<&str> = proposal.left_out.lacking.iter().map(|lacking| lacking.name.as_str()).collect();
    assert_eq!(lacking, ["shop/fix-9"], "nobody else deleted nodes");
    assert_eq!(proposal.once.iter().map(ToString::to_string).collect::<Vec<_>>(), ["delete nodes"]);
    assert_eq!((proposal.seen.grants, proposal.seen.used, proposal.seen.weeks()), (4, 3, 1));
    let now = rules(json!([rule(&["get", "list"], &[""], &["pods"])]));
    let narrowed = proposed(&now, &grants);
    assert_eq!(narrowed.rules, rules(json!([rule(&["get"], &[""], &["pods"])])), "what the role lost stays lost");
    let lacking: Vec<&str> = narrowed.replay.lacking.iter().map(|lacking| lacking.name.as_str()).collect();
    assert_eq!(lacking, ["shop/fix-9"]);
}

#[test]
fn rules_that_say_the_same_are_no_difference() {
    let before = rules(json!([rule(&["list", "get"], &[""], &["pods"]), rule(&["*"], &["*"], &["*"])]));
    let now = rules(json!([rule(&["get", "list"], &[""], &["pods"]), rule(&["get"], &[""], &["nodes"])]));
    assert_eq!(difference(&before, &now), (before[1..].to_vec(), now[1..].to_vec()));
}

/// A role of a few words, some of which stand for many.
fn any_role() -> impl Strategy<Value = Vec<PolicyRule>> {
    let some = |words: &'static [&'static str]| prop::collection::btree_set(prop::sample::select(words), 1..4);
    let verbs =
        some(&["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "use", "*"]);
    let groups = some(&["", "apps", "events.k8s.io", "rbac.authorization.k8s.io", "*"]);
    let resources = some(&[
        "pods",
        "pods/exec",
        "secrets",
        "deployments",
        "deployments/finalizers",
        "roles",
        "rolebindings",
        "events",
        "*",
        "*/exec",
    ]);
    let names = prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c"]), 0..3);
    let rule =
        (verbs, groups, resources, names, any::<bool>()).prop_map(|(verbs, groups, resources, names, has_names)| {
            let names: BTreeSet<&str> = if has_names { names } else { BTreeSet::new() };
            serde_json::from_value(
                json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names }),
            )
            .unwrap()
        });
    prop::collection::vec(rule, 1..5)
}

/// The calls of a grant on a day, each with the names that it was about.
type UsedOn = (i64, Vec<(UsedRight, Vec<String>)>);

/// Calls of grants on some days.
fn any_use() -> impl Strategy<Value = Vec<UsedOn>> {
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    let right = (
        word(&["", "apps", "rbac.authorization.k8s.io"]),
        word(&["pods", "pods/exec", "secrets", "deployments", "roles", "rolebindings"]),
        word(&["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]),
    );
    let right = right.prop_map(|(group, resource, verb)| UsedRight { group, resource, verb });
    let names = prop::collection::vec(word(&["a", "b", "c"]), 0..3);
    prop::collection::vec((0..40i64, prop::collection::vec((right, names), 0..5)), 1..9)
}

/// The grants, with those of the calls that the role allows.
fn grants_of(role: &[PolicyRule], used: &[UsedOn]) -> Vec<PastGrant> {
    let allowed_call = |(right, names): &(UsedRight, Vec<String>)| {
        let is_named = ["get", "update", "patch", "delete"].contains(&right.verb.as_str());
        let names: BTreeSet<String> = if is_named { names.iter().cloned().collect() } else { BTreeSet::new() };
        let names = match allowed(role, right)? {
            AllowedOn::All => names,
            AllowedOn::Named(own) => own.intersection(&names).cloned().collect(),
        };
        Some(UsedCall { right: right.clone(), names: ObjectNames::from(Some(names)) })
    };
    let grants = used.iter().enumerate().map(|(n, (day, calls))| PastGrant {
        name: format!("shop/{n}"),
        from: after(*day),
        until: after(*day + 1),
        calls: GrantCalls::Seen(calls.iter().filter_map(allowed_call).collect()),
    });
    grants.collect()
}

/// Each single right of rules, as a rule.
fn single_rights(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut rights = Vec::new();
    for rule in rules {
        let names: Vec<Option<Vec<String>>> = match list(&rule.resource_names) {
            [] => vec![None],
            names => names.iter().map(|name| Some(vec![name.clone()])).collect(),
        };
        for verb in &rule.verbs {
            for group in list(&rule.api_groups) {
                for resource in list(&rule.resources) {
                    rights.extend(names.iter().map(|resource_names| PolicyRule {
                        verbs: vec![verb.clone()],
                        api_groups: Some(vec![group.clone()]),
                        resources: Some(vec![resource.clone()]),
                        resource_names: resource_names.clone(),
                        non_resource_urls: None,
                    }));
                }
            }
        }
    }
    rights
}

fn fits(rules: &[PolicyRule], wanted: &PolicyRule) -> bool {
    covers(rules, std::slice::from_ref(wanted)).is_ok()
}

/// Minimal: each verb on a resource is that of a call, or kept for one of the reasons that are told; each name is one of a
/// call or of the role; and none is there twice.
fn is_minimal(role: &[PolicyRule], used: &[UsedOn]) -> Result<(), TestCaseError> {
    let grants = grants_of(role, used);
    let Ok(proposal) = propose(role, Extent::Namespaces, &grants, ANY) else { return Ok(()) };
    let calls: Vec<PolicyRule> = grants.iter().flat_map(PastGrant::calls).map(|call| wanted_by(role, call)).collect();
    let rights = single_rights(&proposal.rules);
    for right in &rights {
        let kept = fits(&proposal.without_trace, right);
        let within =
            proposal.within.iter().chain(&proposal.events).any(|within| {
                right.verbs == [within.verb.clone()] && list(&right.resources) == [within.resource.clone()]
            });
        // That of a call; and where it is by name, of one about that name, or by a name of the role.
        let own = |name: &String| role.iter().any(|rule| list(&rule.resource_names).contains(name));
        let is_used = calls.iter().any(|call| {
            let same =
                (&call.verbs, &call.api_groups, &call.resources) == (&right.verbs, &right.api_groups, &right.resources);
            same && list(&right.resource_names)
                .iter()
                .all(|name| own(name) || list(&call.resource_names).contains(name))
        });
        prop_assert!(is_used || kept || within, "{right:?} can be left out of {:?}", proposal.rules);
    }
    let of_calls = &rights[..rights.len() - single_rights(&proposal.without_trace).len().min(rights.len())];
    let each: BTreeSet<String> = of_calls.iter().map(|right| json!(right).to_string()).collect();
    prop_assert_eq!(each.len(), of_calls.len(), "a right is there twice");
    Ok(())
}

#[test]
fn names_of_the_role_stay_where_too_few_calls_say_one() {
    let role = rules(json!([{
        "verbs": ["get"], "apiGroups": ["", "rbac.authorization.k8s.io"], "resources": ["pods/exec"],
        "resourceNames": ["a", "c"],
    }]));
    let word = |word: &str| word.to_owned();
    let right = UsedRight { group: word("rbac.authorization.k8s.io"), resource: word("pods/exec"), verb: word("get") };
    is_minimal(&role, &[(0, vec![(right, vec![word("a")])])]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_proposal_is_too_narrow_for_its_evidence_or_wider_than_the_role(role in any_role(), used in any_use()) {
        let grants = grants_of(&role, &used);
        let Ok(proposal) = propose(&role, Extent::Namespaces, &grants, ANY) else { return Ok(()) };
        for rule in &proposal.rules {
            prop_assert!(fits(&role, rule), "{rule:?} is wider than the role");
        }
        for call in grants.iter().flat_map(PastGrant::calls) {
            let wanted = wanted_by(&role, call);
            prop_assert!(fits(&role, &wanted), "the grant did not allow {wanted:?}");
            prop_assert!(fits(&proposal.rules, &wanted), "{wanted:?} is not in {:?}", proposal.rules);
            for right in asked_within(&call.right).iter().filter(|right| allowed(&role, right).is_some()) {
                prop_assert!(allowed(&proposal.rules, right).is_some(), "{right} may be asked for within {:?}", call.right);
            }
        }
        prop_assert!(proposal.replay.lacking.is_empty());
        let again = propose(&proposal.rules, Extent::Namespaces, &grants, ANY);
        prop_assert_eq!(again.unwrap_err(), [NoProposal::NothingToTake], "of what is proposed all was used");
    }

    #[test]
    fn no_right_of_a_proposal_can_be_left_out(role in any_role(), used in any_use()) {
        is_minimal(&role, &used)?;
    }

    #[test]
    fn the_order_of_grants_and_calls_makes_no_difference(role in any_role(), used in any_use(), turn in 0..9usize) {
        let grants = grants_of(&role, &used);
        let mut turned = grants.clone();
        turned.rotate_left(turn % grants.len());
        for grant in &mut turned {
            if let GrantCalls::Seen(calls) = &mut grant.calls {
                calls.reverse();
                calls.extend(calls.clone());
            }
        }
        let tried = |grants: &[PastGrant]| propose(&role, Extent::Namespaces, grants, ANY).map(|proposal| proposal.rules);
        prop_assert_eq!(tried(&turned), tried(&grants));
    }

    /// More evidence never takes a right away, but for names: rules that were by name may become rules for all.
    #[test]
    fn what_one_more_grant_uses_is_added(role in any_role(), used in any_use()) {
        let grants = grants_of(&role, &used);
        let (fewer, whole) = (&grants[1..], &grants[..]);
        let tried = |grants: &[PastGrant]| propose(&role, Extent::Namespaces, grants, ANY).map(|proposal| proposal.rules);
        if let (Ok(fewer), Ok(whole)) = (tried(fewer), tried(whole)) {
            for right in single_rights(&fewer).iter().filter(|right| list(&right.resource_names).is_empty()) {
                let right = UsedRight {
                    group: list(&right.api_groups)[0].clone(),
                    resource: list(&right.resources)[0].clone(),
                    verb: right.verbs[0].clone(),
                };
                prop_assert!(allowed(&whole, &right).is_some(), "{right} is not in {whole:?}");
            }
        }
    }
}
