//! What to tell people: Events derived from the old and the new status, and from nothing else.

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::policy::AccessPolicyStatus;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, PolicyRef};
use crate::core::model::history::cut;

/// Longest note of an Event that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Reason of the Event of a request that cannot go on.
const HINDERED: &str = "Hindered";

/// One Event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether somebody should look: Warning rather than Normal.
    pub warning: bool,
    /// One word for what happened.
    pub reason: String,
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
            warning: entry.event.known().is_some_and(is_warning),
            reason: entry.event.as_str().to_owned(),
            note: cut(&entry.message, LONGEST_NOTE),
            policy: new.policy.clone(),
            index,
        })
        .collect()
}

fn is_warning(event: Reason) -> bool {
    // Without a wildcard, so that whoever adds a reason has to say.
    match event {
        Reason::BindingRestored
        | Reason::BreakGlass
        | Reason::Denied
        | Reason::Failed
        | Reason::FreezeAhead
        | Reason::Lapsed
        | Reason::ReviewIgnored
        | Reason::ReviewOverdue
        | Reason::Revoked
        | Reason::RoleChanged
        | Reason::RoleUnusable
        | Reason::Unjustified
        | Reason::Unrecorded
        | Reason::WrittenInGap => true,
        Reason::Approved
        | Reason::ApprovalNeeded
        | Reason::AwaitingRecord
        | Reason::Binding
        | Reason::ClockWrong
        | Reason::Escalated
        | Reason::Expired
        | Reason::Extended
        | Reason::Extending
        | Reason::Frozen
        | Reason::Granted
        | Reason::GuardMissing
        | Reason::HistoryFull
        | Reason::Idle
        | Reason::Justified
        | Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::Resumed
        | Reason::ReviewOpen
        | Reason::RightUnknown
        | Reason::ReviewWithdrawn
        | Reason::Reviewed
        | Reason::Suspended
        | Reason::WaitingForStart => false,
    }
}

/// The Event of a request that cannot go on, which no status can tell: the API server does not let the controller do what
/// comes next.
pub fn hindered(why: &str, now: Timestamp) -> Announcement {
    // No entry of the history is about it. Seconds are far larger, and each time it is told anew.
    let index = usize::try_from(now.as_second()).unwrap_or_default();
    let note = cut(&format!("Daypass cannot go on, and keeps trying: {why}"), LONGEST_NOTE);
    Announcement { warning: true, reason: HINDERED.to_owned(), note, policy: None, index }
}

/// The Events of a policy: when it stops being ready, when its schedule does not count, a role of it cannot be handed out
/// or a review under it is overdue, and when all is well again.
pub fn policy_events(old: Option<&AccessPolicyStatus>, new: &AccessPolicyStatus) -> Vec<Announcement> {
    let of = |status: &AccessPolicyStatus, type_| conditions::find(&status.conditions, type_).cloned();
    let mut text = Vec::new();
    let told = [conditions::READY, conditions::REVIEWED, conditions::SCHEDULE_IN_FORCE, conditions::ROLES_USABLE];
    for type_ in told {
        let (before, after) = (old.and_then(|status| of(status, type_)), of(new, type_));
        let Some(after) = after else { continue };
        let is_ready = type_ == conditions::READY;
        // Each request that is overdue has an Event of its own.
        let other_words = |b: &Condition| is_ready && b.message != after.message;
        let changed = before.as_ref().is_none_or(|b| b.status != after.status || other_words(b));
        let warning = after.status != ConditionStatus::True;
        // What was in order from the start is no news.
        if !changed || (before.is_none() && !warning) {
            continue;
        }
        // The generation says which spec Ready is about; the others are told beside it, and seconds are far larger.
        let index = if is_ready {
            new.observed_generation.unwrap_or_default()
        } else {
            after.last_transition_time.0.as_second()
        };
        let (index, note) = (usize::try_from(index).unwrap_or_default(), cut(&after.message, LONGEST_NOTE));
        text.push(Announcement { warning, reason: after.reason, note, policy: None, index });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;
    use crate::core::model::history;
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
        let text: Vec<_> = request_events(Some(&old), &new).into_iter().map(|a| (a.index, a.reason, a.note)).collect();
        let expected = [(1, "Granted", "Granted it is"), (2, "Expired", "Expired it is")];
        assert_eq!(text, expected.map(|(i, reason, note)| (i, reason.to_owned(), note.to_owned())));
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
            origin: None,
            schedule_since: None,
            unusable_roles: Vec::new(),
            extra_keys: Vec::new(),
        };
        let (good, bad) = (ready(ConditionStatus::True, "fine"), ready(ConditionStatus::False, "spec.roles: empty"));
        let text = |old, new| policy_events(old, new).into_iter().map(|a| (a.warning, a.index)).collect::<Vec<_>>();
        assert_eq!(text(None, &good), []);
        assert_eq!(text(None, &bad), [(true, 7)]);
        assert_eq!(text(Some(&good), &bad), [(true, 7)]);
        assert_eq!(text(Some(&bad), &bad), []);
        assert_eq!(text(Some(&bad), &good), [(false, 7)]);
    }
}
