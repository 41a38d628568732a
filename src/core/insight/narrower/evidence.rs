//! Past grants and the calls that belong to them, as the archive holds them, and how much of that is enough.
//!
//! Owns the reading of the archive's rows as rights that were used. It must not know the role.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::activity::beside::impersonation;
use crate::core::activity::deed::{Deed, DeedKind};
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{RowKind, SummaryRow};

/// How many grants must have been used at least, where nobody says.
pub const USUAL_GRANTS: usize = 10;
/// How many weeks the grants must span at least, where nobody says.
pub const USUAL_WEEKS: i64 = 4;
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How much evidence is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NarrowerTerms {
    /// How many grants must have been used.
    pub grants: usize,
    /// How many weeks must lie between the begin of the first and the end of the last.
    pub weeks: i64,
}

impl Default for NarrowerTerms {
    fn default() -> Self {
        Self { grants: USUAL_GRANTS, weeks: USUAL_WEEKS }
    }
}

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedRight {
    /// API group, empty for the core group.
    pub group: String,
    /// Resource, with `/` and its subresource if any.
    pub resource: String,
    pub verb: String,
}

/// A right that calls needed, and the objects that they were about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedCall {
    pub right: UsedRight,
    pub names: ObjectNames,
}

/// What is known of the calls of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantCalls {
    /// All of them were seen.
    Seen(Vec<UsedCall>),
    Unseen(UnseenCalls),
}

/// Why it is not known what was done with a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnseenCalls {
    /// Not all audit logs arrived for all of its time, in the archive's words.
    NotHeard(String),
    /// It was used in more ways than the archive keeps apart.
    TooMany,
}

/// A grant of the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastGrant {
    /// Namespace, a slash and name of its request.
    pub name: String,
    pub from: Timestamp,
    /// Its end, or now while it runs.
    pub until: Timestamp,
    pub calls: GrantCalls,
}

/// What a proposal was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSpan {
    pub grants: usize,
    /// How many of them were used.
    pub used: usize,
    /// The begin of the first.
    pub from: Timestamp,
    /// The end of the last.
    pub until: Timestamp,
}

impl SeenSpan {
    /// Of grants, if there is one.
    pub fn of(grants: &[PastGrant]) -> Option<Self> {
        let from = grants.iter().map(|grant| grant.from).min()?;
        let until = grants.iter().map(|grant| grant.until).max()?;
        let used = grants.iter().filter(|grant| !grant.calls().is_empty()).count();
        Some(Self { grants: grants.len(), used, from, until })
    }

    /// How many whole weeks it is long.
    pub fn weeks(&self) -> i64 {
        self.until.duration_since(self.from).as_secs() / WEEK.as_secs()
    }

    /// In which week of it a time is.
    pub fn week(&self, at: Timestamp) -> i64 {
        at.duration_since(self.from).as_secs() / WEEK.as_secs()
    }
}

impl PastGrant {
    /// Its calls, as far as they are known.
    pub fn calls(&self) -> &[UsedCall] {
        match &self.calls {
            GrantCalls::Seen(calls) => calls,
            GrantCalls::Unseen(_) => &[],
        }
    }
}

impl GrantCalls {
    /// From the rows of the archive, which are all of a grant.
    pub fn of(rows: &[SummaryRow]) -> Self {
        let mut calls = Vec::new();
        for row in rows {
            match &row.kind {
                RowKind::Alike(kind) => calls.extend(used_by(kind, &row.names)),
                RowKind::Others => return Self::Unseen(UnseenCalls::TooMany),
            }
        }
        Self::Seen(calls)
    }
}

/// The rights that calls needed which are alike. Those for a URL needed none on a resource.
fn used_by(kind: &DeedKind, names: &ObjectNames) -> Vec<UsedCall> {
    // Who acted as another needed the right to do so; what was done then needed rights of the other.
    let as_another = kind.instead.as_ref().is_some_and(|instead| instead.unsaid);
    if let (true, Some(acting)) = (as_another, &kind.impersonated) {
        let Deed { verb, group, resource, name, .. } = impersonation(acting);
        return vec![UsedCall { right: UsedRight { group, resource, verb }, names: ObjectNames::of(name) }];
    }
    if kind.resource.is_empty() {
        return Vec::new();
    }
    let mut names = names.clone();
    names.add(&ObjectNames::of(kind.target.clone()));
    let call = |verb: &str, names: ObjectNames| {
        let (group, resource, verb) = (kind.group.clone(), kind.resource.clone(), verb.to_owned());
        UsedCall { right: UsedRight { group, resource, verb }, names }
    };
    let created = kind.created.then(|| call("create", ObjectNames::default()));
    [call(&kind.verb, names)].into_iter().chain(created).collect()
}

impl fmt::Display for UsedRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

impl fmt::Display for UnseenCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeard(why) => f.write_str(why),
            Self::TooMany => f.write_str("it was used in more ways than the archive keeps apart"),
        }
    }
}

/// The names of the grants of which it is not known what was done, each with why.
pub fn unseen(grants: &[PastGrant]) -> Vec<(String, UnseenCalls)> {
    let unseen = grants.iter().filter_map(|grant| match &grant.calls {
        GrantCalls::Unseen(why) => Some((grant.name.clone(), why.clone())),
        GrantCalls::Seen(_) => None,
    });
    unseen.collect()
}

/// The rights that one grant alone used, sorted.
pub fn used_once(grants: &[PastGrant]) -> BTreeSet<UsedRight> {
    let (mut once, mut again) = (BTreeSet::new(), BTreeSet::new());
    for grant in grants {
        let rights: BTreeSet<&UsedRight> = grant.calls().iter().map(|call| &call.right).collect();
        for right in rights {
            if !once.insert(right) {
                again.insert(right);
            }
        }
    }
    once.difference(&again).map(|right| (*right).clone()).collect()
}
