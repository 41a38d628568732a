//! What the reports on access are made of, read from the archive, or from the requests that are still there, with the
//! caller's own rights.
//!
//! Owns that a request is read as a whole, also where it began before the time that is asked about.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::archive::store::search::Search;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::history::archived;
use crate::cli::plugin::history::item::HistoryItem;
use crate::cli::plugin::history::lives::{self, WantedLife};
use crate::cli::plugin::history::pages::HistoryPages;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::document::{ReportFormArgs, ReportPart};
use crate::cli::plugin::requests::Where;
use crate::cli::plugin::seen::PoliciesRead;
use crate::core::evidence::chain::{ChainLink, EvidenceChain};
use crate::core::evidence::grants::{EndBound, grants};
use crate::core::evidence::known::NamedTexts;
use crate::core::evidence::pack::chains_of;
use crate::core::evidence::summary::WordCount;
use crate::core::evidence::table::EvidenceTable;
use crate::core::record::texts;
use crate::runtime::clock::Clock;

/// How many questions are asked at a time.
const AT_A_TIME: usize = 8;
/// An end that is recorded later than this many seconds is late, where nobody says otherwise.
const LATE_AFTER: i64 = 60;

/// Of which requests, and of which time.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportScopeArgs {
    /// Namespace that the requests are in, or that their access is for. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Requests of all namespaces, and of all clusters that record to the same archive.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only requests to which anything happened since: 90m, 12h, 7d or 2w ago, or a time such as 2026-11-29 or
    /// 2026-11-29T16:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: TimeGiven,
}

/// The command line of a report on the requests of a time.
#[derive(Debug, clap::Args)]
pub struct ScopedReportArgs {
    #[command(flatten)]
    pub scope: ReportScopeArgs,
    #[command(flatten)]
    pub form: ReportFormArgs,
    #[command(flatten)]
    pub connection: Connection,
}

/// Requests of a time, as reports count them.
pub struct ScopeRead {
    pub place: Where,
    pub since: Timestamp,
    pub now: Timestamp,
    pub chains: Vec<EvidenceChain>,
    pub grants: EvidenceTable,
    pub has_archive: bool,
}

impl ReportScopeArgs {
    /// Reads them.
    ///
    /// # Errors
    /// When neither the archive nor the requests can be read.
    pub async fn read(&self, cluster: &Cluster, console: &mut Console) -> Result<ScopeRead, PluginError> {
        let place = Where::of(cluster, self.all_namespaces, &self.namespace);
        let now = Clock::wall().now();
        let since = self.since.instant(now);
        let search = Search { since: Some(since.as_microsecond()), ..Search::default() };
        let (links, has_archive) = links(cluster, &place, &search, console).await?;
        let chains = chains_of(links, since, Timestamp::MAX);
        // Nothing of what is counted here hangs on a text.
        let known = NamedTexts::new(BTreeMap::new(), &chains);
        let grants = grants(&chains, &known, EndBound { clock: now, late_after: LATE_AFTER });
        Ok(ScopeRead { place, since, now, chains, grants, has_archive })
    }
}

impl ScopeRead {
    /// What a report says of where it is from.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let source = if self.has_archive { "the archive" } else { "requests that are still there" };
        vec![
            ("Requests", format!("{}{}", self.chains.len(), self.place.words())),
            ("Since", self.since.to_string()),
            ("Until", self.now.to_string()),
            ("From", source.to_owned()),
        ]
    }
}

/// A table of counts with bars.
pub fn counted(title: &str, of: &'static str, counts: Vec<WordCount>) -> ReportPart {
    let rows = counts.into_iter().map(|(word, count)| vec![word, count.to_string()]).collect();
    ReportPart { title: title.to_owned(), heads: vec![of, "count"], rows, drawn: Some(1) }
}

/// Some columns of a table, each row.
pub fn listed(title: &str, table: &EvidenceTable, columns: &[&'static str]) -> ReportPart {
    let row = |row: &Vec<String>| columns.iter().map(|column| table.cell(row, column).to_owned()).collect();
    let rows = table.rows.iter().map(row).collect();
    ReportPart { title: title.to_owned(), heads: columns.to_vec(), rows, drawn: None }
}

/// All records since then, and those before of requests that are older. Whether the archive is what tells.
///
/// # Errors
/// When neither can be read, or records carry no cluster.
pub async fn links(
    cluster: &Cluster,
    place: &Where,
    search: &Search,
    console: &mut Console,
) -> Result<(Vec<ChainLink>, bool), PluginError> {
    let mut pages = HistoryPages::open(cluster, place, search.clone(), usize::MAX, true, console).await?;
    if !pages.has_archive() {
        // What is still there is read as a whole: nobody else has what was before.
        let all = Search { since: None, ..search.clone() };
        pages = HistoryPages::open(cluster, place, all, usize::MAX, true, &mut Console::silent()).await?;
    }
    let mut links = Vec::new();
    while let Some(page) = pages.next().await? {
        links.extend(page.iter().map(link));
    }
    let uid = |link: &ChainLink| link.record.request.uid.clone();
    let from_the_first: BTreeSet<String> = links.iter().filter(|link| link.record.index == 0).map(uid).collect();
    let all: BTreeSet<String> = links.iter().map(uid).collect();
    for uid in all.difference(&from_the_first) {
        let whole = lives::archived(cluster, place, &WantedLife::Uid(uid.clone()), console).await?;
        links.extend(whole.iter().flat_map(|life| &life.items).map(link));
    }
    Ok((links, pages.has_archive()))
}

/// A record as chains are made of it.
pub fn link(item: &HistoryItem) -> ChainLink {
    ChainLink { record: item.record.clone(), line: item.record_as_written().to_string() }
}

/// The texts that the records name: those of the archive, or else of the policies as they are now.
///
/// # Errors
/// When they cannot be read.
pub async fn texts_of(
    cluster: &Cluster,
    links: &[ChainLink],
    has_archive: bool,
) -> Result<BTreeMap<String, String>, PluginError> {
    let named: BTreeSet<String> = links.iter().flat_map(|link| texts::named(&link.record)).map(str::to_owned).collect();
    if !has_archive {
        let policies = PoliciesRead::read(cluster).await?.set;
        let text = |digest: String| Some((digest.clone(), policies.text(&digest)?.to_string()));
        return Ok(named.into_iter().filter_map(text).collect());
    }
    let asked = stream::iter(named).map(async |digest| {
        let text = archived::text(cluster, &digest).await?;
        Ok::<_, PluginError>(text.map(|text| (digest, text)))
    });
    let found: Vec<_> = asked.buffer_unordered(AT_A_TIME).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

/// What the archive says of the use of each request, by cluster and UID, in their order.
///
/// # Errors
/// When it does not say.
pub async fn activity(
    cluster: &Cluster,
    place: &Where,
    requests: Vec<(String, String)>,
) -> Result<Vec<Value>, PluginError> {
    let asked = stream::iter(requests).map(async |(of, uid)| archived::activity(cluster, place, &of, &uid).await);
    let answers: Vec<_> = asked.buffered(AT_A_TIME).collect().await;
    let answers: Vec<Vec<Value>> = answers.into_iter().collect::<Result<_, _>>()?;
    Ok(answers.concat())
}
