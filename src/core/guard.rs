//! What is known of the cluster's admission policies, as far as decisions care.

use k8s_openapi::jiff::Timestamp;

/// Whether the cluster keeps people from writing in another's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It does, and has since then without a break. An older request may be forged.
    Since(Timestamp),
    /// It does not, or that cannot be tried; why. Nothing new may be granted.
    Missing(String),
}
