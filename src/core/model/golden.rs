//! The sentences of this room, in one place to read: the rules that a field can break. Nowhere else in the tests of the
//! room is a sentence compared.

use super::duration::BadDuration;
use super::field_error::{FieldError, sentence};
use super::problem::{
    FieldProblem, OutOfReach, PolicyProblem, RequestProblem, RuleProblem, ScopeProblem, TimeProblem, WordFault,
};

fn own(text: &str) -> String {
    text.to_owned()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(own).collect()
}

#[track_caller]
fn says(problem: impl Into<FieldProblem>, sentence: &str) {
    assert_eq!(problem.into().to_string(), sentence);
}

#[test]
fn of_any_field() {
    says(FieldProblem::NotServed, "not served by this version of Daypass: remove it");
    says(FieldProblem::Undecodable(own("WHY")), "WHY");
    says(FieldProblem::Expression(own("WHY")), "WHY");
    says(BadDuration::Form(own("soon")), "\"soon\" is not hours, minutes and seconds such as 30m or 1h30m");
    says(BadDuration::Range(own("721h")), "721h is not between 1s and 720h");
    let faults = [
        FieldError::new("spec.roles", PolicyProblem::NoRoles),
        FieldError::new("spec.requesters", PolicyProblem::NoRequesters),
    ];
    assert_eq!(
        sentence(&faults),
        "spec.requesters: a policy that allows must name its requesters; spec.roles: a policy that allows must list its \
         roles"
    );
}

#[test]
fn of_a_request() {
    says(RequestProblem::StartsTooLate, "must be within a year of the request");
    says(
        RequestProblem::NotStamped,
        "the cluster did not stamp who asks: install Daypass's admission policies, then make the request again",
    );
    says(RequestProblem::Anonymous, "somebody who is not logged in cannot be given access");
    says(
        RequestProblem::BreakGlassLater,
        "begins at once and is not extended: leave spec.startTime and spec.extends out",
    );
    says(
        RequestProblem::ExtensionElsewhere,
        "holds where and from when on the running grant does: leave spec.scope and spec.startTime out",
    );
    says(RequestProblem::ExtendsItself, "a request cannot extend itself: name the running one");
    says(
        RequestProblem::RecurrenceAndMore,
        "lasts as long as its windows, and is no extension and no emergency: leave spec.duration, spec.extends and \
         spec.breakGlass out",
    );
    says(
        RequestProblem::Windows { there: 50, most: 48 },
        "50 windows in all; there must be at least one and at most 48",
    );
}

#[test]
fn of_a_scope() {
    says(ScopeProblem::Several, "give one of namespaces, namespaceSelector and cluster");
    says(ScopeProblem::None, "give at least one of namespaces, namespaceSelector and cluster");
    says(ScopeProblem::RoleInCluster, "a Role cannot be bound in the whole cluster: ask for a ClusterRole");
    says(ScopeProblem::Missing(names(&["mars", "moon"])), "no such namespace: mars, moon");
    says(ScopeProblem::Unmatched, "no namespace has these labels");
    says(
        ScopeProblem::TooMany { there: 257, most: 256 },
        "257 namespaces have these labels, at most 256 can be granted at once: narrow it, or ask for the cluster",
    );
    let way_out = "ask for namespaces that this Daypass is limited to, or have who installs it change `watchNamespaces` \
                   of its chart; now it serves bank, shop";
    for (what, start) in [
        (OutOfReach::Own(own("yard")), "nobody answers a request in namespace yard"),
        (OutOfReach::Cluster, "access to the whole cluster cannot be granted here"),
        (OutOfReach::Namespaces(names(&["moon", "yard"])), "namespace moon, yard is not served"),
    ] {
        says(ScopeProblem::OutOfReach { what, served: names(&["bank", "shop"]) }, &format!("{start}: {way_out}"));
    }
}

#[test]
fn of_a_rule() {
    says(RuleProblem::ResourcesOrUrls, "a rule is for resources or for nonResourceURLs: give one of the two");
    says(RuleProblem::NoVerb, "give at least one verb: a rule without gives nothing");
    says(RuleProblem::NoGroup, "give at least one API group: \"\" is the core group");
    says(RuleProblem::UrlsAndMore, "URLs have no apiGroups and no resourceNames: remove these");
    says(
        RuleProblem::TooMany { there: 4097, most: 4096 },
        "4097 single rights are wanted, at most 4096 are compared: split the request",
    );
    for (fault, sentence) in [
        (WordFault::Empty, "\"w\" is empty: remove it"),
        (WordFault::TooLong, "\"w\" is too long"),
        (WordFault::Star, "\"w\" has a * where Kubernetes reads none: write it out"),
        (WordFault::Letter, "\"w\" has a letter that does not belong there"),
        (WordFault::UpperCase, "\"w\" must be in lower case"),
        (WordFault::AllSubresources, "\"w\" asks for all subresources, which Kubernetes does not know: name them"),
        (WordFault::AllNames, "\"w\" is one object of that name: leave resourceNames out for all objects"),
        (WordFault::NoSlash, "\"w\" must begin with /"),
    ] {
        says(RuleProblem::Word { written: own("w"), fault }, sentence);
    }
}

#[test]
fn of_a_schedule() {
    says(
        TimeProblem::NoZone(own("Berlin")),
        "\"Berlin\" is no time zone: give its IANA name, for example Europe/Berlin",
    );
    says(
        TimeProblem::ZoneCase { written: own("utc"), exact: own("UTC") },
        "\"utc\" is written UTC: upper and lower case count",
    );
    says(TimeProblem::NoWindow, "must list at least one window");
    says(TimeProblem::NoDay, "must name at least one day, for example Mon");
    says(TimeProblem::StartsAtEnd, "24:00 is the end of a day: a window that begins then begins at 00:00 of the next");
    says(TimeProblem::Start(own("9")), "\"9\" is no time of day: write it as HH:MM, for example 09:00");
    says(
        TimeProblem::End("9".repeat(50)),
        &format!(
            "\"{}\" is no time of day: write it as HH:MM, for example 17:30, or 24:00 for the end of the day",
            "9".repeat(40)
        ),
    );
}

#[test]
fn of_a_policy() {
    for (problem, sentence) in [
        (PolicyProblem::NoLongest, "a policy that allows must set it"),
        (PolicyProblem::DefaultOverLongest, "must not be longer than spec.duration.max"),
        (PolicyProblem::NoRequesters, "a policy that allows must name its requesters"),
        (PolicyProblem::NoRoles, "a policy that allows must list its roles"),
        (PolicyProblem::OnlyRolesInCluster, "only a ClusterRole can be bound in the whole cluster"),
        (PolicyProblem::NobodyToSpare, "spares approvers, and there are none: add stages, or remove it"),
        (
            PolicyProblem::OnBreakGlass,
            "says what a policy that denies does to emergencies: remove it, or set spec.breakGlass",
        ),
        (PolicyProblem::NoReviewers, "must name who reviews the access afterwards"),
        (
            PolicyProblem::Extensions { most: 100 },
            "must be between 1 and 100; to allow no extension leave spec.extension out",
        ),
        (
            PolicyProblem::RecurrenceAndCounted,
            "does not go together with limits.timePerDay and limits.cooldown: remove it, or have two policies",
        ),
        (
            PolicyProblem::StageImpossible,
            "cannot be complete: it needs more people than it names, and one person counts in one stage only",
        ),
        (PolicyProblem::NoApprovers, "must have approvers, and require at least one of them"),
        (PolicyProblem::LimitBelowOne, "must be at least 1; to allow nothing at all, remove the policy"),
    ] {
        says(problem, sentence);
    }
}
