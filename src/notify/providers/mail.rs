//! Mail: the letter that a notice is, and what the answers of a server mean.
//!
//! Owns the letter, which is plain text. What people wrote is in its body or in its subject, which is encoded where it must be:
//! none of it becomes a header, and no link is made of what looks like the address of a page. Letters about the same request
//! answer the first of them, so that a mail program shows them as one conversation.

use std::time::SystemTime;

use k8s_openapi::jiff::Timestamp;
use lettre::Message as Mail;
use lettre::message::SinglePart;
use lettre::message::header::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::fitted::{fitted, unlinked};
use super::{Posted, Reception};
use crate::core::report::spelled::visible;
use crate::notify::message::Message;
use crate::notify::outbound::smtp::{SmtpFault, SmtpReply, SmtpStep};
use crate::notify::routes::MailSettings;

/// Most characters of a subject.
const SUBJECT: usize = 250;
/// Most characters of a value, so that no letter is too long for a server.
const VALUE: usize = 4000;
/// How many bytes of a sum name a letter.
const NAME: usize = 16;

/// A letter about a notice.
pub struct Letter {
    /// Its `Message-ID`. A notice that is told again has it again, so that a duplicate can be told.
    pub id: String,
    /// By what the conversation is known.
    pub posted: Posted,
    /// All of its lines, in ASCII.
    pub text: Vec<u8>,
}

impl Letter {
    /// Writes it. `earlier` is the first letter about the same request.
    ///
    /// # Errors
    /// When no letter can be made of it.
    pub fn of(settings: &MailSettings, message: &Message, earlier: Option<&Posted>) -> Result<Self, String> {
        let id = message_id(settings, message);
        let first = earlier.and_then(|earlier| earlier.id.clone()).filter(|first| *first != id);
        let mut mail = Mail::builder()
            .from(settings.from.clone())
            .subject(subject(&message.title))
            // When it happened, so that a letter that is sent again is the same letter. There is no way to write a time before this.
            .date(SystemTime::from(message.notice.at.max(Timestamp::UNIX_EPOCH)))
            .message_id(Some(id.clone()))
            // So that nobody's holiday notice answers it. (RFC 3834, section 5)
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &settings.to {
            mail = mail.to(to.clone());
        }
        if let Some(first) = &first {
            mail = mail.in_reply_to(first.clone()).references(first.clone());
        }
        let mail = mail.singlepart(SinglePart::plain(body(message)));
        let text = mail.map_err(|error| format!("mail: no letter can be made of it: {error}"))?.formatted();
        let posted = Posted { place: None, id: Some(first.unwrap_or_else(|| id.clone())) };
        Ok(Self { id, posted, text })
    }
}

/// Of the notice alone, whatever its id is made of. The missing guard has the same id in clusters that lose it at once.
fn message_id(settings: &MailSettings, message: &Message) -> String {
    let cluster = message.cluster.as_deref().unwrap_or_default();
    let sum = Sha256::new().chain_update(cluster).chain_update([0]).chain_update(&message.notice.id).finalize();
    let name: String = sum.iter().take(NAME).map(|byte| format!("{byte:02x}")).collect();
    format!("<{name}@{}>", settings.from.email.domain())
}

/// Words apart by one blank each, since a line of a header may be broken at any. What is decoded again by whoever reads a
/// subject must not be something that was written as if it were encoded. (RFC 2047, section 2)
fn subject(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    fitted(&words.join(" "), SUBJECT, |text| text.split("=?").collect::<Vec<_>>().join("= ?"))
}

fn body(message: &Message) -> String {
    let shown = |text: &str| fitted(&visible(text), VALUE, unlinked);
    let facts = message.facts.iter().map(|fact| format!("{}: {}\n", fact.label, shown(&fact.value)));
    let facts: String = facts.collect();
    // What is run or opened stands alone on its line, to be copied, and is never cut.
    let command = message.command.iter().map(|command| format!("\nWhat to run:\n{command}\n"));
    let link = message.link.iter().map(|link| format!("\nWhere to look:\n{link}\n"));
    let more: String = command.chain(link).collect();
    format!("{}\n\n{facts}{more}\nNobody reads answers to this mail.\n", shown(&message.title))
}

/// What it means that a server refused a letter for everybody, or gave no answer. Nothing is lost for a wrong setting: it is
/// tried again until somebody mends it.
pub fn refused(server: &str, fault: &SmtpFault) -> Reception {
    let SmtpFault::Refused { step, reply } = fault else {
        return Reception::Later { why: format!("mail server {server}: {fault}"), after: None };
    };
    if is_of_the_letter(*step, *reply) {
        return Reception::Never(format!("mail server {server}: {fault}: the letter is not such as it takes"));
    }
    let way_out = match step {
        _ if reply.is_for_now() => "it takes no more for now",
        SmtpStep::Login => {
            "check mail.username, and that mail.passwordFile holds the password of an account that may send"
        }
        SmtpStep::Sender => "check that it lets mail.from send, and whether it needs mail.username",
        SmtpStep::Greeting | SmtpStep::Hello | SmtpStep::StartTls => "check mail.server and mail.encryption",
        SmtpStep::Recipient | SmtpStep::Data | SmtpStep::Mail | SmtpStep::Goodbye => {
            "check that it lets mail.from write to all of mail.to"
        }
    };
    Reception::Later { why: format!("mail server {server}: {fault}: {way_out}"), after: None }
}

/// Whether no setting would help: it is too long, or its content is not supported. The code 554 alone says neither, and is what
/// some services answer to a sender that they do not know. (RFC 3463, sections 3.3, 3.4 and 3.7)
fn is_of_the_letter(step: SmtpStep, reply: SmtpReply) -> bool {
    let of_letter = match reply.finer {
        Some(finer) => matches!(finer, (2, 3) | (3, 4) | (6, _)),
        None => reply.code == 552,
    };
    matches!(step, SmtpStep::Sender | SmtpStep::Mail) && !reply.is_for_now() && of_letter
}

#[cfg(test)]
mod tests;
