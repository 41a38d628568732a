//! What the doctor goes by: everything that was read, and what could not be, with the reason. Reads nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;

use super::marked::MarkedText;
use super::setup::OwnSetup;
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::cli::plugin::error::{PluginError, said};
use crate::cli::plugin::requests::Where;
use crate::controller::observe::{DecodedPolicy, DecodedRequest};
use crate::core::activity::told::ToldFinding;
use crate::core::decision::served::ServedNamespaces;
use crate::core::guard::sight::{Expected, SeenGuard};
use crate::core::rbac::binding::Observed;
use crate::core::report::explain::Outcome;
use crate::runtime::judged_clock::ClockReading;

/// What was read, or why it was not.
pub type Looked<T> = Result<T, UnreadFact>;

/// Why something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUnread {
    /// The caller may not.
    Forbidden,
    /// The API server does not know it.
    NotServed,
    /// It could not be asked, or something that it hangs on was not read.
    Failed,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadFact {
    /// By verb and resource.
    pub what: MarkedText,
    pub why: WhyUnread,
    /// What was said to that, if anything.
    pub said: Option<String>,
}

impl UnreadFact {
    /// Of a call that failed.
    pub fn of(what: MarkedText, error: &PluginError) -> Self {
        let status = match error {
            PluginError::Api { source: kube::Error::Api(status), .. } => status.code,
            _ => 0,
        };
        let why = match status {
            403 => WhyUnread::Forbidden,
            404 => WhyUnread::NotServed,
            _ => WhyUnread::Failed,
        };
        let said = match error {
            PluginError::Api { source, .. } => said(source),
            PluginError::NoAnswer { within, server, .. } => format!("no answer of {server} within {within:?}"),
            PluginError::Away { server, why, .. } => format!("{server} cannot be reached ({why})"),
            PluginError::NotLoggedIn { why, .. } => why.clone(),
            other => other.to_string(),
        };
        Self { what, why, said: Some(said) }
    }

    /// Of what cannot be asked without something that was not read.
    pub fn hangs_on(what: &'static str) -> Self {
        Self { what: what.into(), why: WhyUnread::Failed, said: None }
    }

    /// Whether a right is missing.
    pub fn is_forbidden(&self) -> bool {
        self.why == WhyUnread::Forbidden
    }

    /// In a sentence.
    pub fn sentence(&self) -> MarkedText {
        let what = self.what.clone();
        match (self.why, &self.said) {
            (WhyUnread::Forbidden, _) => MarkedText::of("you may not ").and(what),
            (WhyUnread::NotServed, _) => {
                MarkedText::of("cannot ").and(what).words(": the API server does not know that")
            }
            (WhyUnread::Failed, Some(said)) => MarkedText::of("cannot ").and(what).words(": ").said(said.clone()),
            (WhyUnread::Failed, None) => MarkedText::of("cannot be told: ").and(what),
        }
    }
}

/// The controller, as its Deployment has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledController {
    pub name: String,
    pub image: String,
    /// Version of the program.
    pub version: String,
    /// Name and version of the chart.
    pub chart: String,
    pub account: String,
    /// The guards that the chart made, each with its digest.
    pub guards: Vec<Expected>,
    pub served: ServedNamespaces,
    pub wanted_replicas: i32,
    pub ready_replicas: i32,
    /// Where its records go, if anywhere.
    pub archive: Option<DeliverySetup>,
}

/// Where a controller delivers records, and what becomes of a request that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySetup {
    pub url: String,
    /// For how long a request stays then. None: for good.
    pub retention: Option<String>,
    /// Whether the archive hears the audit logs of the API servers.
    pub hears: bool,
}

/// What the API server says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveSeen {
    /// It serves none.
    NotServed,
    /// It passes calls on, and they are answered.
    Answers,
    /// It serves one that does not answer, and why.
    Silent(String),
}

impl InstalledController {
    /// Reads it from a Deployment, if that is one of a controller.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let container = pod
            .containers
            .iter()
            .find(|container| container.args.iter().flatten().next().is_some_and(|command| command == "controller"))?;
        let args = container.args.as_deref().unwrap_or_default();
        let values = |flag: &'static str| args.iter().filter_map(move |arg| arg.strip_prefix(flag)?.strip_prefix('='));
        let label = |key: &str| deployment.labels().get(key).cloned().unwrap_or_default();
        let namespaces = values("--watch-namespaces").flat_map(|names| names.split(',')).map(str::to_owned);
        let status = deployment.status.as_ref();
        let retention = || values("--retention").next().map(str::to_owned);
        let archive = values("--archive").next();
        Some(Self {
            archive: archive.map(|url| DeliverySetup {
                url: url.to_owned(),
                retention: retention(),
                hears: args.iter().any(|arg| arg == "--activity"),
            }),
            name: deployment.name_any(),
            image: container.image.clone().unwrap_or_default(),
            version: label("app.kubernetes.io/version"),
            chart: label("helm.sh/chart"),
            account: pod.service_account_name.clone().unwrap_or_default(),
            guards: values("--guard").filter_map(|guard| guard.parse().ok()).collect(),
            served: ServedNamespaces::of(namespaces),
            wanted_replicas: spec.replicas.unwrap_or(1),
            ready_replicas: status.and_then(|status| status.available_replicas).unwrap_or(0),
        })
    }
}

/// What is there of the ways to write identities.
#[derive(Clone, Debug)]
pub struct StampSeen {
    /// Names of MutatingAdmissionPolicies that have a binding of the same name. None where the kind is not served.
    pub policies: Looked<BTreeSet<String>>,
    /// The webhook, if there is one.
    pub webhook: Looked<Option<MutatingWebhookConfiguration>>,
}

/// Something that an account may have to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RightAsked {
    pub verb: &'static str,
    pub group: &'static str,
    /// With the subresource behind a stroke.
    pub resource: &'static str,
    pub name: Option<String>,
    /// None for the whole cluster.
    pub namespace: Option<String>,
}

/// A request, and what would be decided about it.
#[derive(Clone, Debug)]
pub struct RequestStanding {
    pub request: AccessRequest,
    /// What the core says of it, a while ago by the clock; none where that was not asked, or cannot be told.
    pub outcome: Option<Outcome>,
}

/// The requests that were read.
#[derive(Clone, Debug)]
pub struct RequestsSeen {
    pub place: Where,
    pub requests: Vec<RequestStanding>,
    /// Names of those that cannot be decoded, with their namespaces.
    pub undecodable: Vec<(String, String)>,
    /// Why those of other namespaces were not read.
    pub elsewhere: Option<UnreadFact>,
}

/// What a pod answers through the API server: status and text.
#[derive(Clone, Debug)]
pub struct ProbeSeen {
    pub pod: String,
    pub readiness: Looked<(u16, String)>,
    pub metrics: Looked<(u16, String)>,
}

/// Everything that was read.
#[derive(Clone, Debug)]
pub struct HealthFacts {
    /// Namespace that Daypass is said to be installed in.
    pub release: String,
    pub setup: OwnSetup,
    /// What the API server says its version is; why it was not reached.
    pub kubernetes: Looked<String>,
    pub clock: ClockReading,
    pub me: Looked<Identity>,
    /// Resources of Daypass's group that are served.
    pub kinds: Looked<BTreeSet<String>>,
    pub definitions: Looked<Vec<CustomResourceDefinition>>,
    /// None when there is none in the namespace.
    pub controller: Looked<Option<InstalledController>>,
    pub guards: Looked<BTreeMap<String, SeenGuard>>,
    pub stamp: StampSeen,
    pub controller_rights: Looked<Vec<(RightAsked, bool)>>,
    pub own_rights: Looked<Vec<(RightAsked, bool)>>,
    pub lease: Looked<Option<Lease>>,
    pub archive: Looked<ArchiveSeen>,
    /// Writes that no record explains, where an archive in this cluster answers that hears the audit logs.
    pub unexplained: Looked<Option<Vec<ToldFinding>>>,
    pub pods: Looked<Vec<Pod>>,
    pub probes: Vec<ProbeSeen>,
    pub policies: Looked<Vec<DecodedPolicy>>,
    pub requests: Looked<RequestsSeen>,
    /// Those with Daypass's label that were there before the requests were read, and after.
    pub bindings: Looked<Vec<Observed>>,
}

impl HealthFacts {
    /// Of an API server that answers nothing: neither what it is, nor who the caller is, each with why.
    pub fn of_nothing(
        release: &str,
        setup: OwnSetup,
        clock: ClockReading,
        kubernetes: UnreadFact,
        me: UnreadFact,
    ) -> Self {
        let unread = || UnreadFact::hangs_on("what the API server does not say");
        Self {
            release: release.to_owned(),
            setup,
            kubernetes: Err(kubernetes),
            clock,
            me: Err(me),
            kinds: Err(unread()),
            definitions: Err(unread()),
            controller: Err(unread()),
            guards: Err(unread()),
            stamp: StampSeen { policies: Err(unread()), webhook: Err(unread()) },
            controller_rights: Err(unread()),
            own_rights: Err(unread()),
            lease: Err(unread()),
            archive: Err(unread()),
            unexplained: Err(unread()),
            pods: Err(unread()),
            probes: Vec::new(),
            policies: Err(unread()),
            requests: Err(unread()),
            bindings: Err(unread()),
        }
    }

    /// Whether nothing could be asked at all.
    pub fn is_away(&self) -> bool {
        self.kubernetes.is_err() && self.me.is_err()
    }
}

/// Splits what was listed into what can be decoded and the places of what cannot.
pub fn decoded(listed: Vec<DecodedRequest>) -> (Vec<AccessRequest>, Vec<(String, String)>) {
    let (mut requests, mut undecodable) = (Vec::new(), Vec::new());
    for one in listed {
        match one.0 {
            Ok(request) => requests.push(request),
            Err(invalid) => undecodable
                .push((invalid.metadata.namespace.unwrap_or_default(), invalid.metadata.name.unwrap_or_default())),
        }
    }
    (requests, undecodable)
}
