//! Readers outside of the cluster: people with a token that an issuer made for the archive alone.
//!
//! Owns what the groups of a token may read. No token of the API server is one: it has another audience. A reader writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use serde_json::Value;

use super::token::{BadToken, Claims, TokenIssuer};
use super::writers::bearer;

/// What may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadableRecords {
    /// All there are, those of other clusters and all texts too.
    Everywhere,
    /// Those about these namespaces of the archive's own cluster.
    Namespaces(BTreeSet<String>),
}

/// Who reads by a token.
#[derive(Clone)]
pub struct OidcReaders {
    pub issuer: TokenIssuer,
    /// The claim that names a person.
    pub username_claim: String,
    /// The claim that names their groups.
    pub groups_claim: String,
    /// By the name of a group.
    pub groups: BTreeMap<String, ReadableRecords>,
}

/// Somebody whose token was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcReader {
    pub username: String,
    may: Vec<ReadableRecords>,
}

impl OidcReader {
    /// Whether they may list the records about a namespace of the archive's own cluster, or without one all of them.
    pub fn may_list(&self, namespace: Option<&str>) -> bool {
        self.may.iter().any(|may| match (may, namespace) {
            (ReadableRecords::Everywhere, _) => true,
            (ReadableRecords::Namespaces(all), Some(namespace)) => all.contains(namespace),
            (ReadableRecords::Namespaces(_), None) => false,
        })
    }
}

impl OidcReaders {
    /// Who sends these headers.
    ///
    /// # Errors
    /// When they have no token that is believed.
    pub async fn reader(&self, headers: &HeaderMap) -> Result<OidcReader, BadToken> {
        let claims = self.issuer.verify(bearer(headers).ok_or(BadToken::Unknown)?).await?;
        let username = claims.get(&self.username_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        // As the API server has it: an address that nobody has verified is anybody's.
        let unverified = self.username_claim == "email" && claims.get("email_verified").is_some_and(|is| *is != true);
        let username = username.filter(|_| !unverified).ok_or(BadToken::Unknown)?.to_owned();
        let may = self.groups_of(&claims).into_iter().filter_map(|group| self.groups.get(group)).cloned().collect();
        Ok(OidcReader { username, may })
    }

    fn groups_of<'a>(&self, claims: &'a Claims) -> Vec<&'a str> {
        match claims.get(&self.groups_claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}
