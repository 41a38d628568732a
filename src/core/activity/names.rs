//! Names of the objects that calls of one kind were about: a few of them, or the word that there were more.
//!
//! Owns how many are kept. Together they say the same in whatever order and however often calls come. It must not know what
//! they are kept for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Most names of one kind of call that are kept.
pub const MOST_NAMES: usize = 8;

/// The names. In JSON a list, or null for many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<BTreeSet<String>>", into = "Option<BTreeSet<String>>")]
pub enum ObjectNames {
    /// All of them. None: the calls were about no single object.
    Few(BTreeSet<String>),
    /// More than are kept, or they were not kept at the time.
    Many,
}

impl ObjectNames {
    /// That of one call, if it was about one object.
    pub fn of(name: Option<String>) -> Self {
        Self::Few(name.into_iter().collect())
    }

    /// Takes up others.
    pub fn add(&mut self, other: &Self) {
        let all = match (&*self, other) {
            (Self::Few(own), Self::Few(other)) => own.union(other).cloned().collect(),
            _ => {
                *self = Self::Many;
                return;
            }
        };
        *self = Self::from(Some(all));
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Few(names) if names.is_empty())
    }
}

impl Default for ObjectNames {
    fn default() -> Self {
        Self::of(None)
    }
}

impl From<Option<BTreeSet<String>>> for ObjectNames {
    fn from(names: Option<BTreeSet<String>>) -> Self {
        match names {
            Some(names) if names.len() <= MOST_NAMES => Self::Few(names),
            _ => Self::Many,
        }
    }
}

impl From<ObjectNames> for Option<BTreeSet<String>> {
    fn from(names: ObjectNames) -> Self {
        match names {
            ObjectNames::Few(names) => Some(names),
            ObjectNames::Many => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_told_as_a_list_and_many_as_nothing() {
        let two = ObjectNames::Few(["b".to_owned(), "a".to_owned()].into());
        assert_eq!(json!(two), json!(["a", "b"]));
        assert_eq!(serde_json::from_value::<ObjectNames>(json!(["b", "a"])).unwrap(), two);
        assert_eq!(json!(ObjectNames::Many), json!(null));
        assert_eq!(serde_json::from_value::<ObjectNames>(json!(null)).unwrap(), ObjectNames::Many);
        assert!(ObjectNames::default().is_empty() && !ObjectNames::Many.is_empty() && !two.is_empty());
    }

    proptest! {
        #[test]
        fn the_order_makes_no_difference_and_the_ninth_is_one_too_many(
            names in prop::collection::vec("[a-l]", 0..24), cut in 0..24usize
        ) {
            let all = |names: &[String]| {
                let mut all = ObjectNames::default();
                names.iter().for_each(|name| all.add(&ObjectNames::of(Some(name.clone()))));
                all
            };
            let (one, other) = names.split_at(cut.min(names.len()));
            let mut parts = all(other);
            parts.add(&all(one));
            prop_assert_eq!(&parts, &all(&names));
            let different: BTreeSet<&String> = names.iter().collect();
            prop_assert_eq!(parts == ObjectNames::Many, different.len() > MOST_NAMES);
        }
    }
}
