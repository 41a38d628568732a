//! The sentences of this room, in one place to read: why the guards do not count as in force.

use super::missing::{BySight, GuardFault, GuardFlaw, Loophole, NotInForce, Obstacle, UnservedKind};
use super::sight::GuardDrift;
use crate::core::laws::fixtures::noon;

fn own(text: &str) -> String {
    text.to_owned()
}

#[test]
fn why_the_guards_do_not_count() {
    let fault = |flaw| NotInForce::Wanting(vec![GuardFault { guard: own("g"), flaw }]);
    let passed = |loophole| fault(GuardFlaw::Passed(loophole));
    let drifted = |drift| fault(GuardFlaw::Drifted(drift));
    let two = [GuardFlaw::Drifted(GuardDrift::NoPolicy), GuardFlaw::Passed(Loophole::Lease)];
    let two = NotInForce::Wanting(two.map(|flaw| GuardFault { guard: own("g"), flaw }).into());
    let unserved = |server: Option<&str>| {
        let (kind, group_version) = (own("Kind"), own("group/v1"));
        NotInForce::Unserved(UnservedKind { kind, group_version, server: server.map(own) })
    };
    for (why, sentence) in [
        (NotInForce::Untried, "the cluster's guard has not been tried yet"),
        (drifted(GuardDrift::NoPolicy), "g is missing: there is no ValidatingAdmissionPolicy of this name"),
        (drifted(GuardDrift::NoBinding), "g is missing: there is no ValidatingAdmissionPolicyBinding of this name"),
        (
            drifted(GuardDrift::Changed),
            "g is not what the chart made: its policy or binding was changed (spec, match, failurePolicy or actions); \
             apply the chart again",
        ),
        (passed(Loophole::Requests), "g is missing: the cluster lets anybody ask in another's name"),
        (passed(Loophole::Statuses), "g is missing: the cluster lets reviewers write any status"),
        (passed(Loophole::Bindings), "g is missing: the cluster lets others make bindings of Daypass"),
        (passed(Loophole::Finalizers), "g is missing: the cluster lets people write finalizers on requests"),
        (passed(Loophole::BesideController), "g is missing: the cluster lets others write beside the controller"),
        (
            two,
            "g is missing: there is no ValidatingAdmissionPolicy of this name; g is missing: the cluster lets others \
             write the Lease of the controller",
        ),
        (
            unserved(Some("v1.29.4")),
            "this API server (v1.29.4) does not serve Kind of group/v1, which keeps requests from being forged; Daypass \
             runs on Kubernetes 1.33 and later, with that kind switched on",
        ),
        (
            unserved(None),
            "this API server (of a version that it does not tell) does not serve Kind of group/v1, which keeps requests \
             from being forged; Daypass runs on Kubernetes 1.33 and later, with that kind switched on",
        ),
        (NotInForce::OwnWriteRefused(own("WHY")), "the controller's own status write is refused: WHY"),
        (NotInForce::CountsFrom(noon()), "it is in force again, and counts from 2026-11-23T12:00:00Z on"),
        (
            NotInForce::LeaderHasToLook,
            "it is in force again; the replica that leads has yet to look at what was written without it",
        ),
        (NotInForce::RequestsUnread, "it is in force again; requests have yet to be read"),
        (NotInForce::Unknown(Obstacle::Failed(own("WHY"))), "the guard cannot be tried: WHY"),
        (
            NotInForce::Unknown(Obstacle::NothingToTryOn),
            "the guard cannot be tried yet: the replica that leads has to make a request for it",
        ),
        (
            NotInForce::Unknown(Obstacle::NothingHandedOver),
            "the guard cannot be told: the chart hands over no digest of any (--guard)",
        ),
        (
            NotInForce::Unknown(Obstacle::NoTime),
            "the guard cannot be tried: the API server did not say what time it is",
        ),
        (NotInForce::OnRecord(own("WHY")), "WHY"),
    ] {
        assert_eq!(why.to_string(), sentence);
    }
}

#[test]
fn what_is_believed_by_sight() {
    let by_sight = BySight { guard: own("g"), refusal: own("WHY") };
    assert_eq!(by_sight.to_string(), "g is believed by sight (its try was refused by something else: WHY)");
}
