//! The line to an archive: where it is, how it and this process know each other, and the client that calls it.
//!
//! Owns the connection, its certificate and its token. It must not know what is said over it, nor try again. A redirect is not
//! followed, and no proxy is used.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use kube::{Client, Config};

use super::connection;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Where an archive is, and how it and this process know each other.
#[derive(Clone, Debug)]
pub struct ArchivePlace {
    /// Its address, as https://HOST:PORT.
    pub url: Uri,
    /// Name in its certificate, where that is not the host.
    pub server_name: Option<String>,
    /// File with the authority of its certificate, in PEM. It may change.
    pub authority: PathBuf,
    /// File with the token to call it with. It may change.
    pub token: PathBuf,
}

/// A line to one archive, over which nothing has been said yet.
pub struct ArchiveLine {
    place: ArchivePlace,
    /// How long a call may stay without an answer, or stand still while it is sent.
    answer: Duration,
    /// Kept until it is forgotten: a file may have changed then.
    client: Mutex<Option<Client>>,
}

/// Why there is no answer that says anything.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
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
}

impl From<kube::Error> for LineError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { code: status.code, message: status.message },
            error => Self::Away(error),
        }
    }
}

impl ArchiveLine {
    /// One to this place, on which an answer may take so long.
    pub fn to(place: ArchivePlace, answer: Duration) -> Self {
        Self { place, answer, client: Mutex::default() }
    }

    /// One that is answered by this client.
    #[cfg(test)]
    pub fn answering(client: Client) -> Self {
        let (url, authority, token) = (Uri::default(), PathBuf::default(), PathBuf::default());
        let place = ArchivePlace { url, server_name: None, authority, token };
        Self { client: Mutex::new(Some(client)), ..Self::to(place, Duration::ZERO) }
    }

    /// What calls are made with.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn client(&self) -> Result<Client, LineError> {
        let mut known = self.lock();
        match &*known {
            Some(client) => Ok(client.clone()),
            None => Ok(known.insert(self.connected()?).clone()),
        }
    }

    /// The next call reads the files anew, and connects anew.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn connected(&self) -> Result<Client, LineError> {
        let ArchivePlace { url, server_name, authority, token } = &self.place;
        let unusable = |error: String| LineError::File(authority.clone(), error);
        let pem = std::fs::read(authority).map_err(|error| unusable(error.to_string()))?;
        let mut config = Config::new(url.clone());
        config.root_cert = Some(connection::authorities(&pem).map_err(|error| unusable(error.to_string()))?);
        config.tls_server_name = server_name.clone();
        config.auth_info.token_file = Some(token.display().to_string());
        config.connect_timeout = Some(CONNECT);
        (config.read_timeout, config.write_timeout) = (Some(self.answer), Some(self.answer));
        config.default_retry = false;
        Ok(connection::builder(config).map_err(LineError::Away)?.build())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
