//! The file that `--config` names: routes, each with what it carries and where to.
//!
//! Owns its fields and their rules, and which notices a route carries. It must not read a secret: a route names the file that
//! holds one, and who sends reads it each time.

mod mail;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::api::risk::RiskLevel;
use crate::core::model::duration;
use crate::core::model::namespaces::glob_matches;
use crate::core::notice::{Foresight, Notice, NoticeTopic};

pub use self::mail::MailSettings;

/// What a route carries that names no events: what somebody must act on, and what came of it.
const USUAL: [NoticeTopic; 7] = [
    NoticeTopic::Waits,
    NoticeTopic::Escalated,
    NoticeTopic::Decided,
    NoticeTopic::EndsSoon,
    NoticeTopic::BreakGlass,
    NoticeTopic::ReviewDue,
    NoticeTopic::ReviewOverdue,
];
/// A pace that is none.
const NO_PACE: &str = "0s";
/// How many routes there may be: each has a place in what is kept of every request.
const MOST_ROUTES: usize = 32;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NotifyConfig {
    /// The page that a link leads to, as https://HOST. Left out: notices have a line to copy and no link.
    pub link: Option<String>,
    /// How long before its end access is told to end soon, as `10m`.
    pub ends_soon: Option<String>,
    /// How long before it is overdue a review is told to be due, as `24h`.
    pub review_due: Option<String>,
    /// For how long a notice is tried that is not taken, as `24h`.
    pub give_up_after: Option<String>,
    pub routes: Vec<RouteEntry>,
}

/// A route as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RouteEntry {
    pub name: String,
    /// What it carries. Left out: all but the end of access and a missing guard.
    pub events: Option<BTreeSet<NoticeTopic>>,
    /// Namespaces of the requests, with `*` for any run of characters. Left out: all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Policies that decide, in the same way.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Least risk of what is asked for.
    pub min_risk: Option<RiskLevel>,
    /// Whether it carries what policy decided alone.
    #[serde(default)]
    pub automatic: bool,
    pub slack: Option<SlackEntry>,
    pub teams: Option<TeamsEntry>,
    pub webhook: Option<WebhookEntry>,
    pub mail: Option<MailEntry>,
    pub pager_duty: Option<PagerDutyEntry>,
    pub cloud_events: Option<CloudEventsEntry>,
    /// Ranges of private addresses that it may connect to, as 10.20.0.0/16. Left out: none.
    #[serde(default)]
    pub allow_private: Vec<String>,
    /// Whether http:// is allowed, and mail without encryption, for a receiver within the cluster.
    #[serde(default)]
    pub allow_plain: bool,
    /// File with the authorities of the receiver's certificate, in PEM. Left out: those of the machine; the image has none.
    pub ca_file: Option<PathBuf>,
}

/// A channel of Slack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SlackEntry {
    /// Its id, such as C024BE91L. The bot must be in it.
    pub channel: String,
    /// File with the token of the bot, which has the scope chat:write.
    pub token_file: PathBuf,
    /// Slack's API elsewhere, such as https://slack-gov.com/api.
    pub url: Option<String>,
    /// Least time between two calls, as `1s`, which is what Slack allows a channel for long, and what is kept when this is left
    /// out. `0s`: none.
    pub pace: Option<String>,
}

/// A workflow of Microsoft Teams that takes webhooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TeamsEntry {
    /// File with its URL.
    pub url_file: PathBuf,
}

/// An incoming webhook of a chat.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookEntry {
    /// Whose.
    pub format: WebhookFormat,
    /// File with its URL.
    pub url_file: PathBuf,
}

/// Whose incoming webhook it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum WebhookFormat {
    Mattermost,
    Discord,
    GoogleChat,
}

/// People by mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MailEntry {
    /// Server as HOST:PORT.
    pub server: String,
    /// Whoever it is from, as an address or as `Daypass <daypass@corp.example>`.
    pub from: String,
    /// Those who are written to, in the same way. Each sees the others.
    pub to: Vec<String>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub encryption: MailEncryption,
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum MailEncryption {
    /// By STARTTLS, and not at all without it. (RFC 3207)
    #[default]
    StartTls,
    /// From the first byte. (RFC 8314)
    Tls,
    /// Not at all: only within the cluster.
    None,
}

/// A service of PagerDuty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PagerDutyEntry {
    /// File with the routing key of an integration of Events API v2.
    pub routing_key_file: PathBuf,
    /// The service region's address, such as https://events.eu.pagerduty.com.
    pub url: Option<String>,
}

/// A receiver of CloudEvents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CloudEventsEntry {
    /// File with the URL that they are posted to.
    pub url_file: PathBuf,
    /// File with the secrets that sign, as Standard Webhooks say.
    pub secrets_file: PathBuf,
}

/// Where a route leads to.
#[derive(Clone, Debug)]
pub enum RoutePlace {
    Slack(SlackEntry),
    Teams(TeamsEntry),
    Webhook(WebhookEntry),
    Mail(MailEntry),
    PagerDuty(PagerDutyEntry),
    CloudEvents(CloudEventsEntry),
}

/// A route that fits the rules.
#[derive(Clone, Debug)]
pub struct NoticeRoute {
    pub name: String,
    pub place: RoutePlace,
    pub reach: RouteReach,
    /// Least time between two calls.
    pub pace: SignedDuration,
    /// What it carries.
    pub filter: RouteFilter,
}

/// Where its connections may lead.
#[derive(Clone, Debug, Default)]
pub struct RouteReach {
    /// Ranges of private addresses, as they are written.
    pub allow_private: Vec<String>,
    /// Whether http:// is allowed, and mail without encryption.
    pub allow_plain: bool,
    /// File with the authorities of the receiver's certificate.
    pub authorities: Option<PathBuf>,
}

/// Which notices a route carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFilter {
    events: BTreeSet<NoticeTopic>,
    namespaces: Vec<String>,
    policies: Vec<String>,
    min_risk: Option<RiskLevel>,
    automatic: bool,
}

/// What the file comes to.
#[derive(Clone, Debug)]
pub struct NotifySettings {
    pub routes: Vec<NoticeRoute>,
    pub link: Option<String>,
    pub foresight: Foresight,
    pub give_up_after: SignedDuration,
}

/// Why the file cannot be used. None of it repeats a secret, since the file holds none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRoutes {
    /// It is not there, or no YAML of these fields.
    #[error("--config {0}: {1}")]
    Unread(String, String),
    /// A field breaks a rule.
    #[error("--config: {field}: {why}")]
    Field { field: String, why: String },
}

impl NotifyConfig {
    /// Reads it, as YAML or JSON, and holds it to its rules.
    ///
    /// # Errors
    /// When there is none, it has other fields, or on the first field that breaks a rule.
    pub fn read(file: &Path) -> Result<NotifySettings, BadRoutes> {
        let unread = |error: String| BadRoutes::Unread(file.display().to_string(), error);
        let text = std::fs::read_to_string(file).map_err(|error| unread(error.to_string()))?;
        let config: Self = serde_saphyr::from_str(&text).map_err(|error| unread(error.to_string()))?;
        config.settings()
    }

    fn settings(self) -> Result<NotifySettings, BadRoutes> {
        let usual = Foresight::default();
        let end = length("endsSoon", self.ends_soon.as_deref())?.unwrap_or(usual.end);
        let review = length("reviewDue", self.review_due.as_deref())?.unwrap_or(usual.review);
        let give_up_after =
            length("giveUpAfter", self.give_up_after.as_deref())?.unwrap_or(SignedDuration::from_hours(24));
        if let Some(link) = self.link.as_deref().filter(|link| !link.starts_with("https://")) {
            return wrong("link", format!("{link:?} is not https://HOST, and people log in there"));
        }
        if self.routes.is_empty() || self.routes.len() > MOST_ROUTES {
            return wrong("routes", format!("there are {}; give 1 to {MOST_ROUTES}", self.routes.len()));
        }
        let mut names = BTreeSet::new();
        let entries = self.routes.into_iter().enumerate();
        let routes: Vec<NoticeRoute> =
            entries.map(|(n, entry)| entry.route(n, &mut names)).collect::<Result<_, _>>()?;
        let link = self.link.map(|link| link.trim_end_matches('/').to_owned());
        Ok(NotifySettings { routes, link, foresight: Foresight { end, review }, give_up_after })
    }
}

impl RouteEntry {
    fn route(self, n: usize, names: &mut BTreeSet<String>) -> Result<NoticeRoute, BadRoutes> {
        let at = |field: &str| format!("routes[{n}].{field}");
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(is_name) {
            return wrong(
                &at("name"),
                format!("{:?} is not 1 to 63 lower-case letters, digits and hyphens", self.name),
            );
        }
        if !names.insert(self.name.clone()) {
            return wrong(&at("name"), format!("{} is the name of two routes; what was told is kept by it", self.name));
        }
        if self.events.as_ref().is_some_and(BTreeSet::is_empty) {
            return wrong(
                &at("events"),
                "there is none; name some, or leave the field out for the usual ones".to_owned(),
            );
        }
        let places = [
            self.slack.map(RoutePlace::Slack),
            self.teams.map(RoutePlace::Teams),
            self.webhook.map(RoutePlace::Webhook),
            self.mail.map(RoutePlace::Mail),
            self.pager_duty.map(RoutePlace::PagerDuty),
            self.cloud_events.map(RoutePlace::CloudEvents),
        ];
        let places: Vec<RoutePlace> = places.into_iter().flatten().collect();
        let [place] = <[RoutePlace; 1]>::try_from(places).map_err(|places| BadRoutes::Field {
            field: format!("routes[{n}]"),
            why: format!(
                "it has {} places; give one of slack, teams, webhook, mail, pagerDuty, cloudEvents",
                places.len()
            ),
        })?;
        if let RoutePlace::Mail(mail) = &place {
            let checked = mail.settings(self.allow_plain);
            checked.map_err(|bad| BadRoutes::Field { field: at(&format!("mail.{}", bad.field)), why: bad.why })?;
        }
        let pace = match &place {
            RoutePlace::Slack(slack) => {
                let given = slack.pace.as_deref().filter(|pace| *pace != NO_PACE);
                let usual = if slack.pace.is_some() { SignedDuration::ZERO } else { SignedDuration::from_secs(1) };
                length(&at("slack.pace"), given)?.unwrap_or(usual)
            }
            _ => SignedDuration::ZERO,
        };
        let filter = RouteFilter {
            events: self.events.unwrap_or_else(|| USUAL.into()),
            namespaces: self.namespaces,
            policies: self.policies,
            min_risk: self.min_risk,
            automatic: self.automatic,
        };
        let reach =
            RouteReach { allow_private: self.allow_private, allow_plain: self.allow_plain, authorities: self.ca_file };
        Ok(NoticeRoute { name: self.name, place, reach, pace, filter })
    }
}

impl NoticeRoute {
    /// Whether it carries this notice.
    pub fn carries(&self, notice: &Notice) -> bool {
        let filter = &self.filter;
        let topic = notice.event.topic();
        // Of the whole cluster: no request is meant.
        if topic == NoticeTopic::GuardMissing {
            return filter.events.contains(&topic);
        }
        let request = &notice.request;
        let policy = request.policy.as_deref().unwrap_or_default();
        let risk = request.risk.as_ref().map_or(RiskLevel::Unknown, |risk| risk.known().unwrap_or(RiskLevel::Unknown));
        filter.events.contains(&topic)
            && (filter.automatic || !notice.automatic)
            && fits(&filter.namespaces, &request.namespace)
            && fits(&filter.policies, policy)
            && filter.min_risk.is_none_or(|least| risk >= least)
    }
}

/// Whether a name is one of these; none stands for all.
fn fits(globs: &[String], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob_matches(glob, name))
}

fn length(field: &str, text: Option<&str>) -> Result<Option<SignedDuration>, BadRoutes> {
    let parsed = text.map(duration::parse).transpose();
    parsed.map_err(|error| BadRoutes::Field { field: field.to_owned(), why: error.to_string() })
}

fn wrong<T>(field: &str, why: String) -> Result<T, BadRoutes> {
    Err(BadRoutes::Field { field: field.to_owned(), why })
}

#[cfg(test)]
mod tests;
