//! The page in its place in the cluster, behind a real oauth2-proxy, with a real OpenID provider that the API server trusts:
//! who signs in acts under their own name, for as long as their login is good, and whoever does not gets nothing.
//!
//! [`visitor`] plays the browser. [`lasting`] is how long a login lasts, [`forged`] what those get who have none,
//! and [`window`] opens it in a real browser.

mod forged;
mod lasting;
mod visitor;
mod window;

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::visitor::{Visitor, header, headers};
use super::tab::requests;
use crate::harness::cast::request;
use crate::harness::sign_in::{IDA, OTTO, Person, SignInCluster, Site};
use crate::harness::signed_in;

pub fn trials() -> Vec<Trial> {
    let own = vec![
        signed_in("page::signin::each_is_who_the_api_server_says", each),
        signed_in("page::signin::without_a_login_calls_are_refused_and_not_led_away", nobody),
        signed_in("page::signin::an_approval_stands_under_the_approvers_own_name", approval),
    ];
    [own, lasting::trials(), forged::trials(), window::trials()].into_iter().flatten().collect()
}

async fn each(shared: Arc<SignInCluster>) {
    let (mut ida, mut otto) = (Visitor::of(&shared, Site::Lasting), Visitor::of(&shared, Site::Lasting));
    let form = ida.opens("/r/shop/fix?uid=1f2e").await;
    let wrong = ida.fills_in(&form, IDA.email, OTTO.password).await;
    assert_eq!((wrong.answer.status, wrong.at), (401, format!("{}/login", shared.provider)));
    // A link in a notice leads there, by way of the sign-in.
    let page = ida.signs_in("/r/shop/fix?uid=1f2e", IDA).await;
    assert!(page.body.contains("<title>Daypass</title>"), "{page:?}");
    assert!(header(&page, "content-security-policy").is_some_and(|policy| policy.contains("trusted-types 'none'")));
    otto.signs_in("/inbox", OTTO).await;
    for (visitor, person) in [(&mut ida, IDA), (&mut otto, OTTO)] {
        let me = visitor.gets("/api/me").await.ok();
        let groups: Vec<&str> = [person.groups, &["system:authenticated"]].concat();
        assert_eq!((&me["username"], &me["groups"]), (&json!(person.email), &json!(groups)), "{me}");
        assert_eq!(me["place"], "cluster");
        assert!(me["expires"].is_string(), "{me}");
    }
}

async fn nobody(shared: Arc<SignInCluster>) {
    let mut nobody = Visitor::of(&shared, Site::Lasting);
    for (line, body) in [
        ("GET /api/me", ""),
        ("GET /api/inbox", ""),
        ("POST /api/foresee", "{}"),
        ("GET /k/apis/daypass.dev/v1alpha1/accesspolicies", ""),
        ("POST /k/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests", "{}"),
        ("PATCH /k/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests/fix/status", "{}"),
    ] {
        let answer = nobody.calls(line, "Content-Type: application/json\r\n", body).await;
        assert_eq!((answer.status, header(&answer, "location")), (401, None), "{line}: {answer:?}");
    }
    // Who opens it is led to the provider: a code, and a proof that belongs to it.
    let led = nobody.calls("GET /inbox", "", "").await;
    let to = header(&led, "location").expect("a place");
    let query = to.split_once('?').expect("a query").1;
    assert!(to.starts_with(&format!("https://{}/authorize?", shared.provider)), "{to}");
    let asked = |key: &str, value: &str| form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k == key && v == value);
    assert!(asked("response_type", "code") && asked("code_challenge_method", "S256"), "{to}");
    let cookies = headers(&led, "set-cookie");
    assert!(cookies.iter().all(|cookie| cookie.ends_with("; HttpOnly; Secure; SameSite=Lax")), "{cookies:?}");
}

/// What comes to the API server from pages, as it recorded it.
fn by_pages(shared: &SignInCluster) -> Vec<Value> {
    let of_page = |event: &Value| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("daypass-page/"));
    shared.cluster.control_plane.audit_log().into_iter().filter(of_page).collect()
}

async fn approval(shared: Arc<SignInCluster>) {
    let cluster = &shared.cluster;
    let namespace = cluster.namespace("signin").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    let mut ida = Visitor::signed_in(&shared, Site::Lasting, IDA).await;
    let mut otto = Visitor::signed_in(&shared, Site::Lasting, OTTO).await;
    let asked = ida.posts(&requests(&namespace), &request(&namespace, "fix", json!({}))).await;
    assert_eq!((asked.status, &asked.json()["spec"]["requester"]["username"]), (201, &json!(IDA.email)), "{asked:?}");
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let inbox = otto.gets("/api/inbox").await.ok();
    let task = inbox["requests"].as_array().unwrap().iter().find(|task| task["namespace"] == json!(namespace));
    let task = task.unwrap_or_else(|| panic!("nothing waits for the approver: {inbox}"));
    let patch = |person: Person| {
        json!({
            "metadata": { "uid": task["uid"], "resourceVersion": task["resourceVersion"] },
            "status": { "reviews": { person.email: { "verdict": "Approve", "comment": "go" } } }
        })
    };
    let line = format!("PATCH {}/fix/status", requests(&namespace));
    let merge = "Content-Type: application/merge-patch+json\r\n";
    // She cannot write in his name, nor agree to what she asks for herself.
    let forged = ida.calls(&line, merge, &patch(OTTO).to_string()).await;
    assert_eq!(forged.refusal().0, 403, "{forged:?}");
    let reviewed = otto.calls(&line, merge, &patch(OTTO).to_string()).await.ok();
    assert_eq!(reviewed["status"]["reviews"][OTTO.email]["verdict"], "Approve", "{reviewed}");
    let active = cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(active.spec.requester.unwrap().username, IDA.email);

    let events = by_pages(&shared);
    let written = |event: &&Value| event["objectRef"]["namespace"] == json!(namespace) && event["verb"] != "get";
    let written: Vec<(&Value, &Value)> =
        events.iter().filter(written).map(|event| (&event["verb"], &event["user"]["username"])).collect();
    let expected = [(&json!("create"), &json!(IDA.email)), (&json!("patch"), &json!(OTTO.email))];
    assert_eq!(written, expected, "{events:#?}");
    for event in &events {
        let who = event["user"]["username"].as_str().unwrap_or_default();
        assert!(
            !who.starts_with("system:") && event["impersonatedUser"].is_null(),
            "it has a name of its own: {event}"
        );
    }
}
