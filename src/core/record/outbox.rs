//! What of a request an archive has yet to be given, and what its answers mean.
//!
//! The history in status is the outbox: nothing else is kept of what has yet to be sent. An archive is believed by digests
//! alone, so that one which answers late, twice or wrongly can neither lose a record nor double one.

use crate::api::delivery::HeldChain;
use crate::api::record::Record;
use crate::api::request::AccessRequest;
use crate::core::lifecycle::break_glass::is_unreviewed;

/// How a request's records and what an archive holds of them fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// It holds all.
    Nothing,
    /// It lacks those from this index on.
    From(usize),
    /// It holds more than there are: what is known here is old, or the history was cut.
    More,
    /// It holds something else: the history was written over, or its own store.
    Other,
}

/// What an archive that holds this is owed of these records, which are all of their request.
pub fn owed(all: &[Record], held: &HeldChain) -> Owed {
    let Ok(count) = usize::try_from(held.held) else { return Owed::More };
    match count.checked_sub(1) {
        None => Owed::From(0),
        Some(last) => match all.get(last) {
            None => Owed::More,
            Some(record) if Some(record.digest()) != held.digest => Owed::Other,
            Some(_) if count == all.len() => Owed::Nothing,
            Some(_) => Owed::From(count),
        },
    }
}

/// How long the history is of which the archive holds all, if that is to be noted: nothing more can happen to the request, and
/// it is not noted yet. Said once for each request, at the end of its life.
pub fn to_note(request: &AccessRequest) -> Option<i64> {
    let status = request.status.as_ref().filter(|status| status.state.is_final() && !is_unreviewed(request))?;
    let length = i64::try_from(status.history.len()).ok()?;
    (status.recorded != Some(length)).then_some(length)
}

/// Whether it is noted that an archive holds the whole history.
pub fn is_noted(request: &AccessRequest) -> bool {
    request.is_over() && to_note(request).is_none() && !is_unreviewed(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use crate::core::record::v1::records;
    use serde_json::json;

    fn asked() -> AccessRequest {
        let mut request = request(json!({}));
        request.metadata.uid = Some("u-1".to_owned());
        let entry = json!({ "at": "2026-11-24T12:00:00Z", "event": "Granted", "message": "so" });
        let end = json!({ "at": "2026-11-24T13:00:00Z", "event": "Expired", "message": "so" });
        request.status = serde_json::from_value(json!({ "state": "Expired", "history": [entry, end] })).unwrap();
        request
    }

    fn held(all: &[Record], count: u32) -> HeldChain {
        let last = usize::try_from(count).unwrap().checked_sub(1);
        HeldChain { held: count, digest: last.and_then(|last| all.get(last)).map(Record::digest) }
    }

    #[test]
    fn what_is_owed_begins_behind_what_is_held() {
        let all = records(&asked(), "c");
        assert_eq!(all.len(), 3);
        assert_eq!([0, 1, 2].map(|count| owed(&all, &held(&all, count))), [0, 1, 2].map(Owed::From));
        assert_eq!(owed(&all, &held(&all, 3)), Owed::Nothing);
    }

    #[test]
    fn an_archive_is_believed_by_digests_alone() {
        let all = records(&asked(), "c");
        let other = HeldChain { digest: Some("sha256:0".to_owned()), ..held(&all, 3) };
        assert_eq!(owed(&all, &other), Owed::Other);
        assert_eq!(owed(&all, &HeldChain { digest: None, ..other }), Owed::Other);
        assert_eq!(owed(&all, &HeldChain { held: 4, digest: None }), Owed::More);
        assert_eq!(owed(&all, &HeldChain { held: u32::MAX, digest: None }), Owed::More);
    }

    #[test]
    fn it_is_noted_once_when_nothing_more_can_happen() {
        let mut request = asked();
        assert_eq!((to_note(&request), is_noted(&request)), (Some(2), false));
        let status = request.status.as_mut().unwrap();
        status.recorded = Some(2);
        assert_eq!((to_note(&request), is_noted(&request)), (None, true));
        request.status.as_mut().unwrap().recorded = Some(1);
        assert_eq!(to_note(&request), Some(2), "something was added since");
        let status = request.status.as_mut().unwrap();
        (status.state, status.recorded) = (crate::api::State::Active, None);
        assert_eq!((to_note(&request), is_noted(&request)), (None, false), "it runs");
        let status = request.status.as_mut().unwrap();
        status.state = crate::api::State::Expired;
        let review = json!({ "reviewers": [], "reviewBy": "2026-11-25T12:00:00Z" });
        status.break_glass = Some(serde_json::from_value(review).unwrap());
        assert_eq!((to_note(&request), is_noted(&request)), (None, false), "its review is open");
    }
}
