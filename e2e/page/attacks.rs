//! Who else tries the page: other pages in the same browser, other users of the machine and the cluster, and whoever sends
//! calls that can be read in two ways. Each trial also shows that the same call passes when it is made as it should be.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::tab::{JSON, OF_PAGE, OpenPage, Tab, requests};
use crate::harness::Cluster;
use crate::harness::cast::request;
use crate::harness::shared;
use crate::harness::users::{ALICE, BOB, CAROL, MALLORY};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("page::attack::another_page_gets_nothing", pages),
        shared("page::attack::a_rebound_name_gets_nothing", rebound),
        shared("page::attack::a_token_opens_the_page_once", tokens),
        shared("page::attack::a_cookie_opens_its_own_page_only", cookies),
        shared("page::attack::no_path_leads_out_of_the_table", paths),
        shared("page::attack::a_call_is_one_call", smuggled),
        shared("page::attack::nobody_but_the_login_says_who_calls", said_who),
        shared("page::attack::bodies_are_what_they_say_and_short", bodies),
        shared("page::attack::nothing_is_written_but_ones_own_review", reviews),
        shared("page::attack::a_review_is_of_exactly_what_was_seen", stale),
    ]
}

fn refused(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

/// Calls to the API server of the shared control plane by somebody with this word in them.
fn heard(cluster: &Cluster, who: &str, word: &str) -> usize {
    let all = cluster.control_plane.calls_of(who);
    all.iter().filter(|event| event["requestURI"].as_str().is_some_and(|uri| uri.contains(word))).count()
}

/// Browsers send the cookie along when another port or name of the same site asks, and write who asks.
async fn pages(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("attack").await;
    let tab = Tab::of(&cluster, ALICE).await;
    let (cookie, host) = (format!("Cookie: {}\r\n", tab.cookie), &tab.page.host);
    let draft = request(&namespace, "forged", json!({})).to_string();
    let line = format!("POST {}", requests(&namespace));
    for of_browser in [
        // Of another site, and of another port of this machine.
        "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Origin: null\r\n",
        // Who says nothing is no browser, or an old one.
        "",
    ] {
        let page = format!("{of_browser}X-Daypass: page\r\n{cookie}");
        let answer = tab.page.call(&line, &format!("{page}{JSON}"), &draft).await;
        assert_eq!(answer.refusal(), refused(403, "OtherOrigin"), "{of_browser}");
        assert_eq!(
            tab.page.call("GET /api/me", &page, "").await.refusal(),
            refused(403, "OtherOrigin"),
            "{of_browser}"
        );
    }
    // A simple call, such as a form makes, has neither the header nor the type; the preflight for one that has is not answered.
    let form = format!("Sec-Fetch-Site: same-origin\r\n{cookie}Content-Type: text/plain\r\n");
    assert_eq!(tab.page.call(&line, &form, &draft).await.refusal(), refused(403, "NotOfPage"));
    let preflight = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-daypass\r\n";
    let answer = tab.page.call(&format!("OPTIONS {}", requests(&namespace)), preflight, "").await;
    assert_eq!(answer.refusal(), refused(403, "OtherOrigin"));
    assert!(!answer.head.to_lowercase().contains("access-control-"), "{answer:?}");
    let exists = cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items.len();
    assert_eq!(exists, 0);
    for own in ["Sec-Fetch-Site: same-origin\r\n".to_owned(), format!("Origin: http://{host}\r\n")] {
        let page = format!("{own}X-Daypass: page\r\n{cookie}");
        assert_eq!(tab.page.call("GET /api/me", &page, "").await.status, 200, "{own}");
    }
    assert_eq!(tab.post(&requests(&namespace), &request(&namespace, "own", json!({}))).await.status, 201);
}

/// A name of the attacker's that leads to this machine: the browser takes the attacker's page for one of the same origin.
async fn rebound(cluster: Arc<Cluster>) {
    let tab = Tab::of(&cluster, ALICE).await;
    let port = tab.page.host.rsplit_once(':').unwrap().1;
    for host in [
        &format!("rebound.evil.example:{port}"),
        &format!("localhost:{port}"),
        "127.0.0.1",
        "",
        &format!("127.0.0.1:{port}."),
    ] {
        for path in ["/", "/api/me"] {
            let call = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}\r\n", tab.headers());
            assert_eq!(tab.page.raw(&call).await.refusal(), refused(421, "OtherHost"), "{host} {path}");
        }
    }
    assert_eq!(tab.get("/api/me").await.status, 200);
}

async fn tokens(cluster: Arc<Cluster>) {
    let (page, other) = (OpenPage::of(&cluster, ALICE).await, OpenPage::of(&cluster, ALICE).await);
    assert_eq!(page.call("GET /api/me", OF_PAGE, "").await.refusal(), refused(401, "NoSession"));
    for wrong in ["", "x", &other.token, &page.token[1..], &format!("{}x", page.token)] {
        assert_eq!(page.exchange(wrong).await.refusal(), refused(401, "TokenSpent"), "{wrong}");
    }
    // Neither in the URL nor as a cookie nor as a login.
    let (port, token) = (page.host.rsplit_once(':').unwrap().1.to_owned(), page.token.clone());
    for headers in [format!("Cookie: daypass-{port}={token}\r\n"), format!("Authorization: Bearer {token}\r\n")] {
        let answer = page.call("GET /api/me", &format!("{OF_PAGE}{headers}"), "").await;
        assert_eq!(answer.refusal(), refused(401, "NoSession"), "{headers}");
    }
    let answer = page.call(&format!("GET /api/me?token={token}"), OF_PAGE, "").await;
    assert_eq!(answer.refusal(), refused(401, "NoSession"));
    let tab = page.signed_in().await;
    assert_eq!(tab.get("/api/me").await.status, 200, "none of that has used it up");
    // Who has seen it over somebody's shoulder comes too late.
    assert_eq!(tab.page.exchange(&token).await.refusal(), refused(401, "TokenSpent"));
    // Likewise who makes the victim's browser use it.
    let foreign = "Sec-Fetch-Site: cross-site\r\nX-Daypass: page\r\nContent-Type: application/json\r\n";
    let body = json!({ "token": other.token }).to_string();
    assert_eq!(other.call("POST /session", foreign, &body).await.refusal(), refused(403, "OtherOrigin"));
    assert_eq!(other.exchange(&other.token).await.status, 204);
}

/// Cookies ignore ports: a browser sends that of one page to the other.
async fn cookies(cluster: Arc<Cluster>) {
    let (alice, mallory) = (Tab::of(&cluster, ALICE).await, Tab::of(&cluster, MALLORY).await);
    let renamed = mallory.cookie.replacen(
        mallory.page.host.rsplit_once(':').unwrap().1,
        alice.page.host.rsplit_once(':').unwrap().1,
        1,
    );
    for cookie in [&mallory.cookie, &renamed] {
        let answer = alice.page.call("GET /api/me", &format!("{OF_PAGE}Cookie: {cookie}\r\n"), "").await;
        assert_eq!(answer.refusal(), refused(401, "NoSession"), "{cookie}");
    }
    for (tab, name) in [(&alice, "alice"), (&mallory, "mallory")] {
        let both = format!("{OF_PAGE}Cookie: {}; {}\r\n", mallory.cookie, alice.cookie);
        assert_eq!(tab.page.call("GET /api/me", &both, "").await.ok()["username"], name);
    }
}

async fn paths(cluster: Arc<Cluster>) {
    // bob may read secrets of no namespace; that is not what keeps him out here.
    let tab = Tab::of(&cluster, crate::harness::users::ADMIN).await;
    let group = "/k/apis/daypass.dev/v1alpha1";
    for (path, refusal) in [
        (format!("{group}/../../../api/v1/secrets"), refused(400, "OddPath")),
        (format!("{group}/namespaces/..%2f..%2f..%2f..%2fapi%2fv1%2fsecrets/accessrequests"), refused(400, "OddPath")),
        (format!("{group}/namespaces/%2e%2e/accessrequests"), refused(400, "OddPath")),
        (format!("{group}/namespaces/default/%61ccessrequests"), refused(400, "OddPath")),
        (format!("{group}//accessrequests"), refused(400, "OddPath")),
        ("/k//api/v1/secrets".to_owned(), refused(400, "OddPath")),
        (format!("{group}/accessrequests;a=b"), refused(400, "OddPath")),
        (format!("{group}/accessrequests/"), refused(404, "NotInTable")),
        (format!("{group}/AccessRequests"), refused(404, "NotInTable")),
        ("/k/API/v1/namespaces".to_owned(), refused(404, "NotInTable")),
        ("/k/api/v1/secrets".to_owned(), refused(404, "NotInTable")),
        ("/k/api/v1/namespaces/kube-system/secrets".to_owned(), refused(404, "NotInTable")),
        ("/k/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned(), refused(404, "NotInTable")),
        (format!("{group}/accessrequests?fieldManager=x"), refused(400, "BadParameter")),
        (format!("{group}/accessrequests?limit=1&%6cimit=2"), refused(400, "BadParameter")),
        (format!("{group}/accessrequests?watch=no"), refused(400, "BadParameter")),
        ("/k/metrics".to_owned(), refused(404, "NotInTable")),
        ("/api/v1/secrets".to_owned(), refused(404, "NoSuchPage")),
        ("//k/api/v1/namespaces".to_owned(), refused(404, "NoSuchPage")),
    ] {
        assert_eq!(tab.get(&path).await.refusal(), refusal, "{path}");
    }
    // As a proxy is asked.
    for target in [format!("http://{}/api/me", tab.page.host), "https://10.0.0.1/api/v1/secrets".to_owned()] {
        assert_eq!(tab.get(&target).await.refusal(), refused(400, "Target"), "{target}");
    }
    for method in ["PUT", "DELETE", "HEAD", "PATCH", "POST"] {
        let answer = tab.page.call(&format!("{method} /k/api/v1/namespaces/default"), &tab.headers(), "").await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(tab.get("/k/api/v1/namespaces?limit=1").await.ok()["kind"], "NamespaceList");
}

async fn smuggled(cluster: Arc<Cluster>) {
    let tab = Tab::of(&cluster, BOB).await;
    let (host, headers) = (&tab.page.host, tab.headers());
    let inner = format!("GET {}?limit=77 HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n", requests("smuggled"));
    let twice =
        format!("GET /api/me HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nConnection: close\r\n{headers}\r\n");
    let both = format!(
        "POST /api/foresee HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}{JSON}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    );
    let two = format!(
        "POST /api/foresee HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}{JSON}Content-Length: 2\r\nContent-Length: 300\r\n\r\n{{}}{inner}"
    );
    let old = format!("GET /api/me HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
    for call in [twice, old] {
        assert_eq!(tab.page.raw(&call).await.refusal(), refused(400, "Framing"), "{call}");
    }
    // The server takes the length away where a coding is given, or refuses the call itself: what is within is no call.
    for call in [both, two] {
        assert_eq!(tab.page.raw(&call).await.status, 400, "{call}");
    }
    let body = format!(
        "GET /api/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{inner}",
        inner.len()
    );
    assert_eq!(tab.page.raw(&body).await.refusal(), refused(400, "NoBodyHere"));
    let upgrade = format!("{headers}Upgrade: websocket\r\n");
    let line = format!("GET {}?watch=true", requests("default"));
    assert_eq!(tab.page.call(&line, &upgrade, "").await.refusal(), refused(400, "Upgrade"));
    assert_eq!(heard(&cluster, BOB.name, "smuggled"), 0);
}

/// The admin may act as anybody, so these would count.
async fn said_who(cluster: Arc<Cluster>) {
    let tab = Tab::of(&cluster, crate::harness::users::ADMIN).await;
    for said in ["Impersonate-User: bob\r\n", "Impersonate-Group: system:masters\r\n", "X-Remote-User: bob\r\n"] {
        let answer = tab.page.call("GET /api/me", &format!("{}{said}", tab.headers()), "").await;
        assert_eq!(answer.refusal(), refused(403, "SaysWho"), "{said}");
    }
    // What is in the place of a login is not looked at.
    for said in
        [format!("Authorization: Bearer {}\r\n", BOB.token()), "Connection: close, Authorization\r\n".to_owned()]
    {
        let answer = tab.page.call("GET /api/me", &format!("{}{said}", tab.headers()), "").await;
        assert_eq!(answer.ok()["username"], "admin", "{said}");
    }
}

async fn bodies(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("attack").await;
    let tab = Tab::of(&cluster, ALICE).await;
    let (line, headers) = (format!("POST {}", requests(&namespace)), tab.headers());
    let draft = |length: usize| {
        let mut draft = request(&namespace, "long", json!({}));
        draft["metadata"]["annotations"] = json!({ "a": "x".repeat(length) });
        draft.to_string()
    };
    for length in [65_536, 200_000] {
        let answer = tab.page.call(&line, &format!("{headers}{JSON}"), &draft(length)).await;
        assert_eq!(answer.refusal(), refused(413, "TooLarge"), "{length}");
    }
    // Nobody says how long it is, so it is not read at all.
    let body = draft(70_000);
    let chunked = format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        tab.page.host,
        body.len()
    );
    assert_eq!(tab.page.raw(&chunked).await.refusal(), refused(400, "Framing"));
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/yaml\r\n",
        "Content-Type: text/plain; application/json\r\n",
    ] {
        let answer = tab.page.call(&line, &format!("{headers}{kind}"), &draft(1)).await;
        assert_eq!(answer.refusal(), refused(415, "ContentType"), "{kind}");
    }
    for body in ["", "{", "kind: AccessRequest"] {
        let answer = tab.page.call(&line, &format!("{headers}{JSON}"), body).await;
        assert_eq!(answer.refusal(), refused(400, "BadBody"), "{body}");
    }
    let answer = tab.page.call(&line, &format!("{headers}{JSON}"), &draft(60_000)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A request that waits for carol and bob, and what was seen of it.
async fn waiting(cluster: &Arc<Cluster>, name: &str) -> (String, Value) {
    let namespace = cluster.namespace("attack").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    cluster.ask(ALICE, &namespace, name, json!({})).await;
    let seen = cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    (namespace, json!({ "uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version }))
}

fn approves(who: &str) -> Value {
    json!({ "reviews": { who: { "verdict": "Approve" } } })
}

/// The reviews of a request, as they are stored.
async fn stored(cluster: &Cluster, namespace: &str, name: &str) -> usize {
    let request = cluster.requests(namespace).await.get(name).await.unwrap();
    request.status.unwrap_or_default().reviews.len()
}

async fn reviews(cluster: Arc<Cluster>) {
    let (namespace, seen) = waiting(&cluster, "fix").await;
    let carol = Tab::of(&cluster, CAROL).await;
    let patch = async |body: Value| carol.review(&namespace, "fix", &body).await.refusal();
    let with = |metadata: &Value, status: Value| json!({ "metadata": metadata, "status": status });
    assert_eq!(patch(with(&seen, approves("bob"))).await, refused(403, "NotYourReview"));
    let mut both = approves("carol");
    both["reviews"]["bob"] = json!({ "verdict": "Approve" });
    let mut state = approves("carol");
    state["state"] = json!("Active");
    let mut groups = approves("carol");
    groups["reviews"]["carol"]["groups"] = json!(["system:masters"]);
    let mut labelled = seen.clone();
    labelled["labels"] = json!({ "a": "b" });
    for body in [
        with(&seen, both),
        with(&seen, state),
        with(&seen, groups),
        with(&labelled, approves("carol")),
        json!({ "metadata": seen, "status": approves("carol"), "spec": { "reason": "x" } }),
        json!([{ "op": "add", "path": "/status/state", "value": "Active" }]),
        json!({}),
    ] {
        assert_eq!(patch(body.clone()).await, refused(400, "BadBody"), "{body}");
    }
    for other in [
        "application/json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ] {
        let headers = format!("{}Content-Type: {other}\r\n", carol.headers());
        let line = format!("PATCH {}/fix/status", requests(&namespace));
        let answer = carol.page.call(&line, &headers, &with(&seen, approves("carol")).to_string()).await;
        assert_eq!(answer.refusal(), refused(415, "ContentType"), "{other}");
    }
    let headers = format!("{}Content-Type: application/merge-patch+json\r\n", carol.headers());
    for (method, path) in [("PATCH", "/fix"), ("PUT", "/fix/status"), ("DELETE", "/fix"), ("PATCH", "/fix/scale")] {
        let line = format!("{method} {}{path}", requests(&namespace));
        let answer = carol.page.call(&line, &headers, &with(&seen, approves("carol")).to_string()).await;
        assert_eq!(answer.refusal(), refused(404, "NotInTable"), "{line}");
    }
    assert_eq!(stored(&cluster, &namespace, "fix").await, 0, "nothing of that was written");
    // Who has no say writes one all the same, and the API server and the controller judge it as any.
    assert_eq!(carol.review(&namespace, "fix", &with(&seen, approves("carol"))).await.status, 200);
}

async fn stale(cluster: Arc<Cluster>) {
    let (namespace, seen) = waiting(&cluster, "fix").await;
    let (carol, bob) = (Tab::of(&cluster, CAROL).await, Tab::of(&cluster, BOB).await);
    let review = |metadata: Value| json!({ "metadata": metadata, "status": approves("carol") });
    for key in ["uid", "resourceVersion"] {
        let mut less = seen.clone();
        less.as_object_mut().unwrap().remove(key);
        assert_eq!(carol.review(&namespace, "fix", &review(less)).await.refusal(), refused(400, "NotSeen"), "{key}");
    }
    // Somebody has written to it since.
    let denied = json!({ "metadata": seen, "status": { "reviews": { "bob": { "verdict": "Deny" } } } });
    cluster.ask(ALICE, &namespace, "other", json!({})).await;
    let other = cluster.until_reason(&namespace, "other", "Approved", "ApprovalNeeded").await.metadata;
    let other = json!({ "uid": other.uid, "resourceVersion": other.resource_version });
    let answer = carol.review(&namespace, "fix", &review(other)).await;
    assert_eq!(answer.status, 409, "what was seen is another request: {answer:?}");
    assert_eq!(stored(&cluster, &namespace, "fix").await, 0, "nothing was decided");
    assert_eq!(bob.review(&namespace, "fix", &denied).await.status, 200);
    let answer = carol.review(&namespace, "fix", &review(seen)).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    let request = cluster.requests(&namespace).await.get("fix").await.unwrap();
    assert!(!request.status.unwrap().reviews.contains_key("carol"), "nothing was decided");
}
