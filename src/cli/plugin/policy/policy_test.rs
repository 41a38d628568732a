//! `kubectl daypass policy test`: the cases of PolicyTest documents, decided by the core without a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::request::{
    AccessRequest, AccessRequestStatus, BindingKind, BindingRef, PolicyRef, Review, RoleRisk, State,
};
use crate::api::risk::RiskLevel;
use crate::api::subject::Identity;
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::manifests::{self, Document, documents};
use crate::core::decision::protected::{Protected, USUAL_RELEASE};
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::model::duration;
use crate::core::model::namespaces::{Namespace, Namespaces};
use crate::core::policies::limits::Counted;
use crate::core::policies::{Entry, PolicySet};
use crate::core::rbac::role::RoleSeen;
use crate::core::report::explain::{Explanation, Outcome, StageState, explain};

/// When a case is decided that does not say: a Monday noon.
const AT: &str = "2026-01-05T12:00:00Z";

/// A PolicyTest document.
pub struct PolicyTest {
    from: String,
    place: TestCluster,
    cases: Vec<Case>,
}

/// The cluster that cases are decided for.
struct TestCluster {
    namespaces: Namespaces,
    reach: ServedNamespaces,
    release: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: Value,
    #[serde(default)]
    namespaces: Vec<Value>,
    /// Namespaces that the cluster's Daypass is limited to, as in the values of its chart. Left out: it serves all.
    #[serde(default)]
    watch_namespaces: BTreeSet<String>,
    /// Namespace that the cluster's Daypass is installed in. Left out: daypass-system.
    release_namespace: Option<String>,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamespace {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    /// A request, or `NAMESPACE/NAME` of one in the files.
    request: Value,
    /// Who asks, when the request does not say.
    requester: Option<Identity>,
    /// Requests made before this one, oldest first.
    #[serde(default)]
    before: Vec<RawEarlier>,
    #[serde(default)]
    reviews: BTreeMap<String, Value>,
    #[serde(default)]
    escalated: Vec<String>,
    /// How much harm the role can do, as the controller would read it from the cluster.
    risk: Option<RiskLevel>,
    at: Option<Time>,
    /// How long before `at` the request was made. Left out: not at all.
    waited: Option<String>,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEarlier {
    request: Value,
    requester: Option<Identity>,
    /// Whether its access has just ended; otherwise it runs or waits.
    #[serde(default)]
    over: bool,
    /// When its access began. Left out: at `at`, or so early that it has just ended.
    from: Option<Time>,
    /// How much harm its role can do.
    risk: Option<RiskLevel>,
}

struct Case {
    name: String,
    request: AccessRequest,
    before: Vec<Earlier>,
    at: Timestamp,
    expect: Expect,
}

struct Earlier {
    request: AccessRequest,
    over: bool,
    from: Option<Timestamp>,
}

/// What a case expects; what it leaves out may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    outcome: Outcome,
    policy: Option<String>,
    stage: Option<String>,
    approvers: Option<BTreeSet<String>>,
    message: Option<String>,
    duration: Option<String>,
    until: Option<Time>,
    namespaces: Option<BTreeSet<String>>,
}

impl PolicyTest {
    /// Reads a document. Its cases may name requests that are among `documents`.
    ///
    /// # Errors
    /// With file and path, when it is no PolicyTest, has a field that there is not, or names no request.
    pub fn read(document: &Document, documents: &[Document]) -> Result<Self, InvalidInput> {
        let from = &document.from;
        let raw: Raw = part(from, "PolicyTest", &document.value)?;
        let mut namespaces = Namespaces::new();
        for (index, value) in raw.namespaces.iter().enumerate() {
            let raw: RawNamespace = part(from, &format!("namespaces[{index}]"), value)?;
            namespaces.insert(raw.name, Namespace { labels: raw.labels, ..Namespace::default() });
        }
        let cases = raw.cases.iter().enumerate();
        let cases = cases.map(|(index, value)| Case::read(from, &format!("cases[{index}]"), value, documents));
        let reach = ServedNamespaces::of(raw.watch_namespaces);
        Ok(Self {
            from: from.clone(),
            place: TestCluster {
                namespaces: reach.known(namespaces),
                reach,
                release: raw.release_namespace.unwrap_or_else(|| USUAL_RELEASE.to_owned()),
            },
            cases: cases.collect::<Result<_, _>>()?,
        })
    }

    /// The namespaces that it knows, with their names.
    pub fn namespaces(&self) -> impl Iterator<Item = (String, Namespace)> {
        self.place.namespaces.clone().into_iter()
    }
}

fn part<T: DeserializeOwned>(from: &str, path: &str, value: &Value) -> Result<T, InvalidInput> {
    serde_json::from_value(value.clone()).map_err(|error| InvalidInput::one(from, format!("{path}: {error}")))
}

/// The request of a case, written there or named, made by `requester` at a time.
fn request(
    from: &str,
    value: &Value,
    requester: Option<Identity>,
    made: Timestamp,
    documents: &[Document],
) -> Result<AccessRequest, InvalidInput> {
    let mut request: AccessRequest = match value.as_str() {
        None => manifests::read(from, "AccessRequest", value)?,
        Some(name) => named(name, documents).ok_or_else(|| {
            InvalidInput::one(
                from,
                format!("no AccessRequest {name} is in these files: name one as NAMESPACE/NAME, or write it here"),
            )
        })??,
    };
    request.spec.requester = requester.or(request.spec.requester);
    request.metadata.creation_timestamp.get_or_insert(Time(made));
    Ok(request)
}

fn on_record(level: Option<RiskLevel>) -> Option<RoleRisk> {
    level.map(|level| RoleRisk { level: level.into(), reasons: Vec::new() })
}

fn named(name: &str, documents: &[Document]) -> Option<Result<AccessRequest, InvalidInput>> {
    let (namespace, name) = name.split_once('/')?;
    let is_it = |document: &&Document| {
        let metadata = &document.value["metadata"];
        // One that the API server names is meant by the part that is its own.
        let own = metadata["generateName"].as_str().map(|prefix| prefix.trim_end_matches('-'));
        let is_named = metadata["name"] == name || (metadata["name"].is_null() && own == Some(name));
        document.is("AccessRequest") && metadata["namespace"] == namespace && is_named
    };
    documents.iter().find(is_it).map(Document::request)
}

impl Case {
    fn read(from: &str, path: &str, value: &Value, documents: &[Document]) -> Result<Self, InvalidInput> {
        let raw: RawCase = part(from, path, value)?;
        let noon = || AT.parse::<Timestamp>().map_err(|error| InvalidInput::one(AT, error));
        let at = raw.at.map_or_else(noon, |at| Ok(at.0))?;
        let waited = raw.waited.as_deref().map(duration::parse).transpose();
        let waited =
            waited.map_err(|error| InvalidInput::one(from, format!("{path}.waited: {error}")))?.unwrap_or_default();
        let made =
            at.checked_sub(waited).map_err(|error| InvalidInput::one(from, format!("{path}.waited: {error}")))?;
        let review = |(who, value): (&String, &Value)| {
            Ok((who.clone(), part::<Review>(from, &format!("{path}.reviews.{who}"), value)?))
        };
        let reviews = raw.reviews.iter().map(review).collect::<Result<_, InvalidInput>>()?;
        let earlier = |(index, earlier): (usize, RawEarlier)| {
            let from = format!("{from}: {path}.before[{index}].request");
            let mut request = request(&from, &earlier.request, earlier.requester, at, documents)?;
            request.status = Some(AccessRequestStatus { risk: on_record(earlier.risk), ..Default::default() });
            Ok(Earlier { request, over: earlier.over, from: earlier.from.map(|from| from.0) })
        };
        let before = raw.before.into_iter().enumerate().map(earlier).collect::<Result<_, InvalidInput>>()?;
        let mut request = request(&format!("{from}: {path}.request"), &raw.request, raw.requester, made, documents)?;
        let risk = on_record(raw.risk);
        request.status = Some(AccessRequestStatus { reviews, escalated: raw.escalated, risk, ..Default::default() });
        Ok(Self { name: raw.name, request, before, at, expect: part(from, &format!("{path}.expect"), &raw.expect)? })
    }

    /// In what the answer is another than expected: which part, what was expected, what came.
    fn differences(&self, explanation: &Explanation) -> Vec<(&'static str, String, String)> {
        let expect = &self.expect;
        let grant = explanation.grant.as_ref();
        let open = explanation.stages.iter().find(|stage| stage.state == StageState::Open);
        let approvers = open.into_iter().flat_map(|stage| &stage.approvers).map(|a| a.subject.clone()).collect();
        let namespaces = grant.into_iter().flat_map(|grant| grant.namespaces.iter().cloned()).collect();
        let nothing = || "nothing".to_owned();
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let same = |length: &String| duration::parse(length).map_or_else(|_| length.clone(), duration::format);
        let mut all = vec![("outcome", Some(format!("{:?}", expect.outcome)), format!("{:?}", explanation.outcome))];
        let policy = explanation.decides.as_ref().map_or_else(nothing, |decides| decides.policy.clone());
        all.push(("policy", expect.policy.clone(), policy));
        all.push(("stage", expect.stage.clone(), open.map_or_else(nothing, |stage| stage.name.clone())));
        all.push(("approvers", expect.approvers.as_ref().map(list), list(&approvers)));
        let length = grant.map_or_else(nothing, |grant| grant.duration.clone());
        all.push(("duration", expect.duration.as_ref().map(same), length));
        let until = grant.and_then(|grant| grant.until.as_ref()).map_or_else(nothing, |until| until.0.to_string());
        all.push(("until", expect.until.as_ref().map(|until| until.0.to_string()), until));
        all.push(("namespaces", expect.namespaces.as_ref().map(list), list(&namespaces)));
        let mut found: Vec<_> = all
            .into_iter()
            .filter_map(|(what, wanted, got)| Some((what, wanted?, got)))
            .filter(|(_, wanted, got)| wanted != got)
            .collect();
        if let Some(words) = expect.message.as_ref().filter(|words| !explanation.summary.contains(*words)) {
            found.push(("message", format!("… {words} …"), explanation.summary.clone()));
        }
        found
    }
}

/// What came of the cases.
pub struct TestReport {
    /// A line for each, and a sum.
    pub text: String,
    /// How many failed.
    pub failed: usize,
}

/// Runs every case of the files.
///
/// # Errors
/// When the files or the policies in them cannot be used.
pub fn run(paths: &[PathBuf]) -> Result<TestReport, PluginError> {
    let documents = documents(paths)?;
    let (mut policies, mut tests, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for document in &documents {
        if document.is("AccessPolicy") {
            match document.policy() {
                Ok(policy) => {
                    let entry = Entry::read(&policy);
                    faults.extend(entry.faults().iter().map(|fault| format!("{}: {fault}", document.from)));
                    policies.push(policy);
                }
                Err(InvalidInput(found)) => faults.extend(found),
            }
        } else if document.is("PolicyTest") {
            match PolicyTest::read(document, &documents) {
                Ok(test) => tests.push(test),
                Err(InvalidInput(found)) => faults.extend(found),
            }
        }
    }
    if !faults.is_empty() {
        return Err(InvalidInput(faults).into());
    }
    if tests.iter().all(|test| test.cases.is_empty()) {
        return Err(PluginError::NothingFound("PolicyTest with cases in these files"));
    }
    Ok(report(&PolicySet::new(&policies), &tests))
}

fn report(policies: &PolicySet, tests: &[PolicyTest]) -> TestReport {
    let (mut text, mut passed, mut failed) = (String::new(), 0_usize, 0_usize);
    for test in tests {
        for case in &test.cases {
            let (explanation, differences) = match case.decide(policies, &test.place) {
                Ok(explanation) => (explanation.summary.clone(), case.differences(&explanation)),
                Err(why) => (why.to_string(), vec![("before", "granted, or waiting".to_owned(), why.to_string())]),
            };
            if differences.is_empty() {
                passed += 1;
                text.push_str(&format!("ok    {}\n", case.name));
                continue;
            }
            failed += 1;
            text.push_str(&format!("FAIL  {} ({})\n", case.name, test.from));
            for (what, wanted, got) in differences {
                text.push_str(&format!("      {what}\n        expected: {wanted}\n        got:      {got}\n"));
            }
            text.push_str(&format!("      it is {explanation}\n"));
        }
    }
    text.push_str(&format!("{passed} passed, {failed} failed\n"));
    TestReport { text, failed }
}

impl Case {
    /// What is decided, once those that were before have been.
    ///
    /// # Errors
    /// Why one of those neither runs nor waits.
    fn decide(&self, policies: &PolicySet, place: &TestCluster) -> Result<Explanation, InvalidInput> {
        let mut before: Vec<AccessRequest> = Vec::new();
        for earlier in &self.before {
            let explanation = decided(&earlier.request, policies, place, &before, self.at);
            before.push(earlier.stands(&explanation, policies, self.at)?);
        }
        Ok(decided(&self.request, policies, place, &before, self.at))
    }
}

impl Earlier {
    /// The request with a status as the controller would have written it.
    fn stands(
        &self,
        explanation: &Explanation,
        policies: &PolicySet,
        at: Timestamp,
    ) -> Result<AccessRequest, InvalidInput> {
        let name = self.request.metadata.name.as_deref().unwrap_or_default();
        let mut status = AccessRequestStatus { policy: reference(explanation, policies), ..Default::default() };
        match (explanation.outcome, &explanation.grant) {
            (Outcome::Granted, Some(grant)) => {
                let period = grant.from.as_ref().zip(grant.until.as_ref());
                let length = period.map(|(from, until)| until.0.duration_since(from.0)).unwrap_or_default();
                let begin = if self.over { at.checked_sub(length) } else { Ok(at) };
                let begin = self.from.map_or(begin, Ok).map_err(|error| InvalidInput::one(name, error))?;
                let end = begin.checked_add(length).map_err(|error| InvalidInput::one(name, error))?;
                status.state = if end <= at { State::Expired } else { State::Active };
                (status.granted_at, status.expires_at) = (Some(Time(begin)), Some(Time(end)));
                status.bindings = grant.namespaces.iter().map(|namespace| binding(namespace)).collect();
            }
            (Outcome::Waiting, _) if !self.over => {}
            _ => return Err(InvalidInput::one(name, &explanation.summary)),
        }
        Ok(AccessRequest { status: Some(status), ..self.request.clone() })
    }
}

fn reference(explanation: &Explanation, policies: &PolicySet) -> Option<PolicyRef> {
    Some(policies.get(&explanation.decides.as_ref()?.policy)?.readable()?.reference.clone())
}

fn binding(namespace: &str) -> BindingRef {
    let namespace = Some(namespace.to_owned());
    BindingRef { kind: BindingKind::RoleBinding, namespace, name: String::new(), uid: None, role: None }
}

fn decided(
    request: &AccessRequest,
    policies: &PolicySet,
    place: &TestCluster,
    before: &[AccessRequest],
    at: Timestamp,
) -> Explanation {
    let others: Vec<Counted> = before.iter().filter_map(Counted::of).collect();
    let extends = |other: &&AccessRequest| {
        other.metadata.namespace == request.metadata.namespace && other.metadata.name == request.spec.extends
    };
    let extended = before.iter().find(extends);
    let protected = Protected::with_release(&place.release);
    let stated = request.status.as_ref().and_then(|status| status.risk.clone());
    // Offline nobody knows a role. It is taken to have what a request wants of it, and then the risk is that of this; one
    // whose risk is stated to be Low only looks.
    let rules = &request.spec.rules;
    let role = match &stated {
        _ if !rules.is_empty() => Some(RoleSeen::with_every_right()),
        Some(risk) if risk.level == RiskLevel::Low => Some(RoleSeen::that_only_looks()),
        _ => None,
    };
    let of_rules = role.as_ref().filter(|_| !rules.is_empty());
    let risk = of_rules.map(|role| role.risk(rules, protected.extent(request, extended, &place.namespaces))).or(stated);
    let guard = Guard::since(Timestamp::MIN);
    let snapshot = Snapshot {
        reach: &place.reach,
        others: &others,
        protected,
        role: role.as_ref(),
        risk: risk.as_ref(),
        extended,
        ..Snapshot::bare(request, policies, &place.namespaces, &guard)
    };
    explain(&snapshot, at)
}

#[cfg(test)]
mod tests;
