//! The sentences of this room, in one place to read: what happens to a request, why it waits and how it ends. Nowhere else
//! in the tests of the room is a sentence compared.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::break_glass::Unreviewed;
use super::drift::GrantLoss;
use super::extension::{NotExtendable, WhyNot};
use super::granted::{GrantLength, Granted, NoLonger};
use super::happened::{Asking, GlassReview, Happened, Next, Rest, StageWait};
use super::hindrance::Hindrance;
use super::policy_status::{readiness, reviews, roles_usable};
use super::reap::Stray;
use crate::api::conditions;
use crate::api::policy::AccessPolicyStatus;
use crate::api::request::{BindingKind, BindingRef, FreezeAhead, PolicyRef, State};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::answer::{AllowedBy, HeldBy};
use crate::core::decision::freeze::{Denying, FreezeEdge};
use crate::core::decision::shortfall::Shortfall;
use crate::core::guard::{NotInForce, Unguarded};
use crate::core::laws::fixtures::{deny, fault, noon, policy, request, user};
use crate::core::lifecycle::end::ASK_ANEW;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::problem::PolicyProblem;
use crate::core::rbac::changed::ChangedPart;
use crate::core::rbac::role::Lack;

fn own(text: &str) -> String {
    text.to_owned()
}

fn at(hour: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hour)
}

fn allowed() -> AllowedBy {
    AllowedBy { policy: own("p"), approvers: vec![own("bob")] }
}

fn edit() -> RoleName {
    RoleName { kind: RoleKind::ClusterRole, name: own("edit") }
}

fn binding(namespace: Option<&str>) -> BindingRef {
    let kind = if namespace.is_some() { BindingKind::RoleBinding } else { BindingKind::ClusterRoleBinding };
    BindingRef { kind, namespace: namespace.map(own), name: own("daypass-r-1"), uid: None, role: None }
}

fn freeze() -> FreezeEdge {
    FreezeEdge { policy: own("freeze"), at: at(1) }
}

#[test]
fn what_somebody_has() {
    let allowed = Granted {
        who: own("alice"),
        rules: Vec::new(),
        role: RoleName { kind: RoleKind::ClusterRole, name: own("edit") },
        place: GrantScope::Namespaces(["bank", "shop"].map(own).into()),
        length: GrantLength::Once(Some(SignedDuration::from_hours(1))),
        until: Some(noon()),
        because: Some(own("WHY")),
        freeze: None,
    };
    let rule = json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"] });
    let narrow = Granted {
        rules: vec![serde_json::from_value(rule).unwrap()],
        place: GrantScope::Namespaces((0..9).map(|n| format!("ns-{n}")).collect()),
        freeze: Some(FreezeAhead { policy: own("freeze"), opens_at: Time(noon()) }),
        ..allowed.clone()
    };
    let weekly =
        Granted { place: GrantScope::Cluster, length: GrantLength::Recurring(own("WINDOWS")), ..allowed.clone() };
    for (granted, sentence) in [
        (allowed, "alice has ClusterRole/edit in namespace bank, shop for 1h, until 2026-11-23T12:00:00Z; WHY"),
        (
            narrow,
            "alice has delete on pods of ClusterRole/edit in 9 namespaces for 1h, until 2026-11-23T12:00:00Z; WHY; policy \
             freeze denies it from 2026-11-23T12:00:00Z on: access ends then",
        ),
        (weekly, "alice has ClusterRole/edit in the whole cluster for WINDOWS, until 2026-11-23T12:00:00Z; WHY"),
    ] {
        assert_eq!(granted.to_string(), sentence);
    }
}

#[test]
fn from_the_decision_to_the_end() {
    let policy = |name: &str, uid: &str, generation| PolicyRef { name: own(name), uid: own(uid), generation };
    let changed = |new| Happened::PolicyChanged { old: policy("p", "u-1", 1), new };
    let next = |next| Happened::AllowedAnd(allowed(), next);
    for (what, sentence) in [
        (Happened::Allowed(allowed()), "policy p allows it, approved by bob"),
        (
            next(Next::Held(HeldBy::Frozen(freeze()))),
            "policy p allows it, approved by bob; policy freeze denies it until 2026-11-23T13:00:00Z: access waits for \
             that",
        ),
        (
            next(Next::EndMoves { of: own("fix"), by: SignedDuration::from_mins(20) }),
            "policy p allows it, approved by bob; the end of fix moves by 20m",
        ),
        (next(Next::Begins(at(1))), "policy p allows it, approved by bob; access begins at 2026-11-23T13:00:00Z"),
        (changed(policy("q", "u-1", 1)), "policy q decides now, no longer p"),
        (changed(policy("p", "u-2", 1)), "policy p was deleted and made anew; the new one decides"),
        (changed(policy("p", "u-1", 2)), "policy p was changed (generation 1 to 2); the new one decides"),
        (
            Happened::Blocked(binding(Some("shop"))),
            "RoleBinding daypass-r-1 in namespace shop is there already and is not Daypass's: delete it, then ask again",
        ),
        (
            Happened::PutBack { binding: binding(None), what: ChangedPart::Subjects },
            "ClusterRoleBinding daypass-r-1: somebody changed its subjects; it was put back",
        ),
        (
            Happened::EndMoved { by: own("more"), from: at(1), to: at(2), allowed: allowed() },
            "more moved the end from 2026-11-23T13:00:00Z to 2026-11-23T14:00:00Z; policy p allows it, approved by bob",
        ),
        (
            Happened::FreezeAhead(FreezeAhead { policy: own("freeze"), opens_at: Time(at(1)) }),
            "policy freeze denies it from 2026-11-23T13:00:00Z on: access ends then",
        ),
        (
            Happened::WrittenInGap { reviewers: Vec::new() },
            "somebody may have written to it while the cluster's guard was not in place; nothing before counts",
        ),
        (
            Happened::WrittenInGap { reviewers: vec![own("bob"), own("carol")] },
            "somebody may have written to it while the cluster's guard was not in place; nothing before counts, also not \
             what was said as bob, carol: who meant it may say it again",
        ),
        (
            Happened::NotBelieved,
            "somebody may have written to its record while the cluster's guard was not in place, so neither the grant \
             nor its end is believed: make the request again",
        ),
        (Happened::NeverBegan, "the time asked for ended before access began"),
        (Happened::Ended { at: at(1), denied_by: None }, "access ended as stated at 2026-11-23T13:00:00Z"),
        (
            Happened::Ended { at: at(1), denied_by: Some(own("freeze")) },
            "access ended as stated at 2026-11-23T13:00:00Z, when policy freeze began to deny it",
        ),
        (Happened::EndedBy { by: own("bob"), comment: None }, "bob ended it"),
        (Happened::EndedBy { by: own("bob"), comment: Some(own("all done")) }, "bob ended it: all done"),
        (Happened::Deleted, "the request was deleted"),
        (
            Happened::Unused { timeout: SignedDuration::from_mins(30), since: at(1) },
            "nobody used it for 30m from 2026-11-23T13:00:00Z on, by the audit log of every API server",
        ),
    ] {
        assert_eq!(what.to_string(), sentence);
    }
    assert_eq!(
        ASK_ANEW,
        "for new access make a new request under another name: to apply this one again changes nothing"
    );
}

#[test]
fn while_people_are_asked() {
    let waits = |missing, hours: Option<&str>, holds| {
        let (policy, stage) = (own("p"), own("leads"));
        let approvers = vec![user("bob"), user("carol")];
        Asking::Waits(StageWait { policy, stage, missing, approvers, hours: hours.map(own), holds })
    };
    for (what, sentence) in [
        (Asking::Opened { stage: own("leads"), required: 2 }, "stage leads is open: 2 must approve"),
        (waits(1, None, Vec::new()), "stage leads of policy p needs one more approval of: bob, carol"),
        (
            waits(2, Some("Mon 09:00-17:00 UTC"), vec![HeldBy::Frozen(freeze())]),
            "stage leads of policy p needs 2 more approvals of: bob, carol (counted Mon 09:00-17:00 UTC); policy freeze \
             denies it until 2026-11-23T13:00:00Z: access waits for that",
        ),
        (
            Asking::Escalated { stage: own("leads"), to: vec![user("dave")] },
            "stage leads had no answer in time: dave may approve as well",
        ),
        (
            Asking::CountsFrom { who: own("bob"), opens: at(1) },
            "Approve of bob counts from 2026-11-23T13:00:00Z on: its stage has hours",
        ),
        (Asking::TakenBack(own("bob")), "bob took back what they had said"),
    ] {
        assert_eq!(what.to_string(), sentence);
    }
}

#[test]
fn of_break_glass_access() {
    let reviewers = || vec![user("carol"), user("dave")];
    let found = |justified, comment| GlassReview::Found { by: own("carol"), justified, comment };
    for (what, sentence) in [
        (
            GlassReview::Broken { who: own("alice"), reason: own("outage"), reviewers: reviewers(), by: at(1) },
            "alice broke the glass (outage); one of carol, dave must review it by 2026-11-23T13:00:00Z",
        ),
        (
            GlassReview::Open { reviewers: reviewers(), by: at(1) },
            "one of carol, dave must review it by 2026-11-23T13:00:00Z",
        ),
        (
            GlassReview::Overdue { who: own("alice"), reviewers: reviewers(), since: at(1) },
            "its review is overdue since 2026-11-23T13:00:00Z: one of carol, dave must say Approve or Deny; until then \
             alice gets no further break-glass access",
        ),
        (found(true, None), "carol found the access to be justified"),
        (found(false, Some(own("seen"))), "carol found the access to be not justified: seen"),
    ] {
        assert_eq!(what.to_string(), sentence);
    }
}

#[test]
fn of_access_that_rests() {
    for (what, sentence) in [
        (Rest::WindowClosed(at(1)), "the window closed as stated at 2026-11-23T13:00:00Z"),
        (Rest::UntilWindow(Some(at(1))), "it rests until its next window opens at 2026-11-23T13:00:00Z"),
        (
            Rest::Unused { timeout: SignedDuration::from_mins(30), since: at(1), opens: Some(at(2)) },
            "nobody used it for 30m from 2026-11-23T13:00:00Z on, by the audit log of every API server; it rests until its \
             next window opens at 2026-11-23T14:00:00Z",
        ),
        (Rest::UntilWindow(None), "it rests: no window opens in the next two weeks"),
        (
            Rest::ForRole(edit()),
            "it rests while the rules of ClusterRole/edit are not what was decided on: put them back, or make a new \
             request",
        ),
        (Rest::Over, "it comes back"),
        (Rest::RoleChangedBefore(edit()), "somebody changed the rules of ClusterRole/edit while the request was open"),
        (Rest::RoleChanged(edit()), "somebody changed the rules of ClusterRole/edit: they are not what was decided on"),
        (Rest::RoleRestored(edit()), "the rules of ClusterRole/edit are again what was decided on"),
    ] {
        assert_eq!(what.to_string(), sentence);
    }
}

#[test]
fn why_a_grant_may_not_go_on() {
    let name = || own("p");
    let faults = vec![fault("spec.roles", PolicyProblem::NoRoles)];
    for (why, sentence) in [
        (NoLonger::Denied(Denying { policy: own("no"), unevaluated: None, window: None }), "policy no denies it"),
        (NoLonger::NoEnd, "the record names no end"),
        (NoLonger::NoPolicy, "the record names no policy"),
        (
            NoLonger::RoleNarrowed { role: edit(), lacks: Box::new(Lack::Role { namespace: None }) },
            "ClusterRole/edit was narrowed below what is granted: there is no such role",
        ),
        (NoLonger::PolicyGone(name()), "policy p is gone"),
        (NoLonger::PolicyMadeAnew(name()), "policy p was deleted and made anew"),
        (NoLonger::PolicyDenies(name()), "policy p denies now"),
        (
            NoLonger::PolicyNotReady { policy: name(), faults },
            "policy p is not ready any more: spec.roles: a policy that allows must list its roles",
        ),
        (
            NoLonger::FallsShort { policy: name(), shortfalls: vec![Shortfall::Cluster, Shortfall::BreakGlass] },
            "policy p does not allow it any more: it does not cover the whole cluster, it has no breakGlass",
        ),
    ] {
        assert_eq!(why.to_string(), sentence);
    }
    for (loss, sentence) in [
        (GrantLoss::Deleted(binding(Some("shop"))), "RoleBinding daypass-r-1 in namespace shop was deleted by hand"),
        (
            GrantLoss::Replaced(binding(None)),
            "ClusterRoleBinding daypass-r-1 was deleted by hand and made anew by somebody else",
        ),
        (
            GrantLoss::RoleDeleted(binding(Some("shop"))),
            "the role of RoleBinding daypass-r-1 in namespace shop was deleted by hand",
        ),
        (GrantLoss::Namespaces, "every namespace it was granted in is gone"),
        (GrantLoss::NamespaceRemade(own("shop")), "namespace shop, which it was granted in, was deleted and made anew"),
    ] {
        assert_eq!(loss.to_string(), sentence);
    }
}

#[test]
fn what_stands_in_the_way_before_any_policy_is_asked() {
    let extending = |why| NotExtendable { of: own("fix"), why };
    let overdue = vec![(own("shop/earlier"), noon()), (own("shop/first"), noon())];
    for (hindrance, sentence) in [
        (Hindrance::Guard(NotInForce::OnRecord(own("WHY"))), "WHY"),
        (
            Hindrance::MadeInGap(Unguarded { from: None, to: at(1) }),
            "it was made before 2026-11-23T13:00:00Z, when the cluster's guard was not in place: make it again",
        ),
        (
            Hindrance::MadeInGap(Unguarded { from: Some(noon()), to: at(1) }),
            "it was made between 2026-11-23T12:00:00Z and 2026-11-23T13:00:00Z, when the cluster's guard was not in \
             place: make it again",
        ),
        (Hindrance::Lacks(vec![Lack::Unread]), "spec.rules: the role has not been read"),
        (
            Hindrance::Unreviewed(Unreviewed { overdue }),
            "spec.breakGlass: earlier break-glass access has not been reviewed (shop/earlier since \
             2026-11-23T12:00:00Z, shop/first since 2026-11-23T12:00:00Z); have a reviewer close that first, or ask \
             without breakGlass",
        ),
        (
            Hindrance::Extended { of: own("fix"), from: at(1), to: at(2) },
            "the end of fix moved from 2026-11-23T13:00:00Z to 2026-11-23T14:00:00Z",
        ),
        (
            Hindrance::NotExtendable { why: extending(WhyNot::NotGranted), could: false },
            "spec.extends: fix is not granted yet",
        ),
        (Hindrance::NotExtendable { why: extending(WhyNot::NotGranted), could: true }, "fix is not granted yet"),
    ] {
        assert_eq!(hindrance.to_string(), sentence);
    }
    for (why, sentence) in [
        (WhyNot::NotThere, "there is no request fix in this namespace"),
        (WhyNot::NotGranted, "fix is not granted yet"),
        (WhyNot::NotRunning, "fix does not run yet: extend it when it does"),
        (WhyNot::Over(State::Expired), "fix is over (Expired): make a new request"),
        (WhyNot::MadeAnew, "fix was deleted and made anew"),
        (WhyNot::ExtensionItself, "fix is an extension itself: name the request that it extends"),
        (WhyNot::OtherPerson, "fix is not yours: only who asked for it can have it extended"),
        (WhyNot::OtherRole(edit()), "fix is for ClusterRole/edit: an extension is for the same role"),
        (WhyNot::OtherRules, "fix has other rules: an extension is for the same spec.rules"),
        (WhyNot::OtherPolicy(own("p")), "fix runs under policy p, which decides: leave spec.policy out"),
        (WhyNot::Recurring, "fix comes back every week and is not extended: make a new request"),
    ] {
        assert_eq!(extending(why).to_string(), sentence);
    }
}

#[test]
fn why_the_reaper_takes_a_binding() {
    for (stray, sentence) in [
        (Stray::RequestGone, "its request is gone"),
        (Stray::RequestReplaced, "its request is gone, and another has its name"),
        (Stray::Unserved, "its request is in a namespace that is not served"),
        (Stray::NotedEnd, "its request cannot be read, and the end that is noted on it has come"),
        (Stray::BetweenWindows, "its window is not open"),
        (Stray::NotGranted, "its request has not been granted"),
        (Stray::RequestOver, "its request is over"),
        (Stray::Ended, "its end has come"),
        (Stray::NotOnRecord, "its request does not know it"),
    ] {
        assert_eq!(stray.to_string(), sentence);
    }
}

fn said(status: &AccessPolicyStatus, type_: &str) -> String {
    conditions::find(&status.conditions, type_).unwrap().message.clone()
}

#[test]
fn what_the_conditions_of_a_policy_say() {
    let ready = |policy| said(&readiness(&policy, None, &[], noon()), conditions::READY);
    assert_eq!(ready(policy("p", json!({}))), "requests are decided by it");
    let amr = json!([{ "expression": "'mfa' in requester.extra['amr']", "message": "m" }]);
    assert_eq!(
        ready(policy("p", json!({ "conditions": amr }))),
        "requests are decided by it; spec.conditions[0].expression: no request has amr in requester.extra: it is not \
         recorded here; what asks for it gives nothing; have who installs Daypass name the key in identity.extraKeys of \
         its chart, correct it, or remove the condition"
    );
    assert_eq!(
        ready(policy("p", json!({ "requesters": [] }))),
        "spec.requesters: a policy that allows must name its requesters; until then the policy grants nothing"
    );
    assert_eq!(
        ready(deny("p", json!({ "scope": {} }))),
        "spec.scope: give at least one of namespaces, namespaceSelector and cluster; until then no request can be decided"
    );
    let mut status = AccessPolicyStatus::default();
    roles_usable(&mut status, &policy("p", json!({})), Some(&[]), noon());
    let usable = said(&status, conditions::ROLES_USABLE);
    assert_eq!(usable, "every role that it lists is there, and Daypass may bind it");
    let glass = json!({ "breakGlass": { "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "1h" } });
    let glass = policy("p", glass);
    reviews(&mut status, &glass, &[], noon());
    assert_eq!(said(&status, conditions::REVIEWED), "no review of break-glass access is overdue");
    let mut unreviewed = request(json!({ "breakGlass": true }));
    let review = json!({ "breakGlass": { "reviewers": [], "reviewBy": "2026-11-23T12:00:00Z" } });
    unreviewed.status = Some(serde_json::from_value(review).unwrap());
    reviews(&mut status, &glass, &[&unreviewed], noon());
    assert_eq!(said(&status, conditions::REVIEWED), "1 overdue: shop/fix of alice since 2026-11-23T12:00:00Z");
}
