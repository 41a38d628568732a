//! What to ask for, of calls that lack a right: as few requests as cover them.
//!
//! [`propose`] and the core behind it choose; this puts together what is for the same role. Asks nobody, and makes no request.

use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::cli::plugin::ask::forecast::ForecastReading;
use crate::cli::plugin::ask::propose::{AskedTerms, Proposal, propose};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::text::Text;
use crate::cli::plugin::refused::{RefusedCall, rules};
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead};
use crate::runtime::clock::Clock;

/// What to ask for.
#[derive(Default)]
pub struct HoldPlan {
    pub drafts: Vec<PlannedRequest>,
    /// Of what was refused, what nothing covers that one may ask for.
    pub uncovered: Vec<RefusedCall>,
    /// All of that in words.
    pub told: Text,
}

/// A request that is not made yet, and the calls that it is for.
pub struct PlannedRequest {
    pub draft: AccessRequest,
    pub calls: Vec<RefusedCall>,
}

/// What requests are planned with.
pub struct PlanReading<'a> {
    pub cluster: &'a Cluster,
    pub installation: &'a InstallationArgs,
    pub who: &'a Identity,
    pub terms: &'a AskedTerms,
    /// Flags that lead a further command to the same cluster.
    pub flags: &'a str,
}

impl PlanReading<'_> {
    /// Plans for what was `refused`, and what the command needs `beside` it: that is left out where nothing covers it, and where
    /// nothing covers what was refused nothing is asked for.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn plan(&self, refused: &[RefusedCall], beside: &[RefusedCall]) -> Result<HoldPlan, PluginError> {
        let policies = PoliciesRead::read(self.cluster).await?;
        let now = Clock::wall().now();
        let (cluster, installation) = (self.cluster, self.installation);
        let reading = ForecastReading { cluster, policies: &policies, installation, now };
        let calls = [refused, beside].concat();
        let proposals = propose(&reading, self.who, self.terms, &calls).await?;
        let is_wanted =
            |proposal: &Proposal| proposal.is_allowed() || proposal.calls.iter().any(|c| refused.contains(c));
        let proposals = merged(proposals.into_iter().filter(is_wanted).collect());
        let mut plan = HoldPlan::default();
        for proposal in proposals {
            let (text, draft) = proposal.told(&reading, self.flags, false).await?;
            plan.told.extend(text);
            match draft {
                Some(draft) => plan.drafts.push(PlannedRequest { draft, calls: proposal.calls }),
                None => plan.uncovered.extend(proposal.calls),
            }
        }
        if refused.iter().all(|call| plan.uncovered.contains(call)) {
            plan.drafts.clear();
        }
        Ok(plan)
    }
}

/// What is for the same role in the same place is one request.
fn merged(proposals: Vec<Proposal>) -> Vec<Proposal> {
    let mut merged: Vec<Proposal> = Vec::new();
    for proposal in proposals {
        let same = merged.iter_mut().find(|other| is_for_the_same(other, &proposal));
        match same {
            Some(other) => {
                other.calls.extend(proposal.calls);
                if let Some((draft, _)) = &mut other.answer {
                    draft.spec.rules = rules(&other.calls);
                }
            }
            None => merged.push(proposal),
        }
    }
    merged
}

fn is_for_the_same(one: &Proposal, other: &Proposal) -> bool {
    if !one.is_allowed() || !other.is_allowed() {
        return false;
    }
    match (&one.answer, &other.answer) {
        (Some((one, _)), Some((other, _))) => {
            let without_rules = |draft: &AccessRequest| {
                let mut spec = draft.spec.clone();
                spec.rules.clear();
                (spec, draft.metadata.namespace.clone())
            };
            without_rules(one) == without_rules(other)
        }
        _ => false,
    }
}
