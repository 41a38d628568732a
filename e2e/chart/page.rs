//! The page of the chart: what its values make of it, that its account may do nothing, who may call it, and which values are
//! refused.

use std::sync::Arc;

use clap::Parser;
use daypass::cli::page::PageArgs;
use serde_json::{Value, json};

use super::{chart, chooses, find, is_confined, render, rights_of};
use crate::harness::ControlPlane;
use crate::harness::install::{Daypass, NAMESPACE};
use crate::harness::page::{PAGE, VALUES};
use crate::harness::users::ADMIN;

async fn rendered(control_plane: &ControlPlane, more: &[&str]) -> Vec<Value> {
    let on = VALUES.join(",");
    render(control_plane, &[&["--set", &on], more].concat()).await
}

pub async fn is_what_its_values_say(control_plane: Arc<ControlPlane>) {
    let none = render(&control_plane, &["--set", &VALUES[1..].join(",")]).await;
    let of_page = |object: &&Value| object["metadata"]["name"].as_str().is_some_and(|name| name.contains("page"));
    assert_eq!(none.iter().find(of_page), None, "it is off");

    let objects = rendered(
        &control_plane,
        &["--set", "clusterName=eu-1,watchNamespaces={bank,shop},page.signOutPath=/oauth2/sign_out"],
    )
    .await;
    let named = |kind: &str| find(&objects, kind, PAGE).unwrap_or_else(|| panic!("no {kind} {PAGE}"));
    let deployment = &named("Deployment")["spec"];
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } });
    assert_eq!((&deployment["replicas"], &deployment["strategy"]), (&json!(2), &rolling));
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let expected = [
        "--origin=https://access.example.com",
        "--token-header=Authorization",
        "--listen=0.0.0.0:8443",
        "--probes=0.0.0.0:8080",
        "--sign-out=/oauth2/sign_out",
        "--plain-http",
        "--api-server-ca=/etc/daypass-page/api-server/ca.crt",
        "--release-namespace=daypass-system",
        "--watch-namespaces=bank,shop",
        "--cluster=eu-1",
    ];
    assert_eq!(container["args"], json!(expected));
    PageArgs::try_parse_from(std::iter::once(PAGE).chain(expected)).expect("the program takes its arguments");
    is_confined(pod, container);
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "probes", "{probe}");
    }
    let mounts = [json!({ "name": "api-server", "mountPath": "/etc/daypass-page/api-server", "readOnly": true })];
    assert_eq!(container["volumeMounts"], json!(mounts));
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "kube-root-ca.crt");
    what_chooses_pods(&objects);
    let service = &named("Service")["spec"]["ports"];
    assert_eq!(*service, json!([{ "name": "http", "port": 80, "appProtocol": "http", "targetPort": "page" }]));
    let one = rendered(&control_plane, &["--set", "page.replicas=1"]).await;
    assert!(find(&one, "PodDisruptionBudget", PAGE).is_none(), "one pod has no budget");

    let objects = rendered(&control_plane, &["--set", "page.certificateSecret=page-tls"]).await;
    let pod = &find(&objects, "Deployment", PAGE).expect("a Deployment")["spec"]["template"]["spec"];
    let args: Vec<&str> =
        pod["containers"][0]["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    assert!(args.contains(&"--certificates=/certificates") && !args.contains(&"--plain-http"), "{args:?}");
    assert_eq!(pod["volumes"][1], json!({ "name": "certificate", "secret": { "secretName": "page-tls" } }));
    let service = &find(&objects, "Service", PAGE).expect("a Service")["spec"]["ports"];
    assert_eq!(*service, json!([{ "name": "https", "port": 443, "appProtocol": "https", "targetPort": "page" }]));
}

fn what_chooses_pods(objects: &[Value]) {
    let named = |kind: &str, name: &str| find(objects, kind, name).unwrap_or_else(|| panic!("no {kind} {name}"));
    let labels = |name: &str| &named("Deployment", name)["spec"]["template"]["metadata"]["labels"];
    let (page, controller) = (labels(PAGE), labels("daypass"));
    let deployment = &named("Deployment", PAGE)["spec"];
    for selector in [
        &deployment["selector"]["matchLabels"],
        &named("Service", PAGE)["spec"]["selector"],
        &named("PodDisruptionBudget", PAGE)["spec"]["selector"]["matchLabels"],
        &named("NetworkPolicy", PAGE)["spec"]["podSelector"]["matchLabels"],
    ] {
        assert!(chooses(selector, page) && !chooses(selector, controller), "{selector}");
    }
    assert!(!chooses(&named("Service", "daypass-metrics")["spec"]["selector"], page), "it is not the controller");
}

pub async fn has_an_account_that_nobody_lets_do_anything(control_plane: Arc<ControlPlane>) {
    for (values, account) in [("replicas=2", PAGE), ("fullnameOverride=mine", "mine-page")] {
        let objects = rendered(&control_plane, &["--set", values]).await;
        let pod = &find(&objects, "Deployment", "-page").expect("a Deployment")["spec"]["template"]["spec"];
        let of_account =
            &find(&objects, "ServiceAccount", account).expect("its account")["automountServiceAccountToken"];
        assert_eq!((&pod["serviceAccountName"], of_account), (&json!(account), &json!(false)));
        assert_eq!(pod["automountServiceAccountToken"], false);
        let projects = pod["volumes"].to_string().contains("serviceAccountToken");
        assert!(!projects, "no token comes in by a volume");
        assert_eq!(rights_of(&objects, account), Vec::<String>::new(), "{values}");
        let username = format!("system:serviceaccount:{NAMESPACE}:{account}");
        let guards = objects.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicy");
        for guard in guards {
            assert!(!guard.to_string().contains(&username), "{values}: {} knows it", guard["metadata"]["name"]);
        }
    }
    // The API server says the same of it as of an account that was just made and that nobody knows.
    Daypass::apply(&control_plane, &VALUES).await;
    let admin = control_plane.kubectl(ADMIN);
    admin.ok(&["create", "serviceaccount", "stranger", "-n", "default"]).await;
    let may = async |namespace: &str, account: &str| {
        let username = format!("--as=system:serviceaccount:{namespace}:{account}");
        let groups = [
            "--as-group=system:serviceaccounts".to_owned(),
            format!("--as-group=system:serviceaccounts:{namespace}"),
            "--as-group=system:authenticated".to_owned(),
        ];
        let mut all = Vec::new();
        for place in [NAMESPACE, "default"] {
            let mut line = vec!["auth", "can-i", "--list", "-n", place, &username];
            line.extend(groups.iter().map(String::as_str));
            let told = admin.ok(&line).await;
            let mut rights: Vec<String> = told.lines().map(str::to_owned).collect();
            rights.sort();
            all.push(rights);
        }
        all
    };
    let (page, stranger) = (may(NAMESPACE, PAGE).await, may("default", "stranger").await);
    assert_eq!(page, stranger);
    assert!(page[0].iter().any(|right| right.starts_with("selfsubjectreviews")), "{page:?}");
    assert!(may(NAMESPACE, "daypass").await != stranger, "the controller's account has rights, so this tells some");
}

pub async fn is_called_by_the_proxy_alone(control_plane: Arc<ControlPlane>) {
    let objects = rendered(&control_plane, &[]).await;
    let network = &find(&objects, "NetworkPolicy", PAGE).expect("a NetworkPolicy")["spec"];
    let proxy = json!([{ "podSelector": { "matchLabels": { "app": "oauth2-proxy" } } }]);
    let ingress = json!([
        { "ports": [{ "protocol": "TCP", "port": "page" }], "from": proxy },
        { "ports": [{ "protocol": "TCP", "port": "probes" }] }
    ]);
    assert_eq!((&network["policyTypes"], &network["ingress"]), (&json!(["Ingress"]), &ingress));
    assert!(network["egress"].is_null(), "where the API server is, the chart is not told");
    let more = ["--set", "networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={10.0.0.0/28}"];
    let objects = rendered(&control_plane, &more).await;
    let network = &find(&objects, "NetworkPolicy", PAGE).expect("a NetworkPolicy")["spec"];
    assert_eq!((&network["policyTypes"], &network["ingress"]), (&json!(["Ingress", "Egress"]), &ingress));
    let names = json!({ "ports": [{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }] });
    let api_server = json!({
        "ports": [{ "protocol": "TCP", "port": 443 }, { "protocol": "TCP", "port": 6443 }],
        "to": [{ "ipBlock": { "cidr": "10.0.0.0/28" } }]
    });
    assert_eq!(network["egress"], json!([names, api_server]), "and nothing beside");
}

pub async fn refuses_values_that_cannot_work(control_plane: Arc<ControlPlane>) {
    let on = VALUES.join(",");
    for (value, words) in [
        ("page.origin=", "set page.origin to that, as https://HOST, or page.enabled to false"),
        (
            "page.origin=https://access.example.com:443",
            "browsers leave the usual port out: write https://access.example.com",
        ),
        ("page.origin=http://access.example.com", "at '/page/origin': 'http://access.example.com' does not match"),
        ("page.origin=https://access.example.com/", "at '/page/origin': 'https://access.example.com/' does not match"),
        ("page.origin=https://Access.example.com", "at '/page/origin'"),
        ("page.origin=*", "at '/page/origin'"),
        ("page.tokenHeader=Cookie", "page.tokenHeader is Cookie, which says something else: name Authorization"),
        ("page.tokenHeader=X Token", "at '/page/tokenHeader': 'X Token' does not match"),
        ("page.certificateSecret=a/b", "at '/page/certificateSecret': 'a/b' does not match"),
        ("page.signOutPath=//evil.example", "at '/page/signOutPath': '//evil.example' does not match"),
        ("page.replicas=0", "at '/page/replicas': minimum: got 0, want 1"),
        ("page.orgin=https://a", "at '/page': additional properties 'orgin' not allowed"),
        ("page.image.tags=1", "at '/page/image': additional properties 'tags' not allowed"),
    ] {
        let args = ["template", "daypass", &chart(), "-n", NAMESPACE, "--set", &on, "--set", value];
        let refusal = control_plane.helm_refused(&args).await;
        assert!(refusal.contains(words), "{value}: {refusal}");
    }
    let without_proxy = VALUES[..2].join(",");
    let args = ["template", "daypass", &chart(), "-n", NAMESPACE, "--set", &without_proxy];
    let refusal = control_plane.helm_refused(&args).await;
    let words = "page.ingressFrom is empty, so nobody could call the page: name the pods of the proxy";
    assert!(refusal.contains(words), "{refusal}");
}
