//! The tutorial of examples/README.md and the quick start of README.md, run as they stand there: each command by the
//! person who gives it, and what it answers held against what the text says. Times and ages differ from run to run;
//! everything else must not.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::demo::{self, Stage, Voice};
use crate::harness::cast::SOON;
use crate::harness::kubectl::Kubectl;
use crate::harness::users::ADMIN;
use crate::harness::{Cluster, ControlPlane, Controller, Daypass, binaries, eventually, private, shell, trial};

/// A part of a text that is run: everything below a heading, up to the next one of the second level.
pub struct Part {
    pub file: &'static str,
    pub heading: &'static str,
    /// It has more commands than that, or they were not found.
    pub more_than: usize,
}

const TUTORIAL: Part = Part { file: "examples/README.md", heading: "\n## Tutorial", more_than: 20 };
const QUICK_START: Part = Part { file: "README.md", heading: "\n## Quick start\n", more_than: 8 };

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("tutorial::the_tutorial_tells_what_happens", || {
            trial::runtime().block_on(tutorial(|command, answer| command.is_answered(TUTORIAL.file, answer)));
            Ok::<(), Failed>(())
        }),
        private("tutorial::the_quick_start_tells_what_happens", quick_start),
        Trial::test("tutorial::the_quick_start_can_follow_the_demo", || {
            trial::runtime().block_on(after_the_demo());
            Ok::<(), Failed>(())
        }),
    ]
}

/// `make tutorial`: prints it with what it answers now, to be copied into the text.
pub fn print() -> ExitCode {
    trial::runtime().block_on(tutorial(|command, answer| {
        println!("$ {}\n{answer}", command.line);
        Ok(())
    }));
    ExitCode::SUCCESS
}

/// The quick start begins where `make playground` ends.
async fn quick_start(cluster: Arc<Cluster>) {
    cluster.kubectl(ADMIN).ok(&["create", "namespace", "shop"]).await;
    let kubectl = of_everybody(&cluster.control_plane).await;
    run(&QUICK_START, &kubectl, |command, answer| command.is_answered(QUICK_START.file, answer)).await;
}

/// `make demo KEEP=1`: what it leaves, with the kubeconfig that it leaves, is where the quick start begins.
async fn after_the_demo() {
    let text = std::fs::read_to_string(binaries::repository().join(QUICK_START.file)).expect("the README");
    let export = format!("export KUBECONFIG={} PATH=$PWD/target/controlplane:$PATH", demo::KUBECONFIG);
    assert!(text.contains(&export), "{} does not say: {export}", QUICK_START.file);
    let stage = Stage::after_the_story(Voice::Silent).await;
    let kubectl = stage.control_plane.kubectl_with(&stage.kubeconfig);
    let left = kubectl.ok(&["get", "accesspolicies,accessrequests", "-n", "shop", "-o", "name"]).await;
    assert_eq!(left, "", "the story leaves nothing that has its names, and the kubeconfig has a context");
    run(&QUICK_START, &kubectl, |command, answer| command.is_answered(QUICK_START.file, answer)).await;
}

/// The tutorial begins on a cluster in which nothing has happened but `helm install`.
async fn tutorial(check: impl Fn(&Command, &str) -> Result<(), String>) {
    let control_plane = ControlPlane::start().await;
    Daypass::install(&control_plane, &[]).await;
    let controller = Controller::start(&control_plane).await;
    run(&TUTORIAL, &of_everybody(&control_plane).await, check).await;
    drop(controller);
}

/// kubectl with a context for each person.
async fn of_everybody(control_plane: &ControlPlane) -> Kubectl {
    let kubeconfig = control_plane.dir().join("tutorial.kubeconfig");
    shell::contexts(control_plane, &kubeconfig).await;
    control_plane.kubectl_with(&kubeconfig)
}

/// Runs every command of a part. `check` says whether the answer is the right one; a command that only looks is given
/// again until it is, since Events come a moment after what they are about.
async fn run(part: &Part, kubectl: &Kubectl, check: impl Fn(&Command, &str) -> Result<(), String>) {
    let mut captured = Kept::default();
    for command in part.commands() {
        let line = captured.fill_in(&command.line);
        if let Some((variable, line)) = assignment(&line) {
            let words = shell::words(line);
            let args: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            assert!(command.answer.is_empty(), "{}: {}: its answer is kept, not shown", part.file, command.line);
            let output = kubectl.run_in(binaries::repository(), &args).await;
            assert!(output.ok, "$ {}\n{}", command.line, output.stderr);
            captured.0.push((variable.to_owned(), output.stdout.trim().to_owned()));
            continue;
        }
        let words = shell::words(&line);
        let args: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        assert_eq!(words[0], "kubectl", "{}: {}", part.file, command.line);
        let once = async || {
            let output = kubectl.run_in(binaries::repository(), &args).await;
            check(&command, captured.as_in_the_text(format!("{}{}", output.stdout, output.stderr).trim_end()).as_str())
        };
        if args.iter().any(|word| ["get", "events", "can-i"].contains(word)) {
            eventually(&format!("$ {}", command.line), SOON, once).await;
        } else if let Err(why) = once().await {
            panic!("$ {}\n{why}", command.line);
        }
    }
}

/// `NAME=$(COMMAND)`, as a shell reads it: the variable, and the command whose answer it is to hold.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (variable, command) = line.split_once("=$(")?;
    let is_name = variable.chars().all(|letter| letter.is_ascii_lowercase());
    command.strip_suffix(')').filter(|_| is_name).map(|command| (variable, command))
}

/// What the variables of a text hold: names that the API server made.
#[derive(Default)]
struct Kept(Vec<(String, String)>);

impl Kept {
    fn fill_in(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (variable, value)| line.replace(&format!("${variable}"), value))
    }

    /// An answer with the names that a text can know: `fix-x7k2p` is whatever follows `fix-`.
    fn as_in_the_text(&self, answer: &str) -> String {
        self.0.iter().fold(answer.to_owned(), |answer, (variable, value)| {
            let name = value.rsplit('/').next().unwrap_or_default();
            answer.replace(name, &format!("{variable}-x7k2p"))
        })
    }
}

/// A command of a text, and what it says that it answers.
pub struct Command {
    pub line: String,
    pub answer: String,
}

impl Command {
    /// Whether it is answered as the text says; or else both.
    pub fn is_answered(&self, file: &str, answer: &str) -> Result<(), String> {
        let (printed, check) = (timeless(answer), timeless(&self.answer));
        if printed == check { Ok(()) } else { Err(format!("it answers:\n{printed}\n\nbut {file} says:\n{check}")) }
    }
}

impl Part {
    /// The commands of its console blocks, in their order.
    pub fn commands(&self) -> Vec<Command> {
        let Self { file, heading, more_than } = self;
        let text = std::fs::read_to_string(binaries::repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let below = text.split(heading).nth(1).unwrap_or_else(|| panic!("{file} has no {}", heading.trim()));
        let part = below.split("\n## ").next().unwrap_or_default();
        let blocks = part.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
        let mut commands: Vec<Command> = Vec::new();
        let mut continued = false;
        for line in blocks.flat_map(str::lines) {
            let (text, goes_on) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
            match (text.strip_prefix("$ "), commands.last_mut()) {
                (Some(line), _) => commands.push(Command { line: line.trim_end().to_owned(), answer: String::new() }),
                (None, Some(command)) if continued => command.line = format!("{} {}", command.line, text.trim()),
                (None, Some(command)) => command.answer = format!("{}{text}\n", command.answer),
                (None, None) => panic!("{file}: the first block does not begin with a command: {line}"),
            }
            continued = goes_on;
        }
        assert!(commands.len() > *more_than, "{file}, {}: {} commands", heading.trim(), commands.len());
        commands
    }
}

/// A text without what differs from run to run: instants, ages, and how wide a column is because of them.
pub fn timeless(text: &str) -> String {
    let word = |word: &str| {
        let age = word.strip_suffix(['s', 'm']).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let instant = word.trim_end_matches([';', ':', ',', '.', ')']);
        let is_instant = instant.len() == 20 && instant.starts_with("20") && instant.ends_with('Z');
        match (age, is_instant) {
            (true, _) => "AGE".to_owned(),
            (_, true) => word.replace(instant, "TIME"),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}
