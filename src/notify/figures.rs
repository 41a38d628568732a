//! What the notifier tells Prometheus. Routes are the only label: there are few, and an admin names them.

use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of how late a notice is, in seconds.
const DELAYS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0];

/// A handle on the figures; clones share them.
#[derive(Clone)]
pub struct NoticeFigures {
    registry: Arc<Registry>,
    told: Family<RouteLabel, Counter>,
    failed: Family<RouteLabel, Counter>,
    dead: Family<RouteLabel, Counter>,
    waiting: Family<RouteLabel, Gauge>,
    oldest: Family<RouteLabel, Gauge>,
    delay: Histogram,
    state: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

impl RouteLabel {
    fn of(route: &str) -> Self {
        Self { route: route.to_owned() }
    }
}

impl Default for NoticeFigures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("daypass_notify");
        let [told, failed, dead] = [(); 3].map(|()| Family::<RouteLabel, Counter>::default());
        let [waiting, oldest] = [(); 2].map(|()| Family::<RouteLabel, Gauge>::default());
        let (delay, state) = (Histogram::new(DELAYS), Gauge::default());
        registry.register("told", "Notices that a place took", told.clone());
        registry.register(
            "failures",
            "Notices that a place did not take, each time that one was tried",
            failed.clone(),
        );
        registry.register("dead", "Notices that are not tried any more; the last are in the ConfigMap", dead.clone());
        registry.register("waiting", "Requests of which a notice waits to be told", waiting.clone());
        let help = "Time since the first of what waits happened";
        registry.register("oldest_waiting_seconds", help, oldest.clone());
        registry.register("delay_seconds", "Time from what happened until a place took the notice", delay.clone());
        registry.register(
            "state_bytes",
            "Size of what is kept of what was told; a ConfigMap holds 1 MiB",
            state.clone(),
        );
        Self { registry: Arc::new(registry), told, failed, dead, waiting, oldest, delay, state }
    }
}

impl NoticeFigures {
    /// There is a route, of which nothing has happened yet: a figure that is missing is no zero.
    pub fn begin(&self, route: &str) {
        let label = RouteLabel::of(route);
        for counter in [&self.told, &self.failed, &self.dead] {
            drop(counter.get_or_create(&label));
        }
    }

    /// A place took a notice of something that happened at that time.
    pub fn told(&self, route: &str, happened: Timestamp, now: Timestamp) {
        self.told.get_or_create(&RouteLabel::of(route)).inc();
        self.delay.observe(now.duration_since(happened).max(SignedDuration::ZERO).as_secs_f64());
    }

    /// A place did not take one.
    pub fn failed(&self, route: &str) {
        self.failed.get_or_create(&RouteLabel::of(route)).inc();
    }

    /// One is not tried any more.
    pub fn dead(&self, route: &str) {
        self.dead.get_or_create(&RouteLabel::of(route)).inc();
    }

    /// Of so many requests something waits, the first of which happened at that time.
    pub fn waiting(&self, route: &str, requests: usize, oldest: Option<Timestamp>, now: Timestamp) {
        let label = RouteLabel::of(route);
        self.waiting.get_or_create(&label).set(i64::try_from(requests).unwrap_or(i64::MAX));
        let age = oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0));
        self.oldest.get_or_create(&label).set(age);
    }

    /// So many bytes are kept of what was told.
    pub fn state(&self, bytes: usize) {
        self.state.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// As OpenMetrics.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
