//! A command whose refused calls are asked for, held and sent again.
//!
//! [`endpoint`] is what the command talks to in place of the API server. It must not decide who gets what: the core does.

pub mod endpoint;
