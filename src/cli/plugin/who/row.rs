//! One access as it is told: as a line of a table, and as an object for programs.

use kube::ResourceExt;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::keys;
use crate::api::request::{AccessRequest, BindingKind, NarrowRule, ReviewVerdict};
use crate::api::subject::{RoleKind, RoleName, Subject};
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::core::rbac::allowed::AllowedOn;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::rules::describe;
use crate::core::report::who::{Allowance, Evidence, Held, Through};

/// Somebody's access, with where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoRow {
    subject: Subject,
    role: RoleName,
    /// What of the role; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<NarrowRule>,
    /// Where it holds; none for the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<Vec<String>>,
    cluster: bool,
    /// The objects that what is asked is allowed on; none for all, or when nothing is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<String>>,
    state: HoldState,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<BindingPlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approved_by: Vec<String>,
    break_glass: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    /// Whether the role could not be read, so that nobody can tell whether it allows what is asked.
    role_unread: bool,
}

/// How far the access is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum HoldState {
    /// A request says so. The bindings could not be looked at.
    OnRecord,
    /// A request says so, and its binding is there.
    Bound,
    /// Its end has come.
    Overdue,
    BindingMissing,
    BindingChanged,
    /// By a binding that is not Daypass's.
    Standing,
    /// By a binding of Daypass that no running request accounts for.
    Unaccounted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RequestPlace {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct BindingPlace {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

impl WhoRow {
    /// The access that the core found.
    pub fn of(held: &Held<'_>) -> Self {
        let names = match &held.allowed {
            Some(Allowance::On(AllowedOn::Named(names))) => Some(names.iter().cloned().collect()),
            _ => None,
        };
        let row = Self {
            subject: held.who.clone(),
            role: held.role.clone(),
            rules: Vec::new(),
            namespaces: held.namespaces.clone(),
            cluster: held.namespaces.is_none(),
            names,
            state: HoldState::Standing,
            until: held.until().map(|until| until.to_string()),
            request: None,
            binding: None,
            policy: None,
            approved_by: Vec::new(),
            break_glass: false,
            reason: None,
            ticket: None,
            role_unread: held.allowed == Some(Allowance::NotKnown),
        };
        match &held.through {
            Through::Request(request, evidence) => row.through_request(request, *evidence),
            Through::Standing(binding) => Self { binding: Some(BindingPlace::of(binding)), ..row },
            Through::Unaccounted(binding) => {
                let labels = binding.metadata.annotations.iter().flatten();
                let noted = labels.filter(|(key, _)| *key == keys::EXPIRES_AT).map(|(_, end)| end.clone()).next();
                let binding = Some(BindingPlace::of(binding));
                Self { state: HoldState::Unaccounted, until: noted, binding, ..row }
            }
        }
    }

    fn through_request(self, request: &AccessRequest, evidence: Evidence) -> Self {
        let status = request.status.clone().unwrap_or_default();
        let state = match evidence {
            Evidence::OnRecord => HoldState::OnRecord,
            Evidence::Bound => HoldState::Bound,
            Evidence::Overdue => HoldState::Overdue,
            Evidence::Missing => HoldState::BindingMissing,
            Evidence::Changed(_) => HoldState::BindingChanged,
        };
        let approved = status.reviews.iter().filter(|(_, review)| review.verdict == ReviewVerdict::Approve);
        let counts = |name: &String| status.counted_reviews.iter().any(|counted| counted.reviewer == *name);
        Self {
            state,
            rules: request.spec.rules.clone(),
            request: Some(RequestPlace {
                namespace: request.namespace().unwrap_or_default(),
                name: request.name_any(),
            }),
            policy: status.policy.as_ref().map(|policy| policy.name.clone()),
            approved_by: approved.map(|(name, _)| name.clone()).filter(counts).collect(),
            break_glass: request.spec.break_glass,
            reason: Some(request.spec.reason.clone()),
            ticket: request.spec.ticket.clone(),
            ..self
        }
    }

    /// Whether something is not as it should be, which a read in between could have made so.
    pub fn is_suspicious(&self) -> bool {
        use HoldState::{BindingChanged, BindingMissing, Overdue, Unaccounted};
        matches!(self.state, BindingChanged | BindingMissing | Overdue | Unaccounted)
    }

    /// The same where nothing is said against it; none when nothing is left then.
    pub fn unsuspected(self) -> Option<Self> {
        (self.state != HoldState::Unaccounted).then_some(Self { state: HoldState::OnRecord, ..self })
    }

    /// The request or binding that it comes from, as kubectl names it.
    pub fn source(&self) -> Value {
        match (&self.request, &self.binding) {
            (Some(request), _) => {
                json!({ "apiVersion": format!("{}/v1", keys::GROUP), "kind": "AccessRequest", "metadata": request })
            }
            (None, Some(BindingPlace { kind, name, .. })) => {
                json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name } })
            }
            (None, None) => Value::Null,
        }
    }

    /// Who has it.
    pub fn who(&self) -> String {
        self.subject.to_string()
    }

    /// The role, and what of it.
    pub fn role_in_words(&self) -> String {
        let role = match self.role.kind {
            RoleKind::ClusterRole => self.role.name.clone(),
            RoleKind::Role => format!("role/{}", self.role.name),
        };
        if self.rules.is_empty() { role } else { format!("{role}: {}", describe(&self.rules)) }
    }

    /// Where it holds.
    pub fn place(&self) -> String {
        self.namespaces.as_ref().map_or_else(|| "the whole cluster".to_owned(), |names| names.join(", "))
    }

    /// The objects that what is asked is allowed on, where it is not all of them.
    pub fn objects(&self) -> TextSpan {
        match &self.names {
            _ if self.role_unread => TextSpan::new("not known", Tone::Waiting),
            Some(names) => names.join(", ").into(),
            None => "".into(),
        }
    }

    /// When it ends; nothing for what has no end.
    pub fn until_in_words(&self) -> String {
        self.until.clone().unwrap_or_default()
    }

    /// The request or binding that gives it.
    pub fn through(&self) -> String {
        match (&self.request, &self.binding) {
            (Some(RequestPlace { namespace, name }), _) => format!("{namespace}/{name}"),
            (None, Some(BindingPlace { kind, name, .. })) => format!("{kind}/{name}"),
            (None, None) => String::new(),
        }
    }

    /// How far it is there, in the tone that goes with it.
    pub fn state_in_words(&self) -> TextSpan {
        let (words, tone) = match self.state {
            HoldState::OnRecord => ("on record", Tone::Good),
            HoldState::Bound => ("bound", Tone::Good),
            HoldState::Overdue => ("overdue", Tone::Bad),
            HoldState::BindingMissing => ("binding missing", Tone::Bad),
            HoldState::BindingChanged => ("binding changed", Tone::Bad),
            HoldState::Standing => ("standing", Tone::Waiting),
            HoldState::Unaccounted => ("no running request", Tone::Bad),
        };
        TextSpan::new(words, tone)
    }

    /// Who agreed; or that it is an emergency; or else the policy that asks nobody.
    pub fn allowed_by(&self) -> String {
        match (&self.approved_by[..], &self.policy) {
            _ if self.break_glass => "break-glass".to_owned(),
            ([], Some(policy)) => format!("policy {policy}"),
            (names, _) => names.join(", "),
        }
    }
}

impl BindingPlace {
    fn of(binding: &Observed) -> Self {
        let kind = match binding.kind {
            BindingKind::RoleBinding => "RoleBinding",
            BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
        };
        let namespace = binding.metadata.namespace.clone();
        Self { kind, namespace, name: binding.metadata.name.clone().unwrap_or_default() }
    }
}
