//! What the page tells beside objects, computed by the code of the commands with the client of its caller.
//!
//! What may not be read is told as a gap, and never taken for empty. It must not print.

use kube::Client;
use kube::ResourceExt;

use crate::api::policy::Effect;
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::cli::plugin::ask::forecast::{Forecast, ForecastReading, Foreseen, StageAsked};
use crate::cli::plugin::ask::options::{AskOption, AskOptions};
use crate::cli::plugin::cluster::{Cluster, ClusterAddress};
use crate::cli::plugin::decide::pending::{PendingInCluster, PendingRequest, PendingSearch, ReviewTask};
use crate::cli::plugin::doctor;
use crate::cli::plugin::doctor::finding::{CheckFinding, FindingLevel, HealthCheck};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::explain::says;
use crate::cli::plugin::identity;
use crate::cli::plugin::policy::lint;
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Unseen, each_once};
use crate::core::model::duration;
use crate::core::model::subjects::is_same_person;
use crate::core::report::explain::{Explanation, Judged, Verdict};
use crate::core::report::lint::{Oddity, Warning};
use crate::core::report::offers::OfferPlace;
use crate::page::desk::{
    PageDesk, PageEscalation, PageExplanation, PageFinding, PageForecast, PageHealth, PageInbox, PageJudgement,
    PageLevel, PageLint, PageOddity, PageOption, PageOptions, PageOutcome, PagePerson, PageStage, PageTask,
};
use crate::page::refusal::PageRefusal;
use crate::runtime::clock::Clock;

/// The desk of a page, on this machine or in the cluster.
pub struct UiDesk {
    /// Every read goes there with the login of its caller.
    pub cluster: ClusterAddress,
    pub installation: InstallationArgs,
    /// Flags that lead a command to the same cluster.
    pub flags: String,
    /// Whether people have the plugin on the machine that this runs on.
    pub has_plugin: bool,
}

impl PageDesk for UiDesk {
    async fn foresee(&self, client: Client, draft: AccessRequest) -> Result<PageForecast, PageRefusal> {
        let cluster = self.cluster.with(client);
        let who = identity::requester(&cluster).await.map_err(refusal)?;
        let draft = asked_by(draft, who).map_err(refusal)?;
        Ok(self.foreseen(&cluster, &draft).await?.0)
    }

    async fn explain(
        &self,
        client: Client,
        mut draft: AccessRequest,
        person: PagePerson,
    ) -> Result<PageExplanation, PageRefusal> {
        let PagePerson { username, groups } = person.clone();
        draft.spec.requester = Some(Identity { username, groups, ..Identity::default() });
        let (forecast, policies) = self.foreseen(&self.cluster.with(client), &draft).await?;
        Ok(PageExplanation { person, forecast, policies })
    }

    async fn options(&self, client: Client, namespace: String) -> Result<PageOptions, PageRefusal> {
        let cluster = self.cluster.with(client);
        let who = identity::requester(&cluster).await.map_err(refusal)?;
        let read = AskOptions::read(&cluster, &self.installation, &namespace, &who, self.flags.clone()).await;
        match read {
            Ok(read) => {
                let options = read.options.iter().map(|option| self.option(option)).collect();
                Ok(PageOptions { options, gaps: read.notes() })
            }
            Err(error) if error.is_forbidden() => {
                Ok(PageOptions { options: Vec::new(), gaps: vec![error.to_string()] })
            }
            Err(error) => Err(refusal(error)),
        }
    }

    async fn inbox(&self, client: Client) -> Result<PageInbox, PageRefusal> {
        let cluster = self.cluster.with(client);
        let search = PendingSearch { namespaces: &[], all_or_nothing: false, installation: &self.installation };
        match search.read(&cluster).await {
            Ok(found) => Ok(inbox(found)),
            Err(error) if error.is_forbidden() => Ok(PageInbox { requests: Vec::new(), gaps: vec![error.to_string()] }),
            Err(error) => Err(refusal(error)),
        }
    }

    async fn health(&self, client: Client) -> Result<PageHealth, PageRefusal> {
        let examined = doctor::examine(&self.cluster.with(client), &self.installation).await;
        let report = examined.report.leading_to(&self.flags);
        let told = report.findings.iter().filter(|found| self.has_plugin || found.check != HealthCheck::Setup);
        Ok(PageHealth { findings: told.map(finding).collect() })
    }

    async fn lint(&self, client: Client) -> Result<PageLint, PageRefusal> {
        let warnings = lint::stored(&self.cluster.with(client), self.installation.release()).await;
        match warnings {
            Ok(warnings) => {
                let gaps = warnings.gap.iter().map(ToString::to_string).collect();
                Ok(PageLint { findings: warnings.found.iter().map(oddity).collect(), gaps })
            }
            Err(error) if error.is_forbidden() => Ok(PageLint { findings: Vec::new(), gaps: vec![error.to_string()] }),
            Err(error) => Err(refusal(error)),
        }
    }
}

impl UiDesk {
    /// What would be decided about a request of whoever it names, and what each policy says to it.
    async fn foreseen(
        &self,
        cluster: &Cluster,
        draft: &AccessRequest,
    ) -> Result<(PageForecast, Vec<PageJudgement>), PageRefusal> {
        let policies = match PoliciesRead::read(cluster).await {
            Ok(policies) => policies,
            Err(error) if error.is_forbidden() => return Ok((unknown(&error), Vec::new())),
            Err(error) => return Err(refusal(error)),
        };
        let installation = &self.installation;
        let reading = ForecastReading { cluster, policies: &policies, installation, now: Clock::wall().now() };
        let foreseen = reading.of(draft).await.map_err(refusal)?;
        let nearest = reading.nearest(&foreseen).await.map_err(refusal)?;
        let forecast = PageForecast { nearest: nearest.map(|(request, _)| request), ..told(draft, &foreseen) };
        Ok((forecast, foreseen.explanation.as_ref().map(judgements).unwrap_or_default()))
    }
}

/// What each policy says.
fn judgements(explanation: &Explanation) -> Vec<PageJudgement> {
    let because = explanation.decides.as_ref().map(|decides| decides.because.to_string()).unwrap_or_default();
    let of = |judged: &Judged| PageJudgement {
        policy: judged.name.clone(),
        effect: if judged.effect == Effect::Deny { "Deny" } else { "Allow" }.to_owned(),
        says: says(judged, &because),
        decides: judged.verdict == Verdict::Decides,
    };
    explanation.policies.iter().map(of).collect()
}

/// The request as its caller would make it.
fn asked_by(mut draft: AccessRequest, who: Identity) -> Result<AccessRequest, PluginError> {
    if let Some(written) = draft.spec.requester.as_ref().filter(|written| !is_same_person(written, &who)) {
        let (name, written) = (draft.name_any(), written.username.clone());
        return Err(PluginError::AsSomebodyElse { name, written, caller: who.username });
    }
    draft.spec.requester = Some(who);
    Ok(draft)
}

/// Why the page gets no answer.
fn refusal(error: PluginError) -> PageRefusal {
    match &error {
        PluginError::NotLoggedIn { .. } => PageRefusal::SignInAgain(error.to_string()),
        PluginError::Away { .. } | PluginError::NoAnswer { .. } => PageRefusal::Away(error.to_string()),
        _ if error.is_forbidden() => PageRefusal::Forbidden(error.to_string()),
        _ => PageRefusal::Unusable(error.to_string()),
    }
}

/// What is said to somebody who may not read what decides.
fn unknown(why: &PluginError) -> PageForecast {
    PageForecast {
        outcome: PageOutcome::Unknown,
        sure: false,
        policy: None,
        begins: None,
        ends: None,
        stages: Vec::new(),
        deadline: None,
        reasons: Vec::new(),
        gaps: vec![why.to_string()],
        rights: None,
        risk: None,
        nearest: None,
    }
}

fn outcome(forecast: &Forecast) -> PageOutcome {
    match forecast {
        Forecast::Granted { .. } => PageOutcome::Granted,
        Forecast::Needs { .. } => PageOutcome::Needs,
        Forecast::Waits { .. } => PageOutcome::Waits,
        Forecast::Denied { .. } => PageOutcome::Denied,
        Forecast::Unknown { .. } => PageOutcome::Unknown,
    }
}

fn told(draft: &AccessRequest, foreseen: &Foreseen) -> PageForecast {
    let forecast = &foreseen.forecast;
    let mut told = PageForecast {
        outcome: outcome(forecast),
        sure: forecast.is_sure() && foreseen.gaps.is_empty(),
        policy: None,
        begins: draft.spec.start_time.as_ref().map(|start| start.0),
        ends: None,
        stages: Vec::new(),
        deadline: None,
        reasons: Vec::new(),
        gaps: foreseen.gaps.iter().map(Unseen::to_string).collect(),
        rights: foreseen.rights_of_role.filter(|rights| draft.spec.rules.is_empty() && *rights < usize::MAX),
        risk: foreseen.risk.map(|risk| risk.to_string()),
        nearest: None,
    };
    match forecast {
        Forecast::Granted { policy, grant, .. } => {
            told.policy = Some(policy.clone());
            told.begins = grant.as_ref().and_then(|grant| grant.from.as_ref()).map(|time| time.0);
            told.ends = grant.as_ref().and_then(|grant| grant.until.as_ref()).map(|time| time.0);
        }
        Forecast::Needs { policy, stages, deadline } => {
            told.policy = Some(policy.clone());
            (told.stages, told.deadline) = (stages.iter().map(stage).collect(), *deadline);
        }
        Forecast::Denied { reasons, .. } => told.reasons.clone_from(reasons),
        Forecast::Waits { summary: why } | Forecast::Unknown { why } => told.reasons.push(why.clone()),
    }
    told
}

fn stage(asked: &StageAsked) -> PageStage {
    PageStage {
        stage: asked.stage.clone(),
        required: asked.required,
        approvers: asked.approvers.clone(),
        then: asked.then.as_ref().map(|(at, approvers)| PageEscalation { at: *at, approvers: approvers.clone() }),
    }
}

impl UiDesk {
    fn option(&self, option: &AskOption) -> PageOption {
        let mut approvers: Vec<String> = match &option.forecast {
            Forecast::Needs { stages, .. } => stages.iter().flat_map(|stage| stage.approvers.clone()).collect(),
            _ => Vec::new(),
        };
        approvers.dedup();
        PageOption {
            role: option.offer.role.clone(),
            policy: option.offer.policy.clone(),
            cluster: option.offer.place == OfferPlace::Cluster,
            break_glass: option.offer.break_glass,
            longest: duration::format(option.offer.longest),
            usual: duration::format(option.offer.usual),
            needs_ticket: option.needs_ticket,
            outcome: outcome(&option.forecast),
            approvers,
            line: option.line(&self.flags),
        }
    }
}

fn inbox(found: PendingInCluster) -> PageInbox {
    let unseen = each_once(found.waiting.iter().flat_map(|waiting| &waiting.gaps));
    let gaps = found.gaps.iter().map(ToString::to_string).chain(unseen.iter().map(ToString::to_string)).collect();
    PageInbox { requests: found.waiting.iter().map(task).collect(), gaps }
}

fn task(waiting: &PendingRequest) -> PageTask {
    let request = &waiting.request;
    let risk = request.status.as_ref().and_then(|status| status.risk.as_ref());
    PageTask {
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        resource_version: request.resource_version().unwrap_or_default(),
        why: match &waiting.asked {
            ReviewTask::Stage(name) => format!("stage {name}"),
            ReviewTask::Review { .. } => "review".to_owned(),
        },
        until: waiting.by,
        risk: risk.map(|risk| risk.level.as_str().to_owned()),
        rights: waiting.rights.clone().unwrap_or_else(|| vec![words::what(request)]),
    }
}

fn finding(found: &CheckFinding) -> PageFinding {
    let name = found.check.name();
    PageFinding {
        level: match found.level {
            FindingLevel::Ok => PageLevel::Ok,
            FindingLevel::Note => PageLevel::Note,
            FindingLevel::Unknown => PageLevel::Unknown,
            FindingLevel::Warning => PageLevel::Warning,
            FindingLevel::Error => PageLevel::Problem,
        },
        subject: found.object.as_ref().map_or_else(|| name.clone(), |object| format!("{name} {object}")),
        message: found.message.to_string(),
        way_out: found.fix.as_ref().map(ToString::to_string),
    }
}

fn oddity(warning: &Warning) -> PageOddity {
    let Warning { policy, field, what } = warning;
    PageOddity {
        policy: policy.clone(),
        severity: if matches!(what, Oddity::Undecodable(_)) { PageLevel::Problem } else { PageLevel::Warning },
        message: format!("{field}: {what}"),
        way_out: what.way_out().into_owned(),
    }
}
