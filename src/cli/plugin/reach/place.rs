//! Where calls go and as whom, for whoever reads why one failed.

use std::path::PathBuf;

use k8s_openapi::jiff::Timestamp;

/// The cluster that calls go to, and the login that they carry.
#[derive(Clone, Debug)]
pub struct ClusterPlace {
    /// URL of the API server.
    pub server: String,
    /// The context that says so, if one does.
    pub context: Option<String>,
    /// Name of the user in the kubeconfig.
    pub user: String,
    /// What the login is made of.
    pub login: LoginKind,
    /// The proxy in between, without its password.
    pub proxy: Option<String>,
}

/// What a login is made of.
#[derive(Clone, Debug)]
pub enum LoginKind {
    /// Nothing: calls are anonymous.
    Nothing,
    /// The token of the command line.
    Flag,
    /// A token in the kubeconfig, and when it ends, where it says so.
    Token(Option<Timestamp>),
    /// A token in a file.
    TokenFile(PathBuf),
    /// What a program printed.
    Exec(String),
    /// What an issuer gave.
    Oidc(String),
    /// A client certificate.
    Certificate,
    /// A username and a password.
    Password,
    /// A token that each call brings.
    Carried,
}

impl ClusterPlace {
    /// The cluster, as it is named in a sentence.
    pub fn words(&self) -> String {
        let context = self.context.as_ref().map(|context| format!(" (context {context})")).unwrap_or_default();
        let proxy = self.proxy.as_ref().map(|proxy| format!(" by way of the proxy {proxy}")).unwrap_or_default();
        format!("{}{context}{proxy}", self.server)
    }

    /// Whose login the cluster does not take, why as far as it can be seen from here, and how to get one that it takes.
    pub fn not_accepted(&self, now: Timestamp) -> String {
        let user = &self.user;
        match &self.login {
            LoginKind::Nothing => format!(
                "{} takes no calls without a login, and user {user} of the kubeconfig has none: log in, or give --token",
                self.words()
            ),
            LoginKind::Flag => format!("{} does not accept the token of --token: get a new one", self.words()),
            LoginKind::Token(Some(end)) if *end <= now => format!(
                "the login of user {user} expired at {end}: its token is in the kubeconfig; log in again, which writes a \
                 new one (or kubectl config set-credentials {user} --token=...)"
            ),
            LoginKind::Token(_) => self.refuses(
                "the token in the kubeconfig, which may have expired",
                &format!("log in again, which writes a new one (or kubectl config set-credentials {user} --token=...)"),
            ),
            LoginKind::TokenFile(file) => self.refuses(
                &format!("the token in {}, which may have expired", file.display()),
                "see that whoever writes the file runs",
            ),
            LoginKind::Exec(command) => self.refuses(
                &format!("what {command} gave, which may have expired"),
                "log out and in again with that program",
            ),
            LoginKind::Oidc(issuer) => self.refuses(
                &format!("the ID token of {issuer}"),
                "log in there again, and see that the cluster trusts that issuer and client",
            ),
            LoginKind::Certificate => self.refuses(
                "its client certificate, which may have expired",
                "get a new one; openssl x509 -noout -enddate tells when one ends",
            ),
            LoginKind::Carried => format!(
                "{} does not accept the token that this call came with: load the page again, which signs in anew",
                self.words()
            ),
            LoginKind::Password => self.refuses("its password", "API servers have had none since Kubernetes 1.19"),
        }
    }

    fn refuses(&self, what: &str, way_out: &str) -> String {
        format!("{} does not accept the login of user {}, {what}: {way_out}", self.words(), self.user)
    }
}
