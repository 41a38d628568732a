//! Owns how an attempt is tried: with everything in force it must come to nothing, and without its one guard it must
//! succeed, or it would prove nothing.

use std::sync::Arc;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::call::Call;
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::Cluster;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::users::User;
use crate::harness::wait::poll;

type Act = Box<dyn Fn(&Ground) -> Call + Send + Sync>;

/// Something that must not succeed.
pub struct Attempt {
    pub name: String,
    pub guard: Guard,
    scene: Scene,
    /// Words of the refusal. None: it is accepted, and what it wanted is not stored.
    refusal: Option<String>,
    act: Act,
    /// The act without the guard, when the way it went is closed without it too.
    other_way: Option<Act>,
}

impl Attempt {
    /// One that is refused with these words.
    pub fn refused(
        name: impl Into<String>,
        guard: Guard,
        scene: Scene,
        words: impl Into<String>,
        act: impl Fn(&Ground) -> Call + Send + Sync + 'static,
    ) -> Self {
        let act: Act = Box::new(act);
        Self { name: name.into(), guard, scene, refusal: Some(words.into()), act, other_way: None }
    }

    /// One that is accepted, and does not get what it wanted.
    pub fn in_vain(
        name: impl Into<String>,
        guard: Guard,
        scene: Scene,
        act: impl Fn(&Ground) -> Call + Send + Sync + 'static,
    ) -> Self {
        Self { refusal: None, ..Self::refused(name, guard, scene, "", act) }
    }

    /// What to do in place of the act when the guard is gone.
    pub fn without_guard(self, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Self {
        Self { other_way: Some(Box::new(act)), ..self }
    }

    /// The first half: everything is in force.
    pub async fn comes_to_nothing(&self, cluster: &Arc<Cluster>) {
        let ground = Ground::prepare(cluster, self.scene, true).await;
        let call = (self.act)(&ground);
        let answer = ground.send(&call).await;
        let stored = match call.object(answer.as_ref().ok()) {
            Some(path) => ground.read(&path).await,
            None => None,
        };
        assert!(!call.landed(stored.as_ref()), "it succeeded: {}", json!(stored));
        match (&self.refusal, answer) {
            (Some(words), Err(why)) => assert!(why.contains(words), "refused with other words than {words:?}: {why}"),
            (Some(words), Ok(answer)) => panic!("it should be refused with {words:?}, but: {answer}"),
            (None, Err(why)) => panic!("it should be accepted, but: {why}"),
            (None, Ok(_)) => says_truly(&call, stored.expect("what was accepted")),
        }
    }

    /// The second half: its guard, and no other, is being removed. Why it does not succeed, if it does not.
    async fn succeeds(&self, ground: &Ground) -> Result<(), String> {
        let call = self.other_way.as_ref().unwrap_or(&self.act)(ground);
        let dry = call.clone().dry();
        let would = poll(SOON / 4, async || match ground.send(&dry).await {
            Ok(answer) if call.method == http::Method::DELETE || call.landed(Some(&answer)) => {
                std::ops::ControlFlow::Break(())
            }
            Ok(answer) => std::ops::ControlFlow::Continue(format!("in vain: {answer}")),
            Err(why) => std::ops::ControlFlow::Continue(why),
        });
        would.await?;
        let answer = ground.send(&call).await?;
        let path = call.object(Some(&answer)).expect("an object to look at");
        let stored = ground.read(&path).await;
        if call.landed(stored.as_ref()) { Ok(()) } else { Err(format!("not stored: {}", json!(stored))) }
    }

    /// Waits until the guard is back in force, as this attempt sees it.
    async fn until_refused(&self, ground: &Ground) {
        let dry = (self.act)(ground).dry();
        eventually(&format!("{:?} is back in force", self.guard), SOON, async || match ground.send(&dry).await {
            Err(why) if self.refusal.as_ref().is_some_and(|words| why.contains(words)) => Ok(()),
            Ok(answer) if self.refusal.is_none() && !dry.landed(Some(&answer)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
}

/// Removes one guard and makes all attempts that it keeps from succeeding. Those that do not succeed, with the
/// reason.
pub async fn without(guard: Guard, attempts: &[Attempt], cluster: &Arc<Cluster>) -> Vec<String> {
    let of_guard: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.guard == guard).collect();
    assert!(!of_guard.is_empty(), "{guard:?} has no attempt");
    let here = Ground::prepare(cluster, of_guard[0].scene, false).await;
    // While all guards are in force.
    let prepared = stream::iter(&of_guard).map(|attempt| here.prepare_beside(attempt.scene));
    let grounds: Vec<Ground> = prepared.buffered(guard.attempts_at_a_time()).collect().await;
    of_guard[0].until_refused(&here).await;
    let removed = guard.remove(&here).await;
    let made = of_guard.iter().zip(&grounds).map(|(attempt, ground)| async move {
        let outcome = attempt.succeeds(ground).await;
        outcome.err().map(|why| format!("without {guard:?} {} does not succeed: {why}", attempt.name))
    });
    let outcomes: Vec<Option<String>> = stream::iter(made).buffered(guard.attempts_at_a_time()).collect().await;
    let mut failures: Vec<String> = outcomes.into_iter().flatten().collect();
    if let Err(why) = more(guard, cluster).await {
        failures.push(format!("without {guard:?}: {why}"));
    }
    removed.put_back(&here).await;
    of_guard[0].until_refused(&here).await;
    failures
}

/// What else must be so without a guard.
async fn more(guard: Guard, cluster: &Arc<Cluster>) -> Result<(), String> {
    match guard {
        Guard::Status => super::schema::every_field_is_writable(cluster).await,
        Guard::Deletion => super::deletion::the_garbage_collector_deletes(cluster).await,
        _ => Ok(()),
    }
}

/// Whoever was stamped into what is stored is the caller. Of alice's request only the caller's review is.
fn says_truly(call: &Call, stored: Value) {
    let review = &stored["status"]["reviews"][call.by.name];
    if !review.is_null() {
        is_truly(call.by, review);
    }
    if stored["metadata"]["name"] != "fix" {
        is_truly(call.by, &stored["spec"]["requester"]);
    }
}

/// Uid and groups, and the name where there is one, are the user's own.
pub fn is_truly(user: User, stamped: &Value) {
    let mut groups: Vec<&str> = user.groups.to_vec();
    groups.push("system:authenticated");
    assert_eq!(stamped["uid"], user.uid, "{stamped}");
    assert_eq!(stamped["groups"], json!(groups), "{stamped}");
    if let Some(name) = stamped.get("username") {
        assert_eq!(name, user.name);
    }
}
