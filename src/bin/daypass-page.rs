//! The `daypass-page` binary: starts the runtime and hands over to [`daypass::cli::page`].

use std::process::ExitCode;

use clap::Parser;
use daypass::cli::{CliError, page};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match page::run(page::PageArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Logged) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("daypass-page: {error}");
            ExitCode::FAILURE
        }
    }
}
