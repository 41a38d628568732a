//! The words that every rule speaks: instants, windows, places, persons, and what a request asks for.
//!
//! It must not read a policy, a role's rules or a binding. What can be wrong in a field of one is named in [`problem`].

pub mod ask;
pub mod duration;
pub mod facts;
pub mod field_error;
pub mod grant_scope;
pub mod history;
pub mod instants;
pub mod name;
pub mod namespaces;
pub mod near_miss;
pub mod nearest;
pub mod openings;
pub mod own_clock;
pub mod problem;
pub mod recurrence;
pub mod revision;
pub mod schedule;
pub mod subjects;

#[cfg(test)]
mod golden;
