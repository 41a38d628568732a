//! The webhook that writes identities where the cluster cannot do so by MutatingAdmissionPolicy: `daypass stamp`.
//!
//! Owns what is written ([`patch`]) and what that goes by (`admission_review`), how the API server asks for it over TLS
//! ([`server`]). It never refuses, and nothing depends on
//! it: what it writes is verified by the guards identity-check and status-guard, as what anybody writes. It must not talk
//! to the cluster: it has no account there.

mod admission_review;
pub mod patch;
pub mod server;
