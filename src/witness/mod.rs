//! The witness: a program on a machine of others than those who run the archive, which sees that a log only grows.
//!
//! [`config`] is which logs it knows, [`book`] what it has cosigned of each, and evidence where a log has lied, and [`server`]
//! how archives ask (C2SP tlog-witness). What may be cosigned is for [`crate::core::proof::add_checkpoint`]. It must not read
//! a log: it sees checkpoints and proofs, and no record.

pub mod book;
pub mod config;
pub mod server;
#[cfg(test)]
mod tests;
