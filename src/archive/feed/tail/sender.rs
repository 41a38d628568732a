//! Sending lines of a log to an archive.
//!
//! It must not try again by itself: whoever reads the log knows when.

use std::time::Duration;

use http::{Request, header};

use super::super::EVENTS_PATH;
use crate::runtime::archive_line::{ArchiveLine, ArchivePlace, LineError};

/// How long a call may stay without an answer, or stand still while it is sent.
const ANSWER: Duration = Duration::from_secs(60);

/// What sends.
pub struct FeedSender {
    line: ArchiveLine,
}

impl FeedSender {
    /// One for this archive, with a token to feed with. It is not called yet.
    pub fn to(place: ArchivePlace) -> Self {
        Self { line: ArchiveLine::to(place, ANSWER) }
    }

    /// Sends lines. All that counts of them is on its disk then.
    ///
    /// # Errors
    /// When it does not say so: all, some or none may be held.
    pub async fn send(&self, lines: Vec<u8>) -> Result<(), LineError> {
        let request = Request::post(EVENTS_PATH).header(header::CONTENT_TYPE, "application/x-ndjson").body(lines);
        let request = request.map_err(|error| LineError::Away(kube::Error::HttpError(error)))?;
        let answer = self.line.client()?.request_text(request).await;
        answer.map(drop).map_err(|error| {
            // A token that is refused may have been renewed in the meantime.
            self.line.forget();
            error.into()
        })
    }
}
