use std::collections::BTreeSet;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::core::laws::fixtures::{group, noon, request, user};
use crate::core::rbac::binding::wanted;

/// A request of alice for `edit` that runs in `shop` until an hour after noon, with this spec on top.
fn granted(spec: Value) -> AccessRequest {
    let mut request = request(spec);
    let end = noon() + SignedDuration::from_hours(1);
    let bindings = json!([{ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-1" }]);
    request.status = serde_json::from_value(json!({
        "state": "Active", "grantedAt": noon().to_string(), "expiresAt": end.to_string(), "bindings": bindings
    }))
    .unwrap();
    request
}

/// The binding of such a request.
fn bound(request: &AccessRequest) -> Observed {
    let status = request.status.as_ref().unwrap();
    Observed::from(&wanted(request, status, &status.bindings[0]).role_binding())
}

/// A binding of somebody else than Daypass, in `shop` or in the whole cluster.
fn of_others(kind: &str, role: &str, subjects: Value) -> Observed {
    let subjects: Vec<Value> = subjects.as_array().unwrap().to_vec();
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role });
    let metadata = json!({ "name": "theirs", "namespace": (kind == "RoleBinding").then_some("shop") });
    let binding = json!({ "metadata": metadata, "roleRef": role, "subjects": subjects });
    match kind {
        "RoleBinding" => {
            Observed::from(&serde_json::from_value::<k8s_openapi::api::rbac::v1::RoleBinding>(binding).unwrap())
        }
        _ => {
            Observed::from(&serde_json::from_value::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>(binding).unwrap())
        }
    }
}

fn roles() -> KnownRoles {
    let rules = |verbs: &[&str], names: &[&str]| {
        let rule = json!([{ "verbs": verbs, "apiGroups": [""], "resources": ["pods"], "resourceNames": names }]);
        KnownRules::Rules(serde_json::from_value(rule).unwrap())
    };
    let mut roles = KnownRoles::default();
    roles.insert(None, "edit".to_owned(), rules(&["get", "delete"], &[]));
    roles.insert(None, "admin".to_owned(), rules(&["*"], &[]));
    roles.insert(None, "view".to_owned(), rules(&["get"], &[]));
    roles.insert(None, "web".to_owned(), rules(&["delete"], &["web-0"]));
    roles.insert(None, "hidden".to_owned(), KnownRules::Unread("forbidden".to_owned()));
    roles
}

const BOTH: [BindingKind; 2] = [BindingKind::RoleBinding, BindingKind::ClusterRoleBinding];

fn in_shop(right: Option<AskedRight>, subject: Option<WhoseAccess>) -> WhoQuestion {
    WhoQuestion { namespace: Some("shop".to_owned()), right, subject }
}

fn delete_pods() -> Option<AskedRight> {
    Some(AskedRight { verbs: vec!["delete".to_owned()], group: String::new(), resource: "pods".to_owned(), name: None })
}

/// Who holds which role, and how it is there.
fn told(
    requests: &[AccessRequest],
    bindings: &[Observed],
    question: &WhoQuestion,
) -> Vec<(String, String, &'static str)> {
    told_with(requests, bindings, &BOTH, true, noon(), question)
}

fn told_with(
    requests: &[AccessRequest],
    bindings: &[Observed],
    kinds: &[BindingKind],
    has_all_requests: bool,
    now: Timestamp,
    question: &WhoQuestion,
) -> Vec<(String, String, &'static str)> {
    let roles = roles();
    let seen = WhoSeen { requests, has_all_requests, bindings, kinds, roles: &roles, now };
    let how = |held: &Held<'_>| match &held.through {
        Through::Request(_, Evidence::OnRecord) => "on record",
        Through::Request(_, Evidence::Bound) => "bound",
        Through::Request(_, Evidence::Overdue) => "overdue",
        Through::Request(_, Evidence::Missing) => "missing",
        Through::Request(_, Evidence::Changed(_)) => "changed",
        Through::Standing(_) => "standing",
        Through::Unaccounted(_) => "unaccounted",
    };
    seen.held(question).iter().map(|held| (held.who.to_string(), held.role.name.clone(), how(held))).collect()
}

fn row(who: &str, role: &str, how: &'static str) -> (String, String, &'static str) {
    (who.to_owned(), role.to_owned(), how)
}

#[test]
fn access_is_held_against_its_binding() {
    let request = [granted(json!({}))];
    let there = [bound(&request[0])];
    let everybody = in_shop(None, None);
    let alice = |how| vec![row("User/alice", "edit", how)];
    assert_eq!(told(&request, &there, &everybody), alice("bound"));
    assert_eq!(told(&request, &[], &everybody), alice("missing"));
    let mut changed = there[0].clone();
    changed.subjects[0].name = "mallory".to_owned();
    assert_eq!(told(&request, &[changed], &everybody), alice("changed"));
    let late = noon() + SignedDuration::from_hours(1);
    assert_eq!(told_with(&request, &there, &BOTH, true, late, &everybody), alice("overdue"));
    assert_eq!(told_with(&request, &[], &[], true, noon(), &everybody), alice("on record"));
    assert_eq!(told_with(&request, &[], &[], true, late, &everybody), alice("overdue"));
    let elsewhere = WhoQuestion { namespace: Some("bank".to_owned()), ..WhoQuestion::default() };
    assert_eq!(told(&request, &there, &elsewhere), []);
    assert_eq!(told(&request, &there, &WhoQuestion::default()), alice("bound"));
    let mut over = request.clone();
    over[0].status.as_mut().unwrap().state = State::Suspended;
    assert_eq!(told(&over, &[], &everybody), [], "it rests");
}

#[test]
fn a_right_is_looked_for_in_what_was_granted() {
    let can = in_shop(delete_pods(), None);
    let asked = |spec: Value| {
        let request = [granted(spec)];
        told(&request, &[bound(&request[0])], &can)
    };
    assert_eq!(asked(json!({})), [row("User/alice", "edit", "bound")]);
    assert_eq!(asked(json!({ "role": { "name": "view" } })), []);
    assert_eq!(asked(json!({ "role": { "name": "hidden" } })), [row("User/alice", "hidden", "bound")], "it may");
    assert_eq!(asked(json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }] })), []);
    let web = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    let (request, roles) = ([granted(json!({ "rules": web, "role": { "name": "hidden" } }))], roles());
    let seen =
        WhoSeen { requests: &request, has_all_requests: true, bindings: &[], kinds: &[], roles: &roles, now: noon() };
    let names = Allowance::On(AllowedOn::Named(BTreeSet::from(["web-0".to_owned()])));
    assert_eq!(seen.held(&can)[0].allowed, Some(names), "what is asked for is known without the role");
}

#[test]
fn standing_access_is_told_where_it_gives_what_is_asked() {
    let devs = json!([{ "kind": "Group", "name": "dev" }, { "kind": "ServiceAccount", "name": "bot" }]);
    let bindings = [
        of_others("RoleBinding", "edit", devs),
        of_others("ClusterRoleBinding", "admin", json!([{ "kind": "Group", "name": "system:masters" }])),
        of_others("RoleBinding", "view", json!([{ "kind": "User", "name": "eve" }])),
        of_others("RoleBinding", "hidden", json!([{ "kind": "User", "name": "oscar" }])),
    ];
    let all = [
        row("User/oscar", "hidden", "standing"),
        row("Group/dev", "edit", "standing"),
        row("ServiceAccount/shop/bot", "edit", "standing"),
        row("Group/system:masters", "admin", "standing"),
    ];
    assert_eq!(told(&[], &bindings, &in_shop(delete_pods(), None)), all);
    let elsewhere = WhoQuestion { namespace: Some("bank".to_owned()), right: delete_pods(), subject: None };
    assert_eq!(told(&[], &bindings, &elsewhere), [row("Group/system:masters", "admin", "standing")]);
    let alice = |groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Some(WhoseAccess::Person(crate::api::subject::Identity {
            username: "alice".to_owned(),
            groups,
            ..Default::default()
        }))
    };
    let of = |subject, right| told(&[], &bindings, &in_shop(right, subject));
    assert_eq!(of(alice(&["dev"]), None), [row("Group/dev", "edit", "standing")]);
    assert_eq!(of(alice(&[]), None), []);
    assert_eq!(of(Some(WhoseAccess::Group("dev".to_owned())), delete_pods()), [row("Group/dev", "edit", "standing")]);
}

#[test]
fn what_somebody_has_anyway_is_told_beside_what_they_were_granted() {
    let request = [granted(json!({}))];
    let standing = |kind, role, subject: Subject| {
        let bindings = [bound(&request[0]), of_others(kind, role, json!([subject]))];
        told(&request, &bindings, &in_shop(None, None)).into_iter().filter(|(.., how)| *how == "standing").count()
    };
    assert_eq!(standing("RoleBinding", "edit", user("alice")), 1);
    assert_eq!(standing("RoleBinding", "admin", group("dev")), 1, "more than that, by a group of hers");
    assert_eq!(standing("ClusterRoleBinding", "edit", user("alice")), 1);
    assert_eq!(standing("RoleBinding", "view", user("alice")), 0, "it is less");
    assert_eq!(standing("RoleBinding", "edit", user("eve")), 0);
    assert_eq!(standing("RoleBinding", "hidden", user("alice")), 0, "nobody can tell");
}

#[test]
fn a_binding_of_daypass_without_a_running_request_is_told() {
    let running = granted(json!({}));
    let left = [bound(&running)];
    let everybody = in_shop(None, None);
    let alone = [row("User/alice", "edit", "unaccounted")];
    assert_eq!(told(&[], &left, &everybody), alone);
    let mut over = running;
    over.status.as_mut().unwrap().state = State::Expired;
    assert_eq!(told(&[over], &left, &everybody), alone);
    // Its request is in shop, so whoever sees the requests of shop can tell.
    assert_eq!(told_with(&[], &left, &BOTH, false, noon(), &everybody), alone);
    let mut from_bank = left;
    let labels = from_bank[0].metadata.labels.as_mut().unwrap();
    labels.insert(crate::api::keys::REQUEST_NAMESPACE.to_owned(), "bank".to_owned());
    assert_eq!(told_with(&[], &from_bank, &BOTH, false, noon(), &everybody), []);
}
