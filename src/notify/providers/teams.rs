//! Microsoft Teams: a card, posted through a workflow that takes webhooks.
//!
//! Owns the card. A workflow takes no change of what it posted, so each notice is a card of its own. What people wrote stands in
//! runs of text, which render no Markdown, unlike text blocks and fact sets.

use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::answers::by_status;
use super::fitted::{fitted, secret_address};
use super::{HttpAnswer, HttpCall, HttpProvider, JSON, Posted, Reception};
use crate::notify::message::Message;

/// Most bytes of a body. Teams counts two for each unit of UTF-16.
const BODY: usize = 28_000;
/// Most characters of a text, each tried until the body is short enough.
const TEXTS: [usize; 6] = [LONGEST, 1000, 500, 250, 100, LEAST];
const LONGEST: usize = 2000;
const LEAST: usize = 25;

/// A workflow of Teams.
#[derive(Debug)]
pub struct Teams {
    /// Its address, which is its secret too.
    pub url: SecretString,
}

impl HttpProvider for Teams {
    fn calls(&self, message: &Message, _earlier: Option<&Posted>, _now: Timestamp) -> Result<Vec<HttpCall>, String> {
        let url = secret_address("teams.urlFile", &self.url)?;
        Ok(vec![HttpCall::post(url, JSON, body(message))])
    }

    fn read(&self, answer: &HttpAnswer) -> Reception {
        by_status(answer)
    }
}

fn body(message: &Message) -> String {
    let fits = |body: &String| body.len().max(2 * body.encode_utf16().count()) <= BODY;
    let mut bodies = TEXTS.into_iter().map(|most| posted(&card(message, most)).to_string());
    let first = bodies.next().unwrap_or_default();
    if fits(&first) { first } else { bodies.find(fits).unwrap_or_else(|| posted(&card(message, LEAST)).to_string()) }
}

fn posted(card: &Value) -> Value {
    let kind = "application/vnd.microsoft.card.adaptive";
    let attachment = json!({ "contentType": kind, "contentUrl": null, "content": card });
    json!({ "type": "message", "attachments": [attachment] })
}

fn card(message: &Message, most: usize) -> Value {
    let run = |text: &str| json!({ "type": "TextRun", "text": fitted(text, most, without_mentions) });
    let strong = |mut run: Value| {
        run["weight"] = json!("Bolder");
        run
    };
    let title = line(&[strong(run(&message.title))], "Default");
    let facts =
        message.facts.iter().map(|fact| line(&[strong(run(&format!("{}: ", fact.label))), run(&fact.value)], "Small"));
    // A command that is cut does something else.
    let command = message.command.as_ref().filter(|command| command.chars().count() <= LONGEST).map(|command| {
        line(&[json!({ "type": "TextRun", "text": without_mentions(command), "fontType": "Monospace" })], "Default")
    });
    let blocks: Vec<Value> = std::iter::once(title).chain(facts).chain(command).collect();
    let link = message.link.as_ref().filter(|link| link.len() <= LONGEST);
    let actions: Vec<Value> =
        link.map(|link| json!({ "type": "Action.OpenUrl", "title": "Review", "url": link })).into_iter().collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        "actions": actions,
    })
}

fn line(runs: &[Value], spacing: &str) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs, "spacing": spacing })
}

/// A text that mentions nobody: a workflow makes a mention of `<at>`, in whichever element it stands.
fn without_mentions(text: &str) -> String {
    text.replace('<', "\u{2039}")
}
