//! The kubectl plugin: hands over to [`daypass::cli::plugin`].

use std::process::ExitCode;

use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    daypass::cli::plugin::Plugin::parse().run().await
}
