//! Which requests extend which.
//!
//! It must not say whether an extension counts: `core/lifecycle/extension` does.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use kube::runtime::reflector::ObjectRef;

use super::packed::{PackedRequest, reference};
use crate::api::request::AccessRequest;

/// Which requests extend which. A hint: what it names is looked up before it is used.
#[derive(Default)]
pub struct Extensions(RwLock<HashMap<ObjectRef<PackedRequest>, HashSet<ObjectRef<PackedRequest>>>>);

impl Extensions {
    /// Requests that may extend this one.
    pub fn of(&self, request: &AccessRequest) -> Vec<ObjectRef<PackedRequest>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&reference(request)).into_iter().flatten().cloned().collect()
    }

    /// Forgets everything, before a whole list is noted.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes what a request extends, for as long as it is not over. The request that it extends, if it does.
    pub fn note(&self, request: &AccessRequest) -> Option<ObjectRef<PackedRequest>> {
        let (extended, own) = Self::pair(request)?;
        if !request.is_over() {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.entry(extended.clone()).or_default().insert(own);
        } else {
            self.forget(request);
        }
        Some(extended)
    }

    /// Forgets a request that is over or gone.
    pub fn forget(&self, request: &AccessRequest) {
        let Some((extended, own)) = Self::pair(request) else { return };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(extensions) = known.get_mut(&extended) {
            extensions.remove(&own);
            if extensions.is_empty() {
                known.remove(&extended);
            }
        }
    }

    fn pair(request: &AccessRequest) -> Option<(ObjectRef<PackedRequest>, ObjectRef<PackedRequest>)> {
        let own = reference(request);
        let extended = ObjectRef::new(request.spec.extends.as_deref()?).within(own.namespace.as_deref()?);
        Some((extended, own))
    }
}
