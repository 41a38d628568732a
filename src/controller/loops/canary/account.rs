//! The canary's own account: how the controller signs in as it, and what the API server says of it and of the time.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::config::AuthInfo;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use super::tries::CANARY;
use super::{Canary, CannotTry};
use crate::api::{AccessRequest, Identity};
use crate::runtime::client;
use crate::runtime::judged_clock::Witness;

/// How long a token of the canary is asked for, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// When a token is renewed: well before its end.
pub(super) const TOKEN_AGE: Duration = Duration::from_secs(1800);

/// The canary's own account, signed in.
pub(super) struct CanaryAccount {
    /// For tries, and for reading.
    pub tries: Client,
    /// For what is stored; holds back the writes of a replica that does not lead.
    writes: Client,
    /// When it signed in.
    since: Instant,
}

impl CanaryAccount {
    /// The account that is signed in, or a new one when there is none or its token is old.
    pub async fn fresh<'a>(known: &'a mut Option<Self>, canary: &Canary) -> Result<&'a Self, CannotTry> {
        if known.as_ref().is_none_or(|account| account.since.elapsed() >= TOKEN_AGE) {
            *known = Some(Self::sign_in(canary).await?);
        }
        known.as_ref().ok_or(CannotTry::NothingToTryOn)
    }

    /// One that has just signed in and makes its calls by this client.
    #[cfg(test)]
    pub fn signed_in(client: Client) -> Self {
        Self { tries: client.clone(), writes: client, since: Instant::now() }
    }

    async fn sign_in(canary: &Canary) -> Result<Self, CannotTry> {
        let since = Instant::now();
        let mut config = canary.config.clone();
        config.auth_info = login(&canary.client, &canary.namespace).await?;
        let writes = client::gated(config.clone(), &canary.hearers, canary.leadership.clone())?;
        Ok(Self { tries: client::heard(config, &canary.hearers)?, writes, since })
    }

    /// Requests, for what is stored.
    pub fn requests(&self, canary: &Canary) -> Api<AccessRequest> {
        Api::namespaced(self.writes.clone(), &canary.namespace)
    }
}

/// What somebody is the canary by, for an hour.
pub(super) async fn login(client: &Client, namespace: &str) -> Result<AuthInfo, CannotTry> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
    let asked = TokenRequest { spec, ..TokenRequest::default() };
    let token = accounts.create_token_request(CANARY, &PostParams::default(), &asked).await?;
    let token = token.status.map(|status| status.token).unwrap_or_default();
    Ok(serde_json::from_value::<AuthInfo>(json!({ "token": token }))?)
}

/// Who the API server says that a client is, as a request of it has to say, and its time, by which it dates objects; this
/// process's may be wrong, so its clock hears of it.
pub(super) async fn who_and_when(client: &Client, canary: &Canary) -> Result<(Identity, Timestamp), CannotTry> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let sent = Instant::now();
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let now = review.metadata.creation_timestamp.ok_or(CannotTry::NoTime)?.0;
    canary.hearers.clock.hear(Witness::Creation, sent, now);
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    let (groups, mut extra) = (user.groups.unwrap_or_default(), user.extra.unwrap_or_default());
    extra.retain(|key, values| canary.extra_keys.contains(key) && !values.is_empty());
    Ok((Identity { username: user.username.unwrap_or_default(), uid: user.uid, groups, extra }, now))
}
