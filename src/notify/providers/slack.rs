//! Slack: one message for a request, which is changed as the request goes on, and answers in its thread for what must be heard.
//!
//! Owns the calls of Slack's Web API and what its errors mean. Nothing that people wrote is markup there: blocks hold it as plain
//! text, and what Slack would obey in any text is escaped.

use http::header::{AUTHORIZATION, HeaderValue};
use http::{StatusCode, Uri};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::answers::{FirstFields, refused};
use super::fitted::fitted;
use super::{HttpAnswer, HttpCall, HttpProvider, JSON, Posted, Reception};
use crate::notify::message::{Message, MessageFact};

/// Where Slack's API is for most.
pub const SLACK_API: &str = "https://slack.com/api";
/// Most characters of a header, of a section's text, and of one of its fields, and most fields of a section and blocks of a
/// message.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELD: usize = 2000;
const FIELDS: usize = 10;
const BLOCKS: usize = 50;
/// Most characters of what stands in for the blocks, as where a phone tells of a message.
const FALLBACK: usize = 1000;
/// Errors of a message that no admin can mend.
const OF_THE_MESSAGE: [&str; 13] = [
    "msg_too_long",
    "msg_blocks_too_long",
    "no_text",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_arguments",
    "invalid_arg_name",
    "invalid_array_arg",
    "invalid_charset",
    "invalid_json",
    "json_not_object",
    "invalid_post_type",
    "missing_post_type",
];
/// Errors of a change, or an answer, to a message that cannot be changed or answered any more.
const OF_THE_EARLIER: [&str; 6] = [
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_not_found",
    "cannot_reply_to_message",
    "invalid_thread_ts",
];

/// A channel of Slack.
pub struct Slack {
    /// Its id.
    pub channel: String,
    /// Token of a bot that is in it.
    pub token: SecretString,
    /// Where the API is, such as [`SLACK_API`].
    pub base: Uri,
}

impl std::fmt::Debug for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slack").field("channel", &self.channel).field("base", &self.base).finish_non_exhaustive()
    }
}

impl HttpProvider for Slack {
    fn calls(&self, message: &Message, earlier: Option<&Posted>, _now: Timestamp) -> Result<Vec<HttpCall>, String> {
        let shown = shown(message);
        let Some((place, id)) = earlier.and_then(|posted| Some((posted.place.as_ref()?, posted.id.as_ref()?))) else {
            return Ok(vec![self.call("chat.postMessage", posted(&self.channel, &shown, None))?]);
        };
        let mut changed = shown.clone();
        changed["channel"] = json!(place);
        changed["ts"] = json!(id);
        let mut calls = vec![self.call("chat.update", changed)?];
        // A change makes no sound.
        if message.notice.event.calls_for_action() {
            calls.push(self.call("chat.postMessage", posted(place, &shown, Some(id)))?);
        }
        Ok(calls)
    }

    fn read(&self, answer: &HttpAnswer) -> Reception {
        let fields = FirstFields::of(&answer.body);
        let word = fields.text("error").unwrap_or_default();
        if answer.status != StatusCode::OK {
            return refused(answer);
        }
        match fields.flag("ok") {
            Some(true) => Reception::Taken(
                fields
                    .text("ts")
                    .map(|ts| Posted { place: fields.text("channel").map(str::to_owned), id: Some(ts.to_owned()) }),
            ),
            _ if OF_THE_EARLIER.contains(&word) => Reception::Gone,
            _ if OF_THE_MESSAGE.contains(&word) => Reception::Never(format!("Slack takes no such message: {word}")),
            _ => Reception::Later { why: why(word), after: answer.retry_after },
        }
    }
}

impl Slack {
    fn call(&self, method: &str, body: Value) -> Result<HttpCall, String> {
        let url = format!("{}/{method}", self.base.to_string().trim_end_matches('/'));
        let url = url.parse().map_err(|_| "slack.url: it is no address, such as https://slack.com/api".to_owned())?;
        let bearer = format!("Bearer {}", self.token.expose_secret().trim());
        let bearer = HeaderValue::from_str(&bearer);
        let mut bearer = bearer.map_err(|_| {
            "slack.tokenFile: it holds more than one line, or other letters than a token has".to_owned()
        })?;
        bearer.set_sensitive(true);
        let mut call = HttpCall::post(url, JSON, body.to_string());
        call.headers.insert(AUTHORIZATION, bearer);
        Ok(call)
    }
}

/// A new message, or an answer in a thread.
fn posted(channel: &str, shown: &Value, thread: Option<&str>) -> Value {
    let mut body = shown.clone();
    body["channel"] = json!(channel);
    body["mrkdwn"] = json!(false);
    body["unfurl_links"] = json!(false);
    body["unfurl_media"] = json!(false);
    if let Some(thread) = thread {
        body["thread_ts"] = json!(thread);
    }
    body
}

/// What is shown, in every call.
fn shown(message: &Message) -> Value {
    let header = json!({ "type": "header", "text": plain(&message.title, HEADER) });
    let sections = message.facts.chunks(FIELDS).map(|facts| {
        let fields: Vec<Value> = facts.iter().map(field).collect();
        json!({ "type": "section", "fields": fields })
    });
    let fits = |text: &String| text.chars().count() <= SECTION;
    // A command that is cut does something else.
    let command = message.command.as_ref().filter(|command| fits(&escaped(command)));
    let command = command.map(|command| json!({ "type": "section", "text": plain(command, SECTION) }));
    // No button: Slack warns of one whose press nobody answers.
    let link = message.link.as_ref().map(|link| format!("<{}|Review>", escaped(link).replace('|', "%7C"))).filter(fits);
    let link = link.map(|text| json!({ "type": "mrkdwn", "text": text, "verbatim": true }));
    let link = link.map(|text| json!({ "type": "section", "text": text }));
    let blocks: Vec<Value> = std::iter::once(header).chain(sections).chain(command).chain(link).take(BLOCKS).collect();
    // A change would have its text parsed unless told otherwise, unlike a new message.
    json!({ "text": fitted(&message.title, FALLBACK, escaped), "blocks": blocks, "parse": "none", "link_names": false })
}

fn field(fact: &MessageFact) -> Value {
    plain(&format!("{}: {}", fact.label, fact.value), FIELD)
}

/// Text that is shown as it is.
fn plain(text: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "text": fitted(text, most, escaped), "emoji": false })
}

/// A text with the three characters by which Slack knows mentions and links as entities, which it shows as the characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What an admin can do about an error.
fn why(word: &str) -> String {
    let way_out = match word {
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
            "put the token of a bot that is installed into slack.tokenFile"
        }
        "missing_scope" | "no_permission" | "not_allowed_token_type" => "give the bot the scope chat:write",
        "channel_not_found" | "not_in_channel" => "set slack.channel to the id of a channel, and invite the bot to it",
        "is_archived" => "set slack.channel to one that is not archived",
        "ratelimited" | "rate_limited" => "set slack.pace to a longer time if it goes on",
        "" => return "the answer is none of Slack's: check slack.url".to_owned(),
        _ => "see the errors of chat.postMessage in Slack's documentation",
    };
    format!("Slack answered {}: {way_out}", FirstFields::word(word))
}
