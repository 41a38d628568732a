//! Access that began: who agreed to it, in which order things happened, and whether it ended at its end. A row each.
//!
//! Owns the tests of order and of the end. A record is written when its transition was seen to be done, so an end is not
//! later than the table says, and may be earlier.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::approvals::standing_approval;
use super::chain::{EvidenceChain, instant, place, role, username};
use super::known::{NamedHow, NamedTexts, approvers_of};
use super::table::{EvidenceTable, TableSchema, yes_or_no};
use crate::api::policy::{AccessPolicySpec, Stage};
use crate::api::reason::Reason;
use crate::api::record::{Record, RecordedPerson};
use crate::api::subject::Identity;
use crate::core::policies::seats::{Seating, seat};

/// The table.
pub static GRANTS: TableSchema = TableSchema {
    file: "grants.csv",
    row: "Access that began by a row of the population, or an extension that moved another end.",
    columns: &[
        ("uid", "UID of the request."),
        ("requester", "Who got access."),
        ("role", "The role, by kind and name."),
        ("where", "Namespaces, labels of namespaces, or * for the whole cluster."),
        ("risk", "How much harm it can do, as judged then."),
        ("breakGlass", "Whether it began without approval, as an emergency."),
        ("extends", "Name of the request whose end it moved."),
        ("policy", "Name of the policy that decided."),
        ("policyDigest", "Digest of the text of the policy. Empty: it was gone, or could not be read."),
        ("requestedAt", "When it was asked for."),
        ("lastApprovalAt", "When the last of the approvals that count was given, or began to count."),
        ("decidedAt", "When it was decided."),
        ("beganAt", "When it was recorded that access began."),
        ("statedEnd", "When it was to end, with all extensions."),
        (
            "endedAt",
            "When it was recorded that it ended, which is not before it did. Empty: it had not when the pack was made.",
        ),
        ("endedBy", "The kind of the record of its end."),
        ("approvers", "Whose approval counts, sorted."),
        ("asked", "How many approvals the stages of the policy ask for. Empty: the text of the policy is not held."),
        ("approvals", "How many count."),
        (
            "asAsked",
            "Whether the approvers fill the stages of the policy: yes, no, unknown without its text; automatic where the policy \
             asks nobody; breakGlass for an emergency.",
        ),
        ("ownApproval", "Whether the requester is among the approvers, by name or by login UID."),
        (
            "eligible",
            "Whether the policy names every approver: yes; recorded where it names groups, and theirs are kept as a digest, so \
             that the record alone says that they counted; unknown without its text; no. Empty: there are none.",
        ),
        (
            "order",
            "ok when request, each approval, decision, beginning and end follow each other; or what does not: unapproved (an \
             approval has no record), approval, decision, beginning, end.",
        ),
        ("end", "early, stated, running, overdue, or moved for an extension."),
        ("lateSeconds", "For stated and overdue: how long after the stated end."),
        ("inTime", "For stated and overdue: whether that is within the bound of the manifest."),
    ],
};

/// When a pack is made, and how late an end may be recorded.
#[derive(Clone, Copy, Debug)]
pub struct EndBound {
    pub clock: Timestamp,
    /// In seconds.
    pub late_after: i64,
}

/// How access ended, with by how much it was late in microseconds where it reached its stated end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GrantEnd {
    Early,
    Stated(i64),
    Running,
    Overdue(i64),
    Moved,
}

/// The rows of all chains.
pub fn grants(chains: &[EvidenceChain], known: &NamedTexts, bound: EndBound) -> EvidenceTable {
    EvidenceTable::new(&GRANTS, chains.iter().filter_map(|chain| row(chain, known, bound)).collect())
}

fn row(chain: &EvidenceChain, known: &NamedTexts, bound: EndBound) -> Option<Vec<String>> {
    let (first, begun, decided, ended) = (chain.records().next()?, chain.begun()?, chain.decided()?, chain.ended());
    let policy = known.policy(begun);
    let is_emergency = is_emergency(chain);
    let approvers: BTreeSet<&String> = begun.approved_by.iter().collect();
    let approvals: Vec<Option<&Record>> =
        approvers.iter().map(|name| standing_approval(chain, name, decided.index)).collect();
    let stated = ended.or(chain.records().next_back()).and_then(|record| record.given.as_ref()).map(|term| &term.until);
    let end = end_of(chain, stated.map(|until| until.0), bound);
    let asked = policy.map(|policy| stages(policy).iter().map(|stage| i64::from(stage.required.max(1))).sum::<i64>());
    let version = begun.policy.as_ref();
    let names: Vec<&str> = approvers.iter().map(|name| name.as_str()).collect();
    let (word, late) = end.cells();
    let moved = end == GrantEnd::Moved;
    Some(vec![
        first.request.uid.clone(),
        username(first.subject.as_ref()),
        role(first),
        place(begun),
        begun.access.risk.clone().unwrap_or_default(),
        yes_or_no(is_emergency),
        chain.extends().unwrap_or_default().to_owned(),
        version.map(|policy| policy.name.clone()).unwrap_or_default(),
        version.and_then(|policy| policy.digest.clone()).unwrap_or_default(),
        instant(&first.at),
        approvals.iter().flatten().map(|record| counts_from(record)).max().unwrap_or_default(),
        instant(&decided.at),
        instant(&begun.at),
        stated.filter(|_| !moved).map(instant).unwrap_or_default(),
        ended.filter(|_| !moved).map(|record| instant(&record.at)).unwrap_or_default(),
        ended.filter(|_| !moved).map(|record| record.kind.as_str().to_owned()).unwrap_or_default(),
        names.join(" "),
        asked.map(|asked| asked.to_string()).unwrap_or_default(),
        names.len().to_string(),
        as_asked(chain, known, policy, &approvals, is_emergency).to_owned(),
        yes_or_no(is_own(first, &names, &approvals)),
        eligible(chain, known, policy, &approvals).to_owned(),
        order(first, &approvals, decided, begun, ended).to_owned(),
        word.to_owned(),
        late.map(seconds).unwrap_or_default(),
        late.map(|late| yes_or_no(late <= bound.late_after.saturating_mul(1_000_000))).unwrap_or_default(),
    ])
}

/// Whether access began as an emergency, for whoever is to review that.
pub fn is_emergency(chain: &EvidenceChain) -> bool {
    chain.first(Reason::BreakGlass).is_some()
}

fn stages(policy: &AccessPolicySpec) -> &[Stage] {
    policy.approval.as_ref().map_or(&[], |approval| &approval.stages)
}

/// The stages with all who may approve in them.
fn open_stages(chain: &EvidenceChain, policy: &AccessPolicySpec) -> Vec<Stage> {
    let escalated = chain.first(Reason::Escalated).is_some();
    let open = |stage: &Stage| Stage { approvers: approvers_of(stage, escalated), ..stage.clone() };
    stages(policy).iter().map(open).collect()
}

/// From when on an approval counts.
fn counts_from(approval: &Record) -> String {
    let from = approval.review.as_ref().and_then(|review| review.counts_from.as_ref());
    instant(from.unwrap_or(&approval.at))
}

fn as_asked(
    chain: &EvidenceChain,
    known: &NamedTexts,
    policy: Option<&AccessPolicySpec>,
    approvals: &[Option<&Record>],
    is_emergency: bool,
) -> &'static str {
    if is_emergency {
        return "breakGlass";
    }
    let Some(policy) = policy else { return "unknown" };
    let may_be_automatic = policy.approval.as_ref().is_some_and(|approval| approval.automatic_when.is_some());
    if stages(policy).is_empty() || (approvals.is_empty() && may_be_automatic) {
        return "automatic";
    }
    let people: Vec<&RecordedPerson> = approvals.iter().flatten().filter_map(|record| record.actor.as_ref()).collect();
    let identities: Vec<Identity> =
        people.iter().map(|who| Identity { username: who.username.clone(), ..Identity::default() }).collect();
    let seats: Vec<Vec<&Identity>> = identities.iter().map(|who| vec![who]).collect();
    let may = |who: &Identity, stage: &Stage| {
        let person = people.iter().find(|person| person.username == who.username);
        person.is_some_and(|person| known.named(person, &stage.approvers) != NamedHow::No)
    };
    match seat(&open_stages(chain, policy), &seats, may) {
        Seating::Full(_) => "yes",
        Seating::Short { .. } => "no",
    }
}

fn is_own(first: &Record, names: &[&str], approvals: &[Option<&Record>]) -> bool {
    let Some(subject) = &first.subject else { return false };
    let uid = subject.uid.as_ref().filter(|uid| !uid.is_empty());
    let actors = approvals.iter().flatten().filter_map(|record| record.actor.as_ref());
    names.contains(&subject.username.as_str()) || actors.into_iter().any(|who| uid.is_some() && who.uid.as_ref() == uid)
}

fn eligible(
    chain: &EvidenceChain,
    known: &NamedTexts,
    policy: Option<&AccessPolicySpec>,
    approvals: &[Option<&Record>],
) -> &'static str {
    if approvals.is_empty() {
        return "";
    }
    let Some(policy) = policy else { return NamedHow::Unknown.as_str() };
    let subjects: Vec<_> = open_stages(chain, policy).into_iter().flat_map(|stage| stage.approvers).collect();
    let of = |approval: &Option<&Record>| {
        let who = approval.and_then(|record| record.actor.as_ref());
        who.map_or(NamedHow::No, |who| known.named(who, &subjects))
    };
    approvals.iter().map(of).min().unwrap_or(NamedHow::No).as_str()
}

fn order(
    first: &Record,
    approvals: &[Option<&Record>],
    decided: &Record,
    begun: &Record,
    ended: Option<&Record>,
) -> &'static str {
    let decided_at = instant(&decided.at);
    if approvals.iter().any(Option::is_none) {
        return "unapproved";
    }
    if approvals.iter().flatten().any(|record| record.at < first.at || counts_from(record) > decided_at) {
        return "approval";
    }
    if decided.at < first.at {
        return "decision";
    }
    if begun.at < decided.at {
        return "beginning";
    }
    if ended.is_some_and(|ended| ended.at < begun.at) { "end" } else { "ok" }
}

fn end_of(chain: &EvidenceChain, stated: Option<Timestamp>, bound: EndBound) -> GrantEnd {
    if chain.extends().is_some() {
        return GrantEnd::Moved;
    }
    let after = |at: Timestamp| stated.map(|stated| at.as_microsecond().saturating_sub(stated.as_microsecond()));
    match (chain.ended(), after(bound.clock)) {
        (Some(ended), _) => match after(ended.at.0) {
            Some(late) if late >= 0 => GrantEnd::Stated(late),
            _ => GrantEnd::Early,
        },
        (None, Some(late)) if late >= 0 => GrantEnd::Overdue(late),
        (None, _) => GrantEnd::Running,
    }
}

impl GrantEnd {
    fn cells(self) -> (&'static str, Option<i64>) {
        match self {
            Self::Early => ("early", None),
            Self::Stated(late) => ("stated", Some(late)),
            Self::Running => ("running", None),
            Self::Overdue(late) => ("overdue", Some(late)),
            Self::Moved => ("moved", None),
        }
    }
}

/// Microseconds as seconds.
fn seconds(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
