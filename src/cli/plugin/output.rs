//! What the plugin's commands have in common: which cluster they talk to, what they print, and why they fail.

use std::path::PathBuf;

use crate::runtime::client::ClientError;

/// Which cluster, as kubectl is told.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// Kubeconfig to use. Left out: as kubectl finds it.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub context: Option<String>,
}

/// What a command prints.
#[derive(Debug)]
pub struct Output {
    /// For standard output.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

/// Files or documents that cannot be used: every fault, with the file and field.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidInput(pub Vec<String>);

impl InvalidInput {
    /// One fault of a file or document.
    pub fn one(from: &str, problem: impl std::fmt::Display) -> Self {
        Self(vec![format!("{from}: {problem}")])
    }
}

/// Why a command of the plugin failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The command line names nothing to look at.
    #[error("name a request, or give one with -f")]
    NothingNamed,
    /// Files that hold nothing of what the command is about.
    #[error("there is no {0}")]
    NothingFound(&'static str),
    /// A manifest names another namespace than the command line.
    #[error("{from}: is for namespace {named}, and -n says {given}")]
    OtherNamespace {
        /// Which document.
        from: String,
        /// The namespace that it names.
        named: String,
        /// The namespace of the command line.
        given: String,
    },
    /// Files that cannot be used.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// A request that the cluster does not have.
    #[error("there is no request {name} in namespace {namespace}")]
    NoSuchRequest {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A stored request that is not as its CRD says.
    #[error("request {namespace}/{name} cannot be read: {problem}")]
    Undecodable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API server refused, or could not be reached.
    #[error("{}", way_out(what, source))]
    Api {
        /// Verb and resource.
        what: String,
        /// Its answer.
        source: kube::Error,
    },
    /// A selector cannot be evaluated by somebody who may not list namespaces.
    #[error(
        "the request asks for namespaces by label, and you may not list namespaces: have an admin give you `list` on \
         namespaces, or name them in spec.scope.namespaces"
    )]
    NamespacesNotListed,
    /// No cluster to talk to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer cannot be written as YAML, which would be a fault in the types.
    #[error(transparent)]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// The answer cannot be written as JSON, which would be a fault in the types.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl PluginError {
    /// A call to the API server that failed.
    pub fn api(what: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { what: what.into(), source }
    }
}

/// Whether a right is missing.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Why a call failed; when a right is missing, which one and how to get it.
fn way_out(what: &str, error: &kube::Error) -> String {
    if is_forbidden(error) {
        return format!(
            "you may not {what}: have an admin bind you to ClusterRole daypass-requester or daypass-approver, which \
             have that right (the API server says: {error})"
        );
    }
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!("cannot {what}: Daypass is not installed in this cluster ({error})")
        }
        _ => format!("cannot {what}: {error}"),
    }
}
