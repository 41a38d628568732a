//! The process around the controller: clock, clients, probes, logs, signals. Knows nothing of access.

pub mod client;
pub mod clock;
pub mod server;
pub mod shutdown;
pub mod telemetry;
