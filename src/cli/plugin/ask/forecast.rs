//! What would be decided if the request were sent: told from the account of the core, and promised only where the caller
//! sees all that the controller does. Decides nothing.

use k8s_openapi::jiff::Timestamp;

use super::draft::as_if_sent;
use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;
use crate::api::subject::Subject;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Seen, Unseen};
use crate::core::policies::Entry;
use crate::core::report::alternatives::{Alternative, alternatives};
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

/// What drafts are looked at with.
#[derive(Clone, Copy)]
pub struct ForecastReading<'a> {
    pub cluster: &'a Cluster,
    pub policies: &'a PoliciesRead,
    pub installation: &'a InstallationArgs,
    pub now: Timestamp,
}

/// What would be decided about a draft, and what that hangs on.
#[derive(Debug)]
pub struct Foreseen {
    pub forecast: Forecast,
    /// What could not be read of what decides it.
    pub gaps: Vec<Unseen>,
    /// How many single rights its role has, if that can be read.
    pub rights_of_role: Option<usize>,
    /// How much harm what it asks for can do, if the role can be read.
    pub risk: Option<RiskLevel>,
    /// How it stands, and what each policy says to it; none where so little may be read that nothing can be said.
    pub explanation: Option<Explanation>,
    /// Requests near to it, the nearest first, when it would be denied.
    near: Vec<Alternative>,
}

impl ForecastReading<'_> {
    /// What would be decided about a request that is not sent yet.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn of(&self, draft: &AccessRequest) -> Result<Foreseen, PluginError> {
        let request = as_if_sent(draft, self.now);
        match Seen::of(self.cluster, &request, self.policies, self.installation).await {
            Ok(seen) => {
                let explanation = seen.explain(self.now);
                let forecast = Forecast::by(&seen, &explanation);
                let denied = forecast.is_denied();
                let near = if denied { alternatives(&seen.snapshot(), self.now) } else { Vec::new() };
                let (rights_of_role, risk) = (seen.rights_of_role(), seen.known_risk());
                Ok(Foreseen { forecast, rights_of_role, risk, explanation: Some(explanation), gaps: seen.gaps, near })
            }
            // Who may ask for namespaces by label need not see them.
            Err(error @ PluginError::NamespacesNotListed) => Ok(Foreseen {
                forecast: Forecast::Unknown { why: error.to_string() },
                gaps: Vec::new(),
                rights_of_role: None,
                risk: None,
                explanation: None,
                near: Vec::new(),
            }),
            Err(error) => Err(error),
        }
    }

    /// The nearest request that would be allowed in place of one that would not, and what would be decided about it.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn nearest(&self, denied: &Foreseen) -> Result<Option<(AccessRequest, Forecast)>, PluginError> {
        for alternative in &denied.near {
            let foreseen = self.of(&alternative.request).await?;
            if !foreseen.forecast.is_denied() {
                return Ok(Some((alternative.request.clone(), foreseen.forecast)));
            }
        }
        Ok(None)
    }
}

impl Forecast {
    /// Of a request that is not sent yet, and what could not be read of what decides it.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn read(
        cluster: &Cluster,
        policies: &PoliciesRead,
        installation: &InstallationArgs,
        draft: &AccessRequest,
        now: Timestamp,
    ) -> Result<(Self, Vec<Unseen>), PluginError> {
        let request = as_if_sent(draft, now);
        match Seen::of(cluster, &request, policies, installation).await {
            Ok(seen) => Ok((Self::by(&seen, &seen.explain(now)), seen.gaps)),
            // Who may ask for namespaces by label need not see them.
            Err(error @ PluginError::NamespacesNotListed) => Ok((Self::Unknown { why: error.to_string() }, Vec::new())),
            Err(error) => Err(error),
        }
    }

    fn by(seen: &Seen<'_>, explanation: &Explanation) -> Self {
        let escalation = |stage: &str| {
            let policy = explanation.decides.as_ref().and_then(|decides| seen.policies.set.get(&decides.policy));
            match policy {
                Some(Entry::Valid(policy)) => policy.stages.iter().find(|s| s.name == stage).cloned(),
                _ => None,
            }
            .map(|stage| stage.escalate_to)
            .unwrap_or_default()
        };
        Self::told(explanation, &seen.gaps, &escalation)
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

    /// Whether it would not be allowed, as far as one can see.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// Whether nothing is hidden that the answer hangs on.
    pub fn is_sure(&self) -> bool {
        matches!(self, Self::Granted { sure: true, .. } | Self::Denied { sure: true, .. } | Self::Needs { .. })
    }

    /// How much it asks of people: what is granted at once comes first, then the fewest stages and people, a no last.
    pub fn rank(&self) -> (u8, usize, i64) {
        match self {
            Self::Granted { .. } => (0, 0, 0),
            Self::Waits { .. } => (1, 0, 0),
            Self::Needs { stages, .. } => (2, stages.len(), stages.iter().map(|stage| i64::from(stage.required)).sum()),
            Self::Unknown { .. } => (3, 0, 0),
            Self::Denied { .. } => (4, 0, 0),
        }
    }

    /// In a few words, of what would be asked for as things are now.
    pub fn brief(&self) -> TextSpan {
        match self {
            Self::Granted { sure: true, .. } => TextSpan::new("granted at once", Tone::Good),
            Self::Granted { sure: false, .. } => TextSpan::new("granted at once, as far as you can see", Tone::Waiting),
            Self::Needs { stages, .. } => {
                let asked: Vec<String> = stages.iter().map(StageAsked::sentence).collect();
                TextSpan::new(format!("needs {}", asked.join("; then ")), Tone::Waiting)
            }
            Self::Waits { summary } => TextSpan::new(summary.clone(), Tone::Waiting),
            Self::Denied { reasons, .. } => TextSpan::new(format!("not now: {}", reasons.join("; ")), Tone::Bad),
            Self::Unknown { why } => TextSpan::new(format!("not known: {why}"), Tone::Waiting),
        }
    }

    /// In words.
    pub fn text(&self) -> Text {
        let mut text = Text::default();
        match self {
            Self::Granted { policy, grant, sure: true } => {
                let long = length(grant.as_ref());
                text.line(TextSpan::new(format!("granted at once{long}: policy {policy} allows it"), Tone::Good));
                let idle = grant.iter().filter_map(|grant| grant.idle_timeout.as_ref());
                idle.for_each(|length| text.line(format!("it ends early {}", words::ends_unused(length))));
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
