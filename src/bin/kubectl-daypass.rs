//! The kubectl plugin: hands over to [`daypass::cli::plugin`].

use std::process::ExitCode;

use clap::CommandFactory;
use daypass::cli::plugin::{Plugin, completion};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(words) = completion::words_to_complete(&args) {
        provide_tls();
        completion::answer(Plugin::command(), words);
        return ExitCode::SUCCESS;
    }
    // Before anything else is made: help and a mistyped flag need none of it.
    let plugin = match Plugin::read(args) {
        Ok(plugin) => plugin,
        Err(code) => return code,
    };
    provide_tls();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(plugin.run()),
        Err(error) => {
            eprintln!("kubectl daypass: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Before any TLS: with several providers in a tree, rustls panics rather than choose.
fn provide_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
