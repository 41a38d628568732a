//! Ends access by a review of Revoke, and sees it end. The controller ends it; this only looks, and says how it went.

use super::review::{Vain, fail, give, refuse};
use crate::api::request::{AccessRequest, Review};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests::{self, EndSeen};
use crate::cli::plugin::see::words;

/// A review of Revoke by somebody, and what is done by it, in a word.
pub struct Revocation<'a> {
    pub cluster: &'a Cluster,
    pub who: &'a Identity,
    pub review: &'a Review,
    pub done: &'static str,
}

impl Revocation<'_> {
    /// Gives it to a request, waits for the end no longer than a call may take, and says what was done. `judged` is what
    /// [`super::review::has_effect`] says: of what was told before, the end is waited for all the same.
    pub async fn end(&self, request: &AccessRequest, judged: Result<(), Vain>, console: &mut Console) -> Exit {
        let given = match judged {
            Ok(()) => give(self.cluster, request, self.who, self.review).await,
            Err(why) => Ok(Err(why)),
        };
        self.see(request, given, console).await
    }

    /// The same for what may be over already, of which nothing is said then.
    pub async fn end_if_open(&self, request: &AccessRequest, console: &mut Console) -> Exit {
        match give(self.cluster, request, self.who, self.review).await {
            Ok(Err(Vain::Over(_))) => Exit::Done,
            Err(error) if error.is_not_found() => was_deleted(request, console),
            given => self.see(request, given, console).await,
        }
    }

    async fn see(
        &self,
        request: &AccessRequest,
        given: Result<Result<AccessRequest, Vain>, PluginError>,
        console: &mut Console,
    ) -> Exit {
        match given {
            Ok(Ok(told)) => see_end(self.cluster, &told, self.done, console).await,
            Ok(Err(Vain::Said)) => see_end(self.cluster, request, self.done, console).await,
            Ok(Err(why)) => refuse(request, &why, console),
            Err(error) => fail(request, &error, console),
        }
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
        Ok(EndSeen::Deleted) => was_deleted(told, console),
        Err(why) => {
            console.say(TextSpan::new(format!("{name} is told to end, and has not ended yet: {why}"), Tone::Waiting));
            Exit::Waiting
        }
    }
}

fn was_deleted(request: &AccessRequest, console: &mut Console) -> Exit {
    let words = format!("{} was deleted: access that it gave ends when Daypass sees that", words::name(request));
    console.say(TextSpan::new(words, Tone::Waiting));
    Exit::Waiting
}
