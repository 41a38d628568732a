//! The example of the page in the cluster: its files speak of the same things, and of those that the chart makes.
//!
//! Neither proxy runs here.

use std::collections::BTreeSet;
use std::sync::Arc;

use libtest_mimic::Failed;
use regex::Regex;
use serde_json::{Value, json};

use super::{documents, files};
use crate::chart::{chooses, find, render};
use crate::harness::{ControlPlane, binaries};

const FOLDER: &str = "examples/page";
const VALUES: &str = "examples/page/values.yaml";
const PROXY: &str = "examples/page/oauth2-proxy.yaml";
const GATEWAYS: [&str; 2] = ["examples/page/envoy-gateway.yaml", "examples/page/traefik.yaml"];
/// For how long the example says that an ID token is good, in minutes.
const TOKEN: u64 = 10;

/// The one document of a kind in a file.
fn the(path: &str, kind: &str) -> Value {
    let found = documents(path).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("{path} has no {kind}"))
}

fn pod() -> Value {
    the(PROXY, "Deployment")["spec"]["template"].clone()
}

/// The flags of oauth2-proxy, with their values.
fn flags() -> Vec<(String, String)> {
    let args = pod()["spec"]["containers"][0]["args"].as_array().expect("arguments").clone();
    let args = args.iter().map(|arg| arg.as_str().expect("a text").trim_start_matches("--"));
    args.map(|arg| arg.split_once('=').expect("a value")).map(|(name, value)| (name.into(), value.into())).collect()
}

fn flag(name: &str) -> String {
    let given: Vec<String> = flags().into_iter().filter(|(flag, _)| flag == name).map(|(_, value)| value).collect();
    assert_eq!(given.len(), 1, "--{name}: {given:?}");
    given.into_iter().next().expect("one")
}

/// The page lets in the proxy, and the proxy sends to the page; all of them are at one address.
pub async fn fits_the_chart(control_plane: Arc<ControlPlane>) {
    assert_eq!(files(FOLDER).len(), 5, "a file is not looked at here");
    let values = binaries::repository().join(VALUES).display().to_string();
    let objects = render(&control_plane, &["-f", &values]).await;
    let service = find(&objects, "Service", "daypass-page").expect("the Service of the page");
    let upstream = format!(
        "http://{}.{}.svc/",
        service["metadata"]["name"].as_str().expect("a name"),
        service["metadata"]["namespace"].as_str().expect("a namespace")
    );
    assert_eq!(flag("upstream"), upstream);
    assert_eq!(service["spec"]["ports"][0]["port"], 80, "as a URL without a port means");
    let network = &find(&objects, "NetworkPolicy", "daypass-page").expect("a NetworkPolicy")["spec"];
    let peer = &network["ingress"][0]["from"][0];
    assert!(chooses(&peer["podSelector"]["matchLabels"], &pod()["metadata"]["labels"]), "{peer}");
    let namespace = the(PROXY, "Deployment")["metadata"]["namespace"].clone();
    assert_eq!(peer["namespaceSelector"]["matchLabels"], json!({ "kubernetes.io/metadata.name": namespace }));
    let origin = documents(VALUES)[0]["page"]["origin"].as_str().expect("an origin").to_owned();
    assert_eq!(flag("redirect-url"), format!("{origin}/oauth2/callback"));
    let host = origin.trim_start_matches("https://");
    let route = the(GATEWAYS[0], "HTTPRoute");
    assert_eq!(
        (&route["spec"]["hostnames"], &the(GATEWAYS[0], "Gateway")["spec"]["listeners"][0]["hostname"]),
        (&json!([host]), &json!(host))
    );
    let rule = &the(GATEWAYS[1], "IngressRoute")["spec"]["routes"][0];
    assert_eq!(rule["match"], format!("Host(`{host}`)"));
    let of_proxy = the(PROXY, "Service");
    for backend in [&route["spec"]["rules"][0]["backendRefs"][0], &rule["services"][0]] {
        assert_eq!(
            (&backend["name"], &backend["port"]),
            (&of_proxy["metadata"]["name"], &of_proxy["spec"]["ports"][0]["port"])
        );
    }
    let issuer = &the("examples/page/authentication.yaml", "AuthenticationConfiguration")["jwt"][0]["issuer"];
    assert_eq!((&issuer["url"], &issuer["audiences"]), (&json!(flag("oidc-issuer-url")), &json!([flag("client-id")])));
}

/// Each of these is what the page needs of the proxy, or keeps a hole of others shut.
pub fn asks_the_proxy_for_what_the_page_needs() -> Result<(), Failed> {
    for (name, value) in [
        ("pass-authorization-header", "true"),
        ("pass-host-header", "true"),
        ("pass-user-headers", "false"),
        ("pass-basic-auth", "false"),
        ("cookie-samesite", "lax"),
        ("cookie-secure", "true"),
        ("reverse-proxy", "true"),
        ("code-challenge-method", "S256"),
    ] {
        assert_eq!(flag(name), value, "--{name}");
    }
    let names: BTreeSet<String> = flags().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), flags().len(), "a flag is given twice");
    assert!(!names.iter().any(|name| name.starts_with("skip-") && name != "skip-provider-button"), "{names:?}");
    assert!(!flag("trusted-proxy-ip").ends_with("/0"), "it would trust the world");
    let refresh: u64 = flag("cookie-refresh").trim_end_matches('m').parse()?;
    assert!(refresh < TOKEN, "a token ends before it is renewed");
    let calls = Regex::new(&flag("api-route"))?;
    for call in ["/api/me", "/k/apis/daypass.dev/v1alpha1/accessrequests", "/session"] {
        assert!(calls.is_match(call), "{call} would be answered with a form");
    }
    for view in ["/", "/inbox", "/r/k/api", "/kept", "/assets/call.js"] {
        assert!(!calls.is_match(view), "whoever opens {view} would not be asked to sign in");
    }
    Ok(())
}

/// Nobody writes by hand what the proxy writes.
pub fn takes_out_what_browsers_say_of_themselves() -> Result<(), Failed> {
    let header = documents(VALUES)[0]["page"]["tokenHeader"].as_str().unwrap_or("Authorization").to_owned();
    let by_envoy = the(GATEWAYS[0], "HTTPRoute")["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"].clone();
    let by_envoy: BTreeSet<&str> =
        by_envoy["remove"].as_array().ok_or("a list")?.iter().filter_map(Value::as_str).collect();
    let middleware = the(GATEWAYS[1], "Middleware");
    let removed = middleware["spec"]["headers"]["customRequestHeaders"].as_object().ok_or("headers")?;
    assert!(removed.values().all(|value| value == ""), "{removed:?}");
    let route = &the(GATEWAYS[1], "IngressRoute")["spec"]["routes"][0];
    assert_eq!(route["middlewares"], json!([{ "name": middleware["metadata"]["name"] }]), "and no other");
    for name in [header.as_str(), "Authorization", "X-Forwarded-Access-Token", "X-Forwarded-User", "X-Forwarded-Groups"]
    {
        assert!(by_envoy.contains(name) && removed.contains_key(name), "{name}");
    }
    Ok(())
}
