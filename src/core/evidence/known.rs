//! What records name by a digest: the specs of policies, and the groups of people.
//!
//! Owns how sure it is that somebody was among those whom a policy names. Groups of a reviewer are recorded as a digest, so
//! their names are known only where somebody with the same groups made a request. It must not read a cluster.

use std::collections::BTreeMap;

use crate::api::policy::{AccessPolicySpec, Stage};
use crate::api::record::{Record, RecordedPerson};
use crate::api::subject::{Identity, Subject, SubjectKind};
use crate::core::model::facts::of_groups;
use crate::core::model::subjects::{SERVICE_ACCOUNT_PREFIX, is_approver};

use super::chain::EvidenceChain;

/// What is known beside the records.
#[derive(Debug, Default)]
pub struct NamedTexts {
    texts: BTreeMap<String, String>,
    policies: BTreeMap<String, AccessPolicySpec>,
    groups: BTreeMap<String, Vec<String>>,
}

/// How sure it is that a policy names somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedHow {
    /// No user, service account or group of the policy is them.
    No,
    /// The text of the policy is not held.
    Unknown,
    /// The policy names groups, and theirs are known by a digest alone: the record says that their word counted.
    Recorded,
    /// The policy names them, or a group of theirs.
    Yes,
}

impl NamedHow {
    /// The word in a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Recorded => "recorded",
            Self::Yes => "yes",
        }
    }
}

impl NamedTexts {
    /// The texts, each with its digest, and the groups that requests name.
    pub fn new(texts: BTreeMap<String, String>, chains: &[EvidenceChain]) -> Self {
        let read = |(digest, text): (&String, &String)| Some((digest.clone(), serde_json::from_str(text).ok()?));
        let policies = texts.iter().filter_map(read).collect();
        let asked = chains.iter().flat_map(EvidenceChain::records).filter_map(|record| record.asked.as_ref());
        let groups = asked.map(|asked| (of_groups(&asked.groups), asked.groups.clone())).collect();
        Self { texts, policies, groups }
    }

    /// The texts, by their digests.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// The policy that a record names, as it was; none when its text is not held.
    pub fn policy(&self, record: &Record) -> Option<&AccessPolicySpec> {
        self.policies.get(record.policy.as_ref()?.digest.as_ref()?)
    }

    /// Whether these subjects name somebody.
    pub fn named(&self, who: &RecordedPerson, subjects: &[Subject]) -> NamedHow {
        let groups = who.groups.as_ref().and_then(|digest| self.groups.get(digest));
        let identity = Identity {
            username: who.username.clone(),
            groups: groups.cloned().unwrap_or_default(),
            ..Identity::default()
        };
        if is_approver(&identity, subjects) {
            return NamedHow::Yes;
        }
        let is_robot = who.username.starts_with(SERVICE_ACCOUNT_PREFIX);
        let names_groups = subjects.iter().any(|subject| subject.kind == SubjectKind::Group);
        if groups.is_none() && names_groups && !is_robot { NamedHow::Recorded } else { NamedHow::No }
    }
}

/// Who may approve in a stage, with those that it escalates to where it did.
pub fn approvers_of(stage: &Stage, escalated: bool) -> Vec<Subject> {
    let more = stage.escalate_to.iter().filter(|_| escalated);
    stage.approvers.iter().chain(more).cloned().collect()
}
