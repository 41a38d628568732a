//! The chart renders what it should, refuses values that would be unsafe, and gives the controller no right
//! beyond its list. Nothing here is installed.

mod archive;
pub mod metrics;
mod notify;
mod page;
mod readers;
mod states;
mod tail;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::harness::servers::AUDIT_POLICY;
use crate::harness::{ControlPlane, alone, bare, binaries, install};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("chart::is_clean_and_refuses_unsafe_values", refuses_unsafe_values),
        bare("chart::two_replicas_run_and_one_is_always_ready", two_replicas),
        bare("chart::the_controller_has_only_the_rights_of_its_list", rights_of_the_controller),
        bare("chart::readers_see_policies_and_the_bindable_roles_alone", readers::see_what_decides),
        bare("chart::evictions_are_free_while_a_budget_leaves_a_pod", evictions),
        bare("chart::policies_hand_out_only_what_is_bindable", policies_hand_out_only_what_is_bindable),
        bare("chart::what_chooses_pods_chooses_the_controllers", what_chooses_pods_chooses_the_controllers),
        bare("chart::what_values_say_of_places_goes_before_its_own", places),
        bare("chart::identities_are_written_in_the_way_that_the_cluster_has", webhook::stamps),
        bare("chart::the_webhook_has_no_rights_and_only_its_pods", webhook::webhook_of_the_chart),
        alone("chart::the_certificate_of_the_webhook_is_kept_and_renewed", AUDIT_POLICY, webhook::certificate_is_kept),
        bare("chart::the_archive_is_what_its_values_say", archive::is_what_its_values_say),
        bare("chart::the_tail_has_no_right_and_reads_one_folder", tail::has_no_right_and_reads_one_folder),
        bare("chart::feeds_are_written_as_the_program_reads_them", tail::feeds_are_written_as_the_program_reads_them),
        bare("chart::the_notifier_is_what_its_values_say", notify::is_what_its_values_say),
        bare("chart::the_notifier_has_only_the_rights_of_its_list", notify::has_only_the_rights_of_its_list),
        bare("chart::the_notifier_reaches_what_its_routes_name", notify::reaches_what_its_routes_name),
        bare("chart::routes_that_cannot_work_are_refused_by_field", notify::refuses_routes_that_cannot_work),
        bare("chart::routes_are_written_as_the_program_reads_them", notify::writes_what_the_program_reads),
        Trial::test("chart::the_words_of_routes_are_those_of_the_program", notify::schema_has_the_words_of_the_program),
        alone("chart::an_upgrade_keeps_what_was_told", AUDIT_POLICY, notify::an_upgrade_keeps_what_was_told),
        bare("chart::the_page_is_what_its_values_say", page::is_what_its_values_say),
        alone(
            "chart::the_account_of_the_page_may_do_nothing",
            AUDIT_POLICY,
            page::has_an_account_that_nobody_lets_do_anything,
        ),
        bare("chart::the_page_is_called_by_the_proxy_alone", page::is_called_by_the_proxy_alone),
        bare("chart::values_of_the_page_that_cannot_work_are_refused_by_field", page::refuses_values_that_cannot_work),
        bare("chart::what_speaks_of_states_knows_all_of_them", states::knows_all_states),
        Trial::test("chart::every_value_is_described_and_closed", every_value_is_described),
        Trial::test("chart::alerts_and_dashboard_ask_for_metrics_that_there_are", metrics::asks_for_known_metrics),
        Trial::test("chart::every_metric_has_a_panel", metrics::every_metric_has_a_panel),
    ]
}

/// Where the chart is.
pub fn chart() -> String {
    folder().display().to_string()
}

fn folder() -> PathBuf {
    binaries::repository().join("charts/daypass")
}

/// What the chart renders with these arguments.
pub async fn render(control_plane: &ControlPlane, args: &[&str]) -> Vec<Value> {
    let chart = chart();
    let rendered =
        control_plane.helm(&[&["template", "daypass", &chart, "-n", install::NAMESPACE], args].concat()).await;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

/// The object of a kind whose name ends so; an empty end takes the first.
pub fn find<'a>(objects: &'a [Value], kind: &str, end: &str) -> Option<&'a Value> {
    let named = |object: &&Value| object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with(end));
    objects.iter().filter(|object| object["kind"] == kind).find(named)
}

async fn refuses_unsafe_values(control_plane: Arc<ControlPlane>) {
    control_plane.helm(&["lint", "--strict", &chart()]).await;
    for (value, words) in [
        (
            "selfGuard.managers={system:serviceaccounts:*}",
            "at '/selfGuard/managers/0': 'system:serviceaccounts:*' does not match pattern",
        ),
        ("selfGuard.managers={system:anonymous}", "at '/selfGuard/managers/0': 'not' failed"),
        ("bindableClusterRoles={*}", "at '/bindableClusterRoles/0': '*' does not match pattern"),
        ("watchNamespaces={team-*}", "at '/watchNamespaces/0': 'team-*' does not match pattern"),
        ("watchNamespaces={shop,shop}", "at '/watchNamespaces': items at 0 and 1 are equal"),
        ("readers.subjects[0].kind=Group,readers.subjects[0].name=dev-*", "at '/readers/subjects/0/name'"),
        ("readers.subjects[0].kind=User,readers.subjects[0].name=system:anonymous", "at '/readers/subjects/0/name'"),
        ("readers.subjects[0].kind=ServiceAccount,readers.subjects[0].name=ci", "missing property 'namespace'"),
        ("readers.subject=dev", "at '/readers': additional properties 'subject' not allowed"),
        ("replicaCount=2", "at '': additional properties 'replicaCount' not allowed"),
        ("identity.stamp=maybe", "at '/identity/stamp': value must be one of"),
        ("identity.mutatingAdmissionPolicy=v1", "additional properties 'mutatingAdmissionPolicy' not allowed"),
        ("identity.webhook.replicas=0", "at '/identity/webhook/replicas': minimum: got 0, want 1"),
        ("identity.webhook.certificate.caBundle=secret", "at '/identity/webhook/certificate/caBundle'"),
        (
            "identity.stamp=webhook,identity.webhook.certificate.existingSecret=mine",
            "nothing says who signed it: set identity.webhook.certificate.caBundle",
        ),
        (
            "identity.stamp=webhook,identity.webhook.certificate.existingSecret=mine,identity.webhook.certificate.certManager.enabled=true",
            "existingSecret and certManager.enabled cannot both be",
        ),
        ("image.tags=1", "at '/image': additional properties 'tags' not allowed"),
        ("metrics.service.enabld=true", "at '/metrics/service': additional properties 'enabld' not allowed"),
        ("resources.requests.cpu=true", "at '/resources/requests/cpu': got boolean"),
        ("networkPolicy.apiServerPorts={https}", "at '/networkPolicy/apiServerPorts/0': got string, want integer"),
        ("podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"),
        ("nodeLossTolerationSeconds=0", "at '/nodeLossTolerationSeconds': minimum: got 0, want 1"),
        ("tolerations[0].kee=a", "at '/tolerations/0': additional properties 'kee' not allowed"),
        (
            "metrics.service.enabled=false,metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.force=true",
            "metrics.serviceMonitor.enabled needs metrics.service.enabled",
        ),
        ("records.cloudEvents.url=collector", "at '/records/cloudEvents/url'"),
        ("records.cloudEvents.url=http://collector/", "name a Secret in records.cloudEvents.secretName"),
        (
            "records.cloudEvents.url=https://c/,records.cloudEvents.secretName=a",
            "ca.crt in records.cloudEvents.caSecret",
        ),
        ("leaderElection.leaseDuration=10s", "leaseDuration"),
        ("leaderElection.retryPeriod=6s", "retryPeriod"),
        ("leaderElection.leaseDuration=15", "leaseDuration"),
    ] {
        let refusal = control_plane.helm_refused(&["template", "daypass", &chart(), "--set", value]).await;
        assert!(refusal.contains(words), "{value}: {refusal}");
    }
    // The self-guard would keep the rest of the cluster out of it.
    let refusal = control_plane.helm_refused(&["template", "daypass", &chart(), "-n", "kube-system"]).await;
    assert!(refusal.contains("install it into a namespace of its own"), "{refusal}");
}

async fn two_replicas(control_plane: Arc<ControlPlane>) {
    let args = ["template", "daypass", &chart(), "-n", install::NAMESPACE, "--set", "clusterName=eu-1"];
    let objects: Vec<Value> = serde_saphyr::from_multiple(&control_plane.helm(&args).await).expect("YAML");
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } });
    assert_eq!(deployment["spec"]["strategy"], rolling);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    for flag in ["--cluster=eu-1", "--lease-duration=15s", "--lease-renew-deadline=10s", "--lease-retry=2s"] {
        assert!(args.contains(&flag), "{flag} is not in {args:?}");
    }
    // The name that it stands for election in.
    let named = container["env"].as_array().expect("variables").iter().find(|variable| variable["name"] == "POD_NAME");
    assert_eq!(named.expect("POD_NAME")["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
}

async fn evictions(control_plane: Arc<ControlPlane>) {
    for (value, free) in [
        ("replicas=2", true),
        ("replicas=1", false),
        ("podDisruptionBudget.enabled=false", false),
        ("podDisruptionBudget.maxUnavailable=2", false),
        ("replicas=3,podDisruptionBudget.maxUnavailable=2", true),
        // Of two pods, half is one, and a little more is both.
        ("podDisruptionBudget.maxUnavailable=50%", true),
        ("podDisruptionBudget.maxUnavailable=51%", false),
    ] {
        let objects = render(&control_plane, &["--set", value]).await;
        let guard = find(&objects, "ValidatingAdmissionPolicy", "-self-guard").expect("the self-guard");
        let conditions = guard["spec"]["matchConditions"].as_array().expect("conditions");
        assert_eq!(conditions.iter().any(|condition| condition["name"] == "not-an-eviction"), free, "{value}");
    }
}

/// What the bindings of the chart give to one of its service accounts, `here` where only in its namespace.
pub fn rights_of(objects: &[Value], account: &str) -> Vec<String> {
    let of_account = |binding: &&Value| binding["subjects"].as_array().is_some_and(|s| s[0]["name"] == account);
    let mut rights = Vec::new();
    for binding in objects.iter().filter(of_account) {
        let is_role =
            |o: &&Value| o["kind"] == binding["roleRef"]["kind"] && o["metadata"]["name"] == binding["roleRef"]["name"];
        let role = objects.iter().find(is_role).expect("a role of the chart");
        let here = if binding["kind"] == "RoleBinding" { "here: " } else { "" };
        for rule in role["rules"].as_array().expect("rules") {
            let texts = |key: &str| -> Vec<String> {
                rule[key].as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
            };
            let names = texts("resourceNames").join(",");
            for resource in texts("resources") {
                rights.push(format!("{here}{resource}: {} {names}", texts("verbs").join(",")).trim_end().to_owned());
            }
        }
    }
    rights.sort();
    rights
}

async fn rights_of_the_controller(control_plane: Arc<ControlPlane>) {
    let objects = render(&control_plane, &["--set", "bindableRoles={deployer}"]).await;
    let rights = rights_of(&objects, "daypass");
    // A new right must be added here too, with a reason in the chart.
    let expected = [
        "accesspolicies/status: patch",
        "accesspolicies: list,watch",
        "accessrequests/status: patch",
        "accessrequests: get,list,watch",
        "clusterrolebindings: get,list,watch,create,update,delete",
        "clusterroles: bind view,edit",
        "clusterroles: get,list,watch,create,update,delete",
        "events: create",
        "here: leases: create",
        "here: leases: get,update daypass",
        "here: serviceaccounts/token: create daypass-canary",
        "namespaces: list,watch",
        "rolebindings: get,list,watch,create,update,delete",
        "roles: bind deployer",
        "roles: get,list,watch,create,update,delete",
        "validatingadmissionpolicies: list,watch",
        "validatingadmissionpolicybindings: list,watch",
    ];
    assert_eq!(json!(rights), json!(expected));
    // The canary can bind the role that its forged binding names to itself, so that has nothing in it.
    let expected = [
        "here: accessrequests/status: patch daypass-canary",
        "here: accessrequests: create",
        "here: accessrequests: get,patch daypass-canary",
        "here: configmaps: create",
        "here: leases: patch daypass",
        "here: rolebindings: create",
    ];
    assert_eq!(json!(rights_of(&objects, "daypass-canary")), json!(expected));
    let empty = objects.iter().find(|o| o["kind"] == "Role" && o["metadata"]["name"] == "daypass-canary");
    assert_eq!(empty.expect("the canary's Role")["rules"], json!([]));
    // An empty resourceNames would mean every role.
    let rendered = json!(render(&control_plane, &["--set-json", "bindableClusterRoles=[]"]).await).to_string();
    assert!(!rendered.contains(r#""resourceNames":[]"#), "an empty list must not be rendered");
}

/// A policy in values, with one role.
fn policy_with(role: Value, more: (&str, Value)) -> String {
    let mut spec = json!({
        "requesters": [{ "kind": "Group", "name": "dev" }],
        "roles": [role],
        "scope": { "namespaces": ["shop"] },
        "duration": { "max": "1h" }
    });
    spec[more.0] = more.1;
    format!("policies={}", json!({ "shop": spec }))
}

async fn policies_hand_out_only_what_is_bindable(control_plane: Arc<ControlPlane>) {
    let nothing = || ("description", json!("a trial"));
    let approval = json!({ "stages": [{ "name": "leads", "aprovers": [] }] });
    for (policy, words) in [
        (
            policy_with(json!({ "name": "admin" }), nothing()),
            r#"policies.shop lists ClusterRole "admin", which the controller may not bind: add it to bindableClusterRoles (now: view, edit), or take it out of the policy"#,
        ),
        (
            // A ClusterRole of this name is bindable, a Role is not.
            policy_with(json!({ "kind": "Role", "name": "view" }), nothing()),
            r#"policies.shop lists Role "view", which the controller may not bind: add it to bindableRoles (now: none), or take it out of the policy"#,
        ),
        (
            policy_with(json!({ "name": "view" }), ("aproval", json!({}))),
            "policies.shop.aproval: there is no such field; here can stand: approval, breakGlass",
        ),
        (
            policy_with(json!({ "name": "view" }), ("approval", approval)),
            "policies.shop.approval.stages[0].aprovers: there is no such field; here can stand: approvers",
        ),
    ] {
        let refusal = control_plane.helm_refused(&["template", "daypass", &chart(), "--set-json", &policy]).await;
        assert!(refusal.contains(words), "{policy}: {refusal}");
    }
    // A policy that denies hands nothing out, and may name any role.
    let mut denies: Value =
        serde_json::from_str(&policy_with(json!({ "name": "admin" }), ("effect", json!("Deny")))["policies=".len()..])
            .expect("JSON");
    denies["shop"].as_object_mut().expect("a spec").remove("duration");
    let set = format!("policies={denies}");
    // Guards of earlier versions, in force while an upgrade writes this, refuse a kind that is left out.
    denies["shop"]["roles"][0]["kind"] = json!("ClusterRole");
    let objects = render(&control_plane, &["--set-json", &set, "--set", "bindableRoles={deployer}"]).await;
    assert_eq!(find(&objects, "AccessPolicy", "shop").expect("the policy")["spec"], denies["shop"]);
}

/// Whether labels have all of a selector's.
pub fn chooses(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector");
    assert!(!wanted.is_empty(), "an empty selector chooses everything");
    wanted.iter().all(|(key, value)| labels[key] == *value)
}

async fn what_chooses_pods_chooses_the_controllers(control_plane: Arc<ControlPlane>) {
    let all = "networkPolicy.enabled=true,networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus,\
               metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.force=true";
    let of = async |replicas: &str| {
        render(&control_plane, &["--skip-schema-validation", "--set", all, "--set", replicas]).await
    };
    let objects = of("replicas=2").await;
    let named = |kind: &str, end: &str| find(&objects, kind, end).unwrap_or_else(|| panic!("{kind} {end}"));
    let pod = &named("Deployment", "daypass")["spec"]["template"];
    let (labels, test) = (&pod["metadata"]["labels"], &named("Pod", "-test-ready")["metadata"]["labels"]);
    let (service, network) = (named("Service", "-metrics"), &named("NetworkPolicy", "daypass")["spec"]);
    let apart = &pod["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    let apart = &apart["podAffinityTerm"];
    let selectors = [
        &service["spec"]["selector"],
        &network["podSelector"]["matchLabels"],
        &named("PodDisruptionBudget", "daypass")["spec"]["selector"]["matchLabels"],
        &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        &apart["labelSelector"]["matchLabels"],
    ];
    for selector in selectors {
        assert!(chooses(selector, labels), "{selector} does not choose {labels}");
        assert!(!chooses(selector, test), "{selector} chooses what helm test runs");
    }
    let monitor = &named("ServiceMonitor", "daypass")["spec"];
    assert!(chooses(&monitor["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let port = &service["spec"]["ports"][0];
    assert_eq!(monitor["endpoints"][0]["port"], port["name"]);
    let container = &pod["spec"]["containers"][0]["ports"][0];
    assert_eq!(container["name"], "http");
    for target in [&port["targetPort"], &network["ingress"][0]["ports"][0]["port"]] {
        assert_eq!(*target, container["name"]);
    }
    let asks = format!(
        "--url=http://{}.daypass-system:{}/readyz",
        service["metadata"]["name"].as_str().unwrap(),
        port["port"]
    );
    assert_eq!(named("Pod", "-test-ready")["spec"]["containers"][0]["args"][1], json!(asks));
    // Who is let in to fetch metrics must not keep `helm test` out.
    let from = &network["ingress"][0]["from"];
    assert!(chooses(&from[1]["podSelector"]["matchLabels"], test), "{from}");
    assert!(find(&of("replicas=1").await, "PodDisruptionBudget", "").is_none(), "one pod has no budget");
}

/// Beside affinity and tolerations of the values the chart keeps its own, but for what the values say otherwise.
async fn places(control_plane: Arc<ControlPlane>) {
    let pod_with = async |value: &str| {
        let objects = render(&control_plane, &["--set-json", value]).await;
        find(&objects, "Deployment", "daypass").expect("a Deployment")["spec"]["template"]["spec"].clone()
    };
    let usual = pod_with("replicas=2").await;
    assert!(usual["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].is_array());
    let node_affinity = json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [] } });
    let more = pod_with(&format!("affinity={node_affinity}")).await["affinity"].clone();
    assert_eq!(more["nodeAffinity"], node_affinity["nodeAffinity"]);
    assert_eq!(more["podAntiAffinity"], usual["affinity"]["podAntiAffinity"]);
    let none = pod_with(r#"affinity={"podAntiAffinity":{}}"#).await;
    assert_eq!(none["affinity"], json!({ "podAntiAffinity": {} }));

    let lost = |taint: &str, seconds: u32| {
        let key = format!("node.kubernetes.io/{taint}");
        json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds })
    };
    let control = json!({ "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" });
    for (value, expected) in [
        ("replicas=2".to_owned(), json!([lost("not-ready", 30), lost("unreachable", 30)])),
        ("nodeLossTolerationSeconds=60".to_owned(), json!([lost("not-ready", 60), lost("unreachable", 60)])),
        (
            format!("tolerations={}", json!([control, lost("unreachable", 5)])),
            json!([control, lost("unreachable", 5), lost("not-ready", 30)]),
        ),
    ] {
        assert_eq!(pod_with(&value).await["tolerations"], expected, "{value}");
    }
}

/// A container that writes nothing of its image, gains no rights, has no capability and is nobody.
fn is_confined(pod: &Value, container: &Value) {
    let security = &container["securityContext"];
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&security["capabilities"]["drop"], &pod["securityContext"]["runAsUser"]),
        (&json!(["ALL"]), &json!(65532))
    );
}

/// Every object of the schema is closed, every value has a description, and values.yaml names every value.
fn every_value_is_described() -> Result<(), Failed> {
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).expect("read the chart");
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("JSON");
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).expect("YAML");
    let mut faults = Vec::new();
    describe("", &schema, Some(&values), &mut faults);
    for (name, definition) in schema["definitions"].as_object().expect("definitions") {
        describe(&format!(" definition {name}"), definition, None, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

fn describe(at: &str, schema: &Value, values: Option<&Value>, faults: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(str::is_empty) {
        faults.push(format!("{at}: no description"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            faults.push(format!("{at}: other keys are let through"));
        }
        for (key, property) in properties {
            // An empty map in values.yaml stands for all that it can hold.
            let inside = values.and_then(Value::as_object).filter(|map| !map.is_empty());
            let value = inside.and_then(|map| map.get(key));
            if inside.is_some() && value.is_none() && !matches!(key.as_str(), "global" | "claims") {
                faults.push(format!("{at}.{key}: not in values.yaml"));
            }
            describe(&format!("{at}.{key}"), property, value, faults);
        }
    }
    for nested in ["items", "additionalProperties"] {
        if schema[nested].is_object() {
            describe(&format!("{at}.{nested}"), &schema[nested], None, faults);
        }
    }
}
