//! Why a binding could not be made: refused for good, or to be tried again.
//!
//! Owns how a refusal of the API server is sorted. It must not write, nor say who is told.

use kube::core::Status;

use super::error::{Error, is_final};
use crate::api::request::BindingKind;
use crate::core::rbac::bind_refusal::{BindRefusal, BindWayOut};

/// What the API server says when somebody binds a role whose rights they neither have nor may `bind`.
const ESCALATION: &str = "is attempting to grant RBAC permissions not currently held";

/// Why a binding could not be made.
#[derive(Debug)]
pub enum BindError {
    /// It will not work however often it is tried.
    Refused(BindRefusal),
    /// It may work next time.
    Retry(Error),
}

impl BindError {
    /// Sorts a client error.
    pub fn from_api(error: kube::Error, kind: BindingKind, role: &str) -> Self {
        match &error {
            kube::Error::Api(status) if status.is_forbidden() => {
                let escalates = status.message.contains(ESCALATION);
                let way_out = if escalates { BindWayOut::ListRole } else { BindWayOut::ApplyChart };
                Self::Refused(BindRefusal::Forbidden { kind, role: role.to_owned(), way_out, words: words(status) })
            }
            kube::Error::Api(status) if is_final(status) => {
                Self::Refused(BindRefusal::Binding { kind, words: words(status), code: status.code })
            }
            _ => Self::Retry(Error::api("create a binding")(error)),
        }
    }
}

fn words(status: &Status) -> String {
    status.message.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    fn sorted(error: kube::Error) -> BindError {
        BindError::from_api(error, BindingKind::RoleBinding, "ClusterRole/edit")
    }

    #[test]
    fn a_binding_that_admission_refuses_is_refused_whatever_the_code() {
        for (code, reason) in [
            (400, "BadRequest"),
            (403, "Forbidden"),
            (404, "NotFound"),
            (413, "RequestEntityTooLarge"),
            (422, "Invalid"),
            (418, "Teapot"),
        ] {
            let BindError::Refused(why) = sorted(answer(code, reason, "no")) else { panic!("{code}") };
            let (BindRefusal::Forbidden { words, .. } | BindRefusal::Binding { words, .. }) = why else {
                panic!("{why:?}")
            };
            assert_eq!(words, "no", "{code}");
        }
        // These may pass; if they do not, people are told.
        for (code, reason) in
            [(401, "Unauthorized"), (409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError"), (503, "")]
        {
            let made = sorted(answer(code, reason, "no"));
            assert!(matches!(made, BindError::Retry(error) if error.reported_after().is_some()), "{code}");
        }
    }

    #[test]
    fn who_may_not_bind_a_role_is_told_apart_from_who_may_not_bind() {
        let way_out = |message: &str| match sorted(answer(403, "Forbidden", message)) {
            BindError::Refused(BindRefusal::Forbidden { way_out, role, .. }) if role == "ClusterRole/edit" => way_out,
            other => panic!("{other:?}"),
        };
        let escalates = "user \"daypass\" is attempting to grant RBAC permissions not currently held: all";
        assert_eq!(way_out(escalates), BindWayOut::ListRole);
        let no_right = "User \"daypass\" cannot create resource \"rolebindings\" in API group";
        assert_eq!(way_out(no_right), BindWayOut::ApplyChart);
    }
}
