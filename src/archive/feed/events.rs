//! Events as the API server itself writes and sends them: one on each line of its log, or an EventList of its webhook.
//!
//! Owns telling the two apart. A line that is no text is counted and keeps no other back.
//! Read beside <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{BadEnvelope, Unwrapped};

const WANTED: &str = "a log of the API server or its audit webhook has";
const WAY_OUT: &str = "send an EventList of audit.k8s.io/v1, or one Event on each line";
const LIST: &str = "EventList";
const VERSION: &str = "audit.k8s.io/v1";

/// What is asked of a document to know what it is.
#[derive(Deserialize)]
struct DocumentKind {
    #[serde(default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventList {
    api_version: String,
    #[serde(default)]
    items: Items,
}

/// Each written again as one line, so that the whole list is never held as a tree.
#[derive(Default)]
struct Items(Vec<String>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
        let mut lines = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            lines.push(item.to_string());
        }
        Ok(Items(lines))
    }

    /// Go writes an empty list so.
    fn visit_unit<E>(self) -> Result<Items, E> {
        Ok(Items::default())
    }
}

/// The events of a body.
///
/// # Errors
/// When it is a list that is not whole, or of another version.
pub fn unwrapped(body: &[u8]) -> Result<Unwrapped, BadEnvelope> {
    if is_list(body) {
        let list: EventList =
            serde_json::from_slice(body).map_err(|error| BadEnvelope::unread(WANTED, WAY_OUT, &error))?;
        if list.api_version != VERSION {
            return Err(BadEnvelope::Version);
        }
        return Ok(Unwrapped { events: list.items.0, ..Unwrapped::default() });
    }
    let mut found = Unwrapped::default();
    for line in body.split(|byte| *byte == b'\n') {
        match std::str::from_utf8(line) {
            Ok(line) => found.take(line),
            Err(_) => found.unreadable += 1,
        }
    }
    Ok(found)
}

/// Whether the body begins with a list. Of one that is cut off, its kind is known where it came first.
fn is_list(body: &[u8]) -> bool {
    let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<DocumentKind>();
    match documents.next() {
        Some(Ok(document)) => document.kind.as_deref() == Some(LIST),
        Some(Err(error)) if error.is_eof() => kind_first(body),
        _ => false,
    }
}

fn kind_first(body: &[u8]) -> bool {
    let head: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(19).collect();
    head.starts_with(br#"{"kind":"EventList""#)
}

/// Whether a document is an event by itself.
pub(super) fn is_event(document: &Value) -> bool {
    document["kind"] == "Event" && document["apiVersion"] == VERSION
}

/// Whether the text is one document and nothing else. What is in it stays unread.
pub(super) fn is_document(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = include_str!("fixtures/events.jsonl");
    const BATCH: &str = include_str!("fixtures/event-list.json");

    fn ids(found: &Unwrapped) -> Vec<String> {
        let id = |event: &String| {
            let event: Value = serde_json::from_str(event).unwrap();
            event["auditID"].as_str().unwrap().to_owned()
        };
        found.events.iter().map(id).collect()
    }

    #[test]
    fn lines_come_as_they_are_and_one_that_is_no_text_keeps_none_back() {
        let found = unwrapped(LINES.as_bytes()).unwrap();
        assert_eq!(ids(&found).len(), 2);
        assert_eq!(found.events[0], LINES.lines().next().unwrap());
        let hostile = [b"\xff\xfe\n\n  \r\n".as_slice(), LINES.as_bytes(), b"{\"half\":"].concat();
        let found = unwrapped(&hostile).unwrap();
        assert_eq!((found.events.len(), found.unreadable), (3, 1), "what is no JSON is for whoever reads it");
    }

    #[test]
    fn a_list_of_the_webhook_has_one_event_an_item() {
        let found = unwrapped(BATCH.as_bytes()).unwrap();
        assert_eq!(ids(&found).len(), 2);
        assert!(found.events.iter().all(|line| !line.contains('\n')));
        let empty = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":null}"#;
        assert_eq!(unwrapped(empty), Ok(Unwrapped::default()));
    }

    #[test]
    fn a_list_that_is_cut_off_or_of_another_version_is_refused_whole() {
        for cut in [BATCH.len() - 3, BATCH.len() / 2] {
            assert!(matches!(unwrapped(&BATCH.as_bytes()[..cut]), Err(BadEnvelope::Unread { .. })), "{cut}");
        }
        let beta = BATCH.replace("audit.k8s.io/v1", "audit.k8s.io/v1beta1");
        assert_eq!(unwrapped(beta.as_bytes()), Err(BadEnvelope::Version));
    }

    #[test]
    fn nothing_of_a_body_is_in_what_is_said_of_it() {
        let secret = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":"hunter2"}"#;
        let said = unwrapped(secret.as_bytes()).unwrap_err().to_string();
        assert!(!said.contains("hunter2") && said.contains("column"), "{said}");
    }
}
