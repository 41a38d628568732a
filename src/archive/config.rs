//! The file that `--config` names: whose tokens are believed beside those of the archive's own cluster, and for how long what
//! is kept.
//!
//! Owns its fields and their rules; those of feeds are in [`feeds`], those of the log in [`log`]. What is believed of a token is for [`super::who`].

mod feeds;
pub mod log;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::feeds::FeedEntry;
use self::log::{LogEntry, LogRules};
use super::activity::{ActivityRules, ClusterAccounts};
use super::feed::FEED_AUDIENCE;
use super::who::feeders::NamedFeed;
use super::who::keys::{IssuerKeys, KeySource};
use super::who::oidc::{OidcReaders, ReadableRecords};
use super::who::token::TokenIssuer;
use super::who::writers::WritingCluster;
use crate::api::delivery::AUDIENCE;
use crate::api::keeping::KeepingTimes;
use crate::core::record::keeping::MOST_DAYS;
use crate::runtime::connection;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ArchiveConfig {
    /// Clusters whose records come from outside.
    #[serde(default)]
    clusters: Vec<ClusterEntry>,
    /// What feeds audit events beside tails.
    #[serde(default)]
    feeds: Vec<FeedEntry>,
    /// Who reads from outside.
    #[serde(default)]
    readers: ReadersEntry,
    /// What is kept of audit events.
    #[serde(default)]
    activity: ActivityEntry,
    /// Who signs the log.
    #[serde(default)]
    log: LogEntry,
    /// For how long what is kept.
    #[serde(default)]
    keep: KeepEntry,
}

/// Days; 0 is for good.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeepEntry {
    /// Records of requests that are over, and closed campaigns.
    decision_days: Option<u32>,
    /// What was done with access, call by call.
    activity_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ActivityEntry {
    /// Whether each event of a grant is kept as well.
    #[serde(default)]
    lines: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClusterEntry {
    uid: String,
    issuer: String,
    #[serde(default)]
    writers: BTreeSet<String>,
    #[serde(default)]
    feeders: BTreeSet<String>,
    keys: KeysEntry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeysEntry {
    url: Option<String>,
    certificate_authority: Option<String>,
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReadersEntry {
    oidc: Option<OidcEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OidcEntry {
    issuer: String,
    audience: String,
    #[serde(default = "of_subject")]
    username_claim: String,
    #[serde(default = "of_groups")]
    groups_claim: String,
    groups: Vec<GroupEntry>,
    keys: KeysEntry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GroupEntry {
    name: String,
    #[serde(default)]
    everywhere: bool,
    #[serde(default)]
    namespaces: BTreeSet<String>,
}

fn of_subject() -> String {
    "sub".to_owned()
}

fn of_groups() -> String {
    "groups".to_owned()
}

/// Why the file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// It is not there, or no YAML of these fields.
    #[error("--config {0}: {1}")]
    Unread(String, String),
    /// A field breaks a rule.
    #[error("--config: {field}: {why}")]
    Field { field: String, why: String },
}

/// What the file comes to.
#[derive(Clone, Default)]
pub struct Believed {
    /// Writers of other clusters.
    pub clusters: Vec<WritingCluster>,
    /// Accounts of other clusters that feed audit events.
    pub feeders: Vec<WritingCluster>,
    /// What feeds by a secret, or as Pub/Sub.
    pub feeds: Vec<NamedFeed>,
    /// Readers outside of the cluster.
    pub readers: Option<OidcReaders>,
    /// Whether each audit event of a grant is kept as well.
    pub lines: bool,
    /// For how long what is kept.
    pub keeping: KeepingTimes,
    /// How the log is signed.
    pub log: LogRules,
}

impl Believed {
    /// What is told of audit events, in an archive within the cluster of this UID whose records these accounts write.
    pub fn activity(&self, home: &str, writers: &[String]) -> ActivityRules {
        let here = (home.to_owned(), ClusterAccounts::of_writers(writers));
        let others =
            self.clusters.iter().map(|there| (there.uid.clone(), ClusterAccounts::of_writers(&there.accounts)));
        ActivityRules { clusters: others.chain([here]).collect(), lines: self.lines }
    }
}

impl ArchiveConfig {
    /// Reads it, as YAML or JSON.
    ///
    /// # Errors
    /// When there is none, or it has other fields.
    pub fn read(file: &Path) -> Result<Self, BadConfig> {
        let unread = |error: String| BadConfig::Unread(file.display().to_string(), error);
        let text = std::fs::read_to_string(file).map_err(|error| unread(error.to_string()))?;
        // As Kubernetes reads it, where a file of comments alone sets nothing.
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| unread(error.to_string()))
    }

    /// Holds it to its rules, in an archive within the cluster of this UID.
    ///
    /// # Errors
    /// On the first field that breaks one.
    pub fn believed(self, home: &str) -> Result<Believed, BadConfig> {
        let issuers: BTreeSet<String> = self.clusters.iter().map(|cluster| cluster.issuer.clone()).collect();
        let mut believed = Believed { lines: self.activity.lines, ..Believed::default() };
        for (n, entry) in self.clusters.into_iter().enumerate() {
            let (writes, feeds) = entry.believed(&format!("clusters[{n}]"), home)?;
            believed.clusters.extend(writes);
            believed.feeders.extend(feeds);
        }
        believed.feeds = feeds::believed(self.feeds, home, &issuers)?;
        believed.keeping = self.keep.times()?;
        believed.log = self.log.rules()?;
        believed.readers = self.readers.oidc.map(|entry| entry.believed(&issuers)).transpose()?;
        Ok(believed)
    }
}

impl KeepEntry {
    fn times(self) -> Result<KeepingTimes, BadConfig> {
        let usual = KeepingTimes::default();
        let days = |field: &str, set: Option<u32>, usual: Option<u32>| match set {
            None => Ok(usual),
            Some(0) => Ok(None),
            Some(days) if days <= MOST_DAYS => Ok(Some(days)),
            Some(days) => {
                let why = format!("{days} days are more than {MOST_DAYS}; write 0 to keep them for good");
                wrong(format!("keep.{field}"), why)
            }
        };
        let decision_days = days("decisionDays", self.decision_days, usual.decision_days)?;
        let activity_days = days("activityDays", self.activity_days, usual.activity_days)?;
        Ok(KeepingTimes { decision_days, activity_days, ..usual })
    }
}

/// Those of a cluster that write records, and those that feed audit events, if there are any.
type AccountsThere = (Option<WritingCluster>, Option<WritingCluster>);

impl ClusterEntry {
    fn believed(self, at: &str, home: &str) -> Result<AccountsThere, BadConfig> {
        let uid = filled(format!("{at}.uid"), self.uid)?;
        if uid == home {
            let why = format!(
                "{uid} is the cluster of the archive, whose API server vouches for its accounts; use --writer and --feeder"
            );
            return wrong(format!("{at}.uid"), why);
        }
        if self.writers.is_empty() && self.feeders.is_empty() {
            return wrong(format!("{at}.writers"), "there is none; name the controller's account there".to_owned());
        }
        let issuer = filled(format!("{at}.issuer"), self.issuer)?;
        let keys = self.keys.source(&format!("{at}.keys"))?;
        let with = |field: &str, accounts: BTreeSet<String>, audience: &str| {
            accounts.iter().try_for_each(|account| account_name(&format!("{at}.{field}"), account))?;
            let issuer = TokenIssuer { issuer: issuer.clone(), audience: audience.to_owned(), keys: keys.clone() };
            Ok((!accounts.is_empty()).then(|| WritingCluster { uid: uid.clone(), issuer, accounts }))
        };
        Ok((with("writers", self.writers, AUDIENCE)?, with("feeders", self.feeders, FEED_AUDIENCE)?))
    }
}

fn account_name(at: &str, account: &str) -> Result<(), BadConfig> {
    let parts: Vec<&str> = account.split(':').collect();
    if matches!(parts[..], ["system", "serviceaccount", namespace, name] if !namespace.is_empty() && !name.is_empty()) {
        return Ok(());
    }
    let why = format!("{account:?} is no account; write it as system:serviceaccount:NAMESPACE:NAME");
    wrong(at.to_owned(), why)
}

impl KeysEntry {
    fn source(self, at: &str) -> Result<IssuerKeys, BadConfig> {
        let source = match (self.url, self.certificate_authority, self.file) {
            (Some(url), Some(pem), None) => {
                let Ok(certificates) = connection::authorities(pem.as_bytes()) else {
                    let why = "it holds no certificate in PEM; give that of who signed the certificate of the server";
                    return wrong(format!("{at}.certificateAuthority"), why.to_owned());
                };
                KeySource::at(&url, certificates).map_err(|why| BadConfig::Field { field: format!("{at}.url"), why })?
            }
            (None, None, Some(file)) => KeySource::File(file),
            _ => {
                let why = "they are read from url, with certificateAuthority, or from file; give one of both";
                return wrong(at.to_owned(), why.to_owned());
            }
        };
        Ok(IssuerKeys::of(source))
    }
}

impl OidcEntry {
    fn believed(self, of_clusters: &BTreeSet<String>) -> Result<OidcReaders, BadConfig> {
        let at = |field: &str| format!("readers.oidc.{field}");
        let issuer = filled(at("issuer"), self.issuer)?;
        if of_clusters.contains(&issuer) {
            let why =
                format!("{issuer} is the issuer of a cluster that writes, whose accounts could then read; use another");
            return wrong(at("issuer"), why);
        }
        let audience = filled(at("audience"), self.audience)?;
        if [AUDIENCE, FEED_AUDIENCE].contains(&audience.as_str()) {
            let why =
                format!("{audience} is that of who writes, who reads nothing; let the issuer know readers by another");
            return wrong(at("audience"), why);
        }
        if self.groups.is_empty() {
            return wrong(
                at("groups"),
                "there is none, so nobody could read; name one, or leave readers.oidc out".to_owned(),
            );
        }
        let groups = self.groups.into_iter().enumerate().map(|(n, group)| {
            let at = at(&format!("groups[{n}]"));
            let may = match (group.everywhere, group.namespaces.is_empty()) {
                (true, true) => ReadableRecords::Everywhere,
                (false, false) => ReadableRecords::Namespaces(group.namespaces),
                _ => {
                    return wrong(at, "it reads everywhere, or in namespaces; set everywhere or namespaces".to_owned());
                }
            };
            Ok((filled(format!("{at}.name"), group.name)?, may))
        });
        let groups = groups.collect::<Result<_, _>>()?;
        let (username_claim, groups_claim) = (self.username_claim, self.groups_claim);
        let issuer = TokenIssuer { issuer, audience, keys: self.keys.source(&at("keys"))? };
        Ok(OidcReaders { issuer, username_claim, groups_claim, groups })
    }
}

fn wrong<T>(field: String, why: String) -> Result<T, BadConfig> {
    Err(BadConfig::Field { field, why })
}

fn filled(field: String, value: String) -> Result<String, BadConfig> {
    if value.is_empty() { wrong(field, "it is empty; write what identifies it".to_owned()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        let pem = rcgen::generate_simple_self_signed(["keys.test".to_owned()]).unwrap().cert.pem();
        json!({
            "clusters": [{
                "uid": "there", "issuer": "https://there", "writers": ["system:serviceaccount:daypass-system:daypass"],
                "keys": { "url": "https://keys.test/openid/v1/jwks", "certificateAuthority": pem },
            }],
            "readers": { "oidc": {
                "issuer": "https://login", "audience": "auditors-app", "keys": { "file": "/keys.json" },
                "groups": [{ "name": "auditors", "everywhere": true }, { "name": "shop", "namespaces": ["shop"] }],
            } },
        })
    }

    fn read(config: &Value) -> Result<Believed, BadConfig> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        ArchiveConfig::read(&file)?.believed("here")
    }

    #[test]
    fn a_file_names_other_clusters_and_readers() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let believed = read(&good()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(believed.clusters[0].uid, "there");
        assert_eq!(believed.clusters[0].issuer.audience, AUDIENCE);
        assert!(believed.feeders.is_empty() && believed.feeds.is_empty(), "who writes records feeds nothing");
        let readers = believed.readers.unwrap();
        assert_eq!((readers.username_claim.as_str(), readers.groups_claim.as_str()), ("sub", "groups"));
        assert_eq!(readers.groups["auditors"], ReadableRecords::Everywhere);
        let nothing = read(&json!({})).unwrap_or_else(|error| panic!("{error}"));
        assert!(nothing.clusters.is_empty() && nothing.readers.is_none());
    }

    #[test]
    fn an_account_of_another_cluster_feeds_with_a_token_of_its_own_audience() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let tail = "system:serviceaccount:daypass-system:daypass-archive-tail";
        for (writers, wrote) in [(good()["clusters"][0]["writers"].clone(), 1), (json!([]), 0)] {
            let mut config = good();
            config["clusters"][0]["writers"] = writers;
            config["clusters"][0]["feeders"] = json!([tail]);
            let believed = read(&config).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(believed.clusters.len(), wrote);
            assert_eq!(believed.feeders[0].issuer.audience, FEED_AUDIENCE);
            assert_eq!(believed.feeders[0].accounts, BTreeSet::from([tail.to_owned()]));
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named_by_its_field() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let oidc = "/readers/oidc";
        for (place, value, field) in [
            ("/clusters/0/uid".to_owned(), json!(""), "clusters[0].uid"),
            ("/clusters/0/uid".to_owned(), json!("here"), "clusters[0].uid"),
            ("/clusters/0/issuer".to_owned(), json!(""), "clusters[0].issuer"),
            ("/clusters/0/writers".to_owned(), json!([]), "clusters[0].writers"),
            ("/clusters/0/writers".to_owned(), json!(["admin"]), "clusters[0].writers"),
            ("/clusters/0/feeders".to_owned(), json!(["system:serviceaccount:daypass"]), "clusters[0].feeders"),
            ("/clusters/0/writers".to_owned(), json!(["system:serviceaccount::daypass"]), "clusters[0].writers"),
            ("/clusters/0/keys".to_owned(), json!({}), "clusters[0].keys"),
            ("/clusters/0/keys".to_owned(), json!({ "url": "https://keys.test" }), "clusters[0].keys"),
            ("/clusters/0/keys/url".to_owned(), json!("http://keys.test/jwks"), "clusters[0].keys.url"),
            (
                "/clusters/0/keys/certificateAuthority".to_owned(),
                json!("no PEM"),
                "clusters[0].keys.certificateAuthority",
            ),
            (format!("{oidc}/issuer"), json!("https://there"), "readers.oidc.issuer"),
            (format!("{oidc}/audience"), json!("daypass-archive"), "readers.oidc.audience"),
            (format!("{oidc}/audience"), json!("daypass-archive-audit"), "readers.oidc.audience"),
            (format!("{oidc}/groups"), json!([]), "readers.oidc.groups"),
            (format!("{oidc}/groups/0"), json!({ "name": "auditors" }), "readers.oidc.groups[0]"),
            (format!("{oidc}/groups/1/everywhere"), json!(true), "readers.oidc.groups[1]"),
            (format!("{oidc}/groups/1/name"), json!(""), "readers.oidc.groups[1].name"),
        ] {
            let mut config = good();
            let (parent, name) = place.rsplit_once('/').unwrap();
            match config.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
                object => object[name] = value.clone(),
            }
            match read(&config).map(|_| ()) {
                Err(BadConfig::Field { field: found, .. }) => assert_eq!(found, field, "{place}: {value}"),
                other => panic!("{place}: {value}: {other:?}"),
            }
        }
        let mut unknown = good();
        unknown["clusters"][0]["audience"] = json!("any");
        assert!(matches!(read(&unknown).map(|_| ()), Err(BadConfig::Unread(..))));
    }
}
