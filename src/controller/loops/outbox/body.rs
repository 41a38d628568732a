//! What is sent in one delivery: records, and before the first that names it each text that the archive is not known to hold.
//!
//! Owns how much goes into one, and what becomes of texts that the archive says it lacks. It must not judge what is held.

use std::collections::BTreeSet;

use serde_json::json;
use tracing::warn;

use super::Parcel;
use crate::api::delivery::{MOST_BYTES, TextLine};
use crate::controller::archive::{Archive, ArchiveError};
use crate::controller::context::Context;
use crate::core::record::outbox::Owed;
use crate::core::record::texts::named;

/// How much is sent at a time: half of what an archive takes. One record and its texts may be more.
const BYTES: usize = MOST_BYTES / 2;

/// One delivery.
#[derive(Default)]
pub(super) struct DeliveryBody {
    pub(super) lines: String,
    /// Digests of the texts in it.
    pub(super) texts: BTreeSet<String>,
}

impl DeliveryBody {
    /// What the archive lacks of these, as much as goes into one.
    pub(super) fn of(context: &Context, parcels: &[Parcel]) -> Self {
        let mut body = Self::default();
        for parcel in parcels {
            let Owed::From(first) = parcel.owed(context) else { continue };
            for record in parcel.all.get(first..).unwrap_or_default() {
                let mut next = Self::default();
                for digest in named(record).filter(|digest| !body.texts.contains(*digest)) {
                    next.add(context, parcel, digest);
                }
                next.lines += &record.bytes();
                next.lines.push('\n');
                // The rest of a chain of which a record has no room must not be sent without it.
                if !body.lines.is_empty() && body.lines.len() + next.lines.len() > BYTES {
                    return body;
                }
                body.lines += &next.lines;
                body.texts.append(&mut next.texts);
            }
        }
        body
    }

    /// Adds a text, unless the archive holds it, or nobody has it any more. False when nobody has it.
    fn add(&mut self, context: &Context, parcel: &Parcel, digest: &str) -> bool {
        if context.stores.texts.is_held(digest) || self.texts.contains(digest) {
            return true;
        }
        // It may be larger than what is kept.
        let text = context.text(parcel.request(), digest);
        text.iter().for_each(|text| context.stores.texts.keep(digest, text.clone()));
        let Some(text) = text.filter(|_| context.stores.texts.kept(digest).is_some()) else { return false };
        self.lines += &json!(TextLine::of(digest, &text)).to_string();
        self.lines.push('\n');
        self.texts.insert(digest.to_owned())
    }
}

/// Sends the texts that the archive says it lacks, once more if need be: it may have been restored. Those that nobody has any
/// more are told of once, and the records that name them are held without.
pub(super) async fn supply(
    context: &Context,
    archive: &Archive,
    parcels: &[Parcel],
    lacks: &[String],
) -> Result<(), ArchiveError> {
    let (texts, mut body) = (&context.stores.texts, DeliveryBody::default());
    for digest in lacks {
        texts.lacks(digest);
        let by = parcels.iter().find(|parcel| parcel.all.iter().any(|record| named(record).any(|one| one == digest)));
        let Some(by) = by else { continue };
        if !body.add(context, by, digest) && texts.lose(digest) {
            warn!(digest, uid = by.uid, "the text with this digest is gone, and the archive does not have it");
            context.metrics.shown.records.lost_text();
        }
        if body.lines.len() > BYTES {
            send(context, archive, std::mem::take(&mut body)).await?;
        }
    }
    send(context, archive, body).await
}

async fn send(context: &Context, archive: &Archive, body: DeliveryBody) -> Result<(), ArchiveError> {
    if !body.texts.is_empty() {
        archive.deliver(body.lines).await?;
        context.stores.texts.hold(body.texts.iter().map(String::as_str));
    }
    Ok(())
}
