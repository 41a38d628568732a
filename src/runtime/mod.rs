//! The process around the controller: clock, clients, the line to an archive, ports, election, probes, certificates, metrics, logs, traces, signals,
//! signatures, the keys of logs and witnesses. Decides nothing.

pub mod archive_line;
pub mod calls;
pub mod carried;
pub mod certificate;
pub mod client;
pub mod clock;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod connection;
pub mod dates;
pub mod door;
pub mod framing;
pub mod gate;
pub mod judged_clock;
pub mod layer;
pub mod leader;
pub mod leases;
pub mod metrics;
pub mod note_signer;
pub mod peer;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod signature;
pub mod telemetry;
pub mod token_end;
#[cfg(feature = "otlp")]
pub mod traces;
