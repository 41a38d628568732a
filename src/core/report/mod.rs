//! What people are told: Events, explanations of a decision, and findings in policies.
//!
//! It must not decide: it asks the other rooms and puts their answers into words.

pub mod events;
pub mod explain;
pub mod lint;

#[cfg(test)]
mod golden;
