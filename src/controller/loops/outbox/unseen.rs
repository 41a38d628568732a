//! Requests that went while no replica ran: the archive holds records of them that do not end, and they are not there.
//!
//! Owns who is taken for gone: only who is served, is not in the store, and is not at the API server either, since the store
//! may be behind. It must not tell of one that was seen to go: the outbox has that.

use tracing::info;

use super::RoundError;
use crate::api::delivery::OpenChains;
use crate::api::record::Record;
use crate::controller::archive::{Archive, ArchiveError};
use crate::controller::context::Context;
use crate::controller::observe;
use crate::core::record::v1::{closes, deleted_unseen};
use crate::runtime::archive_line::LineError;

/// Tells the archive which of the requests that it takes for open are gone. Another replica may have told it at the same time:
/// then that stands.
pub(super) async fn tell(context: &Context, archive: &Archive) -> Result<(), RoundError> {
    let mut after = 0;
    loop {
        let OpenChains { chains, next } = match archive.open(after).await {
            // An archive of an earlier version does not know the question.
            Err(ArchiveError::Line(LineError::Refused { code: 404, .. })) => return Ok(()),
            answer => answer?,
        };
        let mut ends = Vec::new();
        for chain in chains {
            if is_gone(context, &chain.last).await? {
                ends.push(deleted_unseen(chain.last, chain.digest, context.clock.now()));
            }
        }
        deliver(context, archive, ends).await?;
        match next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

async fn is_gone(context: &Context, last: &Record) -> Result<bool, RoundError> {
    let request = &last.request;
    let is_known = context.stores.requests.by_uid.get(&request.uid).is_some();
    if closes(last)
        || is_known
        || !context.served.serves(&request.namespace)
        || context.stores.outbox.saw_go(&request.uid)
    {
        return Ok(false);
    }
    let there = observe::request_uid(&context.reader, &request.namespace, &request.name).await;
    Ok(there.map_err(RoundError::Look)?.as_ref() != Some(&request.uid))
}

async fn deliver(context: &Context, archive: &Archive, ends: Vec<Record>) -> Result<(), RoundError> {
    if ends.is_empty() {
        return Ok(());
    }
    let lines = ends.iter().map(|record| record.bytes() + "\n").collect();
    let answers = archive.deliver(lines).await?.requests;
    let taken = |record: &Record| {
        let answer = answers.iter().find(|answer| answer.uid == record.request.uid);
        answer.is_some_and(|answer| answer.held.digest == Some(record.digest()))
    };
    for record in ends.into_iter().filter(taken) {
        let request = format!("{}/{}", record.request.namespace, record.request.name);
        info!(request, uid = record.request.uid, "a request went while no controller ran");
        context.writer.tell_unseen(record);
    }
    Ok(())
}
