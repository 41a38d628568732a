//! `kubectl daypass policy lint`: the warnings of the core, for the policies of files or of a cluster.

use std::path::PathBuf;

use kube::api::ListParams;
use kube::{Api, Client};

use super::manifests::{Document, documents};
use super::plugin::{Connection, Said};
use super::policy_test::PolicyTest;
use crate::api::AccessPolicy;
use crate::controller::observe;
use crate::core::lint::lint;
use crate::core::namespaces::Namespaces;
use crate::runtime::client;

/// Looks at the policies of files and folders.
///
/// # Errors
/// When they cannot be used.
pub fn files(paths: &[PathBuf]) -> Result<Said, String> {
    let documents = documents(paths)?;
    let policies: Vec<&Document> = documents.iter().filter(|document| document.is("AccessPolicy")).collect();
    if policies.is_empty() {
        return Err("there is no AccessPolicy in these files".to_owned());
    }
    let policies = policies.into_iter().map(Document::policy).collect::<Result<Vec<_>, _>>()?;
    let tests = documents.iter().filter(|document| document.is("PolicyTest"));
    let tests = tests.map(|test| PolicyTest::read(test, &documents)).collect::<Result<Vec<_>, _>>()?;
    let known: Namespaces = tests.iter().flat_map(PolicyTest::namespaces).collect();
    Ok(told(&policies, (!known.is_empty()).then_some(&known)))
}

/// Looks at the policies of a cluster.
///
/// # Errors
/// When they cannot be read.
pub async fn cluster(connection: &Connection) -> Result<Said, String> {
    let config = client::of_person(connection.kubeconfig.as_deref(), connection.context.as_deref()).await;
    let client = config.and_then(|config| Ok(Client::try_from(config)?)).map_err(|error| error.to_string())?;
    let policies: Api<AccessPolicy> = Api::all(client.clone());
    let policies = policies.list(&ListParams::default()).await;
    let policies = policies.map_err(|error| format!("cannot list accesspolicies: {error}"))?.items;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    // Without the right to list them, globs are not held against namespaces.
    let namespaces = namespaces.list_metadata(&ListParams::default()).await.ok();
    let known: Option<Namespaces> = namespaces.map(|list| list.items.iter().map(observe::namespace).collect());
    Ok(told(&policies, known.as_ref()))
}

fn told(policies: &[AccessPolicy], known: Option<&Namespaces>) -> Said {
    let warnings = lint(policies, known);
    let mut text: String = warnings
        .iter()
        .map(|w| format!("{}: {}: {}\n    way out: {}\n", w.policy, w.field, w.why, w.way_out))
        .collect();
    text.push_str(&format!("{} policies, {} warnings\n", policies.len(), warnings.len()));
    Said { text, code: u8::from(!warnings.is_empty()) }
}
