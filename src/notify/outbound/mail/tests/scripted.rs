//! A mail server that does as a script says, on a real socket, written from RFC 5321 and not from what speaks with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::notify::outbound::tests::certified;

/// Says nothing, with the connection open.
pub const SILENT: &str = "SILENT";
/// Ends the connection.
pub const CLOSE: &str = "CLOSE";
/// Says more of it for as long as anybody reads.
pub const ENDLESS: &str = "ENDLESS";
/// What it takes for a command when a connection begins, and when a mail is there.
pub const GREETING: &str = "GREETING";
pub const MAIL_IS_THERE: &str = "END";
/// Words in the place of the lines of AUTH LOGIN.
pub const USERNAME: &str = "USERNAME";
pub const PASSWORD: &str = "PASSWORD";

/// A server that remembers.
#[derive(Clone)]
pub struct ScriptedServer {
    pub at: SocketAddr,
    /// Its certificate.
    pub pem: String,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<(bool, String)>>>,
    mails: Arc<Mutex<Vec<Vec<u8>>>>,
    script: Arc<Mutex<Vec<(String, String)>>>,
}

impl ScriptedServer {
    /// Under a certificate for that name. `tls` is whether it speaks TLS from the first byte.
    pub async fn listen(name: &str, tls: bool) -> Self {
        let (acceptor, pem) = certified(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = Self {
            at: listener.local_addr().unwrap(),
            pem,
            connections: Arc::default(),
            heard: Arc::default(),
            mails: Arc::default(),
            script: Arc::default(),
        };
        let server = here.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(server.clone().serve(stream, acceptor.clone(), tls));
            }
        });
        here
    }

    /// From now on it answers so to commands that begin so, in the first of these that fits.
    pub fn says(&self, script: &[(&str, &str)]) {
        let owned = script.iter().map(|(command, answer)| ((*command).to_owned(), (*answer).to_owned()));
        *self.script.lock().unwrap() = owned.collect();
    }

    /// How often it was connected to.
    pub fn connected(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it heard since the last time, and whether that was encrypted.
    pub fn heard(&self) -> Vec<(bool, String)> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// The mails that it took since the last time.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }

    async fn serve(self, stream: TcpStream, acceptor: TlsAcceptor, tls: bool) {
        if tls {
            if let Ok(stream) = acceptor.accept(stream).await {
                self.converse(&mut BufReader::new(stream), true, true).await;
            }
            return;
        }
        let mut stream = BufReader::new(stream);
        if self.converse(&mut stream, false, true).await
            && let Ok(stream) = acceptor.accept(stream.into_inner()).await
        {
            self.converse(&mut BufReader::new(stream), true, false).await;
        }
    }

    /// Until the end, or until TLS is to begin, which is what it returns.
    async fn converse<S>(&self, stream: &mut BufReader<S>, encrypted: bool, greets: bool) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut expected = Vec::new();
        if greets && self.answer(stream, GREETING, encrypted).await.is_none() {
            return false;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return false;
            }
            let command: String = match expected.pop() {
                Some(word) => format!("{word} {}", line.trim_end()),
                None => line.trim_end().to_owned(),
            };
            self.heard.lock().unwrap().push((encrypted, command.clone()));
            let Some(code) = self.answer(stream, &command, encrypted).await else { return false };
            match (command.as_str(), code) {
                ("STARTTLS", '2') => return true,
                ("AUTH LOGIN", '3') => expected = vec![PASSWORD, USERNAME],
                ("DATA", '3') => {
                    let Some(mail) = mail(stream).await else { return false };
                    self.heard.lock().unwrap().push((encrypted, MAIL_IS_THERE.to_owned()));
                    match self.answer(stream, MAIL_IS_THERE, encrypted).await {
                        Some('2') => self.mails.lock().unwrap().push(mail),
                        Some(_) => {}
                        None => return false,
                    }
                }
                _ => {}
            }
        }
    }

    /// The first digit of what it answered; none at the end.
    async fn answer<S: AsyncWrite + Unpin>(&self, stream: &mut S, command: &str, encrypted: bool) -> Option<char> {
        let scripted = self.script.lock().unwrap().iter().find(|(start, _)| command.starts_with(start)).cloned();
        let answer = scripted.map_or_else(|| usual(command, encrypted).to_owned(), |(_, answer)| answer);
        match answer.as_str() {
            CLOSE => return None,
            SILENT => std::future::pending().await,
            ENDLESS => while stream.write_all(b"250-more\r\n").await.is_ok() {},
            _ => {}
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let is_goodbye = command == "QUIT";
        answer.chars().next().filter(|_| !is_goodbye)
    }
}

fn usual(command: &str, encrypted: bool) -> &'static str {
    match command.split(' ').next().unwrap_or_default() {
        GREETING => "220 mail.test ready",
        "EHLO" if encrypted => "250-mail.test\r\n250-SIZE 1000000\r\n250 AUTH LOGIN PLAIN",
        "EHLO" => "250-mail.test\r\n250 starttls",
        "STARTTLS" => "220 go on",
        "AUTH" if command == "AUTH LOGIN" => "334 VXNlcm5hbWU6",
        USERNAME => "334 UGFzc3dvcmQ6",
        "AUTH" | PASSWORD => "235 2.7.0 welcome",
        "MAIL" | "RCPT" | MAIL_IS_THERE => "250 2.0.0 well",
        "DATA" => "354 go on",
        "QUIT" => "221",
        _ => "500 what?",
    }
}

/// What comes until the dot that stands alone. (RFC 5321, section 4.5.2)
async fn mail<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
