//! What the check refuses and with which words, and that it agrees with the interpreter.

use cel::{Context, ExecutionError, Value};

use super::super::functions::{Called, FUNCTIONS};
use super::super::{ENV, tests::facts};
use super::*;
use crate::core::policies::cel::{Expression, Parts, context};

fn faults_in(source: &str) -> Vec<String> {
    faults(source, &ENV.compile(source).unwrap())
}

/// Each slip, the place where it stands, and what was probably meant.
#[test]
fn every_kind_of_slip_is_told_with_its_place_and_the_way_out() {
    for (source, place, words) in [
        // Names.
        ("request.reson == ''", 9, "request has no reson, did you mean reason?; it has name, namespace, role,"),
        ("'x' == request.\n  Role", 3, "request has no Role, did you mean role?"),
        ("request.role.name == 'edit'", 14, "request.role is a text and has no name"),
        ("requester.group == 'dev'", 11, "requester has no group, did you mean groups?"),
        ("request['tiket'] == ''", 10, "request has no tiket, did you mean ticket?"),
        ("request.?tiket.orValue('') == ''", 10, "request has no tiket"),
        ("'tiket' in request", 1, "request has no tiket"),
        ("user == 'alice'", 1, "there is no user; there are the variables request, requester, risk, time"),
        ("reqest.role == 'edit'", 1, "there is no reqest, did you mean request?"),
        ("'dev' in groups", 10, "there is no groups, did you mean requester.groups?"),
        (
            "time.weekday == Mon",
            17,
            "there is no Mon; there are the variables request, requester, risk, time, and texts",
        ),
        ("{'a': 1}.b == 1", 10, "the map has no b"),
        // Functions.
        (
            "requester.groups.contains('dev')",
            18,
            "contains is not for a list: requester.groups is a list of texts; write 'x' in requester.groups",
        ),
        (
            "requester.groups.all(g, g != 'dev')",
            18,
            "there is no function all, since there are no loops; write 'x' in LIST",
        ),
        ("has(request.ticket)", 1, "there is no function has: every name is there"),
        ("request.reason.startWith('x')", 16, "there is no function startWith, did you mean startsWith?"),
        ("now() > 5", 1, "there is no function now; there are label, size,"),
        ("contains(request.reason, 'x')", 1, "contains is written request.reason.contains('OPS')"),
        ("size() == 1", 1, "size is written size(requester.groups)"),
        ("request.reason.string() == ''", 16, "string is written string(time.hour)"),
        ("size(5) == 1", 1, "size is not for a number"),
        ("request.reason.contains(5)", 16, "contains is not for a number: this is a number; write for example request"),
        ("request.ticket.hasValue()", 16, "hasValue is not for a text"),
        // Types.
        (
            "risk.score == '2'",
            12,
            "== compares a number with a text, which are never the same; a number stands without",
        ),
        ("request.ticket == null", 16, "which are never the same; what a request does not say is '' and not null"),
        (
            "requester.groups == 'dev'",
            18,
            "== compares a list of texts with a text, which are never the same; write 'x' in",
        ),
        ("requester.groups == [1]", 18, "== compares a list of texts with a list of numbers"),
        ("request.?ticket == ''", 17, "write x.orValue('')"),
        ("5 in requester.groups", 3, "in looks for a number in a list that has a text in it"),
        (
            "'x' in request.reason",
            5,
            "in looks for a value in a list or map, and this is a text; write TEXT.contains('x')",
        ),
        ("request.role < 5", 14, "< is not for a text and a number together"),
        ("requester.groups > []", 18, "> is not for a list of texts"),
        ("request.cluster + 1 == 2", 17, "+ is not for true or false"),
        ("time.hour + 0.5 > 1.0", 11, "+ is not for a number and a number with a fraction together; convert one"),
        ("-request.reason == ''", 1, "- is not for a text"),
        ("!request.reason", 1, "! is not for a text"),
        ("request.cluster && request.role", 17, "&& is not for a text"),
        ("request.role ? true : false", 14, "? : is not for a text"),
        ("request.role[0] == 'e'", 13, "request.role is a text and has no parts"),
        ("requester.groups['dev'] == ''", 17, "a list has its parts by number, and this is a text"),
        ("request[1] == ''", 8, "a number cannot be the name of a part"),
        ("Thing{a: 1} == 1", 6, "there are no objects to make, such as Thing"),
        // Words.
        (
            "risk.level == 'low'",
            15,
            "risk.level is never 'low', did you mean 'Low'?; it is one of Low, Medium, High, Critical, Unknown",
        ),
        ("'Med' != risk.level", 1, "risk.level is never 'Med'"),
        ("risk.level in ['High', 'Criticl']", 24, "risk.level is never 'Criticl', did you mean 'Critical'?"),
        ("'low' in [risk.level]", 1, "is never 'low'"),
        ("[risk.level] == ['low']", 18, "is never 'low'"),
        ("risk.level == (request.cluster ? 'Low' : 'low')", 42, "risk.level is never 'low'"),
        ("time.weekday in ['Saturday', 'Sun']", 18, "time.weekday is never 'Saturday'"),
        ("request.roleKind == 'clusterrole'", 21, "did you mean 'ClusterRole'?"),
        (
            "risk.level == time.weekday",
            12,
            "risk.level is one of Low, Medium, High, Critical, Unknown and never the other",
        ),
        ("risk.level.startsWith('Me') || risk.level.startsWith('low')", 54, "risk.level is never 'low'"),
        ("risk.level >= 'High'", 12, ">= would compare the letters of risk.level; compare risk.score"),
        ("time.weekday > 'Mon'", 14, "write time.weekday in ['Mon', 'Tue']"),
    ] {
        let found = faults_in(source);
        let place =
            if source.contains('\n') { format!("line 2, character {place}: ") } else { format!("character {place}: ") };
        let [only] = found.as_slice() else { panic!("{source}: {found:#?}") };
        assert!(only.starts_with(&place) && only.contains(words), "{source}\n  {only}\n  {place}{words}");
    }
    for source in ["request.role", "requester.groups", "1", "label('x')", "request", "request.cluster ? 1 : 2"] {
        let [only] = faults_in(source).try_into().unwrap_or_else(|found| panic!("{source}: {found:?}"));
        assert!(only.starts_with("is ") && only.contains("not true or false: compare it"), "{source}: {only}");
    }
}

#[test]
fn all_slips_of_an_expression_are_told_in_their_order_but_not_without_end() {
    let two = faults_in("risk.level == 'low' || 'é' == request.reson");
    assert_eq!(two.len(), 2);
    assert!(two[0].starts_with("character 15: ") && two[1].starts_with("character 39: "), "{two:?}");
    assert_eq!(faults_in(&["x == 1"; 9].join(" || ")).len(), MOST);
}

#[test]
fn of_what_is_not_known_nothing_is_said() {
    for source in [
        "dyn(request).reson == 1",
        "dyn(request.role) == 5",
        "[1, 'a'][0] == 'a'",
        "[{'a': label('x')}][0].a == label('y') ? 'z' in label('x') : size(string(size(label('w')))) > 1",
        "{request.role: 1}.edit == 1",
        "requester.groups == [] || [] == label('x') || 'x' in []",
        "(request.cluster ? request.role : 5) == 5",
        "requester.groups[?0].orValue('') == 'dev' && request.?ticket.hasValue()",
        "request.?ticket.orValue('') == ''",
        "risk.level == request.reason || request.reason < 'x' || 'Mon' < 'Tue'",
        "risk.level.matches('(?i)low') && risk.score > 1u && risk.score < 2.5",
        "type(risk.score) == type(1)",
        "'role' in request && request['role'] == 'edit'",
    ] {
        assert_eq!(faults_in(source), Vec::<String>::new(), "{source}");
    }
}

/// A value of each sort, as it is written.
const SAMPLES: [(&str, Sort); 13] = [
    ("request.cluster", Sort::Bool),
    ("risk.score", Sort::Int),
    ("2u", Sort::Uint),
    ("2.0", Sort::Double),
    ("request.reason", Sort::Text),
    ("b'x'", Sort::Bytes),
    ("null", Sort::Null),
    ("type(1)", Sort::Kind),
    ("requester.groups", Sort::List),
    ("[7]", Sort::List),
    ("{'a': 1}", Sort::Map),
    ("request", Sort::Map),
    ("request.?reason", Sort::Optional),
];

/// What the interpreter makes of an expression that is given unchecked.
fn evaluated(source: &str) -> Result<Value, ExecutionError> {
    let program = ENV.compile(source).unwrap();
    let parts = std::sync::Arc::new(Parts::of(program.expression()).unwrap_or_default());
    let context: Context<'_, '_> = context(&facts(), &parts).unwrap();
    program.execute(&context)
}

/// Whether the interpreter has no such operator or function, whatever the values are.
fn is_impossible(error: &ExecutionError) -> bool {
    !matches!(
        error,
        ExecutionError::IndexOutOfBounds(_)
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::FunctionError { .. }
            | ExecutionError::NoSuchKey(_)
    )
}

/// Whatever operator is applied to whatever values: what the check lets through, the interpreter can do, and what it
/// refuses the interpreter cannot do, or says no to whatever the values are.
#[test]
fn the_check_agrees_with_the_interpreter_on_every_operator() {
    let mut differ = Vec::new();
    for operator in ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "in", "&&", "||", "==", "!="] {
        for (left, _) in SAMPLES {
            for (right, _) in SAMPLES {
                let source = format!("dyn({left} {operator} {right}) == 1");
                let (found, outcome) = (faults_in(&source), evaluated(&format!("{left} {operator} {right}")));
                let refused = match &outcome {
                    Err(error) => is_impossible(error),
                    // They are never the same: so says the interpreter of these, and so it would of all others.
                    Ok(Value::Bool(same)) if operator == "==" => !same && !found.is_empty(),
                    Ok(Value::Bool(differ)) if operator == "!=" => *differ && !found.is_empty(),
                    Ok(Value::Bool(is_in)) if operator == "in" => !is_in && !found.is_empty(),
                    // Either side may decide alone.
                    Ok(_) => matches!(operator, "&&" | "||") && !found.is_empty(),
                };
                if found.is_empty() == refused {
                    differ.push(format!("{source}: {found:?}, {outcome:?}"));
                }
            }
        }
    }
    for (value, _) in SAMPLES {
        for source in [format!("-{value}"), format!("!{value}"), format!("{value}[0]"), format!("{value} ? 1 : 2")] {
            let (found, outcome) = (faults_in(&format!("dyn({source}) == 1")), evaluated(&source));
            let refused = outcome.as_ref().err().is_some_and(|error| {
                // A map can be asked for a number, and this one never has it.
                is_impossible(error) || (matches!(error, ExecutionError::NoSuchKey(_)) && !found.is_empty())
            });
            // Nobody has a part of a text; the interpreter says so by a value that is never there.
            let refused = refused || source == "request.?reason[0]";
            if found.is_empty() == refused {
                differ.push(format!("{source}: {found:?}, {outcome:?}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn the_check_agrees_with_the_interpreter_on_every_function() {
    let mut differ = Vec::new();
    for Function { name, called, takes, .. } in &FUNCTIONS {
        // What must be written out is for the parts of an expression.
        let second = if *name == "matches" { "'x'" } else { "request.reason" };
        let more = if takes.len() > 1 { second } else { "" };
        for (value, _) in SAMPLES.iter().filter(|(_, _)| *name != "label") {
            let comma = if more.is_empty() { "" } else { ", " };
            let alone = format!("{name}({value}{comma}{more})");
            let on_it = format!("({value}).{name}({more})");
            for (source, so) in [(alone, Called::Alone), (on_it, Called::OnAValue)] {
                let (found, outcome) = (faults_in(&format!("dyn({source}) == 1")), evaluated(&source));
                let refused = outcome.as_ref().err().is_some_and(is_impossible);
                if found.is_empty() == refused {
                    differ.push(format!("{source} ({called:?}, {so:?}): {found:?}, {outcome:?}"));
                }
            }
        }
    }
    assert!(
        differ.is_empty(),
        "{}",
        differ.join(
            "
"
        )
    );
}

/// Every name of the table, as it is asked for: the check lets it through with its type, and it has a value.
#[test]
fn every_name_can_be_asked_for() {
    let mut asked = 0;
    for object in &super::super::facts::VARIABLES {
        for name in object.names() {
            let whole = format!("{}.{name}", object.name);
            let sort = Type::from(&object.field(name).unwrap().is).sort().unwrap();
            let same = match sort {
                Sort::Bool => format!("{whole} || !{whole}"),
                Sort::Int => format!("{whole} + 0 == {whole}"),
                Sort::Text => format!("{whole}.contains('') && {whole} == {whole}"),
                _ => format!("size({whole}) >= 0"),
            };
            assert_eq!(Expression::read("f", &same).unwrap().holds(&facts()), Ok(true), "{same}");
            asked += 1;
        }
    }
    assert_eq!(asked, 20);
}
