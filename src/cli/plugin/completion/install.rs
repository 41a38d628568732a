//! `kubectl daypass completion install`: puts this program where kubectl looks for what completes its command line.
//!
//! On Windows, where links take a right of their own, it is a copy. Touches nothing that is not such a link or copy.

use std::io;
use std::path::{Path, PathBuf};

use crate::cli::plugin::cluster::quoted;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan, Tone};

/// The name under which kubectl looks for what completes the plugin's command line.
pub const COMPLETER: &str = "kubectl_complete-daypass";
/// The name by which kubectl finds this program.
const PLUGIN: &str = "kubectl-daypass";

/// The command line of `completion install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// Folder to put it into. Left out: where this program is, or else the first folder of $PATH that you may write to.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Installs it.
///
/// # Errors
/// When no folder takes it.
pub fn run(args: &InstallArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let failed = |error: io::Error| PluginError::CompleterNotInstalled(format!("cannot tell where I am: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let path = folders(std::env::var_os("PATH").as_deref());
    let program = as_found(&program, &path);
    let installed = match &args.dir {
        Some(folder) => place(&program, folder).map_err(|why| refusal(&program, folder, &[(folder.clone(), why)])),
        None => first(&program, &path),
    }?;
    let what = if installed.was_there { "is there already" } else { "is made" };
    console.show(&Text::of(TextSpan::new(format!("{} {what}", installed.file.display()), Tone::Good)));
    match installed.file.parent() {
        Some(folder) if !path.iter().any(|known| same(known, folder)) => {
            console.note(&format!("{} is not in $PATH: add it, or kubectl does not find this", folder.display()));
        }
        _ => console.show(&Text::of(
            "The tab key completes kubectl daypass where kubectl's own completion is loaded: see kubectl completion --help",
        )),
    }
    Ok(Exit::Done)
}

/// A completer in its place.
#[derive(Debug, PartialEq, Eq)]
struct CompleterPlaced {
    file: PathBuf,
    was_there: bool,
}

fn folders(path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    // A relative one is another folder wherever one goes.
    path.map(|path| std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()).unwrap_or_default()
}

/// This program as a folder of $PATH has it: what a package manager links there stays when it moves the program itself.
fn as_found(program: &Path, path: &[PathBuf]) -> PathBuf {
    let ours = path.iter().map(|folder| folder.join(file_name(PLUGIN))).find(|found| same(found, program));
    ours.unwrap_or_else(|| program.to_owned())
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(one).is_some_and(|one| Some(one) == real(other))
}

fn file_name(stem: &str) -> String {
    format!("{stem}{}", std::env::consts::EXE_SUFFIX)
}

/// Puts it into the folder of the program if that is in $PATH, or else into the first one there that takes it.
fn first(program: &Path, path: &[PathBuf]) -> Result<CompleterPlaced, PluginError> {
    let own = program.parent().filter(|own| path.iter().any(|folder| same(folder, own)));
    let others = path.iter().map(PathBuf::as_path).filter(|folder| own.is_none_or(|own| !same(folder, own)));
    let mut tried = Vec::new();
    for folder in own.into_iter().chain(others) {
        match place(program, folder) {
            Ok(placed) => return Ok(placed),
            Err(why) => tried.push((folder.to_owned(), why)),
        }
    }
    Err(refusal(program, Path::new("FOLDER"), &tried))
}

/// Why it is nowhere, and the way out.
fn refusal(program: &Path, folder: &Path, tried: &[(PathBuf, io::Error)]) -> PluginError {
    let tried: Vec<String> = tried.iter().map(|(folder, why)| format!("  {}: {why}", folder.display())).collect();
    let make = if cfg!(windows) { "copy" } else { "ln -s" };
    let (program, file) = (program.display().to_string(), folder.join(file_name(COMPLETER)).display().to_string());
    let way_out = format!("name a folder of $PATH with --dir, or run {make} {} {}", quoted(&program), quoted(&file));
    let nowhere = if tried.is_empty() { "$PATH names no folder".to_owned() } else { tried.join("\n") };
    PluginError::CompleterNotInstalled(format!("{nowhere}\n{way_out}"))
}

fn place(program: &Path, folder: &Path) -> io::Result<CompleterPlaced> {
    let file = folder.join(file_name(COMPLETER));
    // Beside the program a bare name is enough, and stays right when the folder moves.
    let beside = program.parent().is_some_and(|own| same(own, folder));
    let target = if beside { program.file_name().map_or(program, Path::new) } else { program };
    let was_there = match std::fs::symlink_metadata(&file) {
        Ok(_) if same(&file, program) => true,
        Ok(found) if found.is_symlink() && is_plugin(&std::fs::read_link(&file)?) => {
            std::fs::remove_file(&file)?;
            false
        }
        Ok(_) if cfg!(unix) => {
            let words = format!("{COMPLETER} is there, and is not of this program: remove it first");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
        }
        _ => false,
    };
    if !was_there {
        make(program, target, &file)?;
    }
    Ok(CompleterPlaced { file, was_there })
}

/// Whether a link leads to this plugin, wherever that is or was.
fn is_plugin(target: &Path) -> bool {
    target.file_stem().is_some_and(|stem| stem == PLUGIN)
}

#[cfg(unix)]
fn make(_program: &Path, target: &Path, file: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, file)
}

#[cfg(not(unix))]
fn make(program: &Path, _target: &Path, file: &Path) -> io::Result<()> {
    std::fs::copy(program, file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn three_folders() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
        let kept = tempfile::tempdir().unwrap();
        let [store, own, other] = ["store", "own", "other"].map(|name| kept.path().join(name));
        [&store, &own, &other].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        fs::write(store.join("program"), "").unwrap();
        (kept, store, own, other)
    }

    #[test]
    fn it_goes_beside_the_link_that_a_package_manager_made() {
        let (_kept, store, own, other) = three_folders();
        std::os::unix::fs::symlink(store.join("program"), own.join(PLUGIN)).unwrap();
        let path = [other.clone(), own.clone()];
        let program = as_found(&store.join("program"), &path);
        assert_eq!(program, own.join(PLUGIN));
        let placed = |was_there| CompleterPlaced { file: own.join(COMPLETER), was_there };
        assert_eq!(first(&program, &path).unwrap(), placed(false));
        assert_eq!(fs::read_link(own.join(COMPLETER)).unwrap(), Path::new(PLUGIN));
        assert_eq!(first(&program, &path).unwrap(), placed(true));
        // The package manager has moved the program on: the link beside its own is still right.
        fs::rename(store.join("program"), store.join("next")).unwrap();
        fs::remove_file(own.join(PLUGIN)).unwrap();
        std::os::unix::fs::symlink(store.join("next"), own.join(PLUGIN)).unwrap();
        assert!(same(&own.join(COMPLETER), &store.join("next")));
    }

    #[test]
    fn it_goes_into_the_first_folder_that_takes_it() {
        let (_kept, store, own, other) = three_folders();
        let program = store.join("program");
        let missing = own.join("missing");
        let placed = first(&program, &[missing.clone(), other.clone(), own]).unwrap();
        assert_eq!(placed.file, other.join(COMPLETER));
        assert_eq!(fs::read_link(placed.file).unwrap(), program);
        assert!(first(&program, &[missing]).is_err());
        assert!(first(&program, &[]).is_err());
    }

    #[test]
    fn what_is_not_its_own_is_left_alone() {
        let (_kept, store, own, _) = three_folders();
        let program = store.join("program");
        let file = own.join(COMPLETER);
        fs::write(&file, "mine").unwrap();
        assert_eq!(place(&program, &own).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        // A link of an installation that is gone is replaced.
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/gone/kubectl-daypass", &file).unwrap();
        assert!(!place(&program, &own).unwrap().was_there);
        assert!(same(&file, &program));
    }

    #[test]
    fn a_folder_that_depends_on_where_one_is_takes_nothing() {
        assert_eq!(folders(Some("/a:b:.::/c".as_ref())), [Path::new("/a"), Path::new("/c")]);
    }
}
