//! Past grants under a policy, as the archive tells of them, and the roles as they are.
//!
//! Owns the questions. Of a grant of which the archive does not say that all was seen, it says so.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};

use crate::api::AccessPolicy;
use crate::api::record::Record;
use crate::api::subject::{RoleKind, RoleName};
use crate::archive::store::search::Search;
use crate::archive::who::readers::{ACTIVITY, GROUP, RESOURCE};
use crate::cli::plugin::activity::reading::{NoActivity, told};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived::{self, NoArchive};
use crate::cli::plugin::requests::Where;
use crate::core::activity::summary::SummaryRow;
use crate::core::activity::told::ToldActivity;
use crate::core::activity::verdict::term;
use crate::core::decision::protected::Protected;
use crate::core::insight::narrower::evidence::{GrantCalls, PastGrant, UnseenCalls};
use crate::core::rbac::risk::Extent;

/// How many grants are asked about at a time.
const AT_A_TIME: usize = 8;

/// Grants, with what they were of.
#[derive(Debug)]
pub struct GrantsRead(Vec<GrantRead>);

#[derive(Clone, Debug)]
struct GrantRead {
    /// The last record of it, which says what access it is.
    record: Record,
    grant: PastGrant,
}

/// The rules of a role, and the namespaces in which it was read: none for a ClusterRole.
#[derive(Debug)]
pub struct RoleRead {
    pub rules: Vec<PolicyRule>,
    pub namespaces: BTreeSet<String>,
}

/// The grants under a policy that began since, each with what was done with it.
///
/// # Errors
/// When the archive does not tell.
pub async fn grants(
    cluster: &Cluster,
    policy: &AccessPolicy,
    since: Timestamp,
    now: Timestamp,
) -> Result<GrantsRead, PluginError> {
    let mut by_request: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let name = Some(policy.name_any());
    let search = Search { policy: name, since: Some(since.as_microsecond()), ..Search::default() };
    let found = archived::all(cluster, &Where::Everywhere, search, usize::MAX).await.map_err(untold)?;
    // Of one name there may be other policies, in other clusters and before this one.
    let own = |record: &Record| record.policy.as_ref().is_some_and(|known| Some(&known.uid) == policy.uid().as_ref());
    for record in found.into_iter().map(|item| item.record).filter(own) {
        by_request.entry(record.request.uid.clone()).or_default().push(record);
    }
    let begun = by_request.into_values().filter_map(|mut records| {
        records.sort_by_key(|record| record.index);
        let term = term(&records)?;
        Some((records.pop()?, term.from, term.end.unwrap_or(now)))
    });
    let read = stream::iter(begun).map(async |(record, from, until)| {
        let request = &record.request;
        let name = format!("{}/{}", request.namespace, request.name);
        let calls = calls(cluster, &record).await?;
        Ok::<_, PluginError>(GrantRead { grant: PastGrant { name, from, until, calls }, record })
    });
    let mut all: Vec<GrantRead> = read.buffer_unordered(AT_A_TIME).try_collect().await?;
    all.sort_by_key(|read| (read.grant.from, read.record.request.uid.clone()));
    Ok(GrantsRead(all))
}

async fn calls(cluster: &Cluster, record: &Record) -> Result<GrantCalls, PluginError> {
    match told(cluster, &Where::Everywhere, &record.request.uid).await {
        Ok(told) => Ok(calls_of(told)),
        Err(NoActivity::Nothing) => Ok(unseen("the archive tells nothing of it".to_owned())),
        Err(NoActivity::Archive(none)) => Err(untold(none)),
    }
}

fn unseen(why: String) -> GrantCalls {
    GrantCalls::Unseen(UnseenCalls::NotHeard(why))
}

fn calls_of(told: ToldActivity) -> GrantCalls {
    if !told.whole {
        return unseen(told.unseen.unwrap_or_else(|| "the archive does not say whether it saw all of it".to_owned()));
    }
    let rows: Vec<SummaryRow> = told.rows.into_iter().map(SummaryRow::from).collect();
    GrantCalls::of(&rows)
}

/// Why nothing can be proposed without the archive.
fn untold(none: NoArchive) -> PluginError {
    match none {
        NoArchive::Failed(error) => error,
        NoArchive::NotServed => PluginError::NothingOnRecord {
            why: "the cluster has no archive: set archive.enabled and archive.audit.enabled in the values of the chart"
                .to_owned(),
        },
        NoArchive::Forbidden => PluginError::NothingOnRecord {
            why: format!(
                "you may not list {RESOURCE}.{GROUP} and {ACTIVITY}.{GROUP} in all namespaces: ask for a ClusterRoleBinding to ClusterRole \
                 daypass-archive-reader"
            ),
        },
        NoArchive::Silent(why) => PluginError::NothingOnRecord { why: format!("the archive does not answer: {why}") },
    }
}

impl GrantsRead {
    /// Those of one role.
    pub fn of(&self, role: &RoleName) -> Self {
        Self(self.0.iter().filter(|read| read.record.access.role == *role).cloned().collect())
    }

    /// For the core.
    pub fn past(&self) -> Vec<PastGrant> {
        self.0.iter().map(|read| read.grant.clone()).collect()
    }

    /// Where they held, as far as the harm depends on it.
    pub fn extent(&self, release: &str) -> Extent {
        let protected = Protected::with_release(release);
        let is_wide = self.0.iter().any(|read| read.record.access.cluster_wide);
        match self.namespaces().iter().any(|name| protected.contains(name)) {
            _ if is_wide => Extent::Cluster,
            true => Extent::SystemNamespaces,
            false => Extent::Namespaces,
        }
    }

    fn namespaces(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|read| read.record.access.namespaces.clone()).collect()
    }
}

/// The rules of a role as they are; of a Role those of the namespaces where it was granted.
///
/// # Errors
/// When it cannot be read, or is not the same everywhere.
pub async fn role(cluster: &Cluster, role: &RoleName, grants: &GrantsRead) -> Result<RoleRead, PluginError> {
    if role.kind == RoleKind::ClusterRole {
        let api: Api<ClusterRole> = Api::all(cluster.client.clone());
        let found = cluster.call("get clusterroles", api.get(&role.name)).await?;
        return Ok(RoleRead { rules: found.rules.unwrap_or_default(), namespaces: BTreeSet::new() });
    }
    let mut found: Option<(String, Vec<PolicyRule>)> = None;
    let namespaces = grants.namespaces();
    for namespace in &namespaces {
        let api: Api<Role> = Api::namespaced(cluster.client.clone(), namespace);
        let rules = cluster.call(format!("get roles in namespace {namespace}"), api.get(&role.name)).await?;
        let rules = rules.rules.unwrap_or_default();
        match &found {
            Some((first, known)) if *known != rules => {
                let problem = format!(
                    "{role} of namespace {first} has other rules than that of {namespace}: make them the same, or give \
                     a ClusterRole in their place"
                );
                return Err(PluginError::Flag { flag: "--role", problem });
            }
            Some(_) => {}
            None => found = Some((namespace.clone(), rules)),
        }
    }
    Ok(RoleRead { rules: found.map(|(_, rules)| rules).unwrap_or_default(), namespaces })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    use crate::core::activity::names::ObjectNames;

    fn calls(whole: Value, rows: Value) -> GrantCalls {
        let mut item = json!({
            "cluster": "c", "request": "u", "namespace": "shop", "name": "fix", "known": "Used", "why": "so", "calls": 1,
            "refused": 0, "standing": 0, "ambiguous": 0, "open": 0, "openBeside": 0, "rows": rows,
        });
        item.as_object_mut().unwrap().extend(whole.as_object().unwrap().clone());
        calls_of(serde_json::from_value(item).unwrap())
    }

    fn row(more: Value) -> Value {
        let mut row = json!({
            "verb": "get", "resource": "secrets", "namespace": "shop", "user": "alice", "calls": 2,
            "first": "2026-11-30T12:00:00Z", "last": "2026-11-30T12:01:00Z",
        });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    }

    #[test]
    fn the_rows_of_the_archive_are_calls() {
        let rows = json!([
            row(json!({ "names": ["db", "web"] })),
            row(json!({ "names": null, "verb": "patch", "created": true })),
            row(json!({ "verb": "list" })),
        ]);
        let GrantCalls::Seen(seen) = calls(json!({ "whole": true, "unseen": null }), rows) else {
            panic!("all was seen")
        };
        let told: Vec<(&str, bool, bool)> = seen
            .iter()
            .map(|call| (call.right.verb.as_str(), call.names == ObjectNames::Many, call.names.is_empty()))
            .collect();
        assert_eq!(
            told,
            [("get", false, false), ("patch", true, false), ("create", false, true), ("list", false, true)]
        );
    }

    #[test]
    fn what_was_not_all_seen_is_not_taken_for_all() {
        let rows = || json!([row(json!({}))]);
        let why = |calls: GrantCalls| match calls {
            GrantCalls::Unseen(why) => why,
            GrantCalls::Seen(_) => panic!("not all was seen"),
        };
        let silent = "1 of 2 API servers";
        let told = calls(json!({ "whole": false, "unseen": silent }), rows());
        assert_eq!(why(told), UnseenCalls::NotHeard(silent.to_owned()));
        assert!(matches!(why(calls(json!({}), rows())), UnseenCalls::NotHeard(_)), "of an earlier version");
        let at = "2026-11-30T12:00:00Z";
        let others = json!([row(json!({})), { "others": true, "calls": 1, "first": at, "last": at }]);
        assert_eq!(why(calls(json!({ "whole": true }), others)), UnseenCalls::TooMany);
    }
}
