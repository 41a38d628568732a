//! The audit log of GKE: entries of Cloud Logging that a sink writes to Pub/Sub, which pushes them.
//!
//! Owns that wrapping: one entry a message, in base64. What an entry says is for [`super::gke`]. Only read, never run against
//! Google Cloud: <https://cloud.google.com/pubsub/docs/push>, <https://cloud.google.com/logging/docs/export/pubsub>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::gke::{self, AuditEntry};
use super::{BadEnvelope, Unwrapped};

const WANTED: &str = "a push subscription of Pub/Sub sends";
const WAY_OUT: &str = "let the subscription wrap its messages (no payload unwrapping)";

#[derive(Deserialize)]
struct PushCall {
    message: PushedMessage,
}

#[derive(Deserialize)]
struct PushedMessage {
    #[serde(default)]
    data: String,
}

/// The event of a body, if there is one. A message that cannot be read is taken all the same, or it would come for ever.
///
/// # Errors
/// When it is no push of Pub/Sub.
pub fn unwrapped(body: &[u8]) -> Result<Unwrapped, BadEnvelope> {
    let call: PushCall = serde_json::from_slice(body).map_err(|error| BadEnvelope::unread(WANTED, WAY_OUT, &error))?;
    let mut found = Unwrapped::default();
    let data = BASE64_STANDARD.decode(&call.message.data).ok();
    match data.and_then(|data| serde_json::from_slice::<AuditEntry>(&data).ok()).map(|entry| gke::event(&entry)) {
        Some(Some(event)) => found.take(&event.to_string()),
        Some(None) => found.passed_over = 1,
        None => found.unreadable = 1,
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ENTRY: &str = include_str!("fixtures/gke-exec.json");

    fn push(entry: &str) -> Vec<u8> {
        let message = json!({ "data": BASE64_STANDARD.encode(entry), "messageId": "136969346945" });
        json!({ "message": message, "subscription": "projects/p/subscriptions/s" }).to_string().into_bytes()
    }

    #[test]
    fn a_message_has_one_event() {
        let found = unwrapped(&push(ENTRY)).unwrap();
        assert_eq!((found.events.len(), found.unreadable), (1, 0));
        let event: Value = serde_json::from_str(&found.events[0]).unwrap();
        assert_eq!(event["kind"], "Event");
    }

    #[test]
    fn what_is_no_event_is_counted_and_acknowledged() {
        let of_compute = ENTRY.replace("\"k8s.io\"", "\"compute.googleapis.com\"");
        assert_eq!(unwrapped(&push(&of_compute)).unwrap().passed_over, 1);
        for hostile in ["", "[]", "{\"protoPayload\":"] {
            assert_eq!(unwrapped(&push(hostile)).unwrap().unreadable, 1, "{hostile}");
        }
        assert!(matches!(unwrapped(b"{}"), Err(BadEnvelope::Unread { .. })));
    }
}
