//! What Daypass decides, as pure functions: a snapshot and a time go in, a plan comes out.
//!
//! No client, no async, no clock, no environment: `now` is a parameter and every fact is in the snapshot.
//! The same input gives the same output, byte for byte. The test in `house.rs` keeps it so.
//!
//! The way through: [`validate`] reads the raw specs, [`select`] asks which policies match, [`decide`] says
//! yes, no or not yet, [`plan`] turns that and the live bindings into ordered effects. [`binding`] says what
//! a binding looks like, [`deadline`] when to look again, [`history`] and [`announce`] what to tell.

pub mod announce;
pub mod approvals;
pub mod binding;
pub mod deadline;
pub mod decide;
pub mod duration;
pub mod fault;
pub mod guard;
pub mod history;
pub mod inspect;
pub mod namespaces;
pub mod plan;
pub mod policies;
pub mod readiness;
pub mod reap;
pub mod select;
pub mod stages;
pub mod validate;

#[cfg(test)]
mod house;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod samples;
