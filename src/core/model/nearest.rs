//! Which of some names somebody probably meant who wrote another one.
//!
//! Owns the distance between names. It must not decide anything: what it finds stands in a message and nowhere else.

/// Longest name that is compared, in characters. What is longer is no slip of the pen.
const LONGEST: usize = 64;

/// The name that is closest to what was written; none when no name is close. Of two that are as close, the first.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = written.chars().flat_map(char::to_lowercase).collect();
    if letters.len() > LONGEST {
        return None;
    }
    let near = names.into_iter().filter_map(|name| {
        let other: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
        let most = letters.len().max(other.len()).div_ceil(3);
        let slips = (other.len() <= LONGEST).then(|| slips(&letters, &other))?;
        (slips <= most && slips < letters.len().max(other.len())).then_some((slips, name))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// How many letters are left out, added, changed or swapped with their neighbour.
fn slips(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut least = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found_and_another_word_is_not() {
        const NAMES: [&str; 5] = ["reason", "role", "roleKind", "ticket", "Low"];
        for (written, meant) in [
            ("reson", Some("reason")),
            ("raeson", Some("reason")),
            ("rolekind", Some("roleKind")),
            ("ticket_id", Some("ticket")),
            ("low", Some("Low")),
            ("tickte", Some("ticket")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, NAMES), meant, "{written}");
        }
        assert_eq!(nearest(&"reason".repeat(1000), NAMES), None);
    }
}
