//! `kubectl daypass policy lint`: the warnings of the core, for the policies of files or of a cluster.

use std::path::PathBuf;

use kube::api::ListParams;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, Client};

use super::manifests::{Document, documents};
use super::output::{Connection, Output, PluginError};
use super::policy_test::PolicyTest;
use crate::api::AccessPolicy;
use crate::controller::observe::{self, DecodedPolicy};
use crate::core::decision::protected::Protected;
use crate::core::model::namespaces::Namespaces;
use crate::core::report::lint::{Oddity, Warning, in_order, lint};
use crate::runtime::client;

/// Looks at the policies of files and folders.
///
/// # Errors
/// When they cannot be used.
pub fn files(paths: &[PathBuf], release: &str) -> Result<Output, PluginError> {
    let documents = documents(paths)?;
    let policies: Vec<&Document> = documents.iter().filter(|document| document.is("AccessPolicy")).collect();
    if policies.is_empty() {
        return Err(PluginError::NothingFound("AccessPolicy in these files"));
    }
    let policies = policies.into_iter().map(Document::policy).collect::<Result<Vec<_>, _>>()?;
    let tests = documents.iter().filter(|document| document.is("PolicyTest"));
    let tests = tests.map(|test| PolicyTest::read(test, &documents)).collect::<Result<Vec<_>, _>>()?;
    let known: Namespaces = tests.iter().flat_map(PolicyTest::namespaces).collect();
    let protected = Protected::with_release(release);
    Ok(message(&policies, Vec::new(), (!known.is_empty()).then_some(&known), protected))
}

/// Looks at the policies of a cluster.
///
/// # Errors
/// When they cannot be read.
pub async fn cluster(connection: &Connection, release: &str) -> Result<Output, PluginError> {
    let config = client::of_person(connection.kubeconfig.as_deref(), connection.context.as_deref()).await;
    let client = config.and_then(|config| Ok(Client::try_from(config)?))?;
    let stored: Api<DecodedPolicy> = Api::all(client.clone());
    let stored = stored.list(&ListParams::default()).await;
    let stored = stored.map_err(|error| PluginError::api("list accesspolicies", error))?.items;
    let (mut policies, mut unreadable) = (Vec::new(), Vec::new());
    for policy in stored {
        match policy.0 {
            Ok(policy) => policies.push(policy),
            Err(invalid) => unreadable.push(unread(&invalid)),
        }
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    // Without the right to list them, globs are not held against namespaces.
    let namespaces = namespaces.list_metadata(&ListParams::default()).await.ok();
    let known: Option<Namespaces> = namespaces.map(|list| list.items.iter().map(observe::namespace).collect());
    Ok(message(&policies, unreadable, known.as_ref(), Protected::with_release(release)))
}

/// What the controller makes of a policy that it cannot decode: it might deny, so nothing is decided.
fn unread(invalid: &InvalidObject) -> Warning {
    Warning {
        policy: invalid.metadata.name.clone().unwrap_or_default(),
        field: "spec".to_owned(),
        what: Oddity::Undecodable(invalid.error.to_string()),
    }
}

/// All warnings, those of policies that cannot be read among them.
fn message(
    policies: &[AccessPolicy],
    unreadable: Vec<Warning>,
    known: Option<&Namespaces>,
    protected: Protected<'_>,
) -> Output {
    let count = policies.len() + unreadable.len();
    let warnings = in_order([lint(policies, known, protected), unreadable].concat());
    let mut text: String = warnings
        .iter()
        .map(|w| format!("{}: {}: {}\n    way out: {}\n", w.policy, w.field, w.what, w.what.way_out()))
        .collect();
    text.push_str(&format!("{} policies, {} warnings\n", count, warnings.len()));
    Output { text, code: u8::from(!warnings.is_empty()) }
}
