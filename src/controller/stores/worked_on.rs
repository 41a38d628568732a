//! Which requests are in a pass now. Two lanes may be asked for the same request; only one of them works on it at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::ObjectRef;

use super::packed::PackedRequest;

type InPass = Arc<Mutex<HashSet<ObjectRef<PackedRequest>>>>;

/// Requests in a pass.
#[derive(Default)]
pub struct WorkedOn(InPass);

/// A request is in a pass for as long as this lives.
pub struct Working {
    requests: InPass,
    request: ObjectRef<PackedRequest>,
}

impl WorkedOn {
    /// Begins to work on a request; none when another pass does.
    pub fn begin(&self, request: &ObjectRef<PackedRequest>) -> Option<Working> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request.clone());
        is_free.then(|| Working { requests: self.0.clone(), request: request.clone() })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_at_a_time_works_on_a_request() {
        let (worked_on, fix) = (WorkedOn::default(), ObjectRef::new("fix").within("shop"));
        let first = worked_on.begin(&fix).expect("nobody works on it");
        assert!(worked_on.begin(&fix).is_none());
        assert!(worked_on.begin(&ObjectRef::new("fix").within("bank")).is_some());
        drop(first);
        assert!(worked_on.begin(&fix).is_some());
    }
}
