//! The archive: it receives records, keeps them when their objects are gone, and lets auditors search them.
//!
//! Owns what may come in ([`intake`], [`judge`]), where it is kept ([`store`]), how it is called ([`server`]), by whom
//! ([`who`]), what audit events say was done with grants ([`activity`]), what owners say in reviews ([`campaign`]), what is erased when its time is over ([`keeping`]), and whom beside its own
//! cluster it believes ([`config`]). It must not change a record, or write anything to a
//! cluster. What a record says is for `core::record`, its bytes for [`crate::api::record`].

pub mod activity;
pub mod campaign;
pub mod config;
pub mod feed;
pub mod intake;
pub mod judge;
pub mod keeping;
pub mod log;
pub mod server;
pub mod store;
#[cfg(test)]
mod tests;
pub mod who;
