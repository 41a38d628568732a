//! When access ends, by request: for the loop that takes it away on the second, whatever else waits.
//!
//! It holds what the watch brought and what passes recorded since, the newer of both, and of ended access what is gone
//! already. Whether an end has come, and what becomes of the request, is for `loops::ends` and `core` to say.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::packed::{PackedRequest, reference};
use crate::api::request::{AccessRequest, BindingRef};
use crate::controller::observe::version;
use crate::core::lifecycle::expiry::{bound_until, has_come};

/// UID of a request.
type Uid = Arc<str>;

/// Ends of running access.
#[derive(Default)]
pub struct Ends {
    known: Mutex<EndIndex>,
    changed: Notify,
}

#[derive(Default)]
struct EndIndex {
    by_uid: HashMap<Uid, End>,
    by_time: BTreeSet<(Timestamp, Uid)>,
    /// Being moved by a pass now.
    moving: HashSet<Uid>,
    /// Being taken away now, or gone and not yet for a pass to record.
    taken: HashSet<Uid>,
    /// Ends that have come and are not yet on record. They have come whatever a clock says afterwards.
    come: HashMap<Uid, Timestamp>,
    /// Taken away, and not yet on record: the end that had come, and what is gone.
    gone: HashMap<Uid, (Timestamp, Gone)>,
}

struct End {
    /// In which version of the request it says so.
    version: u64,
    at: Timestamp,
    request: ObjectRef<PackedRequest>,
}

/// Bindings of ended access that are gone.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Which, as the record has them.
    pub bindings: Vec<BindingRef>,
    /// When the last of them was.
    pub at: Timestamp,
}

/// Access whose end has come.
pub struct Due {
    /// UID of its request.
    pub uid: Uid,
    pub at: Timestamp,
    pub request: ObjectRef<PackedRequest>,
}

impl Ends {
    /// Notes the end of a request's access as this version of it says. What an older version says is no news.
    pub fn note(&self, request: &AccessRequest) {
        let (Some(uid), Some(version)) = (request.metadata.uid.as_deref(), version(request)) else { return };
        let mut known = self.lock();
        if known.by_uid.get(uid).is_some_and(|end| end.version > version) {
            return;
        }
        let uid = known.remove(uid).unwrap_or_else(|| uid.into());
        match request.status.as_ref().and_then(bound_until) {
            Some(at) => {
                let first = known.by_time.first().is_none_or(|(earliest, _)| at < *earliest);
                known.by_time.insert((at, uid.clone()));
                known.by_uid.insert(uid, End { version, at, request: reference(request) });
                if first {
                    self.changed.notify_one();
                }
            }
            // On record by now.
            None => {
                known.gone.remove(&uid);
                known.come.remove(&uid);
            }
        }
    }

    /// Forgets a request that is gone.
    pub fn forget(&self, uid: &str) {
        let mut known = self.lock();
        known.remove(uid);
        known.gone.remove(uid);
        known.come.remove(uid);
    }

    /// Takes one whose end has come; none is taken twice at a time.
    pub fn take_due(&self, now: Timestamp) -> Option<Due> {
        let mut known = self.lock();
        loop {
            let mut due = known.by_time.iter().take_while(|(at, _)| has_come(*at, now));
            let (at, uid) = due.find(|(_, uid)| !known.moving.contains(uid))?.clone();
            let request = known.by_uid.get(&uid).map(|end| end.request.clone());
            known.remove(&uid);
            // A list that came meanwhile says again what is being done.
            let is_known = known.taken.contains(&uid) || known.gone.get(&uid).is_some_and(|(end, _)| *end >= at);
            if let Some(request) = request.filter(|_| !is_known) {
                known.taken.insert(uid.clone());
                known.come.insert(uid.clone(), at);
                return Some(Due { uid, at, request });
            }
        }
    }

    /// What was taken is gone; or not, and then its pass must see to it. The pass waits until it is released.
    pub fn done(&self, due: &Due, gone: Option<Gone>) {
        if let Some(gone) = gone {
            self.lock().gone.insert(due.uid.clone(), (due.at, gone));
        }
    }

    /// From now on its pass may record it.
    pub fn release(&self, uid: &str) {
        self.lock().taken.remove(uid);
    }

    /// Keeps the end of this request's access from being taken for due while a later one is written; none when it has
    /// come: then it is not moved any more.
    pub fn begin_to_move(&self, uid: &str, now: Timestamp) -> Option<Moving<'_>> {
        let mut known = self.lock();
        if known.is_due(uid, now) || known.come.contains_key(uid) {
            return None;
        }
        known.moving.insert(uid.into());
        Some(Moving { ends: self, uid: uid.into() })
    }

    /// Whether the end of this request has come and its bindings are not known to be gone: whoever wants to record it
    /// waits.
    pub fn is_due(&self, uid: &str, now: Timestamp) -> bool {
        self.lock().is_due(uid, now)
    }

    /// Whether any is due, or being taken away.
    pub fn are_due(&self, now: Timestamp) -> bool {
        let known = self.lock();
        !known.taken.is_empty() || known.first().is_some_and(|at| has_come(at, now))
    }

    /// The end of this request that has come and is not yet on record.
    pub fn come(&self, uid: &str) -> Option<Timestamp> {
        self.lock().come.get(uid).copied()
    }

    /// What is gone of this request and not yet on record.
    pub fn gone(&self, uid: &str) -> Option<Gone> {
        self.lock().gone.get(uid).map(|(_, gone)| gone.clone())
    }

    /// When the next one comes.
    pub fn next(&self) -> Option<Timestamp> {
        self.lock().first()
    }

    /// Waits until the next one comes sooner than before, or the clock was set.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The clock was set.
    pub fn clock_was_set(&self) {
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, EndIndex> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a request's access is being moved for as long as this lives.
pub struct Moving<'a> {
    ends: &'a Ends,
    uid: Uid,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.ends.lock().moving.remove(&self.uid);
        self.ends.changed.notify_one();
    }
}

impl EndIndex {
    fn is_due(&self, uid: &str, now: Timestamp) -> bool {
        self.taken.contains(uid) || self.by_uid.get(uid).is_some_and(|end| has_come(end.at, now))
    }

    /// The earliest of those that are not being moved.
    fn first(&self) -> Option<Timestamp> {
        self.by_time.iter().find(|(_, uid)| !self.moving.contains(uid)).map(|(at, _)| *at)
    }

    fn remove(&mut self, uid: &str) -> Option<Uid> {
        let (uid, end) = self.by_uid.remove_entry(uid)?;
        let key = (end.at, uid);
        self.by_time.remove(&key);
        Some(key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(name: &str, version: u64, end: Option<i64>) -> AccessRequest {
        let mut request: AccessRequest = serde_json::from_value(json!({
            "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
            "metadata": { "name": name, "namespace": "shop", "uid": format!("u-{name}"), "resourceVersion": version.to_string() },
            "spec": { "role": { "name": "edit" }, "reason": "a test" },
            "status": { "state": if end.is_some() { "Active" } else { "Expired" }, "grantedAt": "1970-01-01T00:00:01Z" }
        }))
        .unwrap();
        let status = request.status.as_mut().unwrap();
        status.expires_at = end.map(|end| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(end)));
        request
    }

    fn due(name: &str, end: i64) -> Due {
        Due { uid: format!("u-{name}").into(), at: at(end), request: ObjectRef::new(name).within("shop") }
    }

    fn taken(ends: &Ends, now: i64) -> Vec<String> {
        std::iter::from_fn(|| ends.take_due(at(now))).map(|due| due.request.name).collect()
    }

    #[test]
    fn those_that_are_due_are_taken_once_in_the_order_of_time() {
        let ends = Ends::default();
        for (name, end) in [("late", 30), ("second", 20), ("first", 10)] {
            ends.note(&request(name, 1, Some(end)));
        }
        assert_eq!(ends.next(), Some(at(10)));
        assert!(!ends.are_due(at(9)) && ends.are_due(at(10)));
        assert!(ends.is_due("u-first", at(10)) && !ends.is_due("u-second", at(10)));
        assert_eq!(taken(&ends, 20), ["first", "second"]);
        assert!(ends.is_due("u-first", at(10)), "until it is gone");
        // A list says it again while it is on its way, and once more when it is gone.
        ends.note(&request("first", 1, Some(10)));
        assert_eq!(taken(&ends, 20), Vec::<String>::new());
        ends.done(&due("first", 10), Some(Gone { bindings: Vec::new(), at: at(20) }));
        assert!(ends.is_due("u-first", at(20)), "until its pass may record it");
        ends.release("u-first");
        assert!(!ends.is_due("u-first", at(20)) && ends.gone("u-first").is_some());
        assert!(ends.begin_to_move("u-first", at(20)).is_none(), "what is gone has no end to move");
        ends.note(&request("first", 1, Some(10)));
        assert_eq!(taken(&ends, 20), Vec::<String>::new());
        ends.note(&request("first", 2, None));
        assert!(ends.gone("u-first").is_none(), "it is on record");
    }

    #[test]
    fn what_an_older_version_says_moves_no_end() {
        let ends = Ends::default();
        ends.note(&request("fix", 7, Some(90)));
        ends.note(&request("fix", 5, Some(30)));
        assert_eq!(ends.next(), Some(at(90)));
        ends.note(&request("fix", 8, Some(120)));
        assert_eq!((ends.next(), taken(&ends, 90)), (Some(at(120)), Vec::new()));
        ends.note(&request("fix", 9, None));
        assert_eq!(ends.next(), None);
    }

    #[test]
    fn an_end_is_moved_before_it_comes_or_not_at_all() {
        let ends = Ends::default();
        ends.note(&request("fix", 1, Some(10)));
        ends.note(&request("other", 1, Some(11)));
        let moving = ends.begin_to_move("u-fix", at(9)).expect("it has not come");
        assert_eq!((ends.next(), ends.are_due(at(10))), (Some(at(11)), false));
        assert_eq!(taken(&ends, 11), ["other"]);
        ends.note(&request("fix", 2, Some(30)));
        drop(moving);
        assert_eq!((ends.next(), taken(&ends, 29)), (Some(at(30)), Vec::new()));
        // One whose write failed ends as stated.
        drop(ends.begin_to_move("u-fix", at(29)).expect("it has not come"));
        assert!(ends.begin_to_move("u-fix", at(30)).is_none());
        assert_eq!(taken(&ends, 30), ["fix"]);
        assert!(ends.begin_to_move("u-fix", at(30)).is_none(), "it is being taken away");
    }

    #[test]
    fn a_later_end_of_the_same_request_is_taken_again() {
        let ends = Ends::default();
        ends.note(&request("fix", 1, Some(10)));
        assert_eq!(taken(&ends, 10), ["fix"]);
        ends.done(&due("fix", 10), Some(Gone { bindings: Vec::new(), at: at(10) }));
        ends.release("u-fix");
        ends.note(&request("fix", 2, Some(30)));
        assert_eq!(taken(&ends, 30), ["fix"]);
    }

    #[test]
    fn what_could_not_be_taken_away_is_left_to_its_pass() {
        let ends = Ends::default();
        ends.note(&request("fix", 1, Some(10)));
        assert_eq!(taken(&ends, 10), ["fix"]);
        ends.done(&due("fix", 10), None);
        ends.release("u-fix");
        assert!(!ends.is_due("u-fix", at(11)) && ends.gone("u-fix").is_none());
    }

    #[test]
    fn a_request_that_is_deleted_is_forgotten() {
        let ends = Ends::default();
        let fix = request("fix", 1, Some(10));
        ends.note(&fix);
        ends.forget("u-fix");
        assert_eq!((ends.next(), taken(&ends, 10)), (None, Vec::new()));
    }

    #[tokio::test]
    async fn an_end_before_all_others_wakes_whoever_waits_for_the_next() {
        let ends = Ends::default();
        ends.note(&request("late", 1, Some(30)));
        ends.changed().await;
        ends.note(&request("first", 1, Some(10)));
        ends.changed().await;
        ends.note(&request("later", 1, Some(40)));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, ends.changed()).await.is_err());
    }
}
