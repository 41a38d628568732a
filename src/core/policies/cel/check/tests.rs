//! How the check tells its faults, and that it agrees with the interpreter. What it refuses, and with which words, is in
//! `golden`.

use cel::{Context, ExecutionError, Value};

use super::super::functions::{Called, FUNCTIONS};
use super::super::{ENV, tests::facts};
use super::*;
use crate::core::policies::cel::{Expression, Parts, context};

pub(super) fn faults_in(source: &str) -> Vec<String> {
    faults(source, &ENV.compile(source).unwrap())
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
        "'k' in requester.extra && 'mfa' in requester.extra['k']",
        "requester.extra[request.reason] == ['x'] || requester.extra.country == []",
        "'mfa' in requester.extra[?'k'].orValue([]) || requester.extra.?k.hasValue()",
    ] {
        assert_eq!(faults_in(source), Vec::<String>::new(), "{source}");
    }
}

/// A value of each sort, as it is written.
const SAMPLES: [(&str, Sort); 14] = [
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
    ("requester.extra", Sort::Map),
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
    assert_eq!(asked, 21);
}
