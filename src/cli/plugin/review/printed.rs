//! Campaigns for people: in a few lines, and in tables.

use k8s_openapi::jiff::Timestamp;

use crate::api::campaign::{
    CampaignCounts, ItemKind, ItemStanding, ItemVerdict, ReviewItem, ShownCampaign, ShownDecision, ShownItem,
};
use crate::api::subject::Subject;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::core::model::instants::whole_second;

/// How an item stands, in the tone that goes with it.
pub fn standing(standing: ItemStanding) -> TextSpan {
    let (words, tone) = match standing {
        ItemStanding::Overdue => ("overdue", Tone::Bad),
        ItemStanding::Changed => ("changed since it was decided on", Tone::Bad),
        ItemStanding::Open => ("open", Tone::Waiting),
        ItemStanding::StillThere => ("to be removed, still there", Tone::Bad),
        ItemStanding::Confirmed => ("confirmed", Tone::Good),
        ItemStanding::Removed => ("removed", Tone::Good),
        ItemStanding::Gone => ("gone without a decision", Tone::Dim),
    };
    TextSpan::new(words, tone)
}

/// Who has it, or that it is a policy.
pub fn holder(item: &ReviewItem) -> String {
    item.holder.as_ref().map_or_else(|| "everybody it names".to_owned(), |holder| holder.subject.to_string())
}

/// The role, or what it is.
pub fn role(item: &ReviewItem) -> String {
    item.role.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// What gives it, by kind and name.
pub fn object(item: &ReviewItem) -> String {
    let kind = match item.kind {
        ItemKind::RecurringAccess => " (recurring)",
        ItemKind::LongAccess => " (long)",
        ItemKind::StandingAccess | ItemKind::Policy => "",
    };
    let object = &item.object;
    let namespace = object.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
    format!("{} {namespace}{}{kind}", object.kind, object.name)
}

/// Where it holds.
pub fn place(item: &ReviewItem) -> String {
    match (&item.namespaces[..], &item.object.namespace) {
        ([], None) if item.kind == ItemKind::StandingAccess => "the whole cluster".to_owned(),
        ([], _) => String::new(),
        (names, _) => names.join(","),
    }
}

/// Subjects in a line.
pub fn subjects(subjects: &[Subject]) -> String {
    subjects.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// An instant to the second.
pub fn second(at: Timestamp) -> String {
    whole_second(at).to_string()
}

/// How its items stand, in a line.
pub fn counts(counts: &CampaignCounts) -> String {
    let CampaignCounts { items, open, confirmed, removed, still_there, gone, late } = counts;
    format!(
        "{} of {items} decided on: {confirmed} confirmed, {removed} removed, {still_there} to be removed and still there; \
         {open} open, {gone} gone without a decision; {late} late",
        confirmed + removed + still_there
    )
}

/// What a campaign is, in lines.
pub fn head(campaign: &ShownCampaign) -> Text {
    let ShownCampaign { name, purpose, started_by, started_at, due, closed, looked_at, .. } = campaign;
    let mut text = Text::of(TextSpan::new(format!("{name}: {purpose}"), Tone::Strong));
    text.line(format!("started by {started_by} at {}, due at {}", second(started_at.0), second(due.0)));
    text.line(format!("what is there was looked at last at {}", second(looked_at.0)));
    if let Some(closing) = closed {
        text.line(format!("closed by {} at {}: {}", closing.by, second(closing.at.0), closing.acknowledged));
    }
    text.line(counts(&campaign.counts));
    if !campaign.whole {
        text.line(TextSpan::new("this is what you own: you may not list all records", Tone::Dim));
    }
    text.gap();
    text
}

/// Items in a table.
pub fn table(items: &[&ShownItem], format: &FormatArgs) -> Text {
    let heads = ["ITEM", "WHO", "ROLE", "WHERE", "THROUGH", "STANDING", "DECIDED", "REASON"];
    let mut table = format.table(&heads, &["OWNERS"]);
    for shown in items {
        let made = shown.decisions.last();
        let mut row: Vec<TextSpan> = vec![
            shown.id.clone().into(),
            holder(&shown.item).into(),
            role(&shown.item).into(),
            place(&shown.item).into(),
            object(&shown.item).into(),
            if shown.own {
                TextSpan::new(format!("{} (your own)", standing(shown.standing).words), Tone::Dim)
            } else {
                standing(shown.standing)
            },
            made.map(decided).unwrap_or_default().into(),
            made.map(|made| made.reason.clone()).unwrap_or_default().into(),
        ];
        if format.is_wide() {
            row.push(subjects(&shown.owners).into());
        }
        table.row(row);
    }
    table.text()
}

fn decided(made: &ShownDecision) -> String {
    let late = if made.late { ", late" } else { "" };
    format!("{} by {} at {}{late}", verdict(made.verdict), made.by, second(made.at.0))
}

/// A verdict in a word.
pub fn verdict(verdict: ItemVerdict) -> &'static str {
    match verdict {
        ItemVerdict::Confirm => "confirm",
        ItemVerdict::Remove => "remove",
    }
}
