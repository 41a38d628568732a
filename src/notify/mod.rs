//! Tells people in chat, by mail and through webhooks what waits for them. Outbound only: nothing that is received decides.
//!
//! | Module | What it owns |
//! | --- | --- |
//! | [`message`] | A notice in words, the same for every provider |
//! | [`routes`] | Which notices go where |
//! | [`pending`] | What each route has yet to tell, and when it may |
//! | [`ledger`] | What was told |
//! | [`state`] | The ConfigMap that has it |
//! | [`providers`] | How each place wants it, and what it answers |
//! | [`outbound`] | Calls over HTTP, and which addresses they may reach |
//!
//! What is worth telling is decided by [`crate::core::notice`]. This part reads requests and writes the one ConfigMap of what
//! was told; it must not write anything else, and no link that it sends has any power. No program runs it yet: what joins these
//! modules is still to come.

pub mod ledger;
pub mod message;
pub mod outbound;
pub mod pending;
pub mod providers;
pub mod routes;
pub mod state;
