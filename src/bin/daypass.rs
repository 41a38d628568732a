//! The `daypass` binary: starts the runtime and hands over to [`daypass::cli`].

use std::process::ExitCode;

use clap::Parser;
use daypass::cli::CliError;

// It waits for the API server most of the time, and each thread takes memory: that a node has many cores is no reason.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match daypass::cli::Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Logged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("daypass: {error}");
            ExitCode::FAILURE
        }
    }
}
