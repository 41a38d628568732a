//! The process around the controller: clock, clients, guard, probes, metrics, logs, signals. Decides nothing.

pub mod client;
pub mod clock;
pub mod guard;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod telemetry;
