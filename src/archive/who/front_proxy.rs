//! How the API server proves that it is the one who calls, and says for whom.
//!
//! Owns reading what the API server states of itself in the ConfigMap kube-system/extension-apiserver-authentication. A
//! header about a user counts only on a connection with a certificate of that authority and one of those names.

use std::collections::BTreeMap;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::der::common_name;

/// Namespace of the ConfigMap.
pub const NAMESPACE: &str = "kube-system";
/// Name of the ConfigMap.
pub const CONFIG_MAP: &str = "extension-apiserver-authentication";

/// The API server as a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontProxy {
    /// The authority of its certificate.
    pub authority: Vec<CertificateDer<'static>>,
    /// Common names that its certificate may have; any, where there is none, as Kubernetes reads it.
    names: Vec<String>,
    username: Vec<String>,
    uid: Vec<String>,
    groups: Vec<String>,
    extra: Vec<String>,
}

/// Why it cannot be known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFrontProxy {
    /// The API server runs without aggregation.
    #[error(
        "{0} is not in configmap {NAMESPACE}/{CONFIG_MAP}; start the API server with --requestheader-client-ca-file"
    )]
    Missing(&'static str),
    /// It holds something else.
    #[error("{0} of configmap {NAMESPACE}/{CONFIG_MAP} cannot be read: {1}")]
    Unread(&'static str, String),
}

/// Somebody, as the API server authenticated them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveReader {
    pub username: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

const AUTHORITY: &str = "requestheader-client-ca-file";

impl FrontProxy {
    /// From the data of the ConfigMap.
    ///
    /// # Errors
    /// When it does not say who the API server is.
    pub fn read(data: &BTreeMap<String, String>) -> Result<Self, NoFrontProxy> {
        let pem = data.get(AUTHORITY).ok_or(NoFrontProxy::Missing(AUTHORITY))?;
        let authority: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let authority = authority.map_err(|error| NoFrontProxy::Unread(AUTHORITY, error.to_string()))?;
        if authority.is_empty() {
            return Err(NoFrontProxy::Missing(AUTHORITY));
        }
        let list = |key: &'static str, or: &[&str]| match data.get(key) {
            None => Ok(or.iter().map(|name| (*name).to_owned()).collect()),
            Some(text) => {
                serde_json::from_str::<Vec<String>>(text).map_err(|error| NoFrontProxy::Unread(key, error.to_string()))
            }
        };
        Ok(Self {
            authority,
            names: list("requestheader-allowed-names", &[])?,
            username: list("requestheader-username-headers", &["X-Remote-User"])?,
            uid: list("requestheader-uid-headers", &["X-Remote-Uid"])?,
            groups: list("requestheader-group-headers", &["X-Remote-Group"])?,
            extra: list("requestheader-extra-headers-prefix", &["X-Remote-Extra-"])?,
        })
    }

    /// Whether a certificate is its own. That its authority signed it, TLS has verified.
    pub fn has(&self, certificate: &[u8]) -> bool {
        self.names.is_empty() || common_name(certificate).is_some_and(|name| self.names.contains(&name))
    }

    /// For whom a call is.
    pub fn reader(&self, headers: &HeaderMap) -> Option<ArchiveReader> {
        let all = |names: &[String]| -> Vec<String> {
            let values = names.iter().flat_map(|name| headers.get_all(name));
            values
                .filter_map(|value| value.to_str().ok())
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let username = all(&self.username).into_iter().next()?;
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            let keys = self.extra.iter().filter_map(|prefix| name.as_str().strip_prefix(&prefix.to_lowercase()));
            for key in keys {
                // Percent-encoded, and no query otherwise.
                let query = format!("k={}", key.replace('+', "%2B").replace('&', "%26"));
                let key = form_urlencoded::parse(query.as_bytes()).next().map(|(_, key)| key.into_owned());
                let key = key.unwrap_or_default();
                extra.entry(key).or_default().extend(value.to_str().ok().map(str::to_owned));
            }
        }
        Some(ArchiveReader { username, uid: all(&self.uid).into_iter().next(), groups: all(&self.groups), extra })
    }
}
