//! The notifier of the chart: what its values make of it, what it may do, which routes are refused, and that an upgrade leaves
//! what it has written.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Parser;
use daypass::api::risk::RiskLevel;
use daypass::api::word::Vocabulary;
use daypass::cli::notify::NotifyArgs;
use daypass::core::notice::NoticeTopic;
use daypass::notify::outbound::ranges::is_public;
use daypass::notify::routes::NotifyConfig;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{chart, chooses, find, folder, is_confined, render, rights_of};
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::notifier::{NOTIFIER, NotifierPod, STATE, VALUES};
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, eventually};

/// A route for each provider.
fn all_providers() -> String {
    folder().join("ci/notify-values.yaml").display().to_string()
}

fn has_condition(objects: &[Value]) -> bool {
    let guard = find(objects, "ValidatingAdmissionPolicy", "-self-guard").expect("the self-guard");
    let conditions = guard["spec"]["matchConditions"].as_array().expect("conditions");
    conditions.iter().any(|condition| condition["name"] == "not-the-notifier")
}

pub async fn is_what_its_values_say(control_plane: Arc<ControlPlane>) {
    let none = render(&control_plane, &["--set", &VALUES[1..].join(",")]).await;
    let of_notifier = |object: &&Value| object["metadata"]["name"].as_str().is_some_and(|name| name.contains("notify"));
    assert_eq!(none.iter().find(of_notifier), None, "it is off");
    assert!(!has_condition(&none), "nobody is let in for it");

    let objects = render(&control_plane, &["-f", &all_providers(), "--set", "clusterName=eu-1"]).await;
    assert!(has_condition(&objects));
    let named = |kind: &str| find(&objects, kind, NOTIFIER).unwrap_or_else(|| panic!("no {kind} {NOTIFIER}"));
    let deployment = &named("Deployment")["spec"];
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } });
    assert_eq!((&deployment["replicas"], &deployment["strategy"]), (&json!(2), &rolling));
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let args = ["--config=/etc/daypass-notify/notify.yaml", "--listen=0.0.0.0:8080", "--cluster=eu-1"];
    assert_eq!(container["args"], json!(args));
    let variables: Vec<(&Value, &Value)> = container["env"]
        .as_array()
        .expect("variables")
        .iter()
        .map(|variable| (&variable["name"], &variable["valueFrom"]["fieldRef"]["fieldPath"]))
        .collect();
    let (name, namespace) =
        ((json!("POD_NAME"), json!("metadata.name")), (json!("POD_NAMESPACE"), json!("metadata.namespace")));
    assert_eq!(variables[..2], [(&name.0, &name.1), (&namespace.0, &namespace.1)]);
    is_confined(pod, container);
    assert_eq!((&pod["serviceAccountName"], &pod["automountServiceAccountToken"]), (&json!(NOTIFIER), &json!(true)));
    assert_eq!(named("ServiceAccount")["automountServiceAccountToken"], false);
    mounts(pod);
    what_chooses_pods(&objects);
    state_has_no_data(&objects);
    let one = render(&control_plane, &["-f", &all_providers(), "--set", "notify.replicas=1"]).await;
    assert!(find(&one, "PodDisruptionBudget", NOTIFIER).is_none(), "one pod has no budget");
    a_change_restarts_it(&control_plane, &objects).await;
}

/// Each Secret is a folder of its own, and authorities are where the program looks for those of the machine.
fn mounts(pod: &Value) {
    let source = |mount: &Value| {
        let volume = pod["volumes"].as_array().expect("volumes").iter().find(|volume| volume["name"] == mount["name"]);
        let volume = volume.unwrap_or_else(|| panic!("{mount} is no volume"));
        volume["secret"]["secretName"].as_str().or_else(|| volume["configMap"]["name"].as_str()).expect("a source")
    };
    let container = &pod["containers"][0];
    let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
    let mounts: Vec<(&str, &str)> = mounts
        .inspect(|mount| assert_eq!(mount["readOnly"], true, "{mount}"))
        .map(|mount| (mount["mountPath"].as_str().expect("a path"), source(mount)))
        .collect();
    let secrets = ["slack", "chats", "mail", "pager-duty", "siem"];
    let folders = secrets.map(|name| format!("/secrets/{name}"));
    let mut expected = vec![("/etc/daypass-notify", NOTIFIER), ("/authorities", "public-authorities")];
    expected.extend(folders.iter().map(String::as_str).zip(secrets));
    assert_eq!(mounts, expected);
    let looked_for = json!({ "name": "SSL_CERT_FILE", "value": "/authorities/ca.crt" });
    assert!(container["env"].as_array().expect("variables").contains(&looked_for), "{}", container["env"]);
}

fn what_chooses_pods(objects: &[Value]) {
    let named = |kind: &str, name: &str| find(objects, kind, name).unwrap_or_else(|| panic!("no {kind} {name}"));
    let labels = |name: &str| &named("Deployment", name)["spec"]["template"]["metadata"]["labels"];
    let (notifier, controller) = (labels(NOTIFIER), labels("daypass"));
    let service = named("Service", "daypass-notify-metrics");
    let deployment = &named("Deployment", NOTIFIER)["spec"];
    let apart = &deployment["template"]["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        [0];
    for selector in [
        &deployment["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &named("PodDisruptionBudget", NOTIFIER)["spec"]["selector"]["matchLabels"],
        &named("NetworkPolicy", NOTIFIER)["spec"]["podSelector"]["matchLabels"],
        &deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        &apart["podAffinityTerm"]["labelSelector"]["matchLabels"],
    ] {
        assert!(chooses(selector, notifier) && !chooses(selector, controller), "{selector}");
    }
    let of_controller = &named("Service", "daypass-metrics")["spec"]["selector"];
    assert!(!chooses(of_controller, notifier), "{of_controller}");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
}

/// An upgrade would put back what stands in the chart.
fn state_has_no_data(objects: &[Value]) {
    let state = find(objects, "ConfigMap", STATE).expect("the ConfigMap of the state");
    let fields: BTreeSet<&str> = state.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["apiVersion", "kind", "metadata"]));
}

async fn a_change_restarts_it(control_plane: &ControlPlane, before: &[Value]) {
    let template = |objects: &[Value]| {
        find(objects, "Deployment", NOTIFIER).expect("a Deployment")["spec"]["template"]["metadata"]["annotations"]
            .clone()
    };
    let with = async |value: &str| template(&render(control_plane, &["-f", &all_providers(), "--set", value]).await);
    assert_eq!(with("replicas=3").await, template(before));
    assert_ne!(with("notify.config.endsSoon=20m").await, template(before));
}

pub async fn has_only_the_rights_of_its_list(control_plane: Arc<ControlPlane>) {
    let own = [
        "here: configmaps: get,patch daypass-notify-state",
        "here: leases: create",
        "here: leases: get,update daypass-notify",
    ];
    // Its state and its Lease have fixed names.
    for (values, account) in [("replicas=2", NOTIFIER), ("fullnameOverride=mine", "mine-notify")] {
        let objects = render(&control_plane, &["-f", &all_providers(), "--set", values]).await;
        let expected = [&["accessrequests: list,watch"], &own[..]].concat();
        assert_eq!(json!(rights_of(&objects, account)), json!(expected), "{values}");
        let guard = find(&objects, "ValidatingAdmissionPolicy", "-self-guard").expect("the self-guard");
        let username = format!("'system:serviceaccount:daypass-system:{account}'");
        assert!(
            guard["spec"]["matchConditions"].to_string().contains(&username),
            "{values}: it is let in by another name"
        );
        assert!(find(&objects, "ConfigMap", STATE).is_some(), "{values}");
    }
    let objects =
        render(&control_plane, &["-f", &all_providers(), "--set", "watchNamespaces={bank,shop},clusterName=eu-1"])
            .await;
    let here = "here: accessrequests: list,watch";
    let expected = [&[here, here], &own[..]].concat();
    assert_eq!(json!(rights_of(&objects, NOTIFIER)), json!(expected));
    assert!(find(&objects, "ClusterRole", NOTIFIER).is_none());
    let places: Vec<&Value> = objects
        .iter()
        .filter(|object| object["kind"] == "RoleBinding" && object["metadata"]["name"] == NOTIFIER)
        .map(|object| &object["metadata"]["namespace"])
        .collect();
    assert_eq!(places, [&json!("bank"), &json!("shop")]);
    let args = &find(&objects, "Deployment", NOTIFIER).expect("a Deployment")["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert!(args.as_array().expect("arguments").contains(&json!("--watch-namespaces=bank,shop")), "{args}");
    let args = args.as_array().into_iter().flatten().filter_map(Value::as_str);
    NotifyArgs::try_parse_from(std::iter::once(NOTIFIER).chain(args)).expect("the program takes its arguments");
}

pub async fn reaches_what_its_routes_name(control_plane: Arc<ControlPlane>) {
    let more = r#"notify.extraEgress=[{"to":[{"namespaceSelector":{"matchLabels":{"chat":"yes"}}}]}]"#;
    let from = r#"networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]"#;
    let objects = render(&control_plane, &["-f", &all_providers(), "--set-json", more, "--set-json", from]).await;
    let network = &find(&objects, "NetworkPolicy", NOTIFIER).expect("a NetworkPolicy")["spec"];
    assert_eq!(network["policyTypes"], json!(["Ingress", "Egress"]));
    let metrics = json!([{ "ports": [{ "protocol": "TCP", "port": "http" }],
        "from": [{ "podSelector": { "matchLabels": { "app": "prometheus" } } }] }]);
    assert_eq!(network["ingress"], metrics);
    let [names, api_server, public, private, by_values] = &network["egress"].as_array().expect("rules")[..] else {
        panic!("{}", network["egress"])
    };
    let ports = |rule: &Value| -> Vec<Value> {
        rule["ports"].as_array().into_iter().flatten().map(|port| port["port"].clone()).collect()
    };
    assert_eq!((ports(names), ports(api_server)), (vec![json!(53), json!(53)], vec![json!(443), json!(6443)]));
    assert_eq!(api_server["to"], json!([{ "ipBlock": { "cidr": "10.0.0.0/28" } }]));
    // That of the mail server besides https.
    assert_eq!(ports(public), [json!(443), json!(587)]);
    nothing_special_is_public(public);
    let ranges = json!([{ "ipBlock": { "cidr": "10.20.0.0/16" } }, { "ipBlock": { "cidr": "fd00:1::/32" } }]);
    assert_eq!((&private["to"], ports(private)), (&ranges, Vec::new()));
    assert_eq!(by_values["to"][0]["namespaceSelector"]["matchLabels"]["chat"], "yes");
}

/// What the network leaves out, the program leaves out too, and next to it begins what both let through.
fn nothing_special_is_public(rule: &Value) {
    let blocks = rule["to"].as_array().expect("ranges").iter().map(|peer| &peer["ipBlock"]);
    let left_out: Vec<&str> =
        blocks.flat_map(|block| block["except"].as_array().expect("exceptions")).filter_map(Value::as_str).collect();
    assert_eq!(left_out.len(), 20, "as many as src/notify/outbound/ranges.rs has");
    for range in left_out {
        let first = range.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
        assert!(!is_public(first), "the program connects to {range}");
    }
}

pub async fn refuses_routes_that_cannot_work(control_plane: Arc<ControlPlane>) {
    let slack = json!({ "channel": "C1", "tokenFile": "/secrets/slack/token" });
    let route = |more: Value| {
        let mut route = json!({ "name": "a", "slack": slack });
        route.as_object_mut().expect("a route").extend(more.as_object().expect("fields").clone());
        format!("notify.config.routes={}", json!([route]))
    };
    let mail = json!({ "server": "mail.chat:25", "from": "a@b", "to": ["c@d"], "encryption": "none" });
    let of_mail = |more: Value| {
        let mut mail = mail.clone();
        mail.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        format!("notify.config.routes={}", json!([{ "name": "a", "mail": mail }]))
    };
    let sound = json!({
        "enabled": true, "secrets": ["slack"], "authorities": { "configMap": "public-authorities" },
        "config": { "routes": [{ "name": "platform", "slack": slack }] }
    });
    let sound = format!("notify={sound}");
    render(&control_plane, &["--set-json", &sound]).await;
    let of_slack = |slack: Value| route(json!({ "slack": slack }));
    for (set, words) in [
        ("notify.config.routes=[]".to_owned(), "add routes to notify.config.routes, or set notify.enabled to false"),
        (
            r#"notify.secrets=["chats"]"#.to_owned(),
            "routes[0].slack.tokenFile is /secrets/slack/token, and that Secret is not mounted: add slack to notify.secrets",
        ),
        (
            of_slack(json!({ "channel": "C1", "tokenFile": "/run/slack/token" })),
            "notify.config.routes[0].slack.tokenFile is /run/slack/token, where nothing is mounted: a Secret that notify.secrets lists is a folder, so write /secrets/NAME/KEY",
        ),
        (
            of_slack(json!({ "channel": "C1", "tokenFile": "/secrets/slack" })),
            "is /secrets/slack, where nothing is mounted",
        ),
        (
            of_slack(json!({ "channel": "C1", "tokenFile": "/secrets/slack/" })),
            "is /secrets/slack/, where nothing is mounted",
        ),
        (
            route(json!({ "caFile": "/secrets/theirs/ca.crt" })),
            "notify.config.routes[0].caFile is /secrets/theirs/ca.crt, and that Secret is not mounted: add theirs to notify.secrets",
        ),
        (
            r#"notify.authorities.configMap="""#.to_owned(),
            "notify.config.routes[0] (platform) names no caFile, and the image knows no authorities: name a ConfigMap or a Secret with them in notify.authorities",
        ),
        (
            r#"notify.authorities.secret="mine""#.to_owned(),
            "notify.authorities names a ConfigMap and a Secret: leave one",
        ),
        (
            format!(
                "notify.config.routes={}",
                json!([{ "name": "a", "slack": slack }, { "name": "a", "slack": slack }])
            ),
            "notify.config.routes[1].name is a, as of a route before it",
        ),
        (
            of_slack(json!({ "channel": "#general", "tokenFile": "/secrets/slack/token" })),
            "at '/notify/config/routes/0/slack/channel': '#general' does not match",
        ),
        (
            of_slack(json!({ "channel": "C1", "token": "xoxb-1" })),
            "at '/notify/config/routes/0/slack': missing property 'tokenFile'",
        ),
        (of_slack(Value::Null), "at '/notify/config/routes/0/slack': got null"),
        (
            route(json!({ "teams": { "urlFile": "/secrets/slack/token" } })),
            "at '/notify/config/routes/0': 'oneOf' failed",
        ),
        (of_mail(json!({})), "notify.config.routes[0].mail.encryption is none, which takes allowPlain of the route"),
        (
            of_mail(json!({ "username": "a", "passwordFile": "/secrets/slack/token" })),
            "a password is sent to nobody without encryption",
        ),
        (
            of_mail(json!({ "username": "a" })),
            "at '/notify/config/routes/0/mail': properties 'passwordFile' required, if 'username' exists",
        ),
        (of_mail(json!({ "to": ["a@b", "a@b"] })), "at '/notify/config/routes/0/mail/to': items at 0 and 1 are equal"),
        (route(json!({ "name": "A" })), "at '/notify/config/routes/0/name': 'A' does not match"),
        (route(json!({ "events": [] })), "at '/notify/config/routes/0/events': minItems"),
        (route(json!({ "events": ["Wait"] })), "at '/notify/config/routes/0/events/0': value must be one of"),
        (route(json!({ "minRisk": "high" })), "at '/notify/config/routes/0/minRisk': value must be one of"),
        (
            route(json!({ "allowPrivate": ["10.0.0.0"] })),
            "at '/notify/config/routes/0/allowPrivate/0': '10.0.0.0' does not match",
        ),
        (
            route(json!({ "event": ["Waits"] })),
            "at '/notify/config/routes/0': additional properties 'event' not allowed",
        ),
        (r#"notify.config.link="http://page""#.to_owned(), "at '/notify/config/link': 'http://page' does not match"),
        (r#"notify.config.endsSoon="soon""#.to_owned(), "at '/notify/config/endsSoon': 'soon' does not match"),
        (r#"notify.secrets=["a/b"]"#.to_owned(), "at '/notify/secrets/0': 'a/b' does not match"),
        ("notify.replicas=0".to_owned(), "at '/notify/replicas': minimum: got 0, want 1"),
    ] {
        let args = ["template", "daypass", &chart(), "-n", NAMESPACE, "--set-json", &sound, "--set-json", &set];
        let refusal = control_plane.helm_refused(&args).await;
        assert!(refusal.contains(words), "{set}: {refusal}");
    }
    // Who speaks no TLS needs no authorities.
    for place in [("mail", &mail), ("slack", &slack)] {
        let route = json!({ "name": "a", "allowPlain": true, place.0: place.1 });
        let set = format!("notify.config.routes={}", json!([route]));
        render(&control_plane, &["--set", &VALUES[..2].join(","), "--set-json", &set]).await;
    }
}

/// What the chart lets through, the program reads, for each provider; its words are those of the program.
pub async fn writes_what_the_program_reads(control_plane: Arc<ControlPlane>) {
    let objects = render(&control_plane, &["-f", &all_providers()]).await;
    let map = find(&objects, "ConfigMap", NOTIFIER).expect("the file of routes");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), map["data"]["notify.yaml"].as_str().expect("a text")).expect("write the routes");
    let settings = NotifyConfig::read(file.path()).expect("routes that the program takes");
    let names: Vec<&str> = settings.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["platform", "security", "in-house", "leads", "on-call", "siem"]);
}

pub fn schema_has_the_words_of_the_program() -> Result<(), Failed> {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(folder().join("values.schema.json"))?)?;
    let route = &schema["properties"]["notify"]["properties"]["config"]["properties"]["routes"]["items"]["properties"];
    let levels: Vec<&str> = RiskLevel::ALL.iter().map(|level| level.as_str()).collect();
    assert_eq!(route["events"]["items"]["enum"], json!(NoticeTopic::ALL));
    assert_eq!(route["minRisk"]["enum"], json!(levels));
    Ok(())
}

/// Helm merges what it made, what it makes and what is there: of the state it only ever made the name.
pub async fn an_upgrade_keeps_what_was_told(control_plane: Arc<ControlPlane>) {
    let (chart, admin) = (chart(), control_plane.kubectl(ADMIN));
    let on = VALUES.join(",");
    let helm = async |verb: &[&str], more: &[&str]| {
        let release = ["daypass", &chart, "-n", NAMESPACE, "--create-namespace", "--set", &on];
        control_plane.helm(&[verb, &release[..], more].concat()).await
    };
    helm(&["install"], &[]).await;
    let pod = NotifierPod::of(&control_plane, &control_plane.dir().join("notifier")).await;
    let settings = NotifyConfig::read(&pod.routes()).expect("the routes of the pod");
    assert_eq!(settings.routes[0].name, "platform");
    assert!(pod.args[0].ends_with("/notifier/etc/daypass-notify/notify.yaml"), "{:?}", pod.args);
    assert!(pod.env[0].1.ends_with("/notifier/authorities/ca.crt"), "{:?}", pod.env);
    let token = pod.token(&control_plane).await;
    let notifier = control_plane.kubectl_with(&control_plane.kubeconfig_for_token("notifier", &token));
    let told = r#"{"data":{"since":"2026-11-23T12:00:00Z","dead":"[]"}}"#;
    let patch = ["patch", "configmap", STATE, "-n", NAMESPACE, "--type=merge", "-p", told];
    eventually("it writes what it told", SOON, async || {
        let output = notifier.run(&patch).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    let stored = async || admin.ok(&["get", "configmap", STATE, "-n", NAMESPACE, "-o", "jsonpath={.data}"]).await;
    let before = stored().await;
    assert!(before.contains("since"), "{before}");
    // With changes around it and in its own labels, as Helm does by default and as earlier versions of it did.
    for how in [&["--server-side=true"][..], &["--server-side=false"], &["--server-side=true", "--force-conflicts"]] {
        let change = ["--set", "notify.replicas=2,notify.config.endsSoon=20m"];
        helm(&["upgrade"], &[how, &change].concat()).await;
        assert_eq!(stored().await, before, "{how:?}");
        helm(&["upgrade"], how).await;
        assert_eq!(stored().await, before, "{how:?}");
    }
    control_plane.helm(&["rollback", "daypass", "1", "-n", NAMESPACE]).await;
    assert_eq!(stored().await, before, "by a rollback");
    let objects = render(&control_plane, &["--set", &on]).await;
    let made = find(&objects, "ConfigMap", STATE).expect("the ConfigMap of the state").to_string();
    admin.apply(&made).await;
    admin.apply(&made).await;
    assert_eq!(stored().await, before, "by kubectl apply");
}
