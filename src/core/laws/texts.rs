//! Nothing is decided by the words of a text: not by the program, and not by the trials in `e2e`.
//!
//! Owns the list of texts that have no other form, with the reason for each: what the API server says, mostly. What the
//! program says is an enum before it is a sentence, so that whoever words it anew changes one golden test.

use std::path::Path;

use super::purity::root;
use super::wording::{SEARCHES, Token, files, is_word, literals, parts, runs, said_in, tokens};

/// Parts of the sentence with which RBAC refuses. Neither its code nor its reason tells what was forbidden to whom.
const RBAC: [&str; 5] = ["User ", " cannot", "resource ", "path ", "is attempting to grant RBAC permissions"];
/// What takes that sentence apart, for all others.
const READS_RBAC: &str = "src/cli/plugin/refused";
/// Other texts by which code decides all the same: where, which, and why there is no other form.
const NO_OTHER_FORM: [(&str, &str, &str); 4] = [
    ("src/cli/plugin/output/jsonpath.rs", "range ", "the word of a template that somebody wrote"),
    (REASON, "allowed by ", "what Kubernetes writes into each audit event"),
    (REASON, " of ", "the same sentence"),
    (REASON, " to ", "the same sentence"),
];
/// What reads by which binding the API server allowed a call.
const REASON: &str = "src/core/activity/reason.rs";
/// Trials that hold sentences of the program, and why.
const TRIALS: [(&str, &str); 10] = [
    ("e2e/plugin", "what people read of the plugin is golden there"),
    ("e2e/ci.rs", "golden, as e2e/plugin"),
    ("e2e/archive", "golden, as e2e/plugin"),
    ("e2e/approve.rs", "warnings of the chart's admission policies, which have no name but their text"),
    ("e2e/attack", "refusals of the chart's admission policies, each told from others of the same policy"),
    ("e2e/policy.rs", "a finding in a role is known by its text"),
    ("e2e/rules.rs", "a finding in a role is known by its text"),
    ("e2e/chart", "words of the chart"),
    ("e2e/versions.rs", "words of the chart"),
    ("e2e/fuzz", "a fault of an expression that random ones are made to have"),
];

#[test]
fn nothing_is_decided_by_the_words_of_a_text() {
    let mut found = Vec::new();
    for file in files("src").iter().filter(|file| !file.starts_with(root().join("src/core/laws"))) {
        let name = name(file);
        found.extend(decides(&parts(file).0).into_iter().map(|(line, text)| (name.clone(), line, text)));
    }
    found.retain(|(name, _, text)| !name.starts_with(READS_RBAC) && !RBAC.iter().any(|words| text.contains(words)));
    let is_listed =
        |name: &str, text: &str| NO_OTHER_FORM.iter().any(|(file, words, _)| *file == name && *words == text);
    let (listed, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(name, _, text)| is_listed(name, text));
    assert!(others.is_empty(), "decide by a value, and have it shown by Display:\n{others:#?}");
    for (file, words, why) in NO_OTHER_FORM.iter().filter(|(file, _, _)| root().join(file).exists()) {
        assert!(
            listed.iter().any(|(name, _, text)| name == file && text == words),
            "{file} is past it: {words} ({why})"
        );
    }
}

#[test]
fn no_trial_searches_for_a_sentence_of_the_program() {
    let said = said_in(&["src/core", "src/api"]);
    let (mut found, mut allowed) = (Vec::new(), Vec::new());
    for file in files("e2e") {
        let (name, text) = (name(&file), parts(&file).0);
        let searched = literals(&tokens(&text)).into_iter().filter(|literal| literal.is_searched_for());
        let sentences = searched.filter(|literal| runs(&literal.text).any(|run| said.contains(&run)));
        let list = if TRIALS.iter().any(|(place, _)| name.starts_with(place)) { &mut allowed } else { &mut found };
        list.extend(sentences.map(|literal| format!("{name}:{}: {}", literal.line, literal.text)));
    }
    assert!(found.is_empty(), "compare a reason, a field, or what a value of src/core shows:\n{}", found.join("\n"));
}

/// The law above sees what it is about.
#[test]
fn a_decision_by_words_is_seen_in_whatever_form_it_is_written() {
    let seen = |source: &str| decides(source).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    for source in [
        r#"if why.contains("no room") {}"#,
        r#"if why.starts_with(&format!("no room")) {}"#,
        r#"if why == "no room" {}"#,
        r#"if why != "no room" {}"#,
        r#"match why { "no room" => 1, _ => 2 }"#,
        r#"const NO_ROOM: &str = "no room"; if why.ends_with(NO_ROOM) {}"#,
    ] {
        assert_eq!(seen(source), ["no room"], "{source}");
    }
    for source in [
        r#"write!(f, "no room")"#,
        r#"const NO_ROOM: &str = "no room"; f.write_str(NO_ROOM)"#,
        r#"if name.contains("room") {}"#,
        r#"text.split(", ")"#,
        r#"let why = "no room";"#,
    ] {
        assert!(seen(source).is_empty(), "{source}");
    }
}

fn name(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// Texts with blanks and words by which a source decides, with their lines.
fn decides(source: &str) -> Vec<(usize, String)> {
    let tokens: Vec<(usize, Token)> = tokens(source);
    let of = |at: usize| tokens.get(at).map(|(_, token)| token);
    let is_sign = |at: usize, sign: char| matches!(of(at), Some(Token::Sign(it)) if *it == sign);
    let constants = constants(&tokens);
    let mut found = Vec::new();
    for (at, (line, token)) in tokens.iter().enumerate() {
        let text = match token {
            Token::Text(text) => Some(text),
            Token::Name(name) => constants.iter().find(|(constant, _)| constant == name).map(|(_, text)| text),
            Token::Sign(_) => None,
        };
        let Some(text) = text.filter(|text| has_words(text)) else { continue };
        let compared = at > 1 && is_sign(at - 1, '=') && (is_sign(at - 2, '=') || is_sign(at - 2, '!'));
        let matched = matches!(token, Token::Text(_)) && is_sign(at + 1, '=') && is_sign(at + 2, '>');
        if compared || matched || is_searched_for(&tokens[..at]) {
            found.push((*line, text.clone()));
        }
    }
    found
}

/// Whether what comes next is what a method searches for.
fn is_searched_for(before: &[(usize, Token)]) -> bool {
    let mut before = before.iter().rev().map(|(_, token)| token).peekable();
    loop {
        match before.next() {
            Some(Token::Sign('&')) => {}
            Some(Token::Sign('(')) => match before.next() {
                Some(Token::Name(name)) if name == "format!" => {}
                Some(Token::Name(name)) => return SEARCHES.contains(&name.as_str()),
                _ => return false,
            },
            _ => return false,
        }
    }
}

/// The texts that a source has a name for.
fn constants(tokens: &[(usize, Token)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, (_, token)) in tokens.iter().enumerate() {
        if !matches!(token, Token::Name(name) if name == "const") {
            continue;
        }
        let rest: Vec<&Token> = tokens[at + 1..].iter().map(|(_, token)| token).take(6).collect();
        if let [
            Token::Name(name),
            Token::Sign(':'),
            Token::Sign('&'),
            Token::Name(_),
            Token::Sign('='),
            Token::Text(text),
        ] = rest.as_slice()
        {
            found.push((name.clone(), text.clone()));
        }
    }
    found
}

fn has_words(text: &str) -> bool {
    text.contains(' ') && text.split_whitespace().any(|word| word.len() > 1 && is_word(word))
}
