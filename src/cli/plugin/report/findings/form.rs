//! The forms that findings are told in: those of every list, and a line of CSV, one page, and events of OCSF.
//!
//! It must not choose what is told.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::jiff::Timestamp;

use super::row::way_out;
use crate::api::word::Vocabulary;
use crate::cli::plugin::output::document::{ReportDocument, ReportForm, ReportPart};
use crate::cli::plugin::output::format::Format;
use crate::cli::plugin::report::reading::counted;
use crate::cli::plugin::requests::Where;
use crate::core::insight::finding::InsightFinding;
use crate::core::insight::{InsightReport, UnreadKinds, ocsf};

/// How findings are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingsForm {
    /// As any list is.
    Listed(Format),
    /// As any report is.
    Reported(ReportForm),
    /// An event of OCSF on each line.
    Ocsf,
}

impl Default for FindingsForm {
    fn default() -> Self {
        Self::Listed(Format::default())
    }
}

impl FromStr for FindingsForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Self::Reported(ReportForm::Csv)),
            "html" => Ok(Self::Reported(ReportForm::Html)),
            "ocsf" => Ok(Self::Ocsf),
            _ => text.parse().map(Self::Listed).map_err(|why: String| format!("{why}, csv, html or ocsf")),
        }
    }
}

/// Of which cluster a report is, and when it was made.
pub struct ReportOrigin {
    /// UID of the cluster, where the caller may read it.
    pub cluster: Option<String>,
    pub now: Timestamp,
    pub since: Timestamp,
}

/// Events of OCSF, one on each line.
pub fn events(report: &InsightReport, origin: &ReportOrigin) -> String {
    let event = |found: &InsightFinding| ocsf::event(found, origin.cluster.as_deref(), origin.now, &way_out(found));
    report.found.iter().map(|found| format!("{}\n", event(found))).collect()
}

/// The report in parts: how many there are, and each.
pub fn document(report: &InsightReport, place: &Where, origin: &ReportOrigin) -> ReportDocument {
    let open = || report.found.iter().filter(|found| !found.is_accepted());
    let heads = vec!["severity", "kind", "who", "about", "why", "wayOut", "notedAsKnown"];
    let rows = report.found.iter().map(row).collect();
    ReportDocument {
        title: format!("Findings{}", place.words()),
        facts: vec![
            ("Read", origin.now.to_string()),
            ("Since", origin.since.to_string()),
            ("Open", open().count().to_string()),
            ("Noted as known", report.found.iter().filter(|found| found.is_accepted()).count().to_string()),
        ],
        notes: report.unread.iter().map(not_looked_for).collect(),
        parts: vec![
            counted("By severity", "severity", count(open().map(|found| found.severity.as_str()))),
            counted("By kind", "kind", count(open().map(|found| found.kind.as_str()))),
            ReportPart { title: "Every finding".to_owned(), heads, rows, drawn: None },
        ],
    }
}

/// That kinds were not looked for, or not everywhere, and why.
pub fn not_looked_for(unread: &UnreadKinds) -> String {
    let kinds: Vec<&str> = unread.kinds.iter().map(|kind| kind.as_str()).collect();
    let UnreadKinds { part, .. } = unread;
    format!("{}: {}: not looked for, or not everywhere: {}", part.what, part.why, kinds.join(", "))
}

fn row(found: &InsightFinding) -> Vec<String> {
    let note = found.accepted.as_ref().map(|note| {
        let doubt = if note.by_holder { " (does not count: those it is about may have written it)" } else { "" };
        format!("{}{doubt}", note.reason)
    });
    vec![
        found.severity.as_str().to_owned(),
        found.kind.as_str().to_owned(),
        found.who.as_ref().map(ToString::to_string).unwrap_or_default(),
        found.about.to_string(),
        found.why(),
        way_out(found),
        note.unwrap_or_default(),
    ]
}

/// The most frequent first.
fn count<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_lists_and_of_reports_are_known_by_their_words() {
        let form = |text: &str| text.parse::<FindingsForm>();
        assert_eq!(form("json"), Ok(FindingsForm::Listed(Format::Json)));
        assert_eq!(form("wide"), Ok(FindingsForm::Listed(Format::Wide)));
        assert_eq!(form("csv"), Ok(FindingsForm::Reported(ReportForm::Csv)));
        assert_eq!(form("html"), Ok(FindingsForm::Reported(ReportForm::Html)));
        assert_eq!(form("ocsf"), Ok(FindingsForm::Ocsf));
        assert!(form("pdf").is_err());
    }
}
