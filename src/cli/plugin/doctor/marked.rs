//! Sentences in which each name is marked as a name, so that a report for strangers can put another in its place.
//!
//! Owns what counts as a name, and how a sentence is written with and without. It must not know what a sentence is about.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    User,
    Group,
    Namespace,
    /// A policy, request, binding, pod or other object.
    Object,
    /// A host or a registry.
    Host,
    /// What somebody else said: an error of the API server, a message of the controller. It may have any name in it.
    Said,
}

impl NameKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Namespace => "namespace",
            Self::Object => "object",
            Self::Host => "host",
            Self::Said => "message",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MarkedSpan {
    Public(String),
    Name(NameKind, String),
    /// Where flags go that lead a command to the cluster.
    Flags,
}

/// A sentence whose names are marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkedText(Vec<MarkedSpan>);

impl MarkedText {
    /// Begins with these words.
    pub fn of(words: &'static str) -> Self {
        Self::default().words(words)
    }

    /// Goes on with these words.
    pub fn words(self, words: &'static str) -> Self {
        self.value(words)
    }

    /// Goes on with something that names nobody: a number, a time, a version, a word of Daypass or of Kubernetes.
    pub fn value(mut self, value: impl fmt::Display) -> Self {
        self.0.push(MarkedSpan::Public(value.to_string()));
        self
    }

    /// Goes on with a name.
    pub fn name(mut self, kind: NameKind, name: impl Into<String>) -> Self {
        self.0.push(MarkedSpan::Name(kind, name.into()));
        self
    }

    /// Goes on with a namespace.
    pub fn namespace(self, name: impl Into<String>) -> Self {
        self.name(NameKind::Namespace, name)
    }

    /// Goes on with the name of an object.
    pub fn object(self, name: impl Into<String>) -> Self {
        self.name(NameKind::Object, name)
    }

    /// Goes on with what somebody else said.
    pub fn said(self, said: impl Into<String>) -> Self {
        self.name(NameKind::Said, said)
    }

    /// Ends a command of kubectl's or of this plugin: it may take flags that lead it to the cluster.
    pub fn flags(mut self) -> Self {
        self.0.push(MarkedSpan::Flags);
        self
    }

    /// The same with these flags at the end of each command. They are for the caller alone: they may have names in them.
    pub fn with_flags(mut self, flags: &str) -> Self {
        for span in self.0.iter_mut().filter(|span| **span == MarkedSpan::Flags) {
            *span = MarkedSpan::Name(NameKind::Said, flags.to_owned());
        }
        self
    }

    /// Goes on with another such sentence.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The same with other names in the place of all names.
    pub fn anonymous(&self, pseudonyms: &mut Pseudonyms) -> String {
        let span = |span: &MarkedSpan| match span {
            MarkedSpan::Public(words) => words.clone(),
            MarkedSpan::Name(kind, name) => pseudonyms.of(*kind, name),
            MarkedSpan::Flags => String::new(),
        };
        self.0.iter().map(span).collect()
    }
}

impl From<&'static str> for MarkedText {
    fn from(words: &'static str) -> Self {
        Self::of(words)
    }
}

impl fmt::Display for MarkedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|span| match span {
            MarkedSpan::Public(words) | MarkedSpan::Name(_, words) => f.write_str(words),
            MarkedSpan::Flags => Ok(()),
        })
    }
}

impl Serialize for MarkedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which name stands for which: the same for the same, in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub struct Pseudonyms {
    given: BTreeMap<(NameKind, String), usize>,
    counts: BTreeMap<NameKind, usize>,
}

impl Pseudonyms {
    /// The name that stands for this one. Nothing stays nothing.
    pub fn of(&mut self, kind: NameKind, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        let count = self.counts.entry(kind).or_default();
        let number = self.given.entry((kind, name.to_owned())).or_insert_with(|| {
            *count += 1;
            *count
        });
        format!("{}-{number}", kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_everywhere_and_is_never_told() {
        let mut pseudonyms = Pseudonyms::default();
        let text = |namespace: &str| MarkedText::of("in ").namespace(namespace).words(": ").object("fix").value(3);
        assert_eq!(text("shop").to_string(), "in shop: fix3");
        let told = ["shop", "bank", "shop"].map(|name| text(name).anonymous(&mut pseudonyms));
        assert_eq!(told, ["in namespace-1: object-13", "in namespace-2: object-13", "in namespace-1: object-13"]);
        assert_eq!(pseudonyms.of(NameKind::User, "shop"), "user-1", "a user is not a namespace");
        assert_eq!(pseudonyms.of(NameKind::User, ""), "");
    }
}
