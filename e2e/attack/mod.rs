//! Attacks. Each attempt is a few lines in the file of its class, is made by a real user, and is shown twice: to come
//! to nothing with everything in force, and to succeed once the one guard is gone that it is about.
//!
//! An attempt on a guard that is an object of the cluster has a trial of its own for the first half; for the second,
//! one trial takes the guards away one after the other, in a cluster of its own. Rules of the controller cannot be
//! taken away; their trials (`people`, `facts`) change the one fact that the rule is about instead.

mod attempt;
mod bindings;
pub mod call;
mod controller;
mod deletion;
mod facts;
mod ground;
mod guard;
mod impersonation;
mod metadata;
mod notifier;
mod people;
mod policies;
mod requester;
mod reviewer;
mod schema;
mod self_guard;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;

use libtest_mimic::Trial;

use self::attempt::{Attempt, without};
use self::guard::Guard;
use crate::harness::{Cluster, private, shared};

fn attempts() -> Vec<Attempt> {
    let of_classes = [
        requester::attempts(),
        reviewer::attempts(),
        status::attempts(),
        policies::attempts(),
        bindings::attempts(),
        deletion::attempts(),
        self_guard::attempts(),
        impersonation::attempts(),
        metadata::attempts(),
    ];
    let attempts: Vec<Attempt> = of_classes.into_iter().flatten().collect();
    let names: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.name.as_str()).collect();
    assert_eq!(names.len(), attempts.len(), "two attempts have the same name");
    attempts
}

pub fn trials() -> Vec<Trial> {
    // First, since it takes longest.
    let mut trials = vec![private("attack::each_succeeds_without_its_guard", each_succeeds_without_its_guard)];
    for attempt in attempts() {
        let name = format!("attack::{}", attempt.name);
        trials.push(shared(&name, async move |cluster| attempt.comes_to_nothing(&cluster).await));
    }
    trials.extend(people::trials());
    trials.extend(controller::trials());
    trials.extend(facts::trials());
    trials.extend(status::trials());
    trials.extend(deletion::trials());
    trials.extend(metadata::trials());
    trials.extend(schema::trials());
    trials.extend(self_guard::trials());
    trials.extend(impersonation::trials());
    trials.extend(notifier::trials());
    trials
}

async fn each_succeeds_without_its_guard(cluster: Arc<Cluster>) {
    // It would notice that a guard is gone, and undo what should be seen.
    cluster.controller.kill();
    let attempts = attempts();
    let mut failures = Vec::new();
    for &guard in Guard::ALL {
        failures.extend(without(guard, &attempts, &cluster).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
