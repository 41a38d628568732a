//! What may happen to the small cluster from outside, and what that does to it.

use k8s_openapi::api::rbac::v1::{PolicyRule, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{RoleEdit, Scenario, review_by};
use crate::api::keys;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, ExtendedRequest, ReviewVerdict, State};
use crate::api::selector::PolicyScope;
use crate::core::laws::fixtures::{deny, namespaces, request};
use crate::core::laws::simulator::{ClusterBinding, Simulator};
use crate::core::model::own_clock::WrongClock;
use crate::core::policies::usable::{BindRights, MayBind};

const NAMES: [&str; 3] = ["bank", "shop", "yard"];

/// A moment to move the clock to. It never goes back.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    Later { seconds: i64, nanos: i32 },
    Start,
    AroundEnd { seconds: i64 },
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Event {
    Clock(Moment),
    PolicyDeleted,
    PolicyNarrowed(Narrowing),
    PolicyRemade,
    PolicyBack,
    DenyAdded(Fault),
    DenyRemoved,
    /// A policy denies in windows on the day of the stories; whether emergencies too.
    FreezeAdded {
        window: usize,
        exempt: bool,
    },
    NamespaceDeleted(usize),
    NamespaceTerminating(usize),
    NamespaceRelabelled(usize),
    NamespaceMade(usize),
    BindingDeleted(usize),
    BindingEdited(usize, Edit),
    BindingReplaced(usize),
    /// Deleted, and made again from a copy.
    BindingCopied(usize),
    StrangerFirst(usize),
    Review(usize, ReviewVerdict),
    /// Somebody asks for so many minutes more, and it is on record that this was approved; whether it still is,
    /// if not by everybody.
    Extension {
        minutes: i64,
        approved: bool,
    },
    RequestDeleted,
    DurationBroken,
    RequesterRemoved,
    BindsRefused(bool),
    ClockWrong(Option<WrongClock>),
    /// The API server says whether the controller may bind the role.
    BindRight(bool),
    RoleEdited(RoleEdit),
    MadeRoleEdited(usize),
    MadeRoleDeleted(usize),
    /// Deleted, and made again by somebody else.
    MadeRoleReplaced(usize),
    Reap,
}

/// How a policy becomes less than it was.
#[derive(Clone, Copy, Debug)]
pub enum Narrowing {
    Requesters,
    Roles,
    Namespaces,
    Max,
    Denies,
    Broken,
}

/// What is wrong with a policy.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// Its other fields still say what it touches.
    Expression,
    /// Nobody can say what it touches.
    Scope,
}

/// What somebody changes on a binding.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    OtherSubject,
    OneMoreSubject,
    NoMark,
    OtherOwner,
    NoAnnotations,
}

impl Event {
    pub fn happen(&self, simulator: &mut Simulator, scenario: &Scenario) {
        match self {
            Self::Clock(moment) => moment.come(simulator),
            Self::PolicyDeleted => simulator.policies.retain(|p| p.metadata.name.as_deref() != Some("base")),
            Self::PolicyBack => {
                Self::PolicyDeleted.happen(simulator, scenario);
                simulator.policies.push(scenario.policy());
            }
            Self::PolicyRemade => {
                Self::PolicyBack.happen(simulator, scenario);
                base(simulator, |policy| policy.metadata.uid = Some("p-base-again".to_owned()));
            }
            Self::PolicyNarrowed(narrowing) => base(simulator, |policy| narrowing.apply(policy)),
            Self::DenyAdded(fault) => {
                Self::DenyRemoved.happen(simulator, scenario);
                let scope = json!({ "scope": { "namespaces": ["*"], "cluster": true } });
                let mut policy = deny("no", scope);
                match fault {
                    Fault::None => {}
                    Fault::Expression => {
                        policy.spec.conditions =
                            serde_json::from_value(json!([{ "expression": "x", "message": "x" }])).unwrap();
                    }
                    Fault::Scope => policy.spec.scope = PolicyScope::default(),
                }
                simulator.policies.push(policy);
            }
            Self::FreezeAdded { window, exempt } => {
                Self::DenyRemoved.happen(simulator, scenario);
                simulator.policies.push(freeze(*window, *exempt));
            }
            Self::DenyRemoved => simulator.policies.retain(|p| p.metadata.name.as_deref() != Some("no")),
            Self::NamespaceDeleted(at) => {
                simulator.namespaces.remove(NAMES[*at]);
                simulator.bindings.retain(|b| b.object.metadata.namespace.as_deref() != Some(NAMES[*at]));
            }
            Self::NamespaceTerminating(at) => {
                simulator.namespaces.entry(NAMES[*at].to_owned()).and_modify(|n| n.terminating = true);
            }
            Self::NamespaceRelabelled(at) => {
                simulator.namespaces.entry(NAMES[*at].to_owned()).and_modify(|n| n.labels.clear());
            }
            Self::NamespaceMade(at) => {
                simulator.namespaces.entry(NAMES[*at].to_owned()).or_insert_with(|| namespaces()["bank"].clone());
            }
            Self::BindingDeleted(at) => drop(take(simulator, *at)),
            Self::BindingEdited(at, edit) => edit_binding(simulator, *at, *edit),
            Self::BindingReplaced(at) => {
                if let Some(taken) = take(simulator, *at) {
                    place_stranger(simulator, &taken.object.reference());
                }
            }
            Self::BindingCopied(at) => {
                if let Some(mut taken) = take(simulator, *at) {
                    taken.object.metadata.uid = Some(simulator.new_uid());
                    simulator.bindings.push(ClusterBinding { ours: false, ..taken });
                }
            }
            Self::StrangerFirst(at) => {
                let name = "daypass-r-1".to_owned();
                let namespace = NAMES.get(*at).map(|n| (*n).to_owned());
                let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
                let kind = serde_json::from_value(json!(kind)).unwrap();
                let reference = BindingRef { kind, namespace, name, uid: None, role: None };
                if !simulator.bindings.iter().any(|b| b.object.is_at(&reference)) {
                    place_stranger(simulator, &reference);
                }
            }
            Self::Review(who, verdict) => {
                let (name, review) = review_by(*who, *verdict);
                simulator.request.status.get_or_insert_default().reviews.insert(name, review);
                simulator.version += 1;
            }
            Self::Extension { minutes, approved } => {
                let extension = extension(simulator, *minutes, *approved);
                simulator.extensions.push(extension);
            }
            Self::RequestDeleted => {
                simulator.request.metadata.deletion_timestamp = Some(Time(simulator.now));
                simulator.version += 1;
            }
            Self::DurationBroken => simulator.request.spec.duration = Some("1h-5m".to_owned()),
            Self::RequesterRemoved => simulator.request.spec.requester = None,
            Self::BindsRefused(refuses) => simulator.refuses = *refuses,
            Self::ClockWrong(wrong) => simulator.wrong_clock = *wrong,
            Self::BindRight(given) => {
                let role = simulator.request.spec.role.clone();
                let mut rights = BindRights::default();
                rights.note(MayBind { role, namespace: None }, *given);
                simulator.bind_rights = Some(rights);
            }
            Self::RoleEdited(edit) => simulator.role = Some(edit.role()),
            Self::MadeRoleEdited(index) => {
                let at = at(simulator, *index);
                if let Some(made) = at.and_then(|at| simulator.bindings[at].object.made_role.as_mut()) {
                    made.rules = vec![PolicyRule { verbs: vec!["*".to_owned()], ..PolicyRule::default() }];
                }
            }
            Self::MadeRoleReplaced(index) => {
                let (uid, at) = (simulator.new_uid(), at(simulator, *index));
                if let Some(made) = at.and_then(|at| simulator.bindings[at].object.made_role.as_mut()) {
                    made.metadata.uid = Some(uid);
                }
            }
            Self::MadeRoleDeleted(index) => {
                if let Some(at) = at(simulator, *index) {
                    simulator.bindings[at].object.made_role = None;
                }
            }
            Self::Reap => simulator.reap(),
        }
    }
}

/// Windows in which the policy of [`Event::FreezeAdded`] denies, on Mondays by UTC; most stories are told from noon on.
pub const FREEZES: [(&str, &str); 4] = [("11:00", "12:10"), ("12:10", "12:45"), ("12:30", "12:31"), ("13:00", "15:00")];

/// A policy that denies everything in one of these windows.
pub fn freeze(window: usize, exempt: bool) -> AccessPolicy {
    let (start, end) = FREEZES[window];
    let windows = json!([{ "days": ["Mon"], "start": start, "end": end }]);
    let mut spec = json!({
        "scope": { "namespaces": ["*"], "cluster": true }, "schedule": { "timeZone": "UTC", "windows": windows }
    });
    if exempt {
        spec["onBreakGlass"] = json!("Exempt");
    }
    let mut policy = deny("no", spec);
    // Each is another object, as when somebody deletes one and makes the next.
    policy.metadata.uid = Some(format!("p-no-{window}-{exempt}"));
    policy
}

/// A request for more time, approved as far as its record goes.
fn extension(simulator: &Simulator, minutes: i64, approved: bool) -> AccessRequest {
    let index = simulator.extensions.len();
    let mut extension = request(json!({ "extends": "fix", "duration": format!("{minutes}m") }));
    extension.spec.rules = simulator.request.spec.rules.clone();
    extension.metadata.name = Some(format!("more-{index}"));
    extension.metadata.uid = Some(format!("e-{index}"));
    let reviews = [2, 3].into_iter().filter(|_| approved).map(|who| review_by(who, ReviewVerdict::Approve)).collect();
    extension.status = Some(AccessRequestStatus {
        state: State::Scheduled,
        extends: simulator.request.metadata.uid.clone().map(|uid| ExtendedRequest { uid }),
        reviews,
        ..AccessRequestStatus::default()
    });
    extension
}

impl Moment {
    fn come(self, simulator: &mut Simulator) {
        let moment: Option<Timestamp> = match self {
            Self::Later { seconds, nanos } => Some(simulator.now + SignedDuration::new(seconds, nanos)),
            Self::Start => simulator.request.spec.start_time.as_ref().map(|t| t.0),
            Self::AroundEnd { seconds } => simulator.end().map(|end| end + SignedDuration::from_secs(seconds)),
        };
        simulator.now = moment.map_or(simulator.now, |moment| moment.max(simulator.now));
    }
}

impl Narrowing {
    fn apply(self, policy: &mut AccessPolicy) {
        let spec = &mut policy.spec;
        match self {
            Self::Requesters => spec.requesters[0].name = "ops".to_owned(),
            Self::Roles => spec.roles[0].name = "view".to_owned(),
            Self::Namespaces => {
                spec.scope = serde_json::from_value(json!({ "namespaces": ["elsewhere"] })).unwrap();
            }
            Self::Max => {
                spec.duration = Some(serde_json::from_value(json!({ "max": "1s", "default": "1s" })).unwrap());
            }
            Self::Denies => *policy = deny("base", json!({ "scope": { "namespaces": ["*"], "cluster": true } })),
            Self::Broken => spec.requesters.clear(),
        }
    }
}

fn base(simulator: &mut Simulator, change: impl FnOnce(&mut AccessPolicy)) {
    if let Some(policy) = simulator.policies.iter_mut().find(|p| p.metadata.name.as_deref() == Some("base"))
        && policy.spec.effect == crate::api::policy::Effect::Allow
        && !policy.spec.requesters.is_empty()
    {
        change(policy);
    }
}

fn at(simulator: &Simulator, index: usize) -> Option<usize> {
    (!simulator.bindings.is_empty()).then(|| index % simulator.bindings.len())
}

fn take(simulator: &mut Simulator, index: usize) -> Option<ClusterBinding> {
    at(simulator, index).map(|at| simulator.bindings.remove(at))
}

fn place_stranger(simulator: &mut Simulator, reference: &BindingRef) {
    let uid = Some(simulator.new_uid());
    let role = crate::core::rbac::binding::wanted(&simulator.request, &simulator.status(), reference).role;
    let mut standing = ClusterBinding {
        object: crate::core::rbac::binding::Observed {
            made_role: None,
            kind: reference.kind,
            metadata: kube::core::ObjectMeta {
                name: Some(reference.name.clone()),
                namespace: reference.namespace.clone(),
                uid,
                ..Default::default()
            },
            role,
            subjects: Vec::new(),
        },
        ours: false,
    };
    standing.touch();
    simulator.bindings.push(standing);
}

fn edit_binding(simulator: &mut Simulator, index: usize, edit: Edit) {
    let recorded = simulator.status().bindings;
    let Some(at) = at(simulator, index) else { return };
    let standing = &mut simulator.bindings[at];
    let metadata = &mut standing.object.metadata;
    // The RoleBinding guard refuses this edit. Before the UID is on record, nothing could tell such a binding
    // from a stranger's, so the law is only about those after.
    let known = recorded.iter().any(|r| r.uid.is_some() && r.uid == metadata.uid);
    let stranger = || Subject { kind: "User".to_owned(), name: "mallory".to_owned(), ..Subject::default() };
    match edit {
        Edit::OtherSubject => standing.object.subjects = vec![stranger()],
        Edit::OneMoreSubject => standing.object.subjects.push(stranger()),
        Edit::NoMark if known => drop(metadata.labels.take()),
        Edit::OtherOwner if known => {
            metadata.labels.get_or_insert_default().insert(keys::REQUEST_UID.to_owned(), "r-2".to_owned());
        }
        Edit::NoMark | Edit::OtherOwner => return,
        Edit::NoAnnotations => metadata.annotations = None,
    }
    standing.touch();
}
