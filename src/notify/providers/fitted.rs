//! Texts and addresses as places take them: cut to a limit after they were escaped, without links, and read from what a file
//! holds.
//!
//! It must not cut within an escape, since what is left over could be markup, and must show nothing of a secret.

use http::Uri;
use secrecy::{ExposeSecret, SecretString};

/// What stands for the rest.
const REST: char = '…';
/// Stands between letters, has no width, and parts what would be a link.
const GAP: char = '\u{200b}';

/// A text as a place takes it, with at most so many characters after it was escaped, which makes no text shorter.
pub fn fitted(text: &str, most: usize, escaped: impl Fn(&str) -> String) -> String {
    let fits = |text: &str, most: usize| text.chars().count() <= most;
    let whole = escaped(text);
    if fits(&whole, most) {
        return whole;
    }
    // Escaped as a whole each time, since what a place obeys may be several letters long.
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).take(most).collect();
    let too_long = ends.partition_point(|end| fits(&escaped(&text[..*end]), most.saturating_sub(1)));
    let end = too_long.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or_default();
    format!("{}{REST}", escaped(&text[..end]))
}

/// A text of which a place that makes links of what looks like one makes none.
pub fn unlinked(text: &str) -> String {
    parted(&parted(text, "://"), "www.")
}

/// A text with a gap in each of these words, in whatever case they are written.
fn parted(text: &str, word: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    let mut parts: Vec<&str> = Vec::new();
    for (at, _) in lower.match_indices(word) {
        parts.push(&text[from..=at]);
        from = at + 1;
    }
    parts.push(&text[from..]);
    parts.join(&GAP.to_string())
}

/// The address that a file holds.
///
/// # Errors
/// When it is none. The error names the field and shows nothing of what the file holds.
pub fn secret_address(field: &str, url: &SecretString) -> Result<Uri, String> {
    let parsed: Option<Uri> = url.expose_secret().trim().parse().ok();
    let absolute = parsed.filter(|url: &Uri| url.scheme().is_some() && url.host().is_some());
    absolute.ok_or_else(|| format!("{field}: it holds no address, such as https://HOST/PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters_and_never_within_an_escape() {
        let entities = |text: &str| text.split('&').collect::<Vec<_>>().join("&amp;");
        for (text, most, expected) in [
            ("a&b", 7, "a&amp;b"),
            ("a&b", 6, "a…"),
            ("a&bc", 7, "a&amp;…"),
            ("&&", 5, "…"),
            ("éé🎉", 3, "éé🎉"),
            ("éé🎉x", 3, "éé…"),
            ("", 0, ""),
        ] {
            assert_eq!(fitted(text, most, entities), expected, "{text} {most}");
        }
    }
}
