//! `kubectl daypass policy diff`: which requests two sets of policies decide differently.
//!
//! Reads policies and requests with the caller's own rights, has the core decide each request under both, and prints those
//! of which the answers differ. Writes nothing, and what counts as a difference is for the core to say.

mod asked;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use self::asked::AskedRequest;
use crate::api::AccessPolicy;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::manifests::documents;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::{InstallationArgs, PoliciesRead};
use crate::controller::observe::{self, DecodedPolicy};
use crate::core::policies::{Entry, PolicySet, origin};
use crate::core::report::difference::UpshotGiven;
use crate::core::report::explain::Outcome;

/// The command line of `policy diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// OLD and NEW: files, or folders with .yaml, .yml and .json files. With --cluster only NEW.
    #[arg(required = true, num_args = 1..=2, value_names = ["OLD", "NEW"])]
    policies: Vec<PathBuf>,
    /// The policies of the cluster are OLD.
    #[arg(long)]
    cluster: bool,
    /// NEW goes over OLD as `kubectl apply` would have it: what it does not name stays.
    #[arg(long)]
    on_top: bool,
    /// File or folder with requests to look at: AccessRequests, and the cases of PolicyTests. Can be given again.
    #[arg(short, long = "filename", value_name = "FILE", required_unless_present = "recent")]
    files: Vec<PathBuf>,
    /// Look at the requests that the cluster has, those that are over too, as if each were made anew when it was made.
    #[arg(long)]
    recent: bool,
    /// With --recent: namespace to look in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME", requires = "recent")]
    namespace: Option<String>,
    /// With --recent: look in all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace", requires = "recent")]
    all_namespaces: bool,
    /// Exit with 1 when a request is decided differently, as git diff does.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// What came of it, for programs too.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyDiff {
    /// How many requests were looked at.
    looked_at: usize,
    /// How many of those cannot be decided by one of the two.
    undecidable: Vec<Undecidable>,
    differences: Vec<RequestDifference>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    notes: BTreeSet<String>,
}

/// A request of which nothing can be said.
#[derive(Debug, Serialize)]
struct Undecidable {
    request: String,
    why: String,
}

/// A request that is decided differently.
#[derive(Debug, Serialize)]
struct RequestDifference {
    request: String,
    requester: String,
    /// The role, and what of it.
    what: String,
    before: UpshotGiven,
    after: UpshotGiven,
}

/// Says which requests are decided differently.
///
/// # Errors
/// When policies or requests cannot be read or used.
pub async fn run(args: DiffArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let (old_path, new_path) = match (args.cluster, args.policies.as_slice()) {
        (false, [old, new]) => (Some(old), new),
        (true, [new]) => (None, new),
        (false, _) => return Err(flag("NEW", "give the policies of OLD and of NEW, or --cluster in place of OLD")),
        (true, _) => return Err(flag("--cluster", "it stands in place of OLD: give NEW alone")),
    };
    let cluster = match args.cluster || args.recent {
        true => Some(Cluster::connect(&args.connection).await?),
        false => None,
    };
    let old = match (&cluster, old_path) {
        (Some(cluster), None) => in_force(cluster).await?,
        (_, path) => from_files(path.unwrap_or(new_path))?,
    };
    let new = from_files(new_path)?;
    let sets = [set(&old, &[]), if args.on_top { set(&old, &new) } else { set(&new, &[]) }];
    let (both, mut stored) = (PoliciesRead::of(both(&old, &new)), Vec::new());
    let mut asked = asked::of_files(&args.files, &args.installation)?;
    if let Some(cluster) = cluster.as_ref().filter(|_| args.recent) {
        let place = Where::of(cluster, args.all_namespaces, &args.namespace);
        let listed = requests::list(cluster, &place, console).await?;
        stored.extend(listed.iter().map(asked::as_if_new));
        asked.extend(asked::of_cluster(cluster, &stored, &both, &args.installation).await?);
    }
    if asked.is_empty() {
        return Err(PluginError::NothingFound("request to look at: see that the files or the namespace have some"));
    }
    let diff = compare(&asked, &sets, args.recent);
    match args.format.format().object(&diff)? {
        Some(document) => console.print(&document),
        None => console.show(&text(&diff, &args.format)),
    }
    Ok(if args.exit_code && !diff.differences.is_empty() { Exit::Error } else { Exit::Done })
}

fn flag(flag: &'static str, problem: &str) -> PluginError {
    PluginError::Flag { flag, problem: problem.to_owned() }
}

/// The policies of a cluster, those that cannot be read among them.
async fn in_force(cluster: &Cluster) -> Result<Vec<DecodedPolicy>, PluginError> {
    let api: Api<DecodedPolicy> = Api::all(cluster.client.clone());
    Ok(cluster.call("list accesspolicies", api.list(&ListParams::default())).await?.items)
}

/// The policies of files, all of them in order.
fn from_files(path: &Path) -> Result<Vec<DecodedPolicy>, PluginError> {
    let (mut policies, mut faults) = (Vec::new(), Vec::new());
    for document in documents(&[path.to_owned()])?.iter().filter(|document| document.is("AccessPolicy")) {
        match document.policy() {
            Ok(policy) => {
                let entry = Entry::read(&policy);
                faults.extend(entry.faults().iter().map(|fault| format!("{}: {fault}", document.from)));
                policies.push(decoded(policy));
            }
            Err(InvalidInput(found)) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(policies) } else { Err(InvalidInput(faults).into()) }
}

fn decoded(policy: AccessPolicy) -> DecodedPolicy {
    kube::core::DeserializeGuard(Ok(policy))
}

/// What policies make together; of two with one name those `over` count.
fn set(policies: &[DecodedPolicy], over: &[DecodedPolicy]) -> PolicySet {
    let name = |policy: &DecodedPolicy| match &policy.0 {
        Ok(policy) => policy.metadata.name.clone(),
        Err(invalid) => invalid.metadata.name.clone(),
    };
    let replaced: BTreeSet<Option<String>> = over.iter().map(name).collect();
    let all: Vec<&DecodedPolicy> =
        policies.iter().filter(|policy| !replaced.contains(&name(policy))).chain(over).collect();
    observe::policy_set(&PolicySet::default(), all, origin::doubt_on_record)
}

/// The policies of both sides, for what there is to read of a cluster: what neither asks for is no gap.
fn both(old: &[DecodedPolicy], new: &[DecodedPolicy]) -> PolicySet {
    let before = |policy: &AccessPolicy| {
        let mut policy = policy.clone();
        policy.metadata.name = policy.metadata.name.map(|name| format!("{name} before"));
        decoded(policy)
    };
    let old: Vec<DecodedPolicy> = old.iter().filter_map(|policy| policy.0.as_ref().ok()).map(before).collect();
    set(&old, new)
}

fn compare(asked: &[AskedRequest<'_>], [old, new]: &[PolicySet; 2], recent: bool) -> PolicyDiff {
    let mut diff = PolicyDiff { looked_at: asked.len(), ..PolicyDiff::default() };
    if recent && (old.any_limits() || new.any_limits()) {
        diff.notes.insert(
            "limits are not counted for requests of the cluster: what else there was at the time is not known"
                .to_owned(),
        );
    }
    for one in asked {
        diff.notes.extend(one.notes.iter().cloned());
        let (before, after) = match one.decide(old).and_then(|before| Ok((before, one.decide(new)?))) {
            Ok(both) => both,
            Err(why) => {
                diff.undecidable.push(Undecidable { request: one.name.clone(), why });
                continue;
            }
        };
        let (before, after) = (UpshotGiven::of(&before), UpshotGiven::of(&after));
        if let Some(open) = [&before, &after].into_iter().find(|given| given.upshot.is_open()) {
            diff.undecidable.push(Undecidable { request: one.name.clone(), why: open.summary.clone() });
        }
        if before.upshot != after.upshot {
            let requester = words::requester(one.request()).to_owned();
            let what = words::what(one.request());
            diff.differences.push(RequestDifference { request: one.name.clone(), requester, what, before, after });
        }
    }
    diff
}

fn text(diff: &PolicyDiff, format: &FormatArgs) -> Text {
    let mut table = format.table(&["REQUEST", "REQUESTER", "ROLE", "BEFORE", "AFTER", "WHY"], &[]);
    for one in &diff.differences {
        table.row(vec![
            one.request.clone().into(),
            one.requester.clone().into(),
            one.what.clone().into(),
            span(&one.before),
            span(&one.after),
            one.after.why().into(),
        ]);
    }
    let mut text = if table.is_empty() { Text::default() } else { table.text() };
    text.gap();
    diff.notes.iter().for_each(|note| text.line(TextSpan::new(format!("note: {note}"), Tone::Dim)));
    for Undecidable { request, why } in &diff.undecidable {
        text.line(format!("undecidable: {request}: {why}"));
    }
    let (looked, different, open) = (diff.looked_at, diff.differences.len(), diff.undecidable.len());
    text.line(format!("{looked} requests looked at, {different} decided differently, {open} undecidable"));
    text
}

fn span(given: &UpshotGiven) -> TextSpan {
    let tone = match given.upshot.outcome {
        Outcome::Granted => Tone::Good,
        Outcome::Waiting | Outcome::Undecided => Tone::Waiting,
        Outcome::Denied | Outcome::Lapsed => Tone::Bad,
        Outcome::Over => Tone::Dim,
    };
    TextSpan::new(given.upshot.to_string(), tone)
}
