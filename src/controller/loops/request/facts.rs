//! What a request is decided by, as one pass has it: from the stores, or read from the API server when they are not good
//! enough. Owns these reads, and the lock under which limits are counted. It must not plan, and it must not write.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::api::request::{AccessRequest, AccessRequestStatus, RoleRisk};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::loops::bind_rights;
use crate::controller::loops::related::Related;
use crate::controller::observe::{self, Rules};
use crate::core::activity::idle::UsesHeard;
use crate::core::guard::Guard;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::policies::usable::BindRights;
use crate::core::rbac::risk::Extent;
use crate::core::rbac::role::RoleSeen;
use crate::core::record::texts::named_in;

/// What one request is decided by.
pub(super) struct Facts<'a> {
    context: &'a Context,
    /// When the pass began: no rules that were read before it are taken for fresh.
    began: Instant,
    /// What the canary reported when the pass began.
    pub(super) guard: Guard,
    /// None once the request is over.
    pub(super) role: Option<RoleSeen>,
    /// What this process may bind.
    pub(super) bind_rights: Arc<BindRights>,
    /// How much harm the role can do.
    pub(super) risk: Option<RoleRisk>,
    /// Where it could do it.
    extent: Option<Extent>,
    /// The requests that it extends, that extend it, or whose review is open.
    pub(super) related: Related,
    /// Other requests under policies that have limits.
    pub(super) others: Vec<Counted>,
    /// What the archive said of the use of its grant.
    pub(super) uses: Option<Arc<UsesHeard>>,
    /// Held while those must not become more.
    counting_lock: Option<OwnedMutexGuard<()>>,
    /// Policies and namespaces that this pass has read.
    fresh_rules: Option<Rules>,
}

impl<'a> Facts<'a> {
    /// Nothing has been read yet.
    pub(super) fn new(context: &'a Context, began: Instant, guard: Guard) -> Self {
        Self {
            context,
            began,
            guard,
            role: None,
            bind_rights: Arc::default(),
            risk: None,
            extent: None,
            related: Related::default(),
            others: Vec::new(),
            uses: None,
            counting_lock: None,
            fresh_rules: None,
        }
    }

    /// Whether they come from the API server within this pass.
    pub(super) fn are_fresh(&self) -> bool {
        self.fresh_rules.is_some()
    }

    /// Policies and namespaces; none while the stores are not filled.
    pub(super) fn rules(&self) -> Option<Rules> {
        self.fresh_rules.clone().or_else(|| self.context.stores.rules())
    }

    /// Counts what limits count, under the lock, until the request is granted or over. Where no policy that could allow
    /// it has limits, nobody waits for anybody. False when it cannot be counted yet.
    pub(super) async fn count_others(&mut self, request: &AccessRequest, policies: &PolicySet) -> bool {
        let requests = &self.context.stores.requests;
        // Moving an end is counted by the request that has it, which takes the lock for itself.
        let extends = !requests.extensions.of(request).is_empty();
        if (request.is_decided() && !extends) || !policies.may_limit(request) {
            (self.counting_lock, self.others) = (None, Vec::new());
            return true;
        }
        // Nobody waits under the lock: passes that end something would wait behind it.
        if !requests.ledger.is_complete() {
            return false;
        }
        if self.counting_lock.is_none() {
            self.counting_lock = Some(requests.ledger.lock_counting().await);
        }
        self.others = requests.ledger.others(request, policies, &requests.store);
        true
    }

    /// Asks the API server what may be bound for a request without access, unless it has been asked before. Comes before
    /// the lock under which limits are counted, since it may wait for an answer.
    pub(super) async fn learn_bind_rights(&mut self, request: &AccessRequest, rules: &Rules) {
        if !request.is_over() && !request.has_grant() {
            bind_rights::learn_for(self.context, request, rules).await;
        }
        self.bind_rights = self.context.stores.bind_rights.answers();
    }

    /// Takes role and related requests from the stores, unless this pass has read them.
    pub(super) fn see(&mut self, request: &AccessRequest, namespaces: &Namespaces) {
        self.uses = request.metadata.uid.as_deref().and_then(|uid| self.context.stores.uses.of(uid));
        if self.are_fresh() {
            return;
        }
        self.related = Related::seen(self.context, request);
        let role = (!request.is_over()).then(|| self.context.stores.rbac.role(request, namespaces));
        self.see_role(request, role, namespaces);
    }

    /// Reads them from the API server.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn read(&mut self, request: &AccessRequest) -> Result<(), Error> {
        let known = self.context.stores.policies.set().unwrap_or_default();
        let Context { fresh_rules, reader, served, .. } = self.context;
        let rules =
            fresh_rules.since(self.began, &known, || self.context.stores.policies.guard(), reader, served).await?;
        self.related.refresh(self.context, request).await?;
        let role = observe::role(&self.context.reader, request, &rules.namespaces).await?;
        self.see_role(request, Some(role), &rules.namespaces);
        bind_rights::ask_again(self.context, request, &rules.namespaces, self.began).await?;
        // A policy that no watch has brought yet may list a role that nobody has asked about.
        self.learn_bind_rights(request, &rules).await;
        self.fresh_rules = Some(rules);
        Ok(())
    }

    /// Keeps the texts that a status names which was planned from these facts: they may change at any moment.
    pub(super) fn keep_texts(&self, status: &AccessRequestStatus) {
        let texts = &self.context.stores.texts;
        for digest in named_in(&status.history).filter(|digest| texts.wants(digest)) {
            let of_policy = || self.rules()?.policies.text(digest);
            let of_role = || self.role.as_ref().filter(|role| role.digest() == digest)?.text().map(Arc::from);
            if let Some(text) = of_policy().or_else(of_role) {
                texts.keep(digest, text);
            }
        }
    }

    fn see_role(&mut self, request: &AccessRequest, role: Option<RoleSeen>, namespaces: &Namespaces) {
        let extended = self.related.extended.as_ref();
        let extent = role.as_ref().map(|_| self.context.protected().extent(request, extended, namespaces));
        // The spec does not change within a pass.
        let known = self.role.as_ref().zip(role.as_ref()).is_some_and(|(known, role)| known.is_the_same_reading(role));
        if !known || extent != self.extent {
            let risk = role.as_ref().zip(extent);
            self.risk = risk.map(|(role, extent)| role.risk(&request.spec.rules, extent));
        }
        (self.role, self.extent) = (role, extent);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::ClusterRole;
    use serde_json::json;

    use super::*;
    use crate::controller::scripted::{Script, context};
    use crate::core::laws::fixtures::{namespaces, noon, request};
    use crate::runtime::clock::Clock;

    #[tokio::test]
    async fn the_risk_is_that_of_the_role_as_it_was_read_last_where_it_holds() {
        let (context, ..) = context(&Script::default(), Clock::at(noon()));
        let role = |verb: &str| {
            let rules = json!([{ "verbs": [verb], "apiGroups": [""], "resources": ["secrets"] }]);
            let role: ClusterRole =
                serde_json::from_value(json!({ "metadata": { "name": "edit" }, "rules": rules })).unwrap();
            RoleSeen::OfCluster(Some(Arc::new(role)))
        };
        let (reads, all) = (role("get"), role("*"));
        let (here, everywhere) = (request(json!({})), request(json!({ "scope": { "cluster": true } })));
        let mut facts = Facts::new(&context, Instant::now(), Guard::since(noon()));
        for (request, role, extent) in [
            (&here, &reads, Extent::Namespaces),
            (&here, &all, Extent::Namespaces),
            (&everywhere, &all, Extent::Cluster),
            (&everywhere, &reads, Extent::Cluster),
            (&everywhere, &RoleSeen::OfCluster(None), Extent::Cluster),
        ] {
            facts.see_role(request, Some(role.clone()), &namespaces());
            assert_eq!(facts.risk, Some(role.risk(&[], extent)));
        }
        facts.see_role(&here, None, &namespaces());
        assert_eq!(facts.risk, None);
    }
}
