//! What a GitOps tool does all day: it applies the same file again. Nothing must change, whichever way it applies, and
//! nothing must differ, or the tool would show drift for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{FIELDS, files};
use crate::harness::Cluster;
use crate::harness::kubectl::Kubectl;
use crate::harness::users::ADMIN;

/// Every folder with policies or requests that people apply.
const FOLDERS: [&str; 5] = ["examples/tour", "examples/chain", "examples/policies", "examples/gitops/policies", FIELDS];

/// Each file of policies and named requests, twice from the client's side and twice from the server's. No controller runs,
/// so that nothing but the apply can change an object.
pub async fn changes_nothing(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let admin = cluster.kubectl(ADMIN);
    let files = applied();
    assert!(files.len() > 25, "there are {} files", files.len());
    for namespace in files.values().flatten().filter_map(|object| object["metadata"]["namespace"].as_str()) {
        admin.apply_namespace(namespace).await;
    }
    let mut drifts = Vec::new();
    for (path, objects) in &files {
        let file = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
        drifts.extend(from_the_client(&admin, &file).await.into_iter().map(|what| format!("{path}: {what}")));
        admin.delete(&file).await;
        drifts.extend(from_the_server(&admin, &file).await.into_iter().map(|what| format!("{path}: {what}")));
        admin.delete(&file).await;
    }
    assert!(drifts.is_empty(), "{}", drifts.join("\n"));
}

/// What stored defaults do: an object that an earlier version completed differs once from its author's file, and not
/// any more after it is applied.
pub async fn is_clean_after_one_apply(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let admin = cluster.kubectl(ADMIN);
    let mut policy = super::documents("examples/gitops/policies/shop.yaml").remove(1);
    let file = policy.to_string();
    admin.apply(&file).await;
    let name = policy["metadata"]["name"].take();
    let name = name.as_str().expect("a name");
    let completed = json!([
        { "op": "add", "path": "/spec/roles/0/kind", "value": "ClusterRole" },
        { "op": "add", "path": "/spec/approval/stages/0/required", "value": 1 }
    ]);
    admin.ok(&["patch", "apol", name, "--type=json", "-p", &completed.to_string()]).await;
    assert_eq!(admin.apply(&file).await.trim(), format!("accesspolicy.daypass.dev/{name} configured"));
    assert_eq!(from_the_client(&admin, &file).await, Vec::<String>::new());
    let stored: Value = serde_json::from_str(&admin.ok(&["get", "apol", name, "-o", "json"]).await).expect("JSON");
    assert_eq!(stored["spec"]["roles"], json!([{ "name": "edit" }]));
}

/// Files of ours by path, each with the objects that can be applied again: those with a name.
fn applied() -> BTreeMap<String, Vec<Value>> {
    let ours =
        |object: &Value| object["apiVersion"] == "daypass.dev/v1alpha1" && object["metadata"]["name"].is_string();
    let files = FOLDERS.into_iter().flat_map(files).map(|(path, mut objects)| {
        objects.retain(ours);
        (path, objects)
    });
    files.filter(|(_, objects)| !objects.is_empty()).collect()
}

/// What `kubectl apply` and `kubectl diff` find to do about a file that is applied already.
async fn from_the_client(admin: &Kubectl, file: &str) -> Vec<String> {
    admin.apply(file).await;
    let again = admin.apply(file).await;
    let changed = again.lines().filter(|line| !line.ends_with(" unchanged")).map(str::to_owned);
    changed.chain(differs(admin, &["diff", "-f", "-"], file).await).collect()
}

/// The same from the server's side, where kubectl does not say whether anything changed, but the version does.
async fn from_the_server(admin: &Kubectl, file: &str) -> Vec<String> {
    let apply = ["apply", "--server-side", "--field-manager=gitops", "-o", "json", "-f", "-"];
    let versions = async || {
        let output = admin.run_with(&apply, file).await;
        assert!(output.ok, "{}", output.stderr);
        let objects = serde_json::Deserializer::from_str(&output.stdout).into_iter::<Value>();
        let objects = objects.map(|object| object.expect("JSON"));
        let objects = objects.flat_map(|one| one["items"].as_array().cloned().unwrap_or_else(|| vec![one.clone()]));
        objects.map(|one| format!("{} at {}", one["metadata"]["name"], one["metadata"]["resourceVersion"])).collect()
    };
    let (first, second): (BTreeSet<String>, BTreeSet<String>) = (versions().await, versions().await);
    assert!(!first.is_empty(), "nothing was applied");
    let changed = second.difference(&first).map(|what| format!("changed by another server-side apply: {what}"));
    let differs = differs(admin, &["diff", "--server-side", "--field-manager=gitops", "-f", "-"], file).await;
    changed.chain(differs).collect()
}

async fn differs(admin: &Kubectl, args: &[&str], file: &str) -> Option<String> {
    let output = admin.run_with(args, file).await;
    (!output.ok).then(|| format!("`kubectl {}` finds: {}{}", args.join(" "), output.stdout, output.stderr))
}
