//! How long a login lasts: for as long as the proxy renews its token and not longer, and a sign-out ends it everywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::visitor::Visitor;
use crate::harness::cast::request;
use crate::harness::sign_in::{IDA, KIM, SignInCluster, Site};
use crate::harness::users::EVE;
use crate::harness::wait::now;
use crate::harness::{eventually, signed_in};
use crate::page::tab::{Answer, requests};

/// How long a token of six seconds, and the ten for which an API server believes one that it has seen, may take to end.
const SOON: Duration = Duration::from_secs(40);

/// How soon what happens is seen, by the call that makes it on, and how often that is tried: this machine may be busy with other
/// trials just then.
const AT_ONCE: Duration = Duration::from_millis(500);
const TRIES: usize = 4;

pub fn trials() -> Vec<Trial> {
    vec![
        signed_in("page::signin::a_login_outlives_its_first_token_where_the_proxy_renews_it", renewed),
        signed_in("page::signin::a_login_ends_with_its_token_where_the_proxy_does_not", not_renewed),
        signed_in("page::signin::a_watch_ends_with_the_token_that_it_began_with", watch),
        signed_in("page::signin::what_happens_comes_through_the_proxy_at_once", at_once),
        signed_in("page::signin::signing_out_ends_the_login_at_the_provider_too", signed_out),
        signed_in("page::signin::a_refresh_token_that_counts_once_ends_calls_of_the_same_moment", once),
    ]
}

/// When the token ends that a call came with.
fn end(me: &Value) -> Timestamp {
    me["expires"].as_str().and_then(|end| end.parse().ok()).unwrap_or_else(|| panic!("no end of a token: {me}"))
}

async fn renewed(shared: Arc<SignInCluster>) {
    let mut ida = Visitor::signed_in(&shared, Site::Short, IDA).await;
    let first = end(&ida.gets("/api/me").await.ok());
    assert!(first < now() + SignedDuration::from_secs(7), "{first}");
    eventually("the first token has ended", SOON, async || {
        // Each of them must be answered, not only the last.
        let later = end(&ida.gets("/api/me").await.ok());
        if now() > first && later > first { Ok(()) } else { Err(format!("{later} and {first}")) }
    })
    .await;
}

async fn not_renewed(shared: Arc<SignInCluster>) {
    let mut ida = Visitor::signed_in(&shared, Site::Stale, IDA).await;
    let first = end(&ida.gets("/api/me").await.ok());
    let refused = eventually("the login has ended", SOON, async || {
        let answer = ida.gets("/api/me").await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.body) }
    })
    .await;
    assert_eq!(refused.refusal(), (401, "SignInAgain".to_owned()), "the page says it, and not the proxy");
    assert!(now() >= first, "before its token");
    assert_eq!(ida.opens("/").await.answer.status, 200, "the proxy takes it still");
}

async fn watch(shared: Arc<SignInCluster>) {
    let namespace = shared.cluster.namespace("signin-watch").await;
    let mut ida = Visitor::signed_in(&shared, Site::Short, IDA).await;
    let listed = ida.gets(&requests(&namespace)).await.ok();
    let version = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{}?watch=true&resourceVersion={version}&allowWatchBookmarks=true", requests(&namespace));
    // So old a token as the watch has, or an older one.
    let first = end(&ida.gets("/api/me").await.ok());
    let mut stream = ida.begins(&path).await;
    shared.cluster.ask(EVE, &namespace, "seen", request(&namespace, "seen", json!({}))["spec"].clone()).await;
    let mut all = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut all))
        .await
        .expect("an end of the watch")
        .expect("a whole answer");
    let (ended, answer) = (now(), Answer::of(&String::from_utf8_lossy(&all)));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("\"name\":\"seen\""), "what happened meanwhile came: {answer:?}");
    assert!(ended >= first, "{ended} is before {first}");
    // One that was renewed for it ends six seconds after its own beginning; the proxy passes on what it has each second.
    assert!(ended < first + SignedDuration::from_secs(9), "{ended} is long after {first}");
    assert_eq!(ida.gets(&requests(&namespace)).await.status, 200, "the login goes on");
}

/// The proxy holds nothing back of an answer that goes on.
async fn at_once(shared: Arc<SignInCluster>) {
    let (cluster, namespace) = (&shared.cluster, shared.cluster.namespace("signin-live").await);
    let mut ida = Visitor::signed_in(&shared, Site::Lasting, IDA).await;
    let listed = ida.gets(&requests(&namespace)).await.ok();
    let version = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let mut stream = ida.begins(&format!("{}?watch=true&resourceVersion={version}", requests(&namespace))).await;
    let (mut come, mut took) = (String::new(), Vec::new());
    for nth in 0..TRIES {
        let name = format!("seen-{nth}");
        let began = Instant::now();
        cluster.ask(EVE, &namespace, &name, request(&namespace, &name, json!({}))["spec"].clone()).await;
        while !come.contains(&format!("\"name\":\"{name}\"")) {
            let mut piece = [0; 16 << 10];
            let read = tokio::time::timeout(SOON, stream.read(&mut piece)).await.expect("it is held back");
            let read = read.expect("a piece of the answer");
            assert!(read > 0, "the watch has ended: {come}");
            come.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        took.push(began.elapsed());
    }
    println!("a request is seen through the proxy {took:?} after it was sent");
    assert!(took.iter().any(|took| *took < AT_ONCE), "not once within {AT_ONCE:?}: {took:?}");
}

async fn signed_out(shared: Arc<SignInCluster>) {
    let mut kim = Visitor::signed_in(&shared, Site::Short, KIM).await;
    kim.gets("/api/me").await.ok();
    let mut copied = kim.clone();
    let shown = kim.opens("/oauth2/sign_out").await;
    // Led to the page, which leads to the provider, where nobody is signed in.
    assert!(shown.at.starts_with(&format!("{}/login?", shared.provider)), "{}", shown.at);
    assert_eq!(kim.gets("/api/me").await.status, 401);
    // Whoever has copied the cookie gets no new token: the provider has ended the session.
    eventually("the copy has ended", SOON, async || {
        let answer = copied.gets("/api/me").await;
        if answer.status == 401 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    assert_eq!(copied.gets("/api/me").await.status, 401);
    kim.signs_in("/inbox", KIM).await;
    kim.gets("/api/me").await.ok();
}

/// Two calls of one moment carry the same refresh token, and the proxy keeps sessions in cookies.
async fn once(shared: Arc<SignInCluster>) {
    for (site, expected) in [(Site::Short, 200), (Site::Once, 401)] {
        let mut ida = Visitor::signed_in(&shared, site, IDA).await;
        let first = end(&ida.gets("/api/me").await.ok());
        let second = eventually("the token is renewed", SOON, async || {
            let before = ida.clone();
            let later = end(&ida.gets("/api/me").await.ok());
            if later > first { Ok(before) } else { Err(format!("{later}")) }
        })
        .await;
        let answer = second.clone().gets("/api/me").await;
        assert_eq!(answer.status, expected, "{site:?}: {answer:?}");
    }
}
