//! The types that an expression can have, as far as they are known before it is evaluated.
//!
//! Owns what two types have in common and whether values of them can ever be the same. What is not known is
//! [`Type::Any`], of which nothing is said.

use std::collections::BTreeMap;
use std::fmt;

use super::facts::{Is, Object};

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Type {
    Any,
    Bool,
    Int,
    /// A whole number written with `u`, never negative.
    Uint,
    /// A number with a fraction.
    Double,
    Text(Texts),
    Bytes,
    /// Nothing at all, which no fact is.
    Null,
    /// The type of a value.
    Kind,
    /// A list, and what is in it.
    List(Box<Type>),
    /// A map with these keys, or with any.
    Map(Option<BTreeMap<String, Type>>),
    /// A map with keys that nobody knows beforehand, and what is under each.
    MapOf(Box<Type>),
    Object(&'static Object),
    /// What may be there.
    Optional(Box<Type>),
}

/// Which texts a text can be.
#[derive(Clone, Debug)]
pub enum Texts {
    Any,
    /// One of those that there are.
    OneOf(&'static [&'static str]),
    /// One of those that are written in the expression, each with the place where.
    Written(Vec<(String, usize)>),
}

/// What kind of value it is, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Kind,
    List,
    Map,
    Optional,
}

impl Sort {
    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Uint => "a number with u",
            Self::Double => "a number with a fraction",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Null => "null",
            Self::Kind => "a type",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Optional => "an optional value",
        })
    }
}

impl Type {
    /// Any text.
    pub const TEXT: Self = Self::Text(Texts::Any);

    /// What kind of value it is; none when that is not known.
    pub fn sort(&self) -> Option<Sort> {
        Some(match self {
            Self::Any => return None,
            Self::Bool => Sort::Bool,
            Self::Int => Sort::Int,
            Self::Uint => Sort::Uint,
            Self::Double => Sort::Double,
            Self::Text(_) => Sort::Text,
            Self::Bytes => Sort::Bytes,
            Self::Null => Sort::Null,
            Self::Kind => Sort::Kind,
            Self::List(_) => Sort::List,
            Self::Map(_) | Self::MapOf(_) | Self::Object(_) => Sort::Map,
            Self::Optional(_) => Sort::Optional,
        })
    }

    /// Whether it is of this sort, as far as is known.
    pub fn may_be(&self, sort: Sort) -> bool {
        self.sort().is_none_or(|own| own == sort)
    }

    /// A list of these.
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// What may be this.
    pub fn optional(self) -> Self {
        match self {
            Self::Optional(_) => self,
            of => Self::Optional(Box::new(of)),
        }
    }

    /// What a value is that is one of these two.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Text(Texts::Written(mut some)), Self::Text(Texts::Written(more))) => {
                some.extend(more);
                Self::Text(Texts::Written(some))
            }
            (Self::Text(_), Self::Text(_)) => Self::TEXT,
            (Self::List(one), Self::List(other)) => Self::list(one.or(*other)),
            (Self::Optional(one), Self::Optional(other)) => one.or(*other).optional(),
            (Self::Object(one), Self::Object(other)) if one.name == other.name => Self::Object(one),
            (one, other) if one.sort() == other.sort() && one.sort() != Some(Sort::Map) => one,
            (one, other) if one.sort() == Some(Sort::Map) && other.sort() == Some(Sort::Map) => Self::Map(None),
            _ => Self::Any,
        }
    }

    /// Whether a value of this type can be the same as one of the other, words aside.
    pub fn can_equal(&self, other: &Self) -> bool {
        match (self, other) {
            // Two lists without anything in them are the same, but nobody knows whether they have anything in them.
            (Self::List(one), Self::List(other)) => one.can_equal(other),
            _ => match (self.sort(), other.sort()) {
                (Some(one), Some(other)) => one == other || (one.is_number() && other.is_number()),
                _ => true,
            },
        }
    }
}

impl From<&Is> for Type {
    fn from(is: &Is) -> Self {
        match is {
            Is::Bool(_) => Self::Bool,
            Is::Int(_) => Self::Int,
            Is::Text(_) => Self::TEXT,
            Is::Word(words, _) => Self::Text(Texts::OneOf(words)),
            Is::Texts(_) => Self::list(Self::TEXT),
            Is::TextsByKey(_) => Self::MapOf(Box::new(Self::list(Self::TEXT))),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.sort()) {
            (Self::List(of), _) => match of.sort() {
                Some(Sort::Text) => f.write_str("a list of texts"),
                Some(sort) if sort.is_number() => f.write_str("a list of numbers"),
                _ => f.write_str("a list"),
            },
            (_, Some(sort)) => write!(f, "{sort}"),
            (_, None) => f.write_str("a value"),
        }
    }
}
