//! Review campaigns as the archive keeps them.
//!
//! Owns the statements ([`tables`]) and that each thing that happens is a line on standard output ([`printed`]). What may happen
//! is for `core::campaign`; who may call at all for [`super::who::campaigners`].

pub mod printed;
pub mod tables;
#[cfg(test)]
pub(super) mod tests;
