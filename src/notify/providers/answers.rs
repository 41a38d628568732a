//! What most places mean by an answer of HTTP, and the reading of the first fields of one.
//!
//! It must not repeat what was answered: that is somebody else's text, and may hold what was sent.

use std::fmt;

use http::StatusCode;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{HttpAnswer, Reception};

/// Most bytes of a word of a place that is repeated.
const WORD: usize = 64;

/// What an answer means of a place that says it by its status alone.
pub fn by_status(answer: &HttpAnswer) -> Reception {
    if answer.status.is_success() { Reception::Taken(None) } else { refused(answer) }
}

/// What an answer means that is no success. Nothing is lost for a wrong setting: it is tried again until somebody mends it.
pub fn refused(answer: &HttpAnswer) -> Reception {
    let status = answer.status;
    let way_out = match status {
        StatusCode::TOO_MANY_REQUESTS => "it takes no more for now",
        StatusCode::PAYLOAD_TOO_LARGE => {
            return Reception::Never(format!("it answered {status}: the message is too long for it"));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "the secret of the route is wrong, or has no right to that place"
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            "the address of the route leads nowhere: the place was deleted, or moved"
        }
        status if status.is_redirection() => "it lies elsewhere by now, and nothing is followed: set the new address",
        status if status.is_server_error() => "it has a fault of its own",
        _ => "check the settings of the route",
    };
    Reception::Later { why: format!("it answered {status}: {way_out}"), after: answer.retry_after }
}

/// The fields of a JSON object, as far as it was read.
#[derive(Debug, Default)]
pub struct FirstFields(Vec<(String, Value)>);

impl FirstFields {
    /// Reads them. What is cut off, or is no JSON, has as many as can be made out.
    pub fn of(body: &[u8]) -> Self {
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        // Where the text ends too early, what came before it stays.
        let _ = json.deserialize_map(FirstFieldsVisitor(&mut fields));
        fields
    }

    /// A text by its name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A flag by its name.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// An error of a place, if it is a word such as it may be repeated.
    pub fn word(text: &str) -> &str {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.len() <= WORD && text.chars().all(is_word) { text } else { "an error that is no word" }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

struct FirstFieldsVisitor<'a>(&'a mut FirstFields);

impl<'de> Visitor<'de> for FirstFieldsVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                // Whole messages, which an answer repeats.
                "message" | "blocks" => drop(map.next_value::<IgnoredAny>()?),
                _ => self.0.0.push((name, map.next_value()?)),
            }
        }
        Ok(())
    }
}
