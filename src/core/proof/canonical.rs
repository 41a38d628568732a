//! Canonical JSON (RFC 8785), read so that there are no two readings of the same bytes.
//!
//! Owns the strictness: what is not written in the one way there is, is refused. So no name stands twice in an object, no
//! other order of members or white space hides a change, and a number is the same to every reader: whole, and no larger than
//! JavaScript can tell from the next. It must not know what the JSON says.

use serde_json::Value;

/// The largest whole number that each reader of JSON can tell from the next (RFC 7493, section 2.2).
const MOST_NUMBER: u64 = (1 << 53) - 1;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalFault {
    /// No JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// JSON in another form.
    #[error("it is not canonical JSON (RFC 8785); take the bytes as they were made")]
    OtherForm,
    /// A number that readers take for different ones.
    #[error("the number {0} is not whole, or is over 2^53, so that readers take it for different numbers")]
    Number(String),
    /// A name whose place in the order is not the same to all.
    #[error("the name {0:?} is not of ASCII letters, so that readers sort it differently")]
    Name(String),
}

/// Reads a text.
///
/// # Errors
/// When it is not canonical JSON.
pub fn read(text: &str) -> Result<Value, CanonicalFault> {
    let value: Value = serde_json::from_str(text).map_err(|error| CanonicalFault::NotJson(error.to_string()))?;
    check(&value)?;
    if serde_json::to_string(&value).is_ok_and(|written| written == text) {
        Ok(value)
    } else {
        Err(CanonicalFault::OtherForm)
    }
}

/// Checks that a value can be written in canonical JSON.
///
/// # Errors
/// By the first number or name that cannot.
pub fn check(value: &Value) -> Result<(), CanonicalFault> {
    match value {
        Value::Number(number) => {
            let size = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            let is_plain = size.is_some_and(|size| size <= MOST_NUMBER);
            if is_plain { Ok(()) } else { Err(CanonicalFault::Number(number.to_string())) }
        }
        Value::Array(all) => all.iter().try_for_each(check),
        Value::Object(all) => all.iter().try_for_each(|(name, value)| match name.is_ascii() {
            true => check(value),
            false => Err(CanonicalFault::Name(name.clone())),
        }),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}
