//! Names, addresses and connections: what is connected to is the address that was checked, and no name is looked up twice.
//!
//! It must not speak any protocol, and must connect to nothing that the rule of the route refuses, however its name is written.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::ranges::AddressRule;
use crate::notify::routes::RouteReach;

/// How long all the addresses of a name may take to be connected to.
const CONNECT: Duration = Duration::from_secs(5);

/// Looks up a name.
type NameLookup = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Why nothing is connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialFault {
    /// The route may not.
    #[error(
        "{host} is at {ip}, which is no public address; give another, or name a range with it in allowPrivate of the route"
    )]
    Refused { host: String, ip: IpAddr },
    /// It has no address.
    #[error("{host} has no address: {why}")]
    Unknown { host: String, why: String },
    /// Nothing answers there.
    #[error("cannot connect to {host}: {why}")]
    Unreachable { host: String, why: String },
}

/// Connects for one route.
#[derive(Clone)]
pub struct Dialer {
    rule: AddressRule,
    lookup: NameLookup,
    limit: Duration,
}

impl Dialer {
    /// Connects as far as a route may reach, to names as the machine knows them.
    ///
    /// # Errors
    /// A sentence that names the field and says what is wrong with it.
    pub fn new(reach: &RouteReach) -> Result<Self, String> {
        Self::asking(
            reach,
            Arc::new(|host, port| Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })),
        )
    }

    /// The same with another who knows names.
    pub(super) fn asking(reach: &RouteReach, lookup: NameLookup) -> Result<Self, String> {
        let rule = AddressRule::new(&reach.allow_private).map_err(|error| error.to_string())?;
        Ok(Self { rule, lookup, limit: CONNECT })
    }

    /// A connection to the first of the addresses of a host that answers, of those that the route may reach.
    ///
    /// # Errors
    /// When it may reach none of them, or none answers in time.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialFault> {
        let until = Instant::now() + self.limit;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let late = |what: &str| format!("{what} took longer than {:?}", self.limit);
        let unknown = |why| DialFault::Unknown { host: host.to_owned(), why };
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            // Other forms of an address, such as one number, are known to the machine only.
            Err(_) => match timeout_at(until, (self.lookup)(host.to_owned(), port)).await {
                Ok(found) => found.map_err(|error| unknown(error.to_string()))?,
                Err(_) => return Err(unknown(late("looking it up"))),
            },
        };
        let (allowed, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| self.rule.allows(at.ip()));
        if let ([], [at, ..]) = (allowed.as_slice(), refused.as_slice()) {
            return Err(DialFault::Refused { host: host.to_owned(), ip: at.ip() });
        }
        let mut why = None;
        for (index, at) in allowed.iter().enumerate() {
            // Each has its share, so that one that swallows all does not keep the others from a try.
            let left = u32::try_from(allowed.len() - index).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / left;
            match timeout_at(Instant::now() + share, TcpStream::connect(at)).await {
                Ok(Ok(stream)) => {
                    // Head and body are two writes; the second must not wait for the first to be acknowledged.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => why = Some(error.to_string()),
                Err(_) => why = Some(late("connecting")),
            }
        }
        match why {
            Some(why) => Err(DialFault::Unreachable { host: host.to_owned(), why }),
            None => Err(unknown("the answer names none".to_owned())),
        }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialFault;
    type Future = BoxFuture<'static, Result<Self::Response, DialFault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, place: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let usual = if place.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
            let host = place.host().unwrap_or_default();
            dialer.connect(host, place.port_u16().unwrap_or(usual)).await.map(TokioIo::new)
        })
    }
}
