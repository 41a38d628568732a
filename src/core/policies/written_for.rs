//! Whether the schedule of a policy that denies counts: whether its spec was written for a version that knows of it.
//!
//! Earlier versions denied always, whatever the schedule said. What was written for them goes on denying always until the
//! spec is changed: nobody said that it should deny less. Owns the facts that tell, and nothing else.
//!
//! Two facts do. Of an object that a version without schedules has taken up, the status names a generation and no
//! `scheduleSince`: only the controller writes a status, and no version takes its generation away again. And
//! `spec.onBreakGlass` cannot be stored by the CRD of such a version, which drops fields that it does not know.

use std::fmt;

use crate::api::policy::{AccessPolicy, Effect};

/// The generation of the spec from which on the schedule of this policy counts.
pub fn schedule_since(policy: &AccessPolicy) -> i64 {
    let generation = policy.metadata.generation.unwrap_or_default();
    let status = policy.status.as_ref();
    match (status.and_then(|status| status.schedule_since), status.and_then(|status| status.observed_generation)) {
        (Some(since), _) => since,
        // An earlier version has seen it. It may have been changed since then, but not after this version was there.
        (None, Some(_)) => generation.saturating_add(1),
        // No version has taken it up before.
        (None, None) => generation,
    }
}

/// Whether its schedule counts. One that allows has always been held to its own.
pub fn schedule_counts(policy: &AccessPolicy) -> bool {
    policy.spec.effect == Effect::Allow
        || policy.spec.on_break_glass.is_some()
        || policy.metadata.generation.unwrap_or_default() >= schedule_since(policy)
}

/// That a policy of this name denies always although it has a schedule; shown, with the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniesAlways(String);

impl DeniesAlways {
    /// Of a policy whose schedule does not count.
    pub fn of(policy: &AccessPolicy) -> Self {
        Self(policy.metadata.name.clone().unwrap_or_default())
    }
}

impl fmt::Display for DeniesAlways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(
            f,
            "it denies always: its schedule was written for a version of Daypass that did not know the schedule of a \
             Deny. To have it deny in its windows alone, say what it does in emergencies, or change its spec otherwise: \
             kubectl patch accesspolicy {name} --type=merge -p '{{\"spec\":{{\"onBreakGlass\":\"Deny\"}}}}'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::deny;
    use serde_json::{Value, json};

    fn stored(generation: i64, status: Value) -> AccessPolicy {
        let windows = json!([{ "days": ["Sat"], "start": "00:00", "end": "24:00" }]);
        let mut policy = deny("freeze", json!({ "schedule": { "timeZone": "UTC", "windows": windows } }));
        policy.metadata.generation = Some(generation);
        policy.status = serde_json::from_value(status).unwrap();
        policy
    }

    #[test]
    fn what_an_earlier_version_has_seen_denies_always_until_it_is_written_anew() {
        let since = |generation: i64| json!({ "observedGeneration": 9, "scheduleSince": generation });
        for (case, generation, status, counts) in [
            ("new", 1, Value::Null, true),
            ("new, and its status is empty", 1, json!({}), true),
            ("seen by an earlier version", 1, json!({ "observedGeneration": 1 }), false),
            ("and changed before this one was there", 3, json!({ "observedGeneration": 1 }), false),
            ("and noted by this one", 3, since(4), false),
            ("written anew", 4, since(4), true),
            ("new, and noted", 1, since(1), true),
            ("changed later", 7, since(1), true),
        ] {
            assert_eq!(schedule_counts(&stored(generation, status)), counts, "{case}");
        }
    }

    /// What the pass writes must not change what is decided: the note says what was told from the facts without it.
    #[test]
    fn the_note_agrees_with_the_facts_that_it_is_made_from() {
        for status in [Value::Null, json!({ "observedGeneration": 2 }), json!({ "observedGeneration": 1 })] {
            let policy = stored(2, status);
            let mut noted = policy.clone();
            let note = noted.status.get_or_insert_default();
            (note.schedule_since, note.observed_generation) = (Some(schedule_since(&policy)), Some(2));
            assert_eq!(schedule_counts(&noted), schedule_counts(&policy));
        }
    }

    #[test]
    fn a_field_that_an_earlier_version_could_not_store_tells_by_itself() {
        let mut policy = stored(1, json!({ "observedGeneration": 1 }));
        policy.spec.on_break_glass = Some(crate::api::policy::OnBreakGlass::Deny);
        assert!(schedule_counts(&policy));
    }
}
