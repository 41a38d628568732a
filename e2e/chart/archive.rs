//! The archive of the chart: what its values make of it, and which of them are refused.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{chart, find, render};
use crate::harness::ControlPlane;

const SQLITE: &str = "archive.enabled=true,networkPolicy.enabled=true";
const POSTGRES: &str = "archive.enabled=true,archive.database.urlSecret=db,archive.database.caSecret=db-ca";

fn conditions(objects: &[Value]) -> Vec<&str> {
    let guard = find(objects, "ValidatingAdmissionPolicy", "-self-guard").expect("the self-guard");
    let conditions = guard["spec"]["matchConditions"].as_array().expect("conditions").iter();
    conditions.filter_map(|condition| condition["name"].as_str()).collect()
}

/// Whether the controller may delete requests: it needs that for the retention alone.
fn may_remove(objects: &[Value]) -> bool {
    let of_controller =
        objects.iter().find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "daypass");
    let rules = of_controller.and_then(|role| role["rules"].as_array()).expect("the rules of the controller");
    rules.iter().any(|rule| {
        let has = |field: &str, word: &str| rule[field].as_array().is_some_and(|words| words.contains(&json!(word)));
        has("resources", "accessrequests") && has("verbs", "delete")
    })
}

pub async fn is_what_its_values_say(control_plane: Arc<ControlPlane>) {
    let none = render(&control_plane, &[]).await;
    assert!(find(&none, "Deployment", "-archive").is_none());
    assert!(!conditions(&none).contains(&"not-the-volume-of-the-archive"));
    let elsewhere = "archive.url=https://archive,archive.urlAuthority=PEM";
    for (values, may) in [(elsewhere, true), (SQLITE, true), ("archive.enabled=true,archive.retention=", false)] {
        assert_eq!(may_remove(&render(&control_plane, &["--set", values]).await), may, "{values}");
    }
    assert!(!may_remove(&none), "nothing is removed without an archive");

    let sqlite = render(&control_plane, &["--set", SQLITE]).await;
    let deployment = find(&sqlite, "Deployment", "-archive").expect("a Deployment");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]),
        (&json!(1), &json!("Recreate"))
    );
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["fsGroup"], 65532);
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    assert!(find(&sqlite, "PodDisruptionBudget", "-archive").is_none(), "nobody could drain its node");
    let file =
        |objects: &[Value]| find(objects, "ConfigMap", "-archive").map(|map| map["data"]["archive.yaml"].to_string());
    assert!(file(&sqlite).is_some_and(|file| file.contains("decisionDays: 400") && file.contains("activityDays: 180")));
    // As an upgrade renders it that reuses the values of a chart which knew nothing of how long what is kept.
    let former =
        render(&control_plane, &["--skip-schema-validation", "--set", SQLITE, "--set", "archive.keep=null"]).await;
    assert_eq!(file(&former), None, "the program has the same days by itself");
    assert!(conditions(&sqlite).contains(&"not-the-volume-of-the-archive"));
    let egress = find(&sqlite, "NetworkPolicy", "daypass").expect("a NetworkPolicy")["spec"]["egress"].to_string();
    assert!(egress.contains("daypass-archive"), "the controller may not call it: {egress}");

    let audit = render(&control_plane, &["--set", "archive.enabled=true,archive.audit.enabled=true"]).await;
    for (objects, hears) in [(&sqlite, false), (&audit, true)] {
        let flags = find(objects, "Deployment", "daypass").expect("the controller").to_string();
        assert_eq!(flags.contains("--activity"), hears);
        assert_eq!(find(objects, "Role", "-api-servers").is_some(), hears, "what it may read");
    }
    let alone = render(&control_plane, &["--set", "archive.audit.enabled=true"]).await;
    assert!(find(&alone, "Role", "-api-servers").is_none(), "there is no archive that could hear them");

    let postgres = render(&control_plane, &["--set", POSTGRES]).await;
    assert_eq!(find(&postgres, "Deployment", "-archive").expect("a Deployment")["spec"]["replicas"], 2);
    assert_eq!(find(&postgres, "PodDisruptionBudget", "-archive").expect("a budget")["spec"]["maxUnavailable"], 1);
    assert!(find(&postgres, "PersistentVolumeClaim", "-archive").is_none());
    assert!(!conditions(&postgres).contains(&"not-the-volume-of-the-archive"), "it has no volume");

    assert!(find(&sqlite, "Deployment", "-archive").is_some_and(|one| !one.to_string().contains("log-key")));
    let signed = r#"archive.log={"keySecret": "key", "place": "outside", "anchors": [{"claim": "worm"}]}"#;
    let signed = render(&control_plane, &["--set", POSTGRES, "--set-json", signed]).await;
    let config = find(&signed, "ConfigMap", "-archive").expect("a ConfigMap")["data"]["archive.yaml"].to_string();
    assert!(config.contains("file: /log-key/key") && config.contains("folder: /anchors/0"), "{config}");
    assert!(!config.contains("keySecret") && !config.contains("claim"), "{config}");
    let pod = &find(&signed, "Deployment", "-archive").expect("a Deployment")["spec"]["template"]["spec"];
    for (volume, of) in [("log-key", "/secret/secretName"), ("anchor-0", "/persistentVolumeClaim/claimName")] {
        let volumes = pod["volumes"].as_array().expect("volumes");
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
        assert!(volumes.iter().any(|one| one["name"] == volume && one.pointer(of).is_some()), "{volume}");
        assert!(mounts.iter().any(|one| one["name"] == volume), "{volume}");
    }

    let from = r#"archive.ingressFrom=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]"#;
    let narrow = render(&control_plane, &["--set", SQLITE, "--set-json", from]).await;
    let ingress = &find(&narrow, "NetworkPolicy", "-archive").expect("a NetworkPolicy")["spec"]["ingress"][0];
    let controller = json!({ "app.kubernetes.io/name": "daypass", "app.kubernetes.io/instance": "daypass" });
    let peers = json!([{ "ipBlock": { "cidr": "10.0.0.0/8" } }, { "podSelector": { "matchLabels": controller } }]);
    assert_eq!(ingress["from"], peers);
    refusals(&control_plane).await;
}

async fn refusals(control_plane: &ControlPlane) {
    let cluster = json!({
        "uid": "u", "issuer": "https://i", "writers": ["system:serviceaccount:a:b"], "keys": { "jwks": "{}" },
    });
    let oidc = json!({
        "issuer": "https://i", "audience": "a", "keys": { "jwks": "{}" }, "groups": [{ "name": "a", "everywhere": true }],
    });
    for (of, path, wrong, words) in [
        (&cluster, "/writers", json!(["admin"]), "'admin' does not match pattern"),
        (&cluster, "/writers", json!([]), "at '/archive/clusters/0/writers': minItems"),
        (&cluster, "/keys", json!({}), "at '/archive/clusters/0/keys': 'oneOf' failed"),
        (&cluster, "/keys", json!({ "url": "https://i" }), "at '/archive/clusters/0/keys': 'oneOf' failed"),
        (&oidc, "/audience", json!("daypass-archive"), "at '/archive/readers/oidc/audience': 'not' failed"),
        (&oidc, "/groups/0", json!({ "name": "a" }), "at '/archive/readers/oidc/groups/0': 'oneOf' failed"),
        (
            &oidc,
            "",
            json!({ "issuer": "https://i" }),
            "properties 'audience', 'keys', 'groups' required, if 'issuer' exists",
        ),
        (&oidc, "/keys", Value::Null, "at '/archive/readers/oidc/keys': got null, want object"),
    ] {
        let mut value = of.clone();
        let place = value.pointer_mut(path).expect("a field");
        *place = wrong;
        let set = if of == &cluster {
            format!("archive.clusters=[{value}]")
        } else {
            format!("archive.readers.oidc={value}")
        };
        let args = ["template", "daypass", &chart(), "--set", "archive.enabled=true", "--set-json", &set];
        let refusal = control_plane.helm_refused(&args).await;
        assert!(refusal.contains(words), "{path}: {refusal}");
    }
}
