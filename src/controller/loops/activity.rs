//! Asks the archive how grants are used, while this replica leads and where the archive hears the audit logs of the API
//! servers: of those that may be idle, and of those that are over.
//!
//! Owns the pace of the questions. What an answer proves is for `core::activity`; a grant ends by its own pass, which goes by
//! what is said here. Without an answer nothing changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::ends::until_listed;
use crate::api::activity::{HeardServer, KnownUse, MOST_USES, UsesAsked, UsesKnown};
use crate::api::request::{AccessRequest, State};
use crate::controller::archive::{Archive, ArchiveError};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::stores::packed::{PackedRequest, reference};
use crate::core::activity::idle::{IdleTerms, Idleness, ServersKnown, UsesHeard, heard_servers, judge};
use crate::core::activity::outcome::{outcome, term};
use crate::core::lifecycle::idle::terms;
use crate::core::model::instants::{later, sleep_until};
use crate::core::record::outbox::to_note;

/// The longest time between two questions: which API servers are heard is shown to people.
const PACE: Duration = Duration::from_secs(30);
/// The shortest one, and that between two questions about a request that is over.
const SOON: Duration = Duration::from_secs(5);
/// Time between two questions about a grant of which nothing is proven: by then each API server was marked once more.
const AGAIN: SignedDuration = SignedDuration::from_secs(15);

/// A running grant that can be idle.
struct IdleCandidate {
    at: ObjectRef<PackedRequest>,
    uid: String,
    terms: IdleTerms,
}

/// When a grant can be idle at the earliest, by UID of its request: what one round leaves to the next.
type Earliest = HashMap<String, (IdleTerms, Timestamp)>;

/// What the archive answered once.
struct UsesAnswer {
    at: Timestamp,
    known: ServersKnown,
    servers: Vec<HeardServer>,
    uses: Vec<KnownUse>,
}

/// Runs for as long as this replica leads.
pub async fn run(context: &Context, archive: &Archive) {
    let uses = &context.stores.uses;
    if !uses.hears() {
        std::future::pending::<()>().await;
    }
    until_listed(context).await;
    let (mut earliest, mut failed) = (Earliest::new(), false);
    loop {
        let asked = round(context, archive, &mut earliest).await;
        match &asked {
            Err(error) if !failed => {
                warn!(%error, "the archive does not say how grants are used, so none ends as idle")
            }
            Ok(()) if failed => info!("the archive says how grants are used"),
            _ => {}
        }
        failed = asked.is_err();
        close(context, archive).await;
        sleep(SOON).await;
        let now = context.clock.now();
        let next = earliest.values().map(|(_, at)| sleep_until(*at, now)).min().unwrap_or(PACE);
        let closing = if uses.closing().is_empty() { PACE } else { Duration::ZERO };
        tokio::select! {
            () = sleep(next.min(closing).min(PACE.saturating_sub(SOON))) => {}
            () = uses.closed() => {}
        }
    }
}

/// Asks about the grants that may be idle by now, and has a pass look at those that are.
async fn round(context: &Context, archive: &Archive, earliest: &mut Earliest) -> Result<(), ArchiveError> {
    let all = candidates(context);
    let first = |candidate: &IdleCandidate| {
        let known = earliest.get(&candidate.uid).filter(|(terms, _)| *terms == candidate.terms);
        known.map_or(later(candidate.terms.begin, candidate.terms.timeout), |(_, at)| *at)
    };
    *earliest = all.iter().map(|one| (one.uid.clone(), (one.terms, first(one)))).collect();
    let now = context.clock.now();
    let due: Vec<&IdleCandidate> =
        all.iter().filter(|one| earliest.get(&one.uid).is_some_and(|(_, at)| *at <= now)).collect();
    let seem = idle_of(context, archive, &due, earliest).await?;
    // Again right before the end: somebody may have used one since.
    let still: Vec<&IdleCandidate> = due.into_iter().filter(|one| seem.contains_key(&one.uid)).collect();
    let idle = if still.is_empty() { seem } else { idle_of(context, archive, &still, earliest).await? };
    let ends: Vec<_> = still.into_iter().filter(|one| idle.contains_key(&one.uid)).map(|one| one.at.clone()).collect();
    context.stores.uses.seem_idle(idle);
    ends.into_iter().for_each(|request| context.enqueue(request));
    Ok(())
}

/// Running grants under policies that end what is idle.
fn candidates(context: &Context) -> Vec<IdleCandidate> {
    let Some(policies) = context.stores.policies.set().filter(|policies| policies.any_idle_timeout()) else {
        return Vec::new();
    };
    let active = context.stores.requests.which(|summary| summary.is_granted && summary.state == State::Active);
    let candidate = |packed: &Arc<PackedRequest>| {
        let request = packed.open()?;
        let terms = terms(request.status.as_ref()?, &policies)?;
        Some(IdleCandidate { at: reference(&request), uid: request.uid()?, terms })
    };
    active.iter().filter_map(candidate).collect()
}

/// Which of these grants are idle, and what was said of them. When the others can be is noted.
async fn idle_of(
    context: &Context,
    archive: &Archive,
    asked: &[&IdleCandidate],
    earliest: &mut Earliest,
) -> Result<HashMap<String, Arc<UsesHeard>>, ArchiveError> {
    let mut idle = HashMap::new();
    // One question in any case: it says which API servers are heard.
    let parts = if asked.is_empty() { vec![asked] } else { asked.chunks(MOST_USES).collect() };
    for part in parts {
        let answer = ask(context, archive, part.iter().map(|one| one.uid.clone()).collect()).await?;
        let now = context.clock.now();
        context.stores.uses.heard(heard_servers(&answer.of(""), now));
        for one in part {
            let heard = answer.of(&one.uid);
            let next = match judge(&heard, one.terms, now) {
                Idleness::Idle { .. } => {
                    idle.insert(one.uid.clone(), Arc::new(heard));
                    continue;
                }
                Idleness::InUse { until } => until,
                Idleness::Unknown(why) => {
                    debug!(uid = one.uid, %why, "it is not known whether a grant is idle");
                    later(now, AGAIN)
                }
            };
            earliest.insert(one.uid.clone(), (one.terms, next));
        }
    }
    Ok(idle)
}

/// Asks about the requests of these UIDs.
async fn ask(context: &Context, archive: &Archive, requests: Vec<String>) -> Result<UsesAnswer, ArchiveError> {
    // As they were before the archive looked: whatever comes later counts as not heard.
    let at = context.clock.now();
    let nothing = || ServersKnown { servers: BTreeSet::new(), since: at, until: at };
    let known = context.stores.uses.servers().unwrap_or_else(nothing);
    let UsesKnown { servers, uses } = archive.uses(&UsesAsked { requests }).await?;
    Ok(UsesAnswer { at, known, servers, uses })
}

impl UsesAnswer {
    fn of(&self, uid: &str) -> UsesHeard {
        let used = self.uses.iter().find(|used| used.uid == uid).cloned();
        UsesHeard { at: self.at, known: self.known.clone(), heard: self.servers.clone(), used }
    }
}

/// Tells of requests that are over how their access was used, once that is known, or cannot be waited for any longer.
async fn close(context: &Context, archive: &Archive) {
    let uses = &context.stores.uses;
    for part in uses.closing().chunks(MOST_USES) {
        let over: Vec<(&ObjectRef<PackedRequest>, Option<AccessRequest>)> =
            part.iter().map(|at| (at, context.stores.requests.open(at))).collect();
        let uids = over.iter().filter_map(|(_, request)| request.as_ref()?.uid());
        // The round says so in the log.
        let answer = ask(context, archive, uids.collect()).await.ok();
        for (at, request) in over {
            let told = match &request {
                Some(request) => tell(context, request, answer.as_ref()).await,
                None => Ok(true),
            };
            match told {
                Ok(false) => {}
                // The watch brings the version that it has now, or has brought it.
                Ok(true) | Err(Error::Conflict) => uses.forget_closing(at),
                Err(error) => warn!(%error, "cannot note how access was used; trying again"),
            }
        }
    }
}

/// Writes how the access of one was used. False when that is waited for.
async fn tell(context: &Context, request: &AccessRequest, answer: Option<&UsesAnswer>) -> Result<bool, Error> {
    let Some((length, term)) = to_note(request).zip(term(request)) else { return Ok(true) };
    let heard = request.uid().and_then(|uid| answer.map(|answer| answer.of(&uid)));
    let Some(activity) = outcome(heard.as_ref(), term, context.clock.now()) else { return Ok(false) };
    context.writer.note_recorded(request, length, Some(&activity)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
