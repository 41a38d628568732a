//! How far a log was sent, over restarts.
//!
//! Owns the file that says so. A file of the log is known by the digest of its first bytes: an inode is given to the next
//! file when one is removed, and a packed file has another. It must hold nothing of what the log says.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most of the first bytes of a file that it is known by: more than the ID and the time of its first event.
pub const HEAD: usize = 1024;

/// A file of the log, and how far in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilePlace {
    /// How many of its bytes were sent. They end with a line.
    pub offset: u64,
    /// How many of its first bytes it is known by.
    pub known_by: usize,
    /// SHA-256 of them.
    pub sha256: String,
}

impl FilePlace {
    /// Behind so many bytes of a file that begins so. None: nothing of it was sent.
    pub fn behind(offset: u64, head: &[u8]) -> Option<Self> {
        let known_by = head.len().min(HEAD).min(usize::try_from(offset).unwrap_or(HEAD));
        (known_by > 0).then(|| Self { offset, known_by, sha256: digest(&head[..known_by]) })
    }

    /// Whether a file that begins so is the one.
    pub fn is_in(&self, head: &[u8]) -> bool {
        head.get(..self.known_by).is_some_and(|head| digest(head) == self.sha256)
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How far a log was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TailPosition {
    /// The newest of the renamed files that was sent whole, by its name before it was packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// The file behind it that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePlace>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StateText {
    log: PathBuf,
    position: TailPosition,
}

/// Why it is not known how far a log was sent, or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum NoPosition {
    /// The file cannot be read or written.
    #[error("--state {0}: {1}; it needs a folder that the tail may write to and that outlives it")]
    Io(PathBuf, #[source] io::Error),
    /// It is something else.
    #[error("--state {0}: it is no state of a tail; remove it, and the log is sent again from its oldest line")]
    Unread(PathBuf),
    /// It is that of another log.
    #[error("--state {0}: it is of the log {1}; give each log a state file of its own")]
    OfAnother(PathBuf, PathBuf),
}

/// The file that says so.
pub struct PositionFile {
    path: PathBuf,
    log: PathBuf,
}

impl PositionFile {
    /// Of a log. Nothing is read yet.
    pub fn at(path: PathBuf, log: &Path) -> Self {
        Self { path, log: log.to_owned() }
    }

    /// What it says; nothing, where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is of another log.
    pub fn read(&self) -> Result<Option<TailPosition>, NoPosition> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NoPosition::Io(self.path.clone(), error)),
        };
        let state: StateText = serde_json::from_slice(&text).map_err(|_| NoPosition::Unread(self.path.clone()))?;
        if state.log != self.log {
            return Err(NoPosition::OfAnother(self.path.clone(), state.log));
        }
        Ok(Some(state.position))
    }

    /// Says this from now on: all of it, or what it said before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, position: &TailPosition) -> Result<(), NoPosition> {
        let state = StateText { log: self.log.clone(), position: position.clone() };
        let written = serde_json::to_vec(&state).map_err(io::Error::other).and_then(|text| {
            let mut beside = self.path.clone().into_os_string();
            beside.push(".new");
            let mut file = File::create(&beside)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&beside, &self.path)
        });
        written.map_err(|error| NoPosition::Io(self.path.clone(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_by_the_bytes_that_were_there() {
        assert_eq!(FilePlace::behind(0, b"abc"), None);
        let place = FilePlace::behind(2, b"abc").unwrap();
        assert_eq!(place.known_by, 2);
        assert!(place.is_in(b"abd") && !place.is_in(b"b") && !place.is_in(b"acb"));
        let long = FilePlace::behind(5000, &[b'x'; 2 * HEAD]).unwrap();
        assert_eq!((long.known_by, long.offset), (HEAD, 5000));
    }

    #[test]
    fn what_is_written_is_read_again_for_the_same_log_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let file = PositionFile::at(path.clone(), Path::new("/var/log/audit.log"));
        assert_eq!(file.read().unwrap(), None);
        let position = TailPosition { finished: Some("audit-1.log".into()), file: FilePlace::behind(7, b"{}\n{}\n") };
        for _ in 0..2 {
            file.write(&position).unwrap();
            assert_eq!(file.read().unwrap(), Some(position.clone()));
        }
        let other = PositionFile::at(path.clone(), Path::new("/other.log"));
        assert!(matches!(other.read(), Err(NoPosition::OfAnother(..))));
        fs::write(&path, "{").unwrap();
        assert!(matches!(file.read(), Err(NoPosition::Unread(_))));
        let nowhere = PositionFile::at(folder.path().join("none/state"), Path::new("/other.log"));
        assert!(matches!(nowhere.write(&position), Err(NoPosition::Io(..))));
    }
}
