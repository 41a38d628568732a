//! Owns what people ask for during a run, directly at the API server, and what was seen of their requests. They know
//! nothing of the faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daypass::api::request::AccessRequestStatus;
use daypass::api::{AccessRequest, State};
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::weather::Dice;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE, User};
use crate::harness::wait::now;
use crate::harness::{Cluster, cast};

/// Time between two requests, in milliseconds.
const PAUSE: [u64; 2] = [150, 600];
/// How long short access lasts, in seconds.
const SHORT: [u64; 2] = [2, 9];
/// How long somebody waits for something to come of a request before they go on.
const PATIENCE: Duration = Duration::from_secs(90);

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wish {
    Plain,
    /// Less than the role.
    Narrow,
    /// In another namespace than the request is in.
    Elsewhere,
    InTwoNamespaces,
    /// Somebody has to approve.
    Approved,
    /// A second request moves the end.
    Extended,
    Extension,
    /// An admin deletes the request while it runs.
    Deleted,
    /// An approver ends it.
    Revoked,
}

const WISHES: [Wish; 8] = [
    Wish::Plain,
    Wish::Narrow,
    Wish::Elsewhere,
    Wish::InTwoNamespaces,
    Wish::Approved,
    Wish::Extended,
    Wish::Deleted,
    Wish::Revoked,
];

/// A request that was accepted by the API server.
#[derive(Clone, Debug)]
pub struct Asked {
    pub action: Wish,
    pub uid: String,
    pub place: String,
    /// By when the API server had been told to end it early.
    pub ended_early: Option<Timestamp>,
}

/// What the API server said of requests.
#[derive(Default)]
pub struct Seen {
    statuses: HashMap<String, AccessRequestStatus>,
    /// Where history was not only added to.
    pub rewritten: Vec<String>,
}

impl Seen {
    fn note(&mut self, request: &AccessRequest) {
        let (Some(uid), Some(status)) = (request.uid(), request.status.clone()) else { return };
        if let Some(before) = self.statuses.insert(uid, status.clone())
            && !status.history.starts_with(&before.history)
        {
            self.rewritten.push(format!("{}: {:?} was {:?}", request.name_any(), status.history, before.history));
        }
    }

    pub fn of(&self, uid: &str) -> Option<&AccessRequestStatus> {
        self.statuses.get(uid)
    }
}

/// The people, and the namespaces that they work in.
pub struct People {
    clients: HashMap<&'static str, Client>,
    /// Where policy asks nobody.
    open: String,
    other: String,
    /// Where approvers are asked.
    strict: String,
    asked: Mutex<Vec<Asked>>,
    seen: Mutex<Seen>,
    /// Tells that something new was seen.
    news: watch::Sender<()>,
}

impl People {
    pub async fn gather(cluster: &Cluster) -> Arc<Self> {
        let [open, other, strict] =
            [cluster.namespace("open").await, cluster.namespace("other").await, cluster.namespace("strict").await];
        let extension = json!({ "max": "1h", "count": 10 });
        let scope = json!({ "namespaces": [open, other] });
        cluster.allow(&open, &open, json!({ "scope": scope, "extension": extension })).await;
        let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
        cluster.allow(&strict, &strict, json!({ "approval": { "stages": leads } })).await;
        let mut clients = HashMap::new();
        for user in [ADMIN, ALICE, BOB, CAROL, EVE] {
            clients.insert(user.login, cluster.client(user).await);
        }
        Arc::new(Self {
            clients,
            open,
            other,
            strict,
            asked: Mutex::default(),
            seen: Mutex::default(),
            news: watch::Sender::new(()),
        })
    }

    /// Follows all requests, for as long as it is polled.
    pub async fn look_on(&self) {
        let api: Api<AccessRequest> = Api::all(self.clients[ADMIN.login].clone());
        let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(request) | Event::InitApply(request) | Event::Delete(request)) = event {
                self.seen().note(&request);
                self.news.send_replace(());
            }
        }
    }

    /// Asks for one thing after the other, for as long as it is polled. What was asked goes on by itself.
    pub async fn ask_on(self: &Arc<Self>, mut dice: Dice, lives: &mut JoinSet<()>) {
        for number in 0_u32.. {
            let (action, dice_of_it, people) = (dice.pick(&WISHES), dice.more(), self.clone());
            lives.spawn(async move { people.live(action, number, dice_of_it).await });
            sleep(Duration::from_millis(dice.within(PAUSE))).await;
        }
    }

    /// One request from begin to end.
    async fn live(&self, action: Wish, number: u32, mut dice: Dice) {
        let name = format!("{}-{number}", format!("{action:?}").to_lowercase());
        let user = dice.pick(&[ALICE, BOB, EVE]);
        let short = format!("{}s", dice.within(SHORT));
        let home = if [Wish::Approved, Wish::Revoked].contains(&action) { &self.strict } else { &self.open };
        let rule = json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": [name] });
        let spec = match action {
            Wish::Narrow => json!({ "duration": short, "rules": [rule] }),
            Wish::Elsewhere => json!({ "duration": short, "scope": { "namespaces": [self.other] } }),
            Wish::InTwoNamespaces => {
                json!({ "duration": short, "scope": { "namespaces": [self.open, self.other] } })
            }
            Wish::Deleted | Wish::Revoked => json!({ "duration": "10m" }),
            _ => json!({ "duration": short }),
        };
        let uid = self.ask(user, home, &name, spec, action).await;
        let a_while = Duration::from_millis(dice.within([200, 3_000]));
        match action {
            Wish::Approved => {
                self.until(&uid, |status| status.stage.is_some()).await;
                sleep(a_while).await;
                self.review(CAROL, home, &name, "Approve").await;
            }
            Wish::Revoked => {
                self.until(&uid, |status| status.stage.is_some()).await;
                self.review(CAROL, home, &name, "Approve").await;
                self.until(&uid, |status| status.state == State::Active).await;
                sleep(a_while).await;
                if self.review(CAROL, home, &name, "Revoke").await {
                    self.ended_early(&uid);
                }
            }
            Wish::Deleted => {
                self.until(&uid, |status| status.state == State::Active).await;
                sleep(a_while).await;
                let requests = self.requests(ADMIN, home);
                let terms = DeleteParams::default();
                answered(|| requests.delete(&name, &terms)).await.expect("delete a request");
                self.ended_early(&uid);
            }
            Wish::Extended => {
                self.until(&uid, |status| status.state == State::Active).await;
                let spec = json!({ "extends": name, "duration": "3s" });
                self.ask(user, home, &format!("{name}-more"), spec, Wish::Extension).await;
            }
            _ => {}
        }
    }

    async fn ask(&self, user: User, place: &str, name: &str, spec: Value, action: Wish) -> String {
        let request: AccessRequest = serde_json::from_value(cast::request(place, name, spec)).expect("a request");
        let requests = self.requests(user, place);
        let terms = PostParams::default();
        let made = answered(|| requests.create(&terms, &request)).await;
        let uid = made.expect("create a request").uid().expect("a uid");
        let asked = Asked { action, uid: uid.clone(), place: format!("{place}/{name}"), ended_early: None };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        uid
    }

    /// Says something about a request. False when it is too late for that: it is over.
    async fn review(&self, user: User, place: &str, name: &str, verdict: &str) -> bool {
        let submitted = json!({ "status": { "reviews": { user.name: { "verdict": verdict } } } });
        let requests = self.requests(user, place);
        let (submitted, terms) = (Patch::Merge(submitted), PatchParams::default());
        match answered(|| requests.patch_status(name, &terms, &submitted)).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => false,
            Err(error) => panic!("{} cannot review {name}: {error}", user.name),
        }
    }

    /// Waits until a request is so, or over; or until patience is over, which is no fault by itself.
    async fn until(&self, uid: &str, so: impl Fn(&AccessRequestStatus) -> bool) {
        let mut news = self.news.subscribe();
        let wait = async {
            while !self.seen().of(uid).is_some_and(|status| so(status) || status.state.is_final()) {
                news.changed().await.expect("the people live as long as this");
            }
        };
        let _ = timeout(PATIENCE, wait).await;
    }

    fn ended_early(&self, uid: &str) {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().filter(|asked| asked.uid == uid).for_each(|asked| asked.ended_early = Some(now()));
    }

    fn requests(&self, user: User, place: &str) -> Api<AccessRequest> {
        Api::namespaced(self.clients[user.login].clone(), place)
    }

    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request that was accepted.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the API server says. A connection that it closed while nobody spoke gives no answer, so it is asked once more.
async fn answered<T, F: Future<Output = kube::Result<T>>>(call: impl Fn() -> F) -> kube::Result<T> {
    match call().await {
        Err(kube::Error::Service(_)) => call().await,
        answer => answer,
    }
}
