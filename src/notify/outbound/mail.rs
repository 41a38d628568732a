//! Mails of one route: who has which already, when a server takes a letter for some of its recipients alone.
//!
//! Owns the joining of a letter and a conversation. Of the recipients, those who are refused for now are tried again, alone, for
//! a while; after that, and at once for those who are refused for good, a letter that somebody has is told, since nobody shall
//! hear it twice, or wait for what is told next, for the address of another. It must not keep a password: each sending is given it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use lettre::Address;
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

use super::dial::Dialer;
use super::smtp::{SmtpLimits, SmtpLogin, SmtpMail, SmtpReply, SmtpSecurity, SmtpServer, SmtpTls};
use super::tls;
use crate::notify::message::Message;
use crate::notify::providers::mail::{Letter, refused};
use crate::notify::providers::{Posted, Reception};
use crate::notify::routes::{MailEncryption, MailEntry, MailSettings, RouteReach};

/// For how long those are tried again who are refused for now, while others have the letter: a server that does not know
/// who writes takes it after minutes.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// Of how many letters it is known who has them.
const MOST_LETTERS: usize = 256;

/// Sends mails on one route. It is kept for as long as the route is: it knows who has a letter that others have yet to get. A
/// restart forgets that, and they get it again under the same `Message-ID`.
#[derive(Debug)]
pub struct MailSender {
    entry: MailEntry,
    reach: RouteReach,
    limits: SmtpLimits,
    partly: Mutex<BTreeMap<String, PartlyTaken>>,
}

/// A letter that some have.
#[derive(Clone, Debug)]
struct PartlyTaken {
    since: Timestamp,
    by: BTreeSet<Address>,
}

impl MailSender {
    /// To the people of this entry, as far as the route may reach.
    pub fn new(entry: MailEntry, reach: RouteReach) -> Self {
        Self { entry, reach, limits: SmtpLimits::default(), partly: Mutex::default() }
    }

    /// Sends a message to all who do not have it yet. `earlier` is the first about the same request, and stays so. The name of
    /// the server is looked up, and authorities are read, each time.
    ///
    /// It may be dropped at any time. Whether a mail was taken that was just being handed over is not known then, nor when the
    /// connection ends while it is: it is sent again under the same `Message-ID`.
    pub async fn send(
        &self,
        message: &Message,
        earlier: Option<&Posted>,
        password: Option<&SecretString>,
        now: Timestamp,
    ) -> Reception {
        let sent = self.try_once(message, earlier, password, now).await;
        // Settings and files can be mended, so nothing is lost for them.
        sent.unwrap_or_else(|why| Reception::Later { why, after: None })
    }

    async fn try_once(
        &self,
        message: &Message,
        earlier: Option<&Posted>,
        password: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<Reception, String> {
        let settings = self.entry.settings(self.reach.allow_plain).map_err(|bad| bad.to_string())?;
        let server = self.server(&settings, password)?;
        let letter = Letter::of(&settings, message, earlier)?;
        let before = self.partly().get(&letter.id).cloned();
        let has_it = |to: &Address| before.as_ref().is_some_and(|before| before.by.contains(to));
        let to: Vec<Address> = settings.to.iter().map(|to| to.email.clone()).filter(|to| !has_it(to)).collect();
        let mail = SmtpMail { from: &settings.from.email, to: &to, text: &letter.text };
        Ok(match server.deliver(mail).await {
            Ok(replies) => self.taken(letter, before, to.into_iter().zip(replies), now),
            Err(fault) => {
                let reception = refused(&self.entry.server, &fault);
                if matches!(reception, Reception::Never(_)) {
                    self.partly().remove(&letter.id);
                }
                reception
            }
        })
    }

    fn server(&self, settings: &MailSettings, password: Option<&SecretString>) -> Result<SmtpServer, String> {
        let login = match (&settings.username, password) {
            (None, _) => None,
            (Some(username), Some(password)) => {
                Some(SmtpLogin { username: username.clone(), password: one_line(password)? })
            }
            (Some(_), None) => return Err("mail.passwordFile: it was not read".to_owned()),
        };
        let tls = || Ok::<_, String>(SmtpTls { config: tls(&self.reach)?, login });
        let security = match settings.encryption {
            MailEncryption::StartTls => SmtpSecurity::StartTls(tls()?),
            MailEncryption::Tls => SmtpSecurity::Tls(tls()?),
            MailEncryption::None => SmtpSecurity::None,
        };
        let dialer = Dialer::new(&self.reach)?;
        Ok(SmtpServer { dialer, host: settings.host.clone(), port: settings.port, security, limits: self.limits })
    }

    /// What it comes to that each recipient was answered this.
    fn taken(
        &self,
        letter: Letter,
        before: Option<PartlyTaken>,
        replies: impl Iterator<Item = (Address, SmtpReply)>,
        now: Timestamp,
    ) -> Reception {
        let (have, without): (Vec<_>, Vec<_>) = replies.partition(|(_, reply)| reply.is_yes());
        let mut partly = before.unwrap_or_else(|| PartlyTaken { since: now, by: BTreeSet::new() });
        partly.by.extend(have.into_iter().map(|(to, _)| to));
        let refusals: Vec<String> = without.iter().map(|(to, reply)| format!("{reply} for {to}")).collect();
        let why = format!("mail server {} answered {}", self.entry.server, refusals.join(", "));
        if partly.by.is_empty() {
            let way_out = "check that mail.to has addresses that it knows, and that it lets mail.from write to them";
            return Reception::Later { why: format!("{why}: {way_out}"), after: None };
        }
        let is_patient = now.duration_since(partly.since) < PATIENCE;
        if is_patient && without.iter().any(|(_, reply)| reply.is_for_now()) {
            self.note(letter.id, partly);
            let why = format!("{why}; those who have it do not get it again");
            return Reception::Later { why, after: None };
        }
        self.partly().remove(&letter.id);
        if !without.is_empty() {
            warn!(why, "a mail did not reach all of mail.to; those who have it do not get it again");
        }
        Reception::Taken(Some(letter.posted))
    }

    fn note(&self, id: String, letter: PartlyTaken) {
        let mut partly = self.partly();
        partly.insert(id, letter);
        while partly.len() > MOST_LETTERS {
            let oldest = partly.iter().min_by_key(|(_, letter)| letter.since).map(|(id, _)| id.clone());
            oldest.map(|id| partly.remove(&id));
        }
    }

    fn partly(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, PartlyTaken>> {
        self.partly.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password as a file holds it, without the end of its line.
fn one_line(password: &SecretString) -> Result<SecretString, String> {
    let text = password.expose_secret().trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(char::is_control) {
        return Err("mail.passwordFile: it holds no password of one line".to_owned());
    }
    Ok(text.to_owned().into())
}

#[cfg(test)]
mod tests;
