//! Tests of the core compare values. What a value says to people is compared in the golden tests of its room and nowhere
//! else, so that whoever changes a sentence changes one test, and nothing hangs on how it is worded.
//!
//! Owns the reading of literals in tests and program, and the list of the places where sentences may stand. A literal in a
//! test is held against all that the program can say: three words in a row that both have make it a sentence of the
//! program. It must not judge how a sentence is worded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::purity::root;

/// Where sentences of the program may stand in tests, and why.
const GOLDEN: [(&str, &str); 12] = [
    ("guard/golden.rs", "the golden tests of the room"),
    ("decision/golden.rs", "the golden tests of the room"),
    ("insight/golden.rs", "the golden tests of the room"),
    ("insight/narrower/golden.rs", "why no rules are proposed goes out as words alone"),
    ("lifecycle/golden.rs", "the golden tests of the room"),
    ("model/golden.rs", "the golden tests of the room"),
    ("policies/golden.rs", "the golden tests of the room"),
    ("policies/cel/check/golden.rs", "of the check nothing but words goes out, so its faults are told there"),
    ("rbac/golden.rs", "the golden tests of the room"),
    ("report/golden.rs", "the golden tests of the room"),
    ("rbac/risk/tests.rs", "a finding in a role is known by its text: the text is the key of its table"),
    ("lifecycle/former.rs", "what versions before this stored, letter by letter"),
];
/// How many words in a row make a sentence.
const RUN: usize = 3;
/// Macros and methods, and the first argument of each that is a message for who reads a failure.
const MESSAGES: [(&str, usize); 9] = [
    ("assert!", 1),
    ("assert_eq!", 2),
    ("assert_ne!", 2),
    ("prop_assert!", 1),
    ("prop_assert_eq!", 2),
    ("prop_assert_ne!", 2),
    ("panic!", 0),
    ("expect", 0),
    ("breach", 1),
];
/// Methods that search a text. What they search for is no word of a sentence.
pub(super) const SEARCHES: [&str; 8] =
    ["contains", "starts_with", "ends_with", "strip_prefix", "strip_suffix", "split_once", "rsplit_once", "find"];

#[test]
fn no_test_compares_a_sentence_of_the_program() {
    let said = said_by_the_program();
    assert!(said.len() > 1000, "reads only {} runs of words", said.len());
    let mut found = Vec::new();
    for file in tests() {
        found.extend(
            sentences(&file.text, &said).map(|(line, text)| format!("{}:{}: {text}", file.name, file.first + line)),
        );
    }
    let (golden, others): (Vec<String>, Vec<String>) = found.into_iter().partition(|found| is_golden(found));
    assert!(others.is_empty(), "compare values, or let the golden tests of the room do it:\n{}", others.join("\n"));
    for (place, why) in GOLDEN {
        assert!(golden.iter().any(|found| found.starts_with(place)), "no sentence is left in {place}: {why}");
    }
}

#[test]
fn no_test_searches_a_text_for_words() {
    let mut found = Vec::new();
    for file in tests().into_iter().filter(|file| !is_golden(&file.name) && !file.name.starts_with("laws/")) {
        let tokens = tokens(&file.text);
        let searched = literals(&tokens).into_iter().filter(|literal| literal.is_argument_of(&SEARCHES));
        let words = searched.filter(|literal| literal.text.split_whitespace().filter(|word| is_word(word)).count() > 1);
        found.extend(words.map(|literal| format!("{}:{}: {}", file.name, file.first + literal.line, literal.text)));
    }
    assert!(found.is_empty(), "compare values:\n{}", found.join("\n"));
}

/// The two laws above see what they are about.
#[test]
fn a_sentence_is_seen_in_whatever_form_it_is_written() {
    let said = runs(r#"policy {policy} denies it until {at}: access waits for that"#).collect();
    let seen = |test: &str| sentences(test, &said).map(|(_, text)| text).collect::<Vec<_>>();
    let whole = "policy no denies it until noon: access waits for that";
    assert_eq!(seen(&format!(r#"assert_eq!(message, "{whole}");"#)), [whole]);
    assert_eq!(seen(r##"assert!(text.ends_with(r#"access waits for that"#));"##), ["access waits for that"]);
    assert_eq!(seen("let why = \"it says: access waits \\\n        for that\";"), ["it says: access waits for that"]);
    assert_eq!(seen(r#"format!("{x}: access waits for")"#), ["{x}: access waits for"]);
    assert_eq!(seen(r#"const WHY: [&str; 1] = ["denies it until"];"#), ["denies it until"]);
    // What is said to who reads a failure, in comments, and of other things.
    assert!(seen(r#"assert_eq!((a, f(b, c)), d, "access waits for that");"#).is_empty());
    assert!(seen(r#"assert!(is, "{}", x); panic!("access waits for that")"#).is_empty());
    assert!(seen("// \"access waits for that\"\nlet x = 'a'; let y = \"access waits\";").is_empty());
}

/// Tests of one file of the core.
struct Tests {
    /// Path below `src/core`.
    name: String,
    text: String,
    /// The line before the first.
    first: usize,
}

fn is_golden(name: &str) -> bool {
    GOLDEN.iter().any(|(place, _)| name.starts_with(place))
}

/// Everything that is compiled for tests alone: whole files, and the module at the end of others.
fn tests() -> Vec<Tests> {
    let mut all = Vec::new();
    for file in files("src/core") {
        let name = file.strip_prefix(root().join("src/core")).unwrap().to_string_lossy().into_owned();
        let (program, tests) = parts(&file);
        all.extend(tests.map(|text| Tests { name, text, first: program.lines().count() }));
    }
    assert!(all.len() > 60, "reads the tests of only {} files", all.len());
    all
}

/// All runs of words that the core and the API write.
fn said_by_the_program() -> BTreeSet<Vec<String>> {
    said_in(&["src/core", "src/api"])
}

/// All runs of words that the program writes in these folders.
pub(super) fn said_in(folders: &[&str]) -> BTreeSet<Vec<String>> {
    folders
        .iter()
        .flat_map(|folder| files(folder))
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|file| literals(&tokens(&parts(file).0)))
        .flat_map(|l| runs(&l.text).collect::<Vec<_>>())
        .collect()
}

/// The program and the tests of a file.
pub(super) fn parts(file: &Path) -> (String, Option<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    let whole =
        file.iter().any(|part| ["laws", "tests.rs", "golden.rs", "scripted.rs"].iter().any(|name| part == *name));
    if whole {
        return (String::new(), Some(text));
    }
    match text.split_once("\n#[cfg(test)]\nmod tests {\n") {
        Some((program, tests)) => (format!("{program}\n\n\n"), Some(tests.to_owned())),
        None => (text, None),
    }
}

/// Every source file of a folder but this one, which holds samples.
pub(super) fn files(folder: &str) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "rs") && !path.ends_with(file!()) => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    files
}

/// Literals that have words of the program in a row, with their lines, but for messages of failures.
fn sentences<'a>(test: &str, said: &'a BTreeSet<Vec<String>>) -> impl Iterator<Item = (usize, String)> + use<'a> {
    let of_message = |(of, at): &(String, usize)| MESSAGES.iter().any(|(name, from)| of == name && at >= from);
    let is_message = move |literal: &Literal| literal.within.iter().any(of_message);
    let all = literals(&tokens(test)).into_iter().filter(move |literal| !is_message(literal));
    all.filter(|literal| runs(&literal.text).any(|run| said.contains(&run))).map(|l| (l.line, l.text))
}

/// Words in a row, as many as make a sentence. Nothing runs across a placeholder, a number or a path.
pub(super) fn runs(text: &str) -> impl Iterator<Item = Vec<String>> + use<> {
    let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| ",;:.()\"'".contains(c)).to_lowercase());
    let words: Vec<String> = words.collect();
    let all: Vec<Vec<String>> = words.windows(RUN).map(<[String]>::to_vec).collect();
    all.into_iter().filter(|run| run.iter().all(|word| is_word(word)))
}

pub(super) fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == '\'' || c == '-')
}

/// A text between quotes, and what it is an argument of.
pub(super) struct Literal {
    pub line: usize,
    pub text: String,
    /// The macros and functions in whose brackets it stands, from outside to inside, and in which argument of each.
    /// Brackets of nothing have an empty name.
    within: Vec<(String, usize)>,
}

impl Literal {
    /// Whether a method searches a text for it, as it is or with something put into it.
    pub fn is_searched_for(&self) -> bool {
        let outside = self.within.iter().rev().find(|(of, _)| of != "format!");
        outside.is_some_and(|(of, at)| *at == 0 && SEARCHES.contains(&of.as_str()))
    }

    /// Whether it is the argument of one of these itself.
    fn is_argument_of(&self, names: &[&str]) -> bool {
        self.within.last().is_some_and(|(of, at)| *at == 0 && names.contains(&of.as_str()))
    }
}

pub(super) fn literals(tokens: &[(usize, Token)]) -> Vec<Literal> {
    let (mut open, mut found): (Vec<(String, usize)>, Vec<Literal>) = (Vec::new(), Vec::new());
    let mut before = "";
    for (line, token) in tokens {
        match token {
            Token::Text(text) => {
                found.push(Literal { line: *line, text: text.clone(), within: open.clone() });
            }
            Token::Sign('(' | '[' | '{') => open.push((before.to_owned(), 0)),
            Token::Sign(')' | ']' | '}') => drop(open.pop()),
            Token::Sign(',') => open.iter_mut().next_back().into_iter().for_each(|(_, argument)| *argument += 1),
            Token::Sign(_) | Token::Name(_) => {}
        }
        before = if let Token::Name(name) = token { name } else { "" };
    }
    found
}

/// As much of Rust as it takes to find texts and whose arguments they are.
pub(super) enum Token {
    Text(String),
    /// A name; of a macro, with its exclamation mark.
    Name(String),
    Sign(char),
}

pub(super) fn tokens(source: &str) -> Vec<(usize, Token)> {
    let (mut rest, mut line, mut found) = (source, 1, Vec::new());
    while let Some(letter) = rest.chars().next() {
        let (token, length) = match letter {
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '"' => quoted(rest),
            'r' if is_raw(rest) => raw(rest),
            '\'' => (None, character(rest)),
            c if c.is_alphabetic() || c == '_' => name(rest),
            c if c.is_whitespace() => (None, c.len_utf8()),
            c => (Some(Token::Sign(c)), c.len_utf8()),
        };
        found.extend(token.map(|token| (line, token)));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn quoted(rest: &str) -> (Option<Token>, usize) {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let end = end.map_or(rest.len() - 1, |(at, _)| at);
    // What a backslash hides at the end of a line is one space to the eye.
    let lines: Vec<&str> = rest[1..end].split("\\\n").collect();
    let text = lines.iter().enumerate().map(|(at, line)| if at == 0 { *line } else { line.trim_start() }).collect();
    (Some(Token::Text(text)), end + 1)
}

fn is_raw(rest: &str) -> bool {
    rest[1..].trim_start_matches('#').starts_with('"')
}

fn raw(rest: &str) -> (Option<Token>, usize) {
    let marks = rest[1..].chars().take_while(|c| *c == '#').count();
    let (start, end) = (marks + 2, format!("\"{}", "#".repeat(marks)));
    let length = rest[start..].find(&end).unwrap_or(rest.len() - start - end.len());
    (Some(Token::Text(rest[start..start + length].to_owned())), start + length + end.len())
}

/// A character between quotes, or the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 3),
        Some(_) => letters.next().filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}

fn name(rest: &str) -> (Option<Token>, usize) {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let is_macro = rest[end..].starts_with('!') && !rest[end..].starts_with("!=");
    let end = if is_macro { end + 1 } else { end };
    (Some(Token::Name(rest[..end].to_owned())), end)
}
