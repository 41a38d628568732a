//! What the endpoint proves itself with, and what its callers prove themselves with: made at the start, kept in memory, gone
//! with the process.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;

use crate::runtime::secret;

/// Why there are no keys.
type KeyFailure = Box<dyn std::error::Error + Send + Sync>;

/// The keys of one endpoint.
pub struct EndpointKeys {
    /// What its server proves itself with.
    pub tls: Arc<ServerConfig>,
    /// The certificate that proves the server, in PEM. What signed with it is gone already.
    pub authority: String,
    /// What each call must carry.
    pub token: String,
}

impl EndpointKeys {
    /// Makes new keys.
    ///
    /// # Errors
    /// When there is no cryptography to make them with.
    pub fn make() -> Result<Self, KeyFailure> {
        let provider = CryptoProvider::get_default().ok_or("no cryptography is installed")?.clone();
        let authority = CertifiedIssuer::self_signed(authority(), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = server().signed_by(&key, &authority)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut tls = versions.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;
        // kubectl upgrades calls to SPDY and WebSocket, which HTTP/2 has no way for that the API server knows.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), authority: authority.pem(), token: secret::random()? })
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "kubectl daypass run");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Some libraries take a certificate only when it names the key that signed it and says what it is for.
fn server() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_have_the_same_keys() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let [one, other] = [(); 2].map(|()| EndpointKeys::make().unwrap());
        assert!(one.token != other.token && one.authority != other.authority);
    }
}
