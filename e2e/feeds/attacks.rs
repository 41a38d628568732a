//! Who may feed audit events, tried with real tokens of a real API server.

use serde_json::json;

use super::ground::{FeedGround, WEBHOOK};
use crate::harness::install::NAMESPACE;
use crate::harness::tail::{AUDIENCE, TAIL};
use crate::harness::users::ALICE;

const EVENTS: &str = "/v1/audit/events";
const RECORDS: &str = "/v1/records";

pub async fn who_may_feed(ground: &FeedGround) {
    let line = ground.a_logged_event();
    let tail = ground.token(TAIL, AUDIENCE).await;
    let (records, both) = (ground.token("daypass", "daypass-archive").await, ground.token("daypass", AUDIENCE).await);
    let login = ground.token(TAIL, "https://kubernetes.default.svc").await;
    for (who, token, code) in [
        ("the tail", tail.as_str(), Ok(1)),
        ("the webhook", WEBHOOK, Ok(1)),
        ("nobody", "nobody", Err(401)),
        ("a login of alice", &ALICE.token(), Err(401)),
        ("the tail by a login of the API server", &login, Err(401)),
        ("the controller by its token for records", &records, Err(401)),
        ("the controller, which is no feeder", &both, Err(403)),
    ] {
        let answer = ground.post(EVENTS, token, &line).await.map(|answer| answer["events"].as_u64().expect("a count"));
        assert_eq!(answer, code, "{who}");
    }
    for path in ["/v1/audit/firehose", "/v1/audit/pubsub", "/v1/audit/eventhubs"] {
        for token in [&tail, WEBHOOK, &records] {
            assert_eq!(ground.post(path, token, "{}").await.map(drop), Err(401), "{path}");
        }
    }
    // Stolen, a feed's token writes no records and reads nothing, and opens no API server.
    for token in [&tail, WEBHOOK] {
        assert_eq!(ground.post(RECORDS, token, "{}").await.map(drop), Err(401));
        let read = http::Request::get("/apis/archive.daypass.dev/v1/records").body(Vec::new()).expect("a request");
        assert!(ground.archive.client(token).request_text(read).await.is_err(), "a feed reads");
    }
    let thief = ground.cluster.control_plane.client_for_token("thief-of-tail", &tail).await;
    let namespaces = http::Request::get(format!("/api/v1/namespaces/{NAMESPACE}")).body(Vec::new()).expect("a request");
    assert!(thief.request_text(namespaces).await.is_err(), "the token of the tail opens the API server");
    // What is no event keeps none back.
    let mixed = format!("not JSON\n{line}\n{{\"kind\":\"Event\"}}\n");
    assert_eq!(ground.post(EVENTS, &tail, &mixed).await, Ok(json!({ "events": 1, "unreadable": 2 })));
    let figure =
        format!("daypass_archive_audit_feed_unreadable_total{{feed=\"system:serviceaccount:{NAMESPACE}:{TAIL}\"}}");
    assert_eq!(ground.archive.figure(&figure).await, Ok(2.0));
}
