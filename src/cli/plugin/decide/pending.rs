//! `kubectl daypass pending`: the requests that wait for the caller's decision. Whose decision is missing, the core says.

use std::cmp::Ordering;
use std::fmt;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::review::{in_force, review};
use crate::api::policy::Stage;
use crate::api::request::{AccessRequest, ReviewVerdict, State};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::{Cluster, Connection, quoted};
use crate::cli::plugin::contexts::{ContextAnswer, ContextsArgs};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity::caller;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan};
use crate::cli::plugin::requests::{self, LeftOutRequest, Where};
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead, Seen, Unseen};
use crate::core::decision::approvals::{Eligibility, identity, review_stage};
use crate::core::model::subjects::is_same_person;
use crate::core::policies::PolicySet;
use crate::runtime::clock::Clock;

/// The command line of `pending`.
#[derive(Debug, clap::Args)]
pub struct PendingArgs {
    /// Namespaces to look in, separated by commas. Left out: all, or that of the context where you may not list them all.
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Look in all namespaces, and fail where you may not.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    contexts: ContextsArgs,
    #[command(flatten)]
    connection: Connection,
}

/// What somebody is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewTask {
    /// To decide in this stage.
    Stage(String),
    /// To review break-glass access, by then.
    Review { by: Timestamp },
}

/// A request that waits for the caller.
pub struct PendingRequest {
    pub request: AccessRequest,
    pub asked: ReviewTask,
    /// When the wait ends. None when the caller may not read what says so.
    pub by: Option<Timestamp>,
    /// What would be granted, in lines; none where it is granted already, or may not be read.
    pub rights: Option<Vec<String>>,
    /// What could not be read of what decides it.
    pub gaps: Vec<Unseen>,
}

/// What waits for the caller in one cluster.
#[derive(Default)]
pub struct PendingInCluster {
    /// What is due earlier first; what nobody knows the end of comes last.
    pub waiting: Vec<PendingRequest>,
    /// What was not looked at.
    pub gaps: Vec<PendingGap>,
}

/// Something that may hide what waits for the caller, or until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingGap {
    /// A request that cannot be decoded.
    LeftOut(LeftOutRequest),
    /// Every namespace but this one.
    OtherNamespaces(String),
    /// The policies.
    Policies,
}

impl fmt::Display for PendingGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut(request) => write!(f, "{request}"),
            Self::OtherNamespaces(own) => write!(
                f,
                "you may not list the requests of all namespaces, so only those of {own} are shown: name others with -n"
            ),
            Self::Policies => f.write_str("you may not list policies, so deadlines are not known"),
        }
    }
}

/// Where what waits is looked for.
#[derive(Clone, Debug)]
pub struct PendingSearch<'a> {
    /// Namespaces; none for all, or that of the context where the caller may not list them all.
    pub namespaces: &'a [String],
    /// Whether it fails where not all may be listed.
    pub all_or_nothing: bool,
    pub installation: &'a InstallationArgs,
}

/// Lists what waits for the caller's decision.
///
/// # Errors
/// When requests cannot be read.
pub async fn run(args: PendingArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let search = PendingSearch {
        namespaces: &args.namespace,
        all_or_nothing: args.all_namespaces,
        installation: &args.installation,
    };
    let read = async |cluster: Cluster, console: &mut Console| {
        let found = search.read(&cluster).await?;
        found.gaps.iter().for_each(|gap| console.note(&gap.to_string()));
        Ok(found.waiting)
    };
    let pending = args.contexts.ask(&args.connection, console, read).await?;
    let mut waiting: Vec<(&ContextAnswer<Vec<PendingRequest>>, &PendingRequest)> =
        pending.answers.iter().flat_map(|of| of.answer.iter().map(move |waiting| (of, waiting))).collect();
    waiting.sort_by(|(_, a), (_, b)| sooner(a.by, b.by));
    let objects: Vec<_> = waiting.iter().map(|(of, waiting)| (of.context.as_deref(), &waiting.request)).collect();
    match (args.format.format().side_by_side(&objects, &pending.failed)?, waiting.first()) {
        (Some(document), _) => console.print(&document),
        (None, None) if pending.answers.is_empty() => {}
        (None, None) => console.say("nothing waits for your decision"),
        (None, Some((of, first))) => {
            console.show(&args.table(pending.head(), &waiting, Clock::wall().now()));
            let (namespace, name) = (first.request.namespace().unwrap_or_default(), first.request.name_any());
            let flags = of.connection.flags();
            console.next(&format!("kubectl daypass approve {} -n {namespace}{flags}", quoted(&name)));
        }
    }
    Ok(pending.exit())
}

/// The policies, as far as they may be read.
async fn policies(cluster: &Cluster) -> Result<Option<PoliciesRead>, PluginError> {
    match PoliciesRead::read(cluster).await {
        Ok(policies) => Ok(Some(policies)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is due earlier first; what nobody knows the end of comes last.
fn sooner(a: Option<Timestamp>, b: Option<Timestamp>) -> Ordering {
    a.is_none().cmp(&b.is_none()).then(a.cmp(&b))
}

/// Whether a request waits for somebody's decision; without the policies, by what the controller has put on record.
pub fn waits_for(request: &AccessRequest, policies: Option<&PolicySet>, who: &Identity) -> bool {
    asked(request, policies, who).is_some()
}

/// What a request waits for from somebody; without the policies, by what the controller has put on record.
fn asked(request: &AccessRequest, policies: Option<&PolicySet>, who: &Identity) -> Option<ReviewTask> {
    let status = request.status.as_ref()?;
    let requester = request.spec.requester.clone().unwrap_or_default();
    let own = review(ReviewVerdict::Approve, None, who);
    let has_say = |stage: Stage| Eligibility::of(&[stage], &requester, &who.username, &own).is_eligible();
    let spoke = status.reviews.iter().any(|(username, review)| {
        review.verdict != ReviewVerdict::Revoke && is_same_person(&identity(username, review), who)
    });
    if spoke {
        return None;
    }
    if let Some(open) = status.stage.as_ref().filter(|_| status.state == State::Pending) {
        let in_force = in_force(request, status, policies).into_iter().find(|stage| stage.name == open.name);
        let stage = in_force.unwrap_or_else(|| review_stage(&open.approvers));
        return has_say(stage).then(|| ReviewTask::Stage(open.name.clone()));
    }
    let review = status.break_glass.as_ref().filter(|review| review.is_open() && request.is_decided())?;
    let in_force = in_force(request, status, policies).pop();
    let stage = in_force.unwrap_or_else(|| review_stage(&review.reviewers));
    has_say(stage).then_some(ReviewTask::Review { by: review.review_by.0 })
}

impl PendingSearch<'_> {
    /// What waits for the caller.
    ///
    /// # Errors
    /// When requests cannot be read.
    pub async fn read(&self, cluster: &Cluster) -> Result<PendingInCluster, PluginError> {
        let who = caller(cluster).await?;
        let mut found = PendingInCluster::default();
        let requests = self.requests(cluster, &mut found.gaps).await?;
        let policies = policies(cluster).await?;
        if policies.is_none() {
            found.gaps.push(PendingGap::Policies);
        }
        let now = Clock::wall().now();
        for request in requests {
            let Some(asked) = asked(&request, policies.as_ref().map(|policies| &policies.set), &who) else { continue };
            found.waiting.push(match (&asked, &policies) {
                (ReviewTask::Stage(_), Some(policies)) => {
                    self.looked_at(cluster, request, asked, policies, now).await?
                }
                (ReviewTask::Stage(_), None) => PendingRequest::known(request, asked, None),
                (ReviewTask::Review { by }, _) => {
                    let by = *by;
                    PendingRequest::known(request, asked, Some(by))
                }
            });
        }
        found.waiting.sort_by(|a, b| sooner(a.by, b.by));
        Ok(found)
    }

    /// A request with what it is decided by, as far as the caller may read that.
    async fn looked_at(
        &self,
        cluster: &Cluster,
        request: AccessRequest,
        asked: ReviewTask,
        policies: &PoliciesRead,
        now: Timestamp,
    ) -> Result<PendingRequest, PluginError> {
        let (by, rights, gaps) = match Seen::of(cluster, &request, policies, self.installation).await {
            Ok(seen) => {
                let by = seen.explain(now).deadline.map(|deadline| deadline.0);
                (by, seen.rights_in_lines(), seen.gaps)
            }
            Err(PluginError::NamespacesNotListed) => return Ok(PendingRequest::known(request, asked, None)),
            Err(error) => return Err(error),
        };
        Ok(PendingRequest { request, asked, by, rights, gaps })
    }

    /// All requests that are looked at.
    async fn requests(&self, cluster: &Cluster, gaps: &mut Vec<PendingGap>) -> Result<Vec<AccessRequest>, PluginError> {
        let named = self.namespaces.iter().cloned().map(Where::Namespace).collect::<Vec<_>>();
        let mut places = if named.is_empty() { vec![Where::Everywhere] } else { named };
        let mut requests = Vec::new();
        while let Some(place) = places.pop() {
            match requests::listed(cluster, &place).await {
                Ok((found, left_out)) => {
                    requests.extend(found);
                    gaps.extend(left_out.into_iter().map(PendingGap::LeftOut));
                }
                Err(error) if error.is_forbidden() && place == Where::Everywhere && !self.all_or_nothing => {
                    let own = &cluster.namespace;
                    gaps.push(PendingGap::OtherNamespaces(own.clone()));
                    places.push(Where::Namespace(own.clone()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(requests)
    }
}

impl PendingRequest {
    /// One of which nothing is read but itself.
    fn known(request: AccessRequest, asked: ReviewTask, by: Option<Timestamp>) -> Self {
        Self { request, asked, by, rights: None, gaps: Vec::new() }
    }
}

impl PendingArgs {
    fn table(
        &self,
        head: &[&'static str],
        waiting: &[(&ContextAnswer<Vec<PendingRequest>>, &PendingRequest)],
        now: Timestamp,
    ) -> Text {
        let heads = ["NAMESPACE", "NAME", "REQUESTER", "ROLE", "FOR", "RISK", "DEADLINE", "AGE", "REASON"];
        let mut table = self.format.table(&[head, &heads].concat(), &["STAGE", "WHERE"]);
        for (of, PendingRequest { request, asked, by, .. }) in waiting {
            let mut row: Vec<TextSpan> = of.cell().into_iter().collect();
            row.extend([
                request.namespace().unwrap_or_default().into(),
                request.name_any().into(),
                words::requester(request).into(),
                words::what(request).into(),
                words::length(request).into(),
                words::risk(request),
                by.map(|by| by.to_string()).unwrap_or_default().into(),
                words::age(request, now).into(),
                request.spec.reason.clone().into(),
            ]);
            if self.format.is_wide() {
                let stage = match asked {
                    ReviewTask::Stage(name) => name.clone(),
                    ReviewTask::Review { .. } => "review of break-glass access".to_owned(),
                };
                row.extend([stage.into(), words::place(request).into()]);
            }
            table.row(row);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::{Value, json};

    fn who(name: &str, uid: &str, groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Identity { username: name.to_owned(), uid: Some(uid.to_owned()), groups, ..Identity::default() }
    }

    fn with(status: Value) -> AccessRequest {
        AccessRequest { status: serde_json::from_value(status).unwrap(), ..request(json!({})) }
    }

    fn open() -> Value {
        let leads = json!([{ "kind": "Group", "name": "leads" }]);
        let stage = json!({ "name": "leads", "openedAt": "2026-11-23T12:00:00Z", "required": 1, "approved": 0, "approvers": leads });
        json!({ "state": "Pending", "stage": stage })
    }

    #[test]
    fn a_request_waits_for_whoever_may_decide_now_and_has_not() {
        let carol = who("carol", "u-carol", &["leads"]);
        let waits = |status: &Value, who: &Identity| asked(&with(status.clone()), None, who);
        assert_eq!(waits(&open(), &carol), Some(ReviewTask::Stage("leads".to_owned())));
        assert_eq!(waits(&open(), &who("eve", "u-eve", &["dev"])), None, "no stage names her");
        assert_eq!(waits(&open(), &who("alice", "u-alice", &["leads"])), None, "it is her own");
        // By another name of the same login, too.
        for name in ["carol", "carola"] {
            let mut said = open();
            said["reviews"] = json!({ name: { "verdict": "Approve", "uid": "u-carol" } });
            assert_eq!(waits(&said, &carol), None, "{name} has said so");
        }
        let mut scheduled = open();
        scheduled["state"] = json!("Scheduled");
        assert_eq!(waits(&scheduled, &carol), None);
        assert_eq!(asked(&request(json!({})), None, &carol), None, "the controller has not looked");
    }

    #[test]
    fn break_glass_access_waits_for_its_review_also_when_it_is_over() {
        let carol = who("carol", "u-carol", &["leads"]);
        let by = "2026-11-24T12:00:00Z";
        let review = json!({ "reviewers": [{ "kind": "Group", "name": "leads" }], "reviewBy": by });
        let over = json!({ "state": "Expired", "grantedAt": "2026-11-23T12:00:00Z", "breakGlass": review });
        assert_eq!(asked(&with(over.clone()), None, &carol), Some(ReviewTask::Review { by: by.parse().unwrap() }));
        let mut closed = over;
        closed["breakGlass"]["closedAt"] = json!("2026-11-23T13:00:00Z");
        assert_eq!(asked(&with(closed), None, &carol), None);
    }

    #[test]
    fn what_is_due_first_comes_first() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut all = vec![None, at(3), at(1), None, at(2)];
        all.sort_by(|a, b| sooner(*a, *b));
        assert_eq!(all, [at(1), at(2), at(3), None, None]);
    }
}
