//! The sentences of this room, in one place to read: why a policy has no room, is not believed or cannot be used. Nowhere
//! else in the tests of the room is a sentence compared; what the check of expressions says is in `cel/check/golden.rs`.

use k8s_openapi::jiff::SignedDuration;

use super::cel::{ExpressionFault, Unevaluated};
use super::limits::{Count, Exceeded};
use super::origin::Disbelief;
use super::unrecorded::UnrecordedKey;
use super::usable::{Sought, Unusable};
use crate::api::policy::Effect;
use crate::api::subject::{RoleKind, RoleName};
use crate::core::guard::{NotInForce, Unguarded};
use crate::core::laws::fixtures::noon;

fn own(text: &str) -> String {
    text.to_owned()
}

#[test]
fn which_limit_is_exceeded() {
    let full = |what| Exceeded::Full { what, there: 3, most: 2 };
    let [half, more, hour] = [30, 31, 60].map(SignedDuration::from_mins);
    for (exceeded, sentence) in [
        (full(Count::GrantsOf(own("alice"))), "there are 3 running grants of alice under it, and it allows 2"),
        (full(Count::GrantsIn(own("shop"))), "there are 3 running grants in shop under it, and it allows 2"),
        (full(Count::Grants), "there are 3 running grants under it, and it allows 2"),
        (full(Count::RequestsOf(own("alice"))), "there are 3 requests of alice that wait under it, and it allows 2"),
        (full(Count::RequestsIn(own("shop"))), "there are 3 requests in shop that wait under it, and it allows 2"),
        (full(Count::Requests), "there are 3 requests that wait under it, and it allows 2"),
        (
            Exceeded::Cooldown { again: noon(), cooldown: half },
            "the next grant can begin at 2026-11-23T12:00:00Z, 30m after the last one ended",
        ),
        (
            Exceeded::TimePerDay { had: half, length: more, most: hour },
            "30m of the last 24 hours are granted already, 31m more would be over 1h",
        ),
    ] {
        assert_eq!(exceeded.to_string(), sentence);
    }
}

#[test]
fn why_a_policy_is_not_believed() {
    let when = Unguarded { from: Some(noon()), to: noon() + SignedDuration::from_hours(1) };
    let unconfirmed = |effect| Disbelief::Unconfirmed { when, policy: own("p"), effect, token: own("t") };
    for (disbelief, sentence) in [
        (
            Disbelief::GuardMissing(NotInForce::OnRecord(own("WHY"))),
            "it was written while the cluster's guard may not be in place: WHY",
        ),
        (
            Disbelief::Unjudged(when),
            "it was written between 2026-11-23T12:00:00Z and 2026-11-23T13:00:00Z, when the cluster's guard was not in \
             place, and is not used until it is confirmed; its status says how",
        ),
        (
            unconfirmed(Effect::Allow),
            "it was written between 2026-11-23T12:00:00Z and 2026-11-23T13:00:00Z, when the cluster's guard was not in \
             place, and is not used until it is written anew, or confirmed by somebody who may bind every role that it \
             lists: kubectl annotate accesspolicy p --overwrite daypass.dev/confirm=t",
        ),
        (
            unconfirmed(Effect::Deny),
            "it was written between 2026-11-23T12:00:00Z and 2026-11-23T13:00:00Z, when the cluster's guard was not in \
             place, and is not used until it is written anew, or confirmed by somebody who may write policies: kubectl \
             annotate accesspolicy p --overwrite daypass.dev/confirm=t",
        ),
    ] {
        assert_eq!(disbelief.to_string(), sentence);
    }
}

#[test]
fn why_a_role_cannot_be_handed_out() {
    let role = |kind, name: &str| RoleName { kind, name: own(name) };
    let (edit, deployer) = (role(RoleKind::ClusterRole, "edit"), role(RoleKind::Role, "deployer"));
    let both = Sought::Namespaces(["bank", "shop"].map(str::to_owned).into());
    for (unusable, sentence) in [
        (
            Unusable::Missing { role: edit.clone(), sought: Sought::Cluster },
            "there is no ClusterRole/edit: create it, or take it out of the policy",
        ),
        (
            Unusable::Missing { role: deployer.clone(), sought: both },
            "there is no Role/deployer in namespace bank, shop: create it there, or take it out of the policy",
        ),
        (
            Unusable::Missing { role: deployer.clone(), sought: Sought::Covered },
            "there is no Role/deployer in any namespace that the policy covers: create it there, or take it out of the \
             policy",
        ),
        (
            Unusable::NotBindable { role: edit, namespace: None },
            "Daypass may not bind ClusterRole/edit: add edit to bindableClusterRoles in the chart's values, or take it \
             out of the policy",
        ),
        (
            Unusable::NotBindable { role: deployer, namespace: Some(own("shop")) },
            "Daypass may not bind Role/deployer in namespace shop: apply the chart again, with deployer in \
             bindableRoles, or take it out of the policy",
        ),
    ] {
        assert_eq!(unusable.to_string(), sentence);
    }
}

#[test]
fn what_no_request_says() {
    let key = |effect, near: Option<&str>| {
        UnrecordedKey { field: own("FIELD"), key: own("amr"), near: near.map(own), effect }.to_string()
    };
    assert_eq!(
        key(Effect::Allow, Some("arm")),
        "no request has amr in requester.extra: it is not recorded here, did you mean arm?; what asks for it gives nothing"
    );
    assert_eq!(
        key(Effect::Deny, None),
        "no request has amr in requester.extra: it is not recorded here; what asks for it denies all that the policy \
         touches"
    );
}

#[test]
fn what_is_wrong_with_an_expression() {
    let why = || own("WHY");
    for (fault, sentence) in [
        (ExpressionFault::TooLong, "is longer than 1024 bytes"),
        (ExpressionFault::TooDeep, "has brackets nested deeper than 12"),
        (
            ExpressionFault::TooManyOperators,
            "has more than 128 operators, dots and brackets: make two conditions of it",
        ),
        (ExpressionFault::TooManySums(17), "has 17 times +, at most 16 are allowed: make two conditions of it"),
        (ExpressionFault::NotCel(why()), "is not CEL: WHY"),
        (ExpressionFault::Unparsed, "cannot be read as CEL"),
        (ExpressionFault::Checked(why()), "WHY"),
        (ExpressionFault::Loop, "has a loop, and there are none"),
        (ExpressionFault::LabelNotWritten, "asks for a label whose key is not written out: write label('team')"),
        (ExpressionFault::PatternNotWritten, "has a pattern that is not written out: write matches('^OPS-[0-9]+$')"),
        (ExpressionFault::NoPattern(why()), "has a pattern that is no regular expression: WHY"),
    ] {
        assert_eq!(fault.to_string(), sentence);
    }
    let source = || own("request.role");
    for (unevaluated, sentence) in [
        (
            Unevaluated::NoCondition { source: source(), type_: own("string") },
            "request.role is string, not true or false",
        ),
        (
            Unevaluated::NoExtra { source: source(), key: own("example.com/amr") },
            "your login said nothing of example.com/amr (spec.requester.extra), which request.role asks for: log in by a \
             way that says it, and ask anew; by which way, and whether this cluster records it (identity.extraKeys), \
             knows who runs Daypass",
        ),
        (Unevaluated::Failed { source: source(), why: why() }, "request.role: WHY"),
        (Unevaluated::Crashed { source: source() }, "request.role: the interpreter failed"),
    ] {
        assert_eq!(unevaluated.to_string(), sentence);
    }
}
