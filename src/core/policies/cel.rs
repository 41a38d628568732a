//! Conditions in CEL: how an expression is read, what it may use, and what it says of a request.
//!
//! A policy's author must not be able to stop the controller, so an expression is bounded before anything parses
//! it: in length, in nesting and in the number of its operators, since parser and interpreter recurse. It has no
//! macros and so no loops, its regular expressions are small and read beforehand ([`parts`]), and a panic in the interpreter is an error like any
//! other. What cannot be evaluated never lets anybody in: an error is for the caller to deny with.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Program, Value};
use serde::Serialize;

use self::parts::Parts;
use crate::api::request::RoleRisk;
use crate::api::risk::RiskLevel;
use crate::api::word::Word;
use crate::core::model::field_error::FieldError;
use crate::core::model::history::cut;

/// Longest expression, in bytes; the schema says so too.
const LONGEST: usize = 1024;
/// How deep brackets may be nested.
const DEEPEST: usize = 12;
/// How many operators, selectors and brackets there may be in all.
const MOST_OPERATORS: usize = 128;
/// How often something may be added to something. Adding lists copies them, and what is copied grows with each time.
const MOST_SUMS: usize = 16;
/// Longest text that is held against a pattern, in bytes: twice the longest reason.
const LONGEST_TEXT: usize = 1 << 13;
/// Longest text of an error, in bytes. A library's message can show a whole value.
const LONGEST_ERROR: usize = 512;

/// What an expression may ask about.
const VARIABLES: [&str; 4] = ["request", "requester", "risk", "time"];
/// Functions that an expression may call, beside operators.
const FUNCTIONS: [&str; 13] = [
    "label",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "double",
    "string",
    "type",
    "orValue",
    "hasValue",
    "dyn",
];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::default().with_stdlib()));

/// A condition that has been read.
#[derive(Clone)]
pub struct Condition {
    source: String,
    program: Arc<Program>,
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

/// What is true of a request, as an expression sees it. Every field is always there: without macros there is no
/// `has()`, and none is needed.
#[derive(Clone, Debug, Serialize)]
pub struct CelInput {
    /// What is asked for.
    pub request: Asked,
    /// Who asks.
    pub requester: Who,
    /// How much harm the role can do.
    pub risk: RiskScore,
    /// When it is decided, in the time zone of the policy's schedule, or in UTC.
    pub time: When,
    /// By label key, the values that the namespaces asked for have; an empty text for one that lacks the label. Only
    /// those that the conditions of the policy ask for.
    #[serde(skip)]
    pub labels: BTreeMap<String, Arc<BTreeSet<String>>>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in the request")]
pub struct Asked {
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
#[expect(missing_docs, reason = "named as in the request")]
pub struct Who {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
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

impl Condition {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is too large, does not parse, or uses what there is not.
    pub fn read(field: &str, source: &str) -> Result<Self, FieldError> {
        let fault = |problem: String| FieldError::new(field, problem);
        bounded(source).map_err(fault)?;
        let compiled = catch_unwind(|| ENV.compile(source).map_err(|errors| first_line(&errors.to_string())));
        let program = match compiled {
            Ok(Ok(program)) => program,
            Ok(Err(why)) => return Err(fault(format!("is not CEL: {why}"))),
            Err(_) => return Err(fault("cannot be read as CEL".to_owned())),
        };
        let unknown = unknown(&program);
        if unknown.is_empty() {
            let parts = Parts::of(program.expression()).map_err(fault)?;
            Ok(Self { source: source.to_owned(), program: Arc::new(program), parts: Arc::new(parts) })
        } else {
            let (variables, functions) = (VARIABLES.join(", "), FUNCTIONS.join(", "));
            let there = format!("there are the variables {variables} and the functions {functions}, and no loops");
            Err(fault(format!("knows no {}; {there}", unknown.join(", "))))
        }
    }

    /// Keys of the labels that it asks for.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.labels.iter().map(String::as_str)
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn holds(&self, facts: &CelInput) -> Result<bool, String> {
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let context = context(facts, &self.parts).map_err(|error| error.to_string())?;
            self.program.execute(&context).map_err(|error| error.to_string())
        }));
        match evaluated {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(other)) => Err(format!("{} is {}, not true or false", self.source, other.type_of())),
            Ok(Err(why)) => Err(cut(&format!("{}: {}", self.source, first_line(&why)), LONGEST_ERROR)),
            Err(_) => Err(format!("{}: the interpreter failed", self.source)),
        }
    }
}

/// Whether parser and interpreter may be given this at all. Counts brackets and operators also inside of texts:
/// what is counted too often is refused with a reason, what is counted too seldom could end the process.
fn bounded(source: &str) -> Result<(), String> {
    if source.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let sums = source.matches('+').count();
    if sums > MOST_SUMS {
        return Err(format!("has {sums} times +, at most {MOST_SUMS} are allowed: make two conditions of it"));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for letter in source.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("has brackets nested deeper than {DEEPEST}"));
        }
        operators += usize::from("([{+-*/%!=<>&|?:,.".contains(letter));
    }
    operators += source.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "in").count();
    if operators > MOST_OPERATORS {
        return Err(format!(
            "has more than {} operators, dots and brackets: make two conditions of it",
            MOST_OPERATORS
        ));
    }
    Ok(())
}

fn unknown(program: &Program) -> Vec<String> {
    let references = program.references();
    let is_operator = |name: &&str| name.starts_with(['_', '@', '-', '!']);
    let variables = references.variables().into_iter().filter(|name| !VARIABLES.contains(name));
    let functions = references.functions().into_iter().filter(|name| !is_operator(name) && !FUNCTIONS.contains(name));
    let all: BTreeSet<String> = variables.chain(functions).map(|name| cut(name, 64)).collect();
    all.into_iter().collect()
}

fn context(facts: &CelInput, parts: &Arc<Parts>) -> Result<Context<'static, 'static>, cel::SerializationError> {
    let mut context = Context::with_env(ENV.clone());
    let variables = [
        ("request", cel::to_value(&facts.request)?),
        ("requester", cel::to_value(&facts.requester)?),
        ("risk", cel::to_value(&facts.risk)?),
        ("time", cel::to_value(&facts.time)?),
    ];
    for (name, value) in variables {
        context.add_variable_from_value(name, value);
    }
    let none = Value::List(Arc::new(vec![Value::String(Arc::default())]));
    let labels: BTreeMap<String, Value> = facts
        .labels
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(key, values)| (key.clone(), list(values)))
        .collect();
    // Both names are free in this environment, so neither can be taken already.
    let _ = context.add_function("label", move |key: Arc<String>| labels.get(key.as_str()).unwrap_or(&none).clone());
    let parts = parts.clone();
    let _ = context.add_function("matches", move |text: This<Arc<String>>, pattern: Arc<String>| {
        matches(&parts, &text.0, &pattern)
    });
    Ok(context)
}

fn list(texts: &BTreeSet<String>) -> Value {
    Value::List(Arc::new(texts.iter().map(|text| Value::String(Arc::new(text.clone()))).collect()))
}

fn matches(parts: &Parts, text: &str, pattern: &str) -> Result<bool, ExecutionError> {
    let fault = |why: &str| Err(ExecutionError::function_error("matches", why));
    if text.len() > LONGEST_TEXT {
        return fault(&format!("a text of more than {LONGEST_TEXT} bytes is not held against a pattern"));
    }
    parts
        .patterns
        .get(pattern)
        .map_or_else(|| fault("the pattern is not written out"), |regex| Ok(regex.is_match(text)))
}

fn first_line(text: &str) -> String {
    cut(text.lines().next().unwrap_or_default(), LONGEST_ERROR)
}

#[cfg(test)]
mod tests;
