//! Owns a PostgreSQL server of the system's package, in a folder of its own, gone when it is dropped. Its clients use a
//! socket in that folder. Stands by itself, since the trials of the store within the library use it too.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub struct PostgresServer {
    folder: tempfile::TempDir,
    programs: PathBuf,
    process: Child,
    /// Of its socket, and of 127.0.0.1 where it has TLS.
    pub port: u16,
    settings: Vec<String>,
}

impl PostgresServer {
    /// The folder of its programs, if the package is installed: that of the newest version.
    pub fn programs() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut found: Vec<PathBuf> = versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect();
        found.retain(|programs| programs.join("initdb").exists());
        found.sort();
        found.pop()
    }

    /// Says on the terminal, past what a test runner holds back, what is left out where the package is not installed.
    pub fn say_left_out(what: &str) {
        use std::io::Write;
        let line = format!("left out, since PostgreSQL is not installed (Debian: postgresql): {what}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("a standard error");
    }

    /// Starts one with these settings, if the package is installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_as(5432, settings, &[])
    }

    /// The same, called on 127.0.0.1 too, under a certificate with its key, in PEM.
    #[allow(dead_code, reason = "not every program that has this module does")]
    pub fn start_with_tls(settings: &[&str], chain: &str, key: &str) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).ok()?.port();
        let tls = ["listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=../tls.crt", "ssl_key_file=../tls.key"];
        Self::start_as(port, &[settings, &tls].concat(), &[("tls.crt", chain), ("tls.key", key)])
    }

    fn start_as(port: u16, settings: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        let programs = Self::programs()?;
        let folder = tempfile::Builder::new().prefix("daypass-pg-").tempdir_in("/tmp").expect("make a folder");
        for (name, text) in files {
            use std::os::unix::fs::PermissionsExt;
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("write a file of the server");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("close it for others");
        }
        if is_root() {
            assert!(run(Command::new("chown").args(["-R", "postgres"]).arg(folder.path())), "give postgres its folder");
        }
        let data = folder.path().join("data");
        let mut made = as_postgres(&programs.join("initdb"));
        made.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync", "-D"])
            .arg(&data);
        assert!(run(&mut made), "initdb");
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = serve(&programs, folder.path(), port, &settings);
        let server = Self { folder, programs, process, port, settings };
        server.until_ready();
        Some(server)
    }

    /// Ends it at once, as a crash would.
    pub fn stop(&mut self) {
        let _ = run(Command::new("kill").args(["-s", "QUIT", &self.process.id().to_string()]));
        let _ = self.process.wait();
    }

    /// Starts it again on its data, and waits until it is ready.
    #[allow(dead_code, reason = "not every program that has this module does")]
    pub fn start_again(&mut self) {
        self.process = serve(&self.programs, self.folder.path(), self.port, &self.settings);
        self.until_ready();
    }

    fn until_ready(&self) {
        let began = Instant::now();
        while !run(self.client("pg_isready").arg("-q")) {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < START, "postgres does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One of the programs of the package, told where the server is.
    pub fn client(&self, program: &str) -> Command {
        let mut client = Command::new(self.programs.join(program));
        client.arg("-h").arg(self.folder.path()).args(["-U", "postgres", "-p", &self.port.to_string()]);
        client
    }

    /// Makes a database. How to get to it.
    pub fn database(&self, name: &str) -> String {
        assert!(run(self.client("createdb").arg(name)), "make the database {name}");
        format!("host={} port={} user=postgres dbname={name}", self.folder.path().display(), self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Its data goes with it.
        self.stop();
    }
}

fn serve(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Child {
    let mut server = as_postgres(&programs.join("postgres"));
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    server.args(["-c", "listen_addresses=", "-p", &port.to_string()]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("make a log");
    server.stdout(Stdio::null()).stderr(log).spawn().expect("start postgres")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("run id");
    id.stdout.trim_ascii() == b"0"
}

/// The server refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program).current_dir("/");
    command
}

fn run(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
