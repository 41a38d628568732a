//! Proof of life of the audit logs: as the canary, calls each API server of the cluster again and again, so that an archive
//! that hears its log hears of that. Where one is silent there, nothing is known of what was done by it.
//!
//! Which API servers there are is what they write themselves, in the EndpointSlice `kubernetes`; each replica follows it, and
//! the one that leads calls. What a call says of itself is forgeable, so an archive counts it by the account that made it.
//! It must not judge what was heard: `core::activity` does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::account::{TOKEN_AGE, login};
use super::tries::mark;
use super::{Canary, CannotTry};
use crate::runtime::connection;

/// Time between two marks. An archive takes a minute without one for a gap.
const BETWEEN: Duration = Duration::from_secs(15);
/// Name and namespace of the EndpointSlice that the API servers write.
const SLICE: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// What one round of marks leaves to the next.
#[derive(Default)]
struct Marked {
    /// How many API servers the clients say that there are.
    servers: usize,
    /// A client of each API server, and since when its login is valid.
    clients: BTreeMap<String, (Client, Instant)>,
    /// Why the API servers, or one of them, could not be asked; told once.
    troubles: BTreeMap<String, String>,
}

impl Canary {
    /// Marks the audit log of each API server, for as long as the process runs.
    pub(super) async fn marks(&self) {
        if !self.uses.hears() {
            std::future::pending::<()>().await;
        }
        let mut marked = Marked::default();
        loop {
            let began = Instant::now();
            match api_servers(&self.client).await {
                Ok(servers) => {
                    self.uses.read_servers(servers.clone(), self.hearers.clock.now());
                    marked.tell(SLICE, (servers.is_empty()).then(|| "it names no API server".to_owned()));
                    if self.leadership.holds() {
                        self.mark(&mut marked, servers).await;
                    }
                }
                Err(error) => marked.tell(SLICE, Some(error.to_string())),
            }
            sleep_until(began + BETWEEN).await;
        }
    }

    /// Calls each of these once.
    async fn mark(&self, marked: &mut Marked, servers: BTreeSet<String>) {
        let as_many = std::mem::replace(&mut marked.servers, servers.len()) == servers.len();
        marked.clients.retain(|server, (_, since)| as_many && servers.contains(server) && since.elapsed() < TOKEN_AGE);
        marked.troubles.retain(|server, _| server == SLICE || servers.contains(server));
        for server in &servers {
            if !marked.clients.contains_key(server) {
                let made = self.client_of(server, servers.len()).await;
                marked.tell(server, made.as_ref().err().map(ToString::to_string));
                marked.clients.extend(made.ok().map(|client| (server.clone(), (client, Instant::now()))));
            }
        }
        let calls = marked
            .clients
            .iter()
            .map(|(server, (client, _))| async { (server.clone(), mark(client.clone(), &self.namespace).await) });
        for (server, called) in join_all(calls).await {
            marked.tell(&server, called.err().map(|error| error.to_string()));
        }
    }

    /// A client of one of so many API servers, as the canary.
    async fn client_of(&self, server: &str, servers: usize) -> Result<Client, CannotTry> {
        let mut config = self.config.clone();
        config.auth_info = login(&self.client, &self.namespace).await?;
        // What it says of the time is not heard: one whose clock is wrong must not keep others from being granted access.
        Ok(connection::builder(at(config, server, servers)?)?.build())
    }
}

impl Marked {
    /// Says in the log what is wrong, or no longer is, once.
    fn tell(&mut self, server: &str, trouble: Option<String>) {
        match trouble {
            Some(why) => {
                if self.troubles.insert(server.to_owned(), why.clone()).is_none() {
                    warn!(server, why, "cannot call an API server to mark its audit log; no use of grants is proven");
                }
            }
            None => {
                if self.troubles.remove(server).is_some() {
                    info!(server, "the audit log of an API server is marked again");
                }
            }
        }
    }
}

/// Addresses of the API servers, as HOST:PORT.
async fn api_servers(client: &Client) -> kube::Result<BTreeSet<String>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    Ok(slices.get_opt(SLICE).await?.map(|slice| addresses(&slice)).unwrap_or_default())
}

fn addresses(slice: &EndpointSlice) -> BTreeSet<String> {
    // What else there would be a port for is no business of this Service.
    let ports: Vec<u16> = slice.ports.iter().flatten().filter_map(|port| port.port?.try_into().ok()).collect();
    let hosts = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).filter_map(|host| host.parse().ok());
    hosts.flat_map(|host| ports.iter().map(move |port| SocketAddr::new(host, *port).to_string())).collect()
}

/// A configuration that leads to one API server, and says of how many: an archive cannot know of one that it never heard. Its certificate is for the name by which the cluster is reached otherwise:
/// that of the Service, or its address.
fn at(mut config: Config, server: &str, servers: usize) -> Result<Config, CannotTry> {
    let name = config.cluster_url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
    config.tls_server_name = config.tls_server_name.take().or(name);
    let url = format!("https://{server}").parse::<http::Uri>();
    config.cluster_url = url.map_err(|error| kube::Error::HttpError(error.into()))?;
    let agent = format!("daypass-canary/{} api-server={server} api-servers={servers}", env!("CARGO_PKG_VERSION"));
    config.headers.retain(|(name, _)| name != USER_AGENT);
    let agent = HeaderValue::from_str(&agent).map_err(|error| kube::Error::HttpError(error.into()))?;
    config.headers.push((USER_AGENT, agent));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slice(addresses: &[&str], ports: Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": { "name": "kubernetes" }, "addressType": "IPv4",
            "endpoints": addresses.iter().map(|address| json!({ "addresses": [address] })).collect::<Vec<_>>(),
            "ports": ports
        }))
        .unwrap()
    }

    #[test]
    fn each_address_of_the_api_is_an_api_server() {
        let https = || json!([{ "name": "https", "port": 6443 }]);
        let set = |slice: EndpointSlice| addresses(&slice).into_iter().collect::<Vec<_>>();
        assert_eq!(set(slice(&["10.0.0.2", "10.0.0.1"], https())), ["10.0.0.1:6443", "10.0.0.2:6443"]);
        assert_eq!(set(slice(&["fd00::1"], https())), ["[fd00::1]:6443"]);
        assert!(set(slice(&["no address"], https())).is_empty());
        assert!(set(slice(&["10.0.0.1"], json!([]))).is_empty());
    }

    #[test]
    fn a_call_leads_to_one_server_and_says_which() {
        for (url, named, name) in [
            ("https://10.0.0.1", None, "10.0.0.1"),
            ("https://[fd00::1]:443", None, "fd00::1"),
            ("https://api.example.com:6443", None, "api.example.com"),
            ("https://10.0.0.1", Some("kubernetes.default.svc"), "kubernetes.default.svc"),
        ] {
            let mut config = Config::new(url.parse().unwrap());
            config.tls_server_name = named.map(str::to_owned);
            config.headers.push((USER_AGENT, HeaderValue::from_static("daypass/1 (x)")));
            let config = at(config, "10.1.2.3:6443", 3).unwrap();
            assert_eq!(config.cluster_url.to_string(), "https://10.1.2.3:6443/");
            assert_eq!(config.tls_server_name.as_deref(), Some(name));
            let agents: Vec<&str> = config.headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
            let agent =
                concat!("daypass-canary/", env!("CARGO_PKG_VERSION"), " api-server=10.1.2.3:6443 api-servers=3");
            assert_eq!(agents, [agent]);
        }
    }
}
