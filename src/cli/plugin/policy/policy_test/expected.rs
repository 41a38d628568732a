//! What a case expects, held against what is decided.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::core::model::duration;
use crate::core::report::explain::{Explanation, Outcome, StageState};

/// What a case expects; what it leaves out may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAnswer {
    outcome: Outcome,
    policy: Option<String>,
    stage: Option<String>,
    approvers: Option<BTreeSet<String>>,
    message: Option<String>,
    duration: Option<String>,
    until: Option<Time>,
    namespaces: Option<BTreeSet<String>>,
}

impl ExpectedAnswer {
    /// In what the answer is another than expected: which part, what was expected, what came.
    pub fn differences(&self, explanation: &Explanation) -> Vec<(&'static str, String, String)> {
        let expect = self;
        let grant = explanation.grant.as_ref();
        let open = explanation.stages.iter().find(|stage| stage.state == StageState::Open);
        let approvers = open.into_iter().flat_map(|stage| &stage.approvers).map(|a| a.subject.clone()).collect();
        let namespaces = grant.into_iter().flat_map(|grant| grant.namespaces.iter().cloned()).collect();
        let nothing = || "nothing".to_owned();
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let same = |length: &String| duration::parse(length).map_or_else(|_| length.clone(), duration::format);
        let mut all = vec![("outcome", Some(format!("{:?}", expect.outcome)), format!("{:?}", explanation.outcome))];
        let policy = explanation.decides.as_ref().map_or_else(nothing, |decides| decides.policy.clone());
        all.push(("policy", expect.policy.clone(), policy));
        all.push(("stage", expect.stage.clone(), open.map_or_else(nothing, |stage| stage.name.clone())));
        all.push(("approvers", expect.approvers.as_ref().map(list), list(&approvers)));
        let length = grant.map_or_else(nothing, |grant| grant.duration.clone());
        all.push(("duration", expect.duration.as_ref().map(same), length));
        let until = grant.and_then(|grant| grant.until.as_ref()).map_or_else(nothing, |until| until.0.to_string());
        all.push(("until", expect.until.as_ref().map(|until| until.0.to_string()), until));
        all.push(("namespaces", expect.namespaces.as_ref().map(list), list(&namespaces)));
        let mut found: Vec<_> = all
            .into_iter()
            .filter_map(|(what, wanted, got)| Some((what, wanted?, got)))
            .filter(|(_, wanted, got)| wanted != got)
            .collect();
        if let Some(words) = expect.message.as_ref().filter(|words| !explanation.summary.contains(*words)) {
            found.push(("message", format!("… {words} …"), explanation.summary.clone()));
        }
        found
    }
}
