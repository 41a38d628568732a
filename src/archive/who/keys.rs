//! The keys that an issuer signs tokens with, as a JSON Web Key Set (RFC 7517) tells them.
//!
//! Owns where they are read, and when again: a key that is not known may be new, and one that was taken back must not be
//! believed for long. It must not look into a token.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, Uri};
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use kube::client::Body;
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::runtime::connection;

/// How long reading may take.
const READING: Duration = Duration::from_secs(5);
/// Most bytes of a set.
const SET: usize = 1 << 20;
/// Time between two readings at least, whatever key somebody names.
const PAUSE: Duration = Duration::from_secs(10);
/// How old what was read may become.
const FRESH: Duration = Duration::from_secs(300);
/// What RSA keys sign with. The secret ones of HMAC are nowhere in this module: with them a public key would be a secret.
const OF_RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// Where a set is.
#[derive(Clone)]
pub enum KeySource {
    /// A file, which may change.
    File(PathBuf),
    /// An address.
    Url(Uri, Client),
}

impl KeySource {
    /// The set at an https address, whose server has a certificate of one of these authorities.
    ///
    /// # Errors
    /// When the address cannot be called.
    pub fn at(url: &str, authorities: Vec<Vec<u8>>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let place = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let place =
            place.ok_or_else(|| format!("{url:?} is not https; keys come from a server that proves who it is"))?;
        let base = Uri::builder().scheme("https").authority(place.as_str()).path_and_query("/").build();
        let mut config = Config::new(base.map_err(|error| error.to_string())?);
        config.root_cert = Some(authorities);
        (config.connect_timeout, config.read_timeout) = (Some(READING), Some(READING));
        let client = connection::builder(config).map_err(|error| error.to_string())?.build();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self::Url(path.parse().map_err(|error| format!("{url:?}: {error}"))?, client))
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(file) => {
                let (name, file) = (file.display().to_string(), file.clone());
                let read = spawn_blocking(move || std::fs::read(file)).await.map_err(std::io::Error::other);
                read.flatten().map_err(|error| format!("{name}: {error}"))
            }
            Self::Url(path, client) => {
                let request = Request::get(path).header("accept", "application/jwk-set+json, application/json");
                let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
                let answer = client.send(request).await.map_err(|error| error.to_string())?;
                if !answer.status().is_success() {
                    return Err(format!("it answers {}", answer.status()));
                }
                let body = Limited::new(answer.into_body(), SET).collect().await;
                Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
            }
        }
    }
}

/// A key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<String>,
    /// What it may have signed with.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

/// Those of an issuer; clones share them.
#[derive(Clone)]
pub struct IssuerKeys {
    source: Arc<KeySource>,
    known: Arc<RwLock<KnownKeys>>,
    /// When they were read last, or it was tried. Whoever holds it reads.
    reading: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone, Default)]
struct KnownKeys {
    keys: Vec<VerifyingKey>,
    /// When they were read.
    read: Option<Instant>,
    /// Why they could not be read since.
    why: Option<String>,
}

impl IssuerKeys {
    /// Of this source. Nothing is read yet.
    pub fn of(source: KeySource) -> Self {
        Self { source: Arc::new(source), known: Arc::default(), reading: Arc::default() }
    }

    /// Those that a token with this `kid` may be signed by; none where the issuer has no such key.
    ///
    /// # Errors
    /// When there is none, and the set cannot be read.
    pub async fn named(&self, id: Option<&str>) -> Result<Vec<VerifyingKey>, String> {
        let known = self.known();
        let found = known.named(id);
        if !found.is_empty() && known.read.is_some_and(|read| read.elapsed() < FRESH) {
            return Ok(found);
        }
        self.read_again().await;
        let known = self.known();
        let found = known.named(id);
        match known.why {
            Some(why) if found.is_empty() => Err(why),
            _ => Ok(found),
        }
    }

    fn known(&self) -> KnownKeys {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_again(&self) {
        let mut tried = self.reading.lock().await;
        if tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return;
        }
        let read = timeout(READING, self.source.read()).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let keys = read.and_then(|bytes| keys_of(&bytes));
        *tried = Some(Instant::now());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match keys {
            Ok(keys) => *known = KnownKeys { keys, read: *tried, why: None },
            // What was read before holds on, as when the issuer is away for a minute.
            Err(why) => {
                warn!(why, "cannot read the keys of an issuer");
                known.why = Some(why);
            }
        }
    }
}

impl KnownKeys {
    fn named(&self, id: Option<&str>) -> Vec<VerifyingKey> {
        match id {
            Some(_) => self.keys.iter().filter(|key| key.id.as_deref() == id).cloned().collect(),
            None if self.keys.len() == 1 => self.keys.clone(),
            None => Vec::new(),
        }
    }
}

/// The keys of a set that signatures are verified with. What else is in it is passed over, as RFC 7517 asks.
fn keys_of(bytes: &[u8]) -> Result<Vec<VerifyingKey>, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
    Ok(set.keys.iter().filter_map(verifying).collect())
}

fn verifying(jwk: &Jwk) -> Option<VerifyingKey> {
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &OF_RSA,
        AlgorithmParameters::EllipticCurve(params) => match params.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        _ => return None,
    };
    let stated = jwk.common.key_algorithm.map(Algorithm::try_from);
    let algorithms = match stated {
        None => fitting.to_vec(),
        Some(Ok(stated)) if fitting.contains(&stated) => vec![stated],
        Some(_) => return None,
    };
    Some(VerifyingKey { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
}
