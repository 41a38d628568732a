//! Whether what happens is recorded elsewhere, so that requests may go when they are over.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::running::{figure, look_at_pods};
use super::unknown;
use crate::api::request::AccessRequest;
use crate::cli::plugin::doctor::facts::{ArchiveSeen, DeliverySetup, HealthFacts, Looked, RequestsSeen};
use crate::cli::plugin::doctor::finding::{CheckFinding, FindingLevel, HealthCheck};
use crate::cli::plugin::doctor::marked::{MarkedText, NameKind};
use crate::core::activity::told::ToldFinding;
use crate::core::record::outbox::to_note;

/// For how long a record may wait before that is worth a warning: an archive is restarted in less.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// How the address of an archive in the cluster ends.
const IN_CLUSTER: &str = ".svc";
const CHECK: HealthCheck = HealthCheck::Archive;

/// Where records go, whether they get there, and what becomes of requests that are over.
pub fn archive(facts: &HealthFacts) -> Vec<CheckFinding> {
    let controller = match &facts.controller {
        Ok(Some(controller)) => controller,
        Ok(None) => return Vec::new(),
        Err(_) => return unknown(CHECK, &facts.controller).into_iter().collect(),
    };
    let Some(setup) = &controller.archive else {
        return std::iter::once(none(&facts.requests)).chain(in_vain(facts, false)).collect();
    };
    let now = facts.clock.now;
    let metrics: Vec<&str> =
        facts.probes.iter().filter_map(|probe| probe.metrics.as_ref().ok()).map(|(_, text)| text.as_str()).collect();
    let mut findings = vec![answers(setup, &facts.archive), retention(setup)];
    findings.extend(facts.requests.as_ref().ok().map(|seen| unrecorded(seen, now)));
    findings.extend(unrecordable(&metrics));
    findings.extend(setup.hears.then(|| heard(&metrics)));
    findings.extend(in_vain(facts, setup.hears));
    findings.extend(unexplained(&facts.unexplained));
    findings
}

/// What was written or deleted past the controller. The report of findings has them all.
fn unexplained(seen: &Looked<Option<Vec<ToldFinding>>>) -> Option<CheckFinding> {
    let found = match seen {
        Ok(None) => return None,
        Ok(Some(found)) => found,
        Err(unread) => return Some(CHECK.unknown(unread).of("findings")),
    };
    let Some(last) = found.first() else {
        return Some(CHECK.ok("a record explains each binding, role and status that was written").of("findings"));
    };
    let text = MarkedText::of("bindings, roles and statuses written or deleted without a record: ").value(found.len());
    let text = text.words(", the last at ").value(last.at).words(" by ").name(NameKind::User, &last.user);
    let text = text.words(", ").value(&last.verb).words(" ").value(&last.resource).words(" ");
    let text = match (&last.namespace, &last.name) {
        (Some(namespace), Some(name)) => text.namespace(namespace).words("/").object(name),
        (None, Some(name)) => text.object(name),
        _ => text,
    };
    let all = "; kubectl get --raw /apis/archive.daypass.dev/v1/findings has all";
    Some(CHECK.warning(text).fix(MarkedText::default().value(&last.message).words(all)).of("findings"))
}

/// That there is none, and what that costs.
fn none(requests: &Looked<RequestsSeen>) -> CheckFinding {
    let text = MarkedText::of("no archive is configured, so requests stay when they are over");
    let over = |seen: &RequestsSeen| seen.requests.iter().filter(|standing| standing.request.is_over()).count();
    let text = match requests {
        Ok(seen) => text.words(", now ").value(over(seen)),
        Err(_) => text,
    };
    let text = text.words(": each costs about 5 KiB in etcd, and a third of that in the controller's memory");
    CHECK.note(text).fix("archive.enabled or archive.url of the chart has them recorded, and then removed")
}

fn answers(setup: &DeliverySetup, seen: &Looked<ArchiveSeen>) -> CheckFinding {
    let host = setup.url.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default();
    match seen {
        Err(unread) => CHECK.unknown(unread),
        Ok(ArchiveSeen::Answers) => CHECK.ok("the archive answers"),
        Ok(ArchiveSeen::Silent(why)) => {
            CHECK.error(MarkedText::of("the archive does not answer: ").said(why)).fix(look_at_pods())
        }
        Ok(ArchiveSeen::NotServed) if host.ends_with(IN_CLUSTER) => CHECK
            .error("the API server serves no archive.daypass.dev, so nobody can read what is recorded")
            .fix("apply the chart again: helm upgrade, with the values of the installation"),
        Ok(ArchiveSeen::NotServed) => {
            let text = MarkedText::of("records go to an archive elsewhere, ").name(NameKind::Host, host);
            CHECK.ok(text.words(", which the controller alone can ask"))
        }
    }
    .of("service")
}

fn retention(setup: &DeliverySetup) -> CheckFinding {
    let finding = match &setup.retention {
        Some(length) => {
            let text = MarkedText::of("requests that are over and recorded are removed ").value(length);
            CHECK.ok(text.words(" after their end"))
        }
        None => CHECK
            .note("nothing is removed of what is recorded")
            .fix("archive.retention of the chart says for how long requests stay"),
    };
    finding.of("retention")
}

/// When something last happened to a request.
fn last_change(request: &AccessRequest) -> Option<Timestamp> {
    request.status.as_ref()?.history.last().map(|entry| entry.at.0)
}

/// Requests that are over, of which the controller has not noted that the archive has all.
fn unrecorded(seen: &RequestsSeen, now: Timestamp) -> CheckFinding {
    let waiting = seen.requests.iter().map(|standing| &standing.request).filter(|request| to_note(request).is_some());
    let times: Vec<Timestamp> = waiting.filter_map(last_change).collect();
    let Some(oldest) = times.iter().min() else {
        return CHECK.ok("all requests that are over are recorded").of("delivery");
    };
    let text = MarkedText::of("requests that are over and not recorded yet: ").value(times.len());
    let text = text.words(", the oldest of ").value(oldest);
    let finding = if now.duration_since(*oldest) > LATE {
        let fix =
            "they stay until they are recorded: see the finding archive service, and the log of the replica that leads";
        CHECK.warning(text).fix(fix)
    } else {
        CHECK.ok(text)
    };
    finding.of("delivery")
}

/// Of which API servers the audit log arrives. The replica that leads knows, and the others say zero.
fn heard(metrics: &[&str]) -> CheckFinding {
    let most = |name: &str| metrics.iter().filter_map(|text| figure(text, name)).reduce(f64::max);
    let finding = match (most("daypass_api_servers"), most("daypass_api_servers_heard")) {
        (Some(servers), Some(heard)) => {
            let text = MarkedText::of("heard of ").value(heard).words(" of ").value(servers).words(" API servers");
            let fix = "until all are heard no use of access is proven and none ends as idle: see whether the audit log of each \
                       is sent, and the log of the replica that leads";
            if servers > 0.0 && heard >= servers { CHECK.ok(text) } else { CHECK.warning(text).fix(fix) }
        }
        _ => CHECK.found(FindingLevel::Unknown, "no replica says of which API servers the audit log arrives"),
    };
    finding.of("activity")
}

/// Policies that would end access that nobody uses, where that is never proven.
fn in_vain(facts: &HealthFacts, hears: bool) -> Option<CheckFinding> {
    let policies = facts.policies.as_ref().ok().filter(|_| !hears)?;
    let ends = policies.iter().filter_map(|policy| policy.0.as_ref().ok()).filter(|p| p.spec.idle_timeout.is_some());
    let names: Vec<String> = ends.map(ResourceExt::name_any).collect();
    let first = names.first()?;
    let text = MarkedText::of("policies with idleTimeout: ").value(names.len()).words(", such as ").object(first);
    let text = text.words("; no archive hears the audit logs, so nothing ends as idle");
    Some(CHECK.warning(text).fix("set archive.audit.enabled, or take idleTimeout out").of("activity"))
}

/// Requests that the archive refuses, as far as a replica counts them.
fn unrecordable(metrics: &[&str]) -> Option<CheckFinding> {
    let counts = metrics.iter().filter_map(|text| figure(text, "daypass_unrecordable_requests"));
    let most = counts.fold(0.0, f64::max);
    (most > 0.0).then(|| {
        let text =
            MarkedText::of("requests that the archive has otherwise than their history, or refuses: ").value(most);
        let fix = "somebody changed the history or the archive: the log of the replica that leads names them";
        CHECK.error(text).fix(fix).of("delivery")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::facts::{RequestStanding, UnreadFact};
    use crate::cli::plugin::doctor::finding::FindingLevel::{Error, Note, Ok as Good, Unknown, Warning};
    use crate::cli::plugin::requests::Where;
    use crate::core::laws::fixtures::{noon, request};
    use serde_json::json;

    fn setup(url: &str) -> DeliverySetup {
        DeliverySetup { url: url.to_owned(), retention: Some("720h".to_owned()), hears: false }
    }

    #[test]
    fn an_archive_answers_or_is_elsewhere_or_something_is_wrong() {
        let level = |url: &str, seen: ArchiveSeen| answers(&setup(url), &Ok(seen)).level;
        let here = "https://daypass-archive.daypass-system.svc";
        assert_eq!(level(here, ArchiveSeen::Answers), Good);
        assert_eq!(level(here, ArchiveSeen::Silent("away".to_owned())), Error);
        assert_eq!(level(here, ArchiveSeen::NotServed), Error);
        assert_eq!(level("https://archive.example.com:443/", ArchiveSeen::NotServed), Good);
        let unread = UnreadFact::hangs_on("it");
        assert_eq!(answers(&setup(here), &Err(unread)).level, Unknown);
        assert_eq!(retention(&setup(here)).level, Good);
        assert_eq!(retention(&DeliverySetup { retention: None, ..setup(here) }).level, Note);
    }

    fn seen(recorded: Option<i64>, minutes_ago: i64) -> RequestsSeen {
        let mut request = request(json!({}));
        let at = noon() - SignedDuration::from_mins(minutes_ago);
        let end = json!({ "at": at.to_string(), "event": "Expired", "message": "so" });
        request.status =
            serde_json::from_value(json!({ "state": "Expired", "recorded": recorded, "history": [end] })).unwrap();
        let requests = vec![RequestStanding { request, outcome: None }];
        RequestsSeen { place: Where::Everywhere, requests, undecodable: Vec::new(), elsewhere: None }
    }

    #[test]
    fn what_waits_too_long_to_be_recorded_is_warned_of() {
        let level = |recorded, minutes_ago| -> FindingLevel { unrecorded(&seen(recorded, minutes_ago), noon()).level };
        assert_eq!(
            [level(Some(1), 60), level(None, 1), level(None, 60), level(Some(0), 60)],
            [Good, Good, Warning, Warning]
        );
        assert_eq!(none(&Ok(seen(None, 60))).level, Note);
    }

    #[test]
    fn api_servers_that_are_not_heard_are_warned_of() {
        let level = |servers: u32, of: u32| {
            let text = format!("daypass_api_servers {of}\ndaypass_api_servers_heard {servers}\n");
            heard(&["daypass_api_servers 2\ndaypass_api_servers_heard 0\n", &text]).level
        };
        assert_eq!([level(2, 2), level(1, 2), level(0, 2)], [Good, Warning, Warning]);
        assert_eq!(heard(&["daypass_api_servers 0\ndaypass_api_servers_heard 0\n"]).level, Warning);
        assert_eq!(heard(&[]).level, Unknown);
    }

    #[test]
    fn what_no_record_explains_is_warned_of_once() {
        let found = |name: &str| -> ToldFinding {
            serde_json::from_value(json!({
                "cluster": "c", "at": noon().to_string(), "why": "OtherHand", "message": "ask who wrote it", "user": "mallory",
                "verb": "create", "group": "rbac.authorization.k8s.io", "resource": "rolebindings", "namespace": "shop",
                "name": name,
            }))
            .unwrap()
        };
        assert!(unexplained(&Ok(None)).is_none());
        assert_eq!(unexplained(&Ok(Some(Vec::new()))).unwrap().level, Good);
        assert_eq!(unexplained(&Err(UnreadFact::hangs_on("it"))).unwrap().level, Unknown);
        let finding = unexplained(&Ok(Some(vec![found("last"), found("former")]))).unwrap();
        let words = finding.message.to_string();
        assert!(finding.level == Warning && words.contains(": 2, ") && words.contains("mallory"), "{words}");
        assert!(words.contains("shop/last") && !words.contains("former"), "{words}");
    }

    #[test]
    fn what_cannot_be_recorded_is_an_error() {
        let level = |texts: &[&str]| unrecordable(texts).map(|finding| finding.level);
        assert_eq!(level(&["daypass_unrecordable_requests 0\n", "up 1\n"]), None);
        assert_eq!(level(&["daypass_unrecordable_requests 0\n", "daypass_unrecordable_requests 2\n"]), Some(Error));
    }
}
