//! How the controller connects to the API server: as the client library does, but for one setting of the socket.
//!
//! It must not add anything to a call; layers do.

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// The service under the layers of a client.
pub type Unlayered = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client without layers and without retries, whose connections send each write at once (`TCP_NODELAY`, RFC 9293, section 3.7.4).
///
/// Head and body of a call are two writes. Without that setting the second waits until the first one is acknowledged,
/// which the other side may put off for 40 ms: so much later some bindings were gone. Through a proxy the client library
/// connects, since the socket is not ours then.
///
/// # Errors
/// When the configuration has a certificate, a token or a proxy that cannot be used.
pub fn builder(config: Config) -> kube::Result<ClientBuilder<Unlayered>> {
    if config.proxy_url.is_some() {
        return ClientBuilder::try_from(config);
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp())?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(HttpClient::builder(TokioExecutor::new()).build(connector))
        .map_response(|response| response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>))
        .boxed();
    Ok(ClientBuilder::new(service, config.default_namespace))
}

fn tcp() -> HttpConnector {
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
    use tower::Service;

    use super::*;

    #[tokio::test]
    async fn each_write_is_sent_at_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let place = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let connected: TokioIo<TcpStream> = tcp().call(place).await.unwrap();
        assert!(connected.into_inner().nodelay().unwrap());
    }
}
