//! A notice in words, the same for every provider: a title, facts, one line to copy and one link.
//!
//! Owns the words. It must not know how a place wants them. Every text may hold what people wrote, so whoever shows one
//! escapes it.

use crate::core::notice::Notice;

/// A notice in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What is told, for programs.
    pub notice: Notice,
    /// Name of the cluster, where it has one.
    pub cluster: Option<String>,
    /// One line without markup, such as `alice asks for edit in shop`.
    pub title: String,
    /// What else there is to know, in order. No value is empty.
    pub facts: Vec<MessageFact>,
    /// What to run next.
    pub command: Option<String>,
    /// Where to look and decide, with one's own login. It has no power.
    pub link: Option<String>,
}

/// One fact of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFact {
    pub label: &'static str,
    pub value: String,
}
