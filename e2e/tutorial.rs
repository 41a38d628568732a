//! The README's tutorial, run as it stands there: each command by the person who gives it, and what it answers held
//! against what the README says. Times and ages differ from run to run; everything else must not.

use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};

use crate::harness::cast::SOON;
use crate::harness::{ControlPlane, Controller, Daypass, binaries, eventually, shell, trial};

/// Heading of the part of the README that is run.
const HEADING: &str = "## Tutorial";

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("tutorial::the_readme_tells_what_happens", || {
        trial::runtime().block_on(run(|command, answer| {
            let (said, told) = (timeless(answer), timeless(&command.answer));
            if said == told { Ok(()) } else { Err(format!("it answers:\n{said}\n\nbut the README says:\n{told}")) }
        }));
        Ok::<(), Failed>(())
    })]
}

/// `make tutorial`: prints it with what it answers now, to be copied into the README.
pub fn print() -> ExitCode {
    trial::runtime().block_on(run(|command, answer| {
        println!("$ {}\n{answer}", command.line);
        Ok(())
    }));
    ExitCode::SUCCESS
}

/// Runs every command on a cluster in which nothing has happened but `helm install`. `told` says whether the answer
/// is the right one; one that only looks is given again until it is, since Events come a moment after the deed.
async fn run(told: impl Fn(&Command, &str) -> Result<(), String>) {
    let control_plane = ControlPlane::start().await;
    Daypass::install(&control_plane, &[]).await;
    let controller = Controller::start(&control_plane).await;
    let kubeconfig = control_plane.dir().join("tutorial.kubeconfig");
    shell::contexts(&control_plane, &kubeconfig).await;
    let kubectl = control_plane.kubectl_with(&kubeconfig);
    let readme = std::fs::read_to_string(binaries::repository().join("README.md")).expect("read the README");
    for command in commands(&readme) {
        let words = shell::words(&command.line);
        let args: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        assert_eq!(words[0], "kubectl", "{}", command.line);
        let once = async || {
            let output = kubectl.run_in(binaries::repository(), &args).await;
            told(&command, format!("{}{}", output.stdout, output.stderr).trim_end())
        };
        if args.iter().any(|word| ["get", "events", "can-i"].contains(word)) {
            eventually(&format!("$ {}", command.line), SOON, once).await;
        } else if let Err(why) = once().await {
            panic!("$ {}\n{why}", command.line);
        }
    }
    drop(controller);
}

/// A command of the README, and what it says that it answers.
struct Command {
    line: String,
    answer: String,
}

/// The commands of the tutorial's console blocks, in their order.
fn commands(readme: &str) -> Vec<Command> {
    let tutorial = readme.split(HEADING).nth(1).expect("a tutorial").split("\n## ").next().unwrap_or_default();
    let blocks = tutorial.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    let mut commands: Vec<Command> = Vec::new();
    let mut continued = false;
    for line in blocks.flat_map(str::lines) {
        let (text, goes_on) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        match (text.strip_prefix("$ "), commands.last_mut()) {
            (Some(line), _) => commands.push(Command { line: line.trim_end().to_owned(), answer: String::new() }),
            (None, Some(command)) if continued => command.line = format!("{} {}", command.line, text.trim()),
            (None, Some(command)) => command.answer = format!("{}{text}\n", command.answer),
            (None, None) => panic!("the tutorial's first block does not begin with a command: {line}"),
        }
        continued = goes_on;
    }
    assert!(commands.len() > 20, "the tutorial has {} commands", commands.len());
    commands
}

/// A text without what differs from run to run: instants, ages, and how wide a column is because of them.
fn timeless(text: &str) -> String {
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
