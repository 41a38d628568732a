//! What the process tells Prometheus: the names, the labels and the text. Measures nothing by itself and decides
//! nothing; those who know a figure hold a handle and tell it, and what can be counted at any time is asked for when it
//! is wanted. Labels are closed sets, but for the policies and stages of [`stages`]: no name of a user, a request or a
//! namespace becomes one.

pub mod findings;
pub mod records;
pub mod stages;

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Formatter, Write};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::findings::FindingFigures;
use self::records::{RecordFigures, RecordsBehind};
use self::stages::StageDecisions;

/// What [`Metrics::text`] is served as.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of what is measured in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A handle on the figures of this process; clones tell and show the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    guard_in_force: Gauge,
    guards: Family<GuardLabels, Gauge>,
    guard_tries: Family<TryLabels, Counter>,
    leader: Gauge,
    requests: Family<StateLabels, Gauge>,
    live_grants: Gauge,
    overdue_grants: Gauge,
    foreign_bindings: Gauge,
    queue_depth: Gauge,
    clock_difference: Gauge<f64, AtomicU64>,
    decisions: Family<ReasonLabels, Counter>,
    grant: Histogram,
    lateness: Histogram,
    revoke: Histogram,
    pass_errors: Family<KindLabels, Counter>,
    api_calls: Family<CallLabels, Counter>,
    cloud_events: Family<SentLabels, Counter>,
    /// Of the delivery of records.
    pub records: RecordFigures,
    /// Of approval stages.
    pub stages: StageDecisions,
    /// Of findings.
    pub findings: FindingFigures,
    count: Arc<OnceLock<CountGauges>>,
}

type CountGauges = Box<dyn Fn() -> Gauges + Send + Sync>;

/// What is counted when it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Whether this replica leads.
    pub leads: bool,
    /// How many requests are in each state.
    pub requests: Vec<(&'static str, usize)>,
    /// How many grants run.
    pub live_grants: usize,
    /// How many are past their end, or have no request any more, and are still bound.
    pub overdue_grants: usize,
    /// How many bindings carry our label and name no request.
    pub foreign_bindings: usize,
    /// How many requests and policies wait for a pass.
    pub queue_depth: usize,
    /// By how much the clock of this process is ahead of the API server's at least, negative when behind.
    pub clock_ahead: SignedDuration,
    /// How far the archive is behind.
    pub records: RecordsBehind,
    /// Names of the policies that there are; none while that is not known.
    pub policies: Option<BTreeSet<String>>,
}

/// What came of trying the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoundOutcome {
    /// Every guard is in force.
    Sound,
    Missing,
    /// The try said nothing.
    CannotTry,
}

impl RoundOutcome {
    const ALL: [Self; 3] = [Self::Sound, Self::Missing, Self::CannotTry];
}

/// What came of a CloudEvent, or of one call with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudEventOutcome {
    /// The receiver has it.
    Delivered,
    /// A call failed, and is made again.
    Failed,
    /// The receiver says that it will never take it.
    Refused,
    /// Too many waited already.
    Dropped,
}

impl CloudEventOutcome {
    const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::Refused, Self::Dropped];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SentLabels {
    result: CloudEventOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GuardLabels {
    guard: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    result: RoundOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    verb: &'static str,
    code: String,
}

impl EncodeLabelValue for RoundOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Sound => "sound",
            Self::Missing => "missing",
            Self::CannotTry => "cannot_try",
        })
    }
}

impl EncodeLabelValue for CloudEventOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        })
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Arc::default(),
            guard_in_force: Gauge::default(),
            guards: Family::default(),
            guard_tries: Family::default(),
            leader: Gauge::default(),
            requests: Family::default(),
            live_grants: Gauge::default(),
            overdue_grants: Gauge::default(),
            foreign_bindings: Gauge::default(),
            queue_depth: Gauge::default(),
            clock_difference: Gauge::default(),
            decisions: Family::default(),
            grant: histogram(),
            lateness: histogram(),
            revoke: histogram(),
            pass_errors: Family::default(),
            api_calls: Family::default(),
            cloud_events: Family::default(),
            records: RecordFigures::default(),
            stages: StageDecisions::default(),
            findings: FindingFigures::default(),
            count: Arc::default(),
        };
        // A counter that first appears with its first event has no increase to alert on.
        for result in RoundOutcome::ALL {
            metrics.guard_tries.get_or_create(&TryLabels { result }).inc_by(0);
        }
        for result in CloudEventOutcome::ALL {
            metrics.cloud_events.get_or_create(&SentLabels { result }).inc_by(0);
        }
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        // Without `..`, so that a figure that is not registered below is an unused variable.
        let Self {
            registry: _,
            guard_in_force,
            guards,
            guard_tries,
            leader,
            requests,
            live_grants,
            overdue_grants,
            foreign_bindings,
            queue_depth,
            clock_difference,
            decisions,
            grant,
            lateness,
            revoke,
            pass_errors,
            api_calls,
            cloud_events,
            records,
            stages,
            findings,
            count: _,
        } = self;
        let mut r = Registry::with_prefix("daypass");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "What runs", version);
        let help = "1 while every guard is in force as far as is known; at 0 nothing new is granted";
        r.register("guard_in_force", help, guard_in_force.clone());
        let help = "1 while this guard is what the chart made and lets nothing pass, 0 while it is not";
        r.register("guard_sound", help, guards.clone());
        r.register("guard_tries", "Rounds of trying every guard, by what came of it", guard_tries.clone());
        r.register("leader", "1 while this replica leads and writes, 0 while it stands by", leader.clone());
        r.register("requests", "Requests that are stored, by state", requests.clone());
        r.register("live_grants", "Grants that run", live_grants.clone());
        let help = "Grants past their end, or without a request, that are still bound; not 0 for long means trouble";
        r.register("overdue_grants", help, overdue_grants.clone());
        let help =
            "Bindings with the label of Daypass's and no request; Daypass did not make them and leaves them alone";
        r.register("foreign_bindings", help, foreign_bindings.clone());
        r.register("queue_depth", "Requests and policies that wait for a pass", queue_depth.clone());
        let help = "Seconds by which the clock of this process is ahead of the API server's at least, negative when behind; \
                    beyond 5 nothing new is granted";
        r.register("clock_difference_seconds", help, clock_difference.clone());
        let help = "Entries that this replica has added to the history of requests, by their word";
        r.register("decisions", help, decisions.clone());
        let help = "Seconds from a request's arrival, or its due start, to its last binding, where nobody was asked";
        r.register("grant_seconds", help, grant.clone());
        let help = "Seconds from the stated end of a grant to the removal of its last binding";
        r.register("revoke_lateness_seconds", help, lateness.clone());
        let help = "Seconds from the begin of the pass that ended a grant early to the removal of its last binding";
        r.register("revoke_seconds", help, revoke.clone());
        r.register("pass_errors", "Passes that failed and are tried again, by kind of error", pass_errors.clone());
        let help = "Calls that the API server has answered, by verb and HTTP status; none where no answer came";
        r.register("api_calls", help, api_calls.clone());
        let help = "CloudEvents of records, by what came of them; failed are calls that are made again";
        r.register("cloud_events", help, cloud_events.clone());
        records.register(&mut r);
        stages.register(&mut r);
        findings.register(&mut r);
        r
    }

    /// Whether the guard is in force as far as decisions care.
    pub fn guard_in_force(&self, in_force: bool) {
        self.guard_in_force.set(i64::from(in_force));
    }

    /// Which guards are in force, by name: those of the chart, a dozen.
    pub fn guards_proven<'a>(&self, guards: impl IntoIterator<Item = (&'a str, bool)>) {
        for (guard, sound) in guards {
            self.guards.get_or_create(&GuardLabels { guard: guard.to_owned() }).set(i64::from(sound));
        }
    }

    /// The guard was tried once more.
    pub fn guard_tried(&self, result: RoundOutcome) {
        self.guard_tries.get_or_create(&TryLabels { result }).inc();
    }

    /// Something was decided, in the word that history has for it. Nobody but the controller writes history.
    pub fn decided(&self, reason: &str) {
        self.decisions.get_or_create(&ReasonLabels { reason: reason.to_owned() }).inc();
    }

    /// These words may be decided; they are shown as 0 until they are.
    pub fn may_decide(&self, reasons: impl IntoIterator<Item = &'static str>) {
        for reason in reasons {
            self.decisions.get_or_create(&ReasonLabels { reason: reason.to_owned() }).inc_by(0);
        }
    }

    /// A grant that nobody had to be asked for took that long.
    pub fn granted(&self, took: Duration) {
        self.grant.observe(took.as_secs_f64());
    }

    /// A grant ended that long after its stated end.
    pub fn ended(&self, late: Duration) {
        self.lateness.observe(late.as_secs_f64());
    }

    /// To end a grant early took that long.
    pub fn revoked(&self, took: Duration) {
        self.revoke.observe(took.as_secs_f64());
    }

    /// Passes may fail with errors of these kinds; they are shown as 0 until they do.
    pub fn may_fail(&self, kinds: impl IntoIterator<Item = &'static str>) {
        for kind in kinds {
            self.pass_errors.get_or_create(&KindLabels { kind }).inc_by(0);
        }
    }

    /// A pass failed.
    pub fn pass_failed(&self, kind: &'static str) {
        self.pass_errors.get_or_create(&KindLabels { kind }).inc();
    }

    /// A call of the API server came back with this HTTP status, or without any.
    pub fn called(&self, verb: &'static str, code: Option<u16>) {
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.api_calls.get_or_create(&CallLabels { verb, code }).inc();
    }

    /// That came of a CloudEvent.
    pub fn cloud_event(&self, result: CloudEventOutcome) {
        self.cloud_events.get_or_create(&SentLabels { result }).inc();
    }

    /// From now on this is asked for what can be counted at any time. Only the first time counts.
    pub fn count_with(&self, count: impl Fn() -> Gauges + Send + Sync + 'static) {
        let _ = self.count.set(Box::new(count));
    }

    /// All of it as OpenMetrics text.
    ///
    /// # Errors
    /// When a figure cannot be written as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        if let Some(count) = self.count.get() {
            self.show(count());
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn show(&self, counted: Gauges) {
        self.leader.set(i64::from(counted.leads));
        for (state, n) in counted.requests {
            self.requests.get_or_create(&StateLabels { state }).set(number(n));
        }
        self.live_grants.set(number(counted.live_grants));
        self.overdue_grants.set(number(counted.overdue_grants));
        self.foreign_bindings.set(number(counted.foreign_bindings));
        self.queue_depth.set(number(counted.queue_depth));
        self.clock_difference.set(counted.clock_ahead.as_secs_f64());
        self.records.show(counted.records);
        if let Some(policies) = &counted.policies {
            self.stages.keep(policies);
        }
    }
}

/// A count as a gauge has it.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
