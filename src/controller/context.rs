//! What every loop shares: stores, the writer, the clock and the queues.
//!
//! Owns which requests and policies are queued after a change. It must not decide a request or write to the cluster.

use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::observe::FreshRules;
use super::queues::{Lane, Queues};
use super::stores::outbox::OutboxSettings;
use super::stores::packed::{PackedRequest, Summary, reference};
use super::stores::{Feeds, Stores};
use super::write::Writer;
use super::write::transition_metrics::TransitionMetrics;
use crate::api::record::digest as digest_of;
use crate::api::request::AccessRequest;
use crate::api::subject::RoleName;
use crate::api::{AccessPolicy, RoleKind};
use crate::core::decision::dependence::Change;
use crate::core::decision::protected::Protected;
use crate::core::decision::served::ServedNamespaces;
use crate::core::model::own_clock::WrongClock;
use crate::core::record::outbox::is_noted;
use crate::core::record::retention::{kept_for, was_due};
use crate::core::record::texts::named_in;
use crate::runtime::judged_clock::{ClockState, JudgedClock};

/// What all loops share.
pub struct Context {
    pub reader: kube::Client,
    pub writer: Writer,
    /// What is counted of them.
    pub metrics: Arc<TransitionMetrics>,
    /// The time that counts.
    pub clock: JudgedClock,
    /// Where requests are served.
    pub served: ServedNamespaces,
    /// Namespace that Daypass is installed in.
    pub release: String,
    /// Keys of a login's extra that are recorded in requests.
    pub extra_keys: Vec<String>,
    /// Whether it looks for findings.
    pub insight: bool,
    /// What to look at next.
    pub queues: Queues,
    /// The cluster as last seen.
    pub stores: Stores,
    /// Policies and namespaces straight from the API server.
    pub fresh_rules: FreshRules,
    /// Asks the canary for a round: a new request was seen, or a policy that has yet to be judged.
    pub round_wanted: Arc<Notify>,
}

/// For whom a controller works.
pub struct Reach {
    /// Where requests are served.
    pub served: ServedNamespaces,
    /// Namespace that Daypass is installed in.
    pub release: String,
    /// Keys of a login's extra that are recorded in requests.
    pub extra_keys: Vec<String>,
    /// Whether it looks for findings.
    pub insight: bool,
    /// What is to be done with records.
    pub outbox: OutboxSettings,
}

impl Context {
    /// Empty stores, and their writing ends.
    pub fn new(
        reader: kube::Client,
        (writer, metrics): (Writer, Arc<TransitionMetrics>),
        queues: Queues,
        clock: JudgedClock,
        Reach { served, release, extra_keys, insight, outbox }: Reach,
    ) -> (Self, Feeds) {
        let (stores, feeds) = Stores::new(outbox);
        let context = Self {
            reader,
            writer,
            metrics,
            clock,
            served,
            release,
            extra_keys,
            insight,
            queues,
            stores,
            fresh_rules: FreshRules::default(),
            round_wanted: Arc::default(),
        };
        (context, feeds)
    }

    /// What only policies that say so reach.
    pub fn protected(&self) -> Protected<'_> {
        Protected::with_release(&self.release)
    }

    /// What is wrong with this process's clock, if it is.
    pub fn wrong_clock(&self) -> Option<WrongClock> {
        match self.clock.standing() {
            ClockState::Right => None,
            ClockState::Unheard => Some(WrongClock::Unheard),
            ClockState::Ahead => Some(WrongClock::Ahead),
            ClockState::Behind => Some(WrongClock::Behind),
        }
    }

    /// Asks for a pass over a request, beside running access when its own runs.
    pub fn enqueue(&self, request: ObjectRef<PackedRequest>) {
        let packed = self.stores.requests.store.get(&request);
        self.queues.enqueue(packed.map_or(Lane::Decisions, |packed| Self::lane(&packed)), request);
    }

    fn lane(packed: &PackedRequest) -> Lane {
        let runs = packed.summary.as_ref().is_some_and(|summary| summary.is_granted);
        if runs { Lane::Grants } else { Lane::Decisions }
    }

    /// Whether limits count this request before it is granted. It is told of an open request alone, so that thousands can
    /// be put into a queue without being unpacked: its pass puts it into the lane for those.
    pub fn is_limited(&self, request: &AccessRequest) -> bool {
        !request.is_decided() && self.stores.policies.set().is_some_and(|policies| policies.may_limit(request))
    }

    /// Puts into the queue what depends on this request: the one that it extends, those that extend it, and the
    /// policy that must say whether its review is overdue.
    pub fn enqueue_related(&self, request: &AccessRequest) {
        let extended = self.stores.requests.extensions.note(request);
        let extensions = self.stores.requests.extensions.of(request);
        extended.into_iter().chain(extensions).for_each(|other| self.enqueue(other));
        let policy = request.status.as_ref().filter(|s| s.break_glass.is_some()).and_then(|s| s.policy.as_ref());
        if let Some(policy) = policy {
            self.queues.enqueue_policy(ObjectRef::new(&policy.name));
        }
    }

    /// Puts every request into the queue that is not over, or whose access has yet to be reviewed.
    pub fn enqueue_open_requests(&self) {
        self.enqueue_those(Summary::is_open);
    }

    /// Puts every request into the queue that is open and that this change can concern.
    pub fn enqueue_concerned(&self, change: &Change<'_>) {
        self.enqueue_those(|summary| summary.is_open() && summary.depends.on(change));
    }

    /// Puts every request into the queue that is for this role and not over.
    pub fn enqueue_requests_for(&self, kind: RoleKind, name: &str) {
        self.enqueue_those(|summary| !summary.state.is_final() && summary.is_for(kind, name));
    }

    fn enqueue_those(&self, concerned: impl Fn(&Summary) -> bool) {
        self.stores.requests.which(concerned).iter().for_each(|packed| self.enqueue(reference(&**packed)));
    }

    /// Puts every policy into the queue.
    pub fn enqueue_policies(&self) {
        let policies = self.stores.policies.store.state();
        policies.iter().for_each(|policy| self.queues.enqueue_policy(ObjectRef::from_obj(&**policy)));
    }

    /// Puts the policies into the queue that list this role, whatever they do.
    pub fn enqueue_policies_that_list(&self, role: &RoleName) {
        self.enqueue_policies_with(|policy| policy.spec.roles.contains(role));
    }

    /// Puts the policies into the queue that list a role of namespaces: which they cover may be another matter now.
    pub fn enqueue_policies_of_namespaces(&self) {
        self.enqueue_policies_with(|policy| policy.spec.roles.iter().any(|role| role.kind == RoleKind::Role));
    }

    fn enqueue_policies_with(&self, concerned: impl Fn(&AccessPolicy) -> bool) {
        let policies = self.stores.policies.store.state_filter(|policy| policy.0.as_ref().is_ok_and(&concerned));
        policies.iter().for_each(|policy| self.queues.enqueue_policy(ObjectRef::from_obj(&**policy)));
    }

    /// A pass has dealt with a request in doubt.
    pub fn settle_doubt(&self, request: &ObjectRef<PackedRequest>) {
        if self.stores.requests.doubts.settle(request) {
            // The canary notes it.
            self.round_wanted.notify_one();
        }
    }

    /// Reads policies anew, and keeps the texts of those that are gone or changed: something may have been decided by them.
    pub fn renew_policies(&self) {
        let before = self.stores.policies.set();
        self.stores.policies.renew();
        if let Some((before, after)) = before.zip(self.stores.policies.set()) {
            before.gone_from(&after).for_each(|policy| self.stores.texts.keep(&policy.digest, policy.text.clone()));
        }
    }

    /// The text with this digest that a request was decided by, if it is kept or still in force.
    pub fn text(&self, request: &AccessRequest, digest: &str) -> Option<Arc<str>> {
        let of_policy = || self.stores.policies.set()?.text(digest);
        let of_role = || {
            let role = self.stores.rbac.role(request, &*self.stores.namespaces()?).text()?;
            (digest_of(role.as_bytes()) == digest).then(|| role.into())
        };
        self.stores.texts.kept(digest).or_else(of_policy).or_else(of_role)
    }

    /// Keeps the texts that a request was decided by and that the archive has yet to be given.
    fn keep_texts(&self, request: &AccessRequest) {
        let history = request.status.as_ref().filter(|_| !is_noted(request)).map(|status| &status.history);
        for digest in history.into_iter().flat_map(|history| named_in(history)) {
            if self.stores.texts.wants(digest)
                && let Some(text) = self.text(request, digest)
            {
                self.stores.texts.keep(digest, text);
            }
        }
    }

    /// A request was seen; what is new of it is to be delivered by the replica that leads.
    pub fn to_outbox(&self, request: &AccessRequest) {
        // By every replica: the one that leads may end before it has delivered them.
        self.keep_texts(request);
        if self.metrics.leads() {
            self.stores.outbox.came(request);
        }
    }

    /// For how long a request stays that is at rest; none for good, or while policies do not say.
    pub fn kept_for(&self) -> Option<SignedDuration> {
        let policies = self.stores.policies.set()?;
        kept_for(self.stores.outbox.retention()?, &policies)
    }

    /// A request is gone. That is recorded, unless its removal was due.
    pub fn went(&self, request: &AccessRequest) {
        let (now, leads) = (self.clock.now(), self.metrics.leads());
        if was_due(request, self.kept_for(), now) {
            return;
        }
        if leads {
            self.writer.tell_gone(request, now);
        }
        self.stores.outbox.went(request, now, leads);
    }

    /// Forgets all about a request that is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>, uid: &str) {
        self.stores.requests.forget(request, uid);
        self.stores.outbox.forget(request);
        self.metrics.forget(request);
    }
}
