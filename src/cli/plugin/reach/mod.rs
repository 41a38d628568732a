//! How the cluster is reached, in all of kubectl's ways: which kubeconfig, which proxy, which login.
//!
//! [`flags`] are what the command line says, [`chosen`] what files and environment make of it, [`proxy`] makes the
//! connections, [`login`] what each call carries, from a program ([`exec`]) or an issuer ([`oidc`]), calls of others too;
//! [`place`] and [`failure`] have the words for what goes wrong. It must not know any kind of Daypass's.

mod chosen;
mod exec;
pub mod failure;
pub mod flags;
mod login;
mod oidc;
pub mod place;
mod proxy;

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Client;
use kube::client::ClientBuilder;
use tower::{Layer, ServiceExt};

pub use self::chosen::kubeconfig;
use self::chosen::{ChosenContext, choose};
use self::failure::ReachError;
use self::flags::Connection;
use self::login::KubeLogin;
use self::place::ClusterPlace;
use self::proxy::connections;
use crate::runtime::carried::CarriedCalls;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A way to a cluster.
pub struct ReachedCluster {
    /// Carries the login with each call.
    pub client: Client,
    /// The namespace that is meant when none is named.
    pub namespace: String,
    /// Where calls go and as whom.
    pub place: ClusterPlace,
}

/// Chooses the cluster and logs in, but asks the API server nothing.
///
/// # Errors
/// When there is no usable kubeconfig, or no login.
pub async fn reach(connection: &Connection) -> Result<ReachedCluster, ReachError> {
    let (chosen, login) = logged_in(connection).await?;
    reached(chosen, &login)
}

/// The same, and a way for calls of others: they carry the same login, and who is asked for it is asked once.
///
/// # Errors
/// Likewise.
pub async fn reach_for_others(connection: &Connection) -> Result<(ReachedCluster, CarriedCalls), ReachError> {
    let (chosen, login) = logged_in(connection).await?;
    let service = login.layer(connections(&chosen.config, chosen.proxy.as_ref())?).boxed_clone();
    let api_server = chosen.config.cluster_url.clone();
    let impersonates = chosen.config.auth_info.impersonate.is_some();
    Ok((reached(chosen, &login)?, CarriedCalls::new(service, api_server, impersonates)))
}

async fn logged_in(connection: &Connection) -> Result<(ChosenContext, KubeLogin), ReachError> {
    let mut chosen = choose(connection).await?;
    let config = &mut chosen.config;
    // Each call has its own limit; a watch may stay silent for minutes.
    (config.connect_timeout, config.read_timeout) = (Some(CONNECT), None);
    let login = KubeLogin::first(std::mem::take(&mut chosen.login), &mut config.auth_info).await?;
    Ok((chosen, login))
}

fn reached(mut chosen: ChosenContext, login: &KubeLogin) -> Result<ReachedCluster, ReachError> {
    let config = &mut chosen.config;
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("kubectl-daypass/", env!("CARGO_PKG_VERSION")))));
    let namespace = config.default_namespace.clone();
    // Without retries: who waits at a terminal wants the first answer, and pipelines know better when to try again.
    let service = login.layer(connections(config, chosen.proxy.as_ref())?);
    let client = ClientBuilder::new(service.boxed_clone(), namespace.clone()).build();
    Ok(ReachedCluster { client, namespace, place: chosen.place })
}
