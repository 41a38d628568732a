//! The page in the cluster, started as its chart starts it: many people call it over the same connections, and each has what
//! their own token has, and nothing without one.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::tab::{JSON, requests};
use crate::harness::binaries::Version;
use crate::harness::cast::request;
use crate::harness::issuer::Issuer;
use crate::harness::page::{ClusterPage, HOST, KeptConnection, OF_PAGE, PAGE, VALUES};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::private_control_plane;
use crate::harness::users::{ALICE, BOB, CAROL, GRETA, MALLORY, User};
use crate::harness::wait::now;
use crate::harness::{Cluster, ControlPlane, binaries, eventually, shared};

/// How long what happens in the cluster may take to be seen.
const SOON: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        shared("page::in_cluster::each_gets_their_own_answers_over_shared_connections", own_answers),
        shared("page::in_cluster::asks_and_reviews_as_ones_self", story),
        shared("page::in_cluster::without_one_token_nobody_is_anybody", tokens),
        shared("page::in_cluster::a_token_is_looked_for_in_one_header_alone", other_header),
        shared("page::in_cluster::what_is_not_for_it_is_refused", refused),
        shared("page::in_cluster::no_second_call_hides_behind_a_first", smuggled),
        shared("page::in_cluster::files_come_once_and_small_and_answers_as_they_are", files),
        shared("page::in_cluster::goes_on_until_proxies_know_that_it_ends", ends),
        Trial::test("page::in_cluster::a_watch_ends_with_the_token_that_it_was_begun_with", || {
            private_control_plane(ended)
        }),
    ]
}

fn bearer(user: User) -> String {
    format!("Authorization: Bearer {}\r\n", user.token())
}

async fn page(cluster: &Cluster, name: &str, more: &[&str]) -> ClusterPage {
    ClusterPage::start(&cluster.control_plane, name, &VALUES, more).await
}

/// A policy by which group approvers must agree.
fn asks_leads() -> Value {
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    json!({ "approval": { "stages": leads } })
}

/// Proxies keep connections and send the calls of all people over them, in any order.
async fn own_answers(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("shared-page").await;
    cluster.allow(&namespace, &namespace, asks_leads()).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let page = page(&cluster, "page-shared", &[]).await;
    let people = [ALICE, BOB, CAROL, MALLORY, GRETA];
    let by_turns = async |first: usize| {
        let mut connection = page.connect().await;
        for turn in 0..20 {
            let user = people[(first + turn) % people.len()];
            let me = connection.call("GET /api/me", &bearer(user), "").await;
            assert_eq!((me.status, &me.json()["username"]), (200, &json!(user.name)), "{me:?}");
            assert_eq!((&me.json()["place"], me.header("cache-control")), (&json!("cluster"), Some("no-store")));
            if turn % 5 == 0 {
                let inbox = connection.call("GET /api/inbox", &bearer(user), "").await;
                let waits = inbox.json()["requests"].as_array().unwrap().iter().any(|r| r["namespace"] == namespace);
                // bob and carol approve, and alice asked.
                assert_eq!(waits, [BOB, CAROL].iter().any(|who| who.name == user.name), "{}: {inbox:?}", user.name);
            }
        }
    };
    tokio::join!(by_turns(0), by_turns(1), by_turns(2), by_turns(3));
    let mut connection = page.connect().await;
    let health = connection.call("GET /api/health", &bearer(GRETA), "").await.json();
    let subjects: Vec<&Value> = health["findings"].as_array().unwrap().iter().map(|found| &found["subject"]).collect();
    assert!(subjects.contains(&&json!("identity")), "{health}");
    assert!(!subjects.iter().any(|subject| subject.as_str().unwrap().starts_with("setup")), "{subjects:?}");
    println!("page in the cluster: {} at most, with calls of {} people", page.memory(), people.len());
}

async fn story(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("page-story").await;
    cluster.allow(&namespace, &namespace, asks_leads()).await;
    let page = page(&cluster, "page-story", &[]).await;
    let mut connection = page.connect().await;
    let (alice, carol) = (bearer(ALICE), bearer(CAROL));
    let path = requests(&namespace);
    let draft = request(&namespace, "fix", json!({})).to_string();
    let asked = connection.call(&format!("POST {path}"), &format!("{alice}{JSON}"), &draft).await;
    assert_eq!((asked.status, &asked.json()["spec"]["requester"]["username"]), (201, &json!("alice")), "{asked:?}");
    let seen = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let metadata = json!({ "uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version });
    let patch = |who: &str| {
        json!({ "metadata": metadata, "status": { "reviews": { who: { "verdict": "Approve" } } } }).to_string()
    };
    let merge = format!("{carol}Content-Type: application/merge-patch+json\r\n");
    let line = format!("PATCH {path}/fix/status");
    let foreign = connection.call(&line, &merge, &patch("bob")).await;
    assert_eq!(foreign.refusal(), (403, "NotYourReview".to_owned()));
    let reviewed = connection.call(&line, &merge, &patch("carol")).await;
    assert_eq!((reviewed.status, &reviewed.json()["status"]["reviews"]["carol"]["uid"]), (200, &json!("u-carol")));
    let active = cluster.until(&namespace, "fix", daypass::api::State::Active).await;
    assert_eq!(active.spec.requester.unwrap().username, "alice");
    // The API server has it in its audit log under the name of who did it, and that of nobody beside.
    for (who, verb) in [("alice", "create"), ("carol", "patch")] {
        let done = |event: &Value| {
            event["verb"] == verb
                && event["objectRef"]["namespace"] == json!(namespace)
                && event["userAgent"].as_str().is_some_and(|agent| agent.starts_with(PAGE))
                && event["impersonatedUser"].is_null()
        };
        let what = format!("{who} is in the audit log");
        eventually(&what, SOON, async || {
            let calls = cluster.control_plane.calls_of(who);
            if calls.iter().any(done) { Ok(()) } else { Err(format!("{} calls", calls.len())) }
        })
        .await;
    }
}

async fn tokens(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-tokens", &["--log=trace"]).await;
    let namespace = cluster.namespace("page-tokens").await;
    let mut connection = page.connect().await;
    let (alice, bob) = (ALICE.token(), BOB.token());
    let anonymous = cluster.control_plane.calls_of("system:anonymous").len();
    for headers in [
        String::new(),
        "Authorization:\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: {alice}\r\n"),
        format!("Authorization: bearer {alice}\r\n"),
        format!("Authorization: Basic {alice}\r\n"),
        format!("Authorization: Bearer {alice}, Bearer {bob}\r\n"),
        format!("Authorization: Bearer {alice} {bob}\r\n"),
        format!("Authorization: Bearer {alice}\r\nAuthorization: Bearer {bob}\r\n"),
        format!("X-Forwarded-Access-Token: {alice}\r\nX-Forwarded-User: alice\r\nX-Forwarded-Groups: dev\r\n"),
        format!("Cookie: _oauth2_proxy={alice}; token={alice}\r\n"),
    ] {
        let get = ["/api/me", "/api/inbox", "/api/health", "/api/lint", "/k/api/v1/namespaces", &requests(&namespace)];
        for path in get {
            let answer = connection.call(&format!("GET {path}"), &headers, "").await;
            assert_eq!(answer.refusal(), (401, "NoToken".to_owned()), "{headers} {path}");
        }
        let draft = request(&namespace, "none", json!({})).to_string();
        let answer =
            connection.call(&format!("POST {}", requests(&namespace)), &format!("{headers}{JSON}"), &draft).await;
        assert_eq!(answer.refusal(), (401, "NoToken".to_owned()), "{headers}");
    }
    let unknown = connection.call("GET /api/me", "Authorization: Bearer token-of-nobody\r\n", "").await;
    assert_eq!(unknown.refusal(), (401, "SignInAgain".to_owned()), "{unknown:?}");
    assert!(!String::from_utf8_lossy(&unknown.body).contains("token-of-nobody"), "{unknown:?}");
    assert_eq!(connection.call("GET /api/me", &bearer(ALICE), "").await.json()["username"], "alice");
    assert_eq!(cluster.control_plane.calls_of("system:anonymous").len(), anonymous, "nothing is asked as nobody");
    // Whoever is not signed in may have the files, which tell nothing.
    let start = connection.call("GET /", "", "").await;
    assert!(start.status == 200 && start.header("content-security-policy").is_some(), "{start:?}");
    for secret in [&alice, &bob, "token-of-nobody"] {
        assert!(!page.log().contains(secret), "{secret} is in the log");
    }
    assert!(page.log().contains("/api/me"), "{}", page.log());
}

async fn other_header(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-header", &["--token-header=X-Forwarded-Access-Token"]).await;
    let mut connection = page.connect().await;
    let (alice, bob) = (ALICE.token(), BOB.token());
    let header = format!("X-Forwarded-Access-Token: {alice}\r\n");
    for headers in [
        bearer(ALICE),
        format!("X-Forwarded-Access-Token: Bearer {alice}\r\n"),
        format!("{header}X-Forwarded-Access-Token: {bob}\r\n"),
        format!("X-Forwarded-Access-Token: {alice},{bob}\r\n"),
        format!("X_Forwarded_Access_Token: {alice}\r\n"),
    ] {
        let answer = connection.call("GET /api/me", &headers, "").await;
        assert_eq!(answer.refusal(), (401, "NoToken".to_owned()), "{headers}");
    }
    for headers in [header.clone(), format!("{header}{}", bearer(BOB))] {
        let me = connection.call("GET /api/me", &headers, "").await;
        assert_eq!(me.json()["username"], "alice", "{headers}");
    }
}

async fn refused(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-refused", &[]).await;
    let alice = bearer(ALICE);
    let mut connection = page.connect().await;
    for more in ["Impersonate-User: admin\r\n", "Impersonate-Group: system:masters\r\n", "X-Remote-User: admin\r\n"] {
        let answer = connection.call("GET /api/me", &format!("{alice}{more}"), "").await;
        assert_eq!(answer.refusal(), (403, "SaysWho".to_owned()), "{more}");
    }
    let session = connection.call("POST /session", &format!("{alice}{JSON}"), r#"{"token":"a"}"#).await;
    assert_eq!(session.refusal(), (404, "NoSuchPage".to_owned()));
    let raw = async |host: &str, of_browser: &str, path: &str| {
        let mut connection = page.connect().await;
        connection.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{of_browser}{alice}\r\n")).await;
        connection.answer().await.unwrap()
    };
    let port = page.port;
    for host in [
        "evil.example",
        "access.example.com:8443",
        "access.example.com.evil.example",
        "Access.example.com",
        &format!("127.0.0.1:{port}"),
        "daypass-page.daypass-system.svc",
        "",
    ] {
        for path in ["/", "/api/me"] {
            assert_eq!(raw(host, OF_PAGE, path).await.refusal(), (421, "OtherHost".to_owned()), "{host}");
        }
    }
    let page_says = "X-Daypass: page\r\n";
    for of_browser in [
        String::new(),
        page_says.to_owned(),
        format!("{page_says}Sec-Fetch-Site: cross-site\r\n"),
        format!("{page_says}Sec-Fetch-Site: same-site\r\nOrigin: https://wiki.example.com\r\n"),
        format!("{page_says}Origin: http://access.example.com\r\n"),
        format!("{page_says}Origin: https://access.example.com.evil.example\r\n"),
        format!("{page_says}Origin: null\r\n"),
    ] {
        assert_eq!(raw(HOST, &of_browser, "/api/me").await.refusal(), (403, "OtherOrigin".to_owned()), "{of_browser}");
    }
    let own = format!("{page_says}Origin: https://access.example.com\r\n");
    assert_eq!(raw(HOST, &own, "/api/me").await.status, 200);
    for path in ["/livez", "/readyz"] {
        let (status, body) = page.probe(path).await.unwrap();
        assert_eq!((status, body.as_str()), (200, "ok\n"), "{path}");
        assert_eq!(connection.call(&format!("GET {path}"), &alice, "").await.status, 404, "probes are elsewhere");
    }
    assert_eq!(page.probe("/api/me").await.unwrap().0, 404);
}

/// A proxy that finds another end of the first call than the page does would take the second for a part of it.
async fn smuggled(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-smuggled", &[]).await;
    let namespace = cluster.namespace("smuggled").await;
    let inner = |name: &str| {
        let draft = request(&namespace, name, json!({})).to_string();
        let head =
            format!("POST {} HTTP/1.1\r\nHost: {HOST}\r\n{OF_PAGE}{}{JSON}", requests(&namespace), bearer(ALICE));
        format!("{head}Content-Length: {}\r\n\r\n{draft}", draft.len())
    };
    let outer = |framing: &str, body: &str| {
        format!("POST /api/foresee HTTP/1.1\r\nHost: {HOST}\r\n{OF_PAGE}{}{JSON}{framing}\r\n{body}", bearer(ALICE))
    };
    let hidden = inner("hidden");
    let chunked = format!("0\r\n\r\n{hidden}");
    let of = |length: usize| format!("Content-Length: {length}\r\n");
    let te = "Transfer-Encoding: chunked\r\n";
    for (framing, body) in [
        (format!("{}{te}", of(chunked.len())), chunked.clone()),
        (format!("{te}{}", of(chunked.len())), chunked.clone()),
        (te.to_owned(), chunked.clone()),
        (format!("{te}Transfer-Encoding: identity\r\n{}", of(chunked.len())), chunked.clone()),
        (format!("Transfer-Encoding: xchunked\r\n{}", of(chunked.len())), chunked.clone()),
        (format!("Transfer-Encoding : chunked\r\n{}", of(chunked.len())), chunked.clone()),
        (format!("{}{}", of(0), of(hidden.len())), hidden.clone()),
        (format!("Content-Length: 0, {}\r\n", hidden.len()), hidden.clone()),
        ("Content-Length: +0\r\n".to_owned(), hidden.clone()),
    ] {
        let mut connection = page.connect().await;
        connection.send(&outer(&framing, &body)).await;
        let answer = connection.answer().await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{framing}: {answer:?}");
        assert!(connection.answer().await.is_none(), "{framing}: what stands behind it was answered");
    }
    let there = cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items;
    assert!(there.is_empty(), "{there:?}");
    // What is framed as it should be passes, also when two calls come at once.
    let mut connection = page.connect().await;
    connection.send(&format!("{}{}", inner("first"), inner("second"))).await;
    for _ in 0..2 {
        assert_eq!(connection.answer().await.unwrap().status, 201);
    }
}

/// Files say nothing of anybody, so they may be kept and compressed. An answer that tells by its length what is in it may not.
async fn files(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-files", &["--sign-out=/oauth2/sign_out"]).await;
    let mut connection = page.connect().await;
    let gzip = format!("{}Accept-Encoding: gzip, br\r\n", bearer(ALICE));
    let index = connection.call("GET /inbox", &bearer(ALICE), "").await;
    let text = String::from_utf8(index.body.clone()).unwrap();
    let paths: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    let (mut plain, mut sent) = (index.body.len(), connection.call("GET /inbox", &gzip, "").await.body.len());
    for path in &paths {
        let whole = connection.call(&format!("GET {path}"), &bearer(ALICE), "").await;
        let small = connection.call(&format!("GET {path}"), &gzip, "").await;
        assert_eq!((small.status, small.header("content-encoding")), (200, Some("gzip")), "{path}");
        assert_eq!(small.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        (plain, sent) = (plain + whole.body.len(), sent + small.body.len());
    }
    println!("page in the cluster: {} files, {plain} bytes, {sent} as they are sent", paths.len() + 1);
    let tag = index.header("etag").unwrap();
    let again = connection.call("GET /inbox", &format!("If-None-Match: {tag}\r\n"), "").await;
    assert_eq!((again.status, again.body.len()), (304, 0), "a second visit");
    for path in ["/api/me", "/api/inbox", &requests("default")] {
        let answer = connection.call(&format!("GET {path}"), &gzip, "").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let me = connection.call("GET /api/me", &bearer(ALICE), "").await.json();
    assert_eq!(me["signOut"], "/oauth2/sign_out");
}

async fn ends(cluster: Arc<Cluster>) {
    let page = page(&cluster, "page-ends", &[]).await;
    let mut watching = page.connect().await;
    watch(&mut watching, &bearer(ALICE)).await;
    let mut idle = page.connect().await;
    assert_eq!(idle.call("GET /api/me", &bearer(ALICE), "").await.status, 200);
    let (readiness, well) = page.terminate().await;
    assert!(well && readiness.contains(&503), "it says so before it is gone: {readiness:?}");
}

/// Begins a watch of requests.
async fn watch(connection: &mut KeptConnection, headers: &str) {
    let path = "/k/apis/daypass.dev/v1alpha1/accessrequests?watch=true&allowWatchBookmarks=true";
    connection.send(&format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{OF_PAGE}{headers}\r\n")).await;
    let head = connection.head().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("x-accel-buffering: no"), "{head}");
}

/// The file of the example by which an API server trusts an issuer, with this one in it.
fn trusting(issuer: &Issuer) -> Value {
    let path = binaries::repository().join("examples/page/authentication.yaml");
    let mut file: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let trusted = &mut file["jwt"][0]["issuer"];
    trusted["url"] = json!(issuer.url);
    trusted["certificateAuthority"] = json!(issuer.certificate);
    // Before 1.34 it was a beta.
    if Version::run().number() < 34 {
        file["apiVersion"] = json!("apiserver.config.k8s.io/v1beta1");
    }
    file
}

/// By tokens of an issuer that the API server trusts, as people have them.
async fn ended() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authentication.json");
    std::fs::write(&file, trusting(&issuer).to_string()).unwrap();
    let flag: &'static str = String::leak(format!("--authentication-config={}", file.display()));
    let control_plane = Arc::new(ControlPlane::start_with(AUDIT_POLICY, Vec::leak(vec![flag])).await);
    let cluster = Cluster::on(control_plane.clone()).await;
    let page = page(&cluster, "page-ended", &[]).await;
    let mut connection = page.connect().await;
    let of = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let claims = |audience: &str| json!({ "aud": audience, "sub": "1", "email": "ida@example.com", "email_verified": true, "groups": ["dev"] });
    let ida = issuer.signed(claims("kubernetes"));
    let me = eventually("the API server knows the issuer", SOON, async || {
        let me = page.connect().await.call("GET /api/me", &of(&ida), "").await;
        if me.status == 200 { Ok(me.json()) } else { Err(format!("{me:?}")) }
    })
    .await;
    assert_eq!((&me["username"], &me["groups"][0]), (&json!("ida@example.com"), &json!("dev")));
    let expires: k8s_openapi::jiff::Timestamp = me["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires > now(), "{me}");

    watch(&mut connection, &of(&issuer.signed_for(claims("kubernetes"), 6))).await;
    let end = now() + Duration::from_secs(6);
    while connection.chunk().await.is_some() {}
    let late = now().duration_since(end).as_secs_f64();
    assert!((-3.0..2.0).contains(&late), "the watch ended {late} s after its token");
    let mut connection = page.connect().await;
    let over = connection.call("GET /api/me", &of(&issuer.signed_for(claims("kubernetes"), -60)), "").await;
    assert_eq!(over.refusal(), (401, "SignInAgain".to_owned()), "{over:?}");
    // The token of another application has not ended, and signing in again would not help.
    let refused = connection.call("GET /api/me", &of(&issuer.signed(claims("another"))), "").await;
    assert_eq!(refused.refusal(), (401, "NotTaken".to_owned()), "{refused:?}");
}
