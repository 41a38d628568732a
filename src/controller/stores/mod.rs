//! What this process knows of the cluster: the objects that the watches brought, and what passes noted beside them.
//!
//! It answers questions and decides nothing; it must not call the API server.

pub mod bind_rights;
pub mod doubts;
pub mod ends;
pub mod expectations;
pub mod extensions;
pub mod failures;
pub mod first_seen;
pub mod ledger;
pub mod listed;
pub mod packed;
pub mod policies;
pub mod rbac;
pub mod requests;
pub mod worked_on;
