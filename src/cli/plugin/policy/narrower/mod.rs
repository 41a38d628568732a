//! `kubectl daypass policy narrower`: narrower rules for the roles of a policy, from what was done with grants under it.
//!
//! [`read`] takes the grants from the archive and the roles from the cluster, with the caller's own rights; the core proposes;
//! [`drafted`] writes what could be applied, and [`printed`] tells it. Nothing is sent to the cluster.

mod drafted;
mod printed;
pub(in crate::cli::plugin) mod read;

use k8s_openapi::jiff::Timestamp;
use kube::Api;

use self::drafted::RoleDraft;
use self::printed::{NarrowerReport, RoleAnswer};
use self::read::RoleRead;
use crate::api::AccessPolicy;
use crate::api::subject::RoleName;
use crate::cli::plugin::ask::draft::role_name;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::core::decision::protected::USUAL_RELEASE;
use crate::core::insight::narrower::evidence::{NarrowerTerms, USUAL_GRANTS, USUAL_WEEKS};
use crate::core::insight::narrower::proposal::propose;
use crate::runtime::clock::Clock;

/// The command line of `policy narrower`.
#[derive(Debug, clap::Args)]
pub struct NarrowerArgs {
    /// Name of the policy.
    policy: String,
    /// Only this role of it: a ClusterRole, or role/NAME for a Role. Left out: each.
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// From grants that began since: 90d or 12w ago, or a time such as 2026-11-29.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: TimeGiven,
    /// Propose nothing unless so many grants were used.
    #[arg(long, value_name = "NUMBER", default_value_t = USUAL_GRANTS)]
    min_grants: usize,
    /// Propose nothing unless the grants span so many weeks.
    #[arg(long, value_name = "NUMBER", default_value_t = USUAL_WEEKS, value_parser = clap::value_parser!(i64).range(0..))]
    min_weeks: i64,
    /// Print the narrower roles alone, for `kubectl apply -f -`. Fails when there is nothing to propose.
    #[arg(long, conflicts_with = "output")]
    role_yaml: bool,
    /// Namespace that the cluster's Daypass is installed in: it is protected, as kube-system is.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Proposes narrower rules, or says why there are none.
///
/// # Errors
/// When the policy, its roles or the archive cannot be read.
pub async fn run(args: NarrowerArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let policies: Api<AccessPolicy> = Api::all(cluster.client.clone());
    let policy = cluster.call("get accesspolicies", policies.get(&args.policy)).await?;
    let report = report(&args, &cluster, &policy, Clock::wall().now()).await?;
    if args.role_yaml {
        report.notes().iter().for_each(|note| console.note(note));
        console.print(&report.manifests()?);
        return Ok(if report.is_empty() { Exit::Error } else { Exit::Done });
    }
    match args.format.format().object(&report)? {
        Some(document) => console.print(&document),
        None => console.show(&report.text()?),
    }
    Ok(Exit::Done)
}

async fn report(
    args: &NarrowerArgs,
    cluster: &Cluster,
    policy: &AccessPolicy,
    now: Timestamp,
) -> Result<NarrowerReport, PluginError> {
    let (since, terms) = (args.since.instant(now), NarrowerTerms { grants: args.min_grants, weeks: args.min_weeks });
    let mut report = NarrowerReport::new(&args.policy, since, terms);
    let grants = read::grants(cluster, policy, since, now).await?;
    for role in roles(args, policy)? {
        let of_role = grants.of(&role);
        let RoleRead { rules, namespaces } = read::role(cluster, &role, &of_role).await?;
        let extent = of_role.extent(&args.release_namespace);
        let answer = propose(&rules, extent, &of_role.past(), terms);
        let draft = answer.as_ref().ok().map(|proposal| RoleDraft::new(policy, &role, &proposal.rules, &namespaces));
        report.roles.push(RoleAnswer { role, before: rules, answer, draft });
    }
    Ok(report)
}

/// The roles that are asked about.
fn roles(args: &NarrowerArgs, policy: &AccessPolicy) -> Result<Vec<RoleName>, PluginError> {
    let named = args.role.as_deref().map(role_name);
    let of_policy = policy.spec.roles.iter().filter(|role| named.as_ref().is_none_or(|named| *role == named));
    let roles: Vec<RoleName> = of_policy.cloned().collect();
    if roles.is_empty() {
        let all: Vec<String> = policy.spec.roles.iter().map(ToString::to_string).collect();
        let there = if all.is_empty() { "it names none".to_owned() } else { format!("it has {}", all.join(", ")) };
        let problem = format!("policy {} has no such role: {there}", args.policy);
        return Err(PluginError::Flag { flag: "--role", problem });
    }
    Ok(roles)
}
