//! Owns connections over TLS to a server on this machine, and one call over one of them.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who connects, and believes one certificate, given in PEM.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    pub fn believing(certificate: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate in PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        Self(TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())))
    }

    /// A connection to a host and port, such as `localhost:4711`.
    pub async fn connect(&self, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let (name, port) = host.rsplit_once(':').expect("host and port");
        let port: u16 = port.parse().expect("a port");
        let name = ServerName::try_from(name.to_owned()).expect("the name of a host");
        // The servers of the trials listen here alone; `localhost` may be another address first.
        self.0.connect(name, TcpStream::connect(("127.0.0.1", port)).await?).await
    }

    /// What is answered to these bytes, until the other side ends the connection.
    pub async fn exchange(&self, host: &str, call: &str) -> std::io::Result<String> {
        let mut stream = self.connect(host).await?;
        stream.write_all(call.as_bytes()).await?;
        let mut answer = Vec::new();
        // One that is refused in the middle may be reset.
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
