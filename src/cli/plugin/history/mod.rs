//! `kubectl daypass history`: what happened to requests, also to those that are long gone.
//!
//! [`archived`] asks the archive with the caller's own login, [`still_there`] makes the same records of the requests that can
//! still be read, [`pages`] brings both into one order, [`lives`] finds all records of one request, and [`printed`] writes
//! them. What the caller may read is for the API server to say: nothing of the archive is shown that it did not hand over.

pub mod archived;
pub mod item;
pub mod lives;
pub mod pages;
pub mod printed;
pub mod still_there;
pub mod time;

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::Timestamp;

use self::item::HistoryItem;
use self::lives::WantedLife;
use self::pages::HistoryPages;
use self::time::TimeGiven;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::output::format::FormatArgs;
use super::output::text::Text;
use super::requests::Where;
use crate::archive::server::export::{csv_heads, csv_line};
use crate::archive::store::search::Search;
use crate::runtime::clock::Clock;

/// How many records are shown where nobody says.
const PLAIN_LIMIT: usize = 200;

/// The command line of `history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Name or UID of a request, which is followed from its first record to its last. Left out: records of all requests, the
    /// newest first.
    #[arg(value_name = "REQUEST", value_parser = NonEmptyStringValueParser::new())]
    request: Option<String>,
    /// Namespace that the requests are in, or that their access is for. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces, and in all clusters that record to the same archive.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    narrow: HistoryFilter,
    /// At most so many records, the newest; 0: all. Left out: 200, and of an export all.
    #[arg(long, value_name = "NUMBER", conflicts_with = "request")]
    limit: Option<usize>,
    /// Write all that is found for other programs, in this form.
    #[arg(long, value_name = "FORM", conflicts_with_all = ["output", "no_headers"])]
    export: Option<HistoryExport>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Which records.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HistoryFilter {
    /// Only what is about this user: who gets access, or who did something.
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    person: Option<String>,
    /// Not earlier than this: 90m, 12h, 7d or 2w ago, or a time such as 2026-11-29 or 2026-11-29T16:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "request")]
    since: Option<TimeGiven>,
    /// Earlier than this, written the same way.
    #[arg(long, value_name = "TIME", conflicts_with = "request")]
    until: Option<TimeGiven>,
    /// Only what is about this role: its name, or its kind, a slash and its name.
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    role: Option<String>,
    /// Only what this policy decided, or decides.
    #[arg(long, value_name = "NAME", conflicts_with = "request")]
    policy: Option<String>,
    /// Only records that have all of these words, in what people wrote, in messages or in the name of the request.
    #[arg(long, value_name = "TEXT", conflicts_with = "request")]
    text: Option<String>,
}

/// A form to export in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HistoryExport {
    /// A head, and a line for each record.
    Csv,
    /// Each record as it was recorded, on a line.
    Jsonl,
}

impl HistoryFilter {
    fn search(&self, now: Timestamp) -> Search {
        let instant = |given: Option<TimeGiven>| given.map(|given| given.instant(now).as_microsecond());
        Search {
            person: self.person.clone(),
            since: instant(self.since),
            until: instant(self.until),
            role: self.role.clone(),
            policy: self.policy.clone(),
            text: self.text.clone(),
            ..Search::default()
        }
    }
}

impl HistoryArgs {
    /// Whether programs read the result.
    fn is_for_programs(&self) -> bool {
        self.export.is_some() || !self.format.is_for_people()
    }
}

/// Tells what happened.
///
/// # Errors
/// When neither the archive nor the requests can be read.
pub async fn run(args: HistoryArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    match &args.request {
        Some(named) => one(&args, named, &cluster, &place, console).await,
        None => many(&args, &cluster, &place, console).await,
    }
}

/// The records of one request, or of all that had its name.
async fn one(
    args: &HistoryArgs,
    named: &str,
    cluster: &Cluster,
    place: &Where,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    let lives = lives::named(cluster, place, &WantedLife::of(named), console).await?;
    if lives.is_empty() {
        return Err(PluginError::NoRecords { request: named.to_owned(), place: place.words() });
    }
    let items: Vec<&HistoryItem> = lives.iter().flat_map(|life| &life.items).collect();
    if let Some(form) = args.export {
        console.print(&exported(form, &items, true));
        return Ok(Exit::Done);
    }
    match args.format.format().list(&items)? {
        Some(document) => console.print(&document),
        None => {
            let mut text = Text::default();
            for life in &lives {
                text.gap();
                text.extend(printed::life(life, &args.format));
            }
            console.show(&text);
        }
    }
    Ok(Exit::Done)
}

/// Records of all requests that the filters let through.
async fn many(
    args: &HistoryArgs,
    cluster: &Cluster,
    place: &Where,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    let search = args.narrow.search(Clock::wall().now());
    let limit = match (args.limit, args.export) {
        (Some(0), _) | (None, Some(_)) => usize::MAX,
        (Some(limit), _) => limit,
        (None, None) => PLAIN_LIMIT,
    };
    let mut pages = HistoryPages::open(cluster, place, search, limit, args.is_for_programs(), console).await?;
    let (mut all, mut is_first) = (Vec::new(), true);
    while let Some(page) = pages.next().await? {
        match args.export {
            Some(form) => console.print(&exported(form, &page.iter().collect::<Vec<_>>(), is_first)),
            None => all.extend(page),
        }
        is_first = false;
    }
    if let (None, Some(document)) = (args.export, args.format.format().list(&all)?) {
        console.print(&document);
    } else if args.export.is_none() && all.is_empty() {
        console.say(nothing(place, pages.has_archive()));
    } else if args.export.is_none() {
        console.show(&printed::table(&all, &args.format));
    }
    if pages.has_more() {
        console.note(&format!(
            "these are the newest {limit}, and there are older ones: give --until, or --limit with a greater number or 0"
        ));
    }
    Ok(Exit::Done)
}

/// That there is none, and why there may be none.
fn nothing(place: &Where, has_archive: bool) -> String {
    let elsewhere = if *place == Where::Everywhere { "" } else { ": -A looks in all" };
    let bound = if has_archive { "" } else { " of requests that are still there" };
    format!("there is no such record{bound}{}{elsewhere}", place.words())
}

fn exported(form: HistoryExport, items: &[&HistoryItem], is_first: bool) -> String {
    let lines = items.iter().map(|item| match form {
        HistoryExport::Csv => csv_line(item.record_as_written()),
        HistoryExport::Jsonl => format!("{}\n", item.record_as_written()),
    });
    let heads = (is_first && form == HistoryExport::Csv).then(csv_heads);
    heads.into_iter().chain(lines).collect()
}
