//! `kubectl daypass review start`: reads what is there, shows what would be reviewed and by whom, and starts the campaign.

use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use super::population::{PopulationReading, uid_of};
use super::{calls, printed};
use crate::api::campaign::{CampaignStart, OwnedItem};
use crate::api::subject::Subject;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::Text;
use crate::cli::plugin::requests::Where;
use crate::core::campaign::population::subject_of;
use crate::runtime::clock::Clock;

/// The command line of `review start`.
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// Name of the campaign, such as 2027-h1.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// When decisions are due: in 14d or 4w, or a time such as 2027-01-31 or 2027-01-31T17:00:00Z.
    #[arg(long, value_name = "TIME")]
    due: TimeGiven,
    /// Who decides on what no annotation daypass.dev/owner of its policy or namespace gives to somebody: NAME, group/NAME or
    /// serviceaccount/NAMESPACE/NAME, separated by commas.
    #[arg(long, value_name = "OWNER", value_delimiter = ',', required = true)]
    owner: Vec<OwnerGiven>,
    /// What it is for, for the record.
    #[arg(long = "for", value_name = "TEXT", default_value = "Review of access")]
    purpose: String,
    /// Namespace to review. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Review all namespaces, what holds in the whole cluster, and the policies.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Review what service accounts and parts of the cluster have too, and not people alone.
    #[arg(long)]
    accounts: bool,
    /// Show what would be reviewed, and start nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// An owner as it was given.
#[derive(Clone, Debug)]
pub struct OwnerGiven(Subject);

impl FromStr for OwnerGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        subject_of(text).map(Self)
    }
}

/// Starts a campaign.
///
/// # Errors
/// When something may not be read, or the archive refuses it.
pub async fn run(args: StartArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    let owners = args.owner.iter().map(|owner| owner.0.clone()).collect();
    let reading = PopulationReading { cluster: &cluster, place: &place, accounts: args.accounts, owners };
    let items = reading.read(console).await?.items();
    if items.is_empty() {
        console.say(format!("there is nothing to review{}", place.words()));
        return Ok(Exit::Error);
    }
    let due = args.due.ahead(Clock::wall().now());
    let (name, purpose) = (args.campaign.clone(), args.purpose.clone());
    let start = CampaignStart { name, cluster: uid_of(&cluster).await?, purpose, due: MicroTime(due), items };
    if args.dry_run {
        match args.format.format().object(&start)? {
            Some(document) => console.print(&document),
            None => console.show(&args.shown(&start.items)),
        }
        return Ok(Exit::Done);
    }
    let question = format!("have owners review these {} by {}?", start.items.len(), printed::second(due));
    if !console.agreed(args.yes, Some(&args.shown(&start.items)), &question)? {
        console.say("no campaign was started");
        return Ok(Exit::Error);
    }
    calls::start(&cluster, &start).await?;
    let (name, count) = (&start.name, start.items.len());
    console.show(&Text::of(format!("started {name}: {count} items, due at {}", printed::second(due))));
    console.next(&format!("kubectl daypass review show {name}{}", args.connection.flags()));
    Ok(Exit::Done)
}

impl StartArgs {
    fn shown(&self, items: &[OwnedItem]) -> Text {
        let mut table = self.format.table(&["WHO", "ROLE", "WHERE", "THROUGH", "OWNERS"], &["ITEM"]);
        for OwnedItem { item, owners } in items {
            let mut row = vec![
                printed::holder(item).into(),
                printed::role(item).into(),
                printed::place(item).into(),
                printed::object(item).into(),
                printed::subjects(owners).into(),
            ];
            if self.format.is_wide() {
                row.push(item.id().into());
            }
            table.row(row);
        }
        table.text()
    }
}

impl TimeGiven {
    /// The instant that is meant, where a length of time is ahead of now.
    pub fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(length) => now.saturating_add(length).unwrap_or(Timestamp::MAX),
            Self::At(instant) => instant,
        }
    }
}
