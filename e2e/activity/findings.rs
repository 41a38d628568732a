//! What no record explains: made by hand while the controller is away, and in the name of the controller.

use daypass::api::State;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::Fed;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::install::{CONTROLLER, NAMESPACE};
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

    let found = eventually("three findings", SOON, async || {
        fed.send(&fed.log()).await;
        let found = fed.listed("findings").await;
        if found.len() >= 3 { Ok(found) } else { Err(format!("{found:#?}")) }
    })
    .await;
    let told = |name: &str| -> Vec<&Value> { found.iter().filter(|one| one["name"] == name).collect() };
    for (name, place) in [(&made_up, namespace.as_str()), (&of_fix, "default")] {
        let [one] = told(name)[..] else { panic!("{found:#?}") };
        assert_eq!((&one["why"], &one["user"]), (&json!("OtherHand"), &json!("admin")), "{one}");
        assert_eq!((&one["namespace"], &one["resource"]), (&json!(place), &json!("rolebindings")), "{one}");
    }
    let [acted] = told(&role)[..] else { panic!("{found:#?}") };
    assert_eq!((&acted["why"], &acted["impersonated"]), (&json!("AsController"), &json!(CONTROLLER)), "{acted}");
    assert_eq!(found.len(), 3, "what the controller did is explained: {found:#?}");
}
