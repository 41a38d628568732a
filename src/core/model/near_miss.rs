//! What somebody probably meant whose name matches nothing: names that differ by little.
//!
//! Advice for people. It decides nothing: a name that is near is another name.

use std::fmt;

use crate::api::subject::{Identity, Subject, SubjectKind};
use crate::core::model::namespaces::glob_matches;

/// How many pairs of names are compared for one answer. A policy may name 256 subjects, and a person be in 512 groups.
const MOST_COMPARED: usize = 4096;
/// What stands between the prefix that a login is given (`--oidc-groups-prefix`) and its own name.
const SEPARATORS: [char; 3] = [':', '#', '/'];

/// A name of somebody's that is nearly one that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The name that they have: their username, or a group of theirs.
    pub has: String,
    /// Whether it is a group.
    pub is_group: bool,
    /// The subject that they nearly are.
    pub wanted: Subject,
    /// In what the two differ.
    pub by: Difference,
}

/// In what two names differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    Case,
    /// One of the two has a prefix, such as `oidc:`.
    Prefix,
    /// The wanted one has a `*` that would fit, if it stood for anything.
    Wildcard,
    /// One is a user, the other a group.
    Kind,
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { has, is_group, wanted, by } = self;
        let what = if *is_group { "group" } else { "username" };
        match by {
            Difference::Case => write!(f, "their {what} {has} differs from {wanted} in capital letters, which count"),
            Difference::Prefix => write!(f, "their {what} {has} differs from {wanted} by a prefix, which counts"),
            Difference::Wildcard => write!(f, "their {what} {has} is not {wanted}: * is no wildcard in names"),
            Difference::Kind => write!(f, "their {what} {has} has the name, but not the kind, of {wanted}"),
        }
    }
}

/// The subject that an account nearly is, if it nearly is one.
pub fn near_miss(who: &Identity, wanted: &[Subject]) -> Option<NearMiss> {
    let names = || std::iter::once((&who.username, false)).chain(who.groups.iter().map(|group| (group, true)));
    let people = wanted.iter().filter(|subject| subject.kind != SubjectKind::ServiceAccount);
    let pairs = people.flat_map(|subject| names().map(move |(has, is_group)| (subject, has, is_group)));
    pairs.take(MOST_COMPARED).find_map(|(subject, has, is_group)| {
        let same_kind = is_group == (subject.kind == SubjectKind::Group);
        let by =
            if same_kind { difference(has, &subject.name) } else { (*has == subject.name).then_some(Difference::Kind) };
        by.map(|by| NearMiss { has: has.clone(), is_group, wanted: subject.clone(), by })
    })
}

fn difference(has: &str, wanted: &str) -> Option<Difference> {
    if has.len() == wanted.len() && has != wanted && has.eq_ignore_ascii_case(wanted) {
        Some(Difference::Case)
    } else if is_prefixed(has, wanted) || is_prefixed(wanted, has) {
        Some(Difference::Prefix)
    } else if wanted.contains('*') && glob_matches(wanted, has) {
        Some(Difference::Wildcard)
    } else {
        None
    }
}

fn is_prefixed(long: &str, short: &str) -> bool {
    let prefix = long.strip_suffix(short).filter(|_| !short.is_empty());
    prefix.is_some_and(|prefix| prefix.ends_with(SEPARATORS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{group, user};

    #[test]
    fn a_name_that_is_nearly_wanted_is_told_with_the_difference() {
        let who = Identity {
            username: "Alice".into(),
            groups: vec!["oidc:dev".into(), "team-shop".into()],
            ..Identity::default()
        };
        for (wanted, by) in [
            (user("alice"), Some(Difference::Case)),
            (user("oidc:Alice"), Some(Difference::Prefix)),
            (group("dev"), Some(Difference::Prefix)),
            (group("OIDC:dev"), Some(Difference::Case)),
            (group("team-*"), Some(Difference::Wildcard)),
            (group("*"), Some(Difference::Wildcard)),
            (group("*-bank"), None),
            (user("team-shop"), Some(Difference::Kind)),
            (group("Alice"), Some(Difference::Kind)),
            (group("ev"), None),
            (user("bob"), None),
        ] {
            let found = near_miss(&who, &[user("nobody"), wanted.clone()]);
            assert_eq!(found.as_ref().map(|miss| miss.by), by, "{wanted:?}");
            assert!(found.is_none_or(|miss| miss.wanted == wanted));
        }
    }
}
