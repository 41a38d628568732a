use super::*;
use crate::core::notice::{NoticeEvent, NoticedRequest};

fn config(text: &str) -> Result<NotifySettings, BadRoutes> {
    let config: NotifyConfig =
        serde_saphyr::from_str(text).map_err(|e| BadRoutes::Unread(String::new(), e.to_string()))?;
    config.settings()
}

fn route(more: &str) -> Result<NotifySettings, BadRoutes> {
    config(&format!("routes:\n- name: platform\n  teams: {{urlFile: /secrets/teams}}\n{more}"))
}

fn notice(event: NoticeEvent) -> Notice {
    let request = NoticedRequest {
        namespace: "shop".to_owned(),
        policy: Some("edit-shop".to_owned()),
        risk: Some(RiskLevel::High.into()),
        ..NoticedRequest::default()
    };
    let at = "2026-11-23T12:00:00Z".parse().unwrap();
    Notice { id: "u/0".to_owned(), event, at, request, automatic: false, by: None, comment: None, message: None }
}

#[test]
fn what_breaks_a_rule_is_told_by_its_field() {
    for (text, field) in [
        ("routes: []", "routes"),
        ("link: http://page\nroutes: []", "link"),
        ("endsSoon: soon\nroutes: []", "endsSoon"),
        ("reviewDue: -1h\nroutes: []", "reviewDue"),
        ("giveUpAfter: 1x\nroutes: []", "giveUpAfter"),
        ("routes:\n- name: a", "routes[0]"),
        ("routes:\n- name: A\n  teams: {urlFile: x}", "routes[0].name"),
        ("routes:\n- name: a\n  teams: {urlFile: x}\n- name: a\n  teams: {urlFile: x}", "routes[1].name"),
        ("routes:\n- name: a\n  events: []\n  teams: {urlFile: x}", "routes[0].events"),
        ("routes:\n- name: a\n  teams: {urlFile: x}\n  slack: {channel: C, tokenFile: x}", "routes[0]"),
    ] {
        let Err(BadRoutes::Field { field: told, .. }) = config(text) else { panic!("{text}: {:?}", config(text)) };
        assert_eq!(told, field, "{text}");
    }
    for text in
        ["routes:\n- name: a\n  chat: {}", "rotes: []", "routes:\n- name: a\n  events: [Wait]\n  teams: {urlFile: x}"]
    {
        assert!(matches!(config(text), Err(BadRoutes::Unread(..))), "{text}");
    }
}

#[test]
fn a_route_carries_what_it_names_and_no_more() {
    for (more, event, carried) in [
        ("", NoticeEvent::Waits, true),
        ("", NoticeEvent::Denied, true),
        ("", NoticeEvent::Expired, false),
        ("", NoticeEvent::GuardMissing, false),
        ("  events: [Ended]", NoticeEvent::Revoked, true),
        ("  events: [Ended]", NoticeEvent::Waits, false),
        ("  events: [GuardMissing]\n  namespaces: [bank]\n  minRisk: Critical", NoticeEvent::GuardMissing, true),
        ("  namespaces: [sh*]", NoticeEvent::Waits, true),
        ("  namespaces: [bank, yard]", NoticeEvent::Waits, false),
        ("  policies: ['edit-*']", NoticeEvent::Waits, true),
        ("  policies: [edit]", NoticeEvent::Waits, false),
        ("  minRisk: High", NoticeEvent::Waits, true),
        ("  minRisk: Critical", NoticeEvent::Waits, false),
    ] {
        let settings = route(more).unwrap();
        assert_eq!(settings.routes[0].carries(&notice(event)), carried, "{event:?} by {more:?}");
    }
}

#[test]
fn what_policy_decided_alone_is_told_to_those_who_ask_for_it() {
    let told = |more: &str| {
        let notice = Notice { automatic: true, ..notice(NoticeEvent::Approved) };
        route(more).unwrap().routes[0].carries(&notice)
    };
    assert!(!told(""));
    assert!(told("  automatic: true"));
}

/// Nobody may keep a risk from those who ask for it by a level that this version does not know.
#[test]
fn a_risk_that_nobody_knows_is_the_worst() {
    let settings = route("  minRisk: Critical").unwrap();
    for risk in [None, Some(serde_json::from_str("\"Apocalyptic\"").unwrap())] {
        let mut notice = notice(NoticeEvent::Waits);
        notice.request.risk = risk.clone();
        assert!(settings.routes[0].carries(&notice), "{risk:?}");
    }
}
