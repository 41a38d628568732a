//! The `daypass-archive` binary: starts the runtime and hands over to [`daypass::cli::archive`].

use std::process::ExitCode;

use clap::Parser;
use daypass::cli::{CliError, archive};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match archive::run(archive::ArchiveArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Logged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("daypass-archive: {error}");
            ExitCode::FAILURE
        }
    }
}
