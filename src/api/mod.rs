//! The two kinds that people write, `AccessRequest` and `AccessPolicy`, as Rust types and as CRDs.
//!
//! Owns what is stored and what `kubectl explain` prints. Field limits and CEL rules here are the first
//! check: the API server refuses what breaks them. Must not decide anything: rules over more than one
//! object live in `core`.
#![warn(missing_docs)]

pub mod activity;
pub mod campaign;
pub mod conditions;
mod crd;
pub mod delivery;
pub mod keeping;
pub mod keys;
pub mod policy;
pub mod policy_reason;
pub mod precise_time;
pub mod reason;
pub mod record;
pub mod request;
pub mod risk;
mod schema;
pub mod selector;
pub mod subject;
pub mod word;

pub use crd::{crds, crds_as_yaml};
pub use policy::{AccessPolicy, AccessPolicySpec, AccessPolicyStatus, Effect};
pub use request::{AccessRequest, AccessRequestSpec, AccessRequestStatus, State};
pub use subject::{Identity, RoleKind, RoleName, Subject, SubjectKind};
