//! Decides the case of a PolicyTest by the core: for the cluster that the document tells of, after what was before.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::expected::ExpectedAnswer;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingKind, BindingRef, PolicyRef, State};
use crate::api::risk::RiskLevel;
use crate::cli::plugin::error::InvalidInput;
use crate::core::decision::protected::Protected;
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::rbac::role::RoleSeen;
use crate::core::report::explain::{Explanation, Outcome, explain};

/// The cluster that cases are decided for.
#[derive(Clone)]
pub struct TestCluster {
    pub namespaces: Namespaces,
    pub reach: ServedNamespaces,
    pub release: String,
}

/// A case: a request, what was before it, and what is expected of its decision.
pub struct TestCase {
    pub name: String,
    pub request: AccessRequest,
    pub before: Vec<Earlier>,
    /// When it is decided.
    pub at: Timestamp,
    pub expect: ExpectedAnswer,
}

/// A request that was made before.
pub struct Earlier {
    pub request: AccessRequest,
    /// Whether its access has just ended; otherwise it runs or waits.
    pub over: bool,
    /// When its access began, if that is said.
    pub from: Option<Timestamp>,
}

impl TestCase {
    /// What is decided, once those that were before have been.
    ///
    /// # Errors
    /// Why one of those neither runs nor waits.
    pub fn decide(&self, policies: &PolicySet, place: &TestCluster) -> Result<Explanation, InvalidInput> {
        let mut before: Vec<AccessRequest> = Vec::new();
        for earlier in &self.before {
            let explanation = decided(&earlier.request, policies, place, &before, self.at);
            before.push(earlier.stands(&explanation, policies, self.at)?);
        }
        Ok(decided(&self.request, policies, place, &before, self.at))
    }
}

impl Earlier {
    /// The request with a status as the controller would have written it.
    fn stands(
        &self,
        explanation: &Explanation,
        policies: &PolicySet,
        at: Timestamp,
    ) -> Result<AccessRequest, InvalidInput> {
        let name = self.request.metadata.name.as_deref().unwrap_or_default();
        let mut status = AccessRequestStatus { policy: reference(explanation, policies), ..Default::default() };
        match (explanation.outcome, &explanation.grant) {
            (Outcome::Granted, Some(grant)) => {
                let period = grant.from.as_ref().zip(grant.until.as_ref());
                let length = period.map(|(from, until)| until.0.duration_since(from.0)).unwrap_or_default();
                let begin = if self.over { at.checked_sub(length) } else { Ok(at) };
                let begin = self.from.map_or(begin, Ok).map_err(|error| InvalidInput::one(name, error))?;
                let end = begin.checked_add(length).map_err(|error| InvalidInput::one(name, error))?;
                status.state = if end <= at { State::Expired } else { State::Active };
                (status.granted_at, status.expires_at) = (Some(Time(begin)), Some(Time(end)));
                status.bindings = grant.namespaces.iter().map(|namespace| binding(namespace)).collect();
            }
            (Outcome::Waiting, _) if !self.over => {}
            _ => return Err(InvalidInput::one(name, &explanation.summary)),
        }
        Ok(AccessRequest { status: Some(status), ..self.request.clone() })
    }
}

fn reference(explanation: &Explanation, policies: &PolicySet) -> Option<PolicyRef> {
    Some(policies.get(&explanation.decides.as_ref()?.policy)?.readable()?.reference.clone())
}

fn binding(namespace: &str) -> BindingRef {
    let namespace = Some(namespace.to_owned());
    BindingRef { kind: BindingKind::RoleBinding, namespace, name: String::new(), uid: None, role: None }
}

/// How a request is decided at a time, after what was before.
pub fn decided(
    request: &AccessRequest,
    policies: &PolicySet,
    place: &TestCluster,
    before: &[AccessRequest],
    at: Timestamp,
) -> Explanation {
    let others: Vec<Counted> = before.iter().filter_map(Counted::of).collect();
    let extends = |other: &&AccessRequest| {
        other.metadata.namespace == request.metadata.namespace && other.metadata.name == request.spec.extends
    };
    let extended = before.iter().find(extends);
    let protected = Protected::with_release(&place.release);
    let stated = request.status.as_ref().and_then(|status| status.risk.clone());
    // Offline nobody knows a role. It is taken to have what a request wants of it, and then the risk is that of this; one
    // whose risk is stated to be Low only looks.
    let rules = &request.spec.rules;
    let role = match &stated {
        _ if !rules.is_empty() => Some(RoleSeen::with_every_right()),
        Some(risk) if risk.level == RiskLevel::Low => Some(RoleSeen::that_only_looks()),
        _ => None,
    };
    let of_rules = role.as_ref().filter(|_| !rules.is_empty());
    let risk = of_rules.map(|role| role.risk(rules, protected.extent(request, extended, &place.namespaces))).or(stated);
    let guard = Guard::since(Timestamp::MIN);
    let snapshot = Snapshot {
        reach: &place.reach,
        others: &others,
        protected,
        role: role.as_ref(),
        risk: risk.as_ref(),
        extended,
        ..Snapshot::bare(request, policies, &place.namespaces, &guard)
    };
    explain(&snapshot, at)
}
