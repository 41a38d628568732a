//! `policy init`: a first policy from a few answers, by flags and at a terminal, and that it works.

use std::path::Path;
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;

use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ADMIN, CAROL, GITOPS, GRETA};
use crate::harness::{Cluster, binaries, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::init_writes_a_policy_that_works", works),
        shared("plugin::init_asks_at_a_terminal", at_a_terminal),
        shared("plugin::init_says_which_answers_are_missing_or_make_no_sense", missing),
        shared("plugin::init_says_what_the_cluster_does_not_have", not_there),
    ]
}

const ANSWERS: [&str; 6] =
    ["--team=dev", "--namespaces=shop", "--role=edit", "--approver=approvers", "--max=2h", "--low-risk=at-once"];

async fn works(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("first").await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let into = format!("--namespaces={namespace}");
    let name = format!("--name={namespace}");
    let mut args = vec!["policy", "init", "--dir", &dir, &name];
    args.extend(ANSWERS.iter().filter(|answer| !answer.starts_with("--namespaces")));
    args.push(&into);
    let admin = Plugin::of(&cluster, ADMIN);
    let binding = ["create", "clusterrolebinding", &namespace, "--clusterrole=daypass-requester", "--group=dev"];
    cluster.kubectl(ADMIN).ok(&binding).await;
    let (out, err) = admin.ends(&args, 0).await;
    let [policy, test] = ["policies", "tests"].map(|part| format!("{dir}/{part}/{namespace}.yaml"));
    assert_eq!(out, format!("wrote {policy}\nwrote {test}\n"), "{err}");
    // The groups are bound, the namespace and the role are there: there is nothing to note.
    assert_eq!(err, "");
    let offline = Plugin::without_cluster();
    assert_eq!(offline.done(&["policy", "lint", &dir]).await, "1 policies, 0 warnings\n");
    let tested = offline.done(&["policy", "test", &dir]).await;
    assert!(tested.ends_with("8 passed, 0 failed\n"), "{tested}");
    // What is there stays, unless somebody says otherwise.
    std::fs::write(&policy, "mine").unwrap();
    let (_, err) = admin.ends(&args, 2).await;
    assert!(err.contains("--dir: ") && err.contains("is there already: give --force"), "{err}");
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), "mine");
    admin.ends(&[&args[..], &["--force"]].concat(), 0).await;

    cluster.kubectl(GITOPS).ok(&["apply", "-f", &policy]).await;
    let asks = ["request", "edit", "--for=1h", "--reason=x", "-n", &namespace];
    let mut asking = Plugin::of(&cluster, GRETA).start(&asks);
    asking.until_said(&format!("waiting: stage approval of policy {namespace}")).await;
    let name = only_request(&cluster, &namespace).await;
    Plugin::of(&cluster, CAROL).done(&["approve", &name, "-n", &namespace, "--yes"]).await;
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(0), "{out}{err}");
    cluster.until(&namespace, &name, State::Active).await;
    assert!(cluster.kubectl(GRETA).can_i("delete", "pods", Some(&namespace)).await);
}

async fn at_a_terminal(_: Arc<Cluster>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let mut terminal =
        Plugin::without_cluster().start_at_terminal(&["policy", "init", "--offline", "--dir", &dir, "--role=view"]);
    for (question, answer) in [
        ("Which groups may ask (several with commas)? ", "dev, ops"),
        ("or labels such as env=dev)? ", "env=dev"),
        // One that makes no sense is told, and asked for again.
        ("Which groups approve (several with commas; one person of them is enough)? ", "dev"),
        ("only those who ask may approve", "leads"),
        ("For how long at most? [2h] ", "soon"),
        ("must be hours, minutes and seconds", ""),
        ("without an approver (yes or no)? [yes] ", "no"),
    ] {
        terminal.until_shown(question).await;
        terminal.types(&format!("{answer}\n")).await;
    }
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("next: ") && screen.contains("kubectl apply -f"), "{screen}");
    let policy = std::fs::read_to_string(Path::new(&dir).join("policies/dev-view.yaml")).unwrap();
    for line in [
        "    - {kind: Group, name: ops}",
        "        env: \"dev\"",
        "    max: 2h",
        "          - {kind: Group, name: leads}",
    ] {
        assert!(policy.lines().any(|written| written == line), "{line}: {policy}");
    }
    assert!(!policy.contains("automaticWhen"), "{policy}");
    // The role was given, so it was not asked for.
    assert!(!screen.contains("For which roles"), "{screen}");
    Plugin::without_cluster().done(&["policy", "test", &dir]).await;
    // Whoever leaves before the end has written nothing.
    let elsewhere = folder.path().join("elsewhere").display().to_string();
    let mut terminal =
        Plugin::without_cluster().start_at_terminal(&["policy", "init", "--offline", "--dir", &elsewhere]);
    terminal.until_shown("Which groups may ask").await;
    terminal.types("\u{4}").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(2), "{screen}");
    assert!(!Path::new(&elsewhere).exists());
}

async fn missing(_: Arc<Cluster>) {
    let offline = Plugin::without_cluster();
    let init = async |args: &[&str]| offline.ends(&[&["policy", "init", "--offline"], args].concat(), 2).await.1;
    let err = init(&["--team=dev", "--namespaces=shop", "--max=1h"]).await;
    assert_eq!(
        err,
        "kubectl daypass: nobody is there who could be asked, and these answers are missing: --role, --approver, \
         --low-risk\n"
    );
    for (wrong, said) in [
        ("--approver=dev", "--approver: stage approval: only those who ask may approve"),
        ("--team=dev*", "--team: "),
        ("--namespaces=kube-system", "--namespaces: kube-system is protected"),
        ("--max=2 hours", "--max: "),
        ("--name=Dev", "--name: "),
    ] {
        let (flag, _) = wrong.split_once('=').unwrap();
        let is_other = |answer: &&str| answer.split_once('=').is_some_and(|(other, _)| other != flag);
        let mut args: Vec<&str> = ANSWERS.into_iter().filter(is_other).collect();
        args.push(wrong);
        let err = init(&args).await;
        assert!(err.contains(said), "{wrong}: {err}");
    }
    // Without a folder both documents are printed, or the one that is wanted; as the page has them.
    let policy = offline.done(&[&["policy", "init", "--offline", "--only=policy"], &ANSWERS[..]].concat()).await;
    let test = offline.done(&[&["policy", "init", "--offline", "--only=test"], &ANSWERS[..]].concat()).await;
    let both = offline.done(&[&["policy", "init", "--offline"], &ANSWERS[..]].concat()).await;
    assert_eq!(both, format!("{policy}---\n{test}"));
    let page = std::fs::read_to_string(binaries::repository().join("examples/README.md")).unwrap();
    assert!(page.contains(&policy), "examples/README.md: {policy}");
}

async fn not_there(cluster: Arc<Cluster>) {
    let answers = [
        "--team=system:authenticated",
        "--team=def",
        "--namespaces=default,no-such-*",
        "--role=edit,no-such-role,role/no-such",
        "--approver=approvers",
        "--max=2h",
        "--low-risk=at-once",
        "--only=test",
    ];
    let (_, err) = Plugin::of(&cluster, ADMIN).ends(&[&["policy", "init"], &answers[..]].concat(), 0).await;
    let notes: Vec<&str> = err.lines().collect();
    assert_eq!(
        notes,
        [
            "note: the cluster has no namespace no-such-*",
            "note: the cluster has no ClusterRole/no-such-role",
            "note: the cluster has no Role/no-such",
            "note: no binding of the cluster names group def: see how it is spelt, and bind it to daypass-requester",
        ]
    );
    // Who may not read has it said, and so has who has no cluster; the policy is written all the same.
    let alone = [&["policy", "init"], &answers[..]].concat();
    let (_, err) = Plugin::of(&cluster, GITOPS).ends(&alone, 0).await;
    assert!(err.contains("note: namespaces were not looked up (") && err.contains("note: groups were not"), "{err}");
    let (_, err) = Plugin::without_cluster().ends(&alone, 0).await;
    assert!(err.starts_with("note: namespaces, roles and groups were not looked up in a cluster ("), "{err}");
}
