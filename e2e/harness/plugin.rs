//! Owns the kubectl plugin as a person runs it: with a kubeconfig, without a terminal or at one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::binaries;
use super::cluster::Cluster;
use super::users::User;
use super::wait::eventually;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-daypass");

/// No command that a trial runs takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// What a run left behind: exit code, standard output, standard error.
pub type Ran = (Option<i32>, String, String);

/// The plugin with the kubeconfig of somebody.
#[derive(Clone)]
pub struct Plugin {
    program: PathBuf,
    kubeconfig: PathBuf,
    env: Vec<(&'static str, String)>,
    /// Where kubectl finds it.
    folder: PathBuf,
}

impl Plugin {
    /// As a user of a cluster.
    pub fn of(cluster: &Cluster, user: User) -> Self {
        Self::with(&cluster.control_plane.kubeconfig(user))
    }

    /// With a kubeconfig, or several with a colon between them.
    pub fn with(kubeconfig: &Path) -> Self {
        let folder = Path::new(PROGRAM).parent().expect("a folder").to_owned();
        Self { program: PROGRAM.into(), kubeconfig: kubeconfig.to_owned(), folder, env: Vec::new() }
    }

    /// With no cluster to talk to.
    pub fn without_cluster() -> Self {
        Self::with(Path::new("/nowhere"))
    }

    /// The same by way of another program, such as kubectl.
    pub fn through(self, program: &Path) -> Self {
        Self { program: program.to_owned(), ..self }
    }

    /// The same with a variable in its environment.
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// The same with this folder at the head of $PATH.
    pub fn found_in(self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self }
    }

    fn command(&self, args: &[&str]) -> Command {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(&self.program);
        command.args(args).env("KUBECONFIG", &self.kubeconfig).env("PATH", path).env_remove("NO_COLOR");
        let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
        for variable in proxies.into_iter().flat_map(|name| [name.to_owned(), name.to_lowercase()]) {
            command.env_remove(variable);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(binaries::repository()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it, whatever comes of it.
    pub async fn run(&self, args: &[&str]) -> Ran {
        let output = tokio::time::timeout(LIMIT, self.command(args).output()).await;
        let output = output.unwrap_or_else(|_| panic!("{args:?}: no end after {LIMIT:?}")).expect("run the plugin");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs it with this on its standard input.
    pub async fn fed(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the plugin");
        let mut stdin = child.stdin.take().expect("its input is piped");
        let input = input.to_owned();
        // It may end before it has read everything.
        let feeding = async move { stdin.write_all(input.as_bytes()).await };
        let (_, ran) = tokio::join!(feeding, Running { child }.end());
        ran
    }

    /// The standard output of a run that must succeed.
    pub async fn done(&self, args: &[&str]) -> String {
        self.ends(args, 0).await.0
    }

    /// Standard output and standard error of a run that must end with this code.
    pub async fn ends(&self, args: &[&str], code: i32) -> (String, String) {
        let (ended, out, err) = self.run(args).await;
        assert_eq!(ended, Some(code), "{args:?}: {out}{err}");
        (out, err)
    }

    /// Starts it, to look at what it says while it runs.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        // Or who types at the terminal of the trials would type to it.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        Running { child: command.spawn().expect("start the plugin") }
    }

    /// Starts it at a terminal.
    pub fn start_at_terminal(&self, args: &[&str]) -> Terminal {
        let quoted = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
        let line: Vec<String> = args.iter().map(quoted).collect();
        // In place of the shell, which Ctrl-C would end too.
        let line = format!("exec {} {}", self.program.display(), line.join(" "));
        let mut command = Self { program: "script".into(), ..self.clone() }.command(&["-qec", &line, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).env("TERM", "xterm-256color");
        let child = command.spawn().expect("start script, which makes a terminal");
        Terminal { child, shown: String::new() }
    }
}

/// The plugin at a terminal.
pub struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    /// Waits until these words are on the screen.
    pub async fn until_shown(&mut self, words: &str) {
        let mut piece = [0; 4096];
        while !self.shown.contains(words) {
            let read = self.child.stdout.as_mut().expect("its output is piped").read(&mut piece);
            let read = tokio::time::timeout(LIMIT, read).await;
            let read = read.unwrap_or_else(|_| panic!("no {words:?}: {}", self.shown)).expect("read the screen");
            assert!(read > 0, "it ended, and did not show {words:?}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }

    /// Types something.
    pub async fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("its input is piped");
        input.write_all(keys.as_bytes()).await.expect("type");
        input.flush().await.expect("type");
    }

    /// Waits for the end: exit code, and all that was on the screen.
    pub async fn end(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        let read = self.child.stdout.as_mut().expect("its output is piped").read_to_end(&mut rest);
        let read = tokio::time::timeout(LIMIT, read).await;
        read.unwrap_or_else(|_| panic!("no end after {LIMIT:?}: {}", self.shown)).expect("read the screen");
        let status = self.child.wait().await.expect("wait for the plugin");
        self.shown.push_str(&String::from_utf8_lossy(&rest));
        (status.code(), self.shown)
    }
}

/// The plugin while it runs.
pub struct Running {
    child: Child,
}

impl Running {
    /// Waits until standard error has these words.
    pub async fn until_said(&mut self, words: &str) {
        let mut err = self.child.stderr.take().expect("its standard error is piped");
        let (mut said, mut piece) = (String::new(), [0; 4096]);
        while !said.contains(words) {
            let read = tokio::time::timeout(LIMIT, err.read(&mut piece)).await;
            let read = read.unwrap_or_else(|_| panic!("it did not say {words:?}: {said}")).expect("read what it says");
            assert!(read > 0, "it ended, and did not say {words:?}: {said}");
            said.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        self.child.stderr = Some(err);
    }

    /// Waits until standard output has these words, and hands over what came until then.
    pub async fn until_printed(&mut self, words: &str) -> String {
        let mut out = self.child.stdout.take().expect("its standard output is piped");
        let (mut printed, mut piece) = (String::new(), [0; 4096]);
        while !printed.contains(words) {
            let read = tokio::time::timeout(LIMIT, out.read(&mut piece)).await;
            let read =
                read.unwrap_or_else(|_| panic!("it did not print {words:?}: {printed}")).expect("read the output");
            assert!(read > 0, "it ended, and did not print {words:?}: {printed}");
            printed.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        self.child.stdout = Some(out);
        printed
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        super::process::signal("INT", &self.pid().to_string());
    }

    /// Waits for the end: exit code, and the rest of standard output and of standard error.
    pub async fn end(self) -> Ran {
        let output = tokio::time::timeout(LIMIT, self.child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("no end after {LIMIT:?}")).expect("wait for the plugin");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

/// The only request of a namespace, once there is one.
pub async fn only_request(cluster: &Cluster, namespace: &str) -> String {
    let requests = cluster.requests(namespace).await;
    eventually("one request is made", super::cast::SOON, async || {
        let items = requests.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
        match &items[..] {
            [one] => Ok(one.metadata.name.clone().expect("a name")),
            other => Err(format!("there are {}", other.len())),
        }
    })
    .await
}
