//! What the canary says of the guards after a round: for decisions, for `/readyz` and for the log.
//!
//! It must not make a round.

use std::fmt;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::core::guard::missing::BySight;
use crate::core::guard::{Guard, NotInForce};

/// What the canary says of the guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What decisions go by.
    pub guard: Guard,
    /// What is no reason to wait, and should be known.
    pub remarks: Vec<CanaryRemark>,
    /// When the last round began that found the guard in force; none when it is not.
    pub sound: Option<Instant>,
    /// Whether a round found nothing wrong; the guard may still be missing then, and count from a moment later on.
    pub faultless: bool,
}

impl Report {
    /// Of guards that do not count.
    pub fn missing(why: NotInForce) -> Self {
        Self { guard: Guard::Missing(why), remarks: Vec::new(), sound: None, faultless: false }
    }
}

/// What should be known of the guards, and is no reason to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryRemark {
    /// Sight alone decides over a guard.
    BySight(BySight),
    /// A watch fails, so a change is noticed by the next round and no sooner; why.
    Late(String),
}

impl fmt::Display for CanaryRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BySight(by_sight) => write!(f, "{by_sight}"),
            Self::Late(why) => write!(f, "changes of guards are noticed late, by the rounds alone: {why}"),
        }
    }
}

/// Remarks as one line, if there are any.
pub fn in_one_line(remarks: &[CanaryRemark]) -> Option<String> {
    let all: Vec<String> = remarks.iter().map(CanaryRemark::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Writes to the log what is new in a report. `logged` is the guard that the log has last; what is too early to know is no
/// warning, and is told again as one when it stays so.
pub(super) fn log_change(report: &Report, last: &Report, early: bool, logged: &mut Option<Guard>) {
    match &report.guard {
        Guard::Missing(why) if early => {
            if last.guard != report.guard {
                info!("nothing is granted yet: {why}");
            }
        }
        guard if logged.as_ref() == Some(guard) => {}
        guard => {
            match guard {
                Guard::InForce(gaps) => info!(since = %gaps.since, gaps = gaps.between.len(), "the guard is in force"),
                Guard::Missing(why) => warn!("nothing new is granted: {why}"),
            }
            *logged = Some(guard.clone());
        }
    }
    if let Some(remark) = in_one_line(&report.remarks).filter(|_| last.remarks != report.remarks) {
        warn!("{remark}");
    }
}

pub(super) fn publish(reports: &watch::Sender<Report>, report: Report) {
    reports.send_if_modified(|last| {
        let changed = *last != report;
        *last = report;
        changed
    });
}
