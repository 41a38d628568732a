//! What findings go by: what was read of the cluster, and what was not, with why.
//!
//! It must not judge any of it. A part that was not read is an error, never an empty list: a rule that needs it says that
//! it did not look.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::finding::{AboutKind, AboutObject};
use super::narrower::evidence::PastGrant;
use crate::api::policy::AccessPolicy;
use crate::api::request::AccessRequest;
use crate::api::subject::{RoleName, Subject, SubjectKind};
use crate::core::activity::told::{ToldBindingUse, ToldBindings, ToldFinding};
use crate::core::model::namespaces::Namespaces;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::risk::Extent;
use crate::core::report::who::KnownRoles;

/// A part of the cluster: what was read, or why it was not.
pub type SeenPart<T> = Result<T, UnreadPart>;

/// Why a part was not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadPart {
    /// What was to be read, as `list rolebindings`.
    pub what: String,
    /// Why it was not, in words of whoever refused it.
    pub why: String,
}

/// A cluster as it was read at one time.
#[derive(Clone, Debug)]
pub struct ClusterSeen {
    /// When it was read.
    pub now: Timestamp,
    /// How far back records are looked at: from then until now.
    pub window: SignedDuration,
    /// The one namespace that is looked at; none for the whole cluster.
    pub only: Option<String>,
    /// RoleBindings of the namespaces that are looked at.
    pub role_bindings: SeenPart<Vec<Observed>>,
    /// All ClusterRoleBindings.
    pub cluster_role_bindings: SeenPart<Vec<Observed>>,
    /// The rules of each role that is bound; of one that is not there, that it is gone.
    pub roles: KnownRoles,
    /// Service accounts of the namespaces that are looked at, by namespace and name.
    pub accounts: SeenPart<BTreeSet<(String, String)>>,
    /// All namespaces.
    pub namespaces: SeenPart<Namespaces>,
    /// All policies that can be decoded.
    pub policies: SeenPart<Vec<AccessPolicy>>,
    /// The requests of the namespaces that are looked at, those that are over included as far as they are kept.
    pub requests: SeenPart<Vec<AccessRequest>>,
    /// When bindings were last used, where an archive keeps that.
    pub uses: SeenPart<BindingUses>,
    /// Grants of roles with what was done with them, where an archive tells of all of it.
    pub grants: SeenPart<Vec<GrantsOfRole>>,
    /// Writes that no record explains, where an archive tells of them.
    pub writes: SeenPart<Vec<ToldFinding>>,
    /// Where Daypass is installed, and what is its own.
    pub installation: InstallationSeen,
}

/// The grants of one role under one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantsOfRole {
    /// Name of the policy.
    pub policy: String,
    pub role: RoleName,
    /// The rules of the role as they are.
    pub rules: Vec<PolicyRule>,
    /// Where the grants held, as far as the harm depends on it.
    pub extent: Extent,
    /// Those that began in the time that is looked at.
    pub past: Vec<PastGrant>,
}

/// When bindings were last used, as the audit logs of the API servers say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingUses {
    /// Since when all audit logs are known to have arrived; before that, nothing is known. Or why that is known of no time.
    pub heard_since: Result<Timestamp, String>,
    /// The hour of the last call that each binding allowed, by user. RBAC names only the first one that allows a call, so one
    /// that is left out may have been there for nothing.
    pub last: BTreeMap<AboutObject, BTreeMap<String, Timestamp>>,
    /// The hour in which each user acted last as somebody else. No API server names the binding that lets them.
    pub acted: BTreeMap<String, Timestamp>,
}

impl BindingUses {
    /// From what an archive tells.
    pub fn of(told: ToldBindings) -> Self {
        let why = || told.unheard.clone().unwrap_or_else(|| "the archive does not say why".to_owned());
        let mut uses = Self { heard_since: told.since.ok_or_else(why), last: BTreeMap::new(), acted: BTreeMap::new() };
        for ToldBindingUse { kind, namespace, name, user, hour } in told.uses {
            match kind {
                Some(kind) => {
                    let about = AboutObject { kind: AboutKind::from(kind), namespace, name };
                    uses.last.entry(about).or_default().insert(user, hour);
                }
                None => _ = uses.acted.insert(user, hour),
            }
        }
        uses
    }

    /// The hour in which a subject of a binding used it last, by its username; without one, as of a group, in which anybody did.
    pub fn last_of(&self, about: &AboutObject, username: Option<&str>) -> Option<Timestamp> {
        let by_user = self.last.get(about)?;
        match username {
            Some(username) => by_user.get(username).copied(),
            None => by_user.values().max().copied(),
        }
    }

    /// Whether all audit logs arrive since then.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn heard_from(&self, since: Timestamp) -> Result<(), String> {
        match &self.heard_since {
            Ok(from) if *from <= since => Ok(()),
            Ok(from) => Err(format!("all audit logs are known to arrive since {from} only (look back for less)")),
            Err(why) => Err(why.clone()),
        }
    }
}

/// The name by which a subject calls; none of a group.
pub fn username(who: &Subject) -> Option<String> {
    match (who.kind, &who.namespace) {
        (SubjectKind::User, _) => Some(who.name.clone()),
        (SubjectKind::ServiceAccount, Some(namespace)) => {
            Some(format!("system:serviceaccount:{namespace}:{}", who.name))
        }
        (SubjectKind::ServiceAccount | SubjectKind::Group, _) => None,
    }
}

/// Where Daypass is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationSeen {
    /// Its namespace.
    pub release: String,
    /// Names of its service accounts in that namespace.
    pub accounts: BTreeSet<String>,
}
