//! Sending lines of a log to an archive.
//!
//! Owns the connection, the certificate and the token. It must not try again by itself: whoever reads the log knows when. A
//! redirect is not followed, and no proxy is used.

use std::path::PathBuf;
use std::time::Duration;

use http::{Request, Uri, header};
use kube::{Client, Config};
use tokio::sync::Mutex;

use super::super::EVENTS_PATH;
use crate::runtime::connection;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may stay without an answer, or stand still while it is sent.
const ANSWER: Duration = Duration::from_secs(60);

/// Where an archive is, and how it and this process know each other.
#[derive(Clone, Debug)]
pub struct FeedPlace {
    /// Its address, as https://HOST:PORT.
    pub url: Uri,
    /// Name in its certificate, where that is not the host.
    pub server_name: Option<String>,
    /// File with the authority of its certificate, in PEM. It may change.
    pub authority: PathBuf,
    /// File with the token to feed with. It may change.
    pub token: PathBuf,
}

/// What sends.
pub struct FeedSender {
    place: FeedPlace,
    /// Made anew after a failure: a file may have changed.
    client: Mutex<Option<Client>>,
}

/// Why the archive may not have taken what was sent.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A file cannot be used.
    #[error("cannot use {0}: {1}")]
    File(PathBuf, String),
    /// It cannot be called, or its answer is none.
    #[error("no answer: {0}")]
    Away(#[source] kube::Error),
    /// It refuses the call.
    #[error("{message} ({code})")]
    Refused {
        /// As of HTTP.
        code: u16,
        message: String,
    },
}

impl FeedSender {
    /// One for this archive. It is not called yet.
    pub fn to(place: FeedPlace) -> Self {
        Self { place, client: Mutex::default() }
    }

    /// Sends lines. All that counts of them is on its disk then.
    ///
    /// # Errors
    /// When it does not say so: all, some or none may be held.
    pub async fn send(&self, lines: Vec<u8>) -> Result<(), FeedError> {
        let request = Request::post(EVENTS_PATH).header(header::CONTENT_TYPE, "application/x-ndjson").body(lines);
        let request = request.map_err(|error| FeedError::Away(kube::Error::HttpError(error)))?;
        let mut known = self.client.lock().await;
        let client = match &*known {
            Some(client) => client.clone(),
            None => known.insert(self.connected()?).clone(),
        };
        let answer = client.request_text(request).await;
        answer.map(drop).map_err(|error| {
            *known = None;
            match error {
                kube::Error::Api(status) => FeedError::Refused { code: status.code, message: status.message },
                error => FeedError::Away(error),
            }
        })
    }

    fn connected(&self) -> Result<Client, FeedError> {
        let FeedPlace { url, server_name, authority, token } = &self.place;
        let unusable = |error: String| FeedError::File(authority.clone(), error);
        let pem = std::fs::read(authority).map_err(|error| unusable(error.to_string()))?;
        let mut config = Config::new(url.clone());
        config.root_cert = Some(connection::authorities(&pem).map_err(|error| unusable(error.to_string()))?);
        config.tls_server_name = server_name.clone();
        config.auth_info.token_file = Some(token.display().to_string());
        (config.connect_timeout, config.read_timeout, config.write_timeout) =
            (Some(CONNECT), Some(ANSWER), Some(ANSWER));
        config.default_retry = false;
        Ok(connection::builder(config).map_err(FeedError::Away)?.build())
    }
}
