//! Mail, as others take and read it: by aiosmtpd and by Python's email package, where the machine has them.
//!
//! `DAYPASS_PYTHON` names a Python that does, such as that of a virtual environment.

use std::process::Stdio;
use std::time::Duration;

use daypass::core::notice::{Notice, NoticeEvent, NoticedRequest};
use daypass::notify::message::Message;
use daypass::notify::outbound::mail::MailSender;
use daypass::notify::providers::{Posted, Reception};
use daypass::notify::routes::{MailEncryption, MailEntry, RouteReach};
use libtest_mimic::{Completion, Trial};
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The Python of the system: Debian's python3-aiosmtpd is for it.
const PYTHON: &str = "/usr/bin/python3";
const SERVER: &str = include_str!("mail/server.py");
pub(crate) const USERNAME: &str = "daypass";
pub(crate) const PASSWORD: &str = "S3CRET pass";
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(120);

pub fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("mail::a_server_of_others_takes_it_and_a_mail_program_of_others_reads_it", || {
        if let Some(why) = is_missing() {
            return Ok(Completion::ignored_with(why));
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, taken_and_read()).await });
        ended.map(|()| Completion::Completed).map_err(|_| format!("no end after {LIMIT:?}").into())
    })]
}

/// Why there is no mail server on this machine, if there is none.
pub(crate) fn is_missing() -> Option<&'static str> {
    let has = std::process::Command::new(python()).args(["-c", "import aiosmtpd"]).output();
    let has = has.is_ok_and(|output| output.status.success());
    (!has).then_some("this machine has no mail server: install Debian's python3-aiosmtpd, or set DAYPASS_PYTHON")
}

fn python() -> String {
    std::env::var("DAYPASS_PYTHON").unwrap_or_else(|_| PYTHON.to_owned())
}

/// A server that runs until it is dropped.
pub(crate) struct OthersServer {
    _child: Child,
    said: Lines<BufReader<ChildStdout>>,
    ports: Vec<u16>,
    folder: tempfile::TempDir,
}

impl OthersServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let [certificate, key, program] = ["ca.pem", "key.pem", "server.py"].map(|name| folder.path().join(name));
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        std::fs::write(&program, SERVER).expect("a file");
        let mut command = Command::new(python());
        command.args([&program, &certificate, &key]).args([USERNAME, PASSWORD]);
        // It warns of half of what it is asked to do.
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("Python starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ports = said.next_line().await.expect("a line").expect("its ports");
        let ports = ports.split(' ').map(|port| port.parse().expect("a port")).collect();
        Self { _child: child, said, ports, folder }
    }

    /// Where it takes mails that begin in the clear.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.ports[0])
    }

    /// The file of the authority of its certificate.
    pub(crate) fn authority(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn entry(&self, encryption: MailEncryption) -> MailEntry {
        let port = if encryption == MailEncryption::Tls { self.ports[1] } else { self.ports[0] };
        MailEntry {
            server: format!("localhost:{port}"),
            from: "Daypäss <daypass@corp.example>".to_owned(),
            to: ["ann@corp.example", "nobody@corp.example", "\"Bob, lead\" <bob@corp.example>"]
                .map(str::to_owned)
                .into(),
            encryption,
            username: Some(USERNAME.to_owned()),
            password_file: Some("/secrets/password".into()),
        }
    }

    fn sender(&self, entry: MailEntry) -> MailSender {
        let allow_private = vec!["127.0.0.0/8".to_owned()];
        let authorities = Some(self.authority());
        MailSender::new(entry, RouteReach { allow_private, allow_plain: false, authorities })
    }

    /// The next mail that it took.
    pub(crate) async fn mail(&mut self) -> Value {
        let line = self.said.next_line().await.expect("a line").expect("a mail");
        serde_json::from_str(&line).expect("JSON")
    }
}

fn told(n: usize, reason: &str) -> Message {
    let request = NoticedRequest {
        namespace: "shop".to_owned(),
        name: format!("fix-{}", "x".repeat(200)),
        uid: "r-1".to_owned(),
        requester: "alice".to_owned(),
        access: "edit".to_owned(),
        place: "läden, banken".to_owned(),
        reason: reason.to_owned(),
        ..NoticedRequest::default()
    };
    let at = "2026-11-30T14:50:59Z".parse().expect("an instant");
    let (id, event) = (format!("r-1/{n}"), NoticeEvent::Waits);
    let notice = Notice { id, event, at, request, automatic: false, by: None, comment: None, message: None };
    Message::of(notice, Some("prod"), Some("https://daypass.example"))
}

async fn taken_and_read() {
    let mut server = OthersServer::start().await;
    let password = SecretString::from(format!("{PASSWORD}\n"));
    let now = "2026-11-30T14:51:00Z".parse().expect("an instant");
    let wrong = SecretString::from("S3CRET");
    let reasons = ["prices are wrong", ".\r\n.", "грошi 🎉 = x", &"word ".repeat(700), &"y".repeat(3000)];
    for encryption in [MailEncryption::StartTls, MailEncryption::Tls] {
        let sender = server.sender(server.entry(encryption));
        let mut first: Option<Posted> = None;
        for (n, reason) in reasons.iter().enumerate() {
            let message = told(n, reason);
            let refused = sender.send(&message, None, Some(&wrong), now).await;
            assert!(matches!(refused, Reception::Later { .. }), "{refused:?}");
            let reception = sender.send(&message, first.as_ref(), Some(&password), now).await;
            let Reception::Taken(Some(posted)) = reception else { panic!("{reception:?}") };
            let mail = server.mail().await;
            holds(&mail, &message);
            let headers = &mail["headers"];
            match &first {
                None => assert_eq!(headers["Message-ID"].as_str(), posted.id.as_deref()),
                Some(first) => {
                    assert_eq!(headers["In-Reply-To"].as_str(), first.id.as_deref());
                    assert_eq!(&posted, first);
                }
            }
            first = Some(posted);
        }
    }
}

fn holds(mail: &Value, message: &Message) {
    assert_eq!(mail["defects"], serde_json::json!([]), "{mail}");
    assert_eq!(mail["to"], serde_json::json!(["ann@corp.example", "bob@corp.example"]));
    let headers = &mail["headers"];
    assert_eq!(headers["Subject"], message.title);
    assert_eq!(headers["From"], "Daypäss <daypass@corp.example>");
    assert_eq!(headers["To"], "ann@corp.example, nobody@corp.example, \"Bob, lead\" <bob@corp.example>");
    assert_eq!(headers["Date"], "Mon, 30 Nov 2026 14:50:59 +0000");
    let lines: Vec<&str> = mail["body"].as_str().expect("a text").lines().collect();
    let facts = message.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value));
    for alone in facts.chain(message.command.clone()).chain(message.link.clone()) {
        assert!(lines.contains(&alone.as_str()), "{alone}: {lines:?}");
    }
}
