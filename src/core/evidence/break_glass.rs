//! Emergencies: access that began without approval, and whether it was reviewed in its time. A row each.

use super::chain::{EvidenceChain, instant, username};
use super::known::NamedTexts;
use super::table::{EvidenceTable, TableSchema, yes_or_no};
use crate::api::reason::Reason;

/// The table.
pub static BREAK_GLASS: TableSchema = TableSchema {
    file: "break-glass.csv",
    row: "Access that began without approval, as an emergency.",
    columns: &[
        ("uid", "UID of the request."),
        ("requester", "Who took it."),
        ("at", "When."),
        ("reviewWithin", "How long the policy gives its reviewers. Empty: the text of the policy is not held."),
        ("reviewedAt", "When its review was closed."),
        ("reviewedBy", "By whom."),
        ("finding", "Justified or Unjustified. Empty: its review is open."),
        ("overdueAt", "When it was recorded that nobody had closed the review in its time."),
        ("inTime", "Whether it was closed before it was overdue: yes, no; open while its time runs."),
        ("ownReview", "Whether the requester closed it."),
    ],
};

/// The rows of all chains.
pub fn break_glass(chains: &[EvidenceChain], known: &NamedTexts) -> EvidenceTable {
    EvidenceTable::new(&BREAK_GLASS, chains.iter().filter_map(|chain| row(chain, known)).collect())
}

fn row(chain: &EvidenceChain, known: &NamedTexts) -> Option<Vec<String>> {
    let (first, taken) = (chain.records().next()?, chain.first(Reason::BreakGlass)?);
    let closed = chain.first(Reason::Justified).or_else(|| chain.first(Reason::Unjustified));
    let overdue = chain.first(Reason::ReviewOverdue);
    let terms = chain.begun().and_then(|begun| known.policy(begun)).and_then(|policy| policy.break_glass.as_ref());
    let in_time = match (closed, overdue) {
        (Some(closed), Some(overdue)) => yes_or_no(closed.index < overdue.index),
        (Some(_), None) => yes_or_no(true),
        (None, Some(_)) => yes_or_no(false),
        (None, None) => "open".to_owned(),
    };
    let requester = username(first.subject.as_ref());
    let reviewer = closed.map(|closed| username(closed.actor.as_ref())).unwrap_or_default();
    Some(vec![
        first.request.uid.clone(),
        requester.clone(),
        instant(&taken.at),
        terms.map(|terms| terms.review_within.clone()).unwrap_or_default(),
        closed.map(|closed| instant(&closed.at)).unwrap_or_default(),
        reviewer.clone(),
        closed.map(|closed| closed.kind.as_str().to_owned()).unwrap_or_default(),
        overdue.map(|overdue| instant(&overdue.at)).unwrap_or_default(),
        in_time,
        yes_or_no(!reviewer.is_empty() && reviewer == requester),
    ])
}
