//! Calls that something else allowed and that a grant of the same person would have allowed too.
//!
//! Owns the running grants, as the records say of them, and whether one of them would have allowed a call, or may have. RBAC names only
//! one binding, so without this a grant beside standing access would look unused. What the cluster gives to everybody says
//! nothing of a grant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::deed::{Deed, Instead};
use super::event::ReadEvent;
use super::explained::SuspectWrite;
use super::reason::Authorized;
use crate::api::record::{Record, RecordKind, RecordOutcome, RecordedAccess};
use crate::core::rbac::allowed::{AllowedOn, AskedRight};
use crate::core::rbac::rules::{from_narrow, url_matches, verb_matches};

/// For how long a grant that is over is remembered, since events may arrive late.
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// By how much the clocks of API server and controller may differ, and how much later access may begin than is recorded.
const SLACK: SignedDuration = SignedDuration::from_secs(2);
/// How a service account is called as a user.
const ACCOUNT: &str = "system:serviceaccount:";

/// The grants of one cluster that run or ran a short while ago.
#[derive(Clone, Debug, Default)]
pub struct GrantBook {
    grants: BTreeMap<String, BookedGrant>,
    /// UIDs of grants by the username of who has them.
    of_users: BTreeMap<String, BTreeSet<String>>,
    /// Rules by namespace, where the role is one of each, by the digest of their text.
    texts: BTreeMap<String, Arc<Vec<PlaceRules>>>,
    /// UIDs of grants of which nothing was known before, until they are asked for.
    new: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct BookedGrant {
    /// Namespace of the request.
    home: String,
    access: RecordedAccess,
    /// When access was given, and when it ended or is to end.
    spans: Vec<(Timestamp, Timestamp)>,
    /// Since when it runs.
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// That a grant would have allowed a call.
struct WouldAllow {
    /// Whether that is not sure, since its rules are not known.
    unsaid: bool,
}

/// The rules of a role in one place.
#[derive(Clone, Debug, Deserialize)]
struct PlaceRules {
    namespace: Option<String>,
    #[serde(default)]
    rules: Option<Vec<PolicyRule>>,
}

impl GrantBook {
    /// Takes up what a record says. Those of one request must come in their order.
    pub fn heed(&mut self, record: &Record) {
        let uid = &record.request.uid;
        let Some(subject) = &record.subject else { return };
        let begins = matches!(record.outcome, RecordOutcome::Begun);
        let ends = matches!(record.outcome, RecordOutcome::Ended | RecordOutcome::Refused | RecordOutcome::Rested)
            || record.kind.known() == Some(RecordKind::Deleted);
        // What never began is no grant.
        if !begins && !self.grants.contains_key(uid) {
            return;
        }
        if !self.grants.contains_key(uid) {
            self.new.insert(uid.clone());
        }
        let grant = self.grants.entry(uid.clone()).or_insert_with(|| BookedGrant {
            home: record.request.namespace.clone(),
            access: record.access.clone(),
            spans: Vec::new(),
            since: None,
            until: None,
        });
        self.of_users.entry(subject.username.clone()).or_default().insert(uid.clone());
        grant.access = record.access.clone();
        grant.until = record.given.as_ref().map(|given| given.until.0);
        match (begins, ends, grant.since) {
            (true, _, None) => grant.since = Some(record.at.0),
            (_, true, Some(since)) => {
                grant.spans.push((since, record.at.0));
                grant.since = None;
            }
            _ => {}
        }
    }

    /// UIDs of grants that are known since this was asked last.
    pub fn new_since_asked(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.new)
    }

    /// Digests of texts that rules of grants have and that are not known.
    pub fn lacking(&self) -> BTreeSet<String> {
        let roles = self.grants.values().filter(|grant| grant.access.rules.is_empty());
        let digests = roles.filter_map(|grant| grant.access.role_digest.clone());
        digests.filter(|digest| !self.texts.contains_key(digest)).collect()
    }

    /// Takes up the text of a role. One that is none of a role gives nothing.
    pub fn learn(&mut self, digest: String, text: &str) {
        self.texts.insert(digest, Arc::new(serde_json::from_str(text).unwrap_or_default()));
    }

    /// Lets go what has long been over.
    pub fn forget(&mut self, now: Timestamp) {
        let is_over = |grant: &BookedGrant| {
            let last = match grant.since {
                Some(_) => grant.until,
                None => grant.spans.last().map(|(_, until)| *until),
            };
            // One that rests has an end behind the span that is over.
            let last = last.max(grant.until.filter(|_| grant.since.is_none() && !grant.spans.is_empty()));
            last.is_some_and(|last| now.duration_since(last) > REMEMBERED)
        };
        self.grants.retain(|_, grant| !is_over(grant));
        let grants = &self.grants;
        self.of_users.retain(|_, uids| {
            uids.retain(|uid| grants.contains_key(uid));
            !uids.is_empty()
        });
        let used: BTreeSet<&String> = grants.values().filter_map(|grant| grant.access.role_digest.as_ref()).collect();
        self.texts.retain(|digest, _| used.contains(digest));
    }

    /// UIDs of the grants of who acted that would have allowed a call which something else allowed, each with what did.
    pub fn beside(&self, event: &ReadEvent) -> Vec<(String, Instead)> {
        if !may_be_beside(event) {
            return Vec::new();
        }
        let mut found = Vec::new();
        if !event.authorized.is_for_everybody() {
            let request = event.authorized.request().map(str::to_owned);
            let own = self.of(event.deed.actor(), event.received).filter(|(uid, _)| Some(*uid) != request.as_ref());
            found.extend(own.filter_map(|(uid, grant)| {
                let (request, unsaid) = (request.clone(), self.allows(grant, &event.deed)?.unsaid);
                Some((uid.clone(), Instead { by: event.authorized.to_string(), request, unsaid }))
            }));
        }
        // By which right somebody acts as another, the API server says nowhere.
        if let Some(acting) = &event.deed.impersonated {
            let own = self.of(&event.deed.user, event.received);
            let all = own.filter(|(_, grant)| self.allows(grant, &impersonation(acting)).is_some());
            let by = "the right to act as somebody else, of which the API server names no binding".to_owned();
            let instead = Instead { by, request: None, unsaid: true };
            found.extend(all.map(|(uid, _)| (uid.clone(), instead.clone())));
        }
        found
    }

    /// Whether access ran where several objects were taken away by one call, so that some of it may be among them.
    pub fn ran_at(&self, taken: &SuspectWrite) -> bool {
        let is_there = |grant: &BookedGrant| match &taken.deed.namespace {
            Some(namespace) if taken.is_of_requests() => grant.home == *namespace,
            Some(namespace) => grant.access.namespaces.contains(namespace),
            None => grant.access.cluster_wide,
        };
        self.grants.values().any(|grant| is_there(grant) && grant.ran(taken.at))
    }

    /// The grants that somebody had at a time.
    fn of(&self, username: &str, at: Timestamp) -> impl Iterator<Item = (&String, &BookedGrant)> {
        let uids = self.of_users.get(username).into_iter().flatten();
        uids.filter_map(move |uid| Some((uid, self.grants.get(uid)?))).filter(move |(_, grant)| grant.ran(at))
    }

    /// How a grant would have allowed a call; none if it would not.
    fn allows(&self, grant: &BookedGrant, deed: &Deed) -> Option<WouldAllow> {
        let access = &grant.access;
        let here = |namespace: &String| deed.namespace.as_ref() == Some(namespace);
        if !access.cluster_wide && !access.namespaces.iter().any(here) {
            return None;
        }
        let surely = |allowed: bool| allowed.then_some(WouldAllow { unsaid: false });
        if !access.rules.is_empty() {
            let rules: Vec<PolicyRule> = access.rules.iter().map(from_narrow).collect();
            return surely(allow(&rules, deed));
        }
        // Whatever its rules are, they may allow it.
        let Some(text) = access.role_digest.as_ref().and_then(|digest| self.texts.get(digest)) else {
            return Some(WouldAllow { unsaid: true });
        };
        let mut here = text.iter().filter(|place| place.namespace.is_none() || place.namespace == deed.namespace);
        surely(here.any(|place| place.rules.as_ref().is_some_and(|rules| allow(rules, deed))))
    }
}

impl BookedGrant {
    fn ran(&self, at: Timestamp) -> bool {
        let within = |from: Timestamp, until: Timestamp| from - SLACK <= at && at <= until + SLACK;
        let running = self.since.map(|since| (since, self.until.unwrap_or(Timestamp::MAX - SLACK)));
        self.spans.iter().copied().chain(running).any(|(from, until)| within(from, until))
    }
}

/// Whether a call says something of grants that did not allow it: it was allowed, and not by what everybody has.
pub fn may_be_beside(event: &ReadEvent) -> bool {
    let is_allowed = matches!(event.authorized, Authorized::By(_) | Authorized::Otherwise(_));
    is_allowed && (!event.authorized.is_for_everybody() || event.deed.impersonated.is_some())
}

/// The right by which somebody acts as another, as if it were a call of its own.
pub fn impersonation(acting: &str) -> Deed {
    let (resource, namespace, name) = match acting.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => ("serviceaccounts", Some(namespace.to_owned()), name),
        None => ("users", None, acting),
    };
    let name = Some(name.to_owned());
    Deed { verb: "impersonate".to_owned(), resource: resource.to_owned(), namespace, name, ..Deed::default() }
}

/// Whether rules allow a call, as Kubernetes judges it.
fn allow(rules: &[PolicyRule], deed: &Deed) -> bool {
    if let Some(path) = &deed.path {
        return rules.iter().any(|rule| verb_matches(rule, &deed.verb) && url_matches(rule, path));
    }
    let right = AskedRight {
        verbs: vec![deed.verb.clone()],
        group: deed.group.clone(),
        resource: deed.resource.clone(),
        name: deed.name.clone(),
    };
    right.allowed_by(rules) == Some(AllowedOn::All)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::reason::Reason;
    use crate::core::activity::event::read;

    const ONE: &str = "0f0e2d1c-3b4a-4958-8776-000000000001";
    const TWO: &str = "0f0e2d1c-3b4a-4958-8776-000000000002";
    const PODS: &str = r#"[{"rules":[{"apiGroups":[""],"resources":["pods","pods/exec"],"verbs":["get","list"]}]}]"#;

    fn record(uid: &str, second: u32, kind: Reason, outcome: RecordOutcome, access: Value) -> Record {
        let mut record: Record = serde_json::from_value(json!({
            "schema": "daypass.dev/record/v1", "id": format!("{uid}/{second}"), "cluster": "c", "index": second,
            "request": { "namespace": "shop", "name": "fix", "uid": uid },
            "at": format!("2026-11-30T12:{second:02}:00Z"), "kind": "Requested", "outcome": "Asked",
            "subject": { "username": "alice" }, "access": access,
            "given": { "until": "2026-11-30T12:50:00Z" },
        }))
        .unwrap();
        record.kind = RecordKind::Entry(kind).into();
        record.outcome = outcome;
        record
    }

    fn access() -> Value {
        json!({ "role": { "name": "edit" }, "roleDigest": "of-pods", "namespaces": ["shop"] })
    }

    fn begun(uid: &str, access: Value) -> Record {
        record(uid, 1, Reason::Granted, RecordOutcome::Begun, access)
    }

    fn book(records: &[Record]) -> GrantBook {
        let mut book = GrantBook::default();
        records.iter().for_each(|record| book.heed(record));
        book.learn("of-pods".to_owned(), PODS);
        book
    }

    fn call(change: impl FnOnce(&mut Value)) -> ReadEvent {
        let reason = "RBAC: allowed by ClusterRoleBinding \"devs\" of ClusterRole \"view\" to Group \"devs\"";
        let mut event = json!({
            "kind": "Event", "auditID": "a", "stage": "ResponseComplete", "verb": "list",
            "stageTimestamp": "2026-11-30T12:10:00Z", "user": { "username": "alice" },
            "objectRef": { "resource": "pods", "namespace": "shop" }, "responseStatus": { "code": 200 },
            "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason },
        });
        change(&mut event);
        read(&event.to_string()).unwrap()
    }

    fn found(book: &GrantBook, change: impl FnOnce(&mut Value)) -> Vec<String> {
        book.beside(&call(change)).into_iter().map(|(uid, _)| uid).collect()
    }

    #[test]
    fn a_call_is_beside_the_grants_that_would_have_allowed_it() {
        let narrow = json!({
            "role": { "name": "edit" }, "namespaces": ["shop"],
            "rules": [{ "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"], "verbs": ["get"] }],
        });
        let book = book(&[begun(ONE, access()), begun(TWO, narrow)]);
        let instead = Instead { by: "ClusterRoleBinding devs".to_owned(), request: None, unsaid: false };
        assert_eq!(book.beside(&call(|_| {})), [(ONE.to_owned(), instead)]);
        let get = |event: &mut Value, name: &str| {
            event["verb"] = json!("get");
            event["objectRef"]["name"] = json!(name);
        };
        assert_eq!(found(&book, |event| get(event, "web")), [ONE, TWO]);
        assert_eq!(found(&book, |event| get(event, "db")), [ONE]);
        for change in [
            |event: &mut Value| event["verb"] = json!("delete"),
            |event: &mut Value| event["user"]["username"] = json!("bob"),
            |event: &mut Value| event["objectRef"]["namespace"] = json!("bank"),
            |event: &mut Value| event["objectRef"]["namespace"] = json!(""),
            |event: &mut Value| event["objectRef"]["apiGroup"] = json!("apps"),
            |event: &mut Value| event["objectRef"]["subresource"] = json!("log"),
            |event: &mut Value| event["stageTimestamp"] = json!("2026-11-30T12:00:30Z"),
            |event: &mut Value| event["stageTimestamp"] = json!("2026-11-30T12:51:00Z"),
            |event: &mut Value| event["annotations"]["authorization.k8s.io/decision"] = json!("forbid"),
            |event: &mut Value| event["annotations"] = Value::Null,
            |event: &mut Value| event["objectRef"] = Value::Null,
        ] {
            assert_eq!(found(&book, change), [""; 0]);
        }
    }

    #[test]
    fn another_grant_is_named_and_what_everybody_has_is_not() {
        let book = book(&[begun(ONE, access()), begun(TWO, access())]);
        let by = |binding: &str| format!("RBAC: allowed by {binding} of ClusterRole \"view\" to User \"alice\"");
        let reason = by(&format!("RoleBinding \"daypass-{ONE}/shop\""));
        let of_one = book.beside(&call(|event| event["annotations"]["authorization.k8s.io/reason"] = json!(reason)));
        let named = format!("RoleBinding shop/daypass-{ONE}");
        let instead = Instead { by: named, request: Some(ONE.to_owned()), unsaid: false };
        assert_eq!(of_one, [(TWO.to_owned(), instead)]);
        let reason = by("ClusterRoleBinding \"system:basic-user\"");
        assert_eq!(found(&book, |event| event["annotations"]["authorization.k8s.io/reason"] = json!(reason)), [""; 0]);
        let reason = "EKS Access Policy: allowed by AmazonEKSViewPolicy";
        assert_eq!(
            found(&book, |event| event["annotations"]["authorization.k8s.io/reason"] = json!(reason)),
            [ONE, TWO]
        );
    }

    #[test]
    fn access_is_there_between_its_records_and_not_while_it_rests() {
        let step = |second, reason, outcome| record(ONE, second, reason, outcome, access());
        let mut book = book(&[
            begun(ONE, access()),
            step(5, Reason::Suspended, RecordOutcome::Rested),
            step(8, Reason::Resumed, RecordOutcome::Begun),
            step(9, Reason::Reviewed, RecordOutcome::Noted),
            step(20, Reason::Revoked, RecordOutcome::Ended),
        ]);
        for (minute, is_there) in [(0, false), (1, true), (4, true), (6, false), (8, true), (19, true), (21, false)] {
            let at = format!("2026-11-30T12:{minute:02}:00Z");
            let found = found(&book, |event| event["stageTimestamp"] = json!(at));
            assert_eq!(!found.is_empty(), is_there, "{at}");
        }
        book.forget("2026-11-30T13:10:00Z".parse().unwrap());
        assert!(!found(&book, |_| {}).is_empty(), "an event may come late");
        book.forget("2026-11-30T14:00:00Z".parse().unwrap());
        assert!(found(&book, |_| {}).is_empty() && book.grants.is_empty() && book.texts.is_empty());
        let mut never = GrantBook::default();
        never.heed(&step(1, Reason::Denied, RecordOutcome::Refused));
        assert!(never.grants.is_empty());
    }

    #[test]
    fn acting_as_another_is_beside_the_grant_that_allows_it() {
        let acting = json!({
            "role": { "name": "admin" }, "clusterWide": true,
            "rules": [{ "apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"], "verbs": ["impersonate"] }],
        });
        let book = book(&[begun(ONE, acting)]);
        let as_bob = book.beside(&call(|event| event["impersonatedUser"] = json!({ "username": "bob" })));
        assert!(matches!(&as_bob[..], [(uid, instead)] if uid == ONE && instead.is_ambiguous()), "{as_bob:?}");
        assert_eq!(found(&book, |event| event["impersonatedUser"] = json!({ "username": "carol" })), [""; 0]);
        assert_eq!(found(&book, |_| {}), [""; 0]);
    }

    #[test]
    fn rules_that_are_not_known_may_allow_anything_in_their_place_until_they_are() {
        let mut book = GrantBook::default();
        book.heed(&begun(ONE, access()));
        assert_eq!(book.lacking(), ["of-pods".to_owned()].into());
        let beside = book.beside(&call(|event| event["verb"] = json!("delete")));
        assert!(matches!(&beside[..], [(uid, instead)] if uid == ONE && instead.is_ambiguous()), "{beside:?}");
        assert!(found(&book, |event| event["objectRef"]["namespace"] = json!("bank")).is_empty());
        book.learn("of-pods".to_owned(), PODS);
        let sure = book.beside(&call(|_| {}));
        assert!(
            book.lacking().is_empty() && matches!(&sure[..], [(_, instead)] if !instead.is_ambiguous()),
            "{sure:?}"
        );
        assert!(found(&book, |event| event["verb"] = json!("delete")).is_empty());
        book.learn("of-pods".to_owned(), "no role");
        assert!(found(&book, |_| {}).is_empty());
    }
}
