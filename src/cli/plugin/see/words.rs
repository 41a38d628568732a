//! A request in a few words with their tones, the same in every command that shows one. Words without a tone are
//! [`crate::core::report::in_words`]'s.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::request::{AccessRequest, GrantUse, State};
use crate::api::risk::RiskLevel;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::core::model::duration;
pub use crate::core::report::in_words::{begins, ends_unused, length, name, place, requester, role, use_of, what};

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

/// How its access was used, in the tone that goes with it; nothing where that is not told.
pub fn used(request: &AccessRequest) -> TextSpan {
    let Some(activity) = request.status.as_ref().and_then(|status| status.activity.as_ref()) else { return "".into() };
    let tone = if activity.used == GrantUse::NotUsed { Tone::Waiting } else { Tone::Plain };
    TextSpan::new(use_of(activity), tone)
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

    #[test]
    fn ages_are_in_their_largest_unit() {
        for (seconds, expected) in [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(coarse(SignedDuration::from_secs(seconds)), expected);
        }
    }
}
