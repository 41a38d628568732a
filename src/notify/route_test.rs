//! A test message, by which an admin sees that a route leads somewhere before anybody depends on it.
//!
//! Owns what it says. It is about no request, has no command and no link, and must not be noted as told.

use k8s_openapi::jiff::Timestamp;

use super::message::{Message, MessageFact};
use super::providers::Reception;
use super::routes::{NoticeRoute, RoutePlace};
use super::sender::RouteSender;
use crate::core::notice::{Notice, NoticeEvent, NoticedRequest};

/// Who asks for nothing in a test message.
const REQUESTER: &str = "daypass-notify test";

/// Tells a test message on a route, once.
///
/// # Errors
/// Why the place does not take it, without any secret.
pub async fn test(route: &NoticeRoute, cluster: Option<&str>, now: Timestamp) -> Result<(), String> {
    let sender = RouteSender::new(route);
    for event in events(&route.place) {
        match sender.tell(&message(route, *event, cluster, now), None, now).await.reception {
            Reception::Taken(_) => {}
            Reception::Later { why, .. } | Reception::Never(why) => return Err(why),
            Reception::Gone => return Err("the place speaks of an earlier message, and there is none".to_owned()),
        }
    }
    Ok(())
}

/// What a place shows. An incident is resolved again, so that nobody is left with it.
fn events(place: &RoutePlace) -> &'static [NoticeEvent] {
    match place {
        RoutePlace::PagerDuty(_) => &[NoticeEvent::BreakGlass, NoticeEvent::Justified],
        _ => &[NoticeEvent::Approved],
    }
}

fn message(route: &NoticeRoute, event: NoticeEvent, cluster: Option<&str>, now: Timestamp) -> Message {
    let uid = format!("test-{}", now.as_microsecond());
    let request = NoticedRequest {
        namespace: "daypass-test".to_owned(),
        name: route.name.clone(),
        requester: REQUESTER.to_owned(),
        reason: format!("This tries the route {}. Nobody asks for access, and nothing was granted.", route.name),
        uid: uid.clone(),
        ..NoticedRequest::default()
    };
    let facts = vec![MessageFact { label: "Why", value: request.reason.clone() }];
    let notice = Notice {
        id: format!("{uid}/{event:?}"),
        event,
        at: now,
        request,
        automatic: false,
        by: None,
        comment: None,
        message: None,
    };
    let title = format!("Test of route {}: notices arrive here", route.name);
    Message { facts, title, command: None, link: None, ..Message::of(notice, cluster, None) }
}
