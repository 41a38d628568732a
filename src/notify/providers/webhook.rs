//! Incoming webhooks of chats: Mattermost, Discord and Google Chat.
//!
//! Owns the text that they show. What people wrote stands in code, where these chats know no markup, mentions or links; what could
//! end the code, or is obeyed in it all the same, is replaced.

use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::answers::by_status;
use super::fitted::{fitted, secret_address, unlinked};
use super::{HttpAnswer, HttpCall, HttpProvider, JSON, Posted, Reception};
use crate::notify::message::Message;
use crate::notify::routes::WebhookFormat;

/// Most characters of a value, each tried until the text is short enough.
const VALUES: [usize; 7] = [2000, 1000, 500, 250, 120, 60, 15];
/// Most characters of a title.
const TITLE: usize = 250;

/// An incoming webhook.
#[derive(Debug)]
pub struct IncomingWebhook {
    /// Whose.
    pub format: WebhookFormat,
    /// Its address, which is its secret too.
    pub url: SecretString,
}

impl HttpProvider for IncomingWebhook {
    fn calls(&self, message: &Message, _earlier: Option<&Posted>, _now: Timestamp) -> Result<Vec<HttpCall>, String> {
        let url = secret_address("webhook.urlFile", &self.url)?;
        Ok(vec![HttpCall::post(url, JSON, body(self.format, message).to_string())])
    }

    fn read(&self, answer: &HttpAnswer) -> Reception {
        by_status(answer)
    }
}

fn body(format: WebhookFormat, message: &Message) -> Value {
    let text = text(format, message);
    match format {
        WebhookFormat::Mattermost | WebhookFormat::GoogleChat => json!({ "text": text }),
        WebhookFormat::Discord => json!({ "content": text, "allowed_mentions": { "parse": [] } }),
    }
}

/// Most characters of a text. Units of UTF-16 are counted, so that it holds however a chat counts them.
fn most(format: WebhookFormat) -> usize {
    match format {
        WebhookFormat::Mattermost => 16_383,
        WebhookFormat::Discord => 2000,
        WebhookFormat::GoogleChat => 4096,
    }
}

fn text(format: WebhookFormat, message: &Message) -> String {
    let fits = |text: &String| text.encode_utf16().count() <= most(format);
    let texts = VALUES.into_iter().map(|most| with_facts(format, message, most));
    texts.into_iter().find(fits).unwrap_or_else(|| title(format, message))
}

fn title(format: WebhookFormat, message: &Message) -> String {
    format!("`{}`", fitted(&message.title, TITLE, |text| inert(format, text)))
}

fn with_facts(format: WebhookFormat, message: &Message, most: usize) -> String {
    let inert = |text: &str| inert(format, text);
    let facts = message.facts.iter().map(|fact| format!("{}: {}\n", fact.label, fitted(&fact.value, most, inert)));
    let facts: String = facts.collect();
    let command = message.command.as_deref().map(|command| format!("\n`{}`", inert(command))).unwrap_or_default();
    let link = message.link.as_deref().map(|link| format!("\n{}", shown_link(format, link))).unwrap_or_default();
    format!("{}\n```\n{facts}```{command}{link}", title(format, message))
}

fn shown_link(format: WebhookFormat, link: &str) -> String {
    match format {
        WebhookFormat::Mattermost => format!("[Review]({link})"),
        // In angle brackets, no picture of the page is shown.
        WebhookFormat::Discord => format!("[Review](<{link}>)"),
        // How a link with words is written depends on a setting of the chat.
        WebhookFormat::GoogleChat => link.to_owned(),
    }
}

/// A text that can stand in code and does nothing there.
fn inert(format: WebhookFormat, text: &str) -> String {
    let text = text.replace('`', "'");
    match format {
        WebhookFormat::Mattermost | WebhookFormat::Discord => text,
        // It knows `<users/all>` by the brackets, and makes links of what looks like one.
        WebhookFormat::GoogleChat => unlinked(&text.replace('<', "\u{2039}")),
    }
}
