//! Opens a URL in the browser of this machine, where there is one, with what the system has for that.
//!
//! It must not wait for the browser, nor write into the terminal of the command.

use std::process::Stdio;

use tokio::process::Command;

/// Opens it, and says whether something was there to do so.
pub fn open(url: &str) -> bool {
    opener().is_some_and(|(program, args)| {
        let mut command = Command::new(program);
        command.args(args).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}

/// The program that opens URLs, and its arguments before one.
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    if cfg!(target_os = "macos") {
        return Some(("open", &[]));
    }
    if cfg!(windows) {
        return Some(("rundll32", &["url.dll,FileProtocolHandler"]));
    }
    // Without a screen it would open one within the terminal.
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].iter().any(|name| std::env::var_os(name).is_some());
    has_screen.then_some(("xdg-open", &[]))
}
