//! `kubectl daypass report findings`: what stands out in who may do what, and what to do about it.
//!
//! [`mod@read`] reads with the caller's own rights, the core finds, [`row`] is how a finding is told, in the forms
//! of [`form`], and [`proposal`] is a policy as YAML. [`archive`] reads what an archive alone knows. What was not looked for is said, and what is noted as known is told too.

mod archive;
mod form;
mod proposal;
mod read;
mod row;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::form::{FindingsForm, ReportOrigin, document, events, not_looked_for};
use self::read::InsightReading;
use self::row::{FindingRow, cells};
use crate::api::risk::RiskLevel;
use crate::api::word::Vocabulary;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::still_there::home;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::Format;
use crate::cli::plugin::output::table::Table;
use crate::cli::plugin::output::text::Text;
use crate::cli::plugin::policy::init;
use crate::cli::plugin::requests::Where;
use crate::core::decision::protected::USUAL_RELEASE;
use crate::core::insight::finding::{InsightFinding, InsightKind};
use crate::core::insight::{InsightReport, UnreadKinds, findings};
use crate::runtime::clock::Clock;

/// The command line of `report findings`.
#[derive(Debug, clap::Args)]
pub struct FindingsArgs {
    /// Namespace to look at: its bindings and requests. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The whole cluster, and what holds in all of it. Policies are looked at only so.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only these kinds, separated by commas, such as ClusterAdminBound,StandingReplaceable.
    #[arg(long = "kind", value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
    kinds: Vec<InsightKind>,
    /// Only findings that are at least so bad: low, medium, high or critical.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    severity: Option<RiskLevel>,
    /// Only those about people and groups, or only those about service accounts.
    #[arg(long, value_name = "WHOSE")]
    whose: Option<WhoseFindings>,
    /// How far back requests are looked at: 30d or 12w ago, or a time such as 2026-11-29.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: TimeGiven,
    /// End with exit code 1 when there is a finding at least so bad that is not noted as known: for CI. It looks at the findings
    /// that are told.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    fail_on: Option<RiskLevel>,
    /// Write each proposed policy to DIR/policies and its test to DIR/tests.
    #[arg(long, value_name = "DIR")]
    propose: Option<PathBuf>,
    /// Namespace that the cluster's Daypass is installed in.
    #[arg(long, value_name = "NAME", default_value = USUAL_RELEASE)]
    release_namespace: String,
    /// One of json, yaml, wide, jsonpath={TEMPLATE}; csv, a line for each; html, one page that loads nothing; or ocsf, an event
    /// of OCSF 1.8 on each line. Left out: for people.
    #[arg(
        short,
        long = "output",
        id = "findings_output",
        value_name = "FORMAT",
        value_parser = clap::value_parser!(FindingsForm),
        help_heading = "Output"
    )]
    output: Option<FindingsForm>,
    /// No line of heads above a table.
    #[arg(long, help_heading = "Output")]
    no_headers: bool,
    #[command(flatten)]
    connection: Connection,
}

/// WhoseFindings rights findings are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WhoseFindings {
    /// People, groups and callers who are not logged in; and what is about nobody's rights.
    People,
    /// Service accounts.
    Accounts,
}

/// The report, for programs.
#[derive(Debug, Serialize)]
struct FindingsDocument {
    since: String,
    /// By severity, those that are noted as known left out.
    counts: BTreeMap<&'static str, usize>,
    findings: Vec<FindingRow>,
    /// What was not looked for, or not everywhere.
    unread: Vec<UnreadRow>,
}

#[derive(Debug, Serialize)]
struct UnreadRow {
    what: String,
    why: String,
    kinds: Vec<&'static str>,
}

fn kind(text: &str) -> Result<InsightKind, String> {
    let all = || InsightKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let found = InsightKind::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| format!("is none of {}", all()))
}

fn level(text: &str) -> Result<RiskLevel, String> {
    let known = RiskLevel::ALL.iter().filter(|level| **level != RiskLevel::Unknown);
    let found = known.copied().find(|level| level.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "give low, medium, high or critical".to_owned())
}

/// Tells what stands out.
///
/// # Errors
/// When neither requests nor bindings can be read, or a proposal cannot be written.
pub async fn run(args: FindingsArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    let now = Clock::wall().now();
    let since = args.since.instant(now);
    let release = &args.release_namespace;
    let reading = InsightReading { cluster: &cluster, place: &place, release, window: now.duration_since(since), now };
    let report = args.told(findings(&reading.read(console).await?));
    let origin = ReportOrigin { cluster: home(&cluster).await, now, since };
    args.print(&report, &place, &origin, console)?;
    if let Some(dir) = &args.propose {
        propose(dir, &report.found, release, console)?;
    }
    let fails = |found: &InsightFinding| args.fail_on.is_some_and(|worst| found.severity >= worst);
    let fails = report.found.iter().any(|found| fails(found) && !found.is_accepted());
    Ok(if fails { Exit::Error } else { Exit::Done })
}

/// Writes the proposed policies and their tests. One that is proposed for several findings is written once.
fn propose(dir: &Path, found: &[InsightFinding], release: &str, console: &mut Console) -> Result<(), PluginError> {
    let proposals: BTreeMap<&str, _> =
        found.iter().filter_map(InsightFinding::proposal).map(|one| (one.name.as_str(), one)).collect();
    for (name, one) in &proposals {
        let files = [("policies", proposal::policy(one)), ("tests", proposal::test(one, release))];
        for (folder, text) in files {
            init::write(&dir.join(folder).join(format!("{name}.yaml")), &text, true)?;
        }
    }
    console.say(format!("wrote {} policies and their tests to {}", proposals.len(), dir.display()));
    console.next(&format!("kubectl daypass policy test {}", dir.display()));
    Ok(())
}

impl FindingsArgs {
    /// Those that are asked for.
    fn told(&self, report: InsightReport) -> InsightReport {
        let is_of_kind = |kind: &InsightKind| self.kinds.is_empty() || self.kinds.contains(kind);
        let is_bad = |found: &InsightFinding| self.severity.is_none_or(|least| found.severity >= least);
        let is_theirs = |found: &InsightFinding| {
            let robots = found.holder.is_some_and(|holder| holder.is_of_accounts());
            self.whose.is_none_or(|whose| (whose == WhoseFindings::Accounts) == robots)
        };
        let found = report.found.into_iter().filter(|f| is_of_kind(&f.kind) && is_bad(f) && is_theirs(f)).collect();
        let unread = report
            .unread
            .into_iter()
            .map(|unread| UnreadKinds { kinds: unread.kinds.iter().copied().filter(is_of_kind).collect(), ..unread });
        InsightReport { found, unread: unread.filter(|unread| !unread.kinds.is_empty()).collect() }
    }

    fn document(&self, report: &InsightReport, since: &str) -> FindingsDocument {
        let unread = |unread: &UnreadKinds| UnreadRow {
            what: unread.part.what.clone(),
            why: unread.part.why.clone(),
            kinds: unread.kinds.iter().map(|kind| kind.as_str()).collect(),
        };
        FindingsDocument {
            since: since.to_owned(),
            counts: counts(report),
            findings: report.found.iter().map(|found| FindingRow::of(found, &self.release_namespace)).collect(),
            unread: report.unread.iter().map(unread).collect(),
        }
    }

    /// Prints it in the form that is asked for.
    fn print(
        &self,
        report: &InsightReport,
        place: &Where,
        origin: &ReportOrigin,
        console: &mut Console,
    ) -> Result<(), PluginError> {
        match self.output.clone().unwrap_or_default() {
            FindingsForm::Ocsf => console.print(&events(report, origin)),
            FindingsForm::Reported(form) => document(report, place, origin).print(form, console),
            FindingsForm::Listed(format) => match format.object(&self.document(report, &origin.since.to_string()))? {
                Some(document) => console.print(&document),
                None => self.show(report, place, format == Format::Wide, console),
            },
        }
        Ok(())
    }

    fn show(&self, report: &InsightReport, place: &Where, is_wide: bool, console: &mut Console) {
        for unread in &report.unread {
            console.note(&not_looked_for(unread));
        }
        if report.found.is_empty() {
            console.say(format!("nothing stands out{}, as far as was looked", place.words()));
            return;
        }
        let more: &[&str] = if is_wide { &["WAY OUT"] } else { &[] };
        let heads = [&["SEVERITY", "KIND", "WHO", "ABOUT", "WHY"], more].concat();
        let mut table = Table::new(&heads).without_heads(self.no_headers);
        report.found.iter().for_each(|found| table.row(cells(found, is_wide)));
        console.show(&table.text());
        let sum: Vec<String> = counts(report).iter().map(|(level, count)| format!("{count} {level}")).collect();
        let known = report.found.iter().filter(|found| found.is_accepted()).count();
        console.remark(&Text::of(format!("{} findings not noted as known, {known} noted as known", sum.join(", "))));
    }
}

/// How many there are by severity that are not noted as known.
fn counts(report: &InsightReport) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for found in report.found.iter().filter(|found| !found.is_accepted()) {
        *counts.entry(found.severity.as_str()).or_default() += 1;
    }
    counts
}
