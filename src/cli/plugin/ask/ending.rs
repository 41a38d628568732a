//! How a request ended up, in words: until when and by whom, or why not, and what to type next.

use kube::ResourceExt;

use crate::api::request::{AccessRequest, AccessRequestStatus, NarrowRule, ReviewVerdict, State};
use crate::cli::plugin::cluster::quoted;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::text::{TextSpan, Tone};

/// How the process ends by the state of a request that nobody waits for any more.
pub fn exit(state: State) -> Exit {
    match state {
        State::Active | State::Scheduled | State::Suspended | State::Extended | State::Expired => Exit::Done,
        State::Denied | State::Lapsed | State::Failed | State::Revoked => Exit::Refused,
        State::Pending => Exit::Waiting,
    }
}

/// How it stands, on one line.
pub fn line(request: &AccessRequest) -> TextSpan {
    let status = request.status.clone().unwrap_or_default();
    let tone = match exit(status.state) {
        Exit::Done => Tone::Good,
        Exit::Waiting => Tone::Waiting,
        _ => Tone::Bad,
    };
    let by = by(&status);
    let words = match status.state {
        State::Active => match status.next_end() {
            Some(end) => format!("granted until {end}{by}"),
            None => format!("granted{by}"),
        },
        State::Scheduled => {
            let begin =
                request.spec.start_time.as_ref().map(|start| format!("approved{by}: access begins at {}", start.0));
            // When the first window of access that recurs opens is on record in these words alone.
            let told = status.message.as_ref().map(|message| format!("approved: {message}"));
            begin.or(told).unwrap_or_else(|| format!("approved{by}"))
        }
        State::Suspended => {
            let opens = status.window.as_ref().map(|window| format!(": access comes at {}", window.opens_at.0));
            format!("approved{by}{}", opens.unwrap_or_default())
        }
        state => {
            let why = status.message.as_deref().unwrap_or("no reason is on record");
            format!("{}: {why}", state.as_str().to_lowercase())
        }
    };
    TextSpan::new(words, tone)
}

/// Who approved it, or else which policy allowed it, after a comma.
fn by(status: &AccessRequestStatus) -> String {
    let approvals = status.counted_reviews.iter().filter(|review| review.verdict == ReviewVerdict::Approve);
    let people: Vec<&str> = approvals.map(|review| review.reviewer.as_str()).collect();
    match (&people[..], &status.policy) {
        ([], Some(policy)) => format!(", allowed by policy {}", policy.name),
        ([], None) => String::new(),
        (people, _) => format!(", approved by {}", people.join(", ")),
    }
}

/// What to type to see that access is there. Nothing that changes something is proposed unless it was asked for by name.
pub fn to_try(request: &AccessRequest, flags: &str) -> String {
    let scope = request.spec.scope.as_ref();
    let own = request.namespace().unwrap_or_default();
    let place = match scope {
        Some(scope) if scope.cluster => String::new(),
        Some(scope) => format!(" -n {}", quoted(scope.namespaces.first().unwrap_or(&own))),
        None => format!(" -n {}", quoted(&own)),
    };
    match request.spec.rules.first().filter(|rule| !has_flags(rule)) {
        Some(rule) => format!("kubectl {}{place}{flags}", command(rule)),
        None => format!("kubectl auth can-i --list{place}{flags}"),
    }
}

/// How a request ended that is not there any more.
pub fn deleted() -> TextSpan {
    TextSpan::new("the request was deleted before it was decided", Tone::Bad)
}

/// Whether a shell would hand a word of a rule to kubectl as a flag.
fn has_flags(rule: &NarrowRule) -> bool {
    let words = [&rule.verbs, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    words.iter().filter_map(|list| list.first()).any(|word| word.starts_with('-'))
}

/// A rule as a command of kubectl's: the thing itself where kubectl has a verb of that name, or else the question.
fn command(rule: &NarrowRule) -> String {
    let text = |list: &[String]| list.first().cloned().unwrap_or_default();
    if let Some(url) = rule.non_resource_urls.first() {
        return match rule.verbs.first().map(String::as_str) {
            Some("get") if !url.contains('*') => format!("get --raw {}", quoted(url)),
            verb => format!("auth can-i {} {}", quoted(verb.unwrap_or_default()), quoted(url)),
        };
    }
    let (verb, resource, group) = (text(&rule.verbs), text(&rule.resources), text(&rule.api_groups));
    let (kind, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
    let full = quoted(&if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") });
    let name = rule.resource_names.first().map(|name| quoted(name));
    match (verb.as_str(), subresource, name) {
        ("get" | "delete", "", Some(name)) => format!("{verb} {full} {name}"),
        ("get" | "list", "", None) => format!("get {full}"),
        ("get", "log", Some(name)) => format!("logs {name}"),
        (_, subresource, name) => {
            let name = name.map(|name| format!("/{name}")).unwrap_or_default();
            let part =
                if subresource.is_empty() { String::new() } else { format!(" --subresource={}", quoted(subresource)) };
            format!("auth can-i {} {full}{name}{part}", quoted(&verb))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::json;

    #[test]
    fn what_to_try_is_what_was_asked_for() {
        let rule = |verb: &str, group: &str, resource: &str, names: &[&str]| json!({ "verbs": [verb], "apiGroups": [group], "resources": [resource], "resourceNames": names });
        let url = |verb: &str, url: &str| json!({ "scope": { "cluster": true }, "rules": [{ "verbs": [verb], "nonResourceURLs": [url] }] });
        for (spec, expected) in [
            (json!({}), "kubectl auth can-i --list -n shop"),
            (json!({ "scope": { "cluster": true } }), "kubectl auth can-i --list"),
            (json!({ "scope": { "namespaces": ["bank", "shop"] } }), "kubectl auth can-i --list -n bank"),
            (json!({ "rules": [rule("delete", "", "pods", &["shop-0"])] }), "kubectl delete pods shop-0 -n shop"),
            (json!({ "rules": [rule("list", "apps", "deployments", &[])] }), "kubectl get deployments.apps -n shop"),
            (json!({ "rules": [rule("delete", "", "pods", &[])] }), "kubectl auth can-i delete pods -n shop"),
            (
                json!({ "rules": [rule("create", "", "pods/exec", &["shop-0"])] }),
                "kubectl auth can-i create pods/shop-0 --subresource=exec -n shop",
            ),
            (
                json!({ "rules": [rule("x;id", "$(id)", "pods;id/a b", &[])] }),
                "kubectl auth can-i 'x;id' 'pods;id.$(id)' --subresource='a b' -n shop",
            ),
            (json!({ "rules": [rule("get", "", "--kubeconfig=/tmp/x", &[])] }), "kubectl auth can-i --list -n shop"),
            (url("get", "/metrics"), "kubectl get --raw /metrics"),
            (url("get", "/logs/*"), "kubectl auth can-i get '/logs/*'"),
            (url("post", "/reset"), "kubectl auth can-i post /reset"),
            (url("get", "--kubeconfig=/tmp/x"), "kubectl auth can-i --list"),
            (json!({ "scope": { "namespaces": ["a;id"] } }), "kubectl auth can-i --list -n 'a;id'"),
        ] {
            assert_eq!(to_try(&request(spec.clone()), ""), expected, "{spec}");
        }
    }

    #[test]
    fn what_is_approved_says_when_it_begins() {
        let told = |spec: serde_json::Value, message: Option<&str>| {
            let mut request = request(spec);
            let policy = json!({ "name": "p", "uid": "u", "generation": 1 });
            let status = json!({ "state": "Scheduled", "policy": policy, "message": message });
            request.status = serde_json::from_value(status).unwrap();
            line(&request).words
        };
        let later = json!({ "startTime": "2026-11-23T13:00:00Z" });
        assert_eq!(told(later, Some("x")), "approved, allowed by policy p: access begins at 2026-11-23T13:00:00Z");
        assert_eq!(
            told(json!({}), Some("p allows it; access begins soon")),
            "approved: p allows it; access begins soon"
        );
        assert_eq!(told(json!({}), None), "approved, allowed by policy p");
    }

    #[test]
    fn every_state_has_its_exit_code() {
        use State::*;
        let code = |state| exit(state).code();
        assert_eq!([Active, Scheduled, Suspended, Extended, Expired].map(code), [0; 5]);
        assert_eq!([Denied, Lapsed, Failed, Revoked].map(code), [3; 4]);
        assert_eq!(code(Pending), 4);
    }
}
