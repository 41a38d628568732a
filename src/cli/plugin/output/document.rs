//! A report in parts, and the forms that it is printed in: a table for people, CSV, JSON, and a page for a browser or a
//! printer.
//!
//! Owns what the forms have in common; [`html`] is the page, and [`svg`] draws its bars. It must not know what a report is about.

pub mod html;
pub mod svg;

use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::console::Console;
use super::table::Table;
use super::text::{Text, TextSpan, Tone};
use crate::core::report::csv;

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    /// Tables for people.
    #[default]
    Table,
    /// The last table, a line for each row.
    Csv,
    /// All tables, as objects.
    Json,
    /// One page with charts, for a browser or a printer. It loads nothing and runs nothing.
    Html,
}

/// The flag by which the form is chosen.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct ReportFormArgs {
    /// The form of the report.
    #[arg(short, long = "output", id = "output", value_name = "FORMAT", value_enum, default_value_t)]
    output: ReportForm,
}

/// A report.
#[derive(Clone, Debug, Default)]
pub struct ReportDocument {
    pub title: String,
    /// Of what it is made, each with a name.
    pub facts: Vec<(&'static str, String)>,
    /// What bears on it and that one might not expect.
    pub notes: Vec<String>,
    /// Its parts. The last has every row, the others count.
    pub parts: Vec<ReportPart>,
}

/// A table, and whether bars are drawn beside it.
#[derive(Clone, Debug, Default)]
pub struct ReportPart {
    pub title: String,
    pub heads: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// The column whose numbers are drawn as bars, named by the first.
    pub drawn: Option<usize>,
}

impl ReportFormArgs {
    /// The form.
    pub fn form(self) -> ReportForm {
        self.output
    }
}

impl ReportDocument {
    /// Prints it in a form. For people, what bears on it stands beside it.
    pub fn print(&self, form: ReportForm, console: &mut Console) {
        match self.document(form) {
            Some(document) => console.print(&document),
            None => {
                self.notes.iter().for_each(|note| console.note(note));
                console.show(&self.text());
            }
        }
    }

    /// Its text for programs, browsers and printers; none when it is for people at a terminal.
    pub fn document(&self, form: ReportForm) -> Option<String> {
        match form {
            ReportForm::Table => None,
            ReportForm::Csv => Some(self.csv()),
            ReportForm::Json => Some(format!("{:#}\n", self.json())),
            ReportForm::Html => Some(html::page(self)),
        }
    }

    /// Its tables, for people.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        for part in &self.parts {
            text.gap();
            text.line(TextSpan::new(part.title.clone(), Tone::Strong));
            if part.rows.is_empty() {
                text.line(TextSpan::new("none", Tone::Dim));
                continue;
            }
            let heads: Vec<String> = part.heads.iter().map(|head| in_words(head).to_uppercase()).collect();
            let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
            for row in &part.rows {
                table.row(row.iter().map(|cell| to_the_second(cell).unwrap_or_else(|| cell.clone()).into()).collect());
            }
            text.extend(table.text());
        }
        text
    }

    fn csv(&self) -> String {
        let Some(part) = self.parts.last() else { return String::new() };
        std::iter::once(csv::line(&part.heads)).chain(part.rows.iter().map(csv::line)).collect()
    }

    fn json(&self) -> Value {
        let facts: Map<String, Value> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({
            "title": self.title,
            "facts": facts,
            "notes": self.notes,
            "parts": self.parts.iter().map(ReportPart::json).collect::<Vec<_>>(),
        })
    }
}

impl ReportPart {
    fn json(&self) -> Value {
        let row = |row: &Vec<String>| -> Map<String, Value> {
            self.heads.iter().zip(row).map(|(head, cell)| ((*head).to_owned(), json!(cell))).collect()
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// A head for people: `beganAt` as `began at`.
fn in_words(head: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_uppercase() {
        true => format!(" {}", letter.to_ascii_lowercase()),
        false => letter.to_string(),
    };
    head.chars().map(letter).collect()
}

/// An instant for people, who need no parts of a second; none when the cell is none.
fn to_the_second(cell: &str) -> Option<String> {
    let instant: Timestamp = cell.parse().ok()?;
    Some(Timestamp::from_second(instant.as_second()).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> ReportDocument {
        let part = |title: &str, rows: Vec<Vec<String>>| ReportPart {
            title: title.to_owned(),
            heads: vec!["name", "count"],
            rows,
            drawn: Some(1),
        };
        let hostile = "<script>alert(1)</script>\u{202e}&\"'";
        ReportDocument {
            title: hostile.to_owned(),
            facts: vec![("from", hostile.to_owned())],
            notes: vec![hostile.to_owned()],
            parts: vec![
                part("empty", Vec::new()),
                part(hostile, vec![vec![hostile.to_owned(), "3".to_owned()], vec!["=b".to_owned(), "0".to_owned()]]),
            ],
        }
    }

    #[test]
    fn a_page_runs_nothing_loads_nothing_and_spells_out_what_could_deceive() {
        let page = report().document(ReportForm::Html).unwrap();
        for part in ["<script", "src=", "href=", "url(", "@import", "\u{202e}", "javascript:"] {
            assert!(!page.contains(part), "{part}: {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("default-src 'none'"), "{page}");
        assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
        assert_eq!(page.matches("<svg").count(), 1, "bars for what has rows alone");
    }

    #[test]
    fn people_are_told_words_and_seconds() {
        assert_eq!((in_words("beganAt"), in_words("uid")), ("began at".to_owned(), "uid".to_owned()));
        assert_eq!(to_the_second("2026-07-01T00:00:00.999999Z").as_deref(), Some("2026-07-01T00:00:00Z"));
        assert_eq!(to_the_second("7"), None);
    }

    #[test]
    fn the_forms_say_the_same() {
        let report = report();
        assert_eq!(report.document(ReportForm::Csv).unwrap().lines().count(), 3);
        assert!(report.document(ReportForm::Csv).unwrap().ends_with("'=b,0\r\n"));
        let json: Value = serde_json::from_str(&report.document(ReportForm::Json).unwrap()).unwrap();
        assert_eq!(json["parts"][1]["rows"][1], json!({ "name": "=b", "count": "0" }));
        let text = report.text().to_string();
        assert!(text.contains("NAME") && !text.contains('\u{202e}'), "{text}");
        assert_eq!(report.document(ReportForm::Table), None);
    }
}
