//! What the canary does that a guard must refuse: each a dry run, so nothing of it is ever stored.
//!
//! A refusal proves a guard only when it carries that guard's own name: the API server names the policy that refused, and
//! another's policy that happens to refuse the same thing proves nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::CannotTry;
use crate::api::{AccessRequest, Identity, keys};
use crate::controller::error::is_final;
use crate::core::guard::NotInForce;
use crate::core::guard::missing::Loophole;
use crate::core::guard::sight::{Expected, Tried};
use crate::runtime::leader::LEASE;

/// Name of the canary's service account, of its request and of the role that it asks for.
pub(super) const CANARY: &str = "daypass-canary";

/// Makes tries as the canary.
pub(super) struct Tries<'a> {
    /// Namespace that Daypass is installed in.
    pub namespace: &'a str,
    /// The guards of the chart.
    pub guards: &'a [Expected],
    /// Who the canary is.
    pub who: &'a Identity,
    pub account: &'a Client,
}

/// What is tried against a guard.
#[derive(Clone, Copy)]
enum Attempt {
    Identity,
    Status,
    Binding,
    Metadata,
    Lease,
    ForeignObject,
}

/// The tries, by the end of the name of the guard that must refuse each.
const ATTEMPTS: [(&str, Attempt); 6] = [
    ("identity-check", Attempt::Identity),
    ("status-guard", Attempt::Status),
    ("binding-guard", Attempt::Binding),
    ("metadata-guard", Attempt::Metadata),
    ("lease-guard", Attempt::Lease),
    ("self-guard", Attempt::ForeignObject),
];

/// Guards that are proven by sight alone, by the end of their names: to be refused by one, the canary would need a right
/// that it must not have.
const BY_SIGHT_ALONE: [&str; 7] = [
    "policy-status-guard",
    "controller-guard",
    "deletion-guard",
    "policy-author-guard-1",
    "policy-author-guard-2",
    "policy-author-guard-3",
    "policy-author-guard-4",
];

impl Attempt {
    /// What is tried against the guard of this name; none when it is proven by sight alone, or unknown.
    fn at(name: &str) -> Option<Self> {
        let ends_with = |short: &str| name.strip_suffix(short).is_some_and(|prefix| prefix.ends_with('-'));
        let by_sight = BY_SIGHT_ALONE.iter().any(|short| ends_with(short));
        ATTEMPTS.iter().find(|(short, _)| !by_sight && ends_with(short)).map(|(_, attempt)| *attempt)
    }
}

impl Tries<'_> {
    /// Every try, by the name of the guard that must refuse it. Guards that the chart does not have are not tried.
    pub async fn all(&self) -> Result<BTreeMap<String, Tried>, CannotTry> {
        let mut answers = BTreeMap::new();
        for guard in self.guards {
            let name = guard.name.as_str();
            let answer = match Attempt::at(name) {
                Some(Attempt::Identity) => self.identity(name).await?,
                Some(Attempt::Status) => Some(self.status(name).await?),
                Some(Attempt::Binding) => Some(self.binding(name).await?),
                Some(Attempt::Metadata) => Some(self.metadata(name).await?),
                Some(Attempt::Lease) => Some(self.lease(name).await?),
                Some(Attempt::ForeignObject) => Some(self.foreign_object(name).await?),
                None => None,
            };
            answers.extend(answer.map(|answer| (name.to_owned(), answer)));
        }
        Ok(answers)
    }

    /// Requests, as the canary reads and tries them.
    pub fn requests(&self) -> Api<AccessRequest> {
        Api::namespaced(self.account.clone(), self.namespace)
    }

    /// A request in another's name. None when it was stamped: then nothing forged came through, and whether the check
    /// would have refused it cannot be seen.
    async fn identity(&self, guard: &str) -> Result<Option<Tried>, CannotTry> {
        let (username, groups) = ("system:admin".to_owned(), vec!["system:masters".to_owned()]);
        let other = Identity { username, groups, ..Identity::default() };
        let forged = self.request(&format!("{CANARY}-forged"), &other)?;
        match self.requests().create(&create(), &forged).await {
            Ok(created) if created.spec.requester.as_ref() == Some(self.who) => Ok(None),
            answer => answered(guard, Loophole::Requests, answer).map(Some),
        }
    }

    /// A status of the controller, and a review of somebody else.
    async fn status(&self, guard: &str) -> Result<Tried, CannotTry> {
        for status in [json!({ "state": "Active" }), json!({ "reviews": { "somebody": { "verdict": "Approve" } } })] {
            let patched = self.requests().patch_status(CANARY, &patch(), &merge(json!({ "status": status }))).await;
            let answer = answered(guard, Loophole::Statuses, patched)?;
            if answer != Tried::Refused {
                return Ok(answer);
            }
        }
        Ok(Tried::Refused)
    }

    /// A binding that looks as if Daypass had made it. Its role gives nothing, and to bind nothing takes no right to `bind`.
    async fn binding(&self, guard: &str) -> Result<Tried, CannotTry> {
        let bindings: Api<RoleBinding> = Api::namespaced(self.account.clone(), self.namespace);
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": CANARY, "namespace": self.namespace, "labels": { keys::MANAGED_BY: keys::DAYPASS } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CANARY },
            "subjects": [{ "kind": "ServiceAccount", "name": CANARY, "namespace": self.namespace }]
        }))?;
        answered(guard, Loophole::Bindings, bindings.create(&create(), &binding).await)
    }

    /// A finalizer on the canary's own request.
    async fn metadata(&self, guard: &str) -> Result<Tried, CannotTry> {
        let held = json!({ "metadata": { "finalizers": ["daypass.dev/canary-try"] } });
        let patched = self.requests().patch(CANARY, &patch(), &merge(held)).await;
        answered(guard, Loophole::Finalizers, patched)
    }

    /// The Lease, in the canary's name.
    async fn lease(&self, guard: &str) -> Result<Tried, CannotTry> {
        let leases: Api<Lease> = Api::namespaced(self.account.clone(), self.namespace);
        let taken = json!({ "spec": { "holderIdentity": CANARY } });
        let patched = leases.patch(LEASE, &patch(), &merge(taken)).await;
        answered(guard, Loophole::Lease, patched)
    }

    /// A ConfigMap beside the controller.
    async fn foreign_object(&self, guard: &str) -> Result<Tried, CannotTry> {
        let maps: Api<ConfigMap> = Api::namespaced(self.account.clone(), self.namespace);
        let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": format!("{CANARY}-try") } }))?;
        answered(guard, Loophole::BesideController, maps.create(&create(), &map).await)
    }

    /// Whether the controller itself may still write a status. Why not, if it is refused: by another Daypass's guard, say.
    pub async fn own_status_write(&self, controller: &Client) -> Result<Option<NotInForce>, CannotTry> {
        let requests: Api<AccessRequest> = Api::namespaced(controller.clone(), self.namespace);
        let status = json!({ "status": { "message": "Daypass tries whether it may write a status" } });
        match requests.patch_status(CANARY, &patch(), &merge(status)).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(refused)) if is_final(&refused) => {
                Ok(Some(NotInForce::OwnWriteRefused(refused.message.clone())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A request that says it is from `who`. Without the stamp the check asks for the own identity, so the
    /// canary's own request carries it.
    pub fn request(&self, name: &str, who: &Identity) -> Result<AccessRequest, serde_json::Error> {
        serde_json::from_value(json!({
            "apiVersion": format!("{}/{}", keys::GROUP, keys::VERSION), "kind": "AccessRequest",
            "metadata": { "name": name, "namespace": self.namespace },
            "spec": {
                "role": { "kind": "Role", "name": CANARY },
                "reason": "Daypass tries its own guard on this request; nothing is granted by it",
                "requester": who
            }
        }))
    }
}

/// A call whose only purpose is to stand in the audit log of the API server that is called. It reads, since logs that hold
/// no reads hold all else too, and of such a log nothing must be taken for unused. Whatever the API server says to it stands
/// there.
///
/// # Errors
/// When there is no answer.
pub(super) async fn mark(account: Client, namespace: &str) -> kube::Result<()> {
    let requests: Api<AccessRequest> = Api::namespaced(account, namespace);
    match requests.get(CANARY).await {
        Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn create() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn patch() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

fn merge(body: Value) -> Patch<Value> {
    Patch::Merge(body)
}

/// What an answer says of the guard that should have refused.
fn answered<T>(guard: &str, loophole: Loophole, answer: kube::Result<T>) -> Result<Tried, CannotTry> {
    match answer {
        Ok(_) => Ok(Tried::Passed(loophole)),
        Err(kube::Error::Api(refused)) if refused.message.contains(&format!("'{guard}'")) => Ok(Tried::Refused),
        Err(kube::Error::Api(refused)) if is_final(&refused) => Ok(Tried::Inconclusive(refused.message.clone())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn judged(message: &str, code: u16) -> Result<Tried, CannotTry> {
        let refused = kube::Error::Api(Status::failure(message, "Forbidden").with_code(code).boxed());
        answered::<()>("daypass-status-guard", Loophole::Statuses, Err(refused))
    }

    /// The names are those of the chart's list, with the four parts of the guard of policy authors.
    #[test]
    fn every_guard_of_the_chart_is_tried_or_named_as_proven_by_sight_alone() {
        let chart = include_str!("../../../../charts/daypass/templates/guards/_guards.tpl");
        let list = chart.split_once("range list ").and_then(|(_, rest)| rest.split_once("}}")).unwrap().0;
        let listed = list.split('"').skip(1).step_by(2).map(str::to_owned);
        let guards: Vec<String> = listed.chain((1..=4).map(|part| format!("policy-author-guard-{part}"))).collect();
        assert!(guards.len() > 10, "{guards:?}");
        for guard in &guards {
            let by_sight = BY_SIGHT_ALONE.contains(&guard.as_str());
            assert_ne!(Attempt::at(&format!("daypass-{guard}")).is_some(), by_sight, "try {guard}, or say why not");
        }
        let known = ATTEMPTS.iter().map(|(short, _)| *short).chain(BY_SIGHT_ALONE);
        assert!(known.into_iter().all(|short| guards.iter().any(|guard| guard == short)), "one of them is no guard");
    }

    #[test]
    fn a_refusal_counts_only_with_the_name_of_the_guard() {
        let by = |name: &str| format!("ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: no");
        for code in [403, 422] {
            assert_eq!(judged(&by("daypass-status-guard"), code).unwrap(), Tried::Refused);
            let other = judged(&by("needs-an-owner-label"), code).unwrap();
            assert!(matches!(other, Tried::Inconclusive(why) if why.contains("needs-an-owner-label")));
            let alike = judged(&by("daypass-status-guard-2"), code).unwrap();
            assert!(matches!(alike, Tried::Inconclusive(_)), "{alike:?}");
        }
        assert_eq!(answered("g", Loophole::Statuses, Ok(())).unwrap(), Tried::Passed(Loophole::Statuses));
        for code in [409, 429, 500, 503] {
            assert!(judged("later", code).is_err(), "{code}");
        }
    }
}
