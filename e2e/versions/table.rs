//! Owns the run of the named part on every version, one after the other, and the table of what came of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::harness::binaries::{VERSION, Version, repository};

/// What came of the trials on one version.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    passed: usize,
    /// Trials that do not hold for the version, and said so.
    left_out: usize,
    failed: Vec<String>,
    /// The run came to its end.
    ended: bool,
}

impl Outcome {
    /// Takes one line of a run into account.
    fn take(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.ended = true;
        }
        let Some((name, said)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else { return };
        match said.split([' ', ',']).next() {
            Some("ok") => self.passed += 1,
            Some("ignored") => self.left_out += 1,
            Some("FAILED") => self.failed.push(name.trim().to_owned()),
            _ => {}
        }
    }

    fn is_good(&self) -> bool {
        self.ended && self.passed > 0 && self.failed.is_empty()
    }

    fn row(&self, version: &Version, took: Duration) -> String {
        let Self { passed, left_out, failed, ended } = self;
        let red = match (ended, failed.as_slice()) {
            (false, _) => "the run did not end".to_owned(),
            (true, []) => "none".to_owned(),
            (true, failed) => failed.join(", "),
        };
        let (minor, release, seconds) = (&version.minor, &version.release, took.as_secs());
        format!("| {minor} ({release}) | {passed} | {left_out} | {red} | {seconds} s |")
    }
}

/// `make versions-test`: builds each version that is not built yet, runs the named part on it, and prints the table.
/// `filter` is what comes after `versions` when the part is run by itself.
pub fn run(filter: &[String]) -> ExitCode {
    let mut rows = vec![
        "| Kubernetes | Passed | Left out | Red | Time |".to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    let mut good = true;
    for version in Version::pinned() {
        let built = Command::new(repository().join("e2e/controlplane/build.sh"))
            .args([&repository().join("target/controlplane").display().to_string(), &version.minor])
            .status();
        if !built.is_ok_and(|status| status.success()) {
            rows.push(format!("| {} ({}) | | | it cannot be built | |", version.minor, version.release));
            good = false;
            continue;
        }
        println!("\nKubernetes {}:", version.release);
        let began = Instant::now();
        let outcome = part_on(&version.minor, filter, |line| println!("{line}"));
        good &= outcome.is_good();
        rows.push(outcome.row(&version, began.elapsed()));
    }
    println!("\n{}", rows.join("\n"));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the part in a process of its own, since the version is told by the environment.
fn part_on(version: &str, filter: &[String], mut told: impl FnMut(&str)) -> Outcome {
    let program = std::env::current_exe().expect("the path of this program");
    let mut run = Command::new(program)
        .arg("versions")
        .args(filter)
        .env(VERSION, version)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start this program again");
    let mut outcome = Outcome::default();
    for line in BufReader::new(run.stdout.take().expect("its output is piped")).lines() {
        let line = line.expect("read a line of the run");
        outcome.take(&line);
        told(&line);
    }
    let status = run.wait().expect("wait for the run");
    outcome.ended &= status.success() == outcome.failed.is_empty();
    outcome
}

/// A row says what a run said, be it good or bad.
pub fn says_what_a_run_said() -> Result<(), Failed> {
    const GOOD: &str = "versions::each_is_pinned_as_one_release";
    const BAD: &str = "versions::the_api_server_is_of_the_version_asked_for";
    let only = |name: &str| [name.to_owned(), "--exact".to_owned()];
    let version = Version::pinned().into_iter().next().ok_or("nothing is pinned")?;
    let good = part_on(&version.minor, &only(GOOD), |_| {});
    let one_passed = Outcome { passed: 1, ended: true, ..Outcome::default() };
    if good != one_passed || !good.is_good() {
        return Err(format!("{GOOD} on {}: {good:?}", version.minor).into());
    }
    // There is no such version, so the trial that asks for its name fails.
    let bad = part_on("9.99", &only(BAD), |_| {});
    let one_failed = Outcome { failed: vec![BAD.to_owned()], ended: true, ..Outcome::default() };
    if bad != one_failed || bad.is_good() {
        return Err(format!("{BAD} on a version that there is not: {bad:?}").into());
    }
    let nothing = part_on(&version.minor, &only("versions::no_such_trial"), |_| {});
    if nothing.is_good() {
        return Err(format!("a run of no trial counts as good: {nothing:?}").into());
    }
    Ok(())
}
