//! Which cluster the plugin talks to, and as whom: the flags that kubectl has too, and the client that comes of them.
//!
//! Owns how long a call may take and how a call that failed is told. It must not know any kind of Daypass's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::jiff::SignedDuration;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::error::{PluginError, said};
use crate::runtime::client::ClientError;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take unless the command line says otherwise.
const ANSWER: Duration = Duration::from_secs(10);

/// Which cluster and as whom, as kubectl is told.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// Kubeconfig to use. Left out: the files of $KUBECONFIG, merged as kubectl does, or else ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Address of the API server, in place of that of the kubeconfig.
    #[arg(short, long, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token to log in with, in place of the login of the kubeconfig.
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    pub token: Option<String>,
    /// User to impersonate. Takes the right to.
    #[arg(long = "as", id = "as", value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate, together with --as. Can be given again.
    #[arg(long, value_name = "GROUP", requires = "as")]
    pub as_group: Vec<String>,
    /// UID to impersonate, together with --as.
    #[arg(long, value_name = "UID", requires = "as")]
    pub as_uid: Option<String>,
    /// How long a call of the API server may take, such as 30s; 0 for no limit.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub request_timeout: Timeout,
}

impl Connection {
    /// The flags that lead a further command to the same cluster as the same person, with a space before each; both kubectl and
    /// this plugin take them. A token is not repeated: it would be on the screen.
    pub fn flags(&self) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|path| ("kubeconfig", path.display().to_string()));
        let one =
            [("context", &self.context), ("server", &self.server), ("as", &self.as_user), ("as-uid", &self.as_uid)];
        let one = one.into_iter().filter_map(|(flag, value)| Some((flag, value.clone()?)));
        let groups = self.as_group.iter().map(|group| ("as-group", group.clone()));
        kubeconfig
            .into_iter()
            .chain(one)
            .chain(groups)
            .map(|(flag, value)| format!(" --{flag} {}", quoted(&value)))
            .collect()
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.split('\'').collect::<Vec<_>>().join(r"'\''"))
    }
}

/// How long a call may take; none for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl Default for Timeout {
    fn default() -> Self {
        Self(Some(ANSWER))
    }
}

/// A length of time, as kubectl takes it: `30s`, `5m`, or a bare number of seconds; 0 for no limit.
pub fn timeout(text: &str) -> Result<Timeout, String> {
    let way_out = "give a length of time such as 30s or 5m, or 0 for no limit";
    let length = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => {
            let length: SignedDuration = text.parse().map_err(|error| format!("{error}: {way_out}"))?;
            Duration::try_from(length).map_err(|_| format!("it is negative: {way_out}"))?
        }
    };
    Ok(Timeout((!length.is_zero()).then_some(length)))
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// The namespace that is meant when none is named.
    pub namespace: String,
    /// How long a call may take.
    timeout: Timeout,
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. Asks the API server nothing.
    ///
    /// # Errors
    /// When there is no usable kubeconfig.
    pub async fn connect(connection: &Connection) -> Result<Self, PluginError> {
        let config = config(connection).await?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(ClientError::from)?;
        Ok(Self { client, namespace, timeout: connection.request_timeout })
    }

    /// The namespace that is meant by what was typed for -n, if anything.
    pub fn namespace_or<'a>(&'a self, typed: &'a Option<String>) -> &'a str {
        typed.as_deref().unwrap_or(&self.namespace)
    }

    /// Waits for the answer to a call, no longer than calls may take. `what` names it by verb and resource.
    ///
    /// # Errors
    /// When the API server refuses, cannot be reached or does not answer in time.
    pub async fn call<T>(
        &self,
        what: impl Into<String>,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PluginError> {
        self.in_time(call).await.unwrap_or_else(|| Err(None)).map_err(|failed| match failed {
            Some(source) => PluginError::Api { what: what.into(), source },
            None => PluginError::NoAnswer { what: what.into(), within: self.timeout.0.unwrap_or_default() },
        })
    }

    /// The same for a read that may fail: why, in words.
    ///
    /// # Errors
    /// Why nothing was read.
    pub async fn read<T, E: std::error::Error + 'static>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let failed = |failed: Option<E>| failed.map_or_else(|| "no answer in time".to_owned(), |error| said(&error));
        self.in_time(call).await.unwrap_or_else(|| Err(None)).map_err(failed)
    }

    async fn in_time<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Option<Result<T, Option<E>>> {
        let call = async { call.await.map_err(Some) };
        match self.timeout.0 {
            Some(limit) => tokio::time::timeout(limit, call).await.ok(),
            None => Some(call.await),
        }
    }
}

/// The contexts of the kubeconfig, in its order.
///
/// # Errors
/// When it cannot be read.
pub fn context_names(connection: &Connection) -> Result<Vec<String>, PluginError> {
    let path = connection.kubeconfig.as_deref();
    let file = kubeconfig(path).map_err(|error| ClientError::Kubeconfig(name_of(path), error))?;
    Ok(file.contexts.into_iter().map(|context| context.name).collect())
}

fn kubeconfig(path: Option<&Path>) -> Result<Kubeconfig, KubeconfigError> {
    path.map_or_else(Kubeconfig::read, Kubeconfig::read_from)
}

fn name_of(path: Option<&Path>) -> String {
    path.map_or_else(|| "that kubectl uses".to_owned(), |path| path.display().to_string())
}

/// What the kubeconfig says, with the command line on top.
async fn config(connection: &Connection) -> Result<Config, ClientError> {
    let path = connection.kubeconfig.as_deref();
    let failed = |error| ClientError::Kubeconfig(name_of(path), error);
    let mut file = kubeconfig(path).map_err(failed)?;
    lay_over(&mut file, connection);
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(failed)?;
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("kubectl-daypass/", env!("CARGO_PKG_VERSION")))));
    // Each call has its own limit; a watch may stay silent for minutes.
    (config.connect_timeout, config.read_timeout) = (Some(CONNECT), None);
    // Whoever waits at a terminal wants the first answer, and pipelines know better when to try again.
    config.default_retry = false;
    Ok(config)
}

/// The flags of the command line go over whatever context is chosen.
fn lay_over(file: &mut Kubeconfig, connection: &Connection) {
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        if let Some(server) = &connection.server {
            cluster.server = Some(server.clone());
        }
    }
    for user in file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        if let Some(token) = &connection.token {
            *user = kube::config::AuthInfo { token: Some(token.clone().into()), ..kube::config::AuthInfo::default() };
        }
        if let Some(name) = &connection.as_user {
            user.impersonate = Some(name.clone());
            user.impersonate_groups = Some(connection.as_group.clone()).filter(|groups| !groups.is_empty());
            user.impersonate_uid.clone_from(&connection.as_uid);
            user.impersonate_user_extra = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_command_goes_to_the_same_cluster_and_shows_no_token() {
        let connection = Connection {
            context: Some("prod eu".to_owned()),
            as_user: Some("o'neil".to_owned()),
            as_group: vec!["dev".to_owned()],
            token: Some("secret".to_owned()),
            ..Connection::default()
        };
        assert_eq!(connection.flags(), r" --context 'prod eu' --as 'o'\''neil' --as-group dev");
        assert_eq!(Connection::default().flags(), "");
    }

    #[test]
    fn a_timeout_is_a_length_of_time_or_none() {
        let seconds = |n| Ok(Timeout(Some(Duration::from_secs(n))));
        for (text, expected) in
            [("30s", seconds(30)), ("5m", seconds(300)), ("7", seconds(7)), ("0", Ok(Timeout(None)))]
        {
            assert_eq!(timeout(text), expected, "{text}");
        }
        assert!(timeout("-5s").is_err_and(|why| why.contains("negative")));
        assert!(timeout("soon").is_err_and(|why| why.contains("such as 30s")));
    }
}
