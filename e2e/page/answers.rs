//! What the page computes is right for each caller, by what they may read and nothing else, and what they may not read is said.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::tab::{Tab, requests};
use crate::harness::cast::request;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL, GRETA, MALLORY};
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("page::foresees_what_would_be_decided_for_each_caller", foresees),
        shared("page::explains_for_somebody_and_acts_as_nobody", explains),
        shared("page::offers_what_each_caller_may_ask_for", options),
        shared("page::has_in_the_inbox_what_waits_for_each_caller", inbox),
        private("page::says_what_may_not_be_read", unread),
        shared("page::finds_what_the_doctor_and_lint_find", health),
        shared("page::asks_and_reviews_as_ones_self", story),
    ]
}

/// A policy by which group approvers must agree.
fn asks_leads() -> Value {
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    json!({ "approval": { "stages": leads } })
}

async fn foresees(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("foresee").await;
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    let mut asks = asks_leads();
    asks["roles"] = json!([{ "name": "edit" }]);
    cluster.allow(&format!("{namespace}-asks"), &namespace, asks).await;
    let draft = |role: &str| request(&namespace, "x", json!({ "role": { "name": role }, "duration": "30m" }));
    let foresee = async |tab: &Tab, role: &str| tab.post("/api/foresee", &draft(role)).await.ok();
    // greta is a developer who may read all of it.
    let greta = Tab::of(&cluster, GRETA).await;
    let granted = foresee(&greta, "view").await;
    assert_eq!((&granted["outcome"], &granted["sure"]), (&json!("Granted"), &json!(true)), "{granted}");
    assert_eq!((&granted["policy"], &granted["gaps"]), (&json!(namespace), &json!([])), "{granted}");
    assert!(granted["rights"].as_u64().is_some_and(|rights| rights > 10), "{granted}");
    let instant = |of: &Value, key: &str| of[key].as_str().unwrap().parse::<k8s_openapi::jiff::Timestamp>().unwrap();
    let length = instant(&granted, "ends").duration_since(instant(&granted, "begins"));
    assert_eq!(length.as_mins(), 30);
    let needs = foresee(&greta, "edit").await;
    let stage = json!({ "stage": "leads", "required": 1, "approvers": ["Group/approvers"], "then": null });
    assert_eq!((&needs["outcome"], &needs["stages"]), (&json!("Needs"), &json!([stage])), "{needs}");
    assert!(needs["deadline"].is_string() && needs["rights"].is_u64(), "{needs}");
    let mut narrow = draft("edit");
    narrow["spec"]["rules"] = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"] }]);
    let narrow = greta.post("/api/foresee", &narrow).await.ok();
    assert_eq!(narrow["rights"], Value::Null, "the rights of the whole role are not asked for: {narrow}");
    let alice = Tab::of(&cluster, ALICE).await;
    let as_far_as_seen = foresee(&alice, "view").await;
    assert_eq!(as_far_as_seen["outcome"], "Granted", "{as_far_as_seen}");
    let gaps = as_far_as_seen["gaps"].as_array().unwrap();
    assert_eq!(gaps.is_empty(), as_far_as_seen["sure"].as_bool().unwrap(), "{as_far_as_seen}");
    // alice may not read roles, so nobody says how much harm they do, and that is said.
    assert_eq!(as_far_as_seen["risk"], Value::Null, "{as_far_as_seen}");
    let says_so = |gap: &Value| gap.as_str().is_some_and(|gap| gap.contains("ClusterRole/view"));
    assert!(gaps.iter().any(says_so), "{as_far_as_seen}");
    // mallory is in no group that a policy names.
    let mallory = Tab::of(&cluster, MALLORY).await;
    for role in ["view", "edit"] {
        let denied = foresee(&mallory, role).await;
        assert_eq!(denied["outcome"], "Denied", "{denied}");
        assert!(!denied["reasons"].as_array().unwrap().is_empty(), "{denied}");
    }
    let mut as_alice = draft("view");
    as_alice["spec"]["requester"] = json!({ "username": "alice" });
    assert_eq!(mallory.post("/api/foresee", &as_alice).await.refusal(), (422, "Unusable".to_owned()));
    // The answer comes true.
    cluster.ask(GRETA, &namespace, "told", draft("view")["spec"].clone()).await;
    let told = cluster.until(&namespace, "told", daypass::api::State::Active).await;
    let risk = told.status.unwrap().risk.unwrap().level;
    assert_eq!(granted["risk"], risk.as_str(), "as the controller says it");
    // What a request asks for of a role counts, and what there is not has no risk.
    let pods = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    let mut narrow = draft("edit");
    narrow["spec"]["rules"] = pods;
    let (whole, narrow) = (needs, greta.post("/api/foresee", &narrow).await.ok());
    assert!(whole["risk"] != narrow["risk"] && narrow["risk"] == "Low", "{whole} {narrow}");
    assert_eq!(foresee(&greta, "no-such-role").await["risk"], Value::Null);
    // What is denied has something near to it.
    let far = request(&namespace, "x", json!({ "role": { "name": "view" }, "duration": "300h" }));
    let denied = greta.post("/api/foresee", &far).await.ok();
    assert_eq!(denied["outcome"], "Denied", "{denied}");
    assert_eq!(denied["nearest"]["spec"]["duration"], "1h", "{denied}");
}

/// greta looks at what others would get. Nothing is done as them, and they need not exist.
async fn explains(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("explain").await;
    let asks = format!("{namespace}-asks");
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    let mut spec = asks_leads();
    spec["roles"] = json!([{ "name": "edit" }]);
    cluster.allow(&asks, &namespace, spec).await;
    let greta = Tab::of(&cluster, GRETA).await;
    let of = |who: &str, groups: &[&str], role: &str| {
        let draft = request(&namespace, "x", json!({ "role": { "name": role } }));
        json!({ "person": { "username": who, "groups": groups }, "draft": draft })
    };
    let explain = async |who: &str, groups: &[&str], role: &str| {
        let told = greta.post("/api/explain", &of(who, groups, role)).await.ok();
        let all = told["policies"].as_array().unwrap().iter();
        let here: Vec<Value> =
            all.filter(|judged| judged["policy"].as_str().unwrap().starts_with(&namespace)).cloned().collect();
        (told, here)
    };
    let nobody = format!("nobody-{namespace}");
    let (granted, policies) = explain(&nobody, &["dev"], "view").await;
    assert_eq!((&granted["outcome"], &granted["policy"]), (&json!("Granted"), &json!(namespace)), "{granted}");
    assert_eq!(granted["person"], json!({ "username": nobody, "groups": ["dev"] }));
    let says = |policy: &str, decides: bool, says: &str| json!({ "policy": policy, "effect": "Allow", "says": says, "decides": decides });
    let matches = "decides: no other policy matches";
    let other = "does not match: does not allow ClusterRole/edit";
    assert_eq!(policies[0], says(&namespace, true, matches), "{other}");
    assert!(
        policies[1]["decides"] == false && policies[1]["says"].as_str().unwrap().starts_with("does not match: "),
        "{policies:?}"
    );
    let (needs, policies) = explain(&nobody, &["dev"], "edit").await;
    assert_eq!((&needs["outcome"], &needs["policy"]), (&json!("Needs"), &json!(asks)), "{needs}");
    assert_eq!(policies[1], says(&asks, true, matches));
    // By their groups, and by nobody else's.
    let (denied, policies) = explain(&nobody, &["approvers"], "view").await;
    assert_eq!(denied["outcome"], "Denied", "{denied}");
    assert!(policies.iter().all(|judged| judged["decides"] == false), "{policies:?}");
    for (body, refused) in [
        (json!({ "draft": of("x", &[], "view")["draft"] }), "BadBody"),
        (json!({ "person": { "username": " " }, "draft": of("x", &[], "view")["draft"] }), "BadBody"),
        (json!({ "person": { "username": "x", "uid": "u" }, "draft": of("x", &[], "view")["draft"] }), "BadBody"),
        (json!({ "person": { "username": "x" }, "draft": { "spec": {} } }), "BadBody"),
    ] {
        assert_eq!(greta.post("/api/explain", &body).await.refusal(), (400, refused.to_owned()), "{body}");
    }
    let audit = cluster.control_plane.calls_of(GRETA.name);
    assert!(audit.iter().any(|event| event["requestURI"].as_str().is_some_and(|uri| uri.contains("accesspolicies"))));
    assert!(audit.iter().all(|event| event["impersonatedUser"].is_null()), "greta acts as nobody");
    assert_eq!(cluster.control_plane.calls_of(&nobody).len(), 0);
}

async fn options(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("options").await;
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    let mut asks = asks_leads();
    asks["roles"] = json!([{ "name": "edit" }]);
    cluster.allow(&format!("{namespace}-asks"), &namespace, asks).await;
    let path = format!("/api/options?namespace={namespace}");
    let greta = Tab::of(&cluster, GRETA).await;
    let offered = greta.get(&path).await.ok();
    // Policies of other trials offer to all developers what is for the whole cluster.
    let here = |offered: &Value| -> Vec<Value> {
        let all = offered["options"].as_array().unwrap().iter();
        all.filter(|option| option["cluster"] == false && option["breakGlass"] == false).cloned().collect()
    };
    let option = |role: &str, policy: &str, outcome: &str, approvers: Value| {
        json!({
            "role": { "kind": "ClusterRole", "name": role }, "policy": policy, "cluster": false, "breakGlass": false,
            "longest": "1h", "usual": "1h", "needsTicket": false, "outcome": outcome, "approvers": approvers,
            "line": format!("kubectl daypass request {role} -n {namespace} --reason WHY")
        })
    };
    let expected = [
        option("edit", &format!("{namespace}-asks"), "Needs", json!(["Group/approvers"])),
        option("view", &namespace, "Granted", json!([])),
    ];
    assert_eq!(here(&offered), expected);
    let names = |offered: &Value| here(offered).iter().map(|o| o["role"]["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&Tab::of(&cluster, ALICE).await.get(&path).await.ok()), [json!("edit"), json!("view")]);
    for other in [CAROL, MALLORY] {
        assert_eq!(here(&Tab::of(&cluster, other).await.get(&path).await.ok()), Vec::<Value>::new(), "{}", other.name);
    }
    for (path, refused) in [
        ("/api/options", "BadParameter"),
        ("/api/options?namespace=A", "BadParameter"),
        ("/api/inbox?x=1", "BadParameter"),
    ] {
        assert_eq!(greta.get(path).await.refusal(), (400, refused.to_owned()), "{path}");
    }
}

async fn inbox(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("inbox").await;
    cluster.allow(&namespace, &namespace, asks_leads()).await;
    let rules = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"] }]);
    cluster.ask(ALICE, &namespace, "fix", json!({ "rules": rules })).await;
    let asked = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let here = async |user| {
        let inbox = Tab::of(&cluster, user).await.get("/api/inbox").await.ok();
        let all = inbox["requests"].as_array().unwrap().clone();
        all.into_iter().filter(|task| task["namespace"] == json!(namespace)).collect::<Vec<Value>>()
    };
    let waiting = here(CAROL).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let mut task = waiting[0].clone();
    assert!(task["until"].is_string() && task["resourceVersion"].is_string(), "{task}");
    for key in ["until", "resourceVersion"] {
        task.as_object_mut().unwrap().remove(key);
    }
    let risk = asked.status.unwrap().risk.unwrap().level;
    let expected = json!({
        "namespace": namespace, "name": "fix", "uid": asked.metadata.uid, "why": "stage leads",
        "risk": risk.as_str(), "rights": ["delete on pods a"]
    });
    assert_eq!(task, expected);
    for other in [ALICE, MALLORY] {
        assert_eq!(here(other).await, Vec::<Value>::new(), "{}", other.name);
    }
}

/// Nobody may list policies or requests but where a binding says so.
async fn unread(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("unread").await;
    cluster.allow(&namespace, &namespace, asks_leads()).await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "clusterrolebinding", "everybody-may-ask", "approvers-may-review"]).await;
    let mallory = Tab::of(&cluster, MALLORY).await;
    let draft = request(&namespace, "x", json!({}));
    let foreseen = mallory.post("/api/foresee", &draft).await.ok();
    assert_eq!((&foreseen["outcome"], &foreseen["sure"]), (&json!("Unknown"), &json!(false)), "{foreseen}");
    let inbox = mallory.get("/api/inbox").await.ok();
    let options = mallory.get(&format!("/api/options?namespace={namespace}")).await.ok();
    assert_eq!((&inbox["requests"], &options["options"]), (&json!([]), &json!([])));
    for (answer, right) in
        [(&foreseen, "list accesspolicies"), (&options, "list accesspolicies"), (&inbox, "list accessrequests")]
    {
        let gap = answer["gaps"][0].as_str().unwrap_or_default();
        assert!(gap.contains(right), "{answer}");
    }
    let lint = mallory.get("/api/lint").await.ok();
    assert_eq!(lint["findings"], json!([]));
    assert!(lint["gaps"][0].as_str().is_some_and(|gap| gap.contains("list accesspolicies")), "{lint}");
    let body = json!({ "person": { "username": "alice", "groups": ["dev"] }, "draft": draft });
    let explained = mallory.post("/api/explain", &body).await.ok();
    assert_eq!((&explained["outcome"], &explained["policies"]), (&json!("Unknown"), &json!([])), "{explained}");
    assert_eq!(explained["gaps"], foreseen["gaps"]);
    let forbidden = mallory.get(&requests(&namespace)).await;
    assert_eq!((forbidden.status, &forbidden.json()["kind"]), (403, &json!("Status")), "as the API server says it");
    let health = mallory.get("/api/health").await.ok();
    let unknown = |finding: &&Value| finding["level"] == "unknown";
    assert!(health["findings"].as_array().unwrap().iter().filter(unknown).count() > 3, "{health}");
}

async fn health(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("health").await;
    let wide = json!({ "scope": { "namespaces": [namespace] }, "duration": { "max": "100h" } });
    cluster.allow(&namespace, &namespace, wide).await;
    let greta = Tab::of(&cluster, GRETA).await;
    let findings = greta.get("/api/health").await.ok()["findings"].as_array().unwrap().clone();
    let identity = findings.iter().find(|finding| finding["subject"] == "identity").unwrap();
    assert_eq!(identity["level"], "ok", "{identity}");
    as_the_doctor_says(&cluster, &findings).await;
    let lint = greta.get("/api/lint").await.ok();
    assert_eq!(lint["gaps"], json!([]));
    let lint = lint["findings"].as_array().unwrap().clone();
    let of_it: Vec<&Value> = lint.iter().filter(|finding| finding["policy"] == json!(namespace)).collect();
    let message = |finding: &&Value| finding["message"].as_str().unwrap().starts_with("spec.duration.max: ");
    assert!(of_it.iter().any(message) && of_it.iter().all(|finding| finding["severity"] == "warning"), "{lint:?}");
}

/// Each finding of the doctor is there, in the same order and as bad, with its sentence and its way out, and no other. Other
/// trials ask in this cluster meanwhile, so what counts requests and what is bound is not compared by its figures.
async fn as_the_doctor_says(cluster: &Cluster, findings: &[Value]) {
    let (_, out, _) = Plugin::of(cluster, GRETA).run(&["doctor", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&out).expect("a report");
    let moves = |check: &str| ["archive", "policy", "request", "binding", "setup"].contains(&check);
    let of_doctor = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let level = if text("level") == "error" { "problem".to_owned() } else { text("level") };
        let subject = [text("check"), text("object")].join(" ").trim_end().to_owned();
        (!moves(&text("check"))).then(|| [level, subject, text("message"), text("fix")])
    };
    let of_page = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let subject = text("subject");
        let check = subject.split(' ').next().unwrap_or_default();
        (!moves(check)).then(|| ["level", "subject", "message", "wayOut"].map(text))
    };
    let told: Vec<[String; 4]> =
        report["findings"].as_array().expect("findings").iter().filter_map(of_doctor).collect();
    for about in ["kubernetes", "controller", "versions", "guard status-guard", "stamp", "leader", "own-rights"] {
        assert!(
            told.iter().any(|[_, subject, ..]| subject.starts_with(about)),
            "the doctor looks at no {about}: {told:?}"
        );
    }
    let shown: Vec<[String; 4]> = findings.iter().filter_map(of_page).collect();
    assert_eq!(shown, told);
    for about in ["archive", "policy", "request", "binding"] {
        let is_told = |finding: &&Value| finding["subject"].as_str().is_some_and(|subject| subject.starts_with(about));
        assert!(findings.iter().any(|finding| is_told(&finding)), "{about} is left out: {findings:?}");
    }
}

/// alice asks and carol approves, each on their own page; the access is alice's.
async fn story(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("story").await;
    cluster.allow(&namespace, &namespace, asks_leads()).await;
    let (alice, carol) = (Tab::of(&cluster, ALICE).await, Tab::of(&cluster, CAROL).await);
    let draft = request(&namespace, "fix", json!({}));
    let tried = alice.post(&format!("{}?dryRun=All", requests(&namespace)), &draft).await;
    assert_eq!((tried.status, &tried.json()["spec"]["requester"]["username"]), (201, &json!("alice")), "{tried:?}");
    assert_eq!(alice.get(&format!("{}/fix", requests(&namespace))).await.status, 404, "it was only tried");
    assert_eq!(alice.post(&requests(&namespace), &draft).await.status, 201);
    let seen = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let metadata = json!({ "uid": seen.metadata.uid, "resourceVersion": seen.metadata.resource_version });
    let review = json!({ "carol": { "verdict": "Approve", "comment": "go" } });
    let patch = json!({ "metadata": metadata, "status": { "reviews": review } });
    let reviewed = carol.review(&namespace, "fix", &patch).await.ok();
    let written = &reviewed["status"]["reviews"]["carol"];
    assert_eq!(
        (&written["verdict"], &written["comment"], &written["uid"]),
        (&json!("Approve"), &json!("go"), &json!("u-carol"))
    );
    let active = cluster.until(&namespace, "fix", daypass::api::State::Active).await;
    assert_eq!(active.spec.requester.unwrap().username, "alice");
}
