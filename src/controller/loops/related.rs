//! Finds the other requests that a request has to do with: the one that it extends, those that extend it, and
//! break-glass access of the same person that awaits its review. Decides nothing about them.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::request::AccessRequest;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::observe;
use crate::controller::stores::packed::PackedRequest;
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
        let stored = |reference: &ObjectRef<PackedRequest>| context.stores.requests.open(reference);
        let of = |name: &String| stored(&ObjectRef::new(name).within(&namespace));
        let name = request.name_any();
        let extends_it = |other: &AccessRequest| !other.is_over() && other.spec.extends.as_ref() == Some(&name);
        Self {
            extended: request.spec.extends.as_ref().and_then(of),
            extensions: context
                .stores
                .requests
                .extensions
                .of(request)
                .iter()
                .filter_map(stored)
                .filter(extends_it)
                .collect(),
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
    let unreviewed = context.stores.requests.which(|summary| summary.unreviewed);
    unreviewed.iter().filter_map(|packed| packed.open()).filter(theirs).collect()
}
