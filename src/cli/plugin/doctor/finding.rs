//! What the doctor finds: of which check, how bad, and the way out. The names of checks and levels are for programs too, and
//! stay as they are.

use serde::Serialize;
use serde_json::json;

use super::facts::UnreadFact;
use super::marked::MarkedText;

/// What is looked at. The name of each is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthCheck {
    /// How kubectl finds the plugin and its completion.
    Setup,
    /// Whether the API server answers.
    ApiServer,
    /// Who the caller is to the cluster.
    Identity,
    /// The clock of this machine.
    OwnClock,
    /// The version of Kubernetes.
    Kubernetes,
    /// Whether the kinds of Daypass are served.
    Kinds,
    /// A CRD, as stored.
    Definition,
    /// The Deployment of the controller.
    Controller,
    /// Whether plugin and controller are of one version.
    Versions,
    /// An admission policy of the chart and its binding.
    Guard,
    /// What writes identities.
    Stamp,
    /// The certificate of the webhook that does.
    StampCertificate,
    /// What the controller may do.
    ControllerRights,
    /// What the caller may do.
    OwnRights,
    /// Which replica leads.
    Leader,
    /// The clock of the controller.
    ControllerClock,
    /// What a replica says of itself.
    Readiness,
    /// The figures of a replica.
    Metrics,
    /// What becomes of records and of requests that are over.
    Archive,
    /// A policy.
    Policy,
    /// A request.
    Request,
    /// A binding with Daypass's label.
    Binding,
}

/// How a check ended, the better the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    Ok,
    /// Worth knowing, and nothing is wrong.
    Note,
    /// It could not be looked at, so nothing is known.
    Unknown,
    /// Something is not as it should be.
    Warning,
    /// Something does not work.
    Error,
}

impl FindingLevel {
    /// Every level, the best first.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Note, Self::Unknown, Self::Warning, Self::Error];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// How one check ended, of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    pub check: HealthCheck,
    /// What was looked at, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<MarkedText>,
    pub level: FindingLevel,
    /// In a sentence.
    pub message: MarkedText,
    /// The way out: a command, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<MarkedText>,
}

impl HealthCheck {
    /// Its name.
    pub fn name(self) -> String {
        json!(self).as_str().unwrap_or_default().to_owned()
    }

    /// A finding of this check.
    pub fn found(self, level: FindingLevel, message: impl Into<MarkedText>) -> CheckFinding {
        CheckFinding { check: self, object: None, level, message: message.into(), fix: None }
    }

    /// All is well.
    pub fn ok(self, message: impl Into<MarkedText>) -> CheckFinding {
        self.found(FindingLevel::Ok, message)
    }

    /// Worth knowing.
    pub fn note(self, message: impl Into<MarkedText>) -> CheckFinding {
        self.found(FindingLevel::Note, message)
    }

    /// Not as it should be.
    pub fn warning(self, message: impl Into<MarkedText>) -> CheckFinding {
        self.found(FindingLevel::Warning, message)
    }

    /// It does not work.
    pub fn error(self, message: impl Into<MarkedText>) -> CheckFinding {
        self.found(FindingLevel::Error, message)
    }

    /// Nothing is known, since this could not be read.
    pub fn unknown(self, unread: &UnreadFact) -> CheckFinding {
        let finding = self.found(FindingLevel::Unknown, unread.sentence());
        if unread.is_forbidden() {
            finding.fix(
                "have somebody look who may: the ClusterRole daypass-auditor reads most of it, cluster-admin all of it",
            )
        } else {
            finding
        }
    }
}

impl CheckFinding {
    /// Of this thing.
    pub fn of(self, object: impl Into<MarkedText>) -> Self {
        Self { object: Some(object.into()), ..self }
    }

    /// With this way out.
    pub fn fix(self, fix: impl Into<MarkedText>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// All that was found, and of which versions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// Of this plugin.
    pub plugin: String,
    /// Of the API server, where it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// Of the controller that is installed, where that may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    pub findings: Vec<CheckFinding>,
}

impl HealthReport {
    /// How many findings there are of a level.
    pub fn count(&self, level: FindingLevel) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// The same with the flags that lead to the cluster behind each command of a way out.
    pub fn leading_to(mut self, flags: &str) -> Self {
        for finding in &mut self.findings {
            finding.fix = finding.fix.take().map(|fix| fix.with_flags(flags));
        }
        self
    }

    /// Whether nothing is wrong; in a strict view, whether nothing may be wrong.
    pub fn is_well(&self, strict: bool) -> bool {
        let worst = self.findings.iter().map(|finding| finding.level).max().unwrap_or(FindingLevel::Ok);
        worst < if strict { FindingLevel::Unknown } else { FindingLevel::Error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_fails_a_strict_view_alone() {
        let report = |level| {
            let findings = vec![HealthCheck::Leader.found(level, "x"), HealthCheck::Setup.ok("y")];
            HealthReport { plugin: String::new(), kubernetes: None, controller: None, findings }
        };
        let well = |strict| FindingLevel::ALL.map(|level| report(level).is_well(strict));
        assert_eq!(well(false), [true, true, true, true, false]);
        assert_eq!(well(true), [true, true, false, false, false]);
    }

    #[test]
    fn each_command_of_a_way_out_leads_to_the_cluster() {
        let fix = MarkedText::of("kubectl get pods").flags().words(", kubectl logs").flags().words(" tell");
        let finding = HealthCheck::Leader.error("x").fix(fix.clone());
        let findings = vec![finding, HealthCheck::Setup.ok("y")];
        let report = HealthReport { plugin: String::new(), kubernetes: None, controller: None, findings };
        let led = report.leading_to(" --context c").findings[0].fix.clone();
        assert_eq!(
            led.map(|fix| fix.to_string()).as_deref(),
            Some("kubectl get pods --context c, kubectl logs --context c tell")
        );
        assert_eq!(fix.to_string(), "kubectl get pods, kubectl logs tell");
    }

    #[test]
    fn a_check_has_one_name() {
        assert_eq!(HealthCheck::StampCertificate.name(), "stamp-certificate");
        assert_eq!(FindingLevel::ALL.map(|level| json!(level)), FindingLevel::ALL.map(|level| json!(level.as_str())));
    }
}
