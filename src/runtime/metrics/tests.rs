use super::stages::StageOutcome;
use super::*;

fn lines(metrics: &Metrics, about: &str) -> Vec<String> {
    let text = metrics.text().unwrap();
    assert!(text.ends_with("# EOF\n"));
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.contains(&format!("daypass_{about}"))).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn all_that_can_be_said_of_the_guard() {
    let metrics = Metrics::default();
    let handle = metrics.clone();
    handle.guard_tried(RoundOutcome::CannotTry);
    handle.guard_tried(RoundOutcome::Sound);
    handle.guard_tried(RoundOutcome::Sound);
    handle.guard_in_force(true);
    let expected = [
        "# HELP daypass_guard_in_force 1 while every guard is in force as far as is known; at 0 nothing new is granted.",
        "# HELP daypass_guard_tries Rounds of trying every guard, by what came of it.",
        "# TYPE daypass_guard_in_force gauge",
        "# TYPE daypass_guard_tries counter",
        "daypass_guard_in_force 1",
        r#"daypass_guard_tries_total{result="cannot_try"} 1"#,
        r#"daypass_guard_tries_total{result="missing"} 0"#,
        r#"daypass_guard_tries_total{result="sound"} 2"#,
    ];
    assert_eq!(lines(&metrics, "guard"), expected);
    handle.guard_in_force(false);
    assert!(metrics.text().unwrap().contains("daypass_guard_in_force 0\n"));
}

#[test]
fn what_can_be_counted_is_counted_anew_each_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (metrics, n) = (Metrics::default(), Arc::new(AtomicUsize::new(3)));
    let seen = n.clone();
    metrics.count_with(move || Gauges {
        leads: true,
        requests: vec![("Active", seen.load(Ordering::SeqCst))],
        live_grants: 4,
        overdue_grants: 5,
        foreign_bindings: 7,
        queue_depth: 6,
        clock_ahead: SignedDuration::from_millis(-7_500),
        records: RecordsBehind { waiting: 8, oldest: Duration::from_secs(9), stuck: 1, servers: 3, servers_heard: 2 },
        policies: None,
    });
    assert!(lines(&metrics, "requests").contains(&r#"daypass_requests{state="Active"} 3"#.to_owned()));
    n.store(0, Ordering::SeqCst);
    assert!(lines(&metrics, "requests").contains(&r#"daypass_requests{state="Active"} 0"#.to_owned()));
    let sample = |figure: &str| lines(&metrics, figure).last().cloned().unwrap();
    assert_eq!(sample("leader"), "daypass_leader 1");
    assert_eq!(sample("live_grants"), "daypass_live_grants 4");
    assert_eq!(sample("overdue_grants"), "daypass_overdue_grants 5");
    assert_eq!(sample("foreign_bindings"), "daypass_foreign_bindings 7");
    assert_eq!(sample("queue_depth"), "daypass_queue_depth 6");
    assert_eq!(sample("unrecorded_requests"), "daypass_unrecorded_requests 8");
    assert_eq!(sample("oldest_unrecorded_seconds"), "daypass_oldest_unrecorded_seconds 9");
    assert_eq!(sample("unrecordable_requests"), "daypass_unrecordable_requests 1");
    assert!(lines(&metrics, "api_servers").contains(&"daypass_api_servers 3".to_owned()));
    assert_eq!(sample("api_servers_heard"), "daypass_api_servers_heard 2");
    assert_eq!(sample("clock_difference_seconds"), "daypass_clock_difference_seconds -7.5");
}

#[test]
fn what_is_told_is_added_up() {
    let metrics = Metrics::default();
    metrics.may_decide(["Granted", "Denied"]);
    metrics.decided("Granted");
    metrics.called("get", Some(200));
    metrics.called("patch", None);
    metrics.pass_failed("api");
    metrics.granted(Duration::from_millis(15));
    metrics.ended(Duration::from_secs(3));
    metrics.revoked(Duration::from_secs(400));
    let text = metrics.text().unwrap();
    for line in [
        r#"daypass_decisions_total{reason="Granted"} 1"#,
        r#"daypass_decisions_total{reason="Denied"} 0"#,
        r#"daypass_api_calls_total{verb="get",code="200"} 1"#,
        r#"daypass_api_calls_total{verb="patch",code="none"} 1"#,
        r#"daypass_pass_errors_total{kind="api"} 1"#,
        r#"daypass_grant_seconds_bucket{le="0.01"} 0"#,
        r#"daypass_grant_seconds_bucket{le="0.02"} 1"#,
        "daypass_revoke_lateness_seconds_sum 3.0",
        r#"daypass_revoke_seconds_bucket{le="300.0"} 0"#,
        "daypass_revoke_seconds_count 1",
        concat!(r#"daypass_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(text.lines().any(|sample| sample == line), "{line} is not in {text}");
    }
}

#[test]
fn a_stage_is_shown_until_its_policy_is_gone() {
    use std::sync::Mutex;
    let (metrics, policies) = (Metrics::default(), Arc::new(Mutex::new(None)));
    let seen = policies.clone();
    metrics.count_with(move || Gauges { policies: seen.lock().unwrap().clone(), ..Gauges::default() });
    metrics.stages.decided("shop", "leads", StageOutcome::Approved, Duration::from_secs(90));
    metrics.stages.decided("shop", "leads", StageOutcome::Approved, Duration::from_secs(3 * 86_400 + 1));
    metrics.stages.decided("shop", "leads", StageOutcome::Denied, Duration::from_secs(59));
    metrics.stages.decided("bank", "sre", StageOutcome::Lapsed, Duration::from_secs(7 * 86_400));
    let samples = || -> Vec<String> {
        let shown = lines(&metrics, "stage_decision_seconds");
        shown.into_iter().filter(|line| !line.starts_with('#')).collect()
    };
    let all = samples();
    for line in [
        r#"daypass_stage_decision_seconds_bucket{le="60.0",policy="shop",stage="leads",outcome="approved"} 0"#,
        r#"daypass_stage_decision_seconds_bucket{le="300.0",policy="shop",stage="leads",outcome="approved"} 1"#,
        r#"daypass_stage_decision_seconds_bucket{le="259200.0",policy="shop",stage="leads",outcome="approved"} 1"#,
        r#"daypass_stage_decision_seconds_count{policy="shop",stage="leads",outcome="approved"} 2"#,
        r#"daypass_stage_decision_seconds_bucket{le="60.0",policy="shop",stage="leads",outcome="denied"} 1"#,
        r#"daypass_stage_decision_seconds_bucket{le="604800.0",policy="bank",stage="sre",outcome="lapsed"} 1"#,
        r#"daypass_stage_decision_seconds_sum{policy="bank",stage="sre",outcome="lapsed"} 604800.0"#,
    ] {
        assert!(all.iter().any(|sample| sample == line), "{line} is not in {all:#?}");
    }
    *policies.lock().unwrap() = Some(BTreeSet::from(["bank".to_owned()]));
    let left = samples();
    let of_bank: Vec<String> = all.into_iter().filter(|sample| sample.contains(r#"policy="bank""#)).collect();
    assert_eq!(left, of_bank);
    // One that comes back begins anew.
    metrics.stages.decided("shop", "leads", StageOutcome::Approved, Duration::from_secs(1));
    *policies.lock().unwrap() = Some(BTreeSet::from(["shop".to_owned()]));
    let count = r#"daypass_stage_decision_seconds_count{policy="shop",stage="leads",outcome="approved"} 1"#;
    assert!(samples().iter().any(|sample| sample == count), "{:#?}", samples());
}
