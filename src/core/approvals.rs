//! Who has approved, who has denied, and which stage is open.
//!
//! A person counts once over all stages, whatever names they have, and the requester never. Only reviews with a
//! stamped identity from the server get here; the status guard sees to that.

use std::collections::{BTreeMap, BTreeSet};

use super::history::shorten;
use super::subjects::{SERVICE_ACCOUNT_PREFIX, is_approver, is_same_person, login_uid};
use crate::api::policy::Stage;
use crate::api::request::{AccessRequestStatus, CountedReview, Review, ReviewVerdict};
use crate::api::subject::{Identity, Subject, SubjectKind};

/// How far the stages of a policy are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Every stage has the people it needs: these.
    Complete(Vec<String>),
    /// The stage at this index waits; `approved` people count for it so far.
    Open {
        /// Index of the stage.
        stage: usize,
        /// How many people count for it so far.
        approved: i32,
    },
    /// An approver said no.
    Denied {
        /// Who.
        by: String,
        /// What they said.
        comment: String,
    },
}

/// Reviews by username.
pub type Reviews = BTreeMap<String, Review>;

/// What people have said to a request, and which stages have had to wait too long for them.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Reviews by username.
    pub reviews: &'a Reviews,
    /// Names of the stages that have been escalated.
    pub escalated: &'a [String],
    /// Those that counted, and since when.
    pub counted: &'a [CountedReview],
}

impl<'a> Said<'a> {
    /// What a status has of it.
    pub fn of(status: &'a AccessRequestStatus) -> Self {
        Self { reviews: &status.reviews, escalated: &status.escalated, counted: &status.counted_reviews }
    }
}

/// The stages as they stand: one that has been escalated may be approved by more people.
pub fn as_escalated(stages: &[Stage], escalated: &[String]) -> Vec<Stage> {
    let mut stages = stages.to_vec();
    for stage in stages.iter_mut().filter(|stage| escalated.contains(&stage.name)) {
        stage.approvers.extend(stage.escalate_to.clone());
    }
    stages
}

/// Whether somebody's review has a say, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// It has.
    Eligible,
    /// It is the requester's own, perhaps by another account of theirs.
    OwnRequest,
    /// No stage names this service account, and groups do not stand for service accounts.
    UnnamedServiceAccount,
    /// No stage names this person, or a group of theirs.
    NotAnApprover,
}

impl Eligibility {
    /// Of a review under these stages. Nobody reviews their own request, but everybody may give back what is theirs.
    pub fn of(stages: &[Stage], requester: &Identity, username: &str, review: &Review) -> Self {
        let who = identity(username, review);
        if is_same_person(&who, requester) {
            return if review.verdict == ReviewVerdict::Revoke { Self::Eligible } else { Self::OwnRequest };
        }
        if stages.iter().any(|stage| is_approver(&who, &stage.approvers)) {
            Self::Eligible
        } else if username.starts_with(SERVICE_ACCOUNT_PREFIX) {
            Self::UnnamedServiceAccount
        } else {
            Self::NotAnApprover
        }
    }

    /// Whether it has a say.
    pub fn is_eligible(self) -> bool {
        self == Self::Eligible
    }
}

impl std::fmt::Display for Eligibility {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Eligible => "it counts",
            Self::OwnRequest => "nobody reviews their own request",
            Self::UnnamedServiceAccount => "no stage of the policy names this service account",
            Self::NotAnApprover => "no stage of the policy names this person or one of their groups",
        })
    }
}

/// A review as it goes on record.
pub fn on_record(username: &str, review: &Review, eligibility: Eligibility) -> String {
    let (verdict, comment) = (review.verdict.as_str(), comment(review));
    shorten(&match eligibility {
        Eligibility::Eligible => format!("{username} says {verdict}{comment}"),
        why => format!("{verdict} of {username} has no effect: {why}{comment}"),
    })
}

fn comment(review: &Review) -> String {
    review.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default()
}

/// Who may review break-glass access afterwards, in the form of a stage.
pub fn review_stage(reviewers: &[Subject]) -> Stage {
    Stage {
        name: "review".to_owned(),
        approvers: reviewers.to_vec(),
        required: 1,
        hours: None,
        escalate_after: None,
        escalate_to: Vec::new(),
    }
}

/// The first review with this verdict that has a say.
pub fn said_by<'a>(
    stages: &[Stage],
    reviews: &'a Reviews,
    requester: &Identity,
    verdict: ReviewVerdict,
) -> Option<(&'a str, &'a Review)> {
    reviews.iter().map(|(username, review)| (username.as_str(), review)).find(|(username, review)| {
        review.verdict == verdict && Eligibility::of(stages, requester, username, review).is_eligible()
    })
}

/// The first stage that can never be complete: it asks for more people than it and the stages before it name.
/// A group counts as many people.
pub fn impossible(stages: &[Stage]) -> Option<&Stage> {
    let all: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
    let stages_at_most = as_escalated(stages, &all);
    let everybody: BTreeSet<&Subject> =
        stages_at_most.iter().flat_map(|s| &s.approvers).filter(|s| s.kind != SubjectKind::Group).collect();
    let people: Vec<Identity> = everybody.into_iter().map(named).collect();
    let open_to_groups = |stage: &Stage| stage.approvers.iter().any(|a| a.kind == SubjectKind::Group);
    let closed: Vec<Stage> = stages_at_most.into_iter().filter(|stage| !open_to_groups(stage)).collect();
    let people: Vec<Vec<&Identity>> = people.iter().map(|who| vec![who]).collect();
    match seat(&closed, &people, |who, stage| is_approver(who, &stage.approvers)) {
        Progress::Open { stage, .. } => stages.iter().find(|s| s.name == closed[stage].name),
        _ => None,
    }
}

fn named(subject: &Subject) -> Identity {
    let username = match (subject.kind, &subject.namespace) {
        (SubjectKind::ServiceAccount, Some(namespace)) => {
            format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", subject.name)
        }
        _ => subject.name.clone(),
    };
    Identity { username, ..Identity::default() }
}

/// Counts the reviews for the stages. `counts` says whether an approval by somebody whom a stage names counts there.
pub fn progress(
    stages: &[Stage],
    reviews: &Reviews,
    requester: &Identity,
    counts: impl Fn(&Identity, &Stage) -> bool,
) -> Progress {
    let may = |who: &Identity, stage: &Stage| is_approver(who, &stage.approvers) && counts(who, stage);
    if let Some((by, review)) = said_by(stages, reviews, requester, ReviewVerdict::Deny) {
        return Progress::Denied { by: by.to_owned(), comment: review.comment.clone().unwrap_or_default() };
    }
    let approving = reviews.iter().filter(|(username, review)| {
        review.verdict == ReviewVerdict::Approve && Eligibility::of(stages, requester, username, review).is_eligible()
    });
    let approving: Vec<Identity> = approving.map(|(username, review)| identity(username, review)).collect();
    seat(stages, &persons(approving.iter()), may)
}

/// Accounts by person: two names with the same login UID are one.
fn persons<'a>(accounts: impl Iterator<Item = &'a Identity>) -> Vec<Vec<&'a Identity>> {
    let mut persons: Vec<Vec<&Identity>> = Vec::new();
    for account in accounts {
        let known =
            persons.iter_mut().find(|p| p.iter().any(|a| login_uid(account).is_some() && is_same_person(a, account)));
        match known {
            Some(person) => person.push(account),
            None => persons.push(vec![account]),
        }
    }
    persons
}

/// Seats people so that as many stages as possible, in order, are full. Handing out seats first come first
/// served would let somebody who can sit in two stages take the seat that only another could fill.
fn seat(stages: &[Stage], people: &[Vec<&Identity>], may: impl Fn(&Identity, &Stage) -> bool) -> Progress {
    let mut seats: Vec<usize> = Vec::new();
    let mut taken: Vec<Option<usize>> = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        for approved in 0..stage.required.max(1) {
            seats.push(index);
            taken.push(None);
            let fits = |person: usize, seat: usize| people[person].iter().any(|who| may(who, &stages[seats[seat]]));
            if !find_person(taken.len() - 1, people.len(), &fits, &mut taken, &mut vec![false; people.len()]) {
                return Progress::Open { stage: index, approved };
            }
        }
    }
    let name = |(seat, person): (usize, &Option<usize>)| {
        let who = people[(*person)?].iter().find(|who| may(who, &stages[seats[seat]]))?;
        Some(who.username.clone())
    };
    Progress::Complete(taken.iter().enumerate().filter_map(name).collect())
}

/// One augmenting path of a bipartite matching: fills `seat`, moving others along when that helps.
fn find_person(
    seat: usize,
    people: usize,
    fits: &impl Fn(usize, usize) -> bool,
    taken: &mut Vec<Option<usize>>,
    tried: &mut Vec<bool>,
) -> bool {
    for person in 0..people {
        if tried[person] || !fits(person, seat) {
            continue;
        }
        tried[person] = true;
        let elsewhere = taken.iter().position(|t| *t == Some(person));
        if elsewhere.is_none_or(|other| find_person(other, people, fits, taken, tried)) {
            taken[seat] = Some(person);
            return true;
        }
    }
    false
}

/// Who wrote a review, as stamped.
pub fn identity(username: &str, review: &Review) -> Identity {
    Identity { username: username.to_owned(), uid: review.uid.clone(), groups: review.groups.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With no hours to heed.
    fn progress(stages: &[Stage], reviews: &Reviews, requester: &Identity) -> Progress {
        super::progress(stages, reviews, requester, |_, _| true)
    }

    use crate::core::samples::{approve, group, review, stage, user};

    fn alice() -> Identity {
        Identity { username: "alice".into(), uid: Some("u-alice".into()), groups: vec!["dev".into(), "leads".into()] }
    }

    #[test]
    fn a_person_who_can_sit_in_two_stages_does_not_block_the_second() {
        let stages = [stage("first", 1, vec![user("bob"), user("carol")]), stage("second", 1, vec![user("bob")])];
        let done = progress(&stages, &[approve("bob"), approve("carol")].into(), &alice());
        assert_eq!(done, Progress::Complete(vec!["carol".into(), "bob".into()]));
        let open = progress(&stages, &[approve("bob")].into(), &alice());
        assert_eq!(open, Progress::Open { stage: 1, approved: 0 });
    }

    #[test]
    fn the_requester_never_counts_by_name_or_by_uid() {
        let stages = [stage("leads", 1, vec![group("leads")])];
        let mut renamed = review(ReviewVerdict::Approve, &["leads"]);
        renamed.uid = Some("u-alice".into());
        for name in ["alice", "alice-renamed"] {
            let reviews = Reviews::from([(name.to_owned(), renamed.clone())]);
            assert_eq!(progress(&stages, &reviews, &alice()), Progress::Open { stage: 0, approved: 0 });
        }
    }

    /// One person who has two names counts once, in whichever stage helps most.
    #[test]
    fn two_names_of_one_login_are_one_person() {
        let twice = |uid: &str| {
            ["bob", "robert"].map(|name| {
                let said = Review { uid: Some(uid.to_owned()), ..review(ReviewVerdict::Approve, &[]) };
                (name.to_owned(), said)
            })
        };
        let both = [stage("leads", 2, vec![user("bob"), user("robert")])];
        let in_turn = [stage("first", 1, vec![user("bob")]), stage("second", 1, vec![user("robert")])];
        let same = Reviews::from(twice("u-bob"));
        assert_eq!(progress(&both, &same, &alice()), Progress::Open { stage: 0, approved: 1 });
        assert_eq!(progress(&in_turn, &same, &alice()), Progress::Open { stage: 1, approved: 0 });
        // Without a UID nothing says that they are one.
        assert!(matches!(progress(&both, &Reviews::from(twice("")), &alice()), Progress::Complete(_)));
        let one = [stage("second", 1, vec![user("robert")])];
        assert_eq!(progress(&one, &same, &alice()), Progress::Complete(vec!["robert".to_owned()]));
    }

    #[test]
    fn two_people_without_a_uid_are_not_the_same_person() {
        let stages = [stage("leads", 1, vec![user("bob")])];
        for uid in [None, Some(String::new())] {
            let alice = Identity { uid: uid.clone(), ..alice() };
            let (bob, mut approves) = approve("bob");
            approves.uid = uid;
            assert_eq!(progress(&stages, &[(bob, approves)].into(), &alice), Progress::Complete(vec!["bob".into()]));
        }
    }

    #[test]
    fn a_service_account_counts_only_when_named() {
        let robot = "system:serviceaccount:ci:bot".to_owned();
        let reviews =
            Reviews::from([(robot.clone(), review(ReviewVerdict::Approve, &["leads", "system:authenticated"]))]);
        let by_group = [stage("leads", 1, vec![group("leads"), group("system:authenticated")])];
        assert_eq!(progress(&by_group, &reviews, &alice()), Progress::Open { stage: 0, approved: 0 });
        let mut named = group("bot");
        named.kind = crate::api::SubjectKind::ServiceAccount;
        named.namespace = Some("ci".into());
        assert_eq!(progress(&[stage("leads", 1, vec![named])], &reviews, &alice()), Progress::Complete(vec![robot]));
    }

    #[test]
    fn more_approvals_than_needed_are_enough() {
        let stages = [stage("leads", 1, vec![group("leads")])];
        let people = ["bob", "carol", "dave"].map(|n| (n.to_owned(), review(ReviewVerdict::Approve, &["leads"])));
        assert!(matches!(progress(&stages, &people.into(), &alice()), Progress::Complete(_)));
    }

    #[test]
    fn an_outsider_can_neither_deny_nor_revoke() {
        let stages = [stage("leads", 1, vec![group("leads")])];
        let deny = Reviews::from([("mallory".to_owned(), review(ReviewVerdict::Deny, &[]))]);
        assert_eq!(progress(&stages, &deny, &alice()), Progress::Open { stage: 0, approved: 0 });
        let revoke = Reviews::from([("mallory".to_owned(), review(ReviewVerdict::Revoke, &[]))]);
        let nameless = Identity { uid: None, ..alice() };
        for requester in [alice(), nameless] {
            assert_eq!(said_by(&stages, &revoke, &requester, ReviewVerdict::Revoke), None);
        }
    }

    /// Every review is judged by the same rule, whatever is asked about it.
    #[test]
    fn who_has_a_say_is_one_rule() {
        use Eligibility::{Eligible, NotAnApprover, OwnRequest, UnnamedServiceAccount};
        let stages = [stage("leads", 1, vec![user("bob"), user("alice"), user("al")])];
        let by = |username: &str, uid: Option<&str>, verdict| {
            let said = Review { uid: uid.map(str::to_owned), ..review(verdict, &[]) };
            Eligibility::of(&stages, &alice(), username, &said)
        };
        for verdict in [ReviewVerdict::Approve, ReviewVerdict::Deny] {
            assert_eq!(by("bob", Some("u-bob"), verdict), Eligible);
            assert_eq!(by("alice", Some("u-alice"), verdict), OwnRequest);
            assert_eq!(by("al", Some("u-alice"), verdict), OwnRequest, "the second login of the requester");
            assert_eq!(by("mallory", None, verdict), NotAnApprover);
            assert_eq!(by("system:serviceaccount:ci:bot", None, verdict), UnnamedServiceAccount);
        }
        for own in ["alice", "al", "alice-renamed"] {
            assert_eq!(by(own, Some("u-alice"), ReviewVerdict::Revoke), Eligible, "{own} gives back what is theirs");
        }
        assert_eq!(by("mallory", Some("u-mallory"), ReviewVerdict::Revoke), NotAnApprover);
    }

    #[test]
    fn a_stage_that_needs_more_people_than_there_are_is_found() {
        let bob = || vec![user("bob")];
        let name = |stages: &[Stage]| impossible(stages).map(|s| s.name.clone());
        assert_eq!(name(&[stage("a", 2, bob())]), Some("a".into()));
        assert_eq!(name(&[stage("a", 1, bob()), stage("b", 1, bob())]), Some("b".into()));
        assert_eq!(name(&[stage("a", 1, bob()), stage("b", 1, vec![user("bob"), user("carol")])]), None);
        assert_eq!(name(&[stage("a", 9, vec![group("leads")]), stage("b", 1, bob())]), None);
        let mut escalates = stage("a", 2, bob());
        escalates.escalate_to = vec![user("dave")];
        assert_eq!(name(&[escalates]), None);
    }
}
