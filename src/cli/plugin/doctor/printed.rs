//! What the doctor found, for people and for programs.

use serde_json::{Value, json};

use super::ExaminedCluster;
use super::finding::{FindingLevel, HealthReport};
use crate::cli::plugin::contexts::ContextAnswers;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};

/// The document of `-o json` and its like.
pub fn document(report: &HealthReport) -> Value {
    let mut document = json!(report);
    let counts = FindingLevel::ALL.map(|level| (level.as_str().to_owned(), json!(report.count(level))));
    document["kind"] = json!("HealthReport");
    document["apiVersion"] = json!("cli.daypass.dev/v1alpha1");
    document["metadata"] = json!({ "name": "doctor" });
    document["counts"] = Value::Object(counts.into_iter().collect());
    document
}

/// A line for each finding of each cluster, its way out below it, and how many there are.
pub fn text(all: &ContextAnswers<ExaminedCluster>, format: &FormatArgs) -> Text {
    let heads = [all.head(), &["LEVEL", "CHECK", "OBJECT", "FINDING"]].concat();
    let mut table = format.table(&heads, &[]);
    let findings = all.answers.iter().flat_map(|of| of.answer.report.findings.iter().map(move |finding| (of, finding)));
    for (of, finding) in findings {
        let row = |cells: [TextSpan; 4]| of.cell().into_iter().chain(cells).collect();
        let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
        let (level, check) = (TextSpan::new(finding.level.as_str(), tone(finding.level)), finding.check.name());
        table.row(row([level, check.into(), object.into(), finding.message.to_string().into()]));
        if let Some(fix) = &finding.fix {
            let fix = TextSpan::new(format!("fix: {fix}"), Tone::Dim);
            table.row(row(["".into(), "".into(), "".into(), fix]));
        }
    }
    let mut text = table.text();
    text.gap();
    let count = |level| all.answers.iter().map(|of| of.answer.report.count(level)).sum::<usize>();
    let counts = FindingLevel::ALL.map(|level| format!("{} {}", count(level), level.as_str()));
    text.line(counts.join(", "));
    text
}

fn tone(level: FindingLevel) -> Tone {
    match level {
        FindingLevel::Ok => Tone::Good,
        FindingLevel::Note => Tone::Plain,
        FindingLevel::Unknown | FindingLevel::Warning => Tone::Waiting,
        FindingLevel::Error => Tone::Bad,
    }
}
