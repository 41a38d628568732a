//! Conditions in CEL: how an expression is read, what it may use, and what it says of a request.
//!
//! What an expression can ask for stands in one table ([`facts`]), and an expression is [checked](check) against it when it
//! is read. A policy's author must not be able to stop the controller, so an expression is bounded before anything parses
//! it: in length, in nesting and in the number of its operators, since parser and interpreter recurse. It has no
//! macros and so no loops, its regular expressions are small and read beforehand ([`parts`]), and a panic in the interpreter is an error like any
//! other. What cannot be evaluated never lets anybody in: an error is for the caller to deny with.

mod check;
mod facts;
mod fault;
mod functions;
mod parts;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::extractors::This;
use cel::{Context, Env, ExecutionError, Program, Value};

use self::facts::VARIABLES;
pub use self::facts::{CelInput, RequestFacts, RiskScore, When, Who};
pub use self::fault::{ExpressionFault, Unevaluated};
use self::parts::Parts;
use crate::core::model::field_error::FieldError;
use crate::core::model::history::cut;
use crate::core::model::problem::FieldProblem;

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

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::default().with_stdlib()));

/// A condition that has been read.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

impl Expression {
    /// Reads the expression in a field.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(field: &str, source: &str) -> Result<Self, Vec<FieldError>> {
        let fault = |fault: ExpressionFault| FieldError::new(field, FieldProblem::Expression(fault.to_string()));
        Self::compile(source).map_err(|faults| faults.into_iter().map(fault).collect())
    }

    /// Reads an expression.
    ///
    /// # Errors
    /// All that is wrong with it: it is too large, does not parse, asks for what there is not, or for what can never be.
    pub fn compile(source: &str) -> Result<Self, Vec<ExpressionFault>> {
        bounded(source).map_err(|why| vec![why])?;
        let read = catch_unwind(|| {
            let program = ENV.compile(source);
            let program = program.map_err(|errors| vec![ExpressionFault::NotCel(first_line(&errors.to_string()))])?;
            match check::faults(source, &program) {
                faults if faults.is_empty() => Ok(program),
                faults => Err(faults.into_iter().map(ExpressionFault::Checked).collect()),
            }
        });
        let program = match read {
            Ok(Ok(program)) => program,
            Ok(Err(faults)) => return Err(faults),
            Err(_) => return Err(vec![ExpressionFault::Unparsed]),
        };
        let parts = Parts::of(program.expression()).map_err(|why| vec![why])?;
        Ok(Self { source: source.to_owned(), program: Arc::new(program), parts: Arc::new(parts) })
    }

    /// Keys of the labels that it asks for.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.labels.iter().map(String::as_str)
    }

    /// Keys of `requester.extra` that it asks for, as far as they are written out in it.
    pub fn extra_keys(&self) -> impl Iterator<Item = &str> {
        self.parts.extra.iter().map(String::as_str)
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn holds(&self, facts: &CelInput) -> Result<bool, Unevaluated> {
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let context = context(facts, &self.parts).map_err(|error| self.failed(&error))?;
            self.program.execute(&context).map_err(|error| match error {
                ExecutionError::NoSuchKey(key) if self.is_missing(&key, facts) => {
                    Unevaluated::NoExtra { source: self.source.clone(), key: key.to_string() }
                }
                other => self.failed(&other),
            })
        }));
        let source = || self.source.clone();
        match evaluated {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(other)) => Err(Unevaluated::NoCondition { source: source(), type_: other.type_of().to_string() }),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(Unevaluated::Crashed { source: source() }),
        }
    }

    fn failed(&self, why: &impl ToString) -> Unevaluated {
        Unevaluated::Failed { source: self.source.clone(), why: first_line(&why.to_string()) }
    }

    /// Whether it asks for this key of what the login said, and the login said nothing under it.
    fn is_missing(&self, key: &str, facts: &CelInput) -> bool {
        self.parts.extra.contains(key) && !facts.requester.extra.contains_key(key)
    }
}

/// Whether parser and interpreter may be given this at all. Counts brackets and operators also inside of texts:
/// what is counted too often is refused with a reason, what is counted too seldom could end the process.
fn bounded(source: &str) -> Result<(), ExpressionFault> {
    if source.len() > LONGEST {
        return Err(ExpressionFault::TooLong);
    }
    let sums = source.matches('+').count();
    if sums > MOST_SUMS {
        return Err(ExpressionFault::TooManySums(sums));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for letter in source.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(ExpressionFault::TooDeep);
        }
        operators += usize::from("([{+-*/%!=<>&|?:,.".contains(letter));
    }
    operators += source.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "in").count();
    if operators > MOST_OPERATORS {
        return Err(ExpressionFault::TooManyOperators);
    }
    Ok(())
}

fn context(facts: &CelInput, parts: &Arc<Parts>) -> Result<Context<'static, 'static>, cel::SerializationError> {
    let mut context = Context::with_env(ENV.clone());
    for object in &VARIABLES {
        context.add_variable_from_value(object.name, cel::to_value(object.seen(facts))?);
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
