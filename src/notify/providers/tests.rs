//! What all places are told, held against rules that each publishes, whatever people wrote.

use http::StatusCode;
use secrecy::SecretString;
use serde_json::Value;

use super::slack::{SLACK_API, Slack};
use super::teams::Teams;
use super::webhook::IncomingWebhook;
use super::*;
use crate::core::laws::fixtures::user;
use crate::core::notice::{Notice, NoticeEvent};
use crate::notify::message::golden::notice;
use crate::notify::routes::WebhookFormat;

mod places;

/// Part of every secret here.
const SECRET: &str = "xoxb-S3CRET";

fn slack() -> Slack {
    Slack { channel: "C024BE91L".to_owned(), token: SECRET.into(), base: SLACK_API.parse().unwrap() }
}

fn secret_url() -> SecretString {
    format!("https://hooks.example/{SECRET}\n").into()
}

fn teams() -> Teams {
    Teams { url: secret_url() }
}

fn webhook(format: WebhookFormat) -> IncomingWebhook {
    IncomingWebhook { format, url: secret_url() }
}

const FORMATS: [WebhookFormat; 3] = [WebhookFormat::Mattermost, WebhookFormat::Discord, WebhookFormat::GoogleChat];

fn message(notice: Notice) -> Message {
    Message::of(notice, Some("prod"), Some("https://daypass.example"))
}

fn told(event: NoticeEvent) -> Message {
    message(notice(event))
}

fn now() -> k8s_openapi::jiff::Timestamp {
    "2026-11-30T14:51:00Z".parse().unwrap()
}

fn first() -> Posted {
    Posted { place: Some("C0FIRST".to_owned()), id: Some("1503435956.000247".to_owned()) }
}

fn body(call: &HttpCall) -> Value {
    serde_json::from_str(&call.body).unwrap()
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status: StatusCode::from_u16(status).unwrap(), retry_after: None, body: body.as_bytes().to_vec() }
}

/// What somebody could write who means harm, or knows no better.
fn hostile() -> Vec<String> {
    let long = "x<&`*_".repeat(5000 / 6);
    let written = [
        "<!channel> <!here> <!everyone> <@U024BE7LH> <!subteam^SAZ94GDB8> <#C024BE91L>",
        "@channel @here @all @everyone @bob <@123456789012345678> <@&1> <users/all>",
        "<https://evil.example|Review> [Review](https://evil.example) <https://evil.example>",
        "https://evil.example/?a=b&c www.evil.example WwW.evil.example HTTPS://evil.example bob@evil.example",
        "*b* **b** _i_ __u__ ~s~ ~~s~~ `c` ```c``` ||s|| # h > q - l 1. l | t | \\ :smile: $x$",
        "a\n# h\n```\n@channel\n<!channel>\r\n> q",
        "\u{202e}evil\u{202c} \u{200f}\u{2066}x\u{2069} עברית \u{200b}",
        "&lt;!channel&gt; &amp; &#60;b&#62; <b>b</b> <at>bob@corp.example</at> <script>1</script>",
        "👩\u{200d}👩\u{200d}👧 🎉 é 東京",
        "{{DATE(2026-11-30T14:51:00Z,SHORT)}} ${x} \"quoted\" \u{1b}[2K\u{7}\0",
        "`",
        "```",
        "\\",
        "<",
        "@",
        "",
    ];
    let emoji = "🎉&".repeat(2500);
    let mut all: Vec<String> = written.iter().map(|text| (*text).to_owned()).collect();
    all.extend([long, emoji, "`".repeat(5000), "\\".repeat(5000), "\n".repeat(5000), "@channel ".repeat(600)]);
    all
}

/// Writes a text into a field of a notice.
type Written = fn(&mut Notice, String);

/// Each field that people write, with a way to set it.
fn fields() -> Vec<(&'static str, Written)> {
    vec![
        ("namespace", |n, text| n.request.namespace = text),
        ("name", |n, text| n.request.name = text),
        ("uid", |n, text| n.request.uid = text),
        ("requester", |n, text| n.request.requester = text),
        ("access", |n, text| n.request.access = text),
        ("place", |n, text| n.request.place = text),
        ("length", |n, text| n.request.length = text),
        ("reason", |n, text| n.request.reason = text),
        ("ticket", |n, text| n.request.ticket = Some(text)),
        ("policy", |n, text| n.request.policy = Some(text)),
        ("risk", |n, text| n.request.risk = Some(text.as_str().into())),
        ("extends", |n, text| n.request.extends = Some(text)),
        ("stage", |n, text| n.request.stage = Some(text)),
        ("approvers", |n, text| n.request.approvers = vec![user(&text); 3]),
        ("approved_by", |n, text| n.request.approved_by = vec![text; 3]),
        ("by", |n, text| n.by = Some(text)),
        ("comment", |n, text| n.comment = Some(text)),
        ("message", |n, text| n.message = Some(text)),
    ]
}

/// Notices of each sort with every hostile text in every field, and in all of them at once.
fn hostile_messages(check: impl Fn(&Message, &str)) {
    for event in [NoticeEvent::Waits, NoticeEvent::Denied, NoticeEvent::Justified, NoticeEvent::GuardMissing] {
        for text in hostile() {
            let mut all = notice(event);
            for (field, set) in fields() {
                let mut one = notice(event);
                set(&mut one, text.clone());
                let start: String = text.chars().take(30).collect();
                check(&message(one), &format!("{event:?} {field} {start:?}"));
                set(&mut all, text.clone());
            }
            check(&message(all), &format!("{event:?} with all"));
        }
    }
}

#[test]
fn whatever_people_write_slack_is_told_by_its_rules() {
    hostile_messages(|message, case| {
        for earlier in [None, Some(first())] {
            for call in slack().calls(message, earlier.as_ref(), now()).unwrap() {
                places::slack(&call, message).unwrap_or_else(|broken| panic!("{case}: {broken}\n{}", call.body));
            }
        }
    });
}

#[test]
fn whatever_people_write_teams_is_told_by_its_rules() {
    let schema = places::CardSchema::new();
    hostile_messages(|message, case| {
        let calls = teams().calls(message, None, now()).unwrap();
        let [call] = calls.as_slice() else { panic!("{case}: {} calls", calls.len()) };
        schema.holds(call, message).unwrap_or_else(|broken| panic!("{case}: {broken}\n{}", call.body));
    });
}

#[test]
fn whatever_people_write_chats_are_told_by_their_rules() {
    hostile_messages(|message, case| {
        for format in FORMATS {
            let calls = webhook(format).calls(message, None, now()).unwrap();
            let [call] = calls.as_slice() else { panic!("{case}: {} calls", calls.len()) };
            places::chat(format, call, message)
                .unwrap_or_else(|broken| panic!("{format:?} {case}: {broken}\n{}", call.body));
        }
    });
}

/// The rules above would hold of a body that says nothing.
#[test]
fn every_place_is_told_the_title_each_fact_the_command_and_the_link() {
    for event in NoticeEvent::ALL {
        let message = told(event);
        let mut calls = slack().calls(&message, None, now()).unwrap();
        calls.extend(teams().calls(&message, None, now()).unwrap());
        calls.extend(FORMATS.iter().flat_map(|format| webhook(*format).calls(&message, None, now()).unwrap()));
        let facts = message.facts.iter().map(|fact| &fact.value);
        let all = facts.chain([&message.title]).chain(&message.command).chain(&message.link);
        let all: Vec<&String> = all.collect();
        for call in &calls {
            let texts = places::texts(&body(call));
            for said in &all {
                assert!(texts.iter().any(|text| text.contains(*said)), "{event:?}: no {said:?} in {}", call.body);
            }
        }
    }
}

#[test]
fn slack_changes_its_first_message_and_is_heard_where_somebody_must_act() {
    for event in NoticeEvent::ALL {
        let message = told(event);
        let methods = |earlier: Option<&Posted>| -> Vec<(String, Value)> {
            let calls = slack().calls(&message, earlier, now()).unwrap();
            calls.iter().map(|call| (call.url.path().to_owned(), body(call))).collect()
        };
        let new = methods(None);
        assert_eq!(new.len(), 1);
        assert_eq!((new[0].0.as_str(), &new[0].1["channel"]), ("/api/chat.postMessage", &"C024BE91L".into()));
        assert_eq!(new[0].1.get("thread_ts"), None);
        let later = methods(Some(&first()));
        let (path, changed) = &later[0];
        assert_eq!((path.as_str(), &changed["ts"]), ("/api/chat.update", &"1503435956.000247".into()), "{event:?}");
        assert_eq!(changed["channel"], "C0FIRST");
        assert_eq!(changed["blocks"], new[0].1["blocks"]);
        assert_eq!(later.len(), if event.calls_for_action() { 2 } else { 1 }, "{event:?}");
        for (path, reply) in &later[1..] {
            assert_eq!((path.as_str(), &reply["thread_ts"]), ("/api/chat.postMessage", &"1503435956.000247".into()));
            assert_eq!(reply["channel"], "C0FIRST");
        }
    }
    let nowhere = Posted { place: None, id: Some("1".to_owned()) };
    let calls = slack().calls(&told(NoticeEvent::Denied), Some(&nowhere), now()).unwrap();
    assert_eq!(calls[0].url.path(), "/api/chat.postMessage");
}

#[test]
fn slack_is_called_where_the_settings_say_with_the_token() {
    let gov = Slack { base: "https://slack-gov.com/api/".parse().unwrap(), ..slack() };
    let call = gov.calls(&told(NoticeEvent::Waits), None, now()).unwrap().remove(0);
    assert_eq!(
        (call.url.to_string().as_str(), &call.method),
        ("https://slack-gov.com/api/chat.postMessage", &http::Method::POST)
    );
    let bearer = &call.headers[http::header::AUTHORIZATION];
    assert_eq!(bearer.to_str().unwrap(), format!("Bearer {SECRET}"));
    assert!(bearer.is_sensitive());
}

fn kind(reception: &Reception) -> &'static str {
    match reception {
        Reception::Taken(_) => "taken",
        Reception::Later { .. } => "later",
        Reception::Never(_) => "never",
        Reception::Gone => "gone",
    }
}

#[test]
fn slack_means_by_its_errors_what_it_documents() {
    // https://docs.slack.dev/reference/methods/chat.postMessage and chat.update
    for (word, expected) in [
        ("channel_not_found", "later"),
        ("not_in_channel", "later"),
        ("is_archived", "later"),
        ("invalid_auth", "later"),
        ("not_authed", "later"),
        ("account_inactive", "later"),
        ("token_revoked", "later"),
        ("token_expired", "later"),
        ("missing_scope", "later"),
        ("restricted_action", "later"),
        ("ratelimited", "later"),
        ("fatal_error", "later"),
        ("an_error_of_tomorrow", "later"),
        ("msg_too_long", "never"),
        ("msg_blocks_too_long", "never"),
        ("no_text", "never"),
        ("invalid_blocks", "never"),
        ("invalid_blocks_format", "never"),
        ("message_not_found", "gone"),
        ("cant_update_message", "gone"),
        ("edit_window_closed", "gone"),
    ] {
        let reception = slack().read(&answer(200, &format!(r#"{{"ok":false,"error":"{word}"}}"#)));
        assert_eq!(kind(&reception), expected, "{word}: {reception:?}");
        if let Reception::Later { why, .. } | Reception::Never(why) = reception {
            assert!(why.contains(word), "{why}");
        }
    }
}

#[test]
fn slack_says_how_a_message_is_known_even_where_the_answer_is_cut_off() {
    let whole = format!(
        r#"{{"ok":true,"channel":"C0FIRST","ts":"1503435956.000247","message":{{"ts":"9","text":"{}"}}}}"#,
        "x".repeat(9000)
    );
    for length in [whole.len(), 4096, 70] {
        assert_eq!(slack().read(&answer(200, &whole[..length])), Reception::Taken(Some(first())), "{length}");
    }
    for none in ["", "<html>", "[]", "{", r#"{"ok":"yes"}"#, "\u{0}"] {
        assert_eq!(kind(&slack().read(&answer(200, none))), "later", "{none}");
    }
}

#[test]
fn an_answer_by_status_means_the_same_everywhere() {
    let [slack, teams, chat] = [&slack() as &dyn HttpProvider, &teams(), &webhook(WebhookFormat::Discord)];
    for (status, expected) in [
        (302, "later"),
        (400, "later"),
        (401, "later"),
        (404, "later"),
        (410, "later"),
        (413, "never"),
        (429, "later"),
        (500, "later"),
        (503, "later"),
    ] {
        for provider in [slack, teams, chat] {
            let later = HttpAnswer { retry_after: Some(Duration::from_secs(7)), ..answer(status, "ok") };
            let reception = provider.read(&later);
            assert_eq!(kind(&reception), expected, "{status}: {reception:?}");
            if let Reception::Later { after, .. } = reception {
                assert_eq!(after, Some(Duration::from_secs(7)), "{status}");
            }
        }
    }
    for (provider, status) in [(teams, 202), (teams, 200), (chat, 204), (chat, 200)] {
        assert_eq!(provider.read(&answer(status, "")), Reception::Taken(None), "{status}");
    }
}

#[test]
fn a_secret_appears_in_no_error_and_in_nothing_that_is_logged() {
    let hidden = |what: &str, text: String| assert!(!text.contains("S3CRET"), "{what}: {text}");
    hidden("slack", format!("{:?}", slack()));
    hidden("teams", format!("{:?}", teams()));
    hidden("webhook", format!("{:?}", webhook(WebhookFormat::Mattermost)));
    let message = told(NoticeEvent::Waits);
    let providers: [&dyn HttpProvider; 3] = [&slack(), &teams(), &webhook(WebhookFormat::GoogleChat)];
    for provider in providers {
        for call in provider.calls(&message, Some(&first()), now()).unwrap() {
            hidden("a call", format!("{call:?}"));
            assert!(!call.body.contains("S3CRET"), "{}", call.body);
        }
        for status in [200, 302, 400, 401, 413, 500] {
            let echo = format!(r#"{{"ok":false,"error":"{SECRET}","url":"https://hooks.example/{SECRET}"}}"#);
            hidden("a reading", format!("{:?}", provider.read(&answer(status, &echo))));
        }
    }
    for bad in
        [format!("{SECRET} is none"), SECRET.to_owned(), format!("/{SECRET}"), format!("https://{SECRET}\u{7f}/")]
    {
        for error in [
            Teams { url: bad.clone().into() }.calls(&message, None, now()),
            IncomingWebhook { format: WebhookFormat::Discord, url: bad.clone().into() }.calls(&message, None, now()),
        ] {
            hidden("an error", error.unwrap_err());
        }
    }
    let lines = Slack { token: format!("{SECRET}\nsecond").into(), ..slack() };
    hidden("an error", lines.calls(&message, None, now()).unwrap_err());
}
