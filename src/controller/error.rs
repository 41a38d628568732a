//! What can go wrong in a pass. Waiting is not an error; it is part of the plan.

use crate::api::request::BindingKind;
use crate::runtime::leader::Lost;

/// A failure that the next pass may not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or could not be reached.
    #[error("cannot {what}: {}", said(source))]
    Api {
        /// What was tried.
        what: &'static str,
        /// What came back.
        #[source]
        source: kube::Error,
    },
    /// The object changed while it was worked on; the pass starts over from the new version.
    #[error("the request changed meanwhile")]
    Conflict,
    /// Access that must end is still there.
    #[error("access cannot be ended: {0}")]
    CannotEnd(#[source] Box<Error>),
    /// It will not work however often it is tried; a sentence.
    #[error("{0}")]
    Refused(String),
    /// An object lacks what every stored object has.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// An object could not be written as JSON.
    #[error("cannot encode the status: {0}")]
    Encode(#[from] serde_json::Error),
    /// Plan after plan had something to do. A fault of the core, stopped before it floods the API server.
    #[error("the request does not settle after {0} steps")]
    DoesNotSettle(usize),
    /// A task ended that runs as long as the process.
    #[error("{0} ended")]
    PartEnded(&'static str),
    /// Another process may lead by now.
    #[error("this replica leads no more: {0}")]
    Lost(#[from] Lost),
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

    /// What the controller may not do, when it failed of that.
    pub fn forbidden(&self) -> Option<String> {
        match self {
            Self::Api { what, source: kube::Error::Api(status) } if status.is_forbidden() => {
                Some(format!("cannot {what}: {}", status.message))
            }
            Self::CannotEnd(why) => why.forbidden(),
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
        move |source| match source {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict,
            source => Self::Api { what, source },
        }
    }
}

/// Why a binding could not be made.
#[derive(Debug)]
pub enum BindError {
    /// It will not work however often it is tried; a sentence for the requester.
    Refused(String),
    /// It may work next time.
    Retry(Error),
}

/// What the API server says of a failure, once: a client's error says it again as it was sent.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    }
}

/// What the API server says when somebody binds a role whose rights they neither have nor may `bind`.
const ESCALATION: &str = "is attempting to grant RBAC permissions not currently held";

impl BindError {
    /// Sorts a client error. Forbidden and invalid stay so until somebody changes something.
    pub fn from_api(error: kube::Error, kind: BindingKind, role: &str) -> Self {
        match &error {
            kube::Error::Api(status) if status.is_forbidden() => {
                let way_out = if status.message.contains(ESCALATION) {
                    "if the role should be granted by Daypass, add it to bindableClusterRoles or bindableRoles in the \
                     chart's values"
                } else {
                    "its rights come with the chart, which can be applied again"
                };
                let why = &status.message;
                Self::Refused(format!("the controller may not create this {kind:?} for role {role}; {way_out} ({why})"))
            }
            kube::Error::Api(status) if matches!(status.code, 404 | 422) => {
                Self::Refused(format!("the {kind:?} could not be created: {}", status.message))
            }
            _ => Self::Retry(Error::api("create a binding")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn forbidden(message: &str) -> String {
        let error = kube::Error::Api(Status::failure(message, "Forbidden").with_code(403).boxed());
        match BindError::from_api(error, BindingKind::RoleBinding, "ClusterRole/edit") {
            BindError::Refused(why) => why,
            BindError::Retry(error) => panic!("{error}"),
        }
    }

    #[test]
    fn who_may_not_bind_a_role_is_told_apart_from_who_may_not_bind() {
        let not_bindable =
            forbidden("user \"daypass\" is attempting to grant RBAC permissions not currently held: all");
        assert!(not_bindable.contains("for role ClusterRole/edit") && not_bindable.contains("bindableClusterRoles"));
        let no_right = forbidden("User \"daypass\" cannot create resource \"rolebindings\" in API group");
        assert!(no_right.contains("its rights come with the chart") && no_right.contains("cannot create resource"));
        assert!(!no_right.contains("bindableClusterRoles"), "{no_right}");
    }
}
