//! Which rights the calls of past grants needed, and on which objects.
//!
//! Owns when rights are narrowed to names: only for verbs of which the API server knows the name, only where the names are few
//! and each came again and again, and never to read by name what can be listed anyhow. A name that was seen once or twice says
//! that others will come (the estimate of Good and Turing: as much is unseen as was seen once).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::evidence::{PastGrant, SeenSpan, UsedCall, UsedRight};
use super::silent::{asked_within, reading_events, without_trace};
use crate::core::activity::names::ObjectNames;
use crate::core::rbac::allowed::{AllowedOn, AskedRight};
use crate::core::rbac::rules::covers;

/// Most names that a right is narrowed to.
const MOST_NAMES: usize = 5;
/// In how many grants each name must have come.
const GRANTS_OF_NAME: usize = 3;
/// In how many weeks each name must have come.
const WEEKS_OF_NAME: usize = 2;
/// Verbs that may be narrowed to names.
const BY_NAME: [&str; 4] = ["get", "update", "patch", "delete"];

/// The rights that were used, and by which grants.
#[derive(Debug)]
pub struct UsedRights<'a> {
    role: &'a [PolicyRule],
    by_right: BTreeMap<&'a UsedRight, RightUse>,
}

/// The use of one right.
#[derive(Debug)]
struct RightUse {
    /// What the role allows of it now.
    allowed: Option<AllowedOn>,
    /// By the place of a grant: its week, and the objects.
    by_grant: BTreeMap<usize, (i64, ObjectNames)>,
}

/// What rules must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RightsNeeded {
    /// Those that calls needed, and those that may have been asked for within calls.
    pub rights: BTreeMap<UsedRight, AllowedOn>,
    /// Which of them were asked for within calls alone.
    pub within: BTreeSet<UsedRight>,
    /// Which of them are to read events, of which audit logs may hold nothing.
    pub events: BTreeSet<UsedRight>,
    /// Rules of which no call can show that they were used.
    pub without_trace: Vec<PolicyRule>,
}

impl<'a> UsedRights<'a> {
    /// Of these grants of a role.
    pub fn of(role: &'a [PolicyRule], grants: &'a [PastGrant], span: &SeenSpan) -> Self {
        let mut by_right: BTreeMap<&UsedRight, RightUse> = BTreeMap::new();
        for (place, grant) in grants.iter().enumerate() {
            for UsedCall { right, names } in grant.calls() {
                let new = || RightUse { allowed: allowed(role, right), by_grant: BTreeMap::new() };
                let by_grant = &mut by_right.entry(right).or_insert_with(new).by_grant;
                let (_, all) = by_grant.entry(place).or_insert_with(|| (span.week(grant.from), ObjectNames::default()));
                all.add(names);
            }
        }
        Self { role, by_right }
    }

    /// What the calls of all grants needed, but for those of one.
    pub fn needed(&self, except: Option<usize>) -> RightsNeeded {
        let mut needed = RightsNeeded::default();
        for (right, used) in &self.by_right {
            if let Some(objects) = self.objects(right, used, except) {
                needed.rights.insert((*right).clone(), objects);
            }
        }
        let asked: BTreeSet<UsedRight> = needed.rights.keys().flat_map(asked_within).collect();
        for right in asked {
            // What is asked for within a call is not about the names of its object.
            let objects = allowed(self.role, &right);
            let is_used = needed.rights.contains_key(&right);
            if let (Some(objects), false) = (objects, is_used) {
                needed.rights.insert(right.clone(), objects);
                needed.within.insert(right);
            }
        }
        for rule in self.role.iter().flat_map(without_trace) {
            if covers(&needed.without_trace, std::slice::from_ref(&rule)).is_err() {
                needed.without_trace.push(rule);
            }
        }
        self.add_events(&mut needed);
        needed
    }

    fn add_events(&self, needed: &mut RightsNeeded) {
        for right in reading_events() {
            if needed.rights.contains_key(&right) {
                continue;
            }
            let is_kept = allowed(&needed.without_trace, &right).is_some();
            if let (Some(objects), false) = (allowed(self.role, &right), is_kept) {
                needed.rights.insert(right.clone(), objects);
                needed.events.insert(right);
            }
        }
    }

    /// On which objects a right was needed; none where it was not, or the role does not have it.
    fn objects(&self, right: &UsedRight, used: &RightUse, except: Option<usize>) -> Option<AllowedOn> {
        let uses = || used.by_grant.iter().filter(|(place, _)| Some(**place) != except).map(|(_, seen)| seen);
        uses().next()?;
        let allowed = used.allowed.as_ref()?;
        let names = self.may_be_named(right, except).then(|| stable(uses())).flatten();
        match (allowed, names) {
            (AllowedOn::All, Some(names)) => Some(AllowedOn::Named(names)),
            (AllowedOn::All, None) => Some(AllowedOn::All),
            (AllowedOn::Named(own), Some(names)) => {
                let both: BTreeSet<String> = own.intersection(&names).cloned().collect();
                (!both.is_empty()).then_some(AllowedOn::Named(both))
            }
            (AllowedOn::Named(own), None) => Some(AllowedOn::Named(own.clone())),
        }
    }

    fn may_be_named(&self, right: &UsedRight, except: Option<usize>) -> bool {
        let list = UsedRight { verb: "list".to_owned(), ..right.clone() };
        let lists =
            self.by_right.get(&list).is_some_and(|used| used.by_grant.keys().any(|place| Some(*place) != except));
        let is_opened = !asked_within(right).is_empty();
        BY_NAME.contains(&right.verb.as_str()) && !is_opened && !(right.verb == "get" && lists)
    }
}

/// What a role allows of a right.
pub fn allowed(role: &[PolicyRule], right: &UsedRight) -> Option<AllowedOn> {
    let UsedRight { group, resource, verb } = right.clone();
    AskedRight { verbs: vec![verb], group, resource, name: None }.allowed_by(role)
}

/// The names, where they are few and each came in several grants and weeks.
fn stable<'a>(uses: impl Iterator<Item = &'a (i64, ObjectNames)>) -> Option<BTreeSet<String>> {
    let mut seen: BTreeMap<&String, (usize, BTreeSet<i64>)> = BTreeMap::new();
    for (week, names) in uses {
        let ObjectNames::Few(names) = names else { return None };
        if names.is_empty() {
            return None;
        }
        for name in names {
            let (grants, weeks) = seen.entry(name).or_default();
            *grants += 1;
            weeks.insert(*week);
        }
    }
    let is_settled =
        |(grants, weeks): &(usize, BTreeSet<i64>)| *grants >= GRANTS_OF_NAME && weeks.len() >= WEEKS_OF_NAME;
    let is_plain = |name: &&&String| !name.is_empty() && !name.contains('*') && !name.contains('\u{2026}');
    let all = seen.len() <= MOST_NAMES && seen.values().all(is_settled) && seen.keys().all(|name| is_plain(&name));
    all.then(|| seen.into_keys().cloned().collect())
}
