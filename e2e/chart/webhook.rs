//! What the chart writes identities with: an admission policy where the cluster has the kind, and else a webhook, with its
//! certificate.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{chart, chooses, find, render, rights_of};
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, install};

/// What a render writes identities with: versions of MutatingAdmissionPolicy, and webhooks.
fn stamps_of(objects: &[Value]) -> BTreeSet<String> {
    let kinds = ["MutatingAdmissionPolicy", "MutatingWebhookConfiguration"];
    let ours = objects.iter().filter(|object| kinds.iter().any(|kind| object["kind"] == *kind));
    ours.map(|object| format!("{} {}", object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()))
        .collect()
}

pub async fn stamps(control_plane: Arc<ControlPlane>) {
    const V1: &str = "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy";
    const V1BETA1: &str = "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicy";
    const WEBHOOK: &str = "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration";
    // Without the kind of the guards nothing is rendered.
    let neither = "v1/Pod,admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";
    let served = &format!("{neither},admissionregistration.k8s.io/v1/MutatingAdmissionPolicy");
    let beta = &format!("{neither},admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy");
    for (args, expected) in [
        (vec!["--kube-version=v1.33.0"], Some(WEBHOOK)),
        (vec!["--kube-version=v1.35.4"], Some(WEBHOOK)),
        (vec!["--kube-version=v1.36.0"], Some(V1)),
        (vec!["--kube-version=v1.37.2"], Some(V1)),
        // What the cluster serves goes before its version.
        (vec!["--kube-version=v1.36.0", "--api-versions", neither], Some(WEBHOOK)),
        (vec!["--kube-version=v1.35.0", "--api-versions", served], Some(V1)),
        (vec!["--kube-version=v1.35.0", "--api-versions", beta], Some(WEBHOOK)),
        (vec!["--kube-version=v1.35.0", "--api-versions", beta, "--set=identity.stamp=policy"], Some(V1BETA1)),
        (vec!["--kube-version=v1.34.0", "--set=identity.stamp=policy"], Some(V1BETA1)),
        (vec!["--kube-version=v1.36.0", "--set=identity.stamp=webhook"], Some(WEBHOOK)),
        (vec!["--kube-version=v1.33.0", "--set=identity.stamp=off"], None),
        // What YAML makes of a bare off.
        (vec!["--kube-version=v1.36.0", "--set-json=identity.stamp=false"], None),
    ] {
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(stamps_of(&render(&control_plane, &args).await), expected, "{args:?}");
    }
}

pub async fn webhook_of_the_chart(control_plane: Arc<ControlPlane>) {
    let set = "identity.stamp=webhook,networkPolicy.enabled=true,networkPolicy.apiServerCIDRs={10.0.0.0/28}";
    let objects = render(&control_plane, &["--set", set]).await;
    let named = |kind: &str| find(&objects, kind, "daypass-stamp").unwrap_or_else(|| panic!("no {kind} daypass-stamp"));
    assert_eq!(rights_of(&objects, "daypass-stamp"), Vec::<String>::new());
    assert_eq!(named("ServiceAccount")["automountServiceAccountToken"], false);
    let pod = &named("Deployment")["spec"]["template"];
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["serviceAccountName"], "daypass-stamp");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    let (webhook, controller) = (&pod["metadata"]["labels"], find(&objects, "Deployment", "daypass").unwrap());
    let controller = &controller["spec"]["template"]["metadata"]["labels"];
    let network = &named("NetworkPolicy")["spec"];
    let apart = &pod["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    for selector in [
        &named("Deployment")["spec"]["selector"]["matchLabels"],
        &named("Service")["spec"]["selector"],
        &named("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &network["podSelector"]["matchLabels"],
        &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        &apart["podAffinityTerm"]["labelSelector"]["matchLabels"],
    ] {
        assert!(chooses(selector, webhook) && !chooses(selector, controller), "{selector}");
    }
    let of_controller = &find(&objects, "Service", "-metrics").expect("a Service")["spec"]["selector"];
    assert!(!chooses(of_controller, webhook), "{of_controller}");
    assert_eq!(network["egress"], json!([]));
    assert_eq!(network["ingress"][0]["from"], json!([{ "ipBlock": { "cidr": "10.0.0.0/28" } }]));
    for (nth, operation, resource) in [(0, "CREATE", "accessrequests"), (1, "UPDATE", "accessrequests/status")] {
        let webhook = &named("MutatingWebhookConfiguration")["webhooks"][nth];
        assert_eq!((&webhook["failurePolicy"], &webhook["timeoutSeconds"]), (&json!("Ignore"), &json!(2)));
        assert_eq!(webhook["sideEffects"], "None");
        // Again after others have touched the request, and for whatever version of the kind it is sent as.
        assert_eq!(
            (&webhook["reinvocationPolicy"], &webhook["matchPolicy"]),
            (&json!("IfNeeded"), &json!("Equivalent"))
        );
        let service = json!({ "namespace": "daypass-system", "name": "daypass-stamp", "path": "/stamp", "port": 443 });
        assert_eq!(webhook["clientConfig"]["service"], service);
        let rule = json!({ "apiGroups": ["daypass.dev"], "apiVersions": ["v1alpha1"], "operations": [operation],
            "resources": [resource], "scope": "Namespaced" });
        assert_eq!(webhook["rules"], json!([rule]));
    }
    let bundle = |objects: &[Value]| {
        let configuration = find(objects, "MutatingWebhookConfiguration", "").expect("a configuration").clone();
        (
            configuration["webhooks"][0]["clientConfig"]["caBundle"].clone(),
            configuration["metadata"]["annotations"].clone(),
        )
    };
    let issued = ["--set", "identity.stamp=webhook,identity.webhook.certificate.certManager.enabled=true"];
    let objects = render(&control_plane, &issued).await;
    let injected = json!({ "cert-manager.io/inject-ca-from": "daypass-system/daypass-stamp" });
    assert_eq!(bundle(&objects), (Value::Null, injected));
    let certificate = find(&objects, "Certificate", "daypass-stamp").expect("a Certificate");
    assert_eq!(certificate["spec"]["dnsNames"], json!(["daypass-stamp.daypass-system.svc"]));
    assert_eq!(certificate["spec"]["secretName"], "daypass-stamp");
    assert_eq!(certificate["spec"]["issuerRef"], json!({ "kind": "Issuer", "name": "daypass-stamp-authority" }));
    // An authority that stays when the certificate is renewed.
    let authority = &find(&objects, "Certificate", "daypass-stamp-authority").expect("its authority")["spec"];
    assert_eq!((&authority["isCA"], &authority["secretName"]), (&json!(true), &json!("daypass-stamp-authority")));
    assert_eq!(authority["issuerRef"], json!({ "kind": "Issuer", "name": "daypass-stamp" }));
    let issuer = |name: &str| find(&objects, "Issuer", name).map(|issuer| issuer["spec"].clone());
    assert_eq!(issuer("daypass-stamp"), Some(json!({ "selfSigned": {} })));
    assert_eq!(issuer("daypass-stamp-authority"), Some(json!({ "ca": { "secretName": "daypass-stamp-authority" } })));
    assert!(find(&objects, "Secret", "").is_none());
    let pod = &find(&objects, "Deployment", "daypass-stamp").expect("a Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "daypass-stamp");
    let by_theirs = "identity.webhook.certificate.certManager.issuerRef.kind=ClusterIssuer,identity.webhook.certificate.certManager.issuerRef.name=internal";
    let objects = render(&control_plane, &[&issued[..], &["--set", by_theirs]].concat()).await;
    let certificate = find(&objects, "Certificate", "daypass-stamp").expect("a Certificate");
    assert_eq!(certificate["spec"]["issuerRef"], json!({ "kind": "ClusterIssuer", "name": "internal" }));
    assert!(find(&objects, "Issuer", "").is_none());
    let mine = "identity.webhook.certificate.existingSecret=mine,identity.webhook.certificate.caBundle=-----BEGIN CERTIFICATE-----";
    let objects = render(&control_plane, &["--set", "identity.stamp=webhook", "--set", mine]).await;
    assert_eq!(bundle(&objects).0, "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t");
    let pod = &find(&objects, "Deployment", "daypass-stamp").expect("a Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "mine");
}

/// As Helm would upgrade: it asks the cluster for the certificate that is there.
pub async fn certificate_is_kept(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    let namespace = install::NAMESPACE;
    admin.apply_namespace(namespace).await;
    let chart = chart();
    let upgrade = async || {
        let args =
            ["template", "daypass", &chart, "-n", namespace, "--dry-run=server", "--set", "identity.stamp=webhook"];
        let args =
            [&args[..], &["--set", "crds.install=false", "--show-only", "templates/stamp-webhook.yaml"]].concat();
        let rendered = control_plane.helm(&args).await;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
        let secret = find(&objects, "Secret", "daypass-stamp").expect("a Secret").clone();
        let configuration = find(&objects, "MutatingWebhookConfiguration", "").expect("a configuration");
        let bundle =
            configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().expect("an authority").to_owned();
        (secret, bundle)
    };
    let (first, trusted) = upgrade().await;
    assert_eq!(first["data"]["ca.crt"], json!(trusted));
    let mut owned = first.clone();
    // As Helm stores it; it takes over nothing else.
    owned["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("daypass");
    owned["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
    admin.apply(&owned.to_string()).await;
    let (kept, bundle) = upgrade().await;
    assert_eq!((&kept["data"], &bundle), (&first["data"], &trusted));
    let past = "daypass.dev/renew-after=1700000000";
    admin.ok(&["annotate", "secret", "daypass-stamp", "-n", namespace, "--overwrite", past]).await;
    let (renewed, bundle) = upgrade().await;
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        assert_ne!(renewed["data"][file], first["data"][file], "{file}");
    }
    // Pods that have not taken up the new one yet are still trusted.
    let decoded = |base64: &Value| -> String {
        let bytes: k8s_openapi::ByteString = serde_json::from_value(base64.clone()).expect("base64");
        String::from_utf8(bytes.0).expect("PEM")
    };
    let both = format!("{}{}", decoded(&renewed["data"]["ca.crt"]), decoded(&first["data"]["ca.crt"]));
    assert_eq!(decoded(&json!(bundle)), both);
}
