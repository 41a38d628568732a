//! The sentences of this room, in one place to read: of an explanation, and of what looks wrong in a policy. Reasons in them
//! are the sentences of the rooms that decide. Nowhere else in the tests of the room is a sentence compared.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::difference::UpshotGiven;
use super::explain::{Because, Explanation, explain};
use super::in_words::{begins, length, place};
use super::lint::Oddity;
use crate::api::policy::{AccessPolicy, Effect};
use crate::api::request::AccessRequest;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::{Guard, NotInForce};
use crate::core::laws::fixtures::{deny, namespaces, noon, policy, request};
use crate::core::model::problem::PolicyProblem;
use crate::core::policies::PolicySet;
use crate::core::policies::unrecorded::UnrecordedKey;
use crate::core::policies::written_for::DeniesAlways;

fn explained(request: &AccessRequest, policies: &[AccessPolicy], guard: &Guard) -> Explanation {
    let (set, namespaces) = (PolicySet::new(policies), namespaces());
    explain(&Snapshot::bare(request, &set, &namespaces, guard), noon())
}

fn summary(request: &AccessRequest, policies: &[AccessPolicy]) -> String {
    explained(request, policies, &Guard::since(Timestamp::MIN)).summary
}

fn with_status(status: Value) -> AccessRequest {
    let mut request = request(json!({}));
    request.status = Some(serde_json::from_value(status).unwrap());
    request
}

#[test]
fn how_a_request_stands() {
    let allow = policy("p", json!({}));
    let stage = json!({ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] });
    let asks = policy("p", json!({ "approval": { "deadline": "24h", "stages": [stage] } }));
    let windows = json!([{ "days": ["Mon"], "start": "11:30", "end": "14:00" }]);
    let freeze = deny("freeze", json!({ "schedule": { "timeZone": "UTC", "windows": windows } }));
    let later = request(json!({ "startTime": "2026-11-23T13:00:00Z" }));
    let plain = request(json!({}));
    for (request, policies, sentence) in [
        (&plain, vec![allow.clone()], "granted at once: policy p allows it"),
        (&later, vec![allow.clone()], "scheduled for 2026-11-23T13:00:00Z: policy p allows it"),
        (&plain, vec![deny("no", json!({}))], "denied because policy no denies it"),
        (&plain, vec![asks], "waits for one more approval in stage leads of policy p, until 2026-11-24T12:00:00Z"),
        (
            &plain,
            vec![allow, freeze],
            "waits: policy p allows it; policy freeze denies it until 2026-11-23T14:00:00Z: access waits for that",
        ),
        (
            &plain,
            vec![deny("no", json!({ "scope": {} }))],
            "undecided: policy no denies, but cannot be read, so no request can be decided: spec.scope: give at least \
             one of namespaces, namespaceSelector and cluster",
        ),
    ] {
        assert_eq!(summary(request, &policies), sentence);
    }
    let missing = explained(&plain, &[], &Guard::Missing(NotInForce::OnRecord("WHY".to_owned()))).summary;
    assert_eq!(missing, "undecided: WHY");
}

#[test]
fn how_access_stands_that_began_or_is_over() {
    let runs = json!({
        "state": "Active", "grantedAt": "2026-11-23T11:30:00Z", "expiresAt": "2026-11-23T12:30:00Z",
        "policy": { "name": "p", "uid": "p-p", "generation": 1 },
        "bindings": [{ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-1" }]
    });
    let runs = with_status(runs);
    let allow = [policy("p", json!({}))];
    assert_eq!(summary(&runs, &allow), "granted, and still allowed, until 2026-11-23T12:30:00Z");
    assert_eq!(summary(&runs, &[]), "over (Revoked): policy p is gone");
    let over = |state: &str| summary(&with_status(json!({ "state": state, "message": "WHY" })), &allow);
    assert_eq!(over("Denied"), "denied because WHY");
    assert_eq!(over("Lapsed"), "lapsed: WHY");
    assert_eq!(over("Expired"), "over (Expired): WHY");
}

#[test]
fn why_a_policy_decides() {
    for (because, sentence) in [
        (Because::GrantedUnder, "access was granted under it"),
        (Because::RunsUnder("fix".to_owned()), "fix runs under it"),
        (Because::Named, "the request names it"),
        (Because::OnlyMatch, "no other policy matches"),
        (Because::LeastFriction, "of those that match it asks least of people"),
        (Because::FirstByName, "it comes first by name of those that ask least of people"),
    ] {
        assert_eq!(because.to_string(), sentence);
    }
}

#[test]
fn what_looks_wrong_in_a_policy_and_the_way_out() {
    let own = str::to_owned;
    let hours = SignedDuration::from_hours;
    let stage = || own("leads");
    let administer = "have spec.scope.systemNamespaces: true set by somebody who has the verb administer on \
                      accesspolicies.daypass.dev";
    let fault = Oddity::Fault { problem: PolicyProblem::NoRoles.into(), consequence: "CONSEQUENCE" };
    for (oddity, why, way_out) in [
        (fault, "a policy that allows must list its roles", "mend it: CONSEQUENCE"),
        (
            Oddity::Undecodable(own("WHY")),
            "cannot be read: WHY",
            "mend or remove it: until then no request can be decided",
        ),
        (
            Oddity::Unrecorded(UnrecordedKey {
                field: own("FIELD"),
                key: own("amr"),
                near: None,
                effect: Effect::Allow,
            }),
            "no request has amr in requester.extra: it is not recorded here; what asks for it gives nothing",
            "have who installs Daypass name the key in identity.extraKeys of its chart, correct it, or remove the condition",
        ),
        (Oddity::LongReview(hours(169)), "emergencies may stay unreviewed for 169h", "name a week (168h) or less"),
        (
            Oddity::LongExtension(hours(744)),
            "a grant can be extended by 744h in all, more than 30 days",
            "lower max or count: who needs it longer can ask anew",
        ),
        (
            Oddity::ShortIdle(SignedDuration::from_mins(4)),
            "access ends under who reads for 4m what it showed",
            "name 5m or more",
        ),
        (
            Oddity::IdleNeverComes { timeout: hours(2), longest: hours(1) },
            "no access lasts for longer than 1h, so none ends after 2h without use",
            "name less than duration.max, or remove it",
        ),
        (
            Oddity::WindowsIgnored(DeniesAlways::of(&deny("p", json!({})))),
            "it denies always: its schedule was written for a version of Daypass that did not know the schedule of a Deny. \
             To have it deny in its windows alone, say what it does in emergencies, or change its spec otherwise: kubectl \
             patch accesspolicy p --type=merge -p '{\"spec\":{\"onBreakGlass\":\"Deny\"}}'",
            "set spec.onBreakGlass, or change the spec otherwise, and its windows count",
        ),
        (
            Oddity::WindowsAlways,
            "its windows leave no minute of the week out, so it denies always",
            "remove schedule, or leave a time for access",
        ),
        (
            Oddity::EmergenciesUnsaid,
            "in its windows emergencies are denied too, since it does not say otherwise",
            "set spec.onBreakGlass to Exempt to leave emergencies alone, or to Deny to say that you mean it",
        ),
        (
            Oddity::Protected(own("kube-system")),
            "kube-system is protected, so nothing is ever granted there by this policy",
            &format!("remove it, or {administer}"),
        ),
        (
            Oddity::NeverInCluster(own("edit")),
            "edit is never granted in the whole cluster, which includes protected namespaces",
            &format!("list roles that only look, or {administer}"),
        ),
        (
            Oddity::EverywhereAlone(own("admin")),
            "admin in every namespace, and nobody needs to agree",
            "add approval.stages, or narrow it; if you mean it, add stages of those who may say no, and set \
             approval.automaticWhen to \"true\"",
        ),
        (
            Oddity::ClusterAlone,
            "access to the whole cluster, and nobody needs to agree",
            "add approval.stages, or narrow it",
        ),
        (
            Oddity::EverybodyAlone(own("edit")),
            "everybody who is logged in, robots too, can have edit, and nobody needs to agree",
            "name the groups that need it, or add approval.stages",
        ),
        (
            Oddity::LongAlone(hours(25)),
            "up to 25h, and nobody needs to agree",
            "lower it to 24h or less, or add approval.stages",
        ),
        (
            Oddity::NobodyCanApprove { stage: stage() },
            "stage leads: nobody can approve: the only approver is the only requester",
            "name approvers who are not among the requesters",
        ),
        (
            Oddity::ApproveEachOther { stage: stage() },
            "stage leads: only those who ask may approve, so they approve each other",
            "name approvers who are not among the requesters",
        ),
        (
            Oddity::EverybodyApproves(own("all")),
            "all is everybody who is logged in: any two accounts can agree with each other",
            "name the groups whose word should count",
        ),
        (
            Oddity::RobotsApprove(own("robots")),
            "robots stands for nobody here: a service account counts only when it is named",
            "name each one with kind ServiceAccount, or name people",
        ),
        (
            Oddity::DeniedBy(own("no")),
            "never allows anything: policy no denies all of it",
            "remove one of the two, or narrow the one that denies",
        ),
        (
            Oddity::ShadowedBy(own("a")),
            "shadowed: policy a allows all of it and is chosen first; this one decides only when a request names it",
            "remove it, or narrow the other",
        ),
        (
            Oddity::FitsNothing { glob: own("sop*"), known: 3 },
            "sop* fits none of the 3 namespaces that are known",
            "correct or remove it, or create the namespace",
        ),
    ] {
        assert_eq!((oddity.to_string().as_str(), oddity.way_out().as_ref()), (why, way_out));
    }
}

#[test]
fn what_a_request_comes_to() {
    let stage = |name: &str, group: &str| json!({ "name": name, "approvers": [{ "kind": "Group", "name": group }] });
    let asks = json!({ "approval": { "stages": [stage("leads", "leads"), stage("on-call", "sre")] } });
    let glass = json!({ "breakGlass": { "reviewWithin": "1h", "reviewers": [{ "kind": "Group", "name": "leads" }] } });
    let emergency = request(json!({ "breakGlass": true }));
    let plain = request(json!({}));
    let guard = Guard::since(Timestamp::MIN);
    for (request, spec, upshot, why) in [
        (&plain, json!({}), "granted at once, for 1h", "policy p"),
        (&plain, asks, "needs 1 of Group/leads (leads), then 1 of Group/sre (on-call), for 1h", "policy p"),
        (&emergency, glass, "granted at once, for 1h, reviewed by Group/leads", "policy p"),
        (
            &plain,
            json!({ "roles": [{ "name": "view" }] }),
            "denied",
            "denied because policy p: ClusterRole/edit is not among its roles (ClusterRole/view)",
        ),
    ] {
        let given = UpshotGiven::of(&explained(request, &[policy("p", spec)], &guard));
        assert_eq!((given.upshot.to_string().as_str(), given.why().as_str()), (upshot, why));
    }
}

/// What an approver reads of a request: where, for how long, from when on.
fn read(spec: Value) -> [String; 3] {
    let request = request(spec);
    [place(&request), length(&request), begins(&request)]
}

#[test]
fn where_when_and_how_long_is_what_is_asked_for() {
    let tuesdays = json!({ "timeZone": "Europe/Berlin", "windows": [{ "days": ["Tue"], "start": "02:00", "end": "04:00" }], "weeks": 4 });
    let labels = json!({ "matchLabels": { "team": "pay" }, "matchExpressions": [{ "key": "env", "operator": "NotIn", "values": ["prod"] }] });
    for (spec, expected) in [
        (json!({}), ["shop", "as long as the policy says", ""]),
        (json!({ "duration": "30m", "startTime": noon().to_string() }), ["shop", "30m", "2026-11-23T12:00:00Z"]),
        (json!({ "extends": "fix-1", "duration": "30m" }), ["where fix-1 holds", "30m more", ""]),
        (json!({ "recurrence": tuesdays }), ["shop", "every Tue 02:00-04:00 Europe/Berlin, for 4 weeks", ""]),
        (
            json!({ "scope": { "namespaceSelector": labels } }),
            ["namespaces with team=pay,env notin (prod)", "as long as the policy says", ""],
        ),
        (json!({ "scope": { "namespaceSelector": {} } }), ["all namespaces", "as long as the policy says", ""]),
    ] {
        assert_eq!(read(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn namespaces_by_label_are_named_once_they_are_granted() {
    let mut request = request(json!({ "scope": { "namespaceSelector": { "matchLabels": { "team": "pay" } } } }));
    let binding = |name: &str| json!({ "kind": "RoleBinding", "namespace": name, "name": "b" });
    request.status = serde_json::from_value(json!({ "bindings": [binding("bank"), binding("shop")] })).unwrap();
    assert_eq!(place(&request), "bank, shop (namespaces with team=pay)");
}
