//! `kubectl daypass policy test`: the cases of PolicyTest documents, decided by the core without a cluster.

mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::beside::Beside;
use super::manifests::{self, Document, documents};
use super::plugin::Said;
use crate::api::request::{AccessRequest, AccessRequestStatus, Review, RoleRisk};
use crate::core::duration;
use crate::core::explain::{Explanation, Outcome, Standing, explain};
use crate::core::guard::Guard;
use crate::core::limits;
use crate::core::namespaces::{Namespace, Namespaces};
use crate::core::policies::{Entry, PolicySet};
use crate::core::snapshot::Snapshot;

/// When a case is decided that does not say: a Monday noon.
const AT: &str = "2026-01-05T12:00:00Z";

/// A PolicyTest document.
pub struct PolicyTest {
    from: String,
    namespaces: Namespaces,
    cases: Vec<Case>,
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
    request: Value,
    #[serde(default)]
    reviews: BTreeMap<String, Value>,
    #[serde(default)]
    escalated: Vec<String>,
    /// How much harm the role can do, as the controller would read it from the cluster.
    risk: Option<Level>,
    /// The running request that this one extends.
    extends: Option<Value>,
    /// Other requests, which limits count.
    #[serde(default)]
    others: Vec<Value>,
    at: Option<Time>,
    expect: Value,
}

#[derive(Deserialize, Debug)]
enum Level {
    Low,
    Medium,
    High,
    Critical,
    Unknown,
}

struct Case {
    name: String,
    request: AccessRequest,
    risk: Option<RoleRisk>,
    extends: Option<Beside>,
    others: Vec<Beside>,
    at: Timestamp,
    expect: Expect,
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
    /// Reads a document.
    ///
    /// # Errors
    /// With file and path, when it is no PolicyTest, or has a field that there is not.
    pub fn read(document: &Document) -> Result<Self, String> {
        let from = &document.from;
        let raw: Raw = part(from, "PolicyTest", &document.value)?;
        let mut namespaces = Namespaces::new();
        for (index, value) in raw.namespaces.iter().enumerate() {
            let raw: RawNamespace = part(from, &format!("namespaces[{index}]"), value)?;
            namespaces.insert(raw.name, Namespace { labels: raw.labels, terminating: false });
        }
        let cases = raw.cases.iter().enumerate();
        let cases = cases.map(|(index, value)| Case::read(from, &format!("cases[{index}]"), value));
        Ok(Self { from: from.clone(), namespaces, cases: cases.collect::<Result<_, _>>()? })
    }

    /// The namespaces that it knows, with their names.
    pub fn namespaces(&self) -> impl Iterator<Item = (String, Namespace)> {
        self.namespaces.clone().into_iter()
    }
}

fn part<T: DeserializeOwned>(from: &str, path: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{from}: {path}: {error}"))
}

impl Case {
    fn read(from: &str, path: &str, value: &Value) -> Result<Self, String> {
        let raw: RawCase = part(from, path, value)?;
        let mut request: AccessRequest =
            manifests::read(&format!("{from}: {path}.request"), "AccessRequest", &raw.request)?;
        let review = |(who, value): (&String, &Value)| {
            Ok((who.clone(), part::<Review>(from, &format!("{path}.reviews.{who}"), value)?))
        };
        let reviews = raw.reviews.iter().map(review).collect::<Result<_, String>>()?;
        let risk = raw.risk.map(|level| RoleRisk { level: format!("{level:?}"), reasons: Vec::new() });
        let extends = raw.extends.map(|value| Beside::read(from, &format!("{path}.extends"), &value, "extended"));
        let extends = extends.transpose()?;
        if let Some(running) = &extends
            && running.name() != request.spec.extends.as_deref()
        {
            return Err(format!("{from}: {path}.extends: must be the request that request.spec.extends names"));
        }
        let others = raw.others.iter().enumerate();
        let others =
            others.map(|(n, value)| Beside::read(from, &format!("{path}.others[{n}]"), value, &format!("other-{n}")));
        let others = others.collect::<Result<_, String>>()?;
        let noon = || AT.parse::<Timestamp>().map_err(|_| format!("{AT} is no time"));
        let at = raw.at.map_or_else(noon, |at| Ok(at.0))?;
        request.metadata.creation_timestamp.get_or_insert(Time(at));
        request.status = Some(AccessRequestStatus { reviews, escalated: raw.escalated, ..Default::default() });
        let expect = part(from, &format!("{path}.expect"), &raw.expect)?;
        Ok(Self { name: raw.name, request, risk, extends, others, at, expect })
    }

    /// In what the answer is another than expected: which part, what was expected, what came.
    fn differences(&self, told: &Explanation) -> Vec<(&'static str, String, String)> {
        let expect = &self.expect;
        let grant = told.grant.as_ref();
        let open = told.stages.iter().find(|stage| stage.state == Standing::Open);
        let approvers = open.into_iter().flat_map(|stage| &stage.approvers).map(|a| a.subject.clone()).collect();
        let namespaces = grant.into_iter().flat_map(|grant| grant.namespaces.iter().cloned()).collect();
        let nothing = || "nothing".to_owned();
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let same = |length: &String| duration::parse(length).map_or_else(|_| length.clone(), duration::format);
        let mut all = vec![("outcome", Some(format!("{:?}", expect.outcome)), format!("{:?}", told.outcome))];
        let policy = told.decides.as_ref().map_or_else(nothing, |decides| decides.policy.clone());
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
        if let Some(words) = expect.message.as_ref().filter(|words| !told.summary.contains(*words)) {
            found.push(("message", format!("… {words} …"), told.summary.clone()));
        }
        found
    }
}

/// Runs every case of the files.
///
/// # Errors
/// When the files or the policies in them cannot be used.
pub fn run(paths: &[PathBuf]) -> Result<Said, String> {
    let documents = documents(paths)?;
    let (mut policies, mut tests, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for document in &documents {
        if document.is("AccessPolicy") {
            match document.policy() {
                Ok(policy) => {
                    if let Entry::Broken { faults: found, .. } = Entry::read(&policy) {
                        faults.extend(found.iter().map(|fault| format!("{}: {fault}", document.from)));
                    }
                    policies.push(policy);
                }
                Err(why) => faults.push(why),
            }
        } else if document.is("PolicyTest") {
            match PolicyTest::read(document) {
                Ok(test) => tests.push(test),
                Err(why) => faults.push(why),
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    if tests.iter().all(|test| test.cases.is_empty()) {
        return Err("there is no PolicyTest with cases in these files".to_owned());
    }
    report(&PolicySet::new(&policies), &tests)
}

fn report(policies: &PolicySet, tests: &[PolicyTest]) -> Result<Said, String> {
    let (mut text, mut passed, mut failed) = (String::new(), 0, 0);
    for test in tests {
        for case in &test.cases {
            let told = decide(policies, &test.namespaces, case)?;
            let differences = case.differences(&told);
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
            text.push_str(&format!("      it is {}\n", told.summary));
        }
    }
    text.push_str(&format!("{passed} passed, {failed} failed\n"));
    Ok(Said { text, code: u8::from(failed > 0) })
}

fn decide(policies: &PolicySet, namespaces: &Namespaces, case: &Case) -> Result<Explanation, String> {
    let recorded = |beside: &Beside| beside.recorded(policies, namespaces, case.at);
    let extended = case.extends.as_ref().map(recorded).transpose()?;
    let others = case.others.iter().map(recorded).collect::<Result<Vec<_>, _>>()?;
    let snapshot = Snapshot {
        request: &case.request,
        policies,
        namespaces,
        others: &limits::others(&case.request, policies, others.iter().chain(&extended)),
        risk: case.risk.as_ref(),
        bindings: &[],
        extended: extended.as_ref(),
        extensions: &[],
        unreviewed: &[],
        guard: &Guard::Since(Timestamp::MIN),
        bind_failure: None,
    };
    Ok(explain(&snapshot, case.at))
}
