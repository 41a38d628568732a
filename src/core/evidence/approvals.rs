//! What people said to requests: who, what, when, and whether it counted. A row each.
//!
//! Owns which approval of somebody stands at a decision.

use super::chain::{EvidenceChain, instant, username};
use super::known::{NamedHow, NamedTexts, approvers_of};
use super::table::{EvidenceTable, TableSchema, yes_or_no};
use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind};
use crate::api::request::ReviewVerdict;
use crate::api::subject::Subject;

/// The table.
pub static APPROVALS: TableSchema = TableSchema {
    file: "approvals.csv",
    row: "Something that somebody said to a request, or took back.",
    columns: &[
        ("uid", "UID of the request."),
        ("index", "Index of the record."),
        ("at", "When it was recorded."),
        ("reviewer", "Who said it."),
        ("kind", "Reviewed: it has a say. ReviewIgnored: it has none. ReviewWithdrawn: it was taken back."),
        ("verdict", "Approve, Deny or Revoke."),
        ("countsFrom", "From when on it counts, where that was recorded."),
        ("stage", "The approval stage that was open."),
        ("ofGrant", "Whether it is one of the approvals by which access began."),
        ("own", "Whether it is the requester's own."),
        (
            "named",
            "Whether the policy names them: yes; recorded where it names groups and theirs are kept as a digest; no; unknown \
             without its text.",
        ),
        ("comment", "What they wrote."),
    ],
};

/// The rows of all chains.
pub fn approvals(chains: &[EvidenceChain], known: &NamedTexts) -> EvidenceTable {
    let rows = chains.iter().flat_map(|chain| said(chain).map(|record| row(chain, known, record)));
    EvidenceTable::new(&APPROVALS, rows.collect())
}

fn said(chain: &EvidenceChain) -> impl DoubleEndedIterator<Item = &Record> {
    let is_said = |record: &&Record| {
        matches!(
            record.kind.known(),
            Some(RecordKind::Entry(Reason::Reviewed | Reason::ReviewIgnored | Reason::ReviewWithdrawn))
        )
    };
    chain.records().filter(is_said)
}

/// The approval of somebody that stands at the record of this index: the last that they said before it, if it has a say and
/// was an approval.
pub fn standing_approval<'a>(chain: &'a EvidenceChain, name: &str, before: u32) -> Option<&'a Record> {
    let theirs = said(chain).filter(|record| record.index < before && username(record.actor.as_ref()) == name);
    let counts = theirs.filter(|record| record.kind.known() != Some(RecordKind::Entry(Reason::ReviewIgnored)));
    counts.max_by_key(|record| record.index).filter(|record| {
        let verdict = record.review.as_ref().map(|review| review.verdict);
        record.kind.known() == Some(RecordKind::Entry(Reason::Reviewed)) && verdict == Some(ReviewVerdict::Approve)
    })
}

fn row(chain: &EvidenceChain, known: &NamedTexts, record: &Record) -> Vec<String> {
    let review = record.review.as_ref();
    let stands = chain.begun().zip(chain.decided()).is_some_and(|(begun, decided)| {
        let name = username(record.actor.as_ref());
        begun.approved_by.contains(&name) && standing_approval(chain, &name, decided.index) == Some(record)
    });
    let subject = chain.records().next().and_then(|first| first.subject.as_ref());
    let own = record.actor.as_ref().zip(subject).is_some_and(|(who, subject)| {
        let uid = subject.uid.as_ref().filter(|uid| !uid.is_empty());
        who.username == subject.username || (uid.is_some() && who.uid.as_ref() == uid)
    });
    vec![
        record.request.uid.clone(),
        record.index.to_string(),
        instant(&record.at),
        username(record.actor.as_ref()),
        record.kind.as_str().to_owned(),
        review.map(|review| review.verdict.as_str().to_owned()).unwrap_or_default(),
        review.and_then(|review| review.counts_from.as_ref()).map(instant).unwrap_or_default(),
        record.stage.clone().unwrap_or_default(),
        yes_or_no(stands),
        yes_or_no(own),
        named(chain, known, record).as_str().to_owned(),
        review.and_then(|review| review.comment.clone()).unwrap_or_default(),
    ]
}

/// Whether the policy that decides at a record names who said it: as an approver, or as a reviewer of emergencies.
fn named(chain: &EvidenceChain, known: &NamedTexts, record: &Record) -> NamedHow {
    let Some(policy) = known.policy(record) else { return NamedHow::Unknown };
    let escalated = chain.first(Reason::Escalated).is_some();
    let stages = policy.approval.iter().flat_map(|approval| &approval.stages);
    let approvers = stages.flat_map(|stage| approvers_of(stage, escalated));
    let reviewers = policy.break_glass.iter().flat_map(|terms| terms.reviewers.clone());
    let subjects: Vec<Subject> = approvers.chain(reviewers).collect();
    record.actor.as_ref().map_or(NamedHow::No, |who| known.named(who, &subjects))
}
