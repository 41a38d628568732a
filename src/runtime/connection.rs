//! How an API server is connected to: as the client library does, but for one setting of the socket.
//!
//! It must not add anything to a call; layers do.

use std::error::Error;

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes};
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower::util::BoxCloneService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

/// The service under the layers of a client, for calls with such bodies.
pub type Unlayered<B = Body> = BoxCloneService<Request<B>, Response<Box<DynBody>>, BoxError>;

/// A client without layers and without retries, whose connections send each write at once (`TCP_NODELAY`, RFC 9293, section 3.7.4).
///
/// Head and body of a call are two writes. Without that setting the second waits until the first one is acknowledged,
/// which the other side may put off for 40 ms: so much later some bindings were gone.
///
/// # Errors
/// When the configuration has a certificate or a token that cannot be used.
pub fn builder(config: Config) -> kube::Result<ClientBuilder<Unlayered>> {
    let service = ServiceBuilder::new().option_layer(config.auth_layer()?).service(over(&config, tcp())?);
    Ok(ClientBuilder::new(service.map_err(BoxError::from).boxed_clone(), config.default_namespace))
}

/// Calls to the server of a configuration over such connections as `connector` makes. No login is in them.
///
/// # Errors
/// When the configuration has a certificate or a header that cannot be used.
pub fn over<C, B>(config: &Config, connector: C) -> kube::Result<Unlayered<B>>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Error + Send + Sync + 'static,
{
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(HttpClient::builder(TokioExecutor::new()).build(connector))
        .map_response(|response| response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>));
    Ok(service.boxed_clone())
}

/// Why nobody can be known by a text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAuthorities {
    /// It is no PEM.
    #[error("{0}")]
    NotPem(String),
    /// It has none.
    #[error("no certificate is in it")]
    Empty,
}

/// The certificates in a PEM text, of those by whom a server is known, as [`Config::root_cert`] takes them.
///
/// # Errors
/// When there is none.
pub fn authorities(pem: &[u8]) -> Result<Vec<Vec<u8>>, NoAuthorities> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|found| found.map(|certificate| certificate.to_vec())).collect();
    let found = found.map_err(|error| NoAuthorities::NotPem(error.to_string()))?;
    if found.is_empty() { Err(NoAuthorities::Empty) } else { Ok(found) }
}

/// Connections whose every write is sent at once.
pub fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // TLS is put around it.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn each_write_is_sent_at_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let place = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let connected: TokioIo<TcpStream> = tcp().call(place).await.unwrap();
        assert!(connected.into_inner().nodelay().unwrap());
    }
}
