//! Plays the cases of an example's PolicyTest on a real API server: the policies applied as from Git, each request by
//! the user who is meant, each review under the reviewer's own name; then what the controller says must be what the
//! case expects.
//!
//! A case with `at` speaks of another moment than now and is for `kubectl daypass policy test` alone, which runs here
//! as well. Every example has a case without.

use std::collections::BTreeSet;
use std::path::Path;

use daypass::api::conditions::{APPROVED, find};
use daypass::api::{AccessRequest, AccessRequestStatus, State};
use daypass::core::model::duration;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{FIELDS, TESTS, documents, of_kind};
use crate::harness::cast::SOON;
use crate::harness::users::{self, ADMIN, GITOPS, User};
use crate::harness::{Cluster, binaries, eventually};

/// An example, and the cases that say what comes of it.
struct Example<'w> {
    cluster: &'w Cluster,
    name: String,
    documents: Vec<Value>,
    test: Value,
}

pub async fn play(cluster: &Cluster, name: &str) {
    let (file, test) = (format!("{FIELDS}/{name}.yaml"), format!("{TESTS}/{name}.yaml"));
    holds_offline(&file, &test).await;
    let example =
        Example { cluster, name: name.to_owned(), documents: documents(&file), test: documents(&test).remove(0) };
    example.set_the_scene().await;
    let cases = example.test["cases"].as_array().expect("cases");
    let now: Vec<&Value> = cases.iter().filter(|case| case["at"].is_null()).collect();
    assert!(!now.is_empty(), "{test}: no case is about now. Way out: add one without `at`");
    example.every_request_is_played(cases);
    for case in now {
        example.play(case).await;
    }
    for policy in of_kind(&example.documents, "AccessPolicy") {
        cluster.kubectl(GITOPS).delete(&policy.to_string()).await;
    }
}

/// The same cases, decided without a cluster.
async fn holds_offline(file: &str, test: &str) {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_kubectl-daypass")));
    command.args(["policy", "test", file, test]).current_dir(binaries::repository());
    let output = command.output().await.expect("run the plugin");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && printed.contains(" passed, 0 failed"), "{printed}");
}

impl Example<'_> {
    /// Namespaces, the right to review in them, and the policies, ready.
    async fn set_the_scene(&self) {
        let admin = self.cluster.kubectl(ADMIN);
        for namespace in self.test["namespaces"].as_array().expect("namespaces") {
            let name = &namespace["name"];
            let metadata = json!({ "name": name, "labels": namespace["labels"] });
            admin.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }).to_string()).await;
            let group = "rbac.authorization.k8s.io";
            let binding = json!({
                "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
                "metadata": { "name": "everybody-may-review", "namespace": name },
                "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "daypass-approver" },
                "subjects": [{ "apiGroup": group, "kind": "Group", "name": "system:authenticated" }]
            });
            admin.apply(&binding.to_string()).await;
        }
        let gitops = self.cluster.kubectl(GITOPS);
        for policy in of_kind(&self.documents, "AccessPolicy") {
            // Who syncs from Git does not administer Daypass, and may not let a policy reach so far.
            let author = if policy["spec"]["scope"]["systemNamespaces"] == true { &admin } else { &gitops };
            author.apply(&policy.to_string()).await;
            let name = policy["metadata"]["name"].as_str().expect("a name");
            gitops.ok(&["wait", "--for=condition=Ready", "--timeout=30s", "apol", name]).await;
        }
    }

    fn every_request_is_played(&self, cases: &[Value]) {
        let earlier = cases.iter().flat_map(|case| case["before"].as_array().into_iter().flatten());
        let named: BTreeSet<&str> = cases.iter().chain(earlier).filter_map(|one| one["request"].as_str()).collect();
        for request in of_kind(&self.documents, "AccessRequest") {
            let (namespace, name) = place(request);
            let place = format!("{namespace}/{name}");
            assert!(named.contains(place.as_str()), "{}: no case says what comes of {place}", self.name);
        }
    }

    async fn play(&self, case: &Value) {
        let mut made = Vec::new();
        for earlier in case["before"].as_array().into_iter().flatten() {
            let request = self.ask(earlier).await;
            let over = earlier["over"].as_bool().unwrap_or_default();
            self.until(case, &request, |status| {
                let waits = status.state == State::Pending && status.stage.is_some();
                let stands = if over { status.state == State::Expired } else { waits || status.state == State::Active };
                if stands { Ok(()) } else { Err("it does not stand as it should before the case".to_owned()) }
            })
            .await;
            made.push(request);
        }
        let request = self.ask(case).await;
        let who = request.who;
        let escalated: Vec<&str> =
            case["escalated"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.until(case, &request, |status| {
            if escalated.iter().all(|stage| status.escalated.iter().any(|name| name == stage)) {
                Ok(())
            } else {
                Err(format!("{} still waits for {escalated:?} to escalate", who.name))
            }
        })
        .await;
        let reviews = case["reviews"].as_object().into_iter().flatten();
        let reviewers: Vec<&String> = reviews.clone().map(|(who, _)| who).collect();
        for (who, review) in reviews {
            let (verdict, comment) = (review["verdict"].as_str(), review["comment"].as_str());
            let who = user(who, &review["groups"]);
            let verdict = verdict.expect("a verdict");
            self.cluster.review(who, &request.namespace, &request.name, verdict, comment.unwrap_or_default()).await;
        }
        self.until(case, &request, |status| {
            let heard = |who: &&String| status.history.iter().any(|entry| entry.by.as_ref() == Some(*who));
            if let Some(who) = reviewers.iter().find(|who| !heard(who)) {
                return Err(format!("what {who} said is not on record"));
            }
            let differences = differences(&case["expect"], status);
            if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
        })
        .await;
        made.push(request);
        self.clear(&made).await;
    }

    /// Creates the request of a case as it stands in the file, by who is meant.
    async fn ask(&self, case: &Value) -> Made {
        let name = case["request"].as_str().unwrap_or_else(|| {
            panic!("{}: a case names its request as NAMESPACE/NAME, so that people can create it", self.name)
        });
        let is_it = |request: &&Value| {
            let (namespace, of_it) = place(request);
            format!("{namespace}/{of_it}") == name
        };
        let found = of_kind(&self.documents, "AccessRequest").find(is_it);
        let request = found.unwrap_or_else(|| panic!("{}: there is no request {name}", self.name));
        let who = &case["requester"];
        let who = user(who["username"].as_str().unwrap_or_default(), &who["groups"]);
        let args = ["create", "-o", "jsonpath={.metadata.name}", "-f", "-"];
        let created = self.cluster.kubectl(who).run_with(&args, &request.to_string()).await;
        assert!(created.ok, "{}: {name}: {}", self.name, created.stderr);
        Made { namespace: place(request).0.to_owned(), name: created.stdout, who }
    }

    async fn until(&self, case: &Value, request: &Made, check: impl Fn(&AccessRequestStatus) -> Result<(), String>) {
        let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
        let requests = self.cluster.requests(namespace).await;
        let what = format!("example {}, case {}, request {namespace}/{name}", self.name, case["name"]);
        eventually(&what, SOON, async || {
            let request: AccessRequest = requests.get(name).await.map_err(|error| error.to_string())?;
            let status = request.status.unwrap_or_default();
            check(&status).map_err(|why| format!("{why}; it is {:?}: {:?}", status.state, status.message))
        })
        .await;
    }

    /// Cases know nothing of each other.
    async fn clear(&self, made: &[Made]) {
        let admin = self.cluster.kubectl(ADMIN);
        for request in made {
            admin.ok(&["delete", "areq", &request.name, "-n", &request.namespace, "--timeout=30s"]).await;
        }
        for namespace in self.test["namespaces"].as_array().into_iter().flatten() {
            self.cluster.until_unbound(namespace["name"].as_str().expect("a name")).await;
        }
    }
}

/// A request that was created, under the name that it has there.
struct Made {
    namespace: String,
    name: String,
    who: User,
}

/// Namespace and name of a request in a file, as a case writes them: of a name that the API server completes, the part that
/// stands there.
fn place(request: &Value) -> (&str, &str) {
    let metadata = &request["metadata"];
    let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str());
    let name = name.expect("a name").trim_end_matches('-');
    (metadata["namespace"].as_str().expect("a namespace"), name)
}

/// The user whom a case means, who must be in the groups that it says.
fn user(name: &str, groups: &Value) -> User {
    let user = users::ALL.into_iter().find(|user| user.name == name);
    let user = user.unwrap_or_else(|| panic!("{name} is not in the cast of e2e/harness/users.rs"));
    assert_eq!(json!(user.groups), *groups, "the groups of {name}");
    user
}

/// In what a request stands otherwise than a case expects.
fn differences(expect: &Value, status: &AccessRequestStatus) -> Vec<String> {
    let mut found = Vec::new();
    for (what, wanted) in expect.as_object().expect("what a case expects") {
        let text = wanted.as_str().unwrap_or_default();
        let same = match what.as_str() {
            "outcome" => states(text).contains(&status.state),
            "policy" => status.policy.as_ref().is_some_and(|policy| policy.name == text),
            "stage" => status.stage.as_ref().is_some_and(|stage| stage.name == text),
            "approvers" => approvers(status) == names(wanted),
            "message" => words(status).contains(text),
            "duration" => length(status) == duration::parse(text).ok().map(duration::format),
            "namespaces" => {
                status.bindings.iter().filter_map(|b| b.namespace.clone()).collect::<BTreeSet<_>>() == names(wanted)
            }
            other => panic!("what the API server shows of `{other}` is not known here: write it into {}", file!()),
        };
        if !same {
            found.push(format!("{what} should be {wanted}"));
        }
    }
    found
}

/// The states that a request can be in when its outcome is so.
fn states(outcome: &str) -> &'static [State] {
    match outcome {
        "Granted" => &[State::Active, State::Scheduled, State::Extended],
        "Waiting" | "Undecided" => &[State::Pending],
        "Denied" => &[State::Denied],
        "Lapsed" => &[State::Lapsed],
        "Over" => &[State::Expired, State::Revoked],
        other => panic!("there is no outcome {other}"),
    }
}

/// Names of a list, of subjects without their kind.
fn names(list: &Value) -> BTreeSet<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// Whom a request waits for.
fn approvers(status: &AccessRequestStatus) -> BTreeSet<String> {
    status.stage.iter().flat_map(|stage| &stage.approvers).map(|subject| subject.name.clone()).collect()
}

/// What a request says of itself and of its approval.
fn words(status: &AccessRequestStatus) -> String {
    let approval = find(&status.conditions, APPROVED).map(|condition| condition.message.as_str());
    [status.message.as_deref(), approval].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn length(status: &AccessRequestStatus) -> Option<String> {
    let (from, to) = (status.granted_at.as_ref()?, status.expires_at.as_ref()?);
    Some(duration::format(to.0.duration_since(from.0)))
}
