//! The errors of a pass, their kinds for metrics and logs, and when people get an Event about one.
//!
//! It must not stand for waiting: a request that waits has a plan, and no error.

use kube::core::Status;

use super::refusal::Refusing;
use crate::runtime::leader::LeadershipLost;

/// After how many passes in a row that the API server, or what it asks, did not let go on people are told of it. A right
/// that was just given may not be in force yet, and an API server that just started does not know of it.
const REPORTED: u32 = 4;
/// The same where the answer may be nobody's decision: a server in trouble, or busy.
const REPORTED_OF_TROUBLE: u32 = 12;

/// A failure that the next pass may not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or could not be reached.
    #[error("cannot {what}: {}", in_words(source))]
    Api {
        what: &'static str,
        #[source]
        source: kube::Error,
    },
    /// The object changed while it was worked on; the pass starts over from the new version.
    #[error("the request changed meanwhile")]
    Conflict,
    /// Access that must end is still there.
    #[error("access cannot be ended: {0}")]
    CannotEnd(#[source] Box<Error>),
    /// It will not work however often it is tried.
    #[error("{0}")]
    Refused(Refusing),
    /// An object lacks what every stored object has.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// An object could not be written as JSON.
    #[error("cannot encode the status: {0}")]
    Encode(#[from] serde_json::Error),
    /// Step after plan had something to do. A fault of the core, stopped before it floods the API server.
    #[error("the request does not settle after {0} steps")]
    DoesNotSettle(usize),
    /// A task ended that runs as long as the process.
    #[error("{0} ended")]
    PartEnded(&'static str),
    /// Another process may lead by now.
    #[error("this replica leads no more: {0}")]
    Lost(#[from] LeadershipLost),
}

impl Error {
    /// Every kind that a pass can fail with.
    pub const KINDS: [&str; 6] = ["api", "conflict", "refused", "incomplete", "encode", "does_not_settle"];

    /// The kind, in one word, for figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Conflict => "conflict",
            Self::CannotEnd(why) => why.kind(),
            Self::Refused(_) => "refused",
            Self::Incomplete(_) => "incomplete",
            Self::Encode(_) => "encode",
            Self::DoesNotSettle(_) => "does_not_settle",
            Self::PartEnded(_) => "part_ended",
            Self::Lost(_) => "lost",
        }
    }

    /// Whether the API server forbade it.
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => status.is_forbidden(),
            Self::CannotEnd(why) => why.is_forbidden(),
            _ => false,
        }
    }

    /// After how many failures like this one in a row people are told. Never of what is no answer: then nobody could be
    /// told either. Which answer it is only makes the wait longer or shorter: admission webhooks and policies of others
    /// refuse with any code.
    pub fn reported_after(&self) -> Option<u32> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => {
                Some(if may_pass(status) { REPORTED_OF_TROUBLE } else { REPORTED })
            }
            Self::CannotEnd(why) => why.reported_after(),
            Self::Refused(_) => Some(REPORTED),
            _ => None,
        }
    }

    /// What a failure to take access away is. A conflict stays one: it is tried again at once.
    pub fn cannot_end(self) -> Self {
        match self {
            Self::Conflict => Self::Conflict,
            why => Self::CannotEnd(Box::new(why)),
        }
    }

    /// Wraps a client error with what was tried.
    pub fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { what, source }
    }

    /// What a failed write of an object is that was sent in a version: a conflict only if the object has another one by
    /// now. A conflict about an object that has not changed is a refusal in other words.
    pub async fn of_write(
        what: &'static str,
        source: kube::Error,
        sent: Option<&str>,
        version_now: impl Future<Output = Result<Option<String>, Self>>,
    ) -> Self {
        match &source {
            kube::Error::Api(status) if status.is_conflict() => match version_now.await {
                Ok(now) if now.as_deref() == sent => Self::Api { what, source },
                Ok(_) => Self::Conflict,
                Err(error) => error,
            },
            _ => Self::Api { what, source },
        }
    }
}

/// Whether the next try may be answered in another way with nobody deciding anything.
fn may_pass(status: &Status) -> bool {
    matches!(status.code, 401 | 408 | 429 | 500..)
}

/// Whether an answer to a creation is a decision that stays as it is until somebody changes something. An object that is
/// made has no version to conflict with, so that is none, and neither is what may pass.
pub fn is_final(status: &Status) -> bool {
    (400..500).contains(&status.code) && !may_pass(status) && status.code != 409
}

/// What the API server says of a failure, once: a client's error says it again as it was sent.
fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("somebody's admission says no", reason).with_code(code).boxed())
    }

    #[test]
    fn whatever_is_answered_people_are_told_when_it_stays_so() {
        for code in [400, 401, 403, 404, 409, 413, 422, 429, 500, 503] {
            for reason in ["", "Forbidden", "Conflict", "NotFound"] {
                let error = Error::api("delete a binding")(answer(code, reason)).cannot_end();
                assert!(error.reported_after().is_some_and(|times| times >= REPORTED), "{code} {reason}");
                assert_eq!(error.is_forbidden(), reason == "Forbidden");
            }
        }
        assert_eq!(Error::Conflict.reported_after(), None);
    }

    #[tokio::test]
    async fn a_conflict_about_what_has_not_changed_is_a_refusal() {
        let write = async |reason, now: Option<&str>| {
            let now = Ok(now.map(str::to_owned));
            Error::of_write("store it", answer(409, reason), Some("7"), std::future::ready(now)).await
        };
        assert!(matches!(write("Conflict", Some("7")).await, Error::Api { .. }));
        assert!(matches!(write("Conflict", Some("8")).await, Error::Conflict));
        assert!(matches!(write("Conflict", None).await, Error::Conflict));
        assert!(matches!(write("Invalid", Some("8")).await, Error::Api { .. }));
    }
}
