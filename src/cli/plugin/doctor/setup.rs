//! What this machine has of the plugin: whether kubectl finds it, and its completion, on the PATH.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What kubectl looks for.
const PLUGIN: &str = "kubectl-daypass";
/// What kubectl runs to complete a command line of the plugin.
const COMPLETION: &str = "kubectl_complete-daypass";

/// What was found on the PATH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnSetup {
    pub kubectl: bool,
    pub plugin: bool,
    pub completion: bool,
}

impl OwnSetup {
    /// Looks through the folders of this PATH.
    pub fn on(path: &OsStr) -> Self {
        let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
        let there = |name: &str| folders.iter().any(|folder| is_program(&folder.join(format!("{name}{EXE_SUFFIX}"))));
        Self { kubectl: there("kubectl"), plugin: there(PLUGIN), completion: there(COMPLETION) }
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_can_be_run_is_found_also_through_a_link() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(OwnSetup::on(&path), OwnSetup::default());
        let program = second.path().join(PLUGIN);
        std::fs::write(&program, "").unwrap();
        assert!(!OwnSetup::on(&path).plugin, "nobody may run it");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        symlink(&program, first.path().join(COMPLETION)).unwrap();
        assert_eq!(OwnSetup::on(&path), OwnSetup { kubectl: false, plugin: true, completion: true });
    }
}
