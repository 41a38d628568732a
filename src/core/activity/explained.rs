//! Bindings, roles and statuses that were written or deleted and that no record explains: by hand while the controller was
//! away, past the guards, or with the controller's own account.
//!
//! Owns which writes need an explanation, and what explains one. What the controller deletes needs none: a stray, or what has
//! changed, it deletes while access runs too; nor does what Kubernetes deletes together with a request or a namespace. Of
//! several that are deleted by one call the API server names none, so that needs one where access ran. It must not know where
//! records are kept.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::deed::{DeedKind, bounded};
use super::event::{AuditStage, ReadEvent};
use super::reason::is_uid;
use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind, RecordOutcome};
use crate::core::rbac::ownership::NAME_PREFIX;

/// By how much a write and its record may lie apart.
const SLACK: SignedDuration = SignedDuration::from_mins(2);
/// The kinds that a right is given by.
const GIVING: [&str; 4] = ["rolebindings", "clusterrolebindings", "roles", "clusterroles"];
/// The verbs that give something.
const WRITING: [&str; 3] = ["create", "update", "patch"];
/// The verb that takes one away.
const DELETING: &str = "delete";
/// The verb that takes several away, and names none.
const DELETING_MANY: &str = "deletecollection";
/// The kind of a request.
const REQUESTS: &str = "accessrequests";
/// Accounts of Kubernetes that delete what belongs to an object or a namespace that is deleted.
const KUBERNETES: [&str; 3] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
];
/// The longest that the name of an object is kept, in characters.
const MOST_OF_NAME: usize = 253;

/// A write that needs an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuspectWrite {
    pub at: Timestamp,
    /// What was done, and by whom.
    pub deed: DeedKind,
    /// Name of the object. One that is made up by the API server is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// UID of the request that the object says it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    pub by: WritingHand,
}

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WritingHand {
    /// The controller's account.
    Controller,
    /// Somebody who acted as the controller's account.
    AsController,
    /// Somebody else.
    Other,
}

/// Why a write is not explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unexplained {
    /// Somebody else than the controller wrote what is the controller's to write.
    OtherHand,
    /// Somebody else than the controller deleted what is the controller's to delete.
    DeletedByHand,
    /// Somebody else deleted several by one call, and nobody says which.
    ManyDeleted,
    /// Somebody acted as the controller.
    AsController,
    /// There is no record of the request.
    NoRecord,
    /// There are records of the request, and by them access was not given at that time.
    NotGiven,
    /// Somebody wrote the status of a request, and no record says that they did something to it.
    StatusUnrecorded,
}

/// The write that an event is, if it needs an explanation. The first are the accounts of controllers of the cluster.
pub fn suspect(event: &ReadEvent, controllers: &BTreeSet<String>) -> Option<SuspectWrite> {
    let deed = &event.deed;
    let is_done = event.stage == AuditStage::Complete && !deed.is_refused() && !event.is_dry_run;
    let many = deed.verb == DELETING_MANY;
    let deletes = many || deed.verb == DELETING;
    if !is_done || !(deletes || WRITING.contains(&deed.verb.as_str())) {
        return None;
    }
    let by = match (controllers.contains(deed.actor()), &deed.impersonated) {
        (true, None) => WritingHand::Controller,
        (true, Some(_)) => WritingHand::AsController,
        (false, _) => WritingHand::Other,
    };
    let by_kubernetes = deed.impersonated.is_none() && KUBERNETES.contains(&deed.user.as_str());
    if deletes && (by == WritingHand::Controller || by_kubernetes) {
        return None;
    }
    let request = match (deed.group.as_str(), deed.resource.as_str()) {
        ("rbac.authorization.k8s.io", resource) if many && GIVING.contains(&resource) => None,
        // One that is deleted by its name is held back until that is recorded.
        (keys::GROUP, REQUESTS) if many => None,
        ("rbac.authorization.k8s.io", resource) if GIVING.contains(&resource) => {
            let marked = event.marked.as_ref().map(|marked| bounded(marked, MOST_OF_NAME));
            Some(deed.name.as_deref().and_then(belongs_to).map(str::to_owned).or(marked)?)
        }
        // A controller writes it with each record that it makes.
        (keys::GROUP, "accessrequests/status") if by != WritingHand::Controller && !deletes => None,
        _ => return None,
    };
    let name = deed.name.as_ref().map(|name| bounded(name, MOST_OF_NAME));
    Some(SuspectWrite { at: event.at, deed: deed.kind(None), name, request, by })
}

/// UID of the request in the name of an object, also of one beside its binding.
fn belongs_to(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(NAME_PREFIX)?;
    let uid = rest.get(..36).filter(|uid| is_uid(uid))?;
    (rest.len() == uid.len() || rest[uid.len()..].starts_with('-')).then_some(uid)
}

impl SuspectWrite {
    /// Whether it took away several objects, of which nobody says which they were.
    pub fn takes_many(&self) -> bool {
        self.deed.verb == DELETING_MANY
    }

    /// Whether it took away requests, and not what gives access.
    pub fn is_of_requests(&self) -> bool {
        self.deed.group == keys::GROUP
    }

    /// Whether a record that is on its way may explain it.
    pub fn may_be_explained(&self) -> bool {
        let of_records = self.request.is_none() && (!self.takes_many() || self.is_of_requests());
        self.by == WritingHand::Controller || of_records
    }

    /// Whether records of the request can explain it, and which: those of the UID that it names, or of a status that of
    /// its namespace and name.
    pub fn is_about(&self, record: &Record) -> bool {
        match &self.request {
            Some(uid) => record.request.uid == *uid,
            None if self.takes_many() => Some(&record.request.namespace) == self.deed.namespace.as_ref(),
            None => {
                Some(&record.request.name) == self.name.as_ref()
                    && Some(&record.request.namespace) == self.deed.namespace.as_ref()
            }
        }
    }

    /// Why these records, those of the request in their order, do not explain it; none when they do.
    pub fn unexplained(&self, records: &[Record]) -> Option<Unexplained> {
        match (self.by, &self.request) {
            (WritingHand::AsController, _) => Some(Unexplained::AsController),
            (WritingHand::Other, None) if self.takes_many() => {
                let is_gone = |record: &Record| record.kind.known() == Some(RecordKind::Deleted);
                let is_told = |record: &Record| is_gone(record) && record.at.0 + SLACK >= self.at;
                (!self.is_of_requests() || !records.iter().any(is_told)).then_some(Unexplained::ManyDeleted)
            }
            (WritingHand::Other, Some(_)) if self.deed.verb == DELETING => Some(Unexplained::DeletedByHand),
            (WritingHand::Other, Some(_)) => Some(Unexplained::OtherHand),
            (WritingHand::Controller, _) if records.is_empty() => Some(Unexplained::NoRecord),
            (WritingHand::Controller, _) => (!was_given(records, self.at)).then_some(Unexplained::NotGiven),
            (WritingHand::Other, None) => {
                let who = self.deed.impersonated.as_ref().unwrap_or(&self.deed.user);
                let is_theirs = |record: &&Record| record.actor.as_ref().is_some_and(|actor| actor.username == *who);
                let mut theirs = records.iter().filter(is_theirs);
                let is_told = theirs.any(|record| record.at.0 + SLACK >= self.at);
                (!is_told).then_some(Unexplained::StatusUnrecorded)
            }
        }
    }
}

/// Whether access was given, or about to be, at some time close to this one.
fn was_given(records: &[Record], at: Timestamp) -> bool {
    let mut given = false;
    for record in records {
        if record.at.0 > at + SLACK {
            break;
        }
        let change = match (record.kind.known(), record.outcome) {
            (Some(RecordKind::Deleted), _) => Some(false),
            (Some(RecordKind::Entry(Reason::Binding)), _) => Some(true),
            (_, RecordOutcome::Allowed | RecordOutcome::Begun | RecordOutcome::Moved) => Some(true),
            (_, RecordOutcome::Rested | RecordOutcome::Ended | RecordOutcome::Refused) => Some(false),
            (_, RecordOutcome::Asked | RecordOutcome::Noted) => None,
        };
        // An end that is close says that it was given until then.
        let is_close = record.at.0 + SLACK >= at;
        given = match change {
            Some(true) => true,
            Some(false) if given && is_close => return true,
            Some(false) => false,
            None => given,
        };
    }
    given
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherHand => {
                "only the controller writes what belongs to an AccessRequest, and somebody else did; ask who wrote it, and delete it"
            }
            Self::DeletedByHand => {
                "only the controller deletes what belongs to an AccessRequest, and somebody else did; ask who did it: while access \
                 runs it is bound again, and kubectl daypass revoke ends it"
            }
            Self::ManyDeleted => {
                "somebody deleted several of a kind by one call where access ran, and neither the API server nor a record says \
                 which; ask who did it, and see with kubectl daypass list what still runs: what is missing is bound again"
            }
            Self::AsController => {
                "somebody acted as the controller's account; take away their right to impersonate it, and delete what they made"
            }
            Self::NoRecord => {
                "the controller's account wrote it, and no record is held of its AccessRequest; look for who has a token of that \
                 account, and whether the archive has lost records"
            }
            Self::NotGiven => {
                "the controller's account wrote it at a time at which access was not given by the records; look for who has \
                 a token of that account"
            }
            Self::StatusUnrecorded => {
                "somebody wrote the status of an AccessRequest, and no record says what; look at its history, and at who may patch \
                 accessrequests/status"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::activity::event::read;

    const UID: &str = "0f0e2d1c-3b4a-4958-8776-000000000001";
    const CONTROLLER: &str = "system:serviceaccount:daypass-system:daypass";

    fn write(change: impl FnOnce(&mut Value)) -> Option<SuspectWrite> {
        let mut event = json!({
            "kind": "Event", "auditID": "a", "stage": "ResponseComplete", "verb": "create",
            "stageTimestamp": "2026-11-30T12:10:00Z", "user": { "username": CONTROLLER },
            "requestURI": "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings?fieldManager=x",
            "objectRef": {
                "resource": "rolebindings", "namespace": "shop", "name": format!("daypass-{UID}"),
                "apiGroup": "rbac.authorization.k8s.io",
            },
            "responseStatus": { "code": 201 },
        });
        change(&mut event);
        suspect(&read(&event.to_string()).unwrap(), &[CONTROLLER.to_owned()].into())
    }

    fn record(minute: u32, kind: Reason, outcome: RecordOutcome) -> Record {
        let mut record: Record = serde_json::from_value(json!({
            "schema": "daypass.dev/record/v1", "id": format!("{UID}/{minute}"), "cluster": "c", "index": minute,
            "request": { "namespace": "shop", "name": "fix", "uid": UID },
            "at": format!("2026-11-30T12:{minute:02}:00Z"), "kind": "Requested", "outcome": "Asked",
            "access": { "role": { "name": "edit" }, "namespaces": ["shop"] }, "actor": { "username": "bob" },
        }))
        .unwrap();
        record.kind = RecordKind::Entry(kind).into();
        record.outcome = outcome;
        record
    }

    #[test]
    fn only_what_gives_something_needs_an_explanation() {
        assert_eq!(write(|_| {}).unwrap().request.as_deref(), Some(UID));
        let status = |event: &mut Value| {
            event["verb"] = json!("patch");
            event["user"]["username"] = json!("bob");
            event["objectRef"] = json!({
                "resource": "accessrequests", "subresource": "status", "namespace": "shop", "name": "fix",
                "apiGroup": "daypass.dev",
            });
        };
        assert_eq!(write(status).map(|write| (write.by, write.request)), Some((WritingHand::Other, None)));
        for (name, is_suspect) in [
            (format!("daypass-{UID}-loan"), true),
            ("daypass-archive".to_owned(), false),
            (format!("daypass-{UID}x"), false),
            ("daypass-\u{fc}\u{fc}\u{fc}".repeat(9), false),
            ("devs".to_owned(), false),
        ] {
            assert_eq!(write(|event| event["objectRef"]["name"] = json!(name)).is_some(), is_suspect, "{name}");
        }
        for change in [
            |event: &mut Value| event["verb"] = json!("delete"),
            |event: &mut Value| event["verb"] = json!("get"),
            |event: &mut Value| event["responseStatus"]["code"] = json!(403),
            |event: &mut Value| event["stage"] = json!("ResponseStarted"),
            |event: &mut Value| event["requestURI"] = json!("/x?dryRun=All"),
            |event: &mut Value| event["objectRef"]["resource"] = json!("configmaps"),
        ] {
            assert_eq!(write(change), None);
        }
        let by_controller = write(|event| {
            status(event);
            event["user"]["username"] = json!(CONTROLLER);
        });
        assert_eq!(by_controller, None);
    }

    #[test]
    fn records_of_the_time_explain_the_controller_and_nobody_else() {
        let given = [
            record(1, Reason::Approved, RecordOutcome::Allowed),
            record(2, Reason::Granted, RecordOutcome::Begun),
            record(20, Reason::Revoked, RecordOutcome::Ended),
        ];
        let ours = write(|_| {}).unwrap();
        assert_eq!(ours.unexplained(&given), None);
        assert_eq!(ours.unexplained(&[]), Some(Unexplained::NoRecord));
        let at = |minute: u32| {
            write(|event| event["stageTimestamp"] = json!(format!("2026-11-30T12:{minute:02}:00Z"))).unwrap()
        };
        for (minute, is_given) in [(0, true), (19, true), (21, true), (23, false), (59, false)] {
            let why = (!is_given).then_some(Unexplained::NotGiven);
            assert_eq!(at(minute).unexplained(&given), why, "{minute}");
        }
        let rested = [&given[..2], &[record(5, Reason::Suspended, RecordOutcome::Rested)]].concat();
        assert_eq!(ours.unexplained(&rested), Some(Unexplained::NotGiven));
        let back = [&rested[..], &[record(11, Reason::Resumed, RecordOutcome::Begun)]].concat();
        assert_eq!(ours.unexplained(&back), None);
        let asked = [record(1, Reason::ApprovalNeeded, RecordOutcome::Noted)];
        assert_eq!(ours.unexplained(&asked), Some(Unexplained::NotGiven));
        let by_hand = write(|event| event["user"]["username"] = json!("bob")).unwrap();
        assert_eq!(by_hand.unexplained(&given), Some(Unexplained::OtherHand));
        let acting = write(|event| {
            event["user"]["username"] = json!("bob");
            event["impersonatedUser"] = json!({ "username": CONTROLLER });
        });
        assert_eq!(acting.unwrap().unexplained(&given), Some(Unexplained::AsController));
        let as_other = write(|event| event["impersonatedUser"] = json!({ "username": "bob" }));
        assert_eq!(as_other.unwrap().unexplained(&given), Some(Unexplained::OtherHand));
    }

    #[test]
    fn what_people_delete_is_explained_by_nothing_and_what_kubernetes_does_needs_nothing() {
        let deleted = |user: &str, acting: Option<&str>| {
            write(|event| {
                event["verb"] = json!("delete");
                event["user"]["username"] = json!(user);
                event["impersonatedUser"] = json!(acting.map(|name| json!({ "username": name })));
            })
        };
        let given = [record(2, Reason::Granted, RecordOutcome::Begun)];
        let why = |user: &str, acting: Option<&str>| deleted(user, acting).and_then(|write| write.unexplained(&given));
        assert_eq!(why("bob", None), Some(Unexplained::DeletedByHand));
        assert_eq!(deleted("bob", None).unwrap().unexplained(&[]), Some(Unexplained::DeletedByHand));
        assert_eq!(why("bob", Some(CONTROLLER)), Some(Unexplained::AsController));
        assert_eq!(deleted(CONTROLLER, None), None);
        for account in KUBERNETES {
            assert_eq!(deleted(account, None), None, "{account}");
            assert_eq!(why("bob", Some(account)), Some(Unexplained::DeletedByHand), "{account}");
        }
        let other = write(|event| {
            event["verb"] = json!("delete");
            event["user"]["username"] = json!("bob");
            event["objectRef"]["name"] = json!("devs");
        });
        assert_eq!(other, None);
        let status = write(|event| {
            event["verb"] = json!("delete");
            event["user"]["username"] = json!("bob");
            event["objectRef"] =
                json!({ "resource": "accessrequests", "subresource": "status", "apiGroup": "daypass.dev" });
        });
        assert_eq!(status, None);
    }

    #[test]
    fn of_several_that_people_delete_by_one_call_only_requests_can_be_explained() {
        let deleted = |user: &str, resource: &str, group: &str| {
            write(|event| {
                event["verb"] = json!("deletecollection");
                event["user"]["username"] = json!(user);
                event["objectRef"] = json!({ "resource": resource, "namespace": "shop", "apiGroup": group });
            })
        };
        let rbac = "rbac.authorization.k8s.io";
        let gone = |minute: u32, namespace: &str| {
            let mut record = record(minute, Reason::Revoked, RecordOutcome::Ended);
            record.kind = RecordKind::Deleted.into();
            record.request.namespace = namespace.to_owned();
            record
        };
        for resource in GIVING {
            let bobs = deleted("bob", resource, rbac).unwrap();
            assert_eq!((bobs.name.as_ref(), bobs.request.as_ref()), (None, None));
            assert!(bobs.takes_many() && !bobs.may_be_explained());
            assert_eq!(bobs.unexplained(&[gone(10, "shop")]), Some(Unexplained::ManyDeleted), "{resource}");
            for account in KUBERNETES.into_iter().chain([CONTROLLER]) {
                assert_eq!(deleted(account, resource, rbac), None, "{account}");
            }
        }
        let requests = deleted("bob", "accessrequests", "daypass.dev").unwrap();
        assert!(requests.takes_many() && requests.may_be_explained());
        assert_eq!(requests.unexplained(&[]), Some(Unexplained::ManyDeleted));
        assert!(requests.is_about(&gone(10, "shop")) && !requests.is_about(&gone(10, "bank")));
        for (minute, is_explained) in [(7, false), (9, true), (10, true), (11, true)] {
            let why = (!is_explained).then_some(Unexplained::ManyDeleted);
            assert_eq!(requests.unexplained(&[gone(minute, "shop")]), why, "{minute}");
        }
        let ended = record(10, Reason::Revoked, RecordOutcome::Ended);
        assert_eq!(requests.unexplained(&[ended]), Some(Unexplained::ManyDeleted), "the object may still be there");
        let acting = write(|event| {
            event["verb"] = json!("deletecollection");
            event["user"]["username"] = json!("bob");
            event["impersonatedUser"] = json!({ "username": CONTROLLER });
        });
        assert_eq!(acting.unwrap().unexplained(&[]), Some(Unexplained::AsController));
        assert_eq!(deleted("bob", "configmaps", ""), None);
    }

    #[test]
    fn a_status_is_explained_by_a_record_of_who_wrote_it() {
        let by = |who: &str| {
            let write = write(|event| {
                event["verb"] = json!("patch");
                event["user"]["username"] = json!(who);
                event["objectRef"] = json!({
                    "resource": "accessrequests", "subresource": "status", "namespace": "shop", "name": "fix",
                    "apiGroup": "daypass.dev",
                });
            });
            write.unwrap()
        };
        let reviewed = record(9, Reason::Reviewed, RecordOutcome::Noted);
        assert!(by("bob").is_about(&reviewed));
        assert_eq!(by("bob").unexplained(std::slice::from_ref(&reviewed)), None);
        assert_eq!(by("mallory").unexplained(&[reviewed]), Some(Unexplained::StatusUnrecorded));
        let long_before = record(1, Reason::Reviewed, RecordOutcome::Noted);
        assert_eq!(by("bob").unexplained(&[long_before]), Some(Unexplained::StatusUnrecorded));
        let mut of_another = record(9, Reason::Reviewed, RecordOutcome::Noted);
        of_another.request.name = "other".to_owned();
        assert!(!by("bob").is_about(&of_another));
    }
}
