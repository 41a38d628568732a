//! `kubectl daypass report pack`: what an auditor asks for, as files that can be checked without trusting whoever made them.
//!
//! [`read`] reads the archive and the cluster with the caller's rights, [`from_files`] reads exported records instead, and
//! [`written`] writes a folder or one packed file. What is in the pack is for `core::evidence`.

pub mod from_files;
pub mod read;
#[cfg(test)]
mod tests;
pub mod written;

use std::path::{Path, PathBuf};

use clap::ValueHint;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use self::written::PackPlace;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::history::time::TimeGiven;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::Where;
use crate::core::evidence::controls::ControlTable;
use crate::core::evidence::pack::{EvidencePack, PackInput, PackOrigin};
use crate::core::model::duration;
use crate::runtime::clock::Clock;

/// The command line of `report pack`.
#[derive(Debug, clap::Args)]
pub struct PackArgs {
    /// The first instant of the time: 90d or 13w ago, or a time such as 2026-07-01 or 2026-07-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: TimeGiven,
    /// The first instant behind it, written the same way. Left out: now.
    #[arg(long, value_name = "TIME")]
    to: Option<TimeGiven>,
    /// Only requests that are in this namespace, or that are about it. Left out: all, and of all clusters that record to the
    /// same archive.
    #[arg(short, long, value_name = "NAME", conflicts_with = "archive_file")]
    namespace: Option<String>,
    /// The folder to make, or the file to write: FILE.tar.gz. Neither may be there yet.
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    file: PathBuf,
    /// Read records and texts from this file, as JSON lines, and no cluster: the archive's own export, or the records.jsonl and
    /// texts.jsonl of another pack. Repeat for more.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    archive_file: Vec<PathBuf>,
    /// A folder with more tables of controls, as YAML.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    controls: Option<PathBuf>,
    /// An end that is recorded later than this after the stated one is late.
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    late_after: String,
    /// What the pack is for, such as the audit and its number. It stands in the manifest, and the archive notes it with the
    /// read.
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Makes the pack.
///
/// # Errors
/// When records cannot be read, or the pack cannot be written.
pub async fn run(args: PackArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let place = PackPlace::free(&args.file)?;
    let origin = origin(&args)?;
    let mut controls =
        ControlTable::built_in().map_err(|error| InvalidInput::one("tables of controls", error.to_string()))?;
    if let Some(folder) = &args.controls {
        controls.extend(more_controls(folder)?);
    }
    let input = if args.archive_file.is_empty() {
        let cluster = Cluster::connect(&args.connection).await?;
        let place = args.namespace.clone().map_or(Where::Everywhere, Where::Namespace);
        read::input(&cluster, &place, origin, controls, console).await?
    } else {
        from_files::input(&args.archive_file, origin, controls)?
    };
    let pack = EvidencePack::of(input);
    place.write(&pack)?;
    say(&pack, &args.file, console);
    Ok(Exit::Done)
}

fn origin(args: &PackArgs) -> Result<PackOrigin, PluginError> {
    let clock = Clock::wall().now();
    let (from, to) = (args.from.instant(clock), args.to.map_or(clock, |to| to.instant(clock)));
    if to <= from {
        let problem = format!("{to} is not behind --from, {from}: give a later time");
        return Err(PluginError::Flag { flag: "--to", problem });
    }
    Ok(PackOrigin {
        from: in_micros(from),
        to: in_micros(to),
        clock: in_micros(clock),
        by: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: "",
        queries: Vec::new(),
        purpose: args.purpose.clone(),
        late_after: late_after(&args.late_after)?.as_secs(),
        held: [None, None],
    })
}

/// What records are as fine as.
fn in_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn late_after(text: &str) -> Result<SignedDuration, PluginError> {
    duration::parse(text)
        .map_err(|error| PluginError::Flag { flag: "--late-after", problem: format!("{error}: write it as 60s or 5m") })
}

/// Every file of a folder that is YAML by its name, in the order of the names.
fn more_controls(folder: &Path) -> Result<Vec<ControlTable>, PluginError> {
    let unread = |path: &Path, error: std::io::Error| InvalidInput::one(&path.display().to_string(), error);
    let listed = std::fs::read_dir(folder).map_err(|error| unread(folder, error))?;
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    paths.sort();
    if paths.is_empty() {
        return Err(PluginError::NothingFound("file of YAML in the folder of --controls"));
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|error| unread(path, error))?;
        let table = ControlTable::read(&path.display().to_string(), &text);
        table.map_err(|error| InvalidInput(vec![error.to_string()]))
    };
    Ok(paths.iter().map(read).collect::<Result<_, _>>()?)
}

fn say(pack: &EvidencePack, file: &Path, console: &mut Console) {
    let counts = &pack.manifest["counts"];
    console.say(format!(
        "{} has {} requests with {} records; README.txt in it says how to verify it",
        file.display(),
        counts["requests"],
        counts["records"]
    ));
    for missing in pack.manifest["notRead"].as_array().into_iter().flatten() {
        let text = |name: &str| missing[name].as_str().unwrap_or_default().to_owned();
        console.note(&format!("{} is left out: {}", text("what"), text("why")));
    }
    if pack.manifest["source"].as_str() == Some(read::OF_REQUESTS) {
        console.note("the archive was not read, so requests that are gone from the cluster are not in the pack");
    }
}

/// A pack without records, which the ways to read them fill.
fn blank(origin: PackOrigin, controls: Vec<ControlTable>) -> PackInput {
    let not_read = || "no cluster was read".to_owned();
    PackInput {
        origin,
        links: Vec::new(),
        texts: Default::default(),
        bindings: Err(not_read()),
        uses: Err(not_read()),
        activity: Err(not_read()),
        controls,
    }
}
