//! A request in a few words, the same in every command that shows one.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::request::{AccessRequest, NarrowRule, State};
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleKind, RoleName};
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::core::model::duration;
use crate::core::model::namespaces::selector;
use crate::core::model::recurrence::Recurrence;
use crate::core::rbac::rules::describe;

/// Its namespace and name.
pub fn name(request: &AccessRequest) -> String {
    format!("{}/{}", request.namespace().unwrap_or_default(), request.name_any())
}

/// Who asks.
pub fn requester(request: &AccessRequest) -> &str {
    request.spec.requester.as_ref().map_or("", |who| who.username.as_str())
}

/// The role, and what of it.
pub fn what(request: &AccessRequest) -> String {
    role(&request.spec.role, &request.spec.rules)
}

/// A role, and what of it.
pub fn role(role: &RoleName, rules: &[NarrowRule]) -> String {
    let name = match role.kind {
        RoleKind::ClusterRole => role.name.clone(),
        RoleKind::Role => format!("role/{}", role.name),
    };
    if rules.is_empty() { name } else { format!("{name}: {}", describe(rules)) }
}

/// Where: its own namespace unless it says otherwise. An extension says nothing of its own: it holds where the request does
/// that it extends.
pub fn place(request: &AccessRequest) -> String {
    let scope = request.spec.scope.as_ref();
    let labels = scope.and_then(|scope| scope.namespace_selector.as_ref());
    match (&request.spec.extends, scope, labels) {
        (Some(extended), ..) => format!("where {extended} holds"),
        (_, Some(scope), _) if scope.cluster => "the whole cluster".to_owned(),
        (_, Some(scope), _) if !scope.namespaces.is_empty() => scope.namespaces.join(", "),
        (.., Some(labels)) => {
            let labels = match selector(labels).to_string() {
                all if all.is_empty() => "all namespaces".to_owned(),
                labels => format!("namespaces with {labels}"),
            };
            let granted = granted_in(request);
            if granted.is_empty() { labels } else { format!("{} ({labels})", granted.join(", ")) }
        }
        _ => request.namespace().unwrap_or_default(),
    }
}

fn granted_in(request: &AccessRequest) -> Vec<String> {
    let bindings = request.status.iter().flat_map(|status| &status.bindings);
    bindings.filter_map(|binding| binding.namespace.clone()).collect()
}

/// Its state, in the tone that goes with it.
pub fn state(request: &AccessRequest) -> TextSpan {
    let state = request.status.as_ref().map(|status| status.state).unwrap_or_default();
    let tone = match state {
        State::Active | State::Extended => Tone::Good,
        State::Pending | State::Scheduled | State::Suspended => Tone::Waiting,
        State::Denied | State::Failed | State::Lapsed | State::Revoked => Tone::Bad,
        State::Expired => Tone::Dim,
    };
    TextSpan::new(state.as_str(), tone)
}

/// Until when access lasts, or lasted.
pub fn until(request: &AccessRequest) -> Option<Timestamp> {
    request.status.as_ref().and_then(|status| status.expires_at.as_ref()).map(|end| end.0)
}

/// How much harm it can do, in the tone that goes with it.
pub fn risk(request: &AccessRequest) -> TextSpan {
    let Some(risk) = request.status.as_ref().and_then(|status| status.risk.as_ref()) else { return "".into() };
    let tone = match risk.level.known() {
        Some(RiskLevel::Low | RiskLevel::Medium) => Tone::Plain,
        Some(RiskLevel::High | RiskLevel::Critical | RiskLevel::Unknown) | None => Tone::Bad,
    };
    TextSpan::new(risk.level.as_str(), tone)
}

/// How long ago it was made: the largest unit alone, as kubectl has it.
pub fn age(request: &AccessRequest, now: Timestamp) -> String {
    request.creation_timestamp().map(|made| coarse(now.duration_since(made.0))).unwrap_or_default()
}

/// A length of time in its largest unit.
pub fn coarse(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// For how long access was asked for: an extension for so much more, and what recurs for the windows of so many weeks.
pub fn length(request: &AccessRequest) -> String {
    let spec = &request.spec;
    match (&spec.recurrence, &spec.duration, &spec.extends) {
        (Some(raw), ..) => {
            let windows = Recurrence::read(raw).map(|windows| windows.describe());
            let windows = windows.unwrap_or_else(|_| "in windows that cannot be read".to_owned());
            format!("every {windows}, for {} {}", raw.weeks, if raw.weeks == 1 { "week" } else { "weeks" })
        }
        (None, Some(length), None) => length.clone(),
        (None, Some(more), Some(_)) => format!("{more} more"),
        (None, None, _) => "as long as the policy says".to_owned(),
    }
}

/// When access begins, if not as soon as it is approved.
pub fn begins(request: &AccessRequest) -> String {
    request.spec.start_time.as_ref().map(|start| start.0.to_string()).unwrap_or_default()
}

/// That access comes before anybody agrees, in the tone that goes with it.
pub fn kind(request: &AccessRequest) -> TextSpan {
    let words = if request.spec.break_glass { "break-glass" } else { "" };
    TextSpan::new(words, Tone::Bad)
}

/// How long is left until then, or nothing when it is past.
pub fn left(until: Timestamp, now: Timestamp) -> Option<String> {
    let left = until.duration_since(now);
    let whole = SignedDuration::from_secs(left.as_secs());
    (left > SignedDuration::ZERO).then(|| duration::format(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request};
    use serde_json::{Value, json};

    /// What an approver reads of a request: where, for how long, from when on.
    fn read(spec: Value) -> [String; 3] {
        let request = request(spec);
        [place(&request), length(&request), begins(&request)]
    }

    #[test]
    fn where_when_and_how_long_is_what_is_asked_for() {
        let tuesdays = json!({ "timeZone": "Europe/Berlin", "windows": [{ "days": ["Tue"], "start": "02:00", "end": "04:00" }], "weeks": 4 });
        let labels = json!({ "matchLabels": { "team": "pay" }, "matchExpressions": [{ "key": "env", "operator": "NotIn", "values": ["prod"] }] });
        for (spec, expected) in [
            (json!({}), ["shop", "as long as the policy says", ""]),
            (json!({ "duration": "30m", "startTime": noon().to_string() }), ["shop", "30m", "2026-11-23T12:00:00Z"]),
            (json!({ "extends": "fix-1", "duration": "30m" }), ["where fix-1 holds", "30m more", ""]),
            (json!({ "recurrence": tuesdays }), ["shop", "every Tue 02:00-04:00 Europe/Berlin, for 4 weeks", ""]),
            (
                json!({ "scope": { "namespaceSelector": labels } }),
                ["namespaces with team=pay,env notin (prod)", "as long as the policy says", ""],
            ),
            (json!({ "scope": { "namespaceSelector": {} } }), ["all namespaces", "as long as the policy says", ""]),
        ] {
            assert_eq!(read(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn namespaces_by_label_are_named_once_they_are_granted() {
        let mut request = request(json!({ "scope": { "namespaceSelector": { "matchLabels": { "team": "pay" } } } }));
        let binding = |name: &str| json!({ "kind": "RoleBinding", "namespace": name, "name": "b" });
        request.status = serde_json::from_value(json!({ "bindings": [binding("bank"), binding("shop")] })).unwrap();
        assert_eq!(place(&request), "bank, shop (namespaces with team=pay)");
    }

    #[test]
    fn ages_are_in_their_largest_unit() {
        for (seconds, expected) in [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(coarse(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
