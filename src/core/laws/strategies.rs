//! What a test starts from, and how it picks from what may happen to the small cluster.

mod event;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

pub use self::event::{Edit, Event, FREEZES, Fault, Moment, Narrowing};
use super::simulator::{MOST_ADDED, MOST_EXTENSIONS, Simulator};
use crate::api::policy::AccessPolicy;
use crate::api::request::{Review, ReviewVerdict};
use crate::core::laws::fixtures::{namespaces, noon, policy, request, review};
use crate::core::model::duration;
use crate::core::model::own_clock::WrongClock;
use crate::core::rbac::role::RoleSeen;

/// Who can write a review: name, UID, groups.
const REVIEWERS: [(&str, Option<&str>, &[&str]); 8] = [
    ("alice", Some("u-alice"), &["dev", "leads"]),
    ("alice-by-another-name", Some("u-alice"), &["leads"]),
    ("bob", Some("u-bob"), &[]),
    ("carol", None, &["leads", "owners"]),
    ("dave", Some(""), &["leads"]),
    ("mallory", None, &["dev"]),
    ("system:serviceaccount:ci:bot", None, &["leads", "owners", "system:authenticated"]),
    ("system:serviceaccount:ci:keeper", None, &[]),
];
/// Positions in [`REVIEWERS`] of those whom no policy here lets approve.
const WITHOUT_A_SAY: [usize; 4] = [0, 1, 5, 6];
/// Those of them who are not the requester either.
const STRANGERS: [usize; 2] = [5, 6];

/// What a test starts from.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Scope of the request.
    pub scope: Value,
    /// Seconds from noon to the start asked for, and nanoseconds on top.
    pub start: Option<(i64, i32)>,
    pub duration: Option<&'static str>,
    /// How many stages of approval the policy has.
    pub stages: usize,
    /// Whether the request is for an emergency.
    pub break_glass: bool,
    /// Whether the policy covers namespaces by label.
    pub by_label: bool,
    /// Whether the controller judges ends before it reads bindings.
    pub blind: bool,
    /// Whether the request asks for less than its role has.
    pub narrow: bool,
    /// Whether access comes back in windows.
    pub recurs: bool,
    /// Whether the policy takes access away while the role is another.
    pub suspends: bool,
}

pub fn scenarios() -> impl Strategy<Value = Scenario> {
    let scope = select(vec![
        json!({}),
        json!({ "namespaces": ["bank", "shop"] }),
        json!({ "namespaces": ["bank"] }),
        json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } }),
        json!({ "cluster": true }),
    ]);
    let start = prop_oneof![
        4 => Just(None),
        1 => Just(Some((0, 0))),
        1 => Just(Some((-600, 0))),
        2 => (1_i64..4000, prop_oneof![Just(0), Just(500_000_000)]).prop_map(Some),
    ];
    let duration = select(vec![None, Some("1s"), Some("1m30s"), Some("10m"), Some("1h"), Some("1s500ms")]);
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3), any::<bool>());
    (scope, start, duration, 0..=2_usize, prop::bool::weighted(0.2), flags).prop_map(
        |(scope, start, duration, stages, break_glass, (by_label, blind, narrow, suspends))| Scenario {
            scope,
            start: start.filter(|_| !break_glass),
            duration,
            stages,
            break_glass,
            by_label,
            blind,
            narrow,
            recurs: false,
            suspends,
        },
    )
}

/// Access that comes back: on Mondays, the day that the stories are told on, in some windows around noon.
pub fn recurring() -> impl Strategy<Value = Scenario> {
    scenarios().prop_map(|scenario| Scenario { recurs: true, break_glass: false, duration: None, ..scenario })
}

/// The windows of recurring access.
const WINDOWS: [(&str, &str); 4] = [("11:30", "12:20"), ("12:40", "12:41"), ("12:45", "13:00"), ("13:30", "14:10")];

/// What somebody makes of the role asked for.
#[derive(Clone, Copy, Debug)]
pub enum RoleEdit {
    Back,
    Wider,
    /// Without what narrow requests want.
    Smaller,
    Gone,
}

impl RoleEdit {
    pub fn role(self) -> RoleSeen {
        let verbs = match self {
            Self::Back => json!(["get", "delete"]),
            Self::Wider => json!(["*"]),
            Self::Smaller => json!(["get"]),
            Self::Gone => return RoleSeen::OfCluster(None),
        };
        let rules = json!([{ "verbs": verbs, "apiGroups": [""], "resources": ["pods"] }]);
        let role = json!({ "metadata": { "name": "edit" }, "rules": rules });
        RoleSeen::OfCluster(Some(Arc::new(serde_json::from_value(role).unwrap())))
    }
}

impl Scenario {
    pub fn begin(&self) -> Simulator {
        let mut spec = json!({ "scope": self.scope, "breakGlass": self.break_glass });
        if self.narrow {
            let one =
                json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] });
            spec["rules"] = json!([one]);
        }
        if self.recurs {
            let window = |(start, end): &(&str, &str)| json!({ "days": ["Mon"], "start": start, "end": end });
            let windows: Vec<Value> = WINDOWS.iter().map(window).collect();
            spec["recurrence"] = json!({ "timeZone": "UTC", "windows": windows, "weeks": 2 });
        }
        if let Some(duration) = self.duration {
            spec["duration"] = json!(duration);
        }
        let mut request = request(spec);
        request.spec.start_time = self.start.map(|(s, ns)| Time(noon() + SignedDuration::new(s, ns)));
        let mut simulator = Simulator::new(request, vec![self.policy()], namespaces(), noon());
        simulator.blind = self.blind;
        simulator.role = Some(RoleEdit::Back.role());
        simulator
    }

    /// The cluster once the request is granted; none when it never can be.
    pub fn granted(&self) -> Option<Simulator> {
        let mut simulator = self.begin();
        // An emergency is reviewed afterwards.
        for who in [2, 3, 7].into_iter().filter(|_| !self.break_glass) {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, self);
        }
        simulator.settle();
        Event::Clock(Moment::Start).happen(&mut simulator, self);
        simulator.settle();
        (simulator.ours() > 0).then_some(simulator)
    }

    pub fn policy(&self) -> AccessPolicy {
        // So that every role can be had in the whole cluster.
        let mut scope = json!({ "cluster": true, "systemNamespaces": true });
        if self.by_label {
            scope["namespaceSelector"] = json!({ "matchLabels": { "team": "pay" } });
        } else {
            scope["namespaces"] = json!(["*"]);
        }
        let leads = json!({ "name": "leads", "approvers": [
            { "kind": "User", "name": "bob" }, { "kind": "Group", "name": "leads" }] });
        let owners = json!({ "name": "owners", "approvers": [
            { "kind": "User", "name": "carol" },
            { "kind": "ServiceAccount", "name": "keeper", "namespace": "ci" }] });
        let stages: Vec<Value> = [leads, owners].into_iter().take(self.stages).collect();
        let mut spec = json!({
            "scope": scope, "duration": { "max": "4h", "default": "1h" },
            "extension": { "max": duration::format(MOST_ADDED), "count": MOST_EXTENSIONS },
            "recurrence": { "weeks": 2 }
        });
        if self.suspends {
            spec["onRoleChange"] = json!("Suspend");
        }
        // Without stages it would be for emergencies only.
        if self.break_glass || self.stages > 0 {
            let reviewers = [
                json!({ "kind": "User", "name": "bob" }),
                json!({ "kind": "ServiceAccount", "name": "keeper", "namespace": "ci" }),
            ];
            spec["breakGlass"] = json!({ "reviewers": reviewers, "reviewWithin": "30m" });
        }
        if !stages.is_empty() {
            spec["approval"] = json!({ "stages": stages, "deadline": "2h" });
        }
        policy("base", spec)
    }
}

pub fn narrowings() -> impl Strategy<Value = Narrowing> {
    use Narrowing::{Broken, Denies, Max, Namespaces, Requesters, Roles};
    select(vec![Requesters, Roles, Namespaces, Max, Denies, Broken])
}

pub fn edits() -> impl Strategy<Value = Edit> {
    select(vec![Edit::OtherSubject, Edit::OneMoreSubject, Edit::NoMark, Edit::OtherOwner, Edit::NoAnnotations])
}

pub fn verdicts() -> impl Strategy<Value = ReviewVerdict> {
    select(vec![ReviewVerdict::Approve, ReviewVerdict::Approve, ReviewVerdict::Deny, ReviewVerdict::Revoke])
}

/// Reviews by people whom nobody asked. The requester may end what is theirs, so that is not among them.
pub fn idle_reviews() -> impl Strategy<Value = Event> {
    let verdict = select(vec![ReviewVerdict::Approve, ReviewVerdict::Deny]);
    prop_oneof![
        3 => (select(WITHOUT_A_SAY.to_vec()), verdict).prop_map(|(who, verdict)| Event::Review(who, verdict)),
        1 => select(STRANGERS.to_vec()).prop_map(|who| Event::Review(who, ReviewVerdict::Revoke)),
    ]
}

pub fn moments() -> impl Strategy<Value = Moment> {
    let nanos = prop_oneof![Just(0), 0..1_000_000_000];
    prop_oneof![
        3 => (0_i64..4000, nanos).prop_map(|(seconds, nanos)| Moment::Later { seconds, nanos }),
        1 => Just(Moment::Start),
        2 => (-1_i64..=1).prop_map(|seconds| Moment::AroundEnd { seconds }),
    ]
}

/// Everything but the clock.
pub fn disturbances() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => Just(Event::PolicyDeleted),
        2 => narrowings().prop_map(Event::PolicyNarrowed),
        1 => Just(Event::PolicyRemade),
        2 => Just(Event::PolicyBack),
        1 => select(vec![Fault::None, Fault::Expression, Fault::Scope]).prop_map(Event::DenyAdded),
        1 => Just(Event::DenyRemoved),
        2 => freezes(),
        1 => (0..3_usize).prop_map(Event::NamespaceDeleted),
        1 => (0..3_usize).prop_map(Event::NamespaceTerminating),
        1 => (0..3_usize).prop_map(Event::NamespaceRelabelled),
        1 => (0..3_usize).prop_map(Event::NamespaceMade),
        2 => (0..3_usize).prop_map(Event::BindingDeleted),
        3 => ((0..3_usize), edits()).prop_map(|(at, edit)| Event::BindingEdited(at, edit)),
        1 => (0..3_usize).prop_map(Event::BindingReplaced),
        1 => (0..3_usize).prop_map(Event::BindingCopied),
        1 => (0..4_usize).prop_map(Event::StrangerFirst),
        4 => ((0..REVIEWERS.len()), verdicts()).prop_map(|(who, verdict)| Event::Review(who, verdict)),
        3 => (select(vec![10, 10, 30, 40]), prop::bool::weighted(0.8))
            .prop_map(|(minutes, approved)| Event::Extension { minutes, approved }),
        1 => Just(Event::RequestDeleted),
        1 => Just(Event::DurationBroken),
        1 => Just(Event::RequesterRemoved),
        1 => any::<bool>().prop_map(Event::BindsRefused),
        2 => any::<bool>().prop_map(Event::BindRight),
        1 => prop_oneof![Just(None), Just(Some(WrongClock::Ahead)), Just(Some(WrongClock::Behind))]
            .prop_map(Event::ClockWrong),
        1 => any::<bool>().prop_map(|more| Event::RoleEdited(if more { RoleEdit::Wider } else { RoleEdit::Back })),
        1 => select(vec![RoleEdit::Smaller, RoleEdit::Gone]).prop_map(Event::RoleEdited),
        2 => Just(Event::RoleEdited(RoleEdit::Back)),
        1 => (0..3_usize).prop_map(Event::MadeRoleEdited),
        1 => (0..3_usize).prop_map(Event::MadeRoleDeleted),
        1 => (0..3_usize).prop_map(Event::MadeRoleReplaced),
        1 => Just(Event::Reap),
    ]
}

/// A policy that denies in windows.
pub fn freezes() -> impl Strategy<Value = Event> {
    (0..FREEZES.len(), prop::bool::weighted(0.3)).prop_map(|(window, exempt)| Event::FreezeAdded { window, exempt })
}

/// What withdraws access that is live, whatever the scenario.
pub fn withdrawals() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::PolicyDeleted),
        narrowings().prop_map(Event::PolicyNarrowed),
        Just(Event::PolicyRemade),
        Just(Event::DenyAdded(Fault::None)),
        Just(Event::DenyAdded(Fault::Expression)),
        (0..3_usize).prop_map(Event::BindingDeleted),
        (0..3_usize).prop_map(Event::BindingReplaced),
        (0..3_usize).prop_map(Event::BindingCopied),
        Just(Event::Review(0, ReviewVerdict::Revoke)),
        Just(Event::RequestDeleted),
        Just(Event::DurationBroken),
        Just(Event::RequesterRemoved),
    ]
}

/// One beat of a story: something happens, and the controller gets to work, undisturbed or not.
#[derive(Clone, Debug)]
pub struct StoryStep {
    pub event: Event,
    pub pass: Pass,
}

/// How far the controller gets.
#[derive(Clone, Debug)]
pub enum Pass {
    Settled,
    /// The process dies after so many effects of one step.
    Crash(usize),
    /// Something else happens after so many effects of one step.
    Interrupted(usize, Event),
    /// It does not run at all.
    Asleep,
}

pub fn stories() -> impl Strategy<Value = Vec<StoryStep>> {
    let event = prop_oneof![2 => moments().prop_map(Event::Clock), 5 => disturbances()];
    let pass = prop_oneof![
        4 => Just(Pass::Settled),
        2 => (0..4_usize).prop_map(Pass::Crash),
        2 => ((0..3_usize), disturbances()).prop_map(|(at, event)| Pass::Interrupted(at, event)),
        1 => Just(Pass::Asleep),
    ];
    proptest::collection::vec((event, pass).prop_map(|(event, pass)| StoryStep { event, pass }), 1..10)
}

impl StoryStep {
    pub fn play(&self, simulator: &mut Simulator, scenario: &Scenario) {
        self.event.happen(simulator, scenario);
        match &self.pass {
            Pass::Settled => simulator.settle(),
            Pass::Crash(after) => {
                simulator.step(*after);
                simulator.failure = None;
            }
            Pass::Interrupted(at, event) => {
                simulator.step_interrupted(*at, |simulator| event.happen(simulator, scenario))
            }
            Pass::Asleep => {}
        }
    }
}

/// A review by the one at this position in [`REVIEWERS`].
pub fn review_by(who: usize, verdict: ReviewVerdict) -> (String, Review) {
    let (name, uid, groups) = REVIEWERS[who];
    (name.to_owned(), Review { uid: uid.map(str::to_owned), ..review(verdict, groups) })
}
