//! Who has approved, who has denied, and which stage is open.
//!
//! A person counts once over all stages, whatever names they have, and the requester never. Only reviews with a
//! stamped identity from the server get here; the status guard sees to that.

use std::collections::BTreeMap;

use crate::api::policy::Stage;
use crate::api::request::{AccessRequestStatus, CountedReview, Review, ReviewVerdict};
use crate::api::subject::{Identity, Subject};
use crate::core::model::subjects::{SERVICE_ACCOUNT_PREFIX, is_approver, is_same_person, login_uid};
use crate::core::policies::seats::{Seating, seat};

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
    Denied { by: String, comment: String },
}

/// Reviews by username.
pub type Reviews = BTreeMap<String, Review>;

/// What people have said to a request, and which stages have had to wait too long for them.
#[derive(Clone, Copy, Debug)]
pub struct ReviewLog<'a> {
    pub reviews: &'a Reviews,
    /// Names of the stages that have been escalated.
    pub escalated: &'a [String],
    /// Those that counted, and since when.
    pub counted: &'a [CountedReview],
}

impl<'a> ReviewLog<'a> {
    /// What a status has of it.
    pub fn of(status: &'a AccessRequestStatus) -> Self {
        Self { reviews: &status.reviews, escalated: &status.escalated, counted: &status.counted_reviews }
    }
}

/// Whether somebody's review has a say, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
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
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub who: &'a str,
    pub review: &'a Review,
    /// Whether it has a say.
    pub eligibility: Eligibility,
}

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (who, verdict) = (self.who, self.review.verdict.as_str());
        match self.eligibility {
            Eligibility::Eligible => write!(f, "{who} says {verdict}")?,
            why => write!(f, "{verdict} of {who} has no effect: {why}")?,
        }
        self.review.comment.iter().try_for_each(|comment| write!(f, ": {comment}"))
    }
}

/// People who have a say once access is approved, in the form of a stage.
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
    match seat(stages, &persons(approving.iter()), may) {
        Seating::Full(who) => Progress::Complete(who),
        Seating::Short { stage, approved } => Progress::Open { stage, approved },
    }
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

/// Who wrote a review, as stamped.
pub fn identity(username: &str, review: &Review) -> Identity {
    Identity {
        username: username.to_owned(),
        uid: review.uid.clone(),
        groups: review.groups.clone(),
        ..Identity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With no hours to heed.
    fn progress(stages: &[Stage], reviews: &Reviews, requester: &Identity) -> Progress {
        super::progress(stages, reviews, requester, |_, _| true)
    }

    use crate::core::laws::fixtures::{approve, group, review, stage, user};

    fn alice() -> Identity {
        Identity {
            username: "alice".into(),
            uid: Some("u-alice".into()),
            groups: vec!["dev".into(), "leads".into()],
            ..Identity::default()
        }
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
                let log = Review { uid: Some(uid.to_owned()), ..review(ReviewVerdict::Approve, &[]) };
                (name.to_owned(), log)
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
            let log = Review { uid: uid.map(str::to_owned), ..review(verdict, &[]) };
            Eligibility::of(&stages, &alice(), username, &log)
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
    fn one_denial_is_enough_whoever_approves() {
        let stages = [stage("leads", 1, vec![user("bob"), user("carol")])];
        let denies = |who: &str| (who.to_owned(), review(ReviewVerdict::Deny, &[]));
        let both = progress(&stages, &[approve("bob"), denies("carol")].into(), &alice());
        assert_eq!(both, Progress::Denied { by: "carol".to_owned(), comment: String::new() });
        let vain = progress(&stages, &[approve("bob"), denies("mallory")].into(), &alice());
        assert_eq!(vain, Progress::Complete(vec!["bob".to_owned()]));
    }
}
