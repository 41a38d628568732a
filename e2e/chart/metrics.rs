//! Alerts and dashboard of the chart ask for metrics that there are, and show all of them.
//!
//! Owns the list of what `/metrics` has, as users of the chart know it.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use serde_json::Value;

use super::folder;

/// What /metrics has: names, and `_bucket`, `_sum` and `_count` of histograms.
pub const METRICS: [&str; 24] = [
    "daypass_requests",
    "daypass_decisions_total",
    "daypass_live_grants",
    "daypass_overdue_grants",
    "daypass_foreign_bindings",
    "daypass_guard_in_force",
    "daypass_guard_sound",
    "daypass_guard_tries_total",
    "daypass_queue_depth",
    "daypass_clock_difference_seconds",
    "daypass_api_calls_total",
    "daypass_pass_errors_total",
    "daypass_cloud_events_total",
    "daypass_unrecorded_requests",
    "daypass_oldest_unrecorded_seconds",
    "daypass_unrecordable_requests",
    "daypass_record_failures_total",
    "daypass_lost_texts_total",
    "daypass_removed_requests_total",
    "daypass_api_servers",
    "daypass_api_servers_heard",
    "daypass_findings",
    "daypass_leader",
    "daypass_build_info",
];
pub const HISTOGRAMS: [&str; 5] = [
    "daypass_grant_seconds",
    "daypass_revoke_lateness_seconds",
    "daypass_revoke_seconds",
    "daypass_record_seconds",
    "daypass_stage_decision_seconds",
];

/// What /metrics of the notifier has, in the same way.
pub const OF_NOTIFIER: [&str; 6] = [
    "daypass_notify_told_total",
    "daypass_notify_failures_total",
    "daypass_notify_dead_total",
    "daypass_notify_waiting",
    "daypass_notify_oldest_waiting_seconds",
    "daypass_notify_state_bytes",
];
pub const HISTOGRAM_OF_NOTIFIER: &str = "daypass_notify_delay_seconds";

/// What the archive and the tail tell of audit events. The chart asks for none of them: they run beside it or elsewhere.
pub const OF_FEEDS: [&str; 10] = [
    "daypass_archive_audit_feed_events_total",
    "daypass_archive_audit_feed_unreadable_total",
    "daypass_archive_audit_shut_out_total",
    "daypass_tail_events_total",
    "daypass_tail_behind_bytes",
    "daypass_tail_caught_up_timestamp_seconds",
    "daypass_tail_gaps_total",
    "daypass_tail_failures_total",
    "daypass_tail_lines_too_long_total",
    "daypass_tail_files_finished_total",
];

/// What /metrics of the archive has of its log, of audit events and of review campaigns.
pub const OF_ARCHIVE: [&str; 10] = [
    "daypass_archive_log_size",
    "daypass_archive_log_signed_timestamp_seconds",
    "daypass_archive_log_held_timestamp_seconds",
    "daypass_archive_audit_events_total",
    "daypass_archive_audit_calls_total",
    "daypass_archive_audit_heard_timestamp_seconds",
    "daypass_archive_audit_lag_seconds",
    "daypass_archive_unexplained_writes_total",
    "daypass_archive_campaigns_open",
    "daypass_archive_campaign_items_overdue",
];

/// What Prometheus is asked for them: the histograms by their parts.
fn series() -> BTreeSet<String> {
    let histograms = HISTOGRAMS.iter().chain([&HISTOGRAM_OF_NOTIFIER]);
    let parts = histograms.flat_map(|name| ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
    METRICS.iter().chain(&OF_NOTIFIER).chain(&OF_ARCHIVE).map(|name| (*name).to_owned()).chain(parts).collect()
}

/// The expressions of a file of the chart. JSON is YAML.
fn expressions(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join("files").join(file)).expect("read the chart");
    let value: Value = serde_saphyr::from_str(&text).expect("YAML");
    let mut expressions = Vec::new();
    collect(&value, &mut expressions);
    expressions
}

/// What an expression asks for.
fn asked_for(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("daypass_"))
}

/// Each expression of alerts and dashboard names metrics that there are. Their syntax is looked at by brackets and quotes
/// only: there is no PromQL parser among the dependencies.
pub fn asks_for_known_metrics() -> Result<(), Failed> {
    let (known, mut faults) = (series(), Vec::new());
    for expression in ["alerts.yaml", "dashboard.json"].into_iter().flat_map(expressions) {
        if asked_for(&expression).next().is_none() || !balanced(&expression) {
            faults.push(format!("no metric, or brackets and quotes that do not match: {expression}"));
        }
        let unknown = asked_for(&expression).filter(|name| !known.contains(*name));
        faults.extend(unknown.map(|name| format!("no metric {name}: {expression}")));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// Each metric is on the dashboard, also one that an alert asks for: whom the alert wakes looks there how it came to be.
pub fn every_metric_has_a_panel() -> Result<(), Failed> {
    let panels = expressions("dashboard.json");
    let shown: BTreeSet<String> = panels.iter().flat_map(|panel| asked_for(panel)).map(str::to_owned).collect();
    let missing: Vec<String> = series().difference(&shown).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no panel shows {}", missing.join(", ")).into()) }
}

/// Every text under a key `expr`, at any depth.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            expressions.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, expressions));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, expressions)),
        _ => {}
    }
}

fn balanced(expression: &str) -> bool {
    let (mut open, mut quoted) = (Vec::new(), false);
    for letter in expression.chars() {
        match letter {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(letter) => return false,
            _ => {}
        }
    }
    open.is_empty() && !quoted
}
