//! The feeds of the file: what sends audit events by a secret, or as Pub/Sub.
//!
//! Owns their fields and rules. It must not hold a secret: a file has it, or a digest stands for it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::super::feed::FEED_AUDIENCE;
use super::super::who::feeders::{FeedKind, FeedProof, FeedSecret, NamedFeed};
use super::super::who::token::TokenIssuer;
use super::{BadConfig, KeysEntry, filled, wrong};
use crate::api::delivery::AUDIENCE;

/// Longest name of a feed: it stands in figures.
const LONGEST: usize = 63;

/// A feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FeedEntry {
    name: String,
    /// UID; left out: the archive's own cluster.
    cluster: Option<String>,
    kind: KindWord,
    secret: Option<SecretEntry>,
    oidc: Option<PushEntry>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum KindWord {
    Webhook,
    Firehose,
    PubSub,
    EventHubs,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecretEntry {
    file: Option<PathBuf>,
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PushEntry {
    #[serde(default = "of_google")]
    issuer: String,
    audience: String,
    email: String,
    keys: KeysEntry,
}

fn of_google() -> String {
    "https://accounts.google.com".to_owned()
}

/// What they come to, beside clusters of these issuers.
///
/// # Errors
/// On the first field that breaks a rule.
pub fn believed(
    entries: Vec<FeedEntry>,
    home: &str,
    of_clusters: &BTreeSet<String>,
) -> Result<Vec<NamedFeed>, BadConfig> {
    let mut found: Vec<NamedFeed> = Vec::new();
    for (n, entry) in entries.into_iter().enumerate() {
        let at = format!("feeds[{n}]");
        let feed = entry.believed(&at, home, of_clusters)?;
        if found.iter().any(|other| other.name == feed.name) {
            return wrong(format!("{at}.name"), format!("{:?} is that of another feed; give each its own", feed.name));
        }
        if found.iter().any(|other| same_secret(&other.proof, &feed.proof)) {
            let why = "it is that of another feed, so nobody could tell them apart; make one for each";
            return wrong(format!("{at}.secret"), why.to_owned());
        }
        found.push(feed);
    }
    Ok(found)
}

fn same_secret(one: &FeedProof, other: &FeedProof) -> bool {
    match (one, other) {
        (FeedProof::Secret(_, one), FeedProof::Secret(_, other)) => one == other,
        _ => false,
    }
}

impl FeedEntry {
    fn believed(self, at: &str, home: &str, of_clusters: &BTreeSet<String>) -> Result<NamedFeed, BadConfig> {
        let name = filled(format!("{at}.name"), self.name)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.len() > LONGEST || !name.chars().all(plain) {
            let why = format!("{name:?} must be at most {LONGEST} of a-z, 0-9 and -; it stands in logs and figures");
            return wrong(format!("{at}.name"), why);
        }
        let cluster = self.cluster.map_or_else(|| Ok(home.to_owned()), |uid| filled(format!("{at}.cluster"), uid))?;
        let secret = match (self.kind, self.secret, self.oidc) {
            (KindWord::PubSub, None, Some(oidc)) => {
                let proof = oidc.believed(&format!("{at}.oidc"), of_clusters)?;
                return Ok(NamedFeed { name, cluster, proof });
            }
            (KindWord::PubSub, ..) => {
                let why = "Pub/Sub shows a token that Google signs; give oidc, and no secret";
                return wrong(format!("{at}.oidc"), why.to_owned());
            }
            (_, Some(secret), None) => secret.believed(&format!("{at}.secret"))?,
            _ => {
                let why = "it shows a secret; give secret.file or secret.sha256, and no oidc";
                return wrong(format!("{at}.secret"), why.to_owned());
            }
        };
        let kind = match self.kind {
            KindWord::Firehose => FeedKind::Firehose,
            KindWord::EventHubs => FeedKind::EventHubs,
            KindWord::Webhook | KindWord::PubSub => FeedKind::Events,
        };
        Ok(NamedFeed { name, cluster, proof: FeedProof::Secret(kind, secret) })
    }
}

impl SecretEntry {
    fn believed(self, at: &str) -> Result<FeedSecret, BadConfig> {
        match (self.file, self.sha256) {
            (Some(file), None) => Ok(FeedSecret::File(file)),
            (None, Some(digest)) => match digest_of(&digest) {
                Some(digest) => Ok(FeedSecret::Digest(digest)),
                None => {
                    let why = "it is no SHA-256 in hex; take that of `printf %s SECRET | sha256sum`";
                    wrong(format!("{at}.sha256"), why.to_owned())
                }
            },
            _ => wrong(at.to_owned(), "it is in a file, or stood for by its sha256; give one of both".to_owned()),
        }
    }
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

impl PushEntry {
    fn believed(self, at: &str, of_clusters: &BTreeSet<String>) -> Result<FeedProof, BadConfig> {
        let issuer = filled(format!("{at}.issuer"), self.issuer)?;
        if of_clusters.contains(&issuer) {
            let why = format!("{issuer} is the issuer of a cluster; name its accounts in the feeders of that cluster");
            return wrong(format!("{at}.issuer"), why);
        }
        let audience = filled(format!("{at}.audience"), self.audience)?;
        if [AUDIENCE, FEED_AUDIENCE].contains(&audience.as_str()) {
            let why = format!("{audience} is that of accounts of clusters; give the subscription another");
            return wrong(format!("{at}.audience"), why);
        }
        let email = filled(format!("{at}.email"), self.email)?;
        let keys = self.keys.source(&format!("{at}.keys"))?;
        Ok(FeedProof::PubSub { issuer: TokenIssuer { issuer, audience, keys }, email })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!([
            { "name": "webhook", "kind": "Webhook", "secret": { "file": "/feeds/webhook/token" } },
            { "name": "eks", "cluster": "there", "kind": "Firehose", "secret": { "sha256": "ab".repeat(32) } },
            { "name": "aks", "cluster": "azure", "kind": "EventHubs", "secret": { "sha256": "cd".repeat(32) } },
            { "name": "gke", "cluster": "google", "kind": "PubSub", "oidc": {
                "audience": "https://archive.example", "email": "push@p.iam.gserviceaccount.com", "keys": { "file": "/k" },
            } },
        ])
    }

    fn read(feeds: &Value) -> Result<Vec<NamedFeed>, BadConfig> {
        let entries: Vec<FeedEntry> = serde_json::from_value(feeds.clone()).unwrap();
        believed(entries, "here", &["https://there".to_owned()].into())
    }

    #[test]
    fn each_feed_is_of_one_kind_and_one_cluster() {
        let feeds = read(&good()).unwrap_or_else(|error| panic!("{error}"));
        let clusters: Vec<&str> = feeds.iter().map(|feed| feed.cluster.as_str()).collect();
        assert_eq!(clusters, ["here", "there", "azure", "google"]);
        let kinds = feeds.iter().map(|feed| match &feed.proof {
            FeedProof::Secret(kind, _) => *kind,
            FeedProof::PubSub { issuer, .. } => {
                assert_eq!(issuer.issuer, of_google());
                FeedKind::PubSub
            }
        });
        let expected = [FeedKind::Events, FeedKind::Firehose, FeedKind::EventHubs, FeedKind::PubSub];
        assert_eq!(kinds.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_breaks_a_rule_is_named_by_its_field_and_no_secret_is_told() {
        for (place, value, field) in [
            ("/0/name", json!(""), "feeds[0].name"),
            ("/0/name", json!("Web hook"), "feeds[0].name"),
            ("/1/name", json!("webhook"), "feeds[1].name"),
            ("/1/cluster", json!(""), "feeds[1].cluster"),
            ("/0/secret", Value::Null, "feeds[0].secret"),
            ("/0/secret", json!({}), "feeds[0].secret"),
            ("/0/secret", json!({ "file": "/a", "sha256": "ab".repeat(32) }), "feeds[0].secret"),
            ("/1/secret/sha256", json!("hunter2"), "feeds[1].secret.sha256"),
            ("/1/secret/sha256", json!("é".repeat(32)), "feeds[1].secret.sha256"),
            ("/2/secret/sha256", json!("AB".repeat(32)), "feeds[2].secret"),
            ("/0/oidc", good()[3]["oidc"].clone(), "feeds[0].secret"),
            ("/3/secret", json!({ "file": "/a" }), "feeds[3].oidc"),
            ("/3/oidc", Value::Null, "feeds[3].oidc"),
            ("/3/oidc/issuer", json!("https://there"), "feeds[3].oidc.issuer"),
            ("/3/oidc/audience", json!("daypass-archive-audit"), "feeds[3].oidc.audience"),
            ("/3/oidc/email", json!(""), "feeds[3].oidc.email"),
            ("/3/oidc/keys", json!({}), "feeds[3].oidc.keys"),
        ] {
            let mut feeds = good();
            let (parent, name) = place.rsplit_once('/').unwrap();
            feeds.pointer_mut(parent).unwrap()[name] = value.clone();
            match read(&feeds).map(|_| ()) {
                Err(error @ BadConfig::Field { .. }) => {
                    let BadConfig::Field { field: found, .. } = &error else { unreachable!() };
                    assert_eq!(found, field, "{place}: {value}");
                    assert!(!error.to_string().contains("hunter2"), "{error}");
                }
                other => panic!("{place}: {value}: {other:?}"),
            }
        }
        let unknown = json!([{ "name": "x", "kind": "Webhook", "token": "hunter2" }]);
        assert!(serde_json::from_value::<Vec<FeedEntry>>(unknown).is_err());
    }
}
