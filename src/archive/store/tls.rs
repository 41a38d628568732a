//! TLS to PostgreSQL, with the provider that everything else has.
//!
//! Owns the handshake: the certificate of the server is always verified, against the one authority that is named.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::StoreError;

/// Makes connections that trust the authority of a file.
#[derive(Clone)]
pub struct VerifiedTls(Arc<ClientConfig>);

impl VerifiedTls {
    /// Reads the authority, in PEM.
    ///
    /// # Errors
    /// When the file holds none.
    pub fn trusting(file: &Path) -> Result<Self, StoreError> {
        let wrong = |why: String| StoreError::Address(format!("--database-ca {}: {why}", file.display()));
        let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("there is no certificate in it; give a file in PEM".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| wrong(error.to_string()))?;
        Ok(Self(Arc::new(versions.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl MakeTlsConnect<tokio_postgres::Socket> for VerifiedTls {
    type Stream = PostgresTls;
    type TlsConnect = VerifiedHandshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<VerifiedHandshake> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(VerifiedHandshake { connector: TlsConnector::from(self.0.clone()), name })
    }
}

/// A handshake with a server of this name.
pub struct VerifiedHandshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<tokio_postgres::Socket> for VerifiedHandshake {
    type Stream = PostgresTls;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<PostgresTls>> + Send>>;

    fn connect(self, stream: tokio_postgres::Socket) -> Self::Future {
        Box::pin(async move { Ok(PostgresTls(Box::new(self.connector.connect(self.name, stream).await?))) })
    }
}

/// An encrypted connection.
pub struct PostgresTls(Box<tokio_rustls::client::TlsStream<tokio_postgres::Socket>>);

impl TlsStream for PostgresTls {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for PostgresTls {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for PostgresTls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
