//! One notice on one route: reads the secrets that the route names, makes the calls of its provider, and says what came of it.
//!
//! Owns which provider a route has, and that what changes a message which is gone is told anew. It must not wait or try again,
//! and keeps no secret: each telling reads them, so that a new one counts at once.

use std::path::{Path, PathBuf};

use http::Uri;
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::message::Message;
use super::outbound::Outbound;
use super::outbound::mail::MailSender;
use super::providers::cloud_events::NoticeReceiver;
use super::providers::pager_duty::{PAGER_DUTY_EVENTS, PagerDuty};
use super::providers::slack::{SLACK_API, Slack};
use super::providers::teams::Teams;
use super::providers::webhook::IncomingWebhook;
use super::providers::{HttpProvider, Posted, Reception};
use super::routes::{NoticeRoute, RoutePlace, RouteReach};

/// Tells notices on one route.
pub struct RouteSender {
    place: RoutePlace,
    reach: RouteReach,
    /// Connections that are open; none after a failure, so that authorities are read again.
    outbound: Mutex<Option<Outbound>>,
    /// What sends mails, and the file with its password, where the route leads to people by mail.
    mail: Option<(MailSender, Option<PathBuf>)>,
}

/// What came of telling a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub reception: Reception,
    /// Whether the earlier message was gone, so that this was told as a new one.
    pub anew: bool,
}

impl RouteSender {
    /// For this route.
    pub fn new(route: &NoticeRoute) -> Self {
        let mail = match &route.place {
            RoutePlace::Mail(entry) => {
                Some((MailSender::new(entry.clone(), route.reach.clone()), entry.password_file.clone()))
            }
            _ => None,
        };
        Self { place: route.place.clone(), reach: route.reach.clone(), outbound: Mutex::new(None), mail }
    }

    /// Tells a message. `earlier` is how the place knows the one about the same request.
    pub async fn tell(&self, message: &Message, earlier: Option<&Posted>, now: Timestamp) -> Told {
        match self.try_once(message, earlier, now).await {
            Reception::Gone if earlier.is_some() => {
                Told { reception: self.try_once(message, None, now).await, anew: true }
            }
            reception => Told { reception, anew: false },
        }
    }

    async fn try_once(&self, message: &Message, earlier: Option<&Posted>, now: Timestamp) -> Reception {
        let tried = match &self.mail {
            Some((mail, password)) => by_mail(mail, password.as_deref(), message, earlier, now).await,
            None => self.over_http(message, earlier, now).await,
        };
        match tried {
            Ok(reception) => reception,
            // Settings, files and connections can be mended, so nothing is lost for them.
            Err(why) => {
                *self.outbound.lock().await = None;
                Reception::Later { why, after: None }
            }
        }
    }

    async fn over_http(
        &self,
        message: &Message,
        earlier: Option<&Posted>,
        now: Timestamp,
    ) -> Result<Reception, String> {
        let provider = self.provider()?;
        let outbound = self.outbound().await?;
        let mut posted = None;
        for call in provider.calls(message, earlier, now)? {
            let answer = outbound.call(call).await.map_err(|fault| fault.to_string())?;
            match provider.read(&answer) {
                Reception::Taken(known) => posted = posted.or(known),
                other => return Ok(other),
            }
        }
        Ok(Reception::Taken(posted))
    }

    async fn outbound(&self) -> Result<Outbound, String> {
        let mut kept = self.outbound.lock().await;
        if let Some(outbound) = &*kept {
            return Ok(outbound.clone());
        }
        let outbound = Outbound::new(&self.reach)?;
        Ok(kept.insert(outbound).clone())
    }

    fn provider(&self) -> Result<Box<dyn HttpProvider>, String> {
        Ok(match &self.place {
            RoutePlace::Slack(slack) => Box::new(Slack {
                channel: slack.channel.clone(),
                token: secret("slack.tokenFile", &slack.token_file)?,
                base: slack_base(slack.url.as_deref())?,
            }),
            RoutePlace::Teams(teams) => Box::new(Teams { url: secret("teams.urlFile", &teams.url_file)? }),
            RoutePlace::Webhook(webhook) => {
                Box::new(IncomingWebhook { format: webhook.format, url: secret("webhook.urlFile", &webhook.url_file)? })
            }
            RoutePlace::PagerDuty(duty) => Box::new(PagerDuty {
                routing_key: secret("pagerDuty.routingKeyFile", &duty.routing_key_file)?,
                base: duty.url.clone().unwrap_or_else(|| PAGER_DUTY_EVENTS.to_owned()),
            }),
            RoutePlace::CloudEvents(events) => Box::new(NoticeReceiver {
                url: secret("cloudEvents.urlFile", &events.url_file)?,
                secrets: secret("cloudEvents.secretsFile", &events.secrets_file)?,
            }),
            RoutePlace::Mail(_) => return Err("mail does not go over HTTP".to_owned()),
        })
    }
}

async fn by_mail(
    mail: &MailSender,
    password: Option<&Path>,
    message: &Message,
    earlier: Option<&Posted>,
    now: Timestamp,
) -> Result<Reception, String> {
    let password = password.map(|file| secret("mail.passwordFile", file)).transpose()?;
    Ok(mail.send(message, earlier, password.as_ref(), now).await)
}

fn slack_base(url: Option<&str>) -> Result<Uri, String> {
    let base = url.unwrap_or(SLACK_API).parse();
    base.map_err(|_| format!("slack.url: it is no address, such as {SLACK_API}"))
}

/// What a file holds that a field names.
fn secret(field: &str, file: &Path) -> Result<SecretString, String> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|error| format!("{field}: cannot read {}: {error}", file.display()))?;
    match text.trim().is_empty() {
        true => Err(format!("{field}: {} is empty", file.display())),
        false => Ok(text.into()),
    }
}
