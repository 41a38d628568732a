//! What no record explains: made by hand while the controller is away, and in the name of the controller.

use daypass::api::State;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::Fed;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::install::{CONTROLLER, NAMESPACE};
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE};

const MADE_UP: &str = "0f0e2d1c-3b4a-4958-8776-655443322110";

pub(super) async fn told(fed: Fed) {
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("findings").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    fed.recorded.until_recorded(&namespace, "fix", &["Requested", "Granted"]).await;
    cluster.controller.kill();
    // The guards are no part of this.
    admin.ok(&["delete", "validatingadmissionpolicybindings", "--all"]).await;
    let of_fix = format!("daypass-{}", granted.uid().expect("a UID"));
    let made_up = format!("daypass-{MADE_UP}");
    let bind = async |name: &str, who: &str, more: &[&str]| {
        let user = format!("--user={who}");
        let args = [&["create", "rolebinding", name, "--clusterrole=edit", &user][..], more].concat();
        eventually("the guards are gone", SOON, async || {
            let made = admin.run(&args).await;
            if made.ok { Ok(()) } else { Err(made.stderr) }
        })
        .await;
    };
    bind(&made_up, "mallory", &["-n", &namespace]).await;
    bind(&of_fix, "mallory", &["-n", "default"]).await;
    let controller = format!("--as={CONTROLLER}");
    let role = format!("daypass-{MADE_UP}-loan");
    bind(&role, "mallory", &["-n", NAMESPACE, &controller]).await;

    admin.ok(&["delete", "rolebinding", &of_fix, "-n", &namespace]).await;
    let all = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    admin.ok(&["delete", "--raw", &all]).await;

    let found = eventually("five findings", SOON, async || {
        fed.send(&fed.log()).await;
        let found = fed.listed("findings").await;
        if found.len() >= 5 { Ok(found) } else { Err(format!("{found:#?}")) }
    })
    .await;
    let told = |name: &str| -> Vec<&Value> { found.iter().filter(|one| one["name"] == name).collect() };
    for (name, place, why) in [
        (&made_up, namespace.as_str(), "OtherHand"),
        (&of_fix, "default", "OtherHand"),
        (&of_fix, namespace.as_str(), "DeletedByHand"),
    ] {
        let there: Vec<&Value> = told(name).into_iter().filter(|one| one["namespace"] == json!(place)).collect();
        let [one] = there[..] else { panic!("{found:#?}") };
        assert_eq!((&one["why"], &one["user"]), (&json!(why), &json!("admin")), "{one}");
        assert_eq!(one["resource"], "rolebindings", "{one}");
    }
    let [acted] = told(&role)[..] else { panic!("{found:#?}") };
    assert_eq!((&acted["why"], &acted["impersonated"]), (&json!("AsController"), &json!(CONTROLLER)), "{acted}");
    let many: Vec<&Value> = found.iter().filter(|one| one["why"] == "ManyDeleted").collect();
    let [many] = many[..] else { panic!("{found:#?}") };
    assert_eq!((&many["verb"], &many["namespace"]), (&json!("deletecollection"), &json!(namespace)), "{many}");
    let (_, doctor, err) = Plugin::of(cluster, ADMIN).run(&["doctor", "-o", "json"]).await;
    let doctor: Value = serde_json::from_str(&doctor).unwrap_or_else(|error| panic!("{error}: {err}"));
    let of_findings = doctor["findings"].as_array().into_iter().flatten().find(|one| one["object"] == "findings");
    let words = of_findings.map(|one| one["message"].to_string()).unwrap_or_default();
    assert!(words.contains("without a record: 5, "), "{doctor:#}");
    assert_eq!(found.len(), 5, "what the controller did is explained: {found:#?}");
}
