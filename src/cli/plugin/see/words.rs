//! A request in a few words, the same in every command that shows one.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::request::{AccessRequest, State};
use crate::api::subject::RoleKind;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::core::model::duration;
use crate::core::rbac::rules::describe;

/// Who asks.
pub fn requester(request: &AccessRequest) -> &str {
    request.spec.requester.as_ref().map_or("", |who| who.username.as_str())
}

/// The role, and what of it.
pub fn what(request: &AccessRequest) -> String {
    let role = match request.spec.role.kind {
        RoleKind::ClusterRole => request.spec.role.name.clone(),
        RoleKind::Role => format!("role/{}", request.spec.role.name),
    };
    if request.spec.rules.is_empty() { role } else { format!("{role}: {}", describe(&request.spec.rules)) }
}

/// Where: its own namespace unless it says otherwise.
pub fn place(request: &AccessRequest) -> String {
    match &request.spec.scope {
        Some(scope) if scope.cluster => "the whole cluster".to_owned(),
        Some(scope) if !scope.namespaces.is_empty() => scope.namespaces.join(", "),
        Some(scope) if scope.namespace_selector.is_some() => match granted_in(request) {
            names if names.is_empty() => "namespaces by label".to_owned(),
            names => names.join(", "),
        },
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
    let level = request.status.as_ref().and_then(|status| status.risk.as_ref()).map_or("", |risk| risk.level.as_str());
    TextSpan::new(level, if matches!(level, "High" | "Critical" | "Unknown") { Tone::Bad } else { Tone::Plain })
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

/// For how long access was asked for.
pub fn length(request: &AccessRequest) -> String {
    request.spec.duration.clone().unwrap_or_else(|| "as long as the policy says".to_owned())
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

    #[test]
    fn ages_are_in_their_largest_unit() {
        for (seconds, expected) in [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(coarse(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
