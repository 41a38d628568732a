//! `request --from-error`: real errors of kubectl become the narrowest request, and the same command works.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use super::request::stages;
use crate::harness::cast::{self, SOON};
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, GRETA, MALLORY, User};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, ControlPlane, alone, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::forbidden::asks_for_what_kubectl_was_refused_and_kubectl_works", works),
        shared("plugin::forbidden::proposes_the_role_that_has_it_with_least", least),
        shared("plugin::forbidden::takes_several_refusals_and_leaves_out_what_is_allowed", several),
        shared("plugin::forbidden::says_when_nothing_covers_it_or_it_is_of_somebody_else", refused),
        shared("plugin::forbidden::proposes_to_whom_roles_are_hidden", hidden),
        shared("plugin::forbidden::asks_at_a_terminal_where_the_error_is_pasted", pasted),
        alone("plugin::forbidden::works_where_the_cluster_stamps_nobody", AUDIT_POLICY, not_stamped),
        alone("plugin::forbidden::asks_for_a_path_that_is_no_resource", AUDIT_POLICY, path),
    ]
}

/// What kubectl says when it is refused this.
async fn error(cluster: &Cluster, user: User, args: &[&str]) -> String {
    cluster.kubectl(user).refused(args).await
}

async fn works(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("forbidden").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let n = &namespace;
    cluster.kubectl(ADMIN).ok(&["create", "configmap", "app", "-n", n]).await;
    cluster.kubectl(ADMIN).ok(&["create", "configmap", "other", "-n", n]).await;
    let delete = ["delete", "configmap", "app", "-n", n, "--wait=false"];
    let said = error(&cluster, ALICE, &delete).await;
    // Without a reason it is proposed only, as a line to copy.
    let alice = Plugin::of(&cluster, ALICE);
    let (code, out, err) = alice.fed(&["request", "--from-error"], &said).await;
    let line = format!("    kubectl daypass request edit -n {n} --rule delete:configmaps/app --reason WHY\n");
    assert!(code == Some(0) && out.is_empty() && err.contains(&line), "{code:?} {out}{err}");
    assert!(err.contains(&format!("delete configmaps app in namespace {n}: ClusterRole/edit covers it: ")), "{err}");
    let (code, out, err) = alice.fed(&["request", "--from-error", "--reason=fix it", "--for=20m"], &said).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let name = only_request(&cluster, n).await;
    let request = cluster.until(n, &name, State::Active).await;
    let rules =
        json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["app"] }]);
    assert_eq!((json!(request.spec.rules), request.spec.duration.as_deref()), (rules, Some("20m")));
    eventually("the same command works", SOON, async || {
        let output = cluster.kubectl(ALICE).run(&delete).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    // It is that one object, and nothing more.
    error(&cluster, ALICE, &["delete", "configmap", "other", "-n", n]).await;
    let (code, out, err) = alice.fed(&["request", "--from-error", "--reason=x"], &said).await;
    assert!(code == Some(0) && err.contains("already: try again"), "{code:?} {out}{err}");
}

async fn least(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("least").await;
    let n = &namespace;
    let roles = json!([{ "name": "admin" }, { "name": "edit" }, { "name": "view" }]);
    cluster.allow(n, n, json!({ "roles": roles, "scope": { "namespaces": [n], "cluster": true } })).await;
    let greta = Plugin::of(&cluster, GRETA);
    let proposed = async |said: &str| {
        let (code, out, err) = greta.fed(&["request", "--from-error", "-n", n], said).await;
        assert!(code == Some(0) && out.is_empty(), "{code:?} {out}{err}");
        err.lines().last().unwrap().trim().replace(n.as_str(), "NS")
    };
    for (args, line) in [
        (&["get", "pods"][..], "view -n NS --rule list:pods"),
        (&["get", "deployments.apps", "web"], "view -n NS --rule get:deployments.apps/web"),
        (&["get", "--raw", "/api/v1/namespaces/NS/pods/web-0/log"], "view -n NS --rule get:pods/web-0/log"),
        (&["create", "configmap", "x"], "edit -n NS --rule create:configmaps"),
    ] {
        let place = if args[1] == "--raw" { &[][..] } else { &["-n", "NS"] };
        let args: Vec<String> = args.iter().chain(place).map(|arg| arg.replace("NS", n)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = error(&cluster, GRETA, &args).await;
        assert_eq!(proposed(&said).await, format!("kubectl daypass request {line} --reason WHY"), "{said}");
    }
    // At the scope of the cluster.
    let said = error(&cluster, GRETA, &["get", "pods", "-A"]).await;
    let line = proposed(&said).await;
    assert_eq!(line, "kubectl daypass request view -n NS --rule list:pods --cluster-wide --reason WHY", "{said}");
}

async fn several(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("several").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let kinds = ["pods", "services", "configmaps", "pods"];
    let mut said = String::new();
    for kind in kinds {
        said += &error(&cluster, GRETA, &["get", kind, "-n", n]).await;
    }
    said += &error(&cluster, GRETA, &["get", "pods", "web-0", "-n", n]).await;
    said += &format!(
        "User \"greta\" cannot list resource \"accessrequests\" in API group \"daypass.dev\" in the namespace \"{n}\"\n"
    );
    said += "User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n";
    let (code, out, err) = Plugin::of(&cluster, GRETA).fed(&["request", "--from-error"], &said).await;
    assert!(code == Some(0) && out.is_empty(), "{code:?} {out}{err}");
    let line = format!(
        "request edit -n {n} --rule list:pods --rule list:services --rule list:configmaps --rule get:pods/web-0 --reason WHY"
    );
    assert!(err.contains(&line), "{err}");
    assert!(err.contains(&format!("you may list accessrequests.daypass.dev in namespace {n} already")), "{err}");
    assert!(err.contains("1 of the refusals are of bob or others"), "{err}");
}

async fn refused(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("vain").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let said = error(&cluster, GRETA, &["create", "role", "x", "--verb=get", "--resource=pods", "-n", n]).await;
    let (code, out, err) = greta.fed(&["request", "--from-error", "--reason=x"], &said).await;
    assert!(code == Some(3) && out.is_empty(), "{code:?} {out}{err}");
    assert!(
        err.contains("nothing that you may ask for covers it")
            && err.contains("the role does not allow create on roles"),
        "{err}"
    );
    let said = error(&cluster, GRETA, &["delete", "pod", "web-0", "-n", n]).await;
    let (code, _, err) = greta.fed(&["request", "--from-error", "--reason=x", "--for=8h"], &said).await;
    let near = format!("    kubectl daypass request edit -n {n} --rule delete:pods/web-0 --for 1h --reason x\n");
    assert!(code == Some(3) && err.ends_with(&near), "{code:?} {err}");
    let (code, _, err) = Plugin::of(&cluster, ALICE).fed(&["request", "--from-error"], &said).await;
    assert!(code == Some(2) && err.contains("that was refused to greta, and you are alice"), "{code:?} {err}");
    let said = error(&cluster, MALLORY, &["get", "pods", "-n", n]).await;
    let (code, _, err) = Plugin::of(&cluster, MALLORY).fed(&["request", "--from-error"], &said).await;
    assert!(code == Some(3) && err.contains("no policy lets you ask for anything there"), "{code:?} {err}");
    let (code, _, err) = greta.fed(&["request", "--from-error"], "pods \"a\" is forbidden: exceeded quota").await;
    assert!(code == Some(2) && err.contains("there is no refusal in that text"), "{code:?} {err}");
    assert_eq!(cluster.requests(n).await.list(&Default::default()).await.unwrap().items.len(), 0);
}

/// alice may not read roles: what covers a call is guessed, and the cluster decides.
async fn hidden(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("hidden").await;
    let n = &namespace;
    cluster.allow(n, n, json!({ "roles": [{ "name": "edit" }, { "name": "view" }] })).await;
    let alice = Plugin::of(&cluster, ALICE);
    for (args, role) in [(["get", "pods", "-n", n], "view"), (["delete", "pod/web-0", "-n", n], "edit")] {
        let said = error(&cluster, ALICE, &args).await;
        let (code, _, err) = alice.fed(&["request", "--from-error"], &said).await;
        let says = format!("ClusterRole/{role} covers it: granted at once, as far as you can see");
        assert!(code == Some(0) && err.contains(&says), "{code:?} {err}");
    }
}

async fn pasted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("pasted").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    let said = error(&cluster, GRETA, &["get", "pods", "-n", n]).await;
    let mut terminal = Plugin::of(&cluster, GRETA).start_at_terminal(&["request", "--from-error", "--no-wait"]);
    terminal.until_shown("paste the error, and an empty line after it:").await;
    terminal.types(&format!("{}\n\n", said.trim())).await;
    terminal.until_shown("ask for it? [y/N] ").await;
    terminal.types("y\n").await;
    terminal.until_shown("why is access needed? ").await;
    terminal.types("to look\n").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    let name = only_request(&cluster, n).await;
    assert_eq!(cluster.requests(n).await.get(&name).await.unwrap().spec.reason, "to look");
}

async fn not_stamped(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=off"]).await;
    let namespace = cluster.namespace("bare").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let get = ["get", "configmaps", "-n", n];
    let said = error(&cluster, ALICE, &get).await;
    let args = ["request", "--from-error", "--reason=x"];
    let (code, out, err) = Plugin::of(&cluster, ALICE).fed(&args, &said).await;
    assert_eq!(code, Some(0), "{out}{err}");
    eventually("the same command works", SOON, async || {
        let output = cluster.kubectl(ALICE).run(&get).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
}

async fn path(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["bindableClusterRoles={view,meter}"]).await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "clusterrole", "meter", "--verb=get", "--non-resource-url=/metrics,/version/*"]).await;
    let mut policy = cast::policy("meter", "default");
    policy["spec"]["roles"] = json!([{ "name": "meter" }]);
    policy["spec"]["scope"] = json!({ "cluster": true });
    admin.apply(&policy.to_string()).await;
    let greta = Plugin::of(&cluster, GRETA);
    let get = ["get", "--raw", "/metrics"];
    let said = error(&cluster, GRETA, &get).await;
    let (code, out, err) = greta.fed(&["request", "--from-error"], &said).await;
    let line = "kubectl daypass request meter -n default --rule get:/metrics --cluster-wide --reason WHY";
    assert!(code == Some(0) && out.is_empty() && err.lines().any(|said| said.trim() == line), "{code:?} {out}{err}");
    let words: Vec<&str> = line.split(' ').skip(2).collect();
    let (out, err) = greta.ends(&words, 0).await;
    assert!(out.starts_with("granted at once"), "{out}{err}");
    let name = only_request(&cluster, "default").await;
    let rules = cluster.until("default", &name, State::Active).await.spec.rules;
    assert_eq!(json!(rules), json!([{ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }]));
    eventually("the path can be read", SOON, async || {
        let output = cluster.kubectl(GRETA).run(&get).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    let (_, err) = greta.ends(&["who", "--can=get:/metrics"], 2).await;
    assert!(err.contains("--can: /metrics is no resource"), "{err}");
}
