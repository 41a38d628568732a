//! `kubectl daypass verify`: whether a log is whole and unchanged, or the proof of a request right, without trusting whoever
//! keeps them.
//!
//! [`source`] reads a log from an archive or a folder, [`keep`] writes such a folder, [`keys`] are whose word counts,
//! [`reading`] walks, and [`printed`] has the words. What is proven and what not is for `core::proof`. It must not believe
//! anything of what it reads but by a key that was given.

pub mod keep;
pub mod keys;
pub mod printed;
pub mod reading;
pub mod source;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::ValueHint;

use self::keep::KeptFolder;
use self::keys::{KeyArgs, arithmetic};
use self::reading::LogReading;
use self::source::{ArchiveAddress, LogSource};
use super::cluster::{Cluster, Connection};
use super::error::{InvalidInput, PluginError};
use super::exit::Exit;
use super::output::console::Console;
use super::output::format::FormatArgs;
use crate::core::model::duration;
use crate::core::proof::checkpoint::{Checkpoint, TrustedKeys};
use crate::core::proof::proof_file::ProofFile;
use crate::runtime::clock::Clock;

/// The command line of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A folder that --keep wrote, or the file of `kubectl daypass proof`; then nothing is called. Left out: the archive's log.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, conflicts_with = "archive")]
    path: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// File with a checkpoint that was kept elsewhere: by a witness, in an anchor, or by you. The log must be of the same
    /// history. Repeat for more.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    against: Vec<PathBuf>,
    /// Write all that is read into this new folder, to verify it again without the archive. It has what records say of
    /// persons.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    keep: Option<PathBuf>,
    /// A longer time without a heartbeat of the log is a finding.
    #[arg(long, value_name = "DURATION", default_value = "2h")]
    max_silence: String,
    #[command(flatten)]
    address: ArchiveAddress,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Verifies it, and says what that proves and what not.
///
/// # Errors
/// When it cannot be read, or is not signed by the key that was given.
pub async fn run(args: VerifyArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let keys = args.keys.trusted()?;
    match &args.path {
        Some(file) if !file.is_dir() => one(&args, &keys, file, console),
        _ => all(&args, &keys, console).await,
    }
}

async fn all(args: &VerifyArgs, keys: &TrustedKeys, console: &mut Console) -> Result<Exit, PluginError> {
    let most_silence = most_silence(&args.max_silence)?;
    let against = args.against.iter().map(|file| held_elsewhere(keys, file)).collect::<Result<_, _>>()?;
    let (source, now) = match &args.path {
        Some(folder) => (LogSource::Folder(folder.clone()), None),
        None => (served(&args.address, &args.connection).await?, Some(Clock::wall().now())),
    };
    let keep = args.keep.as_deref().map(KeptFolder::new).transpose()?;
    let reading = LogReading { source: &source, keys, against, most_silence, now };
    let verdict = reading.walk(keep, console).await?;
    match args.format.format().object(&printed::log_object(&verdict))? {
        Some(document) => console.print(&document),
        None => console.show(&printed::log_text(&verdict)),
    }
    Ok(if verdict.is_sound() { Exit::Done } else { Exit::Error })
}

/// The proof of one request.
fn one(args: &VerifyArgs, keys: &TrustedKeys, file: &Path, console: &mut Console) -> Result<Exit, PluginError> {
    if args.keep.is_some() || !args.against.is_empty() {
        let problem = format!("{} is a file, and this is for whole logs: leave it out", file.display());
        return Err(PluginError::Flag { flag: if args.keep.is_some() { "--keep" } else { "--against" }, problem });
    }
    let text = std::fs::read_to_string(file).map_err(|error| InvalidInput::one(&file.display().to_string(), error))?;
    let proof = ProofFile::read(&text).and_then(|proof| proof.verify(keys, &arithmetic));
    let proof = proof.map_err(|fault| PluginError::BadProof { file: file.display().to_string(), fault })?;
    match args.format.format().object(&printed::proof_object(&proof))? {
        Some(document) => console.print(&document),
        None => console.show(&printed::proof_text(&proof)),
    }
    Ok(Exit::Done)
}

/// The log of an archive, at its own address or by the API server.
///
/// # Errors
/// When there is no login, or a file of the address cannot be used.
pub async fn served(address: &ArchiveAddress, connection: &Connection) -> Result<LogSource, PluginError> {
    match address.served()? {
        Some(source) => Ok(source),
        None => Ok(LogSource::Served(Box::new(Cluster::connect(connection).await?))),
    }
}

fn held_elsewhere(keys: &TrustedKeys, file: &Path) -> Result<Checkpoint, PluginError> {
    let name = file.display().to_string();
    let note = std::fs::read_to_string(file).map_err(|error| InvalidInput::one(&name, error))?;
    let opened = keys.open(&note, &arithmetic).map_err(|fault| InvalidInput::one(&name, fault))?;
    Ok(opened.checkpoint)
}

fn most_silence(text: &str) -> Result<u64, PluginError> {
    let read = duration::parse(text).map_err(|error| error.to_string());
    let seconds = read.and_then(|length| u64::try_from(length.as_secs()).map_err(|_| "it is negative".to_owned()));
    seconds.map_err(|why| PluginError::Flag { flag: "--max-silence", problem: format!("{why}: write it as 2h") })
}
