//! What is done with audit events that have come, and what a controller is answered who asks what was done with its grants.
//!
//! Owns that an event which cannot be read holds up no other. How they come is for [`super::feeding`].

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;

use super::super::activity::Taken;
use super::super::store::StoreError;
use super::answer::{self, FailedCall};
use super::{ArchiveDesk, writing};
use crate::api::activity::{MOST_USES, UsesAsked};
use crate::core::activity::event::{ReadEvent, read};
use crate::runtime::clock::Clock;

/// `POST /v1/activity/uses`: what was done with grants of the writer's cluster, and how far its API servers were heard.
pub async fn uses(State(desk): State<ArchiveDesk>, request: Request) -> Result<Response, FailedCall> {
    let (parts, body) = request.into_parts();
    let cluster = desk.writers.cluster(&desk.client, &parts.headers).await?;
    let body = writing::whole(body).await?;
    let asked: UsesAsked = serde_json::from_slice(&body)
        .map_err(|error| FailedCall::bad(format!("body: {error}; send the UIDs of requests as `requests`")))?;
    if asked.requests.len() > MOST_USES {
        let there = asked.requests.len();
        return Err(FailedCall::bad(format!("requests: there are {there}; ask about up to {MOST_USES} at a time")));
    }
    Ok(answer::json(json!(desk.store.uses(&cluster, &asked.requests).await?).to_string()))
}

impl ArchiveDesk {
    /// Reads events of a cluster, each in JSON, and keeps what counts of them. One that cannot be read is counted and told, and
    /// what it says is not.
    ///
    /// # Errors
    /// When the store fails; then nothing of it is kept.
    pub async fn take_events(&self, cluster: &str, events: &[String]) -> Result<Taken, StoreError> {
        let (mut read_events, mut unreadable): (Vec<ReadEvent>, Vec<String>) = (Vec::new(), Vec::new());
        for event in events {
            match read(event) {
                Ok(event) => read_events.push(event),
                Err(why) => unreadable.push(why.to_string()),
            }
        }
        if let Some(why) = unreadable.first() {
            tracing::warn!(cluster, events = unreadable.len(), why, "cannot read audit events");
        }
        self.figures.unreadable(unreadable.len());
        let taken = self.store.take_activity(cluster, read_events, &self.activity).await?;
        self.figures.fed(cluster, &taken, Clock::wall().now());
        for (write, why) in &taken.told {
            let (user, object) = (&write.deed.user, write.name.as_deref());
            let (resource, namespace) = (&write.deed.resource, write.deed.namespace.as_deref());
            tracing::warn!(cluster, user, resource, namespace, object, at = %write.at, %why, "no record explains a write");
        }
        Ok(taken)
    }
}
