//! The process around the controller: clock, clients, guard, probes, logs, signals. Decides nothing.

pub mod client;
pub mod clock;
pub mod guard;
pub mod server;
pub mod shutdown;
pub mod telemetry;
