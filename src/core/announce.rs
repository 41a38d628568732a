//! What to tell people: Events derived from the old and the new status, and from nothing else.

use crate::api::conditions::{self, ConditionStatus};
use crate::api::policy::AccessPolicyStatus;
use crate::api::request::{AccessRequestStatus, PolicyRef};
use crate::core::history::{Reason, cut};

/// Longest note of an Event that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// One Event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether somebody should look: Warning rather than Normal.
    pub warning: bool,
    /// One word for what happened.
    pub reason: String,
    /// A sentence.
    pub note: String,
    /// The policy that decided, as the related object.
    pub policy: Option<PolicyRef>,
    /// Which entry of the history this announces; makes the Event's name, so that none is sent twice.
    pub index: usize,
}

/// The Events of a request: one for each entry that its history gained.
pub fn request_events(old: Option<&AccessRequestStatus>, new: &AccessRequestStatus) -> Vec<Announcement> {
    let known = old.map_or(0, |o| o.history.len());
    let added = new.history.iter().enumerate().skip(known);
    added
        .map(|(index, entry)| Announcement {
            warning: is_warning(&entry.event),
            reason: entry.event.clone(),
            note: cut(&entry.message, LONGEST_NOTE),
            policy: new.policy.clone(),
            index,
        })
        .collect()
}

fn is_warning(event: &str) -> bool {
    [Reason::Denied, Reason::Lapsed, Reason::Revoked, Reason::Failed, Reason::BindingRestored, Reason::ReviewIgnored]
        .iter()
        .any(|reason| reason.as_str() == event)
}

/// The Events of a policy: when it stops being ready, and when it is again.
pub fn policy_events(old: Option<&AccessPolicyStatus>, new: &AccessPolicyStatus) -> Vec<Announcement> {
    let ready = |status: &AccessPolicyStatus| conditions::find(&status.conditions, conditions::READY).cloned();
    let (before, after) = (old.and_then(ready), ready(new));
    let Some(after) = after else { return Vec::new() };
    let changed = before.as_ref().is_none_or(|b| b.status != after.status || b.message != after.message);
    let warning = after.status != ConditionStatus::True;
    // A policy that was in order from the start is no news.
    if !changed || (before.is_none() && !warning) {
        return Vec::new();
    }
    let index = usize::try_from(new.observed_generation.unwrap_or_default()).unwrap_or_default();
    vec![Announcement { warning, reason: after.reason, note: cut(&after.message, LONGEST_NOTE), policy: None, index }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::Condition;
    use crate::core::history;
    use crate::core::samples::noon;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn status(reasons: &[Reason]) -> AccessRequestStatus {
        let mut status = AccessRequestStatus::default();
        for reason in reasons {
            history::add(&mut status.history, noon(), *reason, None, &format!("{reason:?} it is"));
        }
        status
    }

    #[test]
    fn each_new_entry_of_the_history_is_one_event() {
        let old = status(&[Reason::ApprovalNeeded]);
        let new = status(&[Reason::ApprovalNeeded, Reason::Granted, Reason::Expired]);
        let told: Vec<_> = request_events(Some(&old), &new).into_iter().map(|a| (a.index, a.reason, a.note)).collect();
        let expected = [(1, "Granted", "Granted it is"), (2, "Expired", "Expired it is")];
        assert_eq!(told, expected.map(|(i, reason, note)| (i, reason.to_owned(), note.to_owned())));
        assert_eq!(request_events(None, &new).len(), 3);
        assert_eq!(request_events(Some(&new), &new), []);
    }

    #[test]
    fn bad_news_is_a_warning() {
        use Reason::{ApprovalNeeded, Approved, BindingRestored, Denied, Expired, Failed, Granted, Lapsed, Revoked};
        let all = [ApprovalNeeded, Approved, Granted, Expired, Denied, Lapsed, Revoked, Failed, BindingRestored];
        let warned: Vec<bool> = request_events(None, &status(&all)).iter().map(|a| a.warning).collect();
        assert_eq!(warned, [false, false, false, false, true, true, true, true, true]);
    }

    #[test]
    fn a_note_fits_an_event() {
        let mut new = AccessRequestStatus::default();
        history::add(&mut new.history, noon(), Reason::Denied, None, &"ß".repeat(2000));
        let note = &request_events(None, &new)[0].note;
        assert!(note.len() <= LONGEST_NOTE && note.ends_with('…'));
    }

    #[test]
    fn a_policy_is_news_when_it_breaks_and_when_it_is_mended() {
        let ready = |is: ConditionStatus, message: &str| AccessPolicyStatus {
            conditions: vec![Condition {
                type_: conditions::READY.to_owned(),
                status: is,
                reason: "R".to_owned(),
                message: message.to_owned(),
                last_transition_time: Time(noon()),
                observed_generation: Some(7),
            }],
            observed_generation: Some(7),
        };
        let (good, bad) = (ready(ConditionStatus::True, "fine"), ready(ConditionStatus::False, "spec.roles: empty"));
        let told = |old, new| policy_events(old, new).into_iter().map(|a| (a.warning, a.index)).collect::<Vec<_>>();
        assert_eq!(told(None, &good), []);
        assert_eq!(told(None, &bad), [(true, 7)]);
        assert_eq!(told(Some(&good), &bad), [(true, 7)]);
        assert_eq!(told(Some(&bad), &bad), []);
        assert_eq!(told(Some(&bad), &good), [(false, 7)]);
    }
}
