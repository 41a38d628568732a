//! Who has approved, who has denied, and which stage is open.
//!
//! A person counts once over all stages, whatever names they have, and the requester never. Only reviews with a
//! stamped identity from the server get here; the status guard sees to that.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Reason, shorten};
use super::subjects::{SERVICE_ACCOUNT_PREFIX, is_approver, is_same_person, login_uid};
use crate::api::policy::Stage;
use crate::api::request::{AccessRequestStatus, HistoryEntry, Review, ReviewVerdict};
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
    /// What is on record of it.
    pub history: &'a [HistoryEntry],
}

impl<'a> Said<'a> {
    /// What a status has of it.
    pub fn of(status: &'a AccessRequestStatus) -> Self {
        Self { reviews: &status.reviews, escalated: &status.escalated, history: &status.history }
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

/// What a review is worth, in one word for the record and one sentence for people.
pub fn weigh(stages: &[Stage], requester: &Identity, username: &str, review: &Review) -> (Reason, String) {
    let who = identity(username, review);
    let why = if is_same_person(&who, requester) {
        let gives_back = review.verdict == ReviewVerdict::Revoke && username == requester.username;
        (!gives_back).then_some("nobody reviews their own request")
    } else if stages.iter().any(|stage| is_approver(&who, &stage.approvers)) {
        None
    } else if username.starts_with(SERVICE_ACCOUNT_PREFIX) {
        Some("no stage of the policy names this service account")
    } else {
        Some("no stage of the policy names this person or one of their groups")
    };
    match why {
        None => (Reason::Reviewed, approval(username, review)),
        Some(why) => {
            let (verdict, comment) = (review.verdict.as_str(), comment(review));
            (Reason::ReviewIgnored, format!("{verdict} of {username} has no effect: {why}{comment}"))
        }
    }
}

/// A review that counts, as it goes on record.
pub fn approval(username: &str, review: &Review) -> String {
    shorten(&format!("{username} says {}{}", review.verdict.as_str(), comment(review)))
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

/// The first review with this verdict by somebody whom a stage names, and who is not the requester.
pub fn said_by<'a>(
    stages: &[Stage],
    reviews: &'a Reviews,
    requester: &Identity,
    verdict: ReviewVerdict,
) -> Option<(&'a str, &'a Review)> {
    reviews.iter().map(|(username, review)| (username.as_str(), review)).find(|(username, review)| {
        let who = identity(username, review);
        review.verdict == verdict
            && !is_same_person(&who, requester)
            && stages.iter().any(|s| is_approver(&who, &s.approvers))
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
    let people: Vec<(Identity, &Review)> = reviews
        .iter()
        .map(|(username, review)| (identity(username, review), review))
        .filter(|(who, _)| !is_same_person(who, requester))
        .collect();
    let may = |who: &Identity, stage: &Stage| is_approver(who, &stage.approvers) && counts(who, stage);
    if let Some((by, review)) = said_by(stages, reviews, requester, ReviewVerdict::Deny) {
        return Progress::Denied { by: by.to_owned(), comment: review.comment.clone().unwrap_or_default() };
    }
    let approving = people.iter().filter(|(_, r)| r.verdict == ReviewVerdict::Approve).map(|(who, _)| who);
    seat(stages, &persons(approving), may)
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

/// Who withdrew or ended the request by a review: the requester, or anybody who may approve in a stage.
pub fn revoked_by<'a>(stages: &[Stage], reviews: &'a Reviews, requester: &Identity) -> Option<(&'a str, &'a Review)> {
    reviews.iter().map(|(username, review)| (username.as_str(), review)).find(|(username, review)| {
        let who = identity(username, review);
        review.verdict == ReviewVerdict::Revoke
            && (who.username == requester.username || stages.iter().any(|s| is_approver(&who, &s.approvers)))
    })
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
            assert_eq!(revoked_by(&stages, &revoke, &requester), None);
        }
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
