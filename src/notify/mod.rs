//! Tells people in chat, by mail and through webhooks what waits for them. Outbound only: nothing that is received decides.
//!
//! | Module | What it owns |
//! | --- | --- |
//! | [`teller`] | The loop: what is seen is told and noted |
//! | [`watched`] | The requests as they are seen |
//! | [`lives`] | What comes next of each request on a route |
//! | [`message`] | A notice in words, the same for every provider |
//! | [`routes`] | Which notices go where |
//! | [`route_test`] | A test message on one route |
//! | [`pending`] | What each route has yet to tell, and when it may |
//! | [`sender`] | One notice on one route |
//! | [`ledger`] | What was told |
//! | [`state`] | The ConfigMap that has it |
//! | [`providers`] | How each place wants it, and what it answers |
//! | [`outbound`] | Calls over HTTP, mails over SMTP, and which addresses they may reach |
//! | [`figures`] | What Prometheus reads |
//!
//! What is worth telling is decided by [`crate::core::notice`]. This part reads requests and writes the one ConfigMap of what
//! was told, and its Lease; it must not write anything else, and no link that it sends has any power.

pub mod figures;
pub mod ledger;
pub mod lives;
pub mod message;
pub mod outbound;
pub mod pending;
pub mod providers;
pub mod route_test;
pub mod routes;
pub mod sender;
pub mod state;
pub mod teller;
pub mod watched;
