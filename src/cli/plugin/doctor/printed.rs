//! What the doctor found, for people and for programs.

use serde_json::{Value, json};

use super::finding::{FindingLevel, HealthReport};
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

/// A line for each finding, its way out below it, and how many there are.
pub fn text(report: &HealthReport, format: &FormatArgs) -> Text {
    let mut table = format.table(&["LEVEL", "CHECK", "OBJECT", "FINDING"], &[]);
    for finding in &report.findings {
        let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
        let (level, check) = (TextSpan::new(finding.level.as_str(), tone(finding.level)), finding.check.name());
        table.row(vec![level, check.into(), object.into(), finding.message.to_string().into()]);
        if let Some(fix) = &finding.fix {
            let fix = TextSpan::new(format!("fix: {fix}"), Tone::Dim);
            table.row(vec!["".into(), "".into(), "".into(), fix]);
        }
    }
    let mut text = table.text();
    text.gap();
    let counts = FindingLevel::ALL.map(|level| format!("{} {}", report.count(level), level.as_str()));
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
