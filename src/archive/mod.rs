//! The archive: it keeps records when their objects are gone, and finds them again.
//!
//! Owns what may come in ([`intake`], [`judge`]) and where it is kept ([`store`]). It must not change a record, or write
//! anything to a cluster. What a record says is for `core::record`, its bytes for [`crate::api::record`].

pub mod intake;
pub mod judge;
pub mod store;
#[cfg(test)]
mod tests;
