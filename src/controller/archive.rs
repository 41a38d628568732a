//! The calls of an archive: what it holds, the delivery of records, and how grants are used.
//!
//! Owns the connection, its certificate and its token. It must not judge an answer: `core::record::outbox` and
//! `core::activity` do. A redirect is
//! not followed, and no proxy is used.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::{Request, Uri, header};
use kube::{Client, Config};
use serde::de::DeserializeOwned;

use crate::api::activity::{USES_PATH, UsesAsked, UsesKnown};
use crate::api::delivery::{ChainAnswer, ChainAnswers, HEADS_PATH, OPEN_PATH, OpenChains, RECORDS_PATH};
use crate::runtime::connection;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may stay without an answer, or stand still while it is sent.
const ANSWER: Duration = Duration::from_secs(30);

/// Where an archive is, and how it and this process know each other.
#[derive(Clone, Debug)]
pub struct ArchivePlace {
    /// Its address, as https://HOST:PORT.
    pub url: Uri,
    /// Name in its certificate, where that is not the host.
    pub server_name: Option<String>,
    /// File with the authority of its certificate, in PEM. It may change.
    pub authority: PathBuf,
    /// File with the token to deliver with. It may change.
    pub token: PathBuf,
}

/// An archive.
pub struct Archive {
    place: ArchivePlace,
    /// Made anew after a failure: its authority may have changed.
    client: Mutex<Option<Client>>,
}

/// Why there is no answer that says anything.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file cannot be used.
    #[error("cannot use {0}: {1}")]
    File(PathBuf, String),
    /// It cannot be called, or its answer is none.
    #[error("no answer: {0}")]
    Away(#[source] kube::Error),
    /// It refuses the call as a whole.
    #[error("{message} ({code})")]
    Refused {
        /// As of HTTP.
        code: u16,
        message: String,
    },
    /// It takes nothing of what it is given, without a reason.
    #[error("it holds no more than before the delivery")]
    NoProgress,
}

impl ArchiveError {
    /// Whether it is the fault of what was sent: less of it may pass.
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::Refused { code: 400 | 413 | 422, .. })
    }
}

impl Archive {
    /// One that is there. It is not called yet.
    pub fn at(place: ArchivePlace) -> Self {
        Self { place, client: Mutex::default() }
    }

    /// One that answers by this client.
    #[cfg(test)]
    pub fn answering(client: Client) -> Self {
        let place = ArchivePlace {
            url: Uri::default(),
            server_name: None,
            authority: PathBuf::default(),
            token: PathBuf::default(),
        };
        Self { place, client: Mutex::new(Some(client)) }
    }

    /// What it holds of these requests, by UID.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn heads(&self, uids: impl Iterator<Item = &str>) -> Result<Vec<ChainAnswer>, ArchiveError> {
        let query: Vec<String> = uids.map(|uid| format!("uid={uid}")).collect();
        let asked: Result<ChainAnswers, _> =
            self.call(Request::get(format!("{HEADS_PATH}?{}", query.join("&"))), Vec::new()).await;
        asked.map(|answers| answers.requests)
    }

    /// Requests whose records do not end, known to it after this place.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn open(&self, after: i64) -> Result<OpenChains, ArchiveError> {
        self.call(Request::get(format!("{OPEN_PATH}?after={after}")), Vec::new()).await
    }

    /// Delivers lines of JSON. What it holds afterwards of each request that they are about, and which texts it lacks.
    ///
    /// # Errors
    /// When it does not say: all, some or none of the lines may be held then.
    pub async fn deliver(&self, lines: String) -> Result<ChainAnswers, ArchiveError> {
        let request = Request::post(RECORDS_PATH).header(header::CONTENT_TYPE, "application/x-ndjson");
        self.call(request, lines.into_bytes()).await
    }

    /// What it knows of the use of grants, and of which API servers it hears.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn uses(&self, asked: &UsesAsked) -> Result<UsesKnown, ArchiveError> {
        let request = Request::post(USES_PATH).header(header::CONTENT_TYPE, "application/json");
        let asked = serde_json::to_vec(asked).map_err(|error| ArchiveError::Away(kube::Error::SerdeError(error)))?;
        self.call(request, asked).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<T, ArchiveError> {
        let request = request.body(body).map_err(|error| ArchiveError::Away(kube::Error::HttpError(error)))?;
        let client = self.client()?;
        let answer: Result<T, kube::Error> = client.request(request).await;
        answer.map_err(|error| match error {
            kube::Error::Api(status) => ArchiveError::Refused { code: status.code, message: status.message },
            error => {
                *self.lock() = None;
                ArchiveError::Away(error)
            }
        })
    }

    fn client(&self) -> Result<Client, ArchiveError> {
        let mut known = self.lock();
        if let Some(client) = &*known {
            return Ok(client.clone());
        }
        let ArchivePlace { url, server_name, authority, token } = &self.place;
        let unusable = |error: String| ArchiveError::File(authority.clone(), error);
        let pem = std::fs::read(authority).map_err(|error| unusable(error.to_string()))?;
        let authorities = connection::authorities(&pem).map_err(|error| unusable(error.to_string()))?;
        let mut config = Config::new(url.clone());
        config.root_cert = Some(authorities);
        config.tls_server_name = server_name.clone();
        config.auth_info.token_file = Some(token.display().to_string());
        (config.connect_timeout, config.read_timeout, config.write_timeout) =
            (Some(CONNECT), Some(ANSWER), Some(ANSWER));
        config.default_retry = false;
        let made = connection::builder(config).map_err(ArchiveError::Away)?.build();
        *known = Some(made.clone());
        Ok(made)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
