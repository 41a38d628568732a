//! A report as one page of HTML: it loads nothing, runs nothing, and prints.
//!
//! Owns what a page looks like, on a screen and on paper. Whatever stands in a cell was written by somebody else, so it is
//! spelled and escaped.

use super::{ReportDocument, ReportPart, in_words, svg, to_the_second};
use crate::cli::plugin::output::text::visible;

/// Nothing may be loaded, and only the style of the page itself counts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &ReportDocument) -> String {
    let title = escaped(&report.title);
    let facts: String = report
        .facts
        .iter()
        .map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value)))
        .collect();
    let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>\n", escaped(note))).collect();
    let notes = if notes.is_empty() { notes } else { format!("<ul class=\"notes\">\n{notes}</ul>\n") };
    let parts: String = report.parts.iter().map(part).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <dl>\n{facts}</dl>\n{notes}{parts}</main>\n</body>\n</html>\n"
    )
}

fn part(part: &ReportPart) -> String {
    let title = escaped(&part.title);
    if part.rows.is_empty() {
        return format!("<section>\n<h2>{title}</h2>\n<p>None.</p>\n</section>\n");
    }
    let chart = part.drawn.map(|column| svg::bars(&part.title, &bars_of(part, column))).unwrap_or_default();
    let class = if chart.is_empty() { "" } else { " class=\"drawn\"" };
    format!("<section>\n<h2>{title}</h2>\n<div{class}>\n{chart}{}</div>\n</section>\n", table(part, &title))
}

/// Names and numbers of a part, as they are drawn.
fn bars_of(part: &ReportPart, column: usize) -> Vec<(String, u64)> {
    let bar = |row: &Vec<String>| {
        let name = row.first().map(|name| visible(name)).unwrap_or_default();
        (name, row.get(column).and_then(|cell| cell.parse().ok()).unwrap_or_default())
    };
    part.rows.iter().map(bar).collect()
}

fn table(part: &ReportPart, title: &str) -> String {
    let is_number: Vec<bool> = (0..part.heads.len()).map(|column| is_of_numbers(part, column)).collect();
    let class = |column: usize| if is_number.get(column) == Some(&true) { " class=\"number\"" } else { "" };
    let heads = part.heads.iter().enumerate();
    let heads: String =
        heads.map(|(at, head)| format!("<th scope=\"col\"{}>{}</th>", class(at), escaped(&in_words(head)))).collect();
    let row = |row: &Vec<String>| {
        let cells = row.iter().enumerate();
        let cell = |(at, cell): (usize, &String)| match to_the_second(cell) {
            Some(instant) => format!("<td class=\"at\">{instant}</td>"),
            None => format!("<td{}>{}</td>", class(at), escaped(cell)),
        };
        let cells: String = cells.map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = part.rows.iter().map(row).collect();
    // Who has no mouse must be able to move what is wider than the screen.
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table: {title}\">\n<table>\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn is_of_numbers(part: &ReportPart, column: usize) -> bool {
    let cells = || part.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
    cells().all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')) && cells().next().is_some()
}

/// Text for an element or an attribute: spelled where it could deceive, and escaped.
pub fn escaped(text: &str) -> String {
    let mut all = String::new();
    for letter in visible(text).chars() {
        match letter {
            '&' => all.push_str("&amp;"),
            '<' => all.push_str("&lt;"),
            '>' => all.push_str("&gt;"),
            '"' => all.push_str("&quot;"),
            '\'' => all.push_str("&#39;"),
            letter => all.push(letter),
        }
    }
    all
}
