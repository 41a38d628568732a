//! What happens next: from a stored request and a time to one step, from the first pass to the end and its review.
//!
//! [`plan`] is the way in. What stands in the way before any policy is asked is a [`hindrance`]. A request waits for people
//! in [`stages`], runs in [`active`], rests in [`suspend`] and is over by [`end`]; when it is [`idle`] is told apart. What its record says is in [`happened`] and
//! [`granted`]. What a policy says of itself is in [`policy_status`], and of its roles in [`roles_usable`]. It must not
//! write: a [`step`] is a value.

pub mod active;
pub mod break_glass;
pub mod disbelief;
pub mod drift;
pub mod end;
pub mod expiry;
pub mod extension;
pub mod former;
pub mod freeze;
pub mod granted;
pub mod happened;
pub mod hindrance;
pub mod idle;
pub mod plan;
pub mod policy_finding;
pub mod policy_status;
pub mod reap;
pub mod record;
pub mod recorded_first;
pub mod roles_usable;
pub mod stages;
pub mod step;
pub mod suspend;

#[cfg(test)]
mod golden;
