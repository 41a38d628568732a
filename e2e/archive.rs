//! The archives that the plugin is released in, and in [`krew`] the manifest by which krew installs them.
//!
//! Owns what is in an archive: the program, the licence, man pages and scripts for shells, made from the tree of commands. It
//! must not build the program. None of these trials needs a cluster.

mod krew;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::CommandFactory;
use daypass::cli::plugin::Plugin;
use daypass::cli::plugin::completion::shells::ShellScript;
use libtest_mimic::Trial;

use crate::harness::{binaries, plugin, without_cluster};

/// The program, on systems whose programs have no ending.
pub const PLUGIN: &str = "kubectl-daypass";
pub const LICENCE: &str = "LICENSE";

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("archive::holds_the_program_licence_man_pages_and_completions", holds_all),
        without_cluster("archive::the_manifest_keeps_to_the_rules_of_krew", krew::keeps_to_the_rules),
        without_cluster("archive::what_krew_would_refuse_is_told", krew::tells_faults),
        without_cluster("archive::the_release_makes_one_for_each_platform", krew::the_release_makes_all),
    ]
}

/// A system that the plugin is released for, as krew names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    pub os: &'static str,
    pub arch: &'static str,
}

/// Those that the plugin is released for.
pub const PLATFORMS: [Platform; 6] = [
    Platform { os: "darwin", arch: "amd64" },
    Platform { os: "darwin", arch: "arm64" },
    Platform { os: "linux", arch: "amd64" },
    Platform { os: "linux", arch: "arm64" },
    Platform { os: "windows", arch: "amd64" },
    Platform { os: "windows", arch: "arm64" },
];

impl Platform {
    fn named(name: &str) -> Option<Self> {
        PLATFORMS.into_iter().find(|platform| platform.name() == name)
    }

    /// Such as `linux_amd64`.
    pub fn name(self) -> String {
        format!("{}_{}", self.os, self.arch)
    }

    /// The file name of the program there.
    pub fn program(self) -> String {
        format!("{PLUGIN}{}", if self.os == "windows" { ".exe" } else { "" })
    }

    /// The file name of its archive.
    pub fn archive(self) -> String {
        format!("{PLUGIN}_v{}_{}.tar.gz", env!("CARGO_PKG_VERSION"), self.name())
    }
}

/// Packs a program for a platform into a folder, or with no program writes the manifest for what is in the folder.
pub fn run(args: &[String]) -> ExitCode {
    let done = match args {
        [folder] => krew::write(Path::new(folder)),
        [program, platform, folder] => match Platform::named(platform) {
            Some(platform) => pack(Path::new(program), platform, Path::new(folder)),
            None => {
                Err(format!("no such platform: {platform}; there are {}", PLATFORMS.map(Platform::name).join(", ")))
            }
        },
        _ => Err("give a program, its platform and a folder, or a folder alone for the manifest of krew".to_owned()),
    };
    match done {
        Ok(file) => {
            println!("{}", file.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the archive; the same from the same, byte for byte.
fn pack(program: &Path, platform: Platform, folder: &Path) -> Result<PathBuf, String> {
    let staged = tempfile::tempdir().map_err(|error| error.to_string())?;
    stage(program, platform, staged.path()).map_err(|error| format!("{}: {error}", program.display()))?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let archive = folder.join(platform.archive());
    let same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"];
    let time = format!("--mtime=@{}", std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned()));
    let mut tar = Command::new("tar");
    tar.args(same)
        .args([time.as_str(), "--use-compress-program=gzip -9n", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(staged.path());
    // Without the folder itself: krew looks for the program at the top.
    tar.args([platform.program().as_str(), LICENCE, "completions", "man"]);
    let ended = tar.status().map_err(|error| format!("tar: {error}"))?;
    if ended.success() { Ok(archive) } else { Err(format!("tar: {ended}")) }
}

fn stage(program: &Path, platform: Platform, folder: &Path) -> std::io::Result<()> {
    // As a copy that may be run, whatever the program came through.
    let placed = folder.join(platform.program());
    fs::copy(program, &placed)?;
    fs::set_permissions(&placed, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::copy(binaries::repository().join(LICENCE), folder.join(LICENCE))?;
    let (man, completions) = (folder.join("man/man1"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let command = Plugin::command().name(PLUGIN).bin_name(PLUGIN).display_name(PLUGIN);
    clap_mangen::generate_to(command, &man)?;
    for shell in ShellScript::ALL {
        fs::write(completions.join(shell.file_name()), shell.text())?;
    }
    Ok(())
}

/// The files in an archive.
pub fn content(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("-tzf").arg(archive).output().expect("run tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names");
    names.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect()
}

fn holds_all() {
    let folder = tempfile::tempdir().unwrap();
    let linux = Platform { os: "linux", arch: "amd64" };
    let archive = pack(Path::new(plugin::PROGRAM), linux, folder.path()).unwrap();
    let files = content(&archive);
    let of_shells = ["_kubectl-daypass", "_kubectl-daypass.ps1", "kubectl-daypass.bash", "kubectl-daypass.fish"];
    let mut expected: Vec<String> = of_shells.map(|name| format!("completions/{name}")).into();
    expected.extend([PLUGIN.to_owned(), LICENCE.to_owned(), "man/man1/kubectl-daypass.1".to_owned()]);
    for file in expected {
        assert!(files.contains(&file), "{file} is missing: {files:?}");
    }
    for command in Plugin::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let page = format!("man/man1/kubectl-daypass-{}.1", command.get_name());
        assert!(files.contains(&page), "{page} is missing: {files:?}");
    }
    let unpacked = tempfile::tempdir().unwrap();
    let tar = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(unpacked.path()).status().unwrap();
    assert!(tar.success());
    let ran = Command::new(unpacked.path().join(PLUGIN)).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains(env!("CARGO_PKG_VERSION")), "{ran:?}");
    let licence = |folder: &Path| fs::read_to_string(folder.join(LICENCE)).unwrap();
    assert_eq!(licence(unpacked.path()), licence(binaries::repository()));
    let page = fs::read_to_string(unpacked.path().join("man/man1/kubectl-daypass-request.1")).unwrap();
    assert!(page.contains("Ask for a role for a while"), "{page}");
    let bash = Command::new("bash").arg("-n").arg(unpacked.path().join("completions/kubectl-daypass.bash")).status();
    assert!(bash.unwrap().success());
    // The same again, byte for byte.
    let again = pack(Path::new(plugin::PROGRAM), linux, &folder.path().join("again")).unwrap();
    assert!(fs::read(&archive).unwrap() == fs::read(again).unwrap());
}
