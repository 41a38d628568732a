//! What the page tells beside objects: what would be decided, what may be asked, what waits, and how the installation is.
//!
//! A desk computes it with what the caller may read and nothing else, and says what it could not read. What it answers is
//! the JSON that the front end reads. It must not keep the client that it is given.

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};

use super::refusal::PageRefusal;
use crate::api::request::AccessRequest;
use crate::api::subject::RoleName;

/// Who computes. Each call is answered with the client of its caller.
pub trait PageDesk: Send + Sync + 'static {
    /// What would be decided about a request that is not sent.
    fn foresee(
        &self,
        client: Client,
        draft: AccessRequest,
    ) -> impl Future<Output = Result<PageForecast, PageRefusal>> + Send;

    /// What would be decided if this person asked, by what the caller may read. The person is never acted as.
    fn explain(
        &self,
        client: Client,
        draft: AccessRequest,
        person: PagePerson,
    ) -> impl Future<Output = Result<PageExplanation, PageRefusal>> + Send;

    /// What the caller may ask for in a namespace and in the whole cluster.
    fn options(
        &self,
        client: Client,
        namespace: String,
    ) -> impl Future<Output = Result<PageOptions, PageRefusal>> + Send;

    /// What waits for the caller's decision.
    fn inbox(&self, client: Client) -> impl Future<Output = Result<PageInbox, PageRefusal>> + Send;

    /// How the installation is.
    fn health(&self, client: Client) -> impl Future<Output = Result<PageHealth, PageRefusal>> + Send;

    /// What looks wrong in the policies.
    fn lint(&self, client: Client) -> impl Future<Output = Result<PageLint, PageRefusal>> + Send;
}

/// How a request would be decided, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PageOutcome {
    /// Yes, without anybody.
    Granted,
    /// People must agree.
    Needs,
    /// Something other than people is waited for.
    Waits,
    Denied,
    /// It cannot be said.
    Unknown,
}

/// What would be decided.
#[derive(Clone, Debug, Serialize)]
pub struct PageForecast {
    pub outcome: PageOutcome,
    /// Whether nothing is hidden from the caller that it hangs on.
    pub sure: bool,
    /// Name of the policy that decides.
    pub policy: Option<String>,
    /// When access would begin, if it were sent now.
    pub begins: Option<Timestamp>,
    pub ends: Option<Timestamp>,
    pub stages: Vec<PageStage>,
    /// When the wait for people ends.
    pub deadline: Option<Timestamp>,
    /// Of a no: all of them, the closest to a yes first. Of what waits, or is not known: why.
    pub reasons: Vec<String>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
    /// How many single rights its role has; none where it cannot be read, or has every one of something, and where less than
    /// the role is asked for.
    pub rights: Option<usize>,
    /// How much harm what is asked for can do, from `Low` to `Critical`; none where the role cannot be read.
    pub risk: Option<String>,
    /// Of a no: the nearest request that would not be one.
    pub nearest: Option<AccessRequest>,
}

/// Somebody, as they are logged in to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagePerson {
    pub username: String,
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What would be decided if somebody asked, and what each policy says to that.
#[derive(Clone, Debug, Serialize)]
pub struct PageExplanation {
    /// Who would ask.
    pub person: PagePerson,
    #[serde(flatten)]
    pub forecast: PageForecast,
    /// Each policy that the caller may read, by name.
    pub policies: Vec<PageJudgement>,
}

/// What a policy says to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageJudgement {
    pub policy: String,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// In a sentence.
    pub says: String,
    /// Whether it is the one that decides.
    pub decides: bool,
}

/// A stage that must be filled, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageStage {
    pub stage: String,
    /// How many people must agree.
    pub required: i32,
    pub approvers: Vec<String>,
    /// When more people may agree, and who.
    pub then: Option<PageEscalation>,
}

/// More people who may agree, once a stage had to wait for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageEscalation {
    pub at: Timestamp,
    pub approvers: Vec<String>,
}

/// All that somebody may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageOptions {
    pub options: Vec<PageOption>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
}

/// Something that one may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageOption {
    pub role: RoleName,
    /// Name of the policy that allows it.
    pub policy: String,
    /// Whether in the whole cluster.
    pub cluster: bool,
    /// Whether as break-glass access.
    pub break_glass: bool,
    /// How long at most, such as `1h`.
    pub longest: String,
    /// How long where the request does not say.
    pub usual: String,
    /// Whether a ticket must be named.
    pub needs_ticket: bool,
    pub outcome: PageOutcome,
    /// Who must agree.
    pub approvers: Vec<String>,
    /// The line that asks for it, where one does.
    pub line: Option<String>,
}

/// What waits for somebody's decision, what is due first at the top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageInbox {
    pub requests: Vec<PageTask>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
}

/// A request that waits for the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageTask {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Of the object that was looked at: what is decided on is that and nothing else.
    pub resource_version: String,
    /// What the caller is asked for: a stage by its name, or a review of break-glass access.
    pub why: String,
    /// When the wait ends, where the caller may read what says so.
    pub until: Option<Timestamp>,
    /// How much harm it can do.
    pub risk: Option<String>,
    /// What would be granted, in lines.
    pub rights: Vec<String>,
}

/// How the installation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageHealth {
    pub findings: Vec<PageFinding>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PageLevel {
    Ok,
    Note,
    /// It could not be looked at, so nothing is known.
    Unknown,
    /// Something is not as it should be.
    Warning,
    /// Something does not work.
    Problem,
}

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageFinding {
    pub level: PageLevel,
    pub subject: String,
    pub message: String,
    pub way_out: Option<String>,
}

/// What looks wrong in the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageLint {
    pub findings: Vec<PageOddity>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
}

/// Something that looks wrong in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageOddity {
    pub policy: String,
    pub severity: PageLevel,
    /// The field, and what is wrong with it.
    pub message: String,
    pub way_out: String,
}
