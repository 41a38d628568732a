//! The kubectl plugin: hands over to [`daypass::cli::plugin`].

use std::process::ExitCode;

use clap::CommandFactory;
use daypass::cli::plugin::{Plugin, completion};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if args.next().is_some_and(|program| completion::is_completer(&program)) {
        provide_tls();
        completion::answer(Plugin::command(), &args.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    // Before anything else is made: help and a mistyped flag need none of it.
    let plugin = match Plugin::read(std::env::args_os()) {
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
