//! Campaigns over real connections: who may what, and attacks on it.

use axum::http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::super::overdue;
use super::{OpenArchive, shown};
use crate::api::campaign::{CampaignStart, ItemVerdict, ShownCampaign};
use crate::api::delivery::MOST_BYTES;
use crate::core::campaign::judge::MOST_ITEMS;
use crate::core::campaign::tests::started;
use crate::runtime::clock::Clock;

const CAMPAIGNS: &str = "/apis/archive.daypass.dev/v1/campaigns";

/// Whether somebody may do what a review asks about campaigns: carol starts and closes, owners decide, the auditor reads.
pub(super) fn may(user: &str, asked: &Value) -> bool {
    let part = |name: &str| asked[name].as_str().unwrap_or_default();
    let what = (part("verb"), part("subresource"));
    asked["group"] == "archive.daypass.dev"
        && asked["resource"] == "campaigns"
        && match user {
            "carol" => true,
            "bob" | "olga" | "mallory" => matches!(what, ("list" | "get", "") | ("create", "decisions")),
            "auditor" => matches!(what, ("list" | "get", "")),
            "starter" => matches!(what, ("create", "")),
            _ => false,
        }
}

/// One that is due in an hour.
fn coming(name: &str) -> CampaignStart {
    let due = Clock::wall().now() + k8s_openapi::jiff::SignedDuration::from_hours(1);
    CampaignStart { due: k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(due), ..started(name) }
}

impl OpenArchive {
    /// As the API server calls for somebody in these groups.
    async fn as_user(&self, who: &str, method: Method, path: &str, body: &impl serde::Serialize) -> (u16, Value) {
        let (user, groups) = who.split_once(' ').unwrap_or((who, ""));
        let mut request = Request::builder().method(method.clone()).uri(format!("{CAMPAIGNS}{path}"));
        request = request.header("host", "a").header("x-remote-user", user);
        for group in groups.split(' ').filter(|group| !group.is_empty()) {
            request = request.header("x-remote-group", group);
        }
        let body = if method == Method::GET { Bytes::new() } else { json!(body).to_string().into() };
        let (code, text) = self.call(Some(&self.proxy), request.body(Full::from(body)).unwrap()).await.unwrap();
        (code.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn campaign_for(&self, who: &str) -> ShownCampaign {
        let (code, found) = self.as_user(who, Method::GET, "/h2", &()).await;
        assert_eq!(code, 200, "{found}");
        serde_json::from_value(found["campaign"].clone()).unwrap()
    }

    /// Decides on the access of somebody, as it is shown to carol.
    async fn decide(&self, who: &str, of: &str, verdict: ItemVerdict) -> (u16, Value) {
        let body = self.decision(of, verdict).await;
        self.as_user(who, Method::POST, "/h2/decisions", &body).await
    }

    async fn decision(&self, of: &str, verdict: ItemVerdict) -> Value {
        let shown = self.campaign_for("carol").await;
        let item = shown.items.iter().find(|item| item.item.object.name == of).unwrap();
        json!({ "decisions": [{ "item": item.id, "digest": item.digest, "verdict": verdict, "reason": "asked them" }] })
    }
}

#[tokio::test]
async fn each_does_what_the_roles_of_the_cluster_and_the_owners_of_an_item_allow() {
    let archive = OpenArchive::start().await;
    for (who, code) in [("bob owners", 403), ("auditor", 403), ("nobody system:masters", 403), ("starter", 201)] {
        let (found, answer) = archive.as_user(who, Method::POST, "", &coming("h2")).await;
        assert_eq!(found, code, "{who}: {answer}");
    }
    let again = archive.as_user("carol", Method::POST, "", &coming("h2")).await;
    assert_eq!((again.0, &again.1["reason"]), (409, &json!("AlreadyExists")));
    for (who, of, code) in [
        ("mallory", "alice", 403),
        ("mallory own", "alice", 403),
        // Who starts and closes owns nothing by that.
        ("carol", "alice", 403),
        ("auditor owners", "alice", 403),
        ("bob", "bob", 403),
        ("olga owners ops", "ops", 403),
        ("bob", "alice", 200),
        ("olga owners", "bob", 200),
        // The same person, whose login says the group no longer.
        ("olga", "bob", 403),
    ] {
        let (found, answer) = archive.decide(who, of, ItemVerdict::Confirm).await;
        assert_eq!(found, code, "{who} on {of}: {answer}");
    }
    let counts = archive.campaign_for("carol").await.counts;
    assert_eq!((counts.items, counts.open, counts.confirmed), (3, 1, 2));
    let shown = archive.campaign_for("bob").await;
    assert_eq!((shown.whole, shown.items.len()), (false, 3));
    assert!(archive.campaign_for("auditor").await.whole);
    for (who, path, code) in [
        ("mallory", "/h2", 404),
        ("bob", "/none", 404),
        ("bob", "/H2", 404),
        ("bob", "/h2?format=jsonl", 403),
        ("bob", "/h2?format=csv", 400),
        ("starter", "/h2", 403),
        ("auditor", "/h2?format=jsonl", 200),
    ] {
        assert_eq!(archive.as_user(who, Method::GET, path, &()).await.0, code, "{who} {path}");
    }
    let names = async |who: &str| archive.as_user(who, Method::GET, "", &()).await.1["items"].as_array().unwrap().len();
    assert_eq!((names("bob").await, names("mallory").await, names("auditor").await), (1, 0, 1));
}

#[tokio::test]
async fn what_was_shown_before_and_what_is_closed_is_not_decided_on() {
    let archive = OpenArchive::start().await;
    assert_eq!(archive.as_user("carol", Method::POST, "", &coming("h2")).await.0, 201);
    let old = archive.decision("alice", ItemVerdict::Confirm).await;
    let shown = archive.campaign_for("carol").await;
    let alice = shown.items.iter().find(|item| item.item.object.name == "alice").unwrap();
    let mut now = alice.item.clone();
    now.role.as_mut().unwrap().name = "cluster-admin".to_owned();
    let look = json!({ "items": [{ "id": alice.id, "item": now }] });
    for (who, code) in [("bob owners", 403), ("auditor", 403), ("carol", 200)] {
        assert_eq!(archive.as_user(who, Method::PUT, "/h2/look", &look).await.0, code, "{who}");
    }
    let (code, refused) = archive.as_user("bob", Method::POST, "/h2/decisions", &old).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")), "{refused}");
    assert_eq!(archive.decide("bob", "alice", ItemVerdict::Remove).await.0, 200);
    let close = async |last: &str| {
        archive.as_user("carol", Method::PUT, "/h2/close", &json!({ "acknowledged": "seen", "last": last })).await.0
    };
    assert_eq!(archive.as_user("bob", Method::PUT, "/h2/close", &json!({})).await.0, 403);
    assert_eq!(close(&shown.last).await, 409, "carol has not seen the decision");
    let last = archive.campaign_for("carol").await.last;
    assert_eq!(close(&last).await, 200);
    assert_eq!(archive.decide("bob", "alice", ItemVerdict::Confirm).await.0, 409);
    assert_eq!(archive.as_user("carol", Method::PUT, "/h2/look", &look).await.0, 409);
    let (_, lines) = archive.as_user("auditor", Method::GET, "/h2?format=jsonl", &()).await;
    let kinds: Vec<String> = lines
        .as_str()
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(kinds, ["Started", "Looked", "Decided", "Closed"]);
}

#[tokio::test]
async fn what_is_left_to_decide_is_counted_until_somebody_closes_the_campaign() {
    let archive = OpenArchive::start().await;
    let left = async |hours: i64| {
        let now = Clock::wall().now() + k8s_openapi::jiff::SignedDuration::from_hours(hours);
        let left = overdue::left(&archive.store, "here", now).await.unwrap();
        archive.figures.reviewing(left);
        (left.open, left.overdue)
    };
    assert_eq!(left(2).await, (0, 0));
    assert_eq!(archive.as_user("carol", Method::POST, "", &coming("h2")).await.0, 201);
    assert_eq!((left(0).await, left(2).await), ((1, 0), (1, 3)), "nothing is overdue before it is due");
    assert_eq!(archive.decide("bob", "alice", ItemVerdict::Confirm).await.0, 200);
    assert_eq!(left(2).await, (1, 2));
    assert_eq!(overdue::left(&archive.store, "there", Clock::wall().now()).await.unwrap().open, 0);
    let text = archive.figures.text().unwrap();
    for line in ["campaigns_open 1", "campaign_items_overdue 2"] {
        assert!(text.contains(&format!("\ndaypass_archive_{line}\n")), "{line} in {text}");
    }
    let last = archive.campaign_for("carol").await.last;
    let close = json!({ "acknowledged": "seen", "last": last });
    assert_eq!(archive.as_user("carol", Method::PUT, "/h2/close", &close).await.0, 200);
    assert_eq!(left(2).await, (0, 0));
}

#[tokio::test]
async fn nobody_but_the_api_server_says_who_somebody_is_and_too_much_is_refused() {
    let archive = OpenArchive::start().await;
    let body = json!(coming("h2")).to_string();
    let call = async |shown: Option<&super::Shown>, path: &str, body: String| {
        let request = Request::post(format!("{CAMPAIGNS}{path}")).header("host", "a").header("x-remote-user", "carol");
        let request = request.header("x-remote-group", "system:masters").header("authorization", "Bearer push");
        archive.call(shown, request.body(Full::from(body)).unwrap()).await.map(|(code, _)| code)
    };
    let of_another = shown(&super::authority(), "front-proxy-client");
    let other_name = shown(&archive.authority, "somebody");
    assert_eq!(call(None, "", body.clone()).await, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(call(Some(&other_name), "", body.clone()).await, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(call(Some(&of_another), "", body.clone()).await, None, "TLS refuses it");
    assert_eq!(archive.store.campaigns("here").await.unwrap(), [""; 0]);
    let of = |change: &dyn Fn(&mut CampaignStart)| {
        let mut start = coming("h2");
        change(&mut start);
        json!(start).to_string()
    };
    for (body, code) in [
        (of(&|start| start.cluster = "there".to_owned()), StatusCode::FORBIDDEN),
        (of(&|start| start.items = vec![start.items[0].clone(); MOST_ITEMS + 1]), StatusCode::BAD_REQUEST),
        (of(&|start| start.items.clear()), StatusCode::BAD_REQUEST),
        (" ".repeat(MOST_BYTES + 1), StatusCode::PAYLOAD_TOO_LARGE),
        ("{}".to_owned(), StatusCode::BAD_REQUEST),
        (body.replacen('{', "{\"more\":1,", 1), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(call(Some(&archive.proxy), "", body.clone()).await, Some(code), "{}", &body[..body.len().min(80)]);
    }
    assert_eq!(call(Some(&archive.proxy), "?dryRun=All", body.clone()).await, Some(StatusCode::BAD_REQUEST));
    assert_eq!(archive.store.campaigns("here").await.unwrap(), [""; 0]);
    assert_eq!(call(Some(&archive.proxy), "", body).await, Some(StatusCode::CREATED));
}

#[tokio::test]
async fn those_who_decide_at_once_lose_nothing_and_a_changed_line_is_found() {
    let archive = OpenArchive::start().await;
    assert_eq!(archive.as_user("carol", Method::POST, "", &coming("h2")).await.0, 201);
    let (alice, bob) =
        (archive.decision("alice", ItemVerdict::Confirm).await, archive.decision("bob", ItemVerdict::Remove).await);
    let send = |who: &'static str, body: Value| {
        let archive = &archive;
        async move { archive.as_user(who, Method::POST, "/h2/decisions", &body).await.0 }
    };
    let of = |n: usize| if n.is_multiple_of(2) { send("bob", alice.clone()) } else { send("olga owners", bob.clone()) };
    let codes = futures::future::join_all((0..10).map(of)).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    let made: usize = archive.campaign_for("carol").await.items.iter().map(|item| item.decisions.len()).sum();
    assert_eq!(made, 10);
    let file = archive._folder.path().join("archive.db");
    let beside = rusqlite::Connection::open(file).unwrap();
    beside
        .execute_batch("UPDATE campaign_entry SET body = replace(body, 'asked them', 'had it') WHERE idx = 3")
        .unwrap();
    let (code, answer) = archive.as_user("carol", Method::GET, "/h2", &()).await;
    assert_eq!((code, &answer["reason"]), (500, &json!("InternalError")), "{answer}");
}
