//! `make cert-manager-check`: cert-manager at work on the certificate of the webhook. Its controller and its cainjector run
//! with the accounts and the rights of its own chart, beside the self-guard, on a control plane of their own. What the
//! self-guard refuses cert-manager in every other case is for `identity_ways::cert_manager_writes_its_own_and_nothing_else`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use crate::harness::cast::{self, SOON};
use crate::harness::install::NAMESPACE;
use crate::harness::process::Process;
use crate::harness::servers::free_ports;
use crate::harness::users::{ADMIN, MALLORY};
use crate::harness::{ControlPlane, Daypass, eventually, trial, webhook};

/// Where cert-manager is installed, as the chart of Daypass believes by default.
const ITS_NAMESPACE: &str = "cert-manager";
/// What of its chart is applied. Its pods are run as processes, and its webhooks only look at its own objects.
const APPLIED: [&str; 6] =
    ["CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
const LIMIT: Duration = Duration::from_secs(300);

/// Checks with this checkout of cert-manager and the folder of its programs; fails by a panic.
pub fn run(args: &[String]) -> ExitCode {
    let [checkout, programs] = args else {
        eprintln!("which cert-manager? `make cert-manager-check` knows");
        return ExitCode::FAILURE;
    };
    let checked = async { tokio::time::timeout(LIMIT, check(Path::new(checkout), Path::new(programs))).await };
    trial::runtime().block_on(checked).expect("an end in time");
    ExitCode::SUCCESS
}

async fn check(checkout: &Path, programs: &Path) {
    let control_plane = ControlPlane::start().await;
    let admin = control_plane.kubectl(ADMIN);
    install(&control_plane, checkout).await;
    let values = ["identity.stamp=webhook", "identity.webhook.certificate.certManager.enabled=true"];
    Daypass::apply(&control_plane, &values).await;
    cast::give_rights(&admin).await;
    let mut running = [
        start(&control_plane, programs, "controller", "cert-manager").await,
        start(&control_plane, programs, "cainjector", "cert-manager-cainjector").await,
    ];

    let first = announced(&control_plane, &mut running, None).await;
    println!("cert-manager made the certificate, and wrote its authority into the configuration of the webhook");
    control_plane.run_webhook().await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    println!("the API server trusts the webhook, and requests are stamped");

    renew(&control_plane).await;
    let second = announced(&control_plane, &mut running, Some(&first)).await;
    assert_ne!(second.key, first.key, "the key is still the old one");
    // A kubelet mounts a changed Secret a while later, and until then the webhook has the old one.
    assert_eq!(second.authority, first.authority, "before 1.19, cert-manager would have left only the new authority");
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    webhook::mount_certificate(&control_plane).await;
    eventually("the running webhook takes it up", SOON, async || {
        let log = control_plane.webhook_log().await;
        if log.contains("the certificate has changed and is in use") { Ok(()) } else { Err(log) }
    })
    .await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    println!("it renewed the certificate with a new key, and the running webhook took it up");
    for process in &running {
        assert!(!process.log().contains("daypass-self-guard"), "{}", process.log_tail(40));
    }

    foreign(&control_plane, &running[0]).await;
    println!("the self-guard refused it a certificate that is not the webhook's");
}

/// Definitions, accounts and rights of its own chart.
async fn install(control_plane: &ControlPlane, checkout: &Path) {
    let admin = control_plane.kubectl(ADMIN);
    let chart = checkout.join("deploy/charts/cert-manager").display().to_string();
    let args = ["template", "cert-manager", &chart, "-n", ITS_NAMESPACE, "--no-hooks", "--set", "crds.enabled=true"];
    let rendered: Vec<Value> = serde_saphyr::from_multiple(&control_plane.helm(&args).await).expect("YAML");
    let objects = rendered.into_iter().filter(|object| APPLIED.iter().any(|kind| object["kind"] == *kind));
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>() });
    admin.apply_namespace(ITS_NAMESPACE).await;
    admin.apply_server_side(&list.to_string()).await;
    admin.until_established().await;
}

/// Starts one of its programs with a token of its account.
async fn start(control_plane: &ControlPlane, programs: &Path, name: &str, account: &str) -> Process {
    let program: PathBuf = programs.join(name);
    assert!(program.is_file(), "there is no {}: `make cert-manager-check` builds it", program.display());
    let admin = control_plane.kubectl(ADMIN);
    let token = admin.ok(&["create", "token", account, "-n", ITS_NAMESPACE, "--duration=1h"]).await;
    let kubeconfig = control_plane.kubeconfig_for_token(account, token.trim());
    let [metrics] = free_ports();
    let mut args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        format!("--metrics-listen-address=127.0.0.1:{metrics}"),
    ];
    if name == "controller" {
        let [health] = free_ports();
        args.push(format!("--internal-healthz-listen-address=127.0.0.1:{health}"));
        args.push(format!("--cluster-resource-namespace={ITS_NAMESPACE}"));
    }
    // The cainjector looks there and not at its flag.
    let env = [("KUBECONFIG", kubeconfig.to_str().expect("a path in UTF-8"))];
    Process::spawn(control_plane.dir(), &format!("cert-manager-{name}"), &program, &args, &env)
}

/// What the Secret of the webhook holds.
#[derive(Debug, PartialEq)]
struct Issued {
    authority: ByteString,
    certificate: ByteString,
    key: ByteString,
}

/// Waits until there is a certificate, another one than the last, and every webhook of the configuration trusts its
/// authority.
async fn announced(control_plane: &ControlPlane, running: &mut [Process], last: Option<&Issued>) -> Issued {
    let client = control_plane.client(ADMIN).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client);
    let now = async || -> Result<Issued, String> {
        let secret = secrets.get(webhook::NAME).await.map_err(|error| error.to_string())?;
        let data = secret.data.unwrap_or_default();
        let of = |file: &str| data.get(file).cloned().ok_or_else(|| format!("the Secret has no {file}"));
        let issued = Issued { authority: of("ca.crt")?, certificate: of("tls.crt")?, key: of("tls.key")? };
        if last.is_some_and(|last| last.certificate == issued.certificate) {
            return Err("it is still the last certificate".to_owned());
        }
        let webhooks = configurations.get(webhook::NAME).await.map_err(|error| error.to_string())?.webhooks;
        let webhooks = webhooks.unwrap_or_default();
        // cert-manager keeps the authority before it there as well, if that was another.
        let text = |bytes: &ByteString| String::from_utf8_lossy(&bytes.0).into_owned();
        let authority = text(&issued.authority);
        let trusted = |bundle: &Option<ByteString>| bundle.as_ref().is_some_and(|b| text(b).contains(authority.trim()));
        if webhooks.len() == 2 && webhooks.iter().all(|webhook| trusted(&webhook.client_config.ca_bundle)) {
            Ok(issued)
        } else {
            Err("the configuration does not have its authority".to_owned())
        }
    };
    eventually("cert-manager issues a certificate and announces its authority", SOON, async || {
        if let Some(end) = running.iter_mut().find_map(Process::gone) {
            panic!("{end}");
        }
        now().await.map(drop)
    })
    .await;
    now().await.expect("the certificate that was just there")
}

/// Asks for a new certificate as `cmctl renew` does.
async fn renew(control_plane: &ControlPlane) {
    let issuing = json!({
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renewed by hand",
        "lastTransitionTime": "2026-01-01T00:00:00Z"
    });
    let patch = json!({ "status": { "conditions": [issuing] } }).to_string();
    let certificate = ["patch", "certificate.cert-manager.io", webhook::NAME, "-n", NAMESPACE];
    let how = ["--subresource=status", "--type=merge", "-p", &patch];
    control_plane.kubectl(ADMIN).ok(&[&certificate[..], &how[..]].concat()).await;
}

/// A certificate of another name in the namespace of Daypass: cert-manager would write any Secret there.
async fn foreign(control_plane: &ControlPlane, controller: &Process) {
    let admin = control_plane.kubectl(ADMIN);
    let other = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": { "name": "other", "namespace": NAMESPACE },
        "spec": {
            "secretName": "other", "dnsNames": ["other.test"], "issuerRef": { "kind": "Issuer", "name": webhook::NAME }
        }
    });
    admin.apply_server_side(&other.to_string()).await;
    eventually("the self-guard refuses it", SOON, async || {
        if controller.log().contains("daypass-self-guard") { Ok(()) } else { Err(controller.log_tail(5)) }
    })
    .await;
    let secrets = admin.ok(&["get", "secrets", "-n", NAMESPACE, "-o", "name"]).await;
    assert!(!secrets.contains("secret/other"), "{secrets}");
}
