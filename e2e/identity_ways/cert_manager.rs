//! cert-manager makes the certificate of the webhook in Daypass's own namespace: what the self-guard lets it write there.
//! cert-manager itself is not run, its account is played; `make cert-manager-check` runs it.

use std::sync::Arc;

use kube::Client;
use serde_json::{Value, json};

use crate::attack::call::{Call, create};
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, Daypass, eventually};

/// The account of cert-manager, with rights by which RBAC lets it do everything.
const ACCOUNT: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: cert-manager}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: cert-manager, namespace: cert-manager}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: writes-secrets-and-more}
rules:
- {apiGroups: ["", cert-manager.io], resources: ["*"], verbs: [create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cert-manager}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: writes-secrets-and-more}
subjects: [{kind: ServiceAccount, name: cert-manager, namespace: cert-manager}]
"#;

pub async fn writes_its_own(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    admin.define("cert-manager.io", &[("Issuer", "issuers"), ("Certificate", "certificates")]).await;
    admin.apply_server_side(ACCOUNT).await;
    let values = ["identity.stamp=webhook", "identity.webhook.certificate.certManager.enabled=true"];
    Daypass::apply(&control_plane, &values).await;
    let token = admin.ok(&["create", "token", "cert-manager", "-n", "cert-manager"]).await;
    let account = control_plane.client_for_token("cert-manager", token.trim()).await;

    let foreign = || secret("something-else", "Opaque");
    eventually("the self-guard is in force", SOON, async || match foreign().dry().send(&account).await {
        Err(refusal) if refusal.contains("daypass-self-guard") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let mut drafted = secret("", "Opaque");
    drafted.body["metadata"] = json!({ "generateName": "daypass-stamp-" });
    passes(&account, drafted).await;
    passes(&account, secret("daypass-stamp", "kubernetes.io/tls")).await;
    passes(&account, secret("daypass-stamp-authority", "kubernetes.io/tls")).await;
    let issuer = json!({ "apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": { "name": "more" } });
    passes(&account, create(ADMIN, format!("/apis/cert-manager.io/v1/namespaces/{NAMESPACE}/issuers"), issuer)).await;
    // A token of the controller, under a name that would pass.
    let mut token = secret("daypass-stamp-token", "kubernetes.io/service-account-token");
    token.body["metadata"]["annotations"] = json!({ "kubernetes.io/service-account.name": "daypass" });
    let map = json!({ "metadata": { "name": "daypass-stamp" } });
    let map = create(ADMIN, format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), map);
    for call in [token, foreign(), map] {
        let refusal = call.send(&account).await.expect_err("it is not for cert-manager");
        assert!(refusal.contains("daypass-self-guard"), "{refusal}");
    }
    // The account as somebody acts it who has no token of it.
    let acted = secret("daypass-stamp-2", "Opaque").acting_as("system:serviceaccount:cert-manager:cert-manager");
    let refusal = acted.send(&control_plane.client(ADMIN).await).await.expect_err("it is impersonated");
    assert!(refusal.contains("daypass-self-guard"), "{refusal}");
}

/// A new Secret; of a type with a certificate it has one, as far as the API server looks.
fn secret(name: &str, kind: &str) -> Call {
    let mut object: Value = json!({ "metadata": { "name": name }, "type": kind });
    if kind == "kubernetes.io/tls" {
        object["data"] = json!({ "tls.crt": "", "tls.key": "" });
    }
    create(ADMIN, format!("/api/v1/namespaces/{NAMESPACE}/secrets"), object)
}

async fn passes(account: &Client, call: Call) {
    if let Err(refusal) = call.send(account).await {
        panic!("{}: {refusal}", call.body);
    }
}
