//! `kubectl daypass notify`: what an admin tries of the notifier. [`pods`] finds where it runs, and [`exec`] runs its own
//! program there.
//!
//! It must not read what the notifier's Secrets hold: only its pod has them, and what may be done in that pod is for the
//! caller's own rights and for the self-guard of the chart to say.

pub mod exec;
pub mod pods;

use self::pods::NotifierPod;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use crate::core::decision::protected::USUAL_RELEASE;

/// The program in the notifier's image, and the word for a test of one of its routes.
const PROGRAM: [&str; 2] = ["/daypass", "test"];
/// Where the chart mounts its configuration.
const CONFIG: &str = "/etc/daypass-notify/notify.yaml";

/// What to do with the notifier.
#[derive(Debug, clap::Subcommand)]
pub enum NotifyCommand {
    /// Have the notifier send a test message by one of its routes, and tell what came of it.
    ///
    /// Runs the notifier's own program in one of its pods, since nobody else has its Secrets. That takes list on pods and
    /// create and get on pods/exec in the namespace of Daypass, and what its self-guard asks of whoever enters its pods: the verb
    /// administer on accesspolicies.daypass.dev, or an entry in selfGuard.managers of the chart.
    Test(RouteTestArgs),
}

/// The command line of `notify test`.
#[derive(Debug, clap::Args)]
pub struct RouteTestArgs {
    /// Name of the route, as notify.routes of the chart has it.
    #[arg(value_name = "ROUTE")]
    route: String,
    /// Namespace that the cluster's Daypass is installed in.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
///
/// # Errors
/// When nothing runs that could, the caller may not have it run, or it comes to no end. What the notifier says of the route is
/// no error of the plugin's: it is printed, and the exit code says how it went.
pub async fn run(command: NotifyCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        NotifyCommand::Test(args) => test(args, console).await,
    }
}

async fn test(args: RouteTestArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let NotifierPod { name, container } =
        pods::ready(&cluster, &args.release_namespace, &args.connection.flags()).await?;
    let line = PROGRAM.into_iter().chain([args.route.as_str(), "--config", CONFIG]);
    let place = exec::ExecPlace { namespace: &args.release_namespace, pod: &name, container: &container };
    let ended = exec::run(&cluster, place, line).await?;
    if !ended.out.is_empty() {
        console.print(&ended.out);
    }
    ended.err.lines().for_each(|line| console.say(line));
    Ok(exit(ended.code))
}

/// How a command ends whose work was done elsewhere. A route that the notifier does not have is an error, as each name that
/// nothing has.
fn exit(code: i32) -> Exit {
    match code {
        0 => Exit::Done,
        2 => Exit::Usage,
        _ => Exit::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_test() {
        assert_eq!([0, 1, 2, 137].map(exit), [Exit::Done, Exit::Error, Exit::Usage, Exit::Error]);
    }
}
