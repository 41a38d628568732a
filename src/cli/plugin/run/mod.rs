//! `kubectl daypass run`: runs a command whose refused calls are asked for, held and sent again.
//!
//! [`endpoint`] is what the command talks to in place of the API server, [`kubeconfig`] leads it there, [`child`] is the
//! command itself. It must not decide who gets what: the core does.

mod child;
pub mod endpoint;
mod kubeconfig;

use std::ffi::OsString;
use std::process::ExitCode;

use self::child::{CommandSignals, RunningCommand};
use self::endpoint::Endpoint;
use self::endpoint::desk::{AfterRefusal, HeldCall, RefusalDesk};
use self::kubeconfig::RunKubeconfig;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::output::console::Console;

/// The command line of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The command with its arguments, after --.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command, and ends as it ends.
///
/// # Errors
/// Why there is nothing for it to talk to.
pub async fn run(args: RunArgs, console: &mut Console) -> Result<ExitCode, PluginError> {
    let (cluster, calls) = Cluster::connect_for_others(&args.connection).await?;
    let failed = |source| PluginError::NoEndpoint { source };
    let mut signals = CommandSignals::listen().map_err(failed)?;
    let endpoint = Endpoint::open(calls, PassesAll).await.map_err(failed)?;
    let kubeconfig = RunKubeconfig::write(&endpoint, &cluster).map_err(failed)?;
    let code = match RunningCommand::start(&args.command, &kubeconfig.file(), &kubeconfig.cache()) {
        Ok(mut command) => child::code_of(command.end(&mut signals).await.map_err(failed)?),
        Err(error) => {
            let program = args.command.first().map(|program| program.display().to_string()).unwrap_or_default();
            console.say(format!("kubectl daypass run: cannot run {program}: {error}"));
            child::code_of_failure(&error)
        }
    };
    // What the command has left running can ask for nothing more.
    endpoint.close().await;
    drop(kubeconfig);
    Ok(ExitCode::from(code))
}

/// Lets every refusal through.
struct PassesAll;

impl RefusalDesk for PassesAll {
    async fn refused(&self, _: HeldCall) -> AfterRefusal {
        AfterRefusal::Pass
    }
}
