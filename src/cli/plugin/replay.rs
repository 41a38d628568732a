//! `kubectl daypass replay`: a decision made anew by what is on record of it.
//!
//! Owns what is read for it, and the words. What is lacking, and whether the answer is the same, is for `core::evidence`.

use clap::builder::NonEmptyStringValueParser;

use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::history::lives::{self, WantedLife};
use super::output::console::Console;
use super::output::format::FormatArgs;
use super::output::text::{Text, TextSpan, Tone};
use super::report::reading::{link, texts_of};
use super::requests::Where;
use crate::core::evidence::chain::{ChainLink, EvidenceChain};
use crate::core::evidence::known::NamedTexts;
use crate::core::evidence::replay::{DecisionReplay, ReplayLack, ReplayVerdict, replay};

/// The command line of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// UID or name of the request. Of several that had one name each is told.
    #[arg(value_name = "REQUEST", value_parser = NonEmptyStringValueParser::new())]
    request: String,
    /// Namespace that the request is in, or that its access is for. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces, and in all clusters that record to the same archive.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Decides anew, and says whether the answer is the same.
///
/// # Errors
/// When the records or the texts that they name cannot be read.
pub async fn run(args: ReplayArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    let lives = lives::named(&cluster, &place, &WantedLife::of(&args.request), console).await?;
    let links: Vec<ChainLink> = lives.iter().flat_map(|life| &life.items).map(link).collect();
    if links.is_empty() {
        return Err(PluginError::NoRecords { request: args.request, place: place.words() });
    }
    let texts = texts_of(&cluster, &links, true).await?;
    let chains = EvidenceChain::of(links);
    let known = NamedTexts::new(texts, &chains);
    let replays: Vec<DecisionReplay> = chains.iter().map(|chain| replay(chain, &known)).collect();
    match args.format.format().list(&replays)? {
        Some(document) => console.print(&document),
        None => {
            let mut text = Text::default();
            for replay in &replays {
                text.gap();
                text.extend(page(replay));
            }
            console.show(&text);
        }
    }
    let is_different = replays.iter().any(|replay| replay.verdict == ReplayVerdict::Different);
    Ok(if is_different { Exit::Error } else { Exit::Done })
}

fn page(replay: &DecisionReplay) -> Text {
    let mut text = Text::default();
    let (verdict, tone) = match replay.verdict {
        ReplayVerdict::Same => ("by what is recorded the answer is the same", Tone::Good),
        ReplayVerdict::Different => ("THE ANSWER IS ANOTHER ONE", Tone::Bad),
        ReplayVerdict::Unknown => ("what is recorded does not tell whether the answer is the same", Tone::Waiting),
    };
    let request = TextSpan::new(replay.request.as_str(), Tone::Strong);
    text.spans(vec!["request ".into(), request, ": ".into(), TextSpan::new(verdict, tone)]);
    match (&replay.recorded, replay.record) {
        (Some(kind), Some(index)) => text.line(format!("recorded:  {kind}, in record {index}")),
        _ => text.line("recorded:  no decision"),
    }
    if let Some(anew) = &replay.anew {
        text.line(format!("anew:      {}", anew.summary));
    }
    if !replay.lacks.is_empty() {
        text.line("Not recorded, of what the decision was made by:");
        for lack in &replay.lacks {
            text.line(format!("  - {}", lacking(*lack)));
        }
    }
    text
}

fn lacking(lack: ReplayLack) -> &'static str {
    match lack {
        ReplayLack::Policy => "the policy that decided, or its text",
        ReplayLack::Role => "the rules of the role as they were",
        ReplayLack::Question => "the first record, with what was asked for",
        ReplayLack::Extended => "the grant that was to be extended",
        ReplayLack::NamespaceLabels => "labels of namespaces, by which the policy or the request chooses them",
        ReplayLack::Counts => "how much access there was already under the policy's limits",
        ReplayLack::Expressions => {
            "what the policy's expressions may read beside the request, such as labels or how somebody signed in"
        }
        ReplayLack::ApproverGroups => "the groups of those who approved, of which only a digest is recorded",
        ReplayLack::OtherPolicies => "the other policies that were in force: one of them may have decided otherwise",
        ReplayLack::Settings => "how Daypass was set up: what is protected and served, and what it may bind",
    }
}
