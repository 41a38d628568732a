//! What becomes of the audit events of API servers: which of them count, where that is kept, and what is answered.
//!
//! [`sift`] takes what counts out of a delivery, [`settle`] makes of it what is written, and [`tables`] has the statements,
//! which both stores understand; those of uses of bindings are in [`bindings`]. [`books`] keeps the running grants in memory. Everything is the same in whatever order and
//! however often events come. What an event means is for `core::activity`.

pub mod answers;
pub mod bindings;
pub mod books;
pub mod settle;
pub mod sift;
pub mod tables;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use crate::core::activity::alive::CanaryMark;
use crate::core::activity::explained::{SuspectWrite, Unexplained};

/// Name of the canary's account, in the namespace of the controller.
const CANARY: &str = "daypass-canary";

/// What is told of events, and whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityRules {
    /// By UID of the cluster.
    pub clusters: BTreeMap<String, ClusterAccounts>,
    /// Whether each event of a grant is kept as well, but for bodies and for the arguments of an exec.
    pub lines: bool,
}

/// Accounts of Daypass in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterAccounts {
    /// Those of controllers.
    pub controllers: BTreeSet<String>,
    /// Those of canaries, whose calls prove that events arrive.
    pub canaries: BTreeSet<String>,
}

impl ClusterAccounts {
    /// Of a cluster whose records these accounts write.
    pub fn of_writers<'a>(writers: impl IntoIterator<Item = &'a String>) -> Self {
        let mut accounts = Self::default();
        for writer in writers {
            accounts.controllers.insert(writer.clone());
            accounts.canaries.extend(writer.rsplit_once(':').map(|(namespace, _)| format!("{namespace}:{CANARY}")));
        }
        accounts
    }
}

/// What became of a delivery of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many events came.
    pub events: usize,
    /// How many calls were counted that a grant allowed.
    pub tied: usize,
    /// How many calls were counted that a grant would have allowed too.
    pub beside: usize,
    /// Calls of the canary.
    pub marks: Vec<CanaryMark>,
    /// When the latest of the events happened.
    pub latest: Option<Timestamp>,
    /// What is told for the first time: writes that no record explains.
    pub told: Vec<(SuspectWrite, Unexplained)>,
}
