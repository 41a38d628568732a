//! The files of a log: the one that is written, and those that the API server has renamed when they were full.
//!
//! Owns their names, as lumberjack gives them (<https://github.com/natefinch/lumberjack>): audit.log becomes
//! audit-2026-11-30T09-15-02.118.log, and with --audit-log-compress audit-2026-11-30T09-15-02.118.log.gz. It must not read in
//! them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What a packed one ends in.
const PACKED: &str = ".gz";
/// How the time of renaming is written, in UTC: digits stand for digits.
const TIME: &str = "0000-00-00T00-00-00.000";

/// A file that was renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RotatedLog {
    /// Its name before it was packed. Their order is that of the files.
    pub name: String,
    /// Whether it is packed.
    pub packed: bool,
    /// Where it is.
    pub path: PathBuf,
}

/// Those of a log, from old to new.
///
/// # Errors
/// When the folder cannot be read.
pub fn rotated(log: &Path) -> io::Result<Vec<RotatedLog>> {
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let (stem, extension) = (text(log.file_stem()), text(log.extension()));
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let file = text(path.file_name());
        let (name, packed) = file.strip_suffix(PACKED).map_or((file.as_str(), false), |name| (name, true));
        if is_of(name, &stem, &extension) {
            found.push(RotatedLog { name: name.to_owned(), packed, path: path.clone() });
        }
    }
    // While one is being packed both are there, and the packed one is not whole.
    found.sort();
    found.dedup_by(|later, earlier| later.name == earlier.name);
    Ok(found)
}

fn is_of(name: &str, stem: &str, extension: &str) -> bool {
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-'));
    let time = rest.and_then(|rest| match extension {
        "" => Some(rest),
        extension => rest.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.')),
    });
    time.is_some_and(|time| {
        time.len() == TIME.len()
            && time.bytes().zip(TIME.bytes()).all(|(is, like)| match like {
                b'0' => is.is_ascii_digit(),
                like => is == like,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_a_log_are_found_from_old_to_new_and_a_packed_one_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "audit.log",
            "audit-2026-11-30T09-15-02.118.log",
            "audit-2026-11-30T09-15-02.118.log.gz",
            "audit-2026-11-29T23-00-00.000.log.gz",
            "audit-2026-11-30T09-15-03.000.log",
            "audit-2026-11-30.log",
            "audit-yyyy-mm-ddThh-mm-ss.mmm.log",
            "other-2026-11-30T09-15-02.118.log",
            "audit-2026-11-30T09-15-02.118.txt",
        ] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let found = rotated(&folder.path().join("audit.log")).unwrap();
        let found: Vec<(&str, bool)> = found.iter().map(|one| (one.name.as_str(), one.packed)).collect();
        let expected = [
            ("audit-2026-11-29T23-00-00.000.log", true),
            ("audit-2026-11-30T09-15-02.118.log", false),
            ("audit-2026-11-30T09-15-03.000.log", false),
        ];
        assert_eq!(found, expected);
        assert!(rotated(&folder.path().join("none/audit.log")).is_err());
    }
}
