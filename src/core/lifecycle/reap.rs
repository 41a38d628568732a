//! Which bindings have no business being there, whatever the requests' own passes do.
//!
//! The second line of defence: it looks at bindings, not at requests, so it also finds those whose request
//! is gone. It takes only bindings that carry our mark.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef};
use crate::core::lifecycle::expiry::has_come;
use crate::core::model::instants::later;
use crate::core::model::recurrence::is_open;
use crate::core::rbac::binding::{Observed, noted_end};
use crate::core::rbac::made_role::ObservedRole;

/// What is known of the request that a binding names.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    /// There is no request of that name and UID.
    Gone,
    /// It stands in a namespace that is not served: whatever it says, nobody would end it.
    Unserved,
    /// It may be there, and the controller may not read it.
    Unreadable,
    Found(&'a AccessRequest),
}

/// How long the controller may hold a role to make a narrower one. It takes some milliseconds; what is older was left
/// behind by a process that died.
const LOAN: SignedDuration = SignedDuration::from_secs(15);

/// Why a binding must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    RequestGone,
    /// Another request has the name of the one that it was made for.
    RequestReplaced,
    /// Nobody serves the namespace of its request.
    Unserved,
    /// Its request cannot be read, and the end on the binding has come.
    NotedEnd,
    /// Access comes back every week and rests now.
    BetweenWindows,
    NotGranted,
    RequestOver,
    /// The end on its request's record has come.
    Ended,
    /// It is not on its request's record.
    NotOnRecord,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestGone => "its request is gone",
            Self::RequestReplaced => "its request is gone, and another has its name",
            Self::Unserved => "its request is in a namespace that is not served",
            Self::NotedEnd => "its request cannot be read, and the end that is noted on it has come",
            Self::BetweenWindows => "its window is not open",
            Self::NotGranted => "its request has not been granted",
            Self::RequestOver => "its request is over",
            Self::Ended => "its end has come",
            Self::NotOnRecord => "its request does not know it",
        })
    }
}

/// Why a binding must go, if it must.
pub fn verdict(binding: &Observed, owner: Owner<'_>, now: Timestamp) -> Option<Stray> {
    let uid = binding.request_uid()?;
    if binding.is_self_binding()
        && binding.metadata.creation_timestamp.as_ref().is_some_and(|at| now < later(at.0, LOAN))
    {
        return None;
    }
    let request = match owner {
        Owner::Found(request) => request,
        Owner::Gone => return Some(Stray::RequestGone),
        Owner::Unserved => return Some(Stray::Unserved),
        Owner::Unreadable => {
            let ended = noted_end(&binding.metadata).is_some_and(|end| has_come(end, now));
            return ended.then_some(Stray::NotedEnd);
        }
    };
    let runs = |end: &Time| !has_come(end.0, now);
    let live = request.status.as_ref().filter(|s| !s.state.is_final() && s.expires_at.as_ref().is_some_and(runs));
    if request.status.as_ref().is_some_and(|status| is_between_windows(request, status, now)) {
        return Some(Stray::BetweenWindows);
    }
    let known = |r: &BindingRef| r.uid.is_some() && r.uid == binding.metadata.uid;
    if live.is_some_and(|status| status.bindings.iter().any(known)) {
        // Whatever else was edited on it, the request's own pass puts it back.
        return None;
    }
    if request.metadata.uid.as_deref() != Some(uid) {
        return Some(Stray::RequestReplaced);
    }
    let Some(status) = &request.status else {
        return Some(Stray::NotGranted);
    };
    if status.state.is_final() {
        return Some(Stray::RequestOver);
    }
    if !status.expires_at.as_ref().is_some_and(runs) {
        return Some(Stray::Ended);
    }
    let recorded = status.bindings.iter().any(|r| binding.is_at(r));
    (!recorded).then_some(Stray::NotOnRecord)
}

/// Whether a made role that has no binding is left over. It gives nobody anything; it is only litter.
pub fn is_litter(role: &ObservedRole, owner: Owner<'_>) -> bool {
    let Some(uid) = role.request_uid() else { return false };
    let request = match owner {
        Owner::Found(request) => request,
        Owner::Gone | Owner::Unserved => return true,
        Owner::Unreadable => return false,
    };
    let recorded = |status: &AccessRequestStatus| !status.state.is_final() && !status.bindings.is_empty();
    request.metadata.uid.as_deref() != Some(uid) || !request.status.as_ref().is_some_and(recorded)
}

/// Whether access comes back every week and rests now. A window is on record before anything is bound in it.
fn is_between_windows(request: &AccessRequest, status: &AccessRequestStatus, now: Timestamp) -> bool {
    let live = status.granted_at.is_some() && !status.state.is_final();
    live && request.spec.recurrence.is_some() && !status.window.as_ref().is_some_and(|window| is_open(window, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::State;
    use crate::core::laws::fixtures::{noon, request};
    use crate::core::rbac::binding::{self_binding, wanted};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    /// A live grant whose window is open from noon for an hour.
    fn granted() -> AccessRequest {
        let window = json!({ "days": ["Mon"], "start": "12:00", "end": "13:00" });
        let mut request = request(json!({ "recurrence": { "timeZone": "UTC", "windows": [window], "weeks": 2 } }));
        let hour = SignedDuration::from_hours(1);
        request.status = Some(AccessRequestStatus {
            state: State::Active,
            granted_at: Some(Time(noon())),
            expires_at: Some(Time(noon() + hour * 24)),
            window: Some(crate::core::model::recurrence::Opening { opens: noon(), closes: noon() + hour }.on_record()),
            bindings: vec![BindingRef {
                kind: crate::api::request::BindingKind::RoleBinding,
                namespace: Some("shop".to_owned()),
                name: "daypass-r-1".to_owned(),
                uid: Some("b-1".to_owned()),
                role: None,
            }],
            ..Default::default()
        });
        request
    }

    fn binding(request: &AccessRequest) -> Observed {
        let status = request.status.as_ref().unwrap();
        let mut binding = Observed::from(&wanted(request, status, &status.bindings[0]).role_binding());
        binding.metadata.uid = Some("b-1".to_owned());
        binding
    }

    #[test]
    fn between_two_windows_a_binding_has_no_business_there() {
        let mut request = granted();
        let binding = binding(&request);
        let closes = noon() + SECOND * 3600;
        let why = |request: &AccessRequest, now| verdict(&binding, Owner::Found(request), now);
        assert_eq!(why(&request, noon()), None);
        assert_eq!(why(&request, closes - SECOND), None);
        assert_eq!(why(&request, closes), Some(Stray::BetweenWindows));
        request.status.as_mut().unwrap().window = None;
        assert_eq!(why(&request, noon()), Some(Stray::BetweenWindows));
    }

    #[test]
    fn a_request_that_nobody_would_end_gives_nothing() {
        let request = granted();
        let why = verdict(&binding(&request), Owner::Unserved, noon());
        assert_eq!(why, Some(Stray::Unserved));
    }

    #[test]
    fn where_nobody_may_read_the_record_the_end_that_is_noted_counts() {
        let request = granted();
        let mut binding = binding(&request);
        let end = noon() + SignedDuration::from_hours(1);
        let why = |binding: &Observed, now| verdict(binding, Owner::Unreadable, now);
        assert_eq!(why(&binding, end - SECOND), None);
        assert_eq!(why(&binding, end), Some(Stray::NotedEnd));
        binding.metadata.annotations = None;
        assert_eq!(why(&binding, end), None, "it says nothing");
        let role = ObservedRole { metadata: binding.metadata, rules: Vec::new() };
        assert!(!is_litter(&role, Owner::Unreadable) && is_litter(&role, Owner::Gone));
    }

    #[test]
    fn a_loan_is_left_alone_for_as_long_as_one_takes() {
        let request = granted();
        let status = request.status.as_ref().unwrap();
        let whole = wanted(&request, status, &status.bindings[0]);
        let mut lent = Observed::from(&self_binding(&whole, &whole.role, "daypass").role_binding());
        lent.metadata.creation_timestamp = Some(Time(noon()));
        let why = |now| verdict(&lent, Owner::Found(&request), now);
        assert_eq!(why(noon() + LOAN - SECOND), None);
        assert_eq!(why(noon() + LOAN), Some(Stray::NotOnRecord));
        assert_eq!(verdict(&lent, Owner::Gone, noon() + LOAN), Some(Stray::RequestGone));
        assert_eq!(verdict(&lent, Owner::Unserved, noon()), None);
    }

    #[test]
    fn what_stands_in_the_place_of_a_binding_is_not_that_binding() {
        let request = granted();
        let mut other = binding(&request);
        other.metadata.uid = Some("b-2".to_owned());
        let labels = other.metadata.labels.get_or_insert_default();
        labels.insert(crate::api::keys::REQUEST_UID.to_owned(), "r-2".to_owned());
        assert_eq!(verdict(&other, Owner::Found(&request), noon()), Some(Stray::RequestReplaced));
    }

    #[test]
    fn a_binding_has_no_business_there_from_its_end_on() {
        let mut request = granted();
        request.spec.recurrence = None;
        let (binding, end) = (binding(&request), noon() + SECOND * 24 * 3600);
        assert_eq!(verdict(&binding, Owner::Found(&request), end - SECOND), None);
        assert_eq!(verdict(&binding, Owner::Found(&request), end), Some(Stray::Ended));
    }
}
