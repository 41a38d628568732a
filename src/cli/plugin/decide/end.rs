//! Ends access by a review of Revoke, and sees it end. The controller ends it; this only looks, and says how it went.

use super::review::{Vain, fail, give, has_effect, refuse};
use crate::api::request::{AccessRequest, Review};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests::{self, EndSeen};
use crate::cli::plugin::see::words;

/// Gives a review of Revoke to a request, unless it was given before, waits for the end no longer than a call may take, and
/// says what was done to it.
pub async fn end(
    cluster: &Cluster,
    request: &AccessRequest,
    who: &Identity,
    review: &Review,
    done: &str,
    console: &mut Console,
) -> Exit {
    let given = match has_effect(request, None, who, review) {
        Ok(()) => give(cluster, request, who, review).await,
        Err(why) => Ok(Err(why)),
    };
    match given {
        Ok(Ok(told)) => see_end(cluster, &told, done, console).await,
        Ok(Err(Vain::Said)) => see_end(cluster, request, done, console).await,
        Ok(Err(why)) => refuse(request, &why, console),
        Err(error) => fail(request, &error, console),
    }
}

async fn see_end(cluster: &Cluster, told: &AccessRequest, done: &str, console: &mut Console) -> Exit {
    let name = words::name(told);
    match requests::until_over(cluster, told).await {
        Ok(EndSeen::Over) => {
            let gone = if told.has_grant() { ": its access is gone" } else { "" };
            console.show(&Text::of(TextSpan::new(format!("{done} {name}{gone}"), Tone::Good)));
            Exit::Done
        }
        Ok(EndSeen::Deleted) => {
            let words = format!("{name} was deleted: access that it gave ends when Daypass sees that");
            console.say(TextSpan::new(words, Tone::Waiting));
            Exit::Waiting
        }
        Err(why) => {
            console.say(TextSpan::new(format!("{name} is told to end, and has not ended yet: {why}"), Tone::Waiting));
            Exit::Waiting
        }
    }
}
