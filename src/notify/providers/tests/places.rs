//! The rules of each place, as it publishes them, read anew from a body: nothing here is shared with what writes one.

use serde_json::{Value, json};

use super::super::HttpCall;
use crate::notify::message::Message;
use crate::notify::routes::WebhookFormat;

type Rule = Result<(), String>;

fn hold(rule: bool, broken: impl FnOnce() -> String) -> Rule {
    if rule { Ok(()) } else { Err(broken()) }
}

/// Every text of a body, as it is shown: with the entities of Slack read.
pub fn texts(body: &Value) -> Vec<String> {
    match body {
        Value::String(text) => {
            let entities = [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
            let read = |text: String, (entity, sign): (&str, &str)| text.split(entity).collect::<Vec<_>>().join(sign);
            vec![text.clone(), entities.into_iter().fold(text.clone(), read)]
        }
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => all.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn json_of(call: &HttpCall) -> Value {
    serde_json::from_str(&call.body).unwrap()
}

/// Control characters, and marks that turn letters around. <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>
fn is_seen(text: &str) -> Rule {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    let unseen = text.chars().find(|c| turns(*c) || (c.is_control() && *c != '\n'));
    hold(unseen.is_none(), || format!("it holds {unseen:?}"))
}

/// What Slack obeys in any text: `<` starts a link or mention, `&` an entity of three.
/// <https://docs.slack.dev/messaging/formatting-message-text>
fn is_escaped_for_slack(text: &str) -> Rule {
    let entities = ["&amp;", "&lt;", "&gt;"];
    let bare = text.match_indices('&').find(|(at, _)| !entities.iter().any(|entity| text[*at..].starts_with(entity)));
    hold(bare.is_none(), || format!("a bare & in {text}"))?;
    hold(!text.contains(['<', '>']), || format!("a bracket in {text}"))?;
    is_seen(text)
}

/// <https://docs.slack.dev/reference/block-kit/blocks> and <https://docs.slack.dev/reference/methods/chat.postMessage>
pub fn slack(call: &HttpCall, message: &Message) -> Rule {
    let body = json_of(call);
    let text = body["text"].as_str().unwrap_or_default();
    hold(!text.is_empty() && text.chars().count() <= 4000, || "no fallback, or too long a one".to_owned())?;
    is_escaped_for_slack(text)?;
    hold(body["parse"] == "none" && body["link_names"] == false, || "Slack looks for names and links".to_owned())?;
    let new = call.url.path().ends_with("chat.postMessage");
    hold(!new || (body["unfurl_links"] == false && body["unfurl_media"] == false), || "it unfurls".to_owned())?;
    let blocks = body["blocks"].as_array().ok_or("no blocks")?;
    hold((1..=50).contains(&blocks.len()), || format!("{} blocks", blocks.len()))?;
    let mut links = 0;
    for block in blocks {
        match block["type"].as_str() {
            Some("header") => plain(&block["text"], 150)?,
            Some("section") => {
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                hold(block.get("text").is_some() == fields.is_empty(), || format!("neither text nor fields: {block}"))?;
                hold(fields.len() <= 10, || format!("{} fields", fields.len()))?;
                fields.iter().try_for_each(|field| plain(field, 2000))?;
                match block.get("text") {
                    Some(text) if text["type"] == "mrkdwn" => links += own_link(text, message)?,
                    Some(text) => plain(text, 3000)?,
                    None => {}
                }
            }
            other => return Err(format!("a block of type {other:?}")),
        }
    }
    let fits = message.link.as_ref().is_some_and(|link| link.len() + "<|Review>".len() <= 3000);
    hold(links == i32::from(fits), || format!("{links} links"))
}

/// <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>
fn plain(text: &Value, most: usize) -> Rule {
    let words = text["text"].as_str().unwrap_or_default();
    hold(text["type"] == "plain_text" && text["emoji"] == false, || format!("no plain text: {text}"))?;
    hold((1..=most).contains(&words.chars().count()), || format!("{} characters of {most}", words.chars().count()))?;
    is_escaped_for_slack(words)
}

fn own_link(text: &Value, message: &Message) -> Result<i32, String> {
    let words = text["text"].as_str().unwrap_or_default();
    let target = words.strip_prefix('<').and_then(|rest| rest.strip_suffix("|Review>")).unwrap_or_default();
    hold(Some(target) == message.link.as_deref(), || format!("another link: {words}"))?;
    hold(!target.contains(['<', '>', '|', ' ']) && words.len() <= 3000, || format!("no link: {words}"))?;
    Ok(1)
}

/// What a card may be made of here: the part that is used of the published schema of version 1.4.
/// <https://adaptivecards.io/schemas/1.4.0/adaptive-card.json>
pub struct CardSchema(jsonschema::Validator);

impl CardSchema {
    /// As it is published.
    pub fn new() -> Self {
        let run = json!({
            "type": "object", "required": ["type", "text"], "additionalProperties": false,
            "properties": {
                "type": { "const": "TextRun" }, "text": { "type": "string" },
                "weight": { "enum": ["Default", "Lighter", "Bolder"] },
                "fontType": { "enum": ["Default", "Monospace"] },
            },
        });
        // No text block and no fact set: what stands there is Markdown.
        let line = json!({
            "type": "object", "required": ["type", "inlines"], "additionalProperties": false,
            "properties": {
                "type": { "const": "RichTextBlock" }, "inlines": { "type": "array", "minItems": 1, "items": run },
                "spacing": { "enum": ["Default", "None", "Small", "Medium", "Large", "ExtraLarge", "Padding"] },
            },
        });
        let action = json!({
            "type": "object", "required": ["type", "url"], "additionalProperties": false,
            "properties": {
                "type": { "const": "Action.OpenUrl" }, "title": { "type": "string" },
                "url": { "type": "string", "format": "uri-reference" },
            },
        });
        let card = json!({
            "type": "object", "required": ["type", "version", "body"], "additionalProperties": false,
            "properties": {
                "$schema": { "const": "http://adaptivecards.io/schemas/adaptive-card.json" },
                "type": { "const": "AdaptiveCard" }, "version": { "const": "1.4" },
                "body": { "type": "array", "minItems": 1, "items": line },
                "actions": { "type": "array", "maxItems": 1, "items": action },
            },
        });
        // https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook
        let attachment = json!({
            "type": "object", "required": ["contentType", "contentUrl", "content"], "additionalProperties": false,
            "properties": {
                "contentType": { "const": "application/vnd.microsoft.card.adaptive" },
                "contentUrl": { "type": "null" }, "content": card,
            },
        });
        let posted = json!({
            "type": "object", "required": ["type", "attachments"], "additionalProperties": false,
            "properties": {
                "type": { "const": "message" },
                "attachments": { "type": "array", "minItems": 1, "maxItems": 1, "items": attachment },
            },
        });
        Self(jsonschema::validator_for(&posted).unwrap())
    }

    /// <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>: at most 28 KB.
    pub fn holds(&self, call: &HttpCall, message: &Message) -> Rule {
        let body = json_of(call);
        hold(call.body.len() <= 28 * 1024, || format!("{} bytes", call.body.len()))?;
        hold(call.body.encode_utf16().count() * 2 <= 28 * 1024, || "too long as UTF-16".to_owned())?;
        self.0.validate(&body).map_err(|error| error.to_string())?;
        let card = &body["attachments"][0]["content"];
        let link = card["actions"][0]["url"].as_str();
        let own = message.link.as_deref().filter(|link| link.len() <= 2000);
        hold(link == own, || format!("another link: {link:?}"))?;
        for text in texts(&card["body"]) {
            is_seen(&text)?;
            hold(!text.contains('\n'), || format!("a line break in {text}"))?;
            // https://learn.microsoft.com/en-us/power-automate/teams/send-a-message-in-teams
            hold(!text.to_lowercase().contains("<at"), || format!("a mention in {text}"))?;
        }
        Ok(())
    }
}

/// Code of a chat, and what stands around it. <https://spec.commonmark.org/0.31.2/#code-spans>
struct Pieces {
    code: Vec<String>,
    around: String,
}

/// Takes a text apart as a chat does: by runs of backticks, each closed by the next of the same length.
fn pieces(text: &str) -> Result<Pieces, String> {
    let (mut code, mut around, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('`') {
        around.push_str(&rest[..at]);
        let run = rest[at..].chars().take_while(|c| *c == '`').count();
        let inside = &rest[at + run..];
        let mut from = 0;
        let end = loop {
            let start = from + inside[from..].find('`').ok_or_else(|| format!("code that does not end in {text}"))?;
            let length = inside[start..].chars().take_while(|c| *c == '`').count();
            if length == run {
                break start;
            }
            from = start + length;
        };
        code.push(inside[..end].to_owned());
        rest = &inside[end + run..];
    }
    around.push_str(rest);
    Ok(Pieces { code, around })
}

/// The texts of chats, with what people wrote in code alone.
pub fn chat(format: WebhookFormat, call: &HttpCall, message: &Message) -> Rule {
    let body = json_of(call);
    let (field, most) = match format {
        // https://developers.mattermost.com/integrate/webhooks/incoming/: 16383 characters
        WebhookFormat::Mattermost => ("text", 16_383),
        // https://discord.com/developers/docs/resources/webhook#execute-webhook: 2000 characters
        WebhookFormat::Discord => ("content", 2000),
        // https://developers.google.com/workspace/chat/create-messages: 4096 characters
        WebhookFormat::GoogleChat => ("text", 4096),
    };
    let text = body[field].as_str().ok_or("no text")?;
    hold(!text.is_empty() && text.encode_utf16().count() <= most, || format!("{} characters", text.len()))?;
    let fields: Vec<&String> = body.as_object().ok_or("no object")?.keys().collect();
    if format == WebhookFormat::Discord {
        // https://discord.com/developers/docs/resources/message#allowed-mentions-object
        hold(body["allowed_mentions"] == json!({ "parse": [] }), || "it may mention".to_owned())?;
        hold(fields.len() == 2, || format!("more fields: {fields:?}"))?;
    } else {
        hold(fields.len() == 1, || format!("more fields: {fields:?}"))?;
    }
    is_seen(text)?;
    let Pieces { code, around } = pieces(text)?;
    let link = message.link.as_deref().unwrap_or("no link");
    let own = match format {
        WebhookFormat::Mattermost => format!("[Review]({link})"),
        WebhookFormat::Discord => format!("[Review](<{link}>)"),
        WebhookFormat::GoogleChat => link.to_owned(),
    };
    hold(around.replacen(&own, "", 1).trim().is_empty(), || format!("outside of code: {around}"))?;
    for code in code.iter().filter(|_| format == WebhookFormat::GoogleChat) {
        // https://developers.google.com/workspace/chat/format-messages
        hold(!code.contains('<'), || format!("a mention or link in {code}"))?;
        hold(!code.contains("://") && !code.to_lowercase().contains("www."), || format!("a link in {code}"))?;
    }
    Ok(())
}
