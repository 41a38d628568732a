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

/// A route by mail with other values of these fields.
fn mail(more: &str) -> Result<NotifySettings, BadRoutes> {
    let usual =
        [("server:", "mail.example:587"), ("from:", "Daypass <daypass@corp.example>"), ("to:", "[ann@corp.example]")];
    let usual = usual.iter().filter(|(field, _)| !more.lines().any(|line| line.trim().starts_with(field)));
    let usual: String = usual.map(|(field, value)| format!("    {field} {value}\n")).collect();
    let (of_mail, of_route): (Vec<&str>, Vec<&str>) = more.lines().partition(|line| !line.starts_with("allow"));
    let of_mail: String = of_mail.iter().map(|line| format!("    {line}\n")).collect();
    let of_route: String = of_route.iter().map(|line| format!("  {line}\n")).collect();
    config(&format!("routes:\n- name: people\n{of_route}  mail:\n{usual}{of_mail}"))
}

#[test]
fn what_breaks_a_rule_of_mail_is_told_by_its_field() {
    let many = format!("to: [{}]", (0..101).map(|n| format!("a{n}@corp.example")).collect::<Vec<_>>().join(", "));
    let with_password = "username: daypass\npasswordFile: /secrets/password";
    let in_the_clear = format!("{with_password}\nencryption: none\nallowPlain: true");
    for (more, field) in [
        ("server: mail.example", "server"),
        ("server: mail.example:0", "server"),
        ("server: mail.example:70000", "server"),
        ("server: ':587'", "server"),
        ("server: smtp://mail.example:587", "server"),
        ("server: user@mail.example:587", "server"),
        ("server: 'mail example:587'", "server"),
        ("server: 2001:db8::1:587", "server"),
        ("from: ''", "from"),
        ("from: daypass", "from"),
        ("from: 'Daypass daypass@corp.example'", "from"),
        ("from: 'Daypass <daypass@corp.example'", "from"),
        ("from: 'a@corp.example, b@corp.example'", "from"),
        ("from: \"Day\\r\\npass <daypass@corp.example>\"", "from"),
        ("from: \"daypass@corp.example\\r\\nRCPT TO:<eve@evil.example>\"", "from"),
        ("to: []", "to"),
        (many.as_str(), "to"),
        ("to: [ann@corp.example, bob]", "to[1]"),
        ("to: [ann@corp.example, 'Ann <ann@corp.example>']", "to[1]"),
        ("to: ['zoë@corp.example']", "to[0]"),
        ("to: ['zoe@münchen.example']", "to[0]"),
        ("to: ['<>']", "to[0]"),
        ("username: daypass", "passwordFile"),
        ("passwordFile: /secrets/password", "username"),
        ("encryption: none", "encryption"),
        (in_the_clear.as_str(), "encryption"),
    ] {
        let Err(BadRoutes::Field { field: told, .. }) = mail(more) else { panic!("{more}: {:?}", mail(more)) };
        assert_eq!(told, format!("routes[0].mail.{field}"), "{more}");
    }
    assert!(matches!(mail("encryption: maybe"), Err(BadRoutes::Unread(..))));
}

#[test]
fn a_route_by_mail_says_where_to_in_all_the_ways_there_are() {
    for more in [
        "",
        "server: '[2001:db8::1]:25'",
        "server: 10.1.2.3:25",
        "server: mail.mail.svc:25\nencryption: none\nallowPlain: true",
        "encryption: tls\nusername: daypass\npasswordFile: /secrets/password",
        "to: [a@corp.example, 'Bob, lead <b+x@corp.example>', '\"Zoë\" <c@xn--mnchen-3ya.example>', 'd@[10.1.2.3]']",
    ] {
        assert!(mail(more).is_ok(), "{more}: {:?}", mail(more));
    }
    let settings = mail("server: '[2001:db8::1]:25'\nto: ['\"Zoë\" <c@corp.example>']").unwrap();
    let RoutePlace::Mail(entry) = &settings.routes[0].place else { panic!("{settings:?}") };
    let read = entry.settings(false).unwrap();
    assert_eq!((read.host.as_str(), read.port, read.encryption), ("2001:db8::1", 25, MailEncryption::StartTls));
    let to = &read.to[0];
    assert_eq!((to.name.as_deref(), to.email.to_string()), (Some("Zoë"), "c@corp.example".to_owned()));
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
