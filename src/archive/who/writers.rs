//! Whose records a token may write.
//!
//! Owns asking the API server whose token it is. It must be made for the archive alone, so whoever sees it here can use it
//! nowhere else, and the account decides which cluster's records it may write.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::delivery::AUDIENCE;

/// Which account writes what.
#[derive(Clone, Debug)]
pub struct RecordWriters {
    /// UIDs of clusters by the names of accounts.
    pub clusters: BTreeMap<String, String>,
}

/// Why nothing may be written.
#[derive(Debug, thiserror::Error)]
pub enum NotAWriter {
    /// No token, or none that the API server knows for this audience.
    #[error("authorization: it needs a bearer token of audience {AUDIENCE}, which has not ended")]
    Unknown,
    /// Somebody who writes no records.
    #[error("user {0:?} writes no records here; start the archive with it as --writer")]
    Stranger(String),
    /// The API server does not say.
    #[error("cannot ask the API server whose token it is: {0}")]
    NoAnswer(#[from] kube::Error),
}

impl RecordWriters {
    /// The cluster of which the sender of these headers may write.
    ///
    /// # Errors
    /// When there is none, or nobody says.
    pub async fn cluster(&self, client: &Client, headers: &HeaderMap) -> Result<String, NotAWriter> {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or(NotAWriter::Unknown)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NotAWriter::Unknown);
        }
        let reviews: Api<TokenReview> = Api::all(client.clone());
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        // An authenticator that knows no audiences leaves them out, and would take a token for anything.
        let for_us = status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE);
        if status.authenticated != Some(true) || !for_us {
            return Err(NotAWriter::Unknown);
        }
        let username = status.user.and_then(|user| user.username).unwrap_or_default();
        self.clusters.get(&username).cloned().ok_or(NotAWriter::Stranger(username))
    }
}
