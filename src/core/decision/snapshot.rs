//! The facts that a plan is made from, all read before it begins.
//!
//! It must not read anything: the controller does.

use crate::api::request::{AccessRequest, RoleRisk};
use crate::core::activity::idle::UsesHeard;
use crate::core::decision::protected::Protected;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::Guard;
use crate::core::model::namespaces::Namespaces;
use crate::core::model::own_clock::WrongClock;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::policies::usable::BindRights;
use crate::core::rbac::bind_refusal::BindRefusal;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::role::RoleSeen;

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    pub request: &'a AccessRequest,
    pub policies: &'a PolicySet,
    pub namespaces: &'a Namespaces,
    /// Where requests are served.
    pub reach: &'a ServedNamespaces,
    /// What only policies that say so reach.
    pub protected: Protected<'a>,
    /// Other requests under policies that have limits.
    pub others: &'a [Counted],
    /// The role asked for; none while nobody has looked.
    pub role: Option<&'a RoleSeen>,
    /// What the controller may bind; none where nobody can ask, and then nothing is held against the role.
    pub bind_rights: Option<&'a BindRights>,
    /// How much harm the role can do; none while nobody has looked.
    pub risk: Option<&'a RoleRisk>,
    /// What stands in the place of each recorded binding, and every binding that carries the request's UID.
    pub bindings: &'a [Observed],
    /// The request that this one extends, if it extends one that is there.
    pub extended: Option<&'a AccessRequest>,
    /// Requests that extend this one and are not over.
    pub extensions: &'a [AccessRequest],
    /// Other break-glass requests of the same person whose review is open.
    pub unreviewed: &'a [AccessRequest],
    /// What is known of the archive; none where there is none.
    pub archive: Option<ArchiveSight>,
    /// What an archive said of the use of the request's grant; none where it was not asked, or did not answer.
    pub uses: Option<&'a UsesHeard>,
    /// Whether the cluster keeps people from writing in another's name.
    pub guard: &'a Guard,
    /// What is wrong with the controller's clock, if it is.
    pub wrong_clock: Option<WrongClock>,
    /// Whether somebody may have written to the request while it did not.
    pub doubted: bool,
    /// Why a binding of this request cannot be made, when the API server said so for good.
    pub bind_failure: Option<&'a BindRefusal>,
}

/// What is known of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveSight {
    /// How many entries of the request's history it holds.
    pub holds: usize,
    /// Whether it answers.
    pub answers: bool,
}

impl<'a> Snapshot<'a> {
    /// A request beside policies and namespaces, with nothing else known or there. The controller knows more, and names
    /// every fact itself, so that none is forgotten.
    pub fn bare(
        request: &'a AccessRequest,
        policies: &'a PolicySet,
        namespaces: &'a Namespaces,
        guard: &'a Guard,
    ) -> Self {
        Self {
            request,
            policies,
            namespaces,
            guard,
            reach: &ServedNamespaces::Cluster,
            protected: Protected::default(),
            others: &[],
            role: None,
            bind_rights: None,
            risk: None,
            bindings: &[],
            extended: None,
            extensions: &[],
            unreviewed: &[],
            archive: None,
            uses: None,
            wrong_clock: None,
            doubted: false,
            bind_failure: None,
        }
    }

    /// UID of the request.
    pub fn uid(&self) -> Option<&str> {
        self.request.metadata.uid.as_deref()
    }
}
