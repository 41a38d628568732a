//! Daypass: just-in-time access for Kubernetes.
//!
//! Reads make a snapshot, a pure core turns snapshot and time into a plan, one module carries it out.
//! `api` is what people write, `core` decides, `controller` reads and acts, `runtime` is the process,
//! `cli` its commands.

pub mod api;
pub mod cli;
pub mod controller;
pub mod core;
pub mod runtime;
