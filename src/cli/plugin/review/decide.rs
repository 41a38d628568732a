//! `kubectl daypass review confirm` and `remove`: shows what is decided on, asks, and sends the decision on what was shown.

use super::show::waits_for_reader;
use super::{calls, printed, removal};
use crate::api::campaign::{DecisionAsked, DecisionsAsked, ItemVerdict, ShownCampaign, ShownItem};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};

/// The command line of `review confirm`, and most of that of `review remove`.
#[derive(Debug, clap::Args)]
pub struct DecideArgs {
    /// Name of the campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// Items, as `review show` names them, or the beginning of each.
    #[arg(value_name = "ITEM", required_unless_present = "all_mine")]
    items: Vec<String>,
    /// All that you have to decide and have not.
    #[arg(long, conflicts_with = "items")]
    all_mine: bool,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: String,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The command line of `review remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    decide: DecideArgs,
    /// Take it away too, with your own rights. Left out: the command that does is printed.
    #[arg(long)]
    now: bool,
}

/// What was decided on, and how the command ends.
pub struct DecisionsMade {
    pub cluster: Cluster,
    pub items: Vec<ShownItem>,
    pub exit: Exit,
}

/// Decides.
///
/// # Errors
/// When the archive refuses it; then nothing is decided.
pub async fn run(args: DecideArgs, verdict: ItemVerdict, console: &mut Console) -> Result<DecisionsMade, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let campaign = calls::shown(&cluster, &args.campaign).await?;
    let items = args.chosen(&campaign)?;
    if items.is_empty() {
        console.say("nothing waits for your decision in it");
        return Ok(DecisionsMade { cluster, items: Vec::new(), exit: Exit::Done });
    }
    let word = printed::verdict(verdict);
    let these = if items.len() == 1 { "it".to_owned() } else { format!("these {}", items.len()) };
    let shown = printed::table(&items, &FormatArgs::default());
    if !console.agreed(args.yes, Some(&shown), &format!("{word} {these}?"))? {
        console.say("nothing was decided");
        return Ok(DecisionsMade { cluster, items: Vec::new(), exit: Exit::Error });
    }
    let decision = |shown: &&ShownItem| DecisionAsked {
        item: shown.id.clone(),
        digest: shown.digest.clone(),
        verdict,
        reason: args.message.clone(),
    };
    let decisions = DecisionsAsked { decisions: items.iter().map(decision).collect() };
    calls::decide(&cluster, &campaign.name, &decisions).await?;
    for shown in &items {
        let (holder, object) = (printed::holder(&shown.item), printed::object(&shown.item));
        let told = format!("{}: {word} {holder} {} through {object}", shown.id, printed::role(&shown.item));
        console.show(&Text::of(TextSpan::new(told, Tone::Good)));
    }
    let items = items.into_iter().cloned().collect();
    Ok(DecisionsMade { cluster, items, exit: Exit::Done })
}

/// Decides that something goes, and tells how, or takes it away.
///
/// # Errors
/// When the archive refuses the decision.
pub async fn remove(args: RemoveArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let made = run(args.decide, ItemVerdict::Remove, console).await?;
    let mut exit = made.exit;
    for shown in &made.items {
        exit = exit.or(removal::go(&made.cluster, &shown.item, args.now, console).await);
    }
    Ok(exit)
}

impl DecideArgs {
    fn chosen<'a>(&self, campaign: &'a ShownCampaign) -> Result<Vec<&'a ShownItem>, PluginError> {
        if self.all_mine {
            return Ok(campaign.items.iter().filter(|item| waits_for_reader(item)).collect());
        }
        let wrong = |problem: String| PluginError::Flag { flag: "ITEM", problem };
        let one = |typed: &String| {
            let mut found = campaign.items.iter().filter(|item| item.id.starts_with(typed.as_str()));
            match (found.next(), found.next()) {
                (Some(item), None) => Ok(item),
                (Some(_), Some(_)) => Err(wrong(format!("{typed} is the beginning of several: write more of it"))),
                (None, _) => Err(wrong(format!(
                    "{typed} is no item that you see in {}: see kubectl daypass review show {}",
                    campaign.name, campaign.name
                ))),
            }
        };
        let mut items = self.items.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        items.sort_by(|a, b| a.id.cmp(&b.id));
        items.dedup_by(|a, b| a.id == b.id);
        Ok(items)
    }
}
