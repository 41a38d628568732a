//! What an archive tells people of activity, and the plugin reads.
//!
//! Owns the form. It must not say who may read it.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bindings::BindingUse;
use super::deed::DeedKind;
use super::explained::{SuspectWrite, Unexplained};
use super::names::ObjectNames;
use super::reason::NamedBinding;
use super::summary::{RowKind, SummaryRow};
use crate::api::activity::UseCount;
use crate::api::request::{BindingKind, GrantUse};

/// What was done with one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldActivity {
    /// UID of the cluster.
    pub cluster: String,
    /// UID of the request.
    pub request: String,
    /// Namespace of the request; none where no record says it.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What is known of its use.
    pub known: GrantUse,
    /// The same for people, and why no more is known.
    pub why: String,
    /// Whether all that was done with it was seen. An archive of an earlier version does not say so.
    #[serde(default)]
    pub whole: bool,
    /// Why that is not known.
    #[serde(default)]
    pub unseen: Option<String>,
    #[serde(flatten)]
    pub count: UseCount,
    /// Streams that are open under it.
    pub open: u64,
    /// Streams that are open, that it would have allowed too, and that something else allowed.
    pub open_beside: u64,
    /// Calls that are alike, the most frequent first.
    pub rows: Vec<ToldRow>,
}

/// Calls that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldRow {
    /// What they are; none where they are of any kind, since there was no row left for them.
    #[serde(flatten)]
    pub deed: Option<Box<DeedKind>>,
    /// Whether they are of any kind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    pub calls: u64,
    /// When the first came in.
    pub first: Timestamp,
    /// When the last was over, as far as it was seen.
    pub last: Timestamp,
    /// Where the last is said to have come from, which whoever calls can make up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<String>,
    /// Names of the objects that they were about, where those are no part of what they are; null for more than a few.
    #[serde(default, skip_serializing_if = "ObjectNames::is_empty")]
    pub names: ObjectNames,
}

/// A write that no record explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldFinding {
    /// UID of the cluster.
    pub cluster: String,
    pub at: Timestamp,
    /// Why it is not explained, as a word that stays the same.
    pub why: String,
    /// The same for people, and what to do.
    pub message: String,
    /// Who was logged in.
    pub user: String,
    /// As whom they acted, if as somebody else.
    pub impersonated: Option<String>,
    /// Where the call came from, as the API server saw it.
    pub address: Option<String>,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// UID of the request that the object says it belongs to.
    pub request: Option<String>,
}

/// When the bindings of a cluster that Daypass did not make were last used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldBindings {
    /// UID of the cluster.
    pub cluster: String,
    /// Since when a binding that is not among the uses was not used; none where that is not known of any time.
    pub since: Option<Timestamp>,
    /// Why it is not known.
    pub unheard: Option<String>,
    /// The last use of each binding by each user.
    pub uses: Vec<ToldBindingUse>,
}

/// The last use of a binding by a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldBindingUse {
    /// Kind of the binding. None: the user acted as somebody else, by whatever binding lets them.
    pub kind: Option<BindingKind>,
    /// Of a RoleBinding.
    pub namespace: Option<String>,
    /// Name of the binding; empty without a kind.
    pub name: String,
    pub user: String,
    /// The start of the hour of the last use.
    pub hour: Timestamp,
}

impl From<BindingUse> for ToldBindingUse {
    fn from(one: BindingUse) -> Self {
        let BindingUse { by, user, hour } = one;
        let Some(NamedBinding { kind, namespace, name }) = by else {
            return Self { kind: None, namespace: None, name: String::new(), user, hour };
        };
        Self { kind: Some(kind), namespace, name, user, hour }
    }
}

impl From<SummaryRow> for ToldRow {
    fn from(row: SummaryRow) -> Self {
        let SummaryRow { kind, calls, first, last, claimed, names } = row;
        let (deed, others) = match kind {
            RowKind::Alike(kind) => (Some(kind), false),
            RowKind::Others => (None, true),
        };
        Self { deed, others, calls, first, last, claimed, names }
    }
}

impl From<ToldRow> for SummaryRow {
    fn from(row: ToldRow) -> Self {
        let ToldRow { deed, others, calls, first, last, claimed, names } = row;
        let kind = deed.filter(|_| !others).map_or(RowKind::Others, RowKind::Alike);
        Self { kind, calls, first, last, claimed, names }
    }
}

impl ToldFinding {
    /// Of a write in a cluster.
    pub fn of(cluster: String, write: SuspectWrite, why: Unexplained) -> Self {
        let DeedKind { verb, group, resource, namespace, user, impersonated, address, .. } = write.deed;
        Self {
            cluster,
            at: write.at,
            why: format!("{why:?}"),
            message: why.to_string(),
            user,
            impersonated,
            address,
            verb,
            group,
            resource,
            namespace,
            name: write.name,
            request: write.request,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_read_as_it_is_told() {
        let at = Timestamp::UNIX_EPOCH;
        let names = ObjectNames::of(Some("web".to_owned()));
        let row = |kind| SummaryRow { kind, calls: 2, first: at, last: at, claimed: Vec::new(), names: names.clone() };
        let deed = DeedKind { verb: "get".to_owned(), resource: "pods".to_owned(), ..DeedKind::default() };
        let alike = ToldRow::from(row(RowKind::Alike(Box::new(deed))));
        assert_eq!(serde_json::from_value::<ToldRow>(json!(alike)).unwrap(), alike);
        let others = json!(ToldRow::from(row(RowKind::Others)));
        assert!(others["verb"].is_null() && others["others"] == true, "{others}");
        assert!(serde_json::from_value::<ToldRow>(others).unwrap().others);
    }
}
