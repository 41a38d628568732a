//! Finds the other requests that a request has to do with: the one that it extends, those that extend it, and
//! break-glass access of the same person that awaits its review. Decides nothing about them.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use super::error::Error;
use super::kept::{KeptRequest, reference};
use super::observe;
use crate::api::request::AccessRequest;
use crate::core::model::subjects::is_same_person;

/// Requests that one request has to do with.
#[derive(Default)]
pub struct Related {
    /// The request that it extends.
    pub extended: Option<AccessRequest>,
    /// Requests that extend it and are not over.
    pub extensions: Vec<AccessRequest>,
    /// Other break-glass requests of the same person whose review is open.
    pub unreviewed: Vec<AccessRequest>,
}

impl Related {
    /// As the store has them.
    pub fn seen(context: &Context, request: &AccessRequest) -> Self {
        let namespace = request.namespace().unwrap_or_default();
        let stored = |reference: &ObjectRef<KeptRequest>| context.requests.get(reference)?.open();
        let of = |name: &String| stored(&ObjectRef::new(name).within(&namespace));
        let name = request.name_any();
        let extends_it = |other: &AccessRequest| !other.is_over() && other.spec.extends.as_ref() == Some(&name);
        Self {
            extended: request.spec.extends.as_ref().and_then(of),
            extensions: context.extensions.of(request).iter().filter_map(stored).filter(extends_it).collect(),
            unreviewed: unreviewed(context, request),
        }
    }

    /// The same from the API server: nobody is refused on what the store says alone.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn refresh(&mut self, context: &Context, request: &AccessRequest) -> Result<(), Error> {
        let client = &context.reader;
        if let Some(name) = &request.spec.extends {
            self.extended = observe::request(client, &request.namespace().unwrap_or_default(), name).await?;
        }
        let mut fresh = Vec::new();
        for other in &self.unreviewed {
            let (namespace, name) = observe::place(other)?;
            fresh.extend(observe::request(client, &namespace, &name).await?);
        }
        self.unreviewed = fresh;
        Ok(())
    }
}

/// Break-glass requests of the person who asks for break-glass access now.
fn unreviewed(context: &Context, request: &AccessRequest) -> Vec<AccessRequest> {
    let granted = request.status.as_ref().is_some_and(|status| status.granted_at.is_some());
    let Some(who) = request.spec.requester.as_ref().filter(|_| request.spec.break_glass && !granted) else {
        return Vec::new();
    };
    let theirs = |other: &AccessRequest| {
        other.uid() != request.uid() && other.spec.requester.as_ref().is_some_and(|other| is_same_person(other, who))
    };
    let unreviewed = context.requests.state_filter(|kept| kept.glance.as_ref().is_some_and(|glance| glance.unreviewed));
    unreviewed.iter().filter_map(|kept| kept.open()).filter(theirs).collect()
}

/// Which requests extend which. A hint: what it names is looked up before it is used.
#[derive(Default)]
pub struct Extensions(RwLock<HashMap<ObjectRef<KeptRequest>, HashSet<ObjectRef<KeptRequest>>>>);

impl Extensions {
    /// Requests that may extend this one.
    pub fn of(&self, request: &AccessRequest) -> Vec<ObjectRef<KeptRequest>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&reference(request)).into_iter().flatten().cloned().collect()
    }

    /// Forgets everything, before a whole list is noted.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Notes what a request extends, for as long as it is not over. The request that it extends, if it does.
    pub fn note(&self, request: &AccessRequest) -> Option<ObjectRef<KeptRequest>> {
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

    fn pair(request: &AccessRequest) -> Option<(ObjectRef<KeptRequest>, ObjectRef<KeptRequest>)> {
        let own = reference(request);
        let extended = ObjectRef::new(request.spec.extends.as_deref()?).within(own.namespace.as_deref()?);
        Some((extended, own))
    }
}
