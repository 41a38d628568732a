//! The making of records of `daypass.dev/record/v1`.
//!
//! Frozen with the schema: what was recorded once is recorded the same by every later version, byte for byte.
//! `golden.rs` holds that. It must not depend on a sentence.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::api::reason::Reason;
use crate::api::record::{
    Record, RecordKind, RecordOutcome, RecordedAccess, RecordedGap, RecordedPerson, RecordedPolicy, RecordedQuestion,
    RecordedRequest, RecordedReview, RecordedTerm, SCHEMA,
};
use crate::api::request::{AccessRequest, HistoryEntry, NotedFacts};
use crate::api::selector::{LabelOperator, LabelSelector};
use crate::core::model::facts;

/// What is said of a request that went while no controller ran.
const UNSEEN: &str =
    "The request was gone when a controller looked again. It went at some time since the record before.";

/// All records of a request, in order: that it was made, and one for each entry of its history. `cluster` is the UID of the
/// namespace kube-system.
pub fn records(request: &AccessRequest, cluster: &str) -> Vec<Record> {
    let mut all = vec![requested(request, cluster)];
    let mut known = NotedFacts::default();
    for entry in request.status.iter().flat_map(|status| &status.history) {
        known = facts::with_entry(known, entry);
        let next = of_entry(request, entry, &known, &all);
        all.push(next);
    }
    all
}

/// That the object of a request is gone, as the last of its records. `at` is when that was seen. Who deleted it only the
/// API server's audit log says.
pub fn deleted(request: &AccessRequest, cluster: &str, at: Timestamp) -> Record {
    let all = records(request, cluster);
    let known = facts::known(request.status.as_ref().map_or(&[], |status| &status.history));
    let frame = following(request, &all);
    with_facts(Record { at: MicroTime(at), kind: RecordKind::Deleted.into(), ..frame }, &known)
}

/// The same of a request that nobody saw go, from its last record and the digest of that. `at` is when it was missed.
pub fn deleted_unseen(last: Record, digest: String, at: Timestamp) -> Record {
    let index = last.index.saturating_add(1);
    Record {
        id: format!("{}/{index}", last.request.uid),
        index,
        at: MicroTime(at),
        kind: RecordKind::Deleted.into(),
        outcome: RecordOutcome::Noted,
        actor: None,
        asked: None,
        stage: None,
        review: None,
        message: Some(UNSEEN.to_owned()),
        previous: Some(digest),
        ..last
    }
}

/// Whether no more need be told of a request after this record: its access is over, or it is gone.
pub fn closes(record: &Record) -> bool {
    let access = &record.access;
    // An extension names no place of its own; where one is named, this is the grant that goes on.
    let has_place = access.cluster_wide || access.selector.is_some() || !access.namespaces.is_empty();
    match record.kind.known() {
        Some(RecordKind::Deleted) => true,
        Some(RecordKind::Entry(Reason::Extended)) => !has_place,
        _ => matches!(record.outcome, RecordOutcome::Ended | RecordOutcome::Refused),
    }
}

fn requested(request: &AccessRequest, cluster: &str) -> Record {
    let spec = &request.spec;
    let uid = request.uid().unwrap_or_default();
    let requester = spec.requester.as_ref();
    let person = requester.map(|who| RecordedPerson {
        username: who.username.clone(),
        uid: who.uid.clone(),
        groups: Some(facts::of_groups(&who.groups)),
    });
    let made = request.metadata.creation_timestamp.as_ref();
    Record {
        schema: SCHEMA.to_owned(),
        id: format!("{uid}/0"),
        cluster: cluster.to_owned(),
        request: RecordedRequest { namespace: request.namespace().unwrap_or_default(), name: request.name_any(), uid },
        index: 0,
        at: MicroTime(made.map_or(Timestamp::UNIX_EPOCH, |made| made.0)),
        kind: RecordKind::Requested.into(),
        outcome: RecordOutcome::Asked,
        actor: person.clone(),
        subject: person,
        access: asked_access(request),
        asked: Some(RecordedQuestion {
            reason: spec.reason.clone(),
            ticket: spec.ticket.clone(),
            duration: spec.duration.clone(),
            from: spec.start_time.as_ref().map(micro),
            recurrence: spec.recurrence.clone(),
            policy: spec.policy.clone(),
            extends: spec.extends.clone(),
            groups: requester.map(|who| who.groups.clone()).unwrap_or_default(),
        }),
        policy: None,
        stage: None,
        review: None,
        approved_by: Vec::new(),
        given: None,
        message: None,
        left_out: None,
        previous: None,
    }
}

fn of_entry(request: &AccessRequest, entry: &HistoryEntry, known: &NotedFacts, all: &[Record]) -> Record {
    let review = entry.review.as_ref().map(|review| RecordedReview {
        verdict: review.verdict,
        comment: review.comment.clone(),
        counts_from: review.counts_from.as_ref().map(micro),
    });
    let actor = entry.by.as_ref().map(|username| RecordedPerson {
        username: username.clone(),
        uid: entry.identity.as_ref().and_then(|identity| identity.uid.clone()),
        groups: entry.identity.as_ref().map(|identity| identity.groups.clone()),
    });
    let record = Record {
        at: MicroTime(entry.at.0),
        kind: (&entry.event).into(),
        outcome: entry.event.known().map_or(RecordOutcome::Noted, outcome),
        actor,
        stage: entry.stage.clone(),
        review,
        message: Some(entry.message.clone()),
        ..following(request, all)
    };
    with_facts(record, known)
}

/// The frame of the record that follows these.
fn following(request: &AccessRequest, all: &[Record]) -> Record {
    let former = all.last();
    let index = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let first = all.first().cloned().unwrap_or_else(|| requested(request, ""));
    Record {
        id: format!("{}/{index}", first.request.uid),
        index,
        outcome: RecordOutcome::Noted,
        actor: None,
        asked: None,
        previous: former.map(Record::digest),
        ..first
    }
}

/// A record with what is known of its request by then.
fn with_facts(record: Record, known: &NotedFacts) -> Record {
    let access = RecordedAccess {
        role_digest: known.role_digest.clone(),
        risk: known.risk.as_ref().map(|level| level.as_str().to_owned()),
        ..record.access
    };
    let access = match &known.namespaces {
        Some(namespaces) => RecordedAccess { namespaces: namespaces.clone(), selector: None, ..access },
        None => access,
    };
    let digest = known.policy_digest.clone().filter(|digest| !digest.is_empty());
    let policy = known.policy.as_ref().map(|policy| RecordedPolicy {
        name: policy.name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
        digest,
    });
    let until = known.until.as_ref().map(micro);
    Record {
        access,
        policy,
        approved_by: known.approved_by.clone().unwrap_or_default(),
        given: until.map(|until| RecordedTerm { from: known.from.as_ref().map(micro), until }),
        left_out: known.left_out.as_ref().map(|gap| RecordedGap { count: gap.count, digest: gap.digest.clone() }),
        ..record
    }
}

fn asked_access(request: &AccessRequest) -> RecordedAccess {
    let spec = &request.spec;
    let scope = spec.scope.clone().unwrap_or_default();
    let selector = scope.namespace_selector.as_ref().map(selector_text);
    // An extension holds where the grant does that it extends, whose records say where.
    let own = !scope.cluster && selector.is_none() && scope.namespaces.is_empty() && spec.extends.is_none();
    let namespaces = if own { request.namespace().into_iter().collect() } else { scope.namespaces };
    RecordedAccess {
        role: spec.role.clone(),
        role_digest: None,
        rules: spec.rules.clone(),
        cluster_wide: scope.cluster,
        namespaces,
        selector,
        risk: None,
        break_glass: spec.break_glass,
    }
}

/// A selector as `kubectl get -l` takes it.
fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let rules = selector.match_expressions.iter().map(|rule| {
        let (key, values) = (&rule.key, rule.values.join(","));
        match rule.operator {
            LabelOperator::In => format!("{key} in ({values})"),
            LabelOperator::NotIn => format!("{key} notin ({values})"),
            LabelOperator::Exists => key.clone(),
            LabelOperator::DoesNotExist => format!("!{key}"),
        }
    });
    labels.chain(rules).collect::<Vec<_>>().join(",")
}

fn micro(time: &Time) -> MicroTime {
    MicroTime(time.0)
}

/// What an entry means for access.
fn outcome(reason: Reason) -> RecordOutcome {
    // Without a wildcard, so that whoever adds a reason has to say.
    match reason {
        Reason::Approved => RecordOutcome::Allowed,
        Reason::Denied | Reason::Lapsed | Reason::Failed => RecordOutcome::Refused,
        Reason::Granted | Reason::Resumed => RecordOutcome::Begun,
        Reason::Extended => RecordOutcome::Moved,
        Reason::Suspended => RecordOutcome::Rested,
        Reason::Expired | Reason::Idle | Reason::Revoked => RecordOutcome::Ended,
        Reason::ApprovalNeeded
        | Reason::AwaitingRecord
        | Reason::Binding
        | Reason::BindingRestored
        | Reason::BreakGlass
        | Reason::ClockWrong
        | Reason::Escalated
        | Reason::Extending
        | Reason::FreezeAhead
        | Reason::Frozen
        | Reason::GuardMissing
        | Reason::HistoryFull
        | Reason::Justified
        | Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::ReviewIgnored
        | Reason::ReviewOpen
        | Reason::ReviewOverdue
        | Reason::ReviewWithdrawn
        | Reason::Reviewed
        | Reason::RightUnknown
        | Reason::RoleChanged
        | Reason::RoleUnusable
        | Reason::Unjustified
        | Reason::Unrecorded
        | Reason::WaitingForStart
        | Reason::WrittenInGap => RecordOutcome::Noted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;
    use crate::core::record::golden::{RECORDS, REQUESTS};

    #[test]
    fn one_that_nobody_saw_go_ends_as_one_that_was_seen_but_for_what_is_said() {
        for line in REQUESTS.lines() {
            let request: AccessRequest = serde_json::from_str(line).unwrap();
            let last = records(&request, "c").pop().unwrap();
            let digest = last.digest();
            let unseen = deleted_unseen(last, digest, noon());
            assert!(unseen.message.is_some() && closes(&unseen));
            assert_eq!(Record { message: None, ..unseen }, deleted(&request, "c", noon()));
        }
    }

    #[test]
    fn what_closes_a_chain() {
        let record = |kind: &str, outcome, namespaces: &[&str]| {
            let mut record: Record = serde_json::from_str(RECORDS.lines().next().unwrap()).unwrap();
            record.kind = (&crate::api::word::Word::<Reason>::from(kind)).into();
            record.outcome = outcome;
            record.access.selector = None;
            record.access.cluster_wide = false;
            record.access.namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
            record
        };
        for (kind, outcome, places, closed) in [
            ("Granted", RecordOutcome::Begun, &["shop"][..], false),
            ("Suspended", RecordOutcome::Rested, &["shop"], false),
            ("Reviewed", RecordOutcome::Noted, &["shop"], false),
            ("Expired", RecordOutcome::Ended, &["shop"], true),
            ("Denied", RecordOutcome::Refused, &["shop"], true),
            ("Extended", RecordOutcome::Moved, &["shop"], false),
            ("Extended", RecordOutcome::Moved, &[], true),
            ("Deleted", RecordOutcome::Noted, &[], true),
            ("OfTomorrow", RecordOutcome::Noted, &[], false),
        ] {
            assert_eq!(closes(&record(kind, outcome, places)), closed, "{kind}");
        }
    }
}
