//! Delivers records to the archive while this replica leads: at least once, of each request in order, again and again until it
//! holds them.
//!
//! Owns the rounds and their waits. It must not delay a pass: nothing waits for it but what a policy says must be recorded
//! first. What is sent is made from the history in status, so nothing is lost when this process ends.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use self::body::{DeliveryBody, supply};
use super::ends::until_listed;
use crate::api::delivery::{ChainAnswer, ChainAnswers, HeldChain};
use crate::api::record::Record;
use crate::api::request::AccessRequest;
use crate::controller::archive::{Archive, ArchiveError};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::stores::outbox::GoneRequest;
use crate::controller::stores::packed::reference;
use crate::core::lifecycle::recorded_first::awaits_record;
use crate::core::record::outbox::{Owed, owed, to_note};
use crate::core::record::texts::named;
use crate::core::record::v1::{deleted, records};
use crate::runtime::archive_line::LineError;

mod body;
mod unseen;

/// How many requests are sent, or asked about, at a time.
pub(super) const REQUESTS: usize = 200;
/// First wait after a failure; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Time between two looks at whether the archive still holds what it has acknowledged: it may have been restored.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// One request of a round.
struct Parcel {
    from: Origin,
    uid: String,
    /// All records of it.
    all: Vec<Record>,
    since: Timestamp,
}

enum Origin {
    Stored(Box<AccessRequest>),
    Gone(Box<GoneRequest>),
}

/// Why a round was not the last.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It holds all of a request, and that could not be noted.
    #[error("cannot note that a request is recorded: {0}")]
    Note(#[from] Error),
    /// Nobody knows which requests are there.
    #[error("cannot see which requests are gone: {0}")]
    Look(#[source] Error),
}

/// Runs for as long as this replica leads. `cluster`: its UID, which is in each record.
pub async fn run(context: &Context, archive: &Archive, cluster: &str) {
    until_listed(context).await;
    enqueue_all(context);
    let (mut failures, mut look_at) = (0_u32, Instant::now());
    loop {
        let worked = if look_at <= Instant::now() {
            let looked = look_again(context, archive, cluster).await;
            if looked.is_ok() {
                look_at = Instant::now() + LOOK_AGAIN;
            }
            looked
        } else {
            tokio::select! {
                () = context.stores.outbox.filled() => round(context, archive, cluster).await,
                () = tokio::time::sleep_until(look_at) => Ok(()),
            }
        };
        context.stores.outbox.answers(!matches!(worked, Err(RoundError::Archive(_))));
        match worked {
            Ok(()) => {
                if failures > 0 {
                    info!(failures, "the archive takes records again");
                }
                failures = 0;
            }
            Err(error) => {
                if failures == 0 {
                    warn!(%error, "the archive does not take records; they wait in the histories, and grants go on");
                }
                context.metrics.shown.records.failed();
                sleep(FIRST_WAIT.saturating_mul(1 << failures.min(15)).min(LONGEST_WAIT)).await;
                failures += 1;
            }
        }
    }
}

/// What another replica sent before is asked for.
fn enqueue_all(context: &Context) {
    let stored = context.stores.requests.store.state();
    stored.iter().filter_map(|packed| packed.open()).for_each(|request| context.stores.outbox.came(&request));
}

/// Asks about requests whose whole history was acknowledged. What the archive does not hold any more is sent again.
async fn look_again(context: &Context, archive: &Archive, cluster: &str) -> Result<(), RoundError> {
    let stored = context.stores.requests.which(|summary| summary.rests_since.is_some());
    let (mut asked, mut held_still) = (0, 0);
    for some in stored.chunks(REQUESTS) {
        let requests: Vec<AccessRequest> = some.iter().filter_map(|packed| packed.open()).collect();
        asked += requests.len();
        held_still += held(context, archive, cluster, requests).await?.len();
    }
    if held_still < asked {
        warn!(requests = asked - held_still, "the archive has lost what it had acknowledged; it is sent again");
    }
    match unseen::tell(context, archive).await {
        Err(RoundError::Archive(error @ ArchiveError::Line(LineError::Away(_)))) => Err(error.into()),
        // Deliveries do not wait for it.
        Err(error) => {
            warn!(%error, "cannot tell of requests that went while no controller ran; trying again in an hour");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Those of these requests of which the archive holds everything. The others are sent again.
pub(super) async fn held(
    context: &Context,
    archive: &Archive,
    cluster: &str,
    requests: Vec<AccessRequest>,
) -> Result<Vec<AccessRequest>, ArchiveError> {
    let parcels: Vec<Parcel> = requests.into_iter().filter_map(|request| Parcel::stored(request, cluster)).collect();
    let answers = archive.heads(parcels.iter().map(|parcel| parcel.uid.as_str())).await?;
    let mut all_held = Vec::new();
    for parcel in parcels {
        let is_held = owed(&parcel.all, &held_in(&answers, &parcel.uid)) == Owed::Nothing;
        match parcel.from {
            Origin::Stored(request) if is_held => all_held.push(*request),
            _ => parcel.put_back(context),
        }
    }
    Ok(all_held)
}

/// Sends what waits, as much as goes into one delivery.
async fn round(context: &Context, archive: &Archive, cluster: &str) -> Result<(), RoundError> {
    let (waiting, gone) = context.stores.outbox.take(REQUESTS);
    let stored = waiting.iter().filter_map(|(at, since)| {
        let parcel = Parcel::stored(context.stores.requests.open(at)?, cluster)?;
        Some(Parcel { since: *since, ..parcel })
    });
    let gone = gone.into_iter().map(|gone| Parcel::gone(gone, cluster));
    let (sent, left) = send(context, archive, stored.chain(gone).collect()).await;
    left.into_iter().for_each(|parcel| parcel.put_back(context));
    sent
}

/// Sends these, in halves where it is the fault of one that all are refused. What could not be sent comes back.
async fn send(context: &Context, archive: &Archive, all: Vec<Parcel>) -> (Result<(), RoundError>, Vec<Parcel>) {
    let (mut parts, mut left) = (vec![all], Vec::new());
    while let Some(mut part) = parts.pop() {
        match deliver(context, archive, &mut part).await {
            Err(RoundError::Archive(error)) if error.is_of_content() && part.len() > 1 => {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
            Err(RoundError::Archive(error)) if error.is_of_content() => {
                part.into_iter().for_each(|parcel| parcel.give_up(context, &error.to_string()));
            }
            sent => {
                left.append(&mut part);
                if sent.is_err() {
                    left.extend(parts.into_iter().flatten());
                    return (sent, left);
                }
            }
        }
    }
    (Ok(()), left)
}

/// One delivery. What the archive holds afterwards leaves `parcels`; what it has yet to be given stays.
async fn deliver(context: &Context, archive: &Archive, parcels: &mut Vec<Parcel>) -> Result<(), RoundError> {
    ask(context, archive, parcels).await?;
    settle(context, parcels).await?;
    if parcels.is_empty() {
        return Ok(());
    }
    let body = DeliveryBody::of(context, parcels);
    let ChainAnswers { requests: answers, lacks } = archive.deliver(body.lines).await?;
    context.stores.texts.hold(body.texts.iter().map(String::as_str));
    supply(context, archive, parcels, &lacks).await?;
    let mut moved = false;
    for parcel in std::mem::take(parcels) {
        let Some(answer) = answers.iter().find(|answer| answer.uid == parcel.uid) else {
            parcels.push(parcel);
            continue;
        };
        let is_new = parcel.hear(context, &answer.held);
        moved |= is_new;
        match answer.refused.as_ref().filter(|_| !is_new) {
            Some(refused) => parcel.give_up(context, &refused.message),
            None => parcels.push(parcel),
        }
    }
    settle(context, parcels).await?;
    if moved || parcels.is_empty() { Ok(()) } else { Err(ArchiveError::NoProgress.into()) }
}

/// Asks what the archive holds of those of which it is not known.
async fn ask(context: &Context, archive: &Archive, parcels: &[Parcel]) -> Result<(), ArchiveError> {
    let outbox = &context.stores.outbox;
    let uids = parcels.iter().map(|parcel| parcel.uid.as_str());
    let unknown: Vec<&str> = uids.filter(|uid| outbox.held(uid).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let answers = archive.heads(unknown.iter().copied()).await?;
    unknown.iter().for_each(|uid| outbox.holds(uid, held_in(&answers, uid)));
    Ok(())
}

fn held_in(answers: &[ChainAnswer], uid: &str) -> HeldChain {
    answers.iter().find(|answer| answer.uid == uid).map(|answer| answer.held.clone()).unwrap_or_default()
}

/// Takes out what the archive holds, and what it cannot be given.
async fn settle(context: &Context, parcels: &mut Vec<Parcel>) -> Result<(), Error> {
    let mut failed = Ok(());
    for parcel in std::mem::take(parcels) {
        match (parcel.owed(context), &parcel.from) {
            (Owed::From(_), _) => parcels.push(parcel),
            (Owed::Nothing | Owed::More, Origin::Gone(_)) => context.stores.outbox.forget_held(&parcel.uid),
            // Another replica has told that it is gone, by its own clock.
            (Owed::Other, Origin::Gone(_)) if parcel.is_as_long_as_held(context) => {
                context.stores.outbox.forget_held(&parcel.uid);
            }
            (Owed::Nothing, Origin::Stored(request)) => {
                if let Err(error) = note(context, request).await {
                    failed = Err(error);
                    parcels.push(parcel);
                }
            }
            (Owed::More, _) => parcel.give_up(context, "it holds more than the history has"),
            (Owed::Other, _) => parcel.give_up(context, "it holds something else under the same ids"),
        }
    }
    failed
}

/// Notes on a request that is over that all of it is recorded; where its use is told too, `loops::activity` does.
async fn note(context: &Context, request: &AccessRequest) -> Result<(), Error> {
    let Some(length) = to_note(request) else {
        if awaits_record(request) {
            context.enqueue(reference(request));
        }
        return Ok(());
    };
    if context.stores.uses.close(request) {
        return Ok(());
    }
    match context.writer.note_recorded(request, length, None).await {
        // The watch brings the version that it has now, or has brought it.
        Ok(()) | Err(Error::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Parcel {
    fn stored(request: AccessRequest, cluster: &str) -> Option<Self> {
        let since = request.creation_timestamp()?.0;
        let (uid, all) = (request.uid()?, records(&request, cluster));
        Some(Self { from: Origin::Stored(Box::new(request)), uid, all, since })
    }

    fn gone(gone: GoneRequest, cluster: &str) -> Self {
        let GoneRequest { request, at } = &gone;
        let (uid, since) = (request.uid().unwrap_or_default(), *at);
        let last = deleted(request, cluster, *at);
        let all = records(request, cluster).into_iter().chain([last]).collect();
        Self { from: Origin::Gone(Box::new(gone)), uid, all, since }
    }

    fn request(&self) -> &AccessRequest {
        match &self.from {
            Origin::Stored(request) => request,
            Origin::Gone(gone) => &gone.request,
        }
    }

    fn owed(&self, context: &Context) -> Owed {
        owed(&self.all, &context.stores.outbox.held(&self.uid).unwrap_or_default())
    }

    fn is_as_long_as_held(&self, context: &Context) -> bool {
        let held = context.stores.outbox.held(&self.uid).unwrap_or_default();
        usize::try_from(held.held) == Ok(self.all.len())
    }

    /// Takes in what the archive holds now. False when it is no other than before.
    fn hear(&self, context: &Context, held: &HeldChain) -> bool {
        let before = context.stores.outbox.held(&self.uid).unwrap_or_default();
        let (now, first) = (context.clock.now(), usize::try_from(before.held).unwrap_or_default());
        let count = usize::try_from(held.held.saturating_sub(before.held)).unwrap_or_default();
        let new = self.all.iter().skip(first).take(count);
        new.for_each(|record| context.metrics.shown.records.acknowledged(now.duration_since(record.at.0)));
        context.stores.outbox.holds(&self.uid, held.clone());
        let last = usize::try_from(held.held).ok().and_then(|held| self.all.get(held.checked_sub(1)?));
        let is_textless = last.is_some_and(|last| named(last).any(|digest| context.stores.texts.is_lost(digest)));
        context.stores.outbox.set_textless(&self.uid, is_textless);
        *held != before
    }

    fn put_back(self, context: &Context) {
        match self.from {
            Origin::Stored(request) => context.stores.outbox.put_back(reference(&*request), self.since),
            Origin::Gone(gone) => context.stores.outbox.put_back_gone(*gone),
        }
    }

    /// It is not sent again before it changes.
    fn give_up(self, context: &Context, why: &str) {
        let request = self.request();
        let (namespace, name) = (request.namespace(), request.name_any());
        warn!(namespace, name, uid = self.uid, why, "the archive cannot take a request's records as they are");
        context.stores.outbox.stuck(reference(request), self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::scripted::{Script, context, granted};
    use crate::core::laws::fixtures::noon;
    use crate::runtime::clock::Clock;

    /// The replica that led before may have told it in its last moment, by its own clock.
    #[tokio::test]
    async fn that_a_request_is_gone_is_told_once_whoever_tells_it() {
        let (context, _feeds, _inbox) = context(&Script::default(), Clock::at(noon()));
        let (request, _) = granted();
        let outbox = &context.stores.outbox;
        let settled = async |held: HeldChain| {
            let mut parcels = vec![Parcel::gone(GoneRequest { request: request.clone(), at: noon() }, "c")];
            outbox.holds(&parcels[0].uid, held);
            settle(&context, &mut parcels).await.unwrap();
            (parcels.len(), outbox.count().stuck)
        };
        let all = u32::try_from(records(&request, "c").len()).unwrap();
        let other = |held| HeldChain { held, digest: Some("sha256:other".to_owned()) };
        assert_eq!(settled(HeldChain::default()).await, (1, 0), "nothing is held");
        assert_eq!(settled(other(all + 1)).await, (0, 0), "another has told it");
        assert_eq!(settled(other(all + 2)).await, (0, 0), "and more");
        assert_eq!(settled(other(all)).await, (0, 1), "what was held before that is something else");
    }
}
