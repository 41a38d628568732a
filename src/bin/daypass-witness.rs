//! The `daypass-witness` binary: starts the runtime and hands over to [`daypass::cli::witness`].

use std::process::ExitCode;

use clap::Parser;
use daypass::cli::{CliError, witness};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match witness::run(witness::WitnessArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Logged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("daypass-witness: {error}");
            ExitCode::FAILURE
        }
    }
}
