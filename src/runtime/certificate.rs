//! The certificate that a server of ours is called under, from files that are mounted, and followed while they change.
//!
//! Owns reading them and saying what is wrong with them. It must not make a certificate: the chart, cert-manager or the
//! admin does. A pair that cannot be used never takes the place of one that can.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

/// Name of the file with the certificate chain, as in a Secret of type `kubernetes.io/tls`.
pub const CHAIN: &str = "tls.crt";
/// Name of the file with the private key.
pub const KEY: &str = "tls.key";

/// Why the files cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}; mount a Secret of type kubernetes.io/tls there")]
    Unreadable(PathBuf, String),
    /// A file holds something else.
    #[error("{0} is not what it should be: {1}; it must be PEM")]
    NotPem(PathBuf, String),
    /// The key is not that of the certificate, or of a kind that TLS has no use for.
    #[error("the key in {0} cannot be used with the certificate beside it: {1}")]
    Unusable(PathBuf, String),
}

/// The certificate of a folder, as it was read last.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The bytes of both files that `current` is made of.
    files: Mutex<Files>,
}

#[derive(PartialEq, Eq)]
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// A key is in it.
impl std::fmt::Debug for Files {
    fn fmt(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// When they cannot be read, or are no certificate with its key.
    pub fn read(folder: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<Self>, CertificateError> {
        let files = Files::read(folder)?;
        let current = files.pair(folder, &provider)?;
        let (current, files) = (RwLock::new(Arc::new(current)), Mutex::new(files));
        Ok(Arc::new(Self { folder: folder.to_owned(), provider, current, files }))
    }

    /// Reads the files again, and says whether they have changed. Connections that are open keep the old certificate.
    ///
    /// # Errors
    /// When they cannot be used; the one before stays in use then.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let files = Files::read(&self.folder)?;
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == files {
            return Ok(false);
        }
        let pair = Arc::new(files.pair(&self.folder, &self.provider)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        *known = files;
        Ok(true)
    }

    /// Reads the files again and again. A kubelet changes a mounted Secret by swapping a link, which a watch of the files
    /// does not see.
    pub async fn follow(&self, every: Duration) {
        let mut told = None;
        loop {
            tokio::time::sleep(every).await;
            match self.refresh() {
                Ok(true) => info!("the certificate has changed and is in use"),
                Ok(false) => {}
                Err(error) if told.as_ref() == Some(&error) => continue,
                Err(error) => {
                    warn!("{error}; the certificate that was read before stays in use");
                    told = Some(error);
                    continue;
                }
            }
            told = None;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Files {
    fn read(folder: &Path) -> Result<Self, CertificateError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| CertificateError::Unreadable(path, error.to_string()))
        };
        Ok(Self { chain: read(CHAIN)?, key: read(KEY)? })
    }

    fn pair(&self, folder: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let not_pem = |name: &str, why: String| CertificateError::NotPem(folder.join(name), why);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let chain = chain.map_err(|error| not_pem(CHAIN, error.to_string()))?;
        if chain.is_empty() {
            return Err(not_pem(CHAIN, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| not_pem(KEY, error.to_string()))?;
        let pair = CertifiedKey::from_der(chain, key, provider);
        pair.map_err(|error| CertificateError::Unusable(folder.join(KEY), error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    /// A certificate and its key, in PEM.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["stamp.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn write(folder: &Path, (chain, key): &(String, String)) {
        std::fs::write(folder.join(CHAIN), chain).unwrap();
        std::fs::write(folder.join(KEY), key).unwrap();
    }

    fn leaf(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.current.read().unwrap().cert[0].clone()
    }

    fn in_pem(pair: &(String, String)) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pair.0.as_bytes()).unwrap()
    }

    #[test]
    fn a_secret_that_the_kubelet_swaps_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (made(), made());
        // As in a pod: tls.crt -> ..data/tls.crt, and ..data is a link that is replaced.
        for (name, pair) in [("one", &one), ("two", &two)] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            write(&folder.path().join(name), pair);
        }
        symlink("one", folder.path().join("..data")).unwrap();
        for file in [CHAIN, KEY] {
            symlink(format!("..data/{file}"), folder.path().join(file)).unwrap();
        }
        let certificate = Certificate::read(folder.path(), provider()).unwrap();
        assert_eq!(leaf(&certificate), in_pem(&one));
        assert_eq!(certificate.refresh(), Ok(false));
        symlink("two", folder.path().join("..new")).unwrap();
        std::fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
        assert_eq!(certificate.refresh(), Ok(true));
        assert_eq!(leaf(&certificate), in_pem(&two));
        assert_eq!(certificate.refresh(), Ok(false));
    }

    #[test]
    fn what_cannot_be_used_leaves_the_one_before_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Certificate::read(folder.path(), provider()).unwrap_err();
        assert!(matches!(&missing, CertificateError::Unreadable(path, _) if path.ends_with(CHAIN)), "{missing}");
        let (one, two) = (made(), made());
        write(folder.path(), &one);
        let certificate = Certificate::read(folder.path(), provider()).unwrap();
        // The certificate of one and the key of the other: a swap that is seen half.
        for (pair, file) in [
            ((two.0.clone(), one.1.clone()), KEY),
            ((String::new(), two.1.clone()), CHAIN),
            ((two.0.clone(), "no key".to_owned()), KEY),
            (("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n".to_owned(), two.1.clone()), CHAIN),
        ] {
            write(folder.path(), &pair);
            let refused = certificate.refresh().unwrap_err().to_string();
            assert!(refused.contains(&folder.path().join(file).display().to_string()), "{refused}");
            assert_eq!(leaf(&certificate), in_pem(&one));
            assert_eq!(certificate.refresh().unwrap_err().to_string(), refused, "it is said at every look");
        }
        std::fs::remove_file(folder.path().join(KEY)).unwrap();
        assert!(matches!(certificate.refresh(), Err(CertificateError::Unreadable(..))));
        assert_eq!(leaf(&certificate), in_pem(&one));
        write(folder.path(), &two);
        assert_eq!(certificate.refresh(), Ok(true));
        assert!(!format!("{certificate:?}").contains("PRIVATE"), "a key is no matter for a log");
    }

    /// Counts the warnings of a log.
    #[derive(Clone, Default)]
    struct Warnings(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Warnings {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == Level::WARN {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_wrong_is_said_once() {
        let warnings = Warnings::default();
        let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
        let folder = tempfile::tempdir().unwrap();
        let good = made();
        write(folder.path(), &good);
        let certificate = Certificate::read(folder.path(), provider()).unwrap();
        let every = Duration::from_secs(5);
        let follows = certificate.clone();
        let follows = tokio::spawn(async move { follows.follow(every).await });
        let wrong = (String::new(), good.1.clone());
        for (pair, said) in [(&good, 0), (&wrong, 1), (&made(), 1), (&wrong, 2)] {
            write(folder.path(), pair);
            tokio::time::sleep(10 * every).await;
            assert_eq!(warnings.0.load(Ordering::SeqCst), said);
        }
        follows.abort();
    }
}
