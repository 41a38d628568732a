//! Counts over the tables, for reports: how many rows there are of each word, of each week, and of each kind of end.
//!
//! It must not say which number is good.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;

use super::table::EvidenceTable;

/// A word and how many rows have it.
pub type WordCount = (String, usize);

/// How many rows there are of each word of a column, the most first. Rows without a word are left out.
pub fn by_word(table: &EvidenceTable, column: &str) -> Vec<WordCount> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &table.rows {
        let word = table.cell(row, column);
        if !word.is_empty() {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut all: Vec<WordCount> = counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

/// How many rows there are of each week of a column of instants, by the Monday that it begins on in UTC; weeks between them
/// count too.
pub fn by_week(table: &EvidenceTable, column: &str) -> Vec<WordCount> {
    let instants = table.rows.iter().filter_map(|row| table.cell(row, column).parse::<Timestamp>().ok());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for instant in instants {
        let date = instant.to_zoned(TimeZone::UTC).date();
        let since_monday = date.weekday().to_monday_zero_offset();
        if let Ok(monday) = date.checked_sub(k8s_openapi::jiff::Span::new().days(since_monday)) {
            *counts.entry(monday).or_default() += 1;
        }
    }
    let (Some(first), Some(last)) = (counts.keys().next().copied(), counts.keys().next_back().copied()) else {
        return Vec::new();
    };
    let mondays = std::iter::successors(Some(first), |monday| {
        monday.checked_add(k8s_openapi::jiff::Span::new().weeks(1)).ok().filter(|next| *next <= last)
    });
    mondays.map(|monday| (monday.to_string(), counts.get(&monday).copied().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::evidence::activity::ACTIVITY;

    #[test]
    fn words_are_counted_the_most_first_and_weeks_in_their_order_without_a_gap() {
        let row =
            |known: &str, first: &str| ["u", known, "", "", "", "", "", first, "", ""].map(str::to_owned).to_vec();
        let rows = vec![
            row("Used", "2026-11-23T00:00:00Z"),
            row("", "2026-11-29T23:59:59Z"),
            row("Unknown", "2026-12-08T00:00:00Z"),
            row("Used", "soon"),
        ];
        let table = EvidenceTable::new(&ACTIVITY, rows);
        assert_eq!(by_word(&table, "known"), [("Used".to_owned(), 2), ("Unknown".to_owned(), 1)]);
        let weeks = [("2026-11-23", 2), ("2026-11-30", 0), ("2026-12-07", 1)];
        assert_eq!(by_week(&table, "first"), weeks.map(|(monday, count)| (monday.to_owned(), count)));
    }
}
