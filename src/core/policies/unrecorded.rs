//! Conditions that ask for what no request can have: keys of `requester.extra` that the cluster does not record.
//!
//! Owns which these are, as far as keys are written out. A policy that has one is used all the same: such a condition
//! cannot be evaluated, so one that allows gives nothing by it, and one that denies denies.

use std::fmt;

use super::cel::Expression;
use crate::api::policy::{AccessPolicySpec, Effect};
use crate::core::model::nearest::nearest;

/// What to do about one.
pub const WAY_OUT: &str =
    "have who installs Daypass name the key in identity.extraKeys of its chart, correct it, or remove the condition";

/// A key that a condition asks for and no request has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnrecordedKey {
    /// Path of the expression.
    pub field: String,
    pub key: String,
    /// A key that is recorded and that was probably meant.
    pub near: Option<String>,
    pub effect: Effect,
}

impl fmt::Display for UnrecordedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, near, effect, .. } = self;
        write!(f, "no request has {key} in requester.extra: it is not recorded here")?;
        near.iter().try_for_each(|near| write!(f, ", did you mean {near}?"))?;
        f.write_str(match effect {
            Effect::Allow => "; what asks for it gives nothing",
            Effect::Deny => "; what asks for it denies all that the policy touches",
        })
    }
}

/// Those of a policy where the cluster records these keys, in the order of the fields. Expressions with faults have none.
pub fn unrecorded(spec: &AccessPolicySpec, recorded: &[String]) -> Vec<UnrecordedKey> {
    let conditions = spec.conditions.iter().enumerate();
    let conditions =
        conditions.map(|(index, condition)| (format!("spec.conditions[{index}].expression"), &condition.expression));
    let automatic = spec.approval.iter().flat_map(|approval| &approval.automatic_when);
    let automatic = automatic.map(|expression| ("spec.approval.automaticWhen".to_owned(), expression));
    let mut found = Vec::new();
    for (field, source) in conditions.chain(automatic).filter(|(_, source)| source.contains("extra")) {
        let Ok(expression) = Expression::compile(source) else { continue };
        for key in expression.extra_keys().filter(|key| !recorded.iter().any(|known| known == key)) {
            let near = nearest(key, recorded.iter().map(String::as_str)).map(str::to_owned);
            found.push(UnrecordedKey { field: field.clone(), key: key.to_owned(), near, effect: spec.effect });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::policy;
    use serde_json::json;

    #[test]
    fn every_expression_is_looked_at_and_every_way_to_ask() {
        let sources = [
            "'a' in requester.extra['one'] || 'a' in requester.extra.two",
            "'three' in requester.extra && size(requester.extra[?'four'].orValue([])) > 0",
            "requester.extra.?five.hasValue() || request.reason == 'extra six'",
            "requester.extra['faulty'] == 1",
        ];
        let conditions: Vec<_> = sources.iter().map(|source| json!({ "expression": source, "message": "m" })).collect();
        let approval = json!({
            "automaticWhen": "'a' in requester.extra['seven']",
            "stages": [{ "name": "s", "approvers": [{ "kind": "User", "name": "bob" }] }]
        });
        let spec = policy("p", json!({ "conditions": conditions, "approval": approval })).spec;
        let all = |recorded: &[&str]| {
            let recorded: Vec<String> = recorded.iter().map(|key| (*key).to_owned()).collect();
            unrecorded(&spec, &recorded)
        };
        let found: Vec<(String, String)> = all(&["two"]).into_iter().map(|found| (found.field, found.key)).collect();
        let at = |index: usize, key: &str| (format!("spec.conditions[{index}].expression"), key.to_owned());
        let automatic = ("spec.approval.automaticWhen".to_owned(), "seven".to_owned());
        assert_eq!(found, [at(0, "one"), at(1, "four"), at(1, "three"), at(2, "five"), automatic]);
        assert_eq!(all(&["one", "two", "three", "four", "five", "seven"]), []);
        assert_eq!(all(&["sevn", "two", "three", "four", "five", "one"])[0].near.as_deref(), Some("sevn"));
    }
}
