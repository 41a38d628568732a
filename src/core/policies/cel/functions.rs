//! The functions that an expression can call: how each is called, what it takes and what it gives.

use super::types::{Sort, Type};

/// A function.
pub struct Function {
    pub name: &'static str,
    /// How it is called.
    pub called: Called,
    /// What it takes, one after the other: any of these sorts, or whatever there is when none is named. Of one that is
    /// called on a value, that value comes first.
    pub takes: &'static [&'static [Sort]],
    pub gives: Gives,
    /// How it is written.
    pub example: &'static str,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// `f(x)`.
    Alone,
    /// `x.f()`.
    OnAValue,
    Both,
}

/// What a function gives.
#[derive(Clone, Copy)]
pub enum Gives {
    Bool,
    Int,
    /// A number with a fraction.
    Double,
    Text,
    /// A list of texts.
    Texts,
    /// The type of a value.
    Kind,
    /// Something of which nothing is known.
    Any,
    /// What is in an optional value, or the other value.
    ThisOr,
}

const TEXT: &[Sort] = &[Sort::Text];
const NUMBER_OR_TEXT: &[Sort] = &[Sort::Int, Sort::Uint, Sort::Double, Sort::Text];
const ANYTHING: &[Sort] = &[];

/// Every function, beside operators.
pub static FUNCTIONS: [Function; 13] = [
    Function { name: "label", called: Called::Alone, takes: &[TEXT], gives: Gives::Texts, example: "label('team')" },
    Function {
        name: "size",
        called: Called::Both,
        takes: &[&[Sort::Text, Sort::List, Sort::Map, Sort::Bytes]],
        gives: Gives::Int,
        example: "size(requester.groups)",
    },
    Function {
        name: "contains",
        called: Called::OnAValue,
        takes: &[TEXT, TEXT],
        gives: Gives::Bool,
        example: "request.reason.contains('OPS')",
    },
    Function {
        name: "startsWith",
        called: Called::OnAValue,
        takes: &[TEXT, TEXT],
        gives: Gives::Bool,
        example: "request.ticket.startsWith('OPS-')",
    },
    Function {
        name: "endsWith",
        called: Called::OnAValue,
        takes: &[TEXT, TEXT],
        gives: Gives::Bool,
        example: "request.namespace.endsWith('-dev')",
    },
    Function {
        name: "matches",
        called: Called::Both,
        takes: &[TEXT, TEXT],
        gives: Gives::Bool,
        example: "request.ticket.matches('^OPS-[0-9]+$')",
    },
    Function { name: "int", called: Called::Alone, takes: &[NUMBER_OR_TEXT], gives: Gives::Int, example: "int('5')" },
    Function {
        name: "double",
        called: Called::Alone,
        takes: &[NUMBER_OR_TEXT],
        gives: Gives::Double,
        example: "double(request.durationSeconds)",
    },
    Function {
        name: "string",
        called: Called::Alone,
        takes: &[&[Sort::Text, Sort::Bool, Sort::Int, Sort::Uint, Sort::Double, Sort::Bytes]],
        gives: Gives::Text,
        example: "string(time.hour)",
    },
    Function {
        name: "type",
        called: Called::Alone,
        takes: &[ANYTHING],
        gives: Gives::Kind,
        example: "type(risk.score)",
    },
    Function {
        name: "orValue",
        called: Called::OnAValue,
        takes: &[&[Sort::Optional], ANYTHING],
        gives: Gives::ThisOr,
        example: "requester.groups[?0].orValue('')",
    },
    Function {
        name: "hasValue",
        called: Called::OnAValue,
        takes: &[&[Sort::Optional]],
        gives: Gives::Bool,
        example: "requester.groups[?0].hasValue()",
    },
    Function { name: "dyn", called: Called::Alone, takes: &[ANYTHING], gives: Gives::Any, example: "dyn(risk.score)" },
];

impl Function {
    /// The function of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// Whether it can be called so.
    pub fn is_called(&self, on_a_value: bool) -> bool {
        match self.called {
            Called::Both => true,
            Called::OnAValue => on_a_value,
            Called::Alone => !on_a_value,
        }
    }

    /// What it gives for these.
    pub fn result(&self, arguments: Vec<Type>) -> Type {
        match self.gives {
            Gives::Bool => Type::Bool,
            Gives::Int => Type::Int,
            Gives::Double => Type::Double,
            Gives::Text => Type::TEXT,
            Gives::Texts => Type::list(Type::TEXT),
            Gives::Kind => Type::Kind,
            Gives::Any => Type::Any,
            Gives::ThisOr => {
                let mut arguments = arguments.into_iter();
                match (arguments.next(), arguments.next()) {
                    (Some(Type::Optional(this)), Some(other)) => this.or(other),
                    _ => Type::Any,
                }
            }
        }
    }
}
