//! How words are spelled for whoever takes them: for a shell, and for an eye.
//!
//! It must not shorten or judge them. What a chat makes of them, its provider knows.

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.split('\'').collect::<Vec<_>>().join(r"'\''"))
    }
}

/// The same words on one line, with everything that a terminal would obey, or that is not shown, as an escape.
pub fn visible(words: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    if !words.contains(hidden) {
        return words.to_owned();
    }
    words.chars().map(|c| if hidden(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A text as a part of a URL, with everything as percent and digits that is neither unreserved (RFC 3986, section 2.3) nor
/// `kept`.
pub fn percent_encoded(text: &str, kept: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_an_escape_and_letters_of_all_scripts_stay() {
        let hostile = "fix\u{1b}[2K\rgranted\u{202e}lla\nsecond\u{200b} line";
        assert_eq!(visible(hostile), r"fix\u{1b}[2K\rgranted\u{202e}lla\nsecond\u{200b} line");
        assert_eq!(visible("\u{17e}ofie \u{43a}\u{43b} 東京"), "\u{17e}ofie \u{43a}\u{43b} 東京");
    }

    #[test]
    fn a_shell_takes_any_word_as_one() {
        for (word, shown) in
            [("fix-1.a", "fix-1.a"), ("", "''"), ("a b", "'a b'"), ("o'n;", r"'o'\''n;'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), shown);
        }
    }
}
