//! What is true of a request, as conditions see it, and the one table of what they can ask for: each name with its type
//! and its value. The context of an evaluation is made from the table, and expressions are checked against it, so a name
//! that one of them knows the other knows too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::api::request::RoleRisk;
use crate::api::risk::RiskLevel;
use crate::api::word::Word;

/// What is true of a request, as an expression sees it. Every field is always there: without macros there is no
/// `has()`, and none is needed. What the login said beside name, UID and groups has the keys that it has; to ask for
/// another fails, which denies.
#[derive(Clone, Debug)]
pub struct CelInput {
    /// What is asked for.
    pub request: RequestFacts,
    pub requester: Who,
    /// How much harm the role can do.
    pub risk: RiskScore,
    /// When it is decided, in the time zone of the policy's schedule, or in UTC.
    pub time: When,
    /// By label key, the values that the namespaces asked for have; an empty text for one that lacks the label. Only
    /// those that the conditions of the policy ask for.
    pub labels: BTreeMap<String, Arc<BTreeSet<String>>>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestFacts {
    pub name: String,
    pub namespace: String,
    pub role: String,
    pub role_kind: String,
    pub namespaces: Vec<String>,
    pub cluster: bool,
    pub duration_seconds: i64,
    pub reason: String,
    pub ticket: String,
    pub break_glass: bool,
    pub extension: bool,
}

/// Who asks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Who {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// What else the login said, by key; no key where it said nothing or nothing is recorded.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// How much harm a role can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskScore {
    /// Low, Medium, High, Critical, or Unknown when the role cannot be read.
    pub level: String,
    /// The level as a number, from 0 for Low to 3 for Critical, to compare. What is unknown counts as the worst.
    pub score: i64,
}

impl RiskScore {
    /// As a reading on record says.
    pub fn recorded(risk: Option<&RoleRisk>) -> Self {
        let level = risk.map_or(Word::Known(RiskLevel::Unknown), |risk| risk.level.clone());
        // A level that another version has is as bad as one that nobody can say.
        let score = level.known().unwrap_or(RiskLevel::Unknown).score();
        Self { level: level.as_str().to_owned(), score }
    }
}

impl Default for RiskScore {
    fn default() -> Self {
        Self::recorded(None)
    }
}

/// A point in time as a wall clock shows it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// Mon, Tue, Wed, Thu, Fri, Sat or Sun.
    pub weekday: String,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// Such as 2026-11-23.
    pub date: String,
}

/// A variable: an object with fields.
#[derive(Debug)]
pub struct Object {
    pub name: &'static str,
    pub fields: &'static [Field],
}

/// A field of a variable.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// Its type and its value.
    pub is: Is,
}

/// The type of a field, and where its value is.
#[derive(Clone, Copy, Debug)]
pub enum Is {
    Bool(fn(&CelInput) -> bool),
    Int(fn(&CelInput) -> i64),
    Text(fn(&CelInput) -> &str),
    /// One of these words.
    Word(&'static [&'static str], fn(&CelInput) -> &str),
    /// A list of texts.
    Texts(fn(&CelInput) -> &[String]),
    /// Lists of texts by keys, of which any may be missing.
    TextsByKey(fn(&CelInput) -> &BTreeMap<String, Vec<String>>),
}

/// The words of `request.roleKind`.
const ROLE_KINDS: [&str; 2] = ["ClusterRole", "Role"];
/// The words of `risk.level`.
const LEVELS: [&str; 5] = ["Low", "Medium", "High", "Critical", "Unknown"];
/// The words of `time.weekday`.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const fn field(name: &'static str, is: Is) -> Field {
    Field { name, is }
}

/// Everything that an expression can ask for, beside `label(KEY)`.
pub static VARIABLES: [Object; 4] = [
    Object {
        name: "request",
        fields: &[
            field("name", Is::Text(|facts| &facts.request.name)),
            field("namespace", Is::Text(|facts| &facts.request.namespace)),
            field("role", Is::Text(|facts| &facts.request.role)),
            field("roleKind", Is::Word(&ROLE_KINDS, |facts| &facts.request.role_kind)),
            field("namespaces", Is::Texts(|facts| &facts.request.namespaces)),
            field("cluster", Is::Bool(|facts| facts.request.cluster)),
            field("durationSeconds", Is::Int(|facts| facts.request.duration_seconds)),
            field("reason", Is::Text(|facts| &facts.request.reason)),
            field("ticket", Is::Text(|facts| &facts.request.ticket)),
            field("breakGlass", Is::Bool(|facts| facts.request.break_glass)),
            field("extension", Is::Bool(|facts| facts.request.extension)),
        ],
    },
    Object {
        name: "requester",
        fields: &[
            field("username", Is::Text(|facts| &facts.requester.username)),
            field("uid", Is::Text(|facts| &facts.requester.uid)),
            field("groups", Is::Texts(|facts| &facts.requester.groups)),
            field("extra", Is::TextsByKey(|facts| &facts.requester.extra)),
        ],
    },
    Object {
        name: "risk",
        fields: &[
            field("level", Is::Word(&LEVELS, |facts| &facts.risk.level)),
            field("score", Is::Int(|facts| facts.risk.score)),
        ],
    },
    Object {
        name: "time",
        fields: &[
            field("weekday", Is::Word(&WEEKDAYS, |facts| &facts.time.weekday)),
            field("hour", Is::Int(|facts| facts.time.hour)),
            field("minute", Is::Int(|facts| facts.time.minute)),
            field("date", Is::Text(|facts| &facts.time.date)),
        ],
    },
];

impl Object {
    /// The variable of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|object| object.name == name)
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name)
    }

    /// What it is for a request.
    pub fn seen<'a>(&'static self, facts: &'a CelInput) -> VariableValues<'a> {
        VariableValues { object: self, facts }
    }
}

/// A variable with the values that it has for a request.
pub struct VariableValues<'a> {
    object: &'static Object,
    facts: &'a CelInput,
}

impl Serialize for VariableValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { object, facts } = self;
        let mut map = serializer.serialize_map(Some(object.fields.len()))?;
        for Field { name, is } in object.fields {
            match is {
                Is::Bool(value) => map.serialize_entry(name, &value(facts))?,
                Is::Int(value) => map.serialize_entry(name, &value(facts))?,
                Is::Text(value) | Is::Word(_, value) => map.serialize_entry(name, value(facts))?,
                Is::Texts(value) => map.serialize_entry(name, value(facts))?,
                Is::TextsByKey(value) => map.serialize_entry(name, value(facts))?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::policy::Weekday;
    use crate::api::subject::RoleKind;
    use crate::api::word::Vocabulary;

    fn facts() -> CelInput {
        CelInput {
            request: RequestFacts { role_kind: "Role".to_owned(), duration_seconds: 1, ..RequestFacts::default() },
            requester: Who {
                username: "alice".to_owned(),
                groups: vec!["dev".to_owned()],
                extra: [("example.com/amr".to_owned(), vec!["mfa".to_owned()])].into(),
                ..Who::default()
            },
            risk: RiskScore::default(),
            time: When { weekday: "Mon".to_owned(), hour: 12, ..When::default() },
            labels: BTreeMap::new(),
        }
    }

    /// What the decision fills in, an expression can ask for: no field more and none less, with the same value.
    #[test]
    fn the_table_has_every_fact_under_its_name() {
        let facts = facts();
        let filled = json!({
            "request": facts.request, "requester": facts.requester, "risk": facts.risk, "time": facts.time
        });
        let seen: BTreeMap<&str, VariableValues<'_>> =
            VARIABLES.iter().map(|object| (object.name, object.seen(&facts))).collect();
        assert_eq!(serde_json::to_value(seen).unwrap(), filled);
    }

    #[test]
    fn the_words_are_those_of_the_api() {
        assert_eq!(LEVELS.to_vec(), RiskLevel::ALL.iter().map(|level| level.as_str()).collect::<Vec<_>>());
        for kind in [RoleKind::ClusterRole, RoleKind::Role] {
            assert!(ROLE_KINDS.contains(&kind.as_str()));
        }
        for word in WEEKDAYS {
            let day: Weekday = serde_json::from_value(Value::from(word)).unwrap();
            assert_eq!(serde_json::to_value(day).unwrap(), word);
        }
    }

    /// `kubectl explain apol.spec.conditions` is where people look them up.
    #[test]
    fn the_schema_lists_every_name() {
        let schema = schemars::schema_for!(crate::api::policy::PolicyCondition);
        let words = schema.get("properties").unwrap()["expression"]["description"].as_str().unwrap();
        let mentioned = |name: &str| words.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
        for object in &VARIABLES {
            assert!(mentioned(object.name) && object.names().all(mentioned), "{}: {words}", object.name);
        }
    }
}
