//! What would be decided if the request were sent: told from the account of the core, and promised only where the caller
//! sees all that the controller does. Decides nothing.

use k8s_openapi::jiff::Timestamp;

use crate::api::subject::Subject;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::seen::{Seen, Unseen};
use crate::core::policies::Entry;
use crate::core::report::explain::{Explanation, Grant, Outcome, StageProgress, StageState};

/// What would be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Yes, without anybody. `sure` when nothing is hidden from the caller that the controller decides by.
    Granted { policy: String, grant: Option<Grant>, sure: bool },
    /// People must agree, in these stages; the wait ends at the deadline.
    Needs { policy: String, stages: Vec<StageAsked>, deadline: Option<Timestamp> },
    /// Something other than people is waited for.
    Waits { summary: String },
    /// No, for all these reasons, the closest to a yes first.
    Denied { reasons: Vec<String>, sure: bool },
    /// It cannot be said.
    Unknown { why: String },
}

/// A stage that must be filled, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageAsked {
    pub stage: String,
    /// How many people must agree.
    pub required: i32,
    pub approvers: Vec<String>,
    /// When more people may agree, and who.
    pub then: Option<(Timestamp, Vec<String>)>,
}

impl Forecast {
    /// Of a request that is not sent yet.
    pub fn of(seen: &Seen<'_>, now: Timestamp) -> Self {
        let explanation = seen.explain(now);
        let escalation = |stage: &str| {
            let policy = explanation.decides.as_ref().and_then(|decides| seen.policies.set.get(&decides.policy));
            match policy {
                Some(Entry::Valid(policy)) => policy.stages.iter().find(|s| s.name == stage).cloned(),
                _ => None,
            }
            .map(|stage| stage.escalate_to)
            .unwrap_or_default()
        };
        Self::told(&explanation, &seen.gaps, &escalation)
    }

    /// From an account of it. `escalation` says who else may agree in a stage once it had to wait too long.
    fn told(explanation: &Explanation, gaps: &[Unseen], escalation: &dyn Fn(&str) -> Vec<Subject>) -> Self {
        let sure = gaps.is_empty();
        let policy = explanation.decides.as_ref().map(|decides| decides.policy.clone()).unwrap_or_default();
        let missing = |stage: &&StageProgress| matches!(stage.state, StageState::Open | StageState::Later);
        match explanation.outcome {
            Outcome::Granted => Self::Granted { policy, grant: explanation.grant.clone(), sure },
            Outcome::Waiting if explanation.stages.iter().any(|stage| missing(&stage)) => {
                let asked = explanation.stages.iter().filter(missing).map(|stage| StageAsked::of(stage, escalation));
                let deadline = explanation.deadline.as_ref().map(|deadline| deadline.0);
                Self::Needs { policy, stages: asked.collect(), deadline }
            }
            Outcome::Waiting => Self::Waits { summary: explanation.summary.clone() },
            Outcome::Denied => Self::Denied { reasons: explanation.reasons.clone(), sure },
            Outcome::Lapsed | Outcome::Over => Self::Denied { reasons: vec![explanation.summary.clone()], sure },
            Outcome::Undecided => Self::Unknown { why: explanation.summary.clone() },
        }
    }

    /// Whether sending it would be in vain, for certain.
    pub fn is_in_vain(&self) -> bool {
        matches!(self, Self::Denied { sure: true, .. })
    }

    /// In words.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        match self {
            Self::Granted { policy, grant, sure: true } => {
                let long = length(grant.as_ref());
                text.line(TextSpan::new(format!("granted at once{long}: policy {policy} allows it"), Tone::Good));
            }
            Self::Granted { policy, sure: false, .. } => text.line(TextSpan::new(
                format!("policy {policy} would allow it at once, but you do not see all that decides"),
                Tone::Waiting,
            )),
            Self::Needs { policy, stages, deadline } => {
                let asked: Vec<String> = stages.iter().map(StageAsked::sentence).collect();
                let until = deadline.map(|deadline| format!(", by {deadline}")).unwrap_or_default();
                text.line(TextSpan::new(
                    format!("needs {}{until}: policy {policy} asks for it", asked.join("; then ")),
                    Tone::Waiting,
                ));
            }
            Self::Waits { summary } => text.line(TextSpan::new(summary.clone(), Tone::Waiting)),
            Self::Denied { reasons, sure } => {
                let would = if *sure { "would be denied" } else { "may be denied, as far as you can see" };
                match &reasons[..] {
                    [only] => text.line(TextSpan::new(format!("{would}: {only}"), Tone::Bad)),
                    several => {
                        text.line(TextSpan::new(format!("{would} because"), Tone::Bad));
                        several.iter().for_each(|reason| text.line(format!("  {reason}")));
                    }
                }
            }
            Self::Unknown { why } => {
                text.line(TextSpan::new(format!("what would be decided is not known: {why}"), Tone::Waiting))
            }
        }
        text
    }
}

fn length(grant: Option<&Grant>) -> String {
    grant.map(|grant| format!(" for {}", grant.duration)).unwrap_or_default()
}

impl StageAsked {
    fn of(stage: &StageProgress, escalation: &dyn Fn(&str) -> Vec<Subject>) -> Self {
        let more = stage.escalates_at.as_ref().map(|at| (at.0, escalation(&stage.name)));
        Self {
            stage: stage.name.clone(),
            required: stage.required - stage.approved,
            approvers: stage.approvers.iter().map(|approver| approver.subject.clone()).collect(),
            then: more.map(|(at, who)| (at, who.iter().map(ToString::to_string).collect())),
        }
    }

    fn sentence(&self) -> String {
        let many = if self.required == 1 { "one".to_owned() } else { self.required.to_string() };
        let then = self.then.as_ref();
        let then = then.map(|(at, who)| format!(", from {at} on also {}", who.join(", "))).unwrap_or_default();
        format!("{many} of {} (stage {}){then}", self.approvers.join(", "), self.stage)
    }
}
