//! How long approval stages wait, from the records of the archive or of the requests that are still there.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::archive::store::search::Search;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::pages::HistoryPages;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::TextSpan;
use crate::cli::plugin::requests::Where;
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::PoliciesRead;
use crate::core::report::stage_waits::{StageRun, WaitSummary, of_records, summaries};
use crate::runtime::clock::Clock;

/// The command line of `report decisions`.
#[derive(Debug, clap::Args)]
pub struct DecisionsArgs {
    /// Namespace that the requests are in, or that their access is for. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Requests of all namespaces, and of all clusters that record to the same archive.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only stages that opened since: 90m, 12h, 7d or 2w ago, or a time such as 2026-11-29 or 2026-11-29T16:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: TimeGiven,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Who may approve a stage now, by policy and stage.
type StageApprovers = BTreeMap<(String, String), Vec<String>>;

/// The report, for programs.
#[derive(Debug, Serialize)]
struct DecisionReport {
    since: String,
    /// By policy and stage.
    stages: Vec<StageLine>,
    /// By whom the policies name now.
    approvers: Vec<ApproverLine>,
}

#[derive(Debug, Serialize)]
struct StageLine {
    policy: String,
    stage: String,
    /// Empty when the policy is gone, or has no such stage any more, or may not be read.
    approvers: Vec<String>,
    #[serde(flatten)]
    figures: StageFigures,
}

#[derive(Debug, Serialize)]
struct ApproverLine {
    approver: String,
    #[serde(flatten)]
    figures: StageFigures,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StageFigures {
    answered: usize,
    denied: usize,
    lapsed: usize,
    withdrawn: usize,
    waiting: usize,
    escalated: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting_seconds: Option<i64>,
}

impl From<&WaitSummary> for StageFigures {
    fn from(summary: &WaitSummary) -> Self {
        let seconds = |length: Option<SignedDuration>| length.map(|length| length.as_secs());
        Self {
            answered: summary.answered,
            denied: summary.denied,
            lapsed: summary.lapsed,
            withdrawn: summary.withdrawn,
            waiting: summary.waiting,
            escalated: summary.escalated,
            median_seconds: seconds(summary.half),
            p90_seconds: seconds(summary.nine_of_ten),
            longest_seconds: seconds(summary.longest),
            oldest_waiting_seconds: seconds(summary.oldest_waiting),
        }
    }
}

/// Tells where requests wait.
///
/// # Errors
/// When neither the archive nor the requests can be read.
pub async fn run(args: DecisionsArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    let now = Clock::wall().now();
    let since = args.since.instant(now);
    let runs = runs(&cluster, &place, since, console).await?;
    let approvers = approvers(&cluster, console).await?;
    let report = DecisionReport::of(&runs, &approvers, since, now);
    match args.format.format().object(&report)? {
        Some(document) => console.print(&document),
        None if report.stages.is_empty() => {
            console.say(format!("no stage of a request waited for approvers{} since {since}", place.words()));
        }
        None => report.show(&args.format, console),
    }
    Ok(Exit::Done)
}

/// The stages that opened since then. A request of before may have a stage of since then, so its records are read too, as
/// far as they are of that time.
async fn runs(
    cluster: &Cluster,
    place: &Where,
    since: Timestamp,
    console: &mut Console,
) -> Result<Vec<StageRun>, PluginError> {
    let search = Search { since: Some(since.as_microsecond()), ..Search::default() };
    let mut pages = HistoryPages::open(cluster, place, search, usize::MAX, false, console).await?;
    let mut by_request = BTreeMap::new();
    while let Some(page) = pages.next().await? {
        for item in page {
            let record = item.record;
            let key = (record.cluster.clone(), record.request.uid.clone());
            by_request.entry(key).or_insert_with(BTreeMap::new).insert(record.index, record);
        }
    }
    Ok(by_request.values().flat_map(|records| of_records(records.values())).collect())
}

/// Who may approve what, as the policies say now. Who may not read them is told so, and gets the stages without.
async fn approvers(cluster: &Cluster, console: &mut Console) -> Result<StageApprovers, PluginError> {
    let policies = match PoliciesRead::read(cluster).await {
        Ok(policies) => policies,
        Err(error) if error.is_forbidden() => {
            console.note("you may not list accesspolicies, so nobody is named whom stages wait for");
            return Ok(StageApprovers::new());
        }
        Err(error) => return Err(error),
    };
    let readable = policies.set.all().filter_map(|(_, entry)| entry.readable());
    let stages = readable.flat_map(|policy| policy.stages.iter().map(move |stage| (policy, stage)));
    let named = stages.map(|(policy, stage)| {
        let approvers = stage.approvers.iter().map(ToString::to_string).collect();
        ((policy.reference.name.clone(), stage.name.clone()), approvers)
    });
    Ok(named.collect())
}

impl DecisionReport {
    fn of(runs: &[StageRun], approvers: &StageApprovers, since: Timestamp, now: Timestamp) -> Self {
        let stage_of = |run: &StageRun| (run.policy.clone(), run.stage.clone());
        let who = |stage: &(String, String)| approvers.get(stage).cloned().unwrap_or_default();
        let stages = summaries(runs, |run| vec![stage_of(run)], now);
        let people = summaries(runs, |run| who(&stage_of(run)), now);
        let stage_line = |(stage, summary): (&(String, String), &WaitSummary)| StageLine {
            policy: stage.0.clone(),
            stage: stage.1.clone(),
            approvers: who(stage),
            figures: summary.into(),
        };
        let line = |(approver, summary): (&String, &WaitSummary)| ApproverLine {
            approver: approver.clone(),
            figures: summary.into(),
        };
        Self {
            since: since.to_string(),
            stages: stages.iter().map(stage_line).collect(),
            approvers: people.iter().map(line).collect(),
        }
    }

    fn show(&self, format: &FormatArgs, console: &mut Console) {
        let of_stages: Vec<_> =
            self.stages.iter().map(|line| (vec![&line.policy, &line.stage], &line.figures)).collect();
        let mut text = table(format, &["POLICY", "STAGE"], &of_stages).text();
        if !self.approvers.is_empty() {
            let of_people: Vec<_> = self.approvers.iter().map(|line| (vec![&line.approver], &line.figures)).collect();
            text.gap();
            text.extend(table(format, &["WAITS FOR"], &of_people).text());
        }
        console.show(&text);
    }
}

fn table(format: &FormatArgs, first: &[&str], lines: &[(Vec<&String>, &StageFigures)]) -> Table {
    let figures = ["ANSWERED", "MEDIAN", "90%", "LONGEST", "WAITING", "LONGEST WAIT"];
    let heads: Vec<&str> = first.iter().chain(&figures).copied().collect();
    let mut table = format.table(&heads, &["DENIED", "ESCALATED", "LAPSED", "WITHDRAWN"]);
    let length =
        |seconds: Option<i64>| seconds.map(|s| words::coarse(SignedDuration::from_secs(s))).unwrap_or_default();
    for (names, figures) in lines {
        let mut row: Vec<TextSpan> = names.iter().map(|name| (*name).clone().into()).collect();
        row.extend([
            figures.answered.to_string().into(),
            length(figures.median_seconds).into(),
            length(figures.p90_seconds).into(),
            length(figures.longest_seconds).into(),
            figures.waiting.to_string().into(),
            length(figures.oldest_waiting_seconds).into(),
        ]);
        if format.is_wide() {
            let more = [figures.denied, figures.escalated, figures.lapsed, figures.withdrawn];
            row.extend(more.map(|count| TextSpan::from(count.to_string())));
        }
        table.row(row);
    }
    table
}
