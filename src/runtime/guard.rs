//! The canary: tries what the cluster's admission policies must stamp or refuse, and says whether they do.
//!
//! Without them anybody could ask or approve in another's name, so while they are missing, or cannot be tried,
//! nothing new is granted; what runs still ends. Tries are dry runs, made with an account of the canary's own,
//! since the policies trust the controller's. It writes nothing but the one request that it tries reviews on, and that
//! only while this replica leads; the tries every replica makes for itself.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::client;
use super::clock::Clock;
use super::gate::Leadership;
use super::metrics::{Metrics, Tried};
use crate::api::{AccessRequest, Identity, keys};
use crate::core::deadline::whole_second;
use crate::core::guard::Guard;

/// Name of the canary's service account, of its request and of the role that it asks for.
const CANARY: &str = "daypass-canary";
/// Annotation of the canary's request: since when the guard has been seen without a break.
const SINCE: &str = "daypass.dev/guarded-since";
/// Time between two tries while all is well.
const CALM: Duration = Duration::from_secs(15);
/// Time between two tries while it is not.
const ALARMED: Duration = Duration::from_secs(1);
/// For how long a sound guard is still trusted when it cannot be tried.
const TRUST: Duration = Duration::from_secs(60);
/// How long a token of the canary is asked for, in seconds.
const TOKEN_SECONDS: i64 = 3600;
/// When a token is renewed: well before its end.
const TOKEN_AGE: Duration = Duration::from_secs(1800);

/// Tries the guard for as long as the process runs.
pub struct Canary {
    /// Where the API server is; the canary's own credentials go over the controller's.
    pub config: Config,
    /// The controller's client, for the canary's tokens.
    pub client: Client,
    /// Namespace that Daypass is installed in.
    pub namespace: String,
    /// The wall clock.
    pub clock: Clock,
    /// Where each try is counted.
    pub metrics: Metrics,
    /// Whether this replica leads.
    pub leadership: Leadership,
}

/// The canary's own account, signed in.
struct Account {
    /// For tries, and for reading.
    tries: Client,
    /// For what is stored; holds back the writes of a replica that does not lead.
    writes: Client,
    /// When it signed in.
    since: Instant,
}

/// Why a try said nothing.
#[derive(Debug, thiserror::Error)]
enum CannotTry {
    #[error("the guard cannot be tried: {0}")]
    Api(#[from] kube::Error),
    #[error("the guard cannot be tried: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the guard cannot be tried yet: the replica that leads has to make a request for it")]
    NothingToTryOn,
    #[error("the guard cannot be tried: {what} was refused, but not by the guard: {why}")]
    OtherRefusal { what: &'static str, why: String },
}

impl Canary {
    /// Tries on and on, and tells each change.
    pub async fn run(self, tell: watch::Sender<Guard>) {
        let mut account: Option<Account> = None;
        let mut last_sound: Option<Instant> = None;
        loop {
            let before = match &*tell.borrow() {
                Guard::Since(since) => Some(*since),
                Guard::Missing(_) => None,
            };
            let led = self.leadership.holds();
            let looked = self.look(&mut account, before).await;
            self.metrics.guard_tried(tried(&looked));
            let guard = match looked {
                Ok(guard) => {
                    last_sound = matches!(guard, Guard::Since(_)).then(Instant::now);
                    guard
                }
                Err(error) if last_sound.is_some_and(|at| at.elapsed() < TRUST) => {
                    warn!("{error}; it was sound {:?} ago", last_sound.map(|at| at.elapsed()).unwrap_or_default());
                    tell.borrow().clone()
                }
                Err(error) => Guard::Missing(error.to_string()),
            };
            let calm = matches!(guard, Guard::Since(_));
            tell.send_if_modified(|told| {
                let changed = *told != guard;
                if changed {
                    match &guard {
                        Guard::Since(since) => info!(%since, "the guard is in force"),
                        Guard::Missing(why) => warn!("nothing new is granted: {why}"),
                    }
                    *told = guard;
                }
                changed
            });
            // Who begins to lead does not go by an old look.
            let begins = async {
                match led {
                    true => std::future::pending().await,
                    false => self.leadership.taken().await,
                }
            };
            let _ = timeout(if calm { CALM } else { ALARMED }, begins).await;
        }
    }

    /// One round: since when the guard holds, or in what it does not. `before` is what the last round said.
    async fn look(&self, account: &mut Option<Account>, before: Option<Timestamp>) -> Result<Guard, CannotTry> {
        let account = match account {
            Some(account) if account.since.elapsed() < TOKEN_AGE => &*account,
            _ => account.insert(self.sign_in().await?),
        };
        let of = |client: &Client| Api::<AccessRequest>::namespaced(client.clone(), &self.namespace);
        let (requests, stored) = (of(&account.tries), of(&account.writes));
        let who = whoami(&account.tries).await?;
        let leads = self.leadership.holds();
        let own = match requests.get_opt(CANARY).await? {
            Some(own) => own,
            None if leads => stored.create(&PostParams::default(), &self.request(CANARY, &who)?).await?,
            None => return Err(CannotTry::NothingToTryOn),
        };
        let missing = self.missing(&account.tries, &requests, &who).await?;
        let noted: Option<Timestamp> = own.annotations().get(SINCE).and_then(|text| text.parse().ok());
        let guard = match missing {
            Some(why) => Guard::Missing(why),
            // A leader that finds no note starts anew: the one before it may have seen a break.
            None => {
                let seen = noted.or(before.filter(|_| !leads));
                Guard::Since(match seen {
                    Some(seen) => seen,
                    None => self.time_of_cluster(&account.tries).await?,
                })
            }
        };
        let since = match &guard {
            Guard::Since(since) => Some(*since),
            Guard::Missing(_) => None,
        };
        if since != noted && leads {
            let note = json!({ "metadata": { "annotations": { SINCE: since.map(|t| t.to_string()) } } });
            stored.patch(CANARY, &PatchParams::default(), &Patch::Merge(note)).await?;
        }
        Ok(guard)
    }

    /// The API server's time: requests are dated by its clock, and this process's may be wrong.
    async fn time_of_cluster(&self, client: &Client) -> kube::Result<Timestamp> {
        let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        Ok(review.metadata.creation_timestamp.map_or_else(|| whole_second(self.clock.now()), |at| at.0))
    }

    /// Clients with the canary's own account.
    async fn sign_in(&self) -> Result<Account, CannotTry> {
        let since = Instant::now();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let asked = TokenRequest { spec, ..TokenRequest::default() };
        let token = accounts.create_token_request(CANARY, &PostParams::default(), &asked).await?;
        let token = token.status.map(|status| status.token).unwrap_or_default();
        let mut config = self.config.clone();
        config.auth_info = serde_json::from_value::<AuthInfo>(json!({ "token": token }))?;
        let writes = client::gated(config.clone(), &self.metrics, self.leadership.clone())?;
        Ok(Account { tries: client::counted(config, &self.metrics)?, writes, since })
    }

    /// What the guard fails to do; none when it does everything.
    async fn missing(
        &self,
        client: &Client,
        requests: &Api<AccessRequest>,
        own: &Identity,
    ) -> Result<Option<String>, CannotTry> {
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        let other =
            Identity { username: "system:admin".to_owned(), uid: None, groups: vec!["system:masters".to_owned()] };
        let forged = self.request(&format!("{CANARY}-forged"), &other)?;
        let created = refused("a request in another's name", requests.create(&trial, &forged).await)?;
        if created.is_some_and(|created| created.spec.requester.as_ref() != Some(own)) {
            return Ok(Some(
                "the cluster lets anybody ask in another's name: daypass-identity-check is missing".to_owned(),
            ));
        }
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        for status in [json!({ "state": "Active" }), json!({ "reviews": { "somebody": { "verdict": "Approve" } } })] {
            let patch = Patch::Merge(json!({ "status": status }));
            if refused("a forged status", requests.patch_status(CANARY, &dry, &patch).await)?.is_some() {
                return Ok(Some(
                    "the cluster lets reviewers write any status: daypass-status-guard is missing".to_owned(),
                ));
            }
        }
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &self.namespace);
        let binding: RoleBinding = serde_json::from_value(self.binding())?;
        if refused("a forged binding", bindings.create(&trial, &binding).await)?.is_some() {
            return Ok(Some(
                "the cluster lets others make bindings of Daypass: daypass-binding-guard is missing".to_owned(),
            ));
        }
        Ok(None)
    }

    /// A request that says it is from `who`. Without the stamp the check asks for the own identity, so the
    /// canary's own request carries it.
    fn request(&self, name: &str, who: &Identity) -> Result<AccessRequest, serde_json::Error> {
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

    fn binding(&self) -> Value {
        json!({
            "metadata": { "name": CANARY, "namespace": self.namespace, "labels": { keys::MANAGED_BY: keys::DAYPASS } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CANARY },
            "subjects": [{ "kind": "ServiceAccount", "name": CANARY, "namespace": self.namespace }]
        })
    }
}

fn tried(looked: &Result<Guard, CannotTry>) -> Tried {
    match looked {
        Ok(Guard::Since(_)) => Tried::Sound,
        Ok(Guard::Missing(_)) => Tried::Missing,
        Err(_) => Tried::CannotTry,
    }
}

/// Who the API server says that a client is.
async fn whoami(client: &Client) -> Result<Identity, CannotTry> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    Ok(Identity { username: user.username.unwrap_or_default(), uid: user.uid, groups: user.groups.unwrap_or_default() })
}

/// None when an admission policy refused; what was stored, dry, when nothing did. Any other refusal proves
/// nothing: the account may only lack the right.
fn refused<T: DeserializeOwned>(what: &'static str, answer: kube::Result<T>) -> Result<Option<T>, CannotTry> {
    match answer {
        Ok(stored) => Ok(Some(stored)),
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => Ok(None),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => {
            Err(CannotTry::OtherRefusal { what, why: status.message })
        }
        Err(error) => Err(error.into()),
    }
}
