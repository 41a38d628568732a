//! Why a binding cannot be made, however often it is tried: as values, with `Display` for the requester.
//!
//! It must not say what the API server answered to which call; the controller sorts that.

use std::fmt;

use crate::api::request::BindingKind;

/// What was refused, by a decision that stays until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindRefusal {
    /// The controller may not create a binding.
    Forbidden {
        kind: BindingKind,
        /// The role to bind, with its kind.
        role: String,
        way_out: BindWayOut,
        /// The API server's.
        words: String,
    },
    /// A binding was refused for another reason.
    Binding { kind: BindingKind, words: String, code: u16 },
    /// The role that is to be made for a binding was refused.
    MadeRole { within: String, words: String, code: u16 },
    /// A role of this name is there, and not Daypass's.
    RoleTaken(String),
}

/// What to do about a binding that the controller may not create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindWayOut {
    /// It may not bind that role.
    ListRole,
    /// It may not create bindings.
    ApplyChart,
}

impl fmt::Display for BindRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { kind, role, way_out, words } => {
                write!(f, "the controller may not create this {kind:?} for role {role}; {way_out} ({words})")
            }
            Self::Binding { kind, words, code } => write!(f, "the {kind:?} could not be created: {words} ({code})"),
            Self::MadeRole { within, words, code } => {
                write!(f, "a role with these rules of {within} could not be made: {words} ({code})")
            }
            Self::RoleTaken(name) => {
                write!(f, "role {name} is there already and is not Daypass's: delete it, then ask again")
            }
        }
    }
}

impl fmt::Display for BindWayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ListRole => {
                "if the role should be granted by Daypass, add it to bindableClusterRoles or bindableRoles in the \
                 chart's values"
            }
            Self::ApplyChart => "its rights come with the chart, which can be applied again",
        })
    }
}
