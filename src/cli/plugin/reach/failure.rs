//! Why a cluster cannot be reached or a login cannot be had, in words that name the file, the login and the way out.

use std::error::Error;
use std::path::{Path, PathBuf};

/// Why there is nothing to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Neither a kubeconfig nor a pod.
    #[error(
        "there is no kubeconfig in {}, and this is no pod with a service account: give --kubeconfig, set KUBECONFIG, or \
         give --server and --token", listed(.0)
    )]
    NoKubeconfig(Vec<PathBuf>),
    /// A kubeconfig that is no kubeconfig.
    #[error("cannot use the kubeconfig {}: {why}", file.display())]
    BadKubeconfig {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing says which context is meant.
    #[error("the kubeconfig {} has no current context: give --context, one of {contexts}", listed(files))]
    NoCurrentContext {
        /// The files that were read.
        files: Vec<PathBuf>,
        /// The contexts that they have.
        contexts: String,
    },
    /// A context, cluster or user that no file has.
    #[error("there is no {kind} {name} in the kubeconfig {}: it has {there}", listed(files))]
    NotInKubeconfig {
        /// What is missing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The files that were read.
        files: Vec<PathBuf>,
        /// The ones that there are.
        there: String,
    },
    /// What the files say makes no connection.
    #[error("cannot use context {context} of the kubeconfig {}: {why}", listed(files))]
    BadContext {
        /// The context.
        context: String,
        /// The files that were read.
        files: Vec<PathBuf>,
        /// What is wrong.
        why: String,
    },
    /// A pod whose service account cannot be read.
    #[error("cannot use the service account of this pod: {0}")]
    Pod(String),
    /// A proxy that is none.
    #[error("{from}: {url} cannot be the proxy: write http://, https:// or socks5://, a host and a port")]
    BadProxy {
        /// Which variable or field names it.
        from: &'static str,
        /// What it says.
        url: String,
    },
    /// There is no login.
    #[error(transparent)]
    Login(#[from] LoginFailure),
    /// The certificates or headers make no client.
    #[error("cannot make a client: {}", reason(.0))]
    Client(#[from] kube::Error),
}

/// Why there is no login, or none any longer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginFailure {
    /// The program that logs in is not there.
    #[error("the login of user {user} is made by {command}, which is not there{}", hint.as_deref().map(|hint| format!(": {hint}")).unwrap_or_default())]
    NoCommand {
        /// The user of the kubeconfig.
        user: String,
        /// The program.
        command: String,
        /// What the kubeconfig says on how to get it.
        hint: Option<String>,
    },
    /// It asks, and nobody is there.
    #[error(
        "the login of user {user} is made by {command}, which asks at a terminal, and this is none: run it at a terminal, or \
         set interactiveMode in the kubeconfig"
    )]
    NoTerminal {
        /// The user of the kubeconfig.
        user: String,
        /// The program.
        command: String,
    },
    /// It ended without a login, or with one that cannot be used.
    #[error("the login of user {user} failed: {command} {why}: run it yourself to see why")]
    CommandFailed {
        /// The user of the kubeconfig.
        user: String,
        /// The program and its arguments.
        command: String,
        /// What is wrong with what it did.
        why: String,
    },
    /// A setting of the login that cannot be.
    #[error("the login of user {user} cannot be used: {why}")]
    BadLogin {
        /// The user of the kubeconfig.
        user: String,
        /// Which field, and what it takes.
        why: String,
    },
    /// A session at an issuer is over.
    #[error(
        "the login of user {user} at {issuer} has expired: {why}; log in there again, and put the new id-token and \
         refresh-token into the kubeconfig (kubectl config set-credentials {user} --auth-provider=oidc ...)"
    )]
    SessionOver {
        /// The user of the kubeconfig.
        user: String,
        /// Who the login is from.
        issuer: String,
        /// What the issuer says, or what is missing.
        why: String,
    },
    /// The issuer gives no answer that can be used.
    #[error("the login of user {user} cannot be renewed at {issuer}: {why}")]
    NoIssuer {
        /// The user of the kubeconfig.
        user: String,
        /// Who the login is from.
        issuer: String,
        /// What came instead.
        why: String,
    },
}

/// The failure of a login among the reasons of an error.
pub fn login_failure<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a LoginFailure> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// What is at the bottom of an error, without what each layer above it calls itself.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Files, as they are named in a sentence.
pub fn listed(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}

/// A file that cannot be used.
pub fn bad_kubeconfig(file: &Path, error: &(dyn Error + 'static)) -> ReachError {
    ReachError::BadKubeconfig { file: file.to_owned(), why: reason(error) }
}
