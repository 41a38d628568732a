//! What was verified, in words: what is wrong, what is proven, and what not.
//!
//! Owns the words. It must not judge.

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::archive::who::readers::{GROUP, VERSION};
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::core::model::duration;
use crate::core::proof::audit::AuditFinding;
use crate::core::proof::log_proof::{LogProven, LogUnproven, LogVerdict, instant};
use crate::core::proof::proof_file::{NotProven, Proven, RequestProof, ShownRecord};

/// How many things of a kind are printed for people.
const MOST_LINES: usize = 20;

/// A word for programs, and a sentence for people.
type Worded = (&'static str, String);

/// What came of a log, as an object for programs.
pub fn log_object(verdict: &LogVerdict) -> Value {
    let open = verdict.walked.open.iter().map(|chain| {
        json!({ "cluster": chain.cluster, "request": chain.request, "records": chain.records, "place": chain.place })
    });
    let findings = verdict.walked.findings.iter().map(finding);
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "LogVerdict",
        "metadata": { "name": verdict.checkpoint.origin },
        "sound": verdict.is_sound(),
        "size": verdict.walked.size,
        "root": verdict.walked.root.to_string(),
        "at": verdict.checkpoint.at.and_then(instant).map(|at| at.to_string()),
        "findings": said(findings),
        "proven": said(verdict.proven.iter().map(log_proven)),
        "notProven": said(verdict.unproven.iter().map(log_unproven)),
        "open": open.collect::<Vec<_>>(),
    })
}

/// The same for people.
pub fn log_text(verdict: &LogVerdict) -> Text {
    let mut text = Text::default();
    let (words, tone) = if verdict.is_sound() { ("sound", Tone::Good) } else { ("WRONG", Tone::Bad) };
    let origin = verdict.checkpoint.origin.as_str();
    text.spans(vec![TextSpan::new(origin, Tone::Strong), ": ".into(), TextSpan::new(words, tone)]);
    let findings: Vec<Worded> = verdict.walked.findings.iter().map(finding).collect();
    list(&mut text, "Wrong", &findings, Tone::Bad);
    list(&mut text, "Proven", &verdict.proven.iter().map(log_proven).collect::<Vec<_>>(), Tone::Good);
    list(&mut text, "Not proven", &verdict.unproven.iter().map(log_unproven).collect::<Vec<_>>(), Tone::Waiting);
    if !verdict.walked.open.is_empty() {
        let one = |open: &crate::core::proof::audit::UnclosedChain| {
            ("Open", format!("{} of cluster {}, {} records", open.request, open.cluster, open.records))
        };
        list(&mut text, "Open requests", &verdict.walked.open.iter().map(one).collect::<Vec<_>>(), Tone::Dim);
    }
    text
}

/// What a proof of a request shows, as an object for programs.
pub fn proof_object(proof: &RequestProof) -> Value {
    let record = |shown: &ShownRecord| {
        let known =
            shown.record.as_ref().map_or_else(|| shown.leaf.as_json()["record"].clone(), |record| json!(record));
        json!({ "index": shown.name.index, "place": shown.place, "whole": shown.record.is_some(), "record": known })
    };
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "RequestProof",
        "metadata": { "name": proof.request },
        "cluster": proof.cluster,
        "log": proof.checkpoint.checkpoint.origin,
        "size": proof.checkpoint.checkpoint.size,
        "at": proof.checkpoint.checkpoint.at.and_then(instant).map(|at| at.to_string()),
        "records": proof.records.iter().map(record).collect::<Vec<_>>(),
        "proven": said(proof.proven.iter().map(proven)),
        "notProven": said(proof.unproven.iter().map(unproven)),
    })
}

/// The same for people.
pub fn proof_text(proof: &RequestProof) -> Text {
    let mut text = Text::default();
    let request = TextSpan::new(proof.request.as_str(), Tone::Strong);
    text.spans(vec!["request ".into(), request, format!(" of cluster {}", proof.cluster).into()]);
    text.gap();
    for shown in &proof.records {
        let word = |path: &str| shown.leaf.clear(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let who = shown.record.as_ref().and_then(|record| record.actor.as_ref());
        let who = who.map(|who| format!(" by {}", who.username)).unwrap_or_default();
        text.line(format!("{:>4}  {}  {}{who}  (leaf {})", shown.name.index, word("/at"), word("/kind"), shown.place));
    }
    list(&mut text, "Proven", &proof.proven.iter().map(proven).collect::<Vec<_>>(), Tone::Good);
    list(&mut text, "Not proven", &proof.unproven.iter().map(unproven).collect::<Vec<_>>(), Tone::Waiting);
    text
}

fn said(all: impl Iterator<Item = Worded>) -> Vec<Value> {
    all.map(|(kind, message)| json!({ "kind": kind, "message": message })).collect()
}

fn list(text: &mut Text, head: &str, all: &[Worded], tone: Tone) {
    if all.is_empty() {
        return;
    }
    text.gap();
    text.line(TextSpan::new(format!("{head}:"), Tone::Strong));
    for (_, message) in all.iter().take(MOST_LINES) {
        text.spans(vec![TextSpan::new("  - ", tone), message.as_str().into()]);
    }
    if let Some(more) = all.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        text.line(format!("  and {more} more: see -o json"));
    }
}

fn finding(finding: &AuditFinding) -> Worded {
    match finding {
        AuditFinding::Leaf(place, fault) => ("Leaf", format!("leaf {place} cannot be read: {fault}")),
        AuditFinding::OtherRecord(place, fault) => {
            ("OtherRecord", format!("what is kept beside leaf {place} is not what was recorded: {fault}"))
        }
        AuditFinding::Nameless(place) => ("Nameless", format!("leaf {place} does not name one record")),
        AuditFinding::OutOfOrder { place, request, wanted, found } if found > wanted => (
            "Lacking",
            format!("record {wanted} of request {request} is lacking: at leaf {place} comes record {found}"),
        ),
        AuditFinding::OutOfOrder { place, request, found, .. } => {
            ("Again", format!("record {found} of request {request} comes again, at leaf {place}"))
        }
        AuditFinding::BrokenChain(place) => (
            "BrokenChain",
            format!("the record of leaf {place} follows another one than that before it: one of them was replaced"),
        ),
        AuditFinding::OtherRoot { size, said, real } => (
            "OtherRoot",
            format!("a signed checkpoint of {size} leaves is of another history: its root is {said}, theirs is {real}"),
        ),
        AuditFinding::Cut { said, real } => {
            ("Cut", format!("a signed checkpoint says {said} leaves, and there are {real} that can be read"))
        }
        AuditFinding::Unsigned { said, real } => {
            ("Unsigned", format!("there are {real} leaves, and the last checkpoint says {said}"))
        }
        AuditFinding::TimeBack(place) => {
            ("TimeBack", format!("the heartbeat of leaf {place} says an earlier time than the one before it"))
        }
        AuditFinding::Silent { from, until } => {
            ("Silent", format!("the log was silent from {from} to {until}: nobody knows what was not recorded then"))
        }
        AuditFinding::LackingTile(tile) => ("LackingTile", format!("{tile} is not there")),
        AuditFinding::OtherTile(tile) => ("OtherTile", format!("{tile} is not what the leaves give")),
        AuditFinding::BadCheckpoint(size, fault) => {
            ("BadCheckpoint", format!("what is kept as the checkpoint of {size} leaves is none of this log: {fault}"))
        }
        AuditFinding::Misfiled(size) => {
            ("Misfiled", format!("the checkpoint of {size} leaves is kept under another size or time, or out of order"))
        }
        AuditFinding::ClockBack { size, before, now } => (
            "ClockBack",
            format!("the checkpoint of {size} leaves says {}, and one before it {}", time(*now), time(*before)),
        ),
        AuditFinding::Withheld { leaves, first } => (
            "Withheld",
            format!(
                "of {leaves} leaves records or fields are gone that no leaf says were erased, from leaf {first} on"
            ),
        ),
    }
}

fn log_proven(proven: &LogProven) -> Worded {
    match proven {
        LogProven::Signed { size, at } => (
            "Signed",
            format!("the log's key signed just these {size} leaves, in this order{}", at.map(on).unwrap_or_default()),
        ),
        LogProven::OnlyGrew { checkpoints } => {
            ("OnlyGrew", format!("the log only grew: {checkpoints} earlier checkpoints are of its beginning"))
        }
        LogProven::HeldElsewhere { size } => {
            ("HeldElsewhere", format!("it is the history of the checkpoints that were given, up to leaf {size}"))
        }
        LogProven::Seen { name, size, at } => {
            ("Seen", format!("witness {name} saw it grow, up to leaf {size}{}", on(*at)))
        }
        LogProven::Unchanged { leaves } => {
            ("Unchanged", format!("what is kept of {leaves} leaves is what was recorded, byte for byte"))
        }
        LogProven::Chained { records, requests } => (
            "Chained",
            format!(
                "the {records} records of {requests} requests are there from the first on, each once, without a gap"
            ),
        ),
        LogProven::Alive { beats, longest_silence } => {
            let silence = SignedDuration::from_secs(i64::try_from(*longest_silence).unwrap_or(i64::MAX));
            ("Alive", format!("{beats} heartbeats, never further apart than {}", duration::format(silence)))
        }
    }
}

fn log_unproven(unproven: &LogUnproven) -> Worded {
    match unproven {
        LogUnproven::Truth => (
            "Truth",
            "that what is recorded happened, and that all that happened is recorded: hold it against the API server's audit log"
                .to_owned(),
        ),
        LogUnproven::OneHistory => (
            "OneHistory",
            "that others are shown the same log: give the key of a witness with --witness-key".to_owned(),
        ),
        LogUnproven::BehindWitnesses { leaves } => {
            ("BehindWitnesses", format!("the same of the last {leaves} leaves, which no known witness has seen yet"))
        }
        LogUnproven::NotMadeAnew => (
            "NotMadeAnew",
            "that whoever has the key did not make all of it anew: give a checkpoint that lay elsewhere with --against, or \
             a witness"
                .to_owned(),
        ),
        LogUnproven::BehindAnchors { leaves } => (
            "BehindAnchors",
            format!("that the last {leaves} leaves were not made anew: they came after what lay elsewhere"),
        ),
        LogUnproven::KeyOutside => (
            "KeyOutside",
            "that those who rule the cluster did not sign it: the key lies in the cluster (`signed inside`)".to_owned(),
        ),
        LogUnproven::Kept => {
            ("Kept", "that what is kept is what was recorded: only leaves were read, and no records".to_owned())
        }
        LogUnproven::Erased { leaves } => {
            ("Erased", format!("what stood in {leaves} leaves: the log says that it was erased, wholly or in part"))
        }
        LogUnproven::Ends { requests } => {
            ("Ends", format!("how {requests} requests ended: they are open, and the cluster tells whether they run"))
        }
        LogUnproven::Alive => ("Alive", "that the log was alive: it has no heartbeat".to_owned()),
    }
}

fn proven(proven: &Proven) -> Worded {
    match proven {
        Proven::InLog { size, records } => {
            ("InLog", format!("its {records} records are in the log of {size} leaves that the log's key signed"))
        }
        Proven::Witnessed { name, at } => ("Witnessed", format!("witness {name} has seen that log{}", on(*at))),
        Proven::FromTheFirst => ("FromTheFirst", "they are the request's first ones, without a gap".to_owned()),
        Proven::Linked(index) => ("Linked", format!("record {index} names the one before it by its digest")),
        Proven::Whole(index) => ("Whole", format!("record {index} is shown as it was recorded")),
        Proven::Closed(index) => ("Closed", format!("access was over, or was refused, by record {index}")),
    }
}

fn unproven(unproven: &NotProven) -> Worded {
    match unproven {
        NotProven::Truth => {
            ("Truth", "that it happened as recorded: hold it against the API server's audit log".to_owned())
        }
        NotProven::NothingElse => {
            ("NothingElse", "that the log has no other record of it: verify the whole log".to_owned())
        }
        NotProven::OneHistory => {
            ("OneHistory", "that others are shown the same log: no known witness saw it".to_owned())
        }
        NotProven::KeyOutside => (
            "KeyOutside",
            "that those who rule the cluster did not sign it: the key lies in the cluster (`signed inside`)".to_owned(),
        ),
        NotProven::Before(index) => ("Before", format!("what comes before record {index}: it is not in the file")),
        NotProven::Between(one, other) => {
            ("Between", format!("what comes between records {one} and {other}: it is not in the file"))
        }
        NotProven::Link(index) => ("Link", format!("that record {index} names the one before it: it is not shown")),
        NotProven::Hidden(index, path) => ("Hidden", format!("{path} of record {index}: it is not shown, or erased")),
        NotProven::End => ("End", "how it ended: no record in the file closes it".to_owned()),
    }
}

fn on(seconds: u64) -> String {
    format!(", at {}", time(seconds))
}

fn time(seconds: u64) -> String {
    instant(seconds).map_or_else(|| format!("{seconds} s after 1970"), |at| at.to_string())
}
