//! Records in words: many as a table, one request on a page.

use super::item::HistoryItem;
use super::lives::RequestLife;
use crate::api::record::{Record, RecordOutcome};
use crate::api::request::GrantActivity;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::see::words;

/// A line for each record.
pub fn table(items: &[HistoryItem], format: &FormatArgs) -> Text {
    let first = items.first().map(|item| &item.record.cluster);
    let several = items.iter().any(|item| Some(&item.record.cluster) != first);
    let heads: &[&str] = if several { &["CLUSTER"] } else { &[] };
    let heads = [heads, &["WHEN", "WHAT", "WHO", "ROLE", "WHERE", "BY", "REQUEST"]].concat();
    let mut table = format.table(&heads, &["POLICY", "UID", "WORDS"]);
    for HistoryItem { record, .. } in items {
        let mut row: Vec<TextSpan> = several.then(|| record.cluster.as_str().into()).into_iter().collect();
        row.extend([
            at(record).into(),
            what(record),
            username(record.subject.as_ref()).into(),
            words::role(&record.access.role, &record.access.rules).into(),
            place(record).into(),
            username(record.actor.as_ref()).into(),
            format!("{}/{}", record.request.namespace, record.request.name).into(),
        ]);
        if format.is_wide() {
            let policy = record.policy.as_ref().map(|policy| policy.name.as_str()).unwrap_or_default();
            row.extend([policy.into(), record.request.uid.as_str().into(), said(record).into()]);
        }
        table.row(row);
    }
    table.text()
}

/// A request from its first record to its last.
pub fn life(life: &RequestLife, format: &FormatArgs) -> Text {
    let mut text = Text::default();
    let records: Vec<&Record> = life.items.iter().map(|item| &item.record).collect();
    let Some(last) = records.last() else { return text };
    let name = format!("{}/{}", last.request.namespace, last.request.name);
    let changed = records.iter().rfind(|record| record.outcome != RecordOutcome::Noted);
    text.spans(vec![TextSpan::new(name, Tone::Strong), " ".into(), what(changed.unwrap_or(last))]);
    text.gap();
    text.extend(facts(&records, last, life.activity.as_ref()));
    text.gap();
    let mut table = format.table(&["WHEN", "WHAT", "BY", "WORDS"], &[]);
    for record in records {
        let by = username(record.actor.as_ref());
        table.row(vec![record.at.0.to_string().into(), what(record), by.into(), said(record).into()]);
    }
    text.extend(table.text());
    text
}

/// What was asked for and given, a fact a line, as the last record has it.
fn facts(records: &[&Record], last: &Record, activity: Option<&GrantActivity>) -> Text {
    let mut table = Table::new(&[]).without_heads(true);
    let mut fact = |name: &str, words: Option<String>| {
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            table.row(vec![TextSpan::new(name, Tone::Dim), words.into()]);
        }
    };
    let asked = records.iter().find_map(|record| record.asked.as_ref());
    fact("who", Some(username(last.subject.as_ref())));
    fact("kind", last.access.break_glass.then(|| "break-glass".to_owned()));
    fact("role", Some(words::role(&last.access.role, &last.access.rules)));
    fact("where", Some(place(last)));
    fact("for", asked.and_then(|asked| asked.duration.clone()));
    fact("extends", asked.and_then(|asked| asked.extends.clone()));
    let given = last.given.as_ref();
    fact("from", given.and_then(|given| given.from.as_ref()).map(|from| from.0.to_string()));
    fact("until", given.map(|given| given.until.0.to_string()));
    fact("why", asked.map(|asked| asked.reason.clone()));
    fact("ticket", asked.and_then(|asked| asked.ticket.clone()));
    fact("risk", last.access.risk.clone());
    fact("policy", last.policy.as_ref().map(|policy| format!("{}, generation {}", policy.name, policy.generation)));
    fact("approved", Some(last.approved_by.join(", ")));
    fact("used", activity.map(words::use_of));
    let gap = last.left_out.as_ref().filter(|gap| gap.count > 0);
    fact("left out", gap.map(|gap| format!("{} entries that its history had no room for", gap.count)));
    fact("uid", Some(last.request.uid.clone()));
    table.text()
}

/// When it happened, to the second: a line has no room for more.
fn at(record: &Record) -> String {
    let whole = k8s_openapi::jiff::Timestamp::from_second(record.at.0.as_second());
    whole.unwrap_or(record.at.0).to_string()
}

/// What happened, in the tone that goes with it.
fn what(record: &Record) -> TextSpan {
    let tone = match record.outcome {
        RecordOutcome::Allowed | RecordOutcome::Begun | RecordOutcome::Moved => Tone::Good,
        RecordOutcome::Asked | RecordOutcome::Rested => Tone::Waiting,
        RecordOutcome::Refused => Tone::Bad,
        RecordOutcome::Ended => Tone::Dim,
        RecordOutcome::Noted => Tone::Plain,
    };
    TextSpan::new(record.kind.as_str(), tone)
}

/// What was said of it, or asked for with it.
fn said(record: &Record) -> &str {
    let reason = record.asked.as_ref().map(|asked| asked.reason.as_str());
    record.message.as_deref().or(reason).unwrap_or_default()
}

fn username(person: Option<&crate::api::record::RecordedPerson>) -> String {
    person.map(|person| person.username.clone()).unwrap_or_default()
}

fn place(record: &Record) -> String {
    let (access, asked) = (&record.access, record.asked.as_ref());
    match (&access.selector, asked.and_then(|asked| asked.extends.as_ref())) {
        _ if access.cluster_wide => "the whole cluster".to_owned(),
        _ if !access.namespaces.is_empty() => access.namespaces.join(", "),
        (Some(labels), _) if labels.is_empty() => "all namespaces".to_owned(),
        (Some(labels), _) => format!("namespaces with {labels}"),
        (None, Some(extended)) => format!("where {extended} holds"),
        (None, None) => String::new(),
    }
}
