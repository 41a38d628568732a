//! One guard, as it is seen in the cluster and as it answered to a try.
//!
//! Owns the digest by which the chart says what it made, and how sight and try are judged together. A try can only show
//! that a guard refuses one thing for one account; sight shows that it is what the chart made, for everybody. Either alone
//! has been deceived.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::missing::{BySight, GuardFault, GuardFlaw, Loophole, NotInForce};

/// What the chart hands over of a guard: the name of its policy and binding, and the digest of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Name of the ValidatingAdmissionPolicy and of its binding.
    pub name: String,
    /// See [`digest`].
    pub digest: String,
}

impl std::str::FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        match text.split_once('=') {
            Some((name, digest)) if !name.is_empty() && hex(digest) => {
                Ok(Self { name: name.to_owned(), digest: digest.to_ascii_lowercase() })
            }
            _ => {
                Err("it must be NAME=DIGEST, with a SHA-256 in 64 hexadecimal digits, as the chart writes it"
                    .to_owned())
            }
        }
    }
}

/// Policy and binding of a guard, as stored.
#[derive(Clone, Debug, Default)]
pub struct SeenGuard {
    /// The ValidatingAdmissionPolicy, if there is one of the name.
    pub policy: Option<Stored>,
    /// The ValidatingAdmissionPolicyBinding, if there is one of the name.
    pub binding: Option<Stored>,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Changes when it is deleted and made anew.
    pub uid: String,
    /// Goes up by one with each change of the spec.
    pub generation: i64,
    pub spec: Value,
}

/// Which versions of policy and binding were seen. The API server changes it with each change of either spec, and
/// nobody can write it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// UID and generation of the policy.
    pub policy: (String, i64),
    /// UID and generation of the binding.
    pub binding: (String, i64),
}

impl Mark {
    /// Whether the cluster cannot have held anything else between this version and that one: nothing was made anew, and
    /// each spec was changed once at most.
    pub fn leads_straight_to(&self, next: &Self) -> bool {
        let straight =
            |a: &(String, i64), b: &(String, i64)| a.0 == b.0 && (a.1 == b.1 || a.1.checked_add(1) == Some(b.1));
        straight(&self.policy, &next.policy) && straight(&self.binding, &next.binding)
    }
}

/// The version of each guard that was seen, by name.
pub type Marks = BTreeMap<String, Mark>;

impl SeenGuard {
    fn mark(&self) -> Option<Mark> {
        let version = |stored: &Stored| (stored.uid.clone(), stored.generation);
        Some(Mark { policy: version(self.policy.as_ref()?), binding: version(self.binding.as_ref()?) })
    }
}

/// What came of trying a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It refused, by its own name.
    Refused,
    /// Nothing refused, so it is not in force.
    Passed(Loophole),
    /// Something else refused; the API server's words.
    Inconclusive(String),
}

/// In what a guard is not what the chart made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardDrift {
    /// There is no policy of its name.
    NoPolicy,
    /// There is no binding of its name.
    NoBinding,
    /// Its policy or its binding is another.
    Changed,
}

impl fmt::Display for GuardDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPolicy => "is missing: there is no ValidatingAdmissionPolicy of this name",
            Self::NoBinding => "is missing: there is no ValidatingAdmissionPolicyBinding of this name",
            Self::Changed => {
                "is not what the chart made: its policy or binding was changed (spec, match, failurePolicy or actions); \
                 apply the chart again"
            }
        })
    }
}

/// What a round says of all guards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundFindings {
    /// Guards that are not what the chart made, and in what.
    pub drifted: Vec<(String, GuardDrift)>,
    /// Guards that let something pass, with what.
    pub passed: Vec<(String, Loophole)>,
    /// Guards whose try said nothing; sight decides over these.
    pub inconclusive: Vec<BySight>,
    pub marks: Marks,
}

impl RoundFindings {
    /// Whether every guard is in force.
    pub fn is_sound(&self) -> bool {
        self.drifted.is_empty() && self.passed.is_empty()
    }

    /// What is wrong.
    pub fn complaint(&self) -> NotInForce {
        let drifted = self.drifted.iter().map(|(name, why)| (name, GuardFlaw::Drifted(*why)));
        let passed = self.passed.iter().map(|(name, what)| (name, GuardFlaw::Passed(*what)));
        let fault = |(name, flaw): (&String, GuardFlaw)| GuardFault { guard: name.clone(), flaw };
        NotInForce::Wanting(drifted.chain(passed).map(fault).collect())
    }

    /// Whether this guard was found wanting.
    pub fn condemns(&self, guard: &str) -> bool {
        let drifted = self.drifted.iter().map(|(name, _)| name);
        drifted.chain(self.passed.iter().map(|(name, _)| name)).any(|name| name == guard)
    }
}

/// Judges all guards. `vouched` are versions that this controller, or the one before it, has found to be what its own
/// chart made: during an upgrade the cluster may hold the former chart's guards for a moment.
pub fn judge(
    expected: &[Expected],
    seen: &BTreeMap<String, SeenGuard>,
    tries: &BTreeMap<String, Tried>,
    vouched: &Marks,
) -> RoundFindings {
    let mut verdict = RoundFindings::default();
    let nothing = SeenGuard::default();
    for Expected { name, digest: wanted } in expected {
        let guard = seen.get(name).unwrap_or(&nothing);
        let mark = guard.mark();
        let why = match (&guard.policy, &guard.binding) {
            (None, _) => Some(GuardDrift::NoPolicy),
            (_, None) => Some(GuardDrift::NoBinding),
            (Some(policy), Some(binding)) => {
                let known = digest(&policy.spec, &binding.spec) == *wanted || mark.as_ref() == vouched.get(name);
                (!known).then_some(GuardDrift::Changed)
            }
        };
        if let Some(why) = why {
            verdict.drifted.push((name.clone(), why));
        }
        verdict.marks.extend(mark.map(|mark| (name.clone(), mark)));
        match tries.get(name) {
            Some(Tried::Passed(what)) => verdict.passed.push((name.clone(), *what)),
            Some(Tried::Inconclusive(refusal)) => {
                verdict.inconclusive.push(BySight { guard: name.clone(), refusal: refusal.clone() });
            }
            Some(Tried::Refused) | None => {}
        }
    }
    verdict
}

/// The SHA-256, in hexadecimal, of `{"binding": ..., "policy": ...}` with both specs, as JSON with sorted keys and
/// without spaces: what the chart's template computes of what it renders.
pub fn digest(policy: &Value, binding: &Value) -> String {
    let mut text = String::from("{\"binding\":");
    canonical(binding, &mut text);
    text.push_str(",\"policy\":");
    canonical(policy, &mut text);
    text.push('}');
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sorted whatever the map of the JSON library sorts by.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            text.push('{');
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                canonical(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(uid: &str, generation: i64, spec: Value) -> Option<Stored> {
        Some(Stored { uid: uid.to_owned(), generation, spec })
    }

    fn one(seen: SeenGuard, tried: Option<Tried>, vouched: &Marks) -> RoundFindings {
        let expected = [Expected { name: "g".to_owned(), digest: digest(&json!({ "b": 1, "a": 2 }), &json!({})) }];
        let tries = tried.map(|tried| ("g".to_owned(), tried)).into_iter().collect();
        judge(&expected, &BTreeMap::from([("g".to_owned(), seen)]), &tries, vouched)
    }

    #[test]
    fn a_guard_is_sound_when_it_is_what_the_chart_made_and_nothing_passes_it() {
        let made =
            || SeenGuard { policy: stored("p", 1, json!({ "a": 2, "b": 1 })), binding: stored("b", 1, json!({})) };
        assert!(one(made(), None, &Marks::new()).is_sound());
        assert!(one(made(), Some(Tried::Refused), &Marks::new()).is_sound());
        let unclear = one(made(), Some(Tried::Inconclusive("another".to_owned())), &Marks::new());
        let by_sight = BySight { guard: "g".to_owned(), refusal: "another".to_owned() };
        assert!(unclear.is_sound() && unclear.inconclusive == [by_sight]);
        assert!(!one(made(), Some(Tried::Passed(Loophole::Statuses)), &Marks::new()).is_sound());
        let changed = || SeenGuard { policy: stored("p", 2, json!({ "a": 2 })), ..made() };
        let verdict = one(changed(), Some(Tried::Refused), &Marks::new());
        assert!(!verdict.is_sound() && verdict.drifted == [("g".to_owned(), GuardDrift::Changed)], "{verdict:?}");
        let gone = SeenGuard { binding: None, ..made() };
        assert_eq!(one(gone, None, &Marks::new()).drifted, [("g".to_owned(), GuardDrift::NoBinding)]);
        assert_eq!(one(SeenGuard::default(), None, &Marks::new()).drifted, [("g".to_owned(), GuardDrift::NoPolicy)]);
        // The former controller saw this very version and found it right by its own chart.
        assert!(one(changed(), None, &verdict.marks).is_sound());
        assert!(
            !one(SeenGuard { policy: stored("p", 3, json!({ "a": 2 })), ..made() }, None, &verdict.marks).is_sound()
        );
    }

    #[test]
    fn one_change_leads_straight_and_two_or_a_new_object_do_not() {
        let mark =
            |p: (&str, i64), b: (&str, i64)| Mark { policy: (p.0.to_owned(), p.1), binding: (b.0.to_owned(), b.1) };
        let from = mark(("p", 1), ("b", 4));
        for (to, straight) in [
            (mark(("p", 1), ("b", 4)), true),
            (mark(("p", 2), ("b", 5)), true),
            (mark(("p", 3), ("b", 4)), false),
            (mark(("q", 1), ("b", 4)), false),
            (mark(("p", 1), ("b", 3)), false),
        ] {
            assert_eq!(from.leads_straight_to(&to), straight, "{to:?}");
        }
    }

    #[test]
    fn a_digest_is_of_sorted_json_as_the_chart_writes_it() {
        let text = r#"{"binding":{"n":["é<&>\"\n"]},"policy":{"a":{},"b":[1,true,null]}}"#;
        let known: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest(&json!({ "b": [1, true, null], "a": {} }), &json!({ "n": ["é<&>\"\n"] })), known);
        assert!(format!("g={known}").parse::<Expected>().is_ok());
        for wrong in ["g", "g=", "=abc", "g=12", &known] {
            assert!(wrong.parse::<Expected>().is_err(), "{wrong}");
        }
    }
}
