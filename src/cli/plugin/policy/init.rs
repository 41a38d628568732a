//! `kubectl daypass policy init`: a first policy and its PolicyTest, from a few answers.
//!
//! [`answers`] takes them from flags or a terminal, [`written`] writes the two documents, and [`cluster`] holds the answers
//! against a cluster. What is written was linted and tested first. Nothing is sent to the cluster.

mod answers;
mod cluster;
pub mod written;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use self::answers::LowRisk;
use super::policy_test;
use crate::cli::plugin::cluster::{Connection, quoted};
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::Text;
use crate::core::decision::protected::USUAL_RELEASE;

/// The command line of `policy init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Name of the policy. Left out: made of the first team and the first role.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Group that may ask. Can be given again.
    #[arg(long = "team", value_name = "GROUP")]
    teams: Vec<String>,
    /// Namespaces to ask in, by name or glob such as team-*, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "labels")]
    namespaces: Vec<String>,
    /// Or the label that these namespaces have, such as env=dev. Can be given again; a namespace must have all.
    #[arg(long = "namespace-label", id = "labels", value_name = "KEY=VALUE", value_parser = answers::label)]
    labels: Vec<(String, String)>,
    /// Roles to ask for, separated by commas: ClusterRoles, or role/NAME for a Role of the namespace.
    #[arg(long = "role", value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// Group that approves. One of its people is enough. Can be given again.
    #[arg(long = "approver", value_name = "GROUP")]
    approvers: Vec<String>,
    /// The longest that may be asked for, such as 2h.
    #[arg(long, value_name = "DURATION")]
    max: Option<String>,
    /// What becomes of requests that can do little harm (risk Low).
    #[arg(long, value_enum)]
    low_risk: Option<LowRisk>,
    /// Write to DIR/policies/NAME.yaml and DIR/tests/NAME.yaml. Left out: to standard output.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// With --dir: write over files that are there.
    #[arg(long, requires = "dir")]
    force: bool,
    /// Only one of the two documents, such as the policy for `kubectl apply -f -`.
    #[arg(long, value_enum, conflicts_with = "dir")]
    only: Option<InitDocument>,
    /// Do not look into the cluster whether there are such namespaces, roles and groups.
    #[arg(long)]
    offline: bool,
    /// Namespace that Daypass is installed in: it is protected, as kube-system is.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

/// One of the documents that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InitDocument {
    /// The AccessPolicy.
    Policy,
    /// The PolicyTest, which is for `policy test` and no kind of the cluster's.
    Test,
}

/// Writes a policy and its test.
///
/// # Errors
/// When an answer is missing or makes no sense, or nothing can be written.
pub async fn run(args: InitArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let reached = if args.offline { None } else { Some(cluster::reach(&args.connection).await) };
    let first = answers::ask(&args, console)?;
    let (policy, test) = (first.policy(), first.test());
    sound(&policy, &test, &args.release_namespace)?;
    if let Some(reached) = reached {
        let notes = match reached {
            Ok(reached) => cluster::notes(&reached, &first).await,
            Err(why) => vec![cluster::not_looked(&why.to_string())],
        };
        notes.iter().for_each(|note| console.note(note));
    }
    let Some(dir) = &args.dir else {
        console.print(&match args.only {
            Some(InitDocument::Policy) => policy,
            Some(InitDocument::Test) => test,
            None => format!("{policy}---\n{test}"),
        });
        return Ok(Exit::Done);
    };
    let files = [(dir.join("policies"), policy), (dir.join("tests"), test)];
    let files = files.map(|(folder, text)| (folder.join(format!("{}.yaml", first.name)), text));
    if let (Some((there, _)), false) = (files.iter().find(|(path, _)| path.exists()), args.force) {
        let problem = format!("{} is there already: give --force to write over it", there.display());
        return Err(PluginError::Flag { flag: "--dir", problem });
    }
    for (path, text) in &files {
        write(path, text, args.force)?;
        console.show(&Text::of(format!("wrote {}", path.display())));
    }
    let [(policy, _), (test, _)] = files.map(|(path, text)| (quoted(&path.display().to_string()), text));
    console.next(&format!("kubectl daypass policy test {policy} {test}"));
    console.next(&format!("kubectl apply -f {policy}{}", args.connection.flags()));
    Ok(Exit::Done)
}

/// Looks at what would be written, as `policy lint` and `policy test` do.
fn sound(policy: &str, test: &str, release: &str) -> Result<(), PluginError> {
    let faults = written::faults(policy, release)?;
    if !faults.is_empty() {
        let line = |(field, why): &(String, String)| match answers::flag_of(field) {
            Some(flag) => format!("{flag}: {why}"),
            None => format!("{field}: {why}"),
        };
        return Err(InvalidInput(faults.iter().map(line).collect()).into());
    }
    let report = policy_test::of_text(&format!("{policy}---\n{test}"))?;
    // Would be a fault of this program: the test is made for the policy.
    if report.failed > 0 { Err(InvalidInput(vec![report.text]).into()) } else { Ok(()) }
}

/// Writes a document into a file, and makes the folders that it is in.
///
/// # Errors
/// When it cannot be written; or is there, and is not to be written over.
pub fn write(path: &Path, text: &str, over: bool) -> Result<(), InvalidInput> {
    let failed = |error: std::io::Error| InvalidInput::one(&path.display().to_string(), error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = if over { File::create(path) } else { File::create_new(path) };
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}
