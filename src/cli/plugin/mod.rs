//! What the kubectl plugin takes on its command line, and its exit codes. What a command does is in its own module.

pub mod explain;
pub mod lint;
pub mod manifests;
pub mod output;
pub mod policy_test;
mod schema;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::explain::ExplainArgs;
use self::output::{Connection, Output};
use crate::core::decision::protected::USUAL_RELEASE;

/// See why Daypass decides a request as it does, and test policies before they are applied.
#[derive(Debug, Parser)]
#[command(name = "kubectl daypass", bin_name = "kubectl daypass", version)]
pub struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell how a request is decided and why; with -f, one that is not made yet.
    Explain(ExplainArgs),
    /// Look at policies before they are applied.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
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
    /// Warn of what looks wrong in policies that are in order.
    ///
    /// Exit code: 0 without warnings, 1 with, 2 when the files cannot be used.
    Lint {
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
    },
}

impl Plugin {
    /// Runs the command and prints what it says.
    pub async fn run(self) -> ExitCode {
        let (done, code_of_failure) = match self.command {
            Command::Explain(args) => (explain::run(args).await, 1),
            Command::Policy(PolicyCommand::Test { paths }) => (policy_test::run(&paths), 2),
            Command::Policy(PolicyCommand::Lint { paths, cluster, warn_only, release_namespace, connection }) => {
                let release = &release_namespace;
                let done =
                    if cluster { lint::cluster(&connection, release).await } else { lint::files(&paths, release) };
                (done.map(|output| Output { code: if warn_only { 0 } else { output.code }, ..output }), 2)
            }
        };
        let (code, printed) = match done {
            Ok(output) => (output.code, std::io::stdout().write_all(output.text.as_bytes())),
            Err(error) => (code_of_failure, writeln!(std::io::stderr(), "kubectl daypass: {error}")),
        };
        // Whoever reads may have gone, as `head` does.
        drop(printed);
        ExitCode::from(code)
    }
}
