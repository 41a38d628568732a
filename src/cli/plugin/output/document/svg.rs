//! Bars as SVG, drawn here so that a page needs no program to draw them.
//!
//! Owns their sizes. The same numbers stand in a table beside them, so a chart says only what it shows.

use super::html::escaped;

/// Most bars of a chart: more say nothing to the eye.
const MOST: usize = 24;
/// Sizes in the units of the drawing.
const WIDTH: usize = 640;
const ROW: usize = 24;
const NAMES: usize = 264;
const NUMBERS: usize = 56;
/// Most letters of a name beside a bar.
const LETTERS: usize = 26;

/// Bars of names and numbers, the first at the top; nothing when all are 0.
pub fn bars(title: &str, all: &[(String, u64)]) -> String {
    let shown = &all[..all.len().min(MOST)];
    let Some(most) = shown.iter().map(|(_, number)| *number).max().filter(|most| *most > 0) else {
        return String::new();
    };
    let height = shown.len() * ROW + 4;
    let left = all.len() - shown.len();
    let label = match left {
        0 => format!("Bars: {title}"),
        left => format!("Bars: {title}, without {left} more"),
    };
    let rows: String = shown.iter().enumerate().map(|(at, (name, number))| bar(at, name, *number, most)).collect();
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n{rows}</svg>\n", escaped(&label))
}

fn bar(at: usize, name: &str, number: u64, most: u64) -> String {
    let room = (WIDTH - NAMES - NUMBERS) as u64;
    // What is there is seen, however little it is.
    let width = if number == 0 { 0 } else { (number.saturating_mul(room) / most).max(2) };
    let (y, middle) = (at * ROW + 4, at * ROW + ROW / 2 + 6);
    let name = escaped(&shortened(name));
    format!(
        "<text x=\"{}\" y=\"{middle}\" class=\"name\">{name}</text>\
         <rect x=\"{NAMES}\" y=\"{y}\" width=\"{width}\" height=\"{}\" rx=\"2\"/>\
         <text x=\"{}\" y=\"{middle}\" class=\"number\">{number}</text>\n",
        NAMES - 10,
        ROW - 6,
        NAMES as u64 + width + 8,
    )
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers_and_what_is_left_out_is_said() {
        let all: Vec<(String, u64)> = (0..30).map(|n| (format!("n{n}"), 30 - n)).collect();
        let drawn = bars("t", &all);
        assert_eq!(drawn.matches("<rect").count(), MOST);
        assert!(drawn.contains("without 6 more"), "{drawn}");
        assert!(drawn.contains(&format!("width=\"{}\"", WIDTH - NAMES - NUMBERS)), "{drawn}");
        assert_eq!(bars("t", &[("a".to_owned(), 0)]), "");
        assert_eq!(bars("t", &[]), "");
        assert_eq!(shortened(&"x".repeat(40)).chars().count(), LETTERS);
    }
}
