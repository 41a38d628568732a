//! PagerDuty: an incident for what cannot wait, resolved when it was dealt with.
//!
//! Owns the events of its Events API v2, and which notices are one. Most are none: nobody is woken for an approval.

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::fitted::fitted;
use super::{HttpAnswer, HttpCall, HttpProvider, Posted, Reception};
use crate::core::notice::NoticeEvent;
use crate::notify::message::Message;

/// Where the API is for most.
pub const PAGER_DUTY_EVENTS: &str = "https://events.pagerduty.com";
/// Most characters of a summary.
const SUMMARY: usize = 1024;
/// Most characters of a detail, so that an event is never too long.
const DETAIL: usize = 2000;
/// What the API calls whoever reports.
const CLIENT: &str = "Daypass";
/// How many letters a routing key has.
const KEY: usize = 32;

/// A service of PagerDuty.
pub struct PagerDuty {
    /// Its routing key.
    pub routing_key: SecretString,
    /// Where the API of its region is, such as [`PAGER_DUTY_EVENTS`].
    pub base: String,
}

impl std::fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PagerDuty").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What an incident is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IncidentKind {
    BreakGlass,
    ReviewOverdue,
    GuardMissing,
}

impl HttpProvider for PagerDuty {
    fn calls(&self, message: &Message, _earlier: Option<&Posted>, _now: Timestamp) -> Result<Vec<HttpCall>, String> {
        let events = match message.notice.event {
            NoticeEvent::BreakGlass => vec![trigger(message, IncidentKind::BreakGlass)],
            NoticeEvent::ReviewOverdue => vec![trigger(message, IncidentKind::ReviewOverdue)],
            NoticeEvent::GuardMissing => vec![trigger(message, IncidentKind::GuardMissing)],
            // Resolving what is not open does nothing.
            NoticeEvent::Justified | NoticeEvent::Unjustified => {
                [IncidentKind::BreakGlass, IncidentKind::ReviewOverdue].map(|kind| resolve(message, kind)).into()
            }
            NoticeEvent::Waits
            | NoticeEvent::Escalated
            | NoticeEvent::Approved
            | NoticeEvent::Denied
            | NoticeEvent::Lapsed
            | NoticeEvent::Failed
            | NoticeEvent::Extended
            | NoticeEvent::EndsSoon
            | NoticeEvent::Expired
            | NoticeEvent::Revoked
            | NoticeEvent::Deleted
            | NoticeEvent::ReviewDue => Vec::new(),
        };
        events.into_iter().map(|event| self.call(event)).collect()
    }

    fn read(&self, answer: &HttpAnswer) -> Reception {
        let status = answer.status;
        match status {
            _ if status.is_success() => Reception::Taken(None),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Reception::Never(format!(
                "it answered {status}: check that pagerDuty.routingKeyFile holds the key of an integration of Events API v2"
            )),
            _ => Reception::Later {
                why: format!("it answered {status}: check pagerDuty.url if it goes on"),
                after: answer.retry_after,
            },
        }
    }
}

impl PagerDuty {
    fn call(&self, mut event: Value) -> Result<HttpCall, String> {
        let key = self.routing_key.expose_secret().trim();
        if key.len() != KEY || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("pagerDuty.routingKeyFile: it holds no key of {KEY} letters and digits"));
        }
        event["routing_key"] = json!(key);
        let url = format!("{}/v2/enqueue", self.base.trim_end_matches('/')).parse();
        let url = url.map_err(|_| format!("pagerDuty.url: it is no address, such as {PAGER_DUTY_EVENTS}"))?;
        Ok(HttpCall::post(url, "application/json", event.to_string()))
    }
}

fn trigger(message: &Message, kind: IncidentKind) -> Value {
    let severity = match kind {
        IncidentKind::BreakGlass | IncidentKind::GuardMissing => "critical",
        IncidentKind::ReviewOverdue => "error",
    };
    let facts =
        message.facts.iter().map(|fact| (fact.label.to_owned(), json!(fitted(&fact.value, DETAIL, str::to_owned))));
    // A command that is cut does something else.
    let command = message.command.iter().filter(|command| command.chars().count() <= DETAIL);
    let command = command.map(|command| ("Command".to_owned(), json!(command)));
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": dedup_key(message, kind),
        "client": CLIENT,
        "payload": {
            "summary": fitted(&message.title, SUMMARY, str::to_owned),
            "source": message.cluster.as_deref().filter(|name| !name.is_empty()).unwrap_or(CLIENT),
            "severity": severity,
            "timestamp": message.notice.at.to_string(),
            "component": "daypass",
            "class": format!("{kind:?}"),
            "custom_details": facts.chain(command).collect::<serde_json::Map<_, _>>(),
        },
    });
    if let Some(link) = &message.link {
        event["client_url"] = json!(link);
        event["links"] = json!([{ "href": link, "text": "Review" }]);
    }
    event
}

fn resolve(message: &Message, kind: IncidentKind) -> Value {
    json!({ "event_action": "resolve", "dedup_key": dedup_key(message, kind) })
}

/// By what an incident is known again. The missing guard is one of the cluster, and not of each request that waits for it; clusters
/// of one service are told apart by the notice where they have no name.
fn dedup_key(message: &Message, kind: IncidentKind) -> String {
    let about = match kind {
        IncidentKind::GuardMissing => &message.notice.id,
        IncidentKind::BreakGlass | IncidentKind::ReviewOverdue => &message.notice.request.uid,
    };
    format!("daypass/{kind:?}/{about}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::MessageFact;
    use crate::notify::providers::cloud_events::samples::{answer, message, now};

    const ROUTING_KEY: &str = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY12";

    fn pager_duty() -> PagerDuty {
        PagerDuty {
            routing_key: format!("{ROUTING_KEY}\n").into(),
            base: "https://events.eu.pagerduty.com/".to_owned(),
        }
    }

    fn events(message: &Message) -> Vec<Value> {
        let calls = pager_duty().calls(message, None, now()).unwrap();
        calls.iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect()
    }

    /// <https://developer.pagerduty.com/docs/send-alert-event> and <https://developer.pagerduty.com/docs/events-api-v2-overview>.
    fn assert_fits(event: &Value) {
        let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(text("/routing_key").len(), 32);
        assert!((1..=255).contains(&text("/dedup_key").chars().count()), "{event}");
        assert!(event.to_string().len() <= 512 * 1024);
        if text("/event_action") == "resolve" {
            return;
        }
        assert_eq!(text("/event_action"), "trigger");
        assert!((1..=1024).contains(&text("/payload/summary").chars().count()), "{event}");
        assert!(!text("/payload/source").is_empty());
        assert!(["critical", "error", "warning", "info"].contains(&text("/payload/severity")), "{event}");
        text("/payload/timestamp").parse::<Timestamp>().unwrap();
        assert!(event["payload"]["custom_details"].is_object());
        for link in event["links"].as_array().unwrap() {
            assert!(link["href"].as_str().unwrap().starts_with("https://daypass.example/"), "{link}");
        }
    }

    #[test]
    fn only_what_cannot_wait_is_an_incident_and_its_review_resolves_it() {
        for event in NoticeEvent::ALL {
            let events = events(&message(event));
            events.iter().for_each(assert_fits);
            let told: Vec<(&str, &str)> = events
                .iter()
                .map(|event| (event["event_action"].as_str().unwrap(), event["dedup_key"].as_str().unwrap()))
                .collect();
            let expected: &[(&str, &str)] = match event {
                NoticeEvent::BreakGlass => &[("trigger", "daypass/BreakGlass/r-1")],
                NoticeEvent::ReviewOverdue => &[("trigger", "daypass/ReviewOverdue/r-1")],
                NoticeEvent::GuardMissing => &[("trigger", "daypass/GuardMissing/r-1/3")],
                NoticeEvent::Justified | NoticeEvent::Unjustified => {
                    &[("resolve", "daypass/BreakGlass/r-1"), ("resolve", "daypass/ReviewOverdue/r-1")]
                }
                _ => &[],
            };
            assert_eq!(told, expected, "{event:?}");
        }
    }

    #[test]
    fn whatever_people_wrote_is_text_and_fits() {
        for written in ["x<&`*_\u{1f389}".repeat(800), "\u{202e}\n\0\"\\".to_owned(), "https://evil.example".to_owned()]
        {
            let mut told = message(NoticeEvent::BreakGlass);
            told.title.clone_from(&written);
            told.facts = vec![MessageFact { label: "Reason", value: written.clone() }];
            let [event] = <[Value; 1]>::try_from(events(&told)).unwrap();
            assert_fits(&event);
            let shown = event["payload"]["custom_details"]["Reason"].as_str().unwrap();
            assert!(shown == written || (shown.ends_with('…') && shown.chars().count() == 2000), "{shown}");
        }
    }

    #[test]
    fn it_is_called_where_the_region_is_and_shows_no_key() {
        let calls = pager_duty().calls(&message(NoticeEvent::BreakGlass), None, now()).unwrap();
        assert_eq!(calls[0].url, "https://events.eu.pagerduty.com/v2/enqueue");
        assert!(!format!("{:?}", pager_duty()).contains("R0UT1NG"));
        for wrong in ["R0UT1NG", "", "R0UT1NG\nR0UT1NGKEYR0UT1NGKEYR0UT1NGK"] {
            let wrong = PagerDuty { routing_key: wrong.into(), ..pager_duty() };
            let why = wrong.calls(&message(NoticeEvent::BreakGlass), None, now()).unwrap_err();
            assert!(!why.contains("R0UT1NG"));
        }
    }

    #[test]
    fn what_it_refuses_is_not_sent_again_and_what_it_cannot_take_is() {
        assert_eq!(pager_duty().read(&answer(202)), Reception::Taken(None));
        assert!(matches!(pager_duty().read(&answer(400)), Reception::Never(_)));
        for status in [401, 404, 429, 500, 503, 307] {
            let Reception::Later { after, .. } = pager_duty().read(&answer(status)) else { panic!("{status}") };
            assert_eq!(after, answer(status).retry_after);
        }
    }
}
