//! What people are told: Events, explanations of a decision, what they may ask for, and findings in policies.
//!
//! It must not decide: it asks the other rooms and puts their answers into words.

pub mod alternatives;
pub mod csv;
pub mod difference;
pub mod events;
pub mod explain;
pub mod in_words;
pub mod lint;
pub mod offers;
pub mod spelled;
pub mod stage_waits;
pub mod who;

#[cfg(test)]
mod golden;
