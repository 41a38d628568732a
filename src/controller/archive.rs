//! The calls of an archive: what it holds, the delivery of records, and how grants are used.
//!
//! Owns what is said over the line. It must not judge an answer: `core::record::outbox` and `core::activity` do.

use std::time::Duration;

use http::{Request, header};
use serde::de::DeserializeOwned;

use crate::api::activity::{USES_PATH, UsesAsked, UsesKnown};
use crate::api::delivery::{ChainAnswer, ChainAnswers, HEADS_PATH, OPEN_PATH, OpenChains, RECORDS_PATH};
use crate::runtime::archive_line::{ArchiveLine, ArchivePlace, LineError};

/// How long a call may stay without an answer, or stand still while it is sent.
const ANSWER: Duration = Duration::from_secs(30);

/// An archive.
pub struct Archive {
    line: ArchiveLine,
}

/// Why there is no answer that says anything.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The line gives none.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It takes nothing of what it is given, without a reason.
    #[error("it holds no more than before the delivery")]
    NoProgress,
}

impl ArchiveError {
    /// Whether it is the fault of what was sent: less of it may pass.
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::Line(LineError::Refused { code: 400 | 413 | 422, .. }))
    }
}

impl Archive {
    /// One that is there. It is not called yet.
    pub fn at(place: ArchivePlace) -> Self {
        Self { line: ArchiveLine::to(place, ANSWER) }
    }

    /// One that answers by this client.
    #[cfg(test)]
    pub fn answering(client: kube::Client) -> Self {
        Self { line: ArchiveLine::answering(client) }
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
        let asked = serde_json::to_vec(asked).map_err(|error| LineError::Away(kube::Error::SerdeError(error)))?;
        self.call(request, asked).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<T, ArchiveError> {
        let request = request.body(body).map_err(|error| LineError::Away(kube::Error::HttpError(error)))?;
        let answer: Result<T, kube::Error> = self.line.client()?.request(request).await;
        answer.map_err(|error| {
            let error = LineError::from(error);
            // Its authority may have changed. One that refuses is there.
            if let LineError::Away(_) = error {
                self.line.forget();
            }
            error.into()
        })
    }
}
