//! The kubectl plugin, as people run it: one file a command, and [`connect`] for what all have in common.

mod anew;
mod as_shown;
mod completion;
mod connect;
mod contexts;
mod decide;
pub(crate) mod doctor;
mod end;
mod explain;
mod forbidden;
mod history;
mod kubefile;
mod list;
mod login;
mod manifest;
mod notify;
mod options;
mod pending;
mod policy;
mod policy_diff;
mod policy_init;
mod reach;
mod readers;
mod refused;
mod report;
pub(crate) mod request;
mod run;
mod unstamped;
mod watch;
mod who;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::cast;

pub fn trials() -> Vec<Trial> {
    let trials = [
        connect::trials(),
        contexts::trials(),
        reach::trials(),
        login::trials(),
        request::trials(),
        report::trials(),
        options::trials(),
        manifest::trials(),
        forbidden::trials(),
        refused::trials(),
        anew::trials(),
        unstamped::trials(),
        list::trials(),
        watch::trials(),
        pending::trials(),
        decide::trials(),
        as_shown::trials(),
        end::trials(),
        who::trials(),
        history::trials(),
        explain::trials(),
        policy::trials(),
        policy_diff::trials(),
        policy_init::trials(),
        readers::trials(),
        doctor::trials(),
        notify::trials(),
        completion::trials(),
        run::trials(),
    ];
    trials.into_iter().flatten().collect()
}

/// A file with a request that is not made yet.
pub fn draft(namespace: &str, spec: Value) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), cast::request(namespace, "draft", spec).to_string()).unwrap();
    file
}
