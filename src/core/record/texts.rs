//! Which texts a decision was made by: those that records name by their digests.
//!
//! It must not make a text: `core::policies` and `core::rbac::role` do.

use crate::api::record::Record;
use crate::api::request::HistoryEntry;

/// How the digest of a text begins. What stands for a role that is not there does not.
const OF_TEXT: &str = "sha256:";

/// Digests of the texts that a record names.
pub fn named(record: &Record) -> impl Iterator<Item = &str> {
    let policy = record.policy.as_ref().and_then(|policy| policy.digest.as_deref());
    texts(policy, record.access.role_digest.as_deref())
}

/// Digests of the texts that the records of a history name.
pub fn named_in(history: &[HistoryEntry]) -> impl Iterator<Item = &str> {
    let facts = history.iter().filter_map(|entry| entry.facts.as_deref());
    facts.flat_map(|facts| texts(facts.policy_digest.as_deref(), facts.role_digest.as_deref()))
}

fn texts<'a>(policy: Option<&'a str>, role: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    policy.into_iter().chain(role).filter(|digest| digest.starts_with(OF_TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::golden::{RECORDS, REQUESTS};
    use std::collections::BTreeSet;

    #[test]
    fn a_history_names_what_its_records_name() {
        let all: Vec<Record> = RECORDS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let requests = REQUESTS.lines().map(|line| serde_json::from_str(line).unwrap());
        let requests: Vec<crate::api::request::AccessRequest> = requests.collect();
        let histories = requests.iter().filter_map(|request| request.status.as_ref()).map(|status| &status.history);
        let in_histories: BTreeSet<&str> = histories.flat_map(|history| named_in(history)).collect();
        assert_eq!(all.iter().flat_map(named).collect::<BTreeSet<_>>(), in_histories);
        assert!(!in_histories.is_empty());
    }

    #[test]
    fn a_role_that_is_not_there_and_a_policy_that_was_gone_have_no_text() {
        let mut record: Record = serde_json::from_str(RECORDS.lines().next().unwrap()).unwrap();
        record.access.role_digest = Some("none".to_owned());
        record.policy = None;
        assert_eq!(named(&record).count(), 0);
    }
}
