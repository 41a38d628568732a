//! SMTP: one mail to one server, over a connection that the route may have. (RFC 5321)
//!
//! Owns the conversation: that nothing of a mail and no password is said in the clear to a server which is to encrypt, and that
//! each answer has a limit in time and length. It must not judge what was answered, try again, or keep the words of an answer,
//! since they may repeat what was sent.
//!
//! The client of the crate `lettre` is not used: what arrives with the answer to STARTTLS counts there as if it were encrypted,
//! an answer may be of any length, and one wrong recipient ends the mail for all.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::Address;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::causes;
use super::dial::{DialFault, Dialer};

/// How long an answer may be, in bytes.
const MOST_ANSWER: u64 = 16 * 1024;

/// How long a conversation may take.
#[derive(Clone, Copy, Debug)]
pub struct SmtpLimits {
    /// Until a connection is encrypted.
    pub tls: Duration,
    /// Until a command is answered.
    pub answer: Duration,
    /// Until all commands before the mail itself are.
    pub commands: Duration,
    /// Until the mail is taken: some servers look through it first, and whoever does not wait for that sends it twice.
    pub taking: Duration,
    /// How long the answer to a goodbye is waited for.
    pub goodbye: Duration,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        let [tls, answer, commands, taking, goodbye] = [5, 30, 90, 60, 2].map(Duration::from_secs);
        Self { tls, answer, commands, taking, goodbye }
    }
}

/// How a connection is encrypted, and who logs in on one that is.
pub enum SmtpSecurity {
    /// By STARTTLS, and not at all without it. (RFC 3207)
    StartTls(SmtpTls),
    /// From the first byte. (RFC 8314)
    Tls(SmtpTls),
    /// Not at all. Nobody logs in.
    None,
}

/// Encryption.
pub struct SmtpTls {
    /// By whom the server is known.
    pub config: Arc<ClientConfig>,
    pub login: Option<SmtpLogin>,
}

/// Whoever logs in.
pub struct SmtpLogin {
    pub username: String,
    pub password: SecretString,
}

/// Where in a conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpStep {
    Greeting,
    Hello,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    Mail,
    Goodbye,
}

impl fmt::Display for SmtpStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the connection",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Mail => "the mail",
            Self::Goodbye => "QUIT",
        })
    }
}

/// What was answered to a command, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtpReply {
    /// Three digits, of which the first says how it went.
    pub code: u16,
    /// The subject and the detail of the finer code, where there is one: 7 and 1 of `5.7.1`. (RFC 3463)
    pub finer: Option<(u16, u16)>,
}

impl SmtpReply {
    /// Whether it was done.
    pub fn is_yes(self) -> bool {
        self.code / 100 == 2
    }

    /// Whether it may be done later.
    pub fn is_for_now(self) -> bool {
        self.code / 100 == 4
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.finer.map_or(Ok(()), |(subject, detail)| write!(f, " {}.{subject}.{detail}", self.code / 100))
    }
}

/// Why a mail did not get through. None of it repeats what a server said.
#[derive(Debug, thiserror::Error)]
pub enum SmtpFault {
    /// The route may not connect to it, or nothing connects there.
    #[error(transparent)]
    Dial(DialFault),
    /// It cannot be asked to encrypt.
    #[error(
        "it offers no STARTTLS, and nothing is sent in the clear; set encryption to tls if that is what the port speaks"
    )]
    NoEncryption,
    /// It is not known, or speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(String),
    /// It takes no login of a kind that is known here.
    #[error("it takes no login by PLAIN or LOGIN; leave out username if it needs none")]
    NoLogin,
    /// It refused a command on which all others depend.
    #[error("it answered {reply} to {step}")]
    Refused { step: SmtpStep, reply: SmtpReply },
    /// It speaks no SMTP, or ends the connection.
    #[error("no answer to {step}: {why}")]
    Broken { step: SmtpStep, why: String },
    /// It takes too long.
    #[error("no answer to {step} in time")]
    Silent { step: SmtpStep },
}

/// A server, and how it is spoken with.
pub struct SmtpServer {
    pub dialer: Dialer,
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub limits: SmtpLimits,
}

/// A mail as it is handed over.
#[derive(Clone, Copy)]
pub struct SmtpMail<'a> {
    pub from: &'a Address,
    pub to: &'a [Address],
    /// All of its lines, in ASCII.
    pub text: &'a [u8],
}

impl SmtpServer {
    /// Hands over a mail, and says what was answered to each recipient, in order. Those with a yes have it now; where there is no
    /// yes, nothing was handed over.
    ///
    /// # Errors
    /// When nobody has it, as far as is known: a connection that ends while the mail is being taken leaves that open.
    pub async fn deliver(&self, mail: SmtpMail<'_>) -> Result<Vec<SmtpReply>, SmtpFault> {
        let stream = self.dialer.connect(&self.host, self.port).await.map_err(SmtpFault::Dial)?;
        let name = stream.local_addr().map_or_else(|_| "[127.0.0.1]".to_owned(), literal);
        let until = Instant::now() + self.limits.commands;
        match &self.security {
            SmtpSecurity::None => {
                let mut wire = SmtpWire::new(stream, self.limits, until);
                wire.greeted().await?;
                wire.hello(&name).await?;
                wire.hand_over(mail, None).await
            }
            SmtpSecurity::Tls(tls) => {
                let mut wire = SmtpWire::new(self.encrypted(tls, stream).await?, self.limits, until);
                wire.greeted().await?;
                wire.hello(&name).await?;
                wire.hand_over(mail, tls.login.as_ref()).await
            }
            SmtpSecurity::StartTls(tls) => {
                let mut wire = SmtpWire::new(stream, self.limits, until);
                wire.greeted().await?;
                wire.hello(&name).await?;
                let stream = wire.asked_to_encrypt().await?;
                // What it offered before is forgotten: anybody could have said that.
                let mut wire = SmtpWire::new(self.encrypted(tls, stream).await?, self.limits, until);
                wire.hello(&name).await?;
                wire.hand_over(mail, tls.login.as_ref()).await
            }
        }
    }

    async fn encrypted(&self, tls: &SmtpTls, stream: TcpStream) -> Result<TlsStream<TcpStream>, SmtpFault> {
        let name = ServerName::try_from(self.host.clone()).map_err(|error| SmtpFault::Tls(error.to_string()))?;
        let connecting = TlsConnector::from(tls.config.clone()).connect(name, stream);
        match timeout(self.limits.tls, connecting).await {
            Ok(connected) => connected.map_err(|error| SmtpFault::Tls(causes(&error))),
            Err(_) => Err(SmtpFault::Tls(format!("it takes longer than {:?}", self.limits.tls))),
        }
    }
}

/// Whoever has no name in public says its address. (RFC 5321, section 4.1.3)
fn literal(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(at) => format!("[{}]", at.ip()),
        SocketAddr::V6(at) => format!("[IPv6:{}]", at.ip()),
    }
}

/// An answer with its words, which do not leave this file.
struct SmtpAnswer {
    reply: SmtpReply,
    lines: Vec<String>,
}

impl SmtpAnswer {
    /// The words after a keyword of an answer to EHLO, if it has the keyword.
    fn offers(&self, keyword: &str) -> Option<Vec<String>> {
        self.lines.iter().skip(1).find_map(|line| {
            let mut words = line.split_ascii_whitespace().map(str::to_ascii_uppercase);
            (words.next()? == keyword).then(|| words.collect())
        })
    }
}

/// A conversation.
struct SmtpWire<S> {
    stream: BufReader<S>,
    limits: SmtpLimits,
    /// Until when the commands before the mail may take.
    until: Instant,
    /// The answer to EHLO.
    offer: Option<SmtpAnswer>,
}

impl SmtpWire<TcpStream> {
    /// Has the other side begin with TLS.
    async fn asked_to_encrypt(mut self) -> Result<TcpStream, SmtpFault> {
        let step = SmtpStep::StartTls;
        if self.offer.as_ref().and_then(|offer| offer.offers("STARTTLS")).is_none() {
            self.goodbye().await;
            return Err(SmtpFault::NoEncryption);
        }
        self.ask(step, "STARTTLS", 220).await?;
        // Whoever stands between could have said it, for it to count as encrypted. (CVE-2011-0411)
        if !self.stream.buffer().is_empty() {
            return Err(SmtpFault::Broken { step, why: "it says more than it was asked, in the clear".to_owned() });
        }
        Ok(self.stream.into_inner())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SmtpWire<S> {
    fn new(stream: S, limits: SmtpLimits, until: Instant) -> Self {
        Self { stream: BufReader::new(stream), limits, until, offer: None }
    }

    async fn greeted(&mut self) -> Result<(), SmtpFault> {
        let step = SmtpStep::Greeting;
        let answer = timeout_at(self.next_limit(), self.answer(step)).await;
        let answer = answer.map_err(|_| SmtpFault::Silent { step })??;
        if answer.reply.code == 220 { Ok(()) } else { Err(SmtpFault::Refused { step, reply: answer.reply }) }
    }

    async fn hello(&mut self, name: &str) -> Result<(), SmtpFault> {
        self.offer = Some(self.ask(SmtpStep::Hello, &format!("EHLO {name}"), 250).await?);
        Ok(())
    }

    /// Logs in, hands over and says goodbye.
    async fn hand_over(mut self, mail: SmtpMail<'_>, login: Option<&SmtpLogin>) -> Result<Vec<SmtpReply>, SmtpFault> {
        let done = self.logged_in_hand_over(mail, login).await;
        if matches!(done, Ok(_) | Err(SmtpFault::Refused { .. } | SmtpFault::NoLogin)) {
            self.goodbye().await;
        }
        done
    }

    async fn logged_in_hand_over(
        &mut self,
        mail: SmtpMail<'_>,
        login: Option<&SmtpLogin>,
    ) -> Result<Vec<SmtpReply>, SmtpFault> {
        if let Some(login) = login {
            self.log_in(login).await?;
        }
        self.ask(SmtpStep::Sender, &format!("MAIL FROM:<{}>", mail.from), 250).await?;
        let (mut replies, step) = (Vec::new(), SmtpStep::Recipient);
        for to in mail.to {
            let reply = self.say(step, &format!("RCPT TO:<{to}>")).await?.reply;
            // It leaves. (RFC 5321, section 3.8)
            if reply.code == 421 {
                return Err(SmtpFault::Refused { step, reply });
            }
            replies.push(reply);
        }
        if replies.iter().any(|reply| reply.is_yes()) {
            self.ask(SmtpStep::Data, "DATA", 354).await?;
            self.text(mail.text).await?;
        }
        Ok(replies)
    }

    async fn log_in(&mut self, login: &SmtpLogin) -> Result<(), SmtpFault> {
        let step = SmtpStep::Login;
        let ways = self.offer.as_ref().and_then(|offer| offer.offers("AUTH")).unwrap_or_default();
        let takes = |way: &str| ways.iter().any(|offered| offered == way);
        let (username, password) = (login.username.as_str(), login.password.expose_secret());
        if takes("PLAIN") {
            let both = BASE64_STANDARD.encode(format!("\0{username}\0{password}"));
            self.ask(step, &format!("AUTH PLAIN {both}"), 235).await?;
        } else if takes("LOGIN") {
            self.ask(step, "AUTH LOGIN", 334).await?;
            self.ask(step, &BASE64_STANDARD.encode(username), 334).await?;
            self.ask(step, &BASE64_STANDARD.encode(password), 235).await?;
        } else {
            return Err(SmtpFault::NoLogin);
        }
        Ok(())
    }

    /// Sends the mail itself and waits until it is taken.
    async fn text(&mut self, text: &[u8]) -> Result<(), SmtpFault> {
        let step = SmtpStep::Mail;
        let taken = timeout(self.limits.taking, async {
            self.send(step, &dotted(text)).await?;
            self.answer(step).await
        });
        let reply = taken.await.map_err(|_| SmtpFault::Silent { step })??.reply;
        if reply.is_yes() { Ok(()) } else { Err(SmtpFault::Refused { step, reply }) }
    }

    /// Whatever it answers, and whether it does, changes nothing any more.
    async fn goodbye(&mut self) {
        self.until = Instant::now() + self.limits.goodbye;
        let _ = self.say(SmtpStep::Goodbye, "QUIT").await;
    }

    /// A command that must have this answer.
    async fn ask(&mut self, step: SmtpStep, command: &str, code: u16) -> Result<SmtpAnswer, SmtpFault> {
        let answer = self.say(step, command).await?;
        if answer.reply.code == code { Ok(answer) } else { Err(SmtpFault::Refused { step, reply: answer.reply }) }
    }

    async fn say(&mut self, step: SmtpStep, command: &str) -> Result<SmtpAnswer, SmtpFault> {
        let said = timeout_at(self.next_limit(), async {
            self.send(step, format!("{command}\r\n").as_bytes()).await?;
            self.answer(step).await
        });
        said.await.map_err(|_| SmtpFault::Silent { step })?
    }

    fn next_limit(&self) -> Instant {
        self.until.min(Instant::now() + self.limits.answer)
    }

    async fn send(&mut self, step: SmtpStep, bytes: &[u8]) -> Result<(), SmtpFault> {
        let broken = |error: io::Error| SmtpFault::Broken { step, why: causes(&error) };
        self.stream.write_all(bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    async fn answer(&mut self, step: SmtpStep) -> Result<SmtpAnswer, SmtpFault> {
        let broken = |why: &str| SmtpFault::Broken { step, why: why.to_owned() };
        let (mut left, mut lines, mut first) = (MOST_ANSWER, Vec::new(), None);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(left).read_until(b'\n', &mut line).await;
            read.map_err(|error| broken(&causes(&error)))?;
            left = left.saturating_sub(line.len() as u64);
            if line.pop_if(|last| *last == b'\n').is_none() {
                return Err(broken(if left == 0 { "it says too much" } else { "it ends the connection" }));
            }
            let (code, more, words) = answer_line(&line).ok_or_else(|| broken("it does not speak SMTP"))?;
            if *first.get_or_insert(code) != code {
                return Err(broken("its lines have different codes"));
            }
            lines.push(words.to_owned());
            if !more {
                let finer = finer(code, words);
                return Ok(SmtpAnswer { reply: SmtpReply { code, finer }, lines });
            }
        }
    }
}

/// A line of an answer: its code, whether there is another, and its words. (RFC 5321, section 4.2)
fn answer_line(line: &[u8]) -> Option<(u16, bool, &str)> {
    let text = line.trim_ascii_end();
    let code = text.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let code = std::str::from_utf8(code).ok()?.parse().ok().filter(|code| (200..600).contains(code))?;
    match text.get(3) {
        None => Some((code, false, "")),
        // What is no text has no keyword and no finer code in it.
        Some(sign @ (b' ' | b'-')) => Some((code, *sign == b'-', std::str::from_utf8(&text[4..]).unwrap_or_default())),
        Some(_) => None,
    }
}

/// The finer code at the beginning of the words, if it is of the same kind as the code.
fn finer(code: u16, words: &str) -> Option<(u16, u16)> {
    let word = words.split_ascii_whitespace().next()?;
    let numbers: Vec<u16> = word.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [kind, subject, detail] = numbers.try_into().ok()?;
    (kind == code / 100).then_some((subject, detail))
}

/// The text as it goes over the wire: each line ends in CR and LF, which stand nowhere else, one that begins with a dot has
/// another, and a dot alone is the end. (RFC 5321, section 4.5.2)
fn dotted(text: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
        let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\r').collect();
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend(line);
        sent.extend(b"\r\n");
    }
    sent.extend(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_answer_is_read_however_a_server_ends_it() {
        for (line, read) in [
            (b"250 ok\r".as_slice(), Some((250, false, "ok"))),
            (b"250-more", Some((250, true, "more"))),
            (b"221", Some((221, false, ""))),
            (b"354 \r", Some((354, false, ""))),
            (b"250 \xff", Some((250, false, ""))),
            (b"25", None),
            (b"2500", None),
            (b"250_x", None),
            (b"199 x", None),
            (b"600 x", None),
            (b"", None),
        ] {
            assert_eq!(answer_line(line), read, "{line:?}");
        }
        let codes = [
            (550, "5.1.1 no", Some((1, 1))),
            (550, "4.1.1 no", None),
            (250, "ok", None),
            (554, "5.7", None),
            (552, "", None),
        ];
        for (code, words, read) in codes {
            assert_eq!(finer(code, words), read, "{words}");
        }
    }

    #[test]
    fn no_line_of_a_text_is_its_end() {
        for (text, sent) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\nb\r\n..c\r\n", "a\r\n..\r\nb\r\n...c\r\n.\r\n"),
            // What one server takes for the end of a line and another does not. (CVE-2023-51764)
            ("a\n.\nb\r.\rc\r\r\n", "a\r\n..\r\nb.c\r\n.\r\n"),
            ("\r.\r\n", "..\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(dotted(text.as_bytes())).unwrap(), sent, "{text:?}");
        }
    }
}
