//! The `daypass-notify` binary: starts the runtime and hands over to [`daypass::cli::notify`].

use std::process::ExitCode;

use clap::Parser;
use daypass::cli::{CliError, notify};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match notify::run(notify::NotifyArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Logged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("daypass-notify: {error}");
            ExitCode::FAILURE
        }
    }
}
