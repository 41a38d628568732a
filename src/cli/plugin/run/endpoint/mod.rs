//! A server on this machine that forwards the calls of one command to the API server, with the caller's own login.
//!
//! [`desk`] is who decides what becomes of a call that is refused. It must not know why a call is refused, nor any kind of
//! Daypass's.

pub mod desk;
