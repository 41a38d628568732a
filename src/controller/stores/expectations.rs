//! What passes wrote of requests and the watch has yet to bring: so that none plans on what is older than its own
//! writing, and none is made for what is only the echo of it. Decides nothing about requests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use crate::controller::stores::packed::PackedRequest;

/// Requests by where they are, and what is on its way of each.
#[derive(Default)]
pub struct Expectations(Mutex<HashMap<ObjectRef<PackedRequest>, OnItsWay>>);

#[derive(Default)]
struct OnItsWay {
    /// Resource versions, the newest last.
    versions: Vec<u64>,
    /// When the pass that wrote the newest said to look again.
    wake: Option<Timestamp>,
    /// Whether a pass has been put off until the newest comes.
    put_off: bool,
}

impl Expectations {
    /// A pass wrote this version, or settled on it, and said when to look again.
    pub fn note(&self, request: &ObjectRef<PackedRequest>, version: u64, wake: Option<Timestamp>) {
        let mut all = self.lock();
        let on_its_way = all.entry(request.clone()).or_default();
        if on_its_way.versions.last() != Some(&version) {
            on_its_way.versions.push(version);
        }
        on_its_way.wake = wake;
    }

    /// Whether something newer than this version from the store is on its way. If so, when to look again: the pass that
    /// asks is put off until then, or until the newest comes.
    pub fn ahead_of(&self, request: &ObjectRef<PackedRequest>, version: u64) -> Option<Option<Timestamp>> {
        let mut all = self.lock();
        let on_its_way = all.get_mut(request)?;
        if on_its_way.versions.last().is_some_and(|newest| version < *newest) {
            on_its_way.put_off = true;
            return Some(on_its_way.wake);
        }
        all.remove(request);
        None
    }

    /// The watch has brought this version. True when a pass has left it so and nobody waits for it: there is nothing
    /// new to look at.
    pub fn is_echo(&self, request: &ObjectRef<PackedRequest>, version: u64) -> bool {
        let mut all = self.lock();
        let Some(on_its_way) = all.get(request).filter(|way| way.versions.contains(&version)) else { return false };
        if on_its_way.versions.last() != Some(&version) {
            return true;
        }
        let put_off = on_its_way.put_off;
        all.remove(request);
        !put_off
    }

    /// Forgets a request that is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>) {
        self.lock().remove(request);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<PackedRequest>, OnItsWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> ObjectRef<PackedRequest> {
        ObjectRef::new("fix").within("shop")
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn what_a_pass_wrote_is_no_news() {
        let expected = Expectations::default();
        expected.note(&one(), 5, at(1));
        expected.note(&one(), 7, at(2));
        assert!(expected.is_echo(&one(), 5));
        assert!(!expected.is_echo(&one(), 6), "somebody else wrote that in between");
        assert!(expected.is_echo(&one(), 7));
        assert!(!expected.is_echo(&one(), 7), "it comes again after a list: that is for a pass");
        assert!(!expected.is_echo(&ObjectRef::new("fix").within("bank"), 7));
    }

    #[test]
    fn no_pass_plans_on_what_is_older_than_what_was_written() {
        let expected = Expectations::default();
        assert_eq!(expected.ahead_of(&one(), 4), None);
        expected.note(&one(), 5, at(1));
        expected.note(&one(), 7, at(2));
        assert_eq!(expected.ahead_of(&one(), 5), Some(at(2)));
        assert_eq!(expected.ahead_of(&one(), 7), None);
        assert_eq!(expected.ahead_of(&one(), 5), None, "that is settled");
    }

    #[test]
    fn a_pass_that_was_put_off_is_made_when_the_newest_comes() {
        let expected = Expectations::default();
        expected.note(&one(), 5, at(1));
        assert!(expected.ahead_of(&one(), 4).is_some());
        expected.note(&one(), 7, at(2));
        assert!(expected.is_echo(&one(), 5), "the newest is still to come");
        assert!(!expected.is_echo(&one(), 7));
        assert_eq!(expected.ahead_of(&one(), 7), None);
    }

    #[test]
    fn what_somebody_else_wrote_later_is_looked_at_at_once() {
        let expected = Expectations::default();
        expected.note(&one(), 5, at(1));
        assert!(!expected.is_echo(&one(), 8));
        assert_eq!(expected.ahead_of(&one(), 8), None);
    }

    #[test]
    fn a_wake_that_is_changed_without_a_write_counts() {
        let expected = Expectations::default();
        expected.note(&one(), 5, at(1));
        expected.note(&one(), 5, None);
        assert_eq!(expected.ahead_of(&one(), 4), Some(None));
        expected.forget(&one());
        assert_eq!(expected.ahead_of(&one(), 4), None);
    }
}
