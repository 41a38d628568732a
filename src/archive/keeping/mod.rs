//! How long an archive keeps what it holds: what is due to go, what is held, and what becomes of it.
//!
//! [`tables`] has the statements, which both stores understand, and [`sweep`] what is done with what is due. For how long is
//! for `core::record::keeping`. What goes here goes for good, so nothing is taken that a hold names, nor of a request that is
//! not over.

pub mod sweep;
pub mod tables;
#[cfg(test)]
pub(super) mod tests;
