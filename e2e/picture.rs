//! `make picture`: tells the story of `make demo` and draws one request of it, `fix`, into `examples/request.svg`. What is
//! drawn is what the API server recorded: the words from the request's history, the times from the audit log.
//!
//! The picture has a ground of its own, so that it can be read on light and on dark pages, and asks for no font by name
//! but those that a system has.

use std::fmt::Write;
use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::demo::{Stage, Voice};
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::{ControlPlane, binaries, trial};

const FILE: &str = "examples/request.svg";
/// A page with a picture has to load quickly.
const LARGEST: usize = 40_000;

const WIDTH: usize = 860;
const TIMES_AT: usize = 28;
const LINE_AT: usize = 142;
const WORDS_AT: usize = 168;
const HEAD: usize = 84;
const FOOT: usize = 44;
/// How far two lines of small text are apart.
const SMALL: usize = 18;
/// How many letters of small text fit beside the line.
const LETTERS: usize = 104;

const GROUND: &str = "#101820";
const EDGE: &str = "#3a4a5a";
const BRIGHT: &str = "#eef3f7";
const SOFT: &str = "#a9b8c6";
const GREEN: &str = "#4cc46a";
const BLUE: &str = "#6cb6ff";
const AMBER: &str = "#e3b341";

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("picture::is_small_and_asks_for_nothing", || {
            is_small_and_asks_for_nothing();
            Ok::<(), Failed>(())
        }),
        Trial::test("picture::of_the_same_run_is_the_same", || {
            is_the_same_each_time();
            Ok::<(), Failed>(())
        }),
    ]
}

/// Writes the picture of a run.
pub fn run() -> ExitCode {
    let seen = trial::runtime().block_on(async {
        let stage = Stage::set(Voice::Loud).await;
        let fix = stage.play().await;
        Seen::on(&stage.control_plane, &fix).await
    });
    let svg = draw(&seen);
    std::fs::write(binaries::repository().join(FILE), &svg).expect("write the picture");
    println!("\n{FILE}: {} bytes", svg.len());
    ExitCode::SUCCESS
}

/// What happened to a request.
struct Seen {
    heading: String,
    steps: Vec<Step>,
    /// What ran, and when.
    source: String,
}

/// One thing that happened.
struct Step {
    /// To the millisecond.
    at: String,
    colour: &'static str,
    title: String,
    words: String,
    /// Whether there is access from here on.
    access: bool,
}

impl Seen {
    async fn on(control_plane: &ControlPlane, fix: &str) -> Self {
        let admin = control_plane.kubectl(ADMIN);
        let json = |text: String| -> Value { serde_json::from_str(&text).expect("JSON") };
        let request = json(admin.ok(&["get", "areq", fix, "-n", "shop", "-o", "json"]).await);
        let version = json(admin.ok(&["get", "--raw", "/version"]).await);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let history = request["status"]["history"].as_array().expect("a history").clone();
        let entry_of = |event: &str| {
            let entry = history.iter().find(|entry| entry["event"] == event);
            text(&entry.unwrap_or_else(|| panic!("history has no {event}: {history:?}"))["message"])
        };
        let audit = control_plane.audit_log();
        // When the API server had done it.
        let done = |who: &str, verb: &str, resource: &str, name: &str, subresource: &str| {
            let is_it = |event: &&Value| {
                let object = &event["objectRef"];
                event["verb"] == verb
                    && object["resource"] == resource
                    // What is created under a generated name has none in the call.
                    && (object["name"] == name || event["responseObject"]["metadata"]["name"] == name)
                    && object["subresource"].as_str().unwrap_or_default() == subresource
                    && event["user"]["username"] == who
                    && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
            };
            let event = audit.iter().find(is_it);
            text(&event.unwrap_or_else(|| panic!("no {verb} of {resource} {name} by {who}"))["stageTimestamp"])
        };
        let spec = &request["spec"];
        let role = format!("{}/{}", text(&spec["role"]["kind"]), text(&spec["role"]["name"]));
        let controller = "system:serviceaccount:daypass-system:daypass";
        let binding = text(&history_binding(&audit, controller, &text(&request["metadata"]["uid"])));
        let asked = done(ALICE.name, "create", "accessrequests", fix, "");
        let end = text(&request["status"]["expiresAt"]);
        let gone = done(controller, "delete", "rolebindings", &binding, "");
        let step = |at: &str, colour, title: String, words: String, access| {
            let at = at.get(11..23).unwrap_or(at).to_owned();
            Step { at, colour, title, words, access }
        };
        let asks = format!("alice asks for {role} in namespace shop for {}", text(&spec["duration"]));
        Self {
            heading: "One access request, from asking to expiry".to_owned(),
            steps: vec![
                step(&asked, BLUE, asks, text(&spec["reason"]), false),
                step(
                    &done(controller, "patch", "accessrequests", fix, "status"),
                    BLUE,
                    "Policy shop-edit asks for an approver".to_owned(),
                    entry_of("ApprovalNeeded"),
                    false,
                ),
                step(
                    &done(ALICE.name, "patch", "accessrequests", fix, "status"),
                    AMBER,
                    "alice approves her own request".to_owned(),
                    entry_of("ReviewIgnored"),
                    false,
                ),
                step(
                    &done(CAROL.name, "patch", "accessrequests", fix, "status"),
                    BLUE,
                    "carol approves with one kubectl patch".to_owned(),
                    entry_of("Reviewed"),
                    false,
                ),
                step(
                    &done(controller, "create", "rolebindings", &binding, ""),
                    GREEN,
                    "Daypass creates a RoleBinding for alice".to_owned(),
                    entry_of("Granted"),
                    true,
                ),
                step(
                    &gone,
                    SOFT,
                    format!("Daypass deletes the RoleBinding, {} after the stated end", later(&end, &gone)),
                    entry_of("Expired"),
                    false,
                ),
            ],
            source: format!(
                "Drawn by make picture from a run on {}: Kubernetes {}, Daypass {}. Times are those of the API server's audit log (UTC).",
                &asked[..10],
                text(&version["gitVersion"]),
                env!("CARGO_PKG_VERSION")
            ),
        }
    }
}

/// The name of the binding that the controller made for the request of this UID.
fn history_binding(audit: &[Value], controller: &str, uid: &str) -> Value {
    let made = audit.iter().find(|event| {
        let object = &event["objectRef"];
        event["verb"] == "create"
            && object["resource"] == "rolebindings"
            && event["user"]["username"] == controller
            && object["name"].as_str().is_some_and(|name| name.contains(uid))
    });
    made.expect("a binding for the request")["objectRef"]["name"].clone()
}

/// How long the second instant is after the first, in milliseconds.
fn later(first: &str, second: &str) -> String {
    let instant = |text: &str| text.parse::<k8s_openapi::jiff::Timestamp>().expect("an instant");
    format!("{} ms", instant(second).as_millisecond() - instant(first).as_millisecond())
}

fn draw(seen: &Seen) -> String {
    let heights: Vec<usize> = seen.steps.iter().map(|step| 30 + SMALL * lines(&step.words).len()).collect();
    let height = HEAD + heights.iter().sum::<usize>() + FOOT;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">
<title id="title">{}</title>
<desc id="desc">{}</desc>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="10" fill="{GROUND}" stroke="{EDGE}"/>
<g font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="{SOFT}">
<text x="{TIMES_AT}" y="44" font-size="19" font-weight="600" fill="{BRIGHT}">{}</text>
"#,
        escaped(&seen.heading),
        escaped(&seen.steps.iter().map(|step| format!("{} {}.", step.at, step.title)).collect::<Vec<_>>().join(" ")),
        WIDTH - 1,
        height - 1,
        escaped(&seen.heading)
    );
    let tops: Vec<usize> =
        heights.iter().scan(HEAD, |top, height| Some(std::mem::replace(top, *top + height))).collect();
    // The line from dot to dot, thick where there is access.
    for (pair, step) in tops.windows(2).zip(&seen.steps) {
        let (colour, width) = if step.access { (GREEN, 8) } else { (EDGE, 2) };
        let (from, to) = (pair[0], pair[1]);
        let _ = writeln!(svg, r#"<path d="M{LINE_AT} {from}V{to}" stroke="{colour}" stroke-width="{width}"/>"#);
    }
    for (top, step) in tops.iter().zip(&seen.steps) {
        let (base, colour) = (top + 5, step.colour);
        let _ = writeln!(
            svg,
            r#"<circle cx="{LINE_AT}" cy="{top}" r="7" fill="{colour}" stroke="{GROUND}" stroke-width="2"/>
<text x="{TIMES_AT}" y="{base}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="12">{}</text>
<text x="{WORDS_AT}" y="{base}" font-size="15" font-weight="600" fill="{BRIGHT}">{}</text>"#,
            escaped(&step.at),
            escaped(&step.title)
        );
        for (nth, line) in lines(&step.words).iter().enumerate() {
            let y = base + SMALL * (nth + 1);
            let _ = writeln!(svg, r#"<text x="{WORDS_AT}" y="{y}">{}</text>"#, escaped(line));
        }
    }
    let _ =
        writeln!(svg, r#"<text x="{TIMES_AT}" y="{}" font-size="11">{}</text>"#, height - 18, escaped(&seen.source));
    svg + "</g>\n</svg>\n"
}

/// A text in lines that fit beside the line of time.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LETTERS {
            lines.push(word.to_owned());
        } else {
            let space = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{space}{word}");
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn is_small_and_asks_for_nothing() {
    let svg = std::fs::read_to_string(binaries::repository().join(FILE)).expect("read the picture");
    assert!(svg.len() < LARGEST, "{FILE} has {} bytes", svg.len());
    for word in ["href", "url(", "<script", "<style", "<image", "<foreignObject", "@import", "@font-face", "data:"] {
        assert!(!svg.contains(word), "{FILE} has {word}");
    }
    assert_eq!(svg.matches("://").count(), 1, "the name of the format is the only address in {FILE}");
}

/// And the file is what the code draws of such a run: only times and versions differ.
fn is_the_same_each_time() {
    let step = |at: &str, colour, title: &str, words: &str, access| Step {
        at: at.to_owned(),
        colour,
        title: title.to_owned(),
        words: words.to_owned(),
        access,
    };
    let seen = |reason: &str| Seen {
        heading: "One access request, from asking to expiry".to_owned(),
        steps: vec![
            step("09:00:00.000", BLUE, "alice asks for ClusterRole/edit in namespace shop for 15s", reason, false),
            step(
                "09:00:00.001",
                BLUE,
                "Policy shop-edit asks for an approver",
                "stage leads is open: 1 must approve",
                false,
            ),
            step(
                "09:00:00.002",
                AMBER,
                "alice approves her own request",
                "Approve of alice has no effect: nobody reviews their own request: go ahead",
                false,
            ),
            step("09:00:00.003", BLUE, "carol approves with one kubectl patch", "carol says Approve: go ahead", false),
            step(
                "09:00:00.004",
                GREEN,
                "Daypass creates a RoleBinding for alice",
                "alice has ClusterRole/edit in namespace shop for 15s, until 2026-01-05T09:00:15Z; policy shop-edit allows \
                 it, approved by carol",
                true,
            ),
            step(
                "09:00:15.005",
                SOFT,
                "Daypass deletes the RoleBinding, 5 ms after the stated end",
                "access ended as stated at 2026-01-05T09:00:15Z",
                false,
            ),
        ],
        source:
            "Drawn by make picture from a run on 2026-01-05: Kubernetes v1.36.3, Daypass 0.1.0. Times are those of \
                 the API server's audit log (UTC)."
                .to_owned(),
    };
    let stated_reason = "Roll checkout back, orders fail since 14:02";
    let svg = draw(&seen(stated_reason));
    assert_eq!(svg, draw(&seen(stated_reason)));
    let hostile = draw(&seen("</text><script>alert('x')</script> & \"more\""));
    assert!(!hostile.contains("<script") && hostile.contains("&lt;script&gt;") && hostile.contains("&amp; &quot;more"));
    let stored = std::fs::read_to_string(binaries::repository().join(FILE)).expect("read the picture");
    assert_eq!(timeless(&stored), timeless(&svg), "{FILE} is not what e2e/picture.rs draws: run `make picture`");
}

/// A text with every number as 0.
fn timeless(text: &str) -> String {
    let mut timeless = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' if timeless.ends_with('0') => {}
            '0'..='9' => timeless.push('0'),
            letter => timeless.push(letter),
        }
    }
    timeless
}
