//! Letters as a mail program reads them: what follows is written from the RFCs, and shares nothing with what writes letters.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::core::notice::NoticeEvent;
use crate::notify::message::MessageFact;
use crate::notify::message::golden::notice;
use crate::notify::routes::MailEntry;

/// A letter taken apart.
struct ReadLetter {
    headers: Vec<(String, String)>,
    body: String,
}

impl ReadLetter {
    fn of(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.is_ascii() && text.replace("\r\n", "").find(['\r', '\n']).is_none(), "{text}");
        // RFC 5322, section 2.1.1.
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", "\t");
        let headers: Vec<(String, String)> = unfolded
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let letter = Self { headers, body: String::new() };
        let bytes = match letter.header("Content-Transfer-Encoding") {
            "7bit" => body.as_bytes().to_vec(),
            "quoted-printable" => quoted_printable(body),
            "base64" => BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap(),
            other => panic!("{other}"),
        };
        Self { body: String::from_utf8(bytes).unwrap().replace("\r\n", "\n"), ..letter }
    }

    fn header(&self, name: &str) -> &str {
        let found: Vec<&str> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
        assert!(found.len() <= 1, "{name}: {found:?}");
        found.first().copied().unwrap_or_default()
    }
}

/// RFC 2047: words in base64 or with digits, of which those in a row belong together.
fn decoded(value: &str) -> String {
    let (mut text, mut rest, mut after_word) = (String::new(), value, false);
    while let Some(at) = rest.find("=?") {
        let (between, word) = rest.split_at(at);
        if !(after_word && between.trim().is_empty()) {
            text.push_str(between);
        }
        let parts: Vec<&str> = word.splitn(5, '?').collect();
        assert_eq!((parts[1], parts[2]), ("utf-8", "b"), "{value}");
        text.push_str(&String::from_utf8(BASE64_STANDARD.decode(parts[3]).unwrap()).unwrap());
        rest = parts[4].strip_prefix('=').unwrap();
        after_word = true;
    }
    text + rest
}

/// RFC 2045, section 6.7.
fn quoted_printable(body: &str) -> Vec<u8> {
    assert!(body.split("\r\n").all(|line| line.len() <= 76), "{body}");
    let joined = body.replace("=\r\n", "");
    let (mut bytes, mut rest) = (Vec::new(), joined.as_bytes());
    while let Some((byte, more)) = rest.split_first() {
        if *byte == b'=' {
            let digits = std::str::from_utf8(&more[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &more[2..];
        } else {
            bytes.push(*byte);
            rest = more;
        }
    }
    bytes
}

fn settings() -> MailSettings {
    let entry = MailEntry {
        server: "mail.example:587".to_owned(),
        from: "Daypäss, of the cluster <daypass@corp.example>".to_owned(),
        to: vec!["ann@corp.example".to_owned(), "\"Bob, lead\" <bob@corp.example>".to_owned()],
        encryption: crate::notify::routes::MailEncryption::StartTls,
        username: None,
        password_file: None,
    };
    entry.settings(false).unwrap()
}

fn told(event: NoticeEvent) -> Message {
    Message::of(notice(event), Some("prod"), Some("https://daypass.example"))
}

fn letter(message: &Message, earlier: Option<&Posted>) -> Letter {
    Letter::of(&settings(), message, earlier).unwrap()
}

fn read(message: &Message) -> ReadLetter {
    ReadLetter::of(&letter(message, None).text)
}

#[test]
fn each_event_is_a_letter_whose_lines_can_be_copied() {
    for event in NoticeEvent::ALL {
        let message = told(event);
        let letter = read(&message);
        assert_eq!(letter.header("Subject"), message.title);
        assert_eq!(letter.header("From"), "Daypäss, of the cluster <daypass@corp.example>");
        assert_eq!(letter.header("To"), "ann@corp.example, Bob, lead <bob@corp.example>");
        assert_eq!(letter.header("Date"), "Mon, 30 Nov 2026 14:50:59 +0000");
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
        assert_eq!(
            (letter.header("MIME-Version"), letter.header("Content-Type")),
            ("1.0", "text/plain; charset=utf-8")
        );
        let lines: Vec<&str> = letter.body.lines().collect();
        assert_eq!(lines[0], message.title);
        for fact in &message.facts {
            assert!(lines.contains(&format!("{}: {}", fact.label, fact.value).as_str()), "{lines:?}");
        }
        for alone in message.command.iter().chain(&message.link) {
            assert!(lines.contains(&alone.as_str()), "{lines:?}");
        }
    }
}

#[test]
fn no_line_is_too_long_and_none_is_broken_where_it_is_read() {
    let mut message = told(NoticeEvent::Waits);
    let long = format!("kubectl daypass approve {} -n shop", "x".repeat(1500));
    message.command = Some(long.clone());
    message.facts = vec![
        MessageFact { label: "Reason", value: "грошi ".repeat(600) },
        MessageFact { label: "Where", value: "y".repeat(2000) },
    ];
    message.title = format!("{} 東京 {}", "x".repeat(1200), "z".repeat(1200));
    let letter = read(&message);
    let lines: Vec<&str> = letter.body.lines().collect();
    assert!(lines.contains(&long.as_str()));
    assert!(lines.contains(&format!("Where: {}", "y".repeat(2000)).as_str()));
    assert!(lines.contains(&format!("Reason: {}", "грошi ".repeat(600)).as_str()));
    assert_eq!(letter.header("Subject").chars().count(), SUBJECT);
    message.title = "東".repeat(SUBJECT);
    assert_eq!(read(&message).header("Subject"), message.title);
}

#[test]
fn nothing_that_people_wrote_becomes_a_header_or_a_link() {
    let names = |letter: &ReadLetter| letter.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let usual = names(&read(&told(NoticeEvent::Waits)));
    for written in [
        "x\r\nBcc: eve@evil.example\r\n\r\nbody",
        "x\nBcc: eve@evil.example",
        "x\rBcc: eve@evil.example",
        "é\r\nBcc: eve@evil.example",
        "=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?= =?=?utf-8?q?=0D=0Ax?=",
        "\u{0}\u{7f}\u{202e}  \t  x",
        "see https://evil.example or WWW.evil.example",
        &" ".repeat(2000),
        "",
    ] {
        let mut message = told(NoticeEvent::Waits);
        message.title = written.to_owned();
        message.facts[0].value = written.to_owned();
        message.notice.id = written.to_owned();
        message.cluster = Some(written.to_owned());
        let letter = read(&message);
        assert_eq!(names(&letter), usual, "{written:?}");
        let subject = letter.header("Subject");
        assert!(!subject.contains(['\r', '\n']) && !subject.contains("=?"), "{subject:?}");
        let others = letter.body.replace(message.link.as_ref().unwrap(), "").to_lowercase();
        assert!(!others.contains("://") && !others.contains("www."), "{others}");
    }
}

#[test]
fn a_notice_that_is_told_again_is_the_same_letter_and_others_are_others() {
    let first = letter(&told(NoticeEvent::Waits), None);
    assert_eq!(first.text, letter(&told(NoticeEvent::Waits), None).text);
    assert_eq!(ReadLetter::of(&first.text).header("Message-ID"), first.id);
    // RFC 5322, section 3.6.4.
    let (left, right) = first.id.strip_prefix('<').and_then(|id| id.strip_suffix('>')?.split_once('@')).unwrap();
    assert!(left.len() == 2 * NAME && left.chars().all(|c| c.is_ascii_hexdigit()) && right == "corp.example");
    let mut other = told(NoticeEvent::Waits);
    other.notice.id = "r-1/4".to_owned();
    let elsewhere = Message { cluster: Some("stage".to_owned()), ..told(NoticeEvent::Waits) };
    for other in [&other, &elsewhere] {
        assert_ne!(letter(other, None).id, first.id);
    }
}

#[test]
fn letters_about_a_request_answer_the_first() {
    let first = letter(&told(NoticeEvent::Waits), None);
    assert_eq!(first.posted.id.as_ref(), Some(&first.id));
    let mut later = told(NoticeEvent::Approved);
    later.notice.id = "r-1/4".to_owned();
    let second = letter(&later, Some(&first.posted));
    assert_eq!(second.posted, first.posted);
    let read = ReadLetter::of(&second.text);
    assert_eq!((read.header("In-Reply-To"), read.header("References")), (first.id.as_str(), first.id.as_str()));
    assert_eq!(read.header("Message-ID"), second.id);
    // Nothing answers itself, and what was kept of a first one is no more than a name.
    for earlier in [first.posted.clone(), Posted::default()] {
        assert_eq!(ReadLetter::of(&letter(&told(NoticeEvent::Waits), Some(&earlier)).text).header("In-Reply-To"), "");
    }
    let forged = Posted { place: None, id: Some("<x@y>\r\nBcc: eve@evil.example".to_owned()) };
    assert_eq!(ReadLetter::of(&letter(&later, Some(&forged)).text).header("Bcc"), "");
}

#[test]
fn a_time_that_no_letter_can_have_is_written_as_the_first_that_one_can() {
    let mut message = told(NoticeEvent::Waits);
    for (at, date) in
        [(Timestamp::MIN, "Thu, 01 Jan 1970 00:00:00 +0000"), (Timestamp::MAX, "Thu, 30 Dec 9999 22:00:00 +0000")]
    {
        message.notice.at = at;
        assert_eq!(read(&message).header("Date"), date);
    }
}
