//! A log as a folder: what was read of an archive, so that it can be verified once more without it.
//!
//! Owns that nothing is written over. The layout is that of the archive: `checkpoint`, `tile/...`, and as JSON
//! `checkpoints.json` and `openings/...`. It must not change what was read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::source::{FiledCheckpoint, KeptItems, KeptOpening, openings_file};
use crate::api::record::canonical;
use crate::cli::plugin::error::PluginError;

/// A folder that a log is written to.
pub struct KeptFolder {
    path: PathBuf,
    checkpoints: BufWriter<File>,
    is_first: bool,
}

impl KeptFolder {
    /// A new folder, or one that is empty.
    ///
    /// # Errors
    /// When something is in it, or it cannot be made.
    pub fn new(path: &Path) -> Result<Self, PluginError> {
        let is_free = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => !path.exists(),
        };
        if !is_free {
            let problem = format!("{} is there already: name a new folder", path.display());
            return Err(PluginError::Flag { flag: "--keep", problem });
        }
        let file = path.join("checkpoints.json");
        let open = || {
            std::fs::create_dir_all(path)?;
            let mut checkpoints = BufWriter::new(File::create_new(&file)?);
            checkpoints.write_all(b"{\"items\":[")?;
            Ok(Self { path: path.to_owned(), checkpoints, is_first: true })
        };
        open().map_err(|error| unwritten(path, &error))
    }

    /// A file as it was read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<(), PluginError> {
        let file = self.path.join(name);
        let write = || {
            std::fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
            std::fs::write(&file, bytes)
        };
        write().map_err(|error| unwritten(&file, &error))
    }

    /// What is kept beside the leaves of a bundle.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn openings(&self, bundle: u64, items: &[KeptOpening]) -> Result<(), PluginError> {
        self.file(&openings_file(bundle), line(&KeptItems { items: items.to_vec() }).as_bytes())
    }

    /// Earlier checkpoints, in their order.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn checkpoints(&mut self, items: &[FiledCheckpoint]) -> Result<(), PluginError> {
        for item in items {
            let comma = if std::mem::replace(&mut self.is_first, false) { "" } else { "," };
            let written = write!(self.checkpoints, "{comma}{}", canonical(item));
            written.map_err(|error| unwritten(&self.path, &error))?;
        }
        Ok(())
    }

    /// The end: all is written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), PluginError> {
        let written = self.checkpoints.write_all(b"]}\n").and_then(|()| self.checkpoints.flush());
        written.map_err(|error| unwritten(&self.path, &error))
    }
}

fn line(value: &impl Serialize) -> String {
    format!("{}\n", canonical(value))
}

fn unwritten(path: &Path, error: &std::io::Error) -> PluginError {
    let problem = format!("cannot write {}: {error}: name a place that you may write to", path.display());
    PluginError::Flag { flag: "--keep", problem }
}
