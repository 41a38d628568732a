//! Script in every field that a person can write: it is shown as it was written, and does not run. That it would run on a
//! page without its policy for content is shown too.

use std::sync::Arc;

use daypass::api::State;
use serde_json::{Value, json};

use super::Seat;
use crate::harness::cast::{SOON, policy, request};
use crate::harness::users::{ADMIN, CAROL, GITOPS};
use crate::harness::{Cluster, eventually};

/// Runs wherever it is taken for a part of the page.
const SCRIPT: &str = "<img src=x onerror=window.struck=1>";
/// The same in a name, which has neither a space nor a slash.
const NAME: &str = "named<script>window.struck=1";
/// The same in a ticket, which has no space.
const TICKET: &str = "INC-1<svg/onload=window.struck=1>";

/// What somebody writes into a field, to be found again by the field's name.
fn written(field: &str) -> String {
    format!("{field} {SCRIPT}")
}

pub async fn none_runs(cluster: Arc<Cluster>) {
    let namespace = stage(&cluster).await;
    let carol = Seat::of(&cluster, CAROL).await;
    let note = "window.refused = [];
        addEventListener('securitypolicyviolation', (event) => window.refused.push(`${event.violatedDirective} ${event.sample}`));";
    carol
        .browser
        .command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": note }))
        .await
        .expect("note refusals");
    let typed = percent(SCRIPT);
    let views: [(&str, &[&str]); 15] = [
        ("/now?state=all", &["person"]),
        ("/inbox", &["person", "why"]),
        ("/r/{}/open", &["person", "why", "approver"]),
        ("/r/{}/narrow", &["person"]),
        ("/r/{}/named", &["person"]),
        ("/r/{}/granted", &["person", "comment"]),
        ("/r/{}/refused", &["told"]),
        ("/policies", &["description", "requester", "approver", "told"]),
        ("/history", &["person", "comment"]),
        ("/health", &[]),
        ("/now?state=all&person=SCRIPT", &["person"]),
        ("/policies?name=SCRIPT", &["description"]),
        ("/history?text=SCRIPT", &["person"]),
        ("/ask?namespace={}&role=SCRIPT", &[]),
        ("/r/{}/open?uid=SCRIPT", &[]),
    ];
    for (path, fields) in views {
        let path = path.replace("{}", &namespace).replace("SCRIPT", &typed);
        carol.browser.open(&format!("{}{path}", carol.origin)).await;
        for field in fields {
            carol.browser.until_shows(&written(field)).await;
        }
        for (view, shown) in [("/narrow", NAME), ("/named", NAME), ("/open", TICKET), ("/inbox", TICKET)] {
            if path.ends_with(view) {
                carol.browser.until_shows(shown).await;
            }
        }
        eventually(&format!("{path} has read all"), SOON, async || {
            let text = carol.browser.text().await;
            if text.contains("Loading.") || text.len() < 40 { Err(text) } else { Ok(()) }
        })
        .await;
        assert_eq!(ran(&carol).await, nothing(), "{path}");
    }
    explained(&carol, &namespace).await;
    assert_eq!(ran(&carol).await, nothing(), "what is explained");
    without_policy(&carol).await;
}

/// Objects with script in each field that somebody may write.
async fn stage(cluster: &Arc<Cluster>) -> String {
    let namespace = cluster.namespace("script").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": NAME },
        "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]
    });
    cluster.kubectl(ADMIN).apply(&role.to_string()).await;
    let approvers = json!([{ "kind": "Group", "name": "approvers" }, { "kind": "User", "name": written("approver") }]);
    let mut asks = policy(&namespace, &namespace);
    asks["metadata"]["annotations"] = json!({ "note": written("annotation") });
    let spec = &mut asks["spec"];
    spec["description"] = json!(written("description"));
    spec["requesters"] = json!([{ "kind": "Group", "name": "dev" }, { "kind": "User", "name": written("requester") }]);
    spec["approval"] = json!({ "stages": [{ "name": "leads", "approvers": approvers }] });
    spec["conditions"] = json!([{ "expression": "request.name != 'refused'", "message": written("told") }]);
    cluster.kubectl(GITOPS).apply(&asks.to_string()).await;
    let of_role = json!({ "name": "edit" });
    ask(cluster, &namespace, "open", json!({ "role": of_role, "reason": written("why"), "ticket": TICKET })).await;
    let object = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": [NAME] }]);
    ask(cluster, &namespace, "narrow", json!({ "role": of_role, "reason": written("why"), "rules": object })).await;
    ask(cluster, &namespace, "granted", json!({ "role": of_role, "reason": written("why") })).await;
    ask(cluster, &namespace, "refused", json!({ "role": of_role, "reason": written("why") })).await;
    ask(cluster, &namespace, "named", json!({ "role": { "name": NAME }, "reason": written("why") })).await;
    for name in ["open", "narrow", "granted"] {
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    cluster.review(CAROL, &namespace, "granted", "Approve", &written("comment")).await;
    cluster.until(&namespace, "granted", State::Active).await;
    cluster.until(&namespace, "refused", State::Denied).await;
    namespace
}

/// Asks as somebody whose very name and group are script.
async fn ask(cluster: &Arc<Cluster>, namespace: &str, name: &str, spec: Value) {
    let mut body = request(namespace, name, spec);
    body["metadata"]["annotations"] = json!({ "note": written("annotation") });
    let group = format!("--as-group={}", written("group"));
    let who = ["--as", &written("person"), "--as-group=dev", "--as-group=system:authenticated", &group];
    let asked = cluster.kubectl(ADMIN).run_with(&[&["apply", "-f", "-"], &who[..]].concat(), &body.to_string()).await;
    assert!(asked.ok, "{}", asked.stderr);
}

/// What somebody types comes back in an answer.
async fn explained(carol: &Seat, namespace: &str) {
    carol.browser.open(&format!("{}/policies", carol.origin)).await;
    carol.browser.until_shows(&written("description")).await;
    carol.browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })", json!([])).await;
    carol.browser.fill("User", &written("person")).await;
    carol.browser.fill("Groups", &written("group")).await;
    let both = "const [role, namespace] = arguments;
        const form = [...document.forms].find((form) => form.querySelector('[type=submit]'));
        const labels = [...form.querySelectorAll('label')];
        for (const [label, value] of [['Role', role], ['Namespace', namespace]]) {
            const field = labels.find((each) => each.textContent.startsWith(label)).control;
            field.value = value;
            field.dispatchEvent(new Event('input', { bubbles: true }));
        }";
    carol.browser.run(both, json!([NAME, namespace])).await;
    carol.browser.press("button", "Explain").await;
    carol.browser.until_shows(&format!("If {} asked, in the groups {}", written("person"), written("group"))).await;
    carol.browser.until_shows("It would be denied.").await;
    carol.browser.until_shows("does not match: ").await;
}

/// What became a part of the page, or ran, and what the browser had to refuse.
async fn ran(seat: &Seat) -> Value {
    let look = "const all = [...document.querySelectorAll('*')];
        const told = (element) => element.outerHTML.slice(0, 200);
        const runs = ({ name, value }) => name.startsWith('on') || /^\\s*(javascript|vbscript):/i.test(value);
        return {
            struck: window.struck ?? null,
            foreign: all.filter((each) => each.matches('img, iframe, object, embed, base, script:not([src^=\"/assets/\"])')).map(told),
            handlers: all.filter((each) => [...each.attributes].some(runs)).map(told),
            refused: window.refused,
        };";
    seat.browser.run(look, json!([])).await
}

fn nothing() -> Value {
    json!({ "struck": null, "foreign": [], "handlers": [], "refused": [] })
}

/// The browser makes no markup of a text here, whoever asks it to; without the page's policy it does, and the script runs.
async fn without_policy(seat: &Seat) {
    let strike = "try { document.body.innerHTML = arguments[0]; return 'made'; } catch (error) { return error.name; }";
    assert_eq!(seat.browser.run(strike, json!([SCRIPT])).await, "TypeError");
    seat.browser.command("Page.setBypassCSP", json!({ "enabled": true })).await.expect("take the policy away");
    seat.browser.open(&format!("{}/health", seat.origin)).await;
    assert_eq!(seat.browser.run(strike, json!([SCRIPT])).await, "made");
    eventually("without the policy the script runs", SOON, async || {
        let found = ran(seat).await;
        if found["struck"] == 1 { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

/// As a URL has it.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
