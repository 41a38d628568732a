//! Why an expression is not taken, and why one cannot be evaluated: as values, with `Display` for people.
//!
//! It must not say when: that is for [`super`], its check and its parts.

use std::fmt;

use super::{DEEPEST, LONGEST, LONGEST_ERROR, MOST_OPERATORS, MOST_SUMS};
use crate::core::model::history::cut;

/// How much of an expression is repeated beside a way out, in bytes.
const LONGEST_QUOTED: usize = 256;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionFault {
    TooLong,
    TooDeep,
    TooManyOperators,
    /// It adds so many times.
    TooManySums(usize),
    /// It does not parse; the parser's words.
    NotCel(String),
    /// The parser failed.
    Unparsed,
    /// The check found that it can never do what it says; its words, with the place.
    Checked(String),
    Loop,
    /// The key of a label is computed.
    LabelNotWritten,
    /// A pattern is computed.
    PatternNotWritten,
    /// A pattern is no regular expression, or too large; the library's words.
    NoPattern(String),
}

impl fmt::Display for ExpressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "is longer than {LONGEST} bytes"),
            Self::TooDeep => write!(f, "has brackets nested deeper than {DEEPEST}"),
            Self::TooManyOperators => {
                write!(f, "has more than {MOST_OPERATORS} operators, dots and brackets: make two conditions of it")
            }
            Self::TooManySums(sums) => {
                write!(f, "has {sums} times +, at most {MOST_SUMS} are allowed: make two conditions of it")
            }
            Self::NotCel(why) => write!(f, "is not CEL: {why}"),
            Self::Unparsed => f.write_str("cannot be read as CEL"),
            Self::Checked(why) => f.write_str(why),
            Self::Loop => f.write_str("has a loop, and there are none"),
            Self::LabelNotWritten => f.write_str("asks for a label whose key is not written out: write label('team')"),
            Self::PatternNotWritten => {
                f.write_str("has a pattern that is not written out: write matches('^OPS-[0-9]+$')")
            }
            Self::NoPattern(why) => write!(f, "has a pattern that is no regular expression: {why}"),
        }
    }
}

/// Why an expression says neither yes nor no of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unevaluated {
    /// Its value is of another type.
    NoCondition { source: String, type_: String },
    /// It asks for this key of `requester.extra`, and the request has none.
    NoExtra { source: String, key: String },
    /// The interpreter says why.
    Failed { source: String, why: String },
    /// The interpreter failed itself.
    Crashed { source: String },
}

impl fmt::Display for Unevaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCondition { source, type_ } => write!(f, "{source} is {type_}, not true or false"),
            Self::NoExtra { source, key } => write!(
                f,
                "your login said nothing of {} (spec.requester.extra), which {} asks for: log in by a way that says it, and \
                 ask anew; by which way, and whether this cluster records it (identity.extraKeys), knows who runs Daypass",
                cut(key, LONGEST_QUOTED),
                cut(source, LONGEST_QUOTED)
            ),
            Self::Failed { source, why } => f.write_str(&cut(&format!("{source}: {why}"), LONGEST_ERROR)),
            Self::Crashed { source } => write!(f, "{source}: the interpreter failed"),
        }
    }
}
