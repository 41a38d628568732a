use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, PolicyRule, RoleBinding};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::finding::{CommandLine, Holder, InsightFinding, InsightKind, Remedy};
use super::line::{KnownFindings, known, lines};
use super::seen::{ClusterSeen, InstallationSeen, UnreadPart};
use super::{InsightReport, findings};
use crate::api::keys;
use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;
use crate::core::laws::fixtures::{namespaces, noon, policy, request};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, KnownRules};

/// A cluster with some roles, and nobody bound to any.
pub(super) fn seen() -> ClusterSeen {
    let mut roles = KnownRoles::default();
    for (name, rules) in [
        ("cluster-admin", vec![rule("*", "*", "*", &[])]),
        ("edit", vec![rule("get,list,create,update,delete", "", "pods,secrets", &[])]),
        ("view", vec![rule("get,list", "", "pods", &[])]),
        ("binder", vec![rule("bind", "rbac.authorization.k8s.io", "clusterroles", &[])]),
        ("binds-view", vec![rule("bind", "rbac.authorization.k8s.io", "clusterroles", &["view"])]),
        ("parts", vec![rule("get,list,watch,create,update,patch,delete", "*", "*", &[])]),
        ("writes-bindings", vec![rule("update", "rbac.authorization.k8s.io", "rolebindings", &[])]),
        ("peeks", vec![rule("get", "", "pods/exec", &[])]),
        ("asks", vec![rule("create,get,patch", "daypass.dev", "accessrequests", &[])]),
    ] {
        roles.insert(None, name.to_owned(), KnownRules::Rules(rules));
    }
    roles.insert(None, "gone".to_owned(), KnownRules::Gone);
    ClusterSeen {
        now: noon(),
        window: SignedDuration::from_hours(90 * 24),
        only: None,
        role_bindings: Ok(Vec::new()),
        cluster_role_bindings: Ok(Vec::new()),
        roles,
        accounts: Ok(BTreeSet::from([
            ("shop".to_owned(), "default".to_owned()),
            ("shop".to_owned(), "strong".to_owned()),
            ("daypass-system".to_owned(), "daypass".to_owned()),
        ])),
        namespaces: Ok(namespaces()),
        policies: Ok(Vec::new()),
        requests: Ok(Vec::new()),
        uses: Err(UnreadPart { what: "uses".to_owned(), why: "no archive".to_owned() }),
        grants: Err(UnreadPart { what: "grants".to_owned(), why: "no archive".to_owned() }),
        writes: Err(UnreadPart { what: "writes".to_owned(), why: "no archive".to_owned() }),
        installation: InstallationSeen {
            release: "daypass-system".to_owned(),
            accounts: BTreeSet::from(["daypass".to_owned()]),
        },
    }
}

pub(super) fn rule(verbs: &str, group: &str, resources: &str, names: &[&str]) -> PolicyRule {
    let list = |words: &str| words.split(',').map(str::to_owned).collect::<Vec<_>>();
    PolicyRule {
        verbs: list(verbs),
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(list(resources)),
        resource_names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..PolicyRule::default()
    }
}

/// `User/NAME`, `Group/NAME` or `ServiceAccount/NAMESPACE/NAME`.
fn subject(word: &str) -> Value {
    let parts: Vec<&str> = word.split('/').collect();
    match parts[..] {
        ["ServiceAccount", namespace, name] => {
            json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
        }
        [kind, name] => json!({ "kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io" }),
        _ => panic!("{word}"),
    }
}

fn manifest(namespace: Option<&str>, name: &str, role: &str, subjects: &[&str]) -> Value {
    let subjects: Vec<Value> = subjects.iter().map(|word| subject(word)).collect();
    json!({
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}

pub(super) fn cluster_binding(name: &str, role: &str, who: &str) -> Observed {
    let binding: ClusterRoleBinding = serde_json::from_value(manifest(None, name, role, &[who])).unwrap();
    Observed::from(&binding)
}

pub(super) fn binding(namespace: &str, name: &str, role: &str, subjects: &[&str]) -> Observed {
    let binding: RoleBinding = serde_json::from_value(manifest(Some(namespace), name, role, subjects)).unwrap();
    Observed::from(&binding)
}

/// Kind and who of each finding.
fn told(report: &InsightReport) -> Vec<(InsightKind, String)> {
    let who = |f: &InsightFinding| f.who.as_ref().map_or_else(|| f.about.name.clone(), ToString::to_string);
    report.found.iter().map(|f| (f.kind, who(f))).collect()
}

fn kinds(report: &InsightReport) -> Vec<InsightKind> {
    report.found.iter().map(|f| f.kind).collect()
}

/// What is found of one binding in the whole cluster.
fn of_cluster(role: &str, who: &str) -> Vec<InsightKind> {
    let seen = ClusterSeen { cluster_role_bindings: Ok(vec![cluster_binding("b", role, who)]), ..seen() };
    kinds(&findings(&seen))
}

/// What is found of one binding in a namespace.
fn of_namespace(namespace: &str, role: &str, who: &str) -> Vec<InsightKind> {
    let seen = ClusterSeen { role_bindings: Ok(vec![binding(namespace, "b", role, &[who])]), ..seen() };
    kinds(&findings(&seen))
}

use InsightKind::*;

#[test]
fn who_has_everything_is_told_once_by_whatever_way() {
    for (role, who) in [
        ("cluster-admin", "User/alice"),
        ("cluster-admin", "Group/admins"),
        ("cluster-admin", "ServiceAccount/shop/strong"),
        ("cluster-admin", "User/system:serviceaccount:shop:strong"),
        ("parts", "User/alice"),
    ] {
        assert_eq!(of_cluster(role, who), [ClusterAdminBound], "{role} {who}");
    }
    assert_eq!(of_namespace("kube-system", "cluster-admin", "User/alice"), [ClusterAdminBound]);
    assert_eq!(of_namespace("shop", "cluster-admin", "User/alice"), [StandingReplaceable]);
}

#[test]
fn what_the_cluster_comes_with_is_no_finding_and_what_is_added_to_it_is() {
    let mut own = cluster_binding("cluster-admin", "cluster-admin", "Group/system:masters");
    let seen = |binding: &Observed| ClusterSeen { cluster_role_bindings: Ok(vec![binding.clone()]), ..seen() };
    assert_eq!(kinds(&findings(&seen(&own))), []);
    own.subjects.push(serde_json::from_value(subject("User/mallory")).unwrap());
    assert_eq!(told(&findings(&seen(&own))), [(ClusterAdminBound, "User/mallory".to_owned())]);
    // A label of its own makes nothing a part of the cluster.
    let mut marked = cluster_binding("system:mine", "cluster-admin", "User/mallory");
    marked.metadata.labels = Some(BTreeMap::from([("kubernetes.io/bootstrapping".into(), "rbac-defaults".into())]));
    assert_eq!(kinds(&findings(&seen(&marked))), [ClusterAdminBound]);
    assert_eq!(kinds(&findings(&seen(&cluster_binding("system:discovery", "view", "Group/system:authenticated")))), []);
    // As it comes it lets one look at nothing that is secret.
    let widened = cluster_binding("system:discovery", "edit", "Group/system:authenticated");
    assert!(kinds(&findings(&seen(&widened))).contains(&AllAuthenticatedBound));
    assert_eq!(of_cluster("cluster-admin", "User/system:kube-scheduler"), []);
    assert_eq!(of_cluster("cluster-admin", "ServiceAccount/daypass-system/daypass"), []);
}

#[test]
fn rights_of_everybody_are_told_however_small() {
    assert_eq!(of_cluster("view", "User/system:anonymous"), [AnonymousBound]);
    assert_eq!(of_cluster("view", "Group/system:unauthenticated"), [AnonymousBound]);
    assert_eq!(of_cluster("view", "Group/system:authenticated"), [AllAuthenticatedBound]);
    assert_eq!(of_cluster("view", "Group/system:serviceaccounts"), [AllAuthenticatedBound]);
    assert_eq!(of_cluster("asks", "Group/system:authenticated"), [], "it is what Daypass is for");
    assert_eq!(of_cluster("asks", "Group/system:unauthenticated"), [AnonymousBound]);
    assert_eq!(of_namespace("shop", "view", "Group/system:serviceaccounts:shop"), [DefaultAccountBound]);
}

#[test]
fn people_who_look_or_ask_hold_nothing_that_is_worth_asking_for() {
    assert_eq!(of_cluster("view", "User/alice"), []);
    assert_eq!(of_cluster("asks", "Group/dev"), []);
    assert_eq!(of_namespace("shop", "edit", "User/alice"), [StandingReplaceable]);
    assert_eq!(of_namespace("shop", "edit", "ServiceAccount/shop/strong"), [], "robots do not ask");
}

#[test]
fn a_right_on_some_names_counts_for_what_it_is_good_for() {
    assert_eq!(of_cluster("binder", "User/alice"), [CanForgeDaypass, StandingReplaceable]);
    assert_eq!(of_cluster("binds-view", "User/alice"), [StandingReplaceable]);
}

#[test]
fn what_is_not_there_is_told_only_where_it_was_looked_for() {
    assert_eq!(of_cluster("gone", "User/alice"), [MissingRole]);
    assert_eq!(of_namespace("shop", "view", "ServiceAccount/shop/gone"), [MissingAccount]);
    let unread = UnreadPart { what: "list serviceaccounts".to_owned(), why: "forbidden".to_owned() };
    let bound = binding("shop", "b", "view", &["ServiceAccount/shop/gone"]);
    let blind = ClusterSeen { role_bindings: Ok(vec![bound]), accounts: Err(unread.clone()), ..seen() };
    let report = findings(&blind);
    assert_eq!(kinds(&report), []);
    assert!(report.unread.iter().any(|one| one.part == unread && one.kinds.contains(&MissingAccount)));
}

#[test]
fn nothing_is_said_of_what_was_not_read() {
    let why = || UnreadPart { what: "list".to_owned(), why: "forbidden".to_owned() };
    let blind = ClusterSeen {
        role_bindings: Err(why()),
        cluster_role_bindings: Err(why()),
        accounts: Err(why()),
        policies: Err(why()),
        requests: Err(why()),
        ..seen()
    };
    let report = findings(&blind);
    assert_eq!(report.found, []);
    let untold: BTreeSet<InsightKind> = report.unread.iter().flat_map(|one| one.kinds.clone()).collect();
    let all: BTreeSet<InsightKind> = crate::api::word::Vocabulary::ALL.iter().copied().collect();
    assert_eq!(untold, all, "each kind hangs on something that was read");
}

#[test]
fn commands_in_pods_by_get_alone_are_told() {
    assert!(of_namespace("shop", "peeks", "User/alice").contains(&ExecByGet));
    assert!(!of_namespace("shop", "cluster-admin", "User/alice").contains(&ExecByGet));
}

#[test]
fn who_runs_pods_beside_a_stronger_account_is_as_strong() {
    let strong = cluster_binding("strong", "cluster-admin", "ServiceAccount/shop/strong");
    let edits = binding("shop", "edits", "edit", &["User/alice"]);
    let seen = ClusterSeen { role_bindings: Ok(vec![edits]), cluster_role_bindings: Ok(vec![strong]), ..seen() };
    assert!(told(&findings(&seen)).contains(&(CanUseStrongerAccount, "User/alice".to_owned())));
}

#[test]
fn one_is_taken_out_of_a_binding_and_the_others_stay() {
    let three = binding("shop", "b", "edit", &["User/alice", "User/bob", "ServiceAccount/shop/strong"]);
    let seen = ClusterSeen { role_bindings: Ok(vec![three]), ..seen() };
    let found = findings(&seen).found;
    let line = |f: &InsightFinding| match &f.remedy {
        Remedy::Replace(_, unbind) => unbind.in_shell(),
        other => panic!("{other:?}"),
    };
    assert_eq!(found.len(), 2);
    assert!(line(&found[0]).contains(r#""path":"/subjects/0""#), "{}", line(&found[0]));
    assert!(line(&found[1]).contains(r#""path":"/subjects/1""#));
    let one = ClusterSeen { role_bindings: Ok(vec![binding("shop", "it's", "edit", &["User/alice"])]), ..seen };
    let expected = CommandLine::of(&["kubectl", "delete", "rolebinding", "it's", "-n", "shop"]);
    assert!(matches!(&findings(&one).found[0].remedy, Remedy::Replace(_, unbind) if *unbind == expected));
}

#[test]
fn a_policy_that_gives_the_same_is_asked_under_and_else_one_is_proposed() {
    let bound = || Ok(vec![binding("shop", "b", "edit", &["User/alice"])]);
    let offers = policy("edits", json!({ "requesters": [{ "kind": "User", "name": "alice" }] }));
    let asked = ClusterSeen { role_bindings: bound(), policies: Ok(vec![offers]), ..seen() };
    assert!(matches!(findings(&asked).found[0].remedy, Remedy::AskInstead { .. }));
    let stage = json!({ "stages": [{ "name": "s", "approvers": [{ "kind": "Group", "name": "leads" }] }] });
    let others = policy("others", json!({ "approval": stage }));
    let proposed = ClusterSeen { role_bindings: bound(), policies: Ok(vec![others]), ..seen() };
    let report = findings(&proposed);
    let proposal = report.found[0].proposal().unwrap();
    assert_eq!(proposal.approvers[0].name, "leads");
    assert_eq!((proposal.name.as_str(), proposal.system_namespaces), ("alice-edit-shop", false));
}

#[test]
fn a_note_counts_unless_those_whom_it_is_about_could_have_written_it() {
    let mut noted = binding("shop", "b", "edit", &["User/alice"]);
    noted.metadata.annotations =
        Some(BTreeMap::from([(keys::ACCEPTED_FINDING.into(), "SamePair,StandingReplaceable: on call".into())]));
    let seen = |more: Vec<Observed>| ClusterSeen { role_bindings: Ok([vec![noted.clone()], more].concat()), ..seen() };
    let accepted = |seen: &ClusterSeen| {
        let report = findings(seen);
        let found = report.found.iter().find(|f| f.about.name == "b").unwrap();
        (found.accepted.as_ref().map(|note| note.reason.clone()), found.is_accepted())
    };
    assert_eq!(accepted(&seen(Vec::new())), (Some("on call".to_owned()), true));
    let own = binding("shop", "w", "writes-bindings", &["User/alice"]);
    assert_eq!(accepted(&seen(vec![own])), (Some("on call".to_owned()), false));
    let elsewhere = binding("bank", "w", "writes-bindings", &["User/alice"]);
    assert_eq!(accepted(&seen(vec![elsewhere])), (Some("on call".to_owned()), true));
}

fn granted(name: &str, who: &str, status: Value) -> AccessRequest {
    let mut request = request(json!({ "requester": { "username": who } }));
    request.metadata.name = Some(name.to_owned());
    let mut whole = json!({
        "state": "Expired", "grantedAt": "2025-12-31T12:00:00Z", "expiresAt": "2025-12-31T14:00:00Z",
        "bindings": [{ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-1" }],
        "policy": { "name": "p", "uid": "u", "generation": 1 },
    });
    whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    request.status = Some(serde_json::from_value(whole).unwrap());
    request
}

#[test]
fn a_binding_beside_a_grant_is_told_by_when_it_was_made() {
    let seen = |from: &str, until: &str, who: &str| ClusterSeen {
        // Made on New Year's day.
        role_bindings: Ok(vec![binding("shop", "b", "edit", &["User/alice"])]),
        requests: Ok(vec![granted("r", who, json!({ "grantedAt": from, "expiresAt": until }))]),
        window: SignedDuration::from_hours(400 * 24),
        ..seen()
    };
    let outside = |seen: ClusterSeen| {
        let all = kinds(&findings(&seen));
        all.into_iter().find(|kind| matches!(kind, BoundOutsideDuringGrant | BoundOutsideAfterGrant))
    };
    let (eve, day_after) = ("2025-12-31T12:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(outside(seen(eve, day_after, "alice")), Some(BoundOutsideDuringGrant));
    assert_eq!(outside(seen(eve, "2025-12-31T14:00:00Z", "alice")), Some(BoundOutsideAfterGrant));
    assert_eq!(outside(seen("2026-01-01T12:00:00Z", day_after, "alice")), None, "it was there before");
    assert_eq!(outside(seen(eve, day_after, "bob")), None);
}

#[test]
fn a_binding_of_daypass_without_a_running_request_is_told() {
    let mut left = binding("shop", "daypass-9", "edit", &["User/alice"]);
    let marks = [(keys::MANAGED_BY, keys::DAYPASS), (keys::REQUEST_UID, "9")];
    left.metadata.labels = Some(marks.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let seen = ClusterSeen { role_bindings: Ok(vec![left]), ..seen() };
    assert_eq!(kinds(&findings(&seen)), [UnaccountedBinding]);
}

/// Requests of the last days, each agreed to by somebody.
fn agreed(
    count: usize,
    who: impl Fn(usize) -> String,
    by: impl Fn(usize) -> String,
    verdict: &str,
) -> Vec<AccessRequest> {
    let one = |n: usize| {
        let counted = json!([{ "reviewer": by(n), "verdict": verdict, "countedAt": "2026-11-20T00:00:00Z" }]);
        let mut one = granted(&format!("r{n}"), &who(n), json!({ "countedReviews": counted }));
        one.metadata.creation_timestamp = serde_json::from_value(json!("2026-11-20T00:00:00Z")).unwrap();
        one
    };
    (0..count).map(one).collect()
}

fn among(requests: Vec<AccessRequest>) -> Vec<(InsightKind, String)> {
    told(&findings(&ClusterSeen { requests: Ok(requests), ..seen() }))
}

#[test]
fn who_never_denies_is_told_from_twenty_decisions_on() {
    let many = |count| agreed(count, |n| format!("p{n}"), |_| "bob".to_owned(), "Approve");
    assert_eq!(among(many(19)), []);
    assert_eq!(among(many(20)), [(NeverDenies, "User/bob".to_owned())]);
    let denies = agreed(1, |_| "p".to_owned(), |_| "bob".to_owned(), "Deny");
    assert_eq!(among([many(30), denies].concat()), []);
}

#[test]
fn a_pair_is_told_only_where_others_agree_too() {
    let pair = |count| agreed(count, |_| "alice".to_owned(), |_| "bob".to_owned(), "Approve");
    let other = agreed(1, |_| "carol".to_owned(), |_| "dave".to_owned(), "Approve");
    assert_eq!(among(pair(10)), []);
    assert_eq!(among([pair(9), other.clone()].concat()), []);
    assert_eq!(among([pair(10), other].concat()), [(SamePair, "User/alice".to_owned())]);
}

#[test]
fn access_that_was_never_used_and_access_that_is_asked_for_often() {
    let used = |word: &str, count: usize| {
        let mut all = agreed(count, |_| "alice".to_owned(), |n| format!("b{n}"), "Approve");
        for one in &mut all {
            let status = one.status.as_mut().unwrap();
            status.activity = Some(serde_json::from_value(json!({ "used": word, "calls": 0 })).unwrap());
        }
        all
    };
    assert_eq!(among(used("NotUsed", 2)), []);
    assert_eq!(among(used("NotUsed", 3)), [(ApprovedNeverUsed, "User/alice".to_owned())]);
    assert_eq!(among(used("Unknown", 5)), [], "what is not known is not unused");
    assert_eq!(among([used("NotUsed", 3), used("Used", 1)].concat()), []);
    let mut often = agreed(12, |_| "alice".to_owned(), |n| format!("b{n}"), "Approve");
    for one in &mut often {
        one.status.as_mut().unwrap().granted_at = serde_json::from_value(json!("2026-11-20T00:00:00Z")).unwrap();
    }
    assert_eq!(among(often[..11].to_vec()), []);
    assert_eq!(among(often), [(ActivatedTooOften, "User/alice".to_owned())]);
}

#[test]
fn a_policy_is_unused_from_the_end_of_its_last_request_and_never_of_late() {
    let made = |at: &str, name: &str| {
        let mut policy = policy(name, json!({}));
        policy.metadata.creation_timestamp = serde_json::from_value(json!(at)).unwrap();
        policy
    };
    let told = |policies: Vec<_>, requests: Vec<AccessRequest>| {
        told(&findings(&ClusterSeen { policies: Ok(policies), requests: Ok(requests), ..seen() }))
    };
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-11-01T00:00:00Z");
    assert_eq!(told(vec![made(old, "p")], Vec::new()), [(PolicyNeverMatched, "p".to_owned())]);
    assert_eq!(told(vec![made(new, "p")], Vec::new()), []);
    let mut request = agreed(1, |_| "alice".to_owned(), |_| "bob".to_owned(), "Approve");
    assert_eq!(told(vec![made(old, "p")], request.clone()), []);
    request[0].metadata.creation_timestamp = serde_json::from_value(json!("2026-02-01T00:00:00Z")).unwrap();
    assert_eq!(told(vec![made(old, "p")], request), [(PolicyUnused, "p".to_owned())]);
}

#[test]
fn findings_are_sorted_by_harm_and_the_same_each_time() {
    let seen = ClusterSeen {
        cluster_role_bindings: Ok(vec![
            cluster_binding("z", "view", "User/system:anonymous"),
            cluster_binding("a", "cluster-admin", "User/alice"),
        ]),
        role_bindings: Ok(vec![binding("shop", "m", "edit", &["Group/dev"])]),
        ..seen()
    };
    let report = findings(&seen);
    let severities: Vec<RiskLevel> = report.found.iter().map(|f| f.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(report, findings(&seen));
    assert_eq!(report.found[0].holder, Some(Holder::Person));
}

#[test]
fn what_changed_between_two_looks_is_told_once() {
    let look = |names: &[&str]| {
        let bindings = names.iter().map(|name| cluster_binding(name, "cluster-admin", "User/alice")).collect();
        known(&findings(&ClusterSeen { cluster_role_bindings: Ok(bindings), ..seen() }).found)
    };
    let told = |before: &KnownFindings, after: &KnownFindings| {
        let of = |line: String| {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&line["schema"], &line["cluster"]), (&json!("daypass.dev/finding/v1"), &json!("c")));
            (line["event"].as_str().unwrap().to_owned(), line["about"]["name"].as_str().unwrap().to_owned())
        };
        lines(before, after, "c", noon()).into_iter().map(of).collect::<Vec<_>>()
    };
    let event = |event: &str, name: &str| (event.to_owned(), name.to_owned());
    let (one, both) = (look(&["a"]), look(&["a", "b"]));
    assert_eq!(told(&KnownFindings::new(), &one), [event("Found", "a")]);
    assert_eq!(told(&one, &both), [event("Found", "b")]);
    assert_eq!(told(&both, &one), [event("Gone", "b")]);
    assert_eq!(told(&both, &look(&["b", "a"])), []);
}
