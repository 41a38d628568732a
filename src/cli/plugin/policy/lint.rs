//! `kubectl daypass policy lint`: the warnings of the core, for the policies of files or of a cluster.

use std::path::PathBuf;

use kube::Api;
use kube::api::ListParams;
use kube::core::error_boundary::InvalidObject;

use super::policy_test::PolicyTest;
use crate::api::AccessPolicy;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::manifests::{Document, documents};
use crate::cli::plugin::output::text::Text;
use crate::controller::observe::{self, DecodedPolicy};
use crate::core::decision::protected::Protected;
use crate::core::model::namespaces::Namespaces;
use crate::core::report::lint::{Oddity, Warning, in_order, lint};

/// Looks at the policies of files and folders.
///
/// # Errors
/// When they cannot be used.
pub fn files(paths: &[PathBuf], release: &str) -> Result<Warnings, PluginError> {
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
    Ok(all(&policies, Vec::new(), (!known.is_empty()).then_some(&known), protected))
}

/// Looks at the policies of a cluster.
///
/// # Errors
/// When they cannot be read.
pub async fn cluster(connection: &Connection, release: &str) -> Result<Warnings, PluginError> {
    stored(&Cluster::connect(connection).await?, release).await
}

/// The same of one that is connected already.
///
/// # Errors
/// Likewise.
pub async fn stored(cluster: &Cluster, release: &str) -> Result<Warnings, PluginError> {
    let stored: Api<DecodedPolicy> = Api::all(cluster.client.clone());
    let stored = cluster.call("list accesspolicies", stored.list(&ListParams::default())).await?.items;
    let (mut policies, mut unreadable) = (Vec::new(), Vec::new());
    for policy in stored {
        match policy.0 {
            Ok(policy) => policies.push(policy),
            Err(invalid) => unreadable.push(unread(&invalid)),
        }
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client.clone());
    let listed = cluster.read(namespaces.list_metadata(&ListParams::default())).await;
    let (known, gap) = match listed {
        Ok(list) => (Some(list.items.iter().map(observe::namespace).collect::<Namespaces>()), None),
        Err(why) => (None, Some(format!("names of namespaces in policies were not looked at: {why}"))),
    };
    Ok(Warnings { gap, ..all(&policies, unreadable, known.as_ref(), Protected::with_release(release)) })
}

/// What the controller makes of a policy that it cannot decode: it might deny, so nothing is decided.
fn unread(invalid: &InvalidObject) -> Warning {
    Warning {
        policy: invalid.metadata.name.clone().unwrap_or_default(),
        field: "spec".to_owned(),
        what: Oddity::Undecodable(invalid.error.to_string()),
    }
}

/// What looks wrong, in how many policies.
pub struct Warnings {
    policies: usize,
    pub found: Vec<Warning>,
    /// What could not be looked at, and why.
    pub gap: Option<String>,
}

impl Warnings {
    /// Whether nothing looks wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// For people.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        for Warning { policy, field, what } in &self.found {
            text.line(format!("{policy}: {field}: {what}"));
            text.line(format!("    way out: {}", what.way_out()));
        }
        text.line(format!("{} policies, {} warnings", self.policies, self.found.len()));
        text
    }
}

/// All warnings, those of policies that cannot be read among them.
fn all(
    policies: &[AccessPolicy],
    unreadable: Vec<Warning>,
    known: Option<&Namespaces>,
    protected: Protected<'_>,
) -> Warnings {
    let count = policies.len() + unreadable.len();
    let found = in_order([lint(policies, known, protected), unreadable].concat());
    Warnings { policies: count, found, gap: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decision::protected::USUAL_RELEASE;
    use crate::core::laws::fixtures::policy;
    use serde_json::json;

    #[test]
    fn the_namespaces_of_policy_tests_are_those_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let scope = json!({ "namespaces": ["shop", "shpo"] });
        let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "leads" }] }]);
        let policy = policy("p", json!({ "scope": scope, "approval": { "stages": stages } }));
        let test = json!({
            "apiVersion": "daypass.dev/v1alpha1", "kind": "PolicyTest", "namespaces": [{ "name": "shop" }], "cases": []
        });
        let (alone, tested) = (folder.path().join("policy.json"), folder.path().join("test.json"));
        std::fs::write(&alone, json!(policy).to_string()).unwrap();
        std::fs::write(&tested, test.to_string()).unwrap();
        let fits_nothing = |paths: &[PathBuf]| {
            let found = files(paths, USUAL_RELEASE).unwrap().found.into_iter();
            found
                .filter(|warning| matches!(warning.what, Oddity::FitsNothing { .. }))
                .map(|w| w.what)
                .collect::<Vec<_>>()
        };
        assert_eq!(fits_nothing(std::slice::from_ref(&alone)), [], "no namespace is known");
        let expected = Oddity::FitsNothing { glob: "shpo".to_owned(), known: 1 };
        assert_eq!(fits_nothing(&[alone, tested]), [expected]);
    }
}
