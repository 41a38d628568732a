//! What each view that is only looked at says: Now by its rows and bars, Policies, Health, the own login, and History as it is
//! found and taken along.

use std::sync::Arc;

use daypass::api::State;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Seat, until_read, with_approval};
use crate::harness::cast::SOON;
use crate::harness::users::{ALICE, BOB, CAROL, EVE, GRETA};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, eventually};

/// The key that takes away what is marked.
const BACKSPACE: &str = "\u{e003}";
/// Length of the time axis at first, in minutes, and the part of it that lies behind the present, in percent.
const AXIS: f64 = 360.0;
const BEHIND: f64 = 100.0 / 3.0;
/// How far a place on the axis may be off, in percent: two minutes, or what a bar loses to its own border.
const CLOSE: f64 = 0.6;

/// Rows of the table of Now: who, and where the bar begins and how wide it is in percent of the axis.
async fn rows(seat: &Seat) -> Vec<(String, f64, f64)> {
    let read = "return [...document.querySelectorAll('table.grants tbody tr')].map((row) => {
        const [axis, bar] = ['.bar', '.bar rect'].map((each) => row.querySelector(each).getBoundingClientRect());
        return [row.cells[0].innerText, 100 * (bar.left - axis.left) / axis.width, 100 * bar.width / axis.width];
    })";
    serde_json::from_value(seat.browser.run(read, json!([])).await).expect("rows")
}

/// Waits until these people are shown, in this order.
async fn until_people(seat: &Seat, expected: &[&str]) {
    eventually(&format!("{expected:?} are shown"), SOON, async || {
        let people: Vec<String> = rows(seat).await.into_iter().map(|(who, ..)| who).collect();
        if people == expected { Ok(()) } else { Err(format!("{people:?}")) }
    })
    .await;
}

pub async fn now(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let open = cluster.namespace("lab").await;
    cluster.allow(&open, &open, json!({ "roles": [{ "name": "edit" }, { "name": "view" }] })).await;
    let later = json!({ "duration": "30m", "startTime": now_plus_seconds(3_600) });
    cluster.ask(ALICE, &open, "runs", json!({ "duration": "45m" })).await;
    cluster.ask(EVE, &open, "looks", json!({ "duration": "1h", "role": { "name": "view" } })).await;
    cluster.ask(BOB, &open, "done", json!({ "duration": "1s" })).await;
    cluster.ask(EVE, &open, "later", later).await;
    cluster.ask(ALICE, &namespace, "waits", json!({ "duration": "30m" })).await;
    for (name, state) in [("runs", State::Active), ("looks", State::Active), ("later", State::Scheduled)] {
        cluster.until(&open, name, state).await;
    }
    cluster.until(&open, "done", State::Expired).await;
    cluster.until_reason(&namespace, "waits", "Approved", "ApprovalNeeded").await;

    let carol = Seat::of(&cluster, CAROL).await;
    carol.browser.until_shows("4 of 5 requests").await;
    // What runs first, by its end; then what comes, and what waits.
    until_people(&carol, &["alice", "eve", "eve", "alice"]).await;
    are_near(&rows(&carol).await, [(0.0, 45.0), (0.0, 60.0), (60.0, 30.0), (0.0, 30.0)], AXIS);
    let off = "const [length, behind] = arguments; const day = 1440;
        const noon = new Date(); const minutes = noon.getHours() * 60 + noon.getMinutes();
        return [...document.querySelectorAll('.axis text')].map((tick) => {
            const [hour, minute] = tick.textContent.split(':').map(Number);
            const after = ((hour * 60 + minute - minutes + day * 1.5) % day) - day / 2;
            return Math.abs(parseFloat(tick.getAttribute('x')) - behind - 100 * after / length);
        })";
    let off: Vec<f64> = serde_json::from_value(carol.browser.run(off, json!([AXIS, BEHIND])).await).expect("ticks");
    assert!(off.len() >= 5 && off.iter().all(|off| *off < CLOSE), "ticks are not at their hours: {off:?}");
    carol.browser.fill("Time axis", "12").await;
    eventually("the axis is twice as long", SOON, async || {
        let wide = rows(&carol).await[1].2;
        if (wide - 100.0 * 60.0 / 720.0).abs() < CLOSE { Ok(()) } else { Err(format!("{wide}")) }
    })
    .await;

    for (field, written, shown) in [
        ("Namespace", namespace.as_str(), &["alice"][..]),
        ("Role", "VIEW", &["eve"]),
        ("Person", "eve", &["eve", "eve"]),
    ] {
        carol.browser.fill(field, written).await;
        until_people(&carol, shown).await;
        carol.browser.fill(field, BACKSPACE).await;
        until_people(&carol, &["alice", "eve", "eve", "alice"]).await;
    }
    carol.browser.fill("State", "All").await;
    until_people(&carol, &["alice", "eve", "eve", "alice", "bob"]).await;
    carol.browser.open(&format!("{}/now?state=Expired", carol.origin)).await;
    until_people(&carol, &["bob"]).await;
    carol.browser.press("link", "bob").await;
    carol.browser.until_there("heading", &format!("{open}/done")).await;
}

/// Whether bars begin so many minutes from now, and are so many minutes long.
fn are_near<const N: usize>(rows: &[(String, f64, f64)], expected: [(f64, f64); N], axis: f64) {
    for ((who, left, wide), (begins, long)) in rows.iter().zip(expected) {
        let near = (left - BEHIND - 100.0 * begins / axis).abs() < CLOSE && (wide - 100.0 * long / axis).abs() < CLOSE;
        assert!(near, "the bar of {who} is not where {begins} and {long} minutes are: {rows:?}");
    }
}

pub async fn policies(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let long = format!("{namespace}-long");
    cluster.allow(&long, &namespace, json!({ "roles": [{ "name": "view" }], "duration": { "max": "100h" } })).await;
    let greta = Seat::of(&cluster, GRETA).await;
    greta.go("Policies").await;
    greta.browser.until_shows("2 of 2 policies").await;
    for words in [
        "leads: 1 of group approvers.",
        "Undecided after 168h, a request lapses.",
        "up to 1h",
        &format!("namespaces {namespace}"),
        "group dev",
        "Access at once; reviewed by group approvers within 24h.",
        "1h at a time, 2 times at most",
        "Nobody: it is granted at once.",
        "spec.duration.max: ",
    ] {
        greta.browser.until_shows(words).await;
    }
    greta.browser.fill("Find a policy", "-long").await;
    greta.browser.until_shows("1 of 2 policies").await;
    assert!(!greta.browser.text().await.contains("leads: 1"), "the other one is shown");
    greta.browser.press("DisclosureTriangle", "Try a request…").await;
    greta.browser.fill("Namespace", &namespace).await;
    greta.browser.fill("Role", "edit").await;
    greta.browser.until_shows("It needs approval.").await;
    greta.browser.fill("Role", "view").await;
    greta.browser.until_shows("It would be granted at once.").await;
    greta.browser.press("link", "Ask for it").await;
    greta.browser.until_there("heading", "Ask").await;
    greta.browser.until_there_to_fill("Role").await;
    assert_eq!(greta.browser.value("Role").await, "view");
    let sent = cluster.requests(&namespace).await.list(&Default::default()).await.expect("list requests");
    assert!(sent.items.is_empty(), "what was only tried was sent");
    health_now(&greta).await;
    health(&greta).await;

    greta.browser.open(&format!("{}/you", greta.origin)).await;
    for words in ["To the API server of this cluster you are greta.", "dev", "system:authenticated", "EKS"] {
        greta.browser.until_shows(words).await;
    }
    assert!(!greta.browser.has("link", "Sign out").await, "nobody signs out of a login of kubectl here");
}

/// Health of this installation: a row for each finding that its server tells, with its words, and what the page itself is.
async fn health_now(seat: &Seat) {
    seat.go("Health").await;
    let read = "const done = arguments[arguments.length - 1];
        fetch('/api/health', { headers: { 'X-Daypass': 'page' } }).then((answer) => answer.json()).then(done);";
    let told = seat.browser.run_until_called(read, json!([])).await;
    let told = told["findings"].as_array().expect("findings").clone();
    for about in ["guard status-guard", "leader", "versions", "archive", "kubernetes", "controller"] {
        let subject = |each: &&Value| each["subject"].as_str().is_some_and(|subject| subject.starts_with(about));
        let finding = told.iter().find(subject).unwrap_or_else(|| panic!("nothing is told of {about}: {told:?}"));
        let way = finding["wayOut"].as_str().filter(|_| finding["level"] != "unknown").unwrap_or_default();
        let shown = health_row(seat, finding["subject"].as_str().unwrap_or_default()).await;
        let word = match finding["level"].as_str().unwrap_or_default() {
            "ok" => "Fine",
            "note" => "Note",
            "unknown" => "Not known",
            "warning" => "Warning",
            _ => "Problem",
        };
        let message = finding["message"].as_str().unwrap_or_default();
        // A time is told in the reader's zone.
        assert_eq!(shown[0], word, "{about}: {shown:?}");
        assert!(message.contains('Z') || shown[1].starts_with(message), "{about}: {message} in {shown:?}");
        assert!(shown[1].contains(way), "{about}: {way} in {shown:?}");
    }
    let rows = seat.browser.run("return document.querySelectorAll('.findings tbody tr').length", json!([])).await;
    assert_eq!(rows, json!(told.len()), "each finding has a row");
    seat.browser.until_shows(&format!("Version of this page: {}", env!("CARGO_PKG_VERSION"))).await;
}

/// How a finding is, and what it says, as its row shows it.
async fn health_row(seat: &Seat, subject: &str) -> [String; 2] {
    let read = "const row = [...document.querySelectorAll('.findings tbody tr')]
            .find((each) => each.cells[1].innerText === arguments[0]);
        return row ? [0, 2].map((nth) => row.cells[nth].innerText) : null";
    eventually(&format!("{subject} has a row"), SOON, async || {
        let row = seat.browser.run(read, json!([subject])).await;
        serde_json::from_value(row).map_err(|error| error.to_string())
    })
    .await
}

/// Health of an installation that is not as it should be, as its server tells it.
async fn health(seat: &Seat) {
    let found = json!([
        { "level": "ok", "subject": "identity", "message": "is stamped" },
        { "level": "unknown", "subject": "records", "message": "may not be read", "wayOut": "ask-an-auditor" },
        { "level": "problem", "subject": "guards", "message": "one is missing", "wayOut": "mend-the-guard" },
        { "level": "unknown", "subject": "events", "message": "may not be read", "wayOut": "ask-an-auditor" },
    ]);
    let answers = format!(
        "const real = window.fetch; let asked = 0;
        window.fetch = (path, how) => path === '/api/health'
            ? Promise.resolve(new Response(JSON.stringify({{ findings: asked++ ? [{{ ...{found}[0] }}] : {found} }})))
            : real(path, how);"
    );
    let script = json!({ "source": answers });
    seat.browser.command("Page.addScriptToEvaluateOnNewDocument", script).await.expect("answer for the server");
    seat.browser.open(&format!("{}/health", seat.origin)).await;
    seat.browser.until_shows("1 finding needs a look.").await;
    seat.browser.until_shows("2 things you may not look at.").await;
    let subjects = "return [...document.querySelectorAll('.findings tbody th')].map((each) => each.innerText)";
    assert_eq!(seat.browser.run(subjects, json!([])).await, json!(["guards", "records", "events", "identity"]));
    let text = seat.browser.text().await;
    assert_eq!(text.matches("ask-an-auditor").count(), 1, "the way is told once: {text}");
    assert!(text.contains("mend-the-guard"), "{text}");
    seat.browser.press("button", "Look again").await;
    seat.browser.until_shows("Everything that could be looked at is as it should be.").await;
}

pub async fn history(cluster: Arc<Cluster>) {
    const FORMULA: &str = "=1+1, said \"eve\"";
    let namespace = with_approval(&cluster).await;
    let open = cluster.namespace("lab").await;
    cluster.allow(&open, &open, json!({ "roles": [{ "name": "view" }] })).await;
    cluster.ask(ALICE, &open, "looks", json!({ "role": { "name": "view" }, "reason": "compare maps" })).await;
    cluster.ask(EVE, &namespace, "odd", json!({ "reason": FORMULA, "ticket": "INC-9" })).await;
    cluster.until(&open, "looks", State::Active).await;
    cluster.until_reason(&namespace, "odd", "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, &namespace, "odd", "Deny", "in an hour").await;
    let odd = cluster.until(&namespace, "odd", State::Denied).await;

    let carol = Seat::of(&cluster, CAROL).await;
    for (query, found) in [
        (String::new(), &["looks", "odd"][..]),
        ("?person=eve".to_owned(), &["odd"]),
        ("?role=view".to_owned(), &["looks"]),
        (format!("?namespace={open}"), &["looks"]),
        (format!("?policy={namespace}"), &["odd"]),
        ("?text=inc-9".to_owned(), &["odd"]),
        ("?text=maps".to_owned(), &["looks"]),
        ("?kind=Denied".to_owned(), &["odd"]),
        ("?until=2020-01-01T00:00".to_owned(), &[]),
        ("?since=2020-01-01T00:00".to_owned(), &["looks", "odd"]),
        (format!("?request={}", odd.uid().expect("a UID")), &["odd"]),
    ] {
        carol.browser.open(&format!("{}/history{query}", carol.origin)).await;
        until_found(&carol, &query, found).await;
    }
    carol.browser.until_shows("Only one request is shown.").await;
    carol.browser.press("button", "Show all").await;
    until_found(&carol, "all of it", &["looks", "odd"]).await;
    carol.browser.fill("What happened", "Denied").await;
    carol.browser.press("button", "Search").await;
    until_found(&carol, "what was denied", &["odd"]).await;
    carol.browser.until_shows("in an hour").await;
    carol.browser.open(&format!("{}/history", carol.origin)).await;
    until_found(&carol, "anything", &["looks", "odd"]).await;
    let times =
        "return [...document.querySelectorAll('.records tbody tr')].map((row) => row.querySelector('time').dateTime)";
    let times: Vec<String> = serde_json::from_value(carol.browser.run(times, json!([])).await).expect("times");
    assert!(times.is_sorted_by(|later, earlier| later >= earlier), "the newest is not first: {times:?}");
    taken_along(&carol, FORMULA).await;
    in_pages(&carol).await;
}

/// An archive that has more than one answer holds, as it answers.
async fn in_pages(seat: &Seat) {
    let answers = "const real = window.fetch; window.asked = [];
        const record = (name) => ({ record: { id: name, at: '2026-11-23T12:00:00Z', kind: 'Granted',
            request: { namespace: 'shop', name, uid: name } } });
        window.fetch = (path, how) => {
            if (!path.startsWith('/k/apis/archive.')) return real(path, how);
            window.asked.push(path);
            const page = path.includes('continue=') ? { items: [record('last')], metadata: {} }
                : { items: [record('first')], metadata: { continue: 'more' } };
            return Promise.resolve(new Response(JSON.stringify(page)));
        };";
    let script = json!({ "source": answers });
    seat.browser.command("Page.addScriptToEvaluateOnNewDocument", script).await.expect("answer for the archive");
    seat.browser.open(&format!("{}/history?person=alice", seat.origin)).await;
    until_found(seat, "the first page", &["first"]).await;
    let notices = seat.browser.run("return document.querySelectorAll('main .notice').length", json!([])).await;
    assert_eq!(notices, 0, "nothing stands in for the archive: {}", seat.browser.text().await);
    seat.browser.press("button", "Read on").await;
    until_found(seat, "both pages", &["first", "last"]).await;
    seat.browser.until_gone("button", "Read on").await;
    // All of it is the archive's to hand out, and not only what is shown.
    seat.browser.press("button", "Export as CSV").await;
    eventually("the archive is asked for a file", SOON, async || {
        let asked = seat.browser.run("return window.asked.pop()", json!([])).await;
        let path = asked.as_str().unwrap_or_default();
        let is_file = path.contains("format=csv") && path.contains("person=alice") && !path.contains("continue=");
        if is_file { Ok(()) } else { Err(path.to_owned()) }
    })
    .await;
}

/// Waits until the rows are about these requests, each with several, and about no others.
async fn until_found(seat: &Seat, what: &str, expected: &[&str]) {
    let names = "return [...new Set([...document.querySelectorAll('.records tbody tr')]
        .map((row) => row.cells[7].innerText.split('/')[1]))].sort()";
    eventually(&format!("{what}: {expected:?} are found"), SOON, async || {
        let found = seat.browser.run(names, json!([])).await;
        if found == json!(expected) { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    until_read(&seat.browser).await;
}

/// As files and on paper.
async fn taken_along(seat: &Seat, formula: &str) {
    let keep = "window.saved = []; const real = URL.createObjectURL.bind(URL);
        URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return real(blob); };
        window.print = () => { window.printed = document.querySelectorAll('.records tbody tr').length; };";
    seat.browser.run(keep, json!([])).await;
    let mut files = Vec::new();
    for (nth, format) in ["CSV", "JSON lines"].into_iter().enumerate() {
        seat.browser.press("button", &format!("Export as {format}")).await;
        files.push(
            eventually(&format!("{format} is saved"), SOON, async || {
                let saved = seat.browser.run("return window.saved", json!([])).await;
                saved[nth].as_str().map(str::to_owned).ok_or_else(|| saved.to_string())
            })
            .await,
        );
    }
    let rows = seat.browser.run("return document.querySelectorAll('.records tbody tr').length", json!([])).await;
    let rows = usize::try_from(rows.as_u64().unwrap_or_default()).expect("a number");
    assert!(
        files[0].starts_with("id,at,cluster,namespace,name,kind,outcome,subject,actor,roleKind,role,"),
        "{}",
        files[0]
    );
    assert_eq!(files[0].matches("\r\n").count(), rows + 1, "a line for each row and one for their names");
    // Who opens it in a spreadsheet must not have what eve wrote calculated.
    let guarded = format!("\"'{}\"", formula.replace('"', "\"\""));
    assert!(files[0].contains(&guarded), "{guarded}: {}", files[0]);
    let lines: Vec<Value> = files[1].lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(lines.len(), rows);
    assert!(lines.iter().any(|line| line["asked"]["reason"] == formula), "{lines:?}");
    seat.browser.press("button", "Print").await;
    eventually("it is printed", SOON, async || {
        let printed = seat.browser.run("return window.printed ?? null", json!([])).await;
        if printed == json!(rows) { Ok(()) } else { Err(printed.to_string()) }
    })
    .await;
}
