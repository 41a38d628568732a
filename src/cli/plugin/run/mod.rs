//! `kubectl daypass run`: runs a command whose refused calls are asked for, held and sent again.
//!
//! [`endpoint`] is what the command talks to in place of the API server, [`kubeconfig`] leads it there, [`child`] is the
//! command itself. [`hold`] is the desk for what is refused: [`attributes`] says what a call is, [`known`] what goes with it, and
//! [`allowed`] how far a script may go. It must not decide who gets what: the core does.

pub mod allowed;
pub mod attributes;
mod child;
pub mod endpoint;
pub mod hold;
pub mod known;
mod kubeconfig;

use std::ffi::OsString;
use std::process::ExitCode;

use self::child::{CommandSignals, RunningCommand};
use self::endpoint::Endpoint;
use self::hold::{HoldArgs, Holding};
use self::known::shell::unwrapped;
use self::kubeconfig::RunKubeconfig;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;

const EXAMPLES: &str = "\
Examples:
  kubectl daypass run -n shop -- kubectl delete pod shop-0
  kubectl daypass run -n shop --yes --reason 'deploy 1.2' --allow get,patch:deployments.apps/web -- \\
      kubectl rollout restart deployment web
  kubectl daypass run -n shop --yes --reason 'look around' -- k9s

The command finds a kubeconfig in KUBECONFIG that leads to an endpoint on this machine. Its access ends with it.
kubectl and helm are asked for whole, by sh -c too where that is one plain command; of other programs, each call.
Killed with SIGKILL, this program cannot end it: kubectl daypass drop --all does, or its time runs out.";

/// The command line of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The command with its arguments, after --.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    hold: HoldArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command, and ends as it ends.
///
/// # Errors
/// Why there is nothing for it to talk to.
pub async fn run(args: RunArgs, console: &mut Console) -> Result<ExitCode, PluginError> {
    let RunArgs { command, hold, connection } = args;
    let (mut cluster, calls) = Cluster::connect_for_others(&connection).await?;
    if let Some(namespace) = &hold.namespace {
        cluster.namespace.clone_from(namespace);
    }
    let failed = |source| PluginError::NoEndpoint { source };
    let mut signals = CommandSignals::listen().map_err(failed)?;
    let line = unwrapped(command.iter().map(|word| word.to_string_lossy().into_owned()).collect());
    let (desk, holding) = Holding::open(cluster.clone(), hold, line, connection.flags()).await?;
    let endpoint = Endpoint::open(calls, desk).await.map_err(failed)?;
    let kubeconfig = RunKubeconfig::write(&endpoint, &cluster).map_err(failed)?;
    let ended = match RunningCommand::start(&command, &kubeconfig.file(), &kubeconfig.cache()) {
        Ok(mut command) => command.end(&mut signals).await.map(child::code_of).map_err(failed),
        Err(error) => {
            let program = command.first().map(|program| program.display().to_string()).unwrap_or_default();
            console.say(format!("kubectl daypass run: cannot run {program}: {error}"));
            Ok(child::code_of_failure(&error))
        }
    };
    // What the command has left running can ask for nothing more.
    endpoint.close().await;
    drop(kubeconfig);
    let left = holding.close().await;
    match ended? {
        0 if left != Exit::Done => Ok(ExitCode::from(left.code())),
        code => Ok(ExitCode::from(code)),
    }
}
