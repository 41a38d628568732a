//! What the controller does, one loop each, once its replica leads.
//!
//! [`work`] starts them all. [`ends`] takes access away on the second; [`request`] and [`policy`] take one object through a
//! pass; [`reaper`] looks from the bindings' side; [`canary`] proves the guards, on every replica; [`takeover`] is for the
//! replica that has just begun to lead. [`outbox`] delivers records to an archive,
//! [`activity`] asks it how grants are used, and [`retention`] removes what it holds. [`insight`] looks for findings. Every write
//! goes through [`mod@super::write`].

pub mod activity;
pub mod bind_rights;
pub mod canary;
pub mod clock;
pub mod ends;
pub mod insight;
pub mod lost_namespace;
pub mod outbox;
pub mod passes;
pub mod policy;
pub mod reaper;
pub mod related;
pub mod request;
pub mod retention;
pub mod takeover;
pub mod work;
