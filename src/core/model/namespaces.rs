//! The namespaces of the cluster, as far as scopes care: name, UID, labels, whether they are going away.

use std::collections::BTreeMap;

use kube::core::{Expression, Selector};

use crate::api::selector::{LabelOperator, LabelSelector};

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    pub labels: BTreeMap<String, String>,
    /// Its UID; none where nobody knows it.
    pub uid: Option<String>,
    /// Whether it is being deleted: nothing can be created in it any more.
    pub terminating: bool,
}

/// All namespaces by name.
pub type Namespaces = BTreeMap<String, Namespace>;

/// Whether `name` fits `glob`, in which `*` stands for any run of characters, also none.
/// Takes time proportional to the product of both lengths at worst.
pub fn glob_matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if g < glob.len() && glob[g] == b'*' {
            star = Some((g, n));
            g += 1;
        } else if g < glob.len() && glob[g] == name[n] {
            (g, n) = (g + 1, n + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (g, n) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

/// A label selector in the form that can be evaluated.
pub fn selector(raw: &LabelSelector) -> Selector {
    let equal = raw.match_labels.iter().map(|(k, v)| Expression::Equal(k.clone(), v.clone()));
    let rules = raw.match_expressions.iter().map(|rule| {
        let (key, values) = (rule.key.clone(), rule.values.iter().cloned().collect());
        match rule.operator {
            LabelOperator::In => Expression::In(key, values),
            LabelOperator::NotIn => Expression::NotIn(key, values),
            LabelOperator::Exists => Expression::Exists(key),
            LabelOperator::DoesNotExist => Expression::DoesNotExist(key),
        }
    });
    equal.chain(rules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn star_stands_for_any_run() {
        for (glob, name, fits) in [
            ("team-*", "team-a", true),
            ("team-*", "team-", true),
            ("team-*", "steam-a", false),
            ("*", "x", true),
            ("*-prod", "a-prod", true),
            ("*-prod", "a-prod-b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("team-a", "team-a", true),
            ("team-a", "team-ab", false),
            ("**", "", true),
            ("a", "", false),
        ] {
            assert_eq!(glob_matches(glob, name), fits, "{glob} {name}");
        }
    }

    /// The obvious definition, exponential but short.
    fn by_definition(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                by_definition(rest, name) || (!name.is_empty() && by_definition(glob, &name[1..]))
            }
            ([g, rest @ ..], [n, tail @ ..]) => g == n && by_definition(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(glob in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(glob_matches(&glob, &name), by_definition(glob.as_bytes(), name.as_bytes()));
        }
    }
}
