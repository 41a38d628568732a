//! Attacks on a whole page, byte by byte, each with the rules that stop it. Without just these it gets through, and without
//! any other it does not; so each rule is needed, and none is thought to stop what it does not stop.
//!
//! What no rule names is stopped by what cannot be turned off: calls are parsed strictly, and made anew from what was read.

use super::*;
use crate::page::door::answer_calls;
use crate::page::rules::PageRule::{self, *};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the page got, what it said, and what the API server got of it.
struct AttackOutcome {
    status: u16,
    answer: String,
    /// Without the questions who calls.
    heard: Vec<HeardCall>,
}

/// A call as an attacker changes it, in pieces.
struct RawCall {
    line: String,
    /// Headers, each with the end of its line.
    host: String,
    origin: String,
    page: String,
    cookie: String,
    kind: String,
    more: String,
    body: String,
}

/// What an attacker knows, or has stolen.
struct Loot {
    host: String,
    /// Cookies of the page, and of another one at another port.
    cookie: String,
    other_cookie: String,
    /// One-time tokens: of the page, which the victim has used, and of the other one.
    token: String,
    other_token: String,
}

struct Attack {
    name: &'static str,
    call: fn(&Loot) -> RawCall,
    /// The rules that stop it, all of which must be out for it to get through; none where it never does.
    guards: &'static [PageRule],
    /// What the page says; none where it takes the call, and what is bad about it goes nowhere.
    refusal: Option<(u16, &'static str)>,
    succeeds: fn(&AttackOutcome) -> bool,
}

const KIND: &str = "Content-Type: application/json\r\n";
const PATCH: &str = "Content-Type: application/merge-patch+json\r\n";
const DRAFT: &str = r#"{"kind":"AccessRequest"}"#;
const SEEN: &str = r#""metadata":{"uid":"u","resourceVersion":"7"}"#;

fn call(loot: &Loot, line: &str, kind: &str, body: &str) -> RawCall {
    RawCall {
        line: format!("{line} HTTP/1.1"),
        host: format!("Host: {}\r\n", loot.host),
        origin: format!("Sec-Fetch-Site: same-origin\r\nOrigin: http://{}\r\n", loot.host),
        page: "X-Daypass: page\r\n".to_owned(),
        cookie: format!("Cookie: {}\r\n", loot.cookie),
        kind: kind.to_owned(),
        more: String::new(),
        body: body.to_owned(),
    }
}

fn read(loot: &Loot) -> RawCall {
    get(loot, REQUESTS)
}

fn get(loot: &Loot, target: &str) -> RawCall {
    call(loot, &format!("GET {target}"), "", "")
}

fn ask(loot: &Loot) -> RawCall {
    call(loot, &format!("POST {REQUESTS}"), KIND, DRAFT)
}

/// carol, who calls, reviews.
fn review(loot: &Loot, seen: &str, reviews: &str) -> RawCall {
    let body = format!(r#"{{{seen},"status":{{"reviews":{reviews}}}}}"#);
    call(loot, &format!("PATCH {REQUESTS}/fix/status"), PATCH, &body)
}

fn exchange(loot: &Loot, token: &str) -> RawCall {
    let body = json!({ "token": token }).to_string();
    RawCall { cookie: String::new(), ..call(loot, "POST /session", KIND, &body) }
}

impl RawCall {
    fn from(self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self }
    }

    fn with(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }

    fn at(self, host: &str) -> Self {
        Self { host: format!("Host: {host}\r\n"), ..self }
    }

    fn carrying(self, cookie: &str) -> Self {
        Self { cookie: format!("Cookie: {cookie}\r\n"), ..self }
    }

    /// As a form of another page makes it.
    fn of_form(self) -> Self {
        Self { page: String::new(), kind: "Content-Type: text/plain\r\n".to_owned(), ..self }
    }

    fn bytes(&self) -> String {
        let Self { line, host, origin, page, cookie, kind, more, body } = self;
        let is_said = more.contains("Content-Length") || more.contains("Transfer-Encoding") || body.is_empty();
        let length = if is_said { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("{line}\r\n{host}Connection: close\r\n{origin}{page}{cookie}{kind}{more}{length}\r\n{body}")
    }
}

/// Whether the API server got a call.
fn arrives(outcome: &AttackOutcome) -> bool {
    !outcome.heard.is_empty()
}

fn is_told(outcome: &AttackOutcome) -> bool {
    outcome.status == 200
}

fn is_opened(outcome: &AttackOutcome) -> bool {
    outcome.status == 204
}

/// Whether the API server got this in what was sent, or in a header.
fn smuggles(outcome: &AttackOutcome) -> bool {
    outcome.heard.iter().any(|call| {
        let headers = format!("{:?}", call.headers).to_lowercase();
        let all = format!("{} {headers} {}", call.target, String::from_utf8_lossy(&call.body)).to_lowercase();
        ["smuggled", "impersonate", "x-remote", "bearer"].iter().any(|word| all.contains(word))
    })
}

fn is_let_in_by_other_origins(outcome: &AttackOutcome) -> bool {
    outcome.answer.to_lowercase().contains("access-control-")
}

/// What goes on to the API server, with or without rules.
const CARRIED: [&str; 3] = ["accept", "content-type", "user-agent"];

/// Does an attack on a page that holds calls to these rules.
async fn outcome(attack: &Attack, rules: PageRules) -> AttackOutcome {
    let OwnPage { mut server, cookie, token, heard } = own(plainly);
    server.guard.rules = rules;
    let (other, other_token) = PageSession::new(4712).unwrap();
    let other_cookie = other.exchange(&PageRules::all(), other_token.expose_secret()).unwrap();
    let loot = Loot {
        host: PAGE.to_owned(),
        cookie,
        other_cookie: other_cookie.to_str().unwrap().split_once(';').unwrap().0.to_owned(),
        token: token.expose_secret().to_owned(),
        other_token: other_token.expose_secret().to_owned(),
    };
    let (mut attacker, page) = tokio::io::duplex(1 << 20);
    let answering = tokio::spawn(answer_calls(page, Arc::new(server)));
    attacker.write_all((attack.call)(&loot).bytes().as_bytes()).await.unwrap();
    let mut answer = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), attacker.read_to_string(&mut answer)).await;
    ended.unwrap_or_else(|_| panic!("{}: no end", attack.name)).unwrap();
    answering.await.unwrap();
    let mut heard = heard.lock().unwrap().clone();
    heard.retain(|call| !call.target.ends_with("selfsubjectreviews"));
    for name in heard.iter().flat_map(|call| call.headers.keys()) {
        assert!(CARRIED.contains(&name.as_str()), "{}: {name} went on", attack.name);
    }
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    AttackOutcome { status, answer, heard }
}

/// Whether an attack gets through when these rules are out.
async fn opens(attack: &Attack, out: &[PageRule]) -> bool {
    (attack.succeeds)(&outcome(attack, PageRules::but(out)).await)
}

async fn wrong_about(attack: &Attack) -> Vec<String> {
    let (name, guards) = (attack.name, attack.guards);
    let mut wrong = Vec::new();
    let refused = outcome(attack, PageRules::all()).await;
    let reason = refused.answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let said = serde_json::from_str::<Value>(reason).ok();
    let said = said.and_then(|said| said["reason"].as_str().map(str::to_owned)).unwrap_or_default();
    let (code, word) = attack.refusal.unwrap_or((200, ""));
    if (refused.status, said.as_str()) != (code, word) || (attack.succeeds)(&refused) {
        wrong.push(format!("{name}: {} {said} in place of {code} {word}", refused.status));
    }
    if attack.refusal.is_some() && arrives(&refused) {
        wrong.push(format!("{name}: was refused, and arrived all the same"));
    }
    for rule in PageRule::ALL {
        let stops = opens(attack, &[rule]).await;
        if stops != (guards == [rule]) {
            wrong.push(format!("{name}: without {rule:?} alone it gets through: {stops}"));
        }
    }
    if guards.is_empty() && opens(attack, &PageRule::ALL).await {
        wrong.push(format!("{name}: without any rule it gets through"));
    }
    if guards.len() > 1 {
        if !opens(attack, guards).await {
            wrong.push(format!("{name}: without {guards:?} it does not get through"));
        }
        for spared in guards {
            let less: Vec<PageRule> = guards.iter().copied().filter(|rule| rule != spared).collect();
            if opens(attack, &less).await {
                wrong.push(format!("{name}: {spared:?} is not needed"));
            }
        }
    }
    wrong
}

#[tokio::test]
async fn each_attack_is_stopped_by_the_rules_that_it_names_and_by_no_other() {
    let (mut wrong, mut table) = (Vec::new(), String::new());
    let mut named = Vec::new();
    for attack in ATTACKS.iter().copied().flatten() {
        wrong.extend(wrong_about(attack).await);
        named.extend(attack.guards);
        table += &format!("{:<70} {:?}\n", attack.name, attack.guards);
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for rule in PageRule::ALL {
        assert!(named.contains(&rule), "{rule:?} stops no attack");
    }
}

#[tokio::test]
async fn without_an_attack_each_call_is_answered() {
    for (call, succeeds) in [
        (read as fn(&Loot) -> RawCall, arrives as fn(&AttackOutcome) -> bool),
        (ask, arrives),
        (|loot| review(loot, SEEN, r#"{"carol":{"verdict":"Approve"}}"#), arrives),
        (|loot| get(loot, "/api/me"), is_told),
    ] {
        let attack = Attack { name: "none", call, guards: &[], refusal: None, succeeds };
        let outcome = outcome(&attack, PageRules::all()).await;
        assert!(outcome.status == 200 && succeeds(&outcome), "{}", outcome.answer);
    }
}

const ATTACKS: [&[Attack]; 8] = [PAGES, NAMES, SESSIONS, PATHS, PARAMETERS, FRAMES, HEADERS, REVIEWS];

macro_rules! attack {
    ($name:literal, $call:expr, $guards:expr, $refusal:expr, $succeeds:expr) => {
        Attack { name: $name, call: $call, guards: &$guards, refusal: $refusal, succeeds: $succeeds }
    };
}

const FOREIGN: &str = "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n";
const SIBLING: &str = "Sec-Fetch-Site: same-site\r\nOrigin: http://127.0.0.1:9999\r\n";
const NO_ORIGIN: Option<(u16, &str)> = Some((403, "OtherOrigin"));

/// Other pages in the same browser.
const PAGES: &[Attack] = &[
    attack!(
        "a form of another site, without the cookie as it is SameSite",
        |loot| RawCall { cookie: String::new(), ..ask(loot).from(FOREIGN).of_form() },
        [SameOrigin, MadeByPage, RightKind, OwnCookie],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "a form of another site in a browser that sends the cookie",
        |loot| ask(loot).from(FOREIGN).of_form(),
        [SameOrigin, MadeByPage, RightKind],
        NO_ORIGIN,
        arrives
    ),
    attack!("a preflighted call of another site", |loot| ask(loot).from(FOREIGN), [SameOrigin], NO_ORIGIN, arrives),
    attack!("a preflighted review", |l| approve(l).from(FOREIGN), [SameOrigin], NO_ORIGIN, arrives),
    attack!("a read of another site", |loot| read(loot).from(FOREIGN), [SameOrigin], NO_ORIGIN, arrives),
    attack!("a read of what is computed", |l| get(l, "/api/me").from(FOREIGN), [SameOrigin], NO_ORIGIN, is_told),
    attack!(
        "the preflight of another site",
        |loot| preflight(loot, "OPTIONS", FOREIGN),
        [],
        NO_ORIGIN,
        is_let_in_by_other_origins
    ),
    attack!(
        "the preflight of a sibling",
        |loot| preflight(loot, "OPTIONS", SIBLING),
        [],
        NO_ORIGIN,
        is_let_in_by_other_origins
    ),
    attack!(
        "a call of another site that asks to be let read the answer",
        |loot| preflight(loot, "GET", FOREIGN),
        [],
        NO_ORIGIN,
        is_let_in_by_other_origins
    ),
    attack!("a call of a sibling at another port", |loot| ask(loot).from(SIBLING), [SameOrigin], NO_ORIGIN, arrives),
    attack!(
        "a form of a sibling, to which the browser adds the cookie",
        |loot| ask(loot).from(SIBLING).of_form(),
        [SameOrigin, MadeByPage, RightKind],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "a sibling that has no Origin, as with GET",
        |loot| read(loot).from("Sec-Fetch-Site: same-site\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "a page of this machine under its name",
        |loot| ask(loot).from("Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost:4711\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!("a frame in a sandbox", |loot| ask(loot).from("Origin: null\r\n"), [SameOrigin], NO_ORIGIN, arrives),
    attack!(
        "an address typed or a link from a mail",
        |loot| read(loot).from("Sec-Fetch-Site: none\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "an origin of the same host over TLS",
        |loot| ask(loot).from("Origin: https://127.0.0.1:4711\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "an origin that begins as this one",
        |loot| ask(loot).from("Origin: http://127.0.0.1:4711.evil.example\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "two words on who asks, the good one first",
        |loot| ask(loot).from("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!(
        "two origins, the good one first",
        |loot| ask(loot).from("Origin: http://127.0.0.1:4711\r\nOrigin: https://evil.example\r\n"),
        [SameOrigin],
        NO_ORIGIN,
        arrives
    ),
    attack!("a program that is no browser", |loot| ask(loot).from(""), [SameOrigin], NO_ORIGIN, arrives),
    attack!(
        "a picture or a link in the page itself",
        |loot| RawCall { page: String::new(), ..read(loot) },
        [MadeByPage],
        Some((403, "NotOfPage")),
        arrives
    ),
    attack!(
        "a form in the page itself",
        |loot| ask(loot).of_form(),
        [MadeByPage, RightKind],
        Some((403, "NotOfPage")),
        arrives
    ),
    attack!(
        "a call that says twice that the page made it",
        |loot| read(loot).with("X-Daypass: page\r\n"),
        [MadeByPage],
        Some((403, "NotOfPage")),
        arrives
    ),
    attack!(
        "a body that a form could send",
        |loot| RawCall { kind: "Content-Type: text/plain; x=application/json\r\n".to_owned(), ..ask(loot) },
        [RightKind],
        Some((415, "ContentType")),
        arrives
    ),
    attack!(
        "a body of two kinds",
        |loot| ask(loot).with("Content-Type: text/plain\r\n"),
        [RightKind],
        Some((415, "ContentType")),
        arrives
    ),
];

fn approve(loot: &Loot) -> RawCall {
    review(loot, SEEN, r#"{"carol":{"verdict":"Approve"}}"#)
}

fn preflight(loot: &Loot, method: &str, origin: &str) -> RawCall {
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-daypass,content-type\r\n";
    RawCall {
        page: String::new(),
        cookie: String::new(),
        ..call(loot, &format!("{method} {REQUESTS}"), "", "").from(origin).with(asks)
    }
}

const OTHER_HOST: Option<(u16, &str)> = Some((421, "OtherHost"));
const REBOUND: &str = "rebound.evil.example:4711";

/// Names of the attacker's that lead to this machine: the browser takes the attacker's page for one of the same origin.
const NAMES: &[Attack] = &[
    attack!("the page under a rebound name", |loot| get(loot, "/").at(REBOUND), [OwnHost], OTHER_HOST, is_told),
    attack!("a rebound read with all it needs", |loot| read(loot).at(REBOUND), [OwnHost], OTHER_HOST, arrives),
    attack!(
        "a rebound call as a browser makes it",
        |loot| {
            let origin = format!("Sec-Fetch-Site: same-origin\r\nOrigin: http://{REBOUND}\r\n");
            RawCall { cookie: String::new(), ..ask(loot).at(REBOUND).from(&origin) }
        },
        [OwnHost, SameOrigin, OwnCookie],
        OTHER_HOST,
        arrives
    ),
    attack!(
        "a rebound exchange of a token",
        |loot| exchange(loot, &loot.token).at(REBOUND),
        [OwnHost, UnusedToken],
        OTHER_HOST,
        is_opened
    ),
    attack!("the name of this machine", |loot| read(loot).at("localhost:4711"), [OwnHost], OTHER_HOST, arrives),
    attack!("another port", |loot| read(loot).at("127.0.0.1:4712"), [OwnHost], OTHER_HOST, arrives),
    attack!("no port", |loot| read(loot).at("127.0.0.1"), [OwnHost], OTHER_HOST, arrives),
    attack!("a host that ends with a dot", |loot| read(loot).at("127.0.0.1:4711."), [OwnHost], OTHER_HOST, arrives),
    attack!("a host that begins as ours", |loot| read(loot).at("127.0.0.1:4711.e"), [OwnHost], OTHER_HOST, arrives),
    attack!("a user before the host", |loot| read(loot).at("127.0.0.1:4711@evil"), [OwnHost], OTHER_HOST, arrives),
    attack!("the host in another form", |loot| read(loot).at("0x7f000001:4711"), [OwnHost], OTHER_HOST, arrives),
    attack!("an empty host", |loot| read(loot).at(""), [OwnHost], OTHER_HOST, arrives),
    attack!(
        "two hosts, ours first",
        |loot| RawCall { host: format!("Host: {}\r\nHost: evil\r\n", loot.host), ..read(loot) },
        [OneFraming],
        Some((400, "Framing")),
        arrives
    ),
    attack!(
        "two hosts, ours last",
        |loot| RawCall { host: format!("Host: evil\r\nHost: {}\r\n", loot.host), ..read(loot) },
        [OneFraming, OwnHost],
        Some((400, "Framing")),
        arrives
    ),
    attack!(
        "no host, as in HTTP/1.0",
        |loot| RawCall { host: String::new(), line: format!("GET {REQUESTS} HTTP/1.0"), ..read(loot) },
        [OneFraming, OwnHost],
        Some((400, "Framing")),
        arrives
    ),
];

const NO_SESSION: Option<(u16, &str)> = Some((401, "NoSession"));
const SPENT: Option<(u16, &str)> = Some((401, "TokenSpent"));

/// Other users and other pages of this machine.
const SESSIONS: &[Attack] = &[
    attack!("no cookie", |loot| RawCall { cookie: String::new(), ..read(loot) }, [OwnCookie], NO_SESSION, arrives),
    attack!("the cookie of another page", |l| read(l).carrying(&l.other_cookie), [OwnCookie], NO_SESSION, arrives),
    attack!(
        "the cookie of another page under the name of this one",
        |loot| read(loot).carrying(&loot.other_cookie.replacen("4712", "4711", 1)),
        [OwnCookie],
        NO_SESSION,
        arrives
    ),
    attack!(
        "the secret of this page under the name of another",
        |loot| read(loot).carrying(&loot.cookie.replacen("4711", "4712", 1)),
        [OwnCookie],
        NO_SESSION,
        arrives
    ),
    attack!(
        "a cookie cut off",
        |l| read(l).carrying(&l.cookie[..l.cookie.len() - 1]),
        [OwnCookie],
        NO_SESSION,
        arrives
    ),
    attack!("an empty cookie", |loot| read(loot).carrying("daypass-4711="), [OwnCookie], NO_SESSION, arrives),
    attack!(
        "the one-time token as a cookie",
        |loot| read(loot).carrying(&format!("daypass-4711={}", loot.token)),
        [OwnCookie],
        NO_SESSION,
        arrives
    ),
    attack!(
        "the one-time token as a login",
        |loot| RawCall {
            cookie: String::new(),
            ..read(loot).with(&format!("Authorization: Bearer {}\r\n", loot.token))
        },
        [OwnCookie],
        NO_SESSION,
        arrives
    ),
    attack!(
        "the one-time token in the URL",
        |l| RawCall { cookie: String::new(), ..get(l, &format!("{REQUESTS}?token={}", l.token)) },
        [OwnCookie, KnownParameter],
        NO_SESSION,
        arrives
    ),
    attack!("a token that was used, stolen later", |l| exchange(l, &l.token), [UnusedToken], SPENT, is_opened),
    attack!("the token of another page", |l| exchange(l, &l.other_token), [OwnToken, UnusedToken], SPENT, is_opened),
    attack!("a token cut off", |loot| exchange(loot, &loot.token[1..]), [OwnToken, UnusedToken], SPENT, is_opened),
    attack!("an empty token", |loot| exchange(loot, ""), [OwnToken, UnusedToken], SPENT, is_opened),
    attack!(
        "another page that makes this browser exchange a token",
        |loot| exchange(loot, &loot.token).from(FOREIGN),
        [SameOrigin, UnusedToken],
        NO_ORIGIN,
        is_opened
    ),
    attack!(
        "a form that exchanges a token",
        |loot| exchange(loot, &loot.token).from(FOREIGN).of_form(),
        [SameOrigin, MadeByPage, RightKind, UnusedToken],
        NO_ORIGIN,
        is_opened
    ),
];

const ODD: Option<(u16, &str)> = Some((400, "OddPath"));
const NOT_THERE: Option<(u16, &str)> = Some((404, "NotInTable"));
const NO_PAGE: Option<(u16, &str)> = Some((404, "NoSuchPage"));

fn in_group(loot: &Loot, path: &str) -> RawCall {
    get(loot, &format!("/k/apis/daypass.dev/v1alpha1{path}"))
}

/// Ways out of the table.
const PATHS: &[Attack] = &[
    attack!("secrets of all", |loot| get(loot, "/k/api/v1/secrets"), [InTable], NOT_THERE, arrives),
    attack!("secrets of one", |l| get(l, "/k/api/v1/namespaces/shop/secrets"), [InTable], NOT_THERE, arrives),
    attack!("metrics of the API server", |loot| get(loot, "/k/metrics"), [InTable], NOT_THERE, arrives),
    attack!("its root", |loot| get(loot, "/k/"), [InTable], NOT_THERE, arrives),
    attack!("another version", |l| get(l, "/k/apis/daypass.dev/v1/accessrequests"), [InTable], NOT_THERE, arrives),
    attack!("capitals", |loot| in_group(loot, "/AccessRequests"), [InTable], NOT_THERE, arrives),
    attack!("a slash at the end", |loot| in_group(loot, "/accessrequests/"), [InTable], NOT_THERE, arrives),
    attack!(
        "a namespace that is none",
        |l| in_group(l, "/namespaces/a.b/accessrequests"),
        [InTable],
        NOT_THERE,
        arrives
    ),
    attack!("a status to read", |l| get(l, &format!("{REQUESTS}/fix/status")), [InTable], NOT_THERE, arrives),
    attack!("a name too long", |l| get(l, &format!("{REQUESTS}/{}", "a".repeat(300))), [InTable], NOT_THERE, arrives),
    attack!(
        "a policy of one's own",
        |loot| call(loot, "POST /k/apis/daypass.dev/v1alpha1/accesspolicies", KIND, DRAFT),
        [InTable],
        NOT_THERE,
        arrives
    ),
    attack!(
        "a review of something else than the status",
        |loot| RawCall { line: format!("PATCH {REQUESTS}/fix HTTP/1.1"), ..approve(loot) },
        [InTable],
        NOT_THERE,
        arrives
    ),
    attack!(
        "a review that is asked for",
        |loot| RawCall { line: format!("POST {REQUESTS}/fix/status HTTP/1.1"), kind: KIND.to_owned(), ..approve(loot) },
        [InTable],
        NOT_THERE,
        arrives
    ),
    attack!("up", |loot| get(loot, "/k/api/v1/namespaces/../secrets"), [PlainPath, InTable], ODD, arrives),
    attack!("up from the group", |loot| in_group(loot, "/../../../api"), [PlainPath, InTable], ODD, arrives),
    attack!("here", |loot| in_group(loot, "/./accessrequests"), [PlainPath, InTable], ODD, arrives),
    attack!("up in escapes", |l| in_group(l, "/namespaces/%2e%2e/secrets"), [PlainPath, InTable], ODD, arrives),
    attack!("a slash in escapes", |l| in_group(l, "/namespaces/a%2fsecrets"), [PlainPath, InTable], ODD, arrives),
    attack!("the same in capitals", |l| in_group(l, "/namespaces/a%2Fsecrets"), [PlainPath, InTable], ODD, arrives),
    attack!("an escape in an escape", |l| in_group(l, "/namespaces/a%252f"), [PlainPath, InTable], ODD, arrives),
    attack!("a letter in escapes", |l| in_group(l, "/%61ccessrequests"), [PlainPath, InTable], ODD, arrives),
    attack!("a zero byte", |loot| in_group(loot, "/accessrequests%00"), [PlainPath, InTable], ODD, arrives),
    attack!("two slashes", |loot| get(loot, "/k//api/v1/secrets"), [PlainPath, InTable], ODD, arrives),
    attack!("a parameter of a path", |loot| in_group(loot, "/accessrequests;a=b"), [PlainPath, InTable], ODD, arrives),
    attack!("a name in escapes", |l| get(l, &format!("{REQUESTS}/..%2fx")), [PlainPath, InTable], ODD, arrives),
    attack!("past the table", |loot| get(loot, "/api/v1/secrets"), [], NO_PAGE, arrives),
    attack!("before the table", |loot| get(loot, "//k/api/v1/secrets"), [], NO_PAGE, arrives),
    attack!("a file of the machine", |loot| get(loot, "/assets/../../Cargo.toml"), [], NO_PAGE, is_told),
    attack!("a file in escapes", |loot| get(loot, "/assets/%2e%2e/mod.rs"), [], NO_PAGE, is_told),
    attack!(
        "a request that is deleted",
        |l| call(l, &format!("DELETE {REQUESTS}/fix"), "", ""),
        [],
        NOT_THERE,
        arrives
    ),
    attack!("a request that is put", |l| call(l, &format!("PUT {REQUESTS}/fix"), KIND, DRAFT), [], NOT_THERE, arrives),
    attack!(
        "a path longer than any head",
        |loot| get(loot, &format!("{REQUESTS}/{}", "a/".repeat(40_000))),
        [],
        Some((431, "")),
        arrives
    ),
];

const BAD_PARAMETER: Option<(u16, &str)> = Some((400, "BadParameter"));

fn list(loot: &Loot, query: &str) -> RawCall {
    get(loot, &format!("{REQUESTS}?{query}"))
}

/// Parameters that the table does not have.
const PARAMETERS: &[Attack] = &[
    attack!("a field selector", |l| list(l, "fieldSelector=a%3Db"), [KnownParameter], BAD_PARAMETER, arrives),
    attack!("a parameter in capitals", |loot| list(loot, "Watch=true"), [KnownParameter], BAD_PARAMETER, arrives),
    attack!("a watch without end", |l| list(l, "timeoutSeconds=9999999"), [KnownParameter], BAD_PARAMETER, arrives),
    attack!("one without a value", |loot| list(loot, "pretty"), [KnownParameter], BAD_PARAMETER, arrives),
    attack!("a parameter twice", |l| list(l, "watch=false&watch=true"), [SingleParameter], BAD_PARAMETER, arrives),
    attack!("twice, once in escapes", |l| list(l, "limit=1&%6cimit=9"), [SingleParameter], BAD_PARAMETER, arrives),
    attack!("another value", |loot| list(loot, "watch=TRUE"), [FixedValue], BAD_PARAMETER, arrives),
    attack!(
        "a manager of fields",
        |loot| call(loot, &format!("POST {REQUESTS}?fieldManager=kubectl"), KIND, DRAFT),
        [KnownParameter],
        BAD_PARAMETER,
        arrives
    ),
    attack!(
        "a trial that is none",
        |loot| call(loot, &format!("POST {REQUESTS}?dryRun="), KIND, DRAFT),
        [FixedValue],
        BAD_PARAMETER,
        arrives
    ),
    attack!(
        "a parameter of a review",
        |loot| RawCall { line: format!("PATCH {REQUESTS}/fix/status?force=true HTTP/1.1"), ..approve(loot) },
        [KnownParameter],
        BAD_PARAMETER,
        arrives
    ),
    attack!(
        "a parameter within another",
        |loot| list(loot, "continue=a%26fieldSelector%3Dsmuggled"),
        [],
        None,
        |outcome| outcome.heard.iter().any(|call| call.target.contains("&fieldSelector"))
    ),
];

const BROKEN: Option<(u16, &str)> = Some((400, ""));

/// A call within another, of which nothing may be read.
fn inner(loot: &Loot) -> String {
    get(loot, "/k/apis/daypass.dev/v1alpha1/namespaces/smuggled/accessrequests").bytes()
}

/// Calls that can be read in two ways.
const FRAMES: &[Attack] = &[
    attack!(
        "an old version, which has no hosts",
        |loot| RawCall { line: format!("GET {REQUESTS} HTTP/1.0"), ..read(loot) },
        [OneFraming],
        Some((400, "Framing")),
        arrives
    ),
    attack!(
        "a call behind the same length twice",
        |loot| RawCall {
            body: format!("{DRAFT}{}", inner(loot)),
            ..ask(loot).with(&format!("Content-Length: {0}\r\nContent-Length: {0}\r\n", DRAFT.len()))
        },
        [],
        None,
        smuggles
    ),
    attack!(
        "the URL of this page, as a proxy is asked",
        |loot| get(loot, &format!("http://{PAGE}{REQUESTS}")),
        [OwnTarget],
        Some((400, "Target")),
        arrives
    ),
    attack!(
        "the URL of another server",
        |loot| get(loot, &format!("https://10.0.0.1{REQUESTS}")),
        [OwnTarget],
        Some((400, "Target")),
        arrives
    ),
    attack!(
        "a tunnel",
        |loot| call(loot, "CONNECT 10.0.0.1:443", "", ""),
        [],
        Some((400, "Target")),
        |outcome| arrives(outcome) || is_told(outcome)
    ),
    attack!(
        "a call in the body of one that has none",
        |loot| RawCall { body: inner(loot), ..read(loot) },
        [NoBody],
        Some((400, "NoBodyHere")),
        arrives
    ),
    attack!(
        "the same without a length",
        |loot| RawCall { body: "0\r\n\r\n".to_owned(), ..read(loot).with("Transfer-Encoding: chunked\r\n") },
        [NoChunks, NoBody],
        Some((400, "Framing")),
        arrives
    ),
    attack!(
        "a body in chunks",
        |loot| RawCall {
            body: format!("{:x}\r\n{DRAFT}\r\n0\r\n\r\n", DRAFT.len()),
            ..ask(loot).with("Transfer-Encoding: chunked\r\n")
        },
        [NoChunks],
        Some((400, "Framing")),
        arrives
    ),
    attack!(
        "a call behind one that closes",
        |loot| RawCall { body: inner(loot), ..ask(loot).with("Content-Length: 0\r\n") },
        [],
        Some((400, "BadBody")),
        smuggles
    ),
    attack!(
        "two lengths, the short one first",
        |loot| RawCall {
            body: format!("{{}}{}", inner(loot)),
            ..ask(loot).with("Content-Length: 2\r\nContent-Length: 400\r\n")
        },
        [],
        BROKEN,
        smuggles
    ),
    attack!(
        "a list of lengths",
        |loot| RawCall { body: format!("{{}}{}", inner(loot)), ..ask(loot).with("Content-Length: 2, 400\r\n") },
        [],
        BROKEN,
        smuggles
    ),
    attack!(
        "a signed length",
        |loot| RawCall { body: format!("{{}}{}", inner(loot)), ..ask(loot).with("Content-Length: +2\r\n") },
        [],
        BROKEN,
        smuggles
    ),
    attack!(
        "a length and chunks",
        |loot| RawCall {
            body: format!("0\r\n\r\n{}", inner(loot)),
            ..ask(loot).with("Content-Length: 400\r\nTransfer-Encoding: chunked\r\n")
        },
        [],
        Some((400, "Framing")),
        smuggles
    ),
    attack!(
        "a coding that is none",
        |loot| RawCall { body: inner(loot), ..ask(loot).with("Transfer-Encoding: xchunked\r\n") },
        [],
        BROKEN,
        smuggles
    ),
    attack!(
        "a length of a chunk that is none",
        |loot| RawCall { body: format!("-1\r\n{}", inner(loot)), ..ask(loot).with("Transfer-Encoding: chunked\r\n") },
        [],
        Some((400, "Framing")),
        smuggles
    ),
    attack!(
        "a line end in the extension of a chunk",
        |loot| RawCall {
            body: format!("2;a=\n{{}}\r\n0\r\n\r\n{}", inner(loot)),
            ..ask(loot).with("Transfer-Encoding: chunked\r\n")
        },
        [],
        Some((400, "Framing")),
        smuggles
    ),
    attack!(
        "a header behind the chunks",
        |loot| RawCall {
            body: format!("{:x}\r\n{DRAFT}\r\n0\r\nImpersonate-User: admin\r\n\r\n", DRAFT.len()),
            ..ask(loot).with("Transfer-Encoding: chunked\r\n")
        },
        [],
        Some((400, "Framing")),
        smuggles
    ),
    attack!(
        "a body that is too long",
        |loot| RawCall { body: format!("{{\"smuggled\":\"{}\"}}", "x".repeat(65_536)), ..ask(loot) },
        [],
        Some((413, "TooLarge")),
        smuggles
    ),
    attack!(
        "a key twice in what is asked for",
        |loot| RawCall { body: r#"{"kind":"smuggled","kind":"AccessRequest"}"#.to_owned(), ..ask(loot) },
        [],
        None,
        smuggles
    ),
];

const SAYS_WHO: Option<(u16, &str)> = Some((403, "SaysWho"));

/// Headers that say who calls, or hide that they do. Whatever the rules are, none of them goes on.
const HEADERS: &[Attack] = &[
    attack!("a user", |l| read(l).with("Impersonate-User: admin\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("a group", |l| read(l).with("Impersonate-Group: system:masters\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("a UID", |l| read(l).with("Impersonate-Uid: u\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("more of a user", |l| read(l).with("Impersonate-Extra-Scopes: a\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("in other letters", |l| read(l).with("iMPERSONATE-uSER: admin\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("a user of a proxy", |l| read(l).with("X-Remote-User: admin\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!("a group of a proxy", |l| read(l).with("X-Remote-Group: admins\r\n"), [NobodyNamed], SAYS_WHO, arrives),
    attack!(
        "a user behind half a line end",
        |loot| read(loot).with("X-Other: a\nImpersonate-User: admin\r\n"),
        [NobodyNamed],
        SAYS_WHO,
        arrives
    ),
    attack!(
        "a user that another header is said to hide",
        |loot| read(loot).with("Connection: close, impersonate-user\r\nImpersonate-User: admin\r\n"),
        [NobodyNamed],
        SAYS_WHO,
        arrives
    ),
    attack!(
        "a user on a folded line",
        |l| read(l).with("X-Other: a\r\n Impersonate-User: b\r\n"),
        [],
        BROKEN,
        smuggles
    ),
    attack!("a space before the colon", |l| read(l).with("Impersonate-User : admin\r\n"), [], BROKEN, smuggles),
    attack!("a zero byte in a header", |l| read(l).with("X-Other: a\0Impersonate-User: b\r\n"), [], BROKEN, smuggles),
    attack!("a half end of a line", |l| read(l).with("X-Other: a\rImpersonate-User: b\r\n"), [], BROKEN, smuggles),
    attack!("another login", |l| read(l).with("Authorization: Bearer of-bob\r\n"), [], None, smuggles),
    attack!(
        "a user of a proxy that is believed elsewhere",
        |loot| read(loot).with("X-Forwarded-User: smuggled\r\nX-Auth-Request-User: smuggled\r\n"),
        [],
        None,
        smuggles
    ),
    attack!(
        "an upgrade",
        |loot| read(loot).with("Upgrade: websocket\r\n"),
        [NoUpgrade],
        Some((400, "Upgrade")),
        arrives
    ),
    attack!(
        "an upgrade to HTTP/2",
        |loot| read(loot).with("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        [NoUpgrade],
        Some((400, "Upgrade")),
        arrives
    ),
    attack!(
        "an upgrade that only the connection names",
        |loot| read(loot).with("Connection: Upgrade\r\n"),
        [NoUpgrade],
        Some((400, "Upgrade")),
        arrives
    ),
];

const BAD: Option<(u16, &str)> = Some((400, "BadBody"));
const NOT_SEEN: Option<(u16, &str)> = Some((400, "NotSeen"));
const APPROVES: &str = r#"{"carol":{"verdict":"Approve"}}"#;

/// Reviews of somebody else, of something else, or of more than was shown.
const REVIEWS: &[Attack] = &[
    attack!(
        "the review of another",
        |loot| review(loot, SEEN, r#"{"bob":{"verdict":"Approve"}}"#),
        [OwnReview],
        Some((403, "NotYourReview")),
        arrives
    ),
    attack!(
        "a review of one who is named almost so",
        |loot| review(loot, SEEN, r#"{"Carol":{"verdict":"Approve"}}"#),
        [OwnReview],
        Some((403, "NotYourReview")),
        arrives
    ),
    attack!(
        "one's own review and that of another",
        |loot| review(loot, SEEN, r#"{"bob":{"verdict":"Approve"},"carol":{"verdict":"Approve"}}"#),
        [OneReview, OwnReview],
        BAD,
        arrives
    ),
    attack!("no review", |loot| review(loot, SEEN, "{}"), [OneReview], BAD, arrives),
    attack!(
        "approval of whatever version there is",
        |loot| review(loot, r#""metadata":{"uid":"u"}"#, APPROVES),
        [ReviewSeen],
        NOT_SEEN,
        arrives
    ),
    attack!(
        "approval of whatever request has the name",
        |loot| review(loot, r#""metadata":{"resourceVersion":"7"}"#, APPROVES),
        [ReviewSeen],
        NOT_SEEN,
        arrives
    ),
    attack!(
        "approval of nothing that was seen",
        |loot| review(loot, r#""metadata":{"uid":null,"resourceVersion":""}"#, APPROVES),
        [ReviewSeen],
        NOT_SEEN,
        arrives
    ),
    attack!(
        "a patch of another kind",
        |loot| RawCall { kind: KIND.to_owned(), ..approve(loot) },
        [RightKind],
        Some((415, "ContentType")),
        arrives
    ),
    attack!(
        "a strategic patch",
        |l| RawCall { kind: "Content-Type: application/strategic-merge-patch+json\r\n".to_owned(), ..approve(l) },
        [RightKind],
        Some((415, "ContentType")),
        arrives
    ),
    attack!("no metadata", |loot| review(loot, r#""kind":"AccessRequest""#, APPROVES), [], BAD, arrives),
    attack!(
        "labels beside what was seen",
        |l| review(l, r#""metadata":{"uid":"u","resourceVersion":"7","labels":{}}"#, APPROVES),
        [],
        BAD,
        arrives
    ),
    attack!("a key twice", |l| review(l, &format!("{SEEN},{SEEN}"), APPROVES), [], BAD, arrives),
    attack!(
        "a review twice",
        |loot| review(
            loot,
            SEEN,
            r#"{"carol":{"verdict":"Deny"},"carol":{"verdict":"Approve","groups":["smuggled"]}}"#
        ),
        [],
        BAD,
        arrives
    ),
    attack!(
        "a verdict twice",
        |loot| review(loot, SEEN, r#"{"carol":{"verdict":"Deny","verdict":"Approve"}}"#),
        [],
        BAD,
        arrives
    ),
    attack!(
        "groups of one's own",
        |loot| review(loot, SEEN, r#"{"carol":{"verdict":"Approve","groups":["approvers"]}}"#),
        [],
        BAD,
        arrives
    ),
    attack!(
        "the UID of another",
        |loot| review(loot, SEEN, r#"{"carol":{"verdict":"Approve","uid":"u-bob"}}"#),
        [],
        BAD,
        arrives
    ),
    attack!("a verdict that is none", |l| review(l, SEEN, r#"{"carol":{"verdict":"Grant"}}"#), [], BAD, arrives),
    attack!("a review taken away", |loot| review(loot, SEEN, r#"{"carol":null}"#), [], BAD, arrives),
    attack!("all reviews taken away", |loot| review(loot, SEEN, "null"), [], BAD, arrives),
    attack!("a spec beside it", |l| review(l, &format!(r#"{SEEN},"spec":{{}}"#), APPROVES), [], BAD, arrives),
    attack!(
        "a state beside it",
        |loot| {
            let body = format!(r#"{{{SEEN},"status":{{"reviews":{APPROVES},"state":"Active"}}}}"#);
            RawCall { body, ..approve(loot) }
        },
        [],
        BAD,
        arrives
    ),
    attack!(
        "a JSON patch in the place of a merge patch",
        |l| RawCall { body: r#"[{"op":"add","path":"/status/state","value":"Active"}]"#.to_owned(), ..approve(l) },
        [],
        BAD,
        arrives
    ),
];
