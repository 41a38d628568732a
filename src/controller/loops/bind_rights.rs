//! Asks the API server what this process may bind, for the roles that policies list, and has looked at again what an answer
//! changes.
//!
//! The API server is asked by SelfSubjectAccessReview, since it alone knows: the right may come from the chart's ClusterRole,
//! from another binding that an admin made, from a wildcard, or from an authorizer that is no RBAC at all. That is one
//! question for a role and not for a pass: an answer is kept. It is asked for
//! - when a policy or a request first needs it;
//! - when any role changes, which is how the chart's values come into force, and a second later, since the authorizer learns
//!   of a role a moment after a watch does;
//! - every half minute, for what no watch of this process brings: bindings that others made;
//! - before a request is denied for it, as nobody is denied on what was known before.
//!
//! What cannot be asked is not known, and not denied. It decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::api::RoleKind;
use crate::api::request::AccessRequest;
use crate::api::subject::RoleName;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::observe::{self, Rules};
use crate::controller::refusal::Refusing;
use crate::core::decision::served::ServedNamespaces;
use crate::core::lifecycle::roles_usable::questions;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::usable::MayBind;

/// Time between two rounds while nothing changes.
const ROUND: Duration = Duration::from_secs(30);
/// How long the authorizer may take to learn of a role that a watch has brought.
const LAG: Duration = Duration::from_secs(1);
/// How many questions are asked at a time.
const CONCURRENT_QUESTIONS: usize = 8;

/// Runs for as long as the process, also while it stands by.
pub async fn run(context: &Context) {
    loop {
        let wanted = timeout(ROUND, context.stores.bind_rights.round_wanted.notified()).await.is_ok();
        round(context).await;
        if wanted {
            sleep(LAG).await;
            round(context).await;
        }
    }
}

/// Asks again about every role that a policy allows.
async fn round(context: &Context) {
    let Some(policies) = context.stores.policies.set() else { return };
    let listed: BTreeSet<RoleName> = policies.listed_roles().cloned().collect();
    let known = context.stores.bind_rights.answers();
    let asked = known.questions().filter(|question| listed.contains(&question.role)).cloned();
    let all: BTreeSet<MayBind> = listed.iter().flat_map(|role| questions(role, &context.served)).chain(asked).collect();
    context.stores.bind_rights.lock_questions().await.keep(|question| all.contains(question));
    if let Err(error) = ask(context, all.into_iter().collect(), Instant::now()).await {
        warn!(%error, "it is not known which roles can be bound");
    }
}

/// Has answers that are as new as `since`. Whom another answer concerns is looked at again.
///
/// # Errors
/// When a question could not be asked. What was answered is known all the same.
async fn ask(context: &Context, wanted: Vec<MayBind>, since: Instant) -> Result<(), Error> {
    let mut lock = context.stores.bind_rights.lock_questions().await;
    let open = wanted.into_iter().filter(|question| !lock.was_asked_since(question, since));
    let at = Instant::now();
    let question = |question: MayBind| async {
        let answer = may_bind(&context.reader, &question).await;
        answer.map(|answer| (question, answer))
    };
    let results: Vec<_> = stream::iter(open).map(question).buffer_unordered(CONCURRENT_QUESTIONS).collect().await;
    let (mut answers, mut failed) = (Vec::new(), Ok(()));
    for result in results {
        match result {
            Ok(answer) => answers.push(answer),
            Err(error) => failed = Err(error),
        }
    }
    let news: BTreeSet<RoleName> = lock.note(answers, at).into_iter().map(|question| question.role).collect();
    drop(lock);
    for role in news {
        context.enqueue_policies_that_list(&role);
        context.enqueue_requests_for(role.kind, &role.name);
    }
    failed
}

/// Asks the API server whether this process may bind a role. Everybody who is signed in may ask, by the role
/// `system:basic-user` that every cluster has.
///
/// # Errors
/// When it cannot be asked.
async fn may_bind(client: &Client, question: &MayBind) -> Result<bool, Error> {
    let MayBind { role, namespace } = question;
    let resource = match role.kind {
        RoleKind::ClusterRole => "clusterroles",
        RoleKind::Role => "roles",
    };
    let attributes = ResourceAttributes {
        verb: Some("bind".to_owned()),
        group: Some("rbac.authorization.k8s.io".to_owned()),
        resource: Some(resource.to_owned()),
        name: Some(role.name.clone()),
        namespace: namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(Error::api("ask for its own rights"))?;
    // A question that the authorizer could not answer is none.
    let answer = answer.status.ok_or(Error::Incomplete("status"))?;
    match answer.evaluation_error.filter(|_| !answer.allowed) {
        Some(why) => Err(Error::Refused(Refusing::RightUnanswered(why))),
        None => Ok(answer.allowed),
    }
}

/// Asks what is not known yet of these roles.
pub async fn learn(context: &Context, roles: impl IntoIterator<Item = &RoleName>) {
    learn_these(context, roles.into_iter().flat_map(|role| questions(role, &context.served))).await;
}

async fn learn_these(context: &Context, wanted: impl IntoIterator<Item = MayBind>) {
    let known = context.stores.bind_rights.answers();
    let unknown: Vec<MayBind> = wanted.into_iter().filter(|question| known.answer(question).is_none()).collect();
    if unknown.is_empty() {
        return;
    }
    let (roles, since) = (unknown.clone(), Instant::now());
    if let Err(error) = ask(context, unknown, since).await {
        warn!(%error, ?roles, "it is not known whether these roles can be bound");
    }
}

/// Asks what is not known yet of the role that a request is for, where it would be bound. A right that the cluster as a
/// whole does not give may have been given in a namespace.
pub async fn learn_for(context: &Context, request: &AccessRequest, rules: &Rules) {
    let (role, known) = (&request.spec.role, context.stores.bind_rights.answers());
    // Every step of a pass asks this, and there may be a thousand policies to look through.
    let is_known = questions_for(context, request, &rules.namespaces).iter().all(|q| known.answer(q).is_some());
    if is_known || !rules.policies.listed_roles().any(|listed| listed == role) {
        return;
    }
    learn(context, [role]).await;
    learn_these(context, in_its_places(context, request, &rules.namespaces)).await;
}

/// What to ask about the role of a request, as far as the answers to the first tell.
fn questions_for(context: &Context, request: &AccessRequest, namespaces: &Namespaces) -> Vec<MayBind> {
    let places = in_its_places(context, request, namespaces);
    questions(&request.spec.role, &context.served).into_iter().chain(places).collect()
}

/// What a refusal for the whole cluster leaves to be asked for a request: its namespaces.
fn in_its_places(context: &Context, request: &AccessRequest, namespaces: &Namespaces) -> Vec<MayBind> {
    let role = &request.spec.role;
    let refused = context.stores.bind_rights.answers().may_bind(role, None) == Some(false);
    if context.served != ServedNamespaces::Cluster || !refused {
        return Vec::new();
    }
    let places = observe::places_of(request, namespaces).into_iter();
    places.map(|name| MayBind { role: role.clone(), namespace: Some(name) }).collect()
}

/// Before a request is denied: asks again what was refused, of an API server that is ready. One that has just started does
/// not know its roles yet.
///
/// # Errors
/// When it cannot be asked, or is not ready.
pub async fn ask_again(
    context: &Context,
    request: &AccessRequest,
    namespaces: &Namespaces,
    since: Instant,
) -> Result<(), Error> {
    let wanted = questions_for(context, request, namespaces);
    let refused = || {
        let known = context.stores.bind_rights.answers();
        wanted.iter().filter(|question| known.answer(question) == Some(false)).cloned().collect::<Vec<_>>()
    };
    let doubtful = refused();
    if doubtful.is_empty() {
        return Ok(());
    }
    ask(context, doubtful, since).await?;
    if refused().is_empty() { Ok(()) } else { observe::is_ready(&context.reader).await }
}
