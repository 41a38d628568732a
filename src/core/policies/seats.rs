//! How people fill the stages of a policy, each of them once. Whose approval counts is for `decision::approvals` to say.

use std::collections::BTreeSet;

use crate::api::policy::Stage;
use crate::api::subject::{Identity, Subject, SubjectKind};
use crate::core::model::subjects::{SERVICE_ACCOUNT_PREFIX, is_approver};

/// How far the people at hand fill the stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seating {
    /// Every stage has the people it needs: these.
    Full(Vec<String>),
    /// The stage at this index is the first that lacks somebody.
    Short {
        /// Index of the stage.
        stage: usize,
        /// How many people it has.
        approved: i32,
    },
}

/// The stages as they stand: one that has been escalated may be approved by more people.
pub fn as_escalated(stages: &[Stage], escalated: &[String]) -> Vec<Stage> {
    let mut stages = stages.to_vec();
    for stage in stages.iter_mut().filter(|stage| escalated.contains(&stage.name)) {
        stage.approvers.extend(stage.escalate_to.clone());
    }
    stages
}

/// The index of the first stage that can never be complete: it asks for more people than it and the stages before it name.
/// A group counts as many people.
pub fn impossible(stages: &[Stage]) -> Option<usize> {
    let all: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
    let stages_at_most = as_escalated(stages, &all);
    let everybody: BTreeSet<&Subject> =
        stages_at_most.iter().flat_map(|s| &s.approvers).filter(|s| s.kind != SubjectKind::Group).collect();
    let people: Vec<Identity> = everybody.into_iter().map(named).collect();
    let open_to_groups = |stage: &Stage| stage.approvers.iter().any(|a| a.kind == SubjectKind::Group);
    let closed: Vec<Stage> = stages_at_most.into_iter().filter(|stage| !open_to_groups(stage)).collect();
    let people: Vec<Vec<&Identity>> = people.iter().map(|who| vec![who]).collect();
    match seat(&closed, &people, |who, stage| is_approver(who, &stage.approvers)) {
        Seating::Short { stage, .. } => stages.iter().position(|s| s.name == closed[stage].name),
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

/// Seats people so that as many stages as possible, in order, are full. Handing out seats first come first
/// served would let somebody who can sit in two stages take the seat that only another could fill.
pub fn seat(stages: &[Stage], people: &[Vec<&Identity>], may: impl Fn(&Identity, &Stage) -> bool) -> Seating {
    let mut seats: Vec<usize> = Vec::new();
    let mut taken: Vec<Option<usize>> = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        for approved in 0..stage.required.max(1) {
            seats.push(index);
            taken.push(None);
            let fits = |person: usize, seat: usize| people[person].iter().any(|who| may(who, &stages[seats[seat]]));
            if !find_person(taken.len() - 1, people.len(), &fits, &mut taken, &mut vec![false; people.len()]) {
                return Seating::Short { stage: index, approved };
            }
        }
    }
    let name = |(seat, person): (usize, &Option<usize>)| {
        let who = people[(*person)?].iter().find(|who| may(who, &stages[seats[seat]]))?;
        Some(who.username.clone())
    };
    Seating::Full(taken.iter().enumerate().filter_map(name).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{group, stage, user};

    #[test]
    fn a_stage_that_needs_more_people_than_there_are_is_found() {
        let bob = || vec![user("bob")];
        let name = |stages: &[Stage]| impossible(stages).map(|index| stages[index].name.clone());
        assert_eq!(name(&[stage("a", 2, bob())]), Some("a".into()));
        assert_eq!(name(&[stage("a", 1, bob()), stage("b", 1, bob())]), Some("b".into()));
        assert_eq!(name(&[stage("a", 1, bob()), stage("b", 1, vec![user("bob"), user("carol")])]), None);
        assert_eq!(name(&[stage("a", 9, vec![group("leads")]), stage("b", 1, bob())]), None);
        let mut escalates = stage("a", 2, bob());
        escalates.escalate_to = vec![user("dave")];
        assert_eq!(name(&[escalates]), None);
    }
}
