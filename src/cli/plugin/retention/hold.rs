//! `kubectl daypass retention hold` and `lift`: sets a legal hold, and lifts it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::calls;
use crate::api::keeping::HoldAsked;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::Text;
use crate::runtime::clock::Clock;

/// The command line of `retention hold`.
#[derive(Debug, clap::Args)]
pub struct HoldSetArgs {
    /// Name of the hold, such as case-7. No other hold may have it, nor have had it.
    #[arg(value_name = "HOLD")]
    name: String,
    /// UID of a request whose records are kept; repeat for more. `kubectl daypass history -o wide` tells it.
    #[arg(long = "request", value_name = "UID", required_unless_present = "person")]
    requests: Vec<String>,
    /// Username: the records of all requests that name them are kept, those to come included.
    #[arg(long, value_name = "USER")]
    person: Option<String>,
    /// When it ends by itself: in 90d, or a time such as 2027-01-31. Left out: when it is lifted.
    #[arg(long, value_name = "TIME")]
    until: Option<TimeGiven>,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: String,
    #[command(flatten)]
    connection: Connection,
}

/// The command line of `retention lift`.
#[derive(Debug, clap::Args)]
pub struct HoldLiftArgs {
    /// Name of the hold.
    #[arg(value_name = "HOLD")]
    name: String,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: String,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Sets a hold.
///
/// # Errors
/// When the archive refuses it.
pub async fn run(args: HoldSetArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let until = args.until.map(|until| MicroTime(until.ahead(Clock::wall().now())));
    let asked =
        HoldAsked { name: args.name, requests: args.requests, person: args.person, until, reason: args.message };
    calls::hold(&cluster, &asked).await?;
    console.show(&Text::of(format!("set {}", asked.name)));
    console.next(&format!("kubectl daypass retention holds{}", args.connection.flags()));
    Ok(Exit::Done)
}

/// Lifts a hold.
///
/// # Errors
/// When the archive refuses it.
pub async fn lift(args: HoldLiftArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let question = format!("lift {}, so that what it holds is erased when its time is over?", args.name);
    if !console.agreed(args.yes, None, &question)? {
        console.say("it lasts on");
        return Ok(Exit::Error);
    }
    calls::lift(&cluster, &args.name, &args.message).await?;
    console.show(&Text::of(format!("lifted {}", args.name)));
    Ok(Exit::Done)
}
