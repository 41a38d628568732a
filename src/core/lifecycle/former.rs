//! What versions of Daypass before this one stored, read as this one would have written it. Nothing here is written any
//! more, and each part goes when no version that wrote it is served.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, CountedReview, Review};
use crate::core::lifecycle::disbelief::believed;
use crate::core::model::history::shorten;

/// Versions that had no `countedReviews` noted in the history alone that a review counted: by the reviewer's last entry,
/// which says what the review says now. So it stands here, letter by letter as they wrote it.
pub fn with_counted_reviews(mut status: AccessRequestStatus) -> AccessRequestStatus {
    if status.counted_reviews.is_empty() {
        let counted = status.reviews.iter().filter_map(|(username, review)| counted(&status, username, review));
        status.counted_reviews = counted.collect();
    }
    status
}

fn counted(status: &AccessRequestStatus, username: &str, review: &Review) -> Option<CountedReview> {
    let of_them = |entry: &&crate::api::request::HistoryEntry| entry.by.as_deref() == Some(username);
    let last = believed(&status.history).iter().rev().find(of_them)?;
    let comment = review.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
    let sentence = shorten(&format!("{username} says {}{comment}", review.verdict.as_str()));
    (last.event == Reason::Reviewed && last.message == sentence).then(|| CountedReview {
        reviewer: username.to_owned(),
        uid: review.uid.clone(),
        verdict: review.verdict,
        counted_at: Time(last.at.0),
        stage: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::{HistoryEntry, ReviewVerdict};
    use crate::core::laws::fixtures::{noon, review};
    use serde_json::json;

    fn stored(event: &str, message: &str) -> AccessRequestStatus {
        let entry = json!({ "at": noon().to_string(), "event": event, "by": "bob", "message": message });
        let entry: HistoryEntry = serde_json::from_value(entry).unwrap();
        let mut answer = review(ReviewVerdict::Approve, &["leads"]);
        answer.comment = Some("go".to_owned());
        AccessRequestStatus {
            reviews: [("bob".to_owned(), answer)].into(),
            history: vec![entry],
            ..AccessRequestStatus::default()
        }
    }

    #[test]
    fn what_counted_by_the_history_alone_goes_on_counting() {
        let status = with_counted_reviews(stored("Reviewed", "bob says Approve: go"));
        let counted = &status.counted_reviews[0];
        assert_eq!((counted.reviewer.as_str(), counted.verdict), ("bob", ReviewVerdict::Approve));
        assert_eq!(counted.counted_at, Time(noon()));
    }

    /// Nobody knows who wrote it, and what is said again since then counts from when it is said.
    #[test]
    fn what_the_history_says_from_before_a_gap_is_not_believed() {
        let mut status = stored("Reviewed", "bob says Approve: go");
        let mark = HistoryEntry { event: Reason::WrittenInGap.into(), by: None, ..status.history[0].clone() };
        status.history.push(mark);
        assert!(with_counted_reviews(status).counted_reviews.is_empty());
    }

    #[test]
    fn what_had_to_wait_or_was_changed_since_did_not_count() {
        for (event, message) in [
            ("Reviewed", "Approve of bob counts from 2026-11-24T09:00:00Z on: its stage has hours"),
            ("Reviewed", "bob says Deny: go"),
            ("ReviewIgnored", "bob says Approve: go"),
            ("ReviewWithdrawn", "bob took back what they had said"),
        ] {
            assert!(with_counted_reviews(stored(event, message)).counted_reviews.is_empty(), "{event} {message}");
        }
    }
}
