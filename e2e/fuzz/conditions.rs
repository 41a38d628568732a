//! Conditions in CEL, over facts that are as large as they can be.

use daypass::core::policies::PolicySet;
use daypass::core::policies::cel::{CelInput, Expression, RequestFacts, RiskScore, When, Who};
use k8s_openapi::jiff::Timestamp;
use libtest_mimic::Trial;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::bounds::{each, fuzz};
use crate::largest::{decided, made, policy};

pub fn trials() -> Vec<Trial> {
    made();
    vec![
        each("conditions::the_worst_of_every_shape", worst(), |source| judged(source)),
        each("conditions::the_worst_patterns", patterns(), |source| judged(source)),
        fuzz("conditions::any_text", any_text, |source| judged(source)),
        fuzz("conditions::anything_made_of_the_words_of_cel", any_words, |source| judged(source)),
        fuzz("conditions::any_expression", any_expression, |source| judged(source)),
        fuzz("conditions::any_pattern", any_pattern, |source| judged(source)),
        fuzz("conditions::what_is_taken_asks_for_nothing_that_is_not_there", any_sound, |source| check(source)),
        fuzz("conditions::what_is_taken_of_any_words_names_what_there_is", any_words, |source| {
            names_what_there_is(source)
        }),
    ]
}

/// Decides in many namespaces by a policy with this condition, and in the whole cluster by one that has it for
/// `automaticWhen`.
fn judged(source: &str) {
    let stages = json!([{ "name": "s", "approvers": [{ "kind": "User", "name": "bob" }] }]);
    let conditions = policy(&json!({ "conditions": [{ "expression": source, "message": "m" }] }));
    let spared = policy(&json!({ "approval": { "automaticWhen": source, "stages": stages } }));
    decided(&PolicySet::new([&conditions]), false, Timestamp::UNIX_EPOCH);
    decided(&PolicySet::new([&spared]), true, Timestamp::UNIX_EPOCH);
}

/// What an expression says of some request, if it is taken.
fn evaluated(source: &str) -> Option<Result<bool, String>> {
    let request =
        RequestFacts { namespaces: vec!["shop".to_owned()], role_kind: "Role".to_owned(), ..RequestFacts::default() };
    let facts = CelInput {
        request,
        requester: Who { groups: vec!["dev".to_owned()], ..Who::default() },
        risk: RiskScore::default(),
        time: When { weekday: "Mon".to_owned(), ..When::default() },
        labels: [("wide".to_owned(), std::sync::Arc::new(["yes".to_owned()].into()))].into(),
    };
    Expression::read("f", source).ok().map(|condition| condition.holds(&facts).map_err(|why| why.to_string()))
}

/// What is taken has nothing in it that the interpreter does not know; and nothing of the wrong type, unless its type
/// could not be known, as that of a part of a list or of one of two values.
fn check(source: &str) {
    names_what_there_is(source);
    if source.contains(")[") || source.contains('?') {
        return;
    }
    if let Some(Err(why)) = evaluated(source) {
        for word in ["No such key", "overload", "nsupported", "nexpected type", "Unable to use", "not true or false"] {
            assert!(!why.contains(word), "{source}: {why}");
        }
    }
}

/// Whatever it is made of: what is taken names nothing that the interpreter does not know.
fn names_what_there_is(source: &str) {
    if let Some(Err(why)) = evaluated(source) {
        assert!(!why.contains("ndeclared"), "{source}: {why}");
    }
}

/// As much of a text as a condition may have.
fn filled(unit: &str, begin: &str, end: &str) -> String {
    let room = 1024 - begin.len() - end.len();
    format!("{begin}{}{end}", unit.repeat(room / unit.len()))
}

/// So often, or as often as there is room.
fn times(unit: &str, most: usize, begin: &str, end: &str) -> String {
    let room = 1024_usize.saturating_sub(begin.len() + end.len());
    format!("{begin}{}{end}", unit.repeat(most.min(room / unit.len())))
}

fn worst() -> Vec<String> {
    let nested = |open: &str, close: &str, depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let groups = "requester.groups";
    vec![
        nested("(", ")", 12),
        nested("(", ")", 500),
        nested("[", "]", 12),
        nested("[", "]", 500),
        nested("{1:", "}", 12),
        nested("{1:", "}", 250),
        nested("string(", ")", 12),
        nested("[", "", 1000),
        filled("!", "", "true"),
        times("!", 120, "", "true"),
        times("-", 120, "", "1 == 1"),
        times("+1", 120, "1", " == 1"),
        times("&&true", 60, "true", ""),
        times("||false", 60, "false", ""),
        times("true?true:", 60, "", "true"),
        times(".a", 100, "request", " == 1"),
        times("[0]", 60, groups, " == 1"),
        times(",1", 110, "1 in [1", "]"),
        times(",'𝄞𝄞𝄞𝄞'", 100, "'a' in ['b'", "]"),
        times(" in [1]", 30, "1", " == 1"),
        // Lists and texts that grow, and are held against each other.
        times("+requester.groups", 100, groups, " == []"),
        times(
            "+requester.groups",
            25,
            &format!("({groups}"),
            &format!(") == ({groups}{})", "+requester.groups".repeat(25)),
        ),
        times("+request.reason", 100, "request.reason", " == ''"),
        times("+request.reason", 60, "('x' in [request.reason", "])"),
        times("||'x' in requester.groups", 30, "'x' in requester.groups", ""),
        times("||'x' in label('wide')", 30, "'x' in label('wide')", ""),
        times("+label('shared.example.com/1')", 30, "label('shared.example.com/1')", " == []"),
        times("||label('shared.example.com/1')==label('shared.example.com/2')", 15, "false", ""),
        times("+string(requester.groups)", 30, "''", " == ''"),
        times("||[requester.groups]==[requester.groups]", 20, "false", ""),
        times("||{1:requester.groups}=={1:requester.groups}", 20, "false", ""),
        times("||size(requester.groups)==1", 30, "false", ""),
        times("||request.namespaces==label('wide')", 28, "false", ""),
        times("||requester.groups[0].contains(requester.groups[1])", 15, "false", ""),
        // Numbers at their ends.
        "9223372036854775807 + 1 == 0".to_owned(),
        "-9223372036854775808 - 1 == 0".to_owned(),
        "-9223372036854775808 / -1 == 0".to_owned(),
        "-9223372036854775808 % -1 == 0".to_owned(),
        "-(-9223372036854775807 - 1) == 0".to_owned(),
        "9223372036854775807 * 9223372036854775807 == 0".to_owned(),
        "18446744073709551615u + 1u == 0u".to_owned(),
        "0u - 1u == 0u".to_owned(),
        "1 % 0 == 0 || 1u / 0u == 0u || 1.0 / 0.0 == 0.0".to_owned(),
        "int(1e300) == 0 || int('9223372036854775808') == 0 || int(18446744073709551615u) == 0".to_owned(),
        "double('1e999') == 0.0 || string(1e308 * 10.0) == ''".to_owned(),
        format!("{} == 1", "9".repeat(1000)),
        format!("1e{} == 1.0", "9".repeat(1000)),
        "requester.groups[9223372036854775807] == ''".to_owned(),
        "requester.groups[-9223372036854775808] == ''".to_owned(),
        "requester.groups[18446744073709551615u] == ''".to_owned(),
        "requester.groups[0.5] == '' || requester.groups['0'] == ''".to_owned(),
        // Texts that are none.
        filled("\u{1d11e}", "'", "' == ''"),
        filled("\u{202e}\u{0}", "'", "' == ''"),
        filled("\\u0041", "'", "' == ''"),
        "'\\ud800' == '' || '\\U0010FFFF' == '' || '\\UFFFFFFFF' == '' || '\\777' == ''".to_owned(),
        "b'\\xff\\000' == b'' || r'\\' == '' || '''a\n''' == '' || \"\"\"b\"\"\" == ''".to_owned(),
        "'abc".to_owned(),
        "'''abc".to_owned(),
        "/*".to_owned(),
        filled("//", "", "\n"),
        filled("\n", "true", ""),
        String::new(),
        "\u{feff}true".to_owned(),
        "a".repeat(2000),
        "request".repeat(140),
        "true ? request.reason : requester.groups".to_owned(),
        "dyn(requester) == dyn(request) || type(type(1)) == type(1)".to_owned(),
        "label(requester.groups[0]) == label(request.reason)".to_owned(),
        "label(1) == label() || size() == 0 || 'a'.startsWith() || matches('a')".to_owned(),
        "request.reason.matches(request.reason) || requester.groups[0].matches(requester.groups[1])".to_owned(),
    ]
}

fn patterns() -> Vec<String> {
    let long = "(request.reason+request.reason)";
    let mut patterns: Vec<String> = [
        "(a*)*b",
        "(a|aa)+$",
        "(.*)*y",
        "(.*a){20}",
        "(.*a.*b){10}y",
        "(.*.*.*.*.*.*.*.*.*)y",
        "((a{100}){100}){100}",
        "(((((((((((a*)*)*)*)*)*)*)*)*)*)*)y",
        "(?i)\\pL{100}",
        "\\w{1000}",
        "\\w{99}y",
        ".{1000}",
        ".{300}y",
        "a.{300}y",
        "(a|b)*a(a|b|.){15}y",
        "[^a]{200}",
        "(\\w|\\d|\\s|.)*$",
        "\\b(\\w+\\b)*y",
        "(𝄞|𝄞𝄞)*y",
        "(?R)",
        "\\1",
        "(?<=a)b",
        "(?:",
        "[",
        "[[:alpha:][:^alpha:]]",
        "[\\w&&\\d--\\s~~a]",
        "a{1000000000}",
        "a{,}",
        "^$",
        "",
        "(||||||||||||||||||||||||)*",
        "()*",
    ]
    .iter()
    .map(|pattern| format!("{long}.matches('{pattern}')"))
    .collect();
    for unit in ["\\\\W", "(?i)\\\\pL", "(?i)[^k]", "a*", "x?"] {
        patterns.push(filled(unit, "request.reason.matches('", "')"));
        patterns.push(filled(unit, "request.reason.matches('(?i)[", "]')"));
        patterns.push(times(unit, 14, "request.reason.matches('(?i)[^", "]')"));
        patterns.push(times(unit, 15, "request.reason.matches('(?i)", "')"));
        patterns.push(times(unit, 50, "request.reason.matches('", "')"));
        patterns.push(times(unit, 50, "request.reason.matches('", "x')"));
        patterns.push(times(unit, 20, &format!("{long}.matches('("), ")*x')"));
        patterns.push(times(&format!("||requester.groups[1].matches('{unit}')"), 20, "false", ""));
        patterns.push(times(&format!("||request.reason.matches('(?i){unit}x')"), 20, "false", ""));
    }
    patterns
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,300}", "[\\PC]{0,300}", "[!-~]{0,1100}", "\\PC{1000,1100}"]
}

const WORDS: [&str; 71] = [
    "request",
    ".role",
    ".reason",
    "requester.groups",
    "requester.groups[511]",
    "request.namespaces",
    "risk.score",
    "time.hour",
    "[0]",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'a'",
    "\"b\"",
    "'𝄞'",
    "1",
    "-1",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "0u",
    "18446744073709551615u",
    "1e308",
    "b'x'",
    "true",
    "false",
    "null",
    "+",
    " - ",
    " * ",
    " / ",
    " % ",
    "&&",
    "||",
    "!",
    "-",
    "==",
    "!=",
    "<",
    ">=",
    " in ",
    "?",
    ":",
    ",",
    ".size()",
    ".matches('(a|b)*')",
    ".matches(request.reason)",
    ".contains('a')",
    "label('wide')",
    "label('shared.example.com/3')",
    "string(1)",
    "int('x')",
    "double(",
    ".?a",
    "[?0]",
    "type(1)",
    "dyn(",
    "optional.of(1)",
    ".orValue(1)",
    "has(request.role)",
    ".all(x, true)",
    ".map(x, x)",
    "\\",
    "\n",
    "é",
    "timestamp('x')",
    "duration('1s')",
    "/*",
];

fn any_words() -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 0..120).prop_map(|words| words.concat())
}

/// What parses and has the right types for the most part.
fn any_expression() -> impl Strategy<Value = String> {
    let texts = select(vec![
        "request.reason",
        "request.role",
        "requester.groups[0]",
        "requester.groups[511]",
        "request.ticket",
        "'a'",
        "'𝄞'",
        "''",
        "string(risk.score)",
        "time.date",
    ]);
    let texts = vec(texts, 1..8).prop_map(|parts| parts.join("+")).boxed();
    let lists = select(vec![
        "requester.groups",
        "request.namespaces",
        "label('wide')",
        "label('shared.example.com/7')",
        "['a','b']",
    ]);
    let lists = vec(lists, 1..6).prop_map(|parts| parts.join("+")).boxed();
    let numbers = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        select(vec!["risk.score", "time.hour", "size(requester.groups)", "request.durationSeconds", "int('5')"])
            .prop_map(str::to_owned),
    ];
    let sums = vec((numbers, select(vec!["+", "-", "*", "/", "%"])), 1..8)
        .prop_map(|parts| parts.into_iter().map(|(n, sign)| format!("{n}{sign}")).collect::<String>() + "1")
        .boxed();
    let compare = || select(vec!["==", "!=", "<", ">", "<=", ">="]);
    let simple = prop_oneof![
        (texts.clone(), compare(), texts.clone()).prop_map(|(a, sign, b)| format!("{a}{sign}{b}")),
        (sums.clone(), compare(), sums).prop_map(|(a, sign, b)| format!("{a}{sign}{b}")),
        (texts.clone(), lists.clone()).prop_map(|(a, b)| format!("({a}) in ({b})")),
        (lists.clone(), lists).prop_map(|(a, b)| format!("{a}=={b}")),
        (texts.clone(), texts.clone()).prop_map(|(a, b)| format!("({a}).contains({b})")),
        (texts, pattern()).prop_map(|(text, pattern)| format!("({text}).matches('{pattern}')")),
    ];
    simple.prop_recursive(6, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), select(vec!["&&", "||"]), inner.clone()).prop_map(|(a, sign, b)| format!("{a}{sign}{b}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a}?{b}:{c}")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// Made of names that there are and of some that there are not, put together in every way that parses.
fn any_sound() -> impl Strategy<Value = String> {
    let names = select(vec![
        "request.reason",
        "request.reson",
        "request.role",
        "request.roleKind",
        "request.cluster",
        "request.durationSeconds",
        "request.namespaces",
        "requester.groups",
        "requester.group",
        "requester",
        "reqester",
        "risk.level",
        "risk.score",
        "risk.scor",
        "time.weekday",
        "time.hour",
        "label('wide')",
        "'Low'",
        "'low'",
        "'Mon'",
        "'dev'",
        "1",
        "2u",
        "1.5",
        "true",
        "null",
        "[]",
        "{'a': 1}",
        "b'x'",
    ]);
    names.prop_map(str::to_owned).prop_recursive(5, 24, 3, |inner| {
        let operators =
            select(vec!["==", "!=", "<", ">=", "&&", "||", "+", "-", "*", "/", "%", " in ", "==", "==", "&&", " in "]);
        let methods = select(vec![
            "size()",
            "contains('a')",
            "startsWith('M')",
            "hasValue()",
            "orValue('')",
            "matches('a')",
            "string()",
            "all()",
        ]);
        let functions = select(vec!["size", "int", "string", "double", "type", "label", "has", "sizes"]);
        prop_oneof![
            4 => (inner.clone(), operators, inner.clone()).prop_map(|(a, sign, b)| format!("({a}){sign}({b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a})?({b}):({c})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            2 => (inner.clone(), methods).prop_map(|(a, method)| format!("({a}).{method}")),
            2 => (functions, inner.clone()).prop_map(|(function, a)| format!("{function}({a})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (inner.clone(), select(vec!["role", "rol", "a"])).prop_map(|(a, name)| format!("({a}).{name}")),
            1 => (inner, select(vec!["role", "rol", "a"])).prop_map(|(a, name)| format!("({a}).?{name}")),
        ]
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let parts = select(vec![
        "a", "𝄞", "0", ".", ".*", ".+", "a*", "(", ")", "(?:", "(?i)", "(?s)", "[", "]", "[^", "-", "|", "*", "+", "?",
        "{2}", "{50}", "{0,1000}", "\\\\w", "\\\\W", "\\\\d", "\\\\s", "\\\\b", "\\\\pL", "\\\\PL", "^", "$", "&&",
        "~~", "x", "[a-z]", "(a|b)", "(.*)", "k",
    ]);
    vec(parts, 0..60).prop_map(|parts| parts.concat())
}

fn any_pattern() -> impl Strategy<Value = String> {
    let texts = select(vec![
        "request.reason",
        "requester.groups[3]",
        "(request.reason+request.reason)",
        "'aaaaaaaaaaaaaaaaaaaab'",
    ]);
    let times = prop_oneof![4 => Just(1_usize), 1 => 2..20_usize];
    (texts, pattern(), times)
        .prop_map(|(text, pattern, times)| vec![format!("{text}.matches('{pattern}')"); times].join("||"))
}
