//! Bad manifests are refused by the API server itself, with a message that names the field and the rule; and
//! `kubectl explain` and `kubectl get` tell people what they need.

use std::sync::Arc;

use daypass::api::State;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{policy, request};
use crate::harness::users::{ADMIN, ALICE, EVE, GITOPS};
use crate::harness::{Cluster, binaries, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("admission::bad_requests_are_refused_by_field_and_rule", bad_requests),
        shared("admission::bad_policies_are_refused_by_field_and_rule", bad_policies),
        shared("admission::apply_makes_a_request_and_says_what_to_do_with_a_changed_one", apply),
        shared("admission::every_example_is_accepted", every_example_is_accepted),
        shared("admission::every_field_is_explained", every_field_is_explained),
        shared("admission::columns_say_what_happens_and_until_when", columns),
    ]
}

/// What is wrong, the spec laid over a good one, the field that the refusal must name, and words of its rule.
type Case = (&'static str, Value, &'static str, &'static str);

async fn bad_requests(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("bad").await;
    let long = "x".repeat(1100);
    let many: Vec<String> = (0..65).map(|n| format!("ns-{n}")).collect();
    let length = "must be hours, minutes and seconds between 1s and 720h, for example 30m or 1h30m";
    let cases: Vec<Case> = vec![
        (
            "break-glass that begins later",
            json!({ "breakGlass": true, "startTime": "2027-01-01T00:00:00Z" }),
            "spec",
            "break-glass access begins at once: leave startTime out",
        ),
        (
            "break-glass that extends",
            json!({ "breakGlass": true, "extends": "other" }),
            "spec",
            "break-glass access is not extended",
        ),
        (
            "an extension elsewhere",
            json!({ "extends": "other", "scope": { "namespaces": ["elsewhere"] } }),
            "spec",
            "an extension holds where the running grant does: leave scope out",
        ),
        ("negative duration", json!({ "duration": "-1h" }), "spec.duration", length),
        ("words for a duration", json!({ "duration": "1 hour" }), "spec.duration", length),
        ("days", json!({ "duration": "1d" }), "spec.duration", length),
        ("no time at all", json!({ "duration": "0s" }), "spec.duration", length),
        ("over the maximum", json!({ "duration": "721h" }), "spec.duration", length),
        (
            "overflow",
            json!({ "duration": "100000000000000000000h" }),
            "spec.duration",
            "longer than 32|32 bytes|must be hours",
        ),
        ("a number", json!({ "duration": 60 }), "spec.duration", "must be of type string"),
        ("null", json!({ "duration": json!(null), "reason": json!(null) }), "spec.reason", "Required value"),
        ("no role", json!({ "role": json!(null) }), "spec.role", "Required value"),
        (
            "unknown kind of role",
            json!({ "role": { "kind": "Group", "name": "x" } }),
            "spec.role.kind",
            r#"supported values: "ClusterRole", "Role""#,
        ),
        (
            "role by wildcard",
            json!({ "role": { "name": "*" } }),
            "spec.role.name",
            "must be the exact name of a role: no wildcards",
        ),
        (
            "role with a path",
            json!({ "role": { "name": "a/b" } }),
            "spec.role.name",
            "must be the exact name of a role",
        ),
        ("empty reason", json!({ "reason": "" }), "spec.reason", "must say why access is needed"),
        ("blank reason", json!({ "reason": "   " }), "spec.reason", "must say why access is needed"),
        ("endless reason", json!({ "reason": long }), "spec.reason", "may not be more than 1024 bytes|Too long"),
        (
            "a Role for the cluster",
            json!({ "role": { "kind": "Role", "name": "x" }, "scope": { "cluster": true } }),
            "spec",
            "ask for a ClusterRole, or for namespaces",
        ),
        (
            "two scopes",
            json!({ "scope": { "namespaces": ["a"], "cluster": true } }),
            "spec.scope",
            "give one of namespaces, namespaceSelector and cluster",
        ),
        (
            "namespace by glob",
            json!({ "scope": { "namespaces": ["team-*"] } }),
            "spec.scope.namespaces[0]",
            "to ask for namespaces by label use namespaceSelector",
        ),
        (
            "no namespaces",
            json!({ "scope": { "namespaces": [] } }),
            "spec.scope.namespaces",
            "should have at least 1 items",
        ),
        (
            "namespaces twice",
            json!({ "scope": { "namespaces": ["a", "a"] } }),
            "spec.scope.namespaces[1]",
            "Duplicate value",
        ),
        (
            "too many namespaces",
            json!({ "scope": { "namespaces": many } }),
            "spec.scope.namespaces",
            "must have at most 64 items",
        ),
        (
            "selector without values",
            json!({ "scope": { "namespaceSelector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } } }),
            "spec.scope.namespaceSelector.matchExpressions[0]",
            "In and NotIn need values",
        ),
        (
            "unknown operator",
            json!({ "scope": { "namespaceSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } } }),
            "operator",
            "supported values",
        ),
        ("start without a zone", json!({ "startTime": "2030-01-01 10:00" }), "spec.startTime", "date-time"),
        ("ticket with spaces", json!({ "ticket": "see mail" }), "spec.ticket", "without spaces"),
        ("policy by a wrong name", json!({ "policy": "My Policy" }), "spec.policy", "must be the name of an object"),
        ("a rule for nothing", json!({ "rules": [{ "verbs": ["get"] }] }), "spec.rules[0]", "give one of the two"),
        (
            "an extension with a start",
            json!({ "extends": "a", "startTime": "2030-01-01T00:00:00Z" }),
            "spec",
            "leave startTime out",
        ),
    ];
    let alice = cluster.kubectl(ALICE);
    for (what, spec, field, rule) in cases {
        refused(
            &alice.apply_refused(&with_nulls(request(&namespace, "bad", json!({})), spec)).await,
            what,
            field,
            rule,
        );
    }
    let unknown = alice.apply_refused(&request(&namespace, "bad", json!({ "durration": "1h" })).to_string()).await;
    refused(&unknown, "a misspelled field", "spec.durration", "unknown field");
    let name = "n".repeat(201);
    refused(
        &alice.apply_refused(&request(&namespace, &name, json!({})).to_string()).await,
        "a name too long for Events",
        "metadata.name",
        "at most 200",
    );
}

async fn bad_policies(cluster: Arc<Cluster>) {
    let stage = |over: Value| {
        let mut stage = json!({ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] });
        over.as_object().unwrap().iter().for_each(|(k, v)| stage[k] = v.clone());
        json!({ "approval": { "stages": [stage] } })
    };
    let cases: Vec<Case> = vec![
        ("nobody may ask", json!({ "requesters": [] }), "spec", "must name its requesters"),
        ("no roles", json!({ "roles": [] }), "spec", "must list its roles"),
        ("no scope", json!({ "scope": {} }), "spec.scope", "give at least one of namespaces"),
        ("no bound on time", json!({ "duration": json!(null) }), "spec", "must set duration.max"),
        (
            "default over max",
            json!({ "duration": { "default": "2h", "max": "1h" } }),
            "spec.duration",
            "default must not be longer than max",
        ),
        ("an unknown effect", json!({ "effect": "Maybe" }), "spec.effect", r#"supported values: "Allow", "Deny""#),
        ("a Deny with a duration", json!({ "effect": "Deny" }), "spec", "takes no duration"),
        ("a wildcard role", json!({ "roles": [{ "name": "*" }] }), "spec.roles[0].name", "no wildcards"),
        (
            "a Role for the cluster",
            json!({ "roles": [{ "kind": "Role", "name": "x" }], "scope": { "cluster": true } }),
            "spec",
            "only a ClusterRole",
        ),
        (
            "a group in a namespace",
            json!({ "requesters": [{ "kind": "Group", "name": "dev", "namespace": "a" }] }),
            "spec.requesters[0]",
            "remove it for a User or Group",
        ),
        (
            "a homeless service account",
            json!({ "requesters": [{ "kind": "ServiceAccount", "name": "bot" }] }),
            "spec.requesters[0]",
            "add namespace for a ServiceAccount",
        ),
        (
            "a bad glob",
            json!({ "scope": { "namespaces": ["Team_?"] } }),
            "spec.scope.namespaces[0]",
            "for example team-*",
        ),
        (
            "nobody approves",
            stage(json!({ "approvers": [] })),
            "spec.approval.stages[0].approvers",
            "should have at least 1 items",
        ),
        (
            "zero approvals",
            stage(json!({ "required": 0 })),
            "spec.approval.stages[0].required",
            "greater than or equal to 1",
        ),
        (
            "escalation to nobody",
            stage(json!({ "escalateAfter": "1h" })),
            "spec.approval.stages[0]",
            "give both or none",
        ),
        ("a wait for nobody", json!({ "approval": { "deadline": "1h" } }), "spec.approval", "add stages, or remove it"),
        (
            "a time of day that is none",
            json!({ "schedule": { "timeZone": "Europe/Berlin", "windows": [{ "days": ["Mon"], "start": "9", "end": "17:00" }] } }),
            "spec.schedule.windows[0].start",
            "as HH:MM",
        ),
        (
            "an exemption from what is allowed",
            json!({ "onBreakGlass": "Exempt" }),
            "spec",
            "onBreakGlass says what a policy",
        ),
        ("a word for emergencies that is none", json!({ "onBreakGlass": "Allow" }), "spec.onBreakGlass", "Exempt"),
        (
            "an endless description",
            json!({ "description": "x".repeat(1025) }),
            "spec.description",
            "may not be more than 1024 bytes|Too long",
        ),
        (
            "a condition that says nothing",
            json!({ "conditions": [{ "expression": "", "message": "no" }] }),
            "spec.conditions[0].expression",
            "should be at least 1 chars long",
        ),
        (
            "a limit of nothing",
            json!({ "limits": { "liveGrants": 0 } }),
            "spec.limits.liveGrants",
            "greater than or equal to 1",
        ),
        (
            "an emergency that nobody reviews",
            json!({ "breakGlass": { "reviewers": [], "reviewWithin": "1h" } }),
            "spec.breakGlass.reviewers",
            "should have at least 1 items",
        ),
        (
            "a year of weeks",
            json!({ "recurrence": { "weeks": 53 } }),
            "spec.recurrence.weeks",
            "less than or equal to 48",
        ),
        (
            "a word for a changed role that is none",
            json!({ "onRoleChange": "Ignore" }),
            "spec.onRoleChange",
            r#"supported values: "Warn", "Suspend""#,
        ),
        (
            "a time without use that is too long",
            json!({ "idleTimeout": "721h" }),
            "spec.idleTimeout",
            "between 1s and 720h",
        ),
        (
            "a word for whether the archive comes first",
            json!({ "requireRecord": "yes" }),
            "spec.requireRecord",
            "must be of type boolean",
        ),
        (
            "an extension that can never be had",
            json!({ "extension": { "max": "1h", "count": 0 } }),
            "spec.extension.count",
            "greater than or equal to 1",
        ),
    ];
    let gitops = cluster.kubectl(GITOPS);
    for (what, spec, field, rule) in cases {
        let bad = with_nulls(policy("bad", "default"), spec);
        refused(&gitops.apply_refused(&bad).await, what, field, rule);
        refused_offline(&bad, what, field).await;
    }
}

/// With the role for requesters alone, on the client's side and on the server's.
async fn apply(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("apply").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let what_to_do = "what a request asks for cannot be changed: make a new request, under another name";
    for side in ["client", "server"] {
        let flag = format!("--server-side={}", side == "server");
        let args = ["apply", &flag, "-f", "-"];
        let alice = cluster.kubectl(ALICE);
        let mut fix = request(&namespace, side, json!({ "duration": "30m" }));
        let made = alice.run_with(&args, &fix.to_string()).await;
        assert!(
            made.ok && made.stdout.contains("created") | made.stdout.contains("serverside-applied"),
            "{}",
            made.stderr
        );
        let granted = cluster.until(&namespace, side, State::Active).await;
        assert_eq!(granted.spec.requester.as_ref().unwrap().username, "alice");
        let again = alice.run_with(&args, &fix.to_string()).await;
        assert!(again.ok, "{}", again.stderr);
        // A request is its requester's own: a tool may put its marks on it.
        fix["metadata"]["labels"] = json!({ "team": "shop" });
        let labelled = alice.run_with(&args, &fix.to_string()).await;
        assert!(labelled.ok, "{}", labelled.stderr);
        for spec in [json!({ "duration": "1h" }), json!({ "role": { "name": "view" } }), json!({ "ticket": "T-1" })] {
            let changed = with_nulls(fix.clone(), spec);
            let refused = alice.run_with(&args, &changed).await;
            assert!(!refused.ok && refused.stderr.contains(what_to_do), "{side}: {}", refused.stderr);
            assert!(!refused.stderr.contains("cannot patch"), "{}", refused.stderr);
        }
        let stored = cluster.until(&namespace, side, State::Active).await;
        assert_eq!((stored.uid(), &stored.spec), (granted.uid(), &granted.spec));
        assert_eq!(stored.labels()["team"], "shop");
        // Somebody who finds the manifest has not made the request, and learns whose it is.
        fix["metadata"]["labels"] = json!({ "team": "bank" });
        let refused = cluster
            .kubectl(EVE)
            .run_with(&[&args[..], &["--force-conflicts"][..usize::from(side == "server")]].concat(), &fix.to_string())
            .await;
        assert!(
            !refused.ok && refused.stderr.contains("only the requester, \"alice\", may change metadata."),
            "{}",
            refused.stderr
        );
    }
}

/// Lays fields over the spec. Null stays null: what a template with an empty value would send.
fn with_nulls(mut object: Value, over: Value) -> String {
    over.as_object().unwrap().iter().for_each(|(key, value)| object["spec"][key] = value.clone());
    object.to_string()
}

/// `rule` may be several texts with `|` between them, of which one must be there.
fn refused(refusal: &str, what: &str, field: &str, rule: &str) {
    let named = refusal.contains(field);
    let explained = rule.split('|').any(|text| refusal.contains(text) || refusal.contains(&text.replace('"', "\\\"")));
    assert!(named && explained, "{what} should be refused with {field:?} and {rule:?}, but: {refusal}");
}

/// `kubectl daypass policy lint` refuses the same file at the same field, without a cluster.
async fn refused_offline(bad: &str, what: &str, field: &str) {
    let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a file");
    std::fs::write(file.path(), bad).expect("write the policy");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kubectl-daypass"));
    let output = command.args(["policy", "lint"]).arg(file.path()).output().await.expect("run the plugin");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.code() == Some(2) && printed.contains(&format!(" {field}: ")), "{what}, {field}: {printed}");
}

async fn every_example_is_accepted(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    for namespace in ["shop", "payments"] {
        admin.apply_namespace(namespace).await;
    }
    let examples = binaries::repository().join("examples");
    // A PolicyTest is for `kubectl daypass policy test`, and no kind of the cluster's.
    let entries = std::fs::read_dir(&examples).expect("list the examples").map(|entry| entry.expect("an entry").path());
    let folders = entries.filter(|entry| entry.is_dir());
    // These are applied, and more, by trials of their own; `record`, `notice` and `witness` have nothing to apply.
    let elsewhere = [
        "fields", "gitops", "audit", "ci", "evidence", "login", "page", "people", "pictures", "record", "notice",
        "witness",
    ];
    let folders = folders.filter(|folder| !elsewhere.iter().any(|name| folder.ends_with(name)));
    let (tests, manifests): (Vec<_>, Vec<_>) = folders.partition(|folder| folder.ends_with("tests"));
    for file in tests.iter().flat_map(|folder| std::fs::read_dir(folder).expect("list the tests")) {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("read a test");
        let kinds: Vec<&str> = text.lines().filter(|line| line.starts_with("kind:")).collect();
        assert_eq!(kinds, ["kind: PolicyTest"], "the folder is for PolicyTests only");
    }
    let inside = manifests.iter().flat_map(|folder| std::fs::read_dir(folder).expect("list a folder"));
    let files: Vec<String> = inside.map(|file| file.expect("a file").path().display().to_string()).collect();
    assert!(files.len() >= 8, "{files:?}");
    for file in &files {
        // A request that the API server names is created: each time a new one.
        let named = !std::fs::read_to_string(file).expect("read a manifest").contains("generateName:");
        let verb = if named { "apply" } else { "create" };
        let done = admin.ok(&[verb, "--dry-run=server", "--validate=strict", "-f", file]).await;
        assert!(done.contains("(server dry run)"), "{file}: {done}");
    }
}

async fn every_field_is_explained(cluster: Arc<Cluster>) {
    let alice = cluster.kubectl(ALICE);
    for kind in ["areq", "apol"] {
        let tree = alice.ok(&["explain", kind, "--recursive"]).await;
        let top = alice.ok(&["explain", &format!("{kind}.spec")]).await;
        assert!(tree.contains("spec") && !top.contains("<no description>"), "{top}");
    }
    for (field, words) in [
        ("areq.spec.duration", "1h30m"),
        ("areq.status.reviews", "kubectl patch --subresource=status"),
        ("apol.spec.approval.stages", "the requester never counts"),
        ("apol.spec.scope.namespaces", "team-*"),
    ] {
        let text = alice.ok(&["explain", field]).await;
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{field}: {text}");
    }
}

async fn columns(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("columns").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let until = granted.status.unwrap().expires_at.unwrap().0.to_string();
    let alice = cluster.kubectl(ALICE);
    let table = alice.ok(&["get", "areq", "-n", &namespace]).await;
    let (head, row) = table.split_once('\n').unwrap();
    let columns = ["NAME", "REQUESTER", "ROLE", "ONLY", "STATE", "UNTIL", "AGE"];
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), columns);
    assert_eq!(row.split_whitespace().take(5).collect::<Vec<_>>(), ["fix", "alice", "edit", "Active", &until]);
    // Not `edit` alone: what was asked for is much less, also while it waits and after it was denied.
    let restart =
        json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    cluster.ask(ALICE, &namespace, "restart", json!({ "rules": restart })).await;
    cluster.until(&namespace, "restart", State::Active).await;
    cluster.ask(ALICE, &namespace, "too-long", json!({ "rules": restart, "duration": "2h" })).await;
    cluster.until(&namespace, "too-long", State::Denied).await;
    for (name, state) in [("restart", "Active"), ("too-long", "Denied")] {
        let row = alice.ok(&["get", "areq", name, "-n", &namespace, "--no-headers"]).await;
        let words: Vec<&str> = row.split_whitespace().take(8).collect();
        assert_eq!(words, [name, "alice", "edit", "delete", "on", "pods", "web-0", state]);
    }
    alice.ok(&["wait", "--for=condition=Ready", "apol", &namespace, "--timeout=30s"]).await;
    let policies = alice.ok(&["get", "apol", &namespace, "--no-headers"]).await;
    assert_eq!(
        policies.split_whitespace().take(5).collect::<Vec<_>>(),
        [namespace.as_str(), "Allow", "edit", "1h", "True"]
    );
    assert!(alice.ok(&["get", "daypass", "-n", &namespace]).await.contains("fix"), "the category holds both kinds");
}
