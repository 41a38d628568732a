//! Other requests that a case speaks of: the running one that is extended, and those that limits count. As they would
//! be on record in a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::part;
use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::request::{AccessRequest, AccessRequestStatus, GrantExtension, PolicyRef, State};
use crate::cli::manifests;
use crate::core::binding;
use crate::core::history::Reason;
use crate::core::namespaces::Namespaces;
use crate::core::policies::{Entry, PolicySet};
use crate::core::select::place;
use crate::core::validate::validate;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    /// As it was made.
    request: Value,
    /// Name of the policy that decides it, or has.
    policy: String,
    /// From when until when access runs or ran. Neither: it waits.
    from: Option<Time>,
    until: Option<Time>,
    /// How many times its end was moved.
    #[serde(default)]
    extended: u8,
}

/// A request beside the one that is asked about.
pub struct Beside {
    from: String,
    request: AccessRequest,
    policy: String,
    ran: Option<(Time, Time)>,
    extended: u8,
}

impl Beside {
    /// Reads it. `uid` tells it from the others of the case.
    ///
    /// # Errors
    /// With file and path, when it is none.
    pub fn read(from: &str, path: &str, value: &Value, uid: &str) -> Result<Self, String> {
        let Raw { request, policy, from: begin, until, extended } = part(from, path, value)?;
        let mut request: AccessRequest =
            manifests::read(&format!("{from}: {path}.request"), "AccessRequest", &request)?;
        let ran = match (begin, until) {
            (Some(begin), Some(end)) if begin.0 < end.0 => Some((begin, end)),
            (None, None) if extended == 0 => None,
            _ => return Err(format!("{from}: {path}: give from and a later until, or neither when it waits")),
        };
        request.metadata.uid = Some(uid.to_owned());
        Ok(Self { from: format!("{from}: {path}"), request, policy, ran, extended })
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.request.metadata.name.as_deref()
    }

    /// As it is on record at a time.
    ///
    /// # Errors
    /// When there is no such policy, or it asks for what there is not.
    pub fn recorded(
        &self,
        policies: &PolicySet,
        namespaces: &Namespaces,
        now: Timestamp,
    ) -> Result<AccessRequest, String> {
        let Some(Entry::Valid(policy)) = policies.get(&self.policy) else {
            return Err(format!("{}: there is no policy {}", self.from, self.policy));
        };
        let decided: PolicyRef = policy.reference.clone();
        let mut request = self.request.clone();
        let mut status = AccessRequestStatus { policy: Some(decided), ..Default::default() };
        if let Some((begin, end)) = &self.ran {
            request.metadata.creation_timestamp.get_or_insert(begin.clone());
            let fault = |why: String| format!("{}: {why}", self.from);
            let ask = validate(&request).map_err(|faults| fault(crate::core::fault::sentence(&faults)))?;
            let place = place(&ask.target, namespaces).map_err(|why| fault(why.to_string()))?;
            status.bindings = binding::references(&request, &place);
            status.granted_at = Some(begin.clone());
            status.expires_at = Some(end.clone());
            status.extensions = (0..self.extended).map(|n| earlier(n, begin, end)).collect();
            status.state = State::Active;
            if end.0 <= now {
                status.state = State::Expired;
                conditions::set(&mut status.conditions, finished(end));
            }
        }
        request.status = Some(status);
        Ok(request)
    }
}

/// A move of the end, of which nothing counts but that there was one.
fn earlier(number: u8, begin: &Time, end: &Time) -> GrantExtension {
    GrantExtension {
        name: format!("earlier-{number}"),
        uid: format!("earlier-{number}"),
        at: begin.clone(),
        from: end.clone(),
        to: end.clone(),
    }
}

fn finished(at: &Time) -> Condition {
    Condition {
        type_: conditions::FINISHED.to_owned(),
        status: ConditionStatus::True,
        reason: Reason::Expired.as_str().to_owned(),
        message: String::new(),
        last_transition_time: at.clone(),
        observed_generation: None,
    }
}
