//! Tables that are committed and held to what is computed: written by a make target, and read line by line when they change.
//!
//! Owns how one is written and compared. It must not know what stands in it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use super::binaries;

/// A table in the repository.
pub struct CommittedTable {
    /// Its path.
    pub path: &'static str,
    /// The command that writes it anew.
    pub written_by: &'static str,
}

impl CommittedTable {
    fn file(&self) -> PathBuf {
        binaries::repository().join(self.path)
    }

    /// Writes it.
    pub fn write(&self, table: &str) -> ExitCode {
        match std::fs::write(self.file(), table) {
            Ok(()) => {
                println!("wrote {}: read what has changed in it", self.path);
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{}: {error}", self.path);
                ExitCode::FAILURE
            }
        }
    }

    /// Fails with the lines that differ, unless this is what is committed.
    pub fn is(&self, table: &str) {
        let committed = std::fs::read_to_string(self.file()).unwrap_or_else(|error| panic!("{}: {error}", self.path));
        let lines = |of: &str| of.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (before, now) = (lines(&committed), lines(table));
        let gone: Vec<String> = before.difference(&now).map(|line| format!("- {line}")).collect();
        let new: Vec<String> = now.difference(&before).map(|line| format!("+ {line}")).collect();
        let (path, drift) = (self.path, [gone, new].concat().join("\n"));
        assert!(committed == table, "{path} has drifted; if that is meant, {} and read it:\n{drift}", self.written_by);
    }
}
