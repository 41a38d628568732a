//! Sees access end that a review of Revoke ends. The controller ends it; this only looks, and says how it went.

use kube::ResourceExt;

use crate::api::request::AccessRequest;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests;

/// Waits until a request is over that was told to end, no longer than a call may take, and says what was done to it.
pub async fn see_end(cluster: &Cluster, told: &AccessRequest, done: &str, console: &mut Console) -> Exit {
    let name = format!("{}/{}", told.namespace().unwrap_or_default(), told.name_any());
    match requests::until_over(cluster, told).await {
        Ok(()) => {
            let gone = if told.has_grant() { ": its access is gone" } else { "" };
            console.show(&Text::of(TextSpan::new(format!("{done} {name}{gone}"), Tone::Good)));
            Exit::Done
        }
        Err(why) => {
            console.say(TextSpan::new(format!("{name} is told to end, and has not ended yet: {why}"), Tone::Waiting));
            Exit::Waiting
        }
    }
}
