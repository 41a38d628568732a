//! The flags by which a process that runs on says how it logs, and the start of its log.
//!
//! It must not say what a line looks like: [`crate::runtime::telemetry`] does.

use tracing_subscriber::Registry;
use tracing_subscriber::layer::Layer;

use crate::runtime::telemetry::{self, Filter, LogFormat};

/// How a process logs.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Which log lines to write: a level (error, warn, info, debug, trace, off), or levels of modules, separated by commas.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_parser = telemetry::filter)]
    log: Filter,
    /// Name of this cluster, to be in every log line.
    #[arg(long)]
    pub cluster: Option<String>,
}

impl LogArgs {
    /// Starts the log. `beside` sees the same spans and events.
    pub fn start(&self, beside: impl Layer<Registry> + Send + Sync) {
        telemetry::start(self.log_format, &self.log, self.cluster.clone(), beside);
    }
}
