//! What will not work however often it is tried, with the sentences for Events and the log.
//!
//! It must not sort answers of the API server, nor say who is told.

use std::fmt;

use crate::core::rbac::bind_refusal::BindRefusal;

/// What came to nothing, by a decision that stays until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusing {
    /// A binding cannot be made.
    Bind(BindRefusal),
    /// Somebody's admission changes the binding by which the controller holds a role for a moment.
    SelfBindingChanged,
    /// These finalizers came back that were taken from a binding.
    FinalizersBack(Vec<String>),
    /// The authorizer could not answer what this process may bind; why.
    RightUnanswered(String),
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(refusal) => write!(f, "{refusal}"),
            Self::SelfBindingChanged => f.write_str(
                "the binding that lends the controller a role for a moment is changed on its way by somebody",
            ),
            Self::FinalizersBack(names) => {
                write!(f, "cannot take the finalizers from a binding: {} came back", names.join(", "))
            }
            Self::RightUnanswered(why) => write!(f, "the API server cannot say what this process may bind: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_refusal() {
        for (refusal, sentence) in [
            (
                Refusing::SelfBindingChanged,
                "the binding that lends the controller a role for a moment is changed on its way by somebody",
            ),
            (
                Refusing::FinalizersBack(vec!["a".to_owned(), "b".to_owned()]),
                "cannot take the finalizers from a binding: a, b came back",
            ),
            (Refusing::RightUnanswered("WHY".to_owned()), "the API server cannot say what this process may bind: WHY"),
        ] {
            assert_eq!(refusal.to_string(), sentence);
        }
    }
}
