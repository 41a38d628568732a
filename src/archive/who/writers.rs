//! Whose records a token may write.
//!
//! Owns asking the API server whose token it is, or the keys of another cluster's issuer. It must be made for the archive
//! alone, so whoever sees it here can use it nowhere else, and the account decides which cluster's records it may write.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;

use super::token::{BadToken, TokenIssuer};

use crate::api::delivery::AUDIENCE;

/// Which account writes what.
#[derive(Clone, Default)]
pub struct RecordWriters {
    /// UIDs of clusters by the names of accounts of the archive's own cluster.
    pub clusters: BTreeMap<String, String>,
    /// Those of other clusters.
    pub others: Vec<WritingCluster>,
}

/// Another cluster, whose accounts its own issuer vouches for. So are those that feed audit events, with another audience.
#[derive(Clone)]
pub struct WritingCluster {
    /// UID of the cluster, of which alone they write.
    pub uid: String,
    pub issuer: TokenIssuer,
    /// Names of the accounts there that may.
    pub accounts: BTreeSet<String>,
}

/// Why nothing may be written.
#[derive(Debug, thiserror::Error)]
pub enum NotAWriter {
    /// No token, or none that the API server knows for this audience.
    #[error("authorization: it needs a bearer token of audience {AUDIENCE}, which has not ended")]
    Unknown,
    /// A token of another cluster, that is not believed.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// Somebody who writes no records.
    #[error("user {0:?} writes no records here; start the archive with it as --writer")]
    Stranger(String),
    /// Somebody of another cluster who writes no records.
    #[error("user {0:?} of cluster {1} writes no records here; add it to the writers of that cluster in --config")]
    StrangerThere(String, String),
    /// The API server does not say.
    #[error("cannot ask the API server whose token it is: {0}")]
    NoAnswer(#[from] kube::Error),
}

/// The token that headers bring.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token)
}

impl RecordWriters {
    /// The cluster of which the sender of these headers may write.
    ///
    /// # Errors
    /// When there is none, or nobody says.
    pub async fn cluster(&self, client: &Client, headers: &HeaderMap) -> Result<String, NotAWriter> {
        let token = bearer(headers).ok_or(NotAWriter::Unknown)?;
        // Clusters often share the name of an issuer, that of a Service which each of them has. Their keys tell them apart.
        let mut refusal = None;
        for other in self.others.iter().filter(|other| other.issuer.is_named_by(token)) {
            match other.account(token).await {
                Ok((_, true)) => return Ok(other.uid.clone()),
                Ok((account, false)) => refusal = Some(NotAWriter::StrangerThere(account, other.uid.clone())),
                Err(BadToken::Unknown) => {}
                Err(bad) => refusal = refusal.or(Some(bad.into())),
            }
        }
        match (self.at_home(client, token).await, refusal) {
            (Err(NotAWriter::Unknown), Some(refusal)) => Err(refusal),
            (answer, _) => answer,
        }
    }

    /// The same by the API server of the archive's own cluster.
    async fn at_home(&self, client: &Client, token: &str) -> Result<String, NotAWriter> {
        let username = account_of(client, token, AUDIENCE).await?.ok_or(NotAWriter::Unknown)?;
        self.clusters.get(&username).cloned().ok_or(NotAWriter::Stranger(username))
    }
}

impl WritingCluster {
    /// The account of a token of this cluster, and whether it is one that may.
    ///
    /// # Errors
    /// When the token is not believed.
    pub async fn account(&self, token: &str) -> Result<(String, bool), BadToken> {
        let claims = self.issuer.verify(token).await?;
        let account = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let may = self.accounts.contains(&account);
        Ok((account, may))
    }
}

/// Whose a token is, by the API server of the archive's own cluster. None: it is none that is made for this audience.
///
/// # Errors
/// When the API server does not say.
pub async fn account_of(client: &Client, token: &str, audience: &str) -> kube::Result<Option<String>> {
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![audience.to_owned()]) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
    // An authenticator that knows no audiences leaves them out, and would take a token for anything.
    let for_us = status.audiences.unwrap_or_default().iter().any(|for_whom| for_whom == audience);
    if status.authenticated != Some(true) || !for_us {
        return Ok(None);
    }
    Ok(Some(status.user.and_then(|user| user.username).unwrap_or_default()))
}
