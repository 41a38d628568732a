//! Owns server processes: none outlives the test program, whatever ends that program.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use super::binaries::repository;

/// What the keeper runs; see the comments in it.
const KEEPER: &str = include_str!("keeper.sh");

/// Writes the pid file before the server runs, so that the keeper always knows it. The second line is the
/// other half of the keeper's `closed` file.
const LAUNCH: &str = r#"echo $$ >"$0/$1.pid" || exit 1
[ ! -e "$0/closed" ] || exit 1
shift
exec "$@""#;

/// The developer's proxy is not for servers on this machine.
const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// A new folder below `target/e2e` for servers, which their keeper removes.
pub fn private_folder(prefix: &str) -> PathBuf {
    let parent = repository().join("target/e2e");
    std::fs::create_dir_all(&parent).expect("create target/e2e");
    tempfile::Builder::new().prefix(prefix).tempdir_in(&parent).expect("create a private folder").keep()
}

/// Ends all servers of a folder and removes the folder (unless it holds a file `keep`) when it is dropped
/// or when this program dies.
pub struct Keeper {
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl Keeper {
    pub fn start(folder: &Path) -> Self {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the keeper");
        let lifeline = shell.stdin.take();
        Self { shell, lifeline }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.shell.wait();
    }
}

/// A running server. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    pid_file: PathBuf,
    log_file: PathBuf,
}

impl Process {
    /// Starts `program` in a process group of its own. Its output is appended to `dir/name.log`, so a server
    /// that is started again keeps the log of its earlier lives.
    pub fn spawn(dir: &Path, name: &str, program: &Path, args: &[String], env: &[(&str, &str)]) -> Self {
        let log_file = dir.join(format!("{name}.log"));
        let log: File = OpenOptions::new().create(true).append(true).open(&log_file).expect("open the log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LAUNCH]).arg(dir).arg(name).arg(program).args(args);
        for variable in PROXY_VARIABLES {
            command.env_remove(variable);
        }
        command
            .envs(env.iter().copied())
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        Self { name: name.to_owned(), child, pid_file: dir.join(format!("{name}.pid")), log_file }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of the server, if it came.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("ask for the state of a server")?;
        self.forget();
        Some(status)
    }

    /// Removes the pid file of a server that ended: its number may soon belong to a stranger.
    fn forget(&self) {
        let _ = std::fs::remove_file(&self.pid_file);
    }

    /// Why waiting for this server is in vain, if it is: it has ended. Shows the end of its log.
    pub fn gone(&mut self) -> Option<String> {
        let status = self.exited()?;
        Some(format!("{} ended early ({status}). The end of its log:\n{}", self.name, self.log_tail(20)))
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget();
    }

    /// Asks the server to end.
    pub fn ask_to_end(&self) {
        signal("TERM", &self.child.id().to_string());
    }

    /// Everything that the server wrote, in all its lives.
    pub fn log(&self) -> String {
        read_log(&self.log_file)
    }

    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines).to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The text of a log file; nothing when there is none.
pub fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> &str {
    let text = text.trim_end();
    match lines.checked_sub(1).and_then(|nth| text.rmatch_indices('\n').nth(nth)) {
        Some((end_of_line_before, _)) => &text[end_of_line_before + 1..],
        None => text,
    }
}

/// Sends a signal; a target that starts with `-` is a process group.
pub fn signal(name: &str, target: &str) {
    let _ = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
}

/// A size of a process, as proc_pid_status(5) names it: `VmRSS` is what it has of the memory now, `VmHWM` the most that it had.
pub fn size(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes: Option<f64> = line.unwrap_or_default().trim().trim_end_matches(" kB").parse().ok();
    kilobytes.map_or("unknown".to_owned(), |kb| format!("{:.1} MiB", kb / 1024.0))
}

/// True while the process runs. One that ended but was not yet collected by its parent does not run.
pub fn alive(pid: u32) -> bool {
    let ps = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("run ps");
    let state = String::from_utf8_lossy(&ps.stdout);
    !state.trim().is_empty() && !state.trim_start().starts_with('Z')
}
