//! Whether the controller works now: its lease, its clock, what its replicas say of themselves; and the caller's own clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::unknown;
use crate::cli::plugin::doctor::facts::{HealthFacts, Looked, ProbeSeen};
use crate::cli::plugin::doctor::finding::{CheckFinding, HealthCheck};
use crate::cli::plugin::doctor::marked::MarkedText;
use crate::runtime::judged_clock::{ClockReading, ClockState, LIMIT};
use crate::runtime::leader::{LeaseRecord, pod_of};

/// How long a lease holds that does not say so, as the chart has it.
const USUAL_LEASE: Duration = Duration::from_secs(15);
/// What the API server writes of a renewal, and its clock, are in whole seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
const NTP: &str = "run NTP on that machine";

pub(super) fn look_at_pods() -> MarkedText {
    let fix = MarkedText::of("look at its pods and their logs, in the namespace of Daypass: kubectl get pods").flags();
    fix.words(", kubectl logs").flags()
}

/// The clock of this machine against the API server's.
pub fn own_clock(clock: &ClockReading) -> CheckFinding {
    let check = HealthCheck::OwnClock;
    let by = clock.ahead.abs().as_secs();
    match clock.standing {
        ClockState::Right => check.ok("your clock agrees with the API server's"),
        ClockState::Unheard => check.found(
            crate::cli::plugin::doctor::finding::FindingLevel::Unknown,
            "the API server did not say what time it is there",
        ),
        ClockState::Ahead => {
            check.warning(MarkedText::of("your clock is ahead of the API server's by ").value(by).words(" s")).fix(NTP)
        }
        ClockState::Behind => {
            check.warning(MarkedText::of("your clock is behind the API server's by ").value(by).words(" s")).fix(NTP)
        }
    }
}

/// When the API server stored the last renewal, by its own clock.
fn stored_at(lease: &Lease) -> Option<Timestamp> {
    let renews = |fields: &serde_json::Value| !fields["f:spec"]["f:renewTime"].is_null();
    let entries = lease.metadata.managed_fields.iter().flatten();
    let renewals = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| renews(&fields.0)));
    renewals.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// Which replica leads, whether it still does, and what time it thinks it is.
pub fn leader(lease: &Looked<Option<Lease>>, now: Timestamp) -> Vec<CheckFinding> {
    let check = HealthCheck::Leader;
    let lease = match lease {
        Ok(lease) => lease.as_ref(),
        Err(unread) => return vec![check.unknown(unread), HealthCheck::ControllerClock.unknown(unread)],
    };
    let record = LeaseRecord::of(lease);
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    let claimed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
    let stored = lease.and_then(stored_at).or(claimed);
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let lasts = SignedDuration::try_from(lasts.map_or(USUAL_LEASE, Duration::from_secs)).unwrap_or(SECOND);
    let age = stored.map_or(SignedDuration::MAX, |stored| now.duration_since(stored));
    let error = |text: MarkedText| check.error(text).fix(look_at_pods());
    let ago = |text: MarkedText| text.words(", ").value(age.as_secs().max(0)).words(" s ago");
    let leads = match record {
        LeaseRecord::Absent => error("there is no Lease, so no replica has ever led".into()),
        LeaseRecord::Held { by, .. } if age > lasts + SECOND => {
            error(ago(MarkedText::of("nobody leads: ").object(pod_of(&by)).words(" renewed the Lease last")))
        }
        LeaseRecord::Held { by, settled: true } => {
            check.ok(MarkedText::default().object(pod_of(&by)).words(" leads, and renews the Lease"))
        }
        LeaseRecord::Held { by, .. } => {
            check.note(MarkedText::default().object(pod_of(&by)).words(" is about to lead"))
        }
        LeaseRecord::GivenBack(by) if age > lasts + SECOND => {
            error(ago(MarkedText::of("nobody leads: ").object(pod_of(&by)).words(" gave the Lease back")))
        }
        LeaseRecord::GivenBack(by) => {
            check.note(MarkedText::default().object(pod_of(&by)).words(" has just given the Lease back"))
        }
        LeaseRecord::Strange(what) => error(MarkedText::of("nobody leads: ").said(what)),
    };
    let clock = claimed.zip(lease.and_then(stored_at)).map(|(claimed, stored)| controller_clock(claimed, stored));
    std::iter::once(leads).chain(clock).collect()
}

/// A renewal has the time of the controller's clock, and the API server notes when it stored it.
fn controller_clock(claimed: Timestamp, stored: Timestamp) -> CheckFinding {
    let check = HealthCheck::ControllerClock;
    let ahead = claimed.duration_since(stored);
    let by = ahead.abs().as_secs();
    let text = |how: &'static str| MarkedText::of("the clock of the replica that leads is ").value(by).words(how);
    if ahead.abs() <= LIMIT {
        check.ok("the clock of the replica that leads agrees with the API server's")
    } else if ahead.is_positive() {
        check.error(text(" s ahead of the API server's, so nothing new is granted")).fix(NTP)
    } else {
        check.error(text(" s behind the API server's, so nothing new is granted")).fix(NTP)
    }
}

/// What replicas say of themselves.
pub fn probes(facts: &HealthFacts) -> Vec<CheckFinding> {
    let check = HealthCheck::Readiness;
    if let Some(unread) = unknown(check, &facts.pods) {
        return vec![unread, HealthCheck::Metrics.unknown_as(&facts.pods)];
    }
    if facts.probes.is_empty() {
        return vec![check.error("no pod of the controller runs").fix(look_at_pods())];
    }
    facts.probes.iter().flat_map(|probe| [readiness(probe), metrics(probe)]).collect()
}

impl HealthCheck {
    fn unknown_as<T>(self, looked: &Looked<T>) -> CheckFinding {
        unknown(self, looked).unwrap_or_else(|| self.ok(""))
    }
}

fn readiness(probe: &ProbeSeen) -> CheckFinding {
    let check = HealthCheck::Readiness;
    let finding = match &probe.readiness {
        Err(unread) => check.unknown(unread),
        Ok((200, text)) => check.ok(MarkedText::of("ready: ").said(text.trim())),
        Ok((status, text)) => check
            .error(MarkedText::of("not ready (").value(status).words("): ").said(text.trim()))
            .fix("what it waits for is named; charts/daypass/README.md says what each means"),
    };
    finding.of(MarkedText::default().object(&probe.pod))
}

fn metrics(probe: &ProbeSeen) -> CheckFinding {
    let check = HealthCheck::Metrics;
    let finding = match &probe.metrics {
        Err(unread) => check.unknown(unread),
        Ok((200, text)) => match (figure(text, "daypass_live_grants"), figure(text, "daypass_overdue_grants")) {
            (Some(live), Some(overdue)) if overdue > 0.0 => check
                .error(MarkedText::of("grants that run: ").value(live).words(", and that are overdue: ").value(overdue))
                .fix("see why bindings cannot be deleted: Events Hindered of requests, and the log of the replica that leads"),
            (Some(live), Some(_)) => check.ok(MarkedText::of("figures can be read; grants that run: ").value(live)),
            _ => check.warning("it serves figures of something else").fix(look_at_pods()),
        },
        Ok((status, _)) => check.warning(MarkedText::of("figures cannot be read: status ").value(status)).fix(look_at_pods()),
    };
    finding.of(MarkedText::default().object(&probe.pod))
}

/// A figure without labels.
pub(super) fn figure(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::finding::FindingLevel::{self, Error, Note, Ok as Good, Warning};
    use crate::core::laws::fixtures::noon;
    use serde_json::{Value, json};

    fn held(renewed: Timestamp, stored: Timestamp, more: Value) -> Lease {
        let micro = |at: Timestamp| format!("{at:.6}");
        let mut lease = json!({
            "metadata": { "name": "daypass", "managedFields": [{
                "manager": "daypass", "operation": "Update", "time": stored.to_string(),
                "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:renewTime": {} } }
            }] },
            "spec": { "holderIdentity": "daypass-0_0123456789abcdef", "leaseDurationSeconds": 15,
                "acquireTime": micro(noon()), "renewTime": micro(renewed) }
        });
        for (key, value) in more.as_object().unwrap() {
            lease["spec"][key] = value.clone();
        }
        serde_json::from_value(lease).unwrap()
    }

    fn levels(lease: Option<Lease>, now: Timestamp) -> Vec<FindingLevel> {
        leader(&Ok(lease), now).into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_leader_is_one_that_renews_and_its_clock_is_told_by_its_renewals() {
        let at = |seconds: i64| noon() + SignedDuration::from_secs(seconds);
        let lease = |renewed, stored, more| Some(held(at(renewed), at(stored), more));
        for (lease, now, expected) in [
            (lease(0, 0, json!({})), 3, vec![Good, Good]),
            (lease(0, 0, json!({})), 16, vec![Good, Good]),
            (lease(0, 0, json!({})), 17, vec![Error, Good]),
            // The clock of the controller says nothing about how long ago it was.
            (lease(60, 0, json!({})), 20, vec![Error, Error]),
            (lease(-60, 0, json!({})), 3, vec![Good, Error]),
            (lease(0, 0, json!({ "leaseDurationSeconds": 60 })), 50, vec![Good, Good]),
            (lease(0, 0, json!({ "acquireTime": null })), 3, vec![Note, Good]),
            (lease(0, 0, json!({ "holderIdentity": "mallory" })), 3, vec![Error, Good]),
            (None, 3, vec![Error]),
        ] {
            assert_eq!(levels(lease.clone(), at(now)), expected, "{lease:?} at {now}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_said() {
        let reading = |standing| ClockReading {
            now: noon(),
            own: noon(),
            standing,
            ahead: SignedDuration::from_secs(-9),
            contradicted: false,
        };
        assert_eq!(own_clock(&reading(ClockState::Right)).level, Good);
        assert_eq!(own_clock(&reading(ClockState::Behind)).level, Warning);
        assert_eq!(own_clock(&reading(ClockState::Ahead)).level, Warning);
        assert_eq!(own_clock(&reading(ClockState::Unheard)).level, FindingLevel::Unknown);
    }

    #[test]
    fn a_replica_says_itself_what_it_lacks() {
        let probe = |status, overdue: &str| ProbeSeen {
            pod: "daypass-0".to_owned(),
            readiness: Ok((status, "waiting for: guard\n".to_owned())),
            metrics: Ok((200, format!("daypass_live_grants 3\ndaypass_overdue_grants {overdue}\n"))),
        };
        assert_eq!((readiness(&probe(200, "0")).level, metrics(&probe(200, "0")).level), (Good, Good));
        assert_eq!((readiness(&probe(503, "2")).level, metrics(&probe(503, "2")).level), (Error, Error));
        let other = ProbeSeen { metrics: Ok((200, "up 1\n".to_owned())), ..probe(200, "0") };
        assert_eq!(metrics(&other).level, Warning);
    }
}
