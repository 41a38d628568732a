//! Makes the role of a binding that gives less than the role asked for, and takes it away.
//!
//! The API server lets nobody make a role, or bind it, with rights that they do not have, unless they may `escalate`.
//! The controller may not. Instead it binds the role asked for to itself, in the place concerned and for the moment
//! that it takes: a self-binding. So the bound on what it can hand out stays the list of roles that it may `bind`, and the API
//! server compares the rules once more by itself. (Kubernetes RBAC docs, "Privilege escalation prevention".)

use std::time::Duration;

use futures::TryFutureExt;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleRef};
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Writer, exactly, release};
use crate::api::request::{BindingRef, MadeRole as Recorded};
use crate::controller::bind_error::BindError;
use crate::controller::error::{Error, is_final};
use crate::controller::observe;
use crate::controller::refusal::Refusing;
use crate::core::rbac::bind_refusal::BindRefusal;
use crate::core::rbac::binding::{self, Observed, Wanted};
use crate::core::rbac::made_role::{ObservedRole, WantedRole};

/// How long the API server may take to see a self-binding: another of its replicas may answer, and from a cache.
const PATIENCE: Duration = Duration::from_secs(5);
/// First wait for it; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

impl Writer {
    /// Makes the role, binds it, and gives the self-binding back.
    pub(super) async fn bind_made_role(&self, wanted: &Wanted, role: &WantedRole) -> Result<Observed, BindError> {
        let self_binding = self.borrow(wanted, &role.within).await?;
        let bound = self.make_and_bind(wanted, role).await;
        self.give_back(&self_binding).await.map_err(BindError::Retry)?;
        bound
    }

    async fn make_and_bind(&self, wanted: &Wanted, role: &WantedRole) -> Result<Observed, BindError> {
        let place = wanted.reference();
        let made = match with_patience(|| self.make(role, &place)).await {
            Ok(made) => made,
            Err(kube::Error::Api(status)) if status.is_already_exists() => match self.found(role, &place).await? {
                Some(there) => there,
                // It went meanwhile, or was never there and somebody's admission says so.
                None => return Err(BindError::Retry(Error::api("create a role")(kube::Error::Api(status)))),
            },
            Err(kube::Error::Api(status)) if is_final(&status) => {
                let (name, Status { message, code, .. }) = (&role.within.name, *status);
                let refused = BindRefusal::MadeRole { within: name.clone(), words: message, code };
                return Err(BindError::Refused(refused));
            }
            Err(error) => return Err(BindError::Retry(Error::api("create a role")(error))),
        };
        let sent = with_patience(|| self.send(wanted)).await;
        let bound = self.sort(sent, wanted).await?;
        Ok(Observed { made_role: Some(made), ..bound })
    }

    /// What stands in the place of the role already: left by a try that was cut short.
    async fn found(&self, role: &WantedRole, place: &BindingRef) -> Result<Option<ObservedRole>, BindError> {
        let there = observe::made_role(&self.client, place).await.map_err(BindError::Retry)?;
        let Some(there) = there else { return Ok(None) };
        match there.drift(role) {
            None => Ok(Some(there)),
            Some(_) => Err(BindError::Refused(BindRefusal::RoleTaken(place.name.clone()))),
        }
    }

    /// Puts back a made role, its binding, or both, whichever was changed.
    pub(super) async fn restore_made_role(&self, wanted: &Wanted, role: &WantedRole) -> Result<Observed, Error> {
        let place = wanted.reference();
        let self_binding = self.borrow(wanted, &role.within).await.map_err(|error| match error {
            BindError::Refused(why) => Error::Refused(Refusing::Bind(why)),
            BindError::Retry(error) => error,
        })?;
        let restored = async {
            if role.metadata.resource_version.is_some()
                && let Err(error) = with_patience(|| self.remake(role, &place)).await
            {
                let there = async { observe::made_role(&self.client, &place).await };
                let now = there.map_ok(|there| there.and_then(|role| role.metadata.resource_version));
                let sent = role.metadata.resource_version.as_deref();
                return Err(Error::of_write("put a role back", error, sent, now).await);
            }
            let replaced = with_patience(|| self.replace(wanted)).await;
            self.replaced(replaced, wanted).await
        }
        .await;
        self.give_back(&self_binding).await?;
        Ok(Observed { made_role: observe::made_role(&self.client, &place).await?, ..restored? })
    }

    /// Deletes the role that was made for a binding of the request with this UID, if one was.
    pub(super) async fn unmake_role(&self, binding: &BindingRef, request_uid: &str) -> Result<(), Error> {
        let Some(Recorded { uid }) = &binding.role else { return Ok(()) };
        let uid = match uid {
            Some(uid) => uid.clone(),
            None => {
                let found = observe::made_role(&self.client, binding).await?;
                match found.filter(|role| role.request_uid() == Some(request_uid)).and_then(|role| role.metadata.uid) {
                    Some(uid) => uid,
                    None => return Ok(()),
                }
            }
        };
        match &binding.namespace {
            Some(namespace) => release(roles(&self.client, namespace), &binding.name, &exactly(uid)).await,
            None => release(Api::<ClusterRole>::all(self.client.clone()), &binding.name, &exactly(uid)).await,
        }
    }

    async fn make(&self, role: &WantedRole, place: &BindingRef) -> Result<ObservedRole, kube::Error> {
        let as_is = PostParams::default();
        match &place.namespace {
            Some(namespace) => {
                roles(&self.client, namespace).create(&as_is, &role.role()).await.map(|r| ObservedRole::from(&r))
            }
            None => {
                let api: Api<ClusterRole> = Api::all(self.client.clone());
                api.create(&as_is, &role.cluster_role()).await.map(|r| ObservedRole::from(&r))
            }
        }
    }

    async fn remake(&self, role: &WantedRole, place: &BindingRef) -> Result<ObservedRole, kube::Error> {
        let as_is = PostParams::default();
        match &place.namespace {
            Some(namespace) => {
                let api = roles(&self.client, namespace);
                api.replace(&place.name, &as_is, &role.role()).await.map(|r| ObservedRole::from(&r))
            }
            None => {
                let api: Api<ClusterRole> = Api::all(self.client.clone());
                api.replace(&place.name, &as_is, &role.cluster_role()).await.map(|r| ObservedRole::from(&r))
            }
        }
    }

    /// Binds the role asked for to the controller itself. That also tries whether it may hand that role out at all.
    async fn borrow(&self, wanted: &Wanted, within: &RoleRef) -> Result<BindingRef, BindError> {
        let account = self.account().await.map_err(BindError::Retry)?;
        let self_binding = binding::self_binding(wanted, within, account);
        let lent = self.create(&self_binding).await?;
        if lent.drift(&self_binding).is_some() || lent.metadata.deletion_timestamp.is_some() {
            warn!(binding = ?lent.reference(), "the self-binding is not as it was made");
            self.give_back(&lent.reference()).await.map_err(BindError::Retry)?;
            return Err(BindError::Retry(Error::Refused(Refusing::SelfBindingChanged)));
        }
        Ok(lent.reference())
    }

    async fn give_back(&self, self_binding: &BindingRef) -> Result<(), Error> {
        self.delete_exactly(self_binding, self_binding.uid.clone().ok_or(Error::Incomplete("uid"))?).await
    }

    /// Who the controller is to the API server.
    async fn account(&self) -> Result<&str, Error> {
        let ask = || async {
            let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
            let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
            let review = review.map_err(Error::api("ask who the controller is"))?;
            let who = review.status.and_then(|status| status.user_info).and_then(|who| who.username);
            who.ok_or(Error::Incomplete("username"))
        };
        self.account.get_or_try_init(ask).await.map(String::as_str)
    }
}

fn roles(client: &Client, namespace: &str) -> Api<Role> {
    Api::namespaced(client.clone(), namespace)
}

/// Tries again while the API server forbids it, for as long as it may take to see a self-binding.
async fn with_patience<T, F>(mut call: impl FnMut() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let (began, mut wait) = (Instant::now(), FIRST_WAIT);
    loop {
        match call().await {
            Err(kube::Error::Api(status)) if status.is_forbidden() && began.elapsed() < PATIENCE => {
                sleep(wait).await;
                wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            }
            other => return other,
        }
    }
}
