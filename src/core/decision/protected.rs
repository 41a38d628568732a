//! The namespaces from which the cluster, or Daypass itself, can be taken over, and what no policy gives there unless it
//! says so (`scope.systemNamespaces`).
//!
//! Owns which namespaces these are, which rights count as more than looking, and what a policy falls short of. It is
//! asked only where something new is given: a grant that runs is none of its business.

use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::request::{AccessRequest, State};
use crate::api::subject::RoleName;
use crate::core::decision::validate::validate;
use crate::core::model::ask::ValidRequest;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::grant_scope::Target;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::Policy;
use crate::core::rbac::risk::Extent;
use crate::core::rbac::risk::kinds::{KUBEVIRT_CONSOLES, KUBEVIRT_PARTS, KUBEVIRT_SCREENS, KUBEVIRT_TOKENS};
use crate::core::rbac::role::RoleSeen;
use crate::core::rbac::rules::{self, group_matches, list, quote, resource_matches};

/// Where the cluster's own components run.
const KUBE_SYSTEM: &str = "kube-system";
/// Where Daypass is installed, unless somebody says otherwise.
pub const USUAL_RELEASE: &str = "daypass-system";

/// How a policy comes to reach them.
pub const WAY_OUT: &str = "have spec.scope.systemNamespaces: true set by somebody who has the verb administer on \
                           accesspolicies.daypass.dev";

/// The protected namespaces: that of this release, and `kube-system`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected<'a> {
    release: &'a str,
}

impl Default for Protected<'_> {
    fn default() -> Self {
        Self { release: USUAL_RELEASE }
    }
}

impl<'a> Protected<'a> {
    /// Those of a release in this namespace.
    pub fn with_release(release: &'a str) -> Self {
        Self { release }
    }

    /// Whether it is one of them.
    pub fn contains(&self, namespace: &str) -> bool {
        namespace == KUBE_SYSTEM || namespace == self.release
    }

    /// Where the role of a request would hold, or holds; of an extension, where the grant does that it extends. A request
    /// that is not in order holds nowhere.
    pub fn extent(&self, request: &AccessRequest, extended: Option<&AccessRequest>, namespaces: &Namespaces) -> Extent {
        let request = extended.filter(|_| request.spec.extends.is_some()).unwrap_or(request);
        let granted = request.status.as_ref().filter(|status| !status.bindings.is_empty());
        let place = granted.map(GrantScope::recorded).or_else(|| match validate(request).ok()?.target {
            // Whether they are there is not asked: one may come to be.
            Target::Namespaces(names) => Some(GrantScope::Namespaces(names.into_iter().collect())),
            target => target.resolve(namespaces).ok(),
        });
        match place {
            Some(GrantScope::Cluster) => Extent::Cluster,
            Some(GrantScope::Namespaces(names)) if names.iter().any(|name| self.contains(name)) => {
                Extent::SystemNamespaces
            }
            _ => Extent::Namespaces,
        }
    }

    /// Why a policy that allows does not give this, since it would reach what is protected and the policy does not say
    /// that it may.
    pub fn shortfall(
        &self,
        policy: &Policy,
        ask: &ValidRequest<'_>,
        place: &GrantScope,
        namespaces: &Namespaces,
        role: Option<&RoleSeen>,
    ) -> Option<Protection> {
        if policy.scope.system_namespaces {
            return None;
        }
        let of = match place {
            GrantScope::Cluster if !policy.scope.cluster => return None,
            GrantScope::Cluster => ProtectedBy::Cluster {
                release: self.release.to_owned(),
                role: ask.role.clone(),
                beyond: beyond_reading(ask.request, role)?,
            },
            GrantScope::Namespaces(names) => {
                let reached = names.iter().filter(|name| self.contains(name) && policy.covers(name, namespaces));
                let reached: Vec<String> = reached.cloned().collect();
                if reached.is_empty() {
                    return None;
                }
                ProtectedBy::Namespaces { reached, selected: matches!(ask.target, Target::Selected(_)) }
            }
        };
        let approved = ask.request.status.as_ref().is_some_and(|status| status.state == State::Scheduled);
        Some(Protection { of, approved })
    }
}

/// What a policy does not give since it is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What is asked for.
    pub of: ProtectedBy,
    /// Whether it had been approved before.
    pub approved: bool,
}

/// What reaches protected namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtectedBy {
    /// A role in the whole cluster that does more than look.
    Cluster {
        /// Namespace of this release.
        release: String,
        /// The role asked for.
        role: RoleName,
        /// What of it does.
        beyond: BeyondReading,
    },
    /// Namespaces that were asked for.
    Namespaces {
        reached: Vec<String>,
        /// Whether by their labels.
        selected: bool,
    },
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            ProtectedBy::Cluster { release, role, beyond } => write!(
                f,
                "{KUBE_SYSTEM} and {release} are protected, which the whole cluster includes, and {role} {beyond}: ask for \
                 namespaces, or for what only reads (spec.rules), or {WAY_OUT}"
            )?,
            ProtectedBy::Namespaces { reached, selected } => {
                let without = if *selected { "select others only" } else { "ask for others" };
                write!(f, "namespace {} is protected: {without}, or {WAY_OUT}", reached.join(", "))?;
            }
        }
        match self.approved {
            true => f.write_str("; that holds for whatever begins now, also when it was approved before"),
            false => Ok(()),
        }
    }
}

/// What is more than looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeyondReading {
    /// Nobody knows what the role allows, so it may come to be anything.
    Unknown,
    /// A verb on resources.
    Resource { verb: String, resource: String },
    /// A verb on URLs.
    Url { verb: String, url: String },
}

impl fmt::Display for BeyondReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("is not known here: it may come to allow anything"),
            Self::Resource { verb, resource } => {
                write!(f, "may do more than look there ({} on {})", quote(verb), quote(resource))
            }
            Self::Url { verb, url } => {
                write!(f, "may do more than look there ({} on URL {})", quote(verb), quote(url))
            }
        }
    }
}

/// What the request could do besides looking: with the rules that it asks for, or else with the whole role. None when
/// it only looks.
fn beyond_reading(request: &AccessRequest, role: Option<&RoleSeen>) -> Option<BeyondReading> {
    let narrow = &request.spec.rules;
    if !narrow.is_empty() {
        return narrow.iter().map(rules::from_narrow).find_map(|rule| more_than_reading(&rule));
    }
    match role.and_then(RoleSeen::rules_in_every_place) {
        None => Some(BeyondReading::Unknown),
        Some(all) => all.into_iter().find_map(more_than_reading),
    }
}

/// What only looks, at resources.
const READ: [&str; 3] = ["get", "list", "watch"];
/// What only looks, at URLs.
const READ_URL: [&str; 3] = ["get", "head", "options"];
/// Resources where to look is to have, by API group: passwords and tokens, and the insides of pods, nodes and virtual
/// machines, to which a connection may begin with a `get`.
const NOT_TO_BE_READ: [(&str, &[&str]); 3] = [
    ("", &["secrets", "nodes/proxy", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"]),
    (KUBEVIRT_PARTS, KUBEVIRT_CONSOLES),
    (KUBEVIRT_TOKENS, KUBEVIRT_SCREENS),
];

/// A right of this rule that is more than looking.
fn more_than_reading(rule: &PolicyRule) -> Option<BeyondReading> {
    let verb = rule.verbs.first()?;
    let outside = |of: &[&str]| rule.verbs.iter().find(|verb| !of.contains(&verb.as_str()));
    if let (Some(_), Some(resource)) = (list(&rule.api_groups).first(), list(&rule.resources).first()) {
        if let Some(verb) = outside(&READ) {
            return Some(BeyondReading::Resource { verb: verb.clone(), resource: resource.clone() });
        }
        let of_rule = NOT_TO_BE_READ.iter().filter(|(group, _)| group_matches(rule, group));
        let mut not_to_be_read = of_rule.flat_map(|(_, resources)| resources.iter());
        if let Some(resource) = not_to_be_read.find(|resource| resource_matches(rule, resource)) {
            return Some(BeyondReading::Resource { verb: verb.clone(), resource: (*resource).to_owned() });
        }
    }
    let url = list(&rule.non_resource_urls).first()?;
    outside(&READ.into_iter().chain(READ_URL).collect::<Vec<_>>())
        .map(|verb| BeyondReading::Url { verb: verb.clone(), url: url.clone() })
}

#[cfg(test)]
mod tests;
