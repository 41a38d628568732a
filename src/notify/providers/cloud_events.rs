//! CloudEvents 1.0 in the structured mode of JSON, signed as Standard Webhooks say, for programs.
//!
//! Owns the call. What an event says, and that the same notice gives the same event, is [`event_of_notice`]'s.

use http::header::{HeaderName, HeaderValue};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::fitted::secret_address;
use super::{HttpAnswer, HttpCall, HttpProvider, Posted, Reception};
use crate::core::notice::event_of_notice;
use crate::core::record::cloud_event;
use crate::core::report::spelled::percent_encoded;
use crate::notify::message::Message;
use crate::runtime::signature::SigningSecrets;

/// What a cluster without a name is known by.
const NAMELESS: &str = "daypass";

/// A receiver of notices as CloudEvents.
#[derive(Debug)]
pub struct NoticeReceiver {
    /// Its address, which may be a secret as a whole.
    pub url: SecretString,
    /// Secrets that sign.
    pub secrets: SecretString,
}

impl HttpProvider for NoticeReceiver {
    fn calls(&self, message: &Message, _earlier: Option<&Posted>, now: Timestamp) -> Result<Vec<HttpCall>, String> {
        let url = secret_address("cloudEvents.urlFile", &self.url)?;
        let secrets = SigningSecrets::read(self.secrets.expose_secret());
        let secrets = secrets.map_err(|fault| format!("cloudEvents.secretsFile: {fault}"))?;
        let event = event_of_notice(&message.notice, source(message.cluster.as_deref()));
        let (body, sent_at) = (event.bytes(), now.as_second());
        let signature = secrets.sign(&event.id, sent_at, &body);
        let mut call = HttpCall::post(url, cloud_event::CONTENT_TYPE, body);
        for (name, value) in [
            ("webhook-id", event.id.clone()),
            ("webhook-timestamp", sent_at.to_string()),
            ("webhook-signature", signature),
        ] {
            let value = HeaderValue::from_str(&value).map_err(|_| format!("{name}: it cannot be in a header"))?;
            call.headers.insert(HeaderName::from_static(name), value);
        }
        Ok(vec![call])
    }

    fn read(&self, answer: &HttpAnswer) -> Reception {
        let status = answer.status;
        match status.as_u16() {
            200..=299 => Reception::Taken(None),
            400 | 413 | 415 | 422 => Reception::Never(format!("it answered {status}: it takes no such event")),
            300..=399 => Reception::Later {
                why: format!(
                    "it answered {status}, and nothing is followed: set cloudEvents.urlFile to where it leads"
                ),
                after: answer.retry_after,
            },
            _ => Reception::Later { why: format!("it answered {status}"), after: answer.retry_after },
        }
    }
}

/// The name of a cluster as a reference that any URI may be. (RFC 3986, section 4.1)
fn source(cluster: Option<&str>) -> String {
    let Some(cluster) = cluster.filter(|name| !name.is_empty()) else { return NAMELESS.to_owned() };
    percent_encoded(cluster, b"/")
}

/// A message, an instant and answers for tests.
#[cfg(test)]
pub(super) mod samples {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::core::notice::{Notice, NoticeEvent, NoticedRequest};
    use crate::notify::message::MessageFact;

    /// The instant of a call.
    pub fn now() -> Timestamp {
        "2026-11-30T14:51:00Z".parse().unwrap()
    }

    /// What is told of such an event.
    pub fn message(event: NoticeEvent) -> Message {
        let request = NoticedRequest {
            namespace: "shop".to_owned(),
            name: "fix".to_owned(),
            uid: "r-1".to_owned(),
            requester: "alice".to_owned(),
            reason: "prices are wrong".to_owned(),
            ..NoticedRequest::default()
        };
        Message {
            notice: Notice {
                id: "r-1/3".to_owned(),
                event,
                at: now(),
                request,
                automatic: false,
                by: None,
                comment: None,
                message: None,
            },
            cluster: Some("prod".to_owned()),
            title: "alice asks for edit in shop".to_owned(),
            facts: vec![MessageFact { label: "Reason", value: "prices are wrong".to_owned() }],
            command: Some("kubectl daypass approve fix -n shop".to_owned()),
            link: Some("https://daypass.example/r/shop/fix?uid=r-1".to_owned()),
        }
    }

    /// An answer that asks to wait for seven seconds.
    pub fn answer(status: u16) -> HttpAnswer {
        let status = StatusCode::from_u16(status).unwrap();
        HttpAnswer { status, retry_after: Some(Duration::from_secs(7)), body: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::samples::{answer, message, now};
    use super::*;
    use crate::core::notice::{NoticeEvent, notice_schema_as_json};

    /// What CloudEvents 1.0 and its JSON format ask of an event in structured mode.
    const CLOUD_EVENT: &str = include_str!("../../controller/outputs/cloud-event-1.0.json");
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn receiver() -> NoticeReceiver {
        NoticeReceiver { url: "https://siem.example/S3CRET\n".into(), secrets: SECRET.into() }
    }

    fn call(message: &Message) -> HttpCall {
        receiver().calls(message, None, now()).unwrap().remove(0)
    }

    fn assert_valid(schema: &str, value: &Value) {
        let schema = jsonschema::options().should_validate_formats(true).build(&serde_json::from_str(schema).unwrap());
        let wrong: Vec<String> = schema.unwrap().iter_errors(value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {value}");
    }

    #[test]
    fn each_event_is_a_cloud_event_with_the_notice_as_its_schema_says() {
        for event in NoticeEvent::ALL {
            let told = message(event);
            let sent: Value = serde_json::from_str(&call(&told).body).unwrap();
            assert_valid(CLOUD_EVENT, &sent);
            assert_valid(&notice_schema_as_json(), &sent["data"]);
            let mut data = sent["data"].clone();
            assert_eq!(data.as_object_mut().unwrap().remove("schema").unwrap(), "daypass.dev/notice/v1");
            assert_eq!(data, serde_json::to_value(&told.notice).unwrap());
            assert_eq!(sent["type"], format!("dev.daypass.notice.v1.{event:?}"));
            assert_eq!((&sent["id"], &sent["source"]), (&json!("r-1/3"), &json!("prod")));
            let subject = if event == NoticeEvent::GuardMissing { "guard" } else { "shop/fix" };
            assert_eq!(sent["subject"], subject);
        }
    }

    #[test]
    fn a_notice_that_is_sent_again_is_the_same_event_under_the_same_id() {
        let told = message(NoticeEvent::Waits);
        let later = "2026-11-30T15:00:00Z".parse().unwrap();
        let again = receiver().calls(&told, None, later).unwrap().remove(0);
        let first = call(&told);
        assert_eq!((&first.body, &first.headers["webhook-id"]), (&again.body, &again.headers["webhook-id"]));
        assert_ne!(first.headers["webhook-signature"], again.headers["webhook-signature"]);
        let signed = SigningSecrets::read(SECRET).unwrap().sign("r-1/3", later.as_second(), &again.body);
        assert_eq!(again.headers["webhook-signature"], signed);
        assert_eq!(again.headers["webhook-timestamp"], later.as_second().to_string());
        assert_eq!(again.headers["content-type"], "application/cloudevents+json; charset=utf-8");
    }

    #[test]
    fn whatever_people_wrote_arrives_as_they_wrote_it() {
        for written in ["x<&`*_\u{1f389}".repeat(800), "\u{202e}\r\n\0\"\\".to_owned()] {
            let mut told = message(NoticeEvent::Waits);
            told.notice.request.reason.clone_from(&written);
            told.cluster = Some(written.chars().take(9).collect());
            let sent: Value = serde_json::from_str(&call(&told).body).unwrap();
            assert_valid(CLOUD_EVENT, &sent);
            assert_eq!(sent["data"]["request"]["reason"], written);
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        assert!(!format!("{:?}", receiver()).contains("S3CRET") && !format!("{:?}", receiver()).contains("MfKQ"));
        let told = message(NoticeEvent::Waits);
        for wrong in [
            NoticeReceiver { url: "S3CRET".into(), ..receiver() },
            NoticeReceiver { url: "https://a\nhttps://S3CRET".into(), ..receiver() },
            NoticeReceiver { secrets: "whsec_S3CRET".into(), ..receiver() },
            NoticeReceiver { secrets: "".into(), ..receiver() },
        ] {
            let why = wrong.calls(&told, None, now()).unwrap_err();
            assert!(!why.contains("S3CRET"), "{why}");
        }
    }

    #[test]
    fn what_it_refuses_is_not_sent_again_and_what_it_cannot_take_is() {
        for status in [200, 202, 204] {
            assert_eq!(receiver().read(&answer(status)), Reception::Taken(None));
        }
        for status in [400, 413, 415, 422] {
            assert!(matches!(receiver().read(&answer(status)), Reception::Never(_)), "{status}");
        }
        for status in [301, 307, 401, 404, 408, 410, 429, 500, 503] {
            let Reception::Later { after, .. } = receiver().read(&answer(status)) else { panic!("{status}") };
            assert_eq!(after, answer(status).retry_after);
        }
    }
}
