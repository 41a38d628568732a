use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::core::notice::NoticeEvent;
use crate::notify::message::golden::notice;

mod scripted;

use self::scripted::{CLOSE, ENDLESS, GREETING, MAIL_IS_THERE, PASSWORD, SILENT, ScriptedServer, USERNAME};

const SECRET: &str = "S3CRET";
const QUICK: SmtpLimits = SmtpLimits {
    tls: Duration::from_millis(400),
    answer: Duration::from_millis(400),
    commands: Duration::from_millis(1500),
    taking: Duration::from_millis(400),
    goodbye: Duration::from_millis(200),
};
/// All that a conversation with STARTTLS consists of.
const STAGES: [&str; 8] = [GREETING, "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", MAIL_IS_THERE];
const PEOPLE: [&str; 3] = ["ann@corp.example", "Bob <bob@corp.example>", "Zoë <zoe@corp.example>"];

fn now() -> Timestamp {
    "2026-11-30T14:51:00Z".parse().unwrap()
}

fn told(event: NoticeEvent) -> Message {
    Message::of(notice(event), Some("prod"), Some("https://daypass.example"))
}

fn password() -> SecretString {
    format!("{SECRET}\n").into()
}

/// A server and one who sends to it.
struct Post {
    server: ScriptedServer,
    sender: MailSender,
    _folder: tempfile::TempDir,
}

impl Post {
    /// With a password, as most have it.
    async fn new(encryption: MailEncryption) -> Self {
        let server = ScriptedServer::listen("localhost", encryption == MailEncryption::Tls).await;
        let plain = encryption == MailEncryption::None;
        let entry = MailEntry {
            server: format!("localhost:{}", server.at.port()),
            from: "Daypass <daypass@corp.example>".to_owned(),
            to: PEOPLE.map(str::to_owned).into(),
            encryption,
            username: (!plain).then(|| "daypass".to_owned()),
            password_file: (!plain).then(|| "/secrets/password".into()),
        };
        let folder = tempfile::tempdir().unwrap();
        let authorities = folder.path().join("ca.pem");
        std::fs::write(&authorities, &server.pem).unwrap();
        let reach = RouteReach {
            allow_private: vec!["127.0.0.0/8".to_owned()],
            allow_plain: plain,
            authorities: Some(authorities),
        };
        Self { server, sender: MailSender::new(entry, reach), _folder: folder }
    }

    async fn send(&self) -> Reception {
        self.send_message(&told(NoticeEvent::Waits), now()).await
    }

    async fn send_message(&self, message: &Message, now: Timestamp) -> Reception {
        let reception = self.sender.send(message, None, Some(&password()), now).await;
        let shown = format!("{reception:?} {:?}", self.sender);
        let coded = BASE64_STANDARD.encode(format!("\0daypass\0{SECRET}"));
        assert!(!shown.contains(SECRET) && !shown.contains(&coded), "{shown}");
        reception
    }

    /// Commands by their first word, of those that were heard in the clear, or of the others.
    fn heard(&self, encrypted: bool) -> Vec<String> {
        let heard = self.server.heard().into_iter().filter(|(how, _)| *how == encrypted);
        heard.map(|(_, command)| command.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    fn recipients(&self) -> Vec<String> {
        let heard = self.server.heard().into_iter();
        heard.filter_map(|(_, command)| Some(command.strip_prefix("RCPT TO:")?.to_owned())).collect()
    }
}

fn taken(reception: &Reception) -> &Posted {
    let Reception::Taken(Some(posted)) = reception else { panic!("{reception:?}") };
    posted
}

fn why_later(reception: &Reception) -> &str {
    let Reception::Later { why, after: None } = reception else { panic!("{reception:?}") };
    why
}

fn header<'a>(mail: &'a str, name: &str) -> Option<&'a str> {
    mail.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn after_starttls_a_password_and_a_mail_are_sent_and_nothing_of_them_before() {
    let post = Post::new(MailEncryption::StartTls).await;
    let reception = post.send().await;
    let heard = post.server.heard();
    let (plain, encrypted): (Vec<_>, Vec<_>) = heard.iter().partition(|(encrypted, _)| !encrypted);
    let plain: Vec<&str> = plain.iter().map(|(_, command)| command.as_str()).collect();
    assert_eq!(plain, ["EHLO [127.0.0.1]", "STARTTLS"]);
    let encrypted: Vec<&str> = encrypted.iter().map(|(_, command)| command.as_str()).collect();
    let login = format!("AUTH PLAIN {}", BASE64_STANDARD.encode(format!("\0daypass\0{SECRET}")));
    assert_eq!(
        encrypted,
        [
            "EHLO [127.0.0.1]",
            login.as_str(),
            "MAIL FROM:<daypass@corp.example>",
            "RCPT TO:<ann@corp.example>",
            "RCPT TO:<bob@corp.example>",
            "RCPT TO:<zoe@corp.example>",
            "DATA",
            MAIL_IS_THERE,
            "QUIT",
        ]
    );
    let mails = post.server.mails();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    let id = header(std::str::from_utf8(mail).unwrap(), "Message-ID").unwrap();
    assert_eq!(taken(&reception), &Posted { place: None, id: Some(id.to_owned()) });
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_to_encrypt_hears_no_more() {
    let post = Post::new(MailEncryption::StartTls).await;
    for script in [
        [("EHLO", "250-mail.test\r\n250 AUTH PLAIN LOGIN")],
        [("EHLO", "250 STARTTLS")],
        [("STARTTLS", "454 4.7.0 not now")],
        [("STARTTLS", "502 no")],
        [("STARTTLS", "250 no")],
    ] {
        post.server.says(&script);
        why_later(&post.send().await);
        let heard: Vec<String> = post.server.heard().into_iter().map(|(_, command)| command).collect();
        assert!(
            heard.iter().all(|command| ["EHLO [127.0.0.1]", "STARTTLS", "QUIT"].contains(&command.as_str())),
            "{heard:?}"
        );
    }
    assert!(post.server.mails().is_empty());
}

#[tokio::test]
async fn what_is_said_in_the_clear_after_starttls_does_not_count() {
    let post = Post::new(MailEncryption::StartTls).await;
    post.server.says(&[("STARTTLS", "220 go on\r\n250-mail.test\r\n250 AUTH PLAIN")]);
    why_later(&post.send().await);
    assert_eq!(post.heard(true), [""; 0]);
}

#[tokio::test]
async fn a_server_is_known_by_the_authorities_of_the_route_and_by_its_name() {
    let (post, other) = (Post::new(MailEncryption::StartTls).await, Post::new(MailEncryption::StartTls).await);
    let unknown = MailSender {
        reach: other.sender.reach.clone(),
        ..MailSender::new(post.sender.entry.clone(), RouteReach::default())
    };
    why_later(&unknown.send(&told(NoticeEvent::Waits), None, Some(&password()), now()).await);
    // The certificate is for a name, and not for the address.
    let entry = MailEntry { server: post.server.at.to_string(), ..post.sender.entry.clone() };
    let misnamed = MailSender::new(entry, post.sender.reach.clone());
    why_later(&misnamed.send(&told(NoticeEvent::Waits), None, Some(&password()), now()).await);
    assert_eq!(post.heard(true), [""; 0]);
    taken(&post.send().await);
}

#[tokio::test]
async fn a_server_may_speak_tls_from_the_first_byte() {
    let post = Post::new(MailEncryption::Tls).await;
    taken(&post.send().await);
    assert_eq!(post.server.heard().iter().filter(|(encrypted, _)| !encrypted).count(), 0);
    assert_eq!(post.server.mails().len(), 1);
    // One that waits to be asked does not.
    let other = Post::new(MailEncryption::StartTls).await;
    let entry = MailEntry { encryption: MailEncryption::Tls, ..other.sender.entry.clone() };
    let mut sender = MailSender::new(entry, other.sender.reach.clone());
    sender.limits = QUICK;
    why_later(&sender.send(&told(NoticeEvent::Waits), None, Some(&password()), now()).await);
    assert_eq!(other.server.mails().len(), 0);
}

#[tokio::test]
async fn without_encryption_nobody_logs_in_and_the_route_must_allow_it() {
    let post = Post::new(MailEncryption::None).await;
    taken(&post.send().await);
    assert_eq!(post.heard(false), ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA", MAIL_IS_THERE, "QUIT"]);
    let connected = post.server.connected();
    let named = MailEntry {
        username: Some("daypass".to_owned()),
        password_file: Some("/secrets/password".into()),
        ..post.sender.entry.clone()
    };
    let forbidden = RouteReach { allow_plain: false, ..post.sender.reach.clone() };
    for sender in
        [MailSender::new(named, post.sender.reach.clone()), MailSender::new(post.sender.entry.clone(), forbidden)]
    {
        why_later(&sender.send(&told(NoticeEvent::Waits), None, Some(&password()), now()).await);
    }
    assert_eq!(post.server.connected(), connected);
}

#[tokio::test]
async fn whoever_takes_no_plain_is_logged_in_to_by_login_and_a_missing_password_goes_nowhere() {
    let post = Post::new(MailEncryption::Tls).await;
    post.server.says(&[("EHLO", "250-mail.test\r\n250-AUTH NTLM login\r\n250 HELP")]);
    taken(&post.send().await);
    let heard: Vec<String> = post.server.heard().into_iter().map(|(_, command)| command).collect();
    let [username, password] = ["daypass", SECRET].map(|word| BASE64_STANDARD.encode(word));
    assert_eq!(
        heard[1..4],
        ["AUTH LOGIN".to_owned(), format!("{USERNAME} {username}"), format!("{PASSWORD} {password}")]
    );
    for offer in ["250-mail.test\r\n250-AUTH GSSAPI NTLM\r\n250 HELP", "250 AUTH PLAIN"] {
        post.server.says(&[("EHLO", offer)]);
        why_later(&post.send().await);
        assert_eq!(post.heard(true), ["EHLO", "QUIT"]);
    }
    let connected = post.server.connected();
    for password in [None, Some(""), Some("\n"), Some("S3CRET\nmore"), Some("\0S3CRET")] {
        let password = password.map(SecretString::from);
        let reception = post.sender.send(&told(NoticeEvent::Waits), None, password.as_ref(), now()).await;
        assert!(!why_later(&reception).contains(SECRET));
    }
    assert_eq!(post.server.connected(), connected);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_connected_to() {
    let post = Post::new(MailEncryption::StartTls).await;
    for server in
        [post.sender.entry.server.clone(), post.server.at.to_string(), format!("2130706433:{}", post.server.at.port())]
    {
        let entry = MailEntry { server, ..post.sender.entry.clone() };
        let reach = RouteReach { allow_private: Vec::new(), ..post.sender.reach.clone() };
        let sender = MailSender::new(entry, reach);
        why_later(&sender.send(&told(NoticeEvent::Waits), None, Some(&password()), now()).await);
    }
    assert_eq!(post.server.connected(), 0);
}

#[tokio::test]
async fn a_server_that_is_silent_or_leaves_at_any_stage_ends_the_try_in_time_and_the_next_may_succeed() {
    let mut post = Post::new(MailEncryption::StartTls).await;
    for stage in STAGES {
        for manner in [SILENT, CLOSE, ENDLESS, "hello?", "25", "2500 x", "250-x\r\n251 x", "250 \u{fffd}"] {
            // What is said without an end, and with a proper code, is a yes.
            if manner == "250 \u{fffd}" && !["MAIL", "RCPT", MAIL_IS_THERE].contains(&stage) {
                continue;
            }
            post.sender.limits = if manner == SILENT { QUICK } else { SmtpLimits::default() };
            post.server.says(&[(stage, manner)]);
            let (begun, reception) = (Instant::now(), post.send().await);
            assert!(begun.elapsed() < Duration::from_secs(5), "{stage} {manner}");
            if manner == "250 \u{fffd}" {
                taken(&reception);
            } else {
                why_later(&reception);
            }
        }
        post.server.mails();
        post.server.says(&[]);
        taken(&post.send().await);
        assert_eq!(post.server.mails().len(), 1, "{stage}");
    }
    // A goodbye that nobody answers changes nothing.
    post.sender.limits.goodbye = QUICK.goodbye;
    post.server.says(&[("QUIT", SILENT)]);
    taken(&post.send().await);
}

/// Many answers that each come in time.
#[tokio::test]
async fn commands_together_have_a_limit_too() {
    let mut post = Post::new(MailEncryption::StartTls).await;
    post.sender.limits = SmtpLimits { commands: Duration::ZERO, ..SmtpLimits::default() };
    why_later(&post.send().await);
    assert!(post.server.mails().is_empty());
}

#[tokio::test]
async fn a_try_that_is_dropped_leaves_nothing_behind() {
    let post = Post::new(MailEncryption::StartTls).await;
    for stage in STAGES {
        post.server.says(&[(stage, SILENT)]);
        let before = post.server.connected();
        let connected = async {
            while post.server.connected() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            reception = post.send() => panic!("{reception:?}"),
            () = connected => {}
        }
    }
    post.server.says(&[]);
    taken(&post.send().await);
    assert_eq!(post.server.mails().len(), 1);
}

#[tokio::test]
async fn a_refusal_at_any_stage_is_tried_again_unless_it_is_of_the_letter() {
    let post = Post::new(MailEncryption::StartTls).await;
    for stage in STAGES {
        for answer in [
            "421 4.3.2 leaving",
            "450 4.2.0 later",
            "452 4.3.1 no room",
            "500 what?",
            "530 5.7.0 who are you?",
            "535 5.7.8 S3CRET is wrong",
            "550 5.7.1 you may not",
            "552 5.2.2 no room",
            "554 Message rejected: S3CRET",
            "554 5.7.1 spam",
        ] {
            post.server.says(&[(stage, answer)]);
            why_later(&post.send().await);
        }
        for answer in ["552 too long", "552-too\r\n552 5.3.4 long", "554 5.6.0 no such content", "550 5.2.3 too long"] {
            post.server.says(&[(stage, answer)]);
            let reception = post.send().await;
            if ["MAIL", MAIL_IS_THERE].contains(&stage) {
                assert!(matches!(reception, Reception::Never(_)), "{stage} {answer}: {reception:?}");
            } else {
                why_later(&reception);
            }
        }
    }
    assert!(post.server.mails().is_empty());
}

#[tokio::test]
async fn what_is_sent_arrives_byte_for_byte() {
    let post = Post::new(MailEncryption::StartTls).await;
    // Each is written in another way: as it is, with digits, and in base64.
    for reason in ["prices are wrong".to_owned(), "x".repeat(3000), "é🎉 ".repeat(700)] {
        let mut notice = notice(NoticeEvent::Waits);
        notice.request.reason = reason;
        for title in [".hidden", ".", "..", "x\r\n.\r\nQUIT\r\n", "\r.", &".".repeat(2000)] {
            let mut message = Message::of(notice.clone(), None, None);
            message.title = title.to_owned();
            taken(&post.send_message(&message, now()).await);
            let settings = post.sender.entry.settings(false).unwrap();
            let letter = Letter::of(&settings, &message, None).unwrap();
            let mut mails = post.server.mails();
            let mail = mails.pop().unwrap();
            assert_eq!(String::from_utf8(mail).unwrap(), String::from_utf8(letter.text).unwrap());
            assert!(mails.is_empty());
        }
    }
}

#[tokio::test]
async fn a_retry_is_the_same_mail_and_what_comes_later_answers_the_first() {
    let post = Post::new(MailEncryption::StartTls).await;
    post.server.says(&[(MAIL_IS_THERE, CLOSE)]);
    why_later(&post.send().await);
    post.server.says(&[]);
    let later = now() + SignedDuration::from_mins(5);
    let first = post.send_message(&told(NoticeEvent::Waits), later).await;
    let again = post.send().await;
    assert_eq!(first, again);
    let mails = post.server.mails();
    assert!(mails.len() == 2 && mails[0] == mails[1]);
    let first = taken(&first);
    let mut decided = told(NoticeEvent::Approved);
    decided.notice.id = "r-1/4".to_owned();
    let reception = post.sender.send(&decided, Some(first), Some(&password()), later).await;
    assert_eq!(taken(&reception), first);
    let mail = String::from_utf8(post.server.mails().remove(0)).unwrap();
    for name in ["In-Reply-To", "References"] {
        assert_eq!(header(&mail, name), first.id.as_deref(), "{name}");
    }
    assert_ne!(header(&mail, "Message-ID"), first.id.as_deref());
}

const BOB: &str = "RCPT TO:<bob@";
const ALL: [&str; 3] = ["<ann@corp.example>", "<bob@corp.example>", "<zoe@corp.example>"];

#[tokio::test]
async fn whoever_is_refused_for_now_gets_it_later_and_nobody_else_gets_it_again() {
    let post = Post::new(MailEncryption::StartTls).await;
    post.server.says(&[(BOB, "450 4.7.1 who are you?")]);
    why_later(&post.send().await);
    assert_eq!(post.recipients(), ALL);
    assert_eq!(post.server.mails().len(), 1);
    // Another notice goes to all.
    let mut other = told(NoticeEvent::Waits);
    other.notice.id = "r-2/0".to_owned();
    why_later(&post.send_message(&other, now()).await);
    assert_eq!(post.recipients(), ALL);
    post.server.mails();
    // A failure in between forgets nothing.
    post.server.says(&[("MAIL", "451 later")]);
    why_later(&post.send().await);
    post.server.says(&[(BOB, "451 still not")]);
    why_later(&post.send().await);
    assert_eq!(post.recipients(), ["<bob@corp.example>"]);
    assert!(post.server.mails().is_empty());
    post.server.says(&[]);
    taken(&post.send().await);
    assert_eq!(post.recipients(), ["<bob@corp.example>"]);
    assert_eq!(post.server.mails().len(), 1);
    assert_eq!(post.sender.partly().len(), 1);
}

#[tokio::test]
async fn a_server_that_leaves_among_recipients_took_nothing() {
    let post = Post::new(MailEncryption::StartTls).await;
    post.server.says(&[(BOB, "421 4.3.2 leaving")]);
    why_later(&post.send().await);
    assert_eq!(post.recipients(), ALL[..2]);
    post.server.says(&[]);
    taken(&post.send().await);
    assert_eq!(post.recipients(), ALL);
    assert_eq!(post.server.mails().len(), 1);
}

#[tokio::test]
async fn nobody_waits_for_long_for_the_address_of_another() {
    let post = Post::new(MailEncryption::StartTls).await;
    for answer in ["550 5.1.1 no such user", "552 5.2.2 no room", "354 what?"] {
        post.server.says(&[(BOB, answer)]);
        taken(&post.send().await);
        assert_eq!(post.server.mails().len(), 1, "{answer}");
    }
    post.server.says(&[(BOB, "452 4.2.2 no room")]);
    why_later(&post.send().await);
    post.server.mails();
    let message = told(NoticeEvent::Waits);
    why_later(&post.send_message(&message, now() + PATIENCE - SignedDuration::from_secs(1)).await);
    taken(&post.send_message(&message, now() + PATIENCE).await);
    assert!(post.server.mails().is_empty() && post.sender.partly().is_empty());
}

#[tokio::test]
async fn a_mail_that_nobody_got_is_not_told() {
    let post = Post::new(MailEncryption::StartTls).await;
    for answer in ["550 5.1.1 no such user", "450 later"] {
        post.server.says(&[("RCPT", answer)]);
        why_later(&post.send().await);
        why_later(&post.send_message(&told(NoticeEvent::Waits), now() + PATIENCE).await);
        assert!(!post.heard(true).contains(&"DATA".to_owned()));
    }
    assert!(post.sender.partly().is_empty());
}

#[tokio::test]
async fn of_letters_that_some_have_only_so_many_are_known() {
    let post = Post::new(MailEncryption::StartTls).await;
    for n in 0..MOST_LETTERS + 3 {
        let since = now() + SignedDuration::from_secs(n as i64);
        post.sender.note(format!("{n}"), PartlyTaken { since, by: BTreeSet::new() });
    }
    let known = post.sender.partly();
    assert!(known.len() == MOST_LETTERS && !known.contains_key("2") && known.contains_key("3"));
}
