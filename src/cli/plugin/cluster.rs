//! The cluster that the plugin talks to: its client, how long a call may take, and how a call that failed is told.
//!
//! It must not know any kind of Daypass's, nor how the cluster is reached: [`super::reach`] does.

use kube::Client;

use super::error::{PluginError, said};
use super::reach::failure::{login_failure, reason};
pub use super::reach::flags::{Connection, Timeout, quoted, timeout};
use super::reach::place::{ClusterPlace, LoginKind};
use super::reach::{ReachedCluster, reach, reach_for_others};
use crate::runtime::carried::CarriedCalls;
use crate::runtime::clock::Clock;

/// A cluster without anybody's login: whoever calls brings one.
#[derive(Clone)]
pub struct ClusterAddress {
    namespace: String,
    place: ClusterPlace,
    timeout: Timeout,
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// The namespace that is meant when none is named.
    pub namespace: String,
    /// Where calls go and as whom.
    pub place: ClusterPlace,
    /// How long a call may take.
    timeout: Timeout,
}

impl ClusterAddress {
    /// The API server at this URL, for calls that each carry a token of their own.
    pub fn for_tokens(server: String) -> Self {
        let place = ClusterPlace { server, context: None, user: String::new(), login: LoginKind::Carried, proxy: None };
        Self { namespace: "default".to_owned(), place, timeout: Timeout::default() }
    }

    /// The cluster with the login that a client carries.
    pub fn with(&self, client: Client) -> Cluster {
        let Self { namespace, place, timeout } = self.clone();
        Cluster { client, namespace, place, timeout }
    }
}

impl Cluster {
    /// Finds the cluster and logs in. Asks the API server nothing.
    ///
    /// # Errors
    /// When there is no usable kubeconfig, or no login.
    pub async fn connect(connection: &Connection) -> Result<Self, PluginError> {
        Ok(Self::of(reach(connection).await?, connection))
    }

    /// The same, and a way for calls of others that carry the same login.
    ///
    /// # Errors
    /// Likewise.
    pub async fn connect_for_others(connection: &Connection) -> Result<(Self, CarriedCalls), PluginError> {
        let (reached, calls) = reach_for_others(connection).await?;
        Ok((Self::of(reached, connection), calls))
    }

    fn of(reached: ReachedCluster, connection: &Connection) -> Self {
        let ReachedCluster { client, namespace, place } = reached;
        Self { client, namespace, place, timeout: connection.request_timeout }
    }

    /// The same cluster without this login.
    pub fn address(&self) -> ClusterAddress {
        let Self { client: _, namespace, place, timeout } = self.clone();
        ClusterAddress { namespace, place, timeout }
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
            Some(source) => self.failed(what.into(), source),
            None => PluginError::NoAnswer {
                what: what.into(),
                within: self.timeout.0.unwrap_or_default(),
                server: self.place.words(),
            },
        })
    }

    /// Why a call failed. `what` names it by verb and resource.
    pub fn failed(&self, what: String, source: kube::Error) -> PluginError {
        if let Some(login) = login_failure(&source) {
            return PluginError::NotLoggedIn { what, why: login.to_string() };
        }
        match &source {
            kube::Error::Api(status) if status.code == 401 => {
                PluginError::NotLoggedIn { what, why: self.place.not_accepted(Clock::wall().now()) }
            }
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                PluginError::Away { what, server: self.place.words(), why: reason(&source) }
            }
            _ => PluginError::Api { what, source },
        }
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
