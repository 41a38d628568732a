//! `kubectl daypass review export`: a campaign as evidence, in a file of its own.

use clap::ValueEnum;

use super::{calls, printed};
use crate::api::campaign::{ShownCampaign, ShownDecision, ShownItem};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::Format;
use crate::core::report::csv as table;

/// The columns of CSV: a line for each decision, and one for each item without any.
const COLUMNS: [&str; 21] = [
    "campaign",
    "cluster",
    "due",
    "closedAt",
    "closedBy",
    "item",
    "kind",
    "object",
    "who",
    "role",
    "where",
    "owners",
    "standing",
    "changedAt",
    "goneAt",
    "verdict",
    "decidedBy",
    "decidedAt",
    "late",
    "counts",
    "reason",
];

/// The command line of `review export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Name of the campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// In which form.
    #[arg(long, value_enum, default_value_t = EvidenceForm::Csv)]
    form: EvidenceForm,
    #[command(flatten)]
    connection: Connection,
}

/// A form of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvidenceForm {
    /// A line for each decision, and one for each item without any.
    Csv,
    /// The campaign with its items and decisions.
    Json,
    /// All that happened and the texts, to the byte: each names the digest of the one before.
    Jsonl,
}

/// Writes it on standard output.
///
/// # Errors
/// When there is no such campaign for the caller.
pub async fn run(args: ExportArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let document = match args.form {
        EvidenceForm::Jsonl => calls::lines(&cluster, &args.campaign).await?,
        EvidenceForm::Csv => csv(&calls::shown(&cluster, &args.campaign).await?),
        EvidenceForm::Json => {
            let campaign = calls::shown(&cluster, &args.campaign).await?;
            Format::Json.object(&campaign)?.unwrap_or_default() + "\n"
        }
    };
    console.print(&document);
    Ok(Exit::Done)
}

fn csv(campaign: &ShownCampaign) -> String {
    let heads = table::line(COLUMNS);
    let lines = campaign.items.iter().flat_map(|item| {
        let none = item.decisions.is_empty().then(|| line(campaign, item, None));
        none.into_iter().chain(item.decisions.iter().map(|made| line(campaign, item, Some(made))))
    });
    heads + &lines.collect::<String>()
}

fn line(campaign: &ShownCampaign, shown: &ShownItem, made: Option<&ShownDecision>) -> String {
    let of_closing = |part: fn(&crate::api::campaign::ShownClosing) -> String| campaign.closed.as_ref().map(part);
    let of_made = |part: fn(&ShownDecision) -> String| made.map(part).unwrap_or_default();
    let item = &shown.item;
    let cells: [String; 21] = [
        campaign.name.clone(),
        campaign.cluster.clone(),
        printed::second(campaign.due.0),
        of_closing(|closing| printed::second(closing.at.0)).unwrap_or_default(),
        of_closing(|closing| closing.by.clone()).unwrap_or_default(),
        shown.id.clone(),
        format!("{:?}", item.kind),
        printed::object(item),
        printed::holder(item),
        printed::role(item),
        printed::place(item),
        printed::subjects(&shown.owners),
        format!("{:?}", shown.standing),
        shown.changed_at.as_ref().map(|at| printed::second(at.0)).unwrap_or_default(),
        shown.gone_at.as_ref().map(|at| printed::second(at.0)).unwrap_or_default(),
        of_made(|made| format!("{:?}", made.verdict)),
        of_made(|made| made.by.clone()),
        of_made(|made| printed::second(made.at.0)),
        of_made(|made| made.late.to_string()),
        of_made(|made| made.counts.to_string()),
        of_made(|made| made.reason.clone()),
    ];
    table::line(cells)
}
