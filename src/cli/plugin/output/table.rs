//! Columns under heads, as wide on a screen as their widest cell.

use unicode_width::UnicodeWidthStr;

use super::text::{Text, TextSpan, Tone, visible};

/// A table for people.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Option<Vec<TextSpan>>,
    rows: Vec<Vec<TextSpan>>,
}

impl Table {
    /// A table with these heads.
    pub fn new(heads: &[&str]) -> Self {
        Self { heads: Some(heads.iter().map(|head| TextSpan::new(*head, Tone::Strong)).collect()), rows: Vec::new() }
    }

    /// The same without a line of heads, for `--no-headers`.
    pub fn without_heads(self, without: bool) -> Self {
        Self { heads: self.heads.filter(|_| !without), ..self }
    }

    /// Adds a row: one cell for each head.
    pub fn row(&mut self, cells: Vec<TextSpan>) {
        self.rows.push(cells);
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines.
    pub fn text(&self) -> Text {
        let all: Vec<&Vec<TextSpan>> = self.heads.iter().chain(&self.rows).collect();
        let columns = all.iter().map(|row| row.len()).max().unwrap_or_default();
        let widest = |column: usize| all.iter().filter_map(|row| row.get(column)).map(width).max();
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or_default()).collect();
        let mut text = Text::default();
        for row in all {
            let last = row.iter().rposition(|cell| !cell.words.is_empty()).unwrap_or_default();
            let mut spans = Vec::new();
            for (index, cell) in row.iter().enumerate().take(last + 1) {
                spans.push(cell.clone());
                if index < last {
                    spans.push(" ".repeat(widths[index] - width(cell) + 2).into());
                }
            }
            text.spans(spans);
        }
        text
    }
}

fn width(cell: &TextSpan) -> usize {
    visible(&cell.words).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_letters_are_in_them() {
        let mut table = Table::new(&["NAME", "ROLE", "REASON"]).without_heads(true);
        table.row(vec!["東京".into(), "view".into(), "a".into()]);
        table.row(vec!["e\u{301}t".into(), "".into(), "".into()]);
        table.row(vec!["x".into(), "edit".into(), "b\tc".into()]);
        assert_eq!(table.text().to_string(), "東京  view  a\ne\u{301}t\nx     edit  b\\tc\n");
    }

    #[test]
    fn heads_are_strong_and_take_part_in_the_width() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(vec!["fix".into(), TextSpan::new("Active", Tone::Good)]);
        assert_eq!(
            table.text().to_string(),
            "\u{1b}[1mNAME\u{1b}[0m  \u{1b}[1mSTATE\u{1b}[0m\nfix   \u{1b}[32mActive\u{1b}[0m\n"
        );
    }
}
