//! What this process knows of the cluster: the objects that the watches brought, and what passes noted beside them.
//!
//! It answers questions and decides nothing; it must not call the API server.

pub mod bind_rights;
pub mod doubts;
pub mod ends;
pub mod expectations;
pub mod extensions;
pub mod failures;
pub mod first_seen;
pub mod ledger;
pub mod listed;
pub mod outbox;
pub mod packed;
pub mod policies;
pub mod rbac;
pub mod requests;
pub mod texts;
pub mod uses;
pub mod worked_on;

use std::sync::{Arc, PoisonError, RwLock};

use kube::runtime::reflector::store::Writer as StoreWriter;

use self::bind_rights::BindRightsStore;
use self::listed::{KINDS, Listed};
use self::outbox::{Outbox, OutboxSettings};
use self::packed::PackedRequest;
use self::policies::Policies;
use self::rbac::{Rbac, RbacFeeds};
use self::requests::Requests;
use self::texts::DecisionTexts;
use self::uses::GrantUses;
use super::observe::{DecodedPolicy, Rules};
use crate::core::model::namespaces::Namespaces;

/// The cluster as this process last saw it.
pub struct Stores {
    /// Requests, and what passes noted of them.
    pub requests: Requests,
    /// Policies, and the guards.
    pub policies: Policies,
    /// Roles and bindings.
    pub rbac: Rbac,
    /// What this process may bind.
    pub bind_rights: BindRightsStore,
    /// Records that have yet to be delivered.
    pub outbox: Outbox,
    /// How grants are used.
    pub uses: Arc<GrantUses>,
    /// Texts that they name.
    pub texts: DecisionTexts,
    /// Which kinds have been seen as a whole.
    pub listed: Listed,
    namespaces: RwLock<Option<Arc<Namespaces>>>,
}

/// The writing ends of the stores, for the watches.
pub struct Feeds {
    pub requests: StoreWriter<PackedRequest>,
    pub policies: StoreWriter<DecodedPolicy>,
    /// Of roles and bindings.
    pub rbac: RbacFeeds,
}

impl Stores {
    /// Empty stores, and their writing ends.
    pub fn new(outbox: OutboxSettings) -> (Self, Feeds) {
        let (requests, requests_feed) = Requests::new();
        let (policies, policies_feed) = Policies::new();
        let (rbac, rbac_feeds) = Rbac::new();
        let stores = Self {
            requests,
            policies,
            rbac,
            bind_rights: BindRightsStore::default(),
            outbox: Outbox::new(outbox),
            uses: Arc::new(GrantUses::new(outbox.hears)),
            texts: DecisionTexts::new(outbox.delivers),
            listed: Listed::default(),
            namespaces: RwLock::default(),
        };
        (stores, Feeds { requests: requests_feed, policies: policies_feed, rbac: rbac_feeds })
    }

    /// Policies and namespaces as the watches have them, once everything has been listed that a plan needs.
    pub fn rules(&self) -> Option<Rules> {
        if !self.listed.has(&KINDS) {
            return None;
        }
        let policies = self.policies.set()?;
        Some(Rules { policies, namespaces: self.namespaces()? })
    }

    /// All namespaces, once they have been listed.
    pub fn namespaces(&self) -> Option<Arc<Namespaces>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the namespaces.
    pub fn set_namespaces(&self, namespaces: Namespaces) {
        *self.namespaces.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(namespaces));
    }
}
