//! Clients of the API server: one for calls, one for watches, one for writes, each with its layers.
//!
//! It must not call the API server itself.

use std::path::Path;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, Service};

use super::calls::Counting;
use super::connection;
use super::dates::Hearing;
use super::gate::{Gate, Leadership};
use super::judged_clock::JudgedClock;
use super::layer::{ResponseFuture, With};
use super::metrics::Metrics;
#[cfg(feature = "otlp")]
use super::traces::Tracing;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may stay without an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Clients of the API server: watches may stay silent for minutes, a call may not.
#[derive(Clone)]
pub struct Clients {
    /// For lists and watches.
    pub watches: Client,
    /// For single reads, and for what any replica may do; times out and does not retry by itself.
    pub calls: Client,
    /// The same for all writes: none passes unless this replica leads.
    pub writes: Client,
    /// The same for the lease alone, which must not wait behind other calls.
    pub lease: Client,
    /// What `calls` is made from, for clients with other credentials.
    pub config: Config,
}

/// What hears of each answer.
#[derive(Clone, Debug)]
pub struct Hearers {
    pub metrics: Metrics,
    /// Learns the API server's time from it.
    pub clock: JudgedClock,
}

/// A client whose answers are heard.
///
/// # Errors
/// When it cannot be built.
pub fn heard(config: Config, hearers: &Hearers) -> kube::Result<Client> {
    Ok(layered(config, hearers)?.build())
}

/// A client whose answers are heard, and whose writes pass only while this replica leads.
///
/// # Errors
/// When it cannot be built.
pub fn gated(config: Config, hearers: &Hearers, leadership: Leadership) -> kube::Result<Client> {
    Ok(layered(config, hearers)?.with_layer(&With(Gate(leadership))).build())
}

/// A client with the layers that every client has.
fn layered(config: Config, hearers: &Hearers) -> kube::Result<ClientBuilder<impl Answering + use<>>> {
    let counting = With(Counting(hearers.metrics.clone()));
    let counted = connection::builder(config)?.with_layer(&counting).with_layer(&With(Hearing(hearers.clock.clone())));
    #[cfg(feature = "otlp")]
    let counted = counted.with_layer(&With(Tracing));
    Ok(counted)
}

/// What answers the calls of a client, and can get one more layer.
trait Answering:
    Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError, Future = ResponseFuture<Box<DynBody>>>
    + Send
    + 'static
{
}

impl<S> Answering for S where
    S: Service<
            Request<Body>,
            Response = Response<Box<DynBody>>,
            Error = BoxError,
            Future = ResponseFuture<Box<DynBody>>,
        > + Send
        + 'static
{
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {0}: {1}")]
    Kubeconfig(String, #[source] kube::config::KubeconfigError),
    /// Not in a pod, and no kubeconfig given.
    #[error("not running in a cluster ({0}); give --kubeconfig to run outside")]
    InCluster(#[from] kube::config::InClusterError),
    /// The controller stands in the cluster that it serves.
    #[error(
        "proxy-url or HTTPS_PROXY leads through {0}, and the controller goes to the API server directly: leave it out"
    )]
    Proxy(http::Uri),
    /// The name of this process is no text for a header.
    #[error("{0:?} cannot be the name of this process")]
    Name(String),
    /// The client cannot be built.
    #[error("cannot make a client: {0}")]
    Client(#[from] kube::Error),
}

/// Clients for the cluster of the kubeconfig, or without one for the cluster that this pod runs in. No other
/// file or environment variable is read: a controller must not follow somebody's kubeconfig by accident. The audit
/// log tells replicas apart by `instance`.
///
/// # Errors
/// When there is no such cluster to be found.
pub async fn clients(
    kubeconfig: Option<&Path>,
    instance: &str,
    leadership: Leadership,
    hearers: &Hearers,
) -> Result<Clients, ClientError> {
    let mut config = config(kubeconfig, instance).await?;
    let watches = heard(config.clone(), hearers)?;
    config.read_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    let calls = || heard(config.clone(), hearers);
    let writes = gated(config.clone(), hearers, leadership)?;
    Ok(Clients { watches, calls: calls()?, writes, lease: calls()?, config })
}

/// A client for single calls, found like those of [`clients`], for a program whose calls nobody counts.
///
/// # Errors
/// When there is no such cluster to be found.
pub async fn of(kubeconfig: Option<&Path>, instance: &str) -> Result<Client, ClientError> {
    let mut config = config(kubeconfig, instance).await?;
    config.read_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    Ok(connection::builder(config)?.build())
}

/// A client for lists and watches, found like that of [`of`]: they may stay silent for minutes.
///
/// # Errors
/// When there is no such cluster to be found.
pub async fn watching(kubeconfig: Option<&Path>, instance: &str) -> Result<Client, ClientError> {
    Ok(connection::builder(config(kubeconfig, instance).await?)?.build())
}

async fn config(kubeconfig: Option<&Path>, instance: &str) -> Result<Config, ClientError> {
    let mut config = match kubeconfig {
        None => Config::incluster()?,
        Some(path) => {
            let failed = |error| ClientError::Kubeconfig(path.display().to_string(), error);
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?
        }
    };
    if let Some(proxy) = config.proxy_url.take() {
        return Err(ClientError::Proxy(proxy));
    }
    let agent = HeaderValue::from_str(&format!("daypass/{} ({instance})", env!("CARGO_PKG_VERSION")))
        .map_err(|_| ClientError::Name(instance.to_owned()))?;
    config.headers.push((USER_AGENT, agent));
    config.connect_timeout = Some(CONNECT);
    // It would wait longer and longer, for minutes, where nobody sees it. Whoever calls knows better when to try again.
    config.default_retry = false;
    Ok(config)
}
