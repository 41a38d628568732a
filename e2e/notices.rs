//! What people are told of requests on a real API server, by the notifier of the chart as its own account: each thing once and
//! in order, whatever becomes of the notifier and of the places that it calls.

mod sink;
mod slack;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daypass::api::State;
use futures::{StreamExt, stream};
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};
use tokio::time::Duration;

use self::sink::{EventSink, SinkManner};
use self::slack::{CHANNEL, SlackMessage, SlackWorkspace, TOKEN};
use crate::chart::metrics::{HISTOGRAM_OF_NOTIFIER, OF_NOTIFIER};
use crate::harness::cast::{self, SOON};
use crate::harness::install::NAMESPACE;
use crate::harness::notifier::{NOTIFIER, PROGRAM, RunningNotifier, STATE, VALUES};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::private_control_plane;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, MALLORY};
use crate::harness::{Cluster, ControlPlane, alone, eventually};
use crate::mail::OthersServer;
use crate::plugin::request::stages;
use crate::{chart, mail, outputs, rights};

pub fn trials() -> Vec<Trial> {
    vec![
        alone("notices::a_request_is_one_message_in_slack_that_changes_as_it_goes_on", AUDIT_POLICY, one_message),
        alone("notices::a_receiver_that_comes_and_goes_gets_each_event_in_order", AUDIT_POLICY, comes_and_goes),
        alone("notices::a_hundred_requests_are_told_whole_by_a_notifier_that_is_killed", AUDIT_POLICY, killed),
        Trial::ignorable_test("notices::a_request_is_one_conversation_by_mail", || match mail::is_missing() {
            Some(why) => Ok(Completion::ignored_with(why)),
            None => private_control_plane(by_mail).map(|()| Completion::Completed),
        }),
    ]
}

/// How many requests there are at a time when the notifier is killed.
const HUNDRED: usize = 100;
/// How often it is killed meanwhile.
const KILLS: usize = 6;
/// How many people ask or decide at the same moment.
const AT_A_TIME: usize = 8;
/// Where links lead.
const LINK: &str = "https://daypass.example";

/// A cluster whose chart has a notifier, and a namespace whose policy asks for approval.
async fn install(control_plane: Arc<ControlPlane>) -> (Cluster, String) {
    let cluster = Cluster::with(control_plane, &VALUES).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    let namespace = cluster.namespace("told").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    (cluster, namespace)
}

/// Writes a file with a secret.
fn secret(control_plane: &ControlPlane, name: &str, text: &str) -> PathBuf {
    let file = control_plane.dir().join(name);
    std::fs::write(&file, text).expect("write a secret");
    file
}

/// A route to this workspace, with more fields.
fn to_slack(control_plane: &ControlPlane, api: &str, more: Value) -> Value {
    let token = secret(control_plane, "slack-token", TOKEN);
    let slack = json!({ "channel": CHANNEL, "tokenFile": token, "url": api, "pace": "0s" });
    within(json!({ "name": "platform", "slack": slack }), more)
}

/// A route of everything to this receiver, with more fields.
fn to_sink(control_plane: &ControlPlane, name: &str, sink: &EventSink, more: Value) -> Value {
    let secrets = secret(control_plane, "signing", &format!("whsec_{}", STANDARD.encode(outputs::KEY)));
    let url = secret(control_plane, &format!("{name}-url"), &sink.url);
    within(json!({ "name": name, "cloudEvents": { "urlFile": url, "secretsFile": secrets } }), more)
}

/// A route that may reach this machine.
fn within(mut route: Value, more: Value) -> Value {
    (route["allowPlain"], route["allowPrivate"]) = (json!(true), json!(["127.0.0.0/8"]));
    route["events"] = json!(["Waits", "Escalated", "Decided", "EndsSoon", "Ended", "BreakGlass", "ReviewDue"]);
    for (field, value) in more.as_object().expect("fields") {
        route[field] = value.clone();
    }
    route
}

async fn until(what: &str, holds: impl Fn() -> Result<(), String>) {
    eventually(what, SOON, async || holds()).await;
}

/// Waits until the message about a request has this as its last title. The message.
async fn until_says(slack: &SlackWorkspace, request: &str, title: &str) -> SlackMessage {
    eventually(&format!("Slack says {title:?} of {request}"), SOON, async || {
        let message = slack.message(&format!("/{request}\""))?;
        match message.titles().last() {
            Some(last) if last.contains(title) => Ok(message),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn one_message(control_plane: Arc<ControlPlane>) {
    let (cluster, namespace) = install(control_plane).await;
    let (slack, api) = SlackWorkspace::start().await;
    let routes =
        json!({ "link": LINK, "endsSoon": "4s", "routes": [to_slack(&cluster.control_plane, &api, json!({}))] });
    let mut notifier = RunningNotifier::start(&cluster.control_plane, NOTIFIER, &routes).await;
    a_life(&cluster, &namespace, &slack).await;
    told_to_whoever_heard(&cluster, &namespace, &slack).await;
    what_happened_meanwhile(&cluster, &namespace, &slack, &mut notifier).await;
    nothing_shows_a_secret(&cluster, &notifier).await;
    a_test(&slack, &cluster.control_plane.dir().join(NOTIFIER)).await;
    another_takes_over(&cluster, &namespace, &slack, &mut notifier, &routes).await;
    each_right_is_used(&cluster).await;
}

/// From the request to its end there is one message, with an answer where somebody must act.
async fn a_life(cluster: &Cluster, namespace: &str, slack: &SlackWorkspace) {
    let reason = "<!channel> &amp; <https://evil.example|prices>";
    cluster.ask(ALICE, namespace, "fix", json!({ "duration": "7s", "reason": reason })).await;
    let waits = until_says(slack, "fix", "alice asks for edit").await;
    let shown = waits.shown();
    assert!(shown.contains(&format!("kubectl daypass approve fix -n {namespace}")), "{shown}");
    assert!(shown.contains(&format!("<{LINK}/r/{namespace}/fix?uid=")), "{shown}");
    // What people wrote is text: Slack obeys nothing but its own brackets.
    assert!(shown.contains("&lt;!channel&gt; &amp;amp; &lt;https://evil.example|prices&gt;"), "{shown}");
    // What is granted without asking anybody is told to nobody.
    let own = json!({ "roles": [{ "name": "view" }], "requesters": [{ "kind": "User", "name": "bob" }] });
    cluster.allow(&format!("{namespace}-own"), namespace, own).await;
    cluster.ask(BOB, namespace, "automatic", json!({ "role": { "name": "view" }, "duration": "2s" })).await;
    cluster.until(namespace, "automatic", State::Expired).await;
    cluster.review(CAROL, namespace, "fix", "Approve", "go on").await;
    let over = until_says(slack, "fix", "Expired: edit").await;
    let titles: Vec<&str> = over.titles().iter().map(|title| title.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(titles, ["alice", "Approved", "Ends", "Expired"], "{over:#?}");
    let replies: Vec<SlackMessage> = slack.messages().into_iter().filter(|message| message.thread.is_some()).collect();
    assert_eq!(replies.len(), 1, "an end that comes soon must be heard, and nothing else: {replies:#?}");
    assert!(replies[0].thread.as_ref() == Some(&over.ts) && replies[0].shown().contains("extend fix"), "{replies:#?}");
    assert!(slack.messages().iter().all(|message| !message.shown().contains("/automatic\"")));
}

/// A request that waits is deleted: the message says so.
async fn told_to_whoever_heard(cluster: &Cluster, namespace: &str, slack: &SlackWorkspace) {
    cluster.ask(ALICE, namespace, "mistake", json!({})).await;
    until_says(slack, "mistake", "alice asks for edit").await;
    cluster.kubectl(ALICE).ok(&["delete", "areq", "mistake", "-n", namespace]).await;
    until_says(slack, "mistake", "Deleted: edit").await;
}

/// A notifier that was killed goes on where it was, with the same message.
async fn what_happened_meanwhile(
    cluster: &Cluster,
    namespace: &str,
    slack: &SlackWorkspace,
    notifier: &mut RunningNotifier,
) {
    cluster.ask(ALICE, namespace, "later", json!({})).await;
    until_says(slack, "later", "alice asks for edit").await;
    until_noted(cluster, "later").await;
    notifier.kill();
    cluster.review(CAROL, namespace, "later", "Deny", "not today").await;
    cluster.until(namespace, "later", State::Denied).await;
    cluster.ask(ALICE, namespace, "meanwhile", json!({})).await;
    cluster.until_reason(namespace, "meanwhile", "Approved", "ApprovalNeeded").await;
    notifier.run().await;
    until_says(slack, "meanwhile", "alice asks for edit").await;
    let later = until_says(slack, "later", "Denied by carol").await;
    assert_eq!(later.versions.len(), 2, "{later:#?}");
    assert!(later.shown().contains("not today"), "{later:#?}");
    let roots = slack.messages().iter().filter(|message| message.thread.is_none()).count();
    assert_eq!(roots, 4, "one for each request that was told of: {:#?}", slack.messages());
}

/// Waits until it is noted that something was told of a request.
async fn until_noted(cluster: &Cluster, request: &str) {
    let get = ["get", "configmap", STATE, "-n", NAMESPACE, "-o", "jsonpath={.data}"];
    eventually("what was told is noted", SOON, async || {
        let noted = cluster.kubectl(ADMIN).ok(&get).await;
        if noted.contains(&format!(r#"\"{request}\""#)) { Ok(()) } else { Err(noted) }
    })
    .await;
}

/// Of two replicas one tells. The other takes over when it ends.
async fn another_takes_over(
    cluster: &Cluster,
    namespace: &str,
    slack: &SlackWorkspace,
    first: &mut RunningNotifier,
    routes: &Value,
) {
    let second = RunningNotifier::start(&cluster.control_plane, "daypass-notify-2", routes).await;
    let (_, standing) = second.get("/readyz").await.expect("it answers");
    assert!(standing.starts_with("ok: stands by"), "{standing}");
    cluster.ask(ALICE, namespace, "two", json!({})).await;
    until_says(slack, "two", "alice asks for edit").await;
    first.terminate().await;
    assert!(first.log().contains("the lease is given back"), "the other must not wait for it: {}", first.log());
    cluster.review(CAROL, namespace, "two", "Deny", "").await;
    let two = until_says(slack, "two", "Denied by carol").await;
    assert_eq!(two.versions.len(), 2, "{two:#?}");
    assert_eq!(second.figure(r#"daypass_notify_told_total{route="platform"}"#).await, Some(1.0));
}

/// An admin tries a route.
async fn a_test(slack: &SlackWorkspace, folder: &Path) {
    let config = folder.join("etc/daypass-notify/notify.yaml");
    let test = |route: &str| {
        let asked = Command::new(PROGRAM).args(["test", route, "--config"]).arg(&config).output().expect("run it");
        let text = [asked.stdout, asked.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
        (asked.status.code(), text)
    };
    let before = slack.messages().len();
    assert_eq!(test("platform"), (Some(0), "platform: the test message was taken\n".to_owned()));
    let messages = slack.messages();
    assert_eq!(messages.len(), before + 1, "{messages:#?}");
    assert!(messages[before].shown().contains("Nobody asks for access"), "{messages:#?}");
    let (code, text) = test("nowhere");
    assert!(code == Some(1) && text.contains("there is platform"), "{code:?}: {text}");
}

async fn nothing_shows_a_secret(cluster: &Cluster, notifier: &RunningNotifier) {
    let state = cluster.kubectl(ADMIN).ok(&["get", "configmap", STATE, "-n", NAMESPACE, "-o", "yaml"]).await;
    let (_, figures) = notifier.get("/metrics").await.expect("it answers");
    for name in OF_NOTIFIER.into_iter().chain([HISTOGRAM_OF_NOTIFIER]) {
        assert!(figures.contains(&format!("# TYPE {} ", name.trim_end_matches("_total"))), "no {name}: {figures}");
    }
    for text in [state, figures, notifier.log()] {
        assert!(!text.contains("xoxb"), "{text}");
    }
}

/// The rights of its account are those that it uses.
async fn each_right_is_used(cluster: &Cluster) {
    let values: Vec<&str> = VALUES.iter().flat_map(|value| ["--set", value]).collect();
    let rendered = chart::render(&cluster.control_plane, &values).await;
    let listed = rights::single(&chart::rights_of(&rendered, NOTIFIER));
    let account = format!("system:serviceaccount:{NAMESPACE}:{NOTIFIER}");
    let called =
        cluster.control_plane.audit_log().iter().filter_map(|event| rights::call_by(&account, event)).collect();
    rights::are_the_same(&listed, &called);
}

async fn comes_and_goes(control_plane: Arc<ControlPlane>) {
    let (cluster, namespace) = install(control_plane).await;
    let (audit, other, elsewhere) = (EventSink::start().await, EventSink::start().await, EventSink::start().await);
    let mut local = elsewhere.clone();
    local.url = local.url.replace("127.0.0.1", "localhost");
    let routes = json!({ "routes": [
        to_sink(&cluster.control_plane, "audit", &audit, json!({ "automatic": true })),
        to_sink(&cluster.control_plane, "other", &other, json!({ "events": ["Waits"] })),
        // By name it leads to this machine, which it may not reach.
        to_sink(&cluster.control_plane, "inside", &local, json!({ "allowPrivate": [] })),
    ] });
    let notifier = RunningNotifier::start(&cluster.control_plane, NOTIFIER, &routes).await;
    let ask = async |name: &str| {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        until(&format!("the other receiver hears of {name}"), || match other.of(name).len() {
            1 => Ok(()),
            n => Err(format!("{n} times")),
        })
        .await;
    };
    let until_told = async |name: &str, events: &[&str]| {
        until(&format!("{events:?} of {name} are told"), || {
            let told = audit.of(name);
            if told == events { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    };
    ask("first").await;
    until_told("first", &["Waits"]).await;
    // It fails: what happens meanwhile waits, and comes in order.
    audit.behave(SinkManner::Refuses(503, None));
    cluster.review(CAROL, &namespace, "first", "Approve", "").await;
    cluster.until(&namespace, "first", State::Active).await;
    cluster.review(ALICE, &namespace, "first", "Revoke", "").await;
    cluster.until(&namespace, "first", State::Revoked).await;
    let failures = r#"daypass_notify_failures_total{route="audit"}"#;
    until_at_least(&notifier, failures, 2.0).await;
    audit.behave(SinkManner::Takes);
    until_told("first", &["Waits", "Approved", "Revoked"]).await;
    // Nothing follows a redirect: where it leads, nothing arrives.
    audit.behave(SinkManner::SendsTo(elsewhere.url.clone()));
    let before = audit.calls();
    ask("second").await;
    until("the redirect was answered", || if audit.calls() > before { Ok(()) } else { Err("no call".to_owned()) })
        .await;
    audit.behave(SinkManner::Takes);
    until_told("second", &["Waits"]).await;
    ten_minutes(&notifier, &audit, &ask, &until_told).await;
    never_taken(&cluster, &notifier, &audit, &ask, &until_told).await;
    // Whoever leads a route to the inside gets nothing, and the log says why.
    assert_eq!(elsewhere.calls(), 0, "{:#?}", elsewhere.taken());
    let log = notifier.log();
    assert!(log.contains("allowPrivate") && log.contains(r#""route":"inside""#), "{log}");
    until_at_least(&notifier, r#"daypass_notify_waiting{route="inside"}"#, 3.0).await;
}

/// A receiver asks to be left alone for ten minutes, and is.
async fn ten_minutes(
    notifier: &RunningNotifier,
    audit: &EventSink,
    ask: &impl AsyncFn(&str),
    until_told: &impl AsyncFn(&str, &[&str]),
) {
    audit.behave(SinkManner::Refuses(429, Some(600)));
    let before = audit.calls();
    ask("third").await;
    until("it was asked to wait", || if audit.calls() > before { Ok(()) } else { Err("no call".to_owned()) }).await;
    audit.behave(SinkManner::Takes);
    // The other receiver hears of what comes after that, so the notifier has gone on, and left this one alone.
    ask("fourth").await;
    assert_eq!(audit.calls(), before + 1, "it asked for ten minutes");
    notifier.ahead(Duration::from_secs(601));
    ask("fifth").await;
    for name in ["third", "fourth", "fifth"] {
        until_told(name, &["Waits"]).await;
    }
    let told = audit.taken();
    let last: Vec<&str> =
        told[told.len() - 3..].iter().filter_map(|event| event["data"]["request"]["name"].as_str()).collect();
    assert_eq!(last, ["third", "fourth", "fifth"], "what happened first is told first");
}

/// What a receiver refuses for good is not tried again and can be looked at; what follows is told.
async fn never_taken(
    cluster: &Cluster,
    notifier: &RunningNotifier,
    audit: &EventSink,
    ask: &impl AsyncFn(&str),
    until_told: &impl AsyncFn(&str, &[&str]),
) {
    audit.behave(SinkManner::Refuses(422, None));
    let before = audit.calls();
    ask("sixth").await;
    until_at_least(notifier, r#"daypass_notify_dead_total{route="audit"}"#, 1.0).await;
    audit.behave(SinkManner::Takes);
    ask("seventh").await;
    until_told("seventh", &["Waits"]).await;
    assert_eq!((audit.calls(), audit.of("sixth").len()), (before + 2, 0), "it was tried again");
    let get = ["get", "configmap", STATE, "-n", NAMESPACE, "-o", "jsonpath={.data.dead}"];
    let dead: Value = serde_json::from_str(&cluster.kubectl(ADMIN).ok(&get).await).expect("JSON");
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert!(dead[0]["route"] == "audit" && dead[0]["why"].as_str().is_some_and(|why| why.contains("422")), "{dead}");
}

async fn until_at_least(notifier: &RunningNotifier, series: &str, least: f64) {
    eventually(&format!("{series} is {least} at least"), SOON, async || match notifier.figure(series).await {
        Some(figure) if figure >= least => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn killed(control_plane: Arc<ControlPlane>) {
    let (cluster, namespace) = install(control_plane).await;
    let (slack, api) = SlackWorkspace::start().await;
    let sink = EventSink::start().await;
    let routes = json!({ "routes": [
        to_slack(&cluster.control_plane, &api, json!({})), to_sink(&cluster.control_plane, "audit", &sink, json!({})),
    ] });
    let mut notifier = RunningNotifier::start(&cluster.control_plane, NOTIFIER, &routes).await;
    let names: Vec<String> = (0..HUNDRED).map(|n| format!("fix-{n:02}")).collect();
    let people = async {
        let asked = stream::iter(&names).map(|name| cluster.ask(ALICE, &namespace, name, json!({})));
        asked.buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
        let decided = stream::iter(&names).map(|name| async {
            cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
            cluster.review(CAROL, &namespace, name, "Deny", "no").await;
            cluster.until(&namespace, name, State::Denied).await;
        });
        decided.buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
    };
    let killer = async {
        for _ in 0..KILLS {
            let enough = slack.calls() + HUNDRED / KILLS;
            until(
                "it has told some",
                || if slack.calls() >= enough { Ok(()) } else { Err(format!("{}", slack.calls())) },
            )
            .await;
            notifier.kill();
            notifier.run().await;
        }
    };
    tokio::join!(people, killer);
    let mut again = 0;
    for name in &names {
        let message = eventually(&format!("{name} is told"), SOON, async || {
            let messages = slack.messages();
            let of_it: Vec<_> =
                messages.iter().filter(|message| message.shown().contains(&format!("/{name}\""))).collect();
            let is_over =
                |message: &&&SlackMessage| message.titles().last().is_some_and(|title| title.starts_with("Denied"));
            let over = of_it.iter().find(is_over).map(|message| (**message).clone());
            again += over.as_ref().map_or(0, |_| of_it.len() - 1);
            over.ok_or_else(|| format!("{of_it:#?}"))
        })
        .await;
        again += message.versions.len().saturating_sub(2);
        until("the receiver has it too", || in_order(&sink.of(name)).map(|_| ())).await;
        again += in_order(&sink.of(name)).expect("it was complete");
    }
    println!("{again} of {} calls were made again after {KILLS} kills", 4 * HUNDRED);
    assert!(again <= 2 * KILLS, "each kill repeats what each route was telling, and no more: {again}");
}

async fn by_mail() {
    let control_plane = Arc::new(ControlPlane::start_with(AUDIT_POLICY, &[]).await);
    let (cluster, namespace) = install(control_plane).await;
    let mut server = OthersServer::start().await;
    let password = secret(&cluster.control_plane, "mail-password", &format!("{}\n", mail::PASSWORD));
    let entry = json!({
        "server": server.address(), "from": "Daypass <daypass@corp.example>",
        "to": ["leads@corp.example", "Security <security@corp.example>"],
        "username": mail::USERNAME, "passwordFile": password,
    });
    let events = json!(["Waits", "Decided"]);
    let route = json!({
        "name": "leads", "mail": entry, "caFile": server.authority(), "allowPrivate": ["127.0.0.0/8"], "events": events,
    });
    let notifier = RunningNotifier::start(&cluster.control_plane, NOTIFIER, &json!({ "routes": [route] })).await;
    // What a person writes is no header and no end of the mail.
    let reason = "prices are wrong\r\n.\r\nBcc: mallory@evil.example";
    cluster.ask(ALICE, &namespace, "fix", json!({ "reason": reason })).await;
    let asked = server.mail().await;
    assert_eq!(asked["to"], json!(["leads@corp.example", "security@corp.example"]));
    assert_eq!((&asked["headers"]["Bcc"], &asked["defects"]), (&json!(null), &json!([])), "{asked}");
    cluster.review(CAROL, &namespace, "fix", "Deny", "no").await;
    let answered = server.mail().await;
    assert_eq!(answered["headers"]["In-Reply-To"], asked["headers"]["Message-ID"], "{answered}");
    assert_ne!(answered["headers"]["Message-ID"], asked["headers"]["Message-ID"]);
    assert!(answered["body"].as_str().is_some_and(|body| body.contains("carol: no")), "{answered}");
    assert!(!notifier.log().contains(mail::PASSWORD), "{}", notifier.log());
}

/// How many events were told again, where all are there and in order.
fn in_order(events: &[String]) -> Result<usize, String> {
    let mut once = events.to_vec();
    once.dedup();
    let whole = once == ["Waits", "Denied"] || once == ["Denied"];
    if whole { Ok(events.len() - once.len()) } else { Err(format!("{events:?}")) }
}
