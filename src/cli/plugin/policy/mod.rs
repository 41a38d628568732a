//! `kubectl daypass policy ...`: policies looked at before they are applied. Each command is in its own module.

pub mod diff;
pub mod init;
pub mod lint;
pub mod narrower;
pub mod policy_test;

use std::path::PathBuf;

use clap::Subcommand;

use super::cluster::Connection;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use crate::core::decision::protected::USUAL_RELEASE;

/// The commands about policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Run the cases of every PolicyTest against every AccessPolicy in these files. Needs no cluster.
    ///
    /// The policies are held against the schema and checked as the controller does; the CEL rules of the
    /// CRDs are not evaluated here. A case is decided at its `at`, or else at 2026-01-05T12:00:00Z, a Monday. Its
    /// `request` is written out, or named as NAMESPACE/NAME of one in these files.
    /// Exit code: 0 when all pass, 1 when one fails, 2 when the files or policies cannot be used.
    Test {
        /// Files, or folders with .yaml, .yml and .json files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Write a first policy and its PolicyTest from a few answers: flags, or questions on a terminal.
    ///
    /// What is written passes `policy lint` and `policy test`. Nothing is sent to the cluster.
    Init(Box<init::InitArgs>),
    /// Tell which requests two sets of policies decide differently, and how.
    ///
    /// Compared are the answer, who must agree, for how long access would be, and who must review it afterwards.
    /// Exit code: 0, or with --exit-code 1 when a request is decided differently, 2 when something cannot be used or read.
    Diff(Box<diff::DiffArgs>),
    /// Propose narrower rules for the roles of a policy of the cluster, from what was done with grants under it.
    ///
    /// Made from the audit logs that the archive has; nothing is proposed where they do not tell all, or tell too little. Told
    /// with it are the risk before and after, and which past grants would have lacked a right. Nothing is changed.
    Narrower(Box<narrower::NarrowerArgs>),
    /// Warn of what looks wrong in policies that are in order.
    ///
    /// Exit code: 0 without warnings, 1 with, 2 when the files cannot be used.
    Lint(Box<LintArgs>),
}

/// The command line of `policy lint`.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Files, or folders with .yaml, .yml and .json files. The namespaces of a PolicyTest among them are known.
    #[arg(required_unless_present = "cluster", conflicts_with = "cluster")]
    paths: Vec<PathBuf>,
    /// Look at the policies of the cluster instead.
    #[arg(long)]
    cluster: bool,
    /// Exit with 0 in spite of warnings.
    #[arg(long)]
    warn_only: bool,
    /// Namespace that Daypass is installed in: it is protected, as kube-system is.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

/// Runs one of them.
///
/// # Errors
/// When the files or the cluster cannot be read.
pub async fn run(command: PolicyCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        PolicyCommand::Test { paths } => {
            let report = policy_test::run(&paths)?;
            console.print(&report.text);
            Ok(if report.failed > 0 { Exit::Error } else { Exit::Done })
        }
        PolicyCommand::Init(args) => init::run(*args, console).await,
        PolicyCommand::Diff(args) => diff::run(*args, console).await,
        PolicyCommand::Narrower(args) => narrower::run(*args, console).await,
        PolicyCommand::Lint(args) => {
            let release = &args.release_namespace;
            let warnings = match args.cluster {
                true => lint::cluster(&args.connection, release).await?,
                false => lint::files(&args.paths, release)?,
            };
            console.show(&warnings.text());
            Ok(if warnings.is_empty() || args.warn_only { Exit::Done } else { Exit::Error })
        }
    }
}
