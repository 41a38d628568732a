//! The table of OCSF 1.8: which class and activity each kind of record is.
//!
//! What happens to a request is Entity Management (3004), to rights that people hold User Access Management (3005). In 1.8
//! that class assigns and revokes privileges, and has no activity for whole roles: a role is one privilege.

use super::OcsfVersion;
use super::event::{OTHER, OcsfClass, OcsfEntity, OcsfEvent, OcsfHappening, OcsfPart, OcsfResource, OcsfUser};
use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind};
use crate::api::request::NarrowRule;

const ENTITY_MANAGEMENT: OcsfClass = OcsfClass { uid: 3004, name: "Entity Management", path: "entity_management" };
const USER_ACCESS: OcsfClass = OcsfClass { uid: 3005, name: "User Access Management", path: "user_access" };

/// What happened, in the words of both classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OcsfActivity {
    Create,
    Update,
    Delete,
    Suspend,
    Resume,
    AssignPrivileges,
    RevokePrivileges,
}

/// A record as an event.
pub fn event(record: &Record) -> OcsfEvent {
    OcsfEvent::new(record, OcsfVersion::V1_8, happening(record))
}

fn happening(record: &Record) -> OcsfHappening {
    let Some(kind) = record.kind.known() else {
        // Another version of Daypass wrote it.
        return entity(record, OTHER, record.kind.as_str());
    };
    match activity(kind) {
        OcsfActivity::Create => entity(record, 1, "Create"),
        OcsfActivity::Update => entity(record, 3, "Update"),
        OcsfActivity::Delete => entity(record, 4, "Delete"),
        OcsfActivity::Suspend => entity(record, 12, "Suspend"),
        OcsfActivity::Resume => entity(record, 13, "Resume"),
        OcsfActivity::AssignPrivileges => access(record, 1, "Assign Privileges"),
        // What never began ends as a request and not as a right.
        OcsfActivity::RevokePrivileges if !had_begun(record) => entity(record, 3, "Update"),
        OcsfActivity::RevokePrivileges => access(record, 2, "Revoke Privileges"),
    }
}

fn activity(kind: RecordKind) -> OcsfActivity {
    match kind {
        RecordKind::Requested => OcsfActivity::Create,
        RecordKind::Deleted => OcsfActivity::Delete,
        RecordKind::Entry(reason) => activity_of_entry(reason),
    }
}

fn activity_of_entry(reason: Reason) -> OcsfActivity {
    // Without a wildcard, so that whoever adds a reason has to say.
    match reason {
        Reason::Granted | Reason::Failed => OcsfActivity::AssignPrivileges,
        Reason::Expired | Reason::Idle | Reason::Revoked => OcsfActivity::RevokePrivileges,
        Reason::Suspended => OcsfActivity::Suspend,
        Reason::Resumed => OcsfActivity::Resume,
        Reason::ApprovalNeeded
        | Reason::Approved
        | Reason::AwaitingRecord
        | Reason::Binding
        | Reason::BindingRestored
        | Reason::BreakGlass
        | Reason::ClockWrong
        | Reason::Denied
        | Reason::Escalated
        | Reason::Extended
        | Reason::Extending
        | Reason::FreezeAhead
        | Reason::Frozen
        | Reason::GuardMissing
        | Reason::HistoryFull
        | Reason::Justified
        | Reason::Lapsed
        | Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::ReviewIgnored
        | Reason::ReviewOpen
        | Reason::ReviewOverdue
        | Reason::ReviewWithdrawn
        | Reason::Reviewed
        | Reason::RightUnknown
        | Reason::RoleChanged
        | Reason::RoleUnusable
        | Reason::Unjustified
        | Reason::Unrecorded
        | Reason::WaitingForStart
        | Reason::WrittenInGap => OcsfActivity::Update,
    }
}

/// Whether access had begun, as far as the record says. Records of what earlier versions handled do not say, and are taken
/// for yes: a right that is not reported as gone would seem to be there for ever.
fn had_begun(record: &Record) -> bool {
    record.given.as_ref().is_none_or(|given| given.from.is_some())
}

fn entity(record: &Record, activity: u32, name: &str) -> OcsfHappening {
    let request = &record.request;
    let reason = record.asked.as_ref().map(|asked| &asked.reason);
    let comment = record.review.as_ref().and_then(|review| review.comment.as_ref());
    OcsfHappening {
        class: ENTITY_MANAGEMENT,
        activity: (activity, name.to_owned()),
        part: OcsfPart::Entity {
            entity: OcsfEntity {
                name: format!("{}/{}", request.namespace, request.name),
                uid: request.uid.clone(),
                kind: "AccessRequest",
                type_id: OTHER,
            },
            comment: reason.or(comment).cloned(),
        },
    }
}

fn access(record: &Record, activity: u32, name: &str) -> OcsfHappening {
    // The class wants to know whose access it is.
    let Some(subject) = &record.subject else { return entity(record, 3, "Update") };
    OcsfHappening {
        class: USER_ACCESS,
        activity: (activity, name.to_owned()),
        part: OcsfPart::Access {
            user: OcsfUser::of(subject),
            privileges: privileges(record),
            resources: places(record),
        },
    }
}

/// The role, or of a part of it each right.
fn privileges(record: &Record) -> Vec<String> {
    if record.access.rules.is_empty() {
        return vec![record.access.role.to_string()];
    }
    record.access.rules.iter().flat_map(rights).collect()
}

/// The rights of a rule, each as `get deployments.apps/web`.
fn rights(rule: &NarrowRule) -> Vec<String> {
    let groups = rule.api_groups.iter().map(|group| if group.is_empty() { String::new() } else { format!(".{group}") });
    let groups: Vec<String> = groups.collect();
    let resources =
        rule.resources.iter().flat_map(|resource| groups.iter().map(move |group| format!("{resource}{group}")));
    let objects = resources.flat_map(|resource| match rule.resource_names.as_slice() {
        [] => vec![resource],
        names => names.iter().map(|name| format!("{resource}/{name}")).collect(),
    });
    let objects: Vec<String> = objects.chain(rule.non_resource_urls.iter().cloned()).collect();
    rule.verbs.iter().flat_map(|verb| objects.iter().map(move |object| format!("{verb} {object}"))).collect()
}

fn places(record: &Record) -> Vec<OcsfResource> {
    let access = &record.access;
    if access.cluster_wide {
        return vec![OcsfResource { name: None, uid: Some(record.cluster.clone()), kind: "Cluster" }];
    }
    let named = access.namespaces.iter().map(|name| (name, "Namespace"));
    let labelled = access.selector.iter().map(|labels| (labels, "Namespaces by label"));
    named.chain(labelled).map(|(name, kind)| OcsfResource { name: Some(name.clone()), uid: None, kind }).collect()
}
