//! The kubectl plugin: hands over to [`daypass::cli::plugin`].

use std::process::ExitCode;

use daypass::cli::plugin::Plugin;

fn main() -> ExitCode {
    // Before anything else is made: help and a mistyped flag need none of it.
    let plugin = match Plugin::read(std::env::args_os()) {
        Ok(plugin) => plugin,
        Err(code) => return code,
    };
    // Before any TLS: with several providers in a tree, rustls panics rather than choose.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(plugin.run()),
        Err(error) => {
            eprintln!("kubectl daypass: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
