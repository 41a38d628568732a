//! An explanation as text for a terminal, or as YAML or JSON for programs.

use serde::Serialize;

use crate::api::policy::Effect;
use crate::api::request::AccessRequest;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatError;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::{Text, TextSpan};
use crate::cli::plugin::see::words;
use crate::core::rbac::rules::describe;
use crate::core::report::explain::{Explanation, Grant, Judged, Outcome, StageProgress, StageState, Verdict};

/// How an explanation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExplainFormat {
    /// For people.
    Text,
    /// For programs.
    Yaml,
    /// For programs.
    Json,
}

#[derive(Serialize)]
struct Explained<'a> {
    request: String,
    #[serde(flatten)]
    explanation: &'a Explanation,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

/// Prints an explanation in this format; `notes` say what could not be read.
///
/// # Errors
/// When it cannot be written, which would be a fault in the types.
pub fn print(
    request: &AccessRequest,
    explanation: &Explanation,
    notes: &[String],
    format: ExplainFormat,
    console: &mut Console,
) -> Result<(), FormatError> {
    let document = Explained { request: words::name(request), explanation, notes };
    match format {
        ExplainFormat::Text => console.show(&text(request, explanation, notes)),
        ExplainFormat::Yaml => console.print(&format!("---\n{}", serde_saphyr::to_string(&document)?)),
        ExplainFormat::Json => console.print(&format!("{}\n", serde_json::to_string_pretty(&document)?)),
    }
    Ok(())
}

fn text(request: &AccessRequest, explanation: &Explanation, notes: &[String]) -> Text {
    let who = request.spec.requester.as_ref().map_or("nobody", |who| who.username.as_str());
    let rules = &request.spec.rules;
    let only = if rules.is_empty() { String::new() } else { format!(", only {}", describe(rules)) };
    let mut text = Text::of(format!("{}: {who} asks for {}{only}", words::name(request), request.spec.role));
    if explanation.outcome == Outcome::Denied && explanation.reasons.len() > 1 {
        text.line("denied because");
        explanation.reasons.iter().for_each(|reason| text.line(format!("  {reason}")));
    } else {
        text.line(&explanation.summary);
    }
    if !explanation.policies.is_empty() {
        let because = explanation.decides.as_ref().map(|decides| decides.because.to_string()).unwrap_or_default();
        let mut table = Table::new(&["POLICY", "EFFECT", "SAYS"]);
        explanation.policies.iter().for_each(|policy| table.row(row_of_policy(policy, &because)));
        text.gap();
        text.extend(table.text());
    }
    if !explanation.stages.is_empty() {
        let mut table = Table::new(&["STAGE", "STATE", "APPROVED", "WHO MAY APPROVE"]);
        explanation.stages.iter().for_each(|stage| table.row(row_of_stage(stage)));
        text.gap();
        text.extend(table.text());
    }
    let more = facts(explanation, notes);
    if !more.is_empty() {
        text.gap();
        more.into_iter().for_each(|fact| text.line(fact));
    }
    text
}

fn facts(explanation: &Explanation, notes: &[String]) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(grant) = &explanation.grant {
        let verb = if explanation.outcome == Outcome::Granted { "grants" } else { "would grant" };
        facts.push(format!("{verb}: {}", granted(grant)));
        facts.extend(grant.idle_timeout.iter().map(|length| format!("ends early: {}", words::ends_unused(length))));
    }
    if let Some(moves) = &explanation.extension {
        facts.push(format!("moves: the end of {} from {} to {}", moves.of, moves.from.0, moves.to.0));
    }
    if let Some(review) = &explanation.review {
        facts.push(format!("review: one of {} must review it by {}", review.reviewers.join(", "), review.by.0));
    }
    facts.extend(explanation.without_effect.iter().map(|why| format!("ignored: {why}")));
    facts.extend(notes.iter().map(|note| format!("note: {note}")));
    facts
}

fn granted(grant: &Grant) -> String {
    let place = if grant.cluster {
        "the whole cluster".to_owned()
    } else {
        format!("namespace {}", grant.namespaces.join(", "))
    };
    let until = match (&grant.from, &grant.until) {
        (Some(from), Some(until)) => format!(", from {} until {}", from.0, until.0),
        _ => ", from the last approval on".to_owned(),
    };
    let by = if grant.approved_by.is_empty() {
        String::new()
    } else {
        format!(", approved by {}", grant.approved_by.join(", "))
    };
    format!("{} in {place} for {}{until}{by}", grant.role, grant.duration)
}

/// What a policy says to a request, in a sentence; `because` says why the one that decides does.
pub fn says(policy: &Judged, because: &str) -> String {
    let why = policy.why.join(", ");
    match policy.verdict {
        Verdict::Decides => format!("decides: {because}"),
        Verdict::Matches => "matches, and does not decide".to_owned(),
        Verdict::FallsShort => format!("does not match: {why}"),
        Verdict::Denies | Verdict::Freezes => why,
        Verdict::DoesNotTouch => "denies nothing of this".to_owned(),
        Verdict::Broken => format!("cannot be used: {why}"),
        Verdict::Doubted => format!("is not used: {why}"),
    }
}

fn row_of_policy(policy: &Judged, because: &str) -> Vec<TextSpan> {
    let effect = if policy.effect == Effect::Deny { "Deny" } else { "Allow" };
    vec![policy.name.clone().into(), effect.into(), says(policy, because).into()]
}

fn row_of_stage(stage: &StageProgress) -> Vec<TextSpan> {
    let state = match stage.state {
        StageState::Full => "full",
        StageState::Open => "open",
        StageState::Later => "later",
        StageState::Spared => "spared",
    };
    let approver = |(subject, escalated): (&String, bool)| {
        if escalated { format!("{subject} (escalated)") } else { subject.clone() }
    };
    let names: Vec<String> = stage.approvers.iter().map(|a| approver((&a.subject, a.escalated))).collect();
    let later = stage.escalates_at.as_ref().map(|at| format!("; more from {} on", at.0)).unwrap_or_default();
    let approved = format!("{} of {}", stage.approved, stage.required);
    vec![stage.name.clone().into(), state.into(), approved.into(), format!("{}{later}", names.join(", ")).into()]
}
