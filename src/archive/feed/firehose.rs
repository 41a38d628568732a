//! The audit log of EKS: CloudWatch logs, delivered by Amazon Data Firehose to an HTTP endpoint.
//!
//! Owns the body of such a call and its answer. Each record is base64 of gzip of what a subscription filter of CloudWatch
//! sends; where Firehose has unpacked it already, it is that as it is. Other logs of the cluster are passed over.
//! Only read, never run against AWS:
//! <https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::is_event;
use super::{BadEnvelope, MOST_UNPACKED, Unwrapped, gzip};

/// The header that names a call, in it and in its answer.
pub const REQUEST_ID: &str = "x-amz-firehose-request-id";
/// The header with the key that a stream was given.
pub const ACCESS_KEY: &str = "x-amz-firehose-access-key";
/// How the streams of audit logs are called.
const AUDIT_STREAM: &str = "kube-apiserver-audit";

const WANTED: &str = "Amazon Data Firehose delivers";
const WAY_OUT: &str = "set this path as the HTTP endpoint of a Firehose stream";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirehoseCall {
    request_id: String,
    records: Vec<FirehoseRecord>,
}

#[derive(Deserialize)]
struct FirehoseRecord {
    data: String,
}

/// What a subscription filter sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloudWatchMessage {
    message_type: String,
    #[serde(default)]
    log_stream: String,
    #[serde(default)]
    log_events: Vec<CloudWatchEvent>,
}

#[derive(Deserialize)]
struct CloudWatchEvent {
    message: String,
}

/// What Firehose must be answered, or it delivers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirehoseAnswer {
    /// That of the call.
    pub request_id: String,
    /// When it was answered, in milliseconds since 1970.
    pub timestamp: i64,
    /// Why nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// The events of a body. It names itself.
///
/// # Errors
/// When it is no delivery of Firehose, or unpacks to too much.
pub fn unwrapped(body: &[u8]) -> Result<Unwrapped, BadEnvelope> {
    let call: FirehoseCall =
        serde_json::from_slice(body).map_err(|error| BadEnvelope::unread(WANTED, WAY_OUT, &error))?;
    let (mut found, mut left) = (Unwrapped { call: Some(call.request_id), ..Unwrapped::default() }, MOST_UNPACKED);
    for record in call.records {
        let Ok(data) = BASE64_STANDARD.decode(&record.data) else {
            found.unreadable += 1;
            continue;
        };
        let data = match gzip::is_packed(&data) {
            false => data,
            true => match gzip::unpacked(&data, left) {
                Ok(data) => data,
                Err(BadEnvelope::Broken) => {
                    found.unreadable += 1;
                    continue;
                }
                Err(too_large) => return Err(too_large),
            },
        };
        left = left.saturating_sub(data.len());
        messages(&data, &mut found);
    }
    Ok(found)
}

/// One or more messages, one behind the other.
fn messages(data: &[u8], found: &mut Unwrapped) {
    for document in serde_json::Deserializer::from_slice(data).into_iter::<Value>() {
        match document {
            // Where Firehose takes messages out of their wrapping.
            Ok(document) if is_event(&document) => found.take(&document.to_string()),
            Ok(document) => message(document, found),
            // Where the next one begins is not known.
            Err(_) => return found.unreadable += 1,
        }
    }
}

fn message(document: Value, found: &mut Unwrapped) {
    match serde_json::from_value::<CloudWatchMessage>(document) {
        Ok(message) if message.message_type == "DATA_MESSAGE" && message.log_stream.starts_with(AUDIT_STREAM) => {
            message.log_events.iter().for_each(|event| found.take(&event.message));
        }
        // CONTROL_MESSAGE asks whether the destination is there.
        Ok(_) => found.passed_over += 1,
        Err(_) => found.unreadable += 1,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    const MESSAGE: &str = include_str!("fixtures/cloudwatch.json");

    fn packed(text: &str) -> String {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        BASE64_STANDARD.encode(encoder.finish().unwrap())
    }

    fn call(records: &[String]) -> Vec<u8> {
        let records: Vec<Value> = records.iter().map(|data| json!({ "data": data })).collect();
        json!({ "requestId": "ed4acda5", "timestamp": 1578090901599_i64, "records": records }).to_string().into_bytes()
    }

    #[test]
    fn a_record_of_cloudwatch_has_the_events_of_audit_streams_alone() {
        let authenticator = MESSAGE.replace("kube-apiserver-audit-1f", "authenticator-1f");
        let control = MESSAGE.replace("DATA_MESSAGE", "CONTROL_MESSAGE");
        let records = [packed(MESSAGE), packed(&authenticator), packed(&control)];
        let found = unwrapped(&call(&records)).unwrap();
        assert_eq!((found.events.len(), found.unreadable, found.passed_over), (2, 0, 2));
        assert_eq!(found.call.as_deref(), Some("ed4acda5"));
        let event: Value = serde_json::from_str(&found.events[0]).unwrap();
        assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");
    }

    #[test]
    fn what_firehose_has_unpacked_itself_is_read_too() {
        let message: Value = serde_json::from_str(MESSAGE).unwrap();
        let event = message["logEvents"][0]["message"].as_str().unwrap();
        let several = BASE64_STANDARD.encode(format!("{MESSAGE}{MESSAGE}\n{event}\n{event}"));
        assert_eq!(unwrapped(&call(&[several])).unwrap().events.len(), 6);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_counted_and_keeps_none_back() {
        let half = &packed(MESSAGE)[..40];
        let records = ["*".to_owned(), half.to_owned(), BASE64_STANDARD.encode("{"), packed("[]"), packed(MESSAGE)];
        let found = unwrapped(&call(&records)).unwrap();
        assert_eq!((found.events.len(), found.unreadable), (2, 4));
        assert!(matches!(unwrapped(b"{}"), Err(BadEnvelope::Unread { .. })));
    }

    #[test]
    fn a_bomb_is_refused_whole() {
        let bomb = packed(&" ".repeat(MOST_UNPACKED / 2 + 1));
        assert_eq!(unwrapped(&call(&[bomb.clone(), bomb])), Err(BadEnvelope::TooLarge));
    }

    #[test]
    fn the_answer_is_what_firehose_asks_for() {
        let answer = FirehoseAnswer { request_id: "ed4acda5".to_owned(), timestamp: 7, error_message: None };
        assert_eq!(json!(answer), json!({ "requestId": "ed4acda5", "timestamp": 7 }));
    }
}
