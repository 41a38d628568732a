//! `daypass-archive backup`: a copy of the SQLite database, for an image that has no other program.
//!
//! Owns where the copy goes. What is in it is for [`crate::archive::store::sqlite`].

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::super::CliError;
use crate::archive::store::sqlite;

/// Its flags.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// File of the SQLite database.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// New file to write to. Left out: standard output, by way of a file beside the database, which needs as much space.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl BackupArgs {
    /// Writes the copy.
    ///
    /// # Errors
    /// When the database cannot be read or the copy cannot be written.
    pub fn run(self) -> Result<(), CliError> {
        let copy = |into: &std::path::Path| {
            sqlite::copy(&self.database, into).map_err(|error| CliError::Flags(format!("--database: {error}")))
        };
        if let Some(out) = &self.out {
            return copy(out);
        }
        let mut beside = self.database.clone().into_os_string();
        beside.push(format!(".backup-{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = copy(&beside).and_then(|()| {
            let sent = File::open(&beside).and_then(|mut file| io::copy(&mut file, &mut io::stdout().lock()));
            sent.map(drop).map_err(|error| CliError::Io("cannot write the copy".to_owned(), error))
        });
        let _ = std::fs::remove_file(&beside);
        written
    }
}
