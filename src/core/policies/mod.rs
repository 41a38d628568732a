//! Policies as decisions use them: [`read`] finds all faults of one, [`set`] keeps those of the cluster, [`scope`] says where
//! one applies, [`cel`] what its conditions ask, [`limits`] how much there may be at a time, [`seats`] how people fill its
//! stages, [`origin`] whether it is believed, [`written_for`] whether it knew of schedules of a Deny, and [`usable`]
//! whether the roles that it lists can be handed out.
//!
//! It must not say whether a policy matches a request.

pub mod cel;
pub mod limits;
pub mod origin;
pub mod policy;
pub mod read;
pub mod scope;
pub mod seats;
pub mod set;
pub mod unrecorded;
pub mod usable;
pub mod wildcards;
pub mod written_for;

pub use policy::Policy;
pub use set::{Entry, PolicySet};

#[cfg(test)]
mod golden;
