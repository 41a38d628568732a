//! What is wrong with an expression, in words, and where it stands.

use std::fmt;

use cel::common::ast::{Expr, IdedExpr, SourceInfo, operators};

use crate::core::model::history::cut;
use crate::core::model::nearest::nearest;
use crate::core::policies::cel::facts::{Object, VARIABLES};
use crate::core::policies::cel::functions::{Called, FUNCTIONS, Function};
use crate::core::policies::cel::types::{Sort, Type};

/// Longest name that is repeated, in bytes.
const LONGEST: usize = 64;
/// What other dialects of CEL have, and this one has not.
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "map", "has"];

/// Where something stands.
pub enum Place<'a> {
    /// Nowhere more than elsewhere.
    Whole,
    Of(&'a IdedExpr),
    /// At this name, in a part that begins with a dot or a bracket.
    Name(&'a IdedExpr, &'a str),
    /// At the name of this function, before the bracket that the part begins with.
    Call(&'a IdedExpr, &'a str),
    At(usize),
}

impl Place<'_> {
    /// How many characters stand before it.
    pub fn offset(&self, letters: &[char], info: &SourceInfo) -> Option<usize> {
        let start = |part: &IdedExpr| info.offset_for(part.id).and_then(|(start, _)| usize::try_from(start).ok());
        let is_at = |at: usize, name: &str| {
            letters.get(at..).is_some_and(|rest| name.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c)))
        };
        match self {
            Self::Whole => None,
            Self::At(at) => Some(*at),
            Self::Of(part) => start(part),
            Self::Name(part, name) => {
                let from = start(part)?;
                Some((from..letters.len()).find(|at| is_at(*at, name)).unwrap_or(from))
            }
            Self::Call(part, name) => {
                let to = start(part)?.min(letters.len());
                Some((0..to).rev().find(|at| is_at(*at, name)).unwrap_or(to))
            }
        }
    }
}

/// A place as people count: from 1, and with the line where there are several.
pub fn position(letters: &[char], at: usize) -> String {
    let before = letters.get(..at).unwrap_or(letters);
    let line = before.iter().filter(|letter| **letter == '\n').count() + 1;
    let column = before.iter().rev().take_while(|letter| **letter != '\n').count() + 1;
    if letters.contains(&'\n') { format!("line {line}, character {column}") } else { format!("character {column}") }
}

/// Whether other dialects of CEL make a loop or a test of this name.
pub fn is_macro(name: &str) -> bool {
    MACROS.contains(&name)
}

/// A variable or a field of one, as it is written.
pub fn spelled(part: &IdedExpr) -> Option<String> {
    match &part.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) => Some(format!("{}.{}", spelled(&select.operand)?, select.field)),
        _ => None,
    }
}

/// What is wrong.
pub enum Problem<'a> {
    /// There is no such variable.
    NoVariable(&'a str),
    /// A variable has no such field.
    NoField { object: &'static Object, name: &'a str },
    /// A map that is written out has no such key.
    NoKey(&'a str),
    /// A value that has no fields is asked for one.
    HasNoFields { what: Option<String>, of: Type, name: &'a str },
    /// There is no such function.
    NoFunction(&'a str),
    /// A function is called as it cannot be.
    Miscalled(&'static Function),
    /// A function is given what it does not take.
    WrongArgument { function: &'static Function, what: Option<String>, of: Type },
    /// An operator is not for such values.
    NotFor { operator: &'a str, of: Type },
    /// An operator is not for two such values.
    Different { operator: &'a str, left: Type, right: Type },
    /// Two values are never the same.
    NeverEqual { operator: &'a str, left: Type, right: Type },
    /// A value is never in such a list.
    NeverIn { left: Type, right: Type },
    /// Something is looked for in what is no list.
    NoList(Type),
    /// A list is asked for a part by something else than a number.
    NoIndex(Type),
    /// A map is asked for a part by what cannot be a key.
    NoKeyType(Type),
    /// A value that has no parts is asked for one.
    NoParts { what: Option<String>, of: Type },
    /// A value is never this word.
    NoWord { what: Option<String>, word: &'a str, there: &'static [&'static str] },
    /// Two values have no word in common.
    NoWordInCommon { what: Option<String>, there: &'static [&'static str] },
    /// Words are compared that have no order.
    NoOrder { what: Option<String>, operator: &'a str, there: &'static [&'static str] },
    /// An object is made.
    Made(&'a str),
    /// A part is missing.
    Missing,
    /// The whole is no condition.
    NoCondition(Type),
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable(name) => no_variable(f, name),
            Self::NoField { object, name } => {
                let list = object.names().collect::<Vec<_>>().join(", ");
                let meant = meant(name, object.names());
                write!(f, "{} has no {}{meant}; it has {list}", object.name, cut(name, LONGEST))
            }
            Self::NoKey(name) => write!(f, "the map has no {}", cut(name, LONGEST)),
            Self::HasNoFields { what, of, name } => {
                write!(f, "{} and has no {}", is(what.as_deref(), of), cut(name, LONGEST))
            }
            Self::NoFunction(name) => no_function(f, name),
            Self::Miscalled(function) => write!(f, "{} is written {}", function.name, function.example),
            Self::WrongArgument { function, what, of } => {
                write!(f, "{} is not for {}: {}", function.name, wrong(of), is(what.as_deref(), of))?;
                match (function.called, of.sort(), what) {
                    (Called::OnAValue, Some(Sort::List), Some(list)) => write!(f, "; write 'x' in {list}"),
                    _ => write!(f, "; write for example {}", function.example),
                }
            }
            Self::NotFor { operator, of } => write!(f, "{} is not for {of}", symbol(operator)),
            Self::Different { operator, left, right } => {
                write!(f, "{} is not for {left} and {right} together{}", symbol(operator), converted(left, right))
            }
            Self::NeverEqual { operator, left, right } => {
                write!(f, "{} compares {left} with {right}, which are never the same", symbol(operator))?;
                f.write_str(&converted(left, right))
            }
            Self::NeverIn { left, right } => write!(f, "in looks for {left} in a list that has {right} in it"),
            Self::NoList(of) => {
                write!(f, "in looks for a value in a list or map, and this is {of}")?;
                if of.sort() == Some(Sort::Text) { f.write_str("; write TEXT.contains('x')") } else { Ok(()) }
            }
            Self::NoIndex(of) => write!(f, "a list has its parts by number, and this is {of}"),
            Self::NoKeyType(of) => write!(f, "{of} cannot be the name of a part"),
            Self::NoParts { what, of } => write!(f, "{} and has no parts", is(what.as_deref(), of)),
            Self::NoWord { what, word, there } => {
                let what = what.as_deref().unwrap_or("this");
                let meant = meant_word(word, there);
                write!(f, "{what} is never '{}'{meant}; it is one of {}", cut(word, LONGEST), there.join(", "))
            }
            Self::NoWordInCommon { what, there } => {
                write!(f, "{} is one of {} and never the other", what.as_deref().unwrap_or("this"), there.join(", "))
            }
            Self::NoOrder { what, operator, there } => no_order(f, what.as_deref(), operator, there),
            Self::Made(name) => write!(f, "there are no objects to make, such as {}", cut(name, LONGEST)),
            Self::Missing => f.write_str("a part is missing"),
            Self::NoCondition(of) => write!(f, "is {of}, not true or false: compare it with something"),
        }
    }
}

fn no_variable(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let variables: Vec<&str> = VARIABLES.iter().map(|object| object.name).collect();
    write!(f, "there is no {}", cut(name, LONGEST))?;
    let fields = VARIABLES.iter().filter(|object| object.field(name).is_some());
    let fields: Vec<String> = fields.map(|object| format!("{}.{name}", object.name)).collect();
    match (fields.is_empty(), nearest(name, variables.iter().copied())) {
        (false, _) => write!(f, ", did you mean {}?", fields.join(" or "))?,
        (true, Some(near)) => write!(f, ", did you mean {near}?")?,
        (true, None) => {}
    }
    write!(f, "; there are the variables {}, and texts stand in quotes", variables.join(", "))
}

fn no_function(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let functions: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    write!(f, "there is no function {}", cut(name, LONGEST))?;
    match name {
        "has" => {
            return f.write_str(
                ": every name is there, and what a request does not say is ''; of requester.extra write \
                 'KEY' in requester.extra",
            );
        }
        _ if is_macro(name) => return f.write_str(", since there are no loops; write 'x' in LIST"),
        _ => {}
    }
    write!(f, "{}; there are {}", meant(name, functions.iter().copied()), functions.join(", "))
}

fn no_order(
    f: &mut fmt::Formatter<'_>,
    what: Option<&str>,
    operator: &str,
    there: &'static [&'static str],
) -> fmt::Result {
    let what = what.unwrap_or("this");
    write!(f, "{} would compare the letters of {what}; ", symbol(operator))?;
    match (what, there) {
        ("risk.level", _) => f.write_str("compare risk.score, from 0 for Low to 3 for Critical"),
        (_, [first, second, ..]) => write!(f, "write {what} in ['{first}', '{second}']"),
        _ => f.write_str("use =="),
    }
}

/// A question that names what was probably meant.
fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, names).map(|near| format!(", did you mean {near}?")).unwrap_or_default()
}

fn meant_word(word: &str, there: &[&str]) -> String {
    nearest(word, there.iter().copied()).map(|near| format!(", did you mean '{near}'?")).unwrap_or_default()
}

/// What is known of a value, as a sentence about it.
fn is(what: Option<&str>, of: &Type) -> String {
    format!("{} is {of}", what.unwrap_or("this"))
}

/// The sort of an argument, for a sentence that says it is none for a function.
fn wrong(of: &Type) -> String {
    of.sort().map_or_else(|| "it".to_owned(), |sort| sort.to_string())
}

/// How two values of different types can be compared after all.
fn converted(left: &Type, right: &Type) -> String {
    let sorts = (left.sort(), right.sort());
    let either = |sort: Sort| sorts.0 == Some(sort) || sorts.1 == Some(sort);
    match sorts {
        _ if either(Sort::Null) => "; what a request does not say is '' and not null".to_owned(),
        _ if either(Sort::Optional) => "; write x.orValue('')".to_owned(),
        (Some(Sort::List), Some(Sort::Text)) | (Some(Sort::Text), Some(Sort::List)) => "; write 'x' in LIST".to_owned(),
        (Some(one), Some(other)) if one.is_number() && other.is_number() => {
            "; convert one of them, as in double(1)".to_owned()
        }
        (Some(one), Some(other)) if one.is_number() != other.is_number() && either(Sort::Text) => {
            "; a number stands without quotes, and string(1) makes a text of one".to_owned()
        }
        _ => String::new(),
    }
}

/// An operator as people write it.
fn symbol(operator: &str) -> &str {
    match operator {
        operators::CONDITIONAL => "? :",
        operators::IN => "in",
        _ => operator.trim_matches('_'),
    }
}
