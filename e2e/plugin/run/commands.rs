//! What real commands ask for: enough for them, and nothing that they do not use.
//!
//! `table.txt` has what each asked for. Somebody else gets exactly that by ordinary roles and runs the same command without
//! `run`: none of its calls is refused; and for each single right that is taken away, one is. What ends in a pod ends where the
//! API server turns to a kubelet that is not there.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::request::{AccessRequest, NarrowRule};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::ground::{Ground, SLOW};
use super::hold::{SCRIPT, line, nothing_is_left, run_as};
use crate::harness::cast::{self, SOON};
use crate::harness::plugin::{PROGRAM, Plugin};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ALICE, EVE, MALLORY, User};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, ControlPlane, alone, binaries};

pub fn trials() -> Vec<Trial> {
    vec![
        alone("plugin::run::commands::that_look_ask_for_what_they_use", AUDIT_POLICY, |c| rows(c, "looks", &LOOKS)),
        alone("plugin::run::commands::that_change_ask_for_what_they_use", AUDIT_POLICY, |c| {
            rows(c, "changes", &CHANGES)
        }),
        alone("plugin::run::commands::in_pods_ask_for_what_they_use", AUDIT_POLICY, |c| rows(c, "pods", &IN_PODS)),
        alone("plugin::run::commands::of_more_ask_for_what_they_use", AUDIT_POLICY, |c| rows(c, "more", &MORE)),
    ]
}

/// A command, and the call, by verb and resource, after which it goes on until it is interrupted.
struct Row(&'static str, Option<(&'static str, &'static str)>);

const LOOKS: [Row; 7] = [
    Row("kubectl get pods", None),
    Row("kubectl get pod web-0 -w", Some(("watch", "pods"))),
    Row("kubectl describe pod web-0", None),
    Row("kubectl describe deployment web", None),
    Row("kubectl top pods", None),
    Row("kubectl auth can-i delete pods", None),
    Row("kubectl-daypass who", None),
];
const CHANGES: [Row; 9] = [
    Row("kubectl delete configmap app", None),
    Row("kubectl delete pod slow --timeout=5s", None),
    Row("kubectl edit configmap app", None),
    Row("kubectl apply -f FOLDER/app.yaml", None),
    Row("kubectl patch configmap app -p {\"data\":{\"x\":\"y\"}}", None),
    Row("kubectl label configmap app x=y --overwrite", None),
    Row("kubectl scale deployment web --replicas=2", None),
    Row("kubectl rollout restart deployment web", None),
    Row("kubectl create job once --from=cronjob/nightly", None),
];
const IN_PODS: [Row; 5] = [
    Row("kubectl exec web-0 -- ls", None),
    Row("kubectl logs -f web-0", Some(("get", "pods/log"))),
    Row("kubectl port-forward web-0 :80", None),
    Row("kubectl cp FOLDER/app.yaml web-0:/tmp/app.yaml", None),
    Row("kubectl debug web-0 --image=busybox -c trial", None),
];
const MORE: [Row; 4] = [
    Row("client-go -l app=shop", None),
    Row("helm upgrade shop FOLDER/chart --set a=c", None),
    Row("helm install other FOLDER/chart --set name=of-the-other", None),
    Row("kubectl drain n1 --force --ignore-daemonsets --grace-period=0", None),
];

/// No command takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const TABLE: &str = "e2e/plugin/run/table.txt";

/// What is given: in the namespace of the command, or in the whole cluster.
#[derive(Clone, Debug, PartialEq)]
struct AskedRule {
    in_cluster: bool,
    rule: NarrowRule,
}

async fn rows(control_plane: Arc<ControlPlane>, part: &str, rows: &[Row]) {
    let cluster = Cluster::with(control_plane, &["bindableClusterRoles={view,edit,admin,all-of-it}"]).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    let ground = Ground::prepare(&cluster).await;
    let mut table = String::new();
    for row in rows {
        let trial = RowTrial { ground: &ground, row };
        let (asked, rules) = trial.asked_for().await;
        write!(table, "{}{}\n{}", row.0, trial.times(asked), words(&rules)).unwrap();
        trial.is_enough(&rules).await;
        for right in rights(&rules) {
            trial.is_used(&rules, &right).await;
        }
    }
    let golden = std::fs::read_to_string(binaries::repository().join(TABLE)).unwrap_or_default();
    let expected = golden.split("# ").find_map(|text| text.strip_prefix(part)).unwrap_or_default();
    assert_eq!(table.trim(), expected.trim(), "{TABLE}, {part}:\n{table}");
}

/// Rules as the table has them.
fn words(rules: &[AskedRule]) -> String {
    let lines: Vec<String> = rules.iter().map(|asked| format!("    {}\n", words_of(asked))).collect();
    if lines.is_empty() { "    nothing\n".to_owned() } else { lines.concat() }
}

fn words_of(AskedRule { in_cluster, rule }: &AskedRule) -> String {
    let group = rule.api_groups.concat();
    let group = if group.is_empty() { group } else { format!(".{group}") };
    let what =
        format!("{} {}{group} {}", rule.verbs.join(","), rule.resources.join(","), rule.resource_names.join(","));
    let place = if *in_cluster { ", in the whole cluster" } else { "" };
    format!("{}{place}", what.trim())
}

/// Single rights: rules of one verb.
fn rights(rules: &[AskedRule]) -> Vec<AskedRule> {
    let one = |asked: &AskedRule, verb: &String| AskedRule {
        rule: NarrowRule { verbs: vec![verb.clone()], ..asked.rule.clone() },
        ..asked.clone()
    };
    rules.iter().flat_map(|asked| asked.rule.verbs.iter().map(move |verb| one(asked, verb))).collect()
}

/// A row, and what its command works on.
struct RowTrial<'a> {
    ground: &'a Ground<'a>,
    row: &'a Row,
}

impl RowTrial<'_> {
    /// The words of the command.
    fn command(&self) -> Vec<String> {
        let folder = self.ground.folder.path().display().to_string();
        let word = |word: &str| match word {
            "kubectl-daypass" => PROGRAM.to_owned(),
            "client-go" => binaries::client_go().display().to_string(),
            word => word.replace("FOLDER", &folder),
        };
        self.row.0.split(' ').map(word).collect()
    }

    fn plugin(&self, user: User) -> Plugin {
        run_as(self.ground.cluster, user).variable("KUBE_EDITOR", "sed -i s/before/after/")
    }

    fn calls_of(&self, user: User) -> Vec<Value> {
        self.ground.cluster.control_plane.calls_of(user.name)
    }

    /// Runs something, and has it end once it makes the call after which it goes on, or is refused; what it said.
    async fn ran(&self, args: &[&str], user: User, before: usize) -> String {
        let running = self.plugin(user).start(args);
        let ended = async {
            if let Some(call) = self.row.1 {
                self.until_called(user, before, call).await;
                running.interrupt();
            }
            running.end().await
        };
        let (code, out, err) = if args.contains(&SLOW) {
            // It watches what goes for as long as it is there.
            tokio::select! {
                ended = ended => ended,
                never = self.lets_go(user, before) => match never {},
            }
        } else {
            ended.await
        };
        format!("{args:?}: {code:?} {out}{err}")
    }

    /// Waits until somebody makes a call, by verb and resource; or, who has less than it takes, until one is refused.
    async fn until_called(&self, user: User, before: usize, (verb, resource): (&str, &str)) {
        let is_it = |call: &Value| {
            let part = call["objectRef"]["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
            let called = format!("{}{part}", call["objectRef"]["resource"].as_str().unwrap_or_default());
            call["verb"] == verb && called == resource && !is_refused(call)
        };
        let is_over = |call: &Value| is_it(call) || (user.name != ALICE.name && is_refused(call));
        eventually(&format!("{verb} {resource} is called"), SOON, async || {
            let calls = self.calls_of(user);
            if calls[before..].iter().any(is_over) { Ok(()) } else { Err(format!("{} calls", calls.len() - before)) }
        })
        .await;
    }

    /// Lets a pod go that is held back, once somebody watches it go. Does nothing more.
    async fn lets_go(&self, user: User, before: usize) -> Infallible {
        let watches = |call: &Value| call["verb"] == "watch" && call["objectRef"]["name"] == SLOW;
        eventually("the pod is watched", LIMIT, async || {
            let calls = self.calls_of(user);
            if calls[before..].iter().any(watches) { Ok(()) } else { Err(format!("{} calls", calls.len())) }
        })
        .await;
        self.ground.let_go().await;
        std::future::pending().await
    }

    /// How often a known command asks: another one may make its calls in any order, and at the same time.
    fn times(&self, asked: usize) -> String {
        let is_known = ["kubectl ", "helm "].iter().any(|tool| self.row.0.starts_with(tool));
        if is_known && asked != 1 { format!(" (in {asked} requests)") } else { String::new() }
    }

    /// What the command asks for when it runs as somebody who may do nothing, and in how many requests.
    async fn asked_for(&self) -> (usize, Vec<AskedRule>) {
        self.ground.restore().await;
        let n = self.ground.namespace.as_str();
        let before: BTreeSet<String> = self.requests().await.iter().map(ResourceExt::name_any).collect();
        let words = self.command();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let flags = [&SCRIPT[..], &["--cluster-wide"]].concat();
        let told = self.ran(&line(n, &flags, &words), ALICE, self.calls_of(ALICE).len()).await;
        assert!(!told.contains("does not ask for"), "{told}");
        nothing_is_left(self.ground.cluster, n).await;
        let mut asked = self.requests().await;
        asked.retain(|request| !before.contains(&request.name_any()));
        let times = asked.len();
        let of = |request: AccessRequest| {
            let in_cluster = request.spec.scope.is_some_and(|scope| scope.cluster);
            request.spec.rules.into_iter().map(move |rule| AskedRule { in_cluster, rule })
        };
        let mut rules: Vec<AskedRule> = asked.into_iter().flat_map(of).collect();
        // A program that calls several things at the same time is refused in any order.
        rules.sort_by_key(words_of);
        (times, rules)
    }

    async fn requests(&self) -> Vec<AccessRequest> {
        let requests = self.ground.cluster.requests(&self.ground.namespace).await;
        requests.list(&Default::default()).await.unwrap().items
    }

    /// None of the calls is refused to somebody who has these rules.
    async fn is_enough(&self, rules: &[AskedRule]) {
        let (before, told) = self.as_eve(rules, rules).await;
        let refused = self.refused(before);
        assert!(refused.is_empty(), "{}: more is needed than\n{}{refused:?}\n{told}", self.row.0, words(rules));
    }

    /// One of the calls is refused to somebody who has them without this one.
    async fn is_used(&self, rules: &[AskedRule], right: &AskedRule) {
        let others: Vec<AskedRule> = rights(rules).into_iter().filter(|other| other != right).collect();
        let (before, told) = self.as_eve(rules, &others).await;
        eventually(&format!("{} misses {}", self.row.0, words_of(right)), SOON, async || {
            if self.refused(before).is_empty() { Err(told.clone()) } else { Ok(()) }
        })
        .await;
    }

    /// What was refused to eve since she had made so many calls.
    fn refused(&self, before: usize) -> Vec<String> {
        let refused = self.calls_of(EVE).split_off(before).into_iter().filter(is_refused);
        refused.map(|call| format!("{} {}", call["verb"], call["requestURI"])).collect()
    }

    /// Runs the command as somebody who has `given` of `all`: how many calls she had made before, and what it said.
    async fn as_eve(&self, all: &[AskedRule], given: &[AskedRule]) -> (usize, String) {
        self.ground.restore().await;
        for in_cluster in [false, true] {
            let rules = given.iter().filter(|asked| asked.in_cluster == in_cluster).map(|asked| &asked.rule);
            self.ground.give(in_cluster, &json!(rules.collect::<Vec<_>>())).await;
        }
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.ground.cluster.client(EVE).await);
        let rights_given = rights(given);
        let are_known = rights(all).into_iter().map(async |right| {
            let (expected, question) = (rights_given.contains(&right), self.question(&right));
            eventually(&format!("{right:?} is given: {expected}"), SOON, async || {
                let answer = reviews.create(&Default::default(), &question).await.map_err(|error| error.to_string())?;
                let allowed = answer.status.is_some_and(|status| status.allowed);
                if allowed == expected { Ok(()) } else { Err(format!("it is {allowed}")) }
            })
            .await;
        });
        futures::future::join_all(are_known).await;
        let words = self.command();
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let n = ["-n", self.ground.namespace.as_str()];
        // Flags of kubectl do not go behind the command of `exec`.
        let at = if args[0] == PROGRAM { 2 } else { 1 };
        let args = [&args[..at], &n, &args[at..]].concat();
        let before = self.calls_of(EVE).len();
        (before, self.ran(&args, EVE, before).await)
    }

    fn question(&self, right: &AskedRule) -> SelfSubjectAccessReview {
        let (rule, text) = (&right.rule, |texts: &[String]| texts.first().cloned());
        let resource = text(&rule.resources).unwrap();
        let (resource, part) = resource.split_once('/').map_or((resource.as_str(), None), |(r, p)| (r, Some(p)));
        let attributes = ResourceAttributes {
            group: text(&rule.api_groups),
            resource: Some(resource.to_owned()),
            subresource: part.map(str::to_owned),
            name: text(&rule.resource_names),
            namespace: (!right.in_cluster).then(|| self.ground.namespace.clone()),
            verb: text(&rule.verbs),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
    }
}

fn is_refused(call: &Value) -> bool {
    call["responseStatus"]["code"] == 403
}
