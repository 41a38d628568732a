//! A route by mail, held to its rules: a server, addresses, and no password without encryption.
//!
//! It must not read the password, nor look up the server.

use std::collections::BTreeSet;

use lettre::Address;
use lettre::message::Mailbox;
use rustls::pki_types::ServerName;

use super::{MailEncryption, MailEntry};

/// How many recipients there may be: a server takes so many at least. (RFC 5321, section 4.5.3.1.8)
const MOST_RECIPIENTS: usize = 100;

/// A mail entry that fits the rules.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// Name or address of the server, without brackets.
    pub host: String,
    pub port: u16,
    pub from: Mailbox,
    /// Those who are written to, each once.
    pub to: Vec<Mailbox>,
    pub encryption: MailEncryption,
    /// Whoever logs in, which needs encryption.
    pub username: Option<String>,
}

/// A field of a mail entry that breaks a rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("mail.{field}: {why}")]
pub struct BadMail {
    pub field: String,
    pub why: String,
}

impl MailEntry {
    /// What it comes to. `allow_plain` is that of its route.
    ///
    /// # Errors
    /// On the first field that breaks a rule.
    pub fn settings(&self, allow_plain: bool) -> Result<MailSettings, BadMail> {
        let (host, port) = host_and_port(&self.server)
            .ok_or_else(|| bad("server", format!("{:?} is not HOST:PORT, such as mail.example:587", self.server)))?;
        let from = mailbox(&self.from).map_err(|why| bad("from", why))?;
        if self.to.is_empty() || self.to.len() > MOST_RECIPIENTS {
            let why = format!("there are {}; give 1 to {MOST_RECIPIENTS}, or the address of a list", self.to.len());
            return Err(bad("to", why));
        }
        let (mut to, mut seen) = (Vec::new(), BTreeSet::new());
        for (n, text) in self.to.iter().enumerate() {
            let field = format!("to[{n}]");
            let mailbox = mailbox(text).map_err(|why| bad(&field, why))?;
            if !seen.insert(mailbox.email.clone()) {
                return Err(bad(&field, format!("{} is there twice; leave it out", mailbox.email)));
            }
            to.push(mailbox);
        }
        self.encrypted(allow_plain)?;
        Ok(MailSettings { host, port, from, to, encryption: self.encryption, username: self.username.clone() })
    }

    fn encrypted(&self, allow_plain: bool) -> Result<(), BadMail> {
        match (&self.username, &self.password_file) {
            (Some(_), None) => return Err(bad("passwordFile", "a username needs one; name the file".to_owned())),
            (None, Some(_)) => return Err(bad("username", "a password needs one; give it".to_owned())),
            _ => {}
        }
        if self.encryption != MailEncryption::None {
            return Ok(());
        }
        let way_out = "leave it out for startTls, or set tls";
        if self.username.is_some() {
            return Err(bad("encryption", format!("a password is sent to nobody without encryption; {way_out}")));
        }
        if !allow_plain {
            let why = format!("none needs allowPlain of the route, for a server within the cluster; {way_out}");
            return Err(bad("encryption", why));
        }
        Ok(())
    }
}

fn bad(field: &str, why: String) -> BadMail {
    BadMail { field: field.to_owned(), why }
}

fn host_and_port(server: &str) -> Option<(String, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // An address of IPv6 has colons itself, so that without brackets nobody knows where its port begins.
    if bare.is_none() && host.contains(':') {
        return None;
    }
    let host = bare.unwrap_or(host);
    ServerName::try_from(host).ok().map(|_| (host.to_owned(), port))
}

/// `NAME <ADDRESS>` or the address alone. Only ASCII is taken of an address, since many servers take nothing else.
fn mailbox(text: &str) -> Result<Mailbox, String> {
    let none = || format!("{text:?} is no address, such as people@corp.example or People <people@corp.example>");
    let (name, address) = match text.trim().strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<').map(|(name, address)| (Some(name.trim()), address)).ok_or_else(none)?,
        None => (None, text.trim()),
    };
    if !address.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("{}; a domain with other letters is written as xn--", none()));
    }
    let name = name.map(|name| name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name));
    if name.is_some_and(|name| name.contains(['"', '<', '>', '\\']) || name.contains(char::is_control)) {
        return Err(none());
    }
    let email: Address = address.parse().map_err(|_| none())?;
    Ok(Mailbox::new(name.filter(|name| !name.is_empty()).map(str::to_owned), email))
}
