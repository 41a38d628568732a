//! `kubectl daypass explain`: reads what a request is decided by, with the rights of whoever asks, and has the core
//! explain it. Writes nothing.

use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::manifests::requests_in;
use super::output::console::Console;
use super::requests;
use super::seen::{InstallationArgs, PoliciesRead, Seen};
use crate::api::request::AccessRequest;
use crate::api::subject::Identity;
use crate::runtime::clock::Clock;

mod printed;

pub use self::printed::says;

/// The command line of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Name of the request.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A request that is not made yet: a file, or - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", id = "file")]
    file: Option<PathBuf>,
    /// Namespace of the request. Left out: that of the file or context.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = printed::ExplainFormat::Text)]
    output: printed::ExplainFormat,
    /// With -f: as if this user asked, rather than you.
    #[arg(long, requires = "file", value_name = "USER")]
    for_user: Option<String>,
    /// With --for-user: a group of that user. Can be given again.
    #[arg(long, requires = "for_user", value_name = "GROUP")]
    for_group: Vec<String>,
    /// With --for-user: what the login of that user says under a key that the cluster records. Can be given again, also for one
    /// key.
    #[arg(long, requires = "for_user", value_name = "KEY=VALUE", value_parser = extra)]
    extra: Vec<(String, String)>,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Explains the requests that the command line names.
///
/// # Errors
/// Why it cannot.
pub async fn run(args: ExplainArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let now = Clock::wall().now();
    let namespace = cluster.namespace_or(&args.namespace);
    let requests = match &args.name {
        Some(name) => vec![requests::get(&cluster, namespace, name).await?],
        None => drafts(&args, &cluster, now).await?,
    };
    let policies = PoliciesRead::read(&cluster).await?;
    let mut explained = Vec::new();
    for request in &requests {
        let seen = Seen::of(&cluster, request, &policies, &args.installation).await?;
        explained.push((request, seen.explain(now), seen.gaps));
    }
    for (request, explanation, gaps) in &explained {
        let notes: Vec<String> = gaps.iter().map(ToString::to_string).collect();
        printed::print(request, explanation, &notes, args.output, console)?;
    }
    Ok(Exit::Done)
}

/// A key and a value of `--extra`. A value may have more of these signs.
fn extra(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Who `--for-user` and the flags that belong to it describe.
fn somebody(username: &str, args: &ExplainArgs) -> Identity {
    let mut who = Identity { username: username.to_owned(), groups: args.for_group.clone(), ..Identity::default() };
    for (key, value) in &args.extra {
        who.extra.entry(key.clone()).or_default().push(value.clone());
    }
    who
}

/// Requests that are not made yet, as the cluster would stamp them.
async fn drafts(args: &ExplainArgs, cluster: &Cluster, now: Timestamp) -> Result<Vec<AccessRequest>, PluginError> {
    let file = args.file.as_deref().ok_or(PluginError::NothingNamed)?;
    let mut drafts = requests_in(file, args.namespace.as_deref(), &cluster.namespace)?;
    let who = match &args.for_user {
        Some(username) => somebody(username, args),
        None => identity::requester(cluster).await?,
    };
    for draft in &mut drafts {
        draft.metadata.creation_timestamp = Some(Time(now));
        draft.spec.requester = Some(who.clone());
        draft.status = None;
    }
    Ok(drafts)
}
