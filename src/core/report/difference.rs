//! In what two accounts of one request differ, for whoever weighs one set of policies against another.
//!
//! Owns what counts as a difference: the answer, who must agree, for how long access would be, and whether it must be reviewed
//! afterwards. Under which policy, and until when approvers have, is told and counts for nothing.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::explain::{Explanation, Outcome, StageState};

/// What a request comes to, as far as two accounts of it are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upshot {
    pub outcome: Outcome,
    /// Who must agree, stage by stage; nobody when it is granted at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<UpshotStage>,
    /// For how long access would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Of break-glass access: one of these must review it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
}

/// A stage in which people must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpshotStage {
    pub name: String,
    /// How many people it needs.
    pub required: i32,
    /// Who may approve in it.
    pub approvers: Vec<String>,
    /// When more people may, if that is still to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalates_at: Option<Time>,
}

impl Upshot {
    /// What an account comes to.
    pub fn of(explanation: &Explanation) -> Self {
        // Of one that waits, what is still to come; of one that is granted, who agreed.
        let counts = |state: StageState| match explanation.outcome {
            Outcome::Waiting => matches!(state, StageState::Open | StageState::Later),
            Outcome::Granted => state == StageState::Full,
            _ => false,
        };
        let asked = explanation.stages.iter().filter(|stage| counts(stage.state));
        let stages = asked.map(|stage| UpshotStage {
            name: stage.name.clone(),
            required: stage.required,
            approvers: stage.approvers.iter().map(|approver| approver.subject.clone()).collect(),
            escalates_at: stage.escalates_at.clone(),
        });
        Self {
            outcome: explanation.outcome,
            stages: stages.collect(),
            duration: explanation.grant.as_ref().map(|grant| grant.duration.clone()),
            reviewers: explanation.review.as_ref().map(|review| review.reviewers.clone()).unwrap_or_default(),
        }
    }

    /// Whether nothing can be said of the request.
    pub fn is_open(&self) -> bool {
        self.outcome == Outcome::Undecided
    }
}

impl fmt::Display for Upshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Granted if self.stages.is_empty() => f.write_str("granted at once")?,
            Outcome::Granted => f.write_str("granted")?,
            Outcome::Waiting if self.stages.is_empty() => f.write_str("waits")?,
            Outcome::Waiting => f.write_str("needs ")?,
            Outcome::Denied => f.write_str("denied")?,
            Outcome::Lapsed => f.write_str("lapsed")?,
            Outcome::Undecided => f.write_str("undecided")?,
            Outcome::Over => f.write_str("over")?,
        }
        if self.outcome == Outcome::Waiting {
            let stages: Vec<String> = self.stages.iter().map(ToString::to_string).collect();
            f.write_str(&stages.join(", then "))?;
        }
        if let Some(duration) = &self.duration {
            write!(f, ", for {duration}")?;
        }
        if !self.reviewers.is_empty() {
            write!(f, ", reviewed by {}", self.reviewers.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for UpshotStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({})", self.required, self.approvers.join(", "), self.name)?;
        self.escalates_at.as_ref().map_or(Ok(()), |at| write!(f, ", more from {} on", at.0))
    }
}

/// One side of a difference: what a request comes to, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpshotGiven {
    #[serde(flatten)]
    pub upshot: Upshot,
    /// The policy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The account in one sentence.
    pub summary: String,
}

impl UpshotGiven {
    /// That of an account.
    pub fn of(explanation: &Explanation) -> Self {
        Self {
            upshot: Upshot::of(explanation),
            policy: explanation.decides.as_ref().map(|decides| decides.policy.clone()),
            summary: explanation.summary.clone(),
        }
    }

    /// Why, in a few words: the policy that decides, or the whole account where none does.
    pub fn why(&self) -> String {
        match (&self.policy, self.upshot.outcome) {
            (Some(policy), Outcome::Granted | Outcome::Waiting) => format!("policy {policy}"),
            _ => self.summary.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::policy::AccessPolicy;
    use crate::api::request::AccessRequest;
    use crate::core::decision::snapshot::Snapshot;
    use crate::core::guard::Guard;
    use crate::core::laws::fixtures::{deny, namespaces, noon, policy, request};
    use crate::core::policies::PolicySet;
    use crate::core::report::explain::explain;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::{Value, json};

    fn given(request: &AccessRequest, policies: &[AccessPolicy]) -> UpshotGiven {
        let (set, namespaces, guard) = (PolicySet::new(policies), namespaces(), Guard::since(Timestamp::MIN));
        UpshotGiven::of(&explain(&Snapshot::bare(request, &set, &namespaces, &guard), noon()))
    }

    fn asks(group: &str, more: &Value) -> Value {
        let mut stage = json!({ "name": "s", "approvers": [{ "kind": "Group", "name": group }] });
        for (key, value) in more.as_object().unwrap() {
            stage[key] = value.clone();
        }
        json!({ "approval": { "stages": [stage] } })
    }

    #[test]
    fn the_answer_the_people_and_the_time_count_and_the_policy_does_not() {
        let ask = request(json!({}));
        let of = |name: &str, spec: Value| given(&ask, &[policy(name, spec)]).upshot;
        let plain = of("p", json!({}));
        assert_eq!(plain, of("another", json!({})));
        let leads = of("p", asks("leads", &json!({})));
        let deadline = json!({ "deadline": "2h", "stages": asks("leads", &json!({}))["approval"]["stages"] });
        assert_eq!(leads, of("p", json!({ "approval": deadline })));
        let escalation = json!({ "escalateAfter": "1h", "escalateTo": [{ "kind": "Group", "name": "sre" }] });
        let others = [
            leads,
            of("p", asks("sre", &json!({}))),
            of("p", asks("leads", &json!({ "required": 2 }))),
            of("p", asks("leads", &escalation)),
            of("p", json!({ "duration": { "max": "30m" } })),
            of("p", json!({ "roles": [{ "name": "view" }] })),
            given(&ask, &[policy("p", json!({})), deny("no", json!({ "scope": {} }))]).upshot,
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(*other != plain && !others[..index].contains(other), "{other}");
        }
        assert!(others[6].is_open() && !others[5].is_open());
    }

    #[test]
    fn approval_that_may_be_spared_counts_when_it_is() {
        let ask = request(json!({}));
        let stages = asks("leads", &json!({}))["approval"]["stages"].clone();
        let of = |when: &str| {
            given(&ask, &[policy("p", json!({ "approval": { "automaticWhen": when, "stages": stages } }))]).upshot
        };
        assert_eq!(of("true"), given(&ask, &[policy("p", json!({}))]).upshot);
        assert_eq!(of("false"), given(&ask, &[policy("p", asks("leads", &json!({})))]).upshot);
    }

    #[test]
    fn review_after_an_emergency_counts() {
        let ask = request(json!({ "breakGlass": true }));
        let glass = |group: &str| json!({ "breakGlass": { "reviewWithin": "1h", "reviewers": [{ "kind": "Group", "name": group }] } });
        let of = |group: &str| given(&ask, &[policy("p", glass(group))]).upshot;
        assert_eq!(of("leads"), of("leads"));
        assert_ne!(of("leads"), of("sre"));
    }
}
