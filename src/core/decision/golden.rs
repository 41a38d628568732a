//! The sentences of this room, in one place to read: why a request is denied or waits, and what else is said of a
//! decision. Nowhere else in the tests of the room is a sentence compared.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::answer::{AllowedBy, HeldBy, Lapse, Refusal, RightUnknown, Unreadable};
use super::approvals::{Eligibility, Said};
use super::freeze::{Denying, FreezeEdge, Frozen, Moment, NoAnswer};
use super::period::NoTime;
use super::protected::{BeyondReading, ProtectedBy, Protection};
use super::shortfall::{Denial, Requesters, Shortfall};
use crate::api::request::{Review, ReviewVerdict};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::guard::NotInForce;
use crate::core::laws::fixtures::{fault, group, noon, review, user};
use crate::core::model::near_miss::NearMiss;
use crate::core::model::problem::PolicyProblem;
use crate::core::policies::cel::Unevaluated;
use crate::core::policies::limits::{Count, Exceeded};
use crate::core::policies::origin::Disbelief;
use crate::core::policies::usable::{ListedRole, Sought, Unusable};

fn own(text: &str) -> String {
    text.to_owned()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(own).collect()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn at(hour: i64) -> Timestamp {
    noon() + SignedDuration::from_hours(hour)
}

fn role(kind: RoleKind, name: &str) -> RoleName {
    RoleName { kind, name: own(name) }
}

fn missing() -> Unusable {
    Unusable::Missing { role: role(RoleKind::ClusterRole, "edit"), sought: Sought::Cluster }
}

fn requester(near: Option<NearMiss>, more: usize) -> Shortfall {
    Shortfall::Requester { who: own("eve"), wanted: Requesters { named: vec![group("dev"), user("bob")], more }, near }
}

fn failed() -> Unevaluated {
    Unevaluated::Failed { source: own("1 / 0 == 1"), why: own("WHY") }
}

#[test]
fn in_what_a_policy_falls_short() {
    let [asked, listed] = [RoleKind::ClusterRole, RoleKind::Role].map(|kind| role(kind, "edit"));
    let (long, short) = (minutes(61), minutes(60));
    for (shortfall, sentence) in [
        (requester(None, 0), "eve is not among its requesters (Group/dev, User/bob)"),
        (requester(None, 7), "eve is not among its requesters (Group/dev, User/bob and 7 more)"),
        (Shortfall::Role { asked, listed: vec![listed] }, "ClusterRole/edit is not among its roles (Role/edit)"),
        (Shortfall::Cluster, "it does not cover the whole cluster"),
        (Shortfall::Namespaces(names(&["bank", "moon"])), "it does not cover namespace bank, moon"),
        (Shortfall::UnknownGrant(own("fix")), "nothing is known of fix"),
        (Shortfall::Extension, "it allows no extension"),
        (Shortfall::Extensions(1), "it allows a grant to be extended once only"),
        (Shortfall::Extensions(3), "it allows a grant to be extended 3 times only"),
        (
            Shortfall::ExtensionLength { asked: long, most: short },
            "1h1m is longer than 1h, the most that one extension adds",
        ),
        (Shortfall::Recurrence, "it allows no recurring access (spec.recurrence)"),
        (Shortfall::Weeks { asked: 3, most: 2 }, "3 weeks are more than the 2 that it allows"),
        (Shortfall::WindowLength { asked: long, most: short }, "windows of 1h1m are longer than its maximum of 1h"),
        (Shortfall::Length { asked: long, most: short }, "1h1m is longer than its maximum of 1h"),
        (Shortfall::BreakGlass, "it has no breakGlass"),
        (Shortfall::BreakGlassOnly, "it is for emergencies only (spec.breakGlass)"),
        (Shortfall::Condition(own("name a ticket")), "name a ticket"),
        (Shortfall::ConditionUnevaluated(failed()), "its condition cannot be evaluated: 1 / 0 == 1: WHY"),
        (Shortfall::AutomaticUnevaluated(failed()), "its automaticWhen cannot be evaluated: 1 / 0 == 1: WHY"),
        (
            Shortfall::RoleUnusable(ListedRole { index: 1, why: missing() }),
            "spec.roles[1]: there is no ClusterRole/edit: create it, or take it out of the policy",
        ),
        (
            Shortfall::Limit(Exceeded::Full { what: Count::Grants, there: 2, most: 1 }),
            "there are 2 running grants under it, and it allows 1",
        ),
        (
            Shortfall::Disbelieved(Disbelief::GuardMissing(NotInForce::OnRecord(own("WHY")))),
            "it was written while the cluster's guard may not be in place: WHY",
        ),
        (
            Shortfall::Faulty(vec![fault("spec.roles", PolicyProblem::NoRoles)]),
            "it is not ready (spec.roles: a policy that allows must list its roles)",
        ),
    ] {
        assert_eq!(shortfall.to_string(), sentence);
    }
}

#[test]
fn what_of_the_protected_namespaces_it_does_not_reach() {
    let way_out = "or have spec.scope.systemNamespaces: true set by somebody who has the verb administer on \
                   accesspolicies.daypass.dev";
    let namespaces =
        |selected| ProtectedBy::Namespaces { reached: names(&["daypass-system", "kube-system"]), selected };
    let cluster = |beyond| ProtectedBy::Cluster {
        release: own("daypass-system"),
        role: role(RoleKind::ClusterRole, "edit"),
        beyond,
    };
    let create = BeyondReading::Resource { verb: own("create"), resource: own("pods") };
    let url = BeyondReading::Url { verb: own("post"), url: own("/debug") };
    let of_cluster = "kube-system and daypass-system are protected, which the whole cluster includes, and \
                      ClusterRole/edit";
    let less = "ask for namespaces, or for what only reads (spec.rules)";
    for (of, sentence) in [
        (namespaces(false), own("namespace daypass-system, kube-system is protected: ask for others")),
        (namespaces(true), own("namespace daypass-system, kube-system is protected: select others only")),
        (cluster(create), format!("{of_cluster} may do more than look there (create on pods): {less}")),
        (cluster(url), format!("{of_cluster} may do more than look there (post on URL /debug): {less}")),
        (
            cluster(BeyondReading::Unknown),
            format!("{of_cluster} is not known here: it may come to allow anything: {less}"),
        ),
    ] {
        let now = Protection { of: of.clone(), approved: false };
        assert_eq!(now.to_string(), format!("{sentence}, {way_out}"));
        let before = Protection { of, approved: true };
        let again = "; that holds for whatever begins now, also when it was approved before";
        assert_eq!(before.to_string(), format!("{now}{again}"));
    }
}

#[test]
fn why_a_request_is_denied() {
    let denying = |unevaluated, window| Denial::Policy(Denying { policy: own("no"), unevaluated, window });
    let during = |what| denying(None, Some(Frozen { what, at: at(1), until: at(24) }));
    let shortfalls = vec![requester(None, 0), Shortfall::BreakGlass];
    let faults = vec![fault("spec.roles", PolicyProblem::NoRoles)];
    for (denial, sentence) in [
        (denying(None, None), "policy no denies it"),
        (
            denying(Some(NoAnswer::Evaluation(failed())), None),
            "policy no denies it, since a condition cannot be evaluated: 1 / 0 == 1: WHY",
        ),
        (
            denying(Some(NoAnswer::Faults(faults.clone())), None),
            "policy no denies it, since a condition cannot be evaluated: spec.roles: a policy that allows must list its \
             roles",
        ),
        (
            during(Moment::Start),
            "policy no denies it until 2026-11-24T12:00:00Z, and spec.startTime is 2026-11-23T13:00:00Z: name a start \
             from then on, or leave startTime out to have access when it can be",
        ),
        (
            during(Moment::EndOfGrant),
            "policy no denies it from 2026-11-23T13:00:00Z until 2026-11-24T12:00:00Z, so a grant that ends then is not \
             extended",
        ),
        (
            during(Moment::Emergency),
            "policy no denies it until 2026-11-24T12:00:00Z, emergencies too (its spec.onBreakGlass)",
        ),
        (during(Moment::Running), "policy no denies it until 2026-11-24T12:00:00Z"),
        (
            Denial::FallsShort { policy: own("p"), shortfalls },
            "policy p: eve is not among its requesters (Group/dev, User/bob), it has no breakGlass",
        ),
        (
            Denial::NotReady { policy: own("p"), faults },
            "policy p: it is not ready (spec.roles: a policy that allows must list its roles)",
        ),
        (Denial::NamesDenying(own("no")), "policy no: it denies, so nothing can be granted by it"),
        (Denial::NamesNone { name: own("ghost"), near: Vec::new() }, "there is no policy ghost"),
        (
            Denial::NamesNone { name: own("eazy"), near: names(&["easy", "lazy"]) },
            "there is no policy eazy; names that are near: easy, lazy",
        ),
        (Denial::NoPolicy, "there is no policy that allows anything"),
    ] {
        assert_eq!(denial.to_string(), sentence);
    }
}

#[test]
fn why_there_is_no_time_for_access() {
    let windows = || own("Mon 11:00-13:00 UTC");
    let common = |allowed| NoTime::NoCommonWindow { asked: own("Tue 02:00-04:00 UTC"), allowed, end: at(1) };
    for (why, sentence) in [
        (NoTime::NeverOpens { windows: windows() }, "access is for Mon 11:00-13:00 UTC only, and it never opens again"),
        (
            NoTime::NotInTime { windows: windows() },
            "access is for Mon 11:00-13:00 UTC only, and no window is open in the time asked for",
        ),
        (
            NoTime::NotOpen { windows: windows(), at: at(1) },
            "access is for Mon 11:00-13:00 UTC only, and no window is open at 2026-11-23T13:00:00Z",
        ),
        (common(None), "no window is open both in Tue 02:00-04:00 UTC before 2026-11-23T13:00:00Z"),
        (
            common(Some(windows())),
            "no window is open both in Tue 02:00-04:00 UTC and Mon 11:00-13:00 UTC before 2026-11-23T13:00:00Z",
        ),
    ] {
        assert_eq!(why.to_string(), sentence);
    }
}

#[test]
fn what_keeps_a_request_waiting_and_how_it_lapses() {
    let unreadable =
        Unreadable { policy: own("no"), faults: vec![fault("spec.roles", PolicyProblem::NoRoles)] }.to_string();
    assert_eq!(
        unreadable,
        "policy no denies, but cannot be read, so no request can be decided: spec.roles: a policy that allows must list \
         its roles"
    );
    let unknown = RightUnknown(role(RoleKind::ClusterRole, "edit")).to_string();
    assert_eq!(unknown, "the API server has yet to say whether Daypass may bind ClusterRole/edit");
    let frozen = HeldBy::Frozen(FreezeEdge { policy: own("freeze"), at: at(1) }).to_string();
    assert_eq!(frozen, "policy freeze denies it until 2026-11-23T13:00:00Z: access waits for that");
    assert_eq!(
        HeldBy::Role(missing()).to_string(),
        "access waits for its role: there is no ClusterRole/edit: create it, or take it out of the policy"
    );
    for (lapse, sentence) in [
        (Lapse::Stage(own("leads")), "stage leads had no answer in time"),
        (Lapse::Time, "the time asked for is over"),
        (Lapse::Grant(own("fix")), "fix came to its end first"),
        (
            Lapse::Role(missing()),
            "its role did not come in time: there is no ClusterRole/edit: create it, or take it out of the policy",
        ),
    ] {
        assert_eq!(lapse.to_string(), sentence);
    }
}

#[test]
fn what_people_said() {
    let allowed = |approvers: &[&str]| AllowedBy { policy: own("p"), approvers: names(approvers) }.to_string();
    assert_eq!(allowed(&[]), "policy p allows it");
    assert_eq!(allowed(&["bob", "carol"]), "policy p allows it, approved by bob, carol");
    let refusal = |comment: &str| Refusal { by: own("bob"), comment: own(comment) }.to_string();
    assert_eq!([refusal(""), refusal("not now")], ["bob denied it", "bob denied it: not now"]);
    let review = Review { comment: Some(own("go")), ..review(ReviewVerdict::Approve, &[]) };
    for (eligibility, sentence) in [
        (Eligibility::Eligible, "bob says Approve: go"),
        (Eligibility::OwnRequest, "Approve of bob has no effect: nobody reviews their own request: go"),
        (
            Eligibility::UnnamedServiceAccount,
            "Approve of bob has no effect: no stage of the policy names this service account: go",
        ),
        (
            Eligibility::NotAnApprover,
            "Approve of bob has no effect: no stage of the policy names this person or one of their groups: go",
        ),
    ] {
        assert_eq!(Said { who: "bob", review: &review, eligibility }.to_string(), sentence);
    }
}
