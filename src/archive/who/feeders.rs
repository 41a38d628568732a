//! Who may feed audit events, and of which cluster.
//!
//! Owns the proofs: a tail's token by the API server or by the issuer of another cluster, the token of a webhook or of Event
//! Hubs, the key of Firehose, the signed token of Pub/Sub. Each is good for one kind of feed and one cluster, and none writes
//! records: those have an audience of their own. A secret is compared in constant time and told nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use kube::Client;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::super::feed::{FEED_AUDIENCE, firehose};
use super::token::{BadToken, TokenIssuer};
use super::writers::{WritingCluster, account_of, bearer};

/// The least that a secret in a file has: 16 random bytes as hex.
pub const SHORTEST: usize = 32;

/// What a feed comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// Lines and lists of the API server itself: a tail, or its webhook.
    Events,
    /// CloudWatch logs of EKS.
    Firehose,
    /// Cloud Audit Logs of GKE.
    PubSub,
    /// Resource logs of AKS.
    EventHubs,
}

/// A secret that a feed shows.
#[derive(Clone, PartialEq, Eq)]
pub enum FeedSecret {
    /// The text of a file, which may change.
    File(PathBuf),
    /// Its SHA-256.
    Digest([u8; 32]),
}

/// What a feed proves itself with.
#[derive(Clone)]
pub enum FeedProof {
    /// A secret, of a feed of this kind.
    Secret(FeedKind, FeedSecret),
    /// A token that Google signs for Pub/Sub, and whose address it names.
    PubSub {
        /// Who signs, and for whom.
        issuer: TokenIssuer,
        /// The service account of the subscription.
        email: String,
    },
}

/// A feed that is named in the file of the archive.
#[derive(Clone)]
pub struct NamedFeed {
    /// For logs and figures.
    pub name: String,
    /// UID of the cluster of whose calls it tells.
    pub cluster: String,
    pub proof: FeedProof,
}

/// All who may feed.
#[derive(Clone, Default)]
pub struct AuditFeeders {
    /// UIDs of clusters by the names of accounts of the archive's own cluster.
    pub accounts: BTreeMap<String, String>,
    /// Accounts of other clusters.
    pub others: Vec<WritingCluster>,
    pub feeds: Vec<NamedFeed>,
}

/// Who feeds with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feeder {
    /// The name of the feed, or the account.
    pub name: String,
    /// UID of the cluster of whose calls it may tell.
    pub cluster: String,
}

/// Why nothing may be fed.
#[derive(Debug, thiserror::Error)]
pub enum NotAFeeder {
    /// No proof, or none that is known for this path.
    #[error("{0}")]
    Unknown(FeedKind),
    /// A token that is not believed.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// Somebody who feeds nothing.
    #[error("user {0:?} feeds no audit events here; start the archive with it as --feeder")]
    Stranger(String),
    /// Somebody of another cluster who feeds nothing.
    #[error("user {0:?} of cluster {1} feeds no audit events here; add it to the feeders of that cluster in --config")]
    StrangerThere(String, String),
    /// Pub/Sub for somebody else.
    #[error(
        "email: the token is of no service account that feeds here; set the email of the feed in --config to that of the subscription"
    )]
    OtherAccount,
    /// The API server does not say.
    #[error("cannot ask the API server whose token it is: {0}")]
    NoAnswer(#[from] kube::Error),
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events => write!(
                f,
                "authorization: it needs a bearer token of audience {FEED_AUDIENCE} which has not ended, or that of a webhook in \
                 --config"
            ),
            Self::Firehose => write!(
                f,
                "{}: it needs the access key of a feed in --config; set it as that of the HTTP endpoint",
                firehose::ACCESS_KEY
            ),
            Self::PubSub => f.write_str(
                "authorization: it needs a token of Pub/Sub; enable authentication of the push subscription",
            ),
            Self::EventHubs => {
                f.write_str("authorization: it needs the bearer token of a feed of Event Hubs in --config")
            }
        }
    }
}

/// Never what it is.
impl fmt::Debug for FeedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Digest(_) => f.write_str("Digest"),
        }
    }
}

impl FeedSecret {
    /// Whether this is it.
    async fn is(&self, shown: &[u8; 32]) -> bool {
        let known = match self {
            Self::Digest(digest) => Some(*digest),
            Self::File(file) => digest_in(file.clone()).await,
        };
        known.is_some_and(|known| verify_slices_are_equal(&known, shown).is_ok())
    }
}

/// None, where the file has no secret that is long enough; why is in the log.
async fn digest_in(file: PathBuf) -> Option<[u8; 32]> {
    let name = file.display().to_string();
    let read = spawn_blocking(move || std::fs::read_to_string(file)).await.map_err(std::io::Error::other).flatten();
    match read {
        Ok(text) if text.trim().len() >= SHORTEST => Some(digest(text.trim())),
        Ok(_) => {
            tracing::warn!(
                file = name,
                "the secret of a feed is shorter than {SHORTEST} characters and counts as none"
            );
            None
        }
        Err(error) => {
            tracing::warn!(file = name, %error, "cannot read the secret of a feed");
            None
        }
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl AuditFeeders {
    /// Who sends these headers to the path of this kind.
    ///
    /// # Errors
    /// When it is nobody who may, or nobody says.
    pub async fn feeder(&self, client: &Client, headers: &HeaderMap, kind: FeedKind) -> Result<Feeder, NotAFeeder> {
        let shown = match kind {
            FeedKind::Firehose => headers.get(firehose::ACCESS_KEY).and_then(|key| key.to_str().ok()),
            _ => bearer(headers),
        };
        let shown = shown.ok_or(NotAFeeder::Unknown(kind))?;
        match kind {
            FeedKind::PubSub => self.of_pubsub(shown).await,
            _ => match (self.with_secret(shown, kind).await, kind) {
                (Some(feeder), _) => Ok(feeder),
                (None, FeedKind::Events) => self.of_account(client, shown).await,
                (None, kind) => Err(NotAFeeder::Unknown(kind)),
            },
        }
    }

    /// All are compared, so that the time tells nothing of their order.
    async fn with_secret(&self, shown: &str, kind: FeedKind) -> Option<Feeder> {
        let shown = digest(shown);
        let mut found = None;
        for feed in &self.feeds {
            if let FeedProof::Secret(of, secret) = &feed.proof
                && *of == kind
                && secret.is(&shown).await
            {
                found = Some(feed.feeder());
            }
        }
        found
    }

    async fn of_pubsub(&self, token: &str) -> Result<Feeder, NotAFeeder> {
        let mut refusal = NotAFeeder::Unknown(FeedKind::PubSub);
        for feed in &self.feeds {
            let FeedProof::PubSub { issuer, email } = &feed.proof else { continue };
            if !issuer.is_named_by(token) {
                continue;
            }
            match issuer.verify(token).await {
                Ok(claims) => {
                    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
                    if verified && claims.get("email").and_then(Value::as_str) == Some(email) {
                        return Ok(feed.feeder());
                    }
                    refusal = NotAFeeder::OtherAccount;
                }
                Err(BadToken::Unknown) => {}
                Err(bad) => refusal = bad.into(),
            }
        }
        Err(refusal)
    }

    async fn of_account(&self, client: &Client, token: &str) -> Result<Feeder, NotAFeeder> {
        // As with records: clusters often share the name of an issuer, and their keys tell them apart.
        let mut refusal = None;
        for other in self.others.iter().filter(|other| other.issuer.is_named_by(token)) {
            match other.account(token).await {
                Ok((account, true)) => return Ok(Feeder { name: account, cluster: other.uid.clone() }),
                Ok((account, false)) => refusal = Some(NotAFeeder::StrangerThere(account, other.uid.clone())),
                Err(BadToken::Unknown) => {}
                Err(bad) => refusal = refusal.or(Some(bad.into())),
            }
        }
        match (account_of(client, token, FEED_AUDIENCE).await?, refusal) {
            (Some(account), _) => match self.accounts.get(&account) {
                Some(cluster) => Ok(Feeder { name: account, cluster: cluster.clone() }),
                None => Err(NotAFeeder::Stranger(account)),
            },
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(NotAFeeder::Unknown(FeedKind::Events)),
        }
    }
}

impl NamedFeed {
    fn feeder(&self) -> Feeder {
        Feeder { name: self.name.clone(), cluster: self.cluster.clone() }
    }
}
